//! Rows put into a table from outside of a plan: COPY.

use std::cell::OnceCell;
use std::sync::Arc;

use datafusion::common::Column as PlanColumn;
use datafusion::logical_expr::Expr as Plan;
use sqlparser::ast::Expr;
use vicinity_storage::catalog::model::Relation;
use vicinity_types::{Datum, PgError, Result, SqlState};

use super::insert::{Insert, Inserter};
use super::layout::{Layout, columns, extend};
use super::rules;
use crate::bind::Place;
use crate::call::{PgType, Typed};
use crate::context::ExecContext;
use crate::exec::after::Queue;
use crate::row::{Compiler, Frame, Node, RowRef};
use crate::rows::Discard;

/// How rows get into a table: given columns, defaults, a condition.
pub(crate) struct Feed {
    insert: Insert,
    places: Vec<usize>,
    /// What domains ask of a value: the place among the given ones, and the checked value over them.
    domains: Vec<(usize, Node)>,
    filter: Option<Node>,
    cells: usize,
}

impl Feed {
    /// For rows with values for the columns at `places`; only rows that pass `filter` go in.
    pub(crate) fn prepare(
        ctx: &ExecContext,
        relation: &Arc<Relation>,
        places: &[usize],
        filter: Option<&Expr>,
    ) -> Result<Feed> {
        let insert = Insert::of_given(ctx, relation, places)?;
        let (domains, domain_cells) = domains(ctx, relation, places)?;
        let (filter, filter_cells) = match filter {
            Some(filter) => {
                let layout = Layout::of_table(&ctx.catalog, relation, None)?;
                let bound = rules::binder(ctx).condition_at(
                    filter,
                    layout.scope(),
                    "WHERE",
                    Place::CopyWhere,
                )?;
                check_filter(relation, filter)?;
                let mut compiler = Compiler::new(layout.values(), Vec::new());
                let node = compiler.condition(&bound.expr)?;
                (Some(node), compiler.once_cells())
            }
            None => (None, 0),
        };
        Ok(Feed {
            insert,
            places: places.to_vec(),
            domains,
            filter,
            cells: domain_cells.max(filter_cells),
        })
    }

    /// Begins an execution, and fires what comes before it; `nothing` takes what RETURNING would give.
    pub(crate) fn begin<'a>(
        &'a self,
        ctx: &'a ExecContext,
        nothing: &'a mut Discard,
    ) -> Result<Feeding<'a>> {
        let queue = Queue::default();
        let inserter = Inserter::new(&self.insert, ctx, &[], nothing, queue);
        inserter.begin()?;
        Ok(Feeding { feed: self, ctx, inserter, once: vec![OnceCell::new(); self.cells] })
    }
}

/// Values of a domain are read as its base type's and then cast to it.
fn domains(
    ctx: &ExecContext,
    relation: &Relation,
    places: &[usize],
) -> Result<(Vec<(usize, Node)>, usize)> {
    let mut nodes = Vec::new();
    let columns = columns(relation);
    let name = |i: usize| format!("v{i}");
    let names: Vec<String> = (0..places.len()).map(name).collect();
    let kinds = places.iter().filter_map(|at| columns.get(*at));
    let kinds = kinds.map(|c| ctx.catalog.kind_of(c.type_oid));
    let scope = crate::row::Scope::values(
        names.iter().zip(kinds).map(|(n, kind)| (None, n.as_str(), kind)),
    );
    let mut compiler = Compiler::new(scope, Vec::new());
    for (i, at) in places.iter().enumerate() {
        let Some(c) = columns.get(*at) else { continue };
        let mut binder = rules::binder(ctx);
        let Some((base, typmod)) = binder.types().made_of(c.type_oid) else { continue };
        let kind = ctx.catalog.kind_of(c.type_oid);
        let given = Typed::new(
            Plan::Column(PlanColumn::new_unqualified(name(i))),
            PgType::with_kind(base, typmod, kind),
        );
        let target = PgType::with_kind(c.type_oid, c.typmod, kind);
        let cast = binder.coerce_assign(given, target, &c.name)?;
        nodes.push((i, compiler.compile(&cast.expr, kind)?));
    }
    Ok((nodes, compiler.once_cells()))
}

/// Generated columns have no value yet when a condition is asked.
fn check_filter(relation: &Relation, filter: &Expr) -> Result<()> {
    use std::ops::ControlFlow;
    let columns = columns(relation);
    let found = sqlparser::ast::visit_expressions(filter, |e| {
        let name = match e {
            Expr::Identifier(i) => Some(i),
            Expr::CompoundIdentifier(parts) => parts.last(),
            _ => None,
        };
        let name = name.map(crate::exec::name::ident);
        match columns.iter().find(|c| c.generated.is_some() && name.as_ref() == Some(&c.name)) {
            Some(c) => ControlFlow::Break(c.name.clone()),
            None => ControlFlow::Continue(()),
        }
    });
    match found {
        ControlFlow::Break(name) => Err(PgError::new(
            SqlState::INVALID_COLUMN_REFERENCE,
            "generated columns are not supported in COPY FROM WHERE conditions",
        )
        .detail(format!("Column \"{name}\" is a generated column."))),
        ControlFlow::Continue(()) => Ok(()),
    }
}

/// One execution.
pub(crate) struct Feeding<'a> {
    feed: &'a Feed,
    ctx: &'a ExecContext,
    inserter: Inserter<'a>,
    once: Vec<OnceCell<Datum>>,
}

impl Feeding<'_> {
    /// Values as their domains have them; an error comes with the place among them.
    pub(crate) fn check(&self, given: &mut [Datum]) -> Result<(), (usize, PgError)> {
        let Feeding { feed, ctx, once, .. } = self;
        let frame = Frame { ctx, params: &[], once, row: RowRef::None };
        for (i, node) in &feed.domains {
            let value = node.eval(&frame.with_row(RowRef::Values(given))).map_err(|e| (*i, e))?;
            if let Some(slot) = given.get_mut(*i) {
                *slot = value;
            }
        }
        Ok(())
    }

    /// Puts a row in; `given` has a checked value for each of the places, in order, and is emptied.
    pub(crate) fn row(&mut self, given: &mut Vec<Datum>) -> Result<()> {
        let Feeding { feed, ctx, inserter, once } = self;
        let frame = Frame { ctx, params: &[], once, row: RowRef::None };
        inserter.given(|values| {
            for (at, value) in feed.places.iter().zip(given.drain(..)) {
                if let Some(slot) = values.get_mut(*at) {
                    *slot = value;
                }
            }
            let Some(filter) = &feed.filter else { return Ok(true) };
            let width = values.len();
            extend(values, 0, feed.insert.relation().oid);
            let passes = filter.passes(&frame.with_row(RowRef::Values(values)))?;
            values.truncate(width);
            Ok(passes)
        })
    }

    /// All rows are in: fires what waited for that. Gives their number.
    pub(crate) fn finish(self) -> Result<u64> {
        let (count, queue) = self.inserter.finish()?;
        queue.finish(self.ctx)?;
        Ok(count)
    }
}
