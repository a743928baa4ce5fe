//! EXPLAIN's options.

use sqlparser::ast;
use vicinity_types::{PgError, Result, SqlState, oid};

use crate::call::PgType;
use crate::rows::OutputColumn;

/// How the plan is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Indented lines.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// One XML document.
    Xml,
    /// One YAML document.
    Yaml,
}

/// What is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Options {
    pub analyze: bool,
    pub verbose: bool,
    pub costs: bool,
    pub settings: bool,
    pub buffers: bool,
    pub timing: bool,
    pub summary: bool,
    pub format: Format,
}

impl Options {
    /// The one column of the result.
    pub fn column(&self) -> OutputColumn {
        let ty = match self.format {
            Format::Json => oid::JSON,
            Format::Xml => oid::XML,
            Format::Text | Format::Yaml => oid::TEXT,
        };
        OutputColumn::computed("QUERY PLAN", PgType::new(ty))
    }

    /// Whether lines are for people.
    pub(crate) fn is_text(&self) -> bool {
        self.format == Format::Text
    }
}

fn on(name: &str, arg: Option<&ast::Expr>) -> Result<bool> {
    let Some(arg) = arg else { return Ok(true) };
    let text = arg.to_string().trim_matches('\'').to_ascii_lowercase();
    match text.as_str() {
        "on" | "true" | "1" => Ok(true),
        "off" | "false" | "0" => Ok(false),
        _ => Err(PgError::new(SqlState::SYNTAX_ERROR, format!("{name} requires a Boolean value"))),
    }
}

fn format_named(name: &str) -> Result<Format> {
    match name.to_ascii_lowercase().as_str() {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        "xml" => Ok(Format::Xml),
        "yaml" => Ok(Format::Yaml),
        _ => Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("unrecognized value for EXPLAIN option \"format\": \"{name}\""),
        )),
    }
}

fn needs_analyze(option: &str) -> PgError {
    let text = format!("EXPLAIN option {option} requires ANALYZE");
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, text)
}

/// Reads an EXPLAIN statement: its options, and what is explained.
pub fn read(stmt: &ast::Statement) -> Result<(Options, &ast::Statement)> {
    let ast::Statement::Explain { analyze, verbose, statement, format, options, .. } = stmt else {
        return Err(PgError::internal("no EXPLAIN"));
    };
    let mut read = Options {
        analyze: *analyze,
        verbose: *verbose,
        costs: true,
        settings: false,
        buffers: false,
        timing: true,
        summary: false,
        format: Format::Text,
    };
    if let Some(format) = format {
        read.format = format_named(format.to_string().rsplit([' ', '=']).next().unwrap_or("text"))?;
    }
    let (mut timing, mut summary, mut wal) = (None, None, false);
    for option in options.iter().flatten() {
        let name = option.name.value.to_ascii_lowercase();
        let arg = option.arg.as_ref();
        match name.as_str() {
            "analyze" => read.analyze = on("analyze", arg)?,
            "verbose" => read.verbose = on("verbose", arg)?,
            "costs" => read.costs = on("costs", arg)?,
            "settings" => read.settings = on("settings", arg)?,
            "buffers" => read.buffers = on("buffers", arg)?,
            "timing" => timing = Some(on("timing", arg)?),
            "summary" => summary = Some(on("summary", arg)?),
            "wal" => wal = on("wal", arg)?,
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
    match (wal, timing) {
        (true, _) if !read.analyze => return Err(needs_analyze("WAL")),
        (true, _) => return Err(PgError::unsupported("EXPLAIN (WAL)")),
        (_, Some(true)) if !read.analyze => return Err(needs_analyze("TIMING")),
        _ => {}
    }
    read.timing = timing.unwrap_or(true);
    read.summary = summary.unwrap_or(read.analyze);
    Ok((read, statement))
}
