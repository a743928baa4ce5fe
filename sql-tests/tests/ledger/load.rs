//! What is written until the server is gone, and what its writers know of it then.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio_postgres::{Client, Error};

use crate::{COURIERS, WRITERS};

/// Couriers that are upserted, and orders whose triggers do the same and write to other tables.
pub const TABLES: &str = "
    create extension pase;
    create table courier (id int primary key, pos point, vec float4[], last int, moved int);
    create table entry (writer int, n int, courier int, note text, primary key (writer, n));
    create index entry_courier on entry (courier);
    create table trail (writer int, n int, at point);
    create table busy (id int primary key, n int);
    create table half (writer int, n int);
    create table arrival (writer int, n int, courier int, at point, vec float4[]);
    create unlogged table scratch (id int primary key, n int);
    create table made (n int primary key);
    create sequence ticket;
    create function followed() returns trigger language plpgsql as $$
    begin
        insert into trail select new.writer, new.n, pos from courier where id = new.courier;
        insert into busy values (new.n % 5, 1) on conflict (id) do update set n = busy.n + 1;
        return null;
    end $$;
    create trigger followed after insert on entry for each row execute function followed();
    create function arrived() returns trigger language plpgsql as $$
    begin
        insert into courier values (new.courier, new.at, new.vec, new.n, 1) on conflict (id) do update
            set pos = excluded.pos, vec = excluded.vec, last = excluded.last, moved = courier.moved + 1;
        insert into entry values (new.writer, new.n, new.courier, 'arrived');
        return null;
    end $$;
    create trigger arrived before insert on arrival for each row execute function arrived();
";

/// What a writer knows when the server is gone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// The last transaction that was begun.
    pub tried: i32,
    /// The last one that was acknowledged.
    pub acknowledged: i32,
    /// The largest value of the sequence that it was given.
    pub ticket: i64,
}

/// Why a writer ended: the server is gone, or says that it cannot go on. Anything else is a fault.
pub fn is_the_end(error: &Error, what: &str) {
    let code = error.code().map_or("", |c| c.code());
    assert!(matches!(code, "" | "57P01" | "58030"), "{what}: {error:?}");
}

/// One transaction after the other, until the server is gone.
pub async fn write(client: Client, writer: i32, mut known: Known) -> Known {
    let mut random = StdRng::seed_from_u64(known.tried as u64 * 7 + writer as u64);
    loop {
        known.tried += 1;
        if let Err(e) = transaction(&client, writer, &mut known, &mut random).await {
            is_the_end(&e, &format!("writer {writer}, {known:?}"));
            return known;
        }
        known.acknowledged = known.tried;
    }
}

/// `float4[]` of a random place.
pub fn vector(random: &mut StdRng) -> String {
    let numbers: Vec<String> = (0..8).map(|_| random.random_range(0..1000).to_string()).collect();
    format!("'{{{}}}'::float4[]", numbers.join(","))
}

/// Couriers come first, rows that all write to last: nobody waits for another in a circle.
async fn transaction(
    client: &Client,
    writer: i32,
    known: &mut Known,
    random: &mut StdRng,
) -> Result<(), Error> {
    let n = known.tried;
    let id = random.random_range(0..COURIERS / WRITERS) * WRITERS + writer;
    let (x, y): (f64, f64) = (random.random_range(0.0..100.0), random.random_range(0.0..100.0));
    let vec = vector(random);
    // Now and then more than the log takes in one piece.
    let note = if random.random_range(0..50) == 0 { 600_000 } else { random.random_range(0..200) };
    let entry = format!("insert into entry values ({writer}, {n}, {id}, repeat('x', {note}));");
    let courier = format!(
        "insert into courier values ({id}, point({x},{y}), {vec}, {n}, 1) on conflict (id) do update \
         set pos = excluded.pos, vec = excluded.vec, last = excluded.last, moved = courier.moved + 1;"
    );
    match random.random_range(0..6) {
        0 => {
            // Taken back to the savepoint, and then something else.
            let lost =
                format!("insert into half select {writer}, {n} from generate_series(1, 50);");
            let sql = format!("begin; {courier} savepoint a; {lost} rollback to a; {entry} commit");
            client.batch_execute(&sql).await
        }
        1 => {
            let row = client.query_one("select nextval('ticket')", &[]).await?;
            known.ticket = row.get(0);
            client.batch_execute(&format!("begin; {courier} {entry} commit")).await
        }
        2 => {
            let sql = format!(
                "insert into scratch values ({id}, {n}) on conflict (id) do update set n = {n}"
            );
            client.batch_execute(&sql).await?;
            client.batch_execute(&format!("{courier} {entry}")).await
        }
        3 | 4 => {
            let sql =
                format!("insert into arrival values ({writer}, {n}, {id}, point({x},{y}), {vec})");
            client.batch_execute(&sql).await
        }
        _ => {
            client.batch_execute("begin").await?;
            client.batch_execute(&courier).await?;
            client.batch_execute(&entry).await?;
            client.batch_execute("commit").await
        }
    }
}
