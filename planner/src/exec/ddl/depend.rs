//! What depends on what, and dropping it all: DROP ... RESTRICT refuses, CASCADE tells.

use std::ops::ControlFlow;
use std::sync::Arc;

use sqlparser::ast::{Expr, Value, Visit, visit_expressions};
use vicinity_storage::catalog::model::{
    Column, Constraint, ConstraintKind, IndexDef, IndexMethod, Object, Relation, RelationKind,
    TypeKind,
};
use vicinity_storage::{Catalog, ObjectKind};
use vicinity_types::{Notice, Oid, PgError, Result, SqlState, oid};

use super::super::foreign::part;
use super::super::{canon, query, rewrite, viewtext};
use crate::catalog::definition::{function_name, qualified_name};
use crate::context::ExecContext;
use crate::{names, sql};

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
}

/// A dependent and whether it goes without a word.
struct Edge {
    node: Node,
    automatic: bool,
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
                let args: Vec<String> =
                    f.input_types().iter().map(|t| names::type_name(&catalog, *t, -1)).collect();
                let kind = if f.procedure { "procedure" } else { "function" };
                let own = function_name(ctx, f);
                format!("{kind} {own}({})", args.join(","))
            }
            None => format!("function {oid}"),
        },
        Node::Type(oid) => format!("type {}", names::type_name(&catalog, oid, -1)),
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

/// Columns and functions that use one of these types.
fn users_of_types(catalog: &Catalog, types: &[Oid], out: &mut Vec<Edge>) {
    let uses =
        |ty: Oid| types.contains(&ty) || catalog.element_of(ty).is_some_and(|e| types.contains(&e));
    let arrays: Vec<Oid> = types.iter().filter_map(|t| catalog.array_of(*t)).collect();
    let mut users: Vec<&Arc<Relation>> =
        types.iter().chain(&arrays).flat_map(|t| catalog.dependents_of(*t)).collect();
    if types.iter().any(|t| *t < oid::FIRST_USER) {
        users = catalog.relations().collect();
    }
    users.sort_by_key(|r| r.oid);
    users.dedup_by_key(|r| r.oid);
    for relation in users {
        if !matches!(relation.kind, RelationKind::Table(_) | RelationKind::Composite(_)) {
            continue;
        }
        for (i, c) in relation.columns().unwrap_or_default().iter().enumerate() {
            if !c.dropped && uses(c.type_oid) {
                let number = i16::try_from(i + 1).unwrap_or(i16::MAX);
                out.push(Edge { node: Node::Column(relation.oid, number), automatic: false });
            }
        }
    }
    for function in catalog.functions() {
        if uses(function.returns) || function.args.iter().any(|a| uses(a.type_oid)) {
            out.push(Edge { node: Node::Function(function.oid), automatic: false });
        }
    }
}

fn dependents(ctx: &ExecContext, node: Node) -> Vec<Edge> {
    let catalog = ctx.txn.catalog();
    let mut out = Vec::new();
    let mut push = |node, automatic| out.push(Edge { node, automatic });
    match node {
        Node::Relation(oid) => {
            let Some(relation) = catalog.relation(oid) else { return out };
            catalog.indexes_of(oid).for_each(|i| push(Node::Relation(i.oid), true));
            catalog.sequences_of(oid).for_each(|s| push(Node::Relation(s.oid), true));
            catalog.triggers_of(oid).for_each(|t| push(Node::Trigger(t.oid), true));
            for child in catalog.children_of(oid) {
                let partition = child.table().is_some_and(|t| t.bound.is_some());
                push(Node::Relation(child.oid), partition);
            }
            parts_of_index(&catalog, relation).for_each(|i| push(Node::Relation(i.oid), true));
            for view in catalog.dependents_of(oid).filter(|v| reads(v, oid).is_some()) {
                push(Node::Relation(view.oid), false);
            }
            for (child, c, _) in catalog.references_to(oid).filter(|(r, ..)| r.oid != oid) {
                if !part::is_copy(&catalog, child, c) {
                    push(Node::Constraint(child.oid, part::top_of(&catalog, child, c)), false);
                }
            }
            if let Some(index) = relation.index() {
                for (child, c, f) in catalog.references_to(index.table) {
                    if f.index == oid && part::is_own(&catalog, child, c) {
                        push(Node::Constraint(child.oid, c.oid), false);
                    }
                }
            }
            match &relation.kind {
                RelationKind::Table(t) => users_of_types(&catalog, &[t.row_type], &mut out),
                RelationKind::View(v) => users_of_types(&catalog, &[v.row_type], &mut out),
                RelationKind::Sequence(_) => {
                    texts_with(&catalog, relation, &mut out);
                }
                _ => {}
            }
        }
        Node::Type(oid) => {
            for ty in catalog.types() {
                if matches!(ty.kind, TypeKind::Domain { base, .. } if base == oid) {
                    push(Node::Type(ty.oid), false);
                }
            }
            users_of_types(&catalog, &[oid], &mut out);
        }
        Node::Function(oid) => {
            for t in catalog.triggers().filter(|t| t.function == oid) {
                push(Node::Trigger(t.oid), false);
            }
        }
        Node::Schema(oid) => {
            for r in catalog.relations_in(oid) {
                let owned = match &r.kind {
                    RelationKind::Index(_) | RelationKind::Composite(_) => true,
                    RelationKind::Sequence(s) => s.owned_by.is_some(),
                    _ => false,
                };
                if !owned {
                    push(Node::Relation(r.oid), false);
                }
            }
            for e in catalog.extensions().filter(|e| e.schema == oid) {
                push(Node::Extension(e.oid), false);
            }
            for t in catalog.types().filter(|t| t.schema == oid) {
                push(Node::Type(t.oid), false);
            }
            for f in catalog.functions().filter(|f| f.schema == oid) {
                push(Node::Function(f.oid), false);
            }
        }
        Node::Extension(ext) => {
            let name = catalog.extension(ext).map(|e| e.name.clone());
            if name.as_deref() == Some("pase") {
                users_of_types(&catalog, &[oid::PASE], &mut out);
                for i in catalog.relations() {
                    let method = i.index().map(|d| d.method);
                    if matches!(method, Some(IndexMethod::Hnsw | IndexMethod::Ivfflat)) {
                        out.push(Edge { node: Node::Relation(i.oid), automatic: false });
                    }
                }
            }
        }
        Node::Constraint(_, constraint) => {
            let kind = catalog.constraint(constraint).map(|(_, c)| &c.kind);
            if let Some(ConstraintKind::PrimaryKey { index } | ConstraintKind::Unique { index }) =
                kind
            {
                push(Node::Relation(*index), true);
            }
            for (child, c) in inherited_of(&catalog, constraint) {
                push(Node::Constraint(child, c), true);
            }
        }
        Node::Column(table, number) => column_dependents(ctx, table, number, &mut out),
        Node::Trigger(oid) => {
            for copy in catalog.triggers().filter(|t| t.parent == Some(oid)) {
                push(Node::Trigger(copy.oid), true);
            }
        }
        Node::Default(..) => {}
    }
    out
}

/// The parts of a partitioned table's index.
fn parts_of_index<'c>(
    catalog: &'c Catalog,
    index: &Relation,
) -> impl Iterator<Item = &'c Arc<Relation>> {
    let own = index.oid;
    let children = index.index().into_iter().flat_map(|d| catalog.children_of(d.table));
    let indexes = children.flat_map(|c| catalog.indexes_of(c.oid));
    indexes.filter(move |i| i.index().is_some_and(|d| d.parent == Some(own)))
}

/// The constraints of a table's children that they have from this one.
fn inherited_of(catalog: &Catalog, constraint: Oid) -> Vec<(Oid, Oid)> {
    let Some((table, own)) = catalog.constraint(constraint) else { return Vec::new() };
    let above = |c: &ConstraintKind| match c {
        ConstraintKind::PrimaryKey { index } | ConstraintKind::Unique { index } => Some(*index),
        _ => None,
    };
    let mut out = Vec::new();
    for child in catalog.children_of(table.oid) {
        for c in child.table().map_or(&[][..], |t| &t.constraints) {
            let part = above(&c.kind).and_then(|i| catalog.relation(i)?.index()?.parent);
            let same = match above(&own.kind) {
                Some(index) => part == Some(index),
                None => c.name == own.name && c.inherited > 0,
            };
            if same {
                out.push((child.oid, c.oid));
            }
        }
    }
    out
}

/// The query of a view, plain or materialized, and what it reads.
fn query_of(view: &Relation) -> Option<(&str, &[Oid])> {
    match &view.kind {
        RelationKind::View(v) => Some((&v.query, &v.depends_on)),
        RelationKind::Table(t) => t.materialized.as_ref().map(|m| (&*m.query, &*m.depends_on)),
        _ => None,
    }
}

/// The query of a view, if it reads a relation.
fn reads(view: &Relation, oid: Oid) -> Option<&str> {
    query_of(view).filter(|(_, on)| on.contains(&oid)).map(|(query, _)| query)
}

/// Views that may read a column, triggers that are of it or look at it, foreign keys that refer to it,
/// columns computed from it. Its own indexes and constraints go with it.
fn column_dependents(ctx: &ExecContext, table: Oid, number: i16, out: &mut Vec<Edge>) {
    let catalog = &ctx.txn.catalog();
    let Some(relation) = catalog.relation(table) else { return };
    let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
    let Some(column) = relation.columns().and_then(|c| c.get(at)) else { return };
    let mut push = |node| out.push(Edge { node, automatic: false });
    // What looks at a field of a composite type does not read that.
    let composite = matches!(relation.kind, RelationKind::Composite(_));
    let fields = catalog.relations().filter(|_| composite);
    let fields = fields.filter_map(|view| Some((view, query_of(view)?.0)));
    let readers = catalog.dependents_of(table).filter_map(|view| Some((view, reads(view, table)?)));
    for (view, query) in readers.chain(fields) {
        if query_reads(ctx, query, table, number) {
            push(Node::Relation(view.oid));
        }
    }
    for trigger in catalog.triggers_of(table) {
        let looks = |when: &String| names_column(when, &column.name);
        if trigger.columns.contains(&number) || trigger.when.as_ref().is_some_and(looks) {
            push(Node::Trigger(trigger.oid));
        }
    }
    for (child, c, f) in catalog.references_to(table) {
        let own = child.oid == table && c.columns.contains(&number);
        if f.columns.contains(&number) && !own && part::is_own(catalog, child, c) {
            push(Node::Constraint(child.oid, c.oid));
        }
    }
    let Some(def) = relation.table() else { return };
    for (other, c) in (1_i16..).zip(&def.columns) {
        let computed = c.generated.as_ref().filter(|_| !c.dropped && other != number);
        if computed.is_some_and(|text| rewrite::text_reads(relation, text, number)) {
            push(Node::Column(table, other));
        }
    }
}

/// Whether a view's query reads a column; one that cannot be told of does.
fn query_reads(ctx: &ExecContext, query: &str, table: Oid, number: i16) -> bool {
    let bound = viewtext::parsed(query).map(|q| query::bind(&ctx.next_statement(), &q));
    !matches!(bound, Some(Ok(bound)) if !bound.reads(table, number))
}

/// Whether a trigger's condition names a column of its rows.
fn names_column(when: &str, column: &str) -> bool {
    let columns = sql::parse_expression(when).map(|e| canon::columns_of(&e));
    columns.map_or(true, |columns| columns.iter().any(|c| c == column))
}

/// Error 0A000 if a view or a trigger keeps a column's type as it is.
pub(crate) fn check_type_may_change(
    ctx: &ExecContext,
    table: Oid,
    number: i16,
    column: &str,
) -> Result<()> {
    let mut edges = Vec::new();
    column_dependents(ctx, table, number, &mut edges);
    for Edge { node, .. } in edges {
        let (of, rule) = match node {
            Node::Relation(_) => ("by a view or rule", "rule _RETURN on "),
            Node::Trigger(_) => ("in a trigger definition", ""),
            _ => continue,
        };
        return Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("cannot alter type of a column used {of}"),
        )
        .detail(format!("{rule}{} depends on column \"{column}\"", describe(ctx, node))));
    }
    Ok(())
}

/// Defaults and views that have a sequence as a constant.
fn texts_with(catalog: &Catalog, sequence: &Relation, out: &mut Vec<Edge>) {
    let full = qualified_name(catalog, sequence);
    let has = |text: &String| sql::parse_expression(text).is_ok_and(|e| names_object(&e, &full));
    let mut push = |node| out.push(Edge { node, automatic: false });
    for ty in catalog.types() {
        if let TypeKind::Domain { default, .. } = &ty.kind
            && default.as_ref().is_some_and(has)
        {
            push(Node::Type(ty.oid));
        }
    }
    for relation in catalog.relations() {
        for (number, c) in (1_i16..).zip(relation.columns().unwrap_or_default()) {
            if !c.dropped && c.default.as_ref().is_some_and(has) {
                push(Node::Default(relation.oid, number));
            }
        }
        let reads = |query: &str| viewtext::parsed(query).is_some_and(|q| names_object(&q, &full));
        if query_of(relation).is_some_and(|(query, _)| reads(query)) {
            push(Node::Relation(relation.oid));
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

/// Drops objects with what depends on them; without `cascade` that is an error.
pub(crate) fn drop_all(ctx: &ExecContext, roots: &[Node], cascade: bool) -> Result<()> {
    for root in roots {
        check_required(ctx, *root, roots)?;
    }
    let mut order: Vec<Node> = roots.to_vec();
    let mut told: Vec<(Node, Node)> = Vec::new();
    let mut automatic: Vec<Node> = Vec::new();
    let mut at = 0;
    while let Some(node) = order.get(at).copied() {
        at += 1;
        for edge in dependents(ctx, node) {
            // A column goes with its table.
            let inside = match edge.node {
                Node::Column(t, _) | Node::Default(t, _) | Node::Constraint(t, _) => {
                    order.contains(&Node::Relation(t))
                }
                _ => false,
            };
            if inside || order.contains(&edge.node) {
                continue;
            }
            order.push(edge.node);
            if edge.automatic || automatic.contains(&node) && matches!(edge.node, Node::Default(..))
            {
                automatic.push(edge.node);
            } else {
                told.push((edge.node, node));
            }
        }
    }
    // Found later that the table goes as well: its columns and defaults are no news.
    let gone = |n: &Node| match n {
        Node::Column(t, _) | Node::Default(t, _) | Node::Constraint(t, _) => {
            order.contains(&Node::Relation(*t))
        }
        _ => false,
    };
    told.retain(|(n, _)| !gone(n));
    if !told.is_empty() {
        if !cascade {
            return Err(refuse(ctx, roots, &told));
        }
        tell(ctx, &told);
    }
    for node in order.iter().rev() {
        drop_one(ctx, *node)?;
    }
    Ok(())
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
        .detail(lines.join("\n"))
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
            notice.report.detail = Some(many.join("\n"));
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
            Some(_) => drop(ObjectKind::Relation, oid),
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
