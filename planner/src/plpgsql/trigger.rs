//! Functions of triggers: NEW and OLD, the variables that tell what happened, the row that is
//! returned.

use vicinity_storage::catalog::model::Function as Declared;
use vicinity_types::{Datum, PgError, Result, SqlState, oid};

use super::ast::{Block, Query, Slot, Statement, StatementKind, Step, VariableKind};
use super::frame::{Frame, Row, Value};
use super::parse::{Gives, Parser};
use super::run::Interpreter;
use super::{Function, Returns, cast, check_end, frame, plan, result};
use crate::call::PgType;
use crate::context::ExecContext;
use crate::exec::after::Values;
use crate::exec::triggers::{Call, Shape};

/// A variable that tells of the trigger.
#[derive(Clone, Copy, Debug)]
enum About {
    Name,
    When,
    Level,
    Op,
    Relid,
    TableName,
    TableSchema,
    Nargs,
    Argv,
}

const ABOUT: [(&str, About, u32); 10] = [
    ("tg_name", About::Name, oid::NAME),
    ("tg_when", About::When, oid::TEXT),
    ("tg_level", About::Level, oid::TEXT),
    ("tg_op", About::Op, oid::TEXT),
    ("tg_relid", About::Relid, oid::OID),
    ("tg_relname", About::TableName, oid::NAME),
    ("tg_table_name", About::TableName, oid::NAME),
    ("tg_table_schema", About::TableSchema, oid::NAME),
    ("tg_nargs", About::Nargs, oid::INT4),
    ("tg_argv", About::Argv, oid::TEXT_ARRAY),
];

/// Where a trigger's function has what it is told.
#[derive(Debug)]
pub(super) struct Slots {
    new: Option<Slot>,
    old: Option<Slot>,
    /// Only those the body speaks of.
    about: Vec<(About, Slot)>,
}

/// Declares NEW, OLD and the others.
pub(super) fn declare(parser: &mut Parser<'_>, declared: &Declared) -> Result<Slots> {
    if !declared.args.is_empty() {
        return Err(PgError::new(
            SqlState::INVALID_FUNCTION_DEFINITION,
            "trigger functions cannot have declared arguments",
        )
        .hint("The arguments of the trigger can be accessed through TG_NARGS and TG_ARGV instead.")
        .context(format!("compilation of PL/pgSQL function \"{}\" near line 1", declared.name)));
    }
    parser.gives = Gives::Trigger;
    let label = Some(declared.name.as_str());
    let mut row = |name| {
        let known = parser.mentions(name);
        known.then(|| parser.predeclare(&[name], label, VariableKind::Record))
    };
    let (new, old) = (row("new"), row("old"));
    let mut about = Vec::new();
    for (name, what, ty) in ABOUT {
        if parser.mentions(name) {
            let kind = VariableKind::Scalar(PgType::new(ty));
            about.push((what, parser.predeclare(&[name], label, kind)));
        }
    }
    Ok(Slots { new, old, about })
}

fn told(what: About, call: &Call<'_>) -> Datum {
    let (armed, shape) = (call.armed, &call.triggers.shape);
    match what {
        About::Name => armed.name.clone(),
        About::When => Datum::text(call.when()),
        About::Level => Datum::text(if call.for_row() { "ROW" } else { "STATEMENT" }),
        About::Op => Datum::text(call.triggers.event.name()),
        About::Relid => Datum::Oid(shape.relation.oid),
        About::TableName => shape.name.clone(),
        About::TableSchema => shape.schema.clone(),
        About::Nargs => Datum::Int4(i32::try_from(armed.trigger.args.len()).unwrap_or(i32::MAX)),
        About::Argv => armed.args.clone(),
    }
}

/// NEW or OLD; one that there is not has the table's columns, but no values.
fn row_of(shape: &Shape, values: Option<Values>) -> Value {
    Value::Row(Some(Row {
        type_oid: shape.row_type,
        names: shape.names.clone(),
        types: shape.types.clone(),
        values: values.map_or_else(Vec::new, |v| shape.seen(v)),
    }))
}

/// The function of a trigger is called as if it were any function.
pub(super) fn not_a_call(function: &Function) -> PgError {
    let name = function.signature.split('(').next().unwrap_or_default();
    PgError::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        "trigger functions can only be called as triggers",
    )
    .context(format!("compilation of PL/pgSQL function \"{name}\" near line 1"))
}

/// Calls a trigger's function: the row it returns, `None` for NULL.
pub(crate) fn call(
    ctx: &ExecContext,
    function: &Function,
    mut call: Call<'_>,
) -> Result<Option<Values>> {
    let Some(slots) = &function.trigger else {
        return Err(PgError::internal("function of a trigger does not return trigger"));
    };
    let mut ctx = ctx.deeper()?;
    ctx.trigger_depth += 1;
    ctx.measure = None;
    let shape = &call.triggers.shape;
    let mut frame = Frame::new(&function.variables, function.found);
    frame.set_found(false);
    let rows = [(slots.new, call.rows.new.take()), (slots.old, call.rows.old.take())];
    for (slot, row) in rows {
        if let Some(slot) = slot {
            frame.set_raw(slot, row_of(shape, row));
        }
    }
    for (what, slot) in &slots.about {
        frame.set_raw(*slot, Value::Scalar(told(*what, &call)));
    }
    let mut interpreter = Interpreter::new(ctx, frame, Returns::Trigger, &function.signature);
    let flow = interpreter.block(&function.body)?;
    check_end(flow, Returns::Trigger, false).map_err(|e| function.at_end(e))?;
    if !call.for_row() {
        return Ok(None);
    }
    match interpreter.answer {
        None => Ok(None),
        Some(row) => shaped(&interpreter.ctx, shape, row).map(Some).map_err(|e| {
            e.context(format!("PL/pgSQL function {} during function exit", function.signature))
        }),
    }
}

/// The value behind RETURN as a row.
pub(super) fn answer(ctx: &ExecContext, value: Datum) -> Result<Option<Row>> {
    match value {
        Datum::Null => Ok(None),
        Datum::Record(_) => match frame::record_value(ctx, value, None)? {
            Value::Row(row) => Ok(row),
            Value::Scalar(_) => Ok(None),
        },
        _ => Err(result::not_a_row()),
    }
}

/// A returned row as one of the table.
fn shaped(ctx: &ExecContext, shape: &Shape, row: Row) -> Result<Values> {
    if std::sync::Arc::ptr_eq(&row.types, &shape.types) {
        return Ok(shape.stored(row.values));
    }
    if let Some(detail) = result::mismatch(ctx, &row.types, &shape.types) {
        return Err(PgError::new(
            SqlState::DATATYPE_MISMATCH,
            "returned row structure does not match the structure of the triggering table",
        )
        .detail(detail));
    }
    let columns = row.types.iter().zip(shape.types.iter());
    let assigned =
        columns.zip(row.values).map(|((from, to), value)| cast::assign(ctx, value, *from, *to));
    let values = assigned.collect::<Result<Vec<Datum>>>()?;
    Ok(shape.stored(values))
}

/// Whether a body is nothing but assignments, conditions and statements of its own text.
pub(super) fn is_plain(block: &Block) -> bool {
    block.handlers.is_empty() && block.body.iter().all(is_plain_statement)
}

fn is_plain_statement(statement: &Statement) -> bool {
    match &statement.kind {
        StatementKind::Null
        | StatementKind::Assign { .. }
        | StatementKind::Return(_)
        | StatementKind::ReturnRow(_)
        | StatementKind::Raise(_)
        | StatementKind::Execute { query: Query::Static(_), .. } => true,
        StatementKind::Block(block) => is_plain(block),
        StatementKind::If { arms, otherwise } => {
            let arms = arms.iter().flat_map(|(_, body)| body);
            arms.chain(otherwise).all(is_plain_statement)
        }
        _ => false,
    }
}

impl Function {
    /// Whether a call is done quickly (invariant *no-starvation*): a plain body all of whose
    /// statements have run before and were short. `depth` is how deep triggers may go from here.
    pub(crate) fn is_short(&self, depth: u32) -> bool {
        depth > 0 && self.plain && is_short_block(&self.body, depth - 1)
    }
}

fn is_short_block(block: &Block, depth: u32) -> bool {
    let mut inits = block.inits.iter().filter_map(|(_, _, default)| default.as_ref());
    inits.all(|d| plan::is_short(d, depth)) && are_short(&block.body, depth)
}

fn are_short(statements: &[Statement], depth: u32) -> bool {
    statements.iter().all(|s| is_short_statement(s, depth))
}

fn is_short_statement(statement: &Statement, depth: u32) -> bool {
    match &statement.kind {
        StatementKind::Execute { query: Query::Static(sql), .. } => plan::is_short(sql, depth),
        StatementKind::Assign { value, path, .. } => {
            let step = |step: &Step| match step {
                Step::Field(_) => true,
                Step::Element(index) => plan::is_short(index, depth),
                Step::Slice(from, to) => {
                    from.iter().chain(to).all(|bound| plan::is_short(bound, depth))
                }
            };
            plan::is_short(value, depth) && path.iter().all(step)
        }
        StatementKind::Return(value) => value.as_ref().is_none_or(|v| plan::is_short(v, depth)),
        StatementKind::Raise(r) => r.args.iter().all(|a| plan::is_short(a, depth)),
        StatementKind::Block(block) => is_short_block(block, depth),
        StatementKind::If { arms, otherwise } => {
            let arm = |(c, body): &(_, Vec<Statement>)| {
                plan::is_short(c, depth) && are_short(body, depth)
            };
            arms.iter().all(arm) && are_short(otherwise, depth)
        }
        _ => true,
    }
}
