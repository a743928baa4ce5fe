//! ALTER TABLE and the other ALTERs of relations.

use std::sync::Arc;

use sqlparser::ast::{
    AlterColumnOperation, AlterIndexOperation, AlterTable, AlterTableOperation, AlterTableType,
    ColumnDef, ColumnOption, DropBehavior, GeneratedAs, ObjectName, RenameTableNameKind,
    TableConstraint,
};
use vicinity_storage::ObjectKind;
use vicinity_storage::catalog::model::{
    Column, Constraint, ConstraintKind, Identity, Object, Relation, RelationKind, TableDef,
};
use vicinity_types::{Oid, PgError, Result, SqlState, oid};

use super::ddl::constraint::{self, PendingKind};
use super::ddl::depend::{self, Node};
use super::ddl::{index, role, sequence, table};
use super::outcome::{Outcome, done};
use super::{dml, name, rewrite};
use crate::context::ExecContext;

fn no_column(relation: &Relation, own: &str) -> PgError {
    PgError::new(
        SqlState::UNDEFINED_COLUMN,
        format!("column \"{own}\" of relation \"{}\" does not exist", relation.name),
    )
}

/// Zero-based place of a live column.
fn place(relation: &Relation, own: &str) -> Result<usize> {
    let columns = match &relation.kind {
        RelationKind::Table(t) => &t.columns,
        RelationKind::View(v) => &v.columns,
        RelationKind::Composite(c) => c,
        _ => return Err(name::not_a(relation, "table")),
    };
    columns.iter().position(|c| !c.dropped && c.name == own).ok_or_else(|| no_column(relation, own))
}

fn number(at: usize) -> i16 {
    i16::try_from(at + 1).unwrap_or(i16::MAX)
}

/// Replaces a relation by a changed copy.
fn change(
    ctx: &ExecContext,
    oid: Oid,
    f: impl FnOnce(&mut Relation) -> Result<()>,
) -> Result<Arc<Relation>> {
    let mut next = (*index::reread(ctx, oid)?).clone();
    f(&mut next)?;
    ctx.txn.put(Object::Relation(Arc::new(next)))?;
    index::reread(ctx, oid)
}

fn change_table(
    ctx: &ExecContext,
    oid: Oid,
    f: impl FnOnce(&mut TableDef) -> Result<()>,
) -> Result<Arc<Relation>> {
    change(ctx, oid, |r| match &mut r.kind {
        RelationKind::Table(def) => f(def),
        _ => Err(PgError::internal("not a table")),
    })
}

fn change_column(
    ctx: &ExecContext,
    oid: Oid,
    at: usize,
    f: impl FnOnce(&mut Column),
) -> Result<Arc<Relation>> {
    change_table(ctx, oid, |def| {
        def.columns.get_mut(at).map(f).ok_or_else(|| PgError::internal("column is missing"))
    })
}

/// Runs ALTER TABLE.
pub(crate) fn run(ctx: &ExecContext, a: &AlterTable) -> Result<Outcome> {
    if a.table_type.as_ref().is_some_and(|t| !matches!(t, AlterTableType::External))
        || a.location.is_some()
        || a.on_cluster.is_some()
    {
        return Err(PgError::unsupported("this form of ALTER TABLE"));
    }
    let found = match name::relation(ctx, &a.name) {
        Ok(found) => found,
        Err(e) if a.if_exists => {
            name::skipping(ctx, SqlState::SUCCESSFUL_COMPLETION, e.message().to_owned());
            return Ok(done("ALTER TABLE"));
        }
        Err(e) => return Err(e),
    };
    for op in &a.operations {
        let relation = index::reread(ctx, found.oid)?;
        operation(ctx, &relation, op)?;
    }
    Ok(done("ALTER TABLE"))
}

fn operation(ctx: &ExecContext, r: &Arc<Relation>, op: &AlterTableOperation) -> Result<()> {
    use AlterTableOperation as Op;
    // What any relation can be told.
    match op {
        Op::RenameTable {
            table_name: RenameTableNameKind::To(to) | RenameTableNameKind::As(to),
        } => {
            return rename(ctx, r, &name::last(to));
        }
        Op::RenameColumn { old_column_name, new_column_name } => {
            return rename_column(
                ctx,
                r,
                &name::ident(old_column_name),
                &name::ident(new_column_name),
            );
        }
        Op::OwnerTo { new_owner } => {
            let owner = role::owner(ctx, new_owner)?;
            return change(ctx, r.oid, |r| {
                r.owner = owner;
                Ok(())
            })
            .map(drop);
        }
        _ => {}
    }
    let Some(def) = r.table() else {
        return Err(PgError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("ALTER action cannot be performed on relation \"{}\"", r.name),
        )
        .detail(format!("This operation is not supported for {}s.", depend::kind_name(r))));
    };
    match op {
        Op::AddColumn { if_not_exists, column_def, column_position: None, .. } => {
            add_column(ctx, r, def, column_def, *if_not_exists)
        }
        Op::DropColumn { column_names, if_exists, drop_behavior, .. } => {
            for own in column_names {
                let r = index::reread(ctx, r.oid)?;
                let cascade = matches!(drop_behavior, Some(DropBehavior::Cascade));
                drop_column_named(ctx, &r, &name::ident(own), *if_exists, cascade)?;
            }
            Ok(())
        }
        Op::AlterColumn { column_name, op } => alter_column(ctx, r, &name::ident(column_name), op),
        Op::AddConstraint { constraint, not_valid } => {
            if *not_valid {
                return Err(PgError::unsupported("NOT VALID"));
            }
            add_constraint(ctx, r, def, constraint)
        }
        Op::DropConstraint { if_exists, name: own, .. } => {
            drop_constraint(ctx, r, def, &name::ident(own), *if_exists)
        }
        Op::RenameConstraint { old_name, new_name } => {
            rename_constraint(ctx, r, def, &name::ident(old_name), &name::ident(new_name))
        }
        Op::DisableTrigger { name: own } => set_trigger(ctx, r, &name::ident(own), 'D'),
        Op::EnableTrigger { name: own } => set_trigger(ctx, r, &name::ident(own), 'O'),
        Op::EnableAlwaysTrigger { name: own } => set_trigger(ctx, r, &name::ident(own), 'A'),
        Op::EnableReplicaTrigger { name: own } => set_trigger(ctx, r, &name::ident(own), 'R'),
        Op::ValidateConstraint { name: own } => {
            let own = name::ident(own);
            match def.constraints.iter().any(|c| c.name == own) {
                true => Ok(()),
                false => Err(no_constraint(r, &own)),
            }
        }
        other => Err(PgError::unsupported(format!("ALTER TABLE ... {other}"))),
    }
}

fn set_trigger(ctx: &ExecContext, r: &Relation, own: &str, state: char) -> Result<()> {
    let catalog = ctx.txn.catalog();
    let all = matches!(own, "all" | "user");
    let mut found = false;
    for t in catalog.triggers_of(r.oid).filter(|t| all || t.name == own) {
        found = true;
        let mut next = (**t).clone();
        next.enabled = state;
        ctx.txn.put(Object::Trigger(Arc::new(next)))?;
    }
    if found || all {
        return Ok(());
    }
    Err(PgError::new(
        SqlState::UNDEFINED_OBJECT,
        format!("trigger \"{own}\" for table \"{}\" does not exist", r.name),
    ))
}

/// RENAME TO, of any relation.
pub(crate) fn rename(ctx: &ExecContext, r: &Relation, to: &str) -> Result<()> {
    name::check_free(ctx, r.schema, to)?;
    if r.sequence().is_some() {
        sequence::rename_in_defaults(ctx, r, to)?;
    }
    let before = r.name.clone();
    change(ctx, r.oid, |r| {
        r.name = to.to_owned();
        Ok(())
    })?;
    // The constraint an index holds up has the index's name.
    if let Some(def) = r.index() {
        change_table(ctx, def.table, |t| {
            for c in &mut t.constraints {
                let held = matches!(&c.kind, ConstraintKind::PrimaryKey { index }
                    | ConstraintKind::Unique { index } if *index == r.oid);
                if held && c.name == before {
                    c.name = to.to_owned();
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

fn rename_column(ctx: &ExecContext, r: &Relation, from: &str, to: &str) -> Result<()> {
    let at = place(r, from)?;
    if place(r, to).is_ok() {
        return Err(PgError::new(
            SqlState::DUPLICATE_COLUMN,
            format!("column \"{to}\" of relation \"{}\" already exists", r.name),
        ));
    }
    let catalog = ctx.txn.catalog();
    let read = catalog
        .relations()
        .any(|v| matches!(&v.kind, RelationKind::View(v) if v.depends_on.contains(&r.oid)));
    if read {
        // Views are kept as text.
        return Err(PgError::unsupported("renaming a column that a view may read"));
    }
    change(ctx, r.oid, |r| {
        match &mut r.kind {
            RelationKind::Table(t) => {
                rewrite::rename_in_table(t, from, to)?;
                if let Some(c) = t.columns.get_mut(at) {
                    c.name = to.to_owned();
                }
            }
            RelationKind::View(v) => {
                if let Some(c) = v.columns.get_mut(at) {
                    c.name = to.to_owned();
                }
            }
            RelationKind::Composite(columns) => {
                if let Some(c) = columns.get_mut(at) {
                    c.name = to.to_owned();
                }
            }
            _ => {}
        }
        Ok(())
    })?;
    for index in ctx.txn.catalog().indexes_of(r.oid) {
        let Some(def) = index.index() else { continue };
        if let Some(next) = rewrite::rename_in_index(def, from, to)? {
            let kind = RelationKind::Index(next);
            ctx.txn.put(Object::Relation(Arc::new(Relation { kind, ..(**index).clone() })))?;
        }
    }
    Ok(())
}

fn add_column(
    ctx: &ExecContext,
    r: &Arc<Relation>,
    def: &TableDef,
    c: &ColumnDef,
    if_not_exists: bool,
) -> Result<()> {
    let own = name::ident(&c.name);
    if place(r, &own).is_ok() {
        let text = format!("column \"{own}\" of relation \"{}\" already exists", r.name);
        if if_not_exists {
            name::skipping(ctx, SqlState::DUPLICATE_COLUMN, text);
            return Ok(());
        }
        return Err(PgError::new(SqlState::DUPLICATE_COLUMN, text));
    }
    // The column is drafted as in CREATE TABLE, with the table's columns before it.
    let at = def.columns.len();
    let (mut column, written) = table::bare_column(ctx, c)?;
    let mut constraints = Vec::new();
    let mut identity = None;
    for option in &c.options {
        match &option.option {
            ColumnOption::Null => {}
            ColumnOption::NotNull => column.not_null = true,
            ColumnOption::Default(e) => {
                column.default = constraint::default_text(ctx, e, &column)?;
            }
            ColumnOption::Generated { generation_expr: Some(e), .. } => {
                column.generated = Some(constraint::expr_text(ctx, e));
            }
            ColumnOption::Generated { generated_as, sequence_options, .. } => {
                column.not_null = true;
                column.identity = Some(match generated_as {
                    GeneratedAs::ByDefault => Identity::ByDefault,
                    _ => Identity::Always,
                });
                identity = Some(sequence_options.clone().unwrap_or_default());
            }
            ColumnOption::Collation(collation) => table::check_collation(collation)?,
            other => constraints.push(constraint::of_column(
                other,
                &own,
                option.name.as_ref().map(name::ident),
            )?),
        }
    }
    let mut sequence = None;
    if written.serial || identity.is_some() {
        column.not_null = true;
        let (made, text) = table::serial_for(ctx, r, &column, number(at), identity.as_deref())?;
        if identity.is_none() {
            column.default = Some(text);
        }
        sequence = Some(made);
    }
    let primary =
        constraints.iter().any(|p| matches!(p.kind, PendingKind::Key { primary: true, .. }));
    column.not_null |= primary;
    let not_null = column.not_null;
    let computed = column.default.is_some() || column.generated.is_some() || sequence.is_some();
    let made = change_table(ctx, r.oid, |t| {
        t.columns.push(Column { not_null: false, ..column });
        Ok(())
    })?;
    if let Some(sequence) = sequence {
        ctx.txn.put(Object::Relation(Arc::new(sequence)))?;
    }
    dml::validate(ctx, &made)?;
    if computed {
        rewrite::fill_new_column(ctx, &made, at)?;
    }
    if not_null {
        set_not_null(ctx, &index::reread(ctx, r.oid)?, at)?;
    }
    for pending in constraints {
        let r = index::reread(ctx, r.oid)?;
        let def = r.table().cloned().ok_or_else(|| PgError::internal("not a table"))?;
        add_pending(ctx, &r, &def, &pending)?;
    }
    Ok(())
}

/// Marks a column as dropped, with the indexes and constraints over it.
pub(crate) fn drop_column(ctx: &ExecContext, oid: Oid, number: i16) -> Result<()> {
    let catalog = ctx.txn.catalog();
    let Some(r) = catalog.relation(oid).cloned() else { return Ok(()) };
    let Some(def) = r.table() else { return Ok(()) };
    for c in &def.constraints {
        if let ConstraintKind::PrimaryKey { index } | ConstraintKind::Unique { index } = &c.kind
            && c.columns.contains(&number)
        {
            ctx.txn.drop_object(ObjectKind::Relation, *index)?;
        }
    }
    let catalog = ctx.txn.catalog();
    for i in catalog.indexes_of(oid) {
        let uses = i.index().is_some_and(|d| rewrite::index_reads(&r, d, number));
        if uses {
            ctx.txn.drop_object(ObjectKind::Relation, i.oid)?;
        }
    }
    for s in catalog.sequences_of(oid) {
        let owned = s.sequence().and_then(|d| d.owned_by).is_some_and(|(_, n)| n == number);
        if owned {
            ctx.txn.drop_object(ObjectKind::Relation, s.oid)?;
        }
    }
    change_table(ctx, oid, |t| {
        t.constraints.retain(|c| !c.columns.contains(&number));
        let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
        if let Some(c) = t.columns.get_mut(at) {
            c.dropped = true;
            c.name = format!("........pg.dropped.{number}........");
            c.not_null = false;
            c.default = None;
            c.generated = None;
            c.identity = None;
        }
        Ok(())
    })
    .map(drop)
}

fn drop_column_named(
    ctx: &ExecContext,
    r: &Relation,
    own: &str,
    if_exists: bool,
    cascade: bool,
) -> Result<()> {
    let at = match place(r, own) {
        Ok(at) => at,
        Err(e) if if_exists => {
            name::skipping(ctx, SqlState::SUCCESSFUL_COMPLETION, e.message().to_owned());
            return Ok(());
        }
        Err(e) => return Err(e),
    };
    let catalog = ctx.txn.catalog();
    let views: Vec<Oid> = catalog
        .relations()
        .filter(|v| {
            matches!(&v.kind, RelationKind::View(v)
                if v.depends_on.contains(&r.oid) && rewrite::mentions(&v.query, own))
        })
        .map(|v| v.oid)
        .collect();
    let this = depend::describe(ctx, Node::Column(r.oid, number(at)));
    if !views.is_empty() && !cascade {
        let lines: Vec<String> = views
            .iter()
            .map(|v| format!("{} depends on {this}", depend::describe(ctx, Node::Relation(*v))))
            .collect();
        return Err(PgError::new(
            SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            format!("cannot drop {this} because other objects depend on it"),
        )
        .detail(lines.join("\n"))
        .hint("Use DROP ... CASCADE to drop the dependent objects too."));
    }
    for v in views {
        let text = format!("drop cascades to {}", depend::describe(ctx, Node::Relation(v)));
        name::notice(ctx, text);
        depend::drop_all(ctx, &[Node::Relation(v)], true)?;
    }
    drop_column(ctx, r.oid, number(at))
}

fn set_not_null(ctx: &ExecContext, r: &Arc<Relation>, at: usize) -> Result<()> {
    rewrite::check_no_nulls(ctx, r, at)?;
    change_column(ctx, r.oid, at, |c| c.not_null = true).map(drop)
}

fn alter_column(
    ctx: &ExecContext,
    r: &Arc<Relation>,
    own: &str,
    op: &AlterColumnOperation,
) -> Result<()> {
    let at = place(r, own)?;
    let def = r.table().ok_or_else(|| PgError::internal("not a table"))?;
    let column = def.columns.get(at).ok_or_else(|| no_column(r, own))?;
    match op {
        AlterColumnOperation::SetNotNull => set_not_null(ctx, r, at),
        AlterColumnOperation::DropNotNull => {
            let in_key = def.constraints.iter().any(|c| {
                matches!(c.kind, ConstraintKind::PrimaryKey { .. })
                    && c.columns.contains(&number(at))
            });
            if in_key {
                return Err(table::invalid(format!("column \"{own}\" is in a primary key")));
            }
            if column.identity.is_some() {
                return Err(PgError::new(
                    SqlState::SYNTAX_ERROR,
                    format!("column \"{own}\" of relation \"{}\" is an identity column", r.name),
                ));
            }
            change_column(ctx, r.oid, at, |c| c.not_null = false).map(drop)
        }
        AlterColumnOperation::SetDefault { value } => {
            check_plain(r, column)?;
            let text = constraint::default_text(ctx, value, column)?;
            let made = change_column(ctx, r.oid, at, |c| c.default = text)?;
            dml::validate(ctx, &made)
        }
        AlterColumnOperation::DropDefault => {
            check_plain(r, column)?;
            change_column(ctx, r.oid, at, |c| c.default = None).map(drop)
        }
        AlterColumnOperation::SetDataType { data_type, using, .. } => {
            let written = super::types::resolve(ctx, data_type)?;
            if written.serial {
                return Err(super::types::undefined(&data_type.to_string().to_lowercase()));
            }
            rewrite::change_type(ctx, r, at, (written.ty, written.ndims), using.as_ref())
        }
        AlterColumnOperation::AddGenerated { generated_as, sequence_options } => {
            if !column.not_null {
                return Err(PgError::new(
                    SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!(
                        "column \"{own}\" of relation \"{}\" must be declared NOT NULL before \
                         identity can be added",
                        r.name
                    ),
                ));
            }
            if column.identity.is_some() || column.default.is_some() {
                let what = if column.identity.is_some() {
                    "is already an identity column"
                } else {
                    "already has a default value"
                };
                return Err(PgError::new(
                    SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    format!("column \"{own}\" of relation \"{}\" {what}", r.name),
                ));
            }
            if !matches!(column.type_oid, oid::INT2 | oid::INT4 | oid::INT8) {
                return Err(PgError::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    "identity column type must be smallint, integer, or bigint",
                ));
            }
            let options = sequence_options.clone().unwrap_or_default();
            let (made, _) = table::serial_for(ctx, r, column, number(at), Some(&options))?;
            ctx.txn.put(Object::Relation(Arc::new(made)))?;
            let kind = match generated_as {
                Some(GeneratedAs::ByDefault) => Identity::ByDefault,
                _ => Identity::Always,
            };
            change_column(ctx, r.oid, at, |c| c.identity = Some(kind)).map(drop)
        }
    }
}

fn check_plain(r: &Relation, c: &Column) -> Result<()> {
    let what = if c.identity.is_some() {
        "an identity column"
    } else if c.generated.is_some() {
        "a generated column"
    } else {
        return Ok(());
    };
    Err(PgError::new(
        SqlState::SYNTAX_ERROR,
        format!("column \"{}\" of relation \"{}\" is {what}", c.name, r.name),
    ))
}

fn add_constraint(
    ctx: &ExecContext,
    r: &Arc<Relation>,
    def: &TableDef,
    c: &TableConstraint,
) -> Result<()> {
    add_pending(ctx, r, def, &table::pending(c)?)
}

fn add_pending(
    ctx: &ExecContext,
    r: &Arc<Relation>,
    def: &TableDef,
    pending: &constraint::Pending,
) -> Result<()> {
    let taken: Vec<String> = def.constraints.iter().map(|c| c.name.clone()).collect();
    if let Some(own) = pending.name.as_ref().filter(|n| taken.contains(n)) {
        return Err(constraint::duplicate(own, &r.name));
    }
    match &pending.kind {
        PendingKind::Check(expr) => {
            let made = constraint::check(ctx, &r.name, &def.columns, pending, expr, &taken);
            let name = made.name.clone();
            let next = change_table(ctx, r.oid, |t| {
                t.constraints.push(made);
                Ok(())
            })?;
            dml::validate(ctx, &next)?;
            rewrite::check_rows(ctx, &next, &name)
        }
        PendingKind::Key { columns, primary, .. } => {
            let has =
                def.constraints.iter().any(|c| matches!(c.kind, ConstraintKind::PrimaryKey { .. }));
            if *primary && has {
                return Err(constraint::many_primary(&r.name));
            }
            if *primary {
                for c in columns {
                    let at = place(r, c).map_err(|_| {
                        PgError::new(
                            SqlState::UNDEFINED_COLUMN,
                            format!("column \"{c}\" of relation \"{}\" does not exist", r.name),
                        )
                    })?;
                    set_not_null(ctx, &index::reread(ctx, r.oid)?, at)?;
                }
            }
            let place = (r.schema, r.name.as_str());
            let (made, key) =
                constraint::key_constraint(ctx, place, &def.columns, pending, &|n| {
                    taken.iter().any(|t| t == n)
                })?;
            let mut relation = key.relation(r.oid);
            if let RelationKind::Index(i) = &mut relation.kind {
                i.valid = false;
            }
            let index_oid = relation.oid;
            ctx.txn.put(Object::Relation(Arc::new(relation)))?;
            index::build(ctx, index_oid)?;
            change_table(ctx, r.oid, |t| {
                t.constraints.push(made);
                Ok(())
            })
            .map(drop)
        }
    }
}

fn no_constraint(r: &Relation, own: &str) -> PgError {
    PgError::new(
        SqlState::UNDEFINED_OBJECT,
        format!("constraint \"{own}\" of relation \"{}\" does not exist", r.name),
    )
}

fn find_constraint<'a>(r: &Relation, def: &'a TableDef, own: &str) -> Result<&'a Constraint> {
    def.constraints.iter().find(|c| c.name == own).ok_or_else(|| no_constraint(r, own))
}

fn drop_constraint(
    ctx: &ExecContext,
    r: &Relation,
    def: &TableDef,
    own: &str,
    if_exists: bool,
) -> Result<()> {
    let found = match find_constraint(r, def, own) {
        Ok(found) => found,
        Err(e) if if_exists => {
            name::skipping(ctx, SqlState::SUCCESSFUL_COMPLETION, e.message().to_owned());
            return Ok(());
        }
        Err(e) => return Err(e),
    };
    if let ConstraintKind::PrimaryKey { index } | ConstraintKind::Unique { index } = &found.kind {
        ctx.txn.drop_object(ObjectKind::Relation, *index)?;
    }
    let oid = found.oid;
    change_table(ctx, r.oid, |t| {
        t.constraints.retain(|c| c.oid != oid);
        Ok(())
    })
    .map(drop)
}

fn rename_constraint(
    ctx: &ExecContext,
    r: &Relation,
    def: &TableDef,
    from: &str,
    to: &str,
) -> Result<()> {
    let found = find_constraint(r, def, from)?;
    if def.constraints.iter().any(|c| c.name == to) {
        return Err(constraint::duplicate(to, &r.name));
    }
    if let ConstraintKind::PrimaryKey { index } | ConstraintKind::Unique { index } = &found.kind {
        let index = index::reread(ctx, *index)?;
        return rename(ctx, &index, to);
    }
    let oid = found.oid;
    change_table(ctx, r.oid, |t| {
        for c in &mut t.constraints {
            if c.oid == oid {
                c.name = to.to_owned();
            }
        }
        Ok(())
    })
    .map(drop)
}

/// Runs ALTER INDEX.
pub(crate) fn index(
    ctx: &ExecContext,
    given: &ObjectName,
    op: &AlterIndexOperation,
) -> Result<Outcome> {
    let found = name::relation(ctx, given)?;
    if found.index().is_none() {
        return Err(name::not_a(&found, "index"));
    }
    let AlterIndexOperation::RenameIndex { index_name } = op;
    rename(ctx, &found, &name::last(index_name))?;
    Ok(done("ALTER INDEX"))
}
