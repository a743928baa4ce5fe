//! `bench couriers`: the logistics document's pgbench scripts against PostgreSQL and Vicinity in turn, and the ratios.
//!
//! Needs `psql` and `pgbench`. Both servers get the same tables; each round runs a script on one and then on the other,
//! so that what the machine does meanwhile falls on both.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use vicinity_types::{PgError, Result, SqlState};

use crate::{data, resident};

/// PostgreSQL and Vicinity side by side.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// PostgreSQL, as host:port.
    #[arg(long, default_value = "127.0.0.1:5432")]
    peer: String,
    /// Vicinity, as host:port.
    #[arg(long, default_value = "127.0.0.1:5433")]
    ours: String,
    /// User of both.
    #[arg(long, default_value = "postgres")]
    user: String,
    /// Database of both.
    #[arg(long, default_value = "postgres")]
    dbname: String,
    /// Couriers.
    #[arg(long, default_value_t = 1_000_000)]
    couriers: u32,
    /// Airports in OpenFlights' format: couriers are scattered around them, not over all of the map.
    #[arg(long)]
    cities: Option<PathBuf>,
    /// Vicinity's process, whose memory is told.
    #[arg(long)]
    pid: Option<u32>,
    /// Only run: the tables are there.
    #[arg(long)]
    loaded: bool,
    /// Seconds of a run.
    #[arg(long, default_value_t = 6)]
    seconds: u32,
    /// Runs on each.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Connections.
    #[arg(long, default_value_t = 8)]
    clients: u32,
    /// So many statements in one pipeline.
    #[arg(long)]
    pipeline: Option<u32>,
    /// Which scripts; all of them by default.
    scripts: Vec<String>,
}

const TABLES: &str = "
drop table if exists cainiao_0_2, cainiao_0_3, cainiao_trace_realtime, city;
create table cainiao_0_2 (uid int, pos point, crt_date date, crt_time time(0));
create table cainiao_0_3 (like cainiao_0_2);
create unlogged table cainiao_trace_realtime (uid int primary key, pos point, crt_date date, crt_time time(0));
create index idx_cainiao_trace_realtime_pos on cainiao_trace_realtime using gist (pos);
create table city (id serial primary key, pos point);
create or replace function ins_cainiao() returns trigger as $$
declare
begin
  insert into cainiao_trace_realtime(uid,pos,crt_date,crt_time)
    values (NEW.uid, NEW.pos, NEW.crt_date, NEW.crt_time)
    on conflict (uid) do update set pos=excluded.pos,crt_date=excluded.crt_date,crt_time=excluded.crt_time;
  return null;
end;
$$ language plpgsql strict;
create trigger tg after insert on cainiao_0_2 for each row execute procedure ins_cainiao();
";

/// Where a script's point is.
const PLACE: &str = "\\set x random(-500000,500000)\n\\set y random(-500000,500000)\n";

/// Of a name: pgbench's variables, and the statement.
fn script(name: &str, couriers: u32) -> Option<(String, String)> {
    let uid = format!("\\set uid random(1,{couriers})\n");
    let nearest = |n: u32| {
        format!(
            "select * from cainiao_trace_realtime where circle(point(:x,:y),20000) @> pos \
             order by pos <-> point(:x,:y) limit {n};"
        )
    };
    let insert = |table: &str| {
        format!("insert into {table} values (:uid, point(:x,:y), now()::date, now()::time);")
    };
    let upsert = "insert into cainiao_trace_realtime (uid,pos) values (:uid, point(:x,:y)) \
                  on conflict (uid) do update set pos=excluded.pos;";
    Some(match name {
        "sel1" => (String::new(), "select 1;".to_owned()),
        "pt" => (uid, "select * from cainiao_trace_realtime where uid=:uid;".to_owned()),
        "knn1" => (PLACE.to_owned(), nearest(1)),
        "knn100" => (PLACE.to_owned(), nearest(100)),
        "ups" => (uid + PLACE, upsert.to_owned()),
        "ins" => (uid + PLACE, insert("cainiao_0_3")),
        "instrig" => (uid + PLACE, insert("cainiao_0_2")),
        _ => return None,
    })
}

fn failed(what: impl std::fmt::Display) -> PgError {
    PgError::new(SqlState::IO_ERROR, what.to_string())
}

/// Host and port.
fn at(address: &str) -> Result<(&str, &str)> {
    address.rsplit_once(':').ok_or_else(|| failed(format!("{address} is not host:port")))
}

impl Args {
    fn tool(&self, name: &str, address: &str) -> Result<Command> {
        let (host, port) = at(address)?;
        let mut tool = Command::new(name);
        tool.args(["-h", host, "-p", port, "-U", &self.user]);
        Ok(tool)
    }

    fn psql(&self, address: &str, sql: &str) -> Result<()> {
        let mut psql = self.tool("psql", address)?;
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &self.dbname]);
        let mut child = psql.stdin(Stdio::piped()).spawn().map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(sql.as_bytes()).map_err(failed)?;
        }
        let status = child.wait().map_err(failed)?;
        if status.success() { Ok(()) } else { Err(failed(format!("loading {address} failed"))) }
    }

    /// Makes the tables and fills them; seconds that took.
    fn load(&self, address: &str) -> Result<f64> {
        let mut sql = TABLES.to_owned();
        let around = match &self.cities {
            None => {
                sql.push_str("insert into city (pos) values (point(0,0));\n");
                "point((random()-0.5)*1000000, (random()-0.5)*1000000)"
            }
            Some(path) => {
                let place = |[x, y]: data::At| format!("(point({x},{y}))");
                let places: Vec<String> = data::cities(path)?.into_iter().map(place).collect();
                sql.push_str(&format!("insert into city (pos) values {};\n", places.join(",")));
                "c.pos + point((random()-0.5)*4000, (random()-0.5)*4000)"
            }
        };
        self.psql(address, &sql)?;
        let n = self.couriers;
        let start = Instant::now();
        self.psql(
            address,
            &format!(
                "insert into cainiao_trace_realtime (uid, pos) select i, {around} from generate_series(1,{n}) i \
                 join city c on c.id = 1 + i % (select count(*) from city) \
                 on conflict (uid) do update set pos=excluded.pos;"
            ),
        )?;
        let seconds = start.elapsed().as_secs_f64();
        self.psql(address, "vacuum analyze cainiao_trace_realtime;")?;
        Ok(seconds)
    }

    /// Begins a run of a script.
    fn begin(&self, address: &str, file: &Path, clients: u32) -> Result<Child> {
        let mut pgbench = self.tool("pgbench", address)?;
        pgbench.args(["-M", "prepared", "-n", "-j", "2", "-f"]).arg(file);
        pgbench.args(["-c", &clients.to_string(), "-T", &self.seconds.to_string(), &self.dbname]);
        pgbench.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)
    }

    /// Statements a second of a run that was begun.
    fn rate(&self, run: Child) -> Result<f64> {
        let output = run.wait_with_output().map_err(failed)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let tps = text.lines().find_map(|l| l.strip_prefix("tps = "));
        let tps = tps.and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok());
        match tps {
            Some(tps) if output.status.success() => Ok(tps * f64::from(self.pipeline.unwrap_or(1))),
            _ => Err(failed(String::from_utf8_lossy(&output.stderr))),
        }
    }

    fn file(&self, under: &Path, name: &str) -> Result<PathBuf> {
        let (variables, statement) = script(name, self.couriers)
            .ok_or_else(|| failed(format!("there is no script {name}")))?;
        let text = match self.pipeline {
            None => format!("{variables}{statement}\n"),
            Some(n) => {
                let one = format!("{variables}{statement}\n");
                let all = one.repeat(usize::try_from(n).unwrap_or(1));
                format!("\\startpipeline\n{all}\\endpipeline\n")
            }
        };
        let path = under.join(format!("{name}.sql"));
        std::fs::write(&path, text).map_err(failed)?;
        Ok(path)
    }

    /// Rates of scripts that run at once on one server, the clients shared among them.
    fn together(&self, address: &str, files: &[PathBuf]) -> Result<Vec<f64>> {
        let parts = u32::try_from(files.len()).unwrap_or(1).max(1);
        let runs: Result<Vec<Child>> =
            files.iter().map(|f| self.begin(address, f, (self.clients / parts).max(1))).collect();
        runs?.into_iter().map(|run| self.rate(run)).collect()
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Runs the bench.
pub fn run(args: &Args) -> Result<()> {
    let under = tempfile::tempdir().map_err(failed)?;
    if !args.loaded {
        let peer = args.load(&args.peer)?;
        let own = args.pid.map(|pid| (pid.to_string(), resident(&pid.to_string())));
        let ours = args.load(&args.ours)?;
        println!("loading     {peer:>11.1} s {ours:>9.1} s {:>7.2}", peer / ours);
        if let Some((pid, before)) = own {
            let each = (resident(&pid) - before) / f64::from(args.couriers);
            println!("VmRSS per courier {each:.0} bytes");
        }
    }
    let all = ["sel1", "pt", "knn1", "knn100", "ups", "ins", "instrig", "ups+knn100"];
    let chosen: Vec<&str> = match args.scripts.as_slice() {
        [] => all.to_vec(),
        some => some.iter().map(String::as_str).collect(),
    };
    println!("script        PostgreSQL    Vicinity   ratio");
    for name in chosen {
        let parts: Vec<&str> = name.split('+').collect();
        let files: Result<Vec<PathBuf>> =
            parts.iter().map(|part| args.file(under.path(), part)).collect();
        let files = files?;
        let mut rounds = Vec::new();
        for _ in 0..args.rounds.max(1) {
            rounds.push((args.together(&args.peer, &files)?, args.together(&args.ours, &files)?));
        }
        for (i, part) in parts.iter().enumerate() {
            let of = |rates: &Vec<f64>| rates.get(i).copied().unwrap_or(0.0);
            let peer = median(rounds.iter().map(|(peer, _)| of(peer)).collect());
            let ours = median(rounds.iter().map(|(_, ours)| of(ours)).collect());
            let ratio = median(rounds.iter().map(|(p, o)| of(o) / of(p).max(1.0)).collect());
            let label = if parts.len() > 1 { format!("{part} (mixed)") } else { name.to_owned() };
            println!("{label:12} {peer:>11.0} {ours:>11.0} {ratio:>7.2}");
        }
    }
    Ok(())
}
