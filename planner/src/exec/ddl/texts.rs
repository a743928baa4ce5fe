//! The texts that the catalog keeps, each with what goes when what it names goes: queries of views,
//! defaults, checks, conditions of triggers, expressions of indexes and partitions. What a text names
//! is told by binding it.

use std::cell::OnceCell;
use std::ops::ControlFlow;
use std::sync::Arc;

use sqlparser::ast::{Expr, Value, Visit, visit_expressions};
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{
    ConstraintKind, IndexDef, Relation, RelationKind, TableDef, TypeDef, TypeKind,
};
use vicinity_types::Oid;

use super::super::dml::{Layout, binder};
use super::super::triggers::condition_layout;
use super::super::{query, viewtext};
use super::depend::Node;
use crate::call::PgType;
use crate::context::ExecContext;
use crate::uses::Uses;
use crate::{domain, sql};

/// How a text is read.
enum Reading<'c> {
    Query,
    /// An expression that has no row.
    Alone,
    /// An expression over a table's row.
    Row(&'c Arc<Relation>),
    /// A condition over a table's `old` and `new`.
    Trigger(&'c Arc<Relation>),
    /// A check of a domain over this type.
    Domain(PgType),
}

/// A text of the catalog.
pub(super) struct Kept<'c> {
    /// What goes with it.
    pub(super) node: Node,
    text: &'c str,
    reading: Reading<'c>,
    /// Told when that is first asked; `None` if it cannot be read.
    uses: OnceCell<Option<Uses>>,
}

impl<'c> Kept<'c> {
    fn new(node: Node, text: &'c str, reading: Reading<'c>) -> Kept<'c> {
        Kept { node, text, reading, uses: OnceCell::new() }
    }

    /// Whether it names a function, type or constraint. It can only if it has a certain word; if it has
    /// that and cannot be read, it does.
    pub(super) fn names(&self, ctx: &ExecContext, object: Oid, word: &str) -> bool {
        if !self.text.contains(word) {
            return false;
        }
        let uses = self.uses.get_or_init(|| self.bound_uses(ctx));
        uses.as_ref().is_none_or(|uses| uses.names(object))
    }

    fn bound_uses(&self, ctx: &ExecContext) -> Option<Uses> {
        let layout = match &self.reading {
            Reading::Query => {
                let bound = query::meaning(ctx, &viewtext::parsed(self.text)?).ok()?;
                return Some(bound.uses().clone());
            }
            Reading::Alone => Layout::default(),
            Reading::Row(table) => Layout::of_table(&ctx.catalog, table, None).ok()?,
            Reading::Trigger(table) => condition_layout(ctx, table).ok()?,
            Reading::Domain(base) => domain::layout(*base),
        };
        let mut binder = binder(ctx);
        binder.expr_over(&sql::parse_expression(self.text).ok()?, layout.scope()).ok()?;
        Some(binder.uses().clone())
    }

    /// Whether it has a relation, by its full name, as a constant of `regclass`.
    pub(super) fn has_constant(&self, full: &str) -> bool {
        let written = format!("'{}'", full.replace('\'', "''"));
        if !self.text.contains(&written) {
            return false;
        }
        match self.reading {
            Reading::Query => viewtext::parsed(self.text).is_some_and(|q| names_object(&q, full)),
            _ => sql::parse_expression(self.text).is_ok_and(|e| names_object(&e, full)),
        }
    }
}

/// Whether a text that the catalog keeps has an object as a constant of `regclass`.
fn names_object(part: &impl Visit, full: &str) -> bool {
    let found = visit_expressions(part, |e| match e {
        Expr::Cast { expr, data_type, .. }
            if data_type.to_string().eq_ignore_ascii_case("regclass")
                && matches!(&**expr, Expr::Value(v)
                    if matches!(&v.value, Value::SingleQuotedString(text) if text == full)) =>
        {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    });
    found.is_break()
}

/// All of them.
pub(super) fn kept(catalog: &Catalog) -> Vec<Kept<'_>> {
    let mut out = Vec::new();
    for relation in catalog.relations() {
        match &relation.kind {
            RelationKind::View(_) => of_columns(relation, &mut out),
            RelationKind::Table(t) => {
                of_columns(relation, &mut out);
                of_table(relation, t, &mut out);
            }
            RelationKind::Index(i) => of_index(catalog, relation, i, &mut out),
            RelationKind::Sequence(_) | RelationKind::Composite(_) => {}
        }
        if let Some((query, _)) = super::dependents::query_of(relation) {
            out.push(Kept::new(Node::Relation(relation.oid), query, Reading::Query));
        }
    }
    for trigger in catalog.triggers() {
        let Some(table) = catalog.relation(trigger.table) else { continue };
        let (node, reading) = (Node::Trigger(trigger.oid), Reading::Trigger(table));
        out.extend(trigger.when.as_ref().map(|text| Kept::new(node, text, reading)));
    }
    for function in catalog.functions() {
        let node = Node::Function(function.oid);
        let defaults = function.args.iter().filter_map(|a| a.default.as_ref());
        out.extend(defaults.map(|text| Kept::new(node, text, Reading::Alone)));
    }
    catalog.types().for_each(|ty| of_domain(catalog, ty, &mut out));
    out
}

fn of_columns<'c>(relation: &'c Arc<Relation>, out: &mut Vec<Kept<'c>>) {
    for (number, c) in (1_i16..).zip(relation.columns().unwrap_or_default()) {
        if c.dropped {
            continue;
        }
        if let Some(text) = &c.default {
            let node = Node::Default(relation.oid, number);
            out.push(Kept::new(node, text, Reading::Alone));
        }
        if let Some(text) = &c.generated {
            let node = Node::Column(relation.oid, number);
            out.push(Kept::new(node, text, Reading::Row(relation)));
        }
    }
}

fn of_table<'c>(relation: &'c Arc<Relation>, t: &'c TableDef, out: &mut Vec<Kept<'c>>) {
    for c in &t.constraints {
        if let ConstraintKind::Check { expr } = &c.kind {
            let node = Node::Constraint(relation.oid, c.oid);
            out.push(Kept::new(node, expr, Reading::Row(relation)));
        }
    }
    let keys = t.partitioning.iter().flat_map(|p| &p.keys).filter_map(|k| k.expr.as_ref());
    let node = Node::Relation(relation.oid);
    out.extend(keys.map(|e| Kept::new(node, &e.sql, Reading::Row(relation))));
}

fn of_index<'c>(
    catalog: &'c Catalog,
    index: &Relation,
    def: &'c IndexDef,
    out: &mut Vec<Kept<'c>>,
) {
    let Some(table) = catalog.relation(def.table) else { return };
    let node = Node::Relation(index.oid);
    let texts = def.keys.iter().filter_map(|k| k.expr.as_ref()).map(|e| &e.sql);
    let texts = texts.chain(&def.predicate);
    out.extend(texts.map(|text| Kept::new(node, text, Reading::Row(table))));
}

fn of_domain<'c>(catalog: &Catalog, ty: &'c TypeDef, out: &mut Vec<Kept<'c>>) {
    let TypeKind::Domain { base, typmod, default, checks, .. } = &ty.kind else { return };
    let node = Node::Type(ty.oid);
    out.extend(default.as_ref().map(|text| Kept::new(node, text, Reading::Alone)));
    let base = PgType::with_kind(*base, *typmod, catalog.kind_of(*base));
    for c in checks {
        let node = Node::DomainCheck(ty.oid, c.oid);
        out.push(Kept::new(node, &c.expr, Reading::Domain(base)));
    }
}
