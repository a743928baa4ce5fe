//! RETURN, RETURN NEXT and RETURN QUERY, as the function's result allows them.

use vicinity_types::{PgError, Result, SqlState};

use super::{Gives, Parser};
use crate::plpgsql::ast::{Slot, Sql, StatementKind, VariableKind};
use crate::plpgsql::lexer::Token;

impl Parser<'_> {
    pub(super) fn return_statement(&mut self) -> Result<StatementKind> {
        let from = self.at;
        self.advance();
        let kind = if self.keyword("next") {
            let outs = self.gives_set("NEXT", from)?;
            StatementKind::ReturnNext(match outs {
                true => self.no_value("RETURN NEXT", "function with OUT parameters")?,
                false => Some(self.sql_until(&[], &[";"])?),
            })
        } else if self.keyword("query") {
            self.gives_set("QUERY", from)?;
            StatementKind::ReturnQuery(self.written_query(&[], &[";"])?)
        } else {
            match self.returned_row() {
                Some(row) => StatementKind::ReturnRow(row),
                None => StatementKind::Return(self.returned()?),
            }
        };
        self.expect_symbol(";")?;
        Ok(kind)
    }

    /// RETURN NEXT and RETURN QUERY are for functions that give sets; whether their rows are OUT
    /// parameters.
    fn gives_set(&self, what: &str, from: usize) -> Result<bool> {
        match self.gives {
            Gives::Set { outs } => Ok(outs),
            _ => Err(PgError::new(
                SqlState::DATATYPE_MISMATCH,
                format!("cannot use RETURN {what} in a non-SETOF function"),
            )
            .at(self.column(from))),
        }
    }

    fn returned(&mut self) -> Result<Option<Sql>> {
        let what = match self.gives {
            Gives::Value | Gives::Trigger => return self.sql_until(&[], &[";"]).map(Some),
            Gives::Set { .. } => {
                return self
                    .no_value("RETURN", "function returning set")
                    .map_err(|e| e.hint("Use RETURN NEXT or RETURN QUERY."));
            }
            Gives::Outs => "function with OUT parameters",
            Gives::Nothing => "function returning void",
            Gives::Procedure => "a procedure",
        };
        self.no_value("RETURN", what)
    }

    fn no_value(&self, statement: &str, what: &str) -> Result<Option<Sql>> {
        if matches!(self.token(), Token::Symbol(";")) {
            return Ok(None);
        }
        let code = match self.gives {
            Gives::Procedure => SqlState::SYNTAX_ERROR,
            _ => SqlState::DATATYPE_MISMATCH,
        };
        let text = format!("{statement} cannot have a parameter in {what}");
        Err(PgError::new(code, text).at(self.column(self.at)))
    }

    /// `NEW;`, `OLD;` or `NULL;` behind a trigger's RETURN needs no plan.
    fn returned_row(&mut self) -> Option<Option<Slot>> {
        let Token::Word(name) = self.token() else { return None };
        if self.gives != Gives::Trigger || !matches!(self.token_at(1), Token::Symbol(";")) {
            return None;
        }
        let row = match self.find(name) {
            None if name == "null" => None,
            Some(slot) => match self.variables.get(slot)?.kind {
                VariableKind::Scalar(_) => return None,
                _ => Some(slot),
            },
            None => return None,
        };
        self.advance();
        Some(row)
    }
}
