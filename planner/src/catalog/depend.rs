//! `pg_depend`: what hangs on what.

use vicinity_storage::catalog::model::{
    ConstraintKind, Relation, RelationKind, TableDef, TypeKind,
};
use vicinity_types::{Datum, Oid, Result, oid};

use super::relations::{default_oid, rule_of};
use super::row::{Rows, ch, id, int4};
use super::{VirtualTable, class_oid, definition};
use crate::authority::class;
use crate::context::ExecContext;
use crate::exec::ddl::depend::Node;
use crate::exec::ddl::dependents::named_by_texts;
use crate::exec::held_constraint;

/// An object: its catalog, its id, a column or 0.
type Object = (Oid, Oid, i16);

struct Edges<'a> {
    ctx: &'a ExecContext,
    rows: Rows<'a>,
    constraint: Oid,
    rewrite: Oid,
}

impl Edges<'_> {
    fn push(&mut self, from: Object, to: Object, kind: char) {
        self.rows.push([
            ("classid", id(from.0)),
            ("objid", id(from.1)),
            ("objsubid", int4(i32::from(from.2))),
            ("refclassid", id(to.0)),
            ("refobjid", id(to.1)),
            ("refobjsubid", int4(i32::from(to.2))),
            ("deptype", ch(kind)),
        ]);
    }

    /// A user's type that something is made of.
    fn of_type(&mut self, from: Object, ty: Oid) {
        let ty = self.ctx.catalog.element_of(ty).filter(|_| ty >= oid::FIRST_USER).unwrap_or(ty);
        if ty >= oid::FIRST_USER {
            self.push(from, (class::TYPE, ty, 0), 'n');
        }
    }

    /// What a text hangs on that is kept for an object.
    fn of_text(&mut self, node: Node, named: Node) {
        let from = match node {
            Node::Relation(oid) if self.has_rule(oid) => (self.rewrite, oid),
            Node::Relation(oid) => (class::RELATION, oid),
            Node::Default(table, number) | Node::Column(table, number) => {
                (class_oid("pg_attrdef"), default_oid(table, number))
            }
            Node::Constraint(_, oid) | Node::DomainCheck(_, oid) => (self.constraint, oid),
            Node::Trigger(oid) => (class_oid("pg_trigger"), oid),
            Node::Function(oid) => (class::FUNCTION, oid),
            Node::Type(oid) => (class::TYPE, oid),
            Node::Schema(_) | Node::Extension(_) => return,
        };
        let to = match named {
            Node::Function(oid) => (class::FUNCTION, oid, 0),
            Node::Type(oid) => (class::TYPE, oid, 0),
            _ => return,
        };
        self.push((from.0, from.1, 0), to, 'n');
    }

    /// Whether a relation is a view, plain or materialized.
    fn has_rule(&self, oid: Oid) -> bool {
        self.ctx.catalog.relation(oid).is_some_and(|r| rule_of(&r.kind).is_some())
    }

    fn within(&mut self, from: Object, schema: Oid) {
        self.push(from, (class::SCHEMA, schema, 0), 'n');
    }

    fn relation(&mut self, relation: &Relation) {
        let own = (class::RELATION, relation.oid, 0);
        match &relation.kind {
            RelationKind::Sequence(s) => {
                self.within(own, relation.schema);
                if let Some((owner, column)) = s.owned_by {
                    let kind = if s.identity { 'i' } else { 'a' };
                    self.push(own, (class::RELATION, owner, column), kind);
                }
            }
            RelationKind::Index(i) => {
                match held_constraint(&self.ctx.catalog, relation).map(|c| c.oid) {
                    Some(constraint) => self.push(own, (self.constraint, constraint, 0), 'i'),
                    None => {
                        for key in &i.keys {
                            self.push(own, (class::RELATION, i.table, key.column), 'a');
                        }
                    }
                }
                if let Some(parent) = i.parent {
                    self.push(own, (class::RELATION, parent, 0), 'P');
                }
            }
            RelationKind::Table(t) => {
                self.within(own, relation.schema);
                self.row_type(relation);
                self.table(relation.oid, t);
            }
            RelationKind::View(v) => {
                self.within(own, relation.schema);
                self.row_type(relation);
                self.rule(relation.oid, &v.depends_on);
            }
            RelationKind::Composite(columns) => {
                for c in columns {
                    self.of_type(own, c.type_oid);
                }
            }
        }
    }

    /// The type of a relation's rows is there as long as the relation is.
    fn row_type(&mut self, relation: &Relation) {
        let ty = match &relation.kind {
            RelationKind::Table(t) => t.row_type,
            RelationKind::View(v) => v.row_type,
            _ => return,
        };
        self.push((class::TYPE, ty, 0), (class::RELATION, relation.oid, 0), 'i');
    }

    /// A view's rule has its id. The view itself is one of the tables of the rule's query.
    fn rule(&mut self, view: Oid, reads: &[Oid]) {
        let own = (self.rewrite, view, 0);
        self.push(own, (class::RELATION, view, 0), 'i');
        for on in reads.iter().chain([&view]) {
            self.push(own, (class::RELATION, *on, 0), 'n');
        }
    }

    fn table(&mut self, oid: Oid, t: &TableDef) {
        for (number, c) in (1..).zip(&t.columns) {
            if !c.dropped {
                self.of_type((class::RELATION, oid, number), c.type_oid);
            }
        }
        for parent in &t.parents {
            let kind = if t.bound.is_some() { 'a' } else { 'n' };
            self.push((class::RELATION, oid, 0), (class::RELATION, *parent, 0), kind);
        }
        if let Some(m) = &t.materialized {
            self.rule(oid, &m.depends_on);
        }
        for c in &t.constraints {
            let own = (self.constraint, c.oid, 0);
            if c.columns.is_empty() {
                self.push(own, (class::RELATION, oid, 0), 'a');
            }
            for column in &c.columns {
                self.push(own, (class::RELATION, oid, *column), 'a');
            }
            if let ConstraintKind::ForeignKey(f) = &c.kind {
                for column in &f.columns {
                    self.push(own, (class::RELATION, f.table, *column), 'n');
                }
                self.push(own, (class::RELATION, f.index, 0), 'n');
            }
        }
    }
}

pub(super) fn pg_depend(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let (constraint, rewrite) = (class_oid("pg_constraint"), class_oid("pg_rewrite"));
    let mut edges = Edges { ctx, rows: Rows::new(table), constraint, rewrite };
    for relation in ctx.catalog.relations() {
        edges.relation(relation);
    }
    for (own, relation, number, text) in super::relations::defaults(ctx) {
        let own = (class_oid("pg_attrdef"), own, 0);
        edges.push(own, (class::RELATION, relation, number), 'a');
        let sequences = ctx.catalog.relations().filter(|r| r.sequence().is_some());
        for sequence in sequences {
            let named = definition::qualified_name(&ctx.catalog, sequence).replace('\'', "''");
            if text.contains(&format!("'{named}'::regclass")) {
                edges.push(own, (class::RELATION, sequence.oid, 0), 'n');
            }
        }
    }
    for ty in ctx.catalog.types() {
        let own = (class::TYPE, ty.oid, 0);
        edges.within(own, ty.schema);
        if let TypeKind::Composite { relation } = &ty.kind {
            edges.push((class::RELATION, *relation, 0), own, 'i');
        }
        if let TypeKind::Domain { base, checks, .. } = &ty.kind {
            edges.of_type(own, *base);
            for check in checks {
                edges.push((constraint, check.oid, 0), own, 'a');
            }
        }
    }
    for f in ctx.catalog.functions() {
        let own = (class::FUNCTION, f.oid, 0);
        edges.within(own, f.schema);
        for ty in f.args.iter().map(|a| a.type_oid).chain([f.returns]) {
            edges.of_type(own, ty);
        }
    }
    for (node, named) in named_by_texts(ctx) {
        edges.of_text(node, named);
    }
    for t in ctx.catalog.triggers() {
        let own = (class_oid("pg_trigger"), t.oid, 0);
        edges.push(own, (class::RELATION, t.table, 0), 'a');
        edges.push(own, (class::FUNCTION, t.function, 0), 'n');
    }
    for extension in ctx.catalog.extensions() {
        let own = (class_oid("pg_extension"), extension.oid, 0);
        for (class, member) in super::cluster::members(&extension.name) {
            edges.push((class, member, 0), own, 'e');
        }
    }
    edges.rows.done()
}
