//! What RETURN, RETURN NEXT and RETURN QUERY give, held against the columns that are wanted.

use vicinity_types::record::Record;
use vicinity_types::{Datum, Oid, PgError, Result, SqlState, oid};

use super::ast::{Query, Sql};
use super::frame::composite_columns;
use super::run::{Flow, Interpreter, Returns, nothing};
use super::{cast, expr, query, trigger};
use crate::call::PgType;
use crate::context::ExecContext;
use crate::inner::Statement;

impl Interpreter<'_> {
    pub(super) fn return_value(&mut self, value: Option<&Sql>) -> Result<Flow> {
        let Some(sql) = value else { return Ok(Flow::Return) };
        let (value, ty) = expr::eval(self, sql)?;
        self.result = match self.returns {
            Returns::Void => nothing(self.returns),
            Returns::Scalar(_) => value,
            Returns::Row(_) => only_row(value)?,
            Returns::Trigger => {
                self.answer = trigger::answer(&self.ctx, value)?;
                Datum::Null
            }
        };
        self.result_type = Some(ty);
        Ok(Flow::Return)
    }

    /// Makes what RETURN gave the function's result. No handler of the body sees what is wrong with it.
    pub(super) fn finish(&mut self) -> Result<()> {
        let Some(from) = self.result_type else { return Ok(()) };
        let value = std::mem::take(&mut self.result);
        let made = match self.returns {
            Returns::Scalar(to) => cast::assign(&self.ctx, value, from, to),
            Returns::Row(whole) => self.check_row(&value, whole, OTHER_RECORD).map(|()| value),
            Returns::Void | Returns::Trigger => Ok(value),
        };
        self.result = made.map_err(|e| {
            let place = "while casting return value to function's return type";
            e.context(format!("PL/pgSQL function {} {place}", self.name))
        })?;
        Ok(())
    }

    /// The values of the OUT parameters.
    pub(super) fn out_values(&self) -> Result<Vec<Datum>> {
        self.outs.iter().map(|slot| self.frame.datum(*slot)).collect()
    }

    pub(super) fn return_next(&mut self, value: Option<&Sql>) -> Result<Flow> {
        let row = match value {
            None => self.out_values()?,
            Some(sql) => {
                let (value, ty) = expr::eval(self, sql)?;
                match self.returns {
                    Returns::Scalar(to) => vec![cast::assign(&self.ctx, value, ty, to)?],
                    Returns::Row(whole) => self.given_row(sql, (value, ty.oid), whole)?,
                    Returns::Void | Returns::Trigger => vec![value],
                }
            }
        };
        self.rows.push(row);
        Ok(Flow::Next)
    }

    /// The fields of a row behind RETURN NEXT.
    fn given_row(&self, sql: &Sql, given: (Datum, Oid), whole: Oid) -> Result<Vec<Datum>> {
        let (value, ty) = (only_row(given.0)?, given.1);
        let variable = sql.scope.names.contains_key(&sql.text.to_lowercase());
        let message =
            if variable { "wrong record type supplied in RETURN NEXT" } else { OTHER_RECORD };
        match value {
            // A row variable has its columns when it has no row, too.
            Datum::Null if ty != whole && self.ctx.catalog.relation_of_type(ty).is_some() => {
                self.check_columns(&self.columns_of(ty)?, message)?;
            }
            _ => self.check_row(&value, whole, message)?,
        }
        Ok(match value {
            Datum::Record(row) => row.fields.iter().map(|(_, field)| field.clone()).collect(),
            _ => vec![Datum::Null; self.wanted.len().max(1)],
        })
    }

    pub(super) fn return_query(&mut self, query: &Query) -> Result<Flow> {
        let check = |me: &Self, statement: &Statement| me.check_query(statement);
        let found = query::collect(self, query, usize::MAX, check)?;
        let count = found.len();
        self.rows.extend(found.into_iter().map(|r| r.values));
        self.frame.set_found(count > 0);
        self.row_count = u64::try_from(count).unwrap_or(u64::MAX);
        Ok(Flow::Next)
    }

    /// A query's columns must be those that are wanted, even where it finds no row.
    fn check_query(&self, statement: &Statement) -> Result<()> {
        if statement.columns().is_empty() && !statement.gives_rows() {
            let text = format!("{} query does not return tuples", statement.verb());
            return Err(PgError::new(SqlState::SYNTAX_ERROR, text));
        }
        let found: Vec<PgType> = statement.columns().iter().map(|c| c.ty).collect();
        self.check_columns(&found, "structure of query does not match function result type")
    }

    /// A row's fields must be those that are wanted; one of the declared type has them.
    fn check_row(&self, value: &Datum, whole: Oid, message: &str) -> Result<()> {
        let Datum::Record(row) = value else { return Ok(()) };
        if whole != oid::RECORD && row.type_oid == whole {
            return Ok(());
        }
        self.check_columns(&self.types_of(row)?, message)
    }

    /// The types of a row's fields. Of modifiers only a composite type knows: those of another row's fields are taken
    /// to be as they should.
    fn types_of(&self, row: &Record) -> Result<Vec<PgType>> {
        if self.ctx.catalog.relation_of_type(row.type_oid).is_some() {
            return self.columns_of(row.type_oid);
        }
        let wanted = self.wanted.iter().map(|ty| ty.typmod).chain(std::iter::repeat(-1));
        let fields = row.fields.iter().zip(wanted);
        Ok(fields.map(|((ty, _), typmod)| PgType::new(*ty).typmod(typmod)).collect())
    }

    fn columns_of(&self, composite: Oid) -> Result<Vec<PgType>> {
        Ok(composite_columns(&self.ctx, composite)?.into_iter().map(|(_, ty)| ty).collect())
    }

    fn check_columns(&self, found: &[PgType], message: &str) -> Result<()> {
        if self.wanted.is_empty() {
            return Ok(());
        }
        match mismatch(&self.ctx, found, self.wanted) {
            None => Ok(()),
            Some(detail) => Err(PgError::new(SqlState::DATATYPE_MISMATCH, message).detail(detail)),
        }
    }
}

const OTHER_RECORD: &str = "returned record type does not match expected record type";

/// Only rows and NULL are results of a composite type.
fn only_row(value: Datum) -> Result<Datum> {
    match value {
        Datum::Null | Datum::Record(_) => Ok(value),
        _ => Err(not_a_row()),
    }
}

/// An error for one value where a row is due.
pub(super) fn not_a_row() -> PgError {
    PgError::new(
        SqlState::DATATYPE_MISMATCH,
        "cannot return non-composite value from function returning composite type",
    )
}

/// What is wrong with columns for those that are wanted. No conversion is tried: their types must be the same, with the
/// same modifier where one is wanted.
pub(super) fn mismatch(ctx: &ExecContext, found: &[PgType], wanted: &[PgType]) -> Option<String> {
    for (at, (from, to)) in (1_usize..).zip(found.iter().zip(wanted)) {
        // What has no type yet is text by the time it comes out.
        let known = if from.oid == oid::UNKNOWN { oid::TEXT } else { from.oid };
        if known != to.oid || to.typmod >= 0 && from.typmod != to.typmod {
            let (from, to) =
                (ctx.type_name(known, Some(from.typmod)), ctx.type_name(to.oid, Some(to.typmod)));
            return Some(format!(
                "Returned type {from} does not match expected type {to} in column {at}."
            ));
        }
    }
    (found.len() != wanted.len()).then(|| {
        format!(
            "Number of returned columns ({}) does not match expected column count ({}).",
            found.len(),
            wanted.len()
        )
    })
}
