//! What goes on beside the writers when the server is killed.

use tokio_postgres::Client;

use crate::load::{Known, is_the_end};

#[derive(Clone, Copy, Debug)]
pub enum Beside {
    Nothing,
    Checkpoints,
    /// An index that comes and goes: its place among [`INDEXES`].
    Index(usize),
    Definitions,
}

/// One round after the other.
pub const ALL: [Beside; 7] = [
    Beside::Checkpoints,
    Beside::Index(0),
    Beside::Definitions,
    Beside::Index(1),
    Beside::Index(2),
    Beside::Index(3),
    Beside::Nothing,
];

/// Indexes on couriers: name, what is behind ON, and the order that they are asked for.
pub const INDEXES: [(&str, &str, &str); 4] = [
    (
        "courier_hnsw",
        "courier using pase_hnsw (vec) with (dim = 8, base_nb_num = 8, ef_build = 40)",
        "vec <?> '500,500,500,500,500,500,500,500'",
    ),
    (
        "courier_ivfflat",
        "courier using pase_ivfflat (vec) with (dimension = 8, clustering_type = 1, \
         clustering_params = '500,20')",
        "vec <#> '500,500,500,500,500,500,500,500'",
    ),
    ("courier_pos", "courier using gist (pos)", "pos <-> point(50,50)"),
    ("courier_last", "courier (last)", "last"),
];

/// Makes the indexes that a round before may have been killed without.
pub async fn complete(client: &Client) {
    for (name, on, _) in INDEXES {
        client.batch_execute(&format!("create index if not exists {name} on {on}")).await.unwrap();
    }
}

/// Goes on until the server is gone. What it knows is of tables: `made_N` with a row N of `made`.
pub async fn run(client: Client, beside: Beside, mut known: Known) -> Known {
    for step in 0.. {
        let statements = match beside {
            Beside::Nothing => return known,
            Beside::Checkpoints => vec!["checkpoint".to_owned()],
            Beside::Index(at) => {
                let (name, on, _) = INDEXES[at];
                let how = ["", "concurrently"][step % 2];
                vec![format!("drop index {name}"), format!("create index {how} {name} on {on}")]
            }
            Beside::Definitions => {
                known.tried += 1;
                definitions(known.tried, step)
            }
        };
        for statement in statements {
            if let Err(e) = client.batch_execute(&statement).await {
                is_the_end(&e, &statement);
                return known;
            }
        }
        known.acknowledged = known.tried;
    }
    known
}

/// What is made together is there together.
fn definitions(n: i32, step: usize) -> Vec<String> {
    let make = format!(
        "begin; create table made_{n} (a int primary key, b text default 'b'); create index on made_{n} (b); \
         insert into made_{n} (a) select generate_series(1, 100); insert into made values ({n}); commit"
    );
    let other = match step % 4 {
        0 => "insert into half values (-1, 0); truncate half",
        1 => "alter table busy add column extra int default 7; alter table busy drop column extra",
        2 => "create or replace view seen as select writer, max(n) from entry group by writer",
        _ => "begin; truncate half; drop table made; rollback",
    };
    vec![make, other.to_owned()]
}
