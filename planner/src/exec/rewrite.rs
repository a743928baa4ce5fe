//! ALTER TABLE's passes over the rows, and over the texts that name columns.

use std::sync::Arc;

use sqlparser::ast::Expr;
use vicinity_storage::catalog::model::{
    AttrNumber, ConstraintKind, IndexDef, Relation, RelationKind, TableDef,
};
use vicinity_storage::{Access, RelationLock, Table, Walk, pin};
use vicinity_types::{Datum, PgError, Result, SqlState};

use super::ddl::opclass;
use super::{canon, dml, stored};
use crate::call::PgType;
use crate::context::ExecContext;
use crate::domain::is_constrained;
use crate::sql;

/// Rows between two looks at the cancel flag.
const STEP: u64 = 1024;

/// Goes through the rows of a table as they are now.
pub(crate) fn each_row(
    ctx: &ExecContext,
    table: &Arc<Table>,
    mut f: impl FnMut(u64, Vec<Datum>) -> Result<()>,
) -> Result<()> {
    let snapshot = ctx.txn.snapshot();
    let mut cursor = table.open(Access::Seq, snapshot)?;
    let mut seen = 0u64;
    loop {
        let mut next = None;
        let walk = cursor.each(&pin(), &mut |_| Ok(true), |row| {
            next = Some((row.id, row.values()));
            Ok(false)
        })?;
        match (next, walk) {
            (Some((id, values)), _) => f(id, values)?,
            (None, Walk::Ended) => return Ok(()),
            (None, _) => {}
        }
        seen += 1;
        if seen.is_multiple_of(STEP) {
            ctx.check()?;
        }
    }
}

/// Renames a column in the texts of its table's checks and generated columns.
pub(crate) fn rename_in_table(t: &mut TableDef, from: &str, to: &str) -> Result<()> {
    for c in &mut t.constraints {
        if let ConstraintKind::Check { expr } = &mut c.kind {
            *expr = canon::renamed(&sql::parse_expression(expr)?, from, to);
        }
    }
    for c in &mut t.columns {
        if let Some(text) = &mut c.generated {
            *text = canon::renamed(&sql::parse_expression(text)?, from, to);
        }
    }
    Ok(())
}

/// Whether an index is over a column, or computes something from it.
pub(crate) fn index_reads(r: &Relation, def: &IndexDef, number: AttrNumber) -> bool {
    let expressions = def.keys.iter().filter_map(|k| k.expr.as_ref()).map(|e| &e.sql);
    def.keys.iter().any(|k| k.column == number)
        || def.include.contains(&number)
        || expressions.chain(&def.predicate).any(|text| text_reads(r, text, number))
}

/// Whether the text of an expression over a table's row reads a column.
pub(crate) fn text_reads(r: &Relation, text: &str, number: AttrNumber) -> bool {
    let columns = sql::parse_expression(text).and_then(|e| stored::columns(r, &e));
    columns.is_ok_and(|c| c.iter().any(|at| i16::try_from(at + 1) == Ok(number)))
}

/// Renames a column in the expressions of an index; `None` if it has none.
pub(crate) fn rename_in_index(def: &IndexDef, from: &str, to: &str) -> Result<Option<IndexDef>> {
    if !def.is_computed() {
        return Ok(None);
    }
    let mut next = def.clone();
    let rename = |text: &str| -> Result<String> {
        Ok(canon::renamed(&sql::parse_expression(text)?, from, to))
    };
    for e in next.keys.iter_mut().filter_map(|k| k.expr.as_mut()) {
        e.sql = rename(&e.sql)?;
    }
    next.predicate = next.predicate.as_deref().map(rename).transpose()?;
    Ok(Some(next))
}

/// SET NOT NULL: an error if a row has a NULL there.
pub(crate) fn check_no_nulls(ctx: &ExecContext, r: &Arc<Relation>, at: usize) -> Result<()> {
    let table = ctx.engine.db.table(r.oid, &ctx.txn.catalog())?;
    each_row(ctx, &table, |_, values| {
        if values.get(at).is_none_or(Datum::is_null) {
            let column = r.table().and_then(|t| t.columns.get(at)).map_or("?", |c| &c.name);
            return Err(PgError::new(
                SqlState::NOT_NULL_VIOLATION,
                format!("column \"{column}\" of relation \"{}\" contains null values", r.name),
            ));
        }
        Ok(())
    })
}

/// ADD CHECK: an error if a row breaks it.
pub(crate) fn check_rows(ctx: &ExecContext, r: &Arc<Relation>, constraint: &str) -> Result<()> {
    let table = ctx.engine.db.table(r.oid, &ctx.txn.catalog())?;
    let ctx = &ctx.next_statement();
    let check = dml::check_named(ctx, r, constraint)?;
    let schema = ctx.catalog.schema(r.schema).map_or("", |s| s.name.as_str());
    each_row(ctx, &table, |_, values| {
        if check.fails(ctx, &values)? {
            return Err(PgError::new(
                SqlState::CHECK_VIOLATION,
                format!(
                    "check constraint \"{constraint}\" of relation \"{}\" is violated by some row",
                    r.name
                ),
            )
            .constraint(schema, &r.name, constraint));
        }
        Ok(())
    })
}

/// ADD COLUMN with a default, its own or its domain's: every row gets a value.
pub(crate) fn fill_new_column(ctx: &ExecContext, r: &Arc<Relation>, at: usize) -> Result<()> {
    let ctx = &ctx.next_statement();
    let value = dml::default_of(ctx, r, at)?;
    let column = r.table().and_then(|t| t.columns.get(at));
    // What a domain refuses is refused for a row: a table without rows takes the column.
    let constant = match column {
        Some(c) if is_constrained(&ctx.catalog, c.type_oid) => None,
        _ => value.constant(ctx)?,
    };
    if let Some(constant) = constant {
        // One value for all rows there are: no need to touch them.
        let mut raw = Vec::new();
        if !constant.is_null() {
            vicinity_types::raw::encode(&constant, &mut raw);
        }
        let mut next = (**r).clone();
        if let RelationKind::Table(t) = &mut next.kind
            && let Some(c) = t.columns.get_mut(at)
        {
            c.missing = (!constant.is_null()).then_some(raw);
        }
        return ctx.txn.put(vicinity_storage::catalog::model::Object::Relation(Arc::new(next)));
    }
    rewrite_rows(ctx, r, |ctx, values| {
        let computed = value.eval(ctx, values)?;
        if values.len() <= at {
            values.resize(at + 1, Datum::Null);
        }
        if let Some(slot) = values.get_mut(at) {
            *slot = computed;
        }
        Ok(())
    })
}

/// Writes every row anew, changed by `f`.
fn rewrite_rows(
    ctx: &ExecContext,
    r: &Arc<Relation>,
    f: impl Fn(&ExecContext, &mut Vec<Datum>) -> Result<()>,
) -> Result<()> {
    let table = ctx.engine.db.table(r.oid, &ctx.txn.catalog())?;
    let snapshot = ctx.txn.snapshot();
    each_row(ctx, &table, |id, mut values| {
        f(ctx, &mut values)?;
        table.update(&ctx.txn, &snapshot, id, &values).map(drop)
    })
}

/// Gives a table a new storage: every row is changed by `f` and put there.
pub(crate) fn copy_rows(
    ctx: &ExecContext,
    r: &Arc<Relation>,
    change: impl FnOnce(&mut TableDef),
    f: impl Fn(&ExecContext, &mut Vec<Datum>) -> Result<()>,
) -> Result<()> {
    // Rows that come in while others are read would be lost with the old storage.
    ctx.txn.lock_relation(r.oid, RelationLock::AccessExclusive)?;
    let r = &super::ddl::index::reread(ctx, r.oid)?;
    let old = ctx.engine.db.table(r.oid, &ctx.txn.catalog())?;
    let statement = ctx.next_statement();
    let mut rows = Vec::new();
    each_row(&statement, &old, |_, mut values| {
        f(&statement, &mut values)?;
        rows.push(values);
        Ok(())
    })?;
    let mut next = (**r).clone();
    if let RelationKind::Table(t) = &mut next.kind {
        t.storage = ctx.txn.new_storage();
        t.columns.iter_mut().for_each(|c| c.missing = None);
        change(t);
    }
    ctx.txn.put(vicinity_storage::catalog::model::Object::Relation(Arc::new(next)))?;
    let table = ctx.engine.db.table(r.oid, &ctx.txn.catalog())?;
    for values in rows {
        table.insert(&ctx.txn, &values)?;
    }
    Ok(())
}

/// Indexes over a column that gets another type, as `r` has it: their operator classes are that
/// type's, their expressions may have another type too.
fn retype_indexes(ctx: &ExecContext, r: &Arc<Relation>, at: usize) -> Result<()> {
    let number = i16::try_from(at + 1).unwrap_or(i16::MAX);
    let column = r.table().and_then(|t| t.columns.get(at)).map_or(0, |c| c.type_oid);
    for index in ctx.txn.catalog().indexes_of(r.oid) {
        let Some(def) = index.index().filter(|d| index_reads(r, d, number)) else { continue };
        let mut next = def.clone();
        for key in &mut next.keys {
            let ty = match &mut key.expr {
                Some(e) => {
                    let expr = sql::parse_expression(&e.sql)?;
                    let bound = stored::bind(ctx, r, &expr, stored::Place::IndexExpression)?;
                    (e.type_oid, e.typmod) = (bound.ty.oid, bound.ty.typmod);
                    e.type_oid
                }
                None if key.column == number => column,
                None => continue,
            };
            key.opclass = opclass::for_type(ctx, def.method, ty)?;
        }
        let kind = RelationKind::Index(next);
        let next = Relation { kind, ..(**index).clone() };
        ctx.txn.put(vicinity_storage::catalog::model::Object::Relation(Arc::new(next)))?;
    }
    Ok(())
}

/// ALTER COLUMN TYPE: the table gets a new storage with every row converted.
pub(crate) fn change_type(
    ctx: &ExecContext,
    r: &Arc<Relation>,
    at: usize,
    (ty, ndims): (PgType, i16),
    using: Option<&Expr>,
) -> Result<()> {
    ctx.txn.lock_relation(r.oid, RelationLock::AccessExclusive)?;
    let r = &super::ddl::index::reread(ctx, r.oid)?;
    let statement = ctx.next_statement();
    let convert = dml::conversion(&statement, r, at, ty, using)?;
    let change = |t: &mut TableDef| {
        if let Some(c) = t.columns.get_mut(at) {
            c.type_oid = ty.oid;
            c.typmod = ty.typmod;
            c.ndims = ndims;
        }
    };
    let mut next = (**r).clone();
    if let RelationKind::Table(t) = &mut next.kind {
        change(t);
    }
    // Defaults, checks and computed columns must still mean something.
    dml::validate(ctx, &next)?;
    retype_indexes(ctx, &Arc::new(next), at)?;
    copy_rows(ctx, r, change, |statement, values| {
        let value = convert.eval(statement, values)?;
        if let Some(slot) = values.get_mut(at) {
            *slot = value;
        }
        Ok(())
    })
}
