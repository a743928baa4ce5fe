//! EXPLAIN: the plan in PostgreSQL's words, with what running it measured.

mod build;
pub mod deparse;
mod print;

use std::time::Instant;

use sqlparser::ast;
use vicinity_types::{Datum, Oid, PgError, Result, SqlState, oid};

use crate::call::PgType;
use crate::context::ExecContext;
use crate::query::QueryPlan;
use crate::rows::{Discard, OutputColumn};

/// How the plan is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Indented lines.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

/// EXPLAIN's options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Options {
    pub analyze: bool,
    pub verbose: bool,
    pub costs: bool,
    pub buffers: bool,
    pub timing: bool,
    pub summary: bool,
    pub format: Format,
}

impl Options {
    /// The one column of the result.
    pub fn column(&self) -> OutputColumn {
        let ty = if self.format == Format::Json { oid::JSON } else { oid::TEXT };
        OutputColumn::computed("QUERY PLAN", PgType::new(ty))
    }
}

/// What is explained.
pub struct Explained {
    /// The query.
    pub plan: QueryPlan,
    /// Milliseconds that planning took.
    planning: f64,
}

fn on(name: &str, arg: Option<&ast::Expr>) -> Result<bool> {
    let Some(arg) = arg else { return Ok(true) };
    let text = arg.to_string().trim_matches('\'').to_ascii_lowercase();
    match text.as_str() {
        "on" | "true" | "1" | "yes" => Ok(true),
        "off" | "false" | "0" | "no" => Ok(false),
        _ => Err(PgError::new(SqlState::SYNTAX_ERROR, format!("{name} requires a Boolean value"))),
    }
}

/// Reads an EXPLAIN statement.
pub fn read(stmt: &ast::Statement) -> Result<(Options, &ast::Statement)> {
    let ast::Statement::Explain { analyze, verbose, statement, format, options, .. } = stmt else {
        return Err(PgError::internal("no EXPLAIN"));
    };
    let mut read = Options {
        analyze: *analyze,
        verbose: *verbose,
        costs: true,
        buffers: false,
        timing: true,
        summary: false,
        format: Format::Text,
    };
    if let Some(format) = format {
        read.format = format_named(format.to_string().rsplit([' ', '=']).next().unwrap_or("text"))?;
    }
    let (mut timing, mut summary) = (None, None);
    for option in options.iter().flatten() {
        let name = option.name.value.to_ascii_lowercase();
        let arg = option.arg.as_ref();
        match name.as_str() {
            "analyze" => read.analyze = on("analyze", arg)?,
            "verbose" => read.verbose = on("verbose", arg)?,
            "costs" => read.costs = on("costs", arg)?,
            "buffers" => read.buffers = on("buffers", arg)?,
            "timing" => timing = Some(on("timing", arg)?),
            "summary" => summary = Some(on("summary", arg)?),
            "settings" | "wal" => {
                on(&name, arg)?;
            }
            "format" => {
                let text = arg.map(ToString::to_string).unwrap_or_default();
                read.format = format_named(text.trim_matches('\''))?;
            }
            _ => {
                return Err(PgError::new(
                    SqlState::SYNTAX_ERROR,
                    format!("unrecognized EXPLAIN option \"{name}\""),
                ));
            }
        }
    }
    if timing == Some(true) && !read.analyze {
        let text = "EXPLAIN option TIMING requires ANALYZE";
        return Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, text));
    }
    read.timing = timing.unwrap_or(true);
    read.summary = summary.unwrap_or(read.analyze);
    Ok((read, statement))
}

fn format_named(name: &str) -> Result<Format> {
    match name.to_ascii_lowercase().as_str() {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        "xml" | "yaml" => Err(PgError::unsupported(format!("EXPLAIN (FORMAT {name})"))),
        _ => Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("unrecognized value for EXPLAIN option \"format\": \"{name}\""),
        )),
    }
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
    let planning = began.elapsed().as_secs_f64() * 1000.0;
    Ok((Explained { plan, planning }, params))
}

/// What running the plan measured.
pub(crate) struct Measured {
    pub(crate) first: f64,
    pub(crate) total: f64,
    pub(crate) rows: u64,
    pub(crate) removed: u64,
}

/// The rows of EXPLAIN.
pub fn run(
    options: &Options,
    explained: &Explained,
    ctx: &ExecContext,
    params: Vec<Datum>,
) -> Result<Vec<Vec<Datum>>> {
    let mut measured = None;
    if options.analyze {
        let began = Instant::now();
        let mut cursor = explained.plan.open(ctx.clone(), params)?;
        let mut fetched = cursor.fill(&mut Discard, 1)?;
        let first = began.elapsed().as_secs_f64() * 1000.0;
        let mut rows = fetched.rows as u64;
        while !fetched.done {
            fetched = cursor.fill(&mut Discard, 65_536)?;
            rows += fetched.rows as u64;
        }
        let total = began.elapsed().as_secs_f64() * 1000.0;
        measured = Some(Measured { first, total, rows, removed: cursor.removed() });
    }
    let tree = build::build(&explained.plan, ctx, options, measured.as_ref());
    let lines = match options.format {
        Format::Text => print::text(&tree, options, explained.planning, measured.as_ref()),
        Format::Json => vec![print::json(&tree, options, explained.planning, measured.as_ref())],
    };
    Ok(lines.into_iter().map(|l| vec![Datum::text(l)]).collect())
}
