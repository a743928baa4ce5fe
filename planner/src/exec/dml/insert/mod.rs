//! INSERT.

mod bind;
mod inserter;
mod source;

use std::sync::Arc;

use datafusion::logical_expr::Expr as Plan;
use sqlparser::ast::{self, Expr, OnInsert, SetExpr, TableObject};
use vicinity_storage::catalog::model::{ConstraintKind, Privileges, Relation};
use vicinity_types::{Datum, Kind, PgError, Result, SqlState};

use super::super::after::Queue;
use super::super::name;
use super::super::triggers::{Event, Triggers};
use super::assign::targets;
use super::conflict::{BoundConflict, Conflict};
use super::layout::Layout;
use super::leaf::Leaf;
use super::returning::{self, Returning};
use super::route::{Leaves, Router};
use super::rules::Rules;
use super::shown::{ConflictShown, Shown};
use super::target::target;
use super::{DmlPlan, Kind as PlanKind};
use crate::bind::Binder;
use crate::context::ExecContext;
use crate::measure::{Figures, Meter, Stage};
use crate::partition::descendants;
use crate::query::QueryPlan;
use crate::row::{Compiler, Node, RowRef};
use crate::rows::RowSink;
use crate::uses::Use;
pub(super) use bind::{BoundRow, Listed};
use bind::{BoundSource, bind_query, bind_rows, plain_values, refuse};
pub(super) use inserter::Inserter;
use source::{Maker, Source};

/// A prepared INSERT.
pub(super) struct Insert {
    /// The target itself: what is written where it is not cut, and what fires for the statement.
    pub(super) leaf: Arc<Leaf>,
    /// Where rows go from there.
    router: Option<(Router, Leaves)>,
    source: Source,
    /// Defaults of the columns that are given nothing.
    defaults: Vec<(usize, Node)>,
    cells: usize,
    conflict: Option<Conflict>,
    returning: Option<Returning>,
    pub(super) shown: Shown,
}

/// Prepares INSERT.
pub(super) fn prepare(
    ctx: &ExecContext,
    binder: &mut Binder<'_>,
    i: &ast::Insert,
) -> Result<DmlPlan> {
    refuse(i)?;
    if let Some(alias) = i.table_alias.as_ref().filter(|a| !a.explicit) {
        let name = &alias.alias;
        let text = format!("syntax error at or near \"{}\"", name.value);
        let place = crate::bind::position(name.span);
        return Err(PgError::new(SqlState::SYNTAX_ERROR, text).or_at(place));
    }
    let TableObject::TableName(given) = &i.table else {
        return Err(PgError::unsupported("INSERT into a function"));
    };
    let relation = target(ctx, given, Event::Insert)?;
    let rules = Rules::new(ctx, &relation)?;
    let to = Listed::of(&relation, &i.columns)?;
    let numbers = |places: &[usize]| {
        places.iter().filter_map(|at| i16::try_from(at + 1).ok()).collect::<Vec<i16>>()
    };
    let columns: Vec<usize> = to.columns.iter().map(|c| c.at).collect();
    let written = Use::write(relation.oid, Privileges::INSERT, numbers(&columns));
    binder.uses().add(written);
    let source = match &i.source {
        None => BoundSource::Rows(vec![Vec::new()]),
        Some(query) => match (&*query.body, plain_values(query)) {
            (SetExpr::Values(values), true) => {
                let rows = values.rows.iter().map(|r| Ok(binder.spread(r)?.into_owned()));
                let rows: Vec<Vec<Expr>> = rows.collect::<Result<_>>()?;
                let types = &rules.types;
                bind_rows(binder, &relation, types, &to, &rows)?
            }
            _ => bind_query(binder, &relation, &rules.types, &to, query)?,
        },
    };
    let alias = i.table_alias.as_ref().map(|a| name::ident(&a.alias));
    let layout = Layout::of_table(&ctx.catalog, &relation, alias.as_deref())?;
    let conflict = match &i.on {
        None => None,
        Some(OnInsert::OnConflict(c)) => {
            let alias = alias.as_deref();
            if let ast::OnConflictAction::DoUpdate(update) = &c.action {
                let places = targets(&relation, &update.assignments)?;
                let places: Vec<usize> = places.into_iter().map(|t| t.place.at).collect();
                let written = Use::write(relation.oid, Privileges::UPDATE, numbers(&places));
                binder.uses().add(written);
            }
            Some(BoundConflict::bind(ctx, binder, &relation, &rules.types, alias, c)?)
        }
        Some(_) => return Err(PgError::unsupported("ON DUPLICATE KEY UPDATE")),
    };
    let bound_returning = match &i.returning {
        None => None,
        Some(items) => Some(returning::bind(binder, items, layout.scope())?),
    };
    let params = binder.finish_params()?;
    let kinds: Vec<Kind> = params.iter().map(|p| ctx.catalog.kind_of(*p)).collect();
    let mut maker =
        Maker { ctx, relation: &relation, types: &rules.types, params: &params, kinds: &kinds };
    let shown = match &source {
        BoundSource::Rows(rows) => Shown::new(alias).of_rows(rows),
        BoundSource::Sets(_, row) => {
            let given = row.iter().filter(|(_, value)| value.is_some());
            Shown { columns: given.map(|(at, _)| *at).collect(), ..Shown::new(alias) }
        }
        BoundSource::Query(_, values) => {
            Shown { columns: values.iter().map(|(at, _)| *at).collect(), ..Shown::new(alias) }
        }
    };
    let (source, defaults, cells) = maker.source(source)?;
    let conflict = conflict.map(|c| c.compile(relation.oid, &kinds)).transpose()?;
    let columns = bound_returning.as_ref().map(|r| r.columns.clone());
    let returning = bound_returning.map(|r| r.compile(&layout, &kinds)).transpose()?;
    let short = source.is_short()
        && !defaults.iter().any(|(_, node)| node.runs_statements())
        && !rules.run_statements()
        && !conflict.as_ref().is_some_and(Conflict::runs_statements)
        && !returning.as_ref().is_some_and(Returning::runs_statements)
        && !may_wait_below(ctx, &relation);
    let (leaf, router) = leaves(ctx, rules, conflict.as_ref())?;
    let insert = Insert { leaf, router, source, defaults, cells, conflict, returning, shown };
    Ok(DmlPlan {
        kind: PlanKind::Insert(Box::new(insert)),
        params,
        columns,
        short,
        parts: super::Parts::default(),
        uses: super::Uses::default(),
        families: false,
    })
}

/// Whether writes to what is below a table fire triggers or check what is not the table's own, which
/// may take any time.
pub(super) fn may_wait_below(ctx: &ExecContext, target: &Arc<Relation>) -> bool {
    let checks = |r: &Relation| {
        let own = r.table().map_or(&[][..], |t| &t.constraints);
        own.iter().any(|c| c.local && matches!(c.kind, ConstraintKind::Check { .. }))
    };
    let waits = |r: &Arc<Relation>| ctx.catalog.triggers_of(r.oid).next().is_some() || checks(r);
    let any = || descendants(&ctx.catalog, target).iter().skip(1).any(waits);
    ctx.engine.families.waits(&ctx.catalog, target.oid, any)
}

/// The target as a table rows are in, and how they get on where it is cut.
fn leaves(
    ctx: &ExecContext,
    rules: Rules,
    conflict: Option<&Conflict>,
) -> Result<(Arc<Leaf>, Option<(Router, Leaves)>)> {
    let target = rules.relation.clone();
    let assigned = conflict.and_then(Conflict::assigned).unwrap_or_default();
    let router = Router::of(ctx, &target)?;
    let router = router.map(|router| (router, Leaves::new(&target, &assigned)));
    Ok((Arc::new(Leaf::over(ctx, rules, &assigned)?), router))
}

impl Insert {
    /// What its rows come from, where those are queries.
    pub(super) fn queries(&self) -> &[(QueryPlan, Vec<(usize, Node)>)] {
        match &self.source {
            Source::Queries(queries) => queries,
            Source::Rows(_) => &[],
        }
    }

    /// An INSERT whose rows come from outside, with values for the columns `given`.
    pub(super) fn of_given(
        ctx: &ExecContext,
        relation: &Arc<Relation>,
        given: &[usize],
    ) -> Result<Insert> {
        let rules = Rules::new(ctx, relation)?;
        let maker = Maker { ctx, relation, types: &rules.types, params: &[], kinds: &[] };
        let mut compiler = Compiler::new(crate::row::Scope::empty(), Vec::new());
        let defaults = maker.defaults(&mut compiler, given)?;
        let cells = compiler.once_cells();
        let source = Source::Rows(Vec::new());
        let (leaf, router) = leaves(ctx, rules, None)?;
        let (conflict, returning, shown) = (None, None, Shown::new(None));
        Ok(Insert { leaf, router, source, defaults, cells, conflict, returning, shown })
    }

    /// An INSERT of one row of values, which are over rows of `scope`.
    pub(super) fn of_row(
        ctx: &ExecContext,
        leaf: &Arc<Leaf>,
        row: BoundRow,
        (kinds, params): (&[Kind], &[u32]),
        scope: crate::row::Scope,
    ) -> Result<Insert> {
        let Rules { relation, types, .. } = &leaf.rules;
        let maker = Maker { ctx, relation, types, params, kinds };
        let mut compiler = Compiler::new(scope, kinds.to_vec());
        let (rows, defaults) = maker.rows(&mut compiler, &vec![row])?;
        let router = Router::of(ctx, relation)?.map(|r| (r, Leaves::new(relation, &[])));
        Ok(Insert {
            leaf: leaf.clone(),
            router,
            source: Source::Rows(rows),
            defaults,
            cells: compiler.once_cells(),
            conflict: None,
            returning: None,
            shown: Shown::new(None),
        })
    }

    /// What fires for the statement: for the rows it inserts, and for those it updates instead.
    pub(super) fn triggers(&self) -> impl DoubleEndedIterator<Item = &Arc<Triggers>> {
        let updates = self.conflict.as_ref().is_some_and(Conflict::updates);
        self.leaf.insert.iter().chain(self.leaf.update.iter().filter(move |_| updates))
    }

    /// The table written to.
    pub(super) fn relation(&self) -> &Arc<Relation> {
        &self.leaf.rules.relation
    }

    /// The queries the rows come from.
    pub(super) fn plans(&self) -> Vec<&QueryPlan> {
        match &self.source {
            Source::Queries(queries) => queries.iter().map(|(plan, _)| plan).collect(),
            Source::Rows(_) => Vec::new(),
        }
    }

    /// RETURNING's list.
    pub(super) fn returned(&self) -> &[Plan] {
        self.returning.as_ref().map_or(&[], |r| &r.shown)
    }

    /// ON CONFLICT.
    pub(super) fn on_conflict(&self) -> Option<ConflictShown<'_>> {
        self.conflict.as_ref().map(Conflict::shown)
    }

    pub(super) fn run(
        &self,
        ctx: &ExecContext,
        params: &[Datum],
        sink: &mut dyn RowSink,
        queue: &mut Queue,
    ) -> Result<u64> {
        let noted = std::mem::take(queue);
        let mut inserter = Inserter::new(self, ctx, params, sink, noted);
        inserter.begin()?;
        match &self.source {
            Source::Rows(rows) => {
                let mut meter =
                    ctx.measure.as_ref().map(|m| Meter::begin(m, self.shown.place.below(1)));
                for (i, row) in rows.iter().enumerate() {
                    match &mut meter {
                        Some(meter) => inserter.measured(row, meter)?,
                        None => inserter.one(row, RowRef::None)?,
                    }
                    if i % 1024 == 1023 {
                        ctx.check()?;
                    }
                }
            }
            Source::Queries(queries) => {
                for (plan, nodes) in queries {
                    inserter.nodes = nodes;
                    let mut cursor = plan.open(ctx.clone(), params.to_vec())?;
                    while !cursor.fill(&mut inserter, 4096)?.done {
                        ctx.check()?;
                    }
                }
            }
        }
        if let Some(measure) = &ctx.measure {
            let (conflicts, left) = (inserter.conflicts, inserter.left);
            let rows = inserter.count - (conflicts - left);
            let figures =
                Figures { rows, conflicts, removed: left, loops: 1, ..Figures::default() };
            measure.add(self.shown.place, Stage::Top, &figures);
        }
        let (count, noted) = inserter.finish()?;
        *queue = noted;
        Ok(count)
    }
}
