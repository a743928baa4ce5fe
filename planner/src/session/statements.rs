//! PREPARE, EXECUTE, DEALLOCATE and DISCARD.

use std::sync::Arc;

use sqlparser::ast;
use vicinity_types::{Datum, Oid, PgError, Result, SqlState};

use super::{Execution, Session, object};
use crate::exec::transaction;
use crate::hooks;
use crate::prepared::Prepared;
use crate::sql::{Parsed, Statement};

impl Session {
    pub(super) fn named_statement(&self, name: &str) -> Result<Arc<Prepared>> {
        self.state.statements().get(name).cloned().ok_or_else(|| {
            PgError::new(
                SqlState::INVALID_SQL_STATEMENT_NAME,
                format!("prepared statement \"{name}\" does not exist"),
            )
        })
    }

    /// PREPARE, EXECUTE, DEALLOCATE, DISCARD.
    pub(super) fn session_statement(
        &mut self,
        own: &Parsed,
        _params: Vec<Datum>,
    ) -> Result<Execution> {
        let Statement::Sql(stmt) = &*own.stmt else { return Err(PgError::internal("no SQL")) };
        match &**stmt {
            ast::Statement::Prepare { name, data_types, statement } => {
                check_preparable(statement)?;
                let name = crate::exec::name::ident(name);
                let ctx = self.context()?;
                let types: Vec<Oid> = data_types
                    .iter()
                    .map(|t| hooks::bind_type(&ctx, t).map(|t| t.oid))
                    .collect::<Result<_>>()?;
                let text = statement.to_string();
                let stmt = Arc::new(Statement::Sql(statement.clone()));
                let notices = Vec::new();
                let parsed = Parsed { stmt, text, offset: 0, lifted: None, known: false, notices };
                let prepared = Arc::new(self.planned(&ctx, &parsed, &types)?);
                self.state.statements().insert(&name, prepared, Some(&own.text))?;
                Ok(Execution::Done("PREPARE".to_owned()))
            }
            ast::Statement::Execute { name: Some(name), parameters, .. } => {
                let name = object(name);
                let prepared = self.named_statement(&name)?;
                let values = self.execute_values(&name, &prepared, parameters)?;
                self.execute(&prepared, values)
            }
            ast::Statement::Deallocate { name, .. } => {
                let name = crate::exec::name::ident(name);
                if name.eq_ignore_ascii_case("all") {
                    self.state.deallocate(None);
                    return Ok(Execution::Done("DEALLOCATE ALL".to_owned()));
                }
                self.named_statement(&name)?;
                self.state.deallocate(Some(&name));
                Ok(Execution::Done("DEALLOCATE".to_owned()))
            }
            ast::Statement::Discard { object_type } => {
                if matches!(object_type, ast::DiscardObject::ALL) {
                    if self.in_block() {
                        return Err(transaction::refuse_block("DISCARD ALL"));
                    }
                    self.state.portals().close_all();
                    self.state.deallocate(None);
                    self.engine.advisory.unlock_all(self.state.pid());
                    self.state.change_settings(|s| s.reset_all());
                    self.state.forget_sequences();
                    self.discard_temporary()?;
                } else if matches!(object_type, ast::DiscardObject::TEMP) {
                    self.discard_temporary()?;
                } else if matches!(object_type, ast::DiscardObject::SEQUENCES) {
                    self.state.forget_sequences();
                }
                Ok(Execution::Done(format!("DISCARD {object_type}")))
            }
            _ => Err(PgError::internal("no statement of the session")),
        }
    }

    pub(super) fn execute_values(
        &mut self,
        name: &str,
        prepared: &Prepared,
        exprs: &[ast::Expr],
    ) -> Result<Vec<Datum>> {
        if exprs.len() != prepared.params.len() {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                format!("wrong number of parameters for prepared statement \"{name}\""),
            )
            .detail(format!(
                "Expected {} parameters but got {}.",
                prepared.params.len(),
                exprs.len()
            )));
        }
        let ctx = self.context()?;
        let mut values = Vec::with_capacity(exprs.len());
        for (expr, ty) in exprs.iter().zip(&prepared.params) {
            let kind = ctx.catalog.kind_of(*ty);
            let target = crate::call::PgType::with_kind(*ty, -1, kind);
            let typed = hooks::bind_assign(&ctx, expr, target)?;
            values.push(crate::row::evaluate(&ctx, &typed.expr, target)?);
        }
        Ok(values)
    }
}

/// Queries and changes of rows can be prepared.
fn check_preparable(statement: &ast::Statement) -> Result<()> {
    use ast::Statement as S;
    if matches!(statement, S::Query(_) | S::Insert(_) | S::Update(_) | S::Delete(_) | S::Merge(_)) {
        return Ok(());
    }
    let text = statement.to_string().to_lowercase();
    let first = text.split_whitespace().next().unwrap_or_default();
    let text = format!("syntax error at or near \"{first}\"");
    Err(PgError::new(SqlState::SYNTAX_ERROR, text))
}
