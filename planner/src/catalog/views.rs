//! The listing views: `pg_tables`, `pg_views`, `pg_indexes`, `pg_sequences`, `pg_settings`.

use vicinity_storage::catalog::model::{Relation, RelationKind};
use vicinity_types::{Datum, Result};

use super::row::{Rows, flag, id, int8, optional_text, text, text_array};
use super::{RowsFn, VirtualTable, definition};
use crate::context::ExecContext;
use crate::exec::settings::{self, SettingKind};
use crate::exec::viewtext::Style;

pub(super) fn rows_of(name: &str) -> Option<RowsFn> {
    Some(match name {
        "pg_tables" => pg_tables,
        "pg_views" => pg_views,
        "pg_indexes" => pg_indexes,
        "pg_sequences" => pg_sequences,
        "pg_settings" => pg_settings,
        _ => return None,
    })
}

fn schema_name(ctx: &ExecContext, relation: &Relation) -> Datum {
    ctx.catalog.schema(relation.schema).map_or(Datum::Null, |s| text(&s.name))
}

fn owner_name(ctx: &ExecContext, relation: &Relation) -> Datum {
    ctx.catalog.role(relation.owner).map_or(Datum::Null, |r| text(&r.name))
}

fn pg_tables(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for relation in ctx.catalog.relations().filter(|r| r.table().is_some()) {
        rows.push([
            ("schemaname", schema_name(ctx, relation)),
            ("tablename", text(&relation.name)),
            ("tableowner", owner_name(ctx, relation)),
            ("hasindexes", flag(ctx.catalog.indexes_of(relation.oid).next().is_some())),
            ("hasrules", flag(false)),
            ("hastriggers", flag(ctx.catalog.triggers_of(relation.oid).next().is_some())),
            ("rowsecurity", flag(false)),
        ]);
    }
    for system in super::tables().iter().filter(|t| t.kind == 'r') {
        rows.push([
            (
                "schemaname",
                ctx.catalog.schema(system.schema).map_or(Datum::Null, |s| text(&s.name)),
            ),
            ("tablename", text(system.name)),
            ("tableowner", text("postgres")),
            ("hasindexes", flag(false)),
            ("hasrules", flag(false)),
            ("hastriggers", flag(false)),
            ("rowsecurity", flag(false)),
        ]);
    }
    rows.done()
}

fn pg_views(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for relation in ctx.catalog.relations() {
        let RelationKind::View(_) = &relation.kind else { continue };
        rows.push([
            ("schemaname", schema_name(ctx, relation)),
            ("viewname", text(&relation.name)),
            ("viewowner", owner_name(ctx, relation)),
            ("definition", text(definition::view(ctx, relation, Style::Shown).unwrap_or_default())),
        ]);
    }
    rows.done()
}

fn pg_indexes(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for relation in ctx.catalog.relations() {
        let Some(index) = relation.index() else { continue };
        let Some(owner) = ctx.catalog.relation(index.table) else { continue };
        rows.push([
            ("schemaname", schema_name(ctx, relation)),
            ("tablename", text(&owner.name)),
            ("indexname", text(&relation.name)),
            ("indexdef", optional_text(definition::index(ctx, relation, false))),
        ]);
    }
    rows.done()
}

fn pg_sequences(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for relation in ctx.catalog.relations() {
        let Some(s) = relation.sequence() else { continue };
        let last = super::functions::sequence_last_value(ctx, relation.oid)?;
        rows.push([
            ("schemaname", schema_name(ctx, relation)),
            ("sequencename", text(&relation.name)),
            ("sequenceowner", owner_name(ctx, relation)),
            ("data_type", id(s.type_oid)),
            ("start_value", int8(s.start)),
            ("min_value", int8(s.min)),
            ("max_value", int8(s.max)),
            ("increment_by", int8(s.increment)),
            ("cycle", flag(s.cycle)),
            ("cache_size", int8(s.cache)),
            ("last_value", last),
        ]);
    }
    rows.done()
}

fn pg_settings(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    let own = ctx.session.settings();
    for s in settings::settings().iter().filter(|s| !s.hidden) {
        let choices = match &s.kind {
            SettingKind::Enum(labels) => text_array(labels.iter()),
            _ => Datum::Null,
        };
        rows.push([
            ("name", text(s.name)),
            ("setting", optional_text(own.get(s.name))),
            ("unit", optional_text(s.unit)),
            ("category", text(s.category)),
            ("short_desc", text(s.short_desc)),
            ("extra_desc", optional_text(s.extra_desc)),
            ("context", text(s.context.as_str())),
            ("vartype", text(s.kind.as_str())),
            ("source", text(own.source(s.name))),
            ("min_val", optional_text(s.min)),
            ("max_val", optional_text(s.max)),
            ("enumvals", choices),
            ("boot_val", text(s.boot)),
            ("reset_val", optional_text(own.reset_value(s.name))),
            ("pending_restart", flag(false)),
        ]);
    }
    rows.done()
}
