//! Cursors: their declaration, OPEN, FETCH, MOVE, CLOSE, and loops over them.

use std::sync::Arc;

use vicinity_types::{PgError, Result, SqlState, oid};

use super::Parser;
use crate::call::PgType;
use crate::plpgsql::ast::{
    BoundCursor, Form, Place, Query, Scope, Slot, Sql, StatementKind, Variable, VariableKind, Where,
};
use crate::plpgsql::lexer::Token;
use crate::sql::{ALL, Direction};

fn refcursor() -> VariableKind {
    VariableKind::Scalar(PgType::new(oid::REFCURSOR))
}

impl Parser<'_> {
    /// `[NO] SCROLL`
    fn scroll(&mut self) -> Option<bool> {
        if self.keywords(&["no", "scroll"]) {
            return Some(false);
        }
        self.keyword("scroll").then_some(true)
    }

    /// After the name: `[[NO] SCROLL] CURSOR [(arguments)] {FOR | IS} query;`
    pub(super) fn cursor_declaration(
        &mut self,
        name: String,
        label: Option<&str>,
        from: usize,
    ) -> Result<(Slot, Option<Sql>)> {
        let scroll = self.scroll();
        self.expect_word("cursor")?;
        self.enter_scope(Scope::default());
        let mut args = Vec::new();
        if self.symbol("(") {
            loop {
                let from = self.at;
                let own = self.word()?;
                let kind = self.variable_type()?;
                let slot = self.add_variable(Variable::plain(&own, kind));
                self.enter(&own, None, slot, from)?;
                args.push((own, slot));
                if !self.symbol(",") {
                    break;
                }
            }
            self.expect_symbol(")")?;
        }
        if !self.keyword("is") {
            self.expect_word("for")?;
        }
        let query = Query::Static(self.query_until(&[], &[";"])?);
        self.expect_symbol(";")?;
        self.leave_scope();
        // The variable begins with its own name: the portal's.
        let text = format!("'{}'", name.replace('\'', "''"));
        let default = self.sql(text, Form::Expression, self.column(from))?;
        let cursor = Some(Arc::new(BoundCursor { args, scroll, query }));
        let slot = self.add_variable(Variable { cursor, ..Variable::plain(&name, refcursor()) });
        self.enter(&name, label, slot, from)?;
        Ok((slot, Some(default)))
    }

    /// A cursor variable.
    fn cursor(&mut self) -> Result<Slot> {
        let at = self.at;
        let Place::Variable(slot) = self.place()? else { return Err(self.unexpected()) };
        let is_cursor = |kind: &VariableKind| matches!(kind, VariableKind::Scalar(ty) if ty.oid == oid::REFCURSOR);
        match self.variables.get(slot) {
            Some(v) if is_cursor(&v.kind) => Ok(slot),
            Some(v) => Err(PgError::new(
                SqlState::DATATYPE_MISMATCH,
                format!("variable \"{}\" must be of type cursor or refcursor", v.name),
            )
            .at(self.column(self.at))),
            None => {
                self.at = at;
                Err(self.unexpected())
            }
        }
    }

    fn bound(&self, slot: Slot) -> Option<Arc<BoundCursor>> {
        self.variables.get(slot).and_then(|v| v.cursor.clone())
    }

    /// `[(name := value, ...)]`, each argument once.
    fn cursor_args(&mut self, slot: Slot) -> Result<Vec<(Slot, Sql)>> {
        let name = self.variables.get(slot).map_or("", |v| v.name.as_str()).to_owned();
        let wanted = self.bound(slot).map(|c| c.args.clone()).unwrap_or_default();
        if !self.symbol("(") {
            if wanted.is_empty() {
                return Ok(Vec::new());
            }
            return Err(self.wrong(format!("cursor \"{name}\" has arguments")));
        }
        if wanted.is_empty() {
            return Err(self.wrong(format!("cursor \"{name}\" has no arguments")));
        }
        let mut given: Vec<(Slot, Sql)> = Vec::new();
        loop {
            let named = matches!(self.token(), Token::Word(_) | Token::Quoted(_))
                && matches!(self.token_at(1), Token::Symbol(":="));
            let arg = if named {
                let own = self.word()?;
                self.symbol(":=");
                let found = wanted.iter().find(|(n, _)| *n == own).map(|(_, slot)| *slot);
                found.ok_or_else(|| {
                    self.wrong(format!("cursor \"{name}\" has no argument named \"{own}\""))
                })?
            } else {
                let next = wanted.get(given.len()).map(|(_, slot)| *slot);
                next.ok_or_else(|| self.wrong(format!("too many arguments for cursor \"{name}\"")))?
            };
            if given.iter().any(|(slot, _)| *slot == arg) {
                let own = wanted.iter().find(|(_, s)| *s == arg).map_or("", |(n, _)| n.as_str());
                return Err(self.wrong(format!(
                    "value for parameter \"{own}\" of cursor \"{name}\" specified more than once"
                )));
            }
            given.push((arg, self.sql_until(&[], &[",", ")"])?));
            if !self.symbol(",") {
                break;
            }
        }
        self.expect_symbol(")")?;
        if given.len() < wanted.len() {
            return Err(self.wrong(format!("not enough arguments for cursor \"{name}\"")));
        }
        Ok(given)
    }

    pub(super) fn open(&mut self) -> Result<StatementKind> {
        self.advance();
        let cursor = self.cursor()?;
        if self.bound(cursor).is_some() {
            let args = self.cursor_args(cursor)?;
            self.expect_symbol(";")?;
            return Ok(StatementKind::Open { cursor, args, query: None });
        }
        let scroll = self.scroll();
        self.expect_word("for")?;
        let query = self.written_query(&[], &[";"])?;
        self.expect_symbol(";")?;
        Ok(StatementKind::Open { cursor, args: Vec::new(), query: Some((scroll, query)) })
    }

    pub(super) fn fetch(&mut self, moves: bool) -> Result<StatementKind> {
        self.advance();
        let direction = self.fetch_direction(moves)?;
        let cursor = self.cursor()?;
        let target = match moves {
            true => None,
            false => {
                self.expect_word("into")?;
                Some(self.target()?)
            }
        };
        self.expect_symbol(";")?;
        Ok(StatementKind::Fetch { cursor, direction, target })
    }

    fn fetch_direction(&mut self, moves: bool) -> Result<Where> {
        use Direction as D;
        let word = match self.token() {
            Token::Word(w) => w.clone(),
            _ => String::new(),
        };
        // A variable in front of INTO or the end is the cursor.
        let plain = self.find(&word).is_some()
            && (matches!(self.token_at(1), Token::Symbol(";"))
                || matches!(self.token_at(1), Token::Word(w) if w == "into"));
        if plain {
            return Ok(Where::Fixed(D::Forward(1)));
        }
        let several =
            || PgError::new(SqlState::SYNTAX_ERROR, "FETCH statement cannot return multiple rows");
        let fixed = match word.as_str() {
            "next" => Some(D::Forward(1)),
            "prior" => Some(D::Backward(1)),
            "first" => Some(D::Absolute(1)),
            "last" => Some(D::Absolute(-1)),
            "all" => Some(D::Forward(ALL)),
            _ => None,
        };
        let direction = if let Some(fixed) = fixed {
            self.advance();
            Where::Fixed(fixed)
        } else if self.keyword("absolute") {
            Where::Counted(D::Absolute, self.sql_until(&["from", "in"], &[";"])?)
        } else if self.keyword("relative") {
            Where::Counted(D::Relative, self.sql_until(&["from", "in"], &[";"])?)
        } else if matches!(word.as_str(), "forward" | "backward") {
            self.advance();
            let make = if word == "forward" { D::Forward } else { D::Backward };
            if self.is_word("from") || self.is_word("in") {
                Where::Fixed(make(1))
            } else if self.keyword("all") {
                Where::Fixed(make(ALL))
            } else if moves {
                Where::Counted(make, self.sql_until(&["from", "in"], &[";"])?)
            } else {
                return Err(several());
            }
        } else if self.is_word("from") || self.is_word("in") {
            Where::Fixed(D::Forward(1))
        } else if moves {
            Where::Counted(D::Forward, self.sql_until(&["from", "in"], &[";"])?)
        } else {
            return Err(several());
        };
        let all = |d: &Where| matches!(d, Where::Fixed(D::Forward(ALL) | D::Backward(ALL)));
        if !moves && all(&direction) {
            return Err(several());
        }
        if !self.keyword("from") {
            self.expect_word("in")?;
        }
        Ok(direction)
    }

    pub(super) fn close(&mut self) -> Result<StatementKind> {
        self.advance();
        let cursor = self.cursor()?;
        self.expect_symbol(";")?;
        Ok(StatementKind::Close { cursor })
    }

    /// The bound cursor of `FOR name IN cursor ...`, if it is one.
    pub(super) fn cursor_of_loop(&self) -> Option<Slot> {
        match (self.token(), self.token_at(1), self.token_at(2)) {
            (
                Token::Word(_) | Token::Quoted(_),
                Token::Word(w),
                Token::Word(name) | Token::Quoted(name),
            ) if w == "in" => {
                let slot = self.find(name)?;
                self.bound(slot).map(|_| slot)
            }
            _ => None,
        }
    }

    /// `FOR record IN cursor [(arguments)] LOOP ...`: the record is the loop's own.
    pub(super) fn for_cursor(
        &mut self,
        label: Option<String>,
        cursor: Slot,
    ) -> Result<StatementKind> {
        let name = self.word()?;
        self.expect_word("in")?;
        self.word()?;
        let args = self.cursor_args(cursor)?;
        self.expect_word("loop")?;
        let record = self.hidden(&name, VariableKind::Record);
        let body = self.loop_body_with(label.as_deref(), name, record)?;
        Ok(StatementKind::ForCursor { label, record, cursor, args, body })
    }
}
