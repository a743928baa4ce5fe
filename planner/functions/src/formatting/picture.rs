//! The pictures of dates and times: `YYYY-MM-DD HH24:MI:SS` and the like.

/// A keyword, in the spelling that decides the case of what it writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// In capitals.
    pub(crate) name: &'static str,
    pub(crate) case: Case,
}

/// How a keyword was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Upper,
    Lower,
    Capitalised,
}

/// An element of a picture.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Item {
    Key {
        key: Key,
        fill: bool,
        ordinal: Option<bool>,
    },
    /// Quoted text or a character that means nothing.
    Literal(char),
    /// A space or punctuation, which input may have other ones for.
    Separator(char),
}

/// Keywords, longer ones before their beginnings.
const KEYS: &[&str] = &[
    "A.D.", "A.M.", "AD", "AM", "B.C.", "BC", "CC", "DAY", "DDD", "DD", "DY", "D", "FF1", "FF2",
    "FF3", "FF4", "FF5", "FF6", "HH24", "HH12", "HH", "IDDD", "ID", "IW", "IYYY", "IYY", "IY", "I",
    "J", "MI", "MM", "MONTH", "MON", "MS", "OF", "P.M.", "PM", "Q", "RM", "SSSSS", "SSSS", "SS",
    "TZH", "TZM", "TZ", "US", "WW", "W", "Y,YYY", "YYYY", "YYY", "YY", "Y",
];

/// Keywords that are also known capitalised.
const NAMES: &[(&str, &str)] = &[("Day", "DAY"), ("Dy", "DY"), ("Month", "MONTH"), ("Mon", "MON")];

fn key(rest: &str) -> Option<(Key, usize)> {
    for (spelling, name) in NAMES {
        if rest.starts_with(spelling) {
            return Some((Key { name, case: Case::Capitalised }, spelling.len()));
        }
    }
    for name in KEYS {
        let Some(head) = rest.get(..name.len()) else { continue };
        if head == *name {
            return Some((Key { name, case: Case::Upper }, name.len()));
        }
        if head == name.to_ascii_lowercase() {
            return Some((Key { name, case: Case::Lower }, name.len()));
        }
    }
    None
}

fn strip_either<'a>(rest: &'a str, word: &str) -> Option<&'a str> {
    rest.strip_prefix(word).or_else(|| rest.strip_prefix(word.to_ascii_lowercase().as_str()))
}

/// Reads a picture.
pub(crate) fn parse(picture: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let mut rest = picture;
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            let mut chars = rest.get(1..).unwrap_or("").chars();
            while let Some(c) = chars.next().filter(|c| *c != '"') {
                let c = if c == '\\' { chars.next().unwrap_or(c) } else { c };
                items.push(Item::Literal(c));
            }
            rest = chars.as_str();
            continue;
        }
        let mut fill = false;
        let mut body = rest;
        for prefix in ["FM", "TM", "FX"] {
            if let Some(after) = strip_either(body, prefix) {
                fill |= prefix != "FX";
                body = after;
            }
        }
        if let Some((key, len)) = key(body) {
            rest = body.get(len..).unwrap_or("");
            let mut ordinal = None;
            if let Some(after) = rest.strip_prefix("TH") {
                (ordinal, rest) = (Some(true), after);
            } else if let Some(after) = rest.strip_prefix("th") {
                (ordinal, rest) = (Some(false), after);
            }
            items.push(Item::Key { key, fill, ordinal });
            continue;
        }
        if body.len() < rest.len() {
            // A modifier before nothing.
            rest = body;
            continue;
        }
        rest = rest.get(c.len_utf8()..).unwrap_or("");
        if c == '\\'
            && let Some(next) = rest.chars().next()
        {
            rest = rest.get(next.len_utf8()..).unwrap_or("");
            items.push(Item::Literal(next));
            continue;
        }
        let separator = c.is_ascii() && !c.is_ascii_alphanumeric();
        items.push(if separator { Item::Separator(c) } else { Item::Literal(c) });
    }
    items
}

/// Full names of the days, Sunday first.
pub(crate) const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Full names of the months.
pub(crate) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Months in Roman numerals.
pub(crate) const ROMAN: [&str; 12] =
    ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];
