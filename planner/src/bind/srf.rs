//! Set-returning functions in the target list.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::logical_expr::{Expr, LogicalPlan};
use vicinity_types::{Kind, PgError, Result, oid};

use super::from::one_row;
use super::function::Resolved;
use super::{Binder, Level};
use crate::call::{PgType, Typed};
use crate::df::{BuiltinSet, SetCall, project_set};

/// A call waiting for its ProjectSet.
#[derive(Clone, Debug)]
pub(super) struct PendingSet {
    pub call: SetCall,
    /// How deep in other such calls' arguments it stands.
    pub depth: usize,
}

impl Binder<'_> {
    /// A set-returning call in an expression: a column of the ProjectSet to come.
    pub(super) fn set_in_target(&mut self, resolved: Resolved) -> Result<Typed> {
        self.check_sets_allowed()?;
        let types: Vec<u32> = resolved.args.iter().map(|a| a.ty.oid).collect();
        let columns = match self.is_row_of(&resolved) {
            // Its rows may be NULL as a whole.
            true => vec![(String::new(), self.ty(resolved.ret))],
            false => self.result_columns(&resolved.target, resolved.ret, &types),
        };
        let function = self.set_function(&resolved, &columns)?;
        let number = self.levels.iter().map(|l| l.pending.sets.len()).sum::<usize>();
        let names: Vec<String> = (0..columns.len()).map(|i| format!("__set{number}_{i}")).collect();
        let args: Vec<Expr> = resolved.args.iter().map(|a| a.expr.clone()).collect();
        let depth = self.depth_of(&args);
        let call = SetCall { function, args, names: names.clone() };
        self.level().pending.sets.push(PendingSet { call, depth });
        let values: Vec<Typed> = columns
            .iter()
            .zip(&names)
            .map(|((_, ty), name)| Typed::new(Expr::Column(Column::new_unqualified(name)), *ty))
            .collect();
        match <[Typed; 1]>::try_from(values) {
            Ok([one]) => Ok(one),
            Err(values) => {
                let ty = if self.types.fields(resolved.ret).is_some() {
                    resolved.ret
                } else {
                    oid::RECORD
                };
                let fields = columns.into_iter().map(|(name, _)| name).zip(values).collect();
                Ok(super::row::named_row(fields, PgType::with_kind(ty, -1, Kind::Record)))
            }
        }
    }

    /// Binds the only row of VALUES, and gives the plan that what it holds is over if there are sets in it: they make
    /// several rows of it.
    pub(crate) fn only_row<T>(
        &mut self,
        bind: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<(T, Option<LogicalPlan>)> {
        self.levels.push(Level { only_row: true, ..Level::default() });
        let bound = bind(self);
        let sets = self.levels.pop().map(|level| level.pending.sets).unwrap_or_default();
        let bound = bound?;
        let plan = match sets.is_empty() {
            true => None,
            false => Some(projected(one_row()?, sets)?),
        };
        Ok((bound, plan))
    }

    fn depth_of(&mut self, args: &[Expr]) -> usize {
        let sets = self.level().pending.sets.clone();
        args.iter()
            .flat_map(|a| a.column_refs().into_iter().map(|c| c.name.clone()).collect::<Vec<_>>())
            .filter_map(|name| {
                sets.iter().find(|s| s.call.names.contains(&name)).map(|s| s.depth + 1)
            })
            .max()
            .unwrap_or(0)
    }
}

/// Each row of a plan once for every number of a range, which comes as a further column (bigint).
pub(super) fn numbered(plan: LogicalPlan, from: Expr, to: Expr, name: &str) -> Result<LogicalPlan> {
    let int8 = PgType::new(oid::INT8);
    let series = vicinity_functions::procs_named("generate_series")
        .find(|p| p.args == [oid::INT8, oid::INT8])
        .ok_or_else(|| PgError::internal("no generate_series"))?;
    let function = BuiltinSet::new(series, vec![int8, int8], vec![int8])?;
    let call = SetCall {
        function: Arc::new(function),
        args: vec![from, to],
        names: vec![name.to_owned()],
    };
    project_set(plan, vec![call], None, false, None)
}

/// Puts the ProjectSets over a plan, inner calls first.
pub(super) fn projected(mut plan: LogicalPlan, sets: Vec<PendingSet>) -> Result<LogicalPlan> {
    let deepest = sets.iter().map(|s| s.depth).max();
    let Some(deepest) = deepest else { return Ok(plan) };
    for depth in 0..=deepest {
        let calls: Vec<SetCall> =
            sets.iter().filter(|s| s.depth == depth).map(|s| s.call.clone()).collect();
        plan = project_set(plan, calls, None, false, None)?;
    }
    Ok(plan)
}
