//! COPY FROM STDIN: what the client sends, handed to the thread that runs the statement.
//!
//! While a blocking thread has the protocol, the connection's task takes CopyData messages out of
//! the read buffer and passes their contents on in blocks. The channel is short: a slow statement
//! slows the client down.

use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use vicinity_types::{PgError, Result, SqlState};

use crate::message::{Body, violation};
use crate::read::ReadBuffer;

/// Blocks on their way.
const BLOCKS: usize = 4;
/// CopyData messages are joined up to that many bytes.
const BLOCK: usize = 64 << 10;
/// How long to wait for the client before the statement looks at its cancel flag.
const PATIENCE: Duration = Duration::from_millis(50);

/// What the connection's task found.
pub(crate) enum Feed {
    /// Contents of CopyData.
    Data(Bytes),
    /// CopyDone.
    Done,
    /// CopyFail, or a message that has no place here.
    Failed(PgError),
    /// After this the messages can no longer be told apart.
    Broken(PgError),
}

/// What came.
#[derive(Debug)]
pub enum Supply {
    /// Bytes.
    Block(Bytes),
    /// Nothing yet: look whether the statement is to go on, and ask again.
    Nothing,
    /// That was all.
    End,
}

/// The data of one COPY FROM STDIN.
pub struct CopyData {
    feed: mpsc::Receiver<Feed>,
    ended: bool,
    /// The connection cannot go on.
    pub(crate) broken: bool,
}

impl CopyData {
    pub(crate) fn channel() -> (mpsc::Sender<Feed>, CopyData) {
        let (sender, feed) = mpsc::channel(BLOCKS);
        (sender, CopyData { feed, ended: false, broken: false })
    }

    /// The next block. To be called on a blocking thread.
    pub fn receive(&mut self) -> Result<Supply> {
        if self.ended {
            return Ok(Supply::End);
        }
        let feed = match self.feed.try_recv() {
            Ok(feed) => Some(feed),
            Err(mpsc::error::TryRecvError::Disconnected) => None,
            Err(mpsc::error::TryRecvError::Empty) => {
                let wait = tokio::time::timeout(PATIENCE, self.feed.recv());
                match Handle::current().block_on(wait) {
                    Ok(feed) => feed,
                    Err(_) => return Ok(Supply::Nothing),
                }
            }
        };
        match feed {
            Some(Feed::Data(block)) => Ok(Supply::Block(block)),
            Some(Feed::Done) => {
                self.ended = true;
                Ok(Supply::End)
            }
            Some(Feed::Failed(error)) => Err(error),
            Some(Feed::Broken(error)) => {
                self.broken = true;
                Err(error)
            }
            None => Err(PgError::new(
                SqlState::CONNECTION_FAILURE,
                "unexpected EOF on client connection with an open transaction",
            )),
        }
    }
}

/// Takes what is complete in the read buffer; `None` if more has to be read.
pub(crate) fn take(buffer: &mut ReadBuffer) -> Option<Feed> {
    let mut block = Vec::new();
    let end = loop {
        match buffer.bytes().first() {
            None => break None,
            Some(b'd' | b'c' | b'f' | b'H' | b'S') => {}
            // What was joined goes first.
            Some(_) if !block.is_empty() => break None,
            Some(other) => {
                break Some(Feed::Broken(violation(format!(
                    "unexpected message type 0x{other:02X} during COPY from stdin"
                ))));
            }
        }
        if !block.is_empty()
            && (block.len() >= BLOCK || !matches!(buffer.bytes().first(), Some(b'd')))
        {
            break None;
        }
        let (tag, range) = match buffer.frame() {
            Ok(Some(found)) => found,
            Ok(None) => break None,
            Err(error) => break Some(Feed::Broken(error)),
        };
        match tag {
            b'd' => block.extend_from_slice(buffer.get(range)),
            b'c' => break Some(Feed::Done),
            b'f' => break Some(Feed::Failed(failed(buffer.get(range)))),
            // Flush and Sync mean nothing here: the client may not know yet that this is COPY.
            _ => {}
        }
    };
    buffer.settle();
    end.or_else(|| (!block.is_empty()).then(|| Feed::Data(block.into())))
}

fn failed(body: &[u8]) -> PgError {
    match Body::new(body).str() {
        Ok(reason) => {
            PgError::new(SqlState::QUERY_CANCELED, format!("COPY from stdin failed: {reason}"))
        }
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]
    use super::*;

    fn buffer(bytes: &[u8]) -> ReadBuffer {
        let mut buffer = ReadBuffer::new(1 << 20);
        buffer.room()[..bytes.len()].copy_from_slice(bytes);
        buffer.filled(bytes.len());
        buffer
    }

    #[test]
    fn data_is_joined_up_to_its_end() {
        let mut b = buffer(b"d\0\0\0\x05aS\0\0\0\x04d\0\0\0\x06bcc\0\0\0\x04Q");
        assert!(matches!(take(&mut b), Some(Feed::Data(d)) if &d[..] == b"a"));
        assert!(matches!(take(&mut b), Some(Feed::Data(d)) if &d[..] == b"bc"));
        assert!(matches!(take(&mut b), Some(Feed::Done)));
        assert!(matches!(take(&mut b), Some(Feed::Broken(_))));
    }

    #[test]
    fn half_a_message_waits() {
        let mut b = buffer(b"d\0\0\0\x06b");
        assert!(take(&mut b).is_none());
        assert_eq!(b.len(), 6);
    }
}
