//! `vicinity demo`: vectors, two indexes, two queries, in one command.

mod print;

use std::net::SocketAddr;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use rand::Rng as _;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use vicinity_types::{PgError, Result, SqlState};

use crate::config::Settings;
use crate::serve::{Running, interrupted, runtime};

/// Centres the vectors lie around.
const CENTRES: usize = 100;

/// Options of `vicinity demo`.
#[derive(clap::Args)]
pub struct Args {
    /// How many vectors of 80 dimensions
    #[arg(long, default_value_t = 100_000)]
    rows: usize,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:5432", value_name = "HOST:PORT")]
    listen: SocketAddr,
    /// Stop after the queries
    #[arg(long)]
    exit: bool,
}

const SETUP: &str = "
create extension pase;
create table t_pase_80 (id serial primary key, vec float4[]);
create or replace function gen_float4_arr1(int,int) returns float4[] as $$
  select array_agg(trunc(random()*$1)::float4) from generate_series(1,$2);
$$ language sql strict volatile;
create or replace function gen_float4_arr(float4[], int) returns float4[] as $$
  select array_agg( (u + (u*$2/2.0/100) - u*$2/100*random())::float4 ) from unnest($1) u;
$$ language sql strict volatile;
";

/// One centre and the vectors around it.
fn load_block(vectors: usize) -> String {
    format!(
        "do language plpgsql $$
declare
  v_cent float4[];
begin
  v_cent := gen_float4_arr1(10000,80);
  insert into t_pase_80 (vec) select gen_float4_arr(v_cent, 20) from generate_series(1,{vectors});
end;
$$;"
    )
}

/// An index of the demonstration and the query that uses it.
struct Act {
    create: String,
    operator: &'static str,
    parameters: &'static str,
}

fn acts(rows: usize) -> [Act; 2] {
    // A thousand lists suit a million rows.
    let lists = (rows / 1000).clamp(10, 1001);
    [
        Act {
            create: format!(
                "CREATE INDEX idx_t_pase_80_2 ON t_pase_80 USING pase_ivfflat(vec)\n  WITH \
                 (clustering_type = 1, distance_type = 0, dimension = 80, \
                 clustering_params = \"100,{lists}\");"
            ),
            operator: "<#>",
            parameters: "0:0",
        },
        Act {
            create: "CREATE INDEX idx_t_pase_80_1 ON t_pase_80 USING pase_hnsw(vec)\n  WITH \
                     (dim = 80, base_nb_num = 16, ef_build = 40, ef_search = 200, \
                     base64_encoded = 0);"
                .to_owned(),
            operator: "<?>",
            parameters: "40:0",
        },
    ]
}

/// Runs the demonstration.
pub fn run(args: &Args) -> Result<()> {
    let directory = tempfile::Builder::new()
        .prefix("vicinity-demo-")
        .tempdir()
        .map_err(|e| PgError::internal(format!("could not make a temporary directory: {e}")))?;
    let settings = Settings {
        listen: Some(vec![args.listen.to_string()]),
        data: Some(directory.path().to_owned()),
        ..Settings::default()
    };
    let config = settings.finish()?;
    runtime()?.block_on(async {
        let running = Running::start(&config).await?;
        let shown = tokio::select! {
            shown = show(args, &running) => shown.map(|()| !args.exit),
            _ = interrupted() => Ok(false),
        };
        if let Ok(true) = shown {
            println!("\nserving until interrupted; connect with\n\n    {}\n", running.psql());
            interrupted().await?;
        }
        running.stop().await?;
        shown.map(drop)
    })
}

async fn show(args: &Args, running: &Running) -> Result<()> {
    let Some(address) = running.addresses().first() else { return Ok(()) };
    let login = format!("host={} port={} user=postgres", address.ip(), address.port());
    let (client, connection) = tokio_postgres::connect(&login, NoTls).await.map_err(refused)?;
    let background = tokio::spawn(connection);
    script(args, &client).await?;
    drop(client);
    let _ = background.await;
    Ok(())
}

async fn script(args: &Args, client: &Client) -> Result<()> {
    client.batch_execute(SETUP).await.map_err(refused)?;
    load(args.rows, client).await?;
    let query = a_stored_row_slightly_changed(client).await?;
    for act in acts(args.rows) {
        println!("\n{}", act.create);
        let started = Instant::now();
        client.batch_execute(&act.create).await.map_err(refused)?;
        println!("CREATE INDEX\nTime: {:.3} ms", started.elapsed().as_secs_f64() * 1000.0);
        let distance = format!("vec {} '{query}:{}'::pase", act.operator, act.parameters);
        let sql = format!(
            "SELECT id, {distance} AS distance\nFROM t_pase_80\nORDER BY {distance}\nLIMIT 10;"
        );
        println!("\n{}", shortened(&sql));
        let started = Instant::now();
        let answer = client.simple_query(&sql).await.map_err(refused)?;
        let took = started.elapsed();
        print_rows(&answer);
        println!("Time: {:.3} ms", took.as_secs_f64() * 1000.0);
    }
    Ok(())
}

async fn load(rows: usize, client: &Client) -> Result<()> {
    println!("loading {rows} vectors of 80 dimensions around {CENTRES} centres");
    let bar = ProgressBar::new(u64::try_from(rows).unwrap_or(u64::MAX));
    if let Ok(style) =
        ProgressStyle::with_template("{bar:40} {pos}/{len} rows, {per_sec}, {elapsed}")
    {
        bar.set_style(style);
    }
    let started = Instant::now();
    for centre in 0..CENTRES {
        let vectors = rows * (centre + 1) / CENTRES - rows * centre / CENTRES;
        client.batch_execute(&load_block(vectors)).await.map_err(refused)?;
        bar.inc(u64::try_from(vectors).unwrap_or(0));
    }
    bar.finish_and_clear();
    println!("loaded in {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// A stored vector with eight of its dimensions changed by up to a tenth.
async fn a_stored_row_slightly_changed(client: &Client) -> Result<String> {
    let rows = client
        .query("select vec from t_pase_80 order by id limit 1", &[])
        .await
        .map_err(refused)?;
    let Some(row) = rows.first() else {
        return Err(PgError::new(SqlState::NO_DATA_FOUND, "the demonstration needs a row"));
    };
    let mut vector: Vec<f32> = row.try_get(0).map_err(refused)?;
    let mut random = rand::rng();
    for _ in 0..8 {
        let at = random.random_range(0..vector.len().max(1));
        if let Some(value) = vector.get_mut(at) {
            *value *= random.random_range(0.9..1.1);
        }
    }
    Ok(vector.iter().map(f32::to_string).collect::<Vec<_>>().join(","))
}

/// The statement with its vectors cut short, for people.
fn shortened(sql: &str) -> String {
    let mut out = String::new();
    for (i, part) in sql.split('\'').enumerate() {
        if i > 0 {
            out.push('\'');
        }
        match part.char_indices().nth(24) {
            Some((cut, _)) if i % 2 == 1 => {
                let tail = part.rfind(',').unwrap_or(cut);
                out.push_str(part.get(..cut).unwrap_or_default());
                out.push_str("...");
                out.push_str(part.get(tail..).unwrap_or_default());
            }
            _ => out.push_str(part),
        }
    }
    out
}

fn print_rows(answer: &[SimpleQueryMessage]) {
    let mut names = Vec::new();
    let mut rows = Vec::new();
    for message in answer {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                names = columns.iter().map(|c| c.name().to_owned()).collect();
            }
            SimpleQueryMessage::Row(row) => {
                let row = (0..row.len())
                    .map(|i| row.try_get(i).ok().flatten().unwrap_or_default().to_owned());
                rows.push(row.collect::<Vec<_>>());
            }
            _ => {}
        }
    }
    print!("{}", print::aligned(&names, &rows));
}

fn refused(error: tokio_postgres::Error) -> PgError {
    match error.as_db_error() {
        Some(e) => {
            let code = SqlState::parse(e.code().code()).unwrap_or(SqlState::INTERNAL_ERROR);
            PgError::new(code, e.message())
        }
        None => PgError::new(SqlState::CONNECTION_EXCEPTION, error.to_string()),
    }
}
