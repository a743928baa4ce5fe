//! A line taken apart: its fields, in text and CSV format.

use vicinity_types::Result;

use super::bad_format;
use super::options::Options;

/// The fields of one row; `None` is NULL.
#[derive(Default)]
pub(super) struct Fields {
    /// The bytes of all of them.
    data: Vec<u8>,
    ends: Vec<(usize, bool)>,
}

impl Fields {
    pub(super) fn clear(&mut self) {
        self.data.clear();
        self.ends.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    fn start(&self) -> usize {
        self.ends.last().map_or(0, |(end, _)| *end)
    }

    fn close(&mut self, null: bool) {
        self.ends.push((self.data.len(), null));
    }

    /// Field `i`.
    pub(super) fn get(&self, i: usize) -> Option<&[u8]> {
        let (end, null) = *self.ends.get(i)?;
        let start = match i.checked_sub(1) {
            Some(before) => self.ends.get(before)?.0,
            None => 0,
        };
        if null { None } else { self.data.get(start..end) }
    }

    /// Splits a line in text format.
    pub(super) fn text(&mut self, line: &[u8], options: &Options) {
        self.clear();
        let mut rest = line;
        loop {
            let special = |b: &u8| *b == options.delimiter || *b == b'\\';
            let from = rest;
            let mut length = 0;
            let start = self.start();
            // Runs of plain bytes, and escapes between them.
            let ended = loop {
                let run = rest.iter().position(special).unwrap_or(rest.len());
                self.data.extend_from_slice(rest.get(..run).unwrap_or_default());
                length += run;
                match rest.get(run) {
                    Some(b'\\') => {
                        let taken = self.escape(rest.get(run + 1..).unwrap_or_default());
                        length += 1 + taken;
                        rest = rest.get(run + 1 + taken..).unwrap_or_default();
                    }
                    Some(_) => {
                        rest = rest.get(run + 1..).unwrap_or_default();
                        break false;
                    }
                    None => break true,
                }
            };
            let null = from.get(..length) == Some(options.null.as_bytes());
            if null {
                self.data.truncate(start);
            }
            self.close(null);
            if ended {
                return;
            }
        }
    }

    /// What a backslash makes of the bytes after it; how many it takes.
    fn escape(&mut self, after: &[u8]) -> usize {
        let Some(c) = after.first() else {
            self.data.push(b'\\');
            return 0;
        };
        let digits = |from: usize, most: usize, radix: u32| {
            let value = |b: &u8| char::from(*b).to_digit(radix);
            after.iter().skip(from).take(most).map_while(value).collect::<Vec<u32>>()
        };
        let (byte, taken) = match c {
            b'0'..=b'7' => {
                let found = digits(0, 3, 8);
                (found.iter().fold(0, |v, d| v * 8 + d), found.len())
            }
            b'x' => {
                let found = digits(1, 2, 16);
                match found.len() {
                    0 => (u32::from(b'x'), 1),
                    n => (found.iter().fold(0, |v, d| v * 16 + d), n + 1),
                }
            }
            b'b' => (8, 1),
            b'f' => (12, 1),
            b'n' => (10, 1),
            b'r' => (13, 1),
            b't' => (9, 1),
            b'v' => (11, 1),
            other => (u32::from(*other), 1),
        };
        self.data.push((byte & 0xff) as u8);
        taken
    }

    /// Splits a line in CSV format.
    pub(super) fn csv(&mut self, line: &[u8], options: &Options) -> Result<()> {
        self.clear();
        let Options { delimiter, quote, escape, .. } = *options;
        let mut bytes = line.iter().copied().enumerate().peekable();
        let mut from = 0;
        loop {
            let start = self.data.len();
            let (mut saw_quote, mut quoted) = (false, false);
            let mut end = None;
            while let Some((at, c)) = bytes.next() {
                if !quoted {
                    if c == delimiter {
                        end = Some(at);
                        break;
                    }
                    if c == quote {
                        (saw_quote, quoted) = (true, true);
                    } else {
                        self.data.push(c);
                    }
                    continue;
                }
                if c == escape
                    && let Some((_, next)) = bytes.next_if(|(_, n)| *n == escape || *n == quote)
                {
                    self.data.push(next);
                } else if c == quote {
                    quoted = false;
                } else {
                    self.data.push(c);
                }
            }
            if quoted {
                return Err(bad_format("unterminated CSV quoted field"));
            }
            let raw = line.get(from..end.unwrap_or(line.len())).unwrap_or_default();
            let null = !saw_quote && raw == options.null.as_bytes();
            if null {
                self.data.truncate(start);
            }
            self.close(null);
            match end {
                Some(at) => from = at + 1,
                None => return Ok(()),
            }
        }
    }
}
