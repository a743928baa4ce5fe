//! `pg_trigger`, and triggers as the statements that make them.

use vicinity_storage::catalog::model::{Column, Relation, RelationKind, Trigger};
use vicinity_types::{Datum, Result};

use super::VirtualTable;
use super::definition::{column_at, function_name, qualified_name, relation_name};
use super::row::{Rows, ch, flag, id, int2, int2vector, text};
use crate::context::ExecContext;
use crate::exec::triggers::{Event, bits, shown_condition};
use crate::names::quote;

fn timing(t: &Trigger) -> &'static str {
    match t.kind {
        kind if kind & bits::BEFORE != 0 => "BEFORE",
        kind if kind & bits::INSTEAD != 0 => "INSTEAD OF",
        _ => "AFTER",
    }
}

fn events(table: &Relation, t: &Trigger) -> String {
    let mut out = Vec::new();
    for event in [Event::Insert, Event::Delete, Event::Update, Event::Truncate] {
        if t.kind & event.bit() == 0 {
            continue;
        }
        out.push(match event {
            Event::Update => update_event(table, t),
            other => other.name().to_owned(),
        });
    }
    out.join(" OR ")
}

fn update_event(table: &Relation, t: &Trigger) -> String {
    let columns: &[Column] = match &table.kind {
        RelationKind::Table(t) => &t.columns,
        RelationKind::View(v) => &v.columns,
        _ => &[],
    };
    let names: Vec<String> =
        t.columns.iter().filter_map(|n| column_at(columns, *n)).map(|c| quote(&c.name)).collect();
    if names.is_empty() { "UPDATE".to_owned() } else { format!("UPDATE OF {}", names.join(", ")) }
}

/// `pg_get_triggerdef(oid, pretty)`.
pub(super) fn definition(ctx: &ExecContext, t: &Trigger, pretty: bool) -> Option<String> {
    let catalog = &ctx.catalog;
    let table = catalog.relation(t.table)?;
    let word = if t.constraint.is_some() { "CONSTRAINT TRIGGER" } else { "TRIGGER" };
    let on = if pretty { relation_name(ctx, table) } else { qualified_name(catalog, table) };
    let mut sql =
        format!("CREATE {word} {} {} {} ON {on} ", quote(&t.name), timing(t), events(table, t));
    if let Some(c) = &t.constraint {
        if let Some(from) = catalog.relation(c.from) {
            sql.push_str(&format!("FROM {} ", relation_name(ctx, from)));
        }
        if !c.deferrable {
            sql.push_str("NOT ");
        }
        sql.push_str("DEFERRABLE INITIALLY ");
        sql.push_str(if c.deferred { "DEFERRED " } else { "IMMEDIATE " });
    }
    if t.old_table.is_some() || t.new_table.is_some() {
        sql.push_str("REFERENCING ");
        for (word, name) in [("OLD", &t.old_table), ("NEW", &t.new_table)] {
            if let Some(name) = name {
                sql.push_str(&format!("{word} TABLE AS {} ", quote(name)));
            }
        }
    }
    sql.push_str(if t.kind & bits::ROW != 0 { "FOR EACH ROW " } else { "FOR EACH STATEMENT " });
    if let Some(when) = &t.when {
        let when = shown_condition(ctx, table, when, pretty);
        sql.push_str(&format!("WHEN ({when}) "));
    }
    let function = catalog.function(t.function).map_or("?".to_owned(), |f| function_name(ctx, f));
    let args: Vec<String> = t.args.iter().map(|a| format!("'{}'", a.replace('\'', "''"))).collect();
    sql.push_str(&format!("EXECUTE FUNCTION {function}({})", args.join(", ")));
    Some(sql)
}

pub(super) fn pg_trigger(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    let name = |n: &Option<String>| n.as_ref().map_or(Datum::Null, text);
    for t in ctx.catalog.triggers() {
        let args: Vec<u8> =
            t.args.iter().flat_map(|a| a.bytes().chain(std::iter::once(0))).collect();
        let constraint = t.constraint.as_ref();
        rows.push([
            ("oid", id(t.oid)),
            ("tgrelid", id(t.table)),
            ("tgparentid", id(t.parent.unwrap_or(0))),
            ("tgname", text(&t.name)),
            ("tgfoid", id(t.function)),
            ("tgtype", Datum::Int2(t.kind)),
            ("tgenabled", ch(t.enabled)),
            ("tgisinternal", flag(false)),
            ("tgconstrrelid", id(constraint.map_or(0, |c| c.from))),
            ("tgconstrindid", id(0)),
            ("tgconstraint", id(constraint.map_or(0, |c| c.oid))),
            ("tgdeferrable", flag(constraint.is_some_and(|c| c.deferrable))),
            ("tginitdeferred", flag(constraint.is_some_and(|c| c.deferred))),
            ("tgnargs", int2(t.args.len())),
            ("tgattr", int2vector(t.columns.iter().copied())),
            ("tgargs", Datum::Bytea(args.into())),
            ("tgqual", name(&t.when)),
            ("tgoldtable", name(&t.old_table)),
            ("tgnewtable", name(&t.new_table)),
        ]);
    }
    rows.done()
}

/// A constraint trigger's row of `pg_constraint`.
pub(super) fn constraint_row(ctx: &ExecContext, t: &Trigger) -> Option<Vec<(&'static str, Datum)>> {
    let c = t.constraint.as_ref()?;
    let table = ctx.catalog.relation(t.table)?;
    let none = || text(" ");
    Some(vec![
        ("oid", id(c.oid)),
        ("conname", text(&t.name)),
        ("connamespace", id(table.schema)),
        ("contype", ch('t')),
        ("condeferrable", flag(c.deferrable)),
        ("condeferred", flag(c.deferred)),
        ("convalidated", flag(true)),
        ("conrelid", id(t.table)),
        ("contypid", id(0)),
        ("conindid", id(0)),
        ("conparentid", id(0)),
        ("confrelid", id(0)),
        ("confupdtype", none()),
        ("confdeltype", none()),
        ("confmatchtype", none()),
        ("conislocal", flag(true)),
        ("coninhcount", super::row::int4(0)),
        ("connoinherit", flag(true)),
    ])
}
