//! RAISE.

use vicinity_types::{PgError, Result, Severity, SqlState};

use super::{Parser, named_condition};
use crate::plpgsql::ast::{Raise, StatementKind};
use crate::plpgsql::lexer::Token;

impl Parser<'_> {
    pub(super) fn raise(&mut self) -> Result<StatementKind> {
        self.advance();
        let mut raise = Raise {
            severity: None,
            format: None,
            args: Vec::new(),
            condition: None,
            options: Vec::new(),
            again: false,
        };
        if self.symbol(";") {
            raise.again = true;
            return Ok(StatementKind::Raise(raise));
        }
        let levels = [
            ("debug", Severity::Debug),
            ("log", Severity::Log),
            ("info", Severity::Info),
            ("notice", Severity::Notice),
            ("warning", Severity::Warning),
        ];
        if !self.keyword("exception")
            && let Some((word, level)) = levels.iter().find(|(w, _)| self.is_word(w))
        {
            self.keyword(word);
            raise.severity = Some(*level);
        }
        match self.token().clone() {
            Token::Text(format) => {
                self.advance();
                raise.format = Some(format);
                while self.symbol(",") {
                    raise.args.push(self.sql_until(&["using"], &[",", ";"])?);
                }
            }
            Token::Word(w) if w == "sqlstate" => {
                self.advance();
                raise.condition = Some(self.sqlstate()?);
            }
            Token::Word(w) if w != "using" => {
                self.advance();
                raise.condition = Some(named_condition(&w)?);
            }
            _ => {}
        }
        if self.keyword("using") {
            self.raise_options(&mut raise)?;
        }
        self.expect_symbol(";")?;
        check_placeholders(&raise)?;
        Ok(StatementKind::Raise(raise))
    }

    fn raise_options(&mut self, raise: &mut Raise) -> Result<()> {
        loop {
            let known = [
                "errcode",
                "message",
                "detail",
                "hint",
                "column",
                "constraint",
                "datatype",
                "table",
                "schema",
            ];
            if !known.iter().any(|k| self.is_word(k)) {
                return Err(self.complaint("unrecognized RAISE statement option"));
            }
            let name = self.word()?;
            if !self.symbol("=") && !self.symbol(":=") {
                return Err(self.unexpected());
            }
            raise.options.push((name, self.sql_until(&[], &[",", ";"])?));
            if !self.symbol(",") {
                return Ok(());
            }
        }
    }
}

/// RAISE wants as many arguments as its format has `%`, `%%` aside.
fn check_placeholders(raise: &Raise) -> Result<()> {
    let Some(format) = &raise.format else { return Ok(()) };
    let wanted = format.replace("%%", "").matches('%').count();
    let message = match raise.args.len().cmp(&wanted) {
        std::cmp::Ordering::Greater => "too many parameters specified for RAISE",
        std::cmp::Ordering::Less => "too few parameters specified for RAISE",
        std::cmp::Ordering::Equal => return Ok(()),
    };
    Err(PgError::new(SqlState::SYNTAX_ERROR, message))
}
