//! The functions that the views of `information_schema` are written with.

use vicinity_types::Datum::{self, Int4, Oid};
use vicinity_types::array::Array;
use vicinity_types::{Result, oid};

use crate::Rows;

const BIT: u32 = 1560;
const VARBIT: u32 = 1562;

fn some(n: i32) -> Datum {
    Int4(n)
}

fn char_max_length(ty: u32, typmod: i32) -> Datum {
    match ty {
        _ if typmod == -1 => Datum::Null,
        oid::BPCHAR | oid::VARCHAR => some(typmod - 4),
        BIT | VARBIT => some(typmod),
        _ => Datum::Null,
    }
}

fn char_octet_length(ty: u32, typmod: i32) -> Datum {
    match ty {
        oid::TEXT | oid::BPCHAR | oid::VARCHAR if typmod == -1 => some(1 << 30),
        oid::TEXT | oid::BPCHAR | oid::VARCHAR => match char_max_length(ty, typmod) {
            // A character of UTF-8 has at most four bytes.
            Int4(n) => some(n.saturating_mul(4)),
            other => other,
        },
        _ => Datum::Null,
    }
}

fn numeric_precision(ty: u32, typmod: i32) -> Datum {
    match ty {
        oid::INT2 => some(16),
        oid::INT4 => some(32),
        oid::INT8 => some(64),
        oid::NUMERIC if typmod != -1 => some(((typmod - 4) >> 16) & 65535),
        oid::FLOAT4 => some(24),
        oid::FLOAT8 => some(53),
        _ => Datum::Null,
    }
}

fn numeric_radix(ty: u32) -> Datum {
    match ty {
        oid::INT2 | oid::INT4 | oid::INT8 | oid::FLOAT4 | oid::FLOAT8 => some(2),
        oid::NUMERIC => some(10),
        _ => Datum::Null,
    }
}

fn numeric_scale(ty: u32, typmod: i32) -> Datum {
    match ty {
        oid::INT2 | oid::INT4 | oid::INT8 => some(0),
        oid::NUMERIC if typmod != -1 => some((typmod - 4) & 65535),
        _ => Datum::Null,
    }
}

fn datetime_precision(ty: u32, typmod: i32) -> Datum {
    match ty {
        oid::DATE => some(0),
        oid::TIME | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::TIMETZ => {
            some(if typmod < 0 { 6 } else { typmod })
        }
        oid::INTERVAL => {
            let all = typmod < 0 || typmod & 65535 == 65535;
            some(if all { 6 } else { typmod & 65535 })
        }
        _ => Datum::Null,
    }
}

/// The fields of an interval type: `DAY TO SECOND` of `interval day to second(3)`.
fn interval_type(ty: u32, typmod: i32) -> Datum {
    if ty != oid::INTERVAL {
        return Datum::Null;
    }
    let shown = vicinity_types::format_type(ty, Some(typmod));
    let fields = shown.strip_prefix("interval").unwrap_or("");
    let letters = |c: char| !(c.is_ascii_digit() || c == '(' || c == ')');
    let plain: String = fields.chars().filter(|c| letters(*c)).collect();
    match plain.trim() {
        "" => Datum::Null,
        fields => Datum::text(fields.to_uppercase()),
    }
}

/// `pg_options_to_table`: `name=value` taken apart.
fn options(list: &Array) -> Result<Rows> {
    let one = |at| match list.get(at) {
        Datum::Text(text) => Some(match text.split_once('=') {
            Some((name, value)) => vec![Datum::text(name), Datum::text(value)],
            None => vec![Datum::Text(text), Datum::Null],
        }),
        _ => None,
    };
    let rows: Vec<Vec<Datum>> = (0..list.len()).filter_map(one).collect();
    Ok(Box::new(rows.into_iter().map(Ok)))
}

sets! { pub(crate) OPTIONS, env;
    "pg_options_to_table" [Datum::Array(list)] => options(list);
}

scalars! { pub(crate) INFORMATION, env;
    "_pg_char_max_length" [Oid(t), Int4(m)] => char_max_length(*t, *m);
    "_pg_char_octet_length" [Oid(t), Int4(m)] => char_octet_length(*t, *m);
    "_pg_numeric_precision" [Oid(t), Int4(m)] => numeric_precision(*t, *m);
    "_pg_numeric_precision_radix" [Oid(t), Int4(_)] => numeric_radix(*t);
    "_pg_numeric_scale" [Oid(t), Int4(m)] => numeric_scale(*t, *m);
    "_pg_datetime_precision" [Oid(t), Int4(m)] => datetime_precision(*t, *m);
    "_pg_interval_type" [Oid(t), Int4(m)] => interval_type(*t, *m);
}
