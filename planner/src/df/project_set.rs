//! `ProjectSet`: set-returning functions over the rows of an input.
//!
//! As in PostgreSQL, several functions run in step; those that end first give NULLs until the last
//! has ended. Used for the target list, and for FROM: over one empty row, or laterally over the left
//! side (then an input row without results is dropped, or kept with NULLs where `outer`).

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::Field;
use datafusion::common::{DFSchema, DFSchemaRef, DataFusionError, TableReference};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use vicinity_types::Result;

use super::set::SetCall;
use crate::call::internal;

/// The logical node.
#[derive(Clone, Debug)]
pub struct ProjectSet {
    /// The rows.
    pub input: Arc<LogicalPlan>,
    /// The functions.
    pub calls: Vec<SetCall>,
    /// Keep input rows for which no function returns anything.
    pub outer: bool,
    /// Whether a last column counts the rows of each call from 1.
    pub ordinality: Option<String>,
    schema: DFSchemaRef,
}

/// A plan whose rows are the input's columns followed by each function's, qualified by `alias`.
pub fn project_set(
    input: LogicalPlan,
    calls: Vec<SetCall>,
    alias: Option<&str>,
    outer: bool,
    ordinality: Option<&str>,
) -> Result<LogicalPlan> {
    let alias = alias.map(TableReference::bare);
    let mut fields: Vec<(Option<TableReference>, Arc<Field>)> =
        input.schema().iter().map(|(q, f)| (q.cloned(), f.clone())).collect();
    for call in &calls {
        for (name, ty) in call.names.iter().zip(call.function.columns()) {
            fields.push((alias.clone(), Arc::new(Field::new(name, ty.arrow(), true))));
        }
    }
    if let Some(name) = ordinality {
        let ty = arrow::datatypes::DataType::Int64;
        fields.push((alias.clone(), Arc::new(Field::new(name, ty, true))));
    }
    let schema = DFSchema::new_with_metadata(fields, Default::default()).map_err(internal)?;
    let node = ProjectSet {
        input: Arc::new(input),
        calls,
        outer,
        ordinality: ordinality.map(str::to_owned),
        schema: Arc::new(schema),
    };
    Ok(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
}

impl ProjectSet {
    /// Whether it is a function in FROM that names nothing to its left.
    pub(crate) fn is_function_scan(&self) -> bool {
        let named = self.schema.iter().last().is_some_and(|(qualifier, _)| qualifier.is_some());
        named && matches!(*self.input, LogicalPlan::EmptyRelation(_))
    }

    fn identity(&self) -> Vec<String> {
        self.calls.iter().map(|c| c.function.identity()).collect()
    }
}

impl PartialEq for ProjectSet {
    fn eq(&self, other: &ProjectSet) -> bool {
        self.input == other.input
            && self.outer == other.outer
            && self.schema == other.schema
            && self.identity() == other.identity()
            && self.expressions() == other.expressions()
    }
}

impl Eq for ProjectSet {}

impl Hash for ProjectSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.input.hash(state);
        self.identity().hash(state);
        self.expressions().hash(state);
    }
}

impl PartialOrd for ProjectSet {
    fn partial_cmp(&self, other: &ProjectSet) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for ProjectSet {
    fn name(&self) -> &str {
        "ProjectSet"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.calls.iter().flat_map(|c| c.args.iter().cloned()).collect()
    }

    fn prevent_predicate_push_down_columns(&self) -> std::collections::HashSet<String> {
        // Filters on the functions' results stay above; those on the input's columns may pass unless
        // a name is both.
        let own = self.schema.fields().iter().skip(self.input.schema().fields().len());
        own.map(|f| f.name().clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.calls.iter().map(|c| c.function.name()).collect();
        write!(f, "ProjectSet: {}", names.join(", "))
    }

    fn with_exprs_and_inputs(
        &self,
        exprs: Vec<Expr>,
        inputs: Vec<LogicalPlan>,
    ) -> datafusion::common::Result<Self> {
        let mut exprs = exprs.into_iter();
        let mut calls = self.calls.clone();
        for arg in calls.iter_mut().flat_map(|c| c.args.iter_mut()) {
            *arg = exprs.next().ok_or_else(short)?;
        }
        let input = inputs.into_iter().next().ok_or_else(short)?;
        // The input may have lost columns nobody reads: the schema is made anew.
        let own = self.schema.fields().len() - self.input.schema().fields().len();
        let skip = self.schema.fields().len() - own;
        let fields = input
            .schema()
            .iter()
            .chain(self.schema.iter().skip(skip))
            .map(|(q, f)| (q.cloned(), f.clone()))
            .collect();
        let schema = Arc::new(DFSchema::new_with_metadata(fields, Default::default())?);
        Ok(ProjectSet {
            input: Arc::new(input),
            calls,
            outer: self.outer,
            ordinality: self.ordinality.clone(),
            schema,
        })
    }

    fn necessary_children_exprs(&self, output: &[usize]) -> Option<Vec<Vec<usize>>> {
        let columns = self.input.schema().fields().len();
        let mut needed: Vec<usize> = output.iter().copied().filter(|i| *i < columns).collect();
        for arg in self.calls.iter().flat_map(|c| &c.args) {
            for column in arg.column_refs() {
                if let Ok(i) = self.input.schema().index_of_column(column) {
                    needed.push(i);
                }
            }
        }
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }
}

fn short() -> DataFusionError {
    DataFusionError::Internal("ProjectSet: too few expressions or inputs".to_owned())
}
