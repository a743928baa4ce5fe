//! A partitioned table's key and the partitions it places rows in.

use std::collections::HashMap;
use std::sync::Arc;

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
const ABOVE: u8 = 0xFF;

/// A range: keys from `low`, before `high`.
struct Range {
    low: Vec<u8>,
    high: Vec<u8>,
    child: Oid,
}

/// A hash partition.
struct Slice {
    modulus: u64,
    remainder: u64,
    child: Oid,
}

/// Where the rows of a partitioned table go.
pub(crate) struct Bounds {
    pub(crate) strategy: Strategy,
    /// How the columns of the key are held.
    pub(crate) kinds: Vec<Kind>,
    /// In order.
    ranges: Vec<Range>,
    lists: HashMap<Vec<u8>, Oid>,
    slices: Vec<Slice>,
    hashes: Vec<ScalarFn>,
    pub(crate) default: Option<Oid>,
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
    let class = vicinity_functions::opclass_by_oid(opclass);
    let family = class.map_or(0, |c| c.family);
    let extended = vicinity_functions::amprocs()
        .iter()
        .find(|p| p.family == family && p.number == 2 && class.is_some_and(|c| c.input == p.left));
    let src = extended.and_then(|p| vicinity_functions::proc_by_oid(p.proc)).map(|p| p.src);
    src.and_then(vicinity_functions::scalar)
        .ok_or_else(|| PgError::internal("a hash partition's operator class has no hash function"))
}

impl Bounds {
    /// Those of a partitioned table.
    pub(crate) fn of(catalog: &Catalog, relation: &Relation) -> Result<Bounds> {
        let by = relation.table().and_then(|t| t.partitioning.as_ref());
        let by = by.ok_or_else(|| PgError::internal("table is not partitioned"))?;
        let types = key_types(relation, by);
        let mut made = Bounds {
            strategy: by.strategy,
            kinds: types.iter().map(|(ty, _)| catalog.kind_of(*ty)).collect(),
            ranges: Vec::new(),
            lists: HashMap::new(),
            slices: Vec::new(),
            hashes: Vec::new(),
            default: None,
        };
        if by.strategy == Strategy::Hash {
            made.hashes = by.keys.iter().map(|k| hash_of(k.opclass)).collect::<Result<_>>()?;
        }
        for child in catalog.children_of(relation.oid) {
            if let Some(bound) = child.table().and_then(|t| t.bound.as_ref()) {
                made.add(child.oid, bound)?;
            }
        }
        made.ranges.sort_by(|a, b| a.low.cmp(&b.low));
        made.slices.sort_by_key(|s| (s.modulus, s.remainder));
        Ok(made)
    }

    fn add(&mut self, child: Oid, bound: &PartitionBound) -> Result<()> {
        match bound {
            PartitionBound::Default => self.default = Some(child),
            PartitionBound::List(values) => {
                for bytes in self.list_keys(values)? {
                    self.lists.insert(bytes, child);
                }
            }
            PartitionBound::Range { from, to } => self.ranges.push(Range {
                low: limit_bytes(from, &self.kinds)?,
                high: limit_bytes(to, &self.kinds)?,
                child,
            }),
            PartitionBound::Hash { modulus, remainder } => self.slices.push(Slice {
                modulus: u64::from(*modulus),
                remainder: u64::from(*remainder),
                child,
            }),
        }
        Ok(())
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
    fn hash(&self, ctx: &ExecContext, key: &[Datum]) -> Result<u64> {
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

    /// Whether a partition's range has keys in another one: from `low`, up to `high` and, unless
    /// `before` it, what begins with it.
    pub(crate) fn overlaps(&self, child: Oid, low: &[u8], high: &[u8], before: bool) -> bool {
        let mut up_to = high.to_vec();
        if !before {
            up_to.push(ABOVE);
        }
        let of = |r: &&Range| r.child == child;
        let shared = |r: &Range| low < r.high.as_slice() && (r.low < up_to);
        self.ranges.iter().find(of).is_none_or(shared)
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

    /// Which comes when: by their ranges or values, the default last.
    pub(crate) fn places(&self) -> HashMap<Oid, usize> {
        let mut lists: Vec<(&Vec<u8>, Oid)> = self.lists.iter().map(|(k, c)| (k, *c)).collect();
        lists.sort();
        let ranges = self.ranges.iter().map(|r| r.child);
        let slices = self.slices.iter().map(|s| s.child);
        let mut out = HashMap::new();
        let all = ranges.chain(lists.into_iter().map(|(_, c)| c)).chain(slices);
        for child in all.chain(self.default) {
            let next = out.len();
            out.entry(child).or_insert(next);
        }
        out
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

/// A table's children in PostgreSQL's order: partitions by their bounds, others as they were made.
pub(crate) fn children(catalog: &Catalog, relation: &Relation) -> Result<Vec<Arc<Relation>>> {
    let mut children: Vec<Arc<Relation>> = catalog.children_of(relation.oid).cloned().collect();
    if super::is_partitioned(relation) {
        let places = Bounds::of(catalog, relation)?.places();
        children.sort_by_key(|c| places.get(&c.oid).copied().unwrap_or(usize::MAX));
    }
    Ok(children)
}

/// The access method whose operator classes a strategy's keys have.
pub(crate) fn access_method(strategy: Strategy) -> (Oid, &'static str) {
    match strategy {
        Strategy::Hash => (fixed::AM_HASH, "hash"),
        Strategy::Range | Strategy::List => (fixed::AM_BTREE, "btree"),
    }
}
