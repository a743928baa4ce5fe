//! The interpreter: statements, control flow, handlers.

use vicinity_types::{Datum, Oid, PgError, Result, SqlState, oid};

use super::ast::{Block, Condition, Into, Query, Slot, Sql, Statement, StatementKind, Target};
use super::expr;
use super::frame::{Frame, Row, Value};
use super::query;
use super::raise;
use crate::call::PgType;
use crate::context::ExecContext;
use crate::session::Transactions;

/// Where control goes after a statement.
pub(super) enum Flow {
    Next,
    Exit(Option<String>),
    Continue(Option<String>),
    Return,
}

/// What a function returns.
#[derive(Clone, Copy, Debug)]
pub(super) enum Returns {
    /// Nothing: DO blocks, procedures, `void`.
    Void,
    /// One value of a type.
    Scalar(PgType),
    /// A row of a composite type, or of `record`.
    Row(Oid),
    /// The row a trigger is called for, or one in its place.
    Trigger,
}

/// One call of a function.
pub(super) struct Interpreter<'a> {
    pub(super) ctx: ExecContext,
    pub(super) frame: Frame<'a>,
    pub(super) returns: Returns,
    /// Slots of OUT parameters, whose values are the result.
    pub(super) outs: &'a [Slot],
    pub(super) result: Datum,
    /// The type of what RETURN gave.
    pub(super) result_type: Option<PgType>,
    /// The columns of its rows; none where nobody said.
    pub(super) wanted: &'a [PgType],
    /// What a trigger's function returns.
    pub(super) answer: Option<Row>,
    /// Rows of a set.
    pub(super) rows: Vec<Vec<Datum>>,
    /// The error being handled, for a bare RAISE and GET STACKED DIAGNOSTICS.
    pub(super) handling: Option<PgError>,
    /// Rows the last statement touched.
    pub(super) row_count: u64,
    /// The function's name for CONTEXT lines.
    pub(super) name: &'a str,
    /// Those it may end.
    pub(super) transactions: Option<&'a Transactions>,
    /// The error on its way says where it was.
    pub(super) located: bool,
    /// It sees what the statement sees that calls it, and changes nothing: a STABLE or IMMUTABLE function.
    pub(super) stable: bool,
}

/// The value of a function before it returns one: of type `void` there is one, an empty text.
pub(super) fn nothing(returns: Returns) -> Datum {
    if matches!(returns, Returns::Void) { Datum::text("") } else { Datum::Null }
}

impl<'a> Interpreter<'a> {
    /// About to run a body that gives no set and has no OUT parameters.
    pub(super) fn new(
        ctx: ExecContext,
        frame: Frame<'a>,
        returns: Returns,
        name: &'a str,
    ) -> Interpreter<'a> {
        Interpreter {
            ctx,
            frame,
            returns,
            outs: &[],
            result: nothing(returns),
            result_type: None,
            wanted: &[],
            answer: None,
            rows: Vec::new(),
            handling: None,
            row_count: 0,
            name,
            transactions: None,
            located: false,
            stable: false,
        }
    }
}

impl Interpreter<'_> {
    pub(super) fn block(&mut self, block: &Block) -> Result<Flow> {
        if block.handlers.is_empty() {
            return self.block_body(block);
        }
        let savepoint = self.ctx.txn.savepoint();
        let advisory = self.ctx.session.advisory_taken();
        let portals = self.ctx.session.portals().mark();
        let deferred = self.ctx.session.mark_deferred();
        if let Some(transactions) = self.transactions {
            transactions.enter_savepoint();
        }
        let ran = self.block_body(block);
        if let Some(transactions) = self.transactions {
            transactions.leave_savepoint();
        }
        match ran {
            Ok(flow) => {
                self.ctx.txn.release(savepoint);
                Ok(flow)
            }
            Err(error) => {
                let Some(handler) =
                    block.handlers.iter().find(|h| h.conditions.iter().any(|c| matches(c, &error)))
                else {
                    self.ctx.txn.release(savepoint);
                    return Err(error);
                };
                if error.code() == SqlState::QUERY_CANCELED {
                    self.ctx.session.forget_deadline();
                }
                self.ctx.session.portals().rollback_to(portals);
                self.ctx.session.restore_deferred(&deferred);
                self.ctx.txn.rollback_to(&savepoint)?;
                self.ctx.engine.advisory.rollback_to(&self.ctx.session, advisory);
                self.ctx.txn.release(savepoint);
                self.renew();
                self.located = false;
                if let Some((state, message)) = block.error_slots {
                    self.set_text(state, error.code().as_str());
                    self.set_text(message, error.message());
                }
                let outer = self.handling.replace(error);
                let flow = self.statements(&handler.body);
                self.handling = outer;
                self.close_label(flow?, block.label.as_deref())
            }
        }
    }

    fn set_text(&mut self, slot: Slot, text: &str) {
        self.frame.set_raw(slot, Value::Scalar(Datum::text(text)));
    }

    fn block_body(&mut self, block: &Block) -> Result<Flow> {
        for (slot, line, default) in &block.inits {
            self.initialise(*slot, default.as_ref()).map_err(|e| {
                let place =
                    format!("line {line} during statement block local variable initialization");
                self.located(e, &place)
            })?;
        }
        let flow = self.statements(&block.body)?;
        self.close_label(flow, block.label.as_deref())
    }

    fn initialise(&mut self, slot: Slot, default: Option<&Sql>) -> Result<()> {
        let Some(sql) = default else {
            let empty = match self.frame.variable(slot)?.kind {
                super::ast::VariableKind::Scalar(_) => Value::Scalar(Datum::Null),
                _ => Value::Row(None),
            };
            self.frame.set_raw(slot, empty);
            return Ok(());
        };
        let (value, ty) = expr::eval(self, sql)?;
        self.frame.assign(&self.ctx, &super::ast::Place::Variable(slot), value, ty)
    }

    /// EXIT with a block's own label ends there.
    fn close_label(&self, flow: Flow, label: Option<&str>) -> Result<Flow> {
        Ok(match flow {
            Flow::Exit(Some(to)) if Some(to.as_str()) == label => Flow::Next,
            other => other,
        })
    }

    /// Statements see what the transaction did before them.
    pub(super) fn renew(&mut self) {
        if !self.stable {
            self.ctx.advance();
        }
    }

    /// An error for a statement that the function must not run.
    pub(super) fn allow(&self, statement: &crate::inner::Statement) -> Result<()> {
        match statement.changing().filter(|_| self.stable) {
            Some(what) => Err(PgError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("{what} is not allowed in a non-volatile function"),
            )),
            None => Ok(()),
        }
    }

    pub(super) fn statements(&mut self, body: &[Statement]) -> Result<Flow> {
        for statement in body {
            match self.statement(statement) {
                Ok(Flow::Next) => {}
                Ok(flow) => return Ok(flow),
                Err(e) => return Err(self.with_context(e, statement)),
            }
        }
        Ok(Flow::Next)
    }

    fn with_context(&mut self, error: PgError, statement: &Statement) -> PgError {
        let what = raise::describe(&statement.kind);
        self.located(error, &format!("line {} at {what}", statement.line))
    }

    /// An error says once a call where it was: the innermost statement.
    fn located(&mut self, error: PgError, place: &str) -> PgError {
        if std::mem::replace(&mut self.located, true) {
            return error;
        }
        error.context(format!("PL/pgSQL function {} {place}", self.name))
    }

    fn statement(&mut self, statement: &Statement) -> Result<Flow> {
        match &statement.kind {
            StatementKind::Null => Ok(Flow::Next),
            StatementKind::Block(block) => self.block(block),
            StatementKind::Assign { place, path, value } => {
                let (value, ty) = expr::eval(self, value)?;
                if path.is_empty() {
                    self.frame.assign(&self.ctx, place, value, ty)?;
                } else {
                    self.assign_part(place, path, value, ty)?;
                }
                Ok(Flow::Next)
            }
            StatementKind::If { arms, otherwise } => {
                for (condition, body) in arms {
                    if expr::truth(self, condition)? {
                        return self.statements(body);
                    }
                }
                self.statements(otherwise)
            }
            StatementKind::Case { operand, arms, otherwise } => {
                self.case(operand.as_ref(), arms, otherwise.as_deref())
            }
            StatementKind::Exit { label, when, next } => {
                if let Some(when) = when
                    && !expr::truth(self, when)?
                {
                    return Ok(Flow::Next);
                }
                let label = label.clone();
                Ok(if *next { Flow::Continue(label) } else { Flow::Exit(label) })
            }
            StatementKind::Return(value) => self.return_value(value.as_ref()),
            StatementKind::ReturnRow(row) => {
                self.answer = row.and_then(|slot| self.frame.take_row(slot));
                Ok(Flow::Return)
            }
            StatementKind::ReturnNext(value) => self.return_next(value.as_ref()),
            StatementKind::ReturnQuery(query) => self.return_query(query),
            StatementKind::Raise(r) => raise::raise(self, r).map(|()| Flow::Next),
            StatementKind::Assert { condition, message } => {
                self.assert(condition, message.as_ref())
            }
            StatementKind::Execute { query, into } => self.execute(query, into.as_ref()),
            StatementKind::Perform(sql) => {
                let count = query::run(self, sql)?;
                self.frame.set_found(count > 0);
                self.row_count = count;
                Ok(Flow::Next)
            }
            StatementKind::Call(call) => self.call(call).map(|()| Flow::Next),
            StatementKind::Transaction { commit, chain } => {
                self.end_transaction(*commit, *chain).map(|()| Flow::Next)
            }
            StatementKind::Diagnostics { stacked, items } => {
                raise::diagnostics(self, *stacked, items, statement.line).map(|()| Flow::Next)
            }
            StatementKind::Open { cursor, args, query } => {
                self.open(*cursor, args, query.as_ref()).map(|()| Flow::Next)
            }
            StatementKind::Fetch { cursor, direction, target } => {
                self.fetch(*cursor, direction, target.as_ref()).map(|()| Flow::Next)
            }
            StatementKind::Close { cursor } => self.close(*cursor).map(|()| Flow::Next),
            loops => self.loops(loops),
        }
    }

    fn case(
        &mut self,
        operand: Option<&(Slot, Sql)>,
        arms: &[(Sql, Vec<Statement>)],
        otherwise: Option<&[Statement]>,
    ) -> Result<Flow> {
        for (condition, body) in arms {
            let hit = match operand {
                None => expr::truth(self, condition)?,
                Some((_, operand)) => expr::equals_any(self, operand, condition)?,
            };
            if hit {
                return self.statements(body);
            }
        }
        match otherwise {
            Some(body) => self.statements(body),
            None => Err(PgError::new(SqlState(*b"20000"), "case not found")
                .hint("CASE statement is missing ELSE part.")),
        }
    }

    fn assert(&mut self, condition: &Sql, message: Option<&Sql>) -> Result<Flow> {
        if expr::truth(self, condition)? {
            return Ok(Flow::Next);
        }
        let text = match message {
            Some(sql) => expr::text(self, sql)?,
            None => None,
        };
        Err(PgError::new(
            SqlState::ASSERT_FAILURE,
            text.unwrap_or_else(|| "assertion failed".to_owned()),
        ))
    }

    fn execute(&mut self, query: &Query, into: Option<&Into>) -> Result<Flow> {
        let dynamic = matches!(query, Query::Dynamic { .. });
        let Some(into) = into else {
            let (count, gave_rows) = query::execute(self, query)?;
            if gave_rows && !dynamic {
                return Err(PgError::new(
                    SqlState::SYNTAX_ERROR,
                    "query has no destination for result data",
                )
                .hint("If you want to discard the results of a SELECT, use PERFORM instead."));
            }
            self.row_count = count;
            // EXECUTE leaves FOUND alone.
            if !dynamic {
                self.frame.set_found(count > 0);
            }
            return Ok(Flow::Next);
        };
        let enough = if into.strict { 2 } else { 1 };
        let rows = query::collect(self, query, enough, |_, _| Ok(()))?;
        if into.strict && rows.len() != 1 {
            return Err(if rows.is_empty() {
                PgError::new(SqlState::NO_DATA_FOUND, "query returned no rows")
            } else {
                PgError::new(SqlState::TOO_MANY_ROWS, "query returned more than one row")
                    .hint("Make sure the query returns a single row, or use LIMIT 1.")
            });
        }
        let row = rows.into_iter().next();
        let count = u64::from(row.is_some());
        self.store(&into.target, row)?;
        if !dynamic {
            self.frame.set_found(count > 0);
        }
        self.row_count = count;
        Ok(Flow::Next)
    }

    /// Puts a result row into a target; without a row everything becomes NULL.
    pub(super) fn store(&mut self, target: &Target, row: Option<Row>) -> Result<()> {
        match target {
            Target::Row(slot) => self.frame.assign_row(&self.ctx, *slot, row),
            Target::Scalars(places) => {
                for (i, place) in places.iter().enumerate() {
                    let found = row
                        .as_ref()
                        .and_then(|r| Some((r.values.get(i)?.clone(), *r.types.get(i)?)));
                    let (value, ty) = found.unwrap_or((Datum::Null, PgType::new(oid::UNKNOWN)));
                    self.frame.assign(&self.ctx, place, value, ty)?;
                }
                Ok(())
            }
        }
    }
}

fn matches(condition: &Condition, error: &PgError) -> bool {
    let code = error.code();
    match condition {
        // OTHERS leaves cancels and failed assertions alone, as PostgreSQL does.
        Condition::Others => code != SqlState::QUERY_CANCELED && code != SqlState::ASSERT_FAILURE,
        Condition::State(state) => code == *state,
        Condition::Class(class) => code.0.get(..2) == class.0.get(..2),
    }
}
