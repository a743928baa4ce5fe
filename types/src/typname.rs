//! Type names: from an id to SQL's spelling, and from a spelling to an id.

use crate::datum::{Kind, Oid};
use crate::oid;

/// Size of a varlena header, which PostgreSQL adds to length and precision modifiers.
pub const VARHDRSZ: i32 = 4;

/// How values of a type are held. Ids that are no built-in type count as composites; who knows
/// better (enums, arrays over user types) passes the kind along instead.
pub fn kind_of(ty: Oid) -> Kind {
    oid::kind(ty).unwrap_or(Kind::Record)
}

/// A built-in type in SQL's spelling, as PostgreSQL's `format_type`; `???` for unknown ids.
///
/// A modifier of -1 tells that there is none; without one nothing is said of it. That makes a difference to types
/// whose SQL names alone stand for a length of 1: `bpchar` and `character`.
pub fn format_type(ty: Oid, typmod: Option<i32>) -> String {
    if let (Some(elem), false) =
        (oid::element_of(ty), matches!(ty, oid::INT2VECTOR | oid::OIDVECTOR))
    {
        return format!("{}[]", format_type(elem, typmod));
    }
    let unlimited = typmod.is_some_and(|n| n < 0);
    let typmod = typmod.unwrap_or(-1);
    let length =
        || if typmod > VARHDRSZ { format!("({})", typmod - VARHDRSZ) } else { String::new() };
    let precision = || if typmod >= 0 { format!("({typmod})") } else { String::new() };
    match ty {
        oid::BPCHAR if unlimited => "bpchar".to_owned(),
        oid::BIT if unlimited => "\"bit\"".to_owned(),
        oid::BPCHAR => format!("character{}", length()),
        oid::VARCHAR => format!("character varying{}", length()),
        oid::BIT => format!("bit{}", precision()),
        oid::VARBIT => format!("bit varying{}", precision()),
        oid::NUMERIC => format!("numeric{}", numeric_typmod(typmod)),
        oid::TIME => format!("time{} without time zone", precision()),
        oid::TIMETZ => format!("time{} with time zone", precision()),
        oid::TIMESTAMP => format!("timestamp{} without time zone", precision()),
        oid::TIMESTAMPTZ => format!("timestamp{} with time zone", precision()),
        oid::INTERVAL => format!("interval{}", interval_typmod(typmod)),
        _ => base_name(ty).unwrap_or("???").to_owned(),
    }
}

/// Precision and scale of a numeric modifier; the scale is a signed 11-bit number.
pub fn numeric_precision_scale(typmod: i32) -> Option<(i32, i32)> {
    if typmod < VARHDRSZ {
        return None;
    }
    let mods = typmod - VARHDRSZ;
    Some(((mods >> 16) & 0xffff, ((mods & 0x7ff) ^ 1024) - 1024))
}

fn numeric_typmod(typmod: i32) -> String {
    numeric_precision_scale(typmod).map_or(String::new(), |(p, s)| format!("({p},{s})"))
}

/// Field masks of an interval modifier (PostgreSQL's `INTERVAL_MASK`).
mod mask {
    pub(super) const MONTH: i32 = 1 << 1;
    pub(super) const YEAR: i32 = 1 << 2;
    pub(super) const DAY: i32 = 1 << 3;
    pub(super) const HOUR: i32 = 1 << 10;
    pub(super) const MINUTE: i32 = 1 << 11;
    pub(super) const SECOND: i32 = 1 << 12;
}

fn interval_typmod(typmod: i32) -> String {
    use mask::{DAY, HOUR, MINUTE, MONTH, SECOND, YEAR};
    if typmod < 0 {
        return String::new();
    }
    let range = (typmod >> 16) & 0x7fff;
    let precision = typmod & 0xffff;
    let fields = match range {
        YEAR => " year",
        MONTH => " month",
        DAY => " day",
        HOUR => " hour",
        MINUTE => " minute",
        SECOND => " second",
        r if r == YEAR | MONTH => " year to month",
        r if r == DAY | HOUR => " day to hour",
        r if r == DAY | HOUR | MINUTE => " day to minute",
        r if r == DAY | HOUR | MINUTE | SECOND => " day to second",
        r if r == HOUR | MINUTE => " hour to minute",
        r if r == HOUR | MINUTE | SECOND => " hour to second",
        r if r == MINUTE | SECOND => " minute to second",
        _ => "",
    };
    if precision == 0xffff { fields.to_owned() } else { format!("{fields}({precision})") }
}

/// Names of the built-in types, and pg_type's own name where SQL's differs.
const NAMES: &[(Oid, &str, &str)] = &[
    (oid::BOOL, "boolean", "bool"),
    (oid::BYTEA, "bytea", "bytea"),
    (oid::CHAR, "\"char\"", "char"),
    (oid::NAME, "name", "name"),
    (oid::INT8, "bigint", "int8"),
    (oid::INT2, "smallint", "int2"),
    (oid::INT2VECTOR, "int2vector", "int2vector"),
    (oid::INT4, "integer", "int4"),
    (oid::REGPROC, "regproc", "regproc"),
    (oid::TEXT, "text", "text"),
    (oid::OID, "oid", "oid"),
    (oid::TID, "tid", "tid"),
    (oid::XID, "xid", "xid"),
    (oid::CID, "cid", "cid"),
    (oid::OIDVECTOR, "oidvector", "oidvector"),
    (oid::JSON, "json", "json"),
    (oid::XML, "xml", "xml"),
    (oid::PG_NODE_TREE, "pg_node_tree", "pg_node_tree"),
    (oid::POINT, "point", "point"),
    (oid::LSEG, "lseg", "lseg"),
    (oid::PATH, "path", "path"),
    (oid::BOX, "box", "box"),
    (oid::POLYGON, "polygon", "polygon"),
    (oid::LINE, "line", "line"),
    (oid::FLOAT4, "real", "float4"),
    (oid::FLOAT8, "double precision", "float8"),
    (oid::UNKNOWN, "unknown", "unknown"),
    (oid::CIRCLE, "circle", "circle"),
    (oid::ACLITEM, "aclitem", "aclitem"),
    (oid::BPCHAR, "character", "bpchar"),
    (oid::VARCHAR, "character varying", "varchar"),
    (oid::DATE, "date", "date"),
    (oid::TIME, "time without time zone", "time"),
    (oid::TIMESTAMP, "timestamp without time zone", "timestamp"),
    (oid::TIMESTAMPTZ, "timestamp with time zone", "timestamptz"),
    (oid::INTERVAL, "interval", "interval"),
    (oid::TIMETZ, "time with time zone", "timetz"),
    (oid::BIT, "bit", "bit"),
    (oid::VARBIT, "bit varying", "varbit"),
    (oid::NUMERIC, "numeric", "numeric"),
    (oid::REFCURSOR, "refcursor", "refcursor"),
    (oid::REGPROCEDURE, "regprocedure", "regprocedure"),
    (oid::REGOPER, "regoper", "regoper"),
    (oid::REGOPERATOR, "regoperator", "regoperator"),
    (oid::REGCLASS, "regclass", "regclass"),
    (oid::REGTYPE, "regtype", "regtype"),
    (oid::REGROLE, "regrole", "regrole"),
    (oid::REGNAMESPACE, "regnamespace", "regnamespace"),
    (oid::REGCONFIG, "regconfig", "regconfig"),
    (oid::REGDICTIONARY, "regdictionary", "regdictionary"),
    (oid::REGCOLLATION, "regcollation", "regcollation"),
    (oid::RECORD, "record", "record"),
    (oid::CSTRING, "cstring", "cstring"),
    (oid::ANY, "\"any\"", "any"),
    (oid::ANYARRAY, "anyarray", "anyarray"),
    (oid::VOID, "void", "void"),
    (oid::TRIGGER, "trigger", "trigger"),
    (oid::LANGUAGE_HANDLER, "language_handler", "language_handler"),
    (oid::INTERNAL, "internal", "internal"),
    (oid::ANYELEMENT, "anyelement", "anyelement"),
    (oid::ANYNONARRAY, "anynonarray", "anynonarray"),
    (oid::UUID, "uuid", "uuid"),
    (oid::ANYENUM, "anyenum", "anyenum"),
    (oid::EVENT_TRIGGER, "event_trigger", "event_trigger"),
    (oid::INDEX_AM_HANDLER, "index_am_handler", "index_am_handler"),
    (oid::TABLE_AM_HANDLER, "table_am_handler", "table_am_handler"),
    (oid::FDW_HANDLER, "fdw_handler", "fdw_handler"),
    (oid::ANYCOMPATIBLE, "anycompatible", "anycompatible"),
    (oid::ANYCOMPATIBLEARRAY, "anycompatiblearray", "anycompatiblearray"),
    (oid::ANYCOMPATIBLENONARRAY, "anycompatiblenonarray", "anycompatiblenonarray"),
    (oid::JSONB, "jsonb", "jsonb"),
    (oid::TXID_SNAPSHOT, "txid_snapshot", "txid_snapshot"),
    (oid::PG_LSN, "pg_lsn", "pg_lsn"),
    (oid::XID8, "xid8", "xid8"),
    (oid::PASE, "pase", "pase"),
];

fn base_name(ty: Oid) -> Option<&'static str> {
    NAMES.iter().find(|(id, _, _)| *id == ty).map(|(_, sql, _)| *sql)
}

/// The name pg_type has for a built-in type: `int4`, `_int4`, `bpchar`.
pub fn pg_type_name(ty: Oid) -> Option<String> {
    if let (Some(elem), false) =
        (oid::element_of(ty), matches!(ty, oid::INT2VECTOR | oid::OIDVECTOR))
    {
        return Some(format!("_{}", pg_type_name(elem)?));
    }
    NAMES.iter().find(|(id, _, _)| *id == ty).map(|(_, _, name)| (*name).to_owned())
}

/// Spellings of SQL's grammar that no pg_type row has.
const ALIASES: &[(&str, Oid)] = &[
    ("boolean", oid::BOOL),
    ("bigint", oid::INT8),
    ("smallint", oid::INT2),
    ("integer", oid::INT4),
    ("int", oid::INT4),
    ("real", oid::FLOAT4),
    ("float", oid::FLOAT8),
    ("double precision", oid::FLOAT8),
    ("decimal", oid::NUMERIC),
    ("dec", oid::NUMERIC),
    ("character", oid::BPCHAR),
    ("char", oid::BPCHAR),
    ("nchar", oid::BPCHAR),
    ("national character", oid::BPCHAR),
    ("national char", oid::BPCHAR),
    ("bit varying", oid::VARBIT),
    ("character varying", oid::VARCHAR),
    ("char varying", oid::VARCHAR),
    ("nchar varying", oid::VARCHAR),
    ("national character varying", oid::VARCHAR),
    ("national char varying", oid::VARCHAR),
    ("time without time zone", oid::TIME),
    ("time with time zone", oid::TIMETZ),
    ("timestamp without time zone", oid::TIMESTAMP),
    ("timestamp with time zone", oid::TIMESTAMPTZ),
    ("\"char\"", oid::CHAR),
];

/// A built-in type by any of its names: `int4`, `integer`, `_int4`, `integer[]`, `"char"`.
///
/// The name is folded to lower case unless quoted; `pg_catalog.` in front is dropped; modifiers
/// (`(10)`) are the caller's. Unquoted `char` is SQL's `character`.
pub fn lookup_type_name(name: &str) -> Option<Oid> {
    let name = name.trim();
    if let Some(elem) = name.strip_suffix("[]") {
        let elem = lookup_type_name(elem)?;
        return if is_array(elem) { Some(elem) } else { oid::array_of(elem) };
    }
    let folded = name.to_ascii_lowercase();
    let (folded, qualified) = match folded.strip_prefix("pg_catalog.") {
        Some(rest) => (rest, true),
        None => (folded.as_str(), false),
    };
    let folded = folded.split_whitespace().collect::<Vec<_>>().join(" ");
    let alias = ALIASES.iter().find(|(alias, _)| *alias == folded).map(|(_, id)| *id);
    match alias {
        Some(oid::BPCHAR) if qualified && folded == "char" => Some(oid::CHAR),
        Some(id) => Some(id),
        None => by_pg_name(folded.trim_matches('"')),
    }
}

/// A built-in type by pg_type's own name: `int4`, `_int4`, `char` (the one-byte type).
pub fn by_pg_name(name: &str) -> Option<Oid> {
    if let Some((id, _, _)) = NAMES.iter().find(|(_, _, pg)| *pg == name) {
        return Some(*id);
    }
    let elem = name.strip_prefix('_')?;
    let (id, _, _) = NAMES.iter().find(|(_, _, pg)| *pg == elem)?;
    oid::array_of(*id)
}

/// Whether a built-in type is an array type proper (int2vector and oidvector are not).
pub fn is_array(ty: Oid) -> bool {
    oid::element_of(ty).is_some() && !matches!(ty, oid::INT2VECTOR | oid::OIDVECTOR)
}
