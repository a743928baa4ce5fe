//! Building rows of system tables by column name.

use std::sync::Arc;

use vicinity_storage::catalog::model::AclItem;
use vicinity_types::array::{Array, Dim, Elements};
use vicinity_types::{Datum, Oid, Result, oid};

use super::VirtualTable;
use crate::context::ExecContext;
use crate::exec::grant;

/// Rows under construction; what is not set stays NULL.
pub(super) struct Rows<'a> {
    table: &'a VirtualTable,
    rows: Vec<Vec<Datum>>,
}

impl<'a> Rows<'a> {
    pub(super) fn new(table: &'a VirtualTable) -> Self {
        Rows { table, rows: Vec::new() }
    }

    /// Appends a row of (column, value) pairs. Names a column the table lacks are passed over, so
    /// that one maker can serve a table and a view over it.
    pub(super) fn push(&mut self, values: impl IntoIterator<Item = (&'static str, Datum)>) {
        let mut row = vec![Datum::Null; self.table.columns.len()];
        let mut next = 0;
        for (name, value) in values {
            if let Some(at) = self.position(name, next) {
                next = at + 1;
                if let Some(slot) = row.get_mut(at) {
                    *slot = value;
                }
            }
        }
        self.rows.push(row);
    }

    /// Columns mostly come in the table's order: look from where the last one was.
    fn position(&self, name: &str, from: usize) -> Option<usize> {
        let columns = &self.table.columns;
        let at = |i: &usize| columns.get(*i).is_some_and(|c| c.name == name);
        (from..columns.len()).find(at).or_else(|| (0..from.min(columns.len())).find(at))
    }

    pub(super) fn done(self) -> Result<Vec<Vec<Datum>>> {
        Ok(self.rows)
    }
}

pub(super) fn text(s: impl AsRef<str>) -> Datum {
    Datum::text(s)
}

/// A `"char"`.
pub(super) fn ch(c: char) -> Datum {
    let mut buffer = [0; 4];
    Datum::text(c.encode_utf8(&mut buffer))
}

/// A `"char"` kept as an ASCII byte.
pub(super) fn byte(b: u8) -> Datum {
    ch(char::from(b))
}

pub(super) fn optional_text(s: Option<impl AsRef<str>>) -> Datum {
    s.map_or(Datum::Null, text)
}

pub(super) fn id(oid: Oid) -> Datum {
    Datum::Oid(oid)
}

pub(super) fn flag(b: bool) -> Datum {
    Datum::Bool(b)
}

pub(super) fn int2(n: impl TryInto<i16>) -> Datum {
    Datum::Int2(n.try_into().unwrap_or(i16::MAX))
}

pub(super) fn int4(n: impl TryInto<i32>) -> Datum {
    Datum::Int4(n.try_into().unwrap_or(i32::MAX))
}

pub(super) fn int8(n: impl TryInto<i64>) -> Datum {
    Datum::Int8(n.try_into().unwrap_or(i64::MAX))
}

/// An `int2vector`: subscripts from 0.
pub(super) fn int2vector(values: impl IntoIterator<Item = i16>) -> Datum {
    vector(oid::INT2, values.into_iter().map(Datum::Int2).collect())
}

/// An `oidvector`: subscripts from 0.
pub(super) fn oidvector(values: impl IntoIterator<Item = Oid>) -> Datum {
    vector(oid::OID, values.into_iter().map(Datum::Oid).collect())
}

/// An object's list of rights (`aclitem[]`); NULL while nobody has changed it.
pub(super) fn acl(ctx: &ExecContext, class: Oid, object: Oid, sub: i32) -> Datum {
    ctx.catalog.acl(class, object, sub).map_or(Datum::Null, |list| acl_items(ctx, &list.items))
}

pub(super) fn acl_items(ctx: &ExecContext, items: &[AclItem]) -> Datum {
    array(oid::ACLITEM, items.iter().map(|i| text(grant::shown(&ctx.catalog, i))))
}

fn vector(elem: Oid, values: Vec<Datum>) -> Datum {
    let len = i32::try_from(values.len()).unwrap_or(0);
    Datum::Array(Arc::new(Array {
        elem,
        dims: vec![Dim { len, lower: 0 }],
        elements: Elements::Datums(values),
    }))
}

pub(super) fn array(elem: Oid, values: impl IntoIterator<Item = Datum>) -> Datum {
    Datum::Array(Arc::new(Array::from_datums(elem, values.into_iter().collect())))
}

pub(super) fn text_array(values: impl IntoIterator<Item = impl AsRef<str>>) -> Datum {
    array(oid::TEXT, values.into_iter().map(text))
}

/// NULL for an empty list: `reloptions`, `proconfig` and other optional arrays.
pub(super) fn options(values: &[(String, String)]) -> Datum {
    if values.is_empty() {
        return Datum::Null;
    }
    text_array(values.iter().map(|(name, value)| format!("{name}={value}")))
}
