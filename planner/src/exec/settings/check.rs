//! Settings whose text must make sense: zones, date styles, encodings, search paths.

use vicinity_types::io::scalar::parse_bool;
use vicinity_types::io::{ByteaOutput, DateFormat, DateOrder, DateStyle, IntervalStyle};
use vicinity_types::{PgError, Result, SqlState, Zone};

use super::value::invalid_value;

/// Checks a text setting and gives its canonical form. `previous` is the value in force.
pub(super) fn checked(name: &'static str, value: String, previous: &str) -> Result<String> {
    Ok(match name {
        "DateStyle" => date_style_text(date_style(&value, previous)?),
        "TimeZone" | "log_timezone" => Zone::setting(&value)?.name().to_owned(),
        "client_encoding" => encoding(&value)?,
        "default_table_access_method" if value != "heap" => {
            return Err(invalid_value(name, &value)
                .detail(format!("Table access method \"{value}\" does not exist.")));
        }
        "default_tablespace" | "temp_tablespaces"
            if !matches!(value.as_str(), "" | "pg_default" | "\"\"") =>
        {
            return Err(invalid_value(name, &value)
                .detail(format!("Tablespace \"{value}\" does not exist.")));
        }
        "search_path" => {
            split_identifiers(&value)
                .ok_or_else(|| invalid_value(name, &value).detail("List syntax is invalid."))?;
            value
        }
        "application_name" | "cluster_name" => {
            value.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
        }
        _ => value,
    })
}

/// Boolean settings that can only have one value.
pub(super) fn checked_bool(name: &'static str, value: &str) -> Result<()> {
    if name == "standard_conforming_strings" && parse_bool(value) == Some(false) {
        return Err(PgError::unsupported("standard_conforming_strings = off"));
    }
    if name == "default_with_oids" && parse_bool(value) == Some(true) {
        return Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "tables declared WITH OIDS are not supported",
        ));
    }
    Ok(())
}

/// Names of UTF-8; other encodings the client must not ask for, since nothing converts.
fn encoding(value: &str) -> Result<String> {
    let plain: String =
        value.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    match plain.as_str() {
        "utf8" | "unicode" => Ok("UTF8".to_owned()),
        "sqlascii" => Ok("SQL_ASCII".to_owned()),
        "latin1" | "iso88591" | "latin9" | "iso885915" | "win1252" | "windows1252" | "win1251"
        | "win1250" | "euckr" | "eucjp" | "sjis" | "gbk" | "big5" | "gb18030" | "koi8r" => {
            Err(PgError::unsupported(format!("client_encoding {value}")))
        }
        _ => Err(invalid_value("client_encoding", value)),
    }
}

/// Reads `DateStyle`: words in any order over what is in force.
pub(super) fn date_style(value: &str, previous: &str) -> Result<DateStyle> {
    let mut style = current_date_style(previous);
    let (mut format, mut order) = (None, None);
    let wrong = || invalid_value("DateStyle", value);
    for word in value.split(',').map(str::trim).filter(|w| !w.is_empty()) {
        let lower = word.trim_matches('"').to_ascii_lowercase();
        let conflict = || wrong().detail("Conflicting \"datestyle\" specifications.");
        let new_format = match lower.as_str() {
            "iso" => Some(DateFormat::Iso),
            "sql" => Some(DateFormat::Sql),
            w if w.starts_with("postgres") => Some(DateFormat::Postgres),
            "german" => Some(DateFormat::German),
            _ => None,
        };
        let new_order = match lower.as_str() {
            "ymd" => Some(DateOrder::Ymd),
            "dmy" => Some(DateOrder::Dmy),
            w if w.starts_with("euro") => Some(DateOrder::Dmy),
            "mdy" | "us" => Some(DateOrder::Mdy),
            w if w.starts_with("noneuro") => Some(DateOrder::Mdy),
            _ => None,
        };
        match (new_format, new_order) {
            (Some(f), _) if format.is_some_and(|have| have != f) => return Err(conflict()),
            (_, Some(o)) if order.is_some_and(|have| have != o) => return Err(conflict()),
            (Some(f), _) => format = Some(f),
            (_, Some(o)) => order = Some(o),
            _ if lower == "default" => style = DateStyle::default(),
            _ => return Err(wrong().detail(format!("Unrecognized key word: \"{lower}\"."))),
        }
    }
    // GERMAN alone means day before month.
    if format == Some(DateFormat::German) && order.is_none() {
        order = Some(DateOrder::Dmy);
    }
    style.format = format.unwrap_or(style.format);
    style.order = order.unwrap_or(style.order);
    Ok(style)
}

fn current_date_style(text: &str) -> DateStyle {
    let (format, order) = text.split_once(", ").unwrap_or((text, ""));
    DateStyle {
        format: match format {
            "SQL" => DateFormat::Sql,
            "Postgres" => DateFormat::Postgres,
            "German" => DateFormat::German,
            _ => DateFormat::Iso,
        },
        order: match order {
            "DMY" => DateOrder::Dmy,
            "YMD" => DateOrder::Ymd,
            _ => DateOrder::Mdy,
        },
    }
}

fn date_style_text(style: DateStyle) -> String {
    let format = match style.format {
        DateFormat::Iso => "ISO",
        DateFormat::Sql => "SQL",
        DateFormat::Postgres => "Postgres",
        DateFormat::German => "German",
    };
    let order = match style.order {
        DateOrder::Mdy => "MDY",
        DateOrder::Dmy => "DMY",
        DateOrder::Ymd => "YMD",
    };
    format!("{format}, {order}")
}

pub(super) fn read_date_style(text: &str) -> DateStyle {
    current_date_style(text)
}

pub(super) fn interval_style(text: &str) -> IntervalStyle {
    match text {
        "postgres_verbose" => IntervalStyle::PostgresVerbose,
        "sql_standard" => IntervalStyle::SqlStandard,
        "iso_8601" => IntervalStyle::Iso8601,
        _ => IntervalStyle::Postgres,
    }
}

pub(super) fn bytea_output(text: &str) -> ByteaOutput {
    if text == "escape" { ByteaOutput::Escape } else { ByteaOutput::Hex }
}

/// A list of identifiers as `search_path` holds it: unquoted ones folded to lower case.
pub fn split_identifiers(text: &str) -> Option<Vec<String>> {
    let mut out = Vec::new();
    let mut rest = text.trim_start();
    if rest.is_empty() {
        return Some(out);
    }
    loop {
        let name;
        if let Some(quoted) = rest.strip_prefix('"') {
            let (text, after) = quoted_name(quoted)?;
            name = text;
            rest = after;
        } else {
            let end = rest.find(|c: char| c == ',' || c.is_whitespace()).unwrap_or(rest.len());
            if end == 0 {
                return None;
            }
            name = rest.get(..end)?.to_lowercase();
            rest = rest.get(end..)?;
        }
        out.push(name);
        rest = rest.trim_start();
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() => return Some(out),
            None => return None,
        }
    }
}

fn quoted_name(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c != '"' {
            name.push(c);
        } else if text.get(at + 1..)?.starts_with('"') {
            name.push('"');
            chars.next();
        } else {
            return Some((name, text.get(at + 1..)?));
        }
    }
    None
}
