//! Whatever PostgreSQL has over these types is here.

use super::{Both, TYPES};

/// What takes or gives `internal` is for index methods, not for statements.
fn queries() -> [(&'static str, String); 5] {
    let arrays = "(1017,1018,1019,1020,1027,629,719)";
    let ours = |types: &str| {
        format!("exists (select from unnest({types}) t where t in {TYPES} or t in {arrays})")
    };
    [
        (
            "operators",
            format!(
                "select oprname, oprleft::regtype, oprright::regtype, oprresult::regtype, oprcode::oid, oprcom, oprnegate
                 from pg_operator where {} order by 1, 2, 3",
                ours("array[oprleft, oprright, oprresult]")
            ),
        ),
        (
            "functions",
            format!(
                "select proname, pg_get_function_arguments(oid), prorettype::regtype, prokind, provolatile, proisstrict
                 from pg_proc where {} and 2281 <> all (proargtypes::oid[] || prorettype) order by 1, 2",
                ours("proargtypes::oid[] || prorettype")
            ),
        ),
        (
            "casts",
            format!(
                "select castsource::regtype, casttarget::regtype, castfunc::oid, castcontext, castmethod
                 from pg_cast where {} order by 1, 2",
                ours("array[castsource, casttarget]")
            ),
        ),
        (
            "operators of index methods",
            format!(
                "select amopfamily, amoplefttype::regtype, amoprighttype::regtype, amopstrategy, amoppurpose, amopopr::oid
                 from pg_amop where {} order by 1, 2, 3, 4",
                ours("array[amoplefttype, amoprighttype]")
            ),
        ),
        (
            "types",
            format!(
                "select typname, typlen, typbyval, typcategory, typdelim, typelem, typarray, typinput, typoutput, typsend
                 from pg_type where {} order by 1",
                ours("array[oid]")
            ),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_postgres_has_is_here() {
    let Some(mut both) = Both::start().await else { return };
    for (what, sql) in queries() {
        println!("{what}");
        both.compare(&sql).await;
    }
    both.finish().await;
}
