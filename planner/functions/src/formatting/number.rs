//! `to_char` and `to_number` of numbers.

use vicinity_types::Datum::{Float4, Float8, Int4, Int8, Numeric as Num, Text};
use vicinity_types::numeric::{Numeric, text as numeric_text};
use vicinity_types::{PgError, Result, SqlState};

use crate::numeric::ten;

/// An element of a picture.
#[derive(Clone, Debug, PartialEq)]
enum Item {
    Nine,
    Zero,
    Point,
    Comma,
    Sign,
    SignHere,
    Plus,
    Minus,
    Brackets,
    Currency,
    Roman(bool),
    Ordinal(bool),
    Literal(String),
    Blank,
    Multiply,
    Exponent,
    Fill,
}

/// Where `S` stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum SignPlace {
    #[default]
    None,
    Before,
    After,
}

/// A picture and what it adds up to.
#[derive(Clone, Debug, Default)]
struct Picture {
    items: Vec<Item>,
    before: usize,
    after: usize,
    multiply: i64,
    point: bool,
    fill: bool,
    zero: bool,
    zero_start: usize,
    zero_end: usize,
    sign: SignPlace,
    before_sign: usize,
    plus: bool,
    minus: bool,
    brackets: bool,
    roman: bool,
    exponent: bool,
    multiplies: bool,
}

fn syntax(what: &str) -> PgError {
    PgError::new(SqlState::SYNTAX_ERROR, what)
}

const WORDS: &[(&str, Item)] = &[
    ("EEEE", Item::Exponent),
    ("FM", Item::Fill),
    ("MI", Item::Minus),
    ("PL", Item::Plus),
    ("PR", Item::Brackets),
    ("RN", Item::Roman(true)),
    ("SG", Item::SignHere),
    ("TH", Item::Ordinal(true)),
    ("9", Item::Nine),
    ("0", Item::Zero),
    (".", Item::Point),
    ("D", Item::Point),
    (",", Item::Comma),
    ("G", Item::Comma),
    ("L", Item::Currency),
    ("S", Item::Sign),
    ("V", Item::Multiply),
    ("B", Item::Blank),
    // A keyword of PostgreSQL's that writes nothing.
    ("C", Item::Blank),
];

fn scan(format: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let mut rest = format;
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            let inner = rest.get(1..).unwrap_or("");
            let end = inner.find('"').unwrap_or(inner.len());
            items.push(Item::Literal(inner.get(..end).unwrap_or("").to_owned()));
            rest = inner.get(end + 1..).unwrap_or("");
            continue;
        }
        let word = WORDS
            .iter()
            .find(|(w, _)| rest.get(..w.len()).is_some_and(|head| head.eq_ignore_ascii_case(w)));
        match word {
            Some((w, item)) => {
                let lower = rest.starts_with(|c: char| c.is_ascii_lowercase());
                items.push(match item {
                    Item::Roman(_) => Item::Roman(!lower),
                    Item::Ordinal(_) => Item::Ordinal(!lower),
                    other => other.clone(),
                });
                rest = rest.get(w.len()..).unwrap_or("");
            }
            None => {
                items.push(Item::Literal(c.to_string()));
                rest = rest.get(c.len_utf8()..).unwrap_or("");
            }
        }
    }
    items
}

impl Picture {
    fn parse(format: &str) -> Result<Picture> {
        let mut p = Picture { items: scan(format), ..Picture::default() };
        for item in p.items.clone() {
            p.note(&item)?;
        }
        Ok(p)
    }

    fn note(&mut self, item: &Item) -> Result<()> {
        if self.exponent {
            return Err(syntax("\"EEEE\" must be the last pattern used"));
        }
        match item {
            Item::Nine => {
                if self.brackets {
                    return Err(syntax("\"9\" must be ahead of \"PR\""));
                }
                if self.multiplies {
                    self.multiply += 1;
                } else if self.point {
                    self.after += 1;
                } else {
                    self.before += 1;
                }
            }
            Item::Zero => {
                if self.brackets {
                    return Err(syntax("\"0\" must be ahead of \"PR\""));
                }
                if !self.zero && !self.point {
                    self.zero = true;
                    self.zero_start = self.before;
                }
                if self.point {
                    self.after += 1;
                } else {
                    self.before += 1;
                }
                self.zero_end = self.before + self.after;
            }
            Item::Point => {
                if self.point {
                    return Err(syntax("multiple decimal points"));
                }
                if self.multiplies {
                    return Err(syntax("cannot use \"V\" and decimal point together"));
                }
                self.point = true;
            }
            Item::Fill => self.fill = true,
            Item::Sign => {
                if self.sign != SignPlace::None {
                    return Err(syntax("cannot use \"S\" twice"));
                }
                if self.plus || self.minus || self.brackets {
                    return Err(syntax(
                        "cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together",
                    ));
                }
                if self.point {
                    self.sign = SignPlace::After;
                } else {
                    self.sign = SignPlace::Before;
                    self.before_sign = self.before;
                }
            }
            Item::Minus => self.minus = true,
            Item::Plus => self.plus = true,
            Item::SignHere => (self.minus, self.plus) = (true, true),
            Item::Brackets => self.brackets = true,
            Item::Roman(_) => self.roman = true,
            Item::Multiply => {
                if self.point {
                    return Err(syntax("cannot use \"V\" and decimal point together"));
                }
                self.multiplies = true;
            }
            Item::Exponent => self.exponent = true,
            _ => {}
        }
        Ok(())
    }
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

/// The writing of one number.
struct Writer<'a> {
    picture: &'a Picture,
    /// Digits and point, with `#` for a number too large.
    number: Vec<u8>,
    negative: bool,
    /// Places of the picture before the number's first digit.
    spaces: usize,
    sign: SignPlace,
    brackets: bool,
    sign_wrote: bool,
    /// Index of the last digit that matters, with `FM` and a point.
    last_relevant: Option<usize>,
    count: usize,
    at: usize,
    current: usize,
    digit_wrote: bool,
    out: String,
}

impl Writer<'_> {
    fn byte(&self, at: usize) -> u8 {
        self.number.get(at).copied().unwrap_or(0)
    }

    /// `.1` of `9.9`: a leading zero that no 0 asked for.
    fn blank_zero(&self) -> bool {
        !self.picture.zero && self.at == 0 && self.byte(0) == b'0' && self.picture.after != 0
    }

    fn relevant_is_point(&self) -> bool {
        self.last_relevant.is_some_and(|at| self.byte(at) == b'.')
    }

    fn sign_char(&self) -> char {
        if self.negative { '-' } else { '+' }
    }

    fn write_sign(&mut self) {
        let starts = self.current >= self.spaces
            || (self.picture.zero && self.picture.zero_start == self.current);
        if self.sign_wrote || !starts || (self.blank_zero() && !self.relevant_is_point()) {
            return;
        }
        if self.sign != SignPlace::None {
            if self.sign == SignPlace::Before {
                self.out.push(self.sign_char());
                self.sign_wrote = true;
            }
        } else if self.brackets {
            self.out.push(if self.negative { '<' } else { ' ' });
            self.sign_wrote = true;
        } else if !self.negative {
            if !self.picture.fill {
                self.out.push(' ');
            }
            self.sign_wrote = true;
        } else {
            self.out.push('-');
            self.sign_wrote = true;
        }
    }

    fn place(&mut self, zero: bool) {
        self.digit_wrote = false;
        self.write_sign();
        let before_number = self.current < self.spaces;
        let zeroes = self.picture.zero && self.picture.zero_start <= self.current;
        if before_number && !zeroes {
            if !self.picture.fill {
                self.out.push(' ');
            }
        } else if before_number {
            self.out.push('0');
            self.digit_wrote = true;
        } else {
            self.digit(zero);
        }
        self.current += 1;
    }

    fn digit(&mut self, zero: bool) {
        let byte = self.byte(self.at);
        if byte == b'.' {
            if !self.relevant_is_point() || self.picture.fill {
                self.out.push('.');
            }
        } else if self.last_relevant.is_some_and(|last| self.at > last) && !zero {
        } else if self.blank_zero() {
            if !self.picture.fill {
                self.out.push(' ');
            } else if self.relevant_is_point() {
                self.out.push('0');
            }
        } else if byte != 0 {
            self.out.push(char::from(byte));
            self.digit_wrote = true;
        }
        if self.at < self.number.len() {
            self.at += 1;
        }
        let mut end = self.count + usize::from(self.spaces > 0) + usize::from(self.picture.point);
        if self.last_relevant == Some(self.at) {
            end = self.current;
        }
        if self.current + 1 == end {
            if self.sign_wrote && self.brackets {
                self.out.push(if self.negative { '>' } else { ' ' });
            } else if self.sign == SignPlace::After {
                self.out.push(self.sign_char());
            }
        }
    }

    fn run(mut self) -> String {
        let fill = self.picture.fill;
        for item in self.picture.items.clone() {
            match item {
                Item::Nine | Item::Point => self.place(false),
                Item::Zero => self.place(true),
                Item::Comma if self.digit_wrote => self.out.push(','),
                Item::Comma | Item::Currency if !fill => self.out.push(' '),
                Item::Minus if self.negative => self.out.push('-'),
                Item::Plus if !self.negative => self.out.push('+'),
                Item::Minus | Item::Plus if !fill => self.out.push(' '),
                Item::SignHere => self.out.push(self.sign_char()),
                Item::Ordinal(upper) if !self.negative && !self.picture.point => {
                    let number = String::from_utf8_lossy(&self.number).into_owned();
                    if !number.starts_with('#') {
                        self.out.push_str(ordinal(&number, upper));
                    }
                }
                Item::Literal(text) => self.out.push_str(&text),
                _ => {}
            }
        }
        self.out
    }
}

/// Writes `digits` (no sign; as many places after the point as the picture has).
fn write(picture: &Picture, digits: &str, negative: bool) -> String {
    let whole = digits.split('.').next().unwrap_or("");
    let too_large = whole.len() > picture.before;
    let number = if too_large {
        let mut marks = vec![b'#'; picture.before];
        if picture.point {
            marks.push(b'.');
            marks.extend(std::iter::repeat_n(b'#', picture.after));
        }
        marks
    } else {
        digits.as_bytes().to_vec()
    };
    let spaces = picture.before.saturating_sub(whole.len());
    let mut sign = picture.sign;
    let brackets = picture.brackets && (negative || !picture.fill);
    let sign_wrote = if picture.plus || picture.minus {
        !picture.plus || picture.minus
    } else {
        if sign == SignPlace::Before && picture.before == picture.before_sign {
            sign = SignPlace::After;
        }
        !negative && picture.fill && sign == SignPlace::None
    };
    let last_relevant =
        (picture.fill && picture.point).then(|| relevant(&number)).flatten().map(|last| {
            let zero_end = picture.zero_end;
            if zero_end > spaces {
                last.max((number.len() - 1).min(zero_end - spaces))
            } else {
                last
            }
        });
    let count = (picture.after + picture.before).saturating_sub(1)
        + usize::from(!sign_wrote && spaces == 0);
    Writer {
        picture,
        number,
        negative,
        spaces,
        sign,
        brackets,
        sign_wrote,
        last_relevant,
        count,
        at: 0,
        current: 0,
        digit_wrote: false,
        out: String::new(),
    }
    .run()
}

/// The last digit after the point that is not 0, or the point.
fn relevant(number: &[u8]) -> Option<usize> {
    let point = number.iter().position(|b| *b == b'.')?;
    number.iter().rposition(|b| *b != b'0').map(|last| last.max(point))
}

fn plain(n: &Numeric) -> String {
    let mut out = Vec::new();
    numeric_text::write(n, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn numeral(picture: &Picture, n: &Numeric) -> String {
    let value = n.round(0).parts().and_then(|(d, _)| i64::try_from(d).ok()).unwrap_or(0);
    let mut text = roman(value);
    if picture.items.contains(&Item::Roman(false)) {
        text = text.to_ascii_lowercase();
    }
    if picture.fill { text } else { format!("{text:>15}") }
}

/// `1.23e+04`
fn scientific(n: &Numeric, places: usize) -> String {
    let Some((digits, scale)) = n.parts() else { return plain(n) };
    let negative = n.signum() < 0;
    let magnitude = digits.magnitude().to_string();
    let zero = n.signum() == 0;
    let mut exponent = if zero { 0 } else { magnitude.len() as i64 - 1 - scale };
    let mut mantissa = if zero {
        Numeric::from(0).round(places as i64)
    } else {
        Numeric::new(
            num_bigint::BigInt::from(digits.magnitude().clone()),
            magnitude.len() as i64 - 1,
        )
        .round(places as i64)
    };
    if mantissa >= Numeric::from(10) {
        exponent += 1;
        mantissa = Numeric::from(1).round(places as i64);
    }
    let sign = if negative { '-' } else { ' ' };
    let way = if exponent < 0 { '-' } else { '+' };
    format!("{sign}{}e{way}{:02}", plain(&mantissa), exponent.unsigned_abs())
}

fn numeric(n: &Numeric, format: &str) -> Result<String> {
    let mut picture = Picture::parse(format)?;
    if picture.roman {
        return Ok(numeral(&picture, n));
    }
    if picture.exponent {
        return Ok(scientific(n, picture.after));
    }
    let mut n = n.clone();
    if picture.multiplies {
        let factor = Numeric::new(ten(picture.multiply), 0);
        n = n.mul(&factor)?;
        picture.before += usize::try_from(picture.multiply).unwrap_or(0);
    }
    let n = n.round(i64::try_from(picture.after).unwrap_or(0));
    Ok(write(&picture, &plain(&n.abs()), n.signum() < 0))
}

/// Floats show no more digits than they have.
fn float(value: f64, digits: usize, format: &str) -> Result<String> {
    let mut picture = Picture::parse(format)?;
    if picture.roman {
        return Ok(numeral(&picture, &Numeric::from_f64(value)));
    }
    if picture.exponent {
        if !value.is_finite() {
            return Ok(format!(" {}", "#".repeat(picture.after + 6)));
        }
        let text = format!("{:.*e}", picture.after, value);
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let way = if exponent < 0 { '-' } else { '+' };
        let sign = if mantissa.starts_with('-') { "" } else { " " };
        return Ok(format!("{sign}{mantissa}e{way}{:02}", exponent.unsigned_abs()));
    }
    let mut value = value;
    if picture.multiplies {
        value *= 10f64.powi(i32::try_from(picture.multiply).unwrap_or(0));
        picture.before += usize::try_from(picture.multiply).unwrap_or(0);
    }
    let whole = format!("{:.0}", value.abs()).len();
    let places = if whole >= digits { 0 } else { picture.after.min(digits - whole) };
    picture.after = places;
    Ok(write(&picture, &format!("{:.*}", places, value.abs()), value < 0.0))
}

/// `to_number`: the digits the picture has places for, and the sign wherever it stands.
fn to_number(text: &str, format: &str) -> Result<Numeric> {
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

scalars! { pub(crate) NUMBER, env;
    "int4_to_char" [Int4(n), Text(f)] => numeric(&Numeric::from(*n), f);
    "int8_to_char" [Int8(n), Text(f)] => numeric(&Numeric::from(*n), f);
    "numeric_to_char" [Num(n), Text(f)] => numeric(n, f);
    "float4_to_char" [Float4(n), Text(f)] => float(f64::from(*n), 6, f);
    "float8_to_char" [Float8(n), Text(f)] => float(*n, 15, f);
    "numeric_to_number" [Text(t), Text(f)] => to_number(t, f);
}
