//! What depends on what, and dropping it all: DROP ... RESTRICT refuses, CASCADE tells.

use std::cmp::Reverse;
use std::sync::Arc;

use hashbrown::HashMap;
use vicinity_storage::catalog::model::{
    Column, Constraint, ConstraintKind, IndexDef, Object, Relation, RelationKind, TypeKind,
};
use vicinity_storage::{Catalog, ObjectKind};
use vicinity_types::{Notice, Oid, PgError, Result, SqlState};

use super::dependents::{Edge, Finder};
use super::in_use;
use crate::context::ExecContext;
use crate::names;

/// Something that can be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    Relation(Oid),
    Function(Oid),
    Type(Oid),
    Schema(Oid),
    Trigger(Oid),
    Extension(Oid),
    Default(Oid, i16),
    Column(Oid, i16),
    /// A constraint of a table.
    Constraint(Oid, Oid),
    /// A check of a domain.
    DomainCheck(Oid, Oid),
}

impl Node {
    /// What it is a part of.
    fn whole(self) -> Option<Node> {
        match self {
            Node::Column(table, _) | Node::Default(table, _) | Node::Constraint(table, _) => {
                Some(Node::Relation(table))
            }
            Node::DomainCheck(domain, _) => Some(Node::Type(domain)),
            _ => None,
        }
    }

    /// What comes after it in the order of making: parts of tables have no ids of their own.
    fn age(self) -> (Oid, i32) {
        match self {
            Node::Relation(oid)
            | Node::Function(oid)
            | Node::Type(oid)
            | Node::Schema(oid)
            | Node::Trigger(oid)
            | Node::Extension(oid)
            | Node::Constraint(_, oid)
            | Node::DomainCheck(_, oid) => (oid, 0),
            Node::Column(table, number) => (table, -i32::from(number)),
            Node::Default(table, number) => (table, i32::from(number)),
        }
    }
}

/// PostgreSQL's description of an object in messages.
pub(crate) fn describe(ctx: &ExecContext, node: Node) -> String {
    let catalog = ctx.txn.catalog();
    let relation =
        |oid| names::relation_name(&catalog, &ctx.session, oid).unwrap_or_else(|| oid.to_string());
    let column = |table: Oid, number: i16| {
        let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
        let name = catalog.relation(table).and_then(|t| t.columns()?.get(at));
        name.map_or_else(|| number.to_string(), |c| c.name.clone())
    };
    match node {
        Node::Relation(oid) => {
            let kind = catalog.relation(oid).map_or("relation", |r| kind_name(r));
            format!("{kind} {}", relation(oid))
        }
        Node::Function(oid) => match catalog.function(oid) {
            Some(f) => {
                let kind = if f.procedure { "procedure" } else { "function" };
                format!("{kind} {}", names::signature(&catalog, &ctx.session, f))
            }
            None => format!("function {oid}"),
        },
        Node::Type(oid) => format!("type {}", ctx.type_name(oid, None)),
        Node::Schema(oid) => {
            format!("schema {}", catalog.schema(oid).map_or("?", |s| s.name.as_str()))
        }
        Node::Trigger(oid) => match catalog.trigger(oid) {
            Some(t) => {
                format!("trigger {} on table {}", names::quote(&t.name), relation(t.table))
            }
            None => format!("trigger {oid}"),
        },
        Node::Extension(oid) => {
            format!("extension {}", catalog.extension(oid).map_or("?", |e| e.name.as_str()))
        }
        Node::Default(table, number) => {
            format!("default value for {}", describe(ctx, Node::Column(table, number)))
        }
        Node::Column(table, number) => {
            let kind = catalog.relation(table).map_or("table", |r| kind_name(r));
            format!("column {} of {kind} {}", column(table, number), relation(table))
        }
        Node::Constraint(table, constraint) => {
            let found = catalog.constraint(constraint).map_or("?", |(_, c)| c.name.as_str());
            format!("constraint {} on table {}", names::quote(found), relation(table))
        }
        Node::DomainCheck(domain, check) => {
            let checks = catalog.type_def(domain).map_or(&[][..], |ty| ty.checks());
            let found = checks.iter().find(|c| c.oid == check).map_or("?", |c| c.name.as_str());
            format!("constraint {}", names::quote(found))
        }
    }
}

pub(crate) fn kind_name(relation: &Relation) -> &'static str {
    match relation.kind {
        RelationKind::Table(ref t) if t.materialized.is_some() => "materialized view",
        RelationKind::Table(_) => "table",
        RelationKind::Index(_) => "index",
        RelationKind::Sequence(_) => "sequence",
        RelationKind::View(_) => "view",
        RelationKind::Composite(_) => "composite type",
    }
}

/// Whether the index holds up a constraint of its table: its name, if so.
pub(crate) fn constraint_of_index(catalog: &Catalog, index: &Relation) -> Option<String> {
    held_constraint(catalog, index).map(|c| c.name.clone())
}

/// The constraint of its table that an index holds up.
pub(crate) fn held_constraint<'c>(
    catalog: &'c Catalog,
    index: &Relation,
) -> Option<&'c Constraint> {
    let table = catalog.relation(index.index()?.table)?;
    table.table()?.constraints.iter().find(|c| {
        matches!(&c.kind, ConstraintKind::PrimaryKey { index: i } | ConstraintKind::Unique { index: i }
            if *i == index.oid)
    })
}

/// An owned object cannot be dropped on its own.
fn check_required(ctx: &ExecContext, node: Node, roots: &[Node]) -> Result<()> {
    let catalog = ctx.txn.catalog();
    if let Node::Trigger(oid) = node
        && let Some(parent) = catalog.trigger(oid).and_then(|t| t.parent)
        && !roots.contains(&Node::Trigger(parent))
    {
        return Err(required(ctx, node, &describe(ctx, Node::Trigger(parent))));
    }
    let Node::Relation(oid) = node else { return Ok(()) };
    let Some(relation) = catalog.relation(oid) else { return Ok(()) };
    let owner = match &relation.kind {
        RelationKind::Index(IndexDef { parent: Some(parent), .. })
            if constraint_of_index(&catalog, relation).is_none() =>
        {
            Some((*parent, describe(ctx, Node::Relation(*parent))))
        }
        RelationKind::Index(i) => constraint_of_index(&catalog, relation).map(|c| {
            let table = names::relation_name(&catalog, &ctx.session, i.table).unwrap_or_default();
            (i.table, format!("constraint {} on table {table}", names::quote(&c)))
        }),
        RelationKind::Sequence(s) if s.identity => {
            s.owned_by.map(|(table, number)| (table, describe(ctx, Node::Column(table, number))))
        }
        _ => None,
    };
    let Some((table, owner)) = owner else { return Ok(()) };
    if roots.contains(&Node::Relation(table)) {
        return Ok(());
    }
    Err(required(ctx, node, &owner))
}

fn required(ctx: &ExecContext, node: Node, owner: &str) -> PgError {
    let what = describe(ctx, node);
    PgError::new(
        SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
        format!("cannot drop {what} because {owner} requires it"),
    )
    .hint(format!("You can drop {owner} instead."))
}

/// Everything that goes with what is dropped, found depth first, the newest first: what depends comes
/// before what it depends on (`findDependentObjects`).
struct Walk<'a> {
    finder: Finder<'a>,
    /// What was met, and whether it goes without a word.
    met: HashMap<Node, bool>,
    /// What is being looked at, the node it was found by, its dependents yet to come.
    path: Vec<(Node, Node, std::vec::IntoIter<Edge>)>,
    /// What goes, with the node it was found by.
    found: Vec<(Node, Node)>,
}

impl Walk<'_> {
    fn from(&mut self, root: Node) {
        self.meet(Edge { node: root, automatic: true }, root);
        while let Some((node, on, edges)) = self.path.last_mut() {
            let (node, on) = (*node, *on);
            match edges.next() {
                Some(edge) => self.meet(edge, node),
                None => {
                    self.path.pop();
                    self.found.push((node, on));
                }
            }
        }
    }

    fn meet(&mut self, edge: Edge, on: Node) {
        if self.goes_with_whole(edge.node) {
            return;
        }
        if let Some(automatic) = self.met.get_mut(&edge.node) {
            *automatic |= edge.automatic;
            return;
        }
        self.met.insert(edge.node, edge.automatic);
        let mut edges = self.finder.dependents(edge.node);
        edges.sort_by_key(|e| Reverse(e.node.age()));
        self.path.push((edge.node, on, edges.into_iter()));
    }

    fn goes_with_whole(&self, node: Node) -> bool {
        node.whole().is_some_and(|whole| self.met.contains_key(&whole))
    }
}

/// Drops objects with what depends on them; without `cascade` that is an error.
pub(crate) fn drop_all(ctx: &ExecContext, roots: &[Node], cascade: bool) -> Result<()> {
    for root in roots {
        check_required(ctx, *root, roots)?;
    }
    let now = ctx.next_statement();
    let finder = Finder::new(&now);
    let mut walk = Walk { finder, met: HashMap::new(), path: Vec::new(), found: Vec::new() };
    roots.iter().for_each(|root| walk.from(*root));
    let mut found = std::mem::take(&mut walk.found);
    // What it is a part of may have been met later.
    found.retain(|(node, _)| !walk.goes_with_whole(*node));
    let told = found.iter().rev().filter(|(node, _)| walk.met.get(node) == Some(&false));
    let told: Vec<(Node, Node)> = told.copied().collect();
    if !told.is_empty() {
        if !cascade {
            return Err(refuse(ctx, roots, &told));
        }
        tell(ctx, &told);
    }
    found.iter().try_for_each(|(node, _)| drop_one(ctx, *node))
}

/// Lines of a report, of which a client is told so many.
fn report(lines: Vec<String>) -> String {
    const REPORTED: usize = 100;
    let mut text = lines.iter().take(REPORTED).map(String::as_str).collect::<Vec<_>>().join("\n");
    match lines.len().saturating_sub(REPORTED) {
        0 => {}
        1 => text.push_str("\nand 1 other object (see server log for list)"),
        more => text.push_str(&format!("\nand {more} other objects (see server log for list)")),
    }
    text
}

fn refuse(ctx: &ExecContext, roots: &[Node], told: &[(Node, Node)]) -> PgError {
    let lines: Vec<String> = told
        .iter()
        .map(|(n, on)| format!("{} depends on {}", describe(ctx, *n), describe(ctx, *on)))
        .collect();
    let text = match roots {
        [one] => {
            format!("cannot drop {} because other objects depend on it", describe(ctx, *one))
        }
        _ => "cannot drop desired object(s) because other objects depend on them".to_owned(),
    };
    PgError::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, text)
        .detail(report(lines))
        .hint("Use DROP ... CASCADE to drop the dependent objects too.")
}

fn tell(ctx: &ExecContext, told: &[(Node, Node)]) {
    let lines: Vec<String> =
        told.iter().map(|(n, _)| format!("drop cascades to {}", describe(ctx, *n))).collect();
    let notice = match lines.as_slice() {
        [one] => Notice::notice(one.clone()),
        many => {
            let mut notice =
                Notice::notice(format!("drop cascades to {} other objects", many.len()));
            notice.report.detail = Some(report(lines));
            notice
        }
    };
    ctx.session.notice(notice);
}

/// Drops one object; what does not exist any more was dropped with another.
fn drop_one(ctx: &ExecContext, node: Node) -> Result<()> {
    let catalog = ctx.txn.catalog();
    let drop = |kind, oid| ctx.txn.drop_object(kind, oid);
    match node {
        Node::Relation(oid) => match catalog.relation(oid) {
            Some(relation) => {
                if relation.table().is_some() {
                    in_use::check(ctx, relation, "DROP TABLE")?;
                }
                drop(ObjectKind::Relation, oid)
            }
            None => Ok(()),
        },
        Node::Function(oid) if catalog.function(oid).is_some() => drop(ObjectKind::Function, oid),
        Node::Type(oid) => {
            let Some(ty) = catalog.type_def(oid) else { return Ok(()) };
            if let TypeKind::Composite { relation } = ty.kind
                && catalog.relation(relation).is_some()
            {
                drop(ObjectKind::Relation, relation)?;
            }
            drop(ObjectKind::Type, oid)
        }
        Node::Schema(oid) if catalog.schema(oid).is_some() => drop(ObjectKind::Schema, oid),
        Node::Trigger(oid) if catalog.trigger(oid).is_some() => drop(ObjectKind::Trigger, oid),
        Node::Extension(oid) if catalog.extension(oid).is_some() => {
            drop(ObjectKind::Extension, oid)
        }
        Node::Default(table, number) => change_column(ctx, table, number, |c| c.default = None),
        Node::Column(table, number) => super::super::alter::drop_column(ctx, table, number),
        Node::Constraint(table, constraint) => {
            super::super::alter::drop_constraint(ctx, table, constraint)
        }
        Node::DomainCheck(domain, check) => super::domain::drop_check(ctx, domain, check),
        _ => Ok(()),
    }
}

/// Changes one column of a table or view, if that is still there.
pub(crate) fn change_column(
    ctx: &ExecContext,
    table: Oid,
    number: i16,
    change: impl FnOnce(&mut Column),
) -> Result<()> {
    let Some(relation) = ctx.txn.catalog().relation(table).cloned() else { return Ok(()) };
    let mut next = (*relation).clone();
    let columns = match &mut next.kind {
        RelationKind::Table(t) => &mut t.columns,
        RelationKind::View(v) => &mut v.columns,
        _ => return Ok(()),
    };
    let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
    if let Some(column) = columns.get_mut(at) {
        change(column);
        ctx.txn.put(Object::Relation(Arc::new(next)))?;
    }
    Ok(())
}
