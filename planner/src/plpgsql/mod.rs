//! PL/pgSQL: functions, procedures and DO blocks.
//!
//! A body is parsed once per function and version of the catalog; each piece of SQL in it is
//! planned at its first run and kept with the function. Every statement of a volatile function runs with a
//! snapshot of its own; those of the others run with their caller's.

mod ast;
mod cast;
mod cursor;
mod errors;
mod expr;
mod frame;
mod lexer;
mod lookup;
mod loops;
mod parse;
mod part;
mod plan;
mod procedure;
mod query;
mod raise;
mod result;
mod run;
mod trigger;
mod types;

use std::sync::Arc;

use vicinity_storage::catalog::model::{ArgMode, Argument, Function as Declared, Volatility};
use vicinity_types::record::Record;
use vicinity_types::{Datum, Oid, PgError, Result, SqlState, oid};

use self::ast::{Block, Slot, Variable, VariableKind};
use self::frame::{Frame, Value};
use self::parse::{Gives, Parser};
use self::run::{Flow, Interpreter, Returns};
use self::types::CatalogTypes;
use crate::call::PgType;
use crate::context::ExecContext;
use crate::session::Transactions;

/// A compiled function.
#[derive(Debug)]
pub struct Function {
    /// `name(argument types)`, for CONTEXT lines.
    signature: String,
    variables: Vec<Variable>,
    body: Block,
    /// Slots of the input arguments, in order.
    inputs: Vec<Slot>,
    /// Slots of OUT, INOUT and TABLE columns, in order, with their types.
    outs: Vec<Slot>,
    out_types: Vec<PgType>,
    out_names: Arc<[String]>,
    /// The columns of the rows it returns; none of `record`.
    columns: Vec<PgType>,
    found: Slot,
    returns: Returns,
    returns_set: bool,
    /// Of a trigger's function.
    trigger: Option<trigger::Slots>,
    /// Its statements see what the one that calls it sees.
    stable: bool,
    /// Nothing but assignments, conditions and statements: no loops, nothing made up at run time.
    plain: bool,
}

impl Function {
    /// An error of the function as a whole, not of a line.
    fn at_end(&self, error: PgError) -> PgError {
        error.context(format!("PL/pgSQL function {}", self.signature))
    }
}

/// Rows of a set-returning function.
pub type SetRows = Vec<Vec<Datum>>;

/// Compiles a function's body for the catalog of `ctx`.
pub fn compile(ctx: &ExecContext, declared: &Declared) -> Result<Function> {
    compile_checking(ctx, declared, false)
}

/// Compiles a body; CREATE FUNCTION wants the syntax of all SQL in it checked.
pub fn compile_checking(ctx: &ExecContext, declared: &Declared, checks: bool) -> Result<Function> {
    let types = CatalogTypes { ctx };
    let mut parser = Parser::new(&declared.body, &types)?;
    parser.gives = gives(declared);
    parser.checks = checks;
    check_names(declared)?;
    let label = Some(declared.name.as_str());
    let mut inputs = Vec::new();
    let mut outs = Vec::new();
    let mut out_types = Vec::new();
    let mut out_names = Vec::new();
    for (i, arg) in (1..).zip(&declared.args) {
        let kind = variable_kind(ctx, arg.type_oid);
        let numbered = format!("${i}");
        let mut names: Vec<&str> = arg.name.iter().map(String::as_str).collect();
        names.push(&numbered);
        let slot = parser.predeclare(&names, label, kind);
        if matches!(arg.mode, ArgMode::In | ArgMode::InOut | ArgMode::Variadic) {
            inputs.push(slot);
        }
        if matches!(arg.mode, ArgMode::Out | ArgMode::InOut | ArgMode::Table) {
            outs.push(slot);
            out_types.push(full_type(ctx, arg.type_oid));
            out_names.push(arg.name.clone().unwrap_or_else(|| format!("column{}", outs.len())));
        }
    }
    let found = found_slot(&mut parser);
    let trigger = if declared.returns == oid::TRIGGER {
        Some(trigger::declare(&mut parser, declared)?)
    } else {
        None
    };
    let body = match parser.function() {
        Ok(body) => body,
        Err(e) => return Err(compile_error(e, &declared.name, &declared.body, parser.line())),
    };
    Ok(Function {
        plain: trigger::is_plain(&body),
        columns: columns(ctx, declared, &out_types)?,
        trigger,
        signature: crate::names::signature(&ctx.catalog, &ctx.session, declared),
        variables: parser.variables,
        body,
        inputs,
        outs,
        out_types,
        out_names: Arc::from(out_names),
        found,
        returns: returns(ctx, declared),
        returns_set: declared.returns_set,
        stable: declared.volatility != Volatility::Volatile,
    })
}

/// An error of a body shows where in the body, or near which line.
fn compile_error(mut error: PgError, name: &str, body: &str, line: usize) -> PgError {
    let report = error.report_mut();
    match report.position.take() {
        None => {
            error.context(format!("compilation of PL/pgSQL function \"{name}\" near line {line}"))
        }
        place => {
            report.internal_position = place;
            report.internal_query = Some(body.to_owned());
            error
        }
    }
}

fn gives(declared: &Declared) -> Gives {
    let is_out = |a: &Argument| matches!(a.mode, ArgMode::Out | ArgMode::InOut | ArgMode::Table);
    let outs = declared.args.iter().any(is_out);
    match declared.returns {
        _ if declared.returns_set => Gives::Set { outs },
        oid::VOID if declared.procedure => Gives::Procedure,
        oid::VOID => Gives::Nothing,
        _ if outs => Gives::Outs,
        _ => Gives::Value,
    }
}

/// A name is one argument's.
fn check_names(declared: &Declared) -> Result<()> {
    let mut names = declared.args.iter().filter_map(|a| a.name.as_deref()).collect::<Vec<_>>();
    names.sort_unstable();
    match names.windows(2).find_map(|w| w.first().filter(|n| w.last() == Some(n))) {
        None => Ok(()),
        Some(name) => Err(PgError::new(
            SqlState::INVALID_FUNCTION_DEFINITION,
            format!("parameter name \"{name}\" used more than once"),
        )
        .context(format!("compilation of PL/pgSQL function \"{}\" near line 1", declared.name))),
    }
}

/// FOUND is a variable every function has.
fn found_slot(parser: &mut Parser<'_>) -> Slot {
    parser.predeclare(&["found"], None, VariableKind::Scalar(PgType::new(oid::BOOL)))
}

fn full_type(ctx: &ExecContext, ty: Oid) -> PgType {
    PgType::with_kind(ty, -1, ctx.catalog.kind_of(ty))
}

fn variable_kind(ctx: &ExecContext, ty: Oid) -> VariableKind {
    if ty == oid::RECORD {
        VariableKind::Record
    } else if ctx.catalog.relation_of_type(ty).is_some() {
        VariableKind::Row(ty)
    } else {
        VariableKind::Scalar(full_type(ctx, ty))
    }
}

fn returns(ctx: &ExecContext, declared: &Declared) -> Returns {
    match declared.returns {
        oid::VOID => Returns::Void,
        oid::RECORD => Returns::Row(oid::RECORD),
        oid::TRIGGER => Returns::Trigger,
        ty if ctx.catalog.relation_of_type(ty).is_some() => Returns::Row(ty),
        ty => Returns::Scalar(full_type(ctx, ty)),
    }
}

/// The columns of the rows that a function returns.
fn columns(ctx: &ExecContext, declared: &Declared, outs: &[PgType]) -> Result<Vec<PgType>> {
    match returns(ctx, declared) {
        Returns::Row(oid::RECORD) => Ok(outs.to_vec()),
        Returns::Row(ty) => {
            Ok(frame::composite_columns(ctx, ty)?.into_iter().map(|(_, ty)| ty).collect())
        }
        _ => Ok(Vec::new()),
    }
}

pub(crate) use trigger::call as call_trigger;

/// Runs a DO block.
pub(crate) fn run_do(
    ctx: &ExecContext,
    body: &str,
    transactions: Option<&Transactions>,
) -> Result<()> {
    let types = CatalogTypes { ctx };
    let mut parser = Parser::new(body, &types)?;
    parser.checks = ctx.session.setting("check_function_bodies").as_deref() != Some("off");
    let found = found_slot(&mut parser);
    let block = match parser.function() {
        Ok(block) => block,
        Err(e) => return Err(compile_error(e, "inline_code_block", body, parser.line())),
    };
    let variables = parser.variables;
    let mut frame = Frame::new(&variables, found);
    frame.set_found(false);
    let (void, name) = (Returns::Void, "inline_code_block");
    let mut interpreter =
        Interpreter { transactions, ..Interpreter::new(ctx.deeper()?, frame, void, name) };
    check_end(interpreter.block(&block)?, Returns::Void, true)
}

/// Calls a function for one value.
pub fn call(ctx: &ExecContext, function: &Function, args: &[Datum]) -> Result<Datum> {
    let done = run(ctx, function, args, &function.columns, None)?;
    match function.outs.len() {
        0 => Ok(done.result),
        1 => Ok(done.out_values()?.pop().unwrap_or_default()),
        _ => out_row(function, done.out_values()?),
    }
}

/// Calls a procedure, which may end `transactions`: its output arguments' values are a row, if there are any.
pub(crate) fn call_procedure(
    ctx: &ExecContext,
    function: &Function,
    args: &[Datum],
    transactions: Option<&Transactions>,
) -> Result<Datum> {
    let done = run(ctx, function, args, &function.columns, transactions)?;
    if function.outs.is_empty() { Ok(done.result) } else { out_row(function, done.out_values()?) }
}

fn out_row(function: &Function, values: Vec<Datum>) -> Result<Datum> {
    let fields = function.out_types.iter().map(|t| t.oid).zip(values).collect();
    let names = Some(function.out_names.clone());
    Ok(Datum::Record(Arc::new(Record::new(oid::RECORD, fields)?.named(names))))
}

/// Calls a set-returning function for all its rows, of these columns.
pub fn call_set(
    ctx: &ExecContext,
    function: &Function,
    columns: &[PgType],
    args: &[Datum],
) -> Result<SetRows> {
    let wanted: &[PgType] = match (function.returns, columns) {
        (Returns::Row(whole), [one]) if one.oid == whole => &function.columns,
        _ => columns,
    };
    let done = run(ctx, function, args, wanted, None)?;
    if function.returns_set {
        return Ok(done.rows);
    }
    if !function.outs.is_empty() {
        return Ok(vec![done.out_values()?]);
    }
    Ok(vec![match done.result {
        Datum::Record(r) => r.fields.iter().map(|(_, d)| d.clone()).collect(),
        Datum::Null => vec![Datum::Null; columns.len().max(1)],
        value => vec![value],
    }])
}

fn run<'a>(
    ctx: &ExecContext,
    function: &'a Function,
    args: &[Datum],
    wanted: &'a [PgType],
    transactions: Option<&'a Transactions>,
) -> Result<Interpreter<'a>> {
    if function.trigger.is_some() {
        return Err(trigger::not_a_call(function));
    }
    let mut frame = Frame::new(&function.variables, function.found);
    frame.set_found(false);
    let ctx = ctx.deeper()?;
    for (slot, value) in function.inputs.iter().zip(args) {
        match frame.variable(*slot)?.kind {
            VariableKind::Scalar(_) => frame.set_raw(*slot, Value::Scalar(value.clone())),
            VariableKind::Record => {
                let ty = PgType::new(oid::RECORD);
                frame.assign(&ctx, &ast::Place::Variable(*slot), value.clone(), ty)?;
            }
            VariableKind::Row(ty) => {
                let ty = full_type(&ctx, ty);
                frame.assign(&ctx, &ast::Place::Variable(*slot), value.clone(), ty)?;
            }
        }
    }
    let mut interpreter = Interpreter {
        outs: &function.outs,
        wanted,
        transactions,
        stable: function.stable,
        ..Interpreter::new(ctx, frame, function.returns, &function.signature)
    };
    let flow = interpreter.block(&function.body)?;
    let free = function.returns_set || !function.outs.is_empty();
    check_end(flow, function.returns, free).map_err(|e| function.at_end(e))?;
    interpreter.finish()?;
    Ok(interpreter)
}

/// A function with a result must end in RETURN.
fn check_end(flow: Flow, returns: Returns, free: bool) -> Result<()> {
    match flow {
        Flow::Return => Ok(()),
        Flow::Next if free || matches!(returns, Returns::Void) => Ok(()),
        Flow::Next => Err(PgError::new(
            SqlState(*b"2F005"),
            match returns {
                Returns::Trigger => "control reached end of trigger procedure without RETURN",
                _ => "control reached end of function without RETURN",
            },
        )),
        // The function's own name is a label, too.
        Flow::Exit(_) | Flow::Continue(_) => Err(PgError::internal("a label without its loop")),
    }
}
