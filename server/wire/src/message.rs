//! Messages from the client, read in place: nothing is copied out of the read buffer.

use vicinity_types::io::utf8;
use vicinity_types::{Oid, PgError, Result, SqlState};

/// `08P01` in PostgreSQL's words.
pub fn violation(message: impl Into<String>) -> PgError {
    PgError::new(SqlState::PROTOCOL_VIOLATION, message)
}

/// What is left of one message's body.
#[derive(Clone, Copy)]
pub struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    /// Reads `bytes`, a message without its type and length.
    pub fn new(bytes: &'a [u8]) -> Self {
        Body(bytes)
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        match self.0.split_at_checked(n) {
            Some((head, tail)) => {
                self.0 = tail;
                Ok(head)
            }
            None => Err(violation("insufficient data left in message")),
        }
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8> {
        match self.0.split_first() {
            Some((byte, tail)) => {
                self.0 = tail;
                Ok(*byte)
            }
            None => Err(violation("no data left in message")),
        }
    }

    /// A big-endian `int2`.
    pub fn i16(&mut self) -> Result<i16> {
        match self.take(2)? {
            [a, b] => Ok(i16::from_be_bytes([*a, *b])),
            _ => Err(violation("insufficient data left in message")),
        }
    }

    /// A big-endian `int4`.
    pub fn i32(&mut self) -> Result<i32> {
        match self.take(4)? {
            [a, b, c, d] => Ok(i32::from_be_bytes([*a, *b, *c, *d])),
            _ => Err(violation("insufficient data left in message")),
        }
    }

    /// A zero-terminated string, which must be UTF-8.
    pub fn str(&mut self) -> Result<&'a str> {
        let end = self
            .0
            .iter()
            .position(|b| *b == 0)
            .ok_or_else(|| violation("invalid string in message"))?;
        let text = self.take(end)?;
        self.take(1)?;
        utf8(text)
    }

    /// Nothing may be left.
    pub fn end(self) -> Result<()> {
        if self.0.is_empty() { Ok(()) } else { Err(violation("invalid message format")) }
    }
}

/// Format codes of Bind: none (all text), one for all, or one each.
#[derive(Clone, Copy, Default)]
pub struct Formats<'a>(&'a [u8]);

impl<'a> Formats<'a> {
    fn read(body: &mut Body<'a>) -> Result<Self> {
        let count = usize::from(body.i16()? as u16);
        Ok(Formats(body.take(count * 2)?))
    }

    /// How many codes were sent.
    pub fn len(&self) -> usize {
        self.0.len() / 2
    }

    /// No code was sent: all text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The codes as sent.
    pub fn iter(&self) -> impl Iterator<Item = i16> + 'a {
        self.0.chunks_exact(2).map(|c| match c {
            [a, b] => i16::from_be_bytes([*a, *b]),
            _ => 0,
        })
    }

    /// The code for item `i`.
    pub fn get(&self, i: usize) -> i16 {
        match self.len() {
            0 => 0,
            1 => self.iter().next().unwrap_or(0),
            _ => match self.0.get(i * 2..i * 2 + 2) {
                Some([a, b]) => i16::from_be_bytes([*a, *b]),
                _ => 0,
            },
        }
    }
}

/// Parameter values of Bind, in place.
#[derive(Clone, Copy)]
pub struct Params<'a> {
    formats: Formats<'a>,
    count: usize,
    values: Body<'a>,
}

impl<'a> Params<'a> {
    /// No values at all, as in a simple query.
    pub fn none() -> Self {
        Params { formats: Formats::default(), count: 0, values: Body::new(&[]) }
    }

    /// How many values.
    pub fn len(&self) -> usize {
        self.count
    }

    /// No values.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Each value's format code and bytes; `None` is NULL.
    pub fn iter(&self) -> impl Iterator<Item = (i16, Option<&'a [u8]>)> + 'a {
        let (formats, mut values) = (self.formats, self.values);
        (0..self.count).map(move |i| {
            // The lengths were walked once when the message was read.
            let value = match values.i32() {
                Ok(n) => usize::try_from(n).ok().and_then(|n| values.take(n).ok()),
                Err(_) => None,
            };
            (formats.get(i), value)
        })
    }
}

/// Bind.
pub struct Bind<'a> {
    /// The portal to make.
    pub portal: &'a str,
    /// The statement to run.
    pub statement: &'a str,
    /// Its parameters.
    pub params: Params<'a>,
    /// How its columns are to be sent.
    pub results: Formats<'a>,
}

impl<'a> Bind<'a> {
    /// Reads the message and checks every count and length in it.
    pub fn read(mut body: Body<'a>) -> Result<Self> {
        let portal = body.str()?;
        let statement = body.str()?;
        let formats = Formats::read(&mut body)?;
        let count = usize::from(body.i16()? as u16);
        if formats.len() > 1 && formats.len() != count {
            return Err(violation(format!(
                "bind message has {} parameter formats but {count} parameters",
                formats.len()
            )));
        }
        let values = body;
        for _ in 0..count {
            match body.i32()? {
                -1 => {}
                n => {
                    let n = usize::try_from(n)
                        .map_err(|_| violation("insufficient data left in message"))?;
                    body.take(n)?;
                }
            }
        }
        let results = Formats::read(&mut body)?;
        body.end()?;
        if let Some(code) = formats.iter().chain(results.iter()).find(|c| !matches!(c, 0 | 1)) {
            return Err(PgError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unsupported format code: {code}"),
            ));
        }
        Ok(Bind { portal, statement, params: Params { formats, count, values }, results })
    }
}

/// Parse.
pub struct Parse<'a> {
    /// The statement's name; empty for the unnamed one.
    pub name: &'a str,
    /// Its text.
    pub sql: &'a str,
    /// Declared parameter types; 0 leaves one open.
    pub types: Vec<Oid>,
}

impl<'a> Parse<'a> {
    /// Reads the message.
    pub fn read(mut body: Body<'a>) -> Result<Self> {
        let name = body.str()?;
        let sql = body.str()?;
        let count = usize::from(body.i16()? as u16);
        let mut types = Vec::new();
        for _ in 0..count {
            types.push(body.i32()? as u32);
        }
        body.end()?;
        Ok(Parse { name, sql, types })
    }
}

/// Describe and Close: a statement or a portal by name.
pub enum Target<'a> {
    /// `S`
    Statement(&'a str),
    /// `P`
    Portal(&'a str),
}

impl<'a> Target<'a> {
    /// Reads the message; `what` names it in errors (`DESCRIBE`, `CLOSE`).
    pub fn read(mut body: Body<'a>, what: &str) -> Result<Self> {
        let kind = body.u8()?;
        let name = body.str()?;
        body.end()?;
        match kind {
            b'S' => Ok(Target::Statement(name)),
            b'P' => Ok(Target::Portal(name)),
            other => Err(violation(format!("invalid {what} message subtype {other}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn bind_is_read_in_place() {
        let mut m = b"p\0s\0".to_vec();
        m.extend([0, 1, 0, 1, 0, 2]);
        m.extend([0, 0, 0, 2, 7, 8, 255, 255, 255, 255, 0, 0]);
        let bind = Bind::read(Body::new(&m)).unwrap();
        assert_eq!((bind.portal, bind.statement), ("p", "s"));
        let got: Vec<_> = bind.params.iter().collect();
        assert_eq!(got, vec![(1, Some(&[7u8, 8][..])), (1, None)]);
        for cut in 0..m.len() {
            assert!(Bind::read(Body::new(&m[..cut])).is_err());
        }
    }
}
