//! `pg_type` and `pg_enum`.

use vicinity_functions::catalog as builtin;
use vicinity_storage::catalog::model::{RelationKind, TypeDef, TypeKind, fixed};
use vicinity_types::{Datum, Oid, Result};

use super::relations::physical;
use super::row::{Rows, byte, ch, flag, id, int4, optional_text, text};
use super::{RowsFn, VirtualTable, cluster};
use crate::context::ExecContext;

pub(super) fn rows_of(name: &str) -> Option<RowsFn> {
    Some(match name {
        "pg_type" => pg_type,
        "pg_enum" => pg_enum,
        _ => return None,
    })
}

fn pg_type(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for t in builtin::types().iter().filter(|t| cluster::present(ctx, t.extension)) {
        let namespace = if t.extension.is_some() { fixed::PUBLIC } else { fixed::PG_CATALOG };
        rows.push([
            ("oid", id(t.oid)),
            ("typname", text(t.name)),
            ("typnamespace", id(namespace)),
            ("typowner", id(fixed::SUPERUSER)),
            ("typlen", Datum::Int2(t.len)),
            ("typbyval", flag(t.by_value)),
            ("typtype", byte(t.kind)),
            ("typcategory", byte(t.category)),
            ("typispreferred", flag(t.preferred)),
            ("typisdefined", flag(t.defined)),
            ("typdelim", byte(t.delimiter)),
            ("typrelid", id(0)),
            ("typsubscript", id(t.subscript)),
            ("typelem", id(t.elem)),
            ("typarray", id(t.array)),
            ("typinput", id(t.input)),
            ("typoutput", id(t.output)),
            ("typreceive", id(t.receive)),
            ("typsend", id(t.send)),
            ("typmodin", id(t.modin)),
            ("typmodout", id(t.modout)),
            ("typanalyze", id(t.analyze)),
            ("typalign", byte(t.align)),
            ("typstorage", byte(t.storage)),
            ("typnotnull", flag(false)),
            ("typbasetype", id(0)),
            ("typtypmod", int4(-1)),
            ("typndims", int4(0)),
            ("typcollation", id(t.collation)),
        ]);
    }
    for t in user_types(ctx) {
        push_user_type(ctx, &mut rows, &t);
        if t.array != 0 {
            push_user_type(ctx, &mut rows, &t.array_type());
        }
    }
    rows.done()
}

/// A type some object of the catalog brought along.
struct UserType {
    oid: Oid,
    name: String,
    schema: Oid,
    owner: Oid,
    array: Oid,
    elem: Oid,
    relation: Oid,
    kind: char,
    category: char,
    base: Oid,
    typmod: i32,
    not_null: bool,
    default: Option<String>,
}

impl UserType {
    fn array_type(&self) -> UserType {
        UserType {
            oid: self.array,
            name: format!("_{}", self.name),
            schema: self.schema,
            owner: self.owner,
            array: 0,
            elem: self.oid,
            relation: 0,
            kind: 'b',
            category: 'A',
            base: 0,
            typmod: -1,
            not_null: false,
            default: None,
        }
    }
}

fn user_types(ctx: &ExecContext) -> Vec<UserType> {
    let declared = ctx.catalog.types().filter_map(|t| declared_type(t));
    let rows = ctx.catalog.relations().filter_map(|r| {
        let (oid, array) = match &r.kind {
            RelationKind::Table(t) => (t.row_type, t.row_array_type),
            RelationKind::View(v) => (v.row_type, 0),
            _ => return None,
        };
        (oid != 0).then(|| UserType {
            oid,
            name: r.name.clone(),
            schema: r.schema,
            owner: r.owner,
            array,
            elem: 0,
            relation: r.oid,
            kind: 'c',
            category: 'C',
            base: 0,
            typmod: -1,
            not_null: false,
            default: None,
        })
    });
    declared.chain(rows).collect()
}

fn declared_type(t: &TypeDef) -> Option<UserType> {
    let (kind, category) = match &t.kind {
        // An extension's own types are among the built-in rows.
        TypeKind::Base => return None,
        TypeKind::Composite { .. } => ('c', 'C'),
        TypeKind::Enum { .. } => ('e', 'E'),
        TypeKind::Domain { .. } => ('d', 'U'),
    };
    let mut made = UserType {
        oid: t.oid,
        name: t.name.clone(),
        schema: t.schema,
        owner: t.owner,
        array: t.array_oid,
        elem: 0,
        relation: 0,
        kind,
        category,
        base: 0,
        typmod: -1,
        not_null: false,
        default: None,
    };
    match &t.kind {
        TypeKind::Composite { relation } => made.relation = *relation,
        TypeKind::Domain { base, typmod, not_null, default, .. } => {
            made.base = *base;
            made.typmod = *typmod;
            made.not_null = *not_null;
            made.default.clone_from(default);
        }
        TypeKind::Base | TypeKind::Enum { .. } => {}
    }
    Some(made)
}

fn push_user_type(ctx: &ExecContext, rows: &mut Rows<'_>, t: &UserType) {
    let p = physical(ctx, t.oid);
    let proc = |name: &str| builtin::procs_named(name).next().map_or(id(0), |p| id(p.oid));
    let (input, output) = match t.kind {
        'e' => ("enum_in", "enum_out"),
        'd' => ("domain_in", "textout"),
        'c' => ("record_in", "record_out"),
        _ => ("array_in", "array_out"),
    };
    rows.push([
        ("oid", id(t.oid)),
        ("typname", text(&t.name)),
        ("typnamespace", id(t.schema)),
        ("typowner", id(t.owner)),
        ("typlen", Datum::Int2(p.len)),
        ("typbyval", flag(p.by_value)),
        ("typtype", ch(t.kind)),
        ("typcategory", ch(t.category)),
        ("typispreferred", flag(false)),
        ("typisdefined", flag(true)),
        ("typdelim", ch(',')),
        ("typrelid", id(t.relation)),
        ("typsubscript", if t.elem == 0 { id(0) } else { proc("array_subscript_handler") }),
        ("typelem", id(t.elem)),
        ("typarray", id(t.array)),
        ("typinput", proc(input)),
        ("typoutput", proc(output)),
        ("typreceive", id(0)),
        ("typsend", id(0)),
        ("typmodin", id(0)),
        ("typmodout", id(0)),
        ("typanalyze", id(0)),
        ("typalign", ch(p.align)),
        ("typstorage", ch(p.storage)),
        ("typnotnull", flag(t.not_null)),
        ("typbasetype", id(t.base)),
        ("typtypmod", int4(t.typmod)),
        ("typndims", int4(0)),
        ("typcollation", id(p.collation)),
        // The same text: `pg_get_expr` takes it for the tree.
        ("typdefaultbin", optional_text(t.default.as_ref())),
        ("typdefault", optional_text(t.default.as_ref())),
    ]);
}

fn pg_enum(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for t in ctx.catalog.types() {
        let TypeKind::Enum { labels } = &t.kind else { continue };
        for label in labels.iter() {
            rows.push([
                ("oid", id(label.oid)),
                ("enumtypid", id(t.oid)),
                ("enumsortorder", Datum::Float4(label.sort_order())),
                ("enumlabel", text(&label.text)),
            ]);
        }
    }
    rows.done()
}
