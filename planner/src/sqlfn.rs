//! SQL-language functions: a list of statements, planned once, the last of which is the result.

mod listed;

use std::sync::Arc;

use vicinity_storage::catalog::model::{ArgMode, Function as Declared, Volatility};
use vicinity_types::record::Record;
use vicinity_types::{Datum, Kind, Oid, PgError, Result, SqlState, oid};

use crate::bind::Variables;
use crate::call::PgType;
use crate::context::ExecContext;
use crate::inner::{self, Statement};
use crate::resolve::Context;
use crate::resolve::cast::can_coerce;
use crate::resolve::types::Types;

/// A compiled function.
#[derive(Debug)]
pub struct Function {
    statements: Vec<Arc<Statement>>,
    returns: PgType,
    /// The columns of a row result, with their types; empty for a scalar.
    columns: Vec<PgType>,
    /// Names of OUT columns.
    names: Option<Arc<[String]>>,
    volatile: bool,
    returns_set: bool,
    name: String,
}

/// Arguments by name, and `name.argument`.
struct Arguments<'a> {
    declared: &'a Declared,
    types: Vec<PgType>,
}

impl Variables for Arguments<'_> {
    fn lookup(&self, parts: &[&str]) -> Option<(usize, PgType)> {
        let name = match parts {
            [name] => name,
            [function, name] if *function == self.declared.name => name,
            _ => return None,
        };
        let inputs =
            self.declared.args.iter().filter(|a| !matches!(a.mode, ArgMode::Out | ArgMode::Table));
        let number = name.strip_prefix('$').and_then(|n| n.parse::<usize>().ok());
        let at = match number {
            Some(n) => n.checked_sub(1)?,
            None => inputs.clone().position(|a| a.name.as_deref() == Some(name))?,
        };
        Some((at + 1, *self.types.get(at)?))
    }
}

fn full_type(ctx: &ExecContext, ty: Oid) -> PgType {
    PgType::with_kind(ty, -1, ctx.catalog.kind_of(ty))
}

/// Compiles a function's body for the catalog of `ctx`, to be called.
pub fn compile(ctx: &ExecContext, declared: &Declared) -> Result<Function> {
    build(ctx, declared).map_err(|e| {
        let when = if is_tried_inline(declared) { "inlining" } else { "startup" };
        e.context(format!("SQL function \"{}\" during {when}", declared.name))
    })
}

/// Checks a body at CREATE FUNCTION. An error with a place in the body needs no more to be found.
pub fn validate(ctx: &ExecContext, declared: &Declared) -> Result<()> {
    build(ctx, declared).map(drop).map_err(|e| {
        let shown = e.report().internal_query.is_some();
        if shown { e } else { e.context(format!("SQL function \"{}\"", declared.name)) }
    })
}

/// Whether PostgreSQL looks at the body first to put it in the place of the call.
fn is_tried_inline(declared: &Declared) -> bool {
    let single = inner::split(&declared.body).is_ok_and(|statements| statements.len() == 1);
    let shape = match declared.returns_set {
        true => !declared.strict && declared.volatility != Volatility::Volatile,
        false => declared.returns != oid::RECORD,
    };
    let alone = !declared.procedure && !declared.security_definer && declared.config.is_empty();
    single && shape && alone
}

fn build(ctx: &ExecContext, declared: &Declared) -> Result<Function> {
    let types = declared.input_types().iter().map(|t| full_type(ctx, *t)).collect();
    let oids = declared.input_types();
    let names = Arguments { declared, types };
    let body = &declared.body;
    let prepare = |text: &String| {
        inner::prepare(ctx, text, &oids, &names).map_err(|e| in_body(e, body, text))
    };
    let statements = inner::split(body)
        .map_err(|e| in_body(e, body, body))?
        .iter()
        .map(prepare)
        .collect::<Result<Vec<_>>>()?;
    let function = Function {
        columns: result_columns(ctx, declared),
        // A composite type knows its own.
        names: out_names(declared).filter(|_| declared.returns == oid::RECORD),
        returns: full_type(ctx, declared.returns),
        volatile: declared.volatility == Volatility::Volatile,
        returns_set: declared.returns_set,
        name: declared.name.clone(),
        statements,
    };
    check_result(ctx, &function, declared)?;
    Ok(function)
}

/// Errors of a statement show the function's body, with the position in it.
fn in_body(mut error: PgError, body: &str, statement: &str) -> PgError {
    let report = error.report_mut();
    let before = body.find(statement).and_then(|at| body.get(..at));
    if let (Some(before), None) = (before, &report.internal_query)
        && let Some(place) = report.position.take()
    {
        report.internal_position = Some(before.chars().count() + place);
        report.internal_query = Some(body.to_owned());
    }
    error
}

fn out_names(declared: &Declared) -> Option<Arc<[String]>> {
    let outs = declared.args.iter().filter(|a| !matches!(a.mode, ArgMode::In | ArgMode::Variadic));
    let names: Vec<String> = outs
        .enumerate()
        .map(|(i, a)| a.name.clone().unwrap_or_else(|| format!("column{}", i + 1)))
        .collect();
    (!names.is_empty()).then(|| Arc::from(names))
}

/// Types of the columns of a row result: OUT and TABLE columns, or a composite type's.
fn result_columns(ctx: &ExecContext, declared: &Declared) -> Vec<PgType> {
    let outs: Vec<PgType> = declared
        .args
        .iter()
        .filter(|a| matches!(a.mode, ArgMode::Out | ArgMode::InOut | ArgMode::Table))
        .map(|a| full_type(ctx, a.type_oid))
        .collect();
    let single = declared.procedure || declared.args.iter().any(|a| a.mode == ArgMode::Table);
    if outs.len() > 1 || single && !outs.is_empty() {
        return outs;
    }
    fields_of_type(ctx, declared.returns)
}

/// The types of a composite type's fields; none of another type.
fn fields_of_type(ctx: &ExecContext, ty: Oid) -> Vec<PgType> {
    use vicinity_storage::catalog::model::RelationKind;
    let relation = ctx.catalog.relation_of_type(ty);
    let columns = match relation.map(|r| &r.kind) {
        Some(RelationKind::Table(t)) => &t.columns,
        Some(RelationKind::View(v)) => &v.columns,
        Some(RelationKind::Composite(c)) => c,
        _ => return Vec::new(),
    };
    columns.iter().filter(|c| !c.dropped).map(|c| full_type(ctx, c.type_oid)).collect()
}

/// Pseudo-types that stand for no value are neither arguments nor results, whether bodies are checked or not.
pub fn check_signature(ctx: &ExecContext, declared: &Declared) -> Result<()> {
    let refused = |ty: Oid| {
        let pseudo = vicinity_functions::type_by_oid(ty).is_some_and(|t| t.kind == b'p');
        pseudo && !vicinity_functions::is_polymorphic(ty)
    };
    let error = |what: &str, ty: Oid| {
        let text = format!("SQL functions cannot {what} type {}", ctx.type_name(ty, None));
        Err(PgError::new(SqlState::INVALID_FUNCTION_DEFINITION, text))
    };
    if refused(declared.returns) && !matches!(declared.returns, oid::RECORD | oid::VOID) {
        return error("return", declared.returns);
    }
    match declared.input_types().into_iter().find(|ty| refused(*ty)) {
        Some(ty) => error("have arguments of", ty),
        None => Ok(()),
    }
}

/// The last statement must give what the function is declared to return.
fn check_result(ctx: &ExecContext, f: &Function, declared: &Declared) -> Result<()> {
    if declared.returns == oid::VOID {
        return Ok(());
    }
    let types = Types::of(ctx);
    let found: Vec<Oid> = given(f).map(typed).collect();
    let detail = if !f.statements.last().is_some_and(|s| s.gives_rows()) {
        let text = "Function's final statement must be SELECT or INSERT/UPDATE/DELETE RETURNING.";
        Some(text.to_owned())
    } else if is_row(f) {
        row_mismatch(&types, f, &found)
    } else {
        scalar_mismatch(&types, f.returns.oid, &found)
    };
    let Some(detail) = detail else { return Ok(()) };
    let name = ctx.type_name(declared.returns, None);
    let text = format!("return type mismatch in function declared to return {name}");
    Err(PgError::new(SqlState::INVALID_FUNCTION_DEFINITION, text).detail(detail))
}

/// Whether the columns of the last statement are those of a row; a domain over one is a single value.
fn is_row(f: &Function) -> bool {
    let fields = f.returns.kind == Kind::Record && !f.columns.is_empty();
    fields || f.returns.oid == oid::RECORD
}

/// What has no type yet is text by the time it comes out.
fn typed(ty: PgType) -> Oid {
    if ty.oid == oid::UNKNOWN { oid::TEXT } else { ty.oid }
}

fn assignable(types: &Types, from: Oid, to: Oid) -> bool {
    can_coerce(types, &[from], &[to], Context::Assignment)
}

/// What is wrong with the columns for a single value.
fn scalar_mismatch(types: &Types, returns: Oid, found: &[Oid]) -> Option<String> {
    match found {
        [one] if assignable(types, *one, returns) => None,
        [one] => Some(format!("Actual return type is {}.", types.name(*one))),
        _ => Some("Final statement must return exactly one column.".to_owned()),
    }
}

/// What is wrong with the columns for a row: the row itself may be the only one.
fn row_mismatch(types: &Types, f: &Function, found: &[Oid]) -> Option<String> {
    if let [one] = found
        && assignable(types, *one, f.returns.oid)
    {
        return None;
    }
    // Any row will do for a record without columns.
    if f.columns.is_empty() {
        return None;
    }
    columns_mismatch(types, &f.columns, found)
}

/// What is wrong with the columns of the last statement for those that are wanted.
fn columns_mismatch(types: &Types, wanted: &[PgType], found: &[Oid]) -> Option<String> {
    let mut wanted = wanted.iter().map(|ty| ty.oid);
    for (at, from) in (1_usize..).zip(found) {
        let Some(to) = wanted.next() else {
            return Some("Final statement returns too many columns.".to_owned());
        };
        if !assignable(types, *from, to) {
            let (from, to) = (types.name(*from), types.name(to));
            return Some(format!("Final statement returns {from} instead of {to} at column {at}."));
        }
    }
    wanted.next().map(|_| "Final statement returns too few columns.".to_owned())
}

/// Runs the statements; the last one's rows go to `f` until it says to stop.
fn run(
    ctx: &ExecContext,
    function: &Function,
    args: &[Datum],
    f: &mut dyn FnMut(Vec<Datum>) -> Result<bool>,
) -> Result<()> {
    let mut ctx = ctx.deeper()?;
    let Some((last, before)) = function.statements.split_last() else { return Ok(()) };
    // One statement over its arguments needs no snapshot of its own.
    let renew = |ctx: &mut ExecContext, s: &Statement| {
        if function.volatile && s.reads_data() {
            *ctx = ctx.next_statement();
        }
    };
    let placed = |error: PgError, number: usize| {
        error.context(format!("SQL function \"{}\" statement {number}", function.name))
    };
    for (number, statement) in (1..).zip(before) {
        renew(&mut ctx, statement);
        inner::rows(&ctx, statement, args.into(), &mut |_| Ok(true))
            .map_err(|e| placed(e, number))?;
    }
    renew(&mut ctx, last);
    inner::rows(&ctx, last, args.into(), f).map_err(|e| placed(e, function.statements.len()))?;
    Ok(())
}

/// Calls a function for one value: the first row of its last statement, or NULL.
pub fn call(ctx: &ExecContext, function: &Function, args: &[Datum]) -> Result<Datum> {
    // One query that reads no table: nothing of the surroundings changes.
    if let [only] = function.statements.as_slice()
        && only.is_single()
        && is_result(function)
    {
        return inner::scalar(&ctx.deeper()?, only, args);
    }
    let mut result = Datum::Null;
    run(ctx, function, args, &mut |row| {
        result = value_of(ctx, function, row)?;
        Ok(false)
    })?;
    Ok(result)
}

/// Calls a procedure: its output arguments are a row, which there must be.
pub fn call_procedure(ctx: &ExecContext, function: &Function, args: &[Datum]) -> Result<Datum> {
    match call(ctx, function, args)? {
        Datum::Null if function.returns.oid != oid::VOID => {
            Err(PgError::internal("procedure returned null record"))
        }
        value => Ok(value),
    }
}

/// Calls a set-returning function for all its rows: of its result's fields, or of the one column that is wanted of
/// the composite type itself.
pub fn call_set(
    ctx: &ExecContext,
    function: &Function,
    columns: &[PgType],
    args: &[Datum],
) -> Result<Vec<Vec<Datum>>> {
    let whole =
        is_composite(function) && matches!(columns, [one] if one.oid == function.returns.oid);
    // Whoever calls it says what its records are made of.
    let listed = function.returns.oid == oid::RECORD
        && function.columns.is_empty()
        && !matches!(columns, [one] if one.oid == oid::RECORD);
    if listed {
        return listed::rows(ctx, function, columns, args);
    }
    let mut rows = Vec::new();
    run(ctx, function, args, &mut |row| {
        rows.push(match whole {
            true => vec![composite_of(ctx, function, row)?],
            false => row_of(ctx, function, row)?,
        });
        Ok(function.returns_set)
    })?;
    Ok(at_least_one(function, columns, rows))
}

/// What gives no set gives a row, of NULLs where its last statement found none.
fn at_least_one(
    function: &Function,
    columns: &[PgType],
    mut rows: Vec<Vec<Datum>>,
) -> Vec<Vec<Datum>> {
    if !function.returns_set && rows.is_empty() {
        rows.push(vec![Datum::Null; columns.len()]);
    }
    rows
}

/// The types of what the last statement gives.
fn given(function: &Function) -> impl Iterator<Item = PgType> {
    function.statements.last().map_or(&[][..], |s| s.columns()).iter().map(|c| c.ty)
}

/// Whether the last statement gives one value, which is the result as it is.
fn is_result(function: &Function) -> bool {
    let mut types = given(function);
    let (Some(one), None) = (types.next(), types.next()) else { return false };
    one.oid == function.returns.oid && (one.oid != oid::RECORD || function.columns.is_empty())
}

/// Whether the columns are the fields of the composite type that it returns.
fn is_composite(function: &Function) -> bool {
    let returns = function.returns;
    returns.kind == Kind::Record
        && returns.oid != oid::RECORD
        && !function.columns.is_empty()
        && function.columns.iter().all(|c| c.oid != returns.oid)
}

/// Whether the one value of a row is the result, and the result's columns are its fields.
fn is_whole(function: &Function) -> bool {
    let mut types = given(function);
    let (Some(one), None) = (types.next(), types.next()) else { return false };
    let own = is_composite(function) && [oid::RECORD, function.returns.oid].contains(&one.oid);
    one.kind == Kind::Record && (function.columns.len() > 1 || own)
}

/// Whether a row is of the composite type that the function returns.
fn is_own(function: &Function, row: &Record) -> bool {
    is_composite(function) && row.type_oid == function.returns.oid
}

/// A row as one value of a row type. NULL stays NULL: it is not a row of NULLs.
fn composite_of(ctx: &ExecContext, function: &Function, row: Vec<Datum>) -> Result<Datum> {
    let fields: Vec<(Oid, Datum)> = match (function.columns.as_slice(), row.as_slice()) {
        // A record that has no columns is whatever comes.
        ([], [whole @ Datum::Record(_)]) => return Ok(whole.clone()),
        ([], _) => given(function).map(|ty| ty.oid).zip(row).collect(),
        // The one column of a table is such a value itself.
        ([one], _) if one.oid == function.returns.oid => {
            return Ok(row_of(ctx, function, row)?.pop().unwrap_or_default());
        }
        (_, [Datum::Null]) if is_whole(function) => return Ok(Datum::Null),
        (_, [whole @ Datum::Record(r)]) if is_whole(function) && is_own(function, r) => {
            return Ok(whole.clone());
        }
        (columns, _) => {
            let types = columns.iter().map(|c| c.oid);
            types.zip(row_of(ctx, function, row)?).collect()
        }
    };
    let row = Record::new(function.returns.oid, fields)?.named(function.names.clone());
    Ok(Datum::Record(Arc::new(row)))
}

/// A record's fields as columns.
fn fields_of(
    ctx: &ExecContext,
    function: &Function,
    record: &Record,
    columns: &[PgType],
) -> Result<Vec<Datum>> {
    let fields = record.fields.iter().map(|(ty, value)| (value.clone(), full_type(ctx, *ty)));
    fitted(ctx, function, fields.collect(), columns)
}

/// Values as columns, which they must fit.
fn fitted(
    ctx: &ExecContext,
    function: &Function,
    values: Vec<(Datum, PgType)>,
    columns: &[PgType],
) -> Result<Vec<Datum>> {
    let found: Vec<Oid> = values.iter().map(|(_, ty)| ty.oid).collect();
    listed::check(ctx, function, columns, &found)?;
    let each = values.into_iter().zip(columns);
    each.map(|((value, from), to)| assign(ctx, function, value, from, *to)).collect()
}

fn row_of(ctx: &ExecContext, function: &Function, row: Vec<Datum>) -> Result<Vec<Datum>> {
    if function.columns.is_empty() {
        return Ok(vec![value_of(ctx, function, row)?]);
    }
    match row.as_slice() {
        [Datum::Record(r)] if is_whole(function) && is_own(function, r) => {
            return Ok(r.fields.iter().map(|(_, value)| value.clone()).collect());
        }
        [Datum::Record(r)] if is_whole(function) => {
            return fields_of(ctx, function, r, &function.columns);
        }
        [Datum::Null] if is_whole(function) => {
            return Ok(vec![Datum::Null; function.columns.len()]);
        }
        _ => {}
    }
    row.into_iter()
        .zip(given(function))
        .zip(&function.columns)
        .map(|((value, from), to)| assign(ctx, function, value, from, *to))
        .collect()
}

fn value_of(ctx: &ExecContext, function: &Function, row: Vec<Datum>) -> Result<Datum> {
    if function.returns.oid == oid::VOID {
        return Ok(Datum::Null);
    }
    if is_row(function) {
        return composite_of(ctx, function, row);
    }
    let value = row.into_iter().next().unwrap_or_default();
    let from = given(function).next().unwrap_or(function.returns);
    assign(ctx, function, value, from, function.returns)
}

fn assign(
    ctx: &ExecContext,
    function: &Function,
    value: Datum,
    from: PgType,
    to: PgType,
) -> Result<Datum> {
    if from.oid == to.oid {
        return Ok(value);
    }
    if value.is_null() {
        return inner::null_of(ctx, to);
    }
    // A row without a name becomes one of a type field by field.
    if let Datum::Record(record) = &value
        && from.oid == oid::RECORD
        && to.kind == Kind::Record
    {
        let base = full_type(ctx, Types::of(ctx).base(to.oid));
        let columns = fields_of_type(ctx, base.oid);
        let types = columns.iter().map(|c| c.oid);
        let fields = types.zip(fields_of(ctx, function, record, &columns)?).collect();
        let row = Datum::Record(Arc::new(Record::new(base.oid, fields)?));
        return assign(ctx, function, row, base, to);
    }
    inner::convert(ctx, &value, from, to)?.ok_or_else(|| {
        PgError::new(SqlState::DATATYPE_MISMATCH, "return type mismatch in SQL function")
    })
}
