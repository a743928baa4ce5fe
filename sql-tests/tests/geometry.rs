//! Geometry against PostgreSQL itself: random expressions, and regions through an index, must give the same text or the
//! same error on both. `VICINITY_POSTGRES` says where one is (`host=... port=... user=...`); `VICINITY_GEOMETRY` how many
//! expressions to try.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use vicinity_sql_tests::TestServer;

const TYPES: &str = "(600,601,602,603,604,628,718)";
const FUNCTIONS: &str = "'area','center','radius','diameter','height','width','length','npoints','isclosed','isopen',\
    'pclose','popen','bound_box','box','circle','polygon','point','path','line','lseg','slope','diagonal'";

async fn postgres() -> Option<Client> {
    let Ok(at) = std::env::var("VICINITY_POSTGRES") else {
        eprintln!("skipped: VICINITY_POSTGRES does not say where a PostgreSQL 15 is");
        return None;
    };
    match tokio_postgres::connect(&at, NoTls).await {
        Ok((client, connection)) => {
            tokio::spawn(connection);
            Some(client)
        }
        Err(e) => {
            eprintln!("skipped: no PostgreSQL at {at}: {e}");
            None
        }
    }
}

/// The rows as text, or the error's code and message.
async fn answer(client: &Client, sql: &str) -> String {
    match client.simple_query(sql).await {
        Ok(messages) => {
            let rows = messages.iter().filter_map(|m| match m {
                SimpleQueryMessage::Row(r) => Some(r),
                _ => None,
            });
            let text = |r: &tokio_postgres::SimpleQueryRow| {
                (0..r.len())
                    .map(|i| r.get(i).unwrap_or("NULL").to_owned())
                    .collect::<Vec<_>>()
                    .join("|")
            };
            rows.map(text).collect::<Vec<_>>().join("\n")
        }
        Err(e) => match e.as_db_error() {
            Some(e) => format!("{} {}", e.code().code(), e.message()),
            None => e.to_string(),
        },
    }
}

/// A coordinate: small whole numbers and halves mostly, so that things touch, and what is near the tolerance.
fn coordinate(r: &mut StdRng) -> String {
    match r.random_range(0..20) {
        0..11 => r.random_range(-3..4).to_string(),
        11..15 => (f64::from(r.random_range(-6..7)) / 2.0).to_string(),
        15..17 => r.random_range(-5.0..5.0f64).to_string(),
        17 => {
            let near = [1e-7, -1e-7, 9e-7, 2e-6].choose(r).copied().unwrap_or_default();
            (f64::from(r.random_range(-2..3)) + near).to_string()
        }
        18 => (*["1e6", "-1e9", "1e-9"].choose(r).unwrap()).to_owned(),
        _ => (*["NaN", "Infinity", "-Infinity"].choose(r).unwrap()).to_owned(),
    }
}

fn point(r: &mut StdRng) -> String {
    format!("({},{})", coordinate(r), coordinate(r))
}

fn points(r: &mut StdRng, most: usize) -> String {
    let n = r.random_range(1..=most);
    (0..n).map(|_| point(r)).collect::<Vec<_>>().join(",")
}

fn literal(r: &mut StdRng, ty: &str) -> String {
    let text = match ty {
        "point" => point(r),
        "lseg" => format!("[{},{}]", point(r), point(r)),
        "box" => format!("{},{}", point(r), point(r)),
        "path" if r.random_bool(0.5) => format!("[{}]", points(r, 4)),
        "path" | "polygon" => format!("({})", points(r, 5)),
        "line" if r.random_bool(0.5) => format!("[{},{}]", point(r), point(r)),
        "line" => format!("{{{},{},{}}}", coordinate(r), coordinate(r), coordinate(r)),
        "circle" => format!("<{},{}>", point(r), coordinate(r).trim_start_matches('-')),
        "integer" => r.random_range(-1..7).to_string(),
        _ => coordinate(r),
    };
    format!("'{text}'::{ty}")
}

/// What there is to call: a name, and the types of its operands or arguments.
async fn calls(pg: &Client) -> Vec<(String, bool, Vec<String>)> {
    let operators = format!(
        "select oprname, 'o', concat_ws(',', nullif(oprleft, 0)::regtype, oprright::regtype) from pg_operator
         where (oprleft in {TYPES} or oprright in {TYPES}) and oprcode <> 0 order by 1, 3"
    );
    let functions = format!(
        "select proname, 'f', args from (select proname, proargtypes, array_to_string(array(select t::regtype::text
         from unnest(proargtypes) t), ',') args from pg_proc where proname in ({FUNCTIONS})) p
         where exists (select from unnest(proargtypes) t where t in {TYPES} or t = 701)
         and not exists (select from unnest(proargtypes) t where t not in {TYPES} and t not in (701, 23)) order by 1, 3"
    );
    let mut out = Vec::new();
    for sql in [operators, functions] {
        for message in pg.simple_query(&sql).await.unwrap() {
            if let SimpleQueryMessage::Row(r) = message {
                let args = r.get(2).unwrap().split(',').map(str::to_owned).collect();
                out.push((r.get(0).unwrap().to_owned(), r.get(1) == Some("o"), args));
            }
        }
    }
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn expressions_are_postgres_own() {
    let Some(pg) = postgres().await else { return };
    let server = TestServer::start().await;
    let own = server.connect().await;
    let tries = std::env::var("VICINITY_GEOMETRY").ok().and_then(|n| n.parse().ok());
    let calls = calls(&pg).await;
    let mut r = StdRng::seed_from_u64(15);
    let mut different = Vec::new();
    for _ in 0..tries.unwrap_or(1000) {
        let (name, operator, types) = calls.choose(&mut r).unwrap();
        let args: Vec<String> = types.iter().map(|ty| literal(&mut r, ty)).collect();
        let sql = match args.as_slice() {
            [right] if *operator => format!("select {name} {right}"),
            [left, right] if *operator => format!("select {left} {name} {right}"),
            args => format!("select {name}({})", args.join(", ")),
        };
        let (wanted, got) = (answer(&pg, &sql).await, answer(&own, &sql).await);
        if wanted != got {
            different.push(format!("{sql}\n  PostgreSQL: {wanted}\n  here:       {got}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn regions_through_an_index_are_postgres_own() {
    let Some(pg) = postgres().await else { return };
    let server = TestServer::start().await;
    let own = server.connect().await;
    let set_up = "create temp table spot (id int, pos point, b box, c circle, p polygon);
        insert into spot select i, point(i % 20, i / 20), box(point(i % 20, i / 20), point(i % 20 + 2, i / 20 + 1)),
            circle(point(i % 20, i / 20), i % 3), polygon(box(point(i % 20, i / 20), point(i % 20 + 1, i / 20 + 2)))
            from generate_series(0, 399) i;
        insert into spot values (1000, null, null, null, null);
        create index on spot using gist (pos); create index on spot using gist (b);
        create index on spot using gist (c); create index on spot using gist (p);";
    for client in [&pg, &own] {
        client.batch_execute(set_up).await.unwrap();
    }
    let mut r = StdRng::seed_from_u64(4);
    let boxed = ["<<", "&<", "&&", "&>", ">>", "~=", "@>", "<@", "&<|", "<<|", "|>>", "|&>"];
    let finite = |text: String| !text.contains("NaN") && !text.contains("Infinity");
    for _ in 0..400 {
        let (column, operator, ty) = match r.random_range(0..5) {
            0 => ("pos", "<@", *["box", "circle", "polygon"].choose(&mut r).unwrap()),
            1 => ("pos", *["<<", ">>", "<<|", "|>>", "~="].choose(&mut r).unwrap(), "point"),
            2 => ("b", *boxed.choose(&mut r).unwrap(), "box"),
            3 => ("c", *boxed.choose(&mut r).unwrap(), "circle"),
            _ => ("p", *boxed.choose(&mut r).unwrap(), "polygon"),
        };
        let value = literal(&mut r, ty);
        if !finite(value.clone()) {
            // PostgreSQL's own index and sequential scans differ then.
            continue;
        }
        let near = literal(&mut r, "point");
        let sql = match column {
            "pos" if finite(near.clone()) => format!(
                "select id, pos <-> {near} from spot where pos {operator} {value} order by pos <-> {near}, id limit 9"
            ),
            _ => format!("select id from spot where {column} {operator} {value} order by id"),
        };
        assert_eq!(answer(&own, &sql).await, answer(&pg, &sql).await, "{sql}");
    }
    server.stop().await;
}
