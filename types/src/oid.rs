//! Object ids PostgreSQL fixes for its built-in types, and the ids of the bundled `pase` extension.
//!
//! Source: PostgreSQL 15's `pg_type.dat`. Extension objects keep fixed ids from the block
//! 16384..16640, so that a catalog listing reads the same on every server.

use crate::datum::{Kind, Oid};

/// Objects that PostgreSQL does not bring itself have this id or a higher one.
pub const FIRST_MADE: Oid = 16_384;

/// `bool`
pub const BOOL: Oid = 16;
/// `bool[]`
pub const BOOL_ARRAY: Oid = 1000;
/// `bytea`
pub const BYTEA: Oid = 17;
/// `bytea[]`
pub const BYTEA_ARRAY: Oid = 1001;
/// `char`
pub const CHAR: Oid = 18;
/// `char[]`
pub const CHAR_ARRAY: Oid = 1002;
/// `name`
pub const NAME: Oid = 19;
/// `name[]`
pub const NAME_ARRAY: Oid = 1003;
/// `int8`
pub const INT8: Oid = 20;
/// `int8[]`
pub const INT8_ARRAY: Oid = 1016;
/// `int2`
pub const INT2: Oid = 21;
/// `int2[]`
pub const INT2_ARRAY: Oid = 1005;
/// `int2vector`
pub const INT2VECTOR: Oid = 22;
/// `int2vector[]`
pub const INT2VECTOR_ARRAY: Oid = 1006;
/// `int4`
pub const INT4: Oid = 23;
/// `int4[]`
pub const INT4_ARRAY: Oid = 1007;
/// `regproc`
pub const REGPROC: Oid = 24;
/// `regproc[]`
pub const REGPROC_ARRAY: Oid = 1008;
/// `text`
pub const TEXT: Oid = 25;
/// `text[]`
pub const TEXT_ARRAY: Oid = 1009;
/// `oid`
pub const OID: Oid = 26;
/// `oid[]`
pub const OID_ARRAY: Oid = 1028;
/// `tid`
pub const TID: Oid = 27;
/// `tid[]`
pub const TID_ARRAY: Oid = 1010;
/// `xid`
pub const XID: Oid = 28;
/// `xid[]`
pub const XID_ARRAY: Oid = 1011;
/// `cid`
pub const CID: Oid = 29;
/// `cid[]`
pub const CID_ARRAY: Oid = 1012;
/// `oidvector`
pub const OIDVECTOR: Oid = 30;
/// `oidvector[]`
pub const OIDVECTOR_ARRAY: Oid = 1013;
/// `json`
pub const JSON: Oid = 114;
/// `json[]`
pub const JSON_ARRAY: Oid = 199;
/// `xml`
pub const XML: Oid = 142;
/// `xml[]`
pub const XML_ARRAY: Oid = 143;
/// `pg_node_tree`
pub const PG_NODE_TREE: Oid = 194;
/// `point`
pub const POINT: Oid = 600;
/// `point[]`
pub const POINT_ARRAY: Oid = 1017;
/// `lseg`
pub const LSEG: Oid = 601;
/// `lseg[]`
pub const LSEG_ARRAY: Oid = 1018;
/// `path`
pub const PATH: Oid = 602;
/// `path[]`
pub const PATH_ARRAY: Oid = 1019;
/// `box`
pub const BOX: Oid = 603;
/// `box[]`
pub const BOX_ARRAY: Oid = 1020;
/// `polygon`
pub const POLYGON: Oid = 604;
/// `polygon[]`
pub const POLYGON_ARRAY: Oid = 1027;
/// `line`
pub const LINE: Oid = 628;
/// `line[]`
pub const LINE_ARRAY: Oid = 629;
/// `float4`
pub const FLOAT4: Oid = 700;
/// `float4[]`
pub const FLOAT4_ARRAY: Oid = 1021;
/// `float8`
pub const FLOAT8: Oid = 701;
/// `float8[]`
pub const FLOAT8_ARRAY: Oid = 1022;
/// `unknown`
pub const UNKNOWN: Oid = 705;
/// `circle`
pub const CIRCLE: Oid = 718;
/// `circle[]`
pub const CIRCLE_ARRAY: Oid = 719;
/// `aclitem`
pub const ACLITEM: Oid = 1033;
/// `aclitem[]`
pub const ACLITEM_ARRAY: Oid = 1034;
/// `bpchar`
pub const BPCHAR: Oid = 1042;
/// `bpchar[]`
pub const BPCHAR_ARRAY: Oid = 1014;
/// `varchar`
pub const VARCHAR: Oid = 1043;
/// `varchar[]`
pub const VARCHAR_ARRAY: Oid = 1015;
/// `date`
pub const DATE: Oid = 1082;
/// `date[]`
pub const DATE_ARRAY: Oid = 1182;
/// `time`
pub const TIME: Oid = 1083;
/// `time[]`
pub const TIME_ARRAY: Oid = 1183;
/// `timestamp`
pub const TIMESTAMP: Oid = 1114;
/// `timestamp[]`
pub const TIMESTAMP_ARRAY: Oid = 1115;
/// `timestamptz`
pub const TIMESTAMPTZ: Oid = 1184;
/// `timestamptz[]`
pub const TIMESTAMPTZ_ARRAY: Oid = 1185;
/// `interval`
pub const INTERVAL: Oid = 1186;
/// `interval[]`
pub const INTERVAL_ARRAY: Oid = 1187;
/// `bit`
pub const BIT: Oid = 1560;
/// `bit[]`
pub const BIT_ARRAY: Oid = 1561;
/// `varbit`
pub const VARBIT: Oid = 1562;
/// `varbit[]`
pub const VARBIT_ARRAY: Oid = 1563;
/// `timetz`
pub const TIMETZ: Oid = 1266;
/// `timetz[]`
pub const TIMETZ_ARRAY: Oid = 1270;
/// `numeric`
pub const NUMERIC: Oid = 1700;
/// `numeric[]`
pub const NUMERIC_ARRAY: Oid = 1231;
/// `refcursor`
pub const REFCURSOR: Oid = 1790;
/// `refcursor[]`
pub const REFCURSOR_ARRAY: Oid = 2201;
/// `regprocedure`
pub const REGPROCEDURE: Oid = 2202;
/// `regprocedure[]`
pub const REGPROCEDURE_ARRAY: Oid = 2207;
/// `regoper`
pub const REGOPER: Oid = 2203;
/// `regoper[]`
pub const REGOPER_ARRAY: Oid = 2208;
/// `regoperator`
pub const REGOPERATOR: Oid = 2204;
/// `regoperator[]`
pub const REGOPERATOR_ARRAY: Oid = 2209;
/// `regclass`
pub const REGCLASS: Oid = 2205;
/// `regclass[]`
pub const REGCLASS_ARRAY: Oid = 2210;
/// `regtype`
pub const REGTYPE: Oid = 2206;
/// `regtype[]`
pub const REGTYPE_ARRAY: Oid = 2211;
/// `regrole`
pub const REGROLE: Oid = 4096;
/// `regrole[]`
pub const REGROLE_ARRAY: Oid = 4097;
/// `regnamespace`
pub const REGNAMESPACE: Oid = 4089;
/// `regnamespace[]`
pub const REGNAMESPACE_ARRAY: Oid = 4090;
/// `regconfig`
pub const REGCONFIG: Oid = 3734;
/// `regconfig[]`
pub const REGCONFIG_ARRAY: Oid = 3735;
/// `regdictionary`
pub const REGDICTIONARY: Oid = 3769;
/// `regdictionary[]`
pub const REGDICTIONARY_ARRAY: Oid = 3770;
/// `regcollation`
pub const REGCOLLATION: Oid = 4191;
/// `regcollation[]`
pub const REGCOLLATION_ARRAY: Oid = 4192;
/// `record`
pub const RECORD: Oid = 2249;
/// `record[]`
pub const RECORD_ARRAY: Oid = 2287;
/// `cstring`
pub const CSTRING: Oid = 2275;
/// `cstring[]`
pub const CSTRING_ARRAY: Oid = 1263;
/// `any`
pub const ANY: Oid = 2276;
/// `anyarray`
pub const ANYARRAY: Oid = 2277;
/// `void`
pub const VOID: Oid = 2278;
/// `trigger`
pub const TRIGGER: Oid = 2279;
/// `language_handler`
pub const LANGUAGE_HANDLER: Oid = 2280;
/// `internal`
pub const INTERNAL: Oid = 2281;
/// `anyelement`
pub const ANYELEMENT: Oid = 2283;
/// `anynonarray`
pub const ANYNONARRAY: Oid = 2776;
/// `uuid`
pub const UUID: Oid = 2950;
/// `uuid[]`
pub const UUID_ARRAY: Oid = 2951;
/// `anyenum`
pub const ANYENUM: Oid = 3500;
/// `event_trigger`
pub const EVENT_TRIGGER: Oid = 3838;
/// `index_am_handler`
pub const INDEX_AM_HANDLER: Oid = 325;
/// `table_am_handler`
pub const TABLE_AM_HANDLER: Oid = 269;
/// `fdw_handler`
pub const FDW_HANDLER: Oid = 3115;
/// `anycompatible`
pub const ANYCOMPATIBLE: Oid = 5077;
/// `anycompatiblearray`
pub const ANYCOMPATIBLEARRAY: Oid = 5078;
/// `anycompatiblenonarray`
pub const ANYCOMPATIBLENONARRAY: Oid = 5079;
/// `jsonb`
pub const JSONB: Oid = 3802;
/// `jsonb[]`
pub const JSONB_ARRAY: Oid = 3807;
/// `txid_snapshot`
pub const TXID_SNAPSHOT: Oid = 2970;
/// `txid_snapshot[]`
pub const TXID_SNAPSHOT_ARRAY: Oid = 2949;
/// `pg_lsn`
pub const PG_LSN: Oid = 3220;
/// `pg_lsn[]`
pub const PG_LSN_ARRAY: Oid = 3221;
/// `xid8`
pub const XID8: Oid = 5069;
/// `xid8[]`
pub const XID8_ARRAY: Oid = 271;
/// `pase`
pub const PASE: Oid = 16385;
/// `pase[]`
pub const PASE_ARRAY: Oid = 16386;

/// The first id given to a user's object.
pub const FIRST_USER: Oid = 16640;

/// How values of a built-in type are held; `None` for ids that are no built-in type.
pub fn kind(oid: Oid) -> Option<Kind> {
    Some(match oid {
        BOOL => Kind::Bool,
        BOOL_ARRAY | BYTEA_ARRAY | CHAR_ARRAY | NAME_ARRAY | INT8_ARRAY | INT2_ARRAY
        | INT2VECTOR | INT2VECTOR_ARRAY | INT4_ARRAY | REGPROC_ARRAY | TEXT_ARRAY | OID_ARRAY
        | TID_ARRAY | XID_ARRAY | CID_ARRAY | OIDVECTOR | OIDVECTOR_ARRAY | JSON_ARRAY
        | XML_ARRAY | POINT_ARRAY | LSEG_ARRAY | PATH_ARRAY | BOX_ARRAY | POLYGON_ARRAY
        | LINE_ARRAY | FLOAT4_ARRAY | FLOAT8_ARRAY | CIRCLE_ARRAY | ACLITEM_ARRAY
        | BPCHAR_ARRAY | VARCHAR_ARRAY | DATE_ARRAY | TIME_ARRAY | TIMESTAMP_ARRAY
        | TIMESTAMPTZ_ARRAY | INTERVAL_ARRAY | TIMETZ_ARRAY | BIT_ARRAY | VARBIT_ARRAY
        | NUMERIC_ARRAY | REFCURSOR_ARRAY | REGPROCEDURE_ARRAY | REGOPER_ARRAY
        | REGOPERATOR_ARRAY | REGCLASS_ARRAY | REGTYPE_ARRAY | REGROLE_ARRAY
        | REGNAMESPACE_ARRAY | REGCONFIG_ARRAY | REGDICTIONARY_ARRAY | REGCOLLATION_ARRAY
        | RECORD_ARRAY | CSTRING_ARRAY | ANYARRAY | UUID_ARRAY | ANYCOMPATIBLEARRAY
        | JSONB_ARRAY | TXID_SNAPSHOT_ARRAY | PG_LSN_ARRAY | XID8_ARRAY | PASE_ARRAY => Kind::Array,
        BYTEA => Kind::Bytea,
        CHAR
        | NAME
        | TEXT
        | JSON
        | XML
        | PG_NODE_TREE
        | UNKNOWN
        | ACLITEM
        | VARCHAR
        | REFCURSOR
        | CSTRING
        | ANY
        | VOID
        | TRIGGER
        | LANGUAGE_HANDLER
        | INTERNAL
        | ANYELEMENT
        | ANYNONARRAY
        | ANYENUM
        | EVENT_TRIGGER
        | INDEX_AM_HANDLER
        | TABLE_AM_HANDLER
        | FDW_HANDLER
        | ANYCOMPATIBLE
        | ANYCOMPATIBLENONARRAY
        | TXID_SNAPSHOT => Kind::Text,
        BPCHAR => Kind::Bpchar,
        INT8 | PG_LSN | XID8 => Kind::Int8,
        INT2 => Kind::Int2,
        INT4 => Kind::Int4,
        REGPROC | OID | XID | CID | REGPROCEDURE | REGOPER | REGOPERATOR | REGCLASS | REGTYPE
        | REGROLE | REGNAMESPACE | REGCONFIG | REGDICTIONARY | REGCOLLATION => Kind::Oid,
        TID => Kind::Tid,
        POINT => Kind::Point,
        LSEG => Kind::Lseg,
        PATH => Kind::Path,
        BOX => Kind::Box,
        POLYGON => Kind::Polygon,
        LINE => Kind::Line,
        FLOAT4 => Kind::Float4,
        FLOAT8 => Kind::Float8,
        CIRCLE => Kind::Circle,
        DATE => Kind::Date,
        TIME => Kind::Time,
        TIMESTAMP => Kind::Timestamp,
        TIMESTAMPTZ => Kind::TimestampTz,
        INTERVAL => Kind::Interval,
        TIMETZ => Kind::TimeTz,
        BIT | VARBIT => Kind::Bits,
        NUMERIC => Kind::Numeric,
        RECORD => Kind::Record,
        UUID => Kind::Uuid,
        JSONB => Kind::Jsonb,
        PASE => Kind::Pase,
        _ => return None,
    })
}

/// The element type of a built-in array type.
pub fn element_of(array: Oid) -> Option<Oid> {
    Some(match array {
        BOOL_ARRAY => BOOL,
        BYTEA_ARRAY => BYTEA,
        CHAR_ARRAY => CHAR,
        NAME_ARRAY => NAME,
        INT8_ARRAY => INT8,
        INT2_ARRAY => INT2,
        INT2VECTOR_ARRAY => INT2VECTOR,
        INT4_ARRAY => INT4,
        REGPROC_ARRAY => REGPROC,
        TEXT_ARRAY => TEXT,
        OID_ARRAY => OID,
        TID_ARRAY => TID,
        XID_ARRAY => XID,
        CID_ARRAY => CID,
        OIDVECTOR_ARRAY => OIDVECTOR,
        JSON_ARRAY => JSON,
        XML_ARRAY => XML,
        POINT_ARRAY => POINT,
        LSEG_ARRAY => LSEG,
        PATH_ARRAY => PATH,
        BOX_ARRAY => BOX,
        POLYGON_ARRAY => POLYGON,
        LINE_ARRAY => LINE,
        FLOAT4_ARRAY => FLOAT4,
        FLOAT8_ARRAY => FLOAT8,
        CIRCLE_ARRAY => CIRCLE,
        ACLITEM_ARRAY => ACLITEM,
        BPCHAR_ARRAY => BPCHAR,
        VARCHAR_ARRAY => VARCHAR,
        DATE_ARRAY => DATE,
        TIME_ARRAY => TIME,
        TIMESTAMP_ARRAY => TIMESTAMP,
        TIMESTAMPTZ_ARRAY => TIMESTAMPTZ,
        INTERVAL_ARRAY => INTERVAL,
        TIMETZ_ARRAY => TIMETZ,
        BIT_ARRAY => BIT,
        VARBIT_ARRAY => VARBIT,
        NUMERIC_ARRAY => NUMERIC,
        REFCURSOR_ARRAY => REFCURSOR,
        REGPROCEDURE_ARRAY => REGPROCEDURE,
        REGOPER_ARRAY => REGOPER,
        REGOPERATOR_ARRAY => REGOPERATOR,
        REGCLASS_ARRAY => REGCLASS,
        REGTYPE_ARRAY => REGTYPE,
        REGROLE_ARRAY => REGROLE,
        REGNAMESPACE_ARRAY => REGNAMESPACE,
        REGCONFIG_ARRAY => REGCONFIG,
        REGDICTIONARY_ARRAY => REGDICTIONARY,
        REGCOLLATION_ARRAY => REGCOLLATION,
        RECORD_ARRAY => RECORD,
        CSTRING_ARRAY => CSTRING,
        UUID_ARRAY => UUID,
        JSONB_ARRAY => JSONB,
        TXID_SNAPSHOT_ARRAY => TXID_SNAPSHOT,
        PG_LSN_ARRAY => PG_LSN,
        XID8_ARRAY => XID8,
        PASE_ARRAY => PASE,
        INT2VECTOR => INT2,
        OIDVECTOR => OID,
        _ => return None,
    })
}

/// The array type over a built-in element type.
pub fn array_of(elem: Oid) -> Option<Oid> {
    Some(match elem {
        BOOL => BOOL_ARRAY,
        BYTEA => BYTEA_ARRAY,
        CHAR => CHAR_ARRAY,
        NAME => NAME_ARRAY,
        INT8 => INT8_ARRAY,
        INT2 => INT2_ARRAY,
        INT2VECTOR => INT2VECTOR_ARRAY,
        INT4 => INT4_ARRAY,
        REGPROC => REGPROC_ARRAY,
        TEXT => TEXT_ARRAY,
        OID => OID_ARRAY,
        TID => TID_ARRAY,
        XID => XID_ARRAY,
        CID => CID_ARRAY,
        OIDVECTOR => OIDVECTOR_ARRAY,
        JSON => JSON_ARRAY,
        XML => XML_ARRAY,
        POINT => POINT_ARRAY,
        LSEG => LSEG_ARRAY,
        PATH => PATH_ARRAY,
        BOX => BOX_ARRAY,
        POLYGON => POLYGON_ARRAY,
        LINE => LINE_ARRAY,
        FLOAT4 => FLOAT4_ARRAY,
        FLOAT8 => FLOAT8_ARRAY,
        CIRCLE => CIRCLE_ARRAY,
        ACLITEM => ACLITEM_ARRAY,
        BPCHAR => BPCHAR_ARRAY,
        VARCHAR => VARCHAR_ARRAY,
        DATE => DATE_ARRAY,
        TIME => TIME_ARRAY,
        TIMESTAMP => TIMESTAMP_ARRAY,
        TIMESTAMPTZ => TIMESTAMPTZ_ARRAY,
        INTERVAL => INTERVAL_ARRAY,
        TIMETZ => TIMETZ_ARRAY,
        BIT => BIT_ARRAY,
        VARBIT => VARBIT_ARRAY,
        NUMERIC => NUMERIC_ARRAY,
        REFCURSOR => REFCURSOR_ARRAY,
        REGPROCEDURE => REGPROCEDURE_ARRAY,
        REGOPER => REGOPER_ARRAY,
        REGOPERATOR => REGOPERATOR_ARRAY,
        REGCLASS => REGCLASS_ARRAY,
        REGTYPE => REGTYPE_ARRAY,
        REGROLE => REGROLE_ARRAY,
        REGNAMESPACE => REGNAMESPACE_ARRAY,
        REGCONFIG => REGCONFIG_ARRAY,
        REGDICTIONARY => REGDICTIONARY_ARRAY,
        REGCOLLATION => REGCOLLATION_ARRAY,
        RECORD => RECORD_ARRAY,
        CSTRING => CSTRING_ARRAY,
        UUID => UUID_ARRAY,
        JSONB => JSONB_ARRAY,
        TXID_SNAPSHOT => TXID_SNAPSHOT_ARRAY,
        PG_LSN => PG_LSN_ARRAY,
        XID8 => XID8_ARRAY,
        PASE => PASE_ARRAY,
        _ => return None,
    })
}
