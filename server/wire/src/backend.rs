//! What stands behind a connection.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::BytesMut;
use vicinity_types::{Notice, Oid, PgError, Result};

use crate::copy::CopyData;
use crate::message::{Formats, Params};
use crate::startup::Startup;

/// One column of a result, as RowDescription tells it.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The table it comes from, or 0.
    pub table: Oid,
    /// Its number in that table, or 0.
    pub attr: i16,
    /// Its type.
    pub ty: Oid,
    /// The type's `typlen`: bytes, -1 varying, -2 a C string.
    pub len: i16,
    /// Its type modifier, -1 for none.
    pub typmod: i32,
}

/// What the loop must know of a prepared statement.
#[derive(Clone, Debug, Default)]
pub struct Description {
    /// Parameter types, all resolved.
    pub params: Vec<Oid>,
    /// Result columns; `None` if the statement returns no rows.
    pub columns: Option<Vec<Column>>,
    /// It may run on the connection's own task (invariant no-starvation).
    pub short: bool,
}

/// Values of Bind with the format codes asked for the results.
pub struct Values<'a> {
    /// Parameter values in place; their number was checked.
    pub params: Params<'a>,
    /// Result format codes; their number was checked.
    pub results: Formats<'a>,
}

/// A portal that has a name, and what Describe and Execute must know of it.
pub struct Named<P> {
    /// A handle to it.
    pub portal: P,
    /// Result columns; `None` if it returns no rows.
    pub columns: Option<Vec<Column>>,
    /// Format codes of the results, as in Bind.
    pub formats: Vec<i16>,
    /// It may run on the connection's own task (invariant no-starvation).
    pub short: bool,
}

/// Columns of a simple query's result.
pub struct Opened {
    /// The columns.
    pub columns: Vec<Column>,
    /// The format code of all of them: a binary cursor's rows are binary everywhere.
    pub format: i16,
}

/// A command tag.
#[derive(Clone, Debug)]
pub enum Tag {
    /// There was no command: EmptyQueryResponse.
    Empty,
    /// The verb and a count the loop appends: `SELECT` and the rows of this run.
    Rows(&'static str),
    /// The whole tag: `INSERT 0 1`, `CREATE TABLE`.
    Text(Cow<'static, str>),
}

/// What CopyInResponse and CopyOutResponse say.
#[derive(Clone, Copy, Debug)]
pub struct CopyShape {
    /// Values are in the binary format.
    pub binary: bool,
    /// Values of a row.
    pub columns: usize,
}

/// How far an execution came.
#[derive(Debug)]
pub enum Progress {
    /// COPY TO STDOUT begins: what is written from now on are CopyData messages.
    CopyOut(CopyShape),
    /// COPY FROM STDIN begins: [`Backend::copy_in`] is to be called.
    CopyIn(CopyShape),
    /// That many rows were written and there may be more.
    More(u64),
    /// The statement is done, after that many rows in this call.
    Done(u64, Tag),
}

/// Something to tell the client beside the result.
#[derive(Debug)]
pub enum Event {
    /// NOTICE, WARNING ...
    Notice(Box<Notice>),
    /// A reported setting changed.
    Parameter(Cow<'static, str>, String),
    /// `DEALLOCATE name`, or all of them: the loop forgets its prepared statements too.
    Deallocate(Option<String>),
}

/// Sends a notice to the client at once, if it can.
pub type NoticeHook = Box<dyn Fn(&Notice) -> bool + Send + Sync>;

/// A session. All of it is synchronous: the loop calls it on the connection's task when the
/// statement is short, and on a blocking thread when not.
pub trait Backend: Send + 'static {
    /// One statement of a string, not yet prepared.
    type Parsed: Send + 'static;
    /// A prepared statement; cloning is cheap.
    type Statement: Clone + Send + Sync + 'static;
    /// A statement with its parameters, ready to run or running.
    type Portal: Send + 'static;

    /// Splits a string into statements; none for an empty one. Fails with a syntax error.
    fn split(&mut self, sql: &str) -> Result<Vec<Self::Parsed>>;

    /// A statement that is already planned; `None` when [`Backend::prepare`] would have work to do.
    fn prepared(&mut self, parsed: &Self::Parsed, types: &[Oid]) -> Option<Self::Statement>;

    /// Plans a statement. `types` are the declared parameter types, 0 for open.
    fn prepare(&mut self, parsed: &Self::Parsed, types: &[Oid]) -> Result<Self::Statement>;

    /// Describes a prepared statement.
    fn describe(&mut self, statement: &Self::Statement) -> Result<Description>;

    /// Whether it is short by now, though its description said otherwise.
    fn is_short(&self, _: &Self::Statement) -> bool {
        false
    }

    /// Decodes parameters.
    fn bind(&mut self, statement: &Self::Statement, values: Values<'_>) -> Result<Self::Portal>;

    /// Whether a portal may be kept under a name.
    fn check_portal_name(&mut self, _name: &str) -> Result<()> {
        Ok(())
    }

    /// Keeps a portal under a name, where SQL finds it too; `None` for the empty statement.
    fn keep_portal(&mut self, _name: &str, _portal: Option<Self::Portal>) -> Result<()> {
        Err(PgError::unsupported("a portal with a name"))
    }

    /// The portal of a name, whoever made it.
    fn portal(&mut self, _name: &str) -> Option<Named<Self::Portal>> {
        None
    }

    /// Closes the portal of a name, if there is one.
    fn close_portal(&mut self, _name: &str) {}

    /// Begins to run, and tells the columns of what comes; some statements (EXECUTE, FETCH) know
    /// them only now. Simple queries call it before [`Backend::execute`].
    fn open(&mut self, portal: &mut Self::Portal) -> Result<Option<Opened>>;

    /// Runs or goes on, appending DataRow messages; stops after about `rows` rows.
    fn execute(
        &mut self,
        portal: &mut Self::Portal,
        rows: u64,
        out: &mut BytesMut,
    ) -> Result<Progress>;

    /// Runs a COPY FROM STDIN with what the client sends, on a blocking thread.
    fn copy_in(&mut self, _portal: &mut Self::Portal, _data: &mut CopyData) -> Result<Tag> {
        Err(PgError::unsupported("COPY FROM STDIN"))
    }

    /// Ends the implicit transaction, if there is one: commits, or rolls back after an error
    /// (which also fails an explicit one). What must be durable before the client may hear of it.
    fn end(&mut self, ok: bool) -> Result<Option<u64>>;

    /// Whether the log is durable up to there.
    fn is_durable(&self, lsn: u64) -> bool;

    /// Calls back when the log is durable up to there.
    fn on_durable(&self, lsn: u64, done: Box<dyn FnOnce(Result<(), PgError>) + Send>);

    /// `I`, `T` or `E`, as ReadyForQuery says.
    fn status(&self) -> u8;

    /// Takes what is to be told to the client; called after everything else.
    fn events(&mut self) -> Vec<Event>;

    /// Whether a statement may be kept under a name, where SQL finds it too.
    fn keep_statement(&mut self, _name: &str, _statement: &Self::Statement) -> Result<()> {
        Ok(())
    }

    /// The statement of a name, made by PREPARE.
    fn statement(&mut self, _name: &str) -> Option<Self::Statement> {
        None
    }

    /// Closes the statement of a name, if there is one.
    fn close_statement(&mut self, _name: &str) {}

    /// While a statement runs on a blocking thread its notices go through `hook`, which sends
    /// them at once or says that it could not.
    fn on_notice(&mut self, _hook: Option<NoticeHook>) {}

    /// How long the client may be silent after ReadyForQuery, and what it is told then.
    fn idle_limit(&self) -> Option<(Duration, PgError)> {
        None
    }

    /// Reported settings at the start of the session.
    fn parameters(&self) -> Vec<(String, String)>;

    /// Set by a cancel request, cleared by the loop when a new statement arrives.
    fn cancel_flag(&self) -> Arc<AtomicBool>;

    /// Set when the session is to end: its statement fails with what the client is told.
    fn end_flag(&self) -> Arc<AtomicBool>;
}

/// How a user is to be let in.
pub enum Auth {
    /// Without a question.
    Trust,
    /// By SCRAM-SHA-256, against what PostgreSQL keeps in `rolpassword`.
    Scram {
        /// `SCRAM-SHA-256$4096:salt$stored:server`, or `None` for a user who cannot enter:
        /// the exchange is played to its end all the same.
        verifier: Option<String>,
    },
}

/// Who a session belongs to.
#[derive(Clone, Debug)]
pub struct Session {
    /// What the client sent.
    pub startup: Startup,
    /// The session's process id, for `pg_backend_pid()`.
    pub pid: i32,
    /// The client's address.
    pub peer: std::net::SocketAddr,
    /// Set by a cancel request.
    pub cancel: Arc<AtomicBool>,
    /// Ends the session from outside, as soon as it runs no statement.
    pub wake: Wake,
}

/// Ends a connection's wait for its client.
#[derive(Clone)]
pub struct Wake(pub Arc<dyn Fn() + Send + Sync>);

impl std::fmt::Debug for Wake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wake")
    }
}

/// Makes sessions.
pub trait Service: Send + Sync + 'static {
    /// Its sessions.
    type Backend: Backend;

    /// How this client has to prove who it is.
    fn auth(&self, startup: &Startup, peer: std::net::SocketAddr) -> Result<Auth>;

    /// Starts a session; an error refuses the connection.
    fn connect(&self, session: Session) -> Result<Self::Backend>;
}
