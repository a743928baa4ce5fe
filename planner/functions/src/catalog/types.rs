//! `pg_type`, `pg_language`, `pg_collation` and `pg_description`.

use vicinity_types::Oid;

use super::{tsv, type_exists};

/// A row of `pg_type`.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct TypeInfo {
    pub oid: Oid,
    pub name: &'static str,
    /// Bytes, -1 for varying, -2 for C strings.
    pub len: i16,
    pub by_value: bool,
    /// `b` base, `p` pseudo.
    pub kind: u8,
    /// `N` numeric, `S` string, `A` array, `D` date and time...
    pub category: u8,
    pub preferred: bool,
    pub defined: bool,
    pub delimiter: u8,
    pub subscript: Oid,
    pub elem: Oid,
    pub array: Oid,
    pub input: Oid,
    pub output: Oid,
    pub receive: Oid,
    pub send: Oid,
    pub modin: Oid,
    pub modout: Oid,
    pub analyze: Oid,
    pub align: u8,
    pub storage: u8,
    pub collation: Oid,
    pub extension: Option<&'static str>,
}

/// A row of `pg_language`.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Language {
    pub oid: Oid,
    pub name: &'static str,
    pub is_procedural: bool,
    pub trusted: bool,
    pub call_handler: Oid,
    pub inline_handler: Oid,
    pub validator: Oid,
}

/// A row of `pg_collation`.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Collation {
    pub oid: Oid,
    pub name: &'static str,
    pub provider: u8,
    pub deterministic: bool,
    pub encoding: i32,
    pub collate: Option<&'static str>,
    pub ctype: Option<&'static str>,
}

/// A row of `pg_description` about a whole object.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct Description {
    pub object: Oid,
    /// The catalog the object is in: `pg_proc`, `pg_operator`, ...
    pub class: &'static str,
    pub text: &'static str,
}

pub(super) fn load() -> Vec<TypeInfo> {
    let built_in = tsv::rows(include_str!("../../data/pg_type.tsv")).map(|r| type_info(r, None));
    let pase =
        tsv::rows(include_str!("../../data/pase_type.tsv")).map(|r| type_info(r, Some("pase")));
    built_in.chain(pase).filter(|t| type_exists(t.oid)).collect()
}

/// The names of all of PostgreSQL's types, and what SQL calls them where that is something else.
pub(super) fn all_names() -> impl Iterator<Item = &'static str> {
    let rows = tsv::rows(include_str!("../../data/pg_type.tsv"));
    rows.map(|mut r| {
        r.oid();
        r.text()
    })
    .chain(["bit varying"])
}

fn type_info(mut r: tsv::Row, extension: Option<&'static str>) -> TypeInfo {
    TypeInfo {
        oid: r.oid(),
        name: r.text(),
        len: r.number(),
        by_value: r.flag(),
        kind: r.byte(),
        category: r.byte(),
        preferred: r.flag(),
        defined: r.flag(),
        delimiter: r.byte(),
        subscript: r.oid(),
        elem: r.oid(),
        array: r.oid(),
        input: r.oid(),
        output: r.oid(),
        receive: r.oid(),
        send: r.oid(),
        modin: r.oid(),
        modout: r.oid(),
        analyze: r.oid(),
        align: r.byte(),
        storage: r.byte(),
        collation: r.oid(),
        extension,
    }
}

pub(super) fn load_languages() -> Vec<Language> {
    tsv::rows(include_str!("../../data/pg_language.tsv"))
        .map(|mut r| Language {
            oid: r.oid(),
            name: r.text(),
            is_procedural: r.flag(),
            trusted: r.flag(),
            call_handler: r.oid(),
            inline_handler: r.oid(),
            validator: r.oid(),
        })
        .collect()
}

pub(super) fn load_collations() -> Vec<Collation> {
    tsv::rows(include_str!("../../data/pg_collation.tsv"))
        .map(|mut r| Collation {
            oid: r.oid(),
            name: r.text(),
            provider: r.byte(),
            deterministic: r.flag(),
            encoding: r.number(),
            collate: r.opt(),
            ctype: r.opt(),
        })
        .collect()
}

/// The catalogs objects of which are described.
const CLASSES: &[&str] = &[
    "pg_proc",
    "pg_operator",
    "pg_type",
    "pg_am",
    "pg_opclass",
    "pg_opfamily",
    "pg_language",
    "pg_collation",
    "pg_cast",
];

pub(super) fn class_name(class: &str) -> Option<&'static str> {
    CLASSES.iter().copied().find(|c| *c == class)
}

pub(super) fn load_descriptions(exists: &dyn Fn(&str, Oid) -> bool) -> Vec<Description> {
    tsv::rows(include_str!("../../data/pg_description.tsv"))
        .filter_map(|mut r| {
            let (object, class) = (r.oid(), class_name(r.text())?);
            let _column = r.text();
            Some(Description { object, class, text: r.text() })
        })
        .filter(|d| exists(d.class, d.object))
        .collect()
}
