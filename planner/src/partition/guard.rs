//! Whether a partition can have rows that pass a filter.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{
    IndexDef, IndexKey, IndexMethod, Partitioning, Relation, Strategy,
};
use vicinity_types::{Datum, Kind, Oid, Result};

use super::bounds::{Bounds, key_bytes};
use crate::call::{scalar_kind, scalar_to_datum};
use crate::context::ExecContext;
use crate::df::source::StorageSource;
use crate::push::access::{KeyFit, key_fit};
use crate::row::number::as_i64;
use crate::row::{Compiler, Frame, Node};

/// A filter's conditions on a partition key, and the partition they are asked of.
#[derive(Clone)]
pub(crate) struct Guard {
    bounds: Arc<Bounds>,
    child: Oid,
    fit: Arc<KeyFit>,
}

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

impl Guard {
    /// The guards of a partitioned table's partitions, in the order of `children`; `None` where the
    /// filter says nothing about the key.
    pub(crate) fn all(
        catalog: &Catalog,
        table: &Relation,
        source: &StorageSource,
        filters: &[Expr],
    ) -> Result<Option<impl Fn(Oid) -> Guard + use<>>> {
        let Some(by) = table.table().and_then(|t| t.partitioning.as_ref()) else {
            return Ok(None);
        };
        let fit = key_fit(catalog, source, &as_index(by, table.oid), filters);
        if fit.is_empty() {
            return Ok(None);
        }
        let (bounds, fit) = (Arc::new(Bounds::of(catalog, table)?), Arc::new(fit));
        Ok(Some(move |child| Guard { bounds: bounds.clone(), child, fit: fit.clone() }))
    }

    /// Whether the partition is needed; true if that is not known before the scan begins.
    pub(crate) fn admits(&self, ctx: &ExecContext) -> Result<bool> {
        let literal = |e: &Expr, kind| match e {
            Expr::Literal(value, _) => Ok(Some(scalar_to_datum(literal_kind(value, kind), value)?)),
            _ => Ok(None),
        };
        admits(ctx, &self.bounds, self.child, &self.fit, &literal)
    }

    /// Whether all values are known already.
    pub(crate) fn is_settled(&self) -> bool {
        self.fit.values().all(|(_, e)| matches!(e, Expr::Literal(..)))
    }

    /// Ready to be asked when the scan begins.
    pub(crate) fn compile(&self, compiler: &mut Compiler) -> Result<CompiledGuard> {
        let mut nodes = Vec::new();
        for (column, expr) in self.fit.values() {
            let Some(key) = self.bounds.kinds.get(column).copied() else { continue };
            let kind = match expr {
                Expr::Literal(value, _) => literal_kind(value, key),
                other => compiler.kind_of(other).unwrap_or(key),
            };
            nodes.push((expr.clone(), compiler.compile(expr, kind)?));
        }
        Ok(CompiledGuard { guard: self.clone(), nodes })
    }
}

/// A guard whose values are computed when the scan begins.
pub(crate) struct CompiledGuard {
    guard: Guard,
    nodes: Vec<(Expr, Node)>,
}

impl CompiledGuard {
    /// Whether the partition is needed.
    pub(crate) fn admits(&self, frame: &Frame<'_>) -> Result<bool> {
        let value = |e: &Expr, _| match self.nodes.iter().find(|(have, _)| have == e) {
            Some((_, node)) => node.eval(frame).map(Some),
            None => Ok(None),
        };
        let Guard { bounds, child, fit } = &self.guard;
        admits(frame.ctx, bounds, *child, fit, &value)
    }
}

type Evaluate<'a> = dyn Fn(&Expr, Kind) -> Result<Option<Datum>> + 'a;

fn admits(
    ctx: &ExecContext,
    bounds: &Bounds,
    child: Oid,
    fit: &KeyFit,
    value: &Evaluate<'_>,
) -> Result<bool> {
    let Some(prefixes) = prefixes(bounds, fit, value)? else { return Ok(true) };
    let columns = fit.equal.len();
    if columns == bounds.kinds.len() {
        for key in &prefixes {
            if bounds.find(ctx, key)? == Some(child) {
                return Ok(true);
            }
        }
        return Ok(false);
    }
    if bounds.strategy != Strategy::Range || bounds.default == Some(child) {
        return Ok(true);
    }
    let kind = bounds.kinds.get(columns).copied().unwrap_or(Kind::Text);
    let end = |bound: &Option<crate::push::KeyBound>| -> Result<Option<Datum>> {
        let Some(bound) = bound else { return Ok(None) };
        Ok(match value(&bound.value, kind)?.map(|v| as_key(v, kind)) {
            Some(Value::Known(v)) => Some(v),
            _ => None,
        })
    };
    let (low, high) = (end(&fit.low)?, end(&fit.high)?);
    let exclusive = fit.high.as_ref().is_some_and(|h| !h.inclusive);
    for key in &prefixes {
        let of = |end: &Option<Datum>| {
            let mut key = key.clone();
            key.extend(end.clone());
            key_bytes(&key)
        };
        let (from, to) = (of(&low), of(&high));
        if bounds.overlaps(child, &from, &to, exclusive && high.is_some()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The values of the leading columns; `None` if they are not known.
fn prefixes(
    bounds: &Bounds,
    fit: &KeyFit,
    value: &Evaluate<'_>,
) -> Result<Option<Vec<Vec<Datum>>>> {
    let mut out: Vec<Vec<Datum>> = vec![Vec::new()];
    for (values, kind) in fit.equal.iter().zip(&bounds.kinds) {
        let mut longer = Vec::new();
        for expr in values {
            let Some(given) = value(expr, *kind)? else { return Ok(None) };
            match as_key(given, *kind) {
                Value::Unknown => return Ok(None),
                Value::Never => {}
                Value::Known(v) => longer.extend(out.iter().map(|key| {
                    let mut key = key.clone();
                    key.push(v.clone());
                    key
                })),
            }
        }
        out = longer;
    }
    Ok(Some(out))
}
