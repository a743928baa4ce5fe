//! `pg_class`, `pg_attribute` and the catalogs that hang on relations.

use std::sync::Arc;

use vicinity_functions as builtin;
use vicinity_storage::catalog::model::{
    Column, ConstraintKind, Identity, IndexDef, IndexKey, IndexMethod, Persistence, Relation,
    RelationKind, TypeDef, TypeKind, fixed,
};
use vicinity_types::{Datum, Oid, Result, oid};

use super::row::{Rows, acl, ch, flag, id, int2, int2vector, int4, int8, oidvector, options, text};
use super::{RowsFn, VirtualTable, definition, tables};
use crate::authority::class;
use crate::context::ExecContext;
use crate::partition;

pub(super) fn rows_of(name: &str) -> Option<RowsFn> {
    Some(match name {
        "pg_class" => pg_class,
        "pg_attribute" => pg_attribute,
        "pg_attrdef" => pg_attrdef,
        "pg_index" => pg_index,
        "pg_constraint" => super::constraint::pg_constraint,
        "pg_sequence" => pg_sequence,
        "pg_rewrite" => pg_rewrite,
        "pg_trigger" => super::trigger::pg_trigger,
        "pg_depend" => super::depend::pg_depend,
        _ => return None,
    })
}

/// An index's access method.
pub(super) fn method_oid(def: &IndexDef) -> Oid {
    match def.method {
        IndexMethod::Btree => fixed::AM_BTREE,
        IndexMethod::Hash => fixed::AM_HASH,
        // One structure serves two methods, told apart by their operator classes.
        IndexMethod::Spatial => {
            let class = def.keys.first().map(|k| k.opclass);
            class.and_then(builtin::opclass_by_oid).map_or(fixed::AM_GIST, |c| c.method)
        }
        IndexMethod::Hnsw => fixed::AM_PASE_HNSW,
        IndexMethod::Ivfflat => fixed::AM_PASE_IVFFLAT,
    }
}

fn relkind(ctx: &ExecContext, kind: &RelationKind) -> char {
    match kind {
        RelationKind::Table(t) if t.materialized.is_some() => 'm',
        RelationKind::Table(t) if t.partitioning.is_some() => 'p',
        RelationKind::Table(_) => 'r',
        RelationKind::Index(i) if is_cut(ctx, i.table) => 'I',
        RelationKind::Index(_) => 'i',
        RelationKind::Sequence(_) => 'S',
        RelationKind::View(_) => 'v',
        RelationKind::Composite(_) => 'c',
    }
}

/// Whether a table is cut into partitions.
pub(super) fn is_cut(ctx: &ExecContext, table: Oid) -> bool {
    ctx.catalog.relation(table).is_some_and(|t| partition::is_partitioned(t))
}

fn persistence(ctx: &ExecContext, relation: &Relation) -> char {
    let of = |p: Persistence| match p {
        Persistence::Permanent => 'p',
        Persistence::Unlogged => 'u',
        Persistence::Temporary => 't',
    };
    match &relation.kind {
        RelationKind::Table(table) => of(table.persistence),
        RelationKind::Index(index) => ctx
            .catalog
            .relation(index.table)
            .and_then(|r| r.table())
            .map_or('p', |t| of(t.persistence)),
        _ => 'p',
    }
}

/// The type that a composite type's relation belongs to.
fn composite_type(ctx: &ExecContext, relation: Oid) -> Oid {
    let own = |t: &&Arc<TypeDef>| matches!(t.kind, TypeKind::Composite { relation: own } if own == relation);
    ctx.catalog.types().find(own).map_or(0, |t| t.oid)
}

fn pg_class(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for relation in ctx.catalog.relations() {
        rows.push(class_row(ctx, relation));
    }
    for system in tables() {
        rows.push([
            ("oid", id(system.oid)),
            ("relname", text(system.name)),
            ("relnamespace", id(system.schema)),
            ("reltype", id(0)),
            ("reloftype", id(0)),
            ("relowner", id(fixed::SUPERUSER)),
            ("relam", id(if system.kind == 'r' { fixed::AM_HEAP } else { 0 })),
            ("relfilenode", id(0)),
            ("reltablespace", id(0)),
            ("relpages", int4(0)),
            ("reltuples", Datum::Float4(-1.0)),
            ("relallvisible", int4(0)),
            ("reltoastrelid", id(0)),
            ("relhasindex", flag(false)),
            ("relisshared", flag(false)),
            ("relpersistence", ch('p')),
            ("relkind", ch(system.kind)),
            ("relnatts", int2(system.columns.len())),
            ("relchecks", int2(0)),
            ("relhasrules", flag(system.kind == 'v')),
            ("relhastriggers", flag(false)),
            ("relhassubclass", flag(false)),
            ("relrowsecurity", flag(false)),
            ("relforcerowsecurity", flag(false)),
            ("relispopulated", flag(true)),
            ("relreplident", ch('n')),
            ("relispartition", flag(false)),
            ("relrewrite", id(0)),
            ("relfrozenxid", id(0)),
            ("relminmxid", id(0)),
        ]);
    }
    rows.done()
}

fn class_row(ctx: &ExecContext, relation: &Relation) -> [(&'static str, Datum); 33] {
    let table = relation.table();
    let index = relation.index();
    let (pages, tuples) = size_estimate(ctx, relation);
    let checks = table.map_or(0, |t| {
        t.constraints.iter().filter(|c| matches!(c.kind, ConstraintKind::Check { .. })).count()
    });
    let natts = match &relation.kind {
        RelationKind::Table(t) => t.columns.len(),
        RelationKind::Index(i) => i.keys.len() + i.include.len(),
        RelationKind::View(v) => v.columns.len(),
        RelationKind::Composite(c) => c.len(),
        RelationKind::Sequence(_) => 3,
    };
    let row_type = match &relation.kind {
        RelationKind::Table(t) => t.row_type,
        RelationKind::View(v) => v.row_type,
        RelationKind::Composite(_) => composite_type(ctx, relation.oid),
        _ => 0,
    };
    let method = match &relation.kind {
        RelationKind::Table(t) if t.partitioning.is_none() => fixed::AM_HEAP,
        RelationKind::Index(i) => method_oid(i),
        _ => 0,
    };
    let with = match (table, index) {
        (Some(t), _) => options(&t.options),
        (_, Some(i)) => options(&i.options),
        _ if let RelationKind::View(v) = &relation.kind => options(&v.options),
        _ => Datum::Null,
    };
    let cut = partition::is_partitioned(relation) || index.is_some_and(|i| is_cut(ctx, i.table));
    let stored = table.is_some() || index.is_some() || relation.sequence().is_some();
    let stored = stored && !cut;
    let bound = partition::show::bound(ctx, relation);
    let has_subclass = ctx.catalog.has_children(relation.oid) || (cut && index.is_some());
    [
        ("oid", id(relation.oid)),
        ("relname", text(&relation.name)),
        ("relnamespace", id(relation.schema)),
        ("reltype", id(row_type)),
        ("reloftype", id(0)),
        ("relowner", id(relation.owner)),
        ("relacl", acl(ctx, class::RELATION, relation.oid, 0)),
        ("relam", id(method)),
        ("relfilenode", id(if stored { relation.oid } else { 0 })),
        ("reltablespace", id(0)),
        ("relpages", int4(pages)),
        ("reltuples", Datum::Float4(tuples)),
        ("relallvisible", int4(0)),
        ("reltoastrelid", id(0)),
        ("relhasindex", flag(ctx.catalog.indexes_of(relation.oid).next().is_some())),
        ("relisshared", flag(false)),
        ("relpersistence", ch(persistence(ctx, relation))),
        ("relkind", ch(relkind(ctx, &relation.kind))),
        ("relnatts", int2(natts)),
        ("relchecks", int2(checks)),
        ("relhasrules", flag(rule_of(&relation.kind).is_some())),
        ("relhastriggers", flag(has_triggers(ctx, relation))),
        ("relhassubclass", flag(has_subclass)),
        ("relrowsecurity", flag(false)),
        ("relforcerowsecurity", flag(false)),
        (
            "relispopulated",
            flag(table.and_then(|t| t.materialized.as_ref()).is_none_or(|m| m.populated)),
        ),
        ("relreplident", ch(if table.is_some() { 'd' } else { 'n' })),
        ("relispartition", flag(bound.is_some() || index.is_some_and(|i| i.parent.is_some()))),
        ("relrewrite", id(0)),
        ("relfrozenxid", id(0)),
        ("relminmxid", id(0)),
        ("reloptions", with),
        ("relpartbound", bound.map_or(Datum::Null, text)),
    ]
}

/// Foreign keys are triggers of both tables in PostgreSQL; listings look for them only where there
/// are triggers.
fn has_triggers(ctx: &ExecContext, relation: &Relation) -> bool {
    let constraints = relation.table().map_or(&[][..], |t| &t.constraints);
    ctx.catalog.triggers_of(relation.oid).next().is_some()
        || constraints.iter().any(|c| matches!(c.kind, ConstraintKind::ForeignKey(_)))
        || ctx.catalog.references_to(relation.oid).next().is_some()
}

/// Pages and live rows, as ANALYZE would leave them.
fn size_estimate(ctx: &ExecContext, relation: &Relation) -> (u64, f32) {
    let owner = relation.index().map_or(relation.oid, |i| i.table);
    let stored = relation.table().is_some() || relation.index().is_some();
    if !stored {
        return (0, if relation.sequence().is_some() { 1.0 } else { -1.0 });
    }
    match ctx.engine.db.table(owner, &ctx.catalog) {
        Ok(table) => {
            let stats = table.stats();
            (stats.bytes.div_ceil(vicinity_storage::PAGE), stats.live as f32)
        }
        Err(_) => (0, -1.0),
    }
}

/// Physical properties `pg_attribute` repeats from `pg_type`.
pub(super) struct Physical {
    pub(super) len: i16,
    pub(super) by_value: bool,
    pub(super) align: char,
    pub(super) storage: char,
    pub(super) collation: Oid,
}

pub(super) fn physical(ctx: &ExecContext, type_oid: Oid) -> Physical {
    if let Some(TypeKind::Domain { base, .. }) = ctx.catalog.type_def(type_oid).map(|t| &t.kind) {
        return physical(ctx, *base);
    }
    if let Some(info) = builtin::catalog::type_by_oid(type_oid) {
        return Physical {
            len: info.len,
            by_value: info.by_value,
            align: char::from(info.align),
            storage: char::from(info.storage),
            collation: info.collation,
        };
    }
    let composite_like = ctx
        .catalog
        .type_def(type_oid)
        .is_none_or(|t| !matches!(t.kind, vicinity_storage::catalog::model::TypeKind::Enum { .. }));
    if composite_like {
        Physical { len: -1, by_value: false, align: 'd', storage: 'x', collation: 0 }
    } else {
        Physical { len: 4, by_value: true, align: 'i', storage: 'p', collation: 0 }
    }
}

/// Names and types of the columns PostgreSQL puts before the user's, with their numbers.
const SYSTEM_COLUMNS: [(&str, Oid, i16); 6] = [
    ("ctid", oid::TID, -1),
    ("xmin", oid::XID, -2),
    ("cmin", oid::CID, -3),
    ("xmax", oid::XID, -4),
    ("cmax", oid::CID, -5),
    ("tableoid", oid::OID, -6),
];

fn pg_attribute(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for relation in ctx.catalog.relations() {
        match &relation.kind {
            RelationKind::Table(t) => {
                for (name, type_oid, number) in SYSTEM_COLUMNS {
                    let column = plain_column(name, type_oid, true);
                    rows.push(attribute_row(ctx, relation.oid, &column, number));
                }
                push_columns(ctx, &mut rows, relation.oid, &t.columns);
            }
            RelationKind::View(v) => push_columns(ctx, &mut rows, relation.oid, &v.columns),
            RelationKind::Composite(c) => push_columns(ctx, &mut rows, relation.oid, c),
            RelationKind::Index(i) => {
                push_columns(ctx, &mut rows, relation.oid, &index_columns(ctx, i));
            }
            RelationKind::Sequence(_) => {
                let columns = [
                    plain_column("last_value", oid::INT8, true),
                    plain_column("log_cnt", oid::INT8, true),
                    plain_column("is_called", oid::BOOL, true),
                ];
                push_columns(ctx, &mut rows, relation.oid, &columns);
            }
        }
    }
    for system in tables() {
        for (number, c) in (1_i16..).zip(&system.columns) {
            let column = plain_column(c.name, c.type_oid, c.not_null);
            rows.push(attribute_row(ctx, system.oid, &column, number));
        }
    }
    rows.done()
}

fn push_columns(ctx: &ExecContext, rows: &mut Rows<'_>, relation: Oid, columns: &[Column]) {
    for (number, column) in (1_i16..).zip(columns) {
        rows.push(attribute_row(ctx, relation, column, number));
    }
}

fn plain_column(name: &str, type_oid: Oid, not_null: bool) -> Column {
    Column { not_null, ..Column::new(name, type_oid, -1) }
}

/// An index's attributes carry the names of the columns they index, and their types where the
/// operator class does not keep them as another one, or the method as their hash.
fn index_columns(ctx: &ExecContext, index: &IndexDef) -> Vec<Column> {
    let Some(table) = ctx.catalog.relation(index.table).and_then(|r| r.table()) else {
        return Vec::new();
    };
    let hashed = method_oid(index) == fixed::AM_HASH;
    let keys = index.keys.iter().filter_map(|k| {
        let (name, type_oid, typmod) = match &k.expr {
            Some(e) => (&e.name, e.type_oid, e.typmod),
            None => {
                let c = definition::column_at(&table.columns, k.column)?;
                (&c.name, c.type_oid, c.typmod)
            }
        };
        let kept = builtin::opclass_by_oid(k.opclass).map_or(0, |class| class.key);
        Some(match if hashed { oid::INT4 } else { kept } {
            0 => Column::new(name, type_oid, typmod),
            kept => Column::new(name, kept, -1),
        })
    });
    let include = index.include.iter().copied();
    let include = include
        .filter_map(|n| definition::column_at(&table.columns, n))
        .map(|c| Column::new(&c.name, c.type_oid, c.typmod));
    keys.chain(include).collect()
}

fn attribute_row(
    ctx: &ExecContext,
    relation: Oid,
    column: &Column,
    number: i16,
) -> [(&'static str, Datum); 23] {
    let p = physical(ctx, column.type_oid);
    let name = if column.dropped {
        format!("........pg.dropped.{number}........")
    } else {
        column.name.clone()
    };
    let identity = match column.identity {
        Some(Identity::Always) => text("a"),
        Some(Identity::ByDefault) => text("d"),
        None => text(""),
    };
    [
        ("attrelid", id(relation)),
        ("attname", text(name)),
        ("attacl", acl(ctx, class::RELATION, relation, i32::from(number))),
        ("atttypid", id(if column.dropped { 0 } else { column.type_oid })),
        ("attstattarget", int4(if number > 0 { column.statistics } else { 0 })),
        ("attlen", Datum::Int2(p.len)),
        ("attnum", Datum::Int2(number)),
        ("attndims", int4(i32::from(column.ndims))),
        ("attcacheoff", int4(-1)),
        ("atttypmod", int4(column.typmod)),
        ("attbyval", flag(p.by_value)),
        ("attalign", ch(p.align)),
        ("attstorage", ch(column.storage.unwrap_or(p.storage))),
        ("attcompression", text(column.compression.map_or(String::new(), String::from))),
        ("attnotnull", flag(column.not_null)),
        ("atthasdef", flag(column.default.is_some() || column.generated.is_some())),
        ("atthasmissing", flag(column.missing.is_some())),
        ("attidentity", identity),
        ("attgenerated", text(if column.generated.is_some() { "s" } else { "" })),
        ("attisdropped", flag(column.dropped)),
        ("attislocal", flag(column.local)),
        ("attinhcount", int4(i32::from(column.inherited))),
        ("attcollation", id(p.collation)),
    ]
}

/// The id of the `pg_attrdef` row of a column. It has no object of its own here: the id is made from the table's and the
/// column's, in the upper half of the id space where no object is ever created.
pub(super) fn default_oid(relation: Oid, number: i16) -> Oid {
    let offset = u32::try_from(number).unwrap_or(0);
    0x8000_0000 | (relation.wrapping_mul(1601).wrapping_add(offset))
}

/// Every column with a default or a generation expression, with the id of its `pg_attrdef` row.
pub(super) fn defaults(ctx: &ExecContext) -> Vec<(Oid, Oid, i16, String)> {
    let mut found = Vec::new();
    for relation in ctx.catalog.relations() {
        let columns = match &relation.kind {
            RelationKind::Table(table) => &table.columns,
            RelationKind::View(view) => &view.columns,
            _ => continue,
        };
        for (number, column) in (1_i16..).zip(columns) {
            let text = column.default.as_ref().or(column.generated.as_ref());
            if let (Some(text), false) = (text, column.dropped) {
                let own = default_oid(relation.oid, number);
                found.push((own, relation.oid, number, text.clone()));
            }
        }
    }
    found
}

fn pg_attrdef(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for (own, relation, number, expr) in defaults(ctx) {
        rows.push([
            ("oid", id(own)),
            ("adrelid", id(relation)),
            ("adnum", Datum::Int2(number)),
            ("adbin", text(expr)),
        ]);
    }
    rows.done()
}

fn pg_index(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for relation in ctx.catalog.relations() {
        let Some(index) = relation.index() else { continue };
        let numbers = index.keys.iter().map(|k| k.column).chain(index.include.iter().copied());
        let option = |descending: bool, nulls_first: bool| {
            i16::from(descending) | (i16::from(nulls_first) << 1)
        };
        rows.push([
            ("indexrelid", id(relation.oid)),
            ("indrelid", id(index.table)),
            ("indnatts", int2(index.keys.len() + index.include.len())),
            ("indnkeyatts", int2(index.keys.len())),
            ("indisunique", flag(index.unique)),
            ("indnullsnotdistinct", flag(index.nulls_not_distinct)),
            ("indisprimary", flag(index.primary)),
            ("indisexclusion", flag(false)),
            ("indimmediate", flag(true)),
            ("indisclustered", flag(false)),
            (
                "indisvalid",
                flag(index.valid && crate::partition::has_all_parts(&ctx.catalog, relation)),
            ),
            ("indcheckxmin", flag(false)),
            ("indisready", flag(true)),
            ("indislive", flag(true)),
            ("indisreplident", flag(false)),
            ("indkey", int2vector(numbers)),
            ("indcollation", oidvector(index.keys.iter().map(|k| key_collation(ctx, index, k)))),
            ("indclass", oidvector(index.keys.iter().map(|k| k.opclass))),
            (
                "indoption",
                int2vector(index.keys.iter().map(|k| option(k.descending, k.nulls_first))),
            ),
            ("indexprs", index_expressions(index)),
            ("indpred", index.predicate.as_ref().map_or(Datum::Null, text)),
        ]);
    }
    rows.done()
}

fn key_collation(ctx: &ExecContext, index: &IndexDef, key: &IndexKey) -> Oid {
    let column = || {
        let table = ctx.catalog.relation(index.table)?.table()?;
        definition::column_at(&table.columns, key.column).map(|c| c.type_oid)
    };
    let ty = key.expr.as_ref().map(|e| e.type_oid).or_else(column);
    ty.map_or(0, |ty| physical(ctx, ty).collation)
}

/// The expressions of an index as `pg_get_expr` lists them.
fn index_expressions(index: &IndexDef) -> Datum {
    let texts: Vec<&str> =
        index.keys.iter().filter_map(|k| k.expr.as_ref()).map(|e| e.sql.as_str()).collect();
    if texts.is_empty() { Datum::Null } else { text(texts.join(", ")) }
}

fn pg_sequence(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for relation in ctx.catalog.relations() {
        let Some(s) = relation.sequence() else { continue };
        rows.push([
            ("seqrelid", id(relation.oid)),
            ("seqtypid", id(s.type_oid)),
            ("seqstart", int8(s.start)),
            ("seqincrement", int8(s.increment)),
            ("seqmax", int8(s.max)),
            ("seqmin", int8(s.min)),
            ("seqcache", int8(s.cache)),
            ("seqcycle", flag(s.cycle)),
        ]);
    }
    rows.done()
}

/// The query of a view, plain or materialized.
pub(super) fn rule_of(kind: &RelationKind) -> Option<&String> {
    match kind {
        RelationKind::View(view) => Some(&view.query),
        RelationKind::Table(table) => table.materialized.as_ref().map(|m| &m.query),
        _ => None,
    }
}

fn pg_rewrite(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for relation in ctx.catalog.relations() {
        let Some(query) = rule_of(&relation.kind) else { continue };
        rows.push([
            ("oid", id(relation.oid)),
            ("rulename", text("_RETURN")),
            ("ev_class", id(relation.oid)),
            ("ev_type", ch('1')),
            ("ev_enabled", ch('O')),
            ("is_instead", flag(true)),
            ("ev_qual", text("<>")),
            ("ev_action", text(query)),
        ]);
    }
    rows.done()
}
