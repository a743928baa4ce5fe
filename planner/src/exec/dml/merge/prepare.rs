//! MERGE, planned.

use std::sync::Arc;

use sqlparser::ast::{
    self, Expr, Ident, Join, JoinConstraint, JoinOperator, MergeAction, MergeClause,
    MergeClauseKind, MergeInsertExpr, MergeInsertKind, SelectItem, TableFactor, TableWithJoins,
};
use vicinity_storage::catalog::model::{Privileges, Relation, RelationKind};
use vicinity_types::{Kind, PgError, Result, SqlState, oid};

use super::super::assign::{Assign, Target, bind_assignments, targets};
use super::super::change::{Change, Family, Values, aliases, all_of, select};
use super::super::insert::{BoundRow, Insert, Listed};
use super::super::layout::Layout;
use super::super::leaf::Leaf;
use super::super::rules::Rules;
use super::super::shown::Shown;
use super::super::{DmlPlan, Kind as PlanKind, Parts, Uses};
use super::merger::SOURCE;
use super::{Merge, When};
use crate::bind::{Binder, Scope};
use crate::call::{PgType, Typed};
use crate::context::ExecContext;
use crate::exec::name;
use crate::query::QueryPlan;
use crate::row::{self, Compiler};
use crate::rows::OutputColumn;
use crate::sql;
use crate::uses::Use;

/// What MERGE writes to.
fn target(ctx: &ExecContext, given: &ast::ObjectName) -> Result<Arc<Relation>> {
    let relation = name::relation(ctx, given).map_err(|e| e.or_at(name::position(given)))?;
    match &relation.kind {
        RelationKind::Table(t) if t.materialized.is_none() => Ok(relation),
        kind => {
            let text = format!("cannot execute MERGE on relation \"{}\"", relation.name);
            let what = match kind {
                RelationKind::View(_) => "views",
                RelationKind::Table(_) => "materialized views",
                RelationKind::Sequence(_) => "sequences",
                RelationKind::Index(_) => "indexes",
                _ => "composite types",
            };
            Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, text)
                .detail(format!("This operation is not supported for {what}.")))
        }
    }
}

/// A clause, bound.
struct Bound {
    condition: Option<Typed>,
    action: Action,
}

enum Action {
    Nothing,
    Delete,
    Update(Vec<(usize, Typed)>),
    Insert(BoundRow),
}

/// Binds a MERGE's clauses.
struct Clauses<'a> {
    ctx: &'a ExecContext,
    relation: &'a Arc<Relation>,
    types: &'a [PgType],
    /// What the target is called.
    alias: &'a str,
    /// Both sides, and the source alone.
    both: &'a Layout,
    source: &'a Layout,
}

impl Clauses<'_> {
    fn bind(&self, binder: &mut Binder<'_>, clause: &MergeClause) -> Result<Bound> {
        let matched = is_matched(clause);
        let scope = if matched { self.both.scope() } else { self.source.scope() };
        let seen = |e: PgError| if matched { e } else { self.out_of_sight(e) };
        let condition = clause.predicate.as_ref();
        let condition = condition
            .map(|e| binder.condition_in(e, scope, "WHEN", "MERGE WHEN conditions").map_err(seen));
        let action = match &clause.action {
            MergeAction::Delete { .. } => Action::Delete,
            MergeAction::Update(update) if update.assignments.is_empty() => Action::Nothing,
            MergeAction::Update(update) => {
                let list = targets(self.relation, &update.assignments)?;
                Action::Update(self.update(binder, &list, scope)?)
            }
            MergeAction::Insert(insert) => match self.insert(binder, insert).map_err(seen)? {
                Some(row) => Action::Insert(row),
                None => Action::Nothing,
            },
        };
        Ok(Bound { condition: condition.transpose()?, action })
    }

    fn update(
        &self,
        binder: &mut Binder<'_>,
        list: &[Target<'_>],
        scope: &Scope,
    ) -> Result<Vec<(usize, Typed)>> {
        let (ctx, relation, types) = (self.ctx, self.relation, self.types);
        let made = bind_assignments(ctx, binder, relation, types, list, scope)?;
        let made: Vec<(usize, Typed)> = made.into_iter().map(Assign::into_pair).collect();
        let columns = numbers(made.iter().map(|(at, _)| *at));
        binder.uses().add(Use::write(relation.oid, Privileges::UPDATE, columns));
        Ok(made)
    }

    /// The row to be inserted; `None` for DO NOTHING.
    fn insert(
        &self,
        binder: &mut Binder<'_>,
        insert: &MergeInsertExpr,
    ) -> Result<Option<BoundRow>> {
        let row: &[Expr] = match &insert.kind {
            MergeInsertKind::Row => &[],
            MergeInsertKind::Values(values) => match values.rows.first() {
                Some(row) => row,
                None => return Ok(None),
            },
        };
        let to = Listed::of(self.relation, &insert.columns)?;
        let columns = numbers(to.columns.iter().map(|c| c.at));
        binder.uses().add(Use::write(self.relation.oid, Privileges::INSERT, columns));
        to.bind_row(binder, self.relation, self.types, row, self.source.scope()).map(Some)
    }

    /// Where there is no row of the target, its name means nothing.
    fn out_of_sight(&self, e: PgError) -> PgError {
        let missing = format!("missing FROM-clause entry for table \"{}\"", self.alias);
        if e.message() != missing {
            return e;
        }
        let mut e = e.hint(format!(
            "There is an entry for table \"{}\", but it cannot be referenced from this part of \
             the query.",
            self.alias
        ));
        e.report_mut().message =
            format!("invalid reference to FROM-clause entry for table \"{}\"", self.alias);
        e
    }
}

fn is_matched(clause: &MergeClause) -> bool {
    clause.clause_kind == MergeClauseKind::Matched
}

fn numbers(places: impl Iterator<Item = usize>) -> Vec<i16> {
    places.filter_map(|at| i16::try_from(at + 1).ok()).collect()
}

/// Nothing comes behind an action without a condition.
fn check_reached(clauses: &[MergeClause]) -> Result<()> {
    for matched in [true, false] {
        let mut kind = clauses.iter().filter(|c| is_matched(c) == matched);
        if kind.any(|c| c.predicate.is_none()) && kind.next().is_some() {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                "unreachable WHEN clause specified after unconditional WHEN clause",
            ));
        }
    }
    Ok(())
}

/// The source beside the target: all of its rows where those without one are inserted.
fn joined(m: &ast::Merge, outer: bool) -> TableWithJoins {
    let constraint = JoinConstraint::On((*m.on).clone());
    let join_operator =
        if outer { JoinOperator::LeftOuter(constraint) } else { JoinOperator::Inner(constraint) };
    let join = Join { relation: m.table.clone(), global: false, join_operator };
    TableWithJoins { relation: m.source.clone(), joins: vec![join] }
}

pub(in super::super) fn prepare(
    ctx: &ExecContext,
    binder: &mut Binder<'_>,
    m: &ast::Merge,
) -> Result<DmlPlan> {
    let TableFactor::Table { name: given, alias, args: None, .. } = &m.table else {
        return Err(PgError::unsupported("MERGE into this target"));
    };
    let relation = target(ctx, given)?;
    check_reached(&m.clauses)?;
    let rules = Rules::new(ctx, &relation)?;
    let types = rules.types.clone();
    let alias = alias.as_ref().map(|a| name::ident(&a.name));
    let own = alias.as_deref().unwrap_or(&relation.name);
    let mut both = Layout::of_table(&ctx.catalog, &relation, alias.as_deref())?;
    let mut source = Layout::default();
    let qualifier = Ident::with_quote('"', own);
    let id = |column: &str| {
        let parts = vec![qualifier.clone(), Ident::new(column)];
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts))
    };
    let mut items = vec![id("ctid"), id("tableoid")];
    let from = TableWithJoins { relation: m.source.clone(), joins: Vec::new() };
    for alias in aliases(std::slice::from_ref(&from))? {
        if name::ident(&alias) == own {
            return Err(PgError::new(
                SqlState::DUPLICATE_ALIAS,
                format!("name \"{own}\" specified more than once"),
            )
            .detail("The name is used both as MERGE target table and data source."));
        }
        let probe = select(vec![all_of(&alias)], vec![from.clone()], None)?;
        let columns = binder.looking(|binder| binder.query_into(&probe, &[]))?.columns;
        let columns: Vec<_> = columns.into_iter().map(|c| (c.name, c.ty)).collect();
        both.add_columns(&name::ident(&alias), &columns);
        source.add_columns(&name::ident(&alias), &columns);
        items.push(all_of(&alias));
    }
    let outer = m.clauses.iter().any(|c| !is_matched(c));
    let query = select(items, vec![joined(m, outer)], None)?;
    let ids = [PgType::new(oid::TID), PgType::new(oid::OID)];
    let bound = binder.query_into(&query, &ids)?;
    let clauses = Clauses {
        ctx,
        relation: &relation,
        types: &types,
        alias: own,
        both: &both,
        source: &source,
    };
    let mut made = Vec::with_capacity(m.clauses.len());
    for clause in &m.clauses {
        made.push((is_matched(clause), clauses.bind(binder, clause)?));
    }
    if made.iter().any(|(_, c)| matches!(c.action, Action::Delete)) {
        binder.uses().add(Use::write(relation.oid, Privileges::DELETE, Vec::new()));
    }
    let params = binder.finish_params()?;
    let kinds: Vec<Kind> = params.iter().map(|p| ctx.catalog.kind_of(*p)).collect();
    let output = bound.columns.iter().map(|c| OutputColumn::computed(c.name.clone(), c.ty));
    let plan = Arc::new(QueryPlan::new(ctx, bound.plan, output.collect(), &params)?);
    let width = bound.columns.len();
    let compiled = Compiled::new(&clauses, made, (kinds, &params), (plan, width), given, rules)?;
    Ok(DmlPlan {
        kind: PlanKind::Merge(Box::new(compiled.merge(alias.clone()))),
        params,
        columns: None,
        short: false,
        parts: Parts::default(),
        uses: Uses::default(),
        families: false,
    })
}

/// The actions, ready to run.
struct Compiled {
    leaf: Arc<Leaf>,
    plan: Arc<QueryPlan>,
    matched: Vec<When<Change>>,
    unmatched: Vec<When<Insert>>,
    cells: usize,
}

impl Compiled {
    fn new(
        of: &Clauses<'_>,
        clauses: Vec<(bool, Bound)>,
        (kinds, params): (Vec<Kind>, &[u32]),
        (plan, width): (Arc<QueryPlan>, usize),
        given: &ast::ObjectName,
        rules: Rules,
    ) -> Result<Compiled> {
        let mut assigned: Vec<usize> = Vec::new();
        for (_, clause) in &clauses {
            if let Action::Update(values) = &clause.action {
                assigned.extend(values.iter().map(|(at, _)| *at));
            }
        }
        let leaf = Arc::new(Leaf::over(of.ctx, rules, &assigned)?);
        let whole = !sql::is_only(given) && of.ctx.catalog.has_children(of.relation.oid);
        let family = match whole {
            true => Some(Arc::new(Family::new(of.ctx, of.relation, &assigned)?)),
            false => None,
        };
        let mut compiler = Compiler::new(row::Scope::empty(), kinds.clone());
        let (mut matched, mut unmatched) = (Vec::new(), Vec::new());
        for (is_matched, clause) in clauses {
            let scope = if is_matched { of.both.values() } else { of.source.values() };
            compiler.set_scope(scope);
            let condition = clause.condition.map(|c| compiler.condition(&c.expr)).transpose()?;
            let change = |values: Option<Vec<_>>| {
                let delete = values.is_none();
                let values = Values::of_row(values.unwrap_or_default());
                Change::new(
                    leaf.clone(),
                    family.clone(),
                    delete,
                    plan.clone(),
                    values,
                    SOURCE..width,
                )
            };
            let mut changes = None;
            match clause.action {
                Action::Insert(row) => {
                    let insert =
                        Insert::of_row(of.ctx, &leaf, row, (&kinds, params), of.source.values())?;
                    unmatched.push(When { condition, action: Some(insert) });
                    continue;
                }
                Action::Nothing => {}
                Action::Delete => changes = Some(change(None)),
                Action::Update(values) => {
                    let mut nodes = Vec::with_capacity(values.len());
                    for (at, value) in values {
                        nodes.push((at, compiler.compile(&value.expr, value.ty.kind)?));
                    }
                    changes = Some(change(Some(nodes)));
                }
            }
            if is_matched {
                matched.push(When { condition, action: changes });
            } else {
                unmatched.push(When { condition, action: None });
            }
        }
        Ok(Compiled { leaf, plan, matched, unmatched, cells: compiler.once_cells() })
    }

    fn merge(self, alias: Option<String>) -> Merge {
        let Compiled { leaf, plan, matched, unmatched, cells } = self;
        Merge { leaf, plan, matched, unmatched, cells, shown: Shown::new(alias) }
    }
}
