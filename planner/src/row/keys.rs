//! Keys of an index as a scan finds them: values that columns are equal to, and bounds of the next one.

use std::collections::VecDeque;
use std::ops::Bound;

use datafusion::logical_expr::Expr;
use smallvec::SmallVec;
use vicinity_storage::KeyRange;
use vicinity_storage::catalog::model::{IndexKey, Relation};
use vicinity_types::{Datum, Kind, PgError, Result};

use super::compile::Compiler;
use super::node::{Frame, Node};
use crate::context::ExecContext;
use crate::df::source::Origin;
use crate::key_value::{Value, as_key, is_family};
use crate::push::{KeyBound, KeyValues, ScanSpec};

/// A bound of a key column.
struct BoundNode {
    value: Node,
    inclusive: bool,
}

/// What a key column is equal to.
enum KeyNodes {
    One(Node),
    Listed(Vec<Node>),
    Elements(Node),
}

impl KeyNodes {
    fn nodes(&self) -> &[Node] {
        match self {
            KeyNodes::One(node) | KeyNodes::Elements(node) => std::slice::from_ref(node),
            KeyNodes::Listed(nodes) => nodes,
        }
    }

    /// The values.
    fn values(&self, frame: &Frame<'_>) -> Result<Vec<Datum>> {
        let KeyNodes::Elements(node) = self else {
            return self.nodes().iter().map(|node| node.eval(frame)).collect();
        };
        Ok(match node.eval(frame)? {
            Datum::Array(array) => array.iter().collect(),
            _ => Vec::new(),
        })
    }
}

/// Which keys a scan wants.
pub(super) struct KeyPlan {
    keys: Vec<IndexKey>,
    kinds: Vec<Kind>,
    equal: Vec<KeyNodes>,
    low: Option<BoundNode>,
    high: Option<BoundNode>,
}

impl KeyPlan {
    /// Compiles what the first columns of an index are equal to, and the bounds of the one behind them.
    pub(super) fn compile(
        index: &Relation,
        spec: &ScanSpec,
        (equal, low, high): (&[KeyValues], &Option<KeyBound>, &Option<KeyBound>),
        ctx: &ExecContext,
        compiler: &mut Compiler,
    ) -> Result<KeyPlan> {
        let def = index.index().ok_or_else(|| PgError::internal("no index"))?;
        let kinds: Vec<Kind> = def.keys.iter().map(|key| kind(key, spec, ctx)).collect();
        let next = kinds.get(equal.len()).copied().unwrap_or(Kind::Text);
        let values = equal.iter().zip(&kinds);
        let equal = values.map(|(v, kind)| key_nodes(compiler, v, *kind)).collect::<Result<_>>()?;
        let mut bound = |bound: &Option<KeyBound>| {
            let node = |b: &KeyBound| {
                let value = key_node(compiler, &b.value, next)?;
                Ok::<_, PgError>(BoundNode { value, inclusive: b.inclusive })
            };
            bound.as_ref().map(node).transpose()
        };
        let (low, high) = (bound(low)?, bound(high)?);
        Ok(KeyPlan { keys: def.keys.clone(), kinds, equal, low, high })
    }

    /// Whether it is one value for every column.
    pub(super) fn is_one_value(&self) -> bool {
        self.equal.len() == self.keys.len()
            && self.equal.iter().all(|e| matches!(e, KeyNodes::One(_)))
    }

    /// Whether the keys may take any time to compute.
    pub(super) fn runs_statements(&self) -> bool {
        let bounds = [&self.low, &self.high].into_iter().flatten();
        let equal = self.equal.iter().flat_map(KeyNodes::nodes);
        equal.chain(bounds.map(|b| &b.value)).any(Node::runs_statements)
    }

    /// The encoded key of a plan that [is one value](KeyPlan::is_one_value); `None` if no row can have it.
    #[inline]
    pub(super) fn value(&self, frame: &Frame<'_>) -> Result<Option<Vec<u8>>> {
        let mut values: SmallVec<[Datum; 2]> = SmallVec::new();
        for (node, kind) in self.equal.iter().flat_map(KeyNodes::nodes).zip(&self.kinds) {
            match to_key(frame.ctx, node.eval(frame)?, *kind)? {
                Value::Known(value) => values.push(value),
                _ => return Ok(None),
            }
        }
        Ok(Some(KeyRange::key(&self.keys, &values)))
    }

    /// The ranges to go through, in index order.
    pub(super) fn ranges(&self, frame: &Frame<'_>, out: &mut VecDeque<KeyRange>) -> Result<()> {
        let mut fixed: Vec<Datum> = Vec::with_capacity(self.equal.len());
        let mut list: Option<Vec<Datum>> = None;
        for (nodes, kind) in self.equal.iter().zip(&self.kinds) {
            if let KeyNodes::One(node) = nodes {
                match to_key(frame.ctx, node.eval(frame)?, *kind)? {
                    Value::Known(value) => fixed.push(value),
                    _ => return Ok(()),
                }
                continue;
            }
            let mut values = Vec::new();
            for value in nodes.values(frame)? {
                values.extend(to_key(frame.ctx, value, *kind)?.known());
            }
            values.sort_by(vicinity_types::compare);
            values.dedup_by(|a, b| vicinity_types::equal(a, b));
            if self.keys.get(fixed.len()).is_some_and(|k| k.descending) {
                values.reverse();
            }
            list = Some(values);
        }
        if let Some(list) = list {
            for value in list {
                let mut key = fixed.clone();
                key.push(value);
                out.push_back(KeyRange::equal(&self.keys, &key));
            }
            return Ok(());
        }
        if self.low.is_none() && self.high.is_none() {
            out.push_back(if fixed.is_empty() {
                KeyRange::all()
            } else {
                KeyRange::equal(&self.keys, &fixed)
            });
            return Ok(());
        }
        let kind = self.kinds.get(fixed.len()).copied().unwrap_or(Kind::Text);
        let Some(low) = bound(&self.low, kind, frame, true)? else { return Ok(()) };
        let Some(high) = bound(&self.high, kind, frame, false)? else { return Ok(()) };
        out.push_back(KeyRange::within(&self.keys, &fixed, low.as_ref(), high.as_ref()));
        Ok(())
    }
}

/// The kind of an index's column.
fn kind(key: &IndexKey, spec: &ScanSpec, ctx: &ExecContext) -> Kind {
    if let Some(e) = &key.expr {
        return ctx.catalog.kind_of(e.type_oid);
    }
    let at = usize::try_from(key.column).unwrap_or(0).wrapping_sub(1);
    let mut columns = spec.source.columns().iter();
    columns.find(|c| c.origin == Origin::Stored(at)).map_or(Kind::Text, |c| c.ty.kind)
}

fn key_nodes(compiler: &mut Compiler, values: &KeyValues, kind: Kind) -> Result<KeyNodes> {
    Ok(match values {
        KeyValues::Listed(values) => match values.as_slice() {
            [value] => KeyNodes::One(key_node(compiler, value, kind)?),
            values => {
                let nodes = values.iter().map(|v| key_node(compiler, v, kind));
                KeyNodes::Listed(nodes.collect::<Result<_>>()?)
            }
        },
        KeyValues::Elements(array) => KeyNodes::Elements(compiler.compile(array, Kind::Array)?),
    })
}

/// A key's value; its own kind if it knows one (numbers of another width are brought to the key's).
fn key_node(compiler: &mut Compiler, expr: &Expr, kind: Kind) -> Result<Node> {
    let own = match expr {
        Expr::Literal(value, _) => {
            Some(crate::call::scalar_kind(value)).filter(|own| is_family(*own, kind))
        }
        other => compiler.kind_of(other),
    };
    compiler.compile(expr, own.unwrap_or(kind))
}

/// Where a value is among keys of a kind.
#[inline]
fn to_key(ctx: &ExecContext, value: Datum, kind: Kind) -> Result<Value> {
    Ok(match value.kind() {
        None => Value::Null,
        Some(own) if own == kind || !is_family(own, kind) => Value::Known(value),
        Some(own) => match as_key(ctx, value, kind) {
            Value::Unknown => return Err(PgError::internal(format!("{own:?} for a {kind:?}"))),
            found => found,
        },
    })
}

/// A bound's value, of the low end or the high one; `None` if no row can satisfy it.
fn bound(
    node: &Option<BoundNode>,
    kind: Kind,
    frame: &Frame<'_>,
    low: bool,
) -> Result<Option<Bound<Datum>>> {
    let Some(node) = node else { return Ok(Some(Bound::Unbounded)) };
    Ok(to_key(frame.ctx, node.value.eval(frame)?, kind)?.bound(node.inclusive, low))
}
