//! Scans made ready: keys and filters compiled, the table at hand.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

use smallvec::SmallVec;
use vicinity_storage::catalog::model::IndexKey;
use vicinity_storage::{Access, Cursor, Guard, KeyRange, Row, Snapshot, SnapshotHold, Table};
use vicinity_types::{Datum, Kind, Oid, PgError, Result};

use super::compile::{Compiler, Scope};
use super::node::{Frame, Node};
use super::number::as_i64;
use super::place::SpatialPlan;
use super::sort::SortNode;
use crate::context::ExecContext;
use crate::df::source::{Origin, VirtualSource};
use crate::push::{AccessSpec, KeyValues, ScanSource, ScanSpec};

/// Where rows come from.
pub enum Origins {
    /// A table.
    Table(Arc<Table>),
    /// A computed one.
    Virtual(Arc<VirtualSource>),
}

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
        match self {
            KeyNodes::One(node) => Ok(vec![node.eval(frame)?]),
            KeyNodes::Listed(nodes) => nodes.iter().map(|node| node.eval(frame)).collect(),
            KeyNodes::Elements(node) => Ok(match node.eval(frame)? {
                Datum::Array(array) => array.iter().collect(),
                _ => Vec::new(),
            }),
        }
    }
}

enum AccessPlan {
    Seq,
    Btree {
        index: Oid,
        keys: Vec<IndexKey>,
        kinds: Vec<Kind>,
        equal: Vec<KeyNodes>,
        low: Option<BoundNode>,
        high: Option<BoundNode>,
        reverse: bool,
    },
    Vector {
        index: Oid,
        query: Node,
        /// Whether the query's `extra` is meant for this index's method.
        tuned: bool,
    },
    Spatial(SpatialPlan),
}

impl AccessPlan {
    /// Whether it is one value for every column of a unique index.
    fn is_single(&self, origins: &Origins) -> bool {
        let (AccessPlan::Btree { index, keys, equal, .. }, Origins::Table(table)) = (self, origins)
        else {
            return false;
        };
        equal.len() == keys.len()
            && equal.iter().all(|e| matches!(e, KeyNodes::One(_)))
            && table
                .indexes()
                .iter()
                .any(|i| i.oid == *index && i.index().is_some_and(|d| d.unique))
    }
}

/// A compiled scan.
pub struct CompiledScan {
    /// Where rows come from.
    pub origins: Origins,
    /// The table's id.
    pub oid: Oid,
    access: AccessPlan,
    single: bool,
    /// What rows must satisfy.
    pub filter: Option<Node>,
    /// The order rows are to have where the index gives only its first key; else empty.
    pub order: Vec<SortNode>,
}

impl CompiledScan {
    /// Compiles a scan for a catalog; the compiler's scope is then the scan's columns.
    pub fn new(
        spec: &ScanSpec,
        ctx: &ExecContext,
        compiler: &mut Compiler,
    ) -> Result<CompiledScan> {
        compiler.set_scope(Scope::stored(spec.qualifier.as_ref(), spec.source.columns()));
        let filter = match &spec.access {
            AccessSpec::Spatial(fit) => {
                let all: Vec<_> = fit.inexact().chain(&spec.filter).cloned().collect();
                compiler.conditions(&all)?
            }
            _ => compiler.conditions(&spec.filter)?,
        };
        let order = compiler.sort_keys(&spec.order)?;
        let (origins, oid) = match &spec.source {
            ScanSource::Storage(source) => {
                let oid = source.relation().oid;
                (Origins::Table(ctx.engine.db.table(oid, &ctx.catalog)?), oid)
            }
            ScanSource::Virtual(source) => (Origins::Virtual(source.clone()), source.oid()),
        };
        let access = access_plan(spec, ctx, &origins, compiler)?;
        let single = access.is_single(&origins);
        Ok(CompiledScan { origins, oid, access, single, filter, order })
    }

    /// Whether it is over quickly however big the table is, provided few rows are asked for.
    pub fn is_short(&self) -> bool {
        match &self.access {
            AccessPlan::Seq => false,
            AccessPlan::Spatial(plan) => plan.is_short(),
            AccessPlan::Btree { .. } | AccessPlan::Vector { .. } => true,
        }
    }

    /// Whether its conditions or keys may take any time.
    pub(super) fn runs_statements(&self) -> bool {
        let keys = match &self.access {
            AccessPlan::Seq | AccessPlan::Spatial(_) => false,
            AccessPlan::Vector { query, .. } => query.runs_statements(),
            AccessPlan::Btree { equal, low, high, .. } => {
                equal.iter().flat_map(KeyNodes::nodes).any(Node::runs_statements)
                    || [low, high].into_iter().flatten().any(|b| b.value.runs_statements())
            }
        };
        keys || self.filter.as_ref().is_some_and(Node::runs_statements)
    }

    /// Whether at most one row comes out.
    pub fn is_single(&self) -> bool {
        self.single
    }

    /// The one row of a scan that [is single](CompiledScan::is_single); `None` if no row can have
    /// such a key.
    pub fn lookup(&self, frame: &Frame<'_>) -> Result<Option<Lookup>> {
        let AccessPlan::Btree { index, keys, kinds, equal, .. } = &self.access else {
            return Err(PgError::internal("a lookup without a key"));
        };
        let mut values: SmallVec<[Datum; 2]> = SmallVec::new();
        for (node, kind) in equal.iter().flat_map(KeyNodes::nodes).zip(kinds) {
            match to_key(node.eval(frame)?, *kind) {
                Ok(Datum::Null) | Err(_) => return Ok(None),
                Ok(value) => values.push(value),
            }
        }
        let key = KeyRange::key(keys, &values);
        Ok(Some(Lookup { index: *index, key, _hold: frame.ctx.txn.hold() }))
    }

    /// Begins. `limit` is how many rows are wanted.
    pub fn open(
        &self,
        table: &Arc<Table>,
        snapshot: Snapshot,
        frame: &Frame<'_>,
        limit: usize,
    ) -> Result<OpenScan> {
        let mut ranges = VecDeque::new();
        let (index, reverse) = match &self.access {
            AccessPlan::Seq => {
                let cursor = table.open(Access::Seq, snapshot)?;
                return Ok(OpenScan::over(table, snapshot, cursor));
            }
            AccessPlan::Vector { index, query, tuned } => {
                let Some((query, extra)) = query_vector(query.eval(frame)?)? else {
                    return Ok(OpenScan::over(table, snapshot, table.open(Access::Seq, snapshot)?));
                };
                let extra = if *tuned { extra } else { 0 };
                let access = Access::Vector { index: *index, query, extra, limit };
                return Ok(OpenScan::over(table, snapshot, table.open(access, snapshot)?));
            }
            AccessPlan::Spatial(plan) => {
                let cursor = match plan.access(frame, limit)? {
                    Some(access) => Some(table.open(access, snapshot)?),
                    None => None,
                };
                return Ok(OpenScan { cursor, ..OpenScan::empty(table, snapshot) });
            }
            AccessPlan::Btree { index, keys, kinds, equal, low, high, reverse } => {
                let values = Values { keys, kinds, equal, low, high };
                values.ranges(frame, &mut ranges)?;
                if *reverse {
                    ranges = ranges.into_iter().rev().collect();
                }
                (*index, *reverse)
            }
        };
        let mut open = OpenScan {
            table: table.clone(),
            snapshot,
            index,
            reverse,
            ranges,
            cursor: None,
            pages: 0,
        };
        open.advance()?;
        Ok(open)
    }
}

fn access_plan(
    spec: &ScanSpec,
    ctx: &ExecContext,
    origins: &Origins,
    compiler: &mut Compiler,
) -> Result<AccessPlan> {
    let Origins::Table(table) = origins else { return Ok(AccessPlan::Seq) };
    Ok(match &spec.access {
        AccessSpec::Seq => AccessPlan::Seq,
        AccessSpec::Vector { index, query, kind, tuned, .. } => {
            if !table.index_ready(index.oid) {
                return Err(PgError::internal("vector index is not ready"));
            }
            let query = compiler.compile(query, *kind)?;
            AccessPlan::Vector { index: index.oid, query, tuned: *tuned }
        }
        AccessSpec::Spatial(fit) => {
            if !table.index_ready(fit.index.oid) {
                return Err(PgError::internal("spatial index is not ready"));
            }
            AccessPlan::Spatial(SpatialPlan::compile(fit, compiler)?)
        }
        AccessSpec::Btree { index, equal, low, high, reverse, .. } => {
            let def = index.index().ok_or_else(|| PgError::internal("no index"))?;
            let kinds: Vec<Kind> = def
                .keys
                .iter()
                .map(|k| {
                    if let Some(e) = &k.expr {
                        return ctx.catalog.kind_of(e.type_oid);
                    }
                    let at = usize::try_from(k.column).unwrap_or(0).wrapping_sub(1);
                    spec.source
                        .columns()
                        .iter()
                        .find(|c| c.origin == Origin::Stored(at))
                        .map_or(Kind::Text, |c| c.ty.kind)
                })
                .collect();
            let mut nodes = Vec::with_capacity(equal.len());
            for (values, kind) in equal.iter().zip(&kinds) {
                nodes.push(key_nodes(compiler, values, *kind)?);
            }
            let next = kinds.get(equal.len()).copied().unwrap_or(Kind::Text);
            let mut bound = |b: &Option<crate::push::KeyBound>| -> Result<Option<BoundNode>> {
                Ok(match b {
                    Some(b) => Some(BoundNode {
                        value: key_node(compiler, &b.value, next)?,
                        inclusive: b.inclusive,
                    }),
                    None => None,
                })
            };
            let (low, high) = (bound(low)?, bound(high)?);
            AccessPlan::Btree {
                index: index.oid,
                keys: def.keys.clone(),
                kinds,
                equal: nodes,
                low,
                high,
                reverse: *reverse,
            }
        }
    })
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

/// A key's value; its own kind if it knows one (integers of another width are brought to the key's).
fn key_node(
    compiler: &mut Compiler,
    expr: &datafusion::logical_expr::Expr,
    kind: Kind,
) -> Result<Node> {
    let own = match expr {
        datafusion::logical_expr::Expr::Literal(value, _) => {
            match crate::call::scalar_kind(value) {
                k @ (Kind::Int2 | Kind::Int4 | Kind::Int8) if integer(kind) => Some(k),
                _ => None,
            }
        }
        other => compiler.kind_of(other),
    };
    compiler.compile(expr, own.unwrap_or(kind))
}

fn integer(kind: Kind) -> bool {
    matches!(kind, Kind::Int2 | Kind::Int4 | Kind::Int8)
}

/// A value as a key of a kind: itself, or the integer brought to the key's width; how it compares to
/// every value of that kind if it does not fit.
fn to_key(value: Datum, kind: Kind) -> Result<Datum, std::cmp::Ordering> {
    if !integer(kind) || value.kind() == Some(kind) {
        return Ok(value);
    }
    let Some(v) = as_i64(&value) else { return Ok(value) };
    let outside = if v < 0 { std::cmp::Ordering::Less } else { std::cmp::Ordering::Greater };
    match kind {
        Kind::Int2 => i16::try_from(v).map(Datum::Int2).map_err(|_| outside),
        Kind::Int4 => i32::try_from(v).map(Datum::Int4).map_err(|_| outside),
        _ => Ok(Datum::Int8(v)),
    }
}

struct Values<'a> {
    keys: &'a [IndexKey],
    kinds: &'a [Kind],
    equal: &'a [KeyNodes],
    low: &'a Option<BoundNode>,
    high: &'a Option<BoundNode>,
}

impl Values<'_> {
    /// The ranges to go through, in index order.
    fn ranges(&self, frame: &Frame<'_>, out: &mut VecDeque<KeyRange>) -> Result<()> {
        let mut fixed: Vec<Datum> = Vec::with_capacity(self.equal.len());
        let mut list: Option<Vec<Datum>> = None;
        for (nodes, kind) in self.equal.iter().zip(self.kinds) {
            if let KeyNodes::One(node) = nodes {
                match to_key(node.eval(frame)?, *kind) {
                    Ok(Datum::Null) | Err(_) => return Ok(()),
                    Ok(value) => fixed.push(value),
                }
                continue;
            }
            let keys = nodes.values(frame)?.into_iter().filter_map(|v| to_key(v, *kind).ok());
            let mut values: Vec<Datum> = keys.filter(|key| !key.is_null()).collect();
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
                out.push_back(KeyRange::equal(self.keys, &key));
            }
            return Ok(());
        }
        if self.low.is_none() && self.high.is_none() {
            out.push_back(if fixed.is_empty() {
                KeyRange::all()
            } else {
                KeyRange::equal(self.keys, &fixed)
            });
            return Ok(());
        }
        let kind = self.kinds.get(fixed.len()).copied().unwrap_or(Kind::Text);
        let Some(low) = bound(self.low, kind, frame, std::cmp::Ordering::Greater)? else {
            return Ok(());
        };
        let Some(high) = bound(self.high, kind, frame, std::cmp::Ordering::Less)? else {
            return Ok(());
        };
        out.push_back(KeyRange::within(self.keys, &fixed, low.as_ref(), high.as_ref()));
        Ok(())
    }
}

/// A bound's value; `None` if no row can satisfy it. `empty` is the side on which a value that does
/// not fit the key leaves nothing.
fn bound(
    node: &Option<BoundNode>,
    kind: Kind,
    frame: &Frame<'_>,
    empty: std::cmp::Ordering,
) -> Result<Option<Bound<Datum>>> {
    let Some(node) = node else { return Ok(Some(Bound::Unbounded)) };
    Ok(match to_key(node.value.eval(frame)?, kind) {
        Ok(Datum::Null) => None,
        Ok(value) if node.inclusive => Some(Bound::Included(value)),
        Ok(value) => Some(Bound::Excluded(value)),
        Err(side) if side == empty => None,
        Err(_) => Some(Bound::Unbounded),
    })
}

/// The vector of a query and its `extra`; `None` for NULL.
fn query_vector(query: Datum) -> Result<Option<(Arc<[f32]>, i32)>> {
    Ok(match query {
        Datum::Pase(p) => Some((Arc::from(p.values.as_slice()), p.extra)),
        Datum::Array(a) => Some((Arc::from(vicinity_types::pase::vector(&a)?), 0)),
        _ => None,
    })
}

/// A scan of one step: there is no position to keep.
pub struct Lookup {
    index: Oid,
    key: Vec<u8>,
    /// The row may be asked for after the statement, by a cursor.
    _hold: SnapshotHold,
}

impl Lookup {
    /// The row, if it is there.
    pub fn row<'g>(
        &self,
        table: &Table,
        snapshot: &Snapshot,
        guard: &'g Guard,
    ) -> Result<Option<Row<'g>>> {
        table.lookup(self.index, &self.key, snapshot, guard)
    }
}

/// A scan under way.
pub struct OpenScan {
    table: Arc<Table>,
    snapshot: Snapshot,
    index: Oid,
    reverse: bool,
    ranges: VecDeque<KeyRange>,
    /// The range of now; `None` when all are done.
    pub cursor: Option<Cursor>,
    /// Pages the ranges before touched.
    pages: u64,
}

impl OpenScan {
    fn over(table: &Arc<Table>, snapshot: Snapshot, cursor: Cursor) -> OpenScan {
        OpenScan { cursor: Some(cursor), ..OpenScan::empty(table, snapshot) }
    }

    fn empty(table: &Arc<Table>, snapshot: Snapshot) -> OpenScan {
        OpenScan {
            table: table.clone(),
            snapshot,
            index: 0,
            reverse: false,
            ranges: VecDeque::new(),
            cursor: None,
            pages: 0,
        }
    }

    /// Goes on to the next range; false if there is none.
    pub fn advance(&mut self) -> Result<bool> {
        self.pages = self.pages();
        self.cursor = match self.ranges.pop_front() {
            Some(range) => {
                let access = Access::Btree { index: self.index, range, reverse: self.reverse };
                Some(self.table.open(access, self.snapshot)?)
            }
            None => None,
        };
        Ok(self.cursor.is_some())
    }

    /// Pages touched so far, see [`Cursor::pages`].
    pub fn pages(&self) -> u64 {
        self.pages + self.cursor.as_ref().map_or(0, Cursor::pages)
    }
}
