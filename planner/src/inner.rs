//! Statements run from within a statement: SQL of functions, EXECUTE, subqueries run per row.

use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;
use sqlparser::ast;
use vicinity_storage::Catalog;
use vicinity_types::{Datum, Oid, PgError, Result, SqlState};

use crate::bind::{Binder, ParamTypes, Variables};
use crate::call::{PgType, Typed, literal};
use crate::context::ExecContext;
use crate::exec::{CallPlan, copy, cursor, dml, locking, utility};
use crate::explain::{self, Explained, Options};
use crate::portal::{About, CursorOptions, Portal, RowIds};
use crate::query::QueryPlan;
use crate::resolve::Context;
use crate::rows::{Discard, OutputColumn};
use crate::sql;
use crate::uses::Uses;

/// What a statement is, as far as running it goes.
enum Kind {
    Query(Arc<QueryPlan>),
    Dml(Box<dml::DmlPlan>),
    Do(String),
    Call(CallPlan),
    Explain(Options, Box<Explained>),
    Utility,
}

/// A statement of a function, planned.
pub struct Statement {
    parsed: sql::Parsed,
    kind: Kind,
    columns: Vec<OutputColumn>,
    /// Behind the columns comes the id of the row, which is not shown.
    ids: RowIds,
    /// What it was planned for; `None` where it means the same under any catalog.
    catalog: Option<Arc<Catalog>>,
    path: u64,
}

impl std::fmt::Debug for Statement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.parsed.text)
    }
}

impl Statement {
    /// Its first word.
    pub(crate) fn verb(&self) -> String {
        self.parsed.text.split_whitespace().next().unwrap_or_default().to_uppercase()
    }

    /// What comes out; empty for statements without rows.
    pub fn columns(&self) -> &[OutputColumn] {
        &self.columns
    }

    /// Whether the plan is good for the catalog and search path of `ctx`.
    pub fn is_current(&self, ctx: &ExecContext) -> bool {
        self.is_of(&ctx.catalog) && self.path == ctx.session.path_key()
    }

    /// An error for what a function cannot do.
    pub fn check_in_function(&self) -> Result<()> {
        match &*self.parsed.stmt {
            sql::Statement::Copy(copy) => copy::refuse_client(copy),
            _ => Ok(()),
        }
    }

    /// Whether it is done quickly (invariant *no-starvation*), with the triggers it fires, which
    /// must not go deeper than `depth`.
    pub fn is_short(&self, depth: u32) -> bool {
        match &self.kind {
            Kind::Query(plan) => plan.is_short(),
            Kind::Dml(plan) => plan.is_short_within(depth),
            _ => false,
        }
    }

    fn is_of(&self, catalog: &Catalog) -> bool {
        self.catalog.as_ref().is_none_or(|c| c.version() == catalog.version())
    }

    /// What it asks of relations.
    fn uses(&self) -> Option<&Uses> {
        match &self.kind {
            Kind::Query(plan) => Some(plan.uses()),
            Kind::Dml(plan) => Some(plan.uses()),
            Kind::Explain(_, plan) => plan.uses(),
            Kind::Call(plan) => Some(plan.uses()),
            Kind::Do(_) | Kind::Utility => None,
        }
    }

    /// Whether it is a query that reads a relation.
    pub(crate) fn reads(&self, relation: Oid) -> bool {
        let Kind::Query(plan) = &self.kind else { return false };
        plan.uses().list().iter().any(|u| u.relation == relation)
    }

    /// Locks the relations it uses; `false` if their definitions are no longer those it was planned
    /// for.
    pub fn hold(&self, ctx: &ExecContext) -> Result<bool> {
        let Some(uses) = self.uses().filter(|u| !u.is_empty()) else { return Ok(true) };
        uses.lock(&ctx.txn)?;
        Ok(self.is_of(&ctx.txn.catalog()))
    }

    /// The surroundings with the catalog it was planned for: that may be newer, of after the wait for
    /// a lock.
    fn context<'c>(&self, ctx: &'c ExecContext) -> Cow<'c, ExecContext> {
        match &self.catalog {
            Some(catalog) if catalog.version() != ctx.catalog.version() => {
                Cow::Owned(ExecContext { catalog: catalog.clone(), ..ctx.clone() })
            }
            _ => Cow::Borrowed(ctx),
        }
    }

    /// The CALL it is.
    pub(crate) fn call(&self) -> Option<&CallPlan> {
        match &self.kind {
            Kind::Call(plan) => Some(plan),
            _ => None,
        }
    }

    /// Whether it looks at rows of tables, or changes some.
    pub fn reads_data(&self) -> bool {
        match &self.kind {
            Kind::Query(plan) => plan.reads_data(),
            _ => true,
        }
    }

    /// Whether it is a query, or a write with RETURNING.
    pub(crate) fn gives_rows(&self) -> bool {
        match &self.kind {
            Kind::Query(_) => true,
            Kind::Dml(_) => !self.columns.is_empty(),
            _ => false,
        }
    }

    /// What it is called if it is more than a query that reads.
    pub(crate) fn changing(&self) -> Option<String> {
        match &self.kind {
            Kind::Query(plan) if plan.is_locking() => Some("SELECT FOR UPDATE".to_owned()),
            Kind::Query(_) => None,
            _ => Some(self.verb()),
        }
    }

    /// Whether it gives exactly one row however often it runs: no table, no set in it.
    pub fn is_scalar(&self) -> bool {
        matches!(&self.kind, Kind::Query(plan) if plan.is_scalar())
    }

    /// Whether it is a query that reads no table: its first row is all a scalar function needs.
    pub fn is_single(&self) -> bool {
        matches!(&self.kind, Kind::Query(plan) if !plan.reads_data())
    }
}

/// Opens a cursor over a query.
pub fn open_cursor(
    ctx: &ExecContext,
    statement: &Statement,
    params: Vec<Datum>,
    scroll: Option<bool>,
) -> Result<Portal> {
    let Kind::Query(plan) = &statement.kind else {
        return Err(PgError::new(
            SqlState(*b"42P11"),
            format!("cannot open {} query as cursor", statement.verb()),
        ));
    };
    let about = About {
        text: statement.parsed.text.clone(),
        options: CursorOptions { scroll, ..CursorOptions::default() },
        created: ctx.session.statement_time(),
    };
    let ctx = &*statement.context(ctx);
    Portal::cursor(ctx, plan.clone(), params, about, statement.ids)
}

/// Cuts a text into its statements' texts.
pub fn split(text: &str) -> Result<Vec<String>> {
    Ok(sql::parse(text)?.into_iter().map(|p| p.text).collect())
}

fn one(text: &str) -> Result<sql::Parsed> {
    let mut found = sql::parse(text)?.into_iter();
    match (found.next(), found.next()) {
        (Some(parsed), None) => Ok(parsed),
        (None, _) => Err(PgError::new(SqlState::SYNTAX_ERROR, "syntax error at end of input")),
        _ => Err(PgError::new(SqlState::SYNTAX_ERROR, "more than one statement where one is due")),
    }
}

/// Plans a statement whose names may be variables; `types` are those of `$1` ...
pub fn prepare(
    ctx: &ExecContext,
    text: &str,
    types: &[Oid],
    names: &dyn Variables,
) -> Result<Arc<Statement>> {
    planned(ctx, one(text)?, types, names, RowIds::None)
}

/// The same for the query of a cursor: where its rows are those of one table it has their ids.
pub fn prepare_cursor(
    ctx: &ExecContext,
    text: &str,
    types: &[Oid],
    names: &dyn Variables,
) -> Result<Arc<Statement>> {
    let mut parsed = one(text)?;
    let sql::Statement::Sql(stmt) = &*parsed.stmt else {
        return planned(ctx, parsed, types, names, RowIds::None);
    };
    let ast::Statement::Query(query) = &**stmt else {
        return planned(ctx, parsed, types, names, RowIds::None);
    };
    if let Some((with_id, ids)) = cursor::with_row_id(query) {
        let stmt = Box::new(ast::Statement::Query(Box::new(with_id)));
        let own = std::mem::replace(&mut parsed.stmt, Arc::new(sql::Statement::Sql(stmt)));
        if let Ok(found) = planned(ctx, parsed.clone(), types, names, ids)
            && matches!(&found.kind, Kind::Query(plan) if cursor::is_updatable(plan))
        {
            return Ok(found);
        }
        parsed.stmt = own;
    }
    planned(ctx, parsed, types, names, RowIds::None)
}

fn planned(
    ctx: &ExecContext,
    parsed: sql::Parsed,
    types: &[Oid],
    names: &dyn Variables,
    ids: RowIds,
) -> Result<Arc<Statement>> {
    let mut ctx = ctx.clone();
    loop {
        let planned = crate::context::entered(&ctx, || plan(&ctx, &parsed, types, names));
        let now = ctx.txn.catalog();
        // What failed against a catalog that is no more is planned again, too.
        if planned.is_err() && now.version() != ctx.catalog.version() {
            ctx.catalog = now;
            continue;
        }
        let (kind, mut columns) = planned?;
        columns.truncate(columns.len().saturating_sub(ids.columns()));
        let timeless = matches!(&kind, Kind::Query(plan) if plan.is_timeless());
        let catalog = (!timeless).then(|| ctx.catalog.clone());
        let path = ctx.session.path_key();
        let made = Statement { parsed: parsed.clone(), kind, columns, ids, catalog, path };
        if made.hold(&ctx)? {
            return Ok(Arc::new(made));
        }
        ctx.catalog = ctx.txn.catalog();
    }
}

fn plan(
    ctx: &ExecContext,
    parsed: &sql::Parsed,
    types: &[Oid],
    names: &dyn Variables,
) -> Result<(Kind, Vec<OutputColumn>)> {
    let params = ParamTypes::fixed(types);
    let mut binder = Binder::of(ctx, params).with_variables(names);
    match &*parsed.stmt {
        sql::Statement::Transaction(_) => {
            Err(PgError::unsupported("transaction control in a function"))
        }
        sql::Statement::Do { body, .. } => Ok((Kind::Do(body.clone()), Vec::new())),
        sql::Statement::Sql(stmt) => match &**stmt {
            write if dml::is_write(write) => {
                let plan = dml::prepare(ctx, binder, write)?;
                let columns = plan.columns().map(<[_]>::to_vec).unwrap_or_default();
                Ok((Kind::Dml(Box::new(plan)), columns))
            }
            ast::Statement::Query(query) => {
                let mut bound = binder.query(query)?;
                if let Some(types) = names.types() {
                    // A function's variables are numbered as they are met.
                    bound.params = types;
                }
                let columns = bound.columns.clone();
                Ok((Kind::Query(Arc::new(QueryPlan::of(ctx, bound)?)), columns))
            }
            ast::Statement::Call(call) => {
                let plan = CallPlan::new(ctx, binder, call)?;
                let columns = plan.columns().to_vec();
                Ok((Kind::Call(plan), columns))
            }
            ast::Statement::Explain { .. } => {
                let (options, inner) = explain::read(stmt)?;
                let (plan, _) = explain::prepare(ctx, inner, types)?;
                Ok((Kind::Explain(options, Box::new(plan)), vec![options.column()]))
            }
            ast::Statement::Commit { .. }
            | ast::Statement::Rollback { .. }
            | ast::Statement::Savepoint { .. }
            | ast::Statement::ReleaseSavepoint { .. } => {
                Err(PgError::unsupported("transaction control in a function"))
            }
            _ => Ok((Kind::Utility, utility_columns(&parsed.stmt))),
        },
        _ => Ok((Kind::Utility, utility_columns(&parsed.stmt))),
    }
}

fn utility_columns(stmt: &sql::Statement) -> Vec<OutputColumn> {
    let columns = utility::columns(stmt).into_iter();
    columns.map(|(name, ty)| OutputColumn::computed(name, ty)).collect()
}

/// Plans a statement with parameters `$1` ... of given types.
pub fn prepare_with_types(
    ctx: &ExecContext,
    text: &str,
    types: &[PgType],
) -> Result<Arc<Statement>> {
    struct Nothing;
    impl Variables for Nothing {
        fn lookup(&self, _: &[&str]) -> Option<(usize, PgType)> {
            None
        }
    }
    let oids: Vec<Oid> = types.iter().map(|t| t.oid).collect();
    prepare(ctx, text, &oids, &Nothing)
}

/// Values of parameters: most statements have few.
pub type Params = SmallVec<[Datum; 4]>;

/// Runs a statement; its rows go to `f` until that says to stop. Gives the rows touched.
pub fn rows(
    ctx: &ExecContext,
    statement: &Statement,
    params: Params,
    f: &mut dyn FnMut(Vec<Datum>) -> Result<bool>,
) -> Result<u64> {
    let ctx = &*statement.context(ctx);
    match &statement.kind {
        Kind::Query(plan) => {
            let mut cursor = plan.open(ctx.clone(), params.into_vec())?;
            let mut count = 0;
            while let Some(row) = cursor.next_row()? {
                count += 1;
                if !f(row)? {
                    break;
                }
            }
            Ok(count)
        }
        Kind::Dml(plan) => {
            if plan.columns().is_none() {
                return Ok(dml::run(plan, ctx, &params, &mut Discard)?.count.unwrap_or(0));
            }
            let outcome = plan.run(ctx, &params)?;
            for row in outcome.rows.map(|r| r.rows).unwrap_or_default() {
                if !f(row)? {
                    break;
                }
            }
            Ok(outcome.tag.count.unwrap_or(0))
        }
        Kind::Do(body) => {
            crate::plpgsql::run_do(ctx, body, None)?;
            Ok(0)
        }
        Kind::Call(plan) => {
            let row = plan.run(ctx, &params, None)?;
            if !row.is_empty() {
                f(row)?;
            }
            Ok(0)
        }
        Kind::Explain(options, plan) => {
            for line in explain::run(options, plan, ctx, params.into_vec())? {
                if !f(line)? {
                    break;
                }
            }
            Ok(0)
        }
        Kind::Utility => {
            utility::check_place(&statement.parsed.stmt, true, false)?;
            locking::hold(&ctx.session, &ctx.txn, &statement.parsed.stmt)?;
            let outcome = utility::run(&ctx.next_statement(), &statement.parsed.stmt, true)?;
            for row in outcome.rows.map(|r| r.rows).unwrap_or_default() {
                if !f(row)? {
                    break;
                }
            }
            Ok(outcome.tag.count.unwrap_or(0))
        }
    }
}

/// The first value of the first row; NULL without one.
pub fn scalar(ctx: &ExecContext, statement: &Statement, params: &[Datum]) -> Result<Datum> {
    let ctx = &*statement.context(ctx);
    match &statement.kind {
        Kind::Query(plan) => plan.scalar(ctx, params),
        _ => {
            let mut result = Datum::Null;
            rows(ctx, statement, params.into(), &mut |row| {
                result = row.into_iter().next().unwrap_or_default();
                Ok(false)
            })?;
            Ok(result)
        }
    }
}

/// Converts a value by an assignment cast; `None` if there is none between the types.
pub fn convert(
    ctx: &ExecContext,
    value: &Datum,
    from: PgType,
    to: PgType,
) -> Result<Option<Datum>> {
    let mut binder = Binder::new(&ctx.catalog, &ctx.session, ParamTypes::none());
    let known = crate::resolve::cast::can_coerce(
        binder.types(),
        &[from.oid],
        &[to.oid],
        Context::Assignment,
    );
    if !known {
        return Ok(None);
    }
    let typed = Typed::new(literal(value, from)?, from);
    let converted = binder.coerce_to(typed, to, Context::Assignment)?;
    crate::row::evaluate(ctx, &converted.expr, to).map(Some)
}

/// NULL as a value of a type: a domain may refuse it.
pub fn null_of(ctx: &ExecContext, ty: PgType) -> Result<Datum> {
    let Some(base) = made_of(ctx, ty) else { return Ok(Datum::Null) };
    Ok(convert(ctx, &Datum::Null, base, ty)?.unwrap_or_default())
}

/// What values of a domain, or of arrays of one, are read as before they are cast to it; `None` for other types.
pub fn made_of(ctx: &ExecContext, ty: PgType) -> Option<PgType> {
    let types = crate::resolve::types::Types::of(ctx);
    let (base, typmod) = types.made_of(ty.oid)?;
    Some(PgType::with_kind(base, typmod, ctx.catalog.kind_of(base)))
}

/// The type a type name means.
pub fn type_named(ctx: &ExecContext, text: &str) -> Result<PgType> {
    let written: ast::DataType = sql::parse_type(text)?;
    Binder::new(&ctx.catalog, &ctx.session, ParamTypes::none()).data_type(&written)
}
