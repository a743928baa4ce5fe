//! Lines of COPY data in text and CSV format: where each one ends.
//!
//! The first line's end says how all must end. Text ends a line at any newline that no backslash
//! precedes, CSV at any outside of quotes; `\.` alone on a line ends the data.

use vicinity_types::{PgError, Result};

use super::bad_format;
use super::input::Input;

/// How lines end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Newline,
    Return,
    Both,
}

/// The lines of one COPY.
pub(super) struct Lines {
    /// Quote and escape of CSV.
    csv: Option<(u8, u8)>,
    end: Option<End>,
    /// The number of the line read last, one-based.
    pub(super) number: u64,
    finished: bool,
}

/// Where a line ends: its length without the end, and with it.
struct Found {
    length: usize,
    whole: usize,
    /// The data ends here.
    last: bool,
}

impl Lines {
    pub(super) fn new(csv: Option<(u8, u8)>) -> Lines {
        Lines { csv, end: None, number: 0, finished: false }
    }

    /// Puts the next line into `line`; `false` at the end of the data. On an error `line` has what
    /// was read of it.
    pub(super) fn next(&mut self, input: &mut Input<'_>, line: &mut Vec<u8>) -> Result<bool> {
        line.clear();
        if self.finished {
            return Ok(false);
        }
        self.number += 1;
        let found = self.scan(input)?;
        line.extend_from_slice(input.get(0..found.length));
        input.consume(found.whole);
        if found.last {
            self.finished = true;
            input.drain()?;
            return Ok(!line.is_empty());
        }
        Ok(true)
    }

    /// The byte at `at`, read if need be; `None` at the end.
    fn byte(input: &mut Input<'_>, at: usize) -> Result<Option<u8>> {
        loop {
            if let Some(byte) = input.bytes().get(at) {
                return Ok(Some(*byte));
            }
            if !input.more()? {
                return Ok(None);
            }
        }
    }

    fn scan(&mut self, input: &mut Input<'_>) -> Result<Found> {
        let (mut quoted, mut escaped) = (false, false);
        let mut at = 0;
        loop {
            at += self.ordinary(input.get(at..input.bytes().len()));
            let Some(c) = Self::byte(input, at)? else {
                return Ok(Found { length: at, whole: at, last: true });
            };
            if let Some((quote, escape)) = self.csv {
                // A quote that is its own escape just toggles twice.
                let escape = (escape != quote).then_some(escape);
                if quoted && escape == Some(c) {
                    escaped = !escaped;
                }
                if c == quote && !escaped {
                    quoted = !quoted;
                }
                if escape != Some(c) {
                    escaped = false;
                }
                let counts = if self.end == Some(End::Newline) { b'\n' } else { b'\r' };
                if quoted && c == counts {
                    self.number += 1;
                }
            }
            match c {
                b'\r' if !quoted => {
                    if let Some(found) = self.carriage_return(input, at)? {
                        return Ok(found);
                    }
                }
                b'\n' if !quoted => {
                    if !matches!(self.end, None | Some(End::Newline)) {
                        return Err(self.literal("newline", "\\n"));
                    }
                    self.end = Some(End::Newline);
                    return Ok(Found { length: at, whole: at + 1, last: false });
                }
                b'\\' if self.csv.is_none() || at == 0 => {
                    let next = Self::byte(input, at + 1)?;
                    if next == Some(b'.') {
                        if let Some(found) = self.end_marker(input, at)? {
                            return Ok(found);
                        }
                    } else if self.csv.is_none() && next.is_some() {
                        at += 1;
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// How many bytes mean nothing to the scan.
    fn ordinary(&self, bytes: &[u8]) -> usize {
        let (quote, escape) = self.csv.unwrap_or((b'\n', b'\n'));
        let special = |b: &u8| matches!(*b, b'\n' | b'\r' | b'\\') || *b == quote || *b == escape;
        bytes.iter().position(special).unwrap_or(bytes.len())
    }

    fn carriage_return(&mut self, input: &mut Input<'_>, at: usize) -> Result<Option<Found>> {
        if matches!(self.end, None | Some(End::Both)) {
            if Self::byte(input, at + 1)? == Some(b'\n') {
                self.end = Some(End::Both);
                return Ok(Some(Found { length: at, whole: at + 2, last: false }));
            }
            if self.end == Some(End::Both) {
                return Err(self.literal("carriage return", "\\r"));
            }
            self.end = Some(End::Return);
        } else if self.end == Some(End::Newline) {
            return Err(self.literal("carriage return", "\\r"));
        }
        Ok(Some(Found { length: at, whole: at + 1, last: false }))
    }

    /// `\.` at `at`: the end of the data if nothing else is on the line. In CSV it may be data.
    fn end_marker(&self, input: &mut Input<'_>, at: usize) -> Result<Option<Found>> {
        let csv = self.csv.is_some();
        let style = || bad_format("end-of-copy marker does not match previous newline style");
        let mut next = at + 2;
        let done = |whole| Ok(Some(Found { length: at, whole, last: true }));
        if self.end == Some(End::Both) {
            match Self::byte(input, next)? {
                Some(b'\n') if !csv => return Err(style()),
                Some(b'\r') => next += 1,
                None => return done(next),
                Some(_) if csv => return Ok(None),
                Some(_) => return Err(bad_format("end-of-copy marker corrupt")),
            }
        }
        let Some(c) = Self::byte(input, next)? else { return done(next) };
        if !matches!(c, b'\r' | b'\n') {
            if csv {
                return Ok(None);
            }
            return Err(bad_format("end-of-copy marker corrupt"));
        }
        let wanted = match self.end {
            Some(End::Return) => b'\r',
            Some(_) => b'\n',
            None => c,
        };
        if c != wanted {
            return Err(style());
        }
        done(next + 1)
    }

    #[cold]
    fn literal(&self, what: &str, escape: &str) -> PgError {
        if self.csv.is_some() {
            return bad_format(format!("unquoted {what} found in data"))
                .hint(format!("Use quoted CSV field to represent {what}."));
        }
        bad_format(format!("literal {what} found in data"))
            .hint(format!("Use \"{escape}\" to represent {what}."))
    }
}
