//! Roman numerals, and the endings of ordinals.

use vicinity_types::numeric::Numeric;

use super::picture::{Item, Picture};

pub(super) fn numeral(picture: &Picture, n: &Numeric) -> String {
    let value = n.round(0).parts().and_then(|(d, _)| i64::try_from(d).ok()).unwrap_or(0);
    let mut text = roman(value);
    if picture.items.contains(&Item::Roman(false)) {
        text = text.to_ascii_lowercase();
    }
    if picture.fill { text } else { format!("{text:>15}") }
}

fn roman(n: i64) -> String {
    const DIGITS: [(i64, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    if !(1..=3999).contains(&n) {
        return "#".repeat(15);
    }
    let (mut left, mut out) = (n, String::new());
    for (value, letters) in DIGITS {
        while left >= value {
            out.push_str(letters);
            left -= value;
        }
    }
    out
}

/// `st`, `nd`, `rd` or `th`.
pub(crate) fn ordinal(number: &str, upper: bool) -> &'static str {
    let mut tail = number.bytes().rev();
    let (last, tens) = (tail.next(), tail.next());
    match (last, tens == Some(b'1'), upper) {
        (Some(b'1'), false, true) => "ST",
        (Some(b'2'), false, true) => "ND",
        (Some(b'3'), false, true) => "RD",
        (_, _, true) => "TH",
        (Some(b'1'), false, false) => "st",
        (Some(b'2'), false, false) => "nd",
        (Some(b'3'), false, false) => "rd",
        _ => "th",
    }
}
