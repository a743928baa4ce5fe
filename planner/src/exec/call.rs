//! CALL: a procedure's arguments, and the row its output arguments make.

use std::sync::Arc;

use sqlparser::ast;
use vicinity_storage::catalog::model::{ArgMode, Argument, Function};
use vicinity_types::{Datum, Oid, PgError, Result};

use crate::bind::Binder;
use crate::call::PgType;
use crate::context::ExecContext;
use crate::query::QueryPlan;
use crate::rows::OutputColumn;
use crate::session::Transactions;
use crate::userfn;
use crate::uses::Uses;

/// A CALL, resolved.
pub struct CallPlan {
    function: Arc<Function>,
    /// Gives the input arguments.
    inputs: QueryPlan,
    columns: Vec<OutputColumn>,
    params: Vec<Oid>,
}

/// Whether an argument's value comes back.
pub(crate) fn is_output(arg: &Argument) -> bool {
    matches!(arg.mode, ArgMode::Out | ArgMode::InOut)
}

impl CallPlan {
    /// Resolves a CALL.
    pub fn new(
        ctx: &ExecContext,
        mut binder: Binder<'_>,
        call: &ast::Function,
    ) -> Result<CallPlan> {
        let bound = binder.procedure(call)?;
        let params = bound.inputs.params.clone();
        let args = bound.function.args.iter().zip(bound.types);
        let columns = args
            .enumerate()
            .filter(|(_, (arg, _))| is_output(arg))
            .map(|(i, (arg, ty))| {
                let name = arg.name.clone().unwrap_or_else(|| format!("column{}", i + 1));
                OutputColumn::computed(name, ty)
            })
            .collect();
        let inputs = QueryPlan::of(ctx, bound.inputs)?;
        Ok(CallPlan { function: bound.function, inputs, columns, params })
    }

    /// The columns of its output; none without output arguments.
    pub fn columns(&self) -> &[OutputColumn] {
        &self.columns
    }

    /// Its parameters' types.
    pub fn params(&self) -> &[Oid] {
        &self.params
    }

    /// What it asks of relations.
    pub fn uses(&self) -> &Uses {
        self.inputs.uses()
    }

    /// The procedure.
    pub(crate) fn function(&self) -> &Arc<Function> {
        &self.function
    }

    /// Runs the procedure: the values of its output arguments. With `transactions` it may end them.
    pub(crate) fn run(
        &self,
        ctx: &ExecContext,
        params: &[Datum],
        transactions: Option<&Transactions>,
    ) -> Result<Vec<Datum>> {
        let args = self.inputs.rows(ctx, params.to_vec())?.pop().unwrap_or_default();
        let types: Vec<PgType> = self.inputs.columns.iter().map(|c| c.ty).collect();
        // Whose rights or settings are others' for the time being ends no transaction.
        let own = !self.function.security_definer && self.function.config.is_empty();
        let transactions = transactions.filter(|_| own);
        let value = userfn::run_procedure(ctx, &self.function, &types, &args, transactions)?;
        if self.columns.is_empty() {
            return Ok(Vec::new());
        }
        match value {
            Datum::Record(r) if r.fields.len() == self.columns.len() => {
                Ok(r.fields.iter().map(|(_, value)| value.clone()).collect())
            }
            _ => Err(PgError::internal("a procedure gave other values than it declares")),
        }
    }
}
