//! The read buffer: messages are handed out in place.

use std::ops::Range;

use vicinity_types::Result;

use crate::message::violation;

/// Where it starts, and what it shrinks back to.
const INITIAL: usize = 8 << 10;
/// A bigger buffer is given up once it is empty.
const KEEP: usize = 256 << 10;
/// Messages that carry neither text nor values are never longer (PostgreSQL's own limit).
const SMALL: usize = 10_000;

/// Bytes received and not yet handled.
pub struct ReadBuffer {
    data: Vec<u8>,
    start: usize,
    end: usize,
    limit: usize,
}

impl ReadBuffer {
    /// `limit`: the longest message.
    pub fn new(limit: usize) -> Self {
        ReadBuffer { data: vec![0; INITIAL], start: 0, end: 0, limit }
    }

    /// The bytes not yet handled.
    pub fn bytes(&self) -> &[u8] {
        self.data.get(self.start..self.end).unwrap_or_default()
    }

    /// Some bytes of it, by the range that [`ReadBuffer::frame`] gave.
    pub fn get(&self, range: Range<usize>) -> &[u8] {
        self.data.get(range).unwrap_or_default()
    }

    /// Drops the first `n` bytes.
    pub fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
            if self.data.len() > KEEP {
                self.data = vec![0; INITIAL];
            }
        }
    }

    /// The next complete message, taken out of the unhandled bytes: its type and where its body
    /// is. Fails when its header cannot be followed, after which nothing that comes makes sense.
    pub fn frame(&mut self) -> Result<Option<(u8, Range<usize>)>> {
        let Some([tag, a, b, c, d]) = self.bytes().first_chunk::<5>().copied() else {
            return Ok(None);
        };
        let len = u32::from_be_bytes([a, b, c, d]) as usize;
        let limit = match tag {
            b'B' | b'P' | b'Q' | b'F' | b'd' | b'p' => self.limit,
            b'C' | b'D' | b'E' | b'H' | b'S' | b'X' | b'c' | b'f' => SMALL.min(self.limit),
            other => {
                return Err(violation(format!("invalid frontend message type {other}")));
            }
        };
        if len < 4 || len > limit {
            return Err(violation("invalid message length"));
        }
        if self.end - self.start < len + 1 {
            return Ok(None);
        }
        let body = self.start + 5..self.start + 1 + len;
        self.start = body.end;
        Ok(Some((tag, body)))
    }

    /// Call when a message given by [`ReadBuffer::frame`] is no longer looked at.
    pub fn settle(&mut self) {
        self.consume(0);
    }

    /// Room to read into. Grows with what has arrived, not with what a header announces.
    pub fn room(&mut self) -> &mut [u8] {
        if self.end == self.data.len() {
            if self.start > 0 {
                self.data.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            if self.end * 4 >= self.data.len() * 3 {
                let more = self.data.len() * 2;
                self.data.resize(more, 0);
            }
        }
        self.data.get_mut(self.end..).unwrap_or_default()
    }

    /// `n` bytes were read into [`ReadBuffer::room`].
    pub fn filled(&mut self, n: usize) {
        self.end = (self.end + n).min(self.data.len());
    }

    /// Bytes held.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn feed(buf: &mut ReadBuffer, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = buf.room();
            let n = room.len().min(bytes.len());
            room[..n].copy_from_slice(&bytes[..n]);
            buf.filled(n);
            bytes = &bytes[n..];
        }
    }

    #[test]
    fn frames_come_out_whole() {
        let mut buf = ReadBuffer::new(1 << 20);
        let big = vec![7u8; 100_000];
        let mut message = vec![b'Q'];
        message.extend((big.len() as u32 + 4).to_be_bytes());
        message.extend(&big);
        feed(&mut buf, b"S\0\0\0\x04");
        feed(&mut buf, &message[..50_000]);
        assert_eq!(buf.frame().unwrap(), Some((b'S', 5..5)));
        assert!(buf.frame().unwrap().is_none());
        feed(&mut buf, &message[50_000..]);
        let (tag, range) = buf.frame().unwrap().unwrap();
        assert_eq!((tag, buf.get(range)), (b'Q', &big[..]));
        buf.settle();
        assert!(buf.is_empty());
    }

    #[test]
    fn headers_are_checked() {
        for bad in [&b"?\0\0\0\x04"[..], b"S\0\0\0\x03", b"S\0\x01\0\0", b"Q\xff\xff\xff\xff"] {
            let mut buf = ReadBuffer::new(1 << 20);
            feed(&mut buf, bad);
            assert!(buf.frame().is_err());
        }
    }
}
