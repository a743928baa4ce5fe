//! A partitioned table's key and the partitions it places rows in.

use std::collections::{BTreeMap, HashMap, HashSet};

use vicinity_functions::ScalarFn;
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{
    Limit, PartitionBound, Partitioning, Relation, Strategy, fixed,
};
use vicinity_types::{Datum, Kind, Oid, PgError, Result, encode_key, raw};

use crate::context::ExecContext;

/// `HASH_PARTITION_SEED`
const SEED: i64 = 0x7A5B_2236_7996_DCFD;

/// Above every value of a column.
pub(super) const ABOVE: u8 = 0xFF;

/// A range: keys from `low`, before `high`.
#[derive(Clone)]
struct Range {
    low: Vec<u8>,
    high: Vec<u8>,
    child: Oid,
}

/// A hash partition.
#[derive(Clone)]
struct Slice {
    modulus: u64,
    remainder: u64,
    child: Oid,
}

/// Where the rows of a partitioned table go.
#[derive(Clone)]
pub(crate) struct Bounds {
    pub(crate) strategy: Strategy,
    /// How the columns of the key are held.
    pub(crate) kinds: Vec<Kind>,
    /// In order.
    ranges: Vec<Range>,
    lists: BTreeMap<Vec<u8>, Oid>,
    /// In order.
    slices: Vec<Slice>,
    hashes: Vec<ScalarFn>,
    pub(crate) default: Option<Oid>,
    /// Where each comes among the others.
    places: HashMap<Oid, Vec<u8>>,
}

/// The types of a partition key's columns.
pub(crate) fn key_types(relation: &Relation, by: &Partitioning) -> Vec<(Oid, i32)> {
    let columns = relation.table().map_or(&[][..], |t| &t.columns);
    let of = |number: i16| {
        let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
        columns.get(at).map_or((0, -1), |c| (c.type_oid, c.typmod))
    };
    let key = |k: &vicinity_storage::catalog::model::PartitionKey| match &k.expr {
        Some(e) => (e.type_oid, e.typmod),
        None => of(k.column),
    };
    by.keys.iter().map(key).collect()
}

/// The bytes of a key, in order of its values.
pub(crate) fn key_bytes(key: &[Datum]) -> Vec<u8> {
    let mut out = Vec::new();
    key.iter().for_each(|v| encode_key(v, false, false, &mut out));
    out
}

/// The bytes of an end of a range: behind MINVALUE and MAXVALUE nothing matters any more.
pub(crate) fn limit_bytes(limits: &[Limit], kinds: &[Kind]) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    for (limit, kind) in limits.iter().zip(kinds) {
        match limit {
            Limit::Min => break,
            Limit::Max => {
                out.push(ABOVE);
                break;
            }
            Limit::At(bytes) => encode_key(&raw::decode(*kind, bytes)?, false, false, &mut out),
        }
    }
    Ok(out)
}

/// The function that hashes values of an operator class.
fn hash_of(opclass: Oid) -> Result<ScalarFn> {
    vicinity_functions::opclass_by_oid(opclass)
        .and_then(|class| vicinity_functions::hash_function(class, true))
        .ok_or_else(|| PgError::internal("a hash partition's operator class has no hash function"))
}

impl Bounds {
    /// Those of a partitioned table.
    pub(super) fn new(catalog: &Catalog, relation: &Relation) -> Result<Bounds> {
        let by = relation.table().and_then(|t| t.partitioning.as_ref());
        let by = by.ok_or_else(|| PgError::internal("table is not partitioned"))?;
        let types = key_types(relation, by);
        let mut made = Bounds {
            strategy: by.strategy,
            kinds: types.iter().map(|(ty, _)| catalog.kind_of(*ty)).collect(),
            ranges: Vec::new(),
            lists: BTreeMap::new(),
            slices: Vec::new(),
            hashes: Vec::new(),
            default: None,
            places: HashMap::new(),
        };
        if by.strategy == Strategy::Hash {
            made.hashes = by.keys.iter().map(|k| hash_of(k.opclass)).collect::<Result<_>>()?;
        }
        for child in catalog.children_of(relation.oid) {
            if let Some(bound) = child.table().and_then(|t| t.bound.as_ref()) {
                made.put(child.oid, bound, false)?;
            }
        }
        made.ranges.sort_by(|a, b| a.low.cmp(&b.low));
        made.slices.sort_by_key(|s| (s.modulus, s.remainder));
        Ok(made)
    }

    /// One more partition.
    pub(super) fn add(&mut self, child: Oid, bound: &PartitionBound) -> Result<()> {
        self.put(child, bound, true)
    }

    fn put(&mut self, child: Oid, bound: &PartitionBound, in_order: bool) -> Result<()> {
        let place = match bound {
            PartitionBound::Default => {
                self.default = Some(child);
                vec![ABOVE, ABOVE]
            }
            PartitionBound::List(values) => {
                let keys = self.list_keys(values)?;
                let first = keys.iter().min().cloned().unwrap_or_default();
                self.lists.extend(keys.into_iter().map(|key| (key, child)));
                first
            }
            PartitionBound::Range { from, to } => {
                let low = limit_bytes(from, &self.kinds)?;
                let range = Range { high: limit_bytes(to, &self.kinds)?, low: low.clone(), child };
                let behind = self.ranges.partition_point(|r| in_order && r.low < low);
                self.ranges.insert(if in_order { behind } else { self.ranges.len() }, range);
                low
            }
            PartitionBound::Hash { modulus, remainder } => {
                let (modulus, remainder) = (u64::from(*modulus), u64::from(*remainder));
                let before = |s: &Slice| (s.modulus, s.remainder) < (modulus, remainder);
                let behind = self.slices.partition_point(|s| in_order && before(s));
                let at = if in_order { behind } else { self.slices.len() };
                self.slices.insert(at, Slice { modulus, remainder, child });
                [modulus.to_be_bytes(), remainder.to_be_bytes()].concat()
            }
        };
        self.places.insert(child, place);
        Ok(())
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Puts partitions in PostgreSQL's order, each once: by their ranges or values, the default last.
    pub(super) fn in_order(&self, mut parts: Vec<Oid>) -> Vec<Oid> {
        parts.sort_by(|a, b| self.places.get(a).cmp(&self.places.get(b)).then(a.cmp(b)));
        parts.dedup();
        parts
    }

    /// All of them, in that order.
    pub(crate) fn all(&self) -> Vec<Oid> {
        self.in_order(self.places.keys().copied().collect())
    }

    /// The keys of a list's values.
    pub(crate) fn list_keys(&self, values: &[Option<Vec<u8>>]) -> Result<Vec<Vec<u8>>> {
        let kind = self.kinds.first().copied().unwrap_or(Kind::Text);
        let datum = |v: &Option<Vec<u8>>| match v {
            Some(bytes) => raw::decode(kind, bytes),
            None => Ok(Datum::Null),
        };
        values.iter().map(|v| Ok(key_bytes(&[datum(v)?]))).collect()
    }

    /// The partition of a row's key.
    pub(crate) fn find(&self, ctx: &ExecContext, key: &[Datum]) -> Result<Option<Oid>> {
        let found = match self.strategy {
            Strategy::Range if key.iter().any(Datum::is_null) => None,
            Strategy::Range => {
                let bytes = key_bytes(key);
                let behind = self.ranges.partition_point(|r| r.low <= bytes);
                let range = behind.checked_sub(1).and_then(|at| self.ranges.get(at));
                range.filter(|r| bytes < r.high).map(|r| r.child)
            }
            Strategy::List => self.lists.get(&key_bytes(key)).copied(),
            Strategy::Hash => {
                let hash = self.hash(ctx, key)?;
                let is = |s: &&Slice| s.modulus != 0 && hash % s.modulus == s.remainder;
                self.slices.iter().find(is).map(|s| s.child)
            }
        };
        Ok(found.or(self.default))
    }

    /// `compute_partition_hash_value`
    pub(super) fn hash(&self, ctx: &ExecContext, key: &[Datum]) -> Result<u64> {
        let mut row = 0u64;
        for (value, hash) in key.iter().zip(&self.hashes) {
            if value.is_null() {
                continue;
            }
            let Datum::Int8(one) = hash(ctx, &[value.clone(), Datum::Int8(SEED)])? else {
                return Err(PgError::internal("a hash is no bigint"));
            };
            let mixed = one
                .cast_unsigned()
                .wrapping_add(0x49a0_f4dd_15e5_a8e3)
                .wrapping_add(row << 54)
                .wrapping_add(row >> 7);
            row ^= mixed;
        }
        Ok(row)
    }

    /// The partitions that may have keys from `low` up to `high`, not that itself. `known`: what is asked of all columns
    /// of the key, so that none of them is NULL.
    pub(super) fn between(&self, low: &[u8], high: &[u8], known: bool) -> Vec<Oid> {
        let mut out = match self.strategy {
            Strategy::Hash => return self.places.keys().copied().collect(),
            Strategy::List => {
                let nulls = key_bytes(&[Datum::Null]);
                let high = if known { high.min(nulls.as_slice()) } else { high };
                if low >= high { Vec::new() } else { self.listed(low, high) }
            }
            Strategy::Range => {
                let first = self.ranges.partition_point(|r| r.high.as_slice() <= low);
                let mut covered = low;
                let mut gap = !known;
                let mut out = Vec::new();
                let ranges = self.ranges.iter().skip(first);
                for r in ranges.take_while(|r| r.low.as_slice() < high) {
                    gap |= r.low.as_slice() > covered;
                    covered = &r.high;
                    out.push(r.child);
                }
                if !gap && covered >= high {
                    return out;
                }
                out
            }
        };
        out.extend(self.default);
        out
    }

    fn listed(&self, low: &[u8], high: &[u8]) -> Vec<Oid> {
        use std::ops::Bound::{Excluded, Included};
        self.lists.range::<[u8], _>((Included(low), Excluded(high))).map(|(_, c)| *c).collect()
    }

    /// The lists that have a key other than these, and the default.
    pub(super) fn listed_without(&self, keys: &HashSet<Vec<u8>>) -> Vec<Oid> {
        let others = self.lists.iter().filter(|(key, _)| !keys.contains(*key));
        others.map(|(_, child)| *child).chain(self.default).collect()
    }

    /// Whether nothing is in a range.
    pub(crate) fn is_empty_range(&self, from: &[Limit], to: &[Limit]) -> Result<bool> {
        Ok(limit_bytes(from, &self.kinds)? >= limit_bytes(to, &self.kinds)?)
    }

    /// The other partition a new bound would share rows with.
    pub(crate) fn clash(&self, bound: &PartitionBound) -> Result<Option<Oid>> {
        Ok(match bound {
            PartitionBound::Default => self.default,
            PartitionBound::List(values) => {
                let keys = self.list_keys(values)?;
                keys.iter().find_map(|k| self.lists.get(k).copied())
            }
            PartitionBound::Range { from, to } => {
                let low = limit_bytes(from, &self.kinds)?;
                let high = limit_bytes(to, &self.kinds)?;
                let shared = |r: &&Range| r.low < high && low < r.high;
                self.ranges.iter().find(shared).map(|r| r.child)
            }
            PartitionBound::Hash { modulus, remainder } => {
                let (m, r) = (u64::from(*modulus), u64::from(*remainder));
                let shared = |s: &&Slice| {
                    let least = m.min(s.modulus).max(1);
                    r % least == s.remainder % least
                };
                self.slices.iter().find(shared).map(|s| s.child)
            }
        })
    }

    /// The moduli, with their partitions, of the hash partitions before and after a new one.
    pub(crate) fn beside(
        &self,
        modulus: u64,
        remainder: u64,
    ) -> (Option<(u64, Oid)>, Option<(u64, Oid)>) {
        let at = self.slices.partition_point(|s| (s.modulus, s.remainder) <= (modulus, remainder));
        let of = |at: usize| self.slices.get(at).map(|s| (s.modulus, s.child));
        (at.checked_sub(1).and_then(of), of(at))
    }
}

/// The access method whose operator classes a strategy's keys have.
pub(crate) fn access_method(strategy: Strategy) -> (Oid, &'static str) {
    match strategy {
        Strategy::Hash => (fixed::AM_HASH, "hash"),
        Strategy::Range | Strategy::List => (fixed::AM_BTREE, "btree"),
    }
}
