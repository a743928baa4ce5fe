//! EXPLAIN: what a statement would do in PostgreSQL's words, and with ANALYZE what it did.
//!
//! A tree of nodes is built from the plan ([`build`]) and written in one of four formats ([`print`]).
//! ANALYZE runs the statement with a context that measures ([`Measure`]); nothing is shown that was
//! not counted.

mod build;
mod cost;
mod cte;
pub(crate) mod deparse;
mod family;
mod join;
mod options;
mod print;
mod resolve;
mod scan;
mod subplan;
mod targets;
mod tree;
mod upper;
mod write;

use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::logical_expr::{Expr, LogicalPlan};
use sqlparser::ast;
use vicinity_types::{Datum, Oid, PgError, Result, SqlState};

use build::Builder;
pub use options::{Format, Options, read};
use print::Summary;
use tree::PlanNode;

use crate::call::PgType;
use crate::context::ExecContext;
use crate::exec::create_as;
use crate::exec::dml::{self, DmlPlan};
use crate::measure::{Figures, Measure};
use crate::prepared::{Kind, Prepared};
use crate::query::QueryPlan;
use crate::rows::{Discard, RowSink};
use crate::uses::Uses;

/// What is explained.
pub struct Explained {
    target: Target,
    /// Types of its parameters.
    params: Vec<Oid>,
    /// Milliseconds that planning took.
    planning: f64,
}

enum Target {
    Query(Arc<QueryPlan>),
    Write(Arc<DmlPlan>),
    CreateAs(Box<CreateAs>),
    Execute { name: String, values: Vec<ast::Expr> },
}

/// CREATE TABLE AS: its query is shown.
struct CreateAs {
    table: ast::CreateTable,
    source: create_as::Source,
}

impl Explained {
    /// The name and the parameters of a prepared statement that is to be explained: the session has it.
    pub fn execute(&self) -> Option<(&str, &[ast::Expr])> {
        match &self.target {
            Target::Execute { name, values } => Some((name, values)),
            _ => None,
        }
    }

    /// The same for the statement that was prepared.
    pub fn of(&self, prepared: &Prepared) -> Result<Explained> {
        let target = match &prepared.kind {
            Kind::Query(plan) => Target::Query(plan.clone()),
            Kind::Dml(plan) => Target::Write(plan.clone()),
            _ => return Err(PgError::unsupported("EXPLAIN of this prepared statement")),
        };
        Ok(Explained { target, params: prepared.params.clone(), planning: self.planning })
    }
}

/// Plans the statement to be explained.
pub fn prepare(
    ctx: &ExecContext,
    stmt: &ast::Statement,
    types: &[Oid],
) -> Result<(Explained, Vec<Oid>)> {
    let began = Instant::now();
    let (target, params) = target(ctx, stmt, types)?;
    // A plan tells of its tables, run or not.
    target.uses().map_or(Ok(()), Uses::allowed)?;
    let planning = milliseconds(began);
    Ok((Explained { target, params: params.clone(), planning }, params))
}

fn target(ctx: &ExecContext, stmt: &ast::Statement, types: &[Oid]) -> Result<(Target, Vec<Oid>)> {
    if crate::exec::dml::is_write(stmt) {
        let plan = crate::hooks::prepare_dml(ctx, stmt, types)?;
        let params = plan.params().to_vec();
        return Ok((Target::Write(Arc::new(plan)), params));
    }
    let query = |query: &ast::Query| {
        let (plan, params) = crate::session::plan_query(ctx, query, types)?;
        Ok((Target::Query(Arc::new(plan)), params))
    };
    match stmt {
        ast::Statement::Query(q) => query(q),
        ast::Statement::CreateTable(table) => match &table.query {
            Some(q) => {
                let source = create_as::plan(ctx, q)?;
                let create = CreateAs { table: table.clone(), source };
                Ok((Target::CreateAs(Box::new(create)), Vec::new()))
            }
            None => Err(unexplained(stmt)),
        },
        ast::Statement::Execute { name: Some(name), parameters, .. } => {
            let name = crate::exec::name::last(name);
            Ok((Target::Execute { name, values: parameters.clone() }, Vec::new()))
        }
        ast::Statement::Declare { stmts } => match stmts.as_slice() {
            [ast::Declare { for_query: Some(q), .. }] => query(q),
            _ => Err(unexplained(stmt)),
        },
        _ => Err(unexplained(stmt)),
    }
}

impl Explained {
    /// What the statement asks of relations.
    pub(crate) fn uses(&self) -> Option<&Uses> {
        self.target.uses()
    }
}

impl Target {
    fn uses(&self) -> Option<&Uses> {
        match self {
            Target::Query(plan) => Some(plan.uses()),
            Target::Write(plan) => Some(plan.uses()),
            Target::CreateAs(_) | Target::Execute { .. } => None,
        }
    }
}

/// Utility statements have no plan; PostgreSQL's grammar does not let EXPLAIN stand before them.
fn unexplained(stmt: &ast::Statement) -> PgError {
    let text = stmt.to_string();
    let word = text.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
    PgError::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{word}\""))
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// Counts rows.
#[derive(Default)]
struct Counted {
    rows: u64,
    /// When the first came.
    first: Option<Instant>,
}

impl RowSink for Counted {
    fn begin(&mut self, _columns: usize) {
        self.first.get_or_insert_with(Instant::now);
    }

    fn raw(&mut self, _ty: PgType, _value: Option<&[u8]>) -> Result<()> {
        Ok(())
    }

    fn datum(&mut self, _ty: PgType, _value: Datum) -> Result<()> {
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        self.rows += 1;
        Ok(())
    }
}

/// Runs what is explained; the figures of a write.
fn analyze(target: &Target, ctx: &ExecContext, params: &[Datum]) -> Result<Option<Figures>> {
    let began = Instant::now();
    match target {
        Target::Query(plan) => {
            // Cursors hand their figures in when they go.
            let mut cursor = plan.open(ctx.clone(), params.to_vec())?;
            while !cursor.fill(&mut Discard, usize::MAX)?.done {}
            Ok(None)
        }
        Target::CreateAs(create) => {
            if ctx.txn.read_only() && !create.table.temporary {
                return Err(crate::exec::transaction::read_only("CREATE TABLE AS"));
            }
            create_as::fill(ctx, &create.table, &create.source, false, false)?;
            Ok(None)
        }
        Target::Write(plan) => {
            let mut sink = Counted::default();
            crate::exec::dml::run(plan, ctx, params, &mut sink)?;
            let nanoseconds = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
            let total = nanoseconds(began.elapsed());
            let startup = sink.first.map_or(total, |first| nanoseconds(first - began));
            Ok(Some(Figures { startup, total, rows: sink.rows, loops: 1, ..Figures::default() }))
        }
        Target::Execute { .. } => Err(PgError::unsupported("EXPLAIN EXECUTE in a function")),
    }
}

/// The rows of EXPLAIN.
pub fn run(
    options: &Options,
    explained: &Explained,
    ctx: &ExecContext,
    params: Vec<Datum>,
) -> Result<Vec<Vec<Datum>>> {
    let (mut measure, mut execution, mut written) = (None, None, None);
    if options.analyze {
        let began = Instant::now();
        let measured = Measure::new(options.timing);
        let inner = ExecContext { measure: Some(measured.clone()), ..ctx.clone() };
        written = analyze(&explained.target, &inner, &params)?;
        execution = Some(milliseconds(began));
        measure = Some(measured);
    }
    let tree = tree(options, explained, ctx, &params, measure.as_deref(), written)?;
    let summary = Summary {
        settings: settings(ctx),
        planning: explained.planning,
        execution,
        triggers: measure.map(|m: Arc<Measure>| m.triggers()).unwrap_or_default(),
    };
    let lines = print::lines(&tree, options, &summary);
    Ok(lines.into_iter().map(|l| vec![Datum::text(l)]).collect())
}

fn tree(
    options: &Options,
    explained: &Explained,
    ctx: &ExecContext,
    params: &[Datum],
    measure: Option<&Measure>,
    written: Option<Figures>,
) -> Result<PlanNode> {
    let builder = |plans: &[&LogicalPlan], exprs: &[Expr], tables| {
        Builder::new(ctx, options, measure, plans, exprs, tables)
    };
    let texts = |builder: &Builder<'_>| {
        let text = |(value, ty): (&Datum, &Oid)| {
            let kind = ctx.catalog.kind_of(*ty);
            Some(builder.constant(value, PgType::with_kind(*ty, -1, kind)))
        };
        match builder.generic {
            true => Vec::new(),
            false => params.iter().zip(&explained.params).map(text).collect::<Vec<_>>(),
        }
    };
    let query = |plan: &QueryPlan| {
        let plans: Vec<_> = plan.parts().queries().chain([&plan.logical]).collect();
        let builder = builder(&plans, &[], 0);
        let texts = texts(&builder);
        builder.query(plan, params, texts)
    };
    match &explained.target {
        Target::Query(plan) => Ok(query(plan)),
        Target::CreateAs(create) => Ok(query(&create.source.plan)),
        Target::Write(plan) => {
            let write = plan.describe();
            let mut plans: Vec<&LogicalPlan> = match &write.source {
                dml::Source::Rows(_) => Vec::new(),
                dml::Source::Queries(plans) => plans.iter().map(|p| &p.logical).collect(),
            };
            plans.extend(plan.parts().queries());
            // The target of an INSERT is a table beside those its rows come from.
            let given: Vec<Expr> = write.given.iter().map(|(_, v)| v.expr.clone()).collect();
            // So is a family beside its own.
            let family = ctx.catalog.has_children(write.relation.oid);
            let tables = if write.operation == "Insert" || family { 2 } else { 0 };
            let builder = builder(&plans, &given, tables);
            let texts = texts(&builder);
            let ctes = builder.with(plan.parts(), params, &texts);
            let mut tree = builder.write(&write, params, texts, written)?;
            tree.children.splice(0..0, ctes);
            Ok(tree)
        }
        Target::Execute { .. } => Err(PgError::unsupported("EXPLAIN EXECUTE in a function")),
    }
}

/// Settings that bear on plans and are not at their defaults (PostgreSQL's `GUC_EXPLAIN`).
fn settings(ctx: &ExecContext) -> Vec<(String, String)> {
    let settings = ctx.session.settings();
    let all = settings.all().into_iter();
    let bears = all.filter(|(s, _)| {
        s.category.starts_with("Query Tuning") || matches!(s.name, "work_mem" | "search_path")
    });
    bears
        .filter(|(s, _)| settings.source(s.name) != "default")
        .map(|(s, value)| (s.name.to_owned(), value))
        .collect()
}
