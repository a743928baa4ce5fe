//! Queries inside statements: INTO targets, EXECUTE, RETURN QUERY.

use vicinity_types::{PgError, Result, SqlState};

use super::Parser;
use crate::plpgsql::ast::{Into, Place, Query, Sql, StatementKind, Target, VariableKind};
use crate::plpgsql::lexer::Token;

impl Parser<'_> {
    /// A SQL statement: its text with the INTO clause cut out.
    pub(super) fn sql_statement(&mut self) -> Result<StatementKind> {
        let from = self.at;
        let start = self.lexeme(0).map_or(0, |l| l.start);
        // INTO belongs to the statement itself in INSERT INTO and MERGE INTO.
        let mut previous = String::new();
        let mut into = None;
        let mut cut = None;
        let mut depth = 0_usize;
        loop {
            match self.token().clone() {
                Token::End => return Err(self.unexpected()),
                Token::Symbol(";") => break,
                Token::Symbol("(") => depth += 1,
                Token::Symbol(")") => depth = depth.saturating_sub(1),
                Token::Word(w)
                    if w == "into"
                        && depth == 0
                        && into.is_none()
                        && !matches!(previous.as_str(), "insert" | "merge") =>
                {
                    let begin = self.at;
                    self.advance();
                    into = Some(self.target_after_into()?);
                    cut = Some((begin, self.at));
                    previous.clear();
                    continue;
                }
                _ => {}
            }
            previous = match self.token() {
                Token::Word(w) => w.clone(),
                _ => String::new(),
            };
            self.advance();
        }
        let sql = match cut {
            None => self.sql_between(from, self.at)?,
            Some((begin, after)) => {
                let head = self.text_between(from, begin);
                let tail = self.text_between(after, self.at);
                self.sql(format!("{head} {tail}"), start)
            }
        };
        self.expect_symbol(";")?;
        Ok(StatementKind::Execute { query: Query::Static(sql), into })
    }

    fn text_between(&self, from: usize, to: usize) -> &str {
        let first = self.tokens.get(from).map_or(0, |l| l.start);
        let last = to.checked_sub(1).and_then(|l| self.tokens.get(l)).map_or(first, |l| l.end);
        self.body.get(first..last.max(first)).unwrap_or("")
    }

    /// `[STRICT] target [, target]...`
    pub(super) fn target_after_into(&mut self) -> Result<Into> {
        let strict = self.keyword("strict");
        Ok(Into { target: self.target()?, strict })
    }

    /// A row variable, or a list of scalars.
    pub(super) fn target(&mut self) -> Result<Target> {
        let first = self.place()?;
        if let Place::Variable(slot) = first {
            let kind = self.variables.get(slot).map(|v| &v.kind);
            if matches!(kind, Some(VariableKind::Record | VariableKind::Row(_))) {
                return Ok(Target::Row(slot));
            }
        }
        let mut places = vec![first];
        while self.symbol(",") {
            places.push(self.place()?);
        }
        Ok(Target::Scalars(places))
    }

    /// `variable`, `label.variable`, `record.field`.
    pub(super) fn place(&mut self) -> Result<Place> {
        let position = self.at;
        let place = if let Token::Param(n) = self.token().clone() {
            self.advance();
            self.find(&format!("${n}")).map(Place::Variable)
        } else {
            let name = self.word()?;
            let dotted = matches!(self.token(), Token::Symbol("."))
                && matches!(self.token_at(1), Token::Word(_) | Token::Quoted(_));
            if dotted {
                self.advance();
                let second = self.word()?;
                match self.find_labelled(&name, &second) {
                    Some(slot) => Some(Place::Variable(slot)),
                    None => self.find(&name).map(|slot| Place::Field(slot, second)),
                }
            } else {
                self.find(&name).map(Place::Variable)
            }
        };
        place.ok_or_else(|| {
            let text = self.text_between(position, self.at);
            PgError::new(SqlState::SYNTAX_ERROR, format!("\"{text}\" is not a known variable"))
        })
    }

    /// After EXECUTE: the text's expression, INTO and USING in either order.
    pub(super) fn dynamic(&mut self, ends: &[&str]) -> Result<(Query, Option<Into>)> {
        let mut words = vec!["into", "using"];
        words.extend_from_slice(ends);
        let text = self.sql_until(&words, &[";"])?;
        let mut using: Vec<Sql> = Vec::new();
        let mut into = None;
        loop {
            if self.keyword("into") {
                into = Some(self.target_after_into()?);
            } else if self.keyword("using") {
                loop {
                    using.push(self.sql_until(&words, &[",", ";"])?);
                    if !self.symbol(",") {
                        break;
                    }
                }
            } else {
                return Ok((Query::Dynamic { text, using }, into));
            }
        }
    }
}
