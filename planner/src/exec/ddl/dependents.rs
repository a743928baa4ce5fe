//! What depends on an object, by one step.

use std::sync::Arc;

use hashbrown::HashSet;
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{
    ConstraintKind, IndexDef, IndexMethod, Relation, RelationKind,
};
use vicinity_types::{Oid, PgError, Result, SqlState, oid};

use super::super::foreign::part;
use super::super::{canon, query, rewrite, viewtext};
use super::depend::{Node, describe};
use super::texts::{self, Kept};
use super::type_uses;
use crate::catalog::definition::qualified_name;
use crate::context::ExecContext;
use crate::{names, sql};

/// A dependent and whether it goes without a word.
pub(super) struct Edge {
    pub(super) node: Node,
    pub(super) automatic: bool,
}

impl Edge {
    fn told(node: Node) -> Edge {
        Edge { node, automatic: false }
    }

    fn automatic(node: Node) -> Edge {
        Edge { node, automatic: true }
    }
}

/// Columns and functions that are of a type.
fn users_of_type(catalog: &Catalog, ty: Oid, out: &mut Vec<Edge>) {
    let users: Vec<&Arc<Relation>> = match ty < oid::FIRST_USER {
        true => catalog.relations().collect(),
        false => catalog.dependents_of(ty).collect(),
    };
    for relation in users {
        for (number, c) in (1_i16..).zip(relation.columns().unwrap_or_default()) {
            if !c.dropped && c.type_oid == ty {
                out.push(Edge::told(Node::Column(relation.oid, number)));
            }
        }
    }
    for function in catalog.functions() {
        if function.returns == ty || function.args.iter().any(|a| a.type_oid == ty) {
            out.push(Edge::told(Node::Function(function.oid)));
        }
    }
}

/// What looks for dependents: the surroundings with the catalog of now, and its texts.
pub(super) struct Finder<'a> {
    pub(super) ctx: &'a ExecContext,
    pub(super) texts: Vec<Kept<'a>>,
}

impl<'a> Finder<'a> {
    /// Over the catalog of a statement.
    pub(super) fn new(ctx: &'a ExecContext) -> Finder<'a> {
        Finder { ctx, texts: texts::kept(&ctx.catalog) }
    }

    /// Texts that name a function, type or constraint.
    fn naming(&self, object: Oid, word: &str, out: &mut Vec<Edge>) {
        let naming = self.texts.iter().filter(|t| t.names(self.ctx, object, word));
        out.extend(naming.map(|t| Edge::told(t.node)));
    }

    /// Texts that have a relation as a constant.
    fn with_constant(&self, relation: &Relation, out: &mut Vec<Edge>) {
        let full = qualified_name(&self.ctx.catalog, relation);
        let having = self.texts.iter().filter(|t| t.has_constant(&full));
        out.extend(having.map(|t| Edge::told(t.node)));
    }

    /// Everything that depends on an object itself.
    pub(super) fn dependents(&self, node: Node) -> Vec<Edge> {
        let catalog = &self.ctx.catalog;
        let mut out = Vec::new();
        match node {
            Node::Relation(oid) => {
                if let Some(relation) = catalog.relation(oid) {
                    of_relation(catalog, relation, &mut out);
                    of_index(catalog, relation, &mut out);
                    self.with_constant(relation, &mut out);
                }
            }
            Node::Type(oid) => {
                of_type(catalog, oid, &mut out);
                if let Some(def) = catalog.type_def(oid) {
                    self.naming(oid, &names::quote(&def.name), &mut out);
                }
            }
            Node::Function(oid) => {
                let triggers = catalog.triggers().filter(|t| t.function == oid);
                out.extend(triggers.map(|t| Edge::told(Node::Trigger(t.oid))));
                if let Some(function) = catalog.function(oid) {
                    self.naming(oid, &called(&function.name), &mut out);
                }
            }
            Node::Schema(oid) => of_schema(catalog, oid, &mut out),
            Node::Extension(oid) => of_extension(catalog, oid, &mut out),
            Node::Constraint(_, oid) => {
                of_constraint(catalog, oid, &mut out);
                self.naming(oid, "GROUP BY", &mut out);
            }
            Node::Column(table, number) => {
                if let Some(relation) = catalog.relation(table) {
                    parts_of_column(catalog, relation, number, &mut out);
                }
                column_dependents(self.ctx, table, number, &mut out);
            }
            Node::Trigger(oid) => {
                let copies = catalog.triggers().filter(|t| t.parent == Some(oid));
                out.extend(copies.map(|copy| Edge::automatic(Node::Trigger(copy.oid))));
            }
            Node::Default(..) | Node::DomainCheck(..) => {}
        }
        out
    }
}

/// What the texts of the catalog name of functions and types, behind what goes with the text.
pub(crate) fn named_by_texts(ctx: &ExecContext) -> Vec<(Node, Node)> {
    let catalog = &ctx.catalog;
    let functions = catalog.functions().map(|f| (Node::Function(f.oid), f.oid, called(&f.name)));
    let types = catalog.types().map(|ty| (Node::Type(ty.oid), ty.oid, names::quote(&ty.name)));
    let objects: Vec<(Node, Oid, String)> = functions.chain(types).collect();
    let mut out = Vec::new();
    for text in texts::kept(catalog) {
        for (node, oid, word) in &objects {
            if text.node != *node && text.names(ctx, *oid, word) {
                out.push((text.node, *node));
            }
        }
    }
    let mut met = HashSet::new();
    out.retain(|edge| met.insert(*edge));
    out
}

/// How a text begins that calls a function.
fn called(function: &str) -> String {
    format!("{}(", names::quote(function))
}

fn of_type(catalog: &Catalog, ty: Oid, out: &mut Vec<Edge>) {
    for over in type_uses::domains_over(catalog, ty) {
        out.push(Edge::told(Node::Type(over.oid)));
    }
    users_of_type(catalog, ty, out);
    if let Some(array) = catalog.array_of(ty).filter(|array| *array != ty) {
        out.push(Edge::automatic(Node::Type(array)));
    }
}

fn of_relation(catalog: &Catalog, relation: &Relation, out: &mut Vec<Edge>) {
    let oid = relation.oid;
    let mut push = |node, automatic| out.push(Edge { node, automatic });
    catalog.indexes_of(oid).for_each(|i| push(Node::Relation(i.oid), true));
    catalog.sequences_of(oid).for_each(|s| push(Node::Relation(s.oid), true));
    catalog.triggers_of(oid).for_each(|t| push(Node::Trigger(t.oid), true));
    for child in catalog.children_of(oid) {
        let partition = child.table().is_some_and(|t| t.bound.is_some());
        push(Node::Relation(child.oid), partition);
    }
    for view in catalog.dependents_of(oid).filter(|v| reads(v, oid).is_some()) {
        push(Node::Relation(view.oid), false);
    }
    for (child, c, _) in catalog.references_to(oid).filter(|(r, ..)| r.oid != oid) {
        if !part::is_copy(catalog, child, c) {
            push(Node::Constraint(child.oid, part::top_of(catalog, child, c)), false);
        }
    }
    if let Some(row) = type_uses::row_type(catalog, relation) {
        push(Node::Type(row), true);
    }
}

/// Parts of an index, and keys that refer to what it holds up.
fn of_index(catalog: &Catalog, index: &Relation, out: &mut Vec<Edge>) {
    let Some(def) = index.index() else { return };
    let parts = parts_of_index(catalog, index);
    out.extend(parts.map(|i| Edge::automatic(Node::Relation(i.oid))));
    for (child, c, f) in catalog.references_to(def.table) {
        if f.index == index.oid && part::is_own(catalog, child, c) {
            out.push(Edge::told(Node::Constraint(child.oid, c.oid)));
        }
    }
}

/// What goes with a column.
fn parts_of_column(catalog: &Catalog, relation: &Relation, number: i16, out: &mut Vec<Edge>) {
    let oid = relation.oid;
    out.push(Edge::automatic(Node::Default(oid, number)));
    let constraints = relation.table().map_or(&[][..], |t| &t.constraints).iter();
    let constraints = constraints.filter(|c| c.columns.contains(&number));
    out.extend(constraints.map(|c| Edge::automatic(Node::Constraint(oid, c.oid))));
    let reads = |i: &&Arc<Relation>| {
        i.index().is_some_and(|def| rewrite::index_reads(relation, def, number))
    };
    let indexes = catalog.indexes_of(oid).filter(reads);
    out.extend(indexes.map(|i| Edge::automatic(Node::Relation(i.oid))));
}

fn of_schema(catalog: &Catalog, schema: Oid, out: &mut Vec<Edge>) {
    let goes_with_another = |kind: &RelationKind| match kind {
        RelationKind::Index(_) | RelationKind::Composite(_) => true,
        RelationKind::Sequence(s) => s.owned_by.is_some(),
        _ => false,
    };
    let relations = catalog.relations_in(schema).filter(|r| !goes_with_another(&r.kind));
    out.extend(relations.map(|r| Edge::told(Node::Relation(r.oid))));
    let extensions = catalog.extensions().filter(|e| e.schema == schema);
    out.extend(extensions.map(|e| Edge::told(Node::Extension(e.oid))));
    let types = catalog.types().filter(|t| t.schema == schema);
    out.extend(types.map(|t| Edge::told(Node::Type(t.oid))));
    let functions = catalog.functions().filter(|f| f.schema == schema);
    out.extend(functions.map(|f| Edge::told(Node::Function(f.oid))));
}

fn of_extension(catalog: &Catalog, extension: Oid, out: &mut Vec<Edge>) {
    if catalog.extension(extension).is_none_or(|e| e.name != "pase") {
        return;
    }
    users_of_type(catalog, oid::PASE, out);
    catalog.array_of(oid::PASE).into_iter().for_each(|array| users_of_type(catalog, array, out));
    let of_vectors = |d: &IndexDef| matches!(d.method, IndexMethod::Hnsw | IndexMethod::Ivfflat);
    let indexes = catalog.relations().filter(|r| r.index().is_some_and(of_vectors));
    out.extend(indexes.map(|i| Edge::told(Node::Relation(i.oid))));
}

fn of_constraint(catalog: &Catalog, constraint: Oid, out: &mut Vec<Edge>) {
    let kind = catalog.constraint(constraint).map(|(_, c)| &c.kind);
    if let Some(ConstraintKind::PrimaryKey { index } | ConstraintKind::Unique { index }) = kind {
        out.push(Edge::automatic(Node::Relation(*index)));
    }
    for (child, c) in inherited_of(catalog, constraint) {
        out.push(Edge::automatic(Node::Constraint(child, c)));
    }
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
                // A check may have come from others too.
                None => {
                    let check = matches!(c.kind, ConstraintKind::Check { .. });
                    !check && c.name == own.name && c.inherited > 0
                }
            };
            if same {
                out.push((child.oid, c.oid));
            }
        }
    }
    out
}

/// The query of a view, plain or materialized, and what it reads.
pub(super) fn query_of(view: &Relation) -> Option<(&str, &[Oid])> {
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
    let bound = viewtext::parsed(query).map(|q| query::meaning(&ctx.next_statement(), &q));
    !matches!(bound, Some(Ok(bound)) if !bound.reads(table, number))
}

/// Whether a trigger's condition names a column of its rows.
fn names_column(when: &str, column: &str) -> bool {
    let columns = sql::parse_expression(when).map(|e| canon::columns_of(&e));
    columns.map_or(true, |columns| columns.iter().any(|c| c == column))
}

fn computed_from(ctx: &ExecContext, table: Oid, computed: i16, column: &str) -> PgError {
    let relation = ctx.catalog.relation(table);
    let place = usize::try_from(computed - 1).unwrap_or(usize::MAX);
    let found = relation.and_then(|r| r.table()).and_then(|t| t.columns.get(place));
    let name = found.map_or("", |c| c.name.as_str());
    PgError::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        "cannot alter type of a column used by a generated column",
    )
    .detail(format!("Column \"{column}\" is used by generated column \"{name}\"."))
}

/// Error 0A000 if a view, a trigger or a generated column keeps a column's type as it is.
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
            Node::Column(table, other) => return Err(computed_from(ctx, table, other, column)),
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
