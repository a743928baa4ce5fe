//! What operators of ours have in common: how they and their expressions are shown, and their inputs replaced.

use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::physical_plan::PhysicalExpr;

/// The only input; an error of DataFusion's if there is none.
pub(super) fn only<T>(inputs: Vec<T>) -> Result<T> {
    let missing = || DataFusionError::Internal("one child expected".to_owned());
    inputs.into_iter().next().ok_or_else(missing)
}

/// Shows an operator's expressions to `f` until that has seen enough.
pub(super) fn each_expression<'e>(
    expressions: impl IntoIterator<Item = &'e Arc<dyn PhysicalExpr>>,
    f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
) -> Result<TreeNodeRecursion> {
    for expression in expressions {
        if f(expression)? == TreeNodeRecursion::Stop {
            return Ok(TreeNodeRecursion::Stop);
        }
    }
    Ok(TreeNodeRecursion::Continue)
}

/// DataFusion's two ways to replace an operator's inputs, both by its `over`.
macro_rules! replaced_by_over {
    () => {
        fn replace_children(
            self: std::sync::Arc<Self>,
            children: Vec<std::sync::Arc<dyn ExecutionPlan>>,
            _options: datafusion::physical_plan::ReplaceChildrenOptions,
        ) -> datafusion::common::Result<std::sync::Arc<dyn ExecutionPlan>> {
            self.over(children)
        }

        fn with_new_children(
            self: std::sync::Arc<Self>,
            children: Vec<std::sync::Arc<dyn ExecutionPlan>>,
        ) -> datafusion::common::Result<std::sync::Arc<dyn ExecutionPlan>> {
            self.over(children)
        }
    };
}

/// An operator shows itself by its name alone.
macro_rules! shown_by_name {
    ($operator:ident) => {
        impl std::fmt::Debug for $operator {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($operator))
            }
        }

        impl datafusion::physical_plan::DisplayAs for $operator {
            fn fmt_as(
                &self,
                _t: datafusion::physical_plan::DisplayFormatType,
                f: &mut std::fmt::Formatter<'_>,
            ) -> std::fmt::Result {
                f.write_str(stringify!($operator))
            }
        }
    };
}

pub(super) use {replaced_by_over, shown_by_name};
