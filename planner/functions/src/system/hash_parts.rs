//! Hashes of values that are made of others, as PostgreSQL puts them together: numeric, `jsonb`, arrays, rows.

use serde_json::Value;
use vicinity_types::Datum::{
    self, Array as Arr, Int4, Int8, Jsonb as Doc, Numeric as Num, Record as Row,
};
use vicinity_types::array::Array;
use vicinity_types::io::TypeShape;
use vicinity_types::jsonb::order;
use vicinity_types::numeric::{Numeric, codec};
use vicinity_types::record::Record;
use vicinity_types::{Oid, PgError, Result, oid, typname};

use super::hash::{bytes, bytes_extended, int_extended};
use crate::catalog::{Amproc, Opclass, amprocs, default_opclass, proc_by_oid};
use crate::env::Env;
use crate::order::lacks;
use crate::registry::{self, ScalarFn};

/// `HASH_AM_OID`
const METHOD: Oid = 405;
const ARRAY: u32 = 0x4000_0000;
const OBJECT: u32 = 0x2000_0000;

/// The function that hashes values of an operator class; the extended one takes a seed and gives 64 bits.
pub fn hash_function(class: &Opclass, extended: bool) -> Option<ScalarFn> {
    let number = if extended { 2 } else { 1 };
    let own = |p: &&Amproc| p.family == class.family && p.left == class.input && p.number == number;
    let found = amprocs().iter().find(own)?;
    registry::scalar(proc_by_oid(found.proc)?.src)
}

/// How the parts of a value are hashed: 32 bits, or 64 with a seed.
#[derive(Clone, Copy)]
struct Hasher<'a> {
    env: &'a dyn Env,
    seed: Option<i64>,
}

impl Hasher<'_> {
    fn function(self, ty: Oid) -> Result<ScalarFn> {
        let served = match self.env.io().names.type_info(ty).map(|info| info.shape) {
            Some(TypeShape::Domain { base, .. }) => return self.function(base),
            Some(TypeShape::Enum(_)) => oid::ANYENUM,
            Some(TypeShape::Composite(_)) => oid::RECORD,
            Some(TypeShape::Array { .. }) => oid::ANYARRAY,
            None => ty,
        };
        let class = default_opclass(METHOD, served);
        class.and_then(|c| hash_function(c, self.seed.is_some())).ok_or_else(|| {
            let what =
                if self.seed.is_some() { "an extended hash function" } else { "a hash function" };
            let named = self.env.io().names.reg_out(oid::REGTYPE, ty);
            lacks(what, &named.unwrap_or_else(|| typname::format_type(ty, None)))
        })
    }

    fn apply(self, function: ScalarFn, value: &Datum) -> Result<u64> {
        let hash = match (value, self.seed) {
            (Datum::Null, _) => return Ok(0),
            (value, None) => function(self.env, std::slice::from_ref(value))?,
            (value, Some(seed)) => function(self.env, &[value.clone(), Int8(seed)])?,
        };
        match hash {
            Int4(hash) => Ok(u64::from(hash.cast_unsigned())),
            Int8(hash) => Ok(hash.cast_unsigned()),
            _ => Err(PgError::internal("a hash is no number")),
        }
    }

    fn all(self, first: u64, hashes: impl Iterator<Item = Result<u64>>) -> Result<u64> {
        hashes
            .into_iter()
            .try_fold(first, |all, hash| Ok((all << 5).wrapping_sub(all).wrapping_add(hash?)))
    }

    fn array(self, array: &Array) -> Result<u64> {
        let function = self.function(array.elem)?;
        self.all(1, array.iter().map(|value| self.apply(function, &value)))
    }

    fn row(self, row: &Record) -> Result<u64> {
        let field = |(ty, value): &(Oid, Datum)| self.apply(self.function(*ty)?, value);
        self.all(0, row.fields.iter().map(field))
    }
}

fn narrow(hash: u64) -> i32 {
    (hash as u32).cast_signed()
}

/// The same for equal values, however many zeros they are written with.
fn numeric(n: &Numeric, seed: Option<i64>) -> u64 {
    let seed = seed.map(i64::cast_unsigned);
    let Some((digits, scale)) = n.parts() else { return seed.unwrap_or(0) };
    let (groups, weight) = codec::base10000(&digits, scale);
    if groups.is_empty() {
        return seed.unwrap_or(0).wrapping_sub(1);
    }
    let bytes_of: Vec<u8> = groups.iter().flat_map(|group| group.to_le_bytes()).collect();
    let hash = match seed {
        None => u64::from(bytes(&bytes_of).cast_unsigned()),
        Some(seed) => bytes_extended(&bytes_of, seed.cast_signed()).cast_unsigned(),
    };
    hash ^ weight.cast_unsigned()
}

fn jsonb(doc: &Value) -> u32 {
    fn scalar(v: &Value) -> u32 {
        match v {
            Value::Null => 1,
            Value::Bool(true) => 2,
            Value::Bool(false) => 4,
            Value::String(s) => bytes(s.as_bytes()).cast_unsigned(),
            Value::Number(n) => numeric(&order::numeric(n), None) as u32,
            Value::Array(_) | Value::Object(_) => 0,
        }
    }
    if is_empty(doc) {
        return 0;
    }
    let mut hash = 0u32;
    walk(doc, &mut |part| match part {
        Part::Begin(flag) => hash ^= flag,
        Part::Key(key) => hash = hash.rotate_left(1) ^ bytes(key.as_bytes()).cast_unsigned(),
        Part::Scalar(v) => hash = hash.rotate_left(1) ^ scalar(v),
    });
    hash
}

fn jsonb_extended(doc: &Value, seed: i64) -> u64 {
    let text = |s: &str| bytes_extended(s.as_bytes(), seed).cast_unsigned();
    let scalar = |v: &Value| match v {
        Value::Null => seed.cast_unsigned().wrapping_add(1),
        Value::Bool(b) if seed != 0 => int_extended(u32::from(*b), seed).cast_unsigned(),
        Value::Bool(true) => 2,
        Value::Bool(false) => 4,
        Value::String(s) => text(s),
        Value::Number(n) => numeric(&order::numeric(n), Some(seed)),
        Value::Array(_) | Value::Object(_) => 0,
    };
    // Each half on its own.
    let rotated =
        |hash: u64| ((hash << 1) & 0xffff_fffe_ffff_fffe) | ((hash >> 31) & 0x0000_0001_0000_0001);
    if is_empty(doc) {
        return seed.cast_unsigned();
    }
    let mut hash = 0u64;
    walk(doc, &mut |part| match part {
        Part::Begin(flag) => hash ^= u64::from(flag) << 32 | u64::from(flag),
        Part::Key(key) => hash = rotated(hash) ^ text(key),
        Part::Scalar(v) => hash = rotated(hash) ^ scalar(v),
    });
    hash
}

fn is_empty(doc: &Value) -> bool {
    match doc {
        Value::Array(items) => items.is_empty(),
        Value::Object(pairs) => pairs.is_empty(),
        _ => false,
    }
}

/// What is met on the way through a document.
enum Part<'a> {
    Begin(u32),
    Key(&'a str),
    Scalar(&'a Value),
}

fn walk<'a>(doc: &'a Value, seen: &mut dyn FnMut(Part<'a>)) {
    // One value alone is kept as an array of it.
    if !doc.is_array() && !doc.is_object() {
        seen(Part::Begin(ARRAY));
    }
    walk_in(doc, seen);
}

fn walk_in<'a>(doc: &'a Value, seen: &mut dyn FnMut(Part<'a>)) {
    match doc {
        Value::Array(items) => {
            seen(Part::Begin(ARRAY));
            items.iter().for_each(|item| walk_in(item, seen));
        }
        Value::Object(pairs) => {
            seen(Part::Begin(OBJECT));
            for (key, value) in pairs {
                seen(Part::Key(key));
                walk_in(value, seen);
            }
        }
        scalar => seen(Part::Scalar(scalar)),
    }
}

scalars! { pub(crate) HASH_PARTS, env;
    "hash_numeric" [Num(n)] => narrow(numeric(n, None));
    "hash_numeric_extended" [Num(n), Int8(s)] => numeric(n, Some(*s)).cast_signed();
    "jsonb_hash" [Doc(doc)] => jsonb(&doc.0).cast_signed();
    "jsonb_hash_extended" [Doc(doc), Int8(s)] => jsonb_extended(&doc.0, *s).cast_signed();
    "hash_array" [Arr(a)] => Hasher { env, seed: None }.array(a).map(narrow);
    "hash_array_extended" [Arr(a), Int8(s)] => Hasher { env, seed: Some(*s) }.array(a).map(u64::cast_signed);
    "hash_record" [Row(r)] => Hasher { env, seed: None }.row(r).map(narrow);
    "hash_record_extended" [Row(r), Int8(s)] => Hasher { env, seed: Some(*s) }.row(r).map(u64::cast_signed);
}
