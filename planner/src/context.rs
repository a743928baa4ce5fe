//! What a running statement has at hand.

use std::cell::RefCell;
use std::sync::Arc;

use vicinity_functions::Env;
use vicinity_storage::catalog::Catalog;
use vicinity_storage::{Snapshot, Transaction};
use vicinity_types::enums::Label;
use vicinity_types::{Datum, Io, IoStyle, Oid, Result, TypeNames, io::UserType};

use crate::engine::EngineHandle;
use crate::exec::after::Transition;
use crate::measure::Measure;
use crate::names::SessionNames;
use crate::partition;
use crate::parts::Results;
use crate::session_state::SessionState;
use crate::sql::Source;

/// The surroundings of a running statement. A clone shares everything.
#[derive(Clone)]
pub struct ExecContext {
    /// The server's.
    pub engine: EngineHandle,
    /// The session's.
    pub session: Arc<SessionState>,
    /// The transaction it runs in.
    pub txn: Arc<Transaction>,
    /// What it sees.
    pub snapshot: Snapshot,
    /// The catalog it runs with.
    pub catalog: Arc<Catalog>,
    /// The session's formats when it began.
    pub style: Arc<IoStyle>,
    /// How many functions deep it runs.
    pub depth: u32,
    /// EXPLAIN ANALYZE: where nodes hand in their figures.
    pub measure: Option<Arc<Measure>>,
    /// What parts of the statement that run once gave.
    pub results: Option<Arc<Results>>,
    /// The text being planned, for positions in errors.
    pub source: Option<Arc<Source>>,
    /// How many triggers deep it runs (`pg_trigger_depth`).
    pub(crate) trigger_depth: i32,
    /// The transition tables of the trigger it runs in.
    pub(crate) transition: Option<Arc<Transition>>,
}

impl ExecContext {
    /// The surroundings of a statement that begins now, called by nothing.
    pub fn new(
        engine: EngineHandle,
        session: Arc<SessionState>,
        catalog: Arc<Catalog>,
        txn: Arc<Transaction>,
    ) -> ExecContext {
        ExecContext {
            snapshot: txn.snapshot(),
            style: session.style(),
            engine,
            session,
            txn,
            catalog,
            depth: 0,
            measure: None,
            results: None,
            source: None,
            trigger_depth: 0,
            transition: None,
        }
    }

    /// Whether the statement may go on: cancel requests, `statement_timeout`, the session's end.
    #[inline]
    pub fn check(&self) -> Result<()> {
        self.session.check_cancel()
    }

    /// The same surroundings one statement later: a new snapshot, the catalog of now. What the
    /// statements of a volatile function run with.
    #[must_use]
    pub fn next_statement(&self) -> ExecContext {
        let mut next = self.clone();
        next.advance();
        next
    }

    /// Goes on to the next statement.
    pub fn advance(&mut self) {
        self.snapshot = self.txn.snapshot();
        self.txn.refresh_catalog(&mut self.catalog);
        self.session.refresh_style(&mut self.style);
    }

    /// One function deeper; 54001 where the stack is in use.
    pub fn deeper(&self) -> Result<ExecContext> {
        vicinity_types::stack::check()?;
        Ok(ExecContext { depth: self.depth + 1, ..self.clone() })
    }

    /// A type's name, in full where the session's search path does not lead to it.
    pub fn type_name(&self, ty: Oid, typmod: Option<i32>) -> String {
        crate::names::type_name_in(&self.txn.catalog(), Some(&self.session), ty, typmod)
    }

    /// Formats and names for input and output.
    #[inline]
    pub fn io(&self) -> Io<'_> {
        Io { style: &self.style, names: self }
    }
}

impl std::fmt::Debug for ExecContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ExecContext({:?})", self.snapshot)
    }
}

impl Env for ExecContext {
    fn check(&self) -> Result<()> {
        ExecContext::check(self)
    }

    fn io(&self) -> Io<'_> {
        ExecContext::io(self)
    }

    fn partition_ancestors(&self, table: Oid) -> Vec<Oid> {
        let Some(own) = self.catalog.relation(table) else { return Vec::new() };
        let above = partition::ancestors(&self.catalog, own);
        if above.is_empty() && !partition::is_partitioned(own) {
            return Vec::new();
        }
        std::iter::once(table).chain(above.iter().map(|r| r.oid)).collect()
    }

    fn satisfies_hash_partition(
        &self,
        table: Oid,
        part: (i32, i32),
        key: &[(Oid, Datum)],
    ) -> Result<Option<bool>> {
        partition::satisfies(self, table, part, key)
    }

    fn partition_tree(&self, table: Oid) -> Vec<(Oid, Option<Oid>, bool, i32)> {
        let Some(own) = self.catalog.relation(table) else { return Vec::new() };
        if !partition::is_partitioned(own) && own.table().is_none_or(|t| t.bound.is_none()) {
            return Vec::new();
        }
        let above = partition::ancestors(&self.catalog, own).len();
        let family = partition::descendants(&self.catalog, own);
        let one = |r: &Arc<vicinity_storage::catalog::model::Relation>| {
            let up = partition::ancestors(&self.catalog, r);
            let level = i32::try_from(up.len() - above).unwrap_or(0);
            (r.oid, up.first().map(|p| p.oid), !partition::is_partitioned(r), level)
        };
        family.iter().map(one).collect()
    }

    fn transaction_time(&self) -> i64 {
        self.session.transaction_time()
    }

    fn statement_time(&self) -> i64 {
        self.session.statement_time()
    }

    fn clock_time(&self) -> i64 {
        vicinity_types::datetime::clock()
    }

    fn setting(&self, name: &str) -> Option<String> {
        self.session.setting(name)
    }
}

impl TypeNames for ExecContext {
    fn reg_out(&self, ty: Oid, value: Oid) -> Option<String> {
        self.names().reg_out(ty, value)
    }

    fn reg_in(&self, ty: Oid, text: &str) -> Result<Oid> {
        self.names().reg_in(ty, text)
    }

    fn type_info(&self, ty: Oid) -> Option<UserType> {
        self.names().type_info(ty)
    }

    fn labels(&self, ty: Oid) -> Option<Arc<[Label]>> {
        self.names().labels(ty)
    }

    fn is_new_label(&self, label: Oid) -> bool {
        self.names().is_new_label(label)
    }

    fn now(&self) -> i64 {
        self.names().now()
    }
}

impl ExecContext {
    fn names(&self) -> SessionNames<'_> {
        SessionNames { catalog: &self.catalog, session: &self.session }
    }
}

thread_local! {
    static CURRENT: RefCell<Vec<ExecContext>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` with a context that calls without one of their own fall back to: constant folding.
pub fn entered<T>(ctx: &ExecContext, f: impl FnOnce() -> T) -> T {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            CURRENT.with_borrow_mut(|stack| {
                stack.pop();
            });
        }
    }
    CURRENT.with_borrow_mut(|stack| stack.push(ctx.clone()));
    let _leave = Leave;
    f()
}

/// Runs `f` with the context entered last.
pub fn with_current<T>(f: impl FnOnce(Option<&ExecContext>) -> T) -> T {
    let current = CURRENT.with_borrow(|stack| stack.last().cloned());
    f(current.as_ref())
}
