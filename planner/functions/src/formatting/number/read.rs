//! `to_number`.

use vicinity_types::numeric::{Numeric, text as numeric_text};
use vicinity_types::{PgError, Result};

use super::picture::{Item, Picture};

/// `to_number`: the digits the picture has places for, and the sign wherever it stands.
pub(super) fn to_number(text: &str, format: &str) -> Result<Numeric> {
    let picture = Picture::parse(format)?;
    if picture.roman || picture.exponent {
        return Err(PgError::unsupported("this pattern of to_number"));
    }
    let mut chars = text.chars().peekable();
    let (mut digits, mut negative) = (String::new(), false);
    let skip_blanks = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
        while chars.next_if(|c| c.is_ascii_whitespace()).is_some() {}
    };
    skip_blanks(&mut chars);
    let mut sign = |c: char| match c {
        '-' | '<' => {
            negative = true;
            true
        }
        '+' => true,
        _ => false,
    };
    chars.next_if(|c| sign(*c));
    for item in &picture.items {
        match item {
            Item::Nine | Item::Zero => {
                skip_blanks(&mut chars);
                if digits.is_empty() {
                    chars.next_if(|c| sign(*c));
                }
                digits.extend(chars.next_if(char::is_ascii_digit));
            }
            Item::Point => digits.extend(chars.next_if_eq(&'.')),
            Item::Comma => {
                chars.next_if_eq(&',');
            }
            Item::Sign | Item::Minus | Item::Plus | Item::SignHere => {
                chars.next_if(|c| sign(*c));
            }
            Item::Currency => {
                chars.next_if(|c| !c.is_ascii_digit());
            }
            Item::Literal(text) => {
                for _ in text.chars() {
                    chars.next_if(|c| !c.is_ascii_digit());
                }
            }
            _ => {}
        }
    }
    if chars.next() == Some('-') {
        negative = true;
    }
    let number = digits.trim_end_matches('.');
    let number = numeric_text::parse(&format!("{}{number}", if negative { "-" } else { "" }))
        .map_err(|_| PgError::invalid_input("numeric", " "))?;
    let places = i64::try_from(picture.after).unwrap_or(0);
    Ok(number.round(if picture.point { places } else { 0 }))
}
