//! Parts of a statement that run once however often they are read: data-modifying WITH, and WITH
//! queries that are read more than once, or would not give the same rows again.
//!
//! All of them see the snapshot of the statement. Writes run before the statement itself, in the order
//! written and whether or not anything reads them; queries run as far as they are read.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::logical_expr::LogicalPlan;
use parking_lot::Mutex;
use vicinity_functions::Rows;
use vicinity_types::{Datum, Oid, PgError, Result};

use crate::context::ExecContext;
use crate::exec::dml::DmlPlan;
use crate::query::{Cursor, QueryPlan};
use crate::rows::{Collect, OutputColumn};

/// A part as it is bound: a query's parameters may get their types later.
#[derive(Clone)]
pub enum BoundPart {
    /// INSERT, UPDATE or DELETE, and its name.
    Write(Arc<DmlPlan>, String),
    /// A query, and its name.
    Read(LogicalPlan, Vec<OutputColumn>, String),
}

impl fmt::Debug for BoundPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BoundPart::Write(plan, _) => f.write_str(plan.verb()),
            BoundPart::Read(plan, ..) => write!(f, "{plan:?}"),
        }
    }
}

/// A part, planned.
pub(crate) enum Part {
    /// INSERT, UPDATE or DELETE, and its name.
    Write(Arc<DmlPlan>, String),
    /// A query, and its name.
    Read(QueryPlan, String),
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
                BoundPart::Write(plan, name) => Part::Write(plan, name),
                BoundPart::Read(plan, columns, name) => {
                    Part::Read(QueryPlan::new(ctx, plan, columns, params)?, name)
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

    /// All of them, in the order they stand in.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (PartId, &Part)> {
        self.0.iter().map(|(id, part)| (*id, &**part))
    }

    /// The queries among them.
    pub(crate) fn read(&self) -> impl Iterator<Item = &QueryPlan> {
        self.iter().filter_map(|(_, part)| match part {
            Part::Read(plan, _) => Some(plan),
            Part::Write(..) => None,
        })
    }

    /// The plans of the queries among them.
    pub(crate) fn queries(&self) -> impl Iterator<Item = &LogicalPlan> {
        self.read().map(|plan| &plan.logical)
    }

    /// Begins an execution: runs the writes, and gives surroundings in which all parts can be read.
    pub fn begin<'c>(
        &self,
        ctx: Cow<'c, ExecContext>,
        params: &[Datum],
    ) -> Result<Cow<'c, ExecContext>> {
        if self.is_empty() {
            return Ok(ctx);
        }
        let mut ctx = ctx.into_owned();
        for (id, part) in &self.0 {
            let progress = match &**part {
                Part::Write(plan, _) => {
                    let rows = plan.run(&ctx, params)?.rows.map(|r| r.rows);
                    Progress {
                        done: true,
                        blocks: rows.map(Arc::new).into_iter().collect(),
                        ..Progress::default()
                    }
                }
                Part::Read(..) => Progress::default(),
            };
            let entry = Results {
                id: *id,
                part: part.clone(),
                params: params.to_vec(),
                progress: Mutex::new(progress),
                before: ctx.results.take(),
            };
            ctx.results = Some(Arc::new(entry));
        }
        Ok(Cow::Owned(ctx))
    }
}

/// Rows as they were given at a time.
type Block = Arc<Vec<Vec<Datum>>>;

/// Rows asked of a part the first time; twice as many each time after.
const FIRST_BLOCK: usize = 64;
/// At most so many.
const LAST_BLOCK: usize = 4096;

/// How far a part has run.
#[derive(Default)]
struct Progress {
    blocks: Vec<Block>,
    cursor: Option<Box<Cursor>>,
    done: bool,
}

/// What a part of a running statement gave, or will give; behind it the parts before.
pub struct Results {
    id: PartId,
    part: Arc<Part>,
    params: Vec<Datum>,
    progress: Mutex<Progress>,
    /// All that the part itself may read, so that nothing holds itself.
    before: Option<Arc<Results>>,
}

impl Results {
    /// The block of this number; none behind the last.
    fn block(&self, number: usize, ctx: &ExecContext) -> Result<Option<Block>> {
        let mut progress = self.progress.lock();
        let progress = &mut *progress;
        while !progress.done && progress.blocks.len() <= number {
            let Part::Read(plan, _) = &*self.part else { return Ok(None) };
            let cursor = match &mut progress.cursor {
                Some(cursor) => cursor,
                None => {
                    let ctx = ExecContext { results: self.before.clone(), ..ctx.clone() };
                    progress.cursor.insert(Box::new(plan.open(ctx, self.params.clone())?))
                }
            };
            let most = FIRST_BLOCK << progress.blocks.len().min(6);
            let mut sink = Collect::default();
            progress.done = cursor.fill(&mut sink, most.min(LAST_BLOCK))?.done;
            if !sink.rows.is_empty() {
                progress.blocks.push(Arc::new(sink.rows));
            }
            if progress.done {
                progress.cursor = None;
            }
        }
        Ok(progress.blocks.get(number).cloned())
    }
}

/// The rows of a part, from the first on.
pub(crate) fn read(id: PartId, ctx: &ExecContext) -> Result<Rows> {
    let mut at = ctx.results.as_ref();
    while let Some(results) = at.filter(|r| r.id != id) {
        at = results.before.as_ref();
    }
    let results = at
        .cloned()
        .ok_or_else(|| PgError::internal("a WITH query is read outside of its statement"))?;
    Ok(Box::new(Reader { results, ctx: ctx.clone(), next: 0, block: None, row: 0 }))
}

/// One scan of a part's rows.
struct Reader {
    results: Arc<Results>,
    ctx: ExecContext,
    /// The block after the present one.
    next: usize,
    block: Option<Block>,
    row: usize,
}

impl Iterator for Reader {
    type Item = Result<Vec<Datum>>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.block.as_ref().and_then(|b| b.get(self.row)) {
                self.row += 1;
                return Some(Ok(row.clone()));
            }
            match self.results.block(self.next, &self.ctx) {
                Ok(Some(block)) => {
                    (self.block, self.row) = (Some(block), 0);
                    self.next += 1;
                }
                Ok(None) => return None,
                Err(e) => return Some(Err(e)),
            }
        }
    }
}
