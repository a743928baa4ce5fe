//! By what a table is cut: PARTITION BY, and what keys of a partitioned table must have.

use std::ops::ControlFlow;
use std::sync::Arc;

use sqlparser::ast;
use vicinity_storage::catalog::model::{
    ConstraintKind, IndexKey, IndexMethod, PartitionKey, Partitioning, Relation, Strategy, TableDef,
};
use vicinity_types::{Result, SqlState};

use super::wrong;
use crate::context::ExecContext;
use crate::exec::ddl::index_key;
use crate::exec::ddl::opclass::Method;
use crate::exec::ddl::table::invalid;
use crate::exec::dml::table_def;
use crate::exec::name;
use crate::exec::stored::Place;
use crate::partition::{self, show};
use crate::sql::PartitionBy;

/// `PARTITION BY`, over the columns of a table that is in the catalog already.
pub(crate) fn partitioning(
    ctx: &ExecContext,
    table: &Arc<Relation>,
    by: &PartitionBy,
) -> Result<Partitioning> {
    let strategy = match name::ident(&by.strategy).as_str() {
        "range" => Strategy::Range,
        "list" => Strategy::List,
        "hash" => Strategy::Hash,
        other => {
            let text = format!("unrecognized partitioning strategy \"{other}\"");
            return Err(wrong(SqlState::INVALID_PARAMETER_VALUE, text));
        }
    };
    if strategy == Strategy::List && by.keys.len() > 1 {
        let text = "cannot use \"list\" partition strategy with more than one column";
        return Err(wrong(SqlState::INVALID_OBJECT_DEFINITION, text));
    }
    let (oid, own) = partition::access_method(strategy);
    let kind = match strategy {
        Strategy::Hash => IndexMethod::Hash,
        _ => IndexMethod::Btree,
    };
    let method = Method { oid, name: own, kind };
    let named: Vec<String> = (0..by.keys.len()).map(|i| format!("key{i}")).collect();
    for key in &by.keys {
        if let ast::Expr::Identifier(own) = &key.expr {
            let own = name::ident(own);
            if !table_def(table)?.columns.iter().any(|c| !c.dropped && c.name == own) {
                let text = format!("column \"{own}\" named in partition key does not exist");
                return Err(wrong(SqlState::UNDEFINED_COLUMN, text));
            }
        }
    }
    let keys = index_key::keys(ctx, table, &method, &by.keys, &named, Place::PartitionKey)?;
    by.keys.iter().try_for_each(|key| check_computed(table_def(table)?, &key.expr))?;
    let key = |k: IndexKey| PartitionKey { column: k.column, expr: k.expr, opclass: k.opclass };
    Ok(Partitioning { strategy, keys: keys.into_iter().map(key).collect() })
}

/// A row's partition is looked for before its generated columns are computed.
fn check_computed(table: &TableDef, key: &ast::Expr) -> Result<()> {
    let generated = |own: &ast::Ident| {
        let own = name::ident(own);
        table.columns.iter().any(|c| !c.dropped && c.generated.is_some() && c.name == own)
    };
    let found = ast::visit_expressions(key, |e| {
        let own = match e {
            ast::Expr::Identifier(own) => Some(own),
            ast::Expr::CompoundIdentifier(parts) => parts.last(),
            _ => None,
        };
        match own.filter(|own| generated(own)) {
            Some(own) => ControlFlow::Break(own.clone()),
            None => ControlFlow::Continue(()),
        }
    });
    let ControlFlow::Break(own) = found else { return Ok(()) };
    let text = "cannot use generated column in partition key";
    Err(wrong(SqlState::INVALID_OBJECT_DEFINITION, text)
        .detail(format!("Column \"{}\" is a generated column.", name::ident(&own)))
        .or_at(name::ident_at(&own)))
}

/// The keys among a partitioned table's constraints have what they need.
pub(crate) fn check_keys(table: &Relation) -> Result<()> {
    let def = table_def(table)?;
    let Some(by) = &def.partitioning else { return Ok(()) };
    for c in &def.constraints {
        let what = match c.kind {
            ConstraintKind::PrimaryKey { .. } => "PRIMARY KEY",
            ConstraintKind::Unique { .. } => "UNIQUE",
            _ => continue,
        };
        check_key(table, by, &c.columns, what)?;
    }
    if by.keys.is_empty() {
        return Err(invalid("a partitioned table needs a key"));
    }
    Ok(())
}

/// A key of a partitioned table must have the columns by which it is cut.
pub(crate) fn check_key(
    table: &Relation,
    by: &Partitioning,
    columns: &[i16],
    what: &str,
) -> Result<()> {
    if by.keys.iter().any(|k| k.expr.is_some()) {
        return Err(wrong(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("unsupported {what} constraint with partition key definition"),
        )
        .detail(format!(
            "{what} constraints cannot be used when partition keys include expressions."
        )));
    }
    let lacking = by.keys.iter().position(|k| !columns.contains(&k.column));
    let Some(at) = lacking else { return Ok(()) };
    let own = show::key_names(table, by).into_iter().nth(at).unwrap_or_default();
    Err(wrong(
        SqlState::FEATURE_NOT_SUPPORTED,
        "unique constraint on partitioned table must include all partitioning columns",
    )
    .detail(format!(
        "{what} constraint on table \"{}\" lacks column \"{own}\" which is part of the partition \
         key.",
        table.name
    )))
}
