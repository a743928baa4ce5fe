//! Simple queries: a string of statements in one implicit transaction.

use vicinity_types::{PgError, Result};

use super::run::Ran;
use super::{Job, Protocol, Sink, Step};
use crate::backend::{Backend, Values};
use crate::encode;
use crate::message::{Body, Formats, Params};

/// A longer text is parsed on a blocking thread.
const INLINE_TEXT: usize = 16 << 10;

/// What is left of a simple query.
pub struct Rest<B: Backend> {
    statements: std::vec::IntoIter<B::Parsed>,
    /// The one that has begun: its portal and the rows written for it.
    running: Option<(B::Portal, u64)>,
}

impl<B: Backend> Protocol<B> {
    pub(super) fn query(&mut self, body: &[u8]) -> Step<B> {
        self.begin_statement();
        self.unnamed = None;
        self.unnamed_portal = None;
        let mut body = Body::new(body);
        let parsed = body.str().and_then(|sql| {
            body.end()?;
            if sql.len() > INLINE_TEXT {
                return Ok(Err(sql.to_owned()));
            }
            self.backend.split(sql).map(Ok)
        });
        match parsed {
            Ok(Ok(statements)) => self.start(statements, None),
            Ok(Err(long)) => Step::Block(Box::new(Job::Query(long))),
            Err(error) => self.query_failed(error),
        }
    }

    pub(super) fn do_query(&mut self, sql: &str, sink: &Sink) {
        match self.backend.split(sql) {
            Ok(statements) => self.start(statements, Some(sink)),
            Err(error) => self.query_failed(error),
        };
    }

    fn query_failed(&mut self, error: PgError) -> Step<B> {
        self.fail(error);
        self.ready();
        Step::Next
    }

    fn start(&mut self, statements: Vec<B::Parsed>, sink: Option<&Sink>) -> Step<B> {
        if statements.is_empty() {
            self.out.extend_from_slice(encode::EMPTY_QUERY);
        }
        self.statements(Rest { statements: statements.into_iter(), running: None }, sink)
    }

    /// Runs what is left; without a sink only as long as everything is short.
    pub(super) fn statements(&mut self, mut rest: Rest<B>, sink: Option<&Sink>) -> Step<B> {
        match self.try_statements(&mut rest, sink) {
            Ok(true) => {}
            Ok(false) => return Step::Block(Box::new(Job::Statements(rest))),
            Err(error) => return self.query_failed(error),
        }
        self.transaction_over();
        self.ready();
        Step::Next
    }

    /// `false`: the rest belongs on a blocking thread.
    fn try_statements(&mut self, rest: &mut Rest<B>, sink: Option<&Sink>) -> Result<bool> {
        loop {
            let (mut portal, rows) = match rest.running.take() {
                Some(running) => running,
                None => {
                    let Some(parsed) = rest.statements.as_slice().first() else { break };
                    let statement = match (self.backend.prepared(parsed, &[]), sink) {
                        (Some(statement), _) => statement,
                        (None, Some(_)) => self.backend.prepare(parsed, &[])?,
                        (None, None) => return Ok(false),
                    };
                    let about = self.backend.describe(&statement)?;
                    if !about.short && sink.is_none() {
                        return Ok(false);
                    }
                    if !about.params.is_empty() {
                        return Err(no_parameter());
                    }
                    rest.statements.next();
                    if let Some(sink) = sink
                        && !about.short
                    {
                        // Its notices do not come before what earlier statements said.
                        self.hand_over(sink, 1)?;
                    }
                    let values = Values { params: Params::none(), results: Formats::default() };
                    self.in_block = self.backend.status() != b'I';
                    let mut portal = self.backend.bind(&statement, values)?;
                    if let Some(opened) = self.backend.open(&mut portal)? {
                        self.tell();
                        let format = opened.format;
                        encode::row_description(&mut self.out, &opened.columns, |_| format);
                    }
                    (portal, 0)
                }
            };
            match self.run(&mut portal, 0, rows, sink)? {
                Ran::Done(rows, tag) => {
                    drop(portal);
                    if rest.statements.as_slice().is_empty() {
                        // The client hears of success only after the commit went well.
                        self.commit()?;
                    }
                    self.complete(rows, &tag);
                }
                Ran::Long(rows) => {
                    rest.running = Some((portal, rows));
                    return Ok(false);
                }
                Ran::Suspended => return Err(PgError::internal("a simple query has no row limit")),
            }
        }
        self.commit()?;
        Ok(true)
    }
}

fn no_parameter() -> PgError {
    PgError::new(vicinity_types::SqlState::UNDEFINED_PARAMETER, "there is no parameter $1")
}
