//! `pg_inherits`, `pg_partitioned_table`.

use vicinity_functions::catalog as builtin;
use vicinity_storage::catalog::model::{PartitionBound, Strategy};
use vicinity_types::{Datum, Oid, Result};

use super::row::{Rows, ch, flag, id, int2, int2vector, int4, oidvector, text};
use super::{RowsFn, VirtualTable};
use crate::context::ExecContext;

pub(super) fn rows_of(name: &str) -> Option<RowsFn> {
    Some(match name {
        "pg_inherits" => pg_inherits,
        "pg_partitioned_table" => pg_partitioned_table,
        _ => return None,
    })
}

fn pg_inherits(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    let mut push = |child: Oid, parent: Oid, number: i32| {
        rows.push([
            ("inhrelid", id(child)),
            ("inhparent", id(parent)),
            ("inhseqno", int4(number)),
            ("inhdetachpending", flag(false)),
        ]);
    };
    for relation in ctx.catalog.relations() {
        let parents = relation.table().map_or(&[][..], |t| &t.parents);
        (1..).zip(parents).for_each(|(n, parent)| push(relation.oid, *parent, n));
        if let Some(parent) = relation.index().and_then(|i| i.parent) {
            push(relation.oid, parent, 1);
        }
    }
    rows.done()
}

fn pg_partitioned_table(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for relation in ctx.catalog.relations() {
        let Some(def) = relation.table() else { continue };
        let Some(by) = &def.partitioning else { continue };
        let default = ctx.catalog.children_of(relation.oid).find(|c| {
            matches!(c.table().and_then(|t| t.bound.as_ref()), Some(PartitionBound::Default))
        });
        let strategy = match by.strategy {
            Strategy::Range => 'r',
            Strategy::List => 'l',
            Strategy::Hash => 'h',
        };
        let types = crate::partition::key_types(relation, by);
        let collation = |ty: Oid| builtin::type_by_oid(ty).map_or(0, |t| t.collation);
        let exprs: Vec<&str> =
            by.keys.iter().filter_map(|k| k.expr.as_ref()).map(|e| e.sql.as_str()).collect();
        rows.push([
            ("partrelid", id(relation.oid)),
            ("partstrat", ch(strategy)),
            ("partnatts", int2(by.keys.len())),
            ("partdefid", id(default.map_or(0, |d| d.oid))),
            ("partattrs", int2vector(by.keys.iter().map(|k| k.column))),
            ("partclass", oidvector(by.keys.iter().map(|k| k.opclass))),
            ("partcollation", oidvector(types.iter().map(|(ty, _)| collation(*ty)))),
            ("partexprs", if exprs.is_empty() { Datum::Null } else { text(exprs.join(", ")) }),
        ]);
    }
    rows.done()
}
