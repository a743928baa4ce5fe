//! The DECLARE section.

use vicinity_types::{PgError, Result, SqlState, oid};

use super::Parser;
use crate::plpgsql::ast::{Slot, Sql, Variable, VariableKind};
use crate::plpgsql::lexer::Token;

/// A slot to initialise: its line and default.
type Init = (Slot, usize, Option<Sql>);

impl Parser<'_> {
    /// Declarations up to BEGIN: the slots to initialise with their defaults.
    pub(super) fn declarations(&mut self, label: Option<&str>) -> Result<Vec<Init>> {
        let mut inits = Vec::new();
        while !self.is_word("begin") {
            if self.keyword("declare") {
                continue;
            }
            let line = self.line();
            inits.extend(self.declaration(label)?.map(|(slot, default)| (slot, line, default)));
        }
        Ok(inits)
    }

    fn declaration(&mut self, label: Option<&str>) -> Result<Option<(Slot, Option<Sql>)>> {
        let from = self.at;
        let name = self.word()?;
        if self.keywords(&["alias", "for"]) {
            self.alias(name, from)?;
            return Ok(None);
        }
        let constant = self.keyword("constant");
        if self.is_word("cursor") || self.is_words(&["no", "scroll"]) || self.is_word("scroll") {
            return self.cursor_declaration(name, label, from).map(Some);
        }
        let kind = self.variable_type()?;
        if self.keyword("collate") {
            self.word()?;
        }
        let place = self.column(self.at);
        let not_null = self.keywords(&["not", "null"]);
        let default = if self.symbol(":=") || self.symbol("=") || self.keyword("default") {
            Some(self.sql_until(&[], &[";"])?)
        } else {
            None
        };
        self.expect_symbol(";")?;
        if not_null && default.is_none() {
            return Err(PgError::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                format!(
                    "variable \"{name}\" must have a default value, since it's declared NOT NULL"
                ),
            )
            .at(place));
        }
        let slot =
            self.add_variable(Variable { constant, not_null, ..Variable::plain(&name, kind) });
        self.enter(&name, label, slot, from)?;
        Ok(Some((slot, default)))
    }

    /// Names a variable; `from` is the token it does so by.
    pub(super) fn enter(
        &mut self,
        name: &str,
        label: Option<&str>,
        slot: Slot,
        from: usize,
    ) -> Result<()> {
        self.visible = None;
        let place = self.column(from);
        let Some(scope) = self.scopes.last_mut() else { return Ok(()) };
        if scope.names.insert(name.to_owned(), slot).is_some() {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                format!("duplicate declaration at or near \"{name}\""),
            )
            .at(place));
        }
        if let Some(label) = label {
            scope.labels.entry(label.to_owned()).or_default().insert(name.to_owned(), slot);
        }
        Ok(())
    }

    fn alias(&mut self, name: String, from: usize) -> Result<()> {
        let place = self.column(self.at);
        let target = match self.token().clone() {
            Token::Param(n) => format!("${n}"),
            _ => self.word()?.clone(),
        };
        if target.starts_with('$') {
            self.advance();
        }
        let slot = self.find(&target).ok_or_else(|| {
            PgError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("variable \"{target}\" does not exist"),
            )
            .at(place)
        })?;
        self.expect_symbol(";")?;
        self.enter(&name, None, slot, from)
    }

    /// A type: `int`, `numeric(10,2)[]`, `t.c%TYPE`, `v%TYPE`, `t%ROWTYPE`, `record`.
    pub(super) fn variable_type(&mut self) -> Result<VariableKind> {
        if self.keyword("record") {
            return Ok(VariableKind::Record);
        }
        let from = self.at;
        let mut path = Vec::new();
        while matches!(self.token(), Token::Word(_) | Token::Quoted(_)) {
            path.push(self.word()?);
            if self.symbol(".") {
                continue;
            }
            if self.symbol("%") {
                return self.percent_type(&path);
            }
            break;
        }
        // Not a % type: everything up to the default or the end is the type's name.
        self.at = from;
        let ends = ["not", "default", "collate"];
        let checks = std::mem::take(&mut self.checks);
        let text = self.sql_until(&ends, &[";", ":=", "=", ",", ")"]);
        self.checks = checks;
        let begin = self.column(from);
        let ty = self.types.type_named(&text?.text).map_err(|mut e| {
            let place = e.report().position.map_or(begin, |p| p + begin - 1);
            e.report_mut().position = Some(place);
            e
        })?;
        let composite = ty.kind == vicinity_types::Kind::Record && ty.oid != oid::RECORD;
        if composite || self.types.row_type(&path).is_ok_and(|row| row == ty.oid) {
            return Ok(VariableKind::Row(ty.oid));
        }
        Ok(VariableKind::Scalar(ty))
    }

    fn percent_type(&mut self, path: &[String]) -> Result<VariableKind> {
        let what = self.word()?;
        let kind = match what.as_str() {
            "rowtype" => VariableKind::Row(self.types.row_type(path)?),
            "type" => match path {
                [name] if self.find(name).is_some() => {
                    let slot = self.find(name).unwrap_or(0);
                    self.variables.get(slot).map_or(VariableKind::Record, |v| v.kind.clone())
                }
                _ => VariableKind::Scalar(self.types.column_type(path)?),
            },
            _ => return Err(self.unexpected()),
        };
        if matches!(self.token(), Token::Symbol("[")) {
            return Err(self.unexpected());
        }
        Ok(kind)
    }
}
