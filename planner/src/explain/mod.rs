//! EXPLAIN: what a statement would do in PostgreSQL's words, and with ANALYZE what it did.
//!
//! A tree of nodes is built from the plan ([`build`]) and written in one of four formats ([`print`]).
//! ANALYZE runs the statement with a context that measures ([`Measure`]); nothing is shown that was
//! not counted.

mod build;
mod cost;
pub(crate) mod deparse;
mod join;
mod options;
mod print;
mod resolve;
mod scan;
mod subplan;
mod tree;
mod upper;

use std::sync::Arc;
use std::time::Instant;

use sqlparser::ast;
use vicinity_types::{Datum, Oid, PgError, Result};

use build::Builder;
pub use options::{Format, Options, read};
use print::Summary;

use crate::call::PgType;
use crate::context::ExecContext;
use crate::measure::Measure;
use crate::query::QueryPlan;
use crate::rows::Discard;

/// What is explained.
pub struct Explained {
    /// The query.
    plan: QueryPlan,
    /// Types of its parameters.
    params: Vec<Oid>,
    /// Milliseconds that planning took.
    planning: f64,
}

/// Plans the statement to be explained.
pub fn prepare(
    ctx: &ExecContext,
    stmt: &ast::Statement,
    types: &[Oid],
) -> Result<(Explained, Vec<Oid>)> {
    let ast::Statement::Query(query) = stmt else {
        return Err(PgError::unsupported("EXPLAIN of anything but a query"));
    };
    let began = Instant::now();
    let (plan, params) = crate::session::plan_query(ctx, query, types)?;
    let planning = milliseconds(began);
    Ok((Explained { plan, params: params.clone(), planning }, params))
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// The rows of EXPLAIN.
pub fn run(
    options: &Options,
    explained: &Explained,
    ctx: &ExecContext,
    params: Vec<Datum>,
) -> Result<Vec<Vec<Datum>>> {
    let mut measure = None;
    let mut execution = None;
    if options.analyze {
        let began = Instant::now();
        let measured = Measure::new(options.timing);
        let inner = ExecContext { measure: Some(measured.clone()), ..ctx.clone() };
        let mut cursor = explained.plan.open(inner, params.clone())?;
        while !cursor.fill(&mut Discard, usize::MAX)?.done {}
        // Cursors hand their figures in when they go.
        drop(cursor);
        execution = Some(milliseconds(began));
        measure = Some(measured);
    }
    let builder = Builder::new(ctx, options, measure.as_deref(), &[&explained.plan.logical], 0);
    let texts = params
        .iter()
        .zip(&explained.params)
        .map(|(value, ty)| {
            let kind = ctx.catalog.kind_of(*ty);
            Some(builder.constant(value, PgType::with_kind(*ty, -1, kind)))
        })
        .collect();
    let tree = builder.query(&explained.plan, &params, texts);
    let summary = Summary {
        settings: settings(ctx),
        planning: explained.planning,
        execution,
        triggers: measure.map(|m: Arc<Measure>| m.triggers()).unwrap_or_default(),
    };
    let lines = print::lines(&tree, options, &summary);
    Ok(lines.into_iter().map(|l| vec![Datum::text(l)]).collect())
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
