//! `pg_constraint`: constraints of tables and domains, and triggers that are some.

use vicinity_storage::catalog::model::{
    Constraint, ConstraintKind, DomainCheck, Relation, TypeDef, TypeKind,
};
use vicinity_types::{Datum, Oid, Result, oid};

use super::VirtualTable;
use super::row::{Rows, array, ch, flag, id, int4, text};
use crate::context::ExecContext;
use crate::exec::foreign::part;
use crate::partition;

pub(super) fn pg_constraint(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for relation in ctx.catalog.relations() {
        for constraint in relation.table().map_or(&[][..], |t| &t.constraints) {
            rows.push(constraint_row(ctx, relation, constraint));
        }
    }
    ctx.catalog
        .triggers()
        .filter_map(|t| super::trigger::constraint_row(ctx, t))
        .for_each(|r| rows.push(r));
    for ty in ctx.catalog.types() {
        let TypeKind::Domain { checks, .. } = &ty.kind else { continue };
        checks.iter().for_each(|c| rows.push(domain_row(ty, c)));
    }
    rows.done()
}

/// A check of a domain.
fn domain_row(ty: &TypeDef, check: &DomainCheck) -> [(&'static str, Datum); 16] {
    [
        ("oid", id(check.oid)),
        ("conname", text(&check.name)),
        ("connamespace", id(ty.schema)),
        ("contype", ch('c')),
        ("condeferrable", flag(false)),
        ("condeferred", flag(false)),
        ("convalidated", flag(check.validated)),
        ("conrelid", id(0)),
        ("contypid", id(ty.oid)),
        ("conindid", id(0)),
        ("conparentid", id(0)),
        ("confrelid", id(0)),
        ("conislocal", flag(true)),
        ("coninhcount", int4(0)),
        ("connoinherit", flag(false)),
        ("conbin", text(&check.expr)),
    ]
}

/// The constraint of the table above that a constraint is a part of.
fn parent_constraint(ctx: &ExecContext, relation: &Relation, c: &Constraint) -> Oid {
    if c.inherited == 0 {
        return 0;
    }
    if let Some(whole) = part::whole_of(&ctx.catalog, relation, c) {
        return whole.oid;
    }
    let above = relation.table().and_then(|t| t.parents.first()).copied();
    let above = above.and_then(|p| ctx.catalog.relation(p)).and_then(|p| p.table());
    let parent_index = |index: Oid| ctx.catalog.relation(index)?.index()?.parent;
    let is = |have: &&Constraint| match (&c.kind, &have.kind) {
        (
            ConstraintKind::PrimaryKey { index } | ConstraintKind::Unique { index },
            ConstraintKind::PrimaryKey { index: theirs } | ConstraintKind::Unique { index: theirs },
        ) => parent_index(*index) == Some(*theirs),
        (ConstraintKind::ForeignKey(own), ConstraintKind::ForeignKey(theirs)) => {
            own.table == theirs.table && own.columns == theirs.columns
        }
        _ => false,
    };
    above.and_then(|t| t.constraints.iter().find(is)).map_or(0, |c| c.oid)
}

fn constraint_row(
    ctx: &ExecContext,
    relation: &Relation,
    constraint: &Constraint,
) -> Vec<(&'static str, Datum)> {
    let numbers = |n: &[i16]| array(oid::INT2, n.iter().map(|n| Datum::Int2(*n)));
    let (kind, index) = match &constraint.kind {
        ConstraintKind::PrimaryKey { index } => ('p', *index),
        ConstraintKind::Unique { index } => ('u', *index),
        ConstraintKind::Check { .. } => ('c', 0),
        ConstraintKind::ForeignKey(f) => ('f', f.index),
    };
    let mut row = vec![
        ("oid", id(constraint.oid)),
        ("conname", text(&constraint.name)),
        ("connamespace", id(relation.schema)),
        ("contype", ch(kind)),
        ("condeferrable", flag(constraint.deferrable)),
        ("condeferred", flag(constraint.deferred)),
        ("convalidated", flag(constraint.validated)),
        ("conrelid", id(relation.oid)),
        ("contypid", id(0)),
        ("conindid", id(index)),
        ("conparentid", id(parent_constraint(ctx, relation, constraint))),
        ("confrelid", id(0)),
        ("confupdtype", text(" ")),
        ("confdeltype", text(" ")),
        ("confmatchtype", text(" ")),
        ("conislocal", flag(constraint.local)),
        ("coninhcount", int4(i32::from(constraint.inherited))),
        (
            "connoinherit",
            flag(
                constraint.no_inherit
                    || (kind != 'c'
                        && constraint.local
                        && !(kind == 'f' && partition::is_partitioned(relation))),
            ),
        ),
        ("conkey", numbers(&constraint.columns)),
    ];
    match &constraint.kind {
        ConstraintKind::ForeignKey(f) => row.extend([
            ("confrelid", id(f.table)),
            ("confupdtype", ch(f.on_update.letter())),
            ("confdeltype", ch(f.on_delete.letter())),
            ("confmatchtype", ch(if f.full { 'f' } else { 's' })),
            ("confkey", numbers(&f.columns)),
            ("confdelsetcols", f.on_delete.listed_columns().map_or(Datum::Null, numbers)),
        ]),
        ConstraintKind::Check { expr } => row.push(("conbin", text(expr))),
        _ => {}
    }
    row
}
