//! A server that answers with canned bytes over the engine's own connection loop: the limit that
//! the wire sets, whatever is behind it.
//!
//! It looks at a statement's text only enough to answer pgbench's scripts with rows of the right
//! shape: `select 1`, a row by key, `limit 100` rows, or `INSERT 0 1`.

use std::borrow::Cow;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::{Bytes, BytesMut};
use vicinity_types::{Oid, PgError, Result, oid};
use vicinity_wire::backend::Session;
use vicinity_wire::startup::Startup;
use vicinity_wire::{
    Auth, Backend, Column, Description, Event, Limits, Opened, Progress, Server, Service, Tag,
    Threads, Values, encode,
};

use crate::failed;

/// `bench ceiling`
#[derive(clap::Args)]
pub struct Args {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:5432")]
    listen: SocketAddr,
    /// Worker threads.
    #[arg(long, default_value_t = 2)]
    workers: usize,
}

/// Serves until interrupted.
pub fn run(args: &Args) -> Result<()> {
    let Err(e) = serve(args.listen, args.workers, |at| println!("canned answers on {at}"));
    Err(failed(e))
}

/// Serves on a free port of this machine as long as the process lives.
pub(crate) fn background() -> Result<SocketAddr> {
    let (tell, told) = std::sync::mpsc::channel();
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::spawn(move || {
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let Err(e) = serve(listen, workers, |at| drop(tell.send(Ok(at))));
        drop(tell.send(Err(e)));
    });
    told.recv().map_err(|e| PgError::internal(e.to_string()))?.map_err(failed)
}

fn serve(
    listen: SocketAddr,
    workers: usize,
    ready: impl FnOnce(SocketAddr),
) -> io::Result<Infallible> {
    let threads = Threads { count: workers, stack: None, blocking: 64 };
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let service = Arc::new(Canned);
        let server = Server::bind(&[listen], service, Limits::default(), None, &threads).await?;
        let handle = server.start()?;
        handle.addresses().first().copied().map(ready);
        std::future::pending().await
    })
}

struct Canned;

impl Service for Canned {
    type Backend = Connection;

    fn auth(&self, _: &Startup, _: SocketAddr) -> Result<Auth> {
        Ok(Auth::Trust)
    }

    fn connect(&self, session: Session) -> Result<Connection> {
        Ok(Connection { cancel: session.cancel })
    }
}

struct Connection {
    cancel: Arc<AtomicBool>,
}

/// What a statement is answered with.
struct Canning {
    params: usize,
    columns: Option<Vec<Column>>,
    rows: Bytes,
    count: u64,
    tag: Tag,
}

fn column(name: &str, ty: Oid, len: i16) -> Column {
    Column { name: name.to_owned(), table: 0, attr: 0, ty, len, typmod: -1 }
}

fn can(sql: &str) -> Canning {
    let params = (1..=9usize).rev().find(|n| sql.contains(&format!("${n}"))).unwrap_or(0);
    let text = sql.trim().to_ascii_lowercase();
    let (columns, values): (_, &[&str]) = if text.starts_with("select 1") {
        (vec![column("?column?", oid::INT4, 4)], &["1"])
    } else {
        let columns = vec![
            column("uid", oid::INT4, 4),
            column("pos", oid::POINT, 16),
            column("crt_date", oid::DATE, 4),
            column("crt_time", oid::TIME, 8),
        ];
        (columns, &["500001", "(-123456.78901234567,23456.789012345678)", "2026-01-01", "12:34:56"])
    };
    if !text.starts_with("select") {
        let verb = text.split_ascii_whitespace().next().unwrap_or_default().to_ascii_uppercase();
        let tag = if verb == "INSERT" { Cow::Borrowed("INSERT 0 1") } else { Cow::Owned(verb) };
        return Canning {
            params,
            columns: None,
            rows: Bytes::new(),
            count: 0,
            tag: Tag::Text(tag),
        };
    }
    let count = if text.contains("limit 100") { 100 } else { 1 };
    let mut rows = BytesMut::new();
    for _ in 0..count {
        encode::message(&mut rows, b'D', |out| {
            out.extend_from_slice(&u16::try_from(values.len()).unwrap_or(0).to_be_bytes());
            for value in values {
                out.extend_from_slice(&i32::try_from(value.len()).unwrap_or(0).to_be_bytes());
                out.extend_from_slice(value.as_bytes());
            }
        });
    }
    Canning { params, columns: Some(columns), rows: rows.freeze(), count, tag: Tag::Rows("SELECT") }
}

impl Backend for Connection {
    type Parsed = String;
    type Statement = Arc<Canning>;
    type Portal = Arc<Canning>;

    fn split(&mut self, sql: &str) -> Result<Vec<String>> {
        Ok(sql.split(';').filter(|s| !s.trim().is_empty()).map(str::to_owned).collect())
    }

    fn prepared(&mut self, parsed: &String, _: &[Oid]) -> Option<Arc<Canning>> {
        Some(Arc::new(can(parsed)))
    }

    fn prepare(&mut self, parsed: &String, _: &[Oid]) -> Result<Arc<Canning>> {
        Ok(Arc::new(can(parsed)))
    }

    fn describe(&mut self, statement: &Arc<Canning>) -> Result<Description> {
        Ok(Description {
            params: vec![oid::TEXT; statement.params],
            columns: statement.columns.clone(),
            short: true,
        })
    }

    fn bind(&mut self, statement: &Arc<Canning>, _: Values<'_>) -> Result<Arc<Canning>> {
        Ok(Arc::clone(statement))
    }

    fn open(&mut self, portal: &mut Arc<Canning>) -> Result<Option<Opened>> {
        Ok(portal.columns.clone().map(|columns| Opened { columns, format: 0 }))
    }

    fn execute(
        &mut self,
        portal: &mut Arc<Canning>,
        _: u64,
        out: &mut BytesMut,
    ) -> Result<Progress> {
        out.extend_from_slice(&portal.rows);
        Ok(Progress::Done(portal.count, portal.tag.clone()))
    }

    fn end(&mut self, _: bool) -> Result<Option<u64>> {
        Ok(None)
    }

    fn is_durable(&self, _: u64) -> bool {
        true
    }

    fn on_durable(&self, _: u64, done: Box<dyn FnOnce(Result<(), PgError>) + Send>) {
        done(Ok(()));
    }

    fn status(&self) -> u8 {
        b'I'
    }

    fn events(&mut self) -> Vec<Event> {
        Vec::new()
    }

    fn parameters(&self) -> Vec<(String, String)> {
        [
            ("server_version", "15.0 (canned)"),
            ("client_encoding", "UTF8"),
            ("DateStyle", "ISO, MDY"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    fn cancel_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.cancel)
    }

    fn end_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.cancel)
    }
}
