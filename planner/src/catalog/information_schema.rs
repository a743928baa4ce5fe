//! `information_schema`: the SQL standard's view of the same catalog.

use vicinity_storage::catalog::model::{
    Column, ConstraintKind, Identity, Persistence, ReferentialAction, Relation, RelationKind, fixed,
};
use vicinity_types::{Datum, Oid, Result, oid};

use super::row::{Rows, int4, optional_text, text, yes_no};
use super::{RowsFn, VirtualTable, definition};
use crate::context::ExecContext;
use crate::exec::viewtext::Style;

pub(super) fn rows_of(name: &str) -> Option<RowsFn> {
    Some(match name {
        "information_schema_catalog_name" => catalog_name,
        "schemata" => schemata,
        "tables" => tables,
        "columns" => columns,
        "views" => views,
        "sequences" => sequences,
        "routines" => routines,
        "table_constraints" => table_constraints,
        "key_column_usage" | "constraint_column_usage" => constraint_columns,
        "referential_constraints" => referential_constraints,
        "check_constraints" => check_constraints,
        _ => return None,
    })
}

/// Catalog (database) and schema of a relation.
fn place(ctx: &ExecContext, schema: Oid) -> (Datum, Datum) {
    let name = ctx.catalog.schema(schema).map_or(Datum::Null, |s| text(&s.name));
    (text(ctx.session.database()), name)
}

fn catalog_name(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    rows.push([("catalog_name", text(ctx.session.database()))]);
    rows.done()
}

fn schemata(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for schema in ctx.catalog.schemas() {
        let owner = ctx.catalog.role(schema.owner).map(|r| r.name.clone());
        rows.push([
            ("catalog_name", text(ctx.session.database())),
            ("schema_name", text(&schema.name)),
            ("schema_owner", optional_text(owner)),
        ]);
    }
    rows.done()
}

fn tables(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for relation in ctx.catalog.relations() {
        let kind = match &relation.kind {
            RelationKind::Table(t) if t.persistence == Persistence::Temporary => "LOCAL TEMPORARY",
            RelationKind::Table(_) => "BASE TABLE",
            RelationKind::View(_) => "VIEW",
            _ => continue,
        };
        push_table(ctx, &mut rows, relation.schema, &relation.name, kind);
    }
    for system in super::tables() {
        let kind = if system.kind == 'v' { "VIEW" } else { "BASE TABLE" };
        push_table(ctx, &mut rows, system.schema, system.name, kind);
    }
    rows.done()
}

fn push_table(ctx: &ExecContext, rows: &mut Rows<'_>, schema: Oid, name: &str, kind: &str) {
    let (catalog, schema) = place(ctx, schema);
    rows.push([
        ("table_catalog", catalog),
        ("table_schema", schema),
        ("table_name", text(name)),
        ("table_type", text(kind)),
        ("is_insertable_into", yes_no(kind != "VIEW")),
        ("is_typed", yes_no(false)),
    ]);
}

fn columns(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for relation in ctx.catalog.relations() {
        let (columns, updatable) = match &relation.kind {
            RelationKind::Table(t) => (&t.columns, true),
            RelationKind::View(v) => (&v.columns, false),
            _ => continue,
        };
        for (number, column) in (1_i32..).zip(columns).filter(|(_, c)| !c.dropped) {
            rows.push(column_row(ctx, relation, column, number, updatable));
        }
    }
    rows.done()
}

/// `numeric_precision` and `numeric_scale` of a type, in the radix given.
fn numeric_shape(type_oid: Oid, typmod: i32) -> Option<(i32, i32, Option<i32>)> {
    match type_oid {
        oid::INT2 => Some((16, 2, Some(0))),
        oid::INT4 => Some((32, 2, Some(0))),
        oid::INT8 => Some((64, 2, Some(0))),
        oid::FLOAT4 => Some((24, 2, None)),
        oid::FLOAT8 => Some((53, 2, None)),
        oid::NUMERIC if typmod >= 4 => {
            Some((((typmod - 4) >> 16) & 0xffff, 10, Some((typmod - 4) & 0x7ff)))
        }
        _ => None,
    }
}

fn datetime_precision(type_oid: Oid, typmod: i32) -> Option<i32> {
    match type_oid {
        oid::DATE => Some(0),
        oid::TIME | oid::TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::INTERVAL => {
            Some(if typmod < 0 { 6 } else { typmod & 0xffff })
        }
        _ => None,
    }
}

fn column_row(
    ctx: &ExecContext,
    relation: &Relation,
    column: &Column,
    number: i32,
    updatable: bool,
) -> Vec<(&'static str, Datum)> {
    let (catalog, schema) = place(ctx, relation.schema);
    let built_in = oid::kind(column.type_oid).is_some();
    let is_array = ctx.catalog.element_of(column.type_oid).is_some();
    let data_type = if is_array {
        "ARRAY".to_owned()
    } else if built_in {
        vicinity_types::typname::format_type(column.type_oid, -1)
    } else {
        "USER-DEFINED".to_owned()
    };
    let udt = vicinity_functions::catalog::type_by_oid(column.type_oid)
        .map(|t| t.name.to_owned())
        .or_else(|| ctx.catalog.type_def(column.type_oid).map(|t| t.name.clone()));
    let length = match column.type_oid {
        oid::VARCHAR | oid::BPCHAR if column.typmod >= 4 => int4(column.typmod - 4),
        _ => Datum::Null,
    };
    let mut row = vec![
        ("table_catalog", catalog.clone()),
        ("table_schema", schema),
        ("table_name", text(&relation.name)),
        ("column_name", text(&column.name)),
        ("ordinal_position", int4(number)),
        ("column_default", optional_text(column.default.as_ref())),
        ("is_nullable", yes_no(!column.not_null)),
        ("data_type", text(data_type)),
        ("character_maximum_length", length),
    ];
    if let Some((precision, radix, scale)) = numeric_shape(column.type_oid, column.typmod) {
        row.push(("numeric_precision", int4(precision)));
        row.push(("numeric_precision_radix", int4(radix)));
        row.push(("numeric_scale", scale.map_or(Datum::Null, int4)));
    }
    if let Some(p) = datetime_precision(column.type_oid, column.typmod) {
        row.push(("datetime_precision", int4(p)));
    }
    let identity = column.identity.map(|i| match i {
        Identity::Always => "ALWAYS",
        Identity::ByDefault => "BY DEFAULT",
    });
    row.extend([
        ("udt_catalog", catalog),
        ("udt_schema", text(if built_in { "pg_catalog" } else { "public" })),
        ("udt_name", optional_text(udt)),
        ("dtd_identifier", text(number.to_string())),
        ("is_self_referencing", yes_no(false)),
        ("is_identity", yes_no(identity.is_some())),
        ("identity_generation", optional_text(identity)),
        ("identity_cycle", yes_no(false)),
        ("is_generated", text(if column.generated.is_some() { "ALWAYS" } else { "NEVER" })),
        ("generation_expression", optional_text(column.generated.as_ref())),
        ("is_updatable", yes_no(updatable)),
    ]);
    row
}

fn views(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for relation in ctx.catalog.relations() {
        let RelationKind::View(_) = &relation.kind else { continue };
        let (catalog, schema) = place(ctx, relation.schema);
        rows.push([
            ("table_catalog", catalog),
            ("table_schema", schema),
            ("table_name", text(&relation.name)),
            (
                "view_definition",
                text(definition::view(ctx, relation, Style::Shown).unwrap_or_default()),
            ),
            ("check_option", text("NONE")),
            ("is_updatable", yes_no(false)),
            ("is_insertable_into", yes_no(false)),
            ("is_trigger_updatable", yes_no(false)),
            ("is_trigger_deletable", yes_no(false)),
            ("is_trigger_insertable_into", yes_no(false)),
        ]);
    }
    rows.done()
}

fn sequences(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for relation in ctx.catalog.relations() {
        let Some(s) = relation.sequence() else { continue };
        let (catalog, schema) = place(ctx, relation.schema);
        let precision = numeric_shape(s.type_oid, -1).map_or(64, |shape| shape.0);
        rows.push([
            ("sequence_catalog", catalog),
            ("sequence_schema", schema),
            ("sequence_name", text(&relation.name)),
            ("data_type", text(vicinity_types::typname::format_type(s.type_oid, -1))),
            ("numeric_precision", int4(precision)),
            ("numeric_precision_radix", int4(2)),
            ("numeric_scale", int4(0)),
            ("start_value", text(s.start.to_string())),
            ("minimum_value", text(s.min.to_string())),
            ("maximum_value", text(s.max.to_string())),
            ("increment", text(s.increment.to_string())),
            ("cycle_option", yes_no(s.cycle)),
        ]);
    }
    rows.done()
}

fn routines(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for f in ctx.catalog.functions() {
        let (catalog, schema) = place(ctx, f.schema);
        rows.push([
            ("specific_catalog", catalog.clone()),
            ("specific_schema", schema.clone()),
            ("specific_name", text(format!("{}_{}", f.name, f.oid))),
            ("routine_catalog", catalog),
            ("routine_schema", schema),
            ("routine_name", text(&f.name)),
            ("routine_type", text(if f.procedure { "PROCEDURE" } else { "FUNCTION" })),
            ("data_type", optional_text(definition::result(&ctx.catalog, f))),
            (
                "routine_body",
                text(if f.language == vicinity_storage::catalog::model::Language::Sql {
                    "SQL"
                } else {
                    "EXTERNAL"
                }),
            ),
            ("routine_definition", text(&f.body)),
            ("external_language", text(definition::language_name(f.language).to_uppercase())),
            ("is_null_call", yes_no(f.strict)),
        ]);
    }
    rows.done()
}

fn table_constraints(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for relation in ctx.catalog.relations() {
        let Some(def) = relation.table() else { continue };
        let (catalog, schema) = place(ctx, relation.schema);
        let mut push = |name: String, kind: &str| {
            rows.push([
                ("constraint_catalog", catalog.clone()),
                ("constraint_schema", schema.clone()),
                ("constraint_name", text(name)),
                ("table_catalog", catalog.clone()),
                ("table_schema", schema.clone()),
                ("table_name", text(&relation.name)),
                ("constraint_type", text(kind)),
                ("is_deferrable", yes_no(false)),
                ("initially_deferred", yes_no(false)),
                ("enforced", yes_no(true)),
            ]);
        };
        for c in &def.constraints {
            let kind = match &c.kind {
                ConstraintKind::PrimaryKey { .. } => "PRIMARY KEY",
                ConstraintKind::Unique { .. } => "UNIQUE",
                ConstraintKind::Check { .. } => "CHECK",
                ConstraintKind::ForeignKey(_) => "FOREIGN KEY",
            };
            push(c.name.clone(), kind);
        }
        for (name, _) in not_null_checks(relation) {
            push(name, "CHECK");
        }
    }
    rows.done()
}

/// The standard sees NOT NULL as a check; PostgreSQL makes up its name from ids.
fn not_null_checks(relation: &Relation) -> Vec<(String, String)> {
    let columns = relation.table().map_or(&[][..], |t| &t.columns);
    (1..)
        .zip(columns)
        .filter(|(_, c)| c.not_null && !c.dropped)
        .map(|(n, c): (i32, _)| {
            let name = format!("{}_{}_{n}_not_null", fixed::PUBLIC, relation.oid);
            (name, format!("{} IS NOT NULL", c.name))
        })
        .collect()
}

fn constraint_columns(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    let keys_only = table.name == "key_column_usage";
    for relation in ctx.catalog.relations() {
        for c in relation.table().map_or(&[][..], |t| &t.constraints) {
            let is_check = matches!(c.kind, ConstraintKind::Check { .. });
            if keys_only && is_check {
                continue;
            }
            // constraint_column_usage of a foreign key lists what it refers to.
            let (owner, numbers) = match &c.kind {
                ConstraintKind::ForeignKey(f) if !keys_only => {
                    let Some(target) = ctx.catalog.relation(f.table) else { continue };
                    (target, &f.columns)
                }
                _ => (relation, &c.columns),
            };
            let (catalog, schema) = place(ctx, relation.schema);
            let columns = owner.table().map_or(&[][..], |t| &t.columns);
            for (place, number) in (1_i32..).zip(numbers) {
                let Some(column) = definition::column_at(columns, *number) else { continue };
                let position = match &c.kind {
                    ConstraintKind::ForeignKey(_) => int4(place),
                    _ => Datum::Null,
                };
                rows.push([
                    ("constraint_catalog", catalog.clone()),
                    ("constraint_schema", schema.clone()),
                    ("constraint_name", text(&c.name)),
                    ("table_catalog", catalog.clone()),
                    ("table_schema", schema.clone()),
                    ("table_name", text(&owner.name)),
                    ("column_name", text(&column.name)),
                    ("ordinal_position", int4(place)),
                    ("position_in_unique_constraint", position),
                ]);
            }
        }
    }
    rows.done()
}

fn rule(action: ReferentialAction) -> Datum {
    text(match action {
        ReferentialAction::NoAction => "NO ACTION",
        ReferentialAction::Restrict => "RESTRICT",
        ReferentialAction::Cascade => "CASCADE",
        ReferentialAction::SetNull => "SET NULL",
        ReferentialAction::SetDefault => "SET DEFAULT",
    })
}

fn referential_constraints(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for relation in ctx.catalog.relations() {
        for c in relation.table().map_or(&[][..], |t| &t.constraints) {
            let ConstraintKind::ForeignKey(f) = &c.kind else { continue };
            let (catalog, schema) = place(ctx, relation.schema);
            let unique = ctx.catalog.relation(f.table).and_then(|r| r.table()).and_then(|t| {
                t.constraints.iter().find(|u| {
                    u.columns == f.columns
                        && matches!(
                            u.kind,
                            ConstraintKind::PrimaryKey { .. } | ConstraintKind::Unique { .. }
                        )
                })
            });
            rows.push([
                ("constraint_catalog", catalog.clone()),
                ("constraint_schema", schema.clone()),
                ("constraint_name", text(&c.name)),
                ("unique_constraint_catalog", catalog),
                ("unique_constraint_schema", schema),
                ("unique_constraint_name", optional_text(unique.map(|u| &u.name))),
                ("match_option", text(if f.full { "FULL" } else { "NONE" })),
                ("update_rule", rule(f.on_update)),
                ("delete_rule", rule(f.on_delete)),
            ]);
        }
    }
    rows.done()
}

fn check_constraints(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for relation in ctx.catalog.relations() {
        let (catalog, schema) = place(ctx, relation.schema);
        let checks = relation.table().map_or(&[][..], |t| &t.constraints).iter().filter_map(|c| {
            match &c.kind {
                ConstraintKind::Check { expr } => Some((c.name.clone(), expr.clone())),
                _ => None,
            }
        });
        for (name, clause) in checks.chain(not_null_checks(relation)) {
            rows.push([
                ("constraint_catalog", catalog.clone()),
                ("constraint_schema", schema.clone()),
                ("constraint_name", text(name)),
                ("check_clause", text(clause)),
            ]);
        }
    }
    rows.done()
}
