//! The partitions that can have rows that pass a filter.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use vicinity_storage::catalog::model::{
    IndexDef, IndexKey, IndexMethod, Partitioning, Relation, Strategy,
};
use vicinity_types::{Datum, Kind, Oid, Result};

use super::bounds::{ABOVE, Bounds, key_bytes};
use crate::call::{scalar_kind, scalar_to_datum};
use crate::context::ExecContext;
use crate::df::source::StorageSource;
use crate::push::access::{KeyFit, is_null_key, key_fit};
use crate::row::number::as_i64;

/// What a condition compares a column of the key with.
enum Value {
    Known(Datum),
    /// No value of the column's type is equal to it.
    Never,
    Unknown,
}

fn as_key(value: Datum, kind: Kind) -> Value {
    if value.is_null() {
        return Value::Never;
    }
    if value.kind() == Some(kind) {
        return Value::Known(value);
    }
    let fits = |v: Option<Datum>| v.map_or(Value::Never, Value::Known);
    match (as_i64(&value), kind) {
        (Some(n), Kind::Int2) => fits(i16::try_from(n).ok().map(Datum::Int2)),
        (Some(n), Kind::Int4) => fits(i32::try_from(n).ok().map(Datum::Int4)),
        (Some(n), Kind::Int8) => Value::Known(Datum::Int8(n)),
        _ => Value::Unknown,
    }
}

/// How a literal compared with a key is held: as the key is, but integers may have another width.
fn literal_kind(value: &ScalarValue, key: Kind) -> Kind {
    let whole = |k| matches!(k, Kind::Int2 | Kind::Int4 | Kind::Int8);
    let own = scalar_kind(value);
    if whole(own) && whole(key) { own } else { key }
}

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

/// Knows the values that are written in the filter.
pub(crate) fn literal(expr: &Expr, key: Kind) -> Result<Option<Datum>> {
    match expr {
        Expr::Literal(value, _) => Ok(Some(scalar_to_datum(literal_kind(value, key), value)?)),
        _ => Ok(None),
    }
}

/// A filter's conditions on the key of a partitioned table.
pub(crate) struct Pruning {
    bounds: Arc<Bounds>,
    fit: KeyFit,
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
        let fit = match by {
            Some(by) => key_fit(&ctx.catalog, source, &as_index(by, table.oid), filters),
            None => KeyFit { equal: Vec::new(), low: None, high: None },
        };
        Ok(Pruning { bounds, fit })
    }

    /// The values the conditions compare with, each with the kind of its column of the key.
    pub(crate) fn values(&self) -> impl Iterator<Item = (&Expr, Kind)> {
        let kind = |at: usize| self.bounds.kinds.get(at).copied().unwrap_or(Kind::Text);
        self.fit.values().map(move |(at, e)| (e, kind(at)))
    }

    /// Whether there is more than one partition.
    pub(crate) fn has_choice(&self) -> bool {
        self.bounds.len() > 1
    }

    /// Whether a row can be in one partition only, whatever the values are.
    pub(crate) fn is_single(&self) -> bool {
        self.fit.equal.len() == self.bounds.kinds.len()
            && self.fit.equal.iter().all(|values| values.len() == 1)
    }

    /// The partitions that may have rows, in PostgreSQL's order.
    pub(crate) fn needed(&self, ctx: &ExecContext, value: &Evaluate<'_>) -> Result<Vec<Oid>> {
        let Pruning { bounds, fit } = self;
        if fit.is_empty() {
            return Ok(bounds.all());
        }
        let (prefixes, columns) = self.prefixes(value)?;
        let mut out = Vec::new();
        if columns == bounds.kinds.len() {
            for key in &prefixes {
                out.extend(bounds.find(ctx, key)?);
            }
            return Ok(bounds.in_order(out));
        }
        // Rows with a NULL in a part of the key are where no range says.
        if bounds.strategy == Strategy::Hash || prefixes.iter().flatten().any(Datum::is_null) {
            return Ok(bounds.all());
        }
        // Bounds are of the column behind all that have values.
        let bounded = columns == fit.equal.len();
        let kind = bounds.kinds.get(columns).copied().unwrap_or(Kind::Text);
        let mut nothing = false;
        let mut end = |bound: &Option<crate::push::KeyBound>| -> Result<Option<(Datum, bool)>> {
            let Some(bound) = bound.as_ref().filter(|_| bounded) else { return Ok(None) };
            let given = value(&bound.value, kind)?;
            nothing |= given.as_ref().is_some_and(Datum::is_null);
            // What no value of the column is equal to may still be above or below them.
            Ok(match given.map(|v| as_key(v, kind)) {
                Some(Value::Known(v)) => Some((v, bound.inclusive)),
                _ => None,
            })
        };
        let (low, high) = (end(&fit.low)?, end(&fit.high)?);
        if nothing {
            return Ok(Vec::new());
        }
        let known = (low.is_some() || high.is_some()) && columns + 1 == bounds.kinds.len();
        for key in &prefixes {
            let of = |end: &Option<(Datum, bool)>, beyond: bool| {
                let mut bytes = key_bytes(key);
                if let Some((v, _)) = end {
                    bytes.extend(key_bytes(std::slice::from_ref(v)));
                }
                if end.as_ref().map_or(beyond, |(_, inclusive)| *inclusive == beyond) {
                    bytes.push(ABOVE);
                }
                bytes
            };
            out.extend(bounds.between(&of(&low, false), &of(&high, true), known));
        }
        Ok(bounds.in_order(out))
    }

    /// The values of the leading columns, and how many columns those are.
    fn prefixes(&self, value: &Evaluate<'_>) -> Result<(Vec<Vec<Datum>>, usize)> {
        let mut out: Vec<Vec<Datum>> = vec![Vec::new()];
        for (at, (values, kind)) in self.fit.equal.iter().zip(&self.bounds.kinds).enumerate() {
            let mut longer = Vec::new();
            for expr in values {
                let given = match is_null_key(expr) {
                    true => Some(Value::Known(Datum::Null)),
                    false => value(expr, *kind)?.map(|v| as_key(v, *kind)),
                };
                match given {
                    None | Some(Value::Unknown) => return Ok((out, at)),
                    Some(Value::Never) => {}
                    Some(Value::Known(v)) => longer.extend(out.iter().map(|key| {
                        let mut key = key.clone();
                        key.push(v.clone());
                        key
                    })),
                }
            }
            out = longer;
        }
        Ok((out, self.fit.equal.len()))
    }
}
