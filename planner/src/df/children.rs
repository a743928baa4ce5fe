//! Operators over one input, and over their inputs replaced.

use datafusion::common::{DataFusionError, Result};

/// The only input; an error of DataFusion's if there is none.
pub(super) fn only<T>(inputs: Vec<T>) -> Result<T> {
    let missing = || DataFusionError::Internal("one child expected".to_owned());
    inputs.into_iter().next().ok_or_else(missing)
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

pub(super) use replaced_by_over;
