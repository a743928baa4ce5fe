//! Statements planned: found in the cache, or made and offered to it.

use std::sync::Arc;

use sqlparser::ast;
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::{Block, Session, ends_block, object};
use crate::bind::{Binder, ParamTypes};
use crate::call::PgType;
use crate::context::ExecContext;
use crate::exec::{CallPlan, cursor, dml, name, transaction, utility};
use crate::explain;
use crate::hooks;
use crate::names;
use crate::prepared::{Kind, Prepared};
use crate::query::QueryPlan;
use crate::resolve::types::Types;
use crate::rows::OutputColumn;
use crate::sql::{Parsed, Statement};

impl Session {
    /// A plan that is still good, if there is one: what [`Session::prepare`] would give at once.
    /// Relations it uses are locked, so that it stays good until it is run.
    pub fn cached(&mut self, parsed: &Parsed, types: &[Oid]) -> Option<Arc<Prepared>> {
        if self.txn.as_ref().is_some_and(|t| t.xid().is_some()) {
            // The transaction may have a catalog of its own.
            return None;
        }
        let version = self.engine.db.catalog().version();
        let plans = &self.engine.plans;
        let exact = match parsed.known {
            true => None,
            false => plans.get(&parsed.text, types, self.state.path_key(), version),
        };
        let found = match exact {
            Some(found) => found,
            None => self.known(parsed, types, version)?,
        };
        let uses = found.uses().filter(|uses| !uses.is_empty() && self.block != Block::Failed);
        if let Some(uses) = uses {
            let txn = self.transaction().ok()?;
            if !uses.try_lock(&txn).ok()? || self.engine.db.catalog().version() != version {
                return None;
            }
        }
        Some(found)
    }

    /// Plans a statement. `types` are the declared parameter types, 0 for unknown.
    pub fn prepare(&mut self, parsed: &Parsed, types: &[Oid]) -> Result<Arc<Prepared>> {
        if let Some(found) = self.cached(parsed, types) {
            return Ok(found);
        }
        if self.block == Block::Failed && !ends_block(&parsed.stmt) {
            return Err(transaction::aborted());
        }
        let own = parsed.in_full()?;
        let parsed = own.as_ref().unwrap_or(parsed);
        self.state.begin_statement();
        self.state.activity.plan(&parsed.text, self.state.statement_time());
        let alone = self.txn.is_none();
        let prepared = self.plan_locked(parsed, types);
        let private = self.txn.as_ref().is_some_and(|t| t.xid().is_some());
        if alone && !prepared.as_ref().is_ok_and(|p| p.kind.depends_on_catalog()) {
            self.txn = None;
        }
        let prepared = Arc::new(prepared?);
        if !private {
            self.engine.plans.offer(types, &prepared);
            self.offer_lifted(types, &prepared);
        }
        Ok(prepared)
    }

    /// Plans a statement, with locks on what it uses: the plan stays good to the transaction's end.
    pub(super) fn plan_locked(&mut self, parsed: &Parsed, types: &[Oid]) -> Result<Prepared> {
        if is_control(&parsed.stmt) {
            // It is not part of what it controls: no snapshot is taken for it.
            let version = self.engine.db.catalog().version();
            return Ok(self.blank(parsed, types, Kind::Transaction, version));
        }
        loop {
            let ctx = self.context()?;
            let prepared = self.plan(&ctx, parsed, types);
            if let Ok(prepared) = &prepared {
                prepared.lock(&ctx.txn)?;
            }
            // What was planned, or failed, against a catalog that is no more is planned again.
            if ctx.txn.catalog().version() == ctx.catalog.version() {
                return prepared;
            }
        }
    }

    /// Plans a statement as it stands in the query string.
    fn plan(&self, ctx: &ExecContext, parsed: &Parsed, types: &[Oid]) -> Result<Prepared> {
        let source = Some(Arc::new(parsed.source()));
        self.planned(&ExecContext { source, ..ctx.clone() }, parsed, types)
    }

    /// A statement without a plan.
    fn blank(&self, parsed: &Parsed, types: &[Oid], kind: Kind, version: u64) -> Prepared {
        Prepared {
            parsed: parsed.clone(),
            kind,
            columns: None,
            params: Vec::new(),
            version,
            path_key: self.state.path_key(),
            declared: types.to_vec(),
            given: Vec::new(),
        }
    }

    pub(super) fn planned(
        &self,
        ctx: &ExecContext,
        parsed: &Parsed,
        types: &[Oid],
    ) -> Result<Prepared> {
        if let Some(ty) = types.iter().find(|ty| **ty != 0 && !names::is_type(&ctx.catalog, **ty)) {
            return Err(PgError::internal(format!("cache lookup failed for type {ty}")));
        }
        let kind = if is_control(&parsed.stmt) { Kind::Transaction } else { Kind::Utility };
        let mut prepared = self.blank(parsed, types, kind, ctx.catalog.version());
        let Statement::Sql(stmt) = &*parsed.stmt else {
            match &*parsed.stmt {
                Statement::Copy(_) => prepared.kind = Kind::Copy,
                Statement::Declare(declare) => {
                    prepared.params = plan_query(ctx, &declare.query, types)?.1;
                }
                Statement::Fetch(fetch) if !fetch.moves => {
                    let portal = cursor::find(ctx, &name::ident(&fetch.name))?;
                    prepared.columns = portal.lock().columns().map(<[_]>::to_vec);
                }
                _ => {}
            }
            return Ok(prepared);
        };
        match &**stmt {
            ast::Statement::Query(query) if !dml::is_write(stmt) => {
                let (plan, params) = plan_query(ctx, query, types)?;
                prepared.columns = Some(announced(ctx, &plan.columns));
                prepared.params = params;
                prepared.kind = Kind::Query(Arc::new(plan));
            }
            ast::Statement::Query(_)
            | ast::Statement::Insert(_)
            | ast::Statement::Update(_)
            | ast::Statement::Delete(_)
            | ast::Statement::Merge(_) => {
                let plan = hooks::prepare_dml(ctx, stmt, types)?;
                prepared.columns = plan.columns().map(|columns| announced(ctx, columns));
                prepared.params = plan.params().to_vec();
                prepared.kind = Kind::Dml(Arc::new(plan));
            }
            ast::Statement::Call(call) => {
                let plan = CallPlan::new(ctx, Binder::of(ctx, ParamTypes::declared(types)), call)?;
                prepared.columns = Some(plan.columns().to_vec()).filter(|c| !c.is_empty());
                prepared.params = plan.params().to_vec();
                prepared.kind = Kind::Call(Arc::new(plan));
            }
            ast::Statement::Explain { .. } => {
                let (options, inner) = explain::read(stmt)?;
                let (plan, params) = explain::prepare(ctx, inner, types)?;
                prepared.params = params;
                prepared.columns = Some(vec![options.column()]);
                prepared.kind = Kind::Explain(options, Arc::new(plan));
            }
            ast::Statement::Prepare { .. }
            | ast::Statement::Deallocate { .. }
            | ast::Statement::Discard { .. } => prepared.kind = Kind::Session,
            ast::Statement::Execute { name: Some(name), .. } => {
                let inner = self.named_statement(&object(name))?;
                prepared.columns = inner.columns.clone();
                prepared.kind = Kind::Session;
            }
            _ => {
                let columns = utility::columns(&parsed.stmt);
                if !columns.is_empty() {
                    let columns = columns.into_iter();
                    prepared.columns =
                        Some(columns.map(|(n, ty)| OutputColumn::computed(n, ty)).collect());
                }
            }
        }
        Ok(prepared)
    }

    /// The same statement against the catalog of now; `None` if it is good for that.
    pub(super) fn fresh(
        &mut self,
        ctx: &ExecContext,
        prepared: &Prepared,
    ) -> Result<Option<Arc<Prepared>>> {
        let same =
            prepared.version == ctx.catalog.version() && prepared.path_key == self.state.path_key();
        if same || !prepared.kind.depends_on_catalog() {
            return Ok(None);
        }
        let is_lifted = !prepared.given.is_empty();
        let private = ctx.txn.xid().is_some() || is_lifted;
        if !private
            && let Some(found) = self.engine.plans.get(
                &prepared.parsed.text,
                &prepared.declared,
                self.state.path_key(),
                ctx.catalog.version(),
            )
            && shape(&found) == shape(prepared)
        {
            return Ok(Some(found));
        }
        let types = if is_lifted { &prepared.declared } else { &prepared.params };
        let again = self.planned(ctx, &prepared.parsed, types)?;
        if shape(&again) != shape(prepared) {
            return Err(PgError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cached plan must not change result type",
            ));
        }
        if is_lifted {
            let given = prepared.given.clone();
            return Ok(Some(Arc::new(again.with_values(&prepared.parsed, given))));
        }
        let again = Arc::new(again);
        if !private {
            self.engine.plans.put(&prepared.declared, &again);
        }
        Ok(Some(again))
    }
}

/// Binds and plans a query; with it the types of its parameters.
pub fn plan_query(
    ctx: &ExecContext,
    query: &ast::Query,
    types: &[Oid],
) -> Result<(QueryPlan, Vec<Oid>)> {
    let bound = Binder::of(ctx, ParamTypes::declared(types)).query(query)?;
    let params = bound.params.clone();
    Ok((QueryPlan::of(ctx, bound)?, params))
}

/// Columns as clients are told of them: a domain's values are of the type it is made of.
fn announced(ctx: &ExecContext, columns: &[OutputColumn]) -> Vec<OutputColumn> {
    let types = Types::of(ctx);
    let told = |column: &OutputColumn| {
        let mut ty = column.ty;
        while let Some((base, typmod)) = types.domain(ty.oid) {
            ty = types.pg(base, if ty.typmod < 0 { typmod } else { ty.typmod });
        }
        OutputColumn { ty, ..column.clone() }
    };
    columns.iter().map(told).collect()
}

/// The types of a statement's columns.
fn shape(prepared: &Prepared) -> Option<Vec<PgType>> {
    prepared.columns.as_ref().map(|c| c.iter().map(|c| c.ty).collect())
}

/// Whether a statement is about transactions.
fn is_control(stmt: &Statement) -> bool {
    let stmt = match stmt {
        Statement::Transaction(_) => return true,
        Statement::Sql(stmt) => stmt,
        _ => return false,
    };
    matches!(
        &**stmt,
        ast::Statement::Commit { .. }
            | ast::Statement::Rollback { .. }
            | ast::Statement::Savepoint { .. }
            | ast::Statement::ReleaseSavepoint { .. }
    )
}
