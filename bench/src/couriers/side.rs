//! A server that is measured: runs of pgbench on it, and the CPU it takes for them.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use vicinity_types::Result;

use super::latency::Latencies;
use super::scripts::Script;
use crate::data::At;
use crate::failed;
use crate::process::{self, Listener};

/// Ten seconds are usual before pages that are free go back to the system.
const SETTLE: Duration = Duration::from_secs(12);

/// How scripts are run on all of them.
#[derive(Default)]
pub(crate) struct How {
    pub(crate) user: String,
    pub(crate) dbname: String,
    pub(crate) seconds: u32,
    /// Statements of one transaction.
    pub(crate) each: u32,
    /// Where couriers are is logged.
    pub(crate) logged: bool,
    /// Where pgbench leaves the latency of every statement, if it is to.
    pub(crate) latencies: Option<PathBuf>,
    /// Statements a second that are begun, whether those before were answered or not; as fast as it goes otherwise.
    pub(crate) rate: Option<u32>,
    /// It says how far it is every so many seconds.
    pub(crate) progress: Option<u32>,
}

/// Statements a second, how many they were in all, and how long each took if that was asked for.
#[derive(Default)]
pub(crate) struct Rate {
    pub(crate) tps: f64,
    pub(crate) count: f64,
    pub(crate) latencies: Latencies,
}

/// What scripts that ran at once gave.
pub(crate) struct Run {
    pub(crate) rates: Vec<Rate>,
    /// Microseconds of the server's CPU for a statement.
    pub(crate) cpu: Option<f64>,
}

/// Whose CPU is looked at.
enum Watched {
    Nobody,
    Listener(Listener),
    /// This process: it does nothing else meanwhile.
    Own,
}

/// A server.
pub(crate) struct Side<'a> {
    host: &'a str,
    port: u16,
    watched: Watched,
    how: &'a How,
}

impl<'a> Side<'a> {
    /// Of `host:port`.
    pub(crate) fn new(address: &'a str, how: &'a How) -> Result<Side<'a>> {
        let split = address.rsplit_once(':').and_then(|(h, p)| Some((h, p.parse::<u16>().ok()?)));
        let (host, port) = split.ok_or_else(|| failed(format!("{address} is not host:port")))?;
        Ok(Side::at(host, port, how))
    }

    /// The one that listens there.
    pub(crate) fn at(host: &'a str, port: u16, how: &'a How) -> Side<'a> {
        let watched = Listener::find(host, port).map_or(Watched::Nobody, Watched::Listener);
        Side { host, port, watched, how }
    }

    /// Its processes, if they are on this machine.
    pub(crate) fn listener(&self) -> Option<&Listener> {
        match &self.watched {
            Watched::Listener(listener) => Some(listener),
            _ => None,
        }
    }

    /// The one this process runs on a port.
    pub(crate) fn own(port: u16, how: &'a How) -> Side<'a> {
        Side { host: "127.0.0.1", port, watched: Watched::Own, how }
    }

    fn tool(&self, name: &str) -> Command {
        let mut tool = Command::new(name);
        tool.args(["-h", self.host, "-p", &self.port.to_string(), "-U", &self.how.user]);
        tool
    }

    fn psql(&self, sql: &str) -> Result<()> {
        let mut psql = self.tool("psql");
        psql.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", &self.how.dbname]);
        let mut child = psql.stdin(Stdio::piped()).spawn().map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(sql.as_bytes()).map_err(failed)?;
        }
        let status = child.wait().map_err(failed)?;
        let at = (self.host, self.port);
        if status.success() { Ok(()) } else { Err(failed(format!("loading {at:?} failed"))) }
    }

    /// Makes the tables and fills them; seconds the filling took.
    pub(crate) fn load(&self, couriers: u32, cities: &[At]) -> Result<f64> {
        let place = |[x, y]: &At| format!("(point({x},{y}))");
        let places: Vec<String> = cities.iter().map(place).collect();
        let (places, around) = match places.is_empty() {
            true => ("(point(0,0))".to_owned(), 1_000_000),
            false => (places.join(","), 4_000),
        };
        let tables = include_str!("../../sql/couriers.sql");
        let tables = match self.how.logged {
            true => tables.replace("create unlogged table", "create table"),
            false => tables.to_owned(),
        };
        self.psql(&format!(
            "drop table if exists cainiao_0_2, cainiao_0_3, cainiao_trace_realtime, city;\n{tables}
             create table city (id serial primary key, pos point);
             insert into city (pos) values {places};"
        ))?;
        let start = Instant::now();
        self.psql(&format!(
            "insert into cainiao_trace_realtime (uid, pos) \
             select i, c.pos + point((random()-0.5)*{around}, (random()-0.5)*{around}) \
             from generate_series(1,{couriers}) i join city c on c.id = 1 + i % (select count(*) from city) \
             on conflict (uid) do update set pos=excluded.pos;"
        ))?;
        let seconds = start.elapsed().as_secs_f64();
        self.psql("vacuum analyze cainiao_trace_realtime;")?;
        Ok(seconds)
    }

    /// Waits until an allocator will have given back what a statement took for itself.
    pub(crate) fn settle(&self) -> Result<()> {
        std::thread::sleep(SETTLE);
        self.psql("do $$ begin perform count(*) from cainiao_trace_realtime; end $$;")
    }

    /// Starts pgbench with a script.
    pub(crate) fn begin(&self, script: &Script<'_>, files: &[PathBuf]) -> Result<Child> {
        let mut pgbench = self.tool("pgbench");
        let jobs = script.clients.min(2).to_string();
        pgbench.args(["-M", "prepared", "-n", "-j", &jobs, "-c", &script.clients.to_string()]);
        pgbench.args(["-T", &self.how.seconds.to_string()]);
        for file in files {
            pgbench.arg("-f").arg(file);
        }
        if let Some(under) = &self.how.latencies {
            pgbench.arg("--log").arg("--log-prefix").arg(under.join(script.name));
        }
        if let Some(rate) = self.how.rate {
            pgbench.args(["-R", &rate.to_string()]);
        }
        if let Some(seconds) = self.how.progress {
            pgbench.args(["-P", &seconds.to_string()]);
        }
        pgbench.arg(&self.how.dbname);
        pgbench.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)
    }

    /// What a run gave, when it has ended.
    pub(crate) fn rate(&self, run: Child) -> Result<Rate> {
        let id = run.id();
        let output = run.wait_with_output().map_err(failed)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let number = |before: &str| {
            let line = text.lines().find_map(|l| l.strip_prefix(before))?;
            line.split([' ', '/']).next()?.parse::<f64>().ok()
        };
        let each = f64::from(self.how.each);
        match (number("tps = "), number("number of transactions actually processed: ")) {
            (Some(tps), Some(count)) if output.status.success() => {
                let latencies = self.how.latencies.as_deref();
                let latencies = latencies.map(|under| Latencies::read(under, id)).transpose()?;
                let latencies = latencies.unwrap_or_default();
                Ok(Rate { tps: tps * each, count: count * each, latencies })
            }
            _ => Err(failed(String::from_utf8_lossy(&output.stderr))),
        }
    }

    fn cpu(&self) -> Option<f64> {
        match &self.watched {
            Watched::Nobody => None,
            Watched::Listener(listener) => Some(listener.cpu()),
            Watched::Own => Some(process::cpu()),
        }
    }

    /// Runs scripts at once.
    pub(crate) fn run(&self, scripts: &[(Script<'_>, Vec<PathBuf>)]) -> Result<Run> {
        let before = self.cpu();
        let begun: Result<Vec<Child>> =
            scripts.iter().map(|(script, files)| self.begin(script, files)).collect();
        let rates: Result<Vec<Rate>> = begun?.into_iter().map(|run| self.rate(run)).collect();
        let (rates, after) = (rates?, self.cpu());
        let count: f64 = rates.iter().map(|r| r.count).sum();
        let cpu = before.zip(after).map(|(b, a)| (a - b) * 1e6 / count.max(1.0));
        Ok(Run { rates, cpu })
    }
}
