//! Access methods, operator classes and families.

use vicinity_functions::catalog as builtin;
use vicinity_storage::catalog::model::fixed;
use vicinity_types::{Datum, Oid, Result};

use super::row::{Rows, byte, flag, id, int2, text};
use super::{RowsFn, VirtualTable, cluster};
use crate::context::ExecContext;

pub(super) fn rows_of(name: &str) -> Option<RowsFn> {
    Some(match name {
        "pg_am" => pg_am,
        "pg_opclass" => pg_opclass,
        "pg_opfamily" => pg_opfamily,
        "pg_amop" => pg_amop,
        "pg_amproc" => pg_amproc,
        _ => return None,
    })
}

/// An extension's objects live in `public`, the built-in ones in `pg_catalog`.
fn namespace(extension: Option<&str>) -> Oid {
    if extension.is_some() { fixed::PUBLIC } else { fixed::PG_CATALOG }
}

fn pg_am(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for am in builtin::access_methods().iter().filter(|m| cluster::present(ctx, m.extension)) {
        rows.push([
            ("oid", id(am.oid)),
            ("amname", text(am.name)),
            ("amhandler", id(am.handler)),
            ("amtype", byte(am.kind)),
        ]);
    }
    rows.done()
}

fn pg_opclass(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for class in builtin::opclasses().iter().filter(|c| cluster::present(ctx, c.extension)) {
        rows.push([
            ("oid", id(class.oid)),
            ("opcmethod", id(class.method)),
            ("opcname", text(class.name)),
            ("opcnamespace", id(namespace(class.extension))),
            ("opcowner", id(fixed::SUPERUSER)),
            ("opcfamily", id(class.family)),
            ("opcintype", id(class.input)),
            ("opcdefault", flag(class.default)),
            ("opckeytype", id(class.key)),
        ]);
    }
    rows.done()
}

fn pg_opfamily(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for family in builtin::opfamilies().iter().filter(|f| cluster::present(ctx, f.extension)) {
        rows.push([
            ("oid", id(family.oid)),
            ("opfmethod", id(family.method)),
            ("opfname", text(family.name)),
            ("opfnamespace", id(namespace(family.extension))),
            ("opfowner", id(fixed::SUPERUSER)),
        ]);
    }
    rows.done()
}

fn pg_amop(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for op in builtin::amops().iter().filter(|o| cluster::present(ctx, o.extension)) {
        rows.push([
            ("oid", id(op.oid)),
            ("amopfamily", id(op.family)),
            ("amoplefttype", id(op.left)),
            ("amoprighttype", id(op.right)),
            ("amopstrategy", int2(op.strategy)),
            ("amoppurpose", byte(op.purpose)),
            ("amopopr", id(op.operator)),
            ("amopmethod", id(op.method)),
            ("amopsortfamily", id(op.sort_family)),
        ]);
    }
    rows.done()
}

fn pg_amproc(_: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for proc in builtin::amprocs() {
        rows.push([
            ("oid", id(proc.oid)),
            ("amprocfamily", id(proc.family)),
            ("amproclefttype", id(proc.left)),
            ("amprocrighttype", id(proc.right)),
            ("amprocnum", int2(proc.number)),
            ("amproc", id(proc.proc)),
        ]);
    }
    rows.done()
}
