//! CREATE TABLE.

mod column;
mod family;
mod options;
mod serial;

use std::sync::Arc;

use sqlparser::ast::{self, ObjectName, OnCommit};
use vicinity_storage::catalog::model::{
    Column, Constraint, Object, OnCommit as Commit, PartitionBound, Persistence, Relation,
    RelationKind, TableDef,
};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::outcome::{Outcome, done};
use super::super::{name, stored};
use super::constraint::{self, Pending};
use super::{default_acl, foreign_key, index, inherit, like, partition};
use crate::authority::Target;
use crate::context::ExecContext;
use crate::sql::{Like, PartitionBy};
use column::{add_column, change_column, check_own_name};
use family::family_into;
use serial::{Serial, make_serial};

pub(crate) use column::{
    bare_column, check_collation, check_count, check_name, check_system_name, column,
};
pub(crate) use options::{check_storage_option, storage_options};
pub(crate) use serial::{identity_of, serial_for};

/// A table on its way into the catalog.
pub(crate) struct Draft {
    pub(crate) schema: Oid,
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) constraints: Vec<Pending>,
    /// Constraints taken over from another table.
    pub(crate) ready: Vec<Constraint>,
    serials: Vec<Serial>,
    /// NULL was said of these columns.
    nullable: Vec<usize>,
    /// Columns that are declared, merged ones included.
    pub(crate) declared: usize,
    /// Columns whose parents have different defaults.
    pub(crate) conflicts: Vec<String>,
    /// The tables it inherits from.
    pub(crate) parents: Vec<Oid>,
    /// `PARTITION BY`, over its columns.
    partition_by: Option<PartitionBy>,
    bound: Option<PartitionBound>,
}

impl Draft {
    fn new(schema: Oid, name: String) -> Draft {
        Draft {
            schema,
            name,
            columns: Vec::new(),
            constraints: Vec::new(),
            ready: Vec::new(),
            serials: Vec::new(),
            nullable: Vec::new(),
            declared: 0,
            conflicts: Vec::new(),
            parents: Vec::new(),
            partition_by: None,
            bound: None,
        }
    }

    /// An identity column needs a sequence.
    pub(crate) fn add_identity(
        &mut self,
        column: usize,
        ty: Oid,
        options: Vec<ast::SequenceOptions>,
    ) {
        self.serials.push(Serial { column, ty, identity: Some(options) });
    }
}

pub(crate) fn invalid(text: impl Into<String>) -> PgError {
    PgError::new(SqlState::INVALID_TABLE_DEFINITION, text)
}

/// Runs CREATE TABLE (not AS).
pub(crate) fn create(
    ctx: &ExecContext,
    table: &ast::CreateTable,
    unlogged: bool,
    likes: &[Like],
    partition_by: Option<&PartitionBy>,
) -> Result<Outcome> {
    refuse_clauses(table)?;
    let (schema, own) = place(ctx, table.temporary, &table.name)?;
    if exists(ctx, schema, &own, table.if_not_exists)? {
        return Ok(done("CREATE TABLE"));
    }
    let mut draft = Draft::new(schema, own);
    draft.partition_by = partition_by.cloned();
    let parent = family_into(ctx, &mut draft, table)?;
    let mut copied = Vec::new();
    for at in 0..=table.columns.len() {
        for like in likes.iter().filter(|l| l.at == at) {
            copied.push(like::columns_into(ctx, &mut draft, like)?);
        }
        match table.columns.get(at) {
            Some(def) if crate::sql::partition::is_inherited(&def.data_type) => {
                change_column(ctx, &mut draft, def, table.columns.iter().take(at))?;
            }
            Some(def) => add_column(ctx, &mut draft, def)?,
            None => {}
        }
    }
    inherit::check_defaults(&draft)?;
    for c in &table.constraints {
        draft.constraints.push(constraint::of_table(c)?);
    }
    let persistence = persistence(table.temporary, unlogged);
    let oid = finish(ctx, draft, persistence, storage_options(&table.table_options)?)?;
    for source in copied {
        source.finish(ctx, oid)?;
    }
    if let Some(parent) = parent {
        partition::finish(ctx, &parent, oid)?;
    }
    on_commit(ctx, oid, table.temporary, table.on_commit)?;
    Ok(done("CREATE TABLE"))
}

pub(crate) fn persistence(temporary: bool, unlogged: bool) -> Persistence {
    match (temporary, unlogged) {
        (true, _) => Persistence::Temporary,
        (_, true) => Persistence::Unlogged,
        _ => Persistence::Permanent,
    }
}

/// Schema and name of a new table.
pub(crate) fn place(
    ctx: &ExecContext,
    temporary: bool,
    table: &ObjectName,
) -> Result<(Oid, String)> {
    if temporary { name::temporary_target(ctx, table) } else { name::target(ctx, table) }
}

/// Whether the name is taken, with IF NOT EXISTS; without, that is an error.
pub(crate) fn exists(
    ctx: &ExecContext,
    schema: Oid,
    own: &str,
    if_not_exists: bool,
) -> Result<bool> {
    match name::check_free(ctx, schema, own) {
        Ok(()) => {}
        Err(e) if if_not_exists => {
            name::skipping(ctx, SqlState::DUPLICATE_TABLE, e.message().to_owned());
            return Ok(true);
        }
        Err(e) => return Err(e),
    }
    if ctx.txn.catalog().type_named(schema, own).is_some() {
        return Err(PgError::new(
            SqlState::DUPLICATE_OBJECT,
            format!("type \"{own}\" already exists"),
        )
        .hint(
            "A relation has an associated type of the same name, so you must use a name that \
             doesn't conflict with any existing type.",
        ));
    }
    Ok(false)
}

/// Clauses of other servers, and of PostgreSQL that are not there (invariant no-silence).
pub(crate) fn refuse_clauses(t: &ast::CreateTable) -> Result<()> {
    let refused = [
        (t.clone.is_some(), "CLONE"),
        (t.external, "EXTERNAL"),
        (t.or_replace, "CREATE OR REPLACE TABLE"),
        (t.on_cluster.is_some(), "ON CLUSTER"),
        (
            t.file_format.is_some()
                || t.hive_formats.as_ref().is_some_and(|h| h.location.is_some()),
            "STORED AS",
        ),
        (t.primary_key.is_some() || t.order_by.is_some() || t.cluster_by.is_some(), "CLUSTER BY"),
        (
            t.without_rowid || t.strict || t.transient || t.volatile || t.iceberg || t.dynamic,
            "this form of CREATE TABLE",
        ),
        (t.like.is_some(), "CREATE TABLE LIKE without parentheses"),
    ];
    match refused.iter().find(|(given, _)| *given) {
        Some((_, what)) => Err(PgError::unsupported(what)),
        None => Ok(()),
    }
}

/// `ON COMMIT`, of temporary tables.
pub(crate) fn on_commit(
    ctx: &ExecContext,
    table: Oid,
    temporary: bool,
    given: Option<OnCommit>,
) -> Result<()> {
    let Some(given) = given else { return Ok(()) };
    if !temporary {
        return Err(invalid("ON COMMIT can only be used on temporary tables"));
    }
    let on_commit = match given {
        OnCommit::PreserveRows => Commit::PreserveRows,
        OnCommit::DeleteRows => Commit::DeleteRows,
        OnCommit::Drop => Commit::Drop,
    };
    if on_commit == Commit::PreserveRows {
        return Ok(());
    }
    let mut next = (*index::reread(ctx, table)?).clone();
    if let RelationKind::Table(t) = &mut next.kind {
        t.on_commit = on_commit;
    }
    ctx.txn.put(Object::Relation(Arc::new(next)))?;
    ctx.session.add_on_commit(table);
    Ok(())
}

/// Puts a drafted table into the catalog with its sequences, constraints and indexes.
pub(crate) fn finish(
    ctx: &ExecContext,
    mut draft: Draft,
    persistence: Persistence,
    options: Vec<(String, String)>,
) -> Result<Oid> {
    let txn = &ctx.txn;
    let oid = txn.new_oid();
    let mut sequences = Vec::new();
    for serial in std::mem::take(&mut draft.serials) {
        sequences.push(make_serial(ctx, &mut draft, oid, &serial)?);
    }
    let resolved = constraint::resolve_all(ctx, &mut draft)?;
    let def = TableDef {
        persistence,
        columns: draft.columns,
        constraints: resolved.constraints,
        storage: 0,
        row_type: txn.new_oid(),
        row_array_type: txn.new_oid(),
        options,
        on_commit: Commit::default(),
        materialized: None,
        parents: draft.parents,
        partitioning: None,
        bound: draft.bound,
    };
    let relation = Relation {
        oid,
        name: draft.name,
        schema: draft.schema,
        owner: super::role::acting(ctx)?,
        kind: RelationKind::Table(def),
    };
    let relation = inherit::merge_checks(ctx, stored::rewrite_texts(ctx, relation)?)?;
    for made in std::iter::once(relation).chain(sequences) {
        let (target, schema) = (Target::relation(&made), made.schema);
        txn.put(Object::Relation(Arc::new(made)))?;
        default_acl::begin(ctx, &target, schema)?;
    }
    for made in resolved.indexes {
        txn.put(Object::Relation(Arc::new(made.relation(oid, super::role::acting(ctx)?))))?;
    }
    if let Some(by) = &draft.partition_by {
        cut(ctx, oid, by)?;
    }
    let relation = index::reread(ctx, oid)?;
    constraint::validate_table(ctx, &relation)?;
    for (pending, written) in &resolved.foreign {
        foreign_key::add(ctx, &index::reread(ctx, oid)?, pending, written, false)?;
    }
    Ok(oid)
}

/// `PARTITION BY`, of a table whose columns are there.
fn cut(ctx: &ExecContext, table: Oid, by: &PartitionBy) -> Result<()> {
    let ctx = &ctx.next_statement();
    let made = index::reread(ctx, table)?;
    let partitioning = partition::partitioning(ctx, &made, by)?;
    let mut next = (*made).clone();
    if let RelationKind::Table(t) = &mut next.kind {
        t.partitioning = Some(partitioning);
    }
    partition::check_keys(&next)?;
    ctx.txn.put(Object::Relation(Arc::new(next)))
}

/// A draft of a table with only columns (CREATE TABLE AS).
pub(crate) fn draft(schema: Oid, own: String, columns: Vec<Column>) -> Result<Draft> {
    let mut draft = Draft::new(schema, own);
    for c in columns {
        check_name(&draft, &c.name)?;
        draft.columns.push(c);
    }
    Ok(draft)
}

/// The columns of a composite type: checked as a table's, but that its rows have no system columns.
pub(crate) fn attributes(schema: Oid, own: String, columns: Vec<Column>) -> Result<Vec<Column>> {
    let mut draft = Draft::new(schema, own);
    for c in columns {
        check_own_name(&draft, &c.name)?;
        draft.columns.push(c);
    }
    Ok(draft.columns)
}
