//! What COPY FROM reads: blocks of bytes, handed out as lines or as counted bytes.

use std::io::Read as _;
use std::ops::Range;

use bytes::Bytes;
use vicinity_types::{PgError, Result};

/// Where COPY FROM reads.
pub trait Source {
    /// The next block; `None` at the end.
    fn next(&mut self) -> Result<Option<Bytes>>;
}

/// Blocks of a file are that long.
const BLOCK: usize = 64 << 10;

/// A file of the server.
pub(super) struct File {
    pub(super) file: std::fs::File,
    pub(super) path: String,
}

impl Source for File {
    fn next(&mut self) -> Result<Option<Bytes>> {
        let mut block = vec![0; BLOCK];
        let n = self.file.read(&mut block).map_err(|e| {
            super::file::error(&e, format!("could not read from COPY file: {}", self.path))
        })?;
        block.truncate(n);
        Ok((n > 0).then(|| block.into()))
    }
}

/// The bytes at hand and where they come from.
pub(super) struct Input<'s> {
    source: &'s mut dyn Source,
    data: Vec<u8>,
    at: usize,
    ended: bool,
}

impl<'s> Input<'s> {
    pub(super) fn new(source: &'s mut dyn Source) -> Input<'s> {
        Input { source, data: Vec::new(), at: 0, ended: false }
    }

    /// The bytes at hand, not yet consumed.
    pub(super) fn bytes(&self) -> &[u8] {
        self.data.get(self.at..).unwrap_or_default()
    }

    /// Some of them, by offsets into [`Input::bytes`] before anything was consumed since.
    pub(super) fn get(&self, range: Range<usize>) -> &[u8] {
        self.bytes().get(range).unwrap_or_default()
    }

    /// Gets more; `false` at the end.
    pub(super) fn more(&mut self) -> Result<bool> {
        if self.ended {
            return Ok(false);
        }
        let Some(block) = self.source.next()? else {
            self.ended = true;
            return Ok(false);
        };
        // What is left is less than a row.
        self.data.drain(..self.at);
        self.at = 0;
        if self.data.len() + block.len() > LONGEST {
            return Err(too_long());
        }
        self.data.extend_from_slice(&block);
        Ok(true)
    }

    pub(super) fn consume(&mut self, n: usize) {
        self.at = (self.at + n).min(self.data.len());
        if self.at == self.data.len() {
            self.data.clear();
            self.at = 0;
        }
    }

    /// The next `n` bytes, not consumed; `false` if there are fewer.
    pub(super) fn ensure(&mut self, n: usize) -> Result<bool> {
        while self.bytes().len() < n {
            if !self.more()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads on to the end, forgetting everything.
    pub(super) fn drain(&mut self) -> Result<()> {
        self.data.clear();
        self.at = 0;
        while !self.ended {
            self.ended = self.source.next()?.is_none();
        }
        Ok(())
    }
}

/// The longest row (invariant *bounded*): PostgreSQL's limit of a string buffer.
const LONGEST: usize = (1 << 30) - 1;

fn too_long() -> PgError {
    PgError::new(vicinity_types::SqlState::PROGRAM_LIMIT_EXCEEDED, "out of memory")
        .detail(format!("Cannot enlarge string buffer containing {LONGEST} bytes by more bytes."))
}
