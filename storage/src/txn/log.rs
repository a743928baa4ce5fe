//! What a transaction has to say to the WAL, gathered until there is enough for a record.
//!
//! The operations form one stream of bytes per transaction. A long transaction sends it in chunks as
//! it goes; positions in the stream name the parts that ROLLBACK TO takes back.
//!
//! ```text
//!  op      bytes
//!  store   1, varint storage             what follows is about this storage
//!  insert  2, varint row, varint length, tuple
//!  update  3, varint row, varint length, tuple
//!  delete  4, varint row
//!  leave   5, varint row                 deleted because it went to another partition; in files of prepared
//!                                        transactions only
//! ```

use vicinity_types::{PgError, Result, SqlState};

use crate::mvcc::RowId;

const OP_STORE: u8 = 1;
const OP_INSERT: u8 = 2;
const OP_UPDATE: u8 = 3;
const OP_DELETE: u8 = 4;
const OP_LEAVE: u8 = 5;

/// A chunk is sent when it is this long.
pub(crate) const CHUNK: usize = 256 << 10;

/// A transaction's unsent operations.
#[derive(Default)]
pub(crate) struct TxnLog {
    bytes: Vec<u8>,
    /// Stream position of the first unsent byte.
    base: u64,
    /// The storage the last operation was about, 0 if the next one must say.
    store: u64,
    /// Parts of what was sent that were taken back. The log is told when the transaction commits: if it does not, they
    /// do not count anyway, and ROLLBACK TO cannot fail because the disk is full.
    void: Vec<(u64, u64)>,
}

impl TxnLog {
    /// A stream that goes on at `position`: what was sent before is taken back.
    pub(crate) fn after(position: u64) -> TxnLog {
        let void = if position > 0 { vec![(0, position)] } else { Vec::new() };
        TxnLog { bytes: Vec::new(), base: position, store: 0, void }
    }

    /// Where the stream ends now.
    pub(crate) fn position(&self) -> u64 {
        self.base + self.bytes.len() as u64
    }

    /// Whether anything was sent already.
    pub(crate) fn streamed(&self) -> bool {
        self.base > 0
    }

    pub(crate) fn unsent(&self) -> (u64, &[u8]) {
        (self.base, &self.bytes)
    }

    pub(crate) fn is_long(&self) -> bool {
        self.bytes.len() >= CHUNK
    }

    /// The unsent bytes went out.
    pub(crate) fn sent(&mut self) {
        self.base = self.position();
        self.bytes.clear();
        self.store = 0;
    }

    fn about(&mut self, store: u64) {
        if self.store != store {
            self.bytes.push(OP_STORE);
            put_varint(&mut self.bytes, store);
            self.store = store;
        }
    }

    pub(crate) fn insert(&mut self, store: u64, row: RowId, tuple: &[u8]) {
        self.tuple(OP_INSERT, store, row, tuple);
    }

    pub(crate) fn update(&mut self, store: u64, row: RowId, tuple: &[u8]) {
        self.tuple(OP_UPDATE, store, row, tuple);
    }

    fn tuple(&mut self, op: u8, store: u64, row: RowId, tuple: &[u8]) {
        self.about(store);
        self.bytes.push(op);
        put_varint(&mut self.bytes, row);
        put_varint(&mut self.bytes, tuple.len() as u64);
        self.bytes.extend_from_slice(tuple);
    }

    pub(crate) fn delete(&mut self, store: u64, row: RowId) {
        self.gone(OP_DELETE, store, row);
    }

    pub(crate) fn leave(&mut self, store: u64, row: RowId) {
        self.gone(OP_LEAVE, store, row);
    }

    fn gone(&mut self, op: u8, store: u64, row: RowId) {
        self.about(store);
        self.bytes.push(op);
        put_varint(&mut self.bytes, row);
    }

    /// Takes back what was said after `position`.
    pub(crate) fn rewind(&mut self, position: u64) {
        self.store = 0;
        if position >= self.base {
            self.bytes.truncate(usize::try_from(position - self.base).unwrap_or(0));
            return;
        }
        self.bytes.clear();
        self.void.push((position, self.base));
    }

    /// What was sent and taken back, from one position to another.
    pub(crate) fn void(&self) -> &[(u64, u64)] {
        &self.void
    }
}

/// One operation, read back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Op<'a> {
    Insert { store: u64, row: RowId, tuple: &'a [u8] },
    Update { store: u64, row: RowId, tuple: &'a [u8] },
    Delete { store: u64, row: RowId },
    Leave { store: u64, row: RowId },
}

impl Op<'_> {
    /// The storage it is about.
    pub(crate) fn store(&self) -> u64 {
        match self {
            Op::Insert { store, .. }
            | Op::Update { store, .. }
            | Op::Delete { store, .. }
            | Op::Leave { store, .. } => *store,
        }
    }
}

/// Reads the operations of a chunk.
pub(crate) struct Ops<'a> {
    bytes: &'a [u8],
    position: u64,
    store: u64,
}

impl<'a> Ops<'a> {
    /// `base` is the stream position of the first byte.
    pub(crate) fn new(base: u64, bytes: &'a [u8]) -> Ops<'a> {
        Ops { bytes, position: base, store: 0 }
    }

    /// The next operation and its stream position.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Op<'a>)>> {
        loop {
            let at = self.position;
            let Some((&op, rest)) = self.bytes.split_first() else { return Ok(None) };
            let mut rest = rest;
            let first = take_varint(&mut rest)?;
            let op = match op {
                OP_STORE => {
                    self.store = first;
                    None
                }
                OP_DELETE => Some(Op::Delete { store: self.store, row: first }),
                OP_LEAVE => Some(Op::Leave { store: self.store, row: first }),
                OP_INSERT | OP_UPDATE => {
                    let len = usize::try_from(take_varint(&mut rest)?).map_err(|_| corrupt())?;
                    let (tuple, after) = rest.split_at_checked(len).ok_or_else(corrupt)?;
                    rest = after;
                    Some(if op == OP_INSERT {
                        Op::Insert { store: self.store, row: first, tuple }
                    } else {
                        Op::Update { store: self.store, row: first, tuple }
                    })
                }
                _ => return Err(corrupt()),
            };
            self.position += (self.bytes.len() - rest.len()) as u64;
            self.bytes = rest;
            if let Some(op) = op {
                return Ok(Some((at, op)));
            }
        }
    }
}

fn corrupt() -> PgError {
    PgError::new(SqlState::DATA_CORRUPTED, "invalid operation in a WAL record")
}

/// LEB128.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push((n & 0x7f) as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Reads LEB128.
pub(crate) fn take_varint(bytes: &mut &[u8]) -> Result<u64> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let (&b, rest) = bytes.split_first().ok_or_else(corrupt)?;
        *bytes = rest;
        n |= u64::from(b & 0x7f) << shift;
        if b & 0x80 == 0 {
            return Ok(n);
        }
    }
    Err(corrupt())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn operations_read_back_with_their_positions() {
        let mut log = TxnLog::default();
        log.insert(7, 300, b"abc");
        let second = log.position();
        log.update(7, 1, b"");
        log.delete(9, u64::MAX);
        let (base, bytes) = log.unsent();
        let mut ops = Ops::new(base, bytes);
        let first = ops.next().unwrap().unwrap();
        assert_eq!(first.1, Op::Insert { store: 7, row: 300, tuple: b"abc" });
        assert_eq!(
            ops.next().unwrap(),
            Some((second, Op::Update { store: 7, row: 1, tuple: b"" }))
        );
        assert_eq!(ops.next().unwrap().unwrap().1, Op::Delete { store: 9, row: u64::MAX });
        assert_eq!(ops.next().unwrap(), None);
    }

    #[test]
    fn rewinding_over_sent_bytes_names_what_is_void() {
        let mut log = TxnLog::default();
        log.insert(1, 1, b"x");
        let keep = log.position();
        log.insert(1, 2, b"y");
        log.sent();
        let sent = log.position();
        log.insert(1, 3, b"z");
        log.rewind(keep);
        assert_eq!(log.void(), [(keep, sent)]);
        assert_eq!(log.position(), sent);
        log.insert(1, 4, b"w");
        log.rewind(sent);
        assert_eq!(log.void(), [(keep, sent)]);
        assert_eq!(log.position(), sent);
    }

    #[test]
    fn a_torn_operation_is_an_error() {
        let mut log = TxnLog::default();
        log.insert(1, 1, b"xyz");
        let (_, bytes) = log.unsent();
        let mut ops = Ops::new(0, &bytes[..bytes.len() - 1]);
        assert!(ops.next().is_err());
    }
}
