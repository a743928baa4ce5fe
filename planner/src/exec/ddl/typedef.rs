//! CREATE TYPE (composite, enum), CREATE DOMAIN, ALTER TYPE.

use std::sync::Arc;

use sqlparser::ast::{
    AlterType, AlterTypeAddValuePosition, AlterTypeOperation, ObjectName,
    UserDefinedTypeRepresentation,
};
use vicinity_storage::catalog::model::{Object, Relation, RelationKind, TypeDef, TypeKind};
use vicinity_types::enums::{Label, place_between};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::outcome::{Outcome, done};
use super::super::{name, respell, types};
use super::{default_acl, object, table};
use crate::authority::Target;
use crate::context::ExecContext;
use crate::names;
use crate::sql::ObjectAction;

pub(crate) fn free(ctx: &ExecContext, schema: Oid, own: &str) -> Result<()> {
    let catalog = ctx.txn.catalog();
    let as_row = catalog
        .relation_named(schema, own)
        .is_some_and(|r| !matches!(r.kind, RelationKind::Index(_) | RelationKind::Sequence(_)));
    if catalog.type_named(schema, own).is_some() || as_row {
        return Err(PgError::new(
            SqlState::DUPLICATE_OBJECT,
            format!("type \"{own}\" already exists"),
        ));
    }
    Ok(())
}

pub(crate) fn put(
    ctx: &ExecContext,
    oid: Oid,
    schema: Oid,
    own: String,
    kind: TypeKind,
) -> Result<()> {
    let def = TypeDef {
        oid,
        name: own,
        schema,
        owner: super::role::acting(ctx)?,
        array_oid: ctx.txn.new_oid(),
        kind,
    };
    let target = Target::user_type(&def);
    ctx.txn.put(Object::Type(Arc::new(def)))?;
    default_acl::begin(ctx, &target, schema)
}

/// Runs CREATE TYPE.
pub(crate) fn create(
    ctx: &ExecContext,
    given: &ObjectName,
    representation: Option<&UserDefinedTypeRepresentation>,
) -> Result<Outcome> {
    let (schema, own) = name::target(ctx, given)?;
    free(ctx, schema, &own)?;
    let oid = ctx.txn.new_oid();
    let kind = match representation {
        Some(UserDefinedTypeRepresentation::Composite { attributes }) => {
            let mut columns = Vec::new();
            for a in attributes {
                let column = name::ident(&a.name);
                let written = types::resolve(ctx, &a.data_type)?;
                if written.serial {
                    return Err(names::no_type(&a.data_type.to_string().to_lowercase()));
                }
                if let Some(collation) = &a.collation {
                    table::check_collation(ctx, collation, written.ty.oid)?;
                }
                let mut made = table::column(&column, written.ty);
                made.ndims = written.ndims;
                columns.push(made);
            }
            let columns = table::attributes(schema, own.clone(), columns)?;
            let relation = Relation {
                oid: ctx.txn.new_oid(),
                name: own.clone(),
                schema,
                owner: super::role::acting(ctx)?,
                kind: RelationKind::Composite(columns),
            };
            let relation_oid = relation.oid;
            ctx.txn.put(Object::Relation(Arc::new(relation)))?;
            TypeKind::Composite { relation: relation_oid }
        }
        Some(UserDefinedTypeRepresentation::Enum { labels }) => {
            let mut made: Vec<Label> = Vec::new();
            for label in labels {
                check_label(&label.value)?;
                if made.iter().any(|have| *have.text == label.value) {
                    return Err(PgError::new(
                        SqlState(*b"23505"),
                        "duplicate key value violates unique constraint \
                         \"pg_enum_typid_label_index\"",
                    ));
                }
                let place = place_between(made.last().map(|l| l.place), None);
                made.push(new_label(ctx, place, &label.value)?);
            }
            TypeKind::Enum { labels: Arc::from(made) }
        }
        Some(UserDefinedTypeRepresentation::Range { .. }) => {
            return Err(PgError::unsupported("CREATE TYPE ... AS RANGE"));
        }
        _ => return Err(PgError::unsupported("CREATE TYPE of a base type")),
    };
    put(ctx, oid, schema, own, kind)?;
    Ok(done("CREATE TYPE"))
}

fn new_label(ctx: &ExecContext, place: Option<i64>, text: &str) -> Result<Label> {
    let place = place.ok_or_else(|| {
        PgError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "too many labels added between two others")
    })?;
    Ok(Label { oid: ctx.txn.new_oid(), place, text: Arc::from(text) })
}

fn check_label(label: &str) -> Result<()> {
    if label.len() > name::LONGEST {
        return Err(PgError::new(
            SqlState::INVALID_NAME,
            format!("invalid enum label \"{label}\""),
        )
        .detail("Labels must be 63 bytes or less."));
    }
    Ok(())
}

/// Runs ALTER TYPE.
pub(crate) fn alter(ctx: &ExecContext, a: &AlterType) -> Result<Outcome> {
    let catalog = ctx.txn.catalog();
    let quoted: Vec<String> = name::parts(&a.name).iter().map(|p| names::quote(p)).collect();
    let found = names::type_oid(&catalog, &ctx.session, &quoted.join("."))?;
    let shown = name::shown(&a.name);
    let ty = found.and_then(|oid| catalog.type_def(oid).cloned());
    let ty = ty.ok_or_else(|| names::no_type(&shown))?;
    let mut next = (*ty).clone();
    match &a.operation {
        AlterTypeOperation::Rename(rename) => {
            let action = ObjectAction::Rename(rename.new_name.clone());
            object::alter_type(ctx, &ty, &action)?;
            return Ok(done("ALTER TYPE"));
        }
        AlterTypeOperation::AddValue(add) => {
            let TypeKind::Enum { labels } = &mut next.kind else { return Err(not_enum(&shown)) };
            let label = add.value.value.clone();
            check_label(&label)?;
            if labels.iter().any(|l| *l.text == label) {
                let text = format!("enum label \"{label}\" already exists");
                if !add.if_not_exists {
                    return Err(PgError::new(SqlState::DUPLICATE_OBJECT, text));
                }
                name::skipping(ctx, SqlState::DUPLICATE_OBJECT, text);
                return Ok(done("ALTER TYPE"));
            }
            let place = |neighbour: &str| {
                labels.iter().position(|l| &*l.text == neighbour).ok_or_else(|| {
                    PgError::new(
                        SqlState::INVALID_PARAMETER_VALUE,
                        format!("\"{neighbour}\" is not an existing enum label"),
                    )
                })
            };
            let at = match &add.position {
                None => labels.len(),
                Some(AlterTypeAddValuePosition::Before(n)) => place(&n.value)?,
                Some(AlterTypeAddValuePosition::After(n)) => place(&n.value)? + 1,
            };
            let (before, after) = labels.split_at(at);
            let place =
                place_between(before.last().map(|l| l.place), after.first().map(|l| l.place));
            let made = new_label(ctx, place, &label)?;
            Arc::make_mut(&mut *ctx.session.deferred()).add_label(made.oid);
            *labels = [before, &[made], after].concat().into();
        }
        AlterTypeOperation::RenameValue(rename) => {
            let TypeKind::Enum { labels } = &mut next.kind else { return Err(not_enum(&shown)) };
            let (from, to) = (&rename.from.value, &rename.to.value);
            check_label(to)?;
            let Some(at) = labels.iter().position(|l| *l.text == **from) else {
                return Err(PgError::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("\"{from}\" is not an existing enum label"),
                ));
            };
            if labels.iter().any(|l| *l.text == **to) {
                return Err(PgError::new(
                    SqlState::DUPLICATE_OBJECT,
                    format!("enum label \"{to}\" already exists"),
                ));
            }
            let mut renamed = labels.to_vec();
            if let Some(label) = renamed.get_mut(at) {
                label.text = Arc::from(to.as_str());
            }
            *labels = renamed.into();
        }
    }
    let added = matches!(a.operation, AlterTypeOperation::AddValue(_));
    let change = || ctx.txn.put(Object::Type(Arc::new(next)));
    if added {
        change()?
    } else {
        respell::after(ctx, change)?
    }
    Ok(done("ALTER TYPE"))
}

fn not_enum(shown: &str) -> PgError {
    PgError::new(SqlState::WRONG_OBJECT_TYPE, format!("{shown} is not an enum"))
}
