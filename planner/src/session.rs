//! A session: statements prepared and run, transactions begun and ended around them.

mod block;
mod ending;
mod lifted;
mod plan;
mod statements;
mod two_phase;

use std::sync::Arc;

use sqlparser::ast;
use vicinity_storage::{Interrupt, Isolation, Lsn, Savepoint, SnapshotPlace, Transaction};
use vicinity_types::{Datum, PgError, Result};

pub(crate) use ending::Transactions;
pub use plan::plan_query;

use self::ending::Surroundings;
use crate::activity::Doing;
use crate::context::ExecContext;
use crate::engine::{Engine, EngineHandle};
use crate::exec::after::Deferred;
use crate::exec::copy::{self, CopyFrom, CopyTo, Started};
use crate::exec::transaction;
use crate::exec::{Outcome, cursor, locking, temporary, utility};
use crate::explain;
use crate::portal;
use crate::prepared::{Kind, Prepared};
use crate::query::Cursor;
use crate::rows::OutputColumn;
use crate::session_state::SessionState;
use crate::sql::{Control, Parsed, Statement};

/// Where a transaction block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    /// None is open: each statement is its own transaction.
    None,
    /// Between BEGIN and COMMIT.
    Open,
    /// After an error in one: only ROLLBACK goes.
    Failed,
}

/// What a statement's execution gives.
// Kept by value: a short query must not pay for a box.
#[allow(clippy::large_enum_variant)]
pub enum Execution {
    /// It is done; the command tag.
    Done(String),
    /// Rows to fetch; `tag` is the verb before their number, or the whole tag of a write.
    Rows {
        /// The rows.
        cursor: Cursor,
        /// `SELECT` and the like.
        tag: RowsTag,
    },
    /// The client is to send what goes into a table.
    CopyIn(Box<CopyFrom>),
    /// Rows for the client to keep.
    CopyOut(Box<CopyTo>),
}

/// How a row-returning statement's tag is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowsTag {
    /// The verb, then the number of rows fetched.
    Count(&'static str),
    /// All of it.
    Text(String),
}

struct NamedSavepoint {
    name: String,
    storage: Savepoint,
    settings: crate::exec::settings::Mark,
    portals: portal::Mark,
    /// What waited for the commit when it was made.
    deferred: Arc<Deferred>,
    /// How many advisory locks the transaction had.
    advisory: usize,
}

/// A session.
pub struct Session {
    engine: EngineHandle,
    state: Arc<SessionState>,
    txn: Option<Arc<Transaction>>,
    place: Option<Arc<SnapshotPlace>>,
    block: Block,
    /// The message has several statements: while it runs they are in a block, which its end commits.
    several: bool,
    /// A statement has run since the last one that was followed by Sync.
    in_pipeline: bool,
    savepoints: Vec<NamedSavepoint>,
    interrupt: Interrupt,
    /// Where the log must be durable before the client hears of a COMMIT.
    pending: Option<Lsn>,
}

impl Session {
    /// A session over an engine, with a state that is already set up.
    pub fn new(engine: Arc<Engine>, state: Arc<SessionState>) -> Session {
        engine.register(&state);
        let watched = state.clone();
        Session {
            engine: engine.into(),
            state,
            txn: None,
            place: None,
            block: Block::None,
            several: false,
            in_pipeline: false,
            savepoints: Vec::new(),
            interrupt: Arc::new(move || watched.check_cancel()),
            pending: None,
        }
    }

    /// The engine.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The transaction a statement has begun, or a block is in.
    pub fn open_transaction(&self) -> Option<Arc<Transaction>> {
        self.txn.clone()
    }

    /// What is shared with running statements.
    pub fn state(&self) -> &Arc<SessionState> {
        &self.state
    }

    /// `I`, `T` or `E`, as ReadyForQuery says.
    pub fn transaction_status(&self) -> u8 {
        match self.block {
            Block::None => b'I',
            Block::Open => b'T',
            Block::Failed => b'E',
        }
    }

    /// Splits a query string, whose statements run next.
    pub fn parse(&mut self, sql: &str) -> Result<Vec<Parsed>> {
        let mut statements = self.parse_knowing(sql)?;
        let notices = statements.iter_mut().flat_map(|s| std::mem::take(&mut s.notices));
        notices.for_each(|notice| self.state.notice(notice));
        self.several = statements.len() > 1;
        Ok(statements)
    }

    /// Whether a block is open, by BEGIN or around the statements of a message.
    fn in_block(&self) -> bool {
        self.block != Block::None || self.several
    }

    /// The transaction the statement that begins now is part of.
    fn transaction(&mut self) -> Result<Arc<Transaction>> {
        match &self.txn {
            Some(txn) => {
                txn.set_lock_timeout(self.state.lock_timeout());
                Ok(txn.clone())
            }
            None => {
                let (isolation, read_only) = self.state.transaction_defaults();
                self.begin(isolation, read_only)
            }
        }
    }

    /// The surroundings for the statement that begins now.
    fn context(&mut self) -> Result<ExecContext> {
        let txn = self.transaction()?;
        Ok(self.context_in(txn))
    }

    /// The same with the locks that a statement needs, and the statement as it is planned now if that is
    /// another. Locks come before the snapshot and the catalog: whoever held them has committed by then.
    fn locked_context(
        &mut self,
        prepared: &Prepared,
        params: &[Datum],
    ) -> Result<(ExecContext, Option<Arc<Prepared>>)> {
        let txn = self.transaction()?;
        let mut again: Option<Arc<Prepared>> = None;
        loop {
            let now = again.as_deref().unwrap_or(prepared);
            match &now.kind {
                Kind::Utility => locking::hold(&self.state, &txn, &now.parsed.stmt)?,
                _ => now.lock(&txn)?,
            }
            let ctx = self.context_in(txn.clone());
            match self.fresh(&ctx, now) {
                // It failed against a catalog that is no more.
                Err(_) if txn.catalog().version() != ctx.catalog.version() => {}
                Err(e) => return Err(e),
                Ok(None) if now.lock_families(&ctx, params)? => return Ok((ctx, again)),
                Ok(None) => {}
                // Another plan may use other relations.
                Ok(Some(newer)) => again = Some(newer),
            }
        }
    }

    fn context_in(&self, txn: Arc<Transaction>) -> ExecContext {
        self.surroundings().context_in(txn)
    }

    fn surroundings(&self) -> Surroundings<'_> {
        Surroundings { engine: &self.engine, state: &self.state, interrupt: &self.interrupt }
    }

    fn begin(&mut self, isolation: Isolation, read_only: bool) -> Result<Arc<Transaction>> {
        let place = self.place()?;
        let txn = self.surroundings().begin(&place, isolation, read_only);
        self.txn = Some(txn.clone());
        Ok(txn)
    }

    fn place(&mut self) -> Result<Arc<SnapshotPlace>> {
        Ok(match &self.place {
            Some(place) => place.clone(),
            None => self.place.insert(SnapshotPlace::open(&self.engine.db)?).clone(),
        })
    }

    /// Runs a prepared statement; begins a transaction if none is open. Ended by [`Session::end`].
    pub fn execute(&mut self, prepared: &Arc<Prepared>, params: Vec<Datum>) -> Result<Execution> {
        self.state.begin_statement();
        self.state.activity.begin(prepared, self.state.statement_time());
        let in_pipeline = std::mem::replace(&mut self.in_pipeline, true);
        if self.block == Block::Failed && !ends_block(&prepared.parsed.stmt) {
            return Err(transaction::aborted());
        }
        match &prepared.kind {
            Kind::Transaction => return self.transaction_control(&prepared.parsed.stmt),
            Kind::Session => return self.session_statement(&prepared.parsed, params),
            Kind::Utility => {
                utility::check_place(&prepared.parsed.stmt, self.in_block(), in_pipeline)?;
            }
            _ => {}
        }
        let (ctx, again) = self.locked_context(prepared, &params)?;
        let prepared = again.as_ref().unwrap_or(prepared);
        let params = prepared.values(params);
        if prepared.kind.depends_on_catalog() {
            ctx.txn.settle();
        }
        match &prepared.kind {
            Kind::Query(plan) => {
                let cursor = plan.open_held(ctx, params)?;
                Ok(Execution::Rows { cursor, tag: RowsTag::Count("SELECT") })
            }
            Kind::Dml(plan) => Ok(outcome(plan.run(&ctx, &params)?, prepared.columns.as_deref())),
            Kind::Explain(options, plan) => {
                let rows = match plan.execute() {
                    Some((name, values)) => {
                        let inner = self.named_statement(name)?;
                        let inner = self.fresh(&ctx, &inner)?.unwrap_or(inner);
                        let values = self.execute_values(name, &inner, values)?;
                        explain::run(options, &plan.of(&inner)?, &ctx, values)?
                    }
                    None => explain::run(options, plan, &ctx, params)?,
                };
                let cursor = Cursor::memory(vec![options.column()], rows);
                Ok(Execution::Rows { cursor, tag: RowsTag::Text("EXPLAIN".to_owned()) })
            }
            Kind::Copy => {
                let Statement::Copy(stmt) = &*prepared.parsed.stmt else {
                    return Err(PgError::internal("no COPY"));
                };
                Ok(match copy::start(&ctx, stmt)? {
                    Started::From(copy) => Execution::CopyIn(copy),
                    Started::To(copy) => Execution::CopyOut(copy),
                    Started::Done(tag) => Execution::Done(tag.to_string()),
                })
            }
            Kind::Call(plan) => {
                let row = self.ending_transactions(&ctx, |t| plan.run(&ctx, &params, t))?;
                if plan.columns().is_empty() {
                    return Ok(Execution::Done("CALL".to_owned()));
                }
                let cursor = Cursor::memory(plan.columns().to_vec(), vec![row]);
                Ok(Execution::Rows { cursor, tag: RowsTag::Text("CALL".to_owned()) })
            }
            _ => {
                let stmt = &prepared.parsed.stmt;
                let done = match stmt.as_ref() {
                    Statement::Do { .. } => {
                        self.ending_transactions(&ctx, |t| utility::run_do(&ctx, stmt, t))?
                    }
                    Statement::Declare(declare) => {
                        let given = cursor::Given { types: &prepared.params, values: params };
                        cursor::declare(&ctx, declare, self.in_block(), given)?
                    }
                    _ => utility::run(&ctx, stmt, self.in_block())?,
                };
                Ok(outcome(done, prepared.columns.as_deref()))
            }
        }
    }

    /// Runs what may end the transaction it is run in, outside of a block.
    fn ending_transactions<T>(
        &mut self,
        ctx: &ExecContext,
        run: impl FnOnce(Option<&Transactions>) -> Result<T>,
    ) -> Result<T> {
        if self.in_block() {
            return run(None);
        }
        let place = self.place()?;
        let transactions = Transactions::new(self.surroundings(), place, ctx.txn.clone());
        let done = run(Some(&transactions));
        self.txn = Some(transactions.current());
        self.pending = transactions.pending().max(self.pending);
        done
    }

    /// Ends what the statement left open: the implicit transaction is committed, or rolled back after
    /// an error; an error fails an explicit one. Acknowledge only when the log is durable up to the
    /// returned place.
    pub fn end(&mut self, ok: bool) -> Result<Option<Lsn>> {
        let ended = self.end_statement(ok);
        self.state.activity.rest(match self.block {
            Block::None => Doing::Idle,
            Block::Open => Doing::InTransaction,
            Block::Failed => Doing::Aborted,
        });
        ended
    }

    fn end_statement(&mut self, ok: bool) -> Result<Option<Lsn>> {
        let pending = self.pending.take();
        self.several = false;
        self.in_pipeline = false;
        if self.block != Block::None {
            if !ok {
                self.fail_block()?;
            } else if let Some(txn) = &self.txn {
                txn.end_statement();
            }
            return Ok(pending);
        }
        let own = if ok { self.commit()? } else { self.abort() };
        Ok(own.max(pending))
    }

    /// An error in a block: what came since its last savepoint is undone at once, so that nobody waits
    /// for it until the client says ROLLBACK.
    fn fail_block(&mut self) -> Result<()> {
        self.block = Block::Failed;
        let since = self.savepoints.last().map_or_else(Default::default, |s| s.portals);
        self.state.portals().rollback_to(since);
        let Some(txn) = &self.txn else { return Ok(()) };
        match self.savepoints.last() {
            Some(savepoint) => {
                txn.rollback_to(&savepoint.storage)?;
                self.engine.advisory.rollback_to(&self.state, savepoint.advisory);
            }
            None => {
                txn.rollback();
                self.engine.advisory.leave(&self.state, None);
            }
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<Option<Lsn>> {
        let Some(txn) = self.txn.take() else { return Ok(None) };
        self.savepoints.clear();
        self.surroundings().commit(&txn)
    }

    fn abort(&mut self) -> Option<Lsn> {
        self.savepoints.clear();
        let txn = self.txn.take();
        self.surroundings().abort(txn.as_deref());
        None
    }
}

impl Session {
    /// Drops the session's temporary objects, in the transaction if there is one: it may have locked
    /// them.
    fn discard_temporary(&mut self) -> Result<()> {
        match self.txn.clone() {
            Some(txn) => temporary::drop_all(&self.context_in(txn)),
            None => self.drop_temporary(),
        }
    }

    /// Drops the session's temporary objects in a transaction of their own.
    fn drop_temporary(&mut self) -> Result<()> {
        if self.state.temp_schema() == 0 {
            return Ok(());
        }
        let ctx = self.context_in(Arc::new(self.engine.db.begin(Isolation::default(), false)?));
        temporary::drop_all(&ctx)?;
        ctx.txn.set_synchronous(false);
        ctx.txn.commit().map(drop)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // They refer to the session's state, which holds them.
        self.state.portals().close_all();
        self.abort();
        // What stays is dropped when the server starts again.
        let _ = self.drop_temporary();
        self.engine.advisory.unlock_all(self.state.pid());
    }
}

/// What a statement of `exec` gave, as an execution.
fn outcome(done: Outcome, columns: Option<&[OutputColumn]>) -> Execution {
    match done.rows {
        Some(rows) => {
            let columns = match columns {
                Some(columns) => columns.to_vec(),
                None => {
                    rows.columns.into_iter().map(|(n, ty)| OutputColumn::computed(n, ty)).collect()
                }
            };
            let cursor = Cursor::memory(columns, rows.rows);
            Execution::Rows { cursor, tag: RowsTag::Text(done.tag.to_text()) }
        }
        None => Execution::Done(done.tag.to_text()),
    }
}

/// An unqualified name.
fn object(name: &ast::ObjectName) -> String {
    name.0.last().and_then(|p| p.as_ident()).map(crate::exec::name::ident).unwrap_or_default()
}

/// Whether a failed transaction block lets a statement through.
fn ends_block(stmt: &Statement) -> bool {
    if let Statement::Transaction(Control::Prepare(_)) = stmt {
        return true;
    }
    let Statement::Sql(stmt) = stmt else { return false };
    matches!(&**stmt, ast::Statement::Commit { .. } | ast::Statement::Rollback { .. })
}
