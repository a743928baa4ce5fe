//! The content of a string constant with escapes: characters, single bytes, halves of surrogate pairs.

use vicinity_types::io::utf8;
use vicinity_types::{PgError, Result, SqlState};

/// What has been read of it.
#[derive(Default)]
pub(super) struct Escaped {
    bytes: Vec<u8>,
    /// The first half of a surrogate pair.
    high: Option<u32>,
}

impl Escaped {
    pub(super) fn push(&mut self, c: char) -> Result<()> {
        self.whole()?;
        self.bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    /// A byte, which may be a part of a character.
    pub(super) fn push_byte(&mut self, byte: u8) -> Result<()> {
        self.whole()?;
        self.bytes.push(byte);
        Ok(())
    }

    /// A code point, or half of a surrogate pair.
    pub(super) fn push_code(&mut self, code: u32) -> Result<()> {
        match (self.high.take(), code) {
            (None, 0xd800..=0xdbff) => {
                self.high = Some(code);
                Ok(())
            }
            (Some(high), 0xdc00..=0xdfff) => {
                self.push_scalar(0x10000 + ((high & 0x3ff) << 10) + (code & 0x3ff))
            }
            (None, 0xdc00..=0xdfff) | (Some(_), _) => Err(broken_pair()),
            (None, code) => self.push_scalar(code),
        }
    }

    fn push_scalar(&mut self, code: u32) -> Result<()> {
        match char::from_u32(code).filter(|c| *c != '\0') {
            Some(c) => self.push(c),
            None => Err(PgError::new(SqlState::SYNTAX_ERROR, "invalid Unicode escape value")),
        }
    }

    fn whole(&self) -> Result<()> {
        if self.high.is_some() { Err(broken_pair()) } else { Ok(()) }
    }

    /// The text, if the bytes are one.
    pub(super) fn finish(self) -> Result<String> {
        self.whole()?;
        utf8(&self.bytes).map(str::to_owned)
    }
}

fn broken_pair() -> PgError {
    PgError::new(SqlState::SYNTAX_ERROR, "invalid Unicode surrogate pair")
}
