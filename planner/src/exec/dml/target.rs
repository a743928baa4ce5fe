//! What a write goes to: the table, and its columns.

use std::sync::Arc;

use sqlparser::ast::{self, AccessExpr, Expr};
use vicinity_storage::catalog::model::{Relation, RelationKind};
use vicinity_types::{PgError, Result, SqlState};

use super::super::name;
use super::layout::table_def;
use crate::context::ExecContext;
use crate::sql::part;

/// The table a write goes to.
pub(super) fn target(
    ctx: &ExecContext,
    given: &ast::ObjectName,
    verb: &str,
) -> Result<Arc<Relation>> {
    let relation = name::relation(ctx, given).map_err(|e| e.or_at(name::position(given)))?;
    match relation.kind {
        RelationKind::Table(ref t) if t.materialized.is_some() => Err(PgError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("cannot change materialized view \"{}\"", relation.name),
        )),
        RelationKind::Table(_) => Ok(relation),
        RelationKind::View(_) => Err(PgError::unsupported(format!("{verb} a view"))),
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
    let def = table_def(relation)?;
    let at = def.columns.iter().position(|c| !c.dropped && c.name == own).ok_or_else(|| {
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
