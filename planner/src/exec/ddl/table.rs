//! CREATE TABLE.

use std::sync::Arc;

use sqlparser::ast::{
    self, ColumnDef, ColumnOption, CreateTableOptions, GeneratedAs, ObjectName, OnCommit,
    SqlOption, TableConstraint,
};
use vicinity_storage::catalog::model::{
    Column, Constraint, Identity, Object, OnCommit as Commit, PartitionBound, Persistence,
    Relation, RelationKind, SequenceDef, TableDef,
};
use vicinity_types::tuple::MAX_COLUMNS;
use vicinity_types::{Oid, PgError, Result, SqlState, oid};

use super::super::outcome::{Outcome, done};
use super::super::types::{self, Written};
use super::super::{name, stored};
use super::constraint::{self, Pending};
use super::{default_acl, foreign_key, index, inherit, like, partition, sequence};
use crate::authority::Target;
use crate::context::ExecContext;
use crate::resolve::Types;
use crate::sql::{Like, PartitionBy};

/// A sequence a column needs.
struct Serial {
    column: usize,
    ty: Oid,
    identity: bool,
    options: Vec<ast::SequenceOptions>,
}

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
        self.serials.push(Serial { column, ty, identity: true, options });
    }
}

const SYSTEM_COLUMNS: &[&str] = &["tableoid", "cmax", "xmax", "cmin", "xmin", "ctid"];

pub(crate) fn invalid(text: impl Into<String>) -> PgError {
    PgError::new(SqlState::INVALID_TABLE_DEFINITION, text)
}

/// A plain column without anything.
pub(crate) fn column(name: &str, ty: crate::call::PgType) -> Column {
    Column::new(name, ty.oid, ty.typmod)
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

/// `WITH (...)`: PostgreSQL's storage parameters, kept for `pg_class.reloptions`.
pub(crate) fn storage_options(options: &CreateTableOptions) -> Result<Vec<(String, String)>> {
    let list = match options {
        CreateTableOptions::None => return Ok(Vec::new()),
        CreateTableOptions::With(list) => list,
        CreateTableOptions::Plain(list) if list.is_empty() => return Ok(Vec::new()),
        CreateTableOptions::Plain(list)
            if list.iter().all(|o| matches!(o, SqlOption::TableSpace(_))) =>
        {
            return Err(PgError::unsupported("TABLESPACE"));
        }
        _ => return Err(PgError::unsupported("this table option")),
    };
    list.iter().map(storage_option).collect()
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

fn storage_option(option: &SqlOption) -> Result<(String, String)> {
    let (key, value) = match option {
        SqlOption::KeyValue { key, value } => {
            (name::ident(key), value.to_string().trim_matches('\'').to_owned())
        }
        SqlOption::Ident(key) => (name::ident(key), "true".to_owned()),
        _ => return Err(PgError::unsupported("this table option")),
    };
    check_storage_option(&key, &value)?;
    Ok((key, value))
}

/// An error for a parameter that tables do not have.
pub(crate) fn check_storage_option(key: &str, value: &str) -> Result<()> {
    let known = matches!(
        key,
        "fillfactor" | "toast_tuple_target" | "parallel_workers" | "user_catalog_table"
    ) || key.starts_with("autovacuum_")
        || key == "vacuum_truncate"
        || key == "vacuum_index_cleanup"
        || key.starts_with("toast.")
        || key == "oids";
    if !known {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("unrecognized parameter \"{key}\""),
        ));
    }
    if key == "oids" && value.eq_ignore_ascii_case("true") {
        return Err(PgError::unsupported("WITH OIDS"));
    }
    if key == "fillfactor" && !value.parse().is_ok_and(|v: i32| (10..=100).contains(&v)) {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("value {value} out of bounds for option \"fillfactor\""),
        )
        .detail("Valid values are between \"10\" and \"100\"."));
    }
    Ok(())
}

/// An error for a name that every table has a column of already.
pub(crate) fn check_system_name(column: &str) -> Result<()> {
    if SYSTEM_COLUMNS.contains(&column) {
        let text = format!("column name \"{column}\" conflicts with a system column name");
        return Err(PgError::new(SqlState::DUPLICATE_COLUMN, text));
    }
    Ok(())
}

pub(crate) fn check_name(draft: &Draft, column: &str) -> Result<()> {
    check_system_name(column)?;
    check_own_name(draft, column)
}

fn check_own_name(draft: &Draft, column: &str) -> Result<()> {
    if draft.columns.iter().any(|c| c.name == column && (c.inherited == 0 || c.local)) {
        let text = format!("column \"{column}\" specified more than once");
        return Err(PgError::new(SqlState::DUPLICATE_COLUMN, text));
    }
    // One that is merged with an inherited column takes no place of its own.
    if draft.columns.iter().any(|c| c.name == column) {
        return Ok(());
    }
    check_count(draft.columns.len() + 1)
}

/// An error if a row cannot have so many columns; those that were dropped are in it too.
pub(crate) fn check_count(columns: usize) -> Result<()> {
    if columns > MAX_COLUMNS {
        let text = format!("tables can have at most {MAX_COLUMNS} columns");
        return Err(PgError::new(SqlState::TOO_MANY_COLUMNS, text));
    }
    Ok(())
}

fn check_storable(ctx: &ExecContext, column: &str, ty: Oid) -> Result<()> {
    let info = vicinity_functions::type_by_oid(ty);
    if ty == oid::UNKNOWN || info.is_some_and(|t| t.kind == b'p') {
        let shown = ctx.type_name(ty, None);
        return Err(invalid(format!("column \"{column}\" has pseudo-type {shown}")));
    }
    Ok(())
}

/// The column of a definition, without its options.
pub(crate) fn bare_column(ctx: &ExecContext, def: &ColumnDef) -> Result<(Column, Written)> {
    let own = name::ident(&def.name);
    let written = types::resolve(ctx, &def.data_type)?;
    check_storable(ctx, &own, written.ty.oid)?;
    let column = Column { ndims: written.ndims, ..column(&own, written.ty) };
    Ok((column, written))
}

fn add_column(ctx: &ExecContext, draft: &mut Draft, def: &ColumnDef) -> Result<()> {
    let own = name::ident(&def.name);
    check_name(draft, &own)?;
    let (mut column, written) = bare_column(ctx, def)?;
    let at = draft.columns.len();
    if written.serial {
        column.not_null = true;
        draft.serials.push(Serial {
            column: at,
            ty: written.ty.oid,
            identity: false,
            options: Vec::new(),
        });
    }
    for option in &def.options {
        column_option(ctx, draft, &mut column, at, &option.option, option.name.as_ref())?;
    }
    if written.serial && column.default.is_some() {
        return Err(PgError::new(
            SqlState::SYNTAX_ERROR,
            format!(
                "multiple default values specified for column \"{own}\" of table \"{}\"",
                draft.name
            ),
        ));
    }
    draft.declared += 1;
    if let Some(column) = inherit::merge(ctx, draft, column)? {
        draft.columns.push(column);
    }
    Ok(())
}

/// What a partition says of a column that it has from its table.
fn change_column<'a>(
    ctx: &ExecContext,
    draft: &mut Draft,
    def: &ColumnDef,
    mut before: impl Iterator<Item = &'a ColumnDef>,
) -> Result<()> {
    let own = name::ident(&def.name);
    if before.any(|d| name::ident(&d.name) == own) {
        let text = format!("column \"{own}\" specified more than once");
        return Err(PgError::new(SqlState::DUPLICATE_COLUMN, text));
    }
    let found = draft.columns.iter().position(|c| c.name == own);
    let Some((at, column)) = found.and_then(|at| Some((at, draft.columns.get(at)?.clone()))) else {
        let text = format!("column \"{own}\" does not exist");
        return Err(PgError::new(SqlState::UNDEFINED_COLUMN, text));
    };
    let mut changed = column;
    for option in &def.options {
        if matches!(option.option, ColumnOption::Default(_)) {
            changed.default = None;
        }
        column_option(ctx, draft, &mut changed, at, &option.option, option.name.as_ref())?;
    }
    if let Some(slot) = draft.columns.get_mut(at) {
        *slot = changed;
    }
    Ok(())
}

fn column_option(
    ctx: &ExecContext,
    draft: &mut Draft,
    column: &mut Column,
    at: usize,
    option: &ColumnOption,
    constraint_name: Option<&ast::Ident>,
) -> Result<()> {
    let conflicting = |what: &str| {
        let (c, t) = (&column.name, &draft.name);
        PgError::new(SqlState::SYNTAX_ERROR, format!("{what} for column \"{c}\" of table \"{t}\""))
    };
    match option {
        ColumnOption::Null => {
            if column.not_null {
                return Err(conflicting("conflicting NULL/NOT NULL declarations"));
            }
            draft.nullable.push(at);
        }
        ColumnOption::NotNull => {
            if draft.nullable.contains(&at) {
                return Err(conflicting("conflicting NULL/NOT NULL declarations"));
            }
            column.not_null = true;
        }
        ColumnOption::Default(expr) => {
            if column.default.is_some() {
                return Err(conflicting("multiple default values specified"));
            }
            if column.identity.is_some() {
                return Err(conflicting("both default and identity specified"));
            }
            if column.generated.is_some() {
                return Err(conflicting("both default and generation expression specified"));
            }
            column.default = constraint::default_text(ctx, expr, column)?;
        }
        ColumnOption::Generated { generated_as, sequence_options, generation_expr, .. } => {
            generated(ctx, draft, column, at, (generated_as, sequence_options, generation_expr))?;
        }
        ColumnOption::Collation(collation) => check_collation(ctx, collation, column.type_oid)?,
        other => {
            let pending = constraint::of_column(other, &column.name, constraint_name)?;
            draft.constraints.push(pending);
        }
    }
    Ok(())
}

/// Text is ordered bytewise; only the collations that mean that are taken.
pub(crate) fn check_collation(ctx: &ExecContext, collation: &ObjectName, ty: Oid) -> Result<()> {
    let own = name::last(collation);
    match own.as_str() {
        "C" | "POSIX" | "default" | "ucs_basic" | "C.UTF-8" | "C.utf8" => {
            Types::new(&ctx.txn.catalog(), &ctx.session).check_collatable(ty)
        }
        _ if vicinity_functions::collations().iter().any(|c| c.name == own) => {
            Err(PgError::unsupported(format!("COLLATE \"{own}\"")))
        }
        _ => Err(PgError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("collation \"{own}\" for encoding \"UTF8\" does not exist"),
        )
        .or_at(name::position(collation))),
    }
}

type Generation<'a> =
    (&'a GeneratedAs, &'a Option<Vec<ast::SequenceOptions>>, &'a Option<ast::Expr>);

fn generated(
    ctx: &ExecContext,
    draft: &mut Draft,
    column: &mut Column,
    at: usize,
    (kind, options, expr): Generation<'_>,
) -> Result<()> {
    let twice = |what: &str| {
        let (own, table) = (&column.name, &draft.name);
        let text = format!("both {what} specified for column \"{own}\" of table \"{table}\"");
        PgError::new(SqlState::SYNTAX_ERROR, text)
    };
    if let Some(expr) = expr {
        if column.identity.is_some() {
            return Err(twice("identity and generation expression"));
        }
        if column.default.is_some() {
            return Err(twice("default and generation expression"));
        }
        column.generated = Some(constraint::expr_text(ctx, expr));
        return Ok(());
    }
    if column.default.is_some() {
        return Err(twice("default and identity"));
    }
    if !matches!(column.type_oid, oid::INT2 | oid::INT4 | oid::INT8) {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "identity column type must be smallint, integer, or bigint",
        ));
    }
    column.identity = Some(match kind {
        GeneratedAs::ByDefault => Identity::ByDefault,
        _ => Identity::Always,
    });
    column.not_null = true;
    draft.serials.push(Serial {
        column: at,
        ty: column.type_oid,
        identity: true,
        options: options.clone().unwrap_or_default(),
    });
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

/// Puts what a table has from others into its draft; the table it is a partition of.
fn family_into(
    ctx: &ExecContext,
    draft: &mut Draft,
    table: &ast::CreateTable,
) -> Result<Option<Arc<Relation>>> {
    if let (Some(of), Some(bound)) = (&table.partition_of, &table.for_values) {
        let parent = partition::parent(ctx, of)?;
        check_family(&parent, table.temporary, true)?;
        draft.bound = Some(partition::new_bound(ctx, &parent, &draft.name, bound)?);
        inherit::columns_into(ctx, draft, std::slice::from_ref(&parent))?;
        return Ok(Some(parent));
    }
    let mut parents: Vec<Arc<Relation>> = Vec::new();
    for given in table.inherits.iter().flatten() {
        let parent = partition::plain_parent(ctx, given)?;
        check_family(&parent, table.temporary, false)?;
        if parents.iter().any(|p| p.oid == parent.oid) {
            return Err(PgError::new(
                SqlState::DUPLICATE_TABLE,
                format!("relation \"{}\" would be inherited from more than once", parent.name),
            ));
        }
        parents.push(parent);
    }
    if draft.partition_by.is_some() && !parents.is_empty() {
        return Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "cannot create partitioned table as inheritance child",
        ));
    }
    inherit::columns_into(ctx, draft, &parents)?;
    Ok(None)
}

/// Temporary tables have only temporary children.
fn check_family(parent: &Relation, temporary: bool, partition: bool) -> Result<()> {
    let above = parent.table().is_some_and(|t| t.persistence == Persistence::Temporary);
    let own = &parent.name;
    let text = match (above, temporary, partition) {
        (true, false, true) => {
            format!(
                "cannot create a permanent relation as partition of temporary relation \"{own}\""
            )
        }
        (false, true, true) => {
            format!(
                "cannot create a temporary relation as partition of permanent relation \"{own}\""
            )
        }
        (true, false, false) => format!("cannot inherit from temporary relation \"{own}\""),
        _ => return Ok(()),
    };
    Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, text))
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

fn make_serial(
    ctx: &ExecContext,
    draft: &mut Draft,
    table: Oid,
    serial: &Serial,
) -> Result<Relation> {
    let Some(column) = draft.columns.get_mut(serial.column) else {
        return Err(PgError::internal("serial column is missing"));
    };
    let own = name::choose(ctx, draft.schema, &draft.name, Some(&column.name), "seq", &|n| {
        n == draft.name
    });
    let number = i16::try_from(serial.column + 1).unwrap_or(i16::MAX);
    let def = sequence::define(&serial.options, serial.ty, None)?;
    let def = SequenceDef { owned_by: Some((table, number)), identity: serial.identity, ..def };
    if !serial.identity {
        column.default = Some(sequence::nextval_text(ctx, draft.schema, &own));
    }
    Ok(Relation {
        oid: ctx.txn.new_oid(),
        name: own,
        schema: draft.schema,
        owner: super::role::acting(ctx)?,
        kind: RelationKind::Sequence(def),
    })
}

/// Makes the sequence of a column added later (ALTER TABLE) and gives its default.
pub(crate) fn serial_for(
    ctx: &ExecContext,
    table: &Relation,
    column: &Column,
    number: i16,
    identity: Option<&[ast::SequenceOptions]>,
) -> Result<(Relation, String)> {
    let own = name::choose(ctx, table.schema, &table.name, Some(&column.name), "seq", &|_| false);
    let def = sequence::define(identity.unwrap_or_default(), column.type_oid, None)?;
    let def =
        SequenceDef { owned_by: Some((table.oid, number)), identity: identity.is_some(), ..def };
    let text = sequence::nextval_text(ctx, table.schema, &own);
    let relation = Relation {
        oid: ctx.txn.new_oid(),
        name: own,
        schema: table.schema,
        owner: super::role::acting(ctx)?,
        kind: RelationKind::Sequence(def),
    };
    Ok((relation, text))
}

/// Turns a table constraint of the grammar into one of ours; for ALTER TABLE.
pub(crate) fn pending(c: &TableConstraint) -> Result<Pending> {
    constraint::of_table(c)
}
