//! Queries inside expressions: numbered as they are met, shown below the node that asks them.

use std::collections::HashMap;
use std::sync::Arc;

use super::build::Builder;
use super::tree::{PlanNode, Relation};
use crate::bind::{SubPlan, SubPlanKind, SubQuery};

/// A query met in an expression.
#[derive(Clone)]
pub(super) struct Met {
    query: Arc<SubQuery>,
    number: usize,
    /// The parameter that has its value, of one that runs once for all rows.
    pub(super) returns: Option<usize>,
    /// It gives the values membership is asked of.
    pub(super) hashed: bool,
    /// Texts of its parameters.
    args: Vec<String>,
}

/// Those met so far.
#[derive(Default)]
pub(super) struct Subplans {
    known: HashMap<u64, Met>,
    numbers: usize,
    params: usize,
    pending: Vec<Met>,
}

impl Subplans {
    /// How an expression refers to a query.
    pub(super) fn text(&mut self, plan: &SubPlan, args: &[String]) -> String {
        let quantified = matches!(plan.kind, SubPlanKind::Quantified { .. });
        let params = if quantified { args.get(1..).unwrap_or_default() } else { args };
        let met = self.meet(&plan.query, quantified, params);
        let name = match (met.returns, met.hashed) {
            (Some(param), _) => return format!("${param}"),
            (None, true) => format!("(hashed SubPlan {})", met.number),
            (None, false) => format!("(SubPlan {})", met.number),
        };
        match &plan.kind {
            SubPlanKind::Quantified { op, any: false, .. } if op == "<>" => format!("(NOT {name})"),
            _ => name,
        }
    }

    fn meet(&mut self, query: &Arc<SubQuery>, quantified: bool, args: &[String]) -> Met {
        if let Some(met) = self.known.get(&query.id) {
            return met.clone();
        }
        self.numbers += 1;
        let once = !query.correlated && !quantified;
        let met = Met {
            query: query.clone(),
            number: self.numbers,
            returns: once.then_some(self.params),
            hashed: quantified && !query.correlated,
            args: args.to_vec(),
        };
        self.params += usize::from(once);
        self.known.insert(query.id, met.clone());
        self.pending.push(met.clone());
        met
    }

    /// A query of the planner's own making: the name it is shown with, and its value's.
    pub(super) fn made(&mut self) -> (String, String) {
        self.numbers += 1;
        let param = self.params;
        self.params += 1;
        (format!("InitPlan {} (returns ${param})", self.numbers), format!("${param}"))
    }

    /// Those met since they were last taken.
    pub(super) fn take(&mut self) -> Vec<Met> {
        std::mem::take(&mut self.pending)
    }
}

impl Builder<'_> {
    /// The tree of a query met; `None` if it cannot be planned, which running it will tell.
    pub(super) fn subplan(&self, met: &Met) -> Option<PlanNode> {
        let plan = met.query.query_plan(self.ctx).ok()?;
        let texts = met.args.iter().cloned().map(Some).collect();
        let mut tree = self.query(&plan, &[], texts);
        tree.relation = match met.returns {
            Some(param) => {
                Relation::InitPlan(format!("InitPlan {} (returns ${param})", met.number))
            }
            None => Relation::SubPlan(format!("SubPlan {}", met.number)),
        };
        Some(tree)
    }
}
