//! What a write goes to: the table, and its columns.

use std::sync::Arc;

use sqlparser::ast::{self, Expr};
use vicinity_storage::catalog::model::{Relation, RelationKind};
use vicinity_types::{PgError, Result, SqlState};

use super::super::name;
use super::layout::table_def;
use crate::context::ExecContext;

/// The table a write goes to.
pub(super) fn target(
    ctx: &ExecContext,
    given: &ast::ObjectName,
    verb: &str,
) -> Result<Arc<Relation>> {
    let relation = name::relation(ctx, given)?;
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

/// Zero-based place of a column to be written.
pub(super) fn place(relation: &Relation, column: &ast::ObjectName) -> Result<usize> {
    let own = name::last(column);
    let at = name::position(column);
    let def = table_def(relation)?;
    def.columns.iter().position(|c| !c.dropped && c.name == own).ok_or_else(|| {
        PgError::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{own}\" of relation \"{}\" does not exist", relation.name),
        )
        .or_at(at)
    })
}

pub(super) fn is_default(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(i)
        if i.quote_style.is_none() && i.value.eq_ignore_ascii_case("default"))
}
