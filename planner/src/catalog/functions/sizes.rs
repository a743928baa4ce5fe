//! Sizes of relations and of the database.

use vicinity_storage::PAGE;
use vicinity_types::{Datum, Oid, Result};

use super::{CatalogFn, oid_at, text_at};
use crate::context::ExecContext;

pub(super) fn lookup(src: &str) -> Option<CatalogFn> {
    Some(match src {
        "pg_relation_size" | "pg_relation_size(regclass)" => relation_size,
        "pg_table_size" => table_size,
        "pg_indexes_size" => indexes_size,
        "pg_total_relation_size" => total_size,
        "pg_database_size_oid" | "pg_database_size_name" => database_size,
        "pg_relation_filenode" => |_, args| Ok(Datum::Oid(oid_at(args, 0))),
        _ => return None,
    })
}

/// Bytes of a table's rows or of one index, in whole pages.
fn bytes(ctx: &ExecContext, oid: Oid) -> Result<u64> {
    Ok(used(ctx, oid)?.div_ceil(PAGE) * PAGE)
}

fn used(ctx: &ExecContext, oid: Oid) -> Result<u64> {
    let Some(relation) = ctx.catalog.relation(oid) else { return Ok(0) };
    if relation.table().is_some() {
        return Ok(ctx.engine.db.table(oid, &ctx.catalog)?.stats().bytes);
    }
    match relation.index() {
        Some(index) => Ok(ctx.engine.db.table(index.table, &ctx.catalog)?.index_memory(oid)),
        None => Ok(0),
    }
}

fn int8(bytes: u64) -> Datum {
    Datum::Int8(i64::try_from(bytes).unwrap_or(i64::MAX))
}

fn relation_size(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    // Only the main fork holds anything.
    if args.len() > 1 && text_at(args, 1) != "main" {
        return Ok(Datum::Int8(0));
    }
    bytes(ctx, oid_at(args, 0)).map(int8)
}

fn table_size(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    bytes(ctx, oid_at(args, 0)).map(int8)
}

fn sum_of_indexes(ctx: &ExecContext, table: Oid) -> Result<u64> {
    let mut sum = 0;
    for index in ctx.catalog.indexes_of(table) {
        sum += bytes(ctx, index.oid)?;
    }
    Ok(sum)
}

fn indexes_size(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    sum_of_indexes(ctx, oid_at(args, 0)).map(int8)
}

fn total_size(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let table = oid_at(args, 0);
    Ok(int8(bytes(ctx, table)? + sum_of_indexes(ctx, table)?))
}

fn database_size(ctx: &ExecContext, _: &[Datum]) -> Result<Datum> {
    let mut sum = 0;
    for relation in ctx.catalog.relations() {
        sum += bytes(ctx, relation.oid)?;
    }
    Ok(int8(sum))
}
