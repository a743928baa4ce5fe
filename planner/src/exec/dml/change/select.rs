//! The queries that find the rows to be changed, as syntax.

use std::sync::Arc;

use sqlparser::ast::{
    self, Expr, Ident, Query, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    Statement as Ast, TableFactor, TableWithJoins, WildcardAdditionalOptions,
};
use vicinity_types::{PgError, Result};

use crate::exec::name;
use crate::sql::{self, Statement};

/// `SELECT items FROM from WHERE selection`, as syntax.
pub(in super::super) fn select(
    items: Vec<SelectItem>,
    from: Vec<TableWithJoins>,
    selection: Option<&Expr>,
) -> Result<Query> {
    let parsed = sql::parse("select 1")?.pop().map(|p| Arc::unwrap_or_clone(p.stmt));
    let Some(Statement::Sql(stmt)) = parsed else {
        return Err(PgError::internal("no template"));
    };
    let Ast::Query(mut query) = *stmt else { return Err(PgError::internal("no template")) };
    if let SetExpr::Select(select) = &mut *query.body {
        select.projection = items;
        select.from = from;
        select.selection = selection.cloned();
    }
    Ok(*query)
}

/// The names FROM's items go by.
pub(in super::super) fn aliases(from: &[TableWithJoins]) -> Result<Vec<Ident>> {
    fn factor(f: &TableFactor, out: &mut Vec<Ident>) -> Result<()> {
        match f {
            TableFactor::Table { alias: Some(a), .. }
            | TableFactor::Derived { alias: Some(a), .. }
            | TableFactor::Function { alias: Some(a), .. }
            | TableFactor::UNNEST { alias: Some(a), .. }
            | TableFactor::NestedJoin { alias: Some(a), .. } => out.push(a.name.clone()),
            TableFactor::Table { name: own, .. } => {
                out.push(Ident::with_quote('"', name::last(own)))
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                walk(std::slice::from_ref(table_with_joins), out)?;
            }
            _ => return Err(PgError::unsupported("RETURNING beside an item without a name")),
        }
        Ok(())
    }
    fn walk(from: &[TableWithJoins], out: &mut Vec<Ident>) -> Result<()> {
        for t in from {
            factor(&t.relation, out)?;
            for j in &t.joins {
                factor(&j.relation, out)?;
            }
        }
        Ok(())
    }
    let mut out = Vec::new();
    walk(from, &mut out)?;
    Ok(out)
}

/// `alias.*`
pub(in super::super) fn all_of(alias: &Ident) -> SelectItem {
    let own = ast::ObjectName(vec![ast::ObjectNamePart::Identifier(alias.clone())]);
    SelectItem::QualifiedWildcard(
        SelectItemQualifiedWildcardKind::ObjectName(own),
        WildcardAdditionalOptions::default(),
    )
}
