//! How the rows are found and where their new values come from.

use std::sync::Arc;

use sqlparser::ast::{Ident, SelectItem, TableWithJoins};
use vicinity_storage::catalog::model::Relation;
use vicinity_types::{Kind, PgError, Result, SqlState};

use super::super::assign::{Assign, bind_assignments, targets};
use super::super::layout::Layout;
use super::super::returning::{self, Returning};
use super::lift::{Lifted, computed};
use super::select::{aliases, all_of, select};
use super::{Parts, Values};
use crate::bind::{Binder, BoundQuery};
use crate::call::{PgType, Typed};
use crate::context::ExecContext;
use crate::exec::name;
use crate::query::QueryPlan;
use crate::row::Compiler;
use crate::rows::OutputColumn;

fn output(columns: &[crate::bind::OutputColumn]) -> Vec<OutputColumn> {
    columns.iter().map(|c| OutputColumn::computed(c.name.clone(), c.ty)).collect()
}

/// A change, planned.
pub(super) struct Made {
    pub(super) plan: QueryPlan,
    pub(super) values: Values,
    pub(super) beside: std::ops::Range<usize>,
    pub(super) returning: Option<Returning>,
    pub(super) columns: Option<Vec<OutputColumn>>,
    pub(super) params: Vec<u32>,
    /// New values of the row itself, for EXPLAIN.
    pub(super) given: Vec<(usize, Typed)>,
}

/// Plans a change.
pub(super) struct Preparer<'a> {
    pub(super) ctx: &'a ExecContext,
    pub(super) parts: &'a Parts<'a>,
    pub(super) relation: &'a Arc<Relation>,
    pub(super) types: Vec<PgType>,
    /// What tells the rows: their ids and, in a family, their tables; all there is of a view's.
    pub(super) ids: Vec<SelectItem>,
    pub(super) id_types: Vec<PgType>,
    /// What the target is called.
    pub(super) qualifier: Ident,
}

/// Whether an error only says that the row lane cannot do it.
fn beyond(e: &PgError) -> bool {
    e.code() == SqlState::FEATURE_NOT_SUPPORTED
}

impl Preparer<'_> {
    fn from(&self) -> Vec<TableWithJoins> {
        let own = TableWithJoins { relation: self.parts.target.clone(), joins: Vec::new() };
        std::iter::once(own).chain(self.parts.from.iter().cloned()).collect()
    }

    pub(super) fn kinds(&self, params: &[u32]) -> Vec<Kind> {
        params.iter().map(|p| self.ctx.catalog.kind_of(*p)).collect()
    }

    /// New values computed from the row alone; `None` if they are beyond the row lane.
    pub(super) fn by_row(&self, binder: &mut Binder<'_>, layout: &Layout) -> Result<Option<Made>> {
        let p = self.parts;
        let query = select(self.ids.clone(), self.from(), p.selection)?;
        let bound = binder.query_into(&query, &self.id_types)?;
        let scope = layout.scope();
        let assigns = match p.assignments {
            Some(list) => {
                let list = targets(self.relation, list)?;
                bind_assignments(self.ctx, binder, self.relation, &self.types, &list, scope)?
            }
            None => Vec::new(),
        };
        // Subqueries in the condition are the query's; looking again asks the query again then.
        let recheck = match p.selection {
            Some(e) => binder.condition_over(e, scope, "WHERE").ok(),
            None => None,
        };
        let returning = match p.returning {
            Some(items) => Some(returning::bind(binder, items, scope)?),
            None => None,
        };
        let params = binder.finish_params()?;
        let kinds = self.kinds(&params);
        let mut compiler = Compiler::new(layout.values(), kinds.clone());
        let mut nodes = Vec::new();
        for a in &assigns {
            match compiler.compile(&a.value.expr, a.value.ty.kind) {
                Ok(node) => nodes.push((a.at, node)),
                Err(e) if beyond(&e) => return Ok(None),
                Err(e) => return Err(e),
            }
        }
        let recheck = recheck.and_then(|c| compiler.condition(&c.expr).ok());
        let cells = compiler.once_cells();
        let columns = returning.as_ref().map(|r| r.columns.clone());
        let returning = returning.map(|r| r.compile(layout, &kinds)).transpose()?;
        let plan = QueryPlan::new(self.ctx, bound.plan, output(&bound.columns), &params)?;
        let filtered = p.selection.is_some();
        let values = Values::Row { nodes, recheck, filtered, cells };
        let given = assigns.into_iter().map(Assign::into_pair).collect();
        Ok(Some(Made { plan, values, beside: 0..0, returning, columns, params, given }))
    }

    /// The query that finds the rows. What tells a view's rows is all of their columns, which is not to
    /// have named them.
    fn query(
        &self,
        binder: &mut Binder<'_>,
        mut items: Vec<SelectItem>,
        wanted: &[PgType],
    ) -> Result<BoundQuery> {
        let (from, selection) = (|| self.from(), self.parts.selection);
        let query = select(items.clone(), from(), selection)?;
        if self.relation.table().is_some() {
            return binder.query_into(&query, wanted);
        }
        let named = select(items.split_off(self.ids.len()), from(), selection)?;
        let types = wanted.get(self.ids.len()..).unwrap_or_default();
        binder.looking(|binder| binder.query_into(&named, types))?;
        let uses = binder.uses().clone();
        let bound = binder.query_into(&query, wanted)?;
        *binder.uses() = uses;
        Ok(bound)
    }

    /// New values computed by the query that finds the rows.
    pub(super) fn by_query(&self, binder: &mut Binder<'_>, mut layout: Layout) -> Result<Made> {
        let p = self.parts;
        let mut items = self.ids.clone();
        let mut wanted = self.id_types.clone();
        let list = match p.assignments {
            Some(list) => targets(self.relation, list)?,
            None => Vec::new(),
        };
        let mut lifted = Lifted::new(self, layout.scope());
        let list = lifted.lift(binder, list);
        items.append(&mut lifted.items);
        wanted.append(&mut lifted.wanted);
        let attributes = lifted.attributes;
        let first = items.len();
        let mut end = first;
        if p.returning.is_some() {
            for alias in aliases(&p.from)? {
                let probe = select(vec![all_of(&alias)], self.from(), None)?;
                let columns = binder.looking(|binder| binder.query_into(&probe, &[]))?.columns;
                let columns: Vec<(String, PgType)> =
                    columns.into_iter().map(|c| (c.name, c.ty)).collect();
                end += columns.len();
                layout.add_columns(&name::ident(&alias), &columns);
                items.push(all_of(&alias));
            }
        }
        let bound = self.query(binder, items, &wanted)?;
        let given = computed(&bound, self.ids.len(), &attributes);
        let assigns =
            bind_assignments(self.ctx, binder, self.relation, &self.types, &list, &given)?;
        let values: Vec<(usize, Typed)> = assigns.into_iter().map(Assign::into_pair).collect();
        let returning = match p.returning {
            Some(items) => Some(returning::bind(binder, items, layout.scope())?),
            None => None,
        };
        let params = binder.finish_params()?;
        let kinds = self.kinds(&params);
        let schema = bound.plan.schema().clone();
        let columns = schema.iter().zip(&bound.columns);
        let columns = columns.map(|((q, f), c)| (q, f.name().as_str(), c.ty.kind));
        let mut compiler = Compiler::new(crate::row::Scope::values(columns), kinds.clone());
        let nodes = values
            .iter()
            .map(|(at, v)| Ok((*at, compiler.compile(&v.expr, v.ty.kind)?)))
            .collect::<Result<Vec<_>>>()?;
        let columns = returning.as_ref().map(|r| r.columns.clone());
        let returning = returning.map(|r| r.compile(&layout, &kinds)).transpose()?;
        let plan = QueryPlan::new(self.ctx, bound.plan, output(&bound.columns), &params)?;
        Ok(Made {
            plan,
            values: Values::Query { nodes },
            beside: first..end,
            returning,
            columns,
            params,
            given: Vec::new(),
        })
    }
}
