//! CALL: the procedure it means, and its arguments.

use std::sync::Arc;

use datafusion::logical_expr::LogicalPlanBuilder;
use sqlparser::ast;
use vicinity_storage::catalog::model::{ArgMode, Function, Privileges};
use vicinity_types::{PgError, Result, SqlState};

use super::function::Unresolved;
use super::{Binder, BoundQuery, Level, OutputColumn, Place, name_parts, name_position};
use crate::authority;
use crate::call::{PgType, Typed, internal};
use crate::resolve::function::Target;

/// A CALL, bound.
pub(crate) struct BoundCall {
    /// The procedure.
    pub(crate) function: Arc<Function>,
    /// A query for the input arguments.
    pub(crate) inputs: BoundQuery,
    /// Types of all arguments.
    pub(crate) types: Vec<PgType>,
}

impl Binder<'_> {
    /// The procedure of a CALL and its arguments, those for output among them.
    pub(crate) fn procedure(&mut self, f: &ast::Function) -> Result<BoundCall> {
        let place = name_position(&f.name);
        let own_place = Some(Place::CallArgument);
        let clause = own_place.map(Place::plural);
        let level =
            Level { no_aggregates: clause, no_windows: clause, own_place, ..Level::default() };
        self.levels.push(level);
        let resolved = self.procedure_inner(f).map_err(|e| e.or_at(place));
        self.levels.pop();
        let (function, args) = resolved?;
        let types = args.iter().map(|a| a.ty).collect();
        let declared = function.args.iter().zip(args);
        let inputs: Vec<Typed> =
            declared.filter(|(d, _)| d.mode != ArgMode::Out).map(|(_, value)| value).collect();
        let named = inputs.iter().enumerate().map(|(i, v)| v.expr.clone().alias(format!("a{i}")));
        let builder = LogicalPlanBuilder::empty(true).project(named).map_err(internal)?;
        let column = |value: &Typed| OutputColumn::computed(String::new(), value.ty);
        let inputs = BoundQuery {
            plan: builder.build().map_err(internal)?,
            columns: inputs.iter().map(column).collect(),
            params: self.params.finish()?,
            uses: self.uses.clone(),
            parts: self.take_parts(),
        };
        Ok(BoundCall { function, inputs, types })
    }

    fn procedure_inner(&mut self, f: &ast::Function) -> Result<(Arc<Function>, Vec<Typed>)> {
        let parts = name_parts(&f.name);
        let (schema, name) = match parts.as_slice() {
            [name] => (None, name.as_str()),
            [schema, name] | [_, schema, name] => (Some(schema.as_str()), name.as_str()),
            _ => return Err(PgError::unsupported("this procedure name")),
        };
        let args = self.arguments(&f.args)?;
        let resolved = match self.resolve(schema, name, args) {
            Ok(resolved) => resolved,
            Err(Unresolved::Error(e)) if e.code() == SqlState::UNDEFINED_FUNCTION => {
                return Err(no_procedure(e));
            }
            Err(Unresolved::Error(e)) => return Err(e),
            Err(Unresolved::Field(_)) => {
                return Err(PgError::internal("a field is no procedure"));
            }
        };
        let shown = self.type_names(&resolved.args);
        match resolved.target {
            Target::User(function) if function.procedure => {
                let target = authority::Target::function(&function);
                target.check(&self.types.catalog, self.session, Privileges::EXECUTE)?;
                Ok((function, resolved.args))
            }
            _ => Err(PgError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{name}({shown}) is not a procedure"),
            )
            .hint("To call a function, use SELECT.")),
        }
    }
}

/// The error of a function that is not there, of a procedure.
fn no_procedure(mut error: PgError) -> PgError {
    let report = error.report_mut();
    report.message = report.message.replacen("function ", "procedure ", 1);
    if let Some(hint) = &mut report.hint {
        *hint = hint.replacen("No function ", "No procedure ", 1);
    }
    error
}
