//! Text and binary I/O against what PostgreSQL 15 answered: `expect/*.tsv`, made by
//! `expect/generate.sh`. Each line is type, input, `ok` or a SQLSTATE, text or message, and the
//! binary form or DETAIL.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use vicinity_types::io::{self, Io, IoStyle, NoNames};
use vicinity_types::io::{DateFormat, DateOrder, IntervalStyle};
use vicinity_types::{Datum, Kind, Oid, PgError, Zone, lookup_type_name, oid, raw};

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some(other) => out.push(other),
                None => {}
            },
            (c, false) => out.push(c),
        }
    }
    out
}

/// `numeric(4,1)[]` as a type and its modifier.
fn parse_type(spec: &str) -> (Oid, i32) {
    let (base, array) = spec.strip_suffix("[]").map_or((spec, false), |s| (s, true));
    let (name, typmod) = match base.split_once('(') {
        None => (base.to_owned(), -1),
        Some((name, rest)) => {
            let (args, after) = rest.split_once(')').unwrap();
            let args: Vec<i32> = args.split(',').map(|n| n.trim().parse().unwrap()).collect();
            (format!("{}{after}", name.trim()), modifier(name.trim(), &args))
        }
    };
    let (name, fields) = match name.strip_prefix("interval ") {
        Some(fields) => ("interval".to_owned(), Some(fields.to_owned())),
        None => (name, None),
    };
    let typmod = fields.map_or(typmod, |f| interval_fields(&f));
    let ty = lookup_type_name(&name).unwrap_or_else(|| panic!("type {name}"));
    (if array { oid::array_of(ty).unwrap() } else { ty }, typmod)
}

fn interval_fields(fields: &str) -> i32 {
    let bit = |n: i32| 1 << n;
    let range = match fields {
        "year" => bit(2),
        "month" => bit(1),
        "day" => bit(3),
        "hour" => bit(10),
        "minute" => bit(11),
        "second" => bit(12),
        "year to month" => bit(2) | bit(1),
        "day to hour" => bit(3) | bit(10),
        "day to minute" => bit(3) | bit(10) | bit(11),
        "day to second" => bit(3) | bit(10) | bit(11) | bit(12),
        "hour to minute" => bit(10) | bit(11),
        "hour to second" => bit(10) | bit(11) | bit(12),
        "minute to second" => bit(11) | bit(12),
        other => panic!("fields {other}"),
    };
    range << 16 | 0xffff
}

fn modifier(name: &str, args: &[i32]) -> i32 {
    match (name, args) {
        ("numeric", [p]) => (p << 16) + 4,
        ("numeric", [p, s]) => (p << 16 | s & 0x7ff) + 4,
        ("varchar" | "bpchar", [n]) => n + 4,
        ("interval", [p]) => 0x7fff << 16 | p,
        (_, [p]) => *p,
        other => panic!("modifier {other:?}"),
    }
}

fn apply_setting(style: &mut IoStyle, setting: &str) {
    let (name, value) = setting.split_once('=').unwrap();
    let value = value.trim().trim_matches('\'').to_ascii_lowercase();
    match name.trim().to_ascii_lowercase().as_str() {
        "timezone" => style.time_zone = Zone::setting(&value).unwrap().into(),
        "extra_float_digits" => style.extra_float_digits = value.parse().unwrap(),
        "bytea_output" => {
            style.bytea_output =
                if value == "hex" { io::ByteaOutput::Hex } else { io::ByteaOutput::Escape };
        }
        "intervalstyle" => {
            style.interval_style = match value.as_str() {
                "postgres" => IntervalStyle::Postgres,
                "postgres_verbose" => IntervalStyle::PostgresVerbose,
                "sql_standard" => IntervalStyle::SqlStandard,
                _ => IntervalStyle::Iso8601,
            };
        }
        "datestyle" => {
            for word in value.split(',') {
                match word.trim() {
                    "iso" => style.date_style.format = DateFormat::Iso,
                    "sql" => style.date_style.format = DateFormat::Sql,
                    "postgres" => style.date_style.format = DateFormat::Postgres,
                    "german" => style.date_style.format = DateFormat::German,
                    "mdy" => style.date_style.order = DateOrder::Mdy,
                    "dmy" => style.date_style.order = DateOrder::Dmy,
                    "ymd" => style.date_style.order = DateOrder::Ymd,
                    other => panic!("DateStyle {other}"),
                }
            }
        }
        other => panic!("setting {other}"),
    }
}

/// The line a test produces for a value or an error, in the form of the expectations.
fn answer(ty: Oid, result: Result<Datum, PgError>, io: &Io<'_>) -> String {
    let escape = |s: &str| s.replace('\\', "\\\\").replace('\n', "\\n");
    match result {
        Ok(value) => {
            let shown = escape(&io::to_text(ty, &value, io));
            let mut sent = Vec::new();
            io::binary_out(ty, &value, io, &mut sent);
            format!("ok\t{shown}\t{}", hex::encode(&sent))
        }
        Err(e) => {
            let escape = |s: &str| escape(s).replace('\t', "\\t");
            let detail = e.report().detail.as_deref().unwrap_or("");
            format!("{}\t{}\t{}", e.code(), escape(e.message()), escape(detail))
        }
    }
}

/// What must hold for every value, whatever PostgreSQL says.
fn check_value(spec: &str, ty: Oid, value: &Datum, io: &Io<'_>) {
    let text = io::to_text(ty, value, io);
    let kind: Kind = value.kind().unwrap();
    let mut stored = Vec::new();
    raw::encode(value, &mut stored);
    let again = raw::decode(kind, &stored).unwrap();
    assert_eq!(io::to_text(ty, &again, io), text, "{spec}: stored and read back");
    assert!(vicinity_types::equal(value, &again), "{spec} {text}: equal after storing");
    let mut out = Vec::new();
    raw::text_out_raw(ty, kind, &stored, io, &mut out).unwrap();
    assert_eq!(String::from_utf8_lossy(&out), text, "{spec}: text from stored bytes");
    let (mut sent, mut sent_raw) = (Vec::new(), Vec::new());
    io::binary_out(ty, value, io, &mut sent);
    raw::binary_out_raw(ty, kind, &stored, io, &mut sent_raw).unwrap();
    assert_eq!(sent, sent_raw, "{spec} {text}: binary from stored bytes");
    let received = io::binary_in(ty, -1, &sent, io).unwrap();
    assert_eq!(io::to_text(ty, &received, io), text, "{spec}: binary round trip");
}

fn run(name: &str, tsv: &str) {
    let mut style = IoStyle::default();
    let (mut bad, mut count) = (String::new(), 0);
    for line in tsv.lines().filter(|l| !l.is_empty()) {
        let (spec, rest) = line.split_once('\t').unwrap();
        if spec == "set" {
            apply_setting(&mut style, rest);
            continue;
        }
        let (input, expected) = rest.split_once('\t').unwrap();
        let io = Io { style: &style, names: &NoNames };
        let (ty, typmod) = parse_type(spec);
        // A cast of a literal: only interval's input looks at the modifier.
        let input_typmod = if ty == oid::INTERVAL { typmod } else { -1 };
        let result = io::text_in(ty, input_typmod, &unescape(input), &io)
            .and_then(|value| io::apply_typmod(ty, typmod, value, true));
        if let Ok(value) = &result {
            check_value(spec, ty, value, &io);
        }
        let got = answer(ty, result, &io);
        count += 1;
        if got != expected {
            bad.push_str(&format!(
                "{spec}\t{input}\n  PostgreSQL: {expected}\n  got:        {got}\n"
            ));
        }
    }
    assert!(count > 10, "{name}: no cases");
    assert!(bad.is_empty(), "{name}:\n{bad}");
}

#[test]
fn scalars() {
    run("scalars", include_str!("expect/scalars.tsv"));
}

#[test]
fn json() {
    run("json", include_str!("expect/json.tsv"));
}

#[test]
fn geometry() {
    run("geo", include_str!("expect/geo.tsv"));
}

#[test]
fn arrays() {
    run("arrays", include_str!("expect/arrays.tsv"));
}

#[test]
fn datetimes() {
    run("datetimes", include_str!("expect/datetimes.tsv"));
}
