//! COPY's options, checked as PostgreSQL checks them.

use vicinity_types::{PgError, Result, SqlState};

use crate::exec::name;
use crate::sql::{CopyOption, CopyValue};

/// How rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// Tab-separated, with backslashes.
    #[default]
    Text,
    /// Comma-separated, with quotes.
    Csv,
    /// Each value in its binary format.
    Binary,
}

/// The line of column names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Header {
    #[default]
    None,
    Line,
    /// It must have the columns' names.
    Match,
}

/// Columns an option is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Chosen {
    #[default]
    None,
    All,
    Names(Vec<String>),
}

/// All of them.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) format: Format,
    pub(super) delimiter: u8,
    pub(super) null: String,
    pub(super) header: Header,
    pub(super) quote: u8,
    pub(super) escape: u8,
    pub(super) force_quote: Chosen,
    pub(super) force_not_null: Chosen,
    pub(super) force_null: Chosen,
}

/// Those that were given.
#[derive(Default)]
struct Given<'a> {
    format: Option<Format>,
    /// Rows have no frozen state here: it is only checked.
    freeze: Option<bool>,
    delimiter: Option<&'a str>,
    null: Option<&'a str>,
    header: Option<Header>,
    quote: Option<&'a str>,
    escape: Option<&'a str>,
    force_quote: Option<Chosen>,
    force_not_null: Option<Chosen>,
    force_null: Option<Chosen>,
    encoding: Option<()>,
}

fn syntax(message: impl Into<String>) -> PgError {
    PgError::new(SqlState::SYNTAX_ERROR, message)
}

fn invalid(message: impl Into<String>) -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn refused(message: impl Into<String>) -> PgError {
    PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message)
}

fn put<T>(slot: &mut Option<T>, value: T, option: &CopyOption) -> Result<()> {
    if slot.is_some() {
        return Err(syntax("conflicting or redundant options").or_at(option.at));
    }
    *slot = Some(value);
    Ok(())
}

fn text(option: &CopyOption) -> Result<&str> {
    match &option.value {
        CopyValue::Text(text) => Ok(text),
        CopyValue::None => Err(syntax(format!("{} requires a parameter", option.name))),
        _ => Err(syntax(format!("{} requires a string value", option.name))),
    }
}

fn boolean(option: &CopyOption) -> Option<bool> {
    match &option.value {
        CopyValue::None => Some(true),
        CopyValue::Text(text) => match text.to_lowercase().as_str() {
            "true" | "on" | "1" => Some(true),
            "false" | "off" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn columns(option: &CopyOption, all: bool) -> Result<Chosen> {
    match &option.value {
        CopyValue::All if all => Ok(Chosen::All),
        CopyValue::Columns(names) => Ok(Chosen::Names(names.iter().map(name::ident).collect())),
        _ => Err(invalid(format!(
            "argument to option \"{}\" must be a list of column names",
            option.name
        ))
        .or_at(option.at)),
    }
}

fn header(option: &CopyOption, to: bool) -> Result<Header> {
    match boolean(option) {
        Some(true) => return Ok(Header::Line),
        Some(false) => return Ok(Header::None),
        None => {}
    }
    match &option.value {
        CopyValue::Text(text) if text.eq_ignore_ascii_case("match") => match to {
            true => Err(refused("cannot use \"match\" with HEADER in COPY TO")),
            false => Ok(Header::Match),
        },
        _ => Err(syntax("header requires a Boolean value or \"match\"")),
    }
}

/// Everything is UTF-8 here; other encodings PostgreSQL has are refused by name.
fn encoding(option: &CopyOption) -> Result<()> {
    let given = text(option)?;
    let plain: String = given.chars().filter(char::is_ascii_alphanumeric).collect();
    match plain.to_lowercase().as_str() {
        "utf8" | "unicode" => Ok(()),
        name if ENCODINGS.contains(&name) => {
            Err(PgError::unsupported(format!("COPY in encoding \"{given}\"")))
        }
        _ => Err(invalid("argument to option \"encoding\" must be a valid encoding name")
            .or_at(option.at)),
    }
}

/// Names of PostgreSQL's other encodings, letters and digits only.
const ENCODINGS: &[&str] = &[
    "abc",
    "alt",
    "big5",
    "eucjis2004",
    "euccn",
    "eucjp",
    "euckr",
    "euctw",
    "gb18030",
    "gbk",
    "iso88591",
    "iso885910",
    "iso885913",
    "iso885914",
    "iso885915",
    "iso885916",
    "iso88592",
    "iso88593",
    "iso88594",
    "iso88595",
    "iso88596",
    "iso88597",
    "iso88598",
    "iso88599",
    "johab",
    "koi8",
    "koi8r",
    "koi8u",
    "latin1",
    "latin10",
    "latin2",
    "latin3",
    "latin4",
    "latin5",
    "latin6",
    "latin7",
    "latin8",
    "latin9",
    "mskanji",
    "muleinternal",
    "shiftjis",
    "shiftjis2004",
    "sjis",
    "sqlascii",
    "tcvn",
    "tcvn5712",
    "uhc",
    "vscii",
    "win",
    "win1250",
    "win1251",
    "win1252",
    "win1253",
    "win1254",
    "win1255",
    "win1256",
    "win1257",
    "win1258",
    "win866",
    "win874",
    "win932",
    "win936",
    "win949",
    "win950",
    "windows1250",
    "windows1251",
    "windows1252",
    "windows1253",
    "windows1254",
    "windows1255",
    "windows1256",
    "windows1257",
    "windows1258",
    "windows866",
    "windows874",
    "windows932",
    "windows936",
    "windows949",
    "windows950",
];

impl<'a> Given<'a> {
    fn read(options: &'a [CopyOption], to: bool) -> Result<Given<'a>> {
        let mut given = Given::default();
        for option in options {
            match option.name.as_str() {
                "format" => {
                    let format = match text(option)?.to_lowercase().as_str() {
                        "text" => Format::Text,
                        "csv" => Format::Csv,
                        "binary" => Format::Binary,
                        _ => {
                            let shown = text(option)?;
                            return Err(invalid(format!("COPY format \"{shown}\" not recognized"))
                                .or_at(option.at));
                        }
                    };
                    put(&mut given.format, format, option)?;
                }
                "freeze" => {
                    let on =
                        boolean(option).ok_or_else(|| syntax("freeze requires a Boolean value"))?;
                    put(&mut given.freeze, on, option)?;
                }
                "header" => put(&mut given.header, header(option, to)?, option)?,
                "delimiter" => put(&mut given.delimiter, text(option)?, option)?,
                "null" => put(&mut given.null, text(option)?, option)?,
                "quote" => put(&mut given.quote, text(option)?, option)?,
                "escape" => put(&mut given.escape, text(option)?, option)?,
                "encoding" => put(&mut given.encoding, encoding(option)?, option)?,
                "force_quote" => put(&mut given.force_quote, columns(option, true)?, option)?,
                "force_not_null" => {
                    put(&mut given.force_not_null, columns(option, false)?, option)?;
                }
                "force_null" => put(&mut given.force_null, columns(option, false)?, option)?,
                other => {
                    return Err(
                        syntax(format!("option \"{other}\" not recognized")).or_at(option.at)
                    );
                }
            }
        }
        Ok(given)
    }
}

/// The one byte of an option that must be one.
fn single(text: &str, what: &str) -> Result<u8> {
    match text.as_bytes() {
        [one] => Ok(*one),
        _ => Err(refused(format!("COPY {what} must be a single one-byte character"))),
    }
}

impl Options {
    /// Reads and checks them.
    pub(super) fn read(options: &[CopyOption], to: bool) -> Result<Options> {
        let given = Given::read(options, to)?;
        let format = given.format.unwrap_or_default();
        let (binary, csv) = (format == Format::Binary, format == Format::Csv);
        if binary && given.delimiter.is_some() {
            return Err(syntax("cannot specify DELIMITER in BINARY mode"));
        }
        if binary && given.null.is_some() {
            return Err(syntax("cannot specify NULL in BINARY mode"));
        }
        if binary && given.header.is_some_and(|h| h != Header::None) {
            return Err(refused("cannot specify HEADER in BINARY mode"));
        }
        let null = given.null.unwrap_or(if csv { "" } else { "\\N" }).to_owned();
        let delimiter = given.delimiter.unwrap_or(if csv { "," } else { "\t" });
        let delimiter = single(delimiter, "delimiter")?;
        if matches!(delimiter, b'\r' | b'\n') {
            return Err(invalid("COPY delimiter cannot be newline or carriage return"));
        }
        if null.contains(['\r', '\n']) {
            return Err(invalid("COPY null representation cannot use newline or carriage return"));
        }
        // What could be mistaken for data or for a backslash's letter.
        if !csv && (delimiter.is_ascii_lowercase() || b"\\.0123456789".contains(&delimiter)) {
            let shown = char::from(delimiter);
            return Err(invalid(format!("COPY delimiter cannot be \"{shown}\"")));
        }
        let (quote, escape) = quoting(&given, csv, delimiter)?;
        let (force_quote, force_not_null, force_null) = forces(&given, csv, to)?;
        if null.as_bytes().contains(&delimiter) {
            return Err(refused("COPY delimiter must not appear in the NULL specification"));
        }
        if csv && null.as_bytes().contains(&quote) {
            return Err(refused("CSV quote character must not appear in the NULL specification"));
        }
        Ok(Options {
            format,
            delimiter,
            null,
            header: given.header.unwrap_or_default(),
            quote,
            escape,
            force_quote,
            force_not_null,
            force_null,
        })
    }
}

fn quoting(given: &Given<'_>, csv: bool, delimiter: u8) -> Result<(u8, u8)> {
    if !csv && given.quote.is_some() {
        return Err(refused("COPY quote available only in CSV mode"));
    }
    let quote = single(given.quote.unwrap_or("\""), "quote")?;
    if csv && delimiter == quote {
        return Err(invalid("COPY delimiter and quote must be different"));
    }
    if !csv && given.escape.is_some() {
        return Err(refused("COPY escape available only in CSV mode"));
    }
    let escape = match given.escape {
        Some(text) => single(text, "escape")?,
        None => quote,
    };
    Ok((quote, escape))
}

fn forces(given: &Given<'_>, csv: bool, to: bool) -> Result<(Chosen, Chosen, Chosen)> {
    let check = |option: &Option<Chosen>, name: &str, for_to: bool| {
        if option.is_none() {
            return Ok(());
        }
        if !csv {
            return Err(refused(format!("COPY {name} available only in CSV mode")));
        }
        if to != for_to {
            let side = if for_to { "TO" } else { "FROM" };
            return Err(refused(format!("COPY {name} only available using COPY {side}")));
        }
        Ok(())
    };
    check(&given.force_quote, "force quote", true)?;
    check(&given.force_not_null, "force not null", false)?;
    check(&given.force_null, "force null", false)?;
    let taken = |o: &Option<Chosen>| o.clone().unwrap_or_default();
    Ok((taken(&given.force_quote), taken(&given.force_not_null), taken(&given.force_null)))
}
