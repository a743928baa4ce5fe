//! Regions and nearness through indexes on points, boxes, circles and polygons.
//!
//! PostgreSQL is asked without its indexes: with NaN and infinities in them they find other rows than its sequential
//! scans do. Here the answer is one.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::values::{literal_or_null, one};
use super::{Both, tries};

const BOXED: [&str; 12] =
    ["<<", "&<", "&&", "&>", ">>", "~=", "@>", "<@", "&<|", "<<|", "|>>", "|&>"];

/// Rows of random geometry, rows that are all alike, and one of NULLs.
fn rows(r: &mut StdRng) -> String {
    let row = |id: i32, r: &mut StdRng| {
        let [p, b, c, g, q] =
            ["point", "box", "circle", "polygon", "point"].map(|ty| literal_or_null(r, ty));
        format!("({id}, {p}, {b}, {c}, {g}, {}, {q})", id % 10)
    };
    let random: Vec<String> = (0..500).map(|id| row(id, r)).collect();
    format!(
        "create temp table s (id int primary key, pos point, b box, c circle, p polygon, w int, q point);
        insert into s values {};
        insert into s select 1000 + i, point(i % 5, 0), box(point(i % 5, 0), point(i % 5 + 1, 1)),
            circle(point(i % 5, 1), 1), polygon(box(point(0, 0), point(1, i % 3))), i % 10, point(0, i)
            from generate_series(1, 100) i;
        insert into s (id) values (2000);
        delete from s where id % 17 = 3;
        update s set pos = q, q = pos where id % 13 = 5;",
        random.join(",")
    )
}

fn region(r: &mut StdRng) -> String {
    let (column, operator, ty) = match r.random_range(0..6) {
        0..2 => ("pos", "<@", one(r, &["box", "circle", "polygon"])),
        2 => ("pos", one(r, &["<<", ">>", "<<|", "|>>", "~=", "<^", ">^"]), "point"),
        3 => ("b", one(r, &BOXED), "box"),
        4 => ("c", one(r, &BOXED), "circle"),
        _ => ("p", one(r, &BOXED), "polygon"),
    };
    let value = literal_or_null(r, ty);
    match (r.random_bool(0.4), operator) {
        (false, _) => format!("{column} {operator} {value}"),
        (true, "<@") => format!("{value} @> {column}"),
        (true, _) => format!("{value} {operator} {column}"),
    }
}

fn condition(r: &mut StdRng) -> String {
    match r.random_range(0..20) {
        0..9 => region(r),
        9..12 => format!("({} or {})", region(r), region(r)),
        12..15 => format!("{} and {}", region(r), region(r)),
        15..17 => {
            format!("{} and w {} {}", region(r), one(r, &["=", "<", ">"]), r.random_range(0..10))
        }
        17 => format!("not ({})", region(r)),
        18 => format!("({}) is not true", region(r)),
        _ => format!("{} is not null", one(r, &["pos", "b", "c", "p"])),
    }
}

fn distance(r: &mut StdRng) -> String {
    let (column, ty) = match r.random_range(0..10) {
        0..5 => ("pos", "point"),
        5..8 => (one(r, &["b", "c", "p"]), "point"),
        _ => ("pos", one(r, &["box", "circle", "polygon", "lseg", "line", "path"])),
    };
    let value = literal_or_null(r, ty);
    if r.random_bool(0.6) {
        format!("{column} <-> {value}")
    } else {
        format!("{value} <-> {column}")
    }
}

fn join(r: &mut StdRng) -> String {
    let on = [
        "a.pos <@ b.b",
        "a.pos <@ b.c",
        "a.pos <@ b.p",
        "b.c @> a.pos",
        "a.b && b.b",
        "a.c && b.c",
        "a.p && b.p",
        "a.pos ~= b.q",
        "a.b @> b.pos",
        "a.pos <-> b.q < 2",
        "a.pos << b.q",
    ];
    one(r, &on).to_owned()
}

/// A query whose answer has one order only.
fn query(r: &mut StdRng) -> String {
    let (limit, offset) = (r.random_range(0..40), one(r, &["0", "0", "0", "3", "50"]));
    let d = distance(r);
    match r.random_range(0..20) {
        0..6 => format!("select id from s where {} order by id", condition(r)),
        6..11 => format!(
            "select {d}, id from s where {} order by {d}, id limit {limit} offset {offset}",
            condition(r)
        ),
        11..13 => format!(
            "select {d} from s where {} order by {d} limit {limit} offset {offset}",
            condition(r)
        ),
        13..15 => {
            let direction = one(r, &["", " desc", " nulls first"]);
            format!("select {d}, w, id from s order by {d}{direction}, w desc, id limit {limit} offset {offset}")
        }
        15 => {
            let operator = one(r, &["<", "<=", ">", "="]);
            let far = r.random_range(0..10);
            format!("select {d} from s where {d} {operator} {far} order by {d} limit {limit}")
        }
        16..18 => format!(
            "select a.id, b.id from s a join s b on {} where b.id < {limit} and a.w = {} order by 1, 2",
            join(r),
            r.random_range(0..10)
        ),
        18 => format!(
            "select a.id, x.d from s a, lateral (select s.pos <-> a.q d from s where {} order by s.pos <-> a.q limit 3) x
             where a.id < {limit} order by 1, 2",
            condition(r)
        ),
        _ => format!("select w, count(*), min({d}), max({d}) from s where {} group by w order by w", condition(r)),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn regions_and_nearness_through_indexes_are_postgres_own() {
    let Some(mut both) = Both::start().await else { return };
    let mut r = StdRng::seed_from_u64(4);
    both.set_up(&rows(&mut r)).await;
    let indexes = "create index on s using gist (pos); create index on s using gist (b);
        create index on s using gist (c); create index on s using gist (p)";
    for (_, client) in &both.lanes {
        client.batch_execute(indexes).await.unwrap();
    }
    for _ in 0..tries(400) {
        let sql = query(&mut r);
        both.compare(&sql).await;
    }
    both.finish().await;
}
