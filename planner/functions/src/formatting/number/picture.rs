//! Pictures of numbers: `FM9,999.00`.

use vicinity_types::{PgError, Result, SqlState};

/// An element of a picture.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
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
pub(super) enum SignPlace {
    #[default]
    None,
    Before,
    After,
}

/// A picture and what it adds up to.
#[derive(Clone, Debug, Default)]
pub(super) struct Picture {
    pub(super) items: Vec<Item>,
    pub(super) before: usize,
    pub(super) after: usize,
    pub(super) multiply: i64,
    pub(super) point: bool,
    pub(super) fill: bool,
    pub(super) zero: bool,
    pub(super) zero_start: usize,
    pub(super) zero_end: usize,
    pub(super) sign: SignPlace,
    pub(super) before_sign: usize,
    pub(super) plus: bool,
    pub(super) minus: bool,
    pub(super) brackets: bool,
    pub(super) roman: bool,
    pub(super) exponent: bool,
    pub(super) multiplies: bool,
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

impl Picture {
    pub(super) fn parse(format: &str) -> Result<Picture> {
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

fn syntax(what: &str) -> PgError {
    PgError::new(SqlState::SYNTAX_ERROR, what)
}
