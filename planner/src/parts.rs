//! Parts of a statement that run once however often they are read: data-modifying WITH, and WITH
//! queries that would not give the same rows again.
//!
//! All of them see the snapshot of the statement. Writes run before the statement itself, in the order
//! written and whether or not anything reads them; queries run when they are first read.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::logical_expr::LogicalPlan;
use parking_lot::Mutex;
use vicinity_types::{Datum, Oid, PgError, Result};

use crate::call::PgType;
use crate::context::ExecContext;
use crate::df::VirtualSource;
use crate::exec::dml::DmlPlan;
use crate::query::QueryPlan;
use crate::rows::OutputColumn;

/// A part as it is bound: a query's parameters may get their types later.
#[derive(Clone)]
pub enum BoundPart {
    /// INSERT, UPDATE or DELETE.
    Write(Arc<DmlPlan>),
    /// A query.
    Read(LogicalPlan, Vec<OutputColumn>),
}

impl fmt::Debug for BoundPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BoundPart::Write(plan) => f.write_str(plan.verb()),
            BoundPart::Read(plan, _) => write!(f, "{plan:?}"),
        }
    }
}

enum Part {
    Write(Arc<DmlPlan>),
    Read(QueryPlan),
}

/// Tells a part from all others.
pub type PartId = u64;

/// A new part's id.
pub fn new_id() -> PartId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The parts of one statement, planned.
#[derive(Default)]
pub struct Parts(Vec<(PartId, Arc<Part>)>);

impl Parts {
    /// Plans them; `params` are the types of the statement's parameters.
    pub fn plan(
        ctx: &ExecContext,
        bound: Vec<(PartId, BoundPart)>,
        params: &[Oid],
    ) -> Result<Parts> {
        let mut parts = Vec::with_capacity(bound.len());
        for (id, part) in bound {
            let part = match part {
                BoundPart::Write(plan) => Part::Write(plan),
                BoundPart::Read(plan, columns) => {
                    Part::Read(QueryPlan::new(ctx, plan, columns, params)?)
                }
            };
            parts.push((id, Arc::new(part)));
        }
        Ok(Parts(parts))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Begins an execution: runs the writes, and gives surroundings in which all parts can be read.
    pub fn begin(&self, ctx: ExecContext, params: &[Datum]) -> Result<ExecContext> {
        if self.is_empty() {
            return Ok(ctx);
        }
        let entry = |(id, part): &(PartId, Arc<Part>)| Entry {
            id: *id,
            part: part.clone(),
            params: params.to_vec(),
            rows: Mutex::new(None),
        };
        let entries = self.0.iter().map(entry).collect();
        let results = Arc::new(Results { entries, outer: ctx.results.clone() });
        let ctx = ExecContext { results: Some(results.clone()), ..ctx };
        for entry in results.entries.iter().filter(|e| matches!(&*e.part, Part::Write(_))) {
            entry.rows(&ctx)?;
        }
        Ok(ctx)
    }
}

type Rows = Arc<Vec<Vec<Datum>>>;

struct Entry {
    id: PartId,
    part: Arc<Part>,
    params: Vec<Datum>,
    rows: Mutex<Option<Rows>>,
}

impl Entry {
    fn rows(&self, ctx: &ExecContext) -> Result<Rows> {
        if let Some(rows) = &*self.rows.lock() {
            return Ok(rows.clone());
        }
        let rows = match &*self.part {
            Part::Write(plan) => plan.run(ctx, &self.params)?.rows.map(|r| r.rows),
            Part::Read(plan) => Some(plan.rows(ctx, self.params.clone())?),
        };
        let rows = Arc::new(rows.unwrap_or_default());
        *self.rows.lock() = Some(rows.clone());
        Ok(rows)
    }
}

/// What the parts of a running statement gave, or will give.
pub struct Results {
    entries: Vec<Entry>,
    /// Those of the statement around it.
    outer: Option<Arc<Results>>,
}

impl Results {
    fn rows(&self, id: PartId, ctx: &ExecContext) -> Result<Rows> {
        match (self.entries.iter().find(|e| e.id == id), &self.outer) {
            (Some(entry), _) => entry.rows(ctx),
            (None, Some(outer)) => outer.rows(id, ctx),
            (None, None) => Err(missing()),
        }
    }
}

fn missing() -> PgError {
    PgError::internal("a WITH query is read outside of its statement")
}

/// The rows of a part as a table.
pub fn source(id: PartId, name: &str, columns: Vec<(String, PgType)>) -> Arc<VirtualSource> {
    let rows = move |ctx: &ExecContext| {
        let results = ctx.results.as_ref().ok_or_else(missing)?;
        results.rows(id, ctx).map(|rows| rows.as_ref().clone())
    };
    VirtualSource::new(0, name, columns, Arc::new(rows))
}
