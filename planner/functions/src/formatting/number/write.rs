//! Digits written in the places of a picture.

use super::numeral::ordinal;
use super::picture::{Item, Picture, SignPlace};

/// Writes `digits` (no sign; as many places after the point as the picture has).
pub(super) fn write(picture: &Picture, digits: &str, negative: bool) -> String {
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
