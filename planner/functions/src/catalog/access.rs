//! Access methods, operator families and classes.

use std::collections::HashSet;

use vicinity_types::Oid;

use super::{tsv, type_exists};

/// A row of `pg_am`.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct AccessMethod {
    pub oid: Oid,
    pub name: &'static str,
    pub handler: Oid,
    /// `i` index, `t` table.
    pub kind: u8,
    pub extension: Option<&'static str>,
}

/// A row of `pg_opfamily`.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Opfamily {
    pub oid: Oid,
    pub method: Oid,
    pub name: &'static str,
    pub extension: Option<&'static str>,
}

/// A row of `pg_opclass`.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Opclass {
    pub oid: Oid,
    pub method: Oid,
    pub name: &'static str,
    pub family: Oid,
    pub input: Oid,
    pub default: bool,
    /// Type stored in the index, 0 for the input type.
    pub key: Oid,
    pub extension: Option<&'static str>,
}

/// A row of `pg_amop`.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Amop {
    pub oid: Oid,
    pub family: Oid,
    pub left: Oid,
    pub right: Oid,
    pub strategy: u16,
    /// `s` search, `o` ordering.
    pub purpose: u8,
    pub operator: Oid,
    pub method: Oid,
    pub sort_family: Oid,
    pub extension: Option<&'static str>,
}

/// A row of `pg_amproc`.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Amproc {
    pub oid: Oid,
    pub family: Oid,
    pub left: Oid,
    pub right: Oid,
    pub number: u16,
    pub proc: Oid,
}

/// Rows of the built-in file, then of the extension's.
macro_rules! both {
    ($name:literal, $build:expr) => {
        tsv::rows(include_str!(concat!("../../data/pg_", $name, ".tsv")))
            .map(|r| ($build)(r, None))
            .chain(
                tsv::rows(include_str!(concat!("../../data/pase_", $name, ".tsv")))
                    .map(|r| ($build)(r, Some("pase"))),
            )
    };
}

pub(super) fn load_methods() -> Vec<AccessMethod> {
    both!("am", |mut r: tsv::Row, extension| AccessMethod {
        oid: r.oid(),
        name: r.text(),
        handler: r.oid(),
        kind: r.byte(),
        extension,
    })
    .collect()
}

pub(super) fn load_opclasses() -> Vec<Opclass> {
    both!("opclass", |mut r: tsv::Row, extension| Opclass {
        oid: r.oid(),
        method: r.oid(),
        name: r.text(),
        family: r.oid(),
        input: r.oid(),
        default: r.flag(),
        key: r.oid(),
        extension,
    })
    .filter(|c| type_exists(c.input))
    .collect()
}

/// Families that a class is left of.
pub(super) fn load_opfamilies(classes: &[Opclass]) -> Vec<Opfamily> {
    let used: HashSet<Oid> = classes.iter().map(|c| c.family).collect();
    both!("opfamily", |mut r: tsv::Row, extension| Opfamily {
        oid: r.oid(),
        method: r.oid(),
        name: r.text(),
        extension,
    })
    .filter(|f| used.contains(&f.oid))
    .collect()
}

pub(super) fn load_amops(families: &HashSet<Oid>, has_operator: &dyn Fn(Oid) -> bool) -> Vec<Amop> {
    both!("amop", |mut r: tsv::Row, extension| Amop {
        oid: r.oid(),
        family: r.oid(),
        left: r.oid(),
        right: r.oid(),
        strategy: r.number(),
        purpose: r.byte(),
        operator: r.oid(),
        method: r.oid(),
        sort_family: r.oid(),
        extension,
    })
    .filter(|a| families.contains(&a.family) && has_operator(a.operator))
    .collect()
}

pub(super) fn load_amprocs(families: &HashSet<Oid>, has_proc: &dyn Fn(Oid) -> bool) -> Vec<Amproc> {
    tsv::rows(include_str!("../../data/pg_amproc.tsv"))
        .map(|mut r| Amproc {
            oid: r.oid(),
            family: r.oid(),
            left: r.oid(),
            right: r.oid(),
            number: r.number(),
            proc: r.oid(),
        })
        .filter(|p| families.contains(&p.family) && has_proc(p.proc))
        .collect()
}
