//! Reading and printing setting values: units, ranges, words, in PostgreSQL's words where it goes wrong.

use vicinity_types::io::scalar::parse_bool;
use vicinity_types::{PgError, Result, SqlState};

use super::table::{Setting, SettingKind};

pub(super) fn invalid(message: impl Into<String>) -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

pub(super) fn invalid_value(name: &str, value: &str) -> PgError {
    invalid(format!("invalid value for parameter \"{name}\": \"{value}\""))
}

/// Memory units in bytes, time units in microseconds; largest first.
const MEMORY: &[(&str, f64)] = &[
    ("TB", 1_099_511_627_776.0),
    ("GB", 1_073_741_824.0),
    ("MB", 1_048_576.0),
    ("kB", 1024.0),
    ("B", 1.0),
];
const TIME: &[(&str, f64)] = &[
    ("d", 86_400_000_000.0),
    ("h", 3_600_000_000.0),
    ("min", 60_000_000.0),
    ("s", 1_000_000.0),
    ("ms", 1000.0),
    ("us", 1.0),
];

/// The units a setting's values may have, and what its own unit is worth.
fn units(unit: &str) -> Option<(&'static [(&'static str, f64)], f64)> {
    let found = |list: &'static [(&'static str, f64)]| {
        list.iter().find(|(name, _)| *name == unit).map(|(_, worth)| (list, *worth))
    };
    match unit {
        "8kB" => Some((MEMORY, 8192.0)),
        _ => found(MEMORY).or_else(|| found(TIME)),
    }
}

/// A value in its canonical text: base units for numbers, `on`/`off`, the word of an enum.
/// `name` is as the client spelled it.
pub(super) fn canonical(setting: &Setting, name: &str, value: &str) -> Result<String> {
    match &setting.kind {
        SettingKind::Bool => parse_bool(value)
            .map(|on| if on { "on" } else { "off" }.to_owned())
            .ok_or_else(|| invalid(format!("parameter \"{name}\" requires a Boolean value"))),
        SettingKind::Integer { min, max } => {
            let number = number(setting, name, value, true)?.round_ties_even();
            if number.abs() > f64::from(i32::MAX) && number != f64::from(i32::MIN) {
                return Err(invalid_value(name, value).hint("Value exceeds integer range."));
            }
            // In range of i32: exact.
            #[allow(clippy::cast_possible_truncation)]
            let number = number as i64;
            if number < *min || number > *max {
                return Err(out_of_range(setting, name, &number.to_string()));
            }
            Ok(number.to_string())
        }
        SettingKind::Real { min, max } => {
            let number = number(setting, name, value, false)?;
            if !(number >= *min && (number <= *max || *max > 1e308)) {
                return Err(out_of_range(setting, name, &real(number)));
            }
            Ok(real(number))
        }
        SettingKind::Text => Ok(value.to_owned()),
        SettingKind::Enum(words) => enum_word(setting.name, words, value).ok_or_else(|| {
            invalid_value(name, value).hint(format!("Available values: {}.", words.join(", ")))
        }),
    }
}

fn out_of_range(setting: &Setting, name: &str, value: &str) -> PgError {
    let unit = setting.unit.map_or(String::new(), |u| format!(" {u}"));
    let (min, max) = (setting.min.unwrap_or(""), setting.max.unwrap_or(""));
    invalid(format!(
        "{value}{unit} is outside the valid range for parameter \"{name}\" ({min} .. {max})"
    ))
}

/// Words an enum takes besides those it lists.
fn enum_word(name: &str, words: &[&'static str], value: &str) -> Option<String> {
    if let Some(word) = words.iter().find(|w| w.eq_ignore_ascii_case(value)) {
        return Some((*word).to_owned());
    }
    let lower = value.to_ascii_lowercase();
    match (name, lower.as_str()) {
        ("client_min_messages", "info") => return Some(lower),
        ("client_min_messages", "debug") => return Some("debug2".to_owned()),
        _ => {}
    }
    if words.contains(&"on") && words.contains(&"off") {
        let on = parse_bool(&lower)?;
        return Some(if on { "on" } else { "off" }.to_owned());
    }
    None
}

/// A number with an optional unit, in the setting's own unit.
fn number(setting: &Setting, name: &str, value: &str, integer: bool) -> Result<f64> {
    let text = value.trim();
    let wrong = || invalid_value(name, value);
    let end = number_end(text);
    let (digits, rest) = (text.get(..end).unwrap_or(""), text.get(end..).unwrap_or("").trim());
    let number = parse_number(digits, integer).ok_or_else(wrong)?;
    if rest.is_empty() {
        return Ok(number);
    }
    let Some((list, base)) = setting.unit.and_then(units) else { return Err(wrong()) };
    let Some((_, worth)) = list.iter().find(|(unit, _)| *unit == rest) else {
        return Err(wrong().hint(if list.len() == MEMORY.len() {
            "Valid units for this parameter are \"B\", \"kB\", \"MB\", \"GB\", and \"TB\"."
        } else {
            "Valid units for this parameter are \"us\", \"ms\", \"s\", \"min\", \"h\", and \"d\"."
        }));
    };
    let number = number * worth / base;
    // A fraction of a larger unit is rounded to the next smaller one, as PostgreSQL does.
    Ok(number)
}

fn number_end(text: &str) -> usize {
    let hex = text.trim_start_matches(['+', '-']).get(..2);
    let is_hex = hex.is_some_and(|h| h.eq_ignore_ascii_case("0x"));
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&b) = bytes.get(at) {
        let sign = matches!(b, b'+' | b'-');
        let exponent = matches!(b, b'e' | b'E')
            && bytes.get(at + 1).is_some_and(|n| n.is_ascii_digit() || matches!(n, b'+' | b'-'));
        let after_e = at > 0 && matches!(bytes.get(at - 1), Some(b'e' | b'E'));
        let ok = if is_hex {
            b.is_ascii_hexdigit() || (sign && at == 0) || matches!(b, b'x' | b'X')
        } else {
            b.is_ascii_digit() || b == b'.' || exponent || (sign && (at == 0 || after_e))
        };
        if !ok {
            break;
        }
        at += 1;
    }
    at
}

fn parse_number(text: &str, integer: bool) -> Option<f64> {
    if integer {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(rest) => (-1.0, rest),
            None => (1.0, text.strip_prefix('+').unwrap_or(text)),
        };
        if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
            return u32::from_str_radix(hex, 16).ok().map(|n| sign * f64::from(n));
        }
        if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
        {
            return u32::from_str_radix(digits, 8).ok().map(|n| sign * f64::from(n));
        }
    }
    text.parse().ok()
}

/// C's `%g`: six significant digits.
fn real(number: f64) -> String {
    let text = format!("{number}");
    if text.len() <= 8 {
        return text;
    }
    let rounded: f64 = format!("{number:.5e}").parse().unwrap_or(number);
    if rounded != 0.0 && (rounded.abs() >= 1e6 || rounded.abs() < 1e-4) {
        let text = format!("{rounded:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    format!("{rounded}")
}

/// A canonical value as `SHOW` prints it: numbers in the largest unit that divides them.
pub(super) fn shown(setting: &Setting, canonical: &str) -> String {
    match setting.name {
        "unix_socket_permissions" | "log_file_mode" | "data_directory_mode" => {
            return canonical.parse::<u32>().map_or_else(
                |_| canonical.to_owned(),
                |n| {
                    if canonical.starts_with('0') {
                        canonical.to_owned()
                    } else {
                        format!("0{n:o}")
                    }
                },
            );
        }
        "archive_command" if canonical.is_empty() => return "(disabled)".to_owned(),
        _ => {}
    }
    let Some((list, base)) = setting.unit.and_then(units) else { return canonical.to_owned() };
    let Ok(number) = canonical.parse::<f64>() else { return canonical.to_owned() };
    if number <= 0.0 {
        return canonical.to_owned();
    }
    let worth = number * base;
    for (unit, size) in list {
        let n = worth / size;
        if n >= 1.0 && (n - n.round()).abs() < 1e-8 * n {
            return format!("{}{unit}", n.round());
        }
    }
    canonical.to_owned()
}
