//! What the tables hold: every column of a row follows from two numbers, so that the model need not keep more.

use std::sync::Arc;

use vicinity_storage::catalog::model::{IndexMethod, Object, Persistence};
use vicinity_types::array::Array;
use vicinity_types::geo::Point;
use vicinity_types::{Datum, Oid, oid};

use crate::common::{index_object, table_object};

/// A row without its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// What the keys, the point and the vector are made of.
    pub v: u32,
    /// Bytes of filling.
    pub pad: u32,
}

/// Scrambles a number.
fn mix(n: u32, salt: u32) -> u32 {
    let n = (n ^ salt.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b);
    (n ^ n >> 15).wrapping_mul(0xc2b2_ae35) >> 8
}

impl Content {
    /// The key that many rows share; `None` is NULL.
    pub fn k(self) -> Option<i32> {
        (!self.v.is_multiple_of(9)).then_some((self.v % 13) as i32)
    }

    /// The key that no two rows share.
    pub fn u(self) -> Option<i32> {
        (!self.v.is_multiple_of(5)).then_some((self.v % 2003) as i32)
    }

    /// Few places, so that some have several points.
    pub fn point(self) -> Option<[f64; 2]> {
        let along = |salt| f64::from(mix(self.v, salt) % 40) / 2.0;
        (!self.v.is_multiple_of(11)).then(|| [along(1), along(2)])
    }

    pub fn vector(self) -> Option<[f32; 4]> {
        let along = |salt| (mix(self.v, salt) % 1000) as f32 / 8.0;
        (!self.v.is_multiple_of(17)).then(|| [along(3), along(4), along(5), along(6)])
    }

    fn text(self) -> String {
        let letter = char::from(b'a' + (self.v % 26) as u8);
        std::iter::repeat_n(letter, self.pad as usize).collect()
    }

    /// The whole row.
    pub fn row(self, id: i32) -> [Datum; 6] {
        let int = |n: Option<i32>| n.map_or(Datum::Null, Datum::Int4);
        let point = self.point().map_or(Datum::Null, |[x, y]| Datum::Point(Point { x, y }));
        let vector = self
            .vector()
            .map_or(Datum::Null, |v| Datum::Array(Arc::new(Array::from_f32s(v.to_vec()))));
        [Datum::Int4(id), int(self.k()), int(self.u()), point, vector, Datum::text(self.text())]
    }
}

/// The indexes that are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Primary,
    Key,
    KeyAndId,
    Unique,
    Spatial,
    Hnsw,
    Ivfflat,
}

/// All but the primary key.
pub const KINDS: [Kind; 6] =
    [Kind::Key, Kind::KeyAndId, Kind::Unique, Kind::Spatial, Kind::Hnsw, Kind::Ivfflat];

pub fn new_table(oid: Oid, persistence: Persistence) -> Object {
    let columns = [
        ("id", oid::INT4),
        ("k", oid::INT4),
        ("u", oid::INT4),
        ("pos", oid::POINT),
        ("vec", oid::FLOAT4_ARRAY),
        ("pad", oid::TEXT),
    ];
    table_object(oid, &format!("t{oid}"), persistence, &columns)
}

pub fn new_index(oid: Oid, table: Oid, kind: Kind) -> Object {
    let ivf: &[(&str, &str)] =
        &[("dimension", "4"), ("clustering_type", "1"), ("clustering_params", "1000,3")];
    let (method, columns, unique, options): (_, &[i16], _, _) = match kind {
        Kind::Primary => (IndexMethod::Btree, &[1], true, &[][..]),
        Kind::Key => (IndexMethod::Btree, &[2], false, &[][..]),
        Kind::KeyAndId => (IndexMethod::Btree, &[2, 1], false, &[][..]),
        Kind::Unique => (IndexMethod::Btree, &[3], true, &[][..]),
        Kind::Spatial => (IndexMethod::Spatial, &[4], false, &[][..]),
        Kind::Hnsw => (IndexMethod::Hnsw, &[5], false, &[("dim", "4")][..]),
        Kind::Ivfflat => (IndexMethod::Ivfflat, &[5], false, ivf),
    };
    index_object(oid, &format!("i{oid}"), table, method, columns, unique, options)
}
