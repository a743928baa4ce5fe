//! The partitions that can have rows that pass a filter.

use std::collections::HashSet;
use std::ops::Bound;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, Volatility};
use vicinity_storage::catalog::model::{
    IndexDef, IndexKey, IndexMethod, Partitioning, Relation, Strategy,
};
use vicinity_types::{Datum, Kind, Oid, Result};

use super::bounds::{ABOVE, Bounds, key_bytes};
use crate::bind::is_held;
use crate::call::{callable_of, scalar_kind, scalar_to_datum};
use crate::context::ExecContext;
use crate::df::source::StorageSource;
use crate::key_value::{Value, as_key, is_family};
use crate::push::KeyBound;
use crate::push::key_filter::{KeyFilter, is_null_key};

/// The partition key as an index would have it: what a filter says of it is found the same way.
pub(crate) fn as_index(by: &Partitioning, table: Oid) -> IndexDef {
    let key = |k: &vicinity_storage::catalog::model::PartitionKey| IndexKey {
        column: k.column,
        expr: k.expr.clone(),
        opclass: k.opclass,
        descending: false,
        nulls_first: false,
    };
    IndexDef {
        table,
        method: IndexMethod::Btree,
        keys: by.keys.iter().map(key).collect(),
        include: Vec::new(),
        predicate: None,
        unique: false,
        primary: false,
        nulls_not_distinct: false,
        options: Vec::new(),
        valid: true,
        parent: None,
    }
}

/// Gives the value of an expression that is compared with a column of the key; `None` if that is not known yet.
pub(crate) type Evaluate<'a> = dyn Fn(&Expr, Kind) -> Result<Option<Datum>> + 'a;

/// A value that is written in the filter, and how it is held: as the key is, unless its type tells it.
fn written(expr: &Expr, key: Kind) -> Option<(&ScalarValue, Kind)> {
    match expr {
        Expr::Literal(value, _) => {
            let own = scalar_kind(value);
            Some((value, if is_number(own) && is_family(own, key) { own } else { key }))
        }
        other => match callable_of(other)? {
            (held, [Expr::Literal(value, _)]) if is_held(&**held) => {
                (held.volatility() == Volatility::Immutable).then_some((value, held.ret().kind))
            }
            _ => None,
        },
    }
}

/// Dates and times are held like numbers: these are told apart by their types alone.
fn is_number(kind: Kind) -> bool {
    matches!(kind, Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Float4 | Kind::Float8)
}

/// Whether a value is written in the filter.
pub(crate) fn is_written(expr: &Expr) -> bool {
    written(expr, Kind::Text).is_some()
}

/// Knows the values that are written in the filter.
pub(crate) fn literal(expr: &Expr, key: Kind) -> Result<Option<Datum>> {
    written(expr, key).map(|(value, kind)| scalar_to_datum(kind, value)).transpose()
}

/// A filter's conditions on the key of a partitioned table.
pub(crate) struct Pruning {
    bounds: Arc<Bounds>,
    filter: KeyFilter,
}

impl Pruning {
    /// What filters over rows of `source`, a partitioned table, say about its key.
    pub(crate) fn of(
        ctx: &ExecContext,
        table: &Relation,
        source: &StorageSource,
        filters: &[Expr],
    ) -> Result<Pruning> {
        let bounds = super::bounds(&ctx.engine, &ctx.catalog, table)?;
        let by = table.table().and_then(|t| t.partitioning.as_ref());
        let filter = match by {
            Some(by) => KeyFilter::of(&ctx.catalog, source, &as_index(by, table.oid), filters),
            None => KeyFilter::default(),
        };
        Ok(Pruning { bounds, filter })
    }

    /// The values the conditions compare with, each with the kind of its column of the key.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&Expr, Kind)> {
        let kind = |at: usize| self.bounds.kinds.get(at).copied().unwrap_or(Kind::Text);
        let single = self.filter.values().into_iter().map(move |(at, e)| (e, kind(at)));
        single.chain(self.filter.arrays().into_iter().map(|e| (e, Kind::Array)))
    }

    /// Whether there is more than one partition.
    pub(crate) fn has_choice(&self) -> bool {
        self.bounds.len() > 1
    }

    /// Whether a row can be in one partition only, whatever the values are.
    pub(crate) fn is_single(&self) -> bool {
        self.filter.equal.len() == self.bounds.kinds.len()
    }

    /// The partitions that may have rows, in PostgreSQL's order.
    pub(crate) fn needed(&self, ctx: &ExecContext, value: &Evaluate<'_>) -> Result<Vec<Oid>> {
        let found = Search { ctx, bounds: &self.bounds, value }.all(&self.filter)?;
        Ok(found.map_or_else(|| self.bounds.all(), |parts| self.bounds.in_order(parts)))
    }
}

/// Looks for partitions where the values are known. `None` stands for all of them.
struct Search<'a> {
    ctx: &'a ExecContext,
    bounds: &'a Bounds,
    value: &'a Evaluate<'a>,
}

impl Search<'_> {
    /// The partitions where all conditions may hold.
    fn all(&self, filter: &KeyFilter) -> Result<Option<Vec<Oid>>> {
        if filter.never {
            return Ok(Some(Vec::new()));
        }
        // Where a part of the key is NULL no range is.
        if self.bounds.strategy == Strategy::Range && !filter.null.is_empty() {
            return Ok(Some(self.bounds.default.into_iter().collect()));
        }
        let mut found = self.compared(filter)?;
        if self.bounds.strategy == Strategy::List {
            found = both(found, self.unequal(filter)?);
        }
        for array in &filter.any_of {
            found = both(found, self.any_of(array)?);
        }
        for alternatives in &filter.any {
            found = both(found, self.any(alternatives)?);
        }
        Ok(found)
    }

    fn any(&self, alternatives: &[KeyFilter]) -> Result<Option<Vec<Oid>>> {
        let mut out = Vec::new();
        for alternative in alternatives {
            let Some(found) = self.all(alternative)? else { return Ok(None) };
            out.extend(found);
        }
        Ok(Some(out))
    }

    /// The partitions with keys that begin with a value of an array.
    fn any_of(&self, array: &Expr) -> Result<Option<Vec<Oid>>> {
        let Some(given) = (self.value)(array, Kind::Array)? else { return Ok(None) };
        let Datum::Array(array) = given else { return Ok(Some(Vec::new())) };
        let mut out = Vec::new();
        for value in array.iter() {
            match as_key(self.ctx, value, self.kind(0)) {
                Value::Known(value) => match self.within(&[value], &End::Open, &End::Open)? {
                    Some(found) => out.extend(found),
                    None => return Ok(None),
                },
                Value::Unknown => return Ok(None),
                _ => {}
            }
        }
        Ok(Some(out))
    }

    fn kind(&self, at: usize) -> Kind {
        self.bounds.kinds.get(at).copied().unwrap_or(Kind::Text)
    }

    /// Lists with values but for some.
    fn unequal(&self, filter: &KeyFilter) -> Result<Option<Vec<Oid>>> {
        if filter.unequal.is_empty() && filter.none_of.is_empty() && filter.not_null.is_empty() {
            return Ok(None);
        }
        let kind = self.kind(0);
        let mut all = Vec::new();
        for expr in &filter.unequal {
            all.extend((self.value)(expr, kind)?);
        }
        for array in &filter.none_of {
            match (self.value)(array, Kind::Array)? {
                Some(Datum::Array(array)) => all.extend(array.iter()),
                given => all.extend(given),
            }
        }
        // NULL differs from no value, but `<> ALL` of none holds for it too.
        let compared = !filter.unequal.is_empty() || !all.is_empty();
        let null = (compared || !filter.not_null.is_empty()).then(|| key_bytes(&[Datum::Null]));
        let mut without: HashSet<Vec<u8>> = null.into_iter().collect();
        for given in all {
            match as_key(self.ctx, given, kind) {
                Value::Null => return Ok(Some(Vec::new())),
                Value::Known(value) => drop(without.insert(key_bytes(&[value]))),
                _ => {}
            }
        }
        Ok(Some(self.bounds.listed_without(&without)))
    }

    /// The partitions with keys of these values and within these bounds.
    fn compared(&self, filter: &KeyFilter) -> Result<Option<Vec<Oid>>> {
        let Some(key) = self.values(&filter.equal)? else { return Ok(Some(Vec::new())) };
        // Bounds are of the column behind all that have values.
        let bounded = key.len() == filter.equal.len();
        let end = |bound: &Option<KeyBound>, low| match bound.as_ref().filter(|_| bounded) {
            Some(bound) => self.end(bound, key.len(), low),
            None => Ok(End::Open),
        };
        self.within(&key, &end(&filter.low, true)?, &end(&filter.high, false)?)
    }

    /// The partitions with keys that begin with these values, the next one within these ends.
    fn within(&self, key: &[Datum], low: &End, high: &End) -> Result<Option<Vec<Oid>>> {
        let bounds = self.bounds;
        if key.len() == bounds.kinds.len() {
            return Ok(Some(bounds.find(self.ctx, key)?.into_iter().collect()));
        }
        if matches!((low, high), (End::Nothing, _) | (_, End::Nothing)) {
            return Ok(Some(Vec::new()));
        }
        let open = matches!((low, high), (End::Open, End::Open));
        if bounds.strategy == Strategy::Hash || (open && key.is_empty()) {
            return Ok(None);
        }
        let known = !open && key.len() + 1 == bounds.kinds.len();
        let of = |end: &End, beyond: bool| {
            let mut bytes = key_bytes(key);
            let above = match end {
                End::At(v, inclusive) => {
                    bytes.extend(key_bytes(std::slice::from_ref(v)));
                    *inclusive == beyond
                }
                End::Open | End::Nothing => beyond,
            };
            if above {
                bytes.push(ABOVE);
            }
            bytes
        };
        Ok(Some(bounds.between(&of(low, false), &of(high, true), known)))
    }

    /// The values of leading columns, as far as they are known; `None` if there is no such key.
    fn values(&self, equal: &[Expr]) -> Result<Option<Vec<Datum>>> {
        let mut out = Vec::with_capacity(equal.len());
        for (expr, kind) in equal.iter().zip(&self.bounds.kinds) {
            let given = match is_null_key(expr) {
                true => Some(Value::Known(Datum::Null)),
                false => (self.value)(expr, *kind)?.map(|v| as_key(self.ctx, v, *kind)),
            };
            match given {
                None | Some(Value::Unknown) => break,
                Some(Value::Known(v)) => out.push(v),
                Some(Value::After(_) | Value::Below | Value::Above | Value::Null) => {
                    return Ok(None);
                }
            }
        }
        Ok(Some(out))
    }

    fn end(&self, bound: &KeyBound, at: usize, low: bool) -> Result<End> {
        let kind = self.kind(at);
        let Some(given) = (self.value)(&bound.value, kind)? else { return Ok(End::Open) };
        Ok(match as_key(self.ctx, given, kind).bound(bound.inclusive, low) {
            Some(Bound::Included(v)) => End::At(v, true),
            Some(Bound::Excluded(v)) => End::At(v, false),
            Some(Bound::Unbounded) => End::Open,
            None => End::Nothing,
        })
    }
}

/// An end of what is looked for.
enum End {
    Open,
    At(Datum, bool),
    /// Nothing is within it: a comparison with NULL.
    Nothing,
}

/// What is in both.
fn both(a: Option<Vec<Oid>>, b: Option<Vec<Oid>>) -> Option<Vec<Oid>> {
    match (a, b) {
        (Some(mut a), Some(b)) => {
            a.retain(|part| b.contains(part));
            Some(a)
        }
        (a, b) => a.or(b),
    }
}
