//! How often the queries of a WITH are read.

use std::collections::HashMap;
use std::ops::ControlFlow;

use sqlparser::ast::{self, Visit, Visitor};

use super::{fold, name_parts};

/// For each query of a WITH, how often those after it and `whole`, which has the WITH, read it.
pub(super) fn references<V: Visit>(with: &ast::With, whole: &V) -> Vec<usize> {
    let mut left = Counter::of(with, whole).counts;
    let mut found = Vec::with_capacity(with.cte_tables.len());
    for cte in &with.cte_tables {
        // What the query itself reads by its name is another relation, or its own work table.
        for (name, count) in Counter::of(with, &*cte.query).counts {
            if let Some(left) = left.get_mut(&name) {
                *left = left.saturating_sub(count);
            }
        }
        found.push(left.get(&fold(&cte.alias.name)).copied().unwrap_or(0));
    }
    found
}

/// Whether a query of a WITH reads what has its own name.
pub(super) fn names_itself(with: &ast::With, cte: &ast::Cte) -> bool {
    Counter::of(with, &*cte.query).counts.contains_key(&fold(&cte.alias.name))
}

/// Counts names of relations that a WITH within does not hide.
struct Counter<'w> {
    with: &'w ast::With,
    counts: HashMap<String, usize>,
    /// Names hidden by the queries being visited.
    hidden: Vec<Vec<String>>,
}

impl<'w> Counter<'w> {
    fn of<V: Visit>(with: &'w ast::With, whole: &V) -> Counter<'w> {
        let mut counter = Counter { with, counts: HashMap::new(), hidden: Vec::new() };
        let _ = whole.visit(&mut counter);
        counter
    }
}

impl Visitor for Counter<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        let within = query.with.as_ref().filter(|with| !std::ptr::eq(*with, self.with));
        let tables = within.into_iter().flat_map(|with| &with.cte_tables);
        self.hidden.push(tables.map(|cte| fold(&cte.alias.name)).collect());
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &ast::Query) -> ControlFlow<()> {
        self.hidden.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ast::ObjectName) -> ControlFlow<()> {
        if let [name] = name_parts(relation).as_slice()
            && !self.hidden.iter().flatten().any(|hidden| hidden == name)
        {
            *self.counts.entry(name.clone()).or_default() += 1;
        }
        ControlFlow::Continue(())
    }
}
