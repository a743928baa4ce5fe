//! What images of indexes are made of: numbers, little-endian, one behind the other.

use std::io::{self, BufRead, Write};

/// Most memory that is taken at once for what a file says is there.
const AT_ONCE: usize = 16 << 20;

/// Where an image goes.
pub(crate) struct Out<'a>(pub(crate) &'a mut dyn Write);

impl Out<'_> {
    pub(crate) fn u32(&mut self, n: usize) -> io::Result<()> {
        let n = u32::try_from(n).map_err(io::Error::other)?;
        self.0.write_all(&n.to_le_bytes())
    }

    pub(crate) fn u64(&mut self, n: u64) -> io::Result<()> {
        self.0.write_all(&n.to_le_bytes())
    }

    pub(crate) fn f32s(&mut self, values: &[f32]) -> io::Result<()> {
        values.iter().try_for_each(|v| self.0.write_all(&v.to_le_bytes()))
    }

    pub(crate) fn f64(&mut self, value: f64) -> io::Result<()> {
        self.u64(value.to_bits())
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }
}

/// Where an image comes from.
pub(crate) struct In<'a>(pub(crate) &'a mut dyn BufRead);

impl In<'_> {
    fn word<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut word = [0; N];
        self.0.read_exact(&mut word)?;
        Ok(word)
    }

    pub(crate) fn u32(&mut self) -> io::Result<usize> {
        Ok(u32::from_le_bytes(self.word()?) as usize)
    }

    pub(crate) fn u64(&mut self) -> io::Result<u64> {
        Ok(u64::from_le_bytes(self.word()?))
    }

    pub(crate) fn f64(&mut self) -> io::Result<f64> {
        Ok(f64::from_bits(self.u64()?))
    }

    pub(crate) fn f32s(&mut self, count: usize) -> io::Result<Vec<f32>> {
        let mut out = Vec::new();
        self.words::<4>(count, &mut |words| {
            out.extend(words.iter().map(|w| f32::from_le_bytes(*w)))
        })?;
        Ok(out)
    }

    pub(crate) fn u64s(&mut self, count: usize) -> io::Result<Vec<u64>> {
        let mut out = Vec::with_capacity(count.min(AT_ONCE / 8));
        self.words::<8>(count, &mut |words| {
            out.extend(words.iter().map(|w| u64::from_le_bytes(*w)))
        })?;
        Ok(out)
    }

    /// So many bytes; memory is taken as they come.
    pub(crate) fn bytes(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(count.min(AT_ONCE));
        self.append(count, &mut out)?;
        Ok(out)
    }

    /// The same behind what is there.
    pub(crate) fn append(&mut self, mut count: usize, out: &mut Vec<u8>) -> io::Result<()> {
        while count > 0 {
            let bytes = some(self.0.fill_buf()?)?;
            let bytes = bytes.get(..count).unwrap_or(bytes);
            out.extend_from_slice(bytes);
            count -= bytes.len();
            let used = bytes.len();
            self.0.consume(used);
        }
        Ok(())
    }

    /// Calls `f` with so many words of `N` bytes, as many at a time as lie together.
    pub(crate) fn words<const N: usize>(
        &mut self,
        mut count: usize,
        f: &mut dyn FnMut(&[[u8; N]]),
    ) -> io::Result<()> {
        while count > 0 {
            let (words, _) = some(self.0.fill_buf()?)?.as_chunks::<N>();
            let words = words.get(..count).unwrap_or(words);
            let whole = words.len();
            f(words);
            self.0.consume(whole * N);
            count -= whole;
            if count > 0 {
                // One may lie on both sides of a block's end.
                f(&[self.word()?]);
                count -= 1;
            }
        }
        Ok(())
    }

    /// A number that must be this one.
    pub(crate) fn expect(&mut self, n: usize, what: &str) -> io::Result<()> {
        let found = self.u32()?;
        if found == n {
            return Ok(());
        }
        Err(io::Error::other(format!("{what} is {found}, not {n}")))
    }
}

/// Bytes that there must be.
fn some(bytes: &[u8]) -> io::Result<&[u8]> {
    if bytes.is_empty() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
}

pub(crate) fn wrong(what: &str) -> io::Error {
    io::Error::other(what)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn what_goes_out_comes_in_whatever_the_blocks() {
        let mut file = Vec::new();
        let out = &mut Out(&mut file);
        out.u32(7).unwrap();
        out.f32s(&[0.5, -1.0, 2.0]).unwrap();
        (0..9).for_each(|n| out.u64(n << 40).unwrap());
        out.f64(0.25).unwrap();
        out.bytes(b"the rest").unwrap();
        for block in 1..file.len() {
            let mut from = BufReader::with_capacity(block, file.as_slice());
            let from = &mut In(&mut from);
            from.expect(7, "it").unwrap();
            assert_eq!(from.f32s(3).unwrap(), [0.5, -1.0, 2.0]);
            assert!(from.u64s(9).unwrap().into_iter().eq((0..9).map(|n| n << 40)));
            assert_eq!(from.f64().unwrap(), 0.25);
            assert_eq!(from.bytes(8).unwrap(), b"the rest");
            assert!(from.bytes(1).is_err());
        }
    }
}
