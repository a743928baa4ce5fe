//! Random calls of everything there is over these types.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio_postgres::{Client, SimpleQueryMessage};

use super::values::{NAMES, extreme_literal, literal, literal_or_null, one};
use super::{Both, TYPES, tries};

/// An operator or function, and the types of its operands or arguments.
struct Call {
    name: String,
    operator: bool,
    types: Vec<String>,
}

impl Call {
    fn of(&self, args: &[String]) -> String {
        let name = &self.name;
        match args {
            [right] if self.operator => format!("{name} {right}"),
            [left, right] if self.operator => format!("{left} {name} {right}"),
            args => format!("{name}({})", args.join(", ")),
        }
    }
}

/// What there is to call. `recv` functions take what no statement has.
async fn calls(pg: &Client) -> Vec<Call> {
    let operators = format!(
        "select oprname, 'o', concat_ws(',', nullif(oprleft, 0)::regtype, oprright::regtype) from pg_operator
         where (oprleft in {TYPES} or oprright in {TYPES}) and oprcode <> 0 order by 1, 3"
    );
    let functions = format!(
        "select proname, 'f', args from (select *, array_to_string(array(select t::regtype::text
         from unnest(proargtypes) t), ',') args from pg_proc where prokind = 'f' and not proretset) p
         where (prorettype in {TYPES} or exists (select from unnest(proargtypes) t where t in {TYPES}))
         and not exists (select from unnest(proargtypes) t where t not in {TYPES} and t not in (701, 23))
         and args <> '' order by 1, 3"
    );
    let mut out = Vec::new();
    for sql in [operators, functions] {
        for message in pg.simple_query(&sql).await.unwrap() {
            if let SimpleQueryMessage::Row(r) = message {
                out.push(Call {
                    name: r.get(0).unwrap().to_owned(),
                    operator: r.get(1) == Some("o"),
                    types: r.get(2).unwrap().split(',').map(str::to_owned).collect(),
                });
            }
        }
    }
    out
}

/// Over constants, which are folded when the statement is planned, or over columns.
fn statement(r: &mut StdRng, call: &Call, literal: fn(&mut StdRng, &str) -> String) -> String {
    let args: Vec<String> = call.types.iter().map(|ty| literal(r, ty)).collect();
    if r.random_bool(0.5) {
        return format!("select {}", call.of(&args));
    }
    let columns: Vec<String> = (0..args.len()).map(|i| format!("c{i}")).collect();
    let values = args.join(", ");
    format!("select {} from (values ({values})) v({})", call.of(&columns), columns.join(", "))
}

#[tokio::test(flavor = "multi_thread")]
async fn expressions_are_postgres_own() {
    let Some(mut both) = Both::start().await else { return };
    let calls = calls(&both.postgres).await;
    let mut r = StdRng::seed_from_u64(15);
    for call in &calls {
        let sql = statement(&mut r, call, literal_or_null);
        both.compare(&sql).await;
    }
    for _ in 0..tries(1000) {
        let call = calls.choose(&mut r).unwrap();
        let sql = statement(&mut r, call, literal_or_null);
        both.compare(&sql).await;
    }
    both.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_out_of_range_is_where_postgres_says_so() {
    let Some(mut both) = Both::start().await else { return };
    let calls = calls(&both.postgres).await;
    let mut r = StdRng::seed_from_u64(22003);
    for _ in 0..tries(1000) {
        let call = calls.choose(&mut r).unwrap();
        let sql = statement(&mut r, call, extreme_literal);
        both.compare(&sql).await;
    }
    both.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn casts_arrays_and_parts_are_postgres_own() {
    let Some(mut both) = Both::start().await else { return };
    let mut r = StdRng::seed_from_u64(16);
    for _ in 0..tries(400) {
        let (ty, other) = (one(&mut r, &NAMES), one(&mut r, &NAMES));
        let [a, b, c] = [0; 3].map(|_| literal_or_null(&mut r, ty));
        let i = r.random_range(-1..4);
        let sql = match r.random_range(0..12) {
            0 => format!("select cast({a} as {other})"),
            1 => format!("select ({a})::text::{ty}, length(({b})::text)"),
            2 => format!("select array[{a}, {b}, {c}], array[{a}]::text::{ty}[]"),
            3 => format!("select (array[{a}, {b}, {c}])[{i}], (array[{a}, {b}, {c}])[{i}:]"),
            4 => format!("select ({a})[{i}]"),
            5 => format!("select array_agg(x), count(x) from (values ({a}), ({b}), ({c})) v(x)"),
            6 => format!("select x, n from unnest(array[{a}, {b}, {c}]) with ordinality u(x, n)"),
            7 => format!("select to_json({a}), row({a}, {b})::text, format('%s %L', {a}, {b})"),
            8 => format!(
                "select array[{a}] || {b}, array_append(array[{a}], {c}), array_length(array[{b}], 1)"
            ),
            9 => format!("select coalesce({a}, {b}), case when {a} is null then {b} else {c} end"),
            10 => {
                let what =
                    ["array[{a}] = array[{b}]", "greatest({a}, {b})", "{a} is distinct from {b}"];
                let what = [
                    what[0],
                    what[1],
                    what[2],
                    "array_position(array[{a}], {b})",
                    "row({a}) = row({b})",
                ];
                let text = one(&mut r, &what).replace("{a}", &a).replace("{b}", &b);
                format!("select {text}")
            }
            _ => {
                let what = [
                    "select distinct x from v",
                    "select x from v group by x",
                    "select count(distinct x) from v",
                    "select x from v order by x",
                    "select x from v union select x from v",
                    "select max(x) from v",
                    "select x, count(*) over (partition by x) from v",
                    "select 1 from v join v w using (x)",
                    "select x from v where x in (select x from v)",
                ];
                format!("with v(x) as (values ({a}), ({b})) {}", one(&mut r, &what))
            }
        };
        both.compare(&sql).await;
    }
    both.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_are_assigned_as_postgres_does() {
    let Some(mut both) = Both::start().await else { return };
    let mut r = StdRng::seed_from_u64(17);
    both.set_up("create temp table v (point point, lseg lseg, box box, a point[], b box[])").await;
    for _ in 0..tries(60) {
        let [p, l, x] = ["point", "lseg", "box"].map(|ty| literal_or_null(&mut r, ty));
        both.set_up(&format!(
            "truncate v; insert into v values ({p}, {l}, {x}, array[{p}], array[{x}, {x}])"
        ))
        .await;
        let i = r.random_range(0..2);
        let value = literal(&mut r, "double precision");
        let (to, more) = (literal(&mut r, "point"), literal(&mut r, "box"));
        let sql = match r.random_range(0..4) {
            0 => format!("update v set point[{i}] = {value} returning *"),
            1 => format!("update v set lseg[{i}] = {to}, box[{i}] = {to} returning *"),
            2 => format!("update v set a[{i}] = {to}, b[{i}] = {more} returning *"),
            _ => format!(
                "update v set a[3:4] = array[{to}, {to}], point[0] = 7, point[1] = {value} returning *"
            ),
        };
        both.compare(&sql).await;
    }
    both.finish().await;
}
