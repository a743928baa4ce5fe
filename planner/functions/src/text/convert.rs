//! Casts among the text types, and quoting.

use vicinity_types::Datum::{self, Bool, Bpchar, Int4, Null, Text};
use vicinity_types::compare::unpadded;
use vicinity_types::io::string::{char_byte, char_text, parse_char};
use vicinity_types::{Oid, PgError, Result, SqlState, apply_typmod, oid};

use super::slice;
use crate::system::keywords::keyword;

/// Cuts to a number of bytes without splitting a character, as `name` is cut at 63.
pub(crate) fn name(text: &str, bytes: usize) -> &str {
    slice(text, 0, text.floor_char_boundary(bytes))
}

/// `varchar(n)` and `char(n)`: a modifier below 4 stands for no length.
fn fit(ty: Oid, typmod: i32, value: &Datum, explicit: bool) -> Result<Datum> {
    if typmod < 4 { Ok(value.clone()) } else { apply_typmod(ty, typmod, value.clone(), explicit) }
}

fn char_of(code: i32) -> Result<String> {
    let byte = i8::try_from(code)
        .map_err(|_| PgError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "\"char\" out of range"))?;
    Ok(char_text(byte.cast_unsigned()))
}

/// An identifier, quoted where it would not read back as itself: whatever is not an unreserved
/// keyword.
pub fn quote_ident(text: &str) -> String {
    let plain = text
        .bytes()
        .enumerate()
        .all(|(i, b)| b.is_ascii_lowercase() || b == b'_' || (i > 0 && b.is_ascii_digit()));
    let free = || keyword(text).is_none_or(|k| k.category == b'U');
    if plain && !text.is_empty() && free() {
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
    "text_name" [Text(a)] => name(a, 63);
    "bpchar_name" [Bpchar(a)] => name(unpadded(a), 63);
    "name_text" | "char_text" [Text(a)] => a.clone();
    "name_bpchar" | "char_bpchar" [Text(a)] => Bpchar(a.clone());
    "text_char" [Text(a)] => parse_char(a);
    "chartoi4" [Text(a)] => i32::from(char_byte(a).cast_signed());
    "i4tochar" [Int4(a)] => char_of(*a);
    "varchar" [v @ Text(_), Int4(m), Bool(explicit)] => fit(oid::VARCHAR, *m, v, *explicit);
    "bpchar" [v @ Bpchar(_), Int4(m), Bool(explicit)] => fit(oid::BPCHAR, *m, v, *explicit);
    "quote_ident" [Text(a)] => quote_ident(a);
    "quote_literal" [Text(a)] => quote_literal(a);
    "quote_nullable" [Text(a)] => quote_literal(a), [Null] => "NULL";
}
