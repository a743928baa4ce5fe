//! What indexes compute: their expressions and predicates, compiled for storage, which calls them
//! wherever a row's entry is needed, also where no statement runs.

use std::sync::{Arc, Weak};

use vicinity_storage::catalog::model::{IndexDef, Relation};
use vicinity_storage::{Catalog, ExpressionCompiler, IndexExpressions, Isolation};
use vicinity_types::{Datum, Kind, PgError, Result};

use super::super::stored::{self, Place};
use super::layout::Layout;
use super::rules::RowExpr;
use crate::context::ExecContext;
use crate::engine::Engine;
use crate::session_state::SessionState;
use crate::sql;

/// Compiles index expressions for the storage of an engine.
pub(crate) struct Compiler {
    engine: Weak<Engine>,
    session: Arc<SessionState>,
}

impl Compiler {
    /// The compiler of an engine; hands itself to the engine's database.
    pub(crate) fn install(engine: &Arc<Engine>) {
        let session = Arc::new(SessionState::new("postgres", "postgres", 0));
        let compiler = Compiler { engine: Arc::downgrade(engine), session };
        engine.db.set_expression_compiler(Arc::new(compiler));
    }
}

/// The surroundings of an index expression: nobody's session, nobody's transaction.
#[derive(Clone)]
struct Surroundings {
    engine: Weak<Engine>,
    session: Arc<SessionState>,
    catalog: Arc<Catalog>,
}

impl Surroundings {
    fn context(&self) -> Result<ExecContext> {
        let engine =
            self.engine.upgrade().ok_or_else(|| PgError::internal("the server is stopping"))?;
        let txn = Arc::new(engine.db.begin(Isolation::ReadCommitted, true)?);
        Ok(ExecContext::new(engine.into(), self.session.clone(), self.catalog.clone(), txn))
    }
}

struct Compiled {
    around: Surroundings,
    columns: Vec<usize>,
    keys: Vec<RowExpr>,
    predicate: Option<RowExpr>,
}

impl ExpressionCompiler for Compiler {
    fn compile(
        &self,
        catalog: &Arc<Catalog>,
        table: &Arc<Relation>,
        index: &IndexDef,
    ) -> Result<Arc<dyn IndexExpressions>> {
        let around = Surroundings {
            engine: self.engine.clone(),
            session: self.session.clone(),
            catalog: catalog.clone(),
        };
        let ctx = &around.context()?;
        let layout = Layout::of_table(catalog, table, None)?;
        let mut columns = Vec::new();
        let mut compile = |text: &str, place: Place, kind: Kind| {
            let expr = sql::parse_expression(text)?;
            columns.extend(stored::columns(table, &expr)?);
            RowExpr::compile(&stored::bind(ctx, table, &expr, place)?, kind, Some(&layout))
        };
        let mut keys = Vec::new();
        for key in index.keys.iter().filter_map(|k| k.expr.as_ref()) {
            let kind = catalog.kind_of(key.type_oid);
            keys.push(compile(&key.sql, Place::IndexExpression, kind)?);
        }
        let predicate = match &index.predicate {
            Some(text) => Some(compile(text, Place::IndexPredicate, Kind::Bool)?),
            None => None,
        };
        columns.sort_unstable();
        columns.dedup();
        Ok(Arc::new(Compiled { around, columns, keys, predicate }))
    }
}

impl IndexExpressions for Compiled {
    fn columns(&self) -> &[usize] {
        &self.columns
    }

    fn evaluate(&self, row: &[Datum], out: &mut Vec<Datum>) -> Result<bool> {
        let ctx = self.around.context()?;
        if let Some(predicate) = &self.predicate
            && !matches!(predicate.eval(&ctx, row)?, Datum::Bool(true))
        {
            return Ok(false);
        }
        for key in &self.keys {
            out.push(key.eval(&ctx, row)?);
        }
        Ok(true)
    }
}
