//! What indexes compute: their expressions and predicates, compiled for storage, which calls them
//! wherever a row's entry is needed, also where no statement runs.

use std::cell::RefCell;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::Expr;
use vicinity_storage::catalog::model::{IndexDef, Relation};
use vicinity_storage::{Catalog, ExpressionCompiler, IndexExpressions, Isolation, Transaction};
use vicinity_types::{Datum, Kind, Oid, PgError, Result};

use super::super::stored::{self, Place};
use super::layout::Layout;
use super::rules::RowExpr;
use crate::call::callable_of;
use crate::context::ExecContext;
use crate::engine::Engine;
use crate::push::computed::Computed;
use crate::session_state::SessionState;
use crate::sql;

/// How long a function in an index may wait for a lock: there is nobody who could cancel it, and what
/// it waits for may be its own caller's.
const LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// Compiles index expressions for the storage of an engine.
pub(crate) struct Compiler {
    engine: Weak<Engine>,
}

impl Compiler {
    /// The compiler of an engine; hands itself to the engine's database.
    pub(crate) fn install(engine: &Arc<Engine>) {
        let compiler = Compiler { engine: Arc::downgrade(engine) };
        engine.db.set_expression_compiler(Arc::new(compiler));
    }
}

/// The surroundings of an index expression where no statement runs: a session of nobody with the rights of the table's
/// owner, nobody's transaction.
struct Surroundings {
    session: Arc<SessionState>,
    catalog: Arc<Catalog>,
}

impl Surroundings {
    fn of(catalog: &Arc<Catalog>, table: &Relation) -> Surroundings {
        let owner = catalog.role(table.owner).map_or("postgres", |role| role.name.as_str());
        let session = Arc::new(SessionState::new(owner, "postgres", 0));
        Surroundings { session, catalog: catalog.clone() }
    }

    fn context(&self, engine: &Arc<Engine>) -> Result<ExecContext> {
        let txn = nobodys(engine)?;
        let engine = engine.clone().into();
        Ok(ExecContext::new(engine, self.session.clone(), self.catalog.clone(), txn))
    }
}

/// A transaction of nobody.
fn nobodys(engine: &Arc<Engine>) -> Result<Arc<Transaction>> {
    let txn = Arc::new(engine.db.begin(Isolation::ReadCommitted, true)?);
    txn.set_lock_timeout(Some(LOCK_TIMEOUT));
    Ok(txn)
}

thread_local! {
    /// The statements that write on this thread, to tables whose indexes call users' functions.
    static WRITING: RefCell<Vec<ExecContext>> = const { RefCell::new(Vec::new()) };
}

/// Runs a statement's write, or its build of an index: what indexes compute meanwhile runs in its session.
pub(crate) fn in_statement<T>(ctx: &ExecContext, write: impl FnOnce() -> T) -> T {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            WRITING.with_borrow_mut(|statements| statements.pop());
        }
    }
    WRITING.with_borrow_mut(|statements| statements.push(ctx.clone()));
    let _leave = Leave;
    write()
}

fn running(engine: &Weak<Engine>) -> Result<Arc<Engine>> {
    engine.upgrade().ok_or_else(|| PgError::internal("the server is stopping"))
}

/// What an index computes, as of one version of the catalog.
struct Expressions {
    around: Surroundings,
    columns: Vec<usize>,
    keys: Vec<RowExpr>,
    predicate: Option<RowExpr>,
}

impl Expressions {
    fn compile(
        engine: &Arc<Engine>,
        catalog: &Arc<Catalog>,
        table: &Arc<Relation>,
        def: &IndexDef,
    ) -> Result<Expressions> {
        let around = Surroundings::of(catalog, table);
        let ctx = &around.context(engine)?;
        let layout = Layout::of_table(catalog, table, None)?;
        let mut columns = Vec::new();
        let mut compile = |text: &str, place: Place, kind: Kind| {
            let expr = sql::parse_expression(text)?;
            columns.extend(stored::columns(table, &expr)?);
            RowExpr::compile(&stored::bind(ctx, table, &expr, place)?, kind, Some(&layout))
        };
        let mut keys = Vec::new();
        for key in def.keys.iter().filter_map(|k| k.expr.as_ref()) {
            let kind = catalog.kind_of(key.type_oid);
            keys.push(compile(&key.sql, Place::IndexExpression, kind)?);
        }
        let predicate = match &def.predicate {
            Some(text) => Some(compile(text, Place::IndexPredicate, Kind::Bool)?),
            None => None,
        };
        columns.sort_unstable();
        columns.dedup();
        Ok(Expressions { around, columns, keys, predicate })
    }

    /// Appends the keys of a row; `false` if the predicate is not true.
    fn evaluate(&self, ctx: &ExecContext, row: &[Datum], out: &mut Vec<Datum>) -> Result<bool> {
        if let Some(predicate) = &self.predicate
            && !matches!(predicate.eval(ctx, row)?, Datum::Bool(true))
        {
            return Ok(false);
        }
        for key in &self.keys {
            out.push(key.eval(ctx, row)?);
        }
        Ok(true)
    }

    /// Whether users' functions are called.
    fn run_statements(&self) -> bool {
        self.keys.iter().chain(&self.predicate).any(RowExpr::runs_statements)
    }
}

struct Compiled {
    engine: Weak<Engine>,
    index: Oid,
    /// The columns do not change, whatever is called with them.
    columns: Vec<usize>,
    now: ArcSwap<Expressions>,
}

impl ExpressionCompiler for Compiler {
    fn compile(
        &self,
        catalog: &Arc<Catalog>,
        table: &Arc<Relation>,
        (index, def): (Oid, &IndexDef),
    ) -> Result<Arc<dyn IndexExpressions>> {
        let made = Expressions::compile(&running(&self.engine)?, catalog, table, def)?;
        Ok(Arc::new(Compiled {
            engine: self.engine.clone(),
            index,
            columns: made.columns.clone(),
            now: ArcSwap::from_pointee(made),
        }))
    }
}

impl Compiled {
    /// The expressions with the functions of now, which may have been replaced. An index that is not
    /// committed yet keeps to the catalog of its transaction.
    fn now(&self, engine: &Arc<Engine>) -> Arc<Expressions> {
        let have = self.now.load_full();
        let catalog = engine.db.catalog();
        if !have.run_statements() || have.around.catalog.version() == catalog.version() {
            return have;
        }
        let made = catalog.relation(self.index).and_then(|r| r.index()).and_then(|def| {
            Expressions::compile(engine, &catalog, catalog.relation(def.table)?, def).ok()
        });
        let Some(made) = made.map(Arc::new) else { return have };
        self.now.store(made.clone());
        made
    }
}

impl IndexExpressions for Compiled {
    fn columns(&self) -> &[usize] {
        &self.columns
    }

    fn may_wait(&self) -> bool {
        self.now.load().run_statements()
    }

    fn evaluate(&self, row: &[Datum], out: &mut Vec<Datum>, alone: bool) -> Result<bool> {
        let engine = running(&self.engine)?;
        let now = self.now(&engine);
        match WRITING.with_borrow(|statements| statements.last().cloned()) {
            Some(ctx) if alone => now.evaluate(&ctx, row, out),
            // What waits here could wait for its own statement.
            Some(ctx) => {
                let txn = nobodys(&engine)?;
                now.evaluate(&ExecContext { snapshot: txn.snapshot(), txn, ..ctx }, row, out)
            }
            None => {
                let ctx = now.around.context(&engine)?;
                let evaluated = now.evaluate(&ctx, row, out);
                engine.advisory.leave_all(&ctx.session);
                evaluated
            }
        }
    }
}

/// Whether an index of a table calls users' functions, which may take any time.
pub(super) fn call_users(catalog: &Catalog, table: &Relation) -> bool {
    let calls = |e: &Expr| Ok(callable_of(e).is_some_and(|(c, _)| c.runs_statements()));
    let computed = catalog.indexes_of(table.oid).filter_map(|i| i.index());
    computed.filter(|def| def.is_computed()).any(|def| {
        let Some(made) = Computed::of(catalog, table, def) else { return false };
        made.keys.iter().flatten().chain(&made.predicate).any(|e| e.exists(calls).unwrap_or(true))
    })
}
