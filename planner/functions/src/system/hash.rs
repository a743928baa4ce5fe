//! PostgreSQL's hash functions (`hashtext`, `hashint4`, ...): Bob Jenkins' lookup3, bit for bit, so
//! that data partitioned by them elsewhere is found here.

use vicinity_types::Datum::{
    Bool, Bpchar, Bytea, Date, Enum, Float4, Float8, Int2, Int4, Int8, Interval as Iv, Oid, Text,
    Tid, Time, TimeTz as Tz, Timestamp, TimestampTz, Uuid,
};
use vicinity_types::compare::{span, unpadded};
use vicinity_types::io::string::char_byte;

/// The three words of the state.
struct State {
    a: u32,
    b: u32,
    c: u32,
}

impl State {
    fn new(len: usize, seed: u64) -> State {
        let start = 0x9e37_79b9u32.wrapping_add(len as u32).wrapping_add(3_923_095);
        let mut state = State { a: start, b: start, c: start };
        if seed != 0 {
            state.a = state.a.wrapping_add((seed >> 32) as u32);
            state.b = state.b.wrapping_add(seed as u32);
            state.mix();
        }
        state
    }

    fn mix(&mut self) {
        let State { mut a, mut b, mut c } = *self;
        a = a.wrapping_sub(c) ^ c.rotate_left(4);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(6);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(8);
        b = b.wrapping_add(a);
        a = a.wrapping_sub(c) ^ c.rotate_left(16);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(19);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(4);
        b = b.wrapping_add(a);
        *self = State { a, b, c };
    }

    fn last(self) -> (u32, u32) {
        let State { mut a, mut b, mut c } = self;
        c = (c ^ b).wrapping_sub(b.rotate_left(14));
        a = (a ^ c).wrapping_sub(c.rotate_left(11));
        b = (b ^ a).wrapping_sub(a.rotate_left(25));
        c = (c ^ b).wrapping_sub(b.rotate_left(16));
        a = (a ^ c).wrapping_sub(c.rotate_left(4));
        b = (b ^ a).wrapping_sub(a.rotate_left(14));
        c = (c ^ b).wrapping_sub(b.rotate_left(24));
        (b, c)
    }
}

/// Up to four bytes as a little-endian word.
fn word(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

fn bytes_state(data: &[u8], seed: u64) -> State {
    let mut state = State::new(data.len(), seed);
    let (blocks, tail) = data.as_chunks::<12>();
    for block in blocks {
        let (words, _) = block.as_chunks::<4>();
        if let [x, y, z] = words {
            state.a = state.a.wrapping_add(u32::from_le_bytes(*x));
            state.b = state.b.wrapping_add(u32::from_le_bytes(*y));
            state.c = state.c.wrapping_add(u32::from_le_bytes(*z));
        }
        state.mix();
    }
    let mut words = tail.chunks(4);
    state.a = state.a.wrapping_add(word(words.next().unwrap_or(&[])));
    state.b = state.b.wrapping_add(word(words.next().unwrap_or(&[])));
    // The lowest byte of c holds the length already.
    state.c = state.c.wrapping_add(word(words.next().unwrap_or(&[])) << 8);
    state
}

fn int(n: u32) -> i32 {
    let mut state = State::new(4, 0);
    state.a = state.a.wrapping_add(n);
    state.last().1.cast_signed()
}

pub(crate) fn int_extended(n: u32, seed: i64) -> i64 {
    let mut state = State::new(4, seed.cast_unsigned());
    state.a = state.a.wrapping_add(n);
    wide(state.last())
}

fn wide((b, c): (u32, u32)) -> i64 {
    (u64::from(b) << 32 | u64::from(c)).cast_signed()
}

/// Hash of bytes.
pub(crate) fn bytes(data: &[u8]) -> i32 {
    bytes_state(data, 0).last().1.cast_signed()
}

pub(crate) fn bytes_extended(data: &[u8], seed: i64) -> i64 {
    wide(bytes_state(data, seed.cast_unsigned()).last())
}

/// `int8` hashes as `int4` does where it fits one.
fn fold(n: i64) -> u32 {
    let (low, high) = (n as u32, (n >> 32) as u32);
    low ^ if n >= 0 { high } else { !high }
}

/// Equal floats hash alike: one zero, one NaN.
fn float_bytes(v: f64) -> [u8; 8] {
    let v = if v.is_nan() { f64::NAN } else { v };
    v.to_le_bytes()
}

fn float(v: f64) -> i32 {
    if v == 0.0 { 0 } else { bytes(&float_bytes(v)) }
}

fn float_extended(v: f64, seed: i64) -> i64 {
    if v == 0.0 { seed } else { bytes_extended(&float_bytes(v), seed) }
}

fn signed(n: i32) -> u32 {
    n.cast_unsigned()
}

/// Of the block the high half comes first.
fn tid_bytes(tid: u64) -> [u8; 6] {
    let [o0, o1, l0, l1, h0, h1, ..] = tid.to_le_bytes();
    [h0, h1, l0, l1, o0, o1]
}

fn char_code(text: &str) -> u32 {
    signed(i32::from(char_byte(text).cast_signed()))
}

scalars! { pub(crate) HASH, env;
    "hashint2" [Int2(n)] => int(signed(i32::from(*n)));
    "hashint4" [Int4(n)] => int(signed(*n)), [Date(n)] => int(signed(*n));
    "hashint8" [Int8(n)] => int(fold(*n));
    "hashoid" [Oid(n)] => int(*n);
    "hashenum" [Enum(place)] => int(fold(*place));
    "hashchar" [Text(t)] => int(char_code(t)), [Bool(b)] => int(u32::from(*b));
    "hashtext" | "hashname" [Text(t)] => bytes(t.as_bytes());
    "hashbpchar" [Bpchar(t)] => bytes(unpadded(t).as_bytes());
    "hashvarlena" [Bytea(b)] => bytes(b), [Text(t)] => bytes(t.as_bytes());
    "hashfloat4" [Float4(v)] => float(f64::from(*v));
    "hashfloat8" [Float8(v)] => float(*v);
    "hashtid" [Tid(t)] => bytes(&tid_bytes(*t));
    "hashtidextended" [Tid(t), Int8(s)] => bytes_extended(&tid_bytes(*t), *s);
    "uuid_hash" [Uuid(u)] => bytes(u);
    "time_hash" [Time(t)] => int(fold(*t));
    "timestamp_hash" [Timestamp(t)] => int(fold(*t)), [TimestampTz(t)] => int(fold(*t));
    "timetz_hash" [Tz(t)] => int(fold(t.micros)) ^ int(signed(t.zone));
    "interval_hash" [Iv(i)] => int(fold(span(i) as i64));
    "pg_lsn_hash" [Int8(n)] => int(fold(*n));
    "hashint2extended" [Int2(n), Int8(s)] => int_extended(signed(i32::from(*n)), *s);
    "hashint4extended" [Int4(n), Int8(s)] => int_extended(signed(*n), *s), [Date(n), Int8(s)] => int_extended(signed(*n), *s);
    "hashint8extended" [Int8(n), Int8(s)] => int_extended(fold(*n), *s);
    "hashoidextended" [Oid(n), Int8(s)] => int_extended(*n, *s);
    "hashenumextended" [Enum(place), Int8(s)] => int_extended(fold(*place), *s);
    "hashcharextended" [Text(t), Int8(s)] => int_extended(char_code(t), *s), [Bool(b), Int8(s)] => int_extended(u32::from(*b), *s);
    "hashtextextended" | "hashnameextended" [Text(t), Int8(s)] => bytes_extended(t.as_bytes(), *s);
    "hashbpcharextended" [Bpchar(t), Int8(s)] => bytes_extended(unpadded(t).as_bytes(), *s);
    "hashvarlenaextended" [Bytea(b), Int8(s)] => bytes_extended(b, *s), [Text(t), Int8(s)] => bytes_extended(t.as_bytes(), *s);
    "hashfloat4extended" [Float4(v), Int8(s)] => float_extended(f64::from(*v), *s);
    "hashfloat8extended" [Float8(v), Int8(s)] => float_extended(*v, *s);
    "uuid_hash_extended" [Uuid(u), Int8(s)] => bytes_extended(u, *s);
    "time_hash_extended" [Time(t), Int8(s)] => int_extended(fold(*t), *s);
    "timestamp_hash_extended" [Timestamp(t), Int8(s)] => int_extended(fold(*t), *s), [TimestampTz(t), Int8(s)] => int_extended(fold(*t), *s);
    "timetz_hash_extended" [Tz(t), Int8(s)] => int_extended(fold(t.micros), *s) ^ int_extended(signed(t.zone), *s);
    "interval_hash_extended" [Iv(i), Int8(s)] => int_extended(fold(span(i) as i64), *s);
    "pg_lsn_hash_extended" [Int8(n), Int8(s)] => int_extended(fold(*n), *s);
}
