//! `SELECT ... INTO table` is CREATE TABLE AS.

use sqlparser::ast::helpers::stmt_create_table::CreateTableBuilder;
use sqlparser::ast::{self, SelectInto, SetExpr};

use super::Statement;

/// Turns a query that says where its rows go into the statement that makes the table.
pub(super) fn rewrite(statement: Statement) -> Statement {
    let Statement::Sql(sql) = statement else { return statement };
    let ast::Statement::Query(mut query) = *sql else { return Statement::Sql(sql) };
    let Some(into) = taken(&mut query.body) else {
        return Statement::Sql(Box::new(ast::Statement::Query(query)));
    };
    let table =
        CreateTableBuilder::new(into.name).temporary(into.temporary).query(Some(query)).build();
    Statement::CreateTable {
        table: Box::new(table),
        unlogged: into.unlogged,
        no_data: false,
        likes: Vec::new(),
        partition_by: None,
        select_into: true,
    }
}

/// The INTO clause of the first query of a chain.
fn taken(body: &mut SetExpr) -> Option<SelectInto> {
    match body {
        SetExpr::Select(select) => select.into.take(),
        SetExpr::SetOperation { left, .. } => taken(left),
        SetExpr::Query(inner) => taken(&mut inner.body),
        _ => None,
    }
}
