//! The synchronous half of a connection: one message in, bytes appended to one buffer.
//!
//! [`Protocol::on_message`] never waits. What might is handed back as a [`Job`], which the shell
//! runs on a blocking thread together with the whole `Protocol`; commits leave the log position
//! that must be durable before the buffer may be written ([`Protocol::take_barrier`]).

mod extended;
mod run;
mod simple;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hashbrown::HashMap;
use smallvec::SmallVec;
use vicinity_types::{Oid, PgError, SqlState};

use crate::backend::{Backend, Column, Event};
use crate::encode;
use crate::message::violation;
use crate::server::Limits;

pub use run::{Chunk, Sink, durable};

/// What the shell has to do after a message.
pub enum Step<B: Backend> {
    /// Read on; write when nothing more is in the read buffer.
    Next,
    /// Run this on a blocking thread. Boxed: every message's answer is moved a few times.
    Block(Box<Job<B>>),
    /// Write what there is and close.
    Close,
}

/// Work that may take long.
pub enum Job<B: Backend> {
    /// A simple query's text.
    Query(String),
    /// What is left of a simple query.
    Statements(simple::Rest<B>),
    /// A Parse whose statement is not planned yet.
    Parse {
        /// The statement's name.
        name: String,
        /// Its text.
        sql: String,
        /// Declared parameter types.
        types: Vec<Oid>,
    },
    /// An Execute, begun or not.
    Execute {
        /// The portal's name.
        portal: String,
        /// The row limit, 0 for none.
        limit: u64,
        /// Rows already written for it.
        rows: u64,
    },
}

/// A prepared statement with what Describe says of it.
struct Slot<B: Backend> {
    /// `None`: the empty statement.
    statement: Option<B::Statement>,
    params: Vec<Oid>,
    columns: Option<Vec<Column>>,
    /// RowDescription with every format 0, ready to be copied; NoData without columns.
    description: Bytes,
    short: bool,
}

/// The portal without a name. Those with one are the backend's.
struct Portal<B: Backend> {
    slot: Arc<Slot<B>>,
    run: Option<B::Portal>,
    formats: SmallVec<[i16; 4]>,
    /// It ran to its end; a further Execute finds no rows.
    done: bool,
}

/// The state of one connection after its startup.
pub struct Protocol<B: Backend> {
    backend: B,
    /// What the client is to be sent.
    pub out: BytesMut,
    statements: HashMap<Box<str>, Arc<Slot<B>>>,
    unnamed: Option<Arc<Slot<B>>>,
    unnamed_portal: Option<Portal<B>>,
    /// An extended-protocol error: everything up to the next Sync is skipped.
    skipping: bool,
    barrier: Option<u64>,
    /// The messages can no longer be told apart: the connection ends.
    broken: bool,
    /// The session was ended by an error that was reported.
    ended: bool,
    /// ReadyForQuery was the last thing said.
    idle: bool,
    /// The running statement began inside a transaction block.
    in_block: bool,
    cancel: Arc<AtomicBool>,
    limits: Arc<Limits>,
}

impl<B: Backend> Protocol<B> {
    /// A connection that has just been told it may come in.
    pub fn new(backend: B, limits: Arc<Limits>) -> Self {
        let cancel = backend.cancel_flag();
        Protocol {
            backend,
            out: BytesMut::with_capacity(8 << 10),
            statements: HashMap::new(),
            unnamed: None,
            unnamed_portal: None,
            skipping: false,
            barrier: None,
            broken: false,
            ended: false,
            idle: true,
            in_block: false,
            cancel,
            limits,
        }
    }

    /// The session.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// The log position that must be durable before `out` is written.
    pub fn take_barrier(&mut self) -> Option<u64> {
        self.barrier.take().filter(|lsn| !self.backend.is_durable(*lsn))
    }

    /// Whether the connection has to end after what was just done; the client is told why.
    pub fn is_over(&mut self) -> bool {
        if self.broken {
            self.fatal(&violation(
                "terminating connection because protocol synchronization was lost",
            ));
        }
        self.broken || self.ended
    }

    /// How long the client may be silent now, and what it is told then.
    pub fn idle_limit(&self) -> Option<(Duration, PgError)> {
        if self.idle { self.backend.idle_limit() } else { None }
    }

    /// Handles one message: its type and its body.
    pub fn on_message(&mut self, tag: u8, body: &[u8]) -> Step<B> {
        self.idle = false;
        if self.skipping && !matches!(tag, b'S' | b'X') {
            return Step::Next;
        }
        let result = match tag {
            b'B' => self.bind(body),
            b'E' => self.execute(body),
            b'S' => self.sync(body),
            b'D' => self.describe(body),
            b'P' => self.parse(body),
            b'Q' => return self.query(body),
            b'C' => self.close(body),
            b'H' => crate::message::Body::new(body).end().map(|()| Step::Next),
            b'X' => return Step::Close,
            // Left over from a COPY that failed: PostgreSQL ignores them outside of one.
            b'd' | b'c' | b'f' => Ok(Step::Next),
            b'F' => {
                self.fail(PgError::unsupported("the function call protocol"));
                self.ready();
                return Step::Next;
            }
            other => {
                return self.fatal(&violation(format!("invalid frontend message type {other}")));
            }
        };
        match result {
            Ok(step) => step,
            Err(error) => {
                self.fail(error);
                if tag == b'S' {
                    self.ready();
                } else {
                    self.skipping = true;
                }
                Step::Next
            }
        }
    }

    /// Reports an error and ends the implicit transaction it happened in.
    pub fn fail(&mut self, error: PgError) {
        self.tell();
        // The end of the session, found by the statement that ran.
        self.ended |= error.code() == SqlState::ADMIN_SHUTDOWN;
        let severity = if self.ended { "FATAL" } else { "ERROR" };
        encode::report(&mut self.out, b'E', severity, error.report());
        if let Err(second) = self.backend.end(false) {
            tracing::warn!("rolling back failed: {second}");
        }
        self.tell();
        self.transaction_over();
    }

    /// After a panic inside a message: the session is told and goes on. `mark`: where `out` held
    /// whole messages for sure.
    pub fn panicked(&mut self, tag: u8, mark: usize) {
        self.backend.on_notice(None);
        run::whole_messages(&mut self.out, mark);
        self.fail(PgError::internal("the statement failed inside the server"));
        match tag {
            b'Q' | b'F' | b'S' => self.ready(),
            _ => self.skipping = true,
        }
    }

    /// Reports an error after which the connection is closed.
    pub fn fatal(&mut self, error: &PgError) -> Step<B> {
        encode::report(&mut self.out, b'E', "FATAL", error.report());
        Step::Close
    }

    /// Tells the client what happened beside the result.
    fn tell(&mut self) {
        for event in self.backend.events() {
            match event {
                Event::Notice(n) => {
                    encode::report(&mut self.out, b'N', n.severity.as_str(), &n.report);
                }
                Event::Parameter(name, value) => {
                    encode::parameter_status(&mut self.out, &name, &value);
                }
                Event::Deallocate(Some(name)) => {
                    self.statements.remove(name.as_str());
                }
                Event::Deallocate(None) => {
                    self.statements.clear();
                    self.unnamed = None;
                }
            }
        }
    }

    /// Ends the implicit transaction well and remembers what must be durable.
    fn commit(&mut self) -> Result<(), PgError> {
        let lsn = self.backend.end(true)?;
        self.barrier = self.barrier.max(lsn);
        Ok(())
    }

    /// Portals do not outlive their transaction.
    fn transaction_over(&mut self) {
        if self.backend.status() != b'T' {
            self.unnamed_portal = None;
        }
    }

    fn ready(&mut self) {
        self.tell();
        if self.ended || self.broken {
            return;
        }
        self.idle = true;
        let status = self.backend.status();
        encode::ready(&mut self.out, status);
    }

    /// A new statement arrives: a cancel request that came before was for another one.
    fn begin_statement(&self) {
        if self.cancel.load(Ordering::Relaxed) {
            self.cancel.store(false, Ordering::Relaxed);
        }
    }

    fn too_many(&self, what: &str) -> PgError {
        PgError::new(SqlState::CONFIGURATION_LIMIT_EXCEEDED, format!("too many {what}"))
    }
}
