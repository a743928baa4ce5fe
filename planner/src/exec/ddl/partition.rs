//! Partitions come and go: PARTITION BY, PARTITION OF, ATTACH, DETACH.

use std::ops::ControlFlow;
use std::sync::Arc;

use sqlparser::ast::{self, ForValues, PartitionBoundValue};
use vicinity_storage::catalog::model::{
    ConstraintKind, Limit, Object, PartitionBound, PartitionKey, Partitioning, Relation,
    RelationKind, Strategy, TableDef,
};
use vicinity_storage::{ObjectKind, RelationLock};
use vicinity_types::{Datum, Oid, PgError, Result, SqlState, raw};

use super::super::dml::leaf::Level;
use super::super::dml::{self, RowExpr, table_def};
use super::super::stored::Place;
use super::super::{alter, name, rewrite};
use super::opclass::Method;
use super::table::invalid;
use super::{index, index_key, inherit, parts, referred};
use crate::bind::Scope;
use crate::call::PgType;
use crate::context::ExecContext;
use crate::partition::{self, Bounds, show};
use crate::sql::{DetachKind, PartitionBy};

fn wrong(code: SqlState, text: impl Into<String>) -> PgError {
    PgError::new(code, text)
}

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
        Strategy::Hash => vicinity_storage::catalog::model::IndexMethod::Hash,
        _ => vicinity_storage::catalog::model::IndexMethod::Btree,
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
    let key = |k: vicinity_storage::catalog::model::IndexKey| PartitionKey {
        column: k.column,
        expr: k.expr,
        opclass: k.opclass,
    };
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

/// A bound's value, in the type of its column of the key.
fn value(
    ctx: &ExecContext,
    expr: &ast::Expr,
    (ty, typmod): (Oid, i32),
    column: &str,
) -> Result<Datum> {
    if matches!(expr, ast::Expr::Identifier(_) | ast::Expr::CompoundIdentifier(_)) {
        return Err(wrong(
            SqlState::FEATURE_NOT_SUPPORTED,
            "cannot use column reference in partition bound expression",
        )
        .or_at(name::position(expr)));
    }
    let ctx = &ctx.next_statement();
    let kind = ctx.catalog.kind_of(ty);
    let ty = PgType::with_kind(ty, typmod, kind);
    let mut binder = dml::binder(ctx);
    let bound = binder.expr_at(expr, &Scope::empty(), Place::PartitionBound)?;
    let bound = binder.coerce_assign(bound, ty, column).map_err(|e| {
        if e.code() != SqlState::DATATYPE_MISMATCH {
            return e;
        }
        let shown = ctx.type_name(ty.oid, Some(typmod));
        let text =
            format!("specified value cannot be cast to type {shown} for column \"{column}\"");
        wrong(SqlState::DATATYPE_MISMATCH, text)
    })?;
    RowExpr::compile(&bound, kind, None)?.eval(ctx, &[])
}

fn stored(value: &Datum) -> Vec<u8> {
    let mut out = Vec::new();
    raw::encode(value, &mut out);
    out
}

/// `unbounded`, as it was before there were MINVALUE and MAXVALUE.
fn is_unbounded(value: &PartitionBoundValue) -> bool {
    matches!(value, PartitionBoundValue::Expr(ast::Expr::Identifier(i))
        if i.quote_style.is_none() && i.value.eq_ignore_ascii_case("unbounded"))
}

/// One end of a range.
fn limits(
    ctx: &ExecContext,
    parent: &Relation,
    by: &Partitioning,
    given: &[PartitionBoundValue],
    from: bool,
) -> Result<Vec<Limit>> {
    let word = if from { "FROM" } else { "TO" };
    if given.len() != by.keys.len() {
        let text = format!("{word} must specify exactly one value per partitioning column");
        return Err(wrong(SqlState::INVALID_TABLE_DEFINITION, text));
    }
    let types = partition::key_types(parent, by);
    let names = show::key_names(parent, by);
    let mut out: Vec<Limit> = Vec::with_capacity(given.len());
    for ((value_, ty), own) in given.iter().zip(types).zip(&names) {
        let limit = match value_ {
            PartitionBoundValue::MinValue => Limit::Min,
            PartitionBoundValue::MaxValue => Limit::Max,
            other if is_unbounded(other) && from => Limit::Min,
            other if is_unbounded(other) => Limit::Max,
            PartitionBoundValue::Expr(e) => match value(ctx, e, ty, own)? {
                Datum::Null => {
                    let text = "cannot specify NULL in range bound";
                    return Err(wrong(SqlState::INVALID_OBJECT_DEFINITION, text));
                }
                v => Limit::At(stored(&v)),
            },
        };
        let before = out.last().filter(|b| !matches!(b, Limit::At(_)));
        if let Some(before) = before.filter(|b| **b != limit) {
            let word = if *before == Limit::Min { "MINVALUE" } else { "MAXVALUE" };
            return Err(wrong(
                SqlState::DATATYPE_MISMATCH,
                format!("every bound following {word} must also be {word}"),
            ));
        }
        out.push(limit);
    }
    Ok(out)
}

/// `FOR VALUES`, for a partition of `parent`.
pub(crate) fn bound(
    ctx: &ExecContext,
    parent: &Relation,
    given: &ForValues,
) -> Result<PartitionBound> {
    let by = table_def(parent)?.partitioning.as_ref().ok_or_else(|| {
        wrong(
            SqlState::INVALID_OBJECT_DEFINITION,
            format!("\"{}\" is not partitioned", parent.name),
        )
    })?;
    let misfit = |what: &str| {
        let text = format!("invalid bound specification for a {what} partition");
        Err(wrong(SqlState::INVALID_TABLE_DEFINITION, text))
    };
    match (by.strategy, given) {
        (Strategy::Hash, ForValues::Default) => Err(wrong(
            SqlState::INVALID_TABLE_DEFINITION,
            "a hash-partitioned table may not have a default partition",
        )),
        (_, ForValues::Default) => Ok(PartitionBound::Default),
        (Strategy::List, ForValues::In(values)) => {
            let types = partition::key_types(parent, by);
            let ty = types.first().copied().unwrap_or((0, -1));
            let own = show::key_names(parent, by).into_iter().next().unwrap_or_default();
            let mut out: Vec<Option<Vec<u8>>> = Vec::with_capacity(values.len());
            for e in values {
                let v = value(ctx, e, ty, &own)?;
                let v = (!v.is_null()).then(|| stored(&v));
                if !out.contains(&v) {
                    out.push(v);
                }
            }
            Ok(PartitionBound::List(out))
        }
        (Strategy::Range, ForValues::From { from, to }) => {
            let from = limits(ctx, parent, by, from, true)?;
            let to = limits(ctx, parent, by, to, false)?;
            Ok(PartitionBound::Range { from, to })
        }
        (Strategy::Hash, ForValues::With { modulus, remainder }) => {
            let number = |n: &u64| u32::try_from(*n).unwrap_or(u32::MAX);
            let (modulus, remainder) = (number(modulus), number(remainder));
            if modulus == 0 {
                let text = "modulus for hash partition must be an integer value greater than zero";
                return Err(wrong(SqlState::INVALID_TABLE_DEFINITION, text));
            }
            if remainder >= modulus {
                let text = "remainder for hash partition must be less than modulus";
                return Err(wrong(SqlState::INVALID_TABLE_DEFINITION, text));
            }
            Ok(PartitionBound::Hash { modulus, remainder })
        }
        (Strategy::List, _) => misfit("list"),
        (Strategy::Range, _) => misfit("range"),
        (Strategy::Hash, _) => misfit("hash"),
    }
}

/// A new bound must leave the others theirs.
fn check_free(
    ctx: &ExecContext,
    parent: &Arc<Relation>,
    own: &str,
    bound: &PartitionBound,
) -> Result<()> {
    let catalog = ctx.txn.catalog();
    let bounds = partition::bounds(&ctx.engine, &catalog, parent)?;
    if let PartitionBound::Range { from, to } = bound
        && bounds.is_empty_range(from, to)?
    {
        let (from, to) = (show::limits(ctx, parent, from), show::limits(ctx, parent, to));
        return Err(wrong(
            SqlState::INVALID_OBJECT_DEFINITION,
            format!("empty range bound specified for partition \"{own}\""),
        )
        .detail(format!(
            "Specified lower bound {from} is greater than or equal to upper bound {to}."
        )));
    }
    if let PartitionBound::Hash { modulus, remainder } = bound {
        check_modulus(ctx, &bounds, *modulus, *remainder)?;
    }
    let Some(other) = bounds.clash(bound)? else { return Ok(()) };
    let other = catalog.relation(other).map_or("", |r| r.name.as_str());
    let text = match bound {
        PartitionBound::Default => {
            format!("partition \"{own}\" conflicts with existing default partition \"{other}\"")
        }
        _ => format!("partition \"{own}\" would overlap partition \"{other}\""),
    };
    Err(wrong(SqlState::INVALID_OBJECT_DEFINITION, text))
}

/// Each modulus is a factor of the next larger one.
fn check_modulus(ctx: &ExecContext, bounds: &Bounds, modulus: u32, remainder: u32) -> Result<()> {
    let own =
        |child: Oid| ctx.txn.catalog().relation(child).map_or_else(String::new, |r| r.name.clone());
    let modulus = u64::from(modulus);
    let (before, after) = bounds.beside(modulus, u64::from(remainder));
    let detail = match (before, after) {
        (Some((other, child)), _) if modulus % other != 0 => format!(
            "The new modulus {modulus} is not divisible by {other}, the modulus of existing \
             partition \"{}\".",
            own(child)
        ),
        (_, Some((other, child))) if other % modulus != 0 => format!(
            "The new modulus {modulus} is not a factor of {other}, the modulus of existing \
             partition \"{}\".",
            own(child)
        ),
        _ => return Ok(()),
    };
    let text = "every hash partition modulus must be a factor of the next larger modulus";
    Err(wrong(SqlState::INVALID_OBJECT_DEFINITION, text).detail(detail))
}

/// The parent named by PARTITION OF or ATTACH, and that it can have partitions.
pub(crate) fn parent(ctx: &ExecContext, given: &ast::ObjectName) -> Result<Arc<Relation>> {
    let parent = name::relation(ctx, given)?;
    if partition::is_partitioned(&parent) {
        return Ok(parent);
    }
    Err(wrong(
        SqlState::INVALID_OBJECT_DEFINITION,
        format!("\"{}\" is not partitioned", parent.name),
    ))
}

/// What INHERITS names.
pub(crate) fn plain_parent(ctx: &ExecContext, given: &ast::ObjectName) -> Result<Arc<Relation>> {
    let parent = name::relation(ctx, given)?;
    let refuse = |text: String| Err(wrong(SqlState::WRONG_OBJECT_TYPE, text));
    match parent.table() {
        None => refuse(format!(
            "inherited relation \"{}\" is not a table or foreign table",
            parent.name
        )),
        Some(t) if t.partitioning.is_some() => {
            refuse(format!("cannot inherit from partitioned table \"{}\"", parent.name))
        }
        Some(t) if t.bound.is_some() => {
            refuse(format!("cannot inherit from partition \"{}\"", parent.name))
        }
        Some(_) => Ok(parent),
    }
}

/// A bound for a partition about to be made, the others' seen to.
pub(crate) fn new_bound(
    ctx: &ExecContext,
    parent: &Arc<Relation>,
    own: &str,
    given: &ForValues,
) -> Result<PartitionBound> {
    let made = bound(ctx, parent, given)?;
    check_free(ctx, parent, own, &made)?;
    Ok(made)
}

/// The rows of the default partition that are a new partition's are an error.
fn check_default(ctx: &ExecContext, parent: &Arc<Relation>, part: Oid) -> Result<()> {
    let catalog = ctx.txn.catalog();
    let Some(default) =
        partition::bounds(&ctx.engine, &catalog, parent)?.default.filter(|d| *d != part)
    else {
        return Ok(());
    };
    let Some(default) = catalog.relation(default) else { return Ok(()) };
    // Rows that are on their way to it go by the parent.
    ctx.txn.lock_relation(parent.oid, RelationLock::AccessExclusive)?;
    check_rows(ctx, parent, default, &|own| {
        format!(
            "updated partition constraint for default partition \"{own}\" would be violated by some \
             row"
        )
    })
}

/// All rows of a partition, those below it included, must be where the parent would put them.
fn check_rows(
    ctx: &ExecContext,
    parent: &Arc<Relation>,
    part: &Arc<Relation>,
    text: &dyn Fn(&str) -> String,
) -> Result<()> {
    let ctx = &ctx.next_statement();
    for table in partition::descendants(&ctx.catalog, part) {
        if partition::is_partitioned(&table) {
            continue;
        }
        let level = Level::new(ctx, parent, &table)?;
        let rows = ctx.engine.db.table(table.oid, &ctx.catalog)?;
        rewrite::each_row(ctx, &rows, |_, values| match level.find(ctx, &values)? {
            Some(found) if found == part.oid => Ok(()),
            _ => {
                let schema = ctx.catalog.schema(table.schema).map_or("", |s| s.name.as_str());
                let own = &table.name;
                Err(wrong(SqlState::CHECK_VIOLATION, text(own)).table(schema, own))
            }
        })?;
    }
    Ok(())
}

/// A new partition is in the catalog: its indexes, keys and triggers are made after the parent's.
pub(crate) fn finish(ctx: &ExecContext, parent: &Arc<Relation>, part: Oid) -> Result<()> {
    check_default(ctx, parent, part)?;
    parts::complete(ctx, parent, part)
}

/// `ALTER TABLE parent ATTACH PARTITION part`
pub(crate) fn attach(
    ctx: &ExecContext,
    parent: &Arc<Relation>,
    part: &ast::ObjectName,
    given: &ForValues,
) -> Result<()> {
    let part = name::relation(ctx, part)?;
    // Its rows are looked at, and those that come in meanwhile would not be.
    ctx.txn.lock_relation(part.oid, RelationLock::AccessExclusive)?;
    let part = index::reread(ctx, part.oid)?;
    let def = part.table().ok_or_else(|| name::not_a(&part, "table"))?;
    let refuse = |text: String| Err(wrong(SqlState::WRONG_OBJECT_TYPE, text));
    if def.bound.is_some() {
        return refuse(format!("\"{}\" is already a partition", part.name));
    }
    if !def.parents.is_empty() {
        return refuse("cannot attach inheritance child as partition".to_owned());
    }
    if def.partitioning.is_none() && ctx.txn.catalog().has_children(part.oid) {
        return refuse("cannot attach inheritance parent as partition".to_owned());
    }
    for c in def.columns.iter().filter(|c| !c.dropped) {
        if !table_def(parent)?.columns.iter().any(|p| !p.dropped && p.name == c.name) {
            return Err(wrong(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "table \"{}\" contains column \"{}\" not found in parent \"{}\"",
                    part.name, c.name, parent.name
                ),
            )
            .detail("The new partition may contain only the columns present in parent."));
        }
    }
    let bound = new_bound(ctx, parent, &part.name, given)?;
    inherit::adopt(ctx, parent, &part)?;
    let mut next = (*index::reread(ctx, part.oid)?).clone();
    if let RelationKind::Table(def) = &mut next.kind {
        def.bound = Some(bound);
        def.columns.iter_mut().for_each(|c| c.local = false);
        let inherited = def.constraints.iter_mut().filter(|c| c.inherited > 0);
        inherited.for_each(|c| c.local = false);
    }
    ctx.txn.put(Object::Relation(Arc::new(next)))?;
    let made = index::reread(ctx, part.oid)?;
    check_rows(ctx, parent, &made, &|own| {
        format!("partition constraint of relation \"{own}\" is violated by some row")
    })?;
    finish(ctx, parent, part.oid)
}

/// `ALTER TABLE parent DETACH PARTITION part`
pub(crate) fn detach(
    ctx: &ExecContext,
    parent: &Arc<Relation>,
    part: &ast::ObjectName,
    how: DetachKind,
) -> Result<()> {
    let part = name::relation(ctx, part)?;
    if how == DetachKind::Concurrently
        && partition::bounds(&ctx.engine, &ctx.txn.catalog(), parent)?.default.is_some()
    {
        return Err(wrong(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            "cannot detach partitions concurrently when a default partition exists",
        ));
    }
    let is = part.table().is_some_and(|t| t.bound.is_some() && t.parents.contains(&parent.oid));
    if !is {
        return Err(wrong(
            SqlState::UNDEFINED_TABLE,
            format!(
                "relation \"{}\" is not a partition of relation \"{}\"",
                part.name, parent.name
            ),
        ));
    }
    if how == DetachKind::Finalize {
        let text = format!("cannot complete detaching partition \"{}\"", part.name);
        return Err(wrong(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, text)
            .detail("There's no pending concurrent detach."));
    }
    // Who still knows it as a partition must find no other rows in it.
    let kept = match how {
        DetachKind::Concurrently => show::constraint(&ctx.next_statement(), &part)?,
        _ => None,
    };
    referred::release(ctx, part.oid)?;
    inherit::release(ctx, parent, &index::reread(ctx, part.oid)?)?;
    let catalog = ctx.txn.catalog();
    for i in catalog.indexes_of(part.oid) {
        let mut next = (**i).clone();
        if let RelationKind::Index(def) = &mut next.kind
            && def.parent.take().is_some()
        {
            ctx.txn.put(Object::Relation(Arc::new(next)))?;
        }
    }
    let copies = catalog.triggers_of(part.oid).filter(|t| t.parent.is_some());
    drop_triggers(ctx, part.oid, &copies.map(|t| t.oid).collect::<Vec<_>>())?;
    match kept {
        Some(text) => alter::add_check(ctx, part.oid, &text),
        None => Ok(()),
    }
}

/// Drops triggers of a table, and their copies in its partitions.
fn drop_triggers(ctx: &ExecContext, table: Oid, triggers: &[Oid]) -> Result<()> {
    let catalog = ctx.txn.catalog();
    for trigger in triggers {
        ctx.txn.drop_object(ObjectKind::Trigger, *trigger)?;
    }
    for part in catalog.children_of(table) {
        let copied = |t: &Oid| triggers.contains(t);
        let copies =
            catalog.triggers_of(part.oid).filter(|t| t.parent.as_ref().is_some_and(copied));
        drop_triggers(ctx, part.oid, &copies.map(|t| t.oid).collect::<Vec<_>>())?;
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
