//! Type names, and values whose text needs the catalog.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::sync::Arc;

use vicinity_types::enums::Label;
use vicinity_types::io::{self, Field, Io, IoStyle, NoNames, TypeNames, TypeShape, UserType};
use vicinity_types::typname::{by_pg_name, format_type, lookup_type_name, pg_type_name};
use vicinity_types::{Datum, Oid, PgError, Result, oid};

#[test]
fn names_are_postgresqls() {
    for line in include_str!("expect/types.txt").lines() {
        let parts: Vec<&str> = line.split('\t').collect();
        let (ty, typmod): (Oid, i32) = (parts[0].parse().unwrap(), parts[1].parse().unwrap());
        assert_eq!(format_type(ty, (typmod != -1).then_some(typmod)), parts[2], "{line}");
        assert_eq!(pg_type_name(ty).as_deref(), Some(parts[3]), "{line}");
        assert_eq!(by_pg_name(parts[3]), Some(ty), "{line}");
        if typmod == -1 {
            assert_eq!(lookup_type_name(parts[2]), Some(ty), "{line}");
        }
    }
    assert_eq!(format_type(oid::BPCHAR, Some(-1)), "bpchar");
    assert_eq!(format_type(oid::BPCHAR_ARRAY, Some(-1)), "bpchar[]");
    assert_eq!(format_type(oid::BIT, Some(-1)), "\"bit\"");
}

#[test]
fn spellings_of_sql() {
    for (name, ty) in [
        ("INT", oid::INT4),
        ("int[]", oid::INT4_ARRAY),
        ("int[][]", oid::INT4_ARRAY),
        ("float", oid::FLOAT8),
        ("Double  Precision", oid::FLOAT8),
        ("decimal", oid::NUMERIC),
        ("char", oid::BPCHAR),
        ("\"char\"", oid::CHAR),
        ("pg_catalog.int4", oid::INT4),
        ("pg_catalog.char", oid::CHAR),
        ("timestamp with time zone", oid::TIMESTAMPTZ),
        ("pase", oid::PASE),
        ("_pase", oid::PASE_ARRAY),
    ] {
        assert_eq!(lookup_type_name(name), Some(ty), "{name}");
    }
    assert_eq!(lookup_type_name("nonsense"), None);
}

const MOOD: Oid = 20_000;
const PAIR: Oid = 20_001;
const SMALL: Oid = 20_002;
const PAIRS: Oid = 20_003;

struct Catalog;

impl TypeNames for Catalog {
    fn reg_out(&self, ty: Oid, value: Oid) -> Option<String> {
        match (ty, value) {
            (oid::REGCLASS, 20_100) => Some("places".to_owned()),
            (oid::REGTYPE, MOOD) => Some("mood".to_owned()),
            _ => None,
        }
    }

    fn reg_in(&self, _ty: Oid, text: &str) -> Result<Oid> {
        if text == "places" { Ok(20_100) } else { Err(PgError::internal("no such relation")) }
    }

    fn type_info(&self, ty: Oid) -> Option<UserType> {
        let field = |name: &str, ty| Field { name: name.to_owned(), ty, typmod: -1 };
        let label = |place, text: &str| Label { oid: 0, place, text: Arc::from(text) };
        let shape = match ty {
            MOOD => TypeShape::Enum(Arc::from([label(1, "sad"), label(2, "ok")])),
            PAIR => {
                let fields = [field("n", oid::INT4), field("t", oid::TEXT)];
                TypeShape::Composite(Arc::from(fields))
            }
            SMALL => TypeShape::Domain { base: oid::VARCHAR, typmod: 7 },
            PAIRS => TypeShape::Array { elem: PAIR },
            _ => return None,
        };
        Some(UserType { shape })
    }
}

fn round_trip(ty: Oid, text: &str) -> String {
    let style = IoStyle::default();
    let io = Io { style: &style, names: &Catalog };
    match io::text_in(ty, -1, text, &io) {
        Ok(value) => {
            let mut sent = Vec::new();
            io::binary_out(ty, &value, &io, &mut sent);
            let received = io::binary_in(ty, -1, &sent, &io).unwrap();
            let shown = io::to_text(ty, &value, &io);
            assert_eq!(io::to_text(ty, &received, &io), shown);
            shown
        }
        Err(e) => match &e.report().detail {
            Some(detail) => format!("{e}: {detail}"),
            None => e.to_string(),
        },
    }
}

#[test]
fn user_types() {
    for (ty, text, expected) in [
        (MOOD, "ok", "ok"),
        (MOOD, "great", "22P02: invalid input value for enum mood: \"great\""),
        (PAIR, "(1,a)", "(1,a)"),
        (PAIR, " (1,\"a b\") ", "(1,\"a b\")"),
        (PAIR, "(,)", "(,)"),
        (PAIR, "(1,\"\")", "(1,\"\")"),
        (PAIR, "(1,a\"b,c\"d)", "(1,\"ab,cd\")"),
        (PAIR, "(1,\"q\"\"q\\\\\")", "(1,\"q\"\"q\\\\\")"),
        (PAIR, "1,a)", "22P02: malformed record literal: \"1,a)\": Missing left parenthesis."),
        (PAIR, "(1)", "22P02: malformed record literal: \"(1)\": Too few columns."),
        (PAIR, "(1,a,b)", "22P02: malformed record literal: \"(1,a,b)\": Too many columns."),
        (
            PAIR,
            "(1,a) x",
            "22P02: malformed record literal: \"(1,a) x\": Junk after right parenthesis.",
        ),
        (PAIR, "(1,a", "22P02: malformed record literal: \"(1,a\": Unexpected end of input."),
        (SMALL, "abc", "abc"),
        (SMALL, "abcd", "22001: value too long for type character varying(3)"),
        (PAIRS, "{\"(1,a)\",NULL}", "{\"(1,a)\",NULL}"),
        (oid::REGCLASS, "places", "places"),
        (oid::REGCLASS, "20100", "places"),
        (oid::REGCLASS, "7", "7"),
        (oid::REGCLASS, "-", "-"),
    ] {
        assert_eq!(round_trip(ty, text), expected, "{text}");
    }
}

#[test]
fn pase_literals() {
    let detail = |text: &str, why: &str| {
        format!("22P02: invalid input syntax for type pase: \"{text}\": {why}")
    };
    for (text, expected) in [
        ("1,2,3", "1,2,3:0:0".to_owned()),
        ("1, 2 ,3 : 40 : 1", "1,2,3:40:1".to_owned()),
        ("1,2:5", "1,2:5:0".to_owned()),
        ("1.5", "1.5:0:0".to_owned()),
        ("1,2::", "1,2:0:0".to_owned()),
        ("0.1,1e10,-0", "0.1,1e+10,-0:0:0".to_owned()),
        // 1.0 and 2.0 as little-endian floats
        ("AACAPwAAAEA=", "1,2:0:0".to_owned()),
        ("AACAPwAAAEA=:7:2", "1,2:7:2".to_owned()),
        ("", detail("", "The vector is empty.")),
        (":5:10", detail(":5:10", "The vector is empty.")),
        ("1,,3", detail("1,,3", "An element of the vector is empty.")),
        ("1,2:", detail("1,2:", "The extra part is empty.")),
        ("1,2:x", detail("1,2:x", "The extra part is not an integer.")),
        ("1,2:1:", detail("1,2:1:", "The ds part is empty.")),
        (
            "1,2:1:0:9",
            detail("1,2:1:0:9", "At most three parts separated by \":\" are allowed."),
        ),
        ("abc", detail("abc", "The vector is neither numbers nor base64 of float4.")),
        ("1,x", "22P02: invalid input syntax for type real: \"x\"".to_owned()),
        (
            "1,2:0:3",
            "22023: invalid pase distance type: 3: Valid values are 0 (Euclidean), 1 (inner product) and 2 (cosine)."
                .to_owned(),
        ),
    ] {
        assert_eq!(round_trip(oid::PASE, text), expected, "{text}");
    }
    let huge = vec!["1"; 16_001].join(",");
    assert!(round_trip(oid::PASE, &huge).starts_with("54000: pase cannot have more"));
}

#[test]
fn types_without_input() {
    let style = IoStyle::default();
    let io = Io { style: &style, names: &NoNames };
    let message = |ty| io::text_in(ty, -1, "x", &io).unwrap_err().to_string();
    assert_eq!(message(oid::VOID), "0A000: cannot accept a value of type void");
    assert_eq!(
        message(oid::RECORD),
        "0A000: input of anonymous composite types is not implemented"
    );
    assert_eq!(message(99_999), "XX000: cache lookup failed for type 99999");
}

#[test]
fn casts_to_a_length() {
    let varchar = |text: &str, explicit| {
        io::apply_typmod(oid::VARCHAR, 7, Datum::text(text), explicit).map(|d| match d {
            Datum::Text(t) => t.to_string(),
            other => panic!("{other:?}"),
        })
    };
    assert_eq!(varchar("abc  ", false).unwrap(), "abc");
    assert_eq!(varchar("abcd", true).unwrap(), "abc");
    assert_eq!(
        varchar("abcd", false).unwrap_err().to_string(),
        "22001: value too long for type character varying(3)"
    );
}
