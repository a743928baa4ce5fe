//! What a write goes to: the table or view, and its columns.

use std::sync::Arc;

use sqlparser::ast::{self, AccessExpr, Expr};
use vicinity_storage::Table;
use vicinity_storage::catalog::model::{Relation, RelationKind};
use vicinity_types::{PgError, Result, SqlState};

use super::super::name;
use super::layout::columns;
use crate::context::ExecContext;
use crate::exec::triggers::{Event, bits};
use crate::sql::part;

/// The table a write goes to, or the view whose triggers do it.
pub(super) fn target(
    ctx: &ExecContext,
    given: &ast::ObjectName,
    event: Event,
) -> Result<Arc<Relation>> {
    let relation = name::relation(ctx, given).map_err(|e| e.or_at(name::position(given)))?;
    match relation.kind {
        RelationKind::Table(ref t) if t.materialized.is_some() => Err(PgError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("cannot change materialized view \"{}\"", relation.name),
        )),
        RelationKind::Table(_) => Ok(relation),
        RelationKind::View(_) if has_instead(ctx, &relation, event) => Ok(relation),
        RelationKind::View(_) => Err(PgError::unsupported(match event {
            Event::Insert => "INSERT into a view",
            Event::Update => "UPDATE a view",
            _ => "DELETE a view",
        })),
        RelationKind::Sequence(_) => Err(PgError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("cannot change sequence \"{}\"", relation.name),
        )),
        _ => Err(PgError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("cannot open relation \"{}\"", relation.name),
        )),
    }
}

/// Whether a view has INSTEAD OF triggers for a kind of write.
pub(crate) fn has_instead(ctx: &ExecContext, view: &Relation, event: Event) -> bool {
    let wanted = bits::INSTEAD | event.bit();
    ctx.catalog.triggers_of(view.oid).any(|t| t.kind & wanted == wanted)
}

/// Where the rows of a write's target are; a view has none.
pub(super) fn table_of(ctx: &ExecContext, relation: &Relation) -> Result<Option<Arc<Table>>> {
    if let RelationKind::View(_) = relation.kind {
        return Ok(None);
    }
    ctx.engine.db.table(relation.oid, &ctx.catalog).map(Some)
}

/// A column to be written, or a part of one.
#[derive(Clone)]
pub(super) struct Place {
    /// Zero-based place of the column.
    pub(super) at: usize,
    pub(super) name: String,
    /// The way to the part; none for the whole column.
    pub(super) path: Vec<AccessExpr>,
    /// Where it was written.
    pub(super) position: Option<usize>,
}

impl Place {
    /// Whether two of these would write the same.
    pub(super) fn meets(&self, other: &Place) -> bool {
        self.at == other.at && (self.path.is_empty() || other.path.is_empty())
    }
}

/// A column to be written.
pub(super) fn place(relation: &Relation, given: &ast::ObjectName) -> Result<Place> {
    let position = name::position(given);
    let (column, path) =
        part::path(given).ok_or_else(|| PgError::unsupported("this column").or_at(position))?;
    let own = name::ident(column);
    let at =
        columns(relation).iter().position(|c| !c.dropped && c.name == own).ok_or_else(|| {
            PgError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{own}\" of relation \"{}\" does not exist", relation.name),
            )
            .or_at(position)
        })?;
    Ok(Place { at, name: own, path, position })
}

pub(super) fn is_default(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(i)
        if i.quote_style.is_none() && i.value.eq_ignore_ascii_case("default"))
}
