//! Casts among the text types, and quoting.

use vicinity_types::Datum::{Bool, Int4, Null, Text};
use vicinity_types::{PgError, Result, SqlState};

use super::compare::unpadded;
use super::{length, offset, slice};

/// Cuts to a number of bytes without splitting a character, as `name` is cut at 63.
pub(crate) fn name(text: &str, bytes: usize) -> &str {
    slice(text, 0, text.floor_char_boundary(bytes))
}

/// `varchar(n)`: an explicit cast cuts; an assignment only drops blanks.
fn varchar(text: &str, typmod: i32, explicit: bool) -> Result<&str> {
    let limit = match usize::try_from(typmod - 4) {
        Ok(limit) if typmod >= 4 => limit,
        _ => return Ok(text),
    };
    cut(text, limit, explicit, "character varying")
}

fn cut<'t>(text: &'t str, limit: usize, explicit: bool, ty: &str) -> Result<&'t str> {
    let end = offset(text, limit);
    if !explicit && slice(text, end, text.len()).bytes().any(|b| b != b' ') {
        return Err(PgError::new(
            SqlState::STRING_DATA_RIGHT_TRUNCATION,
            format!("value too long for type {ty}({limit})"),
        ));
    }
    Ok(slice(text, 0, end))
}

fn bpchar(text: &str, typmod: i32, explicit: bool) -> Result<String> {
    let limit = match usize::try_from(typmod - 4) {
        Ok(limit) if typmod >= 4 => limit,
        _ => return Ok(text.to_owned()),
    };
    let kept = cut(text, limit, explicit, "character")?;
    Ok(kept.to_owned() + &" ".repeat(limit - length(kept)))
}

/// `"char"` holds one byte.
fn single(text: &str) -> &str {
    slice(text, 0, text.chars().next().map_or(0, char::len_utf8))
}

fn char_of(code: i32) -> Result<String> {
    let byte = i8::try_from(code)
        .map_err(|_| PgError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "\"char\" out of range"))?;
    Ok(match byte {
        0 => String::new(),
        b => char::from(b.cast_unsigned()).to_string(),
    })
}

/// Words the grammar reserves (or keeps for types and functions, or columns): `quote_ident` quotes
/// whatever is not an unreserved keyword.
pub(crate) const QUOTED_KEYWORDS: &[&str] = &[
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

/// An identifier, quoted where it would not read back as itself.
pub fn quote_ident(text: &str) -> String {
    let plain = text
        .bytes()
        .enumerate()
        .all(|(i, b)| b.is_ascii_lowercase() || b == b'_' || (i > 0 && b.is_ascii_digit()));
    if plain && !text.is_empty() && QUOTED_KEYWORDS.binary_search(&text).is_err() {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// A string constant; with a backslash inside, an `E''` one.
pub fn quote_literal(text: &str) -> String {
    let escape = if text.contains('\\') { "E" } else { "" };
    format!("{escape}'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

scalars! { pub(crate) CONVERT, env;
    "text_name" | "bpchar_name" [Text(a)] => name(unpadded(a), 63);
    "name_text" | "name_bpchar" | "char_text" | "char_bpchar" [Text(a)] => a.clone();
    "text_char" [Text(a)] => single(a);
    "chartoi4" [Text(a)] => a.chars().next().map_or(0, |c| i32::from(u8::try_from(c).unwrap_or(0).cast_signed()));
    "i4tochar" [Int4(a)] => char_of(*a);
    "varchar" [Text(a), Int4(m), Bool(explicit)] => varchar(a, *m, *explicit);
    "bpchar" [Text(a), Int4(m), Bool(explicit)] => bpchar(a, *m, *explicit);
    "quote_ident" [Text(a)] => quote_ident(a);
    "quote_literal" [Text(a)] => quote_literal(a);
    "quote_nullable" [Text(a)] => quote_literal(a), [Null] => "NULL";
}
