//! ALTER TYPE ... ATTRIBUTE: the fields of a composite type come, go and change. Values that are
//! kept somewhere are written anew, with the fields of now.

use std::sync::Arc;

use sqlparser::ast::{DataType, Ident, ObjectName};
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{Column, Relation, RelationKind, TypeKind};
use vicinity_types::array::{Array, Elements};
use vicinity_types::record::Record;
use vicinity_types::{Datum, Oid, PgError, Result, SqlState};

use super::super::ddl::depend::{Node, drop_all};
use super::super::ddl::dependents::check_type_may_change;
use super::super::ddl::{table, type_uses};
use super::super::outcome::{Outcome, done};
use super::super::{name, query, rewrite, types, viewtext};
use super::{change, no_column, number, place, rename};
use crate::context::ExecContext;
use crate::names;
use crate::sql::{AlterAttributes, AttributeAction};

/// Runs ALTER TYPE for attributes.
pub(crate) fn run(ctx: &ExecContext, a: &AlterAttributes) -> Result<Outcome> {
    let found = name::relation(ctx, &a.name)?;
    if !matches!(found.kind, RelationKind::Composite(_)) {
        return Err(PgError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("\"{}\" is not a composite type", found.name),
        ));
    }
    let before = ctx.next_statement();
    for action in &a.actions {
        let r = super::reread(ctx, found.oid)?;
        match action {
            AttributeAction::Rename { from, to } => {
                rename::column(ctx, &r, &name::ident(from), &name::ident(to))?;
            }
            AttributeAction::Add { name, ty, collation } => {
                add(ctx, &r, name, ty, collation.as_ref())?;
            }
            AttributeAction::Drop { name: given, if_exists, cascade } => {
                let own = name::ident(given);
                match place(&r, &own) {
                    Ok(at) => drop_all(ctx, &[Node::Column(r.oid, number(at))], *cascade)?,
                    Err(e) if *if_exists => {
                        name::skipping(
                            ctx,
                            SqlState::SUCCESSFUL_COMPLETION,
                            e.message().to_owned(),
                        );
                    }
                    Err(e) => return Err(e),
                }
            }
            AttributeAction::Type { name, ty, collation } => {
                change_type(ctx, &r, name, ty, collation.as_ref())?;
            }
        }
    }
    check_views(&before, ctx)?;
    Ok(done("ALTER TYPE"))
}

fn row_type(ctx: &ExecContext, r: &Relation) -> Result<Oid> {
    type_uses::row_type(&ctx.txn.catalog(), r).ok_or_else(|| PgError::internal("no row type"))
}

/// An attribute of a written type.
fn attribute(
    ctx: &ExecContext,
    r: &Relation,
    own: &str,
    ty: &DataType,
    collation: Option<&ObjectName>,
) -> Result<Column> {
    let written = types::resolve(ctx, ty)?;
    if written.serial {
        return Err(names::no_type(&ty.to_string().to_lowercase()));
    }
    if let Some(collation) = collation {
        table::check_collation(ctx, collation, written.ty.oid)?;
    }
    let mut made = table::column(own, written.ty);
    made.ndims = written.ndims;
    if Values::of(&ctx.txn.catalog(), row_type(ctx, r)?).within(made.type_oid) {
        return Err(PgError::new(
            SqlState::INVALID_TABLE_DEFINITION,
            format!("composite type {} cannot be made a member of itself", r.name),
        ));
    }
    Ok(made)
}

fn columns_of(r: &mut Relation) -> Result<&mut Vec<Column>> {
    match &mut r.kind {
        RelationKind::Composite(columns) => Ok(columns),
        _ => Err(PgError::internal("not a composite type")),
    }
}

fn add(
    ctx: &ExecContext,
    r: &Arc<Relation>,
    given: &Ident,
    ty: &DataType,
    collation: Option<&ObjectName>,
) -> Result<()> {
    let own = name::ident(given);
    if place(r, &own).is_ok() {
        return Err(PgError::new(
            SqlState::DUPLICATE_COLUMN,
            format!("column \"{own}\" of relation \"{}\" already exists", r.name),
        ));
    }
    let made = attribute(ctx, r, &own, ty, collation)?;
    let field = made.type_oid;
    change(ctx, r.oid, |r| {
        let columns = columns_of(r)?;
        table::check_count(columns.len() + 1)?;
        columns.push(made);
        Ok(())
    })?;
    rewrite_values(ctx, row_type(ctx, r)?, &|fields| fields.push((field, Datum::Null)))
}

/// Takes a field away.
pub(crate) fn remove(ctx: &ExecContext, r: &Relation, at: usize) -> Result<()> {
    change(ctx, r.oid, |r| {
        let columns = columns_of(r)?;
        if at < columns.len() {
            columns.remove(at);
        }
        Ok(())
    })?;
    rewrite_values(ctx, row_type(ctx, r)?, &|fields| {
        if at < fields.len() {
            fields.remove(at);
        }
    })
}

fn change_type(
    ctx: &ExecContext,
    r: &Arc<Relation>,
    given: &Ident,
    ty: &DataType,
    collation: Option<&ObjectName>,
) -> Result<()> {
    let own = name::ident(given);
    let at = place(r, &own).map_err(|_| no_column(r, &own))?;
    let made = attribute(ctx, r, &own, ty, collation)?;
    if let Some(user) = type_uses::column_of(&ctx.txn.catalog(), row_type(ctx, r)?) {
        return Err(user.keeps_type(&r.name));
    }
    check_type_may_change(ctx, r.oid, number(at), &own)?;
    change(ctx, r.oid, |r| {
        if let Some(slot) = columns_of(r)?.get_mut(at) {
            *slot = made;
        }
        Ok(())
    })
    .map(drop)
}

/// A view keeps what it was bound to, and its text may not be bound to that any more: a row with as
/// many values as the type had fields.
fn check_views(before: &ExecContext, ctx: &ExecContext) -> Result<()> {
    let now = ctx.next_statement();
    for relation in now.catalog.relations() {
        let text = match &relation.kind {
            RelationKind::View(v) => &v.query,
            RelationKind::Table(t) => match &t.materialized {
                Some(m) => &m.query,
                None => continue,
            },
            _ => continue,
        };
        let Some(query) = viewtext::parsed(text) else { continue };
        if query::lost_meaning(before, &now, &query) {
            return Err(PgError::unsupported("changing the attributes of what a view makes"));
        }
    }
    Ok(())
}

/// Where values of a type are found within others.
struct Values<'a> {
    catalog: &'a Catalog,
    ty: Oid,
}

type Change<'a> = dyn Fn(&mut Vec<(Oid, Datum)>) + 'a;

impl Values<'_> {
    fn of(catalog: &Catalog, ty: Oid) -> Values<'_> {
        Values { catalog, ty }
    }

    /// Whether values of a type are, or have in them, values of the type.
    fn within(&self, ty: Oid) -> bool {
        if ty == self.ty {
            return true;
        }
        if let Some(elem) = self.catalog.element_of(ty) {
            return self.within(elem);
        }
        if let Some(TypeKind::Domain { base, .. }) = self.catalog.type_def(ty).map(|t| &t.kind) {
            return self.within(*base);
        }
        self.fields(ty).any(|field| self.within(field))
    }

    fn fields(&self, ty: Oid) -> impl Iterator<Item = Oid> {
        let columns = self.catalog.relation_of_type(ty).and_then(|r| r.columns());
        columns.unwrap_or_default().iter().filter(|c| !c.dropped).map(|c| c.type_oid)
    }

    /// A value with all of them changed.
    fn changed(&self, ty: Oid, value: Datum, change: &Change<'_>) -> Result<Datum> {
        if let Some(TypeKind::Domain { base, .. }) = self.catalog.type_def(ty).map(|t| &t.kind) {
            return self.changed(*base, value, change);
        }
        match value {
            Datum::Array(array) => {
                let Some(elem) = self.catalog.element_of(ty) else {
                    return Ok(Datum::Array(array));
                };
                let values = array.iter().map(|v| self.changed(elem, v, change));
                let elements = Elements::Datums(values.collect::<Result<_>>()?);
                let dims = array.dims.clone();
                Ok(Datum::Array(Arc::new(Array { elem: array.elem, dims, elements })))
            }
            Datum::Record(record) => {
                let mut fields = Vec::with_capacity(record.fields.len() + 1);
                let mut types = self.fields(ty);
                for (held, value) in &record.fields {
                    let ty = types.next().filter(|ty| self.within(*ty));
                    let value = match ty {
                        Some(ty) => self.changed(ty, value.clone(), change)?,
                        None => value.clone(),
                    };
                    fields.push((*held, value));
                }
                if ty == self.ty {
                    change(&mut fields);
                }
                Ok(Datum::Record(Arc::new(Record::new(record.type_oid, fields)?)))
            }
            value => Ok(value),
        }
    }
}

/// Changes the values of a type in all rows.
fn rewrite_values(ctx: &ExecContext, ty: Oid, change: &Change<'_>) -> Result<()> {
    let catalog = ctx.txn.catalog();
    let values = Values::of(&catalog, ty);
    for r in catalog.relations() {
        let Some(def) = r.table().filter(|_| !crate::partition::is_partitioned(r)) else {
            continue;
        };
        let columns = def.columns.iter().enumerate().filter(|(_, c)| !c.dropped);
        let found: Vec<(usize, Oid)> = columns
            .filter(|(_, c)| values.within(c.type_oid))
            .map(|(at, c)| (at, c.type_oid))
            .collect();
        if found.is_empty() {
            continue;
        }
        rewrite::copy_rows(
            ctx,
            r,
            |_| {},
            |_, row| {
                for (at, ty) in &found {
                    if let Some(slot) = row.get_mut(*at) {
                        *slot = values.changed(*ty, std::mem::take(slot), change)?;
                    }
                }
                Ok(())
            },
        )?;
    }
    Ok(())
}
