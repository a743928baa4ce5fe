//! Loops, and what leaves them.

use vicinity_types::{PgError, Result, SqlState, oid};

use super::{Around, Parser};
use crate::call::PgType;
use crate::plpgsql::ast::{Scope, Slot, Statement, StatementKind, VariableKind};
use crate::plpgsql::lexer::Token;

impl Parser<'_> {
    pub(super) fn loops(&mut self, label: Option<String>) -> Result<StatementKind> {
        self.deeper()?;
        self.around.push(Around { label: label.clone(), is_loop: true });
        if self.keyword("loop") {
            let body = self.loop_body(label.as_deref())?;
            return Ok(StatementKind::Loop { label, body });
        }
        if self.keyword("while") {
            let condition = self.sql_until(&["loop"], &[])?;
            self.expect_word("loop")?;
            let body = self.loop_body(label.as_deref())?;
            return Ok(StatementKind::While { label, condition, body });
        }
        if self.keyword("foreach") {
            let known = matches!(self.token(), Token::Param(_)) || self.is_known();
            if !known {
                return Err(self.wrong(
                    "loop variable of FOREACH must be a known variable or list of variables",
                ));
            }
            let target = self.target()?;
            let slice = if self.keyword("slice") { self.whole_number()? } else { 0 };
            self.expect_word("in")?;
            self.expect_word("array")?;
            let array = self.sql_until(&["loop"], &[])?;
            self.expect_word("loop")?;
            let body = self.loop_body(label.as_deref())?;
            return Ok(StatementKind::ForEach { label, target, slice, array, body });
        }
        self.expect_word("for")?;
        self.for_loop(label)
    }

    fn loop_body(&mut self, label: Option<&str>) -> Result<Vec<Statement>> {
        let body = self.statements(&["end"])?;
        self.expect_word("end")?;
        self.expect_word("loop")?;
        self.end_label(label)?;
        self.expect_symbol(";")?;
        self.around.pop();
        self.depth -= 1;
        Ok(body)
    }

    /// The body of a loop that has a variable of its own.
    pub(super) fn loop_body_with(
        &mut self,
        label: Option<&str>,
        name: String,
        slot: Slot,
    ) -> Result<Vec<Statement>> {
        let mut scope = Scope::default();
        scope.names.insert(name.clone(), slot);
        if let Some(label) = label {
            scope.labels.entry(label.to_owned()).or_default().insert(name, slot);
        }
        self.enter_scope(scope);
        let body = self.loop_body(label)?;
        self.leave_scope();
        Ok(body)
    }

    fn for_loop(&mut self, label: Option<String>) -> Result<StatementKind> {
        if self.is_range() {
            return self.for_integer(label);
        }
        if let Some(cursor) = self.cursor_of_loop() {
            return self.for_cursor(label, cursor);
        }
        if !self.is_known() {
            return Err(self.wrong(
                "loop variable of loop over rows must be a record variable or list of scalar \
                 variables",
            ));
        }
        let target = self.target()?;
        self.expect_word("in")?;
        let query = self.written_query(&["loop"], &[])?;
        self.expect_word("loop")?;
        let ends = self.ends;
        let body = self.loop_body(label.as_deref())?;
        let held = self.ends > ends;
        Ok(StatementKind::ForQuery { label, target, query, held, body })
    }

    /// Whether `..` comes before LOOP, outside parentheses.
    fn is_range(&self) -> bool {
        let mut depth = 0_usize;
        let mut ahead = 0;
        loop {
            match self.token_at(ahead) {
                Token::Symbol("(" | "[") => depth += 1,
                Token::Symbol(")" | "]") => depth = depth.saturating_sub(1),
                Token::Symbol("..") if depth == 0 => return true,
                Token::Word(w) if w == "loop" && depth == 0 => return false,
                Token::End | Token::Symbol(";") => return false,
                _ => {}
            }
            ahead += 1;
        }
    }

    fn for_integer(&mut self, label: Option<String>) -> Result<StatementKind> {
        let name = self.word()?;
        self.expect_word("in")?;
        let reverse = self.keyword("reverse");
        let from = self.sql_until(&[], &[".."])?;
        self.expect_symbol("..")?;
        let to = self.sql_until(&["loop", "by"], &[])?;
        let by = if self.keyword("by") { Some(self.sql_until(&["loop"], &[])?) } else { None };
        self.expect_word("loop")?;
        let int4 = PgType::new(oid::INT4);
        let slot = self.hidden(&name, VariableKind::Scalar(int4));
        let body = self.loop_body_with(label.as_deref(), name, slot)?;
        Ok(StatementKind::ForInteger { label, slot, from, to, by, reverse, body })
    }

    pub(super) fn exit(&mut self) -> Result<StatementKind> {
        let from = self.at;
        let next = self.word()? == "continue";
        let label = match self.token() {
            Token::Word(w) if w != "when" => Some(self.label_around(next)?),
            Token::Quoted(_) => Some(self.label_around(next)?),
            _ if self.around.iter().any(|a| a.is_loop) => None,
            _ => {
                let message = match next {
                    true => "CONTINUE cannot be used outside a loop",
                    false => "EXIT cannot be used outside a loop, unless it has a label",
                };
                return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(self.column(from)));
            }
        };
        let when = if self.keyword("when") { Some(self.sql_until(&[], &[";"])?) } else { None };
        self.expect_symbol(";")?;
        Ok(StatementKind::Exit { label, when, next })
    }

    /// The label of a block or loop around EXIT, or a loop around CONTINUE.
    fn label_around(&mut self, of_loop: bool) -> Result<String> {
        let at = self.column(self.at);
        let label = self.word()?;
        let own = |a: &&Around| a.label.as_deref() == Some(label.as_str());
        let message = match self.around.iter().rev().find(own) {
            Some(found) if found.is_loop || !of_loop => return Ok(label),
            Some(_) => format!("block label \"{label}\" cannot be used in CONTINUE"),
            None => format!(
                "there is no label \"{label}\" attached to any block or loop enclosing this \
                 statement"
            ),
        };
        Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(at))
    }
}
