//! Queries inside statements: INTO targets, EXECUTE, RETURN QUERY.

use vicinity_types::{PgError, Result, SqlState};

use super::Parser;
use crate::plpgsql::ast::{Form, Into, Place, Query, Sql, StatementKind, Target, VariableKind};
use crate::plpgsql::lexer::Token;

impl Parser<'_> {
    /// A SQL statement: its text with the INTO clause cut out.
    pub(super) fn sql_statement(&mut self) -> Result<StatementKind> {
        let from = self.at;
        // INTO belongs to the statement itself in INSERT INTO and MERGE INTO.
        let mut previous = String::new();
        let mut into = None;
        let mut cut = None;
        let mut depth = 0_usize;
        loop {
            match self.token().clone() {
                Token::End => return Err(self.complaint("unexpected end of function definition")),
                Token::Symbol(";") if depth == 0 => break,
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
        let mut text = self.text_between(from, self.at).to_owned();
        if let Some((begin, after)) = cut {
            // Blanks in its place: what follows stays where it was.
            let start = self.tokens.get(from).map_or(0, |l| l.start);
            let (begin, after) = (self.edge(begin, true) - start, self.edge(after, false) - start);
            let out = text.get(begin..after).unwrap_or("");
            let blank: String = out.chars().map(|_| ' ').collect();
            text.replace_range(begin..after, &blank);
            text.truncate(text.trim_end().len());
        }
        let sql = self.sql(text, Form::Statement, self.column(from))?;
        self.expect_symbol(";")?;
        Ok(StatementKind::Execute { query: Query::Static(sql), into })
    }

    /// The byte a token begins at, or the one before it ends at.
    fn edge(&self, token: usize, begins: bool) -> usize {
        let token = if begins { Some(token) } else { token.checked_sub(1) };
        let found = token.and_then(|t| self.tokens.get(t));
        found.map_or(0, |l| if begins { l.start } else { l.end })
    }

    pub(super) fn text_between(&self, from: usize, to: usize) -> &str {
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
        let from = self.at;
        let first = self.place()?;
        self.check_constant(&first, from)?;
        if let Some(slot) = self.row_of(&first) {
            if matches!(self.token(), Token::Symbol(",")) {
                return Err(self.wrong("record variable cannot be part of multiple-item INTO list"));
            }
            return Ok(Target::Row(slot));
        }
        let mut places = vec![first];
        while self.symbol(",") {
            let from = self.at;
            let next = self.place()?;
            self.check_constant(&next, from)?;
            if self.row_of(&next).is_some() {
                let name = self.text_between(from, self.at);
                let message = format!("\"{name}\" is not a scalar variable");
                return Err(PgError::new(SqlState::SYNTAX_ERROR, message).at(self.column(from)));
            }
            places.push(next);
        }
        Ok(Target::Scalars(places))
    }

    /// The slot of a variable that holds a row.
    fn row_of(&self, place: &Place) -> Option<usize> {
        let Place::Variable(slot) = place else { return None };
        match self.variables.get(*slot)?.kind {
            VariableKind::Record | VariableKind::Row(_) => Some(*slot),
            VariableKind::Scalar(_) => None,
        }
    }

    /// Whether the next word is a variable.
    pub(super) fn is_known(&self) -> bool {
        let dotted = matches!(self.token_at(1), Token::Symbol("."));
        match self.token() {
            Token::Word(name) | Token::Quoted(name) => dotted || self.find(name).is_some(),
            Token::Param(_) => true,
            _ => false,
        }
    }

    /// A number written out.
    pub(super) fn whole_number(&mut self) -> Result<usize> {
        let Token::Number(text) = self.token() else { return Err(self.unexpected()) };
        let number = text.parse().map_err(|_| self.unexpected())?;
        self.advance();
        Ok(number)
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
                .at(self.column(position))
        })
    }

    /// A query up to a word of `words` or a symbol of `symbols`, or EXECUTE and what gives its text.
    pub(super) fn written_query(&mut self, words: &[&str], symbols: &[&str]) -> Result<Query> {
        if self.keyword("execute") {
            return Ok(self.dynamic(words)?.0);
        }
        Ok(Query::Static(self.query_until(words, symbols)?))
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
