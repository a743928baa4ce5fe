#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::sync::Arc;

use vicinity_storage::Catalog;
use vicinity_types::oid::*;

use super::{CoerceContext, Resolver, Target};
use crate::session_state::SessionState;

fn with(f: impl FnOnce(Resolver<'_>)) {
    let catalog = Arc::new(Catalog::bootstrap());
    let session = SessionState::new("postgres", "postgres", 1);
    f(Resolver { catalog: &catalog, session: &session });
}

#[test]
fn operators() {
    with(|r| {
        let op = |name, l, right| r.operator(None, name, Some(l), right).map(|o| (o.left, o.right, o.result));
        assert_eq!(op("+", INT4, INT4).unwrap(), (INT4, INT4, INT4));
        assert_eq!(op("+", INT2, INT8).unwrap(), (INT2, INT8, INT8));
        assert_eq!(op("*", FLOAT4, INT4).unwrap(), (FLOAT8, FLOAT8, FLOAT8));
        assert_eq!(op("/", FLOAT8, NUMERIC).unwrap(), (FLOAT8, FLOAT8, FLOAT8));
        assert_eq!(op("=", INT4, UNKNOWN).unwrap(), (INT4, INT4, BOOL));
        assert_eq!(op("||", TEXT, INT4).unwrap().2, TEXT);
        assert_eq!(op("=", NAME, TEXT).unwrap().2, BOOL);
        assert_eq!(op("=", VARCHAR, TEXT).unwrap(), (TEXT, TEXT, BOOL));
        assert_eq!(op("@>", CIRCLE, POINT).unwrap().2, BOOL);
        let e = op("+", INT4, TEXT).unwrap_err();
        assert_eq!(e.message(), "operator does not exist: integer + text");
        assert_eq!(e.code().as_str(), "42883");
    });
}

#[test]
fn functions() {
    with(|r| {
        let f = |name: &str, args: &[u32]| {
            r.function(None, name, args, &vec![None; args.len()], false).map(|f| (f.args, f.ret))
        };
        assert_eq!(f("abs", &[INT4]).unwrap(), (vec![INT4], INT4));
        assert_eq!(f("round", &[FLOAT8]).unwrap(), (vec![FLOAT8], FLOAT8));
        assert_eq!(f("round", &[INT4]).unwrap(), (vec![FLOAT8], FLOAT8));
        assert_eq!(f("length", &[UNKNOWN]).unwrap(), (vec![TEXT], INT4));
        assert_eq!(f("array_length", &[FLOAT4_ARRAY, INT4]).unwrap().1, INT4);
        assert_eq!(f("array_agg", &[FLOAT4]).unwrap().1, FLOAT4_ARRAY);
        assert_eq!(f("unnest", &[FLOAT4_ARRAY]).unwrap().1, FLOAT4);
        assert_eq!(f("point", &[FLOAT8, FLOAT8]).unwrap().1, POINT);
        assert_eq!(f("point", &[INT4, INT4]).unwrap().0, vec![FLOAT8, FLOAT8]);
        let e = f("nosuch", &[INT4]).unwrap_err();
        assert_eq!(e.message(), "function nosuch(integer) does not exist");
        let format = r.function(None, "format", &[UNKNOWN, INT4], &[None, None], false).unwrap();
        assert!(matches!(format.target, Target::Builtin(_)) && format.variadic_from.is_none());
    });
}

#[test]
fn common_types() {
    with(|r| {
        assert_eq!(r.common_type(&[INT4, INT8], "CASE").unwrap(), INT8);
        assert_eq!(r.common_type(&[INT4, NUMERIC, UNKNOWN], "UNION").unwrap(), NUMERIC);
        assert_eq!(r.common_type(&[UNKNOWN, UNKNOWN], "UNION").unwrap(), TEXT);
        assert_eq!(
            r.common_type(&[INT4, BOOL], "CASE").unwrap_err().message(),
            "CASE types integer and boolean cannot be matched"
        );
    });
}

#[test]
fn type_names() {
    with(|r| {
        let t = |name| r.type_named(name).map(|t| (t.oid, t.typmod));
        assert_eq!(t("int").unwrap(), (INT4, -1));
        assert_eq!(t("float4[]").unwrap(), (FLOAT4_ARRAY, -1));
        assert_eq!(t("numeric(10,2)").unwrap(), (NUMERIC, (10 << 16 | 2) + 4));
        assert_eq!(t("time(0)").unwrap(), (TIME, 0));
        assert_eq!(t("TIMESTAMP(3) WITH TIME ZONE").unwrap(), (TIMESTAMPTZ, 3));
        assert_eq!(t("character varying(20)").unwrap(), (VARCHAR, 24));
        assert_eq!(t("char").unwrap(), (BPCHAR, 5));
        assert_eq!(t("double precision").unwrap(), (FLOAT8, -1));
        assert_eq!(t("nosuch").unwrap_err().message(), "type \"nosuch\" does not exist");
        assert_eq!(t("pase").unwrap_err().code().as_str(), "42704");
    });
}

#[test]
fn coercions() {
    with(|r| {
        use CoerceContext::{Assignment, Explicit, Implicit};
        assert!(r.can_coerce(INT4, INT8, Implicit));
        assert!(!r.can_coerce(INT8, INT4, Implicit));
        assert!(r.can_coerce(INT8, INT4, Assignment));
        assert!(r.can_coerce(INT4_ARRAY, FLOAT4_ARRAY, Assignment));
        assert!(r.can_coerce(INT4, TEXT, Assignment));
        assert!(!r.can_coerce(INT4, TEXT, Implicit));
        assert!(r.can_coerce(TEXT, INT4, Explicit));
        assert!(!r.can_coerce(TEXT, INT4, Assignment));
    });
}
