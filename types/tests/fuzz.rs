//! Inputs changed at random, over what PostgreSQL was asked: a value or an error, never a panic, and no more memory than
//! the input is worth. See `fuzz/README.md`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    unreachable_pub
)]

mod mutator;

use std::alloc::System;
use std::panic::{AssertUnwindSafe, catch_unwind};

use cap::Cap;
use mutator::{Mutator, rounds};
use vicinity_types::io::{self, Io, IoStyle, NoNames};
use vicinity_types::tuple::{Tuple, TupleDesc, encode_tuple};
use vicinity_types::{Datum, Kind, Oid, lookup_type_name, oid, raw, text_in};

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// Whatever is read may take so much; numbers have digits enough for some.
const FREE: usize = 16 << 20;
/// And so much for each byte of the input.
const EACH: usize = 2048;

/// A line of the corpus.
struct Sample {
    ty: Oid,
    text: String,
    binary: Vec<u8>,
}

fn samples() -> Vec<Sample> {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/expect");
    let mut out = Vec::new();
    for file in ["arrays", "datetimes", "geo", "json", "scalars"] {
        let lines = std::fs::read_to_string(format!("{dir}/{file}.tsv")).unwrap();
        for line in lines.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let [name, text, rest @ ..] = fields.as_slice() else { continue };
            let base = name.trim_end_matches("[]");
            let base = base.split_once('(').map_or(base, |(base, _)| base.trim());
            let Some(ty) = lookup_type_name(base) else { continue };
            let ty = if name.ends_with("[]") { oid::array_of(ty).unwrap_or(ty) } else { ty };
            let binary = rest.get(2).and_then(|h| hex::decode(h).ok()).unwrap_or_default();
            out.push(Sample { ty, text: (*text).to_owned(), binary });
        }
    }
    assert!(out.len() > 1000, "the corpus is there");
    out
}

/// Runs one try; a panic or too much memory says which it was.
fn attempt(what: &str, round: u64, len: usize, f: impl FnOnce()) {
    let before = MEMORY.total_allocated();
    let outcome = catch_unwind(AssertUnwindSafe(f));
    let taken = MEMORY.total_allocated() - before;
    assert!(outcome.is_ok(), "{what}, round {round}: panic");
    assert!(taken <= FREE + EACH * len, "{what}, round {round}: {taken} bytes for {len}");
}

/// Does with a value what would be done with it.
fn use_value(ty: Oid, value: &Datum, io: &Io<'_>) {
    let mut out = Vec::new();
    let _ = io::text_out(ty, value, io, &mut out);
    io::binary_out(ty, value, io, &mut Vec::new());
    let mut stored = Vec::new();
    raw::encode(value, &mut stored);
    if let Some(kind) = value.kind() {
        let again = raw::decode(kind, &stored).expect("what was stored can be read");
        let mut twice = Vec::new();
        raw::encode(&again, &mut twice);
        assert!(stored == twice, "stored as it was read");
    }
}

// One test: memory is counted for the whole process.
#[test]
fn any_input_is_a_value_or_an_error() {
    let style = IoStyle::default();
    let io = Io { style: &style, names: &NoNames };
    let samples = samples();
    for round in 0..rounds(20_000) {
        let mut chance = Mutator::new(round);
        let (sample, other) = (chance.pick(&samples), chance.pick(&samples));
        let ty = if chance.below(8) == 0 { other.ty } else { sample.ty };
        let text = chance.text(&sample.text, &other.text);
        attempt("text", round, text.len(), || {
            if let Ok(value) = text_in(ty, -1, &text, &io) {
                use_value(ty, &value, &io);
            }
        });
        let mut bytes = sample.binary.clone();
        chance.bytes(&mut bytes, &other.binary);
        attempt("binary", round, bytes.len(), || {
            if let Ok(value) = io::binary_in(ty, -1, &bytes, &io) {
                use_value(ty, &value, &io);
            }
        });
        stored(&mut chance, round, sample, other, &io);
    }
}

/// Stored values and rows, as a damaged file would have them.
fn stored(chance: &mut Mutator, round: u64, sample: &Sample, other: &Sample, io: &Io<'_>) {
    let read = |s: &Sample| text_in(s.ty, -1, &s.text, io).unwrap_or(Datum::Null);
    let (a, b) = (read(sample), read(other));
    let kinds: Vec<Kind> = [&a, &b].iter().map(|d| d.kind().unwrap_or(Kind::Text)).collect();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    raw::encode(&a, &mut first);
    raw::encode(&b, &mut second);
    chance.bytes(&mut first, &second);
    attempt("stored value", round, first.len(), || {
        for kind in &kinds {
            if let Ok(value) = raw::decode(*kind, &first) {
                let _ = io::text_out(sample.ty, &value, io, &mut Vec::new());
            }
        }
    });
    let desc = TupleDesc::new(kinds);
    let mut row = Vec::new();
    if encode_tuple(&desc, &[a, b], &mut row).is_err() {
        return;
    }
    chance.bytes(&mut row, &second);
    attempt("tuple", round, row.len(), || {
        let tuple = Tuple::new(&desc, &row);
        for column in 0..3 {
            let _ = (tuple.is_null(column), tuple.raw(column), tuple.get(column));
        }
        drop(tuple.values());
    });
}
