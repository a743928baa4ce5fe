//! The catalog's files are whole, and what points at something finds it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::HashSet;

use vicinity_functions as f;
use vicinity_types::oid;

#[test]
fn rows_point_at_rows() {
    for o in f::operators() {
        assert!(o.is_shell() || f::proc_by_oid(o.code).is_some(), "{o:?}");
    }
    for c in f::casts() {
        assert!(c.func == 0 || f::proc_by_oid(c.func).is_some(), "{c:?}");
    }
    for a in f::aggregates() {
        assert_eq!(f::proc_by_oid(a.proc).map(|p| p.kind), Some(b'a'), "{a:?}");
    }
    for t in f::types() {
        assert!(t.elem == 0 || f::type_by_oid(t.elem).is_some(), "{t:?}");
        assert!(f::proc_by_oid(t.input).is_some(), "{t:?}");
        assert!(f::proc_by_oid(t.output).is_some(), "{t:?}");
    }
    for c in f::opclasses() {
        assert!(f::access_method_by_oid(c.method).is_some(), "{c:?}");
        assert!(f::opfamilies().iter().any(|x| x.oid == c.family), "{c:?}");
    }
}

#[test]
fn every_row_has_its_own_id() {
    let mut seen = HashSet::new();
    assert!(f::procs().iter().all(|p| seen.insert(p.oid)));
    let mut seen = HashSet::new();
    assert!(f::operators().iter().all(|o| seen.insert(o.oid)));
}

#[test]
fn lookups() {
    let plus = f::operator_exact("+", oid::INT4, oid::INT8).unwrap();
    assert_eq!(f::proc_by_oid(plus.code).unwrap().src, "int48pl");
    assert_eq!(f::cast(oid::INT4, oid::INT8).unwrap().context, b'i');
    assert_eq!(f::description("pg_proc", 177), Some("implementation of + operator"));
    assert_eq!(f::type_named("_float4").unwrap().oid, oid::FLOAT4_ARRAY);
    let class = f::default_opclass(403, oid::VARCHAR).unwrap();
    assert_eq!((class.name, class.input), ("text_ops", oid::TEXT));
}

#[test]
fn pase_is_listed_as_the_document_has_it() {
    let procs: Vec<_> =
        f::procs().iter().filter(|p| p.extension.is_some() && p.namespace == f::PUBLIC).collect();
    assert_eq!(procs.len(), 16);
    let search = procs.iter().find(|p| p.src == "ivfflat_search_cr_query").unwrap();
    assert_eq!(search.out_columns(), [("id", oid::TEXT), ("distance", oid::FLOAT4)]);
    let operators = f::operators().iter().filter(|o| o.extension.is_some());
    assert_eq!(operators.filter(|o| o.namespace == f::PUBLIC).count(), 6);
    assert_eq!(f::opclasses().iter().filter(|c| c.extension.is_some()).count(), 4);
    assert_eq!(f::access_method_named("pase_ivfflat").unwrap().oid, 16412);
}
