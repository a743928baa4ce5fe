//! Running a portal, with its rows going to the buffer and, on a blocking thread, onward.

use bytes::BytesMut;
use tokio::sync::{mpsc, oneshot};
use vicinity_types::{PgError, Result, SqlState};

use super::{Job, Protocol, Step};
use crate::backend::{Backend, CopyShape, NoticeHook, Progress, Tag};
use crate::copy::{CopyData, Feed};
use crate::encode;

/// Rows asked of the backend at a time.
const CHUNK_ROWS: u64 = 256;
/// A statement on the connection's task hands over to a blocking thread after so many rows.
const INLINE_ROWS: u64 = 2048;
/// A blocking thread hands a buffer over when it holds that much.
const CHUNK_BYTES: usize = 64 << 10;

/// Where a blocking thread sends full buffers; the connection's task writes them. Bounded, so
/// that a slow client slows the statement down instead of filling memory.
pub struct Sink(pub mpsc::Sender<Chunk>);

/// A full buffer, and what must happen before it is written.
pub struct Chunk {
    /// Encoded messages.
    pub bytes: BytesMut,
    /// Comes when the log is far enough for them to be written.
    pub barrier: Option<oneshot::Receiver<Result<()>>>,
    /// Where data of COPY FROM STDIN goes from then on.
    pub(crate) feed: Option<mpsc::Sender<Feed>>,
}

impl Sink {
    /// Sends notices at once, unless the client is slow: then they wait for the statement's end.
    fn notices(&self) -> NoticeHook {
        let sender = self.0.clone();
        Box::new(move |notice| {
            let mut bytes = BytesMut::new();
            encode::report(&mut bytes, b'N', notice.severity.as_str(), &notice.report);
            sender.try_send(Chunk { bytes, barrier: None, feed: None }).is_ok()
        })
    }

    fn send(&self, chunk: Chunk) -> Result<()> {
        self.0
            .blocking_send(chunk)
            .map_err(|_| PgError::new(SqlState::CONNECTION_FAILURE, "connection to client lost"))
    }
}

/// Resolves when the log is durable up to `lsn`.
pub fn durable<B: Backend>(backend: &B, lsn: u64) -> oneshot::Receiver<Result<()>> {
    let (done, waiting) = oneshot::channel();
    backend.on_durable(lsn, Box::new(move |result| drop(done.send(result))));
    waiting
}

/// Cuts off a row that was left half written after `from`, where a message begins.
pub(super) fn whole_messages(out: &mut BytesMut, from: usize) {
    let mut at = from;
    while let Some(&[_, a, b, c, d]) = out.get(at..).and_then(|rest| rest.first_chunk::<5>()) {
        let end = at + 1 + u32::from_be_bytes([a, b, c, d]) as usize;
        if end < at + 5 || end > out.len() {
            break;
        }
        at = end;
    }
    out.truncate(at);
}

/// How a run ended.
pub(super) enum Ran {
    /// At its end.
    Done(u64, Tag),
    /// At the row limit.
    Suspended,
    /// It has grown too long for the connection's task.
    Long(u64),
}

impl<B: Backend> Protocol<B> {
    /// Runs `portal` until its end or `limit` rows (0: none); `rows` were written before.
    pub(super) fn run(
        &mut self,
        portal: &mut B::Portal,
        limit: u64,
        mut rows: u64,
        sink: Option<&Sink>,
    ) -> Result<Ran> {
        let mut limit = if limit == 0 { u64::MAX } else { limit };
        let mut copying = false;
        loop {
            let ask = CHUNK_ROWS.min(limit - rows);
            let mark = self.out.len();
            match self.backend.execute(portal, ask, &mut self.out) {
                Ok(Progress::Done(n, tag)) => {
                    // COMMIT and ROLLBACK end their transaction, not that of what follows.
                    if self.in_block && self.backend.status() == b'I' {
                        self.commit()?;
                    }
                    if copying {
                        self.out.extend_from_slice(encode::COPY_DONE);
                    }
                    return Ok(Ran::Done(rows + n, tag));
                }
                Ok(Progress::CopyOut(shape)) => {
                    encode::copy_response(&mut self.out, b'H', shape);
                    // COPY knows no row limit.
                    (limit, copying) = (u64::MAX, true);
                }
                Ok(Progress::CopyIn(shape)) => {
                    return Ok(Ran::Done(0, self.copy_in(portal, shape, sink)?));
                }
                Ok(Progress::More(n)) => rows = rows.saturating_add(n),
                Err(error) => {
                    whole_messages(&mut self.out, mark);
                    return Err(error);
                }
            }
            if rows >= limit {
                return Ok(Ran::Suspended);
            }
            match sink {
                Some(sink) => self.hand_over(sink, CHUNK_BYTES)?,
                None if rows >= INLINE_ROWS || self.out.len() > 4 * CHUNK_BYTES => {
                    return Ok(Ran::Long(rows));
                }
                None => {}
            }
        }
    }

    /// Asks the client for data and runs the statement with it.
    fn copy_in(
        &mut self,
        portal: &mut B::Portal,
        shape: CopyShape,
        sink: Option<&Sink>,
    ) -> Result<Tag> {
        let Some(sink) = sink else {
            return Err(PgError::internal("COPY runs on a blocking thread"));
        };
        encode::copy_response(&mut self.out, b'G', shape);
        let (feed, mut data) = CopyData::channel();
        self.send(sink, Some(feed))?;
        let done = self.backend.copy_in(portal, &mut data);
        self.broken |= data.broken;
        done
    }

    /// Passes the buffer on when it holds at least `full` bytes.
    pub(super) fn hand_over(&mut self, sink: &Sink, full: usize) -> Result<()> {
        if self.out.len() >= full && !self.out.is_empty() { self.send(sink, None) } else { Ok(()) }
    }

    fn send(&mut self, sink: &Sink, feed: Option<mpsc::Sender<Feed>>) -> Result<()> {
        let barrier = self.take_barrier().map(|lsn| durable(&self.backend, lsn));
        let next = BytesMut::with_capacity(CHUNK_BYTES + (8 << 10));
        sink.send(Chunk { bytes: std::mem::replace(&mut self.out, next), barrier, feed })
    }

    pub(super) fn complete(&mut self, rows: u64, tag: &Tag) {
        self.tell();
        match tag {
            Tag::Empty => self.out.extend_from_slice(encode::EMPTY_QUERY),
            Tag::Rows(verb) => encode::command_complete_rows(&mut self.out, verb, rows),
            Tag::Text(text) => encode::command_complete(&mut self.out, text),
        }
    }

    /// Does what [`Protocol::on_message`] handed back, on a blocking thread.
    pub fn do_job(&mut self, job: Job<B>, sink: &Sink) {
        // The answers to earlier messages do not wait for this one.
        if self.hand_over(sink, 1).is_err() {
            return;
        }
        self.backend.on_notice(Some(sink.notices()));
        self.do_step(job, sink);
        self.backend.on_notice(None);
    }

    fn do_step(&mut self, job: Job<B>, sink: &Sink) {
        let result = match job {
            Job::Query(sql) => return self.do_query(&sql, sink),
            Job::Statements(rest) => {
                let step = self.statements(rest, Some(sink));
                debug_assert!(matches!(step, Step::Next));
                return;
            }
            Job::Parse { name, sql, types } => self.do_parse(&name, &sql, &types),
            Job::Execute { portal, limit, rows } => {
                self.do_execute(&portal, limit, rows, Some(sink)).map(|_| ())
            }
        };
        if let Err(error) = result {
            self.fail(error);
            self.skipping = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_row_is_cut_off() {
        let mut out = BytesMut::from(&b"xxD\0\0\0\x05aD\0\0\0\x04D\0\0\0\0\0\x02"[..]);
        whole_messages(&mut out, 2);
        assert_eq!(&out[..], b"xxD\0\0\0\x05aD\0\0\0\x04");
    }
}
