//! Scans made ready: keys and filters compiled, the table at hand.

use std::collections::VecDeque;
use std::sync::Arc;

use vicinity_storage::catalog::model::Relation;
use vicinity_storage::{Access, Cursor, Guard, KeyRange, Row, Snapshot, SnapshotHold, Table};
use vicinity_types::{Datum, Oid, PgError, Result};

use super::compile::{Compiler, Scope};
use super::keys::KeyPlan;
use super::node::{Frame, Node};
use super::place::SpatialPlan;
use super::sort::SortNode;
use crate::context::ExecContext;
use crate::df::source::VirtualSource;
use crate::push::{AccessSpec, ScanSource, ScanSpec};

/// Where rows come from.
pub enum Origins {
    /// A table.
    Table(Arc<Table>),
    /// A computed one.
    Virtual(Arc<VirtualSource>),
}

enum AccessPlan {
    Seq,
    Btree {
        index: Oid,
        keys: KeyPlan,
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
        let (AccessPlan::Btree { index, keys, .. }, Origins::Table(table)) = (self, origins) else {
            return false;
        };
        let is_unique = |index: &Relation| index.index().is_some_and(|def| def.unique);
        keys.is_one_value() && table.indexes().iter().any(|i| i.oid == *index && is_unique(i))
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
            AccessPlan::Btree { keys, .. } => keys.runs_statements(),
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
        let AccessPlan::Btree { index, keys, .. } = &self.access else {
            return Err(PgError::internal("a lookup without a key"));
        };
        let key = keys.value(frame)?;
        Ok(key.map(|key| Lookup { index: *index, key, _hold: frame.ctx.txn.hold() }))
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
            AccessPlan::Btree { index, keys, reverse } => {
                keys.ranges(frame, &mut ranges)?;
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
            let keys = KeyPlan::compile(index, spec, (equal, low, high), ctx, compiler)?;
            AccessPlan::Btree { index: index.oid, keys, reverse: *reverse }
        }
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
