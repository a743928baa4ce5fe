//! A leaf: an immutable run of entries in one block of bytes.
//!
//! ```text
//!   0   u16 count, u16 prefix length, u16 key width (VARIES = lengths differ), u8 row width, u8 unused
//!   8   u64 row base
//!   16  prefix            what all keys begin with
//!       rows              count x row width, little-endian, minus the base
//!       [ends]            count x u32, only if lengths differ: where each key ends
//!       keys              what follows the prefix
//!       8 bytes           so that any word can be read whole
//! ```
//!
//! Four-byte integers of neighbouring rows take four to six bytes an entry. An insert or a removal copies the block
//! with a gap or without one entry; only when the new entry does not fit the form (another prefix, another width) is
//! the block made anew.
#![allow(clippy::indexing_slicing)] // offsets come from the block's own header

use std::cmp::Ordering;
use std::hint::select_unpredictable;

use crate::RowId;

/// Key width of a block whose keys have different lengths.
const VARIES: usize = u16::MAX as usize;
const HEADER: usize = 16;
pub(super) const TAIL: usize = 8;
/// Keys keep this much behind the prefix, so that the next key likely has the same prefix.
const LEAST_SUFFIX: usize = 2;
const LEAST_ROW_WIDTH: usize = 2;

/// A view of a block.
#[derive(Clone, Copy)]
pub(super) struct Leaf<'a> {
    bytes: &'a [u8],
    count: usize,
    prefix: usize,
    width: usize,
    row_width: usize,
    base: u64,
}

fn u16_at(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

/// Eight bytes from `at`.
#[inline(always)]
fn word<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut word = [0; N];
    word.copy_from_slice(&bytes[at..at + N]);
    word
}

/// The first eight bytes as a number, zeros behind a short slice: orders like the bytes but for ties.
#[inline(always)]
pub(super) fn head(key: &[u8]) -> u64 {
    if let Some(first) = key.first_chunk() {
        return u64::from_be_bytes(*first);
    }
    let mut word = [0; 8];
    word[..key.len()].copy_from_slice(key);
    u64::from_be_bytes(word)
}

impl<'a> Leaf<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Leaf {
            bytes,
            count: u16_at(bytes, 0),
            prefix: u16_at(bytes, 2),
            width: u16_at(bytes, 4),
            row_width: usize::from(bytes[6]),
            base: u64::from_le_bytes(word(bytes, 8)),
        }
    }

    /// A view of what [`Leaf::content`] once was, if it may have been and is in order, with at least one entry.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let content = bytes.len().checked_sub(TAIL).filter(|n| *n >= HEADER)?;
        let leaf = Leaf::new(bytes);
        let rows_fit = (1..=8).contains(&leaf.row_width) && leaf.ends() <= content;
        if leaf.count == 0 || !rows_fit || leaf.keys() > content {
            return None;
        }
        let entries = 1..leaf.count;
        let ends_ascend =
            leaf.width != VARIES || entries.clone().all(|i| leaf.end(i - 1) <= leaf.end(i));
        if !ends_ascend || leaf.size() != content {
            return None;
        }
        let entry = |i| (leaf.suffix(i), leaf.row(i));
        let mut entries = entries;
        entries.all(|i| entry(i - 1) < entry(i)).then_some(leaf)
    }

    /// All of the block but what fills it up.
    pub(super) fn content(&self) -> &'a [u8] {
        &self.bytes[..self.size()]
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Bytes of content.
    pub(super) fn size(&self) -> usize {
        let keys = if self.count == 0 { 0 } else { self.span(self.count - 1).1 };
        self.keys() + keys
    }

    pub(super) fn prefix(&self) -> &'a [u8] {
        &self.bytes[HEADER..HEADER + self.prefix]
    }

    fn rows(&self) -> usize {
        HEADER + self.prefix
    }

    fn ends(&self) -> usize {
        self.rows() + self.count * self.row_width
    }

    fn keys(&self) -> usize {
        self.ends() + if self.width == VARIES { self.count * 4 } else { 0 }
    }

    fn end(&self, i: usize) -> usize {
        u32::from_le_bytes(word(self.bytes, self.ends() + 4 * i)) as usize
    }

    /// Where the rest of key `i` lies behind [`Leaf::keys`].
    fn span(&self, i: usize) -> (usize, usize) {
        if self.width != VARIES {
            return (i * self.width, (i + 1) * self.width);
        }
        (if i == 0 { 0 } else { self.end(i - 1) }, self.end(i))
    }

    /// What key `i` has behind the prefix.
    #[inline]
    pub(super) fn suffix(&self, i: usize) -> &'a [u8] {
        let (from, to) = self.span(i);
        let keys = self.keys();
        &self.bytes[keys + from..keys + to]
    }

    #[inline]
    pub(super) fn row(&self, i: usize) -> RowId {
        let bits = u64::from_le_bytes(word(self.bytes, self.rows() + i * self.row_width));
        self.base.wrapping_add(bits & mask(self.row_width))
    }

    /// Appends the whole key `i`.
    pub(super) fn key(&self, i: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(self.prefix());
        out.extend_from_slice(self.suffix(i));
    }

    /// Whether key `i` starts with `probe`.
    #[inline]
    pub(super) fn starts_with(&self, i: usize, probe: &[u8]) -> bool {
        match strip(probe, self.prefix()) {
            Some(rest) => self.suffix(i).starts_with(rest),
            None => self.prefix().starts_with(probe),
        }
    }

    /// How many entries are less than (key, row).
    #[inline]
    pub(super) fn lower_bound(&self, key: &[u8], row: RowId) -> usize {
        let Some(rest) = strip(key, self.prefix()) else {
            return if key < self.prefix() { 0 } else { self.count };
        };
        if self.width > 8 {
            let less = |i: usize| match self.suffix(i).cmp(rest) {
                Ordering::Equal => self.row(i) < row,
                order => order == Ordering::Less,
            };
            return partition(self.count, less);
        }
        let (keys, shift) = (self.keys(), 64 - 8 * self.width as u32);
        let probe = head(rest).checked_shr(shift).unwrap_or(0);
        let value = |i: usize| {
            let word = u64::from_be_bytes(word(self.bytes, keys + i * self.width));
            word.checked_shr(shift).unwrap_or(0)
        };
        let first = partition(self.count, |i| value(i) < probe);
        // Among equals a key is less than a longer one; one of the same length is told by its row.
        match rest.len().cmp(&self.width) {
            Ordering::Less => first,
            Ordering::Equal if row == 0 => first,
            longer_or_same => {
                let longer = longer_or_same == Ordering::Greater;
                let less =
                    |i: usize| value(first + i) == probe && (longer || self.row(first + i) < row);
                first + partition(self.count - first, less)
            }
        }
    }

    /// Whether entry `i` is (key, row).
    pub(super) fn is(&self, i: usize, key: &[u8], row: RowId) -> bool {
        i < self.count && self.row(i) == row && strip(key, self.prefix()) == Some(self.suffix(i))
    }

    /// A block with one more entry at `i`, into `out`.
    pub(super) fn with(&self, i: usize, key: &[u8], row: RowId, out: &mut Vec<u8>) {
        let bits = row.wrapping_sub(self.base);
        let fits = row >= self.base && bits <= mask(self.row_width);
        match strip(key, self.prefix()) {
            Some(rest)
                if fits && self.count > 0 && (self.width == VARIES || self.width == rest.len()) =>
            {
                self.copy_with(i, rest, bits, out);
            }
            _ => {
                let mut entries = self.entries();
                entries.insert(i, (key.to_vec(), row));
                build(&entries, out);
            }
        }
    }

    fn copy_with(&self, i: usize, rest: &[u8], bits: u64, out: &mut Vec<u8>) {
        let (rows, ends, keys) = (self.rows(), self.ends(), self.keys());
        let at = if i == 0 { 0 } else { self.span(i - 1).1 };
        let old = self.bytes;
        out.clear();
        out.extend_from_slice(&old[..rows + i * self.row_width]);
        out[..2].copy_from_slice(&((self.count + 1) as u16).to_le_bytes());
        out.extend_from_slice(&bits.to_le_bytes()[..self.row_width]);
        out.extend_from_slice(&old[rows + i * self.row_width..ends]);
        if self.width == VARIES {
            out.extend_from_slice(&old[ends..ends + 4 * i]);
            out.extend_from_slice(&((at + rest.len()) as u32).to_le_bytes());
            for j in i..self.count {
                out.extend_from_slice(&((self.end(j) + rest.len()) as u32).to_le_bytes());
            }
        }
        out.extend_from_slice(&old[keys..keys + at]);
        out.extend_from_slice(rest);
        out.extend_from_slice(&old[keys + at..self.size()]);
        out.extend_from_slice(&[0; TAIL]);
    }

    /// A block without entry `i`, into `out`.
    pub(super) fn without(&self, i: usize, out: &mut Vec<u8>) {
        let (rows, ends, keys) = (self.rows(), self.ends(), self.keys());
        let (from, to) = self.span(i);
        let old = self.bytes;
        out.clear();
        out.extend_from_slice(&old[..rows + i * self.row_width]);
        out[..2].copy_from_slice(&((self.count - 1) as u16).to_le_bytes());
        out.extend_from_slice(&old[rows + (i + 1) * self.row_width..ends]);
        if self.width == VARIES {
            out.extend_from_slice(&old[ends..ends + 4 * i]);
            for j in i + 1..self.count {
                out.extend_from_slice(&((self.end(j) - (to - from)) as u32).to_le_bytes());
            }
        }
        out.extend_from_slice(&old[keys..keys + from]);
        out.extend_from_slice(&old[keys + to..self.size()]);
        out.extend_from_slice(&[0; TAIL]);
    }

    /// All entries with whole keys.
    pub(super) fn entries(&self) -> Vec<(Vec<u8>, RowId)> {
        let entry = |i| {
            let mut key = Vec::new();
            self.key(i, &mut key);
            (key, self.row(i))
        };
        (0..self.count).map(entry).collect()
    }
}

#[inline(always)]
fn mask(width: usize) -> u64 {
    if width >= 8 { u64::MAX } else { (1 << (8 * width)) - 1 }
}

/// The first of `0..n` for which `less` does not hold. Without branches: which way it goes cannot be predicted.
#[inline(always)]
fn partition(n: usize, less: impl Fn(usize) -> bool) -> usize {
    if n == 0 {
        return 0;
    }
    let (mut low, mut left) = (0, n);
    while left > 1 {
        let half = left / 2;
        low = select_unpredictable(less(low + half), low + half, low);
        left -= half;
    }
    low + usize::from(less(low))
}

/// `key` behind `prefix`, as `strip_prefix` has it, without a call for the few bytes a prefix mostly has.
#[inline(always)]
pub(super) fn strip<'k>(key: &'k [u8], prefix: &[u8]) -> Option<&'k [u8]> {
    if prefix.len() > 8 {
        return key.strip_prefix(prefix);
    }
    let (start, rest) = key.split_at_checked(prefix.len())?;
    start.iter().eq(prefix).then_some(rest)
}

pub(super) fn common(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Makes a block of sorted entries.
pub(super) fn build<K: AsRef<[u8]>>(entries: &[(K, RowId)], out: &mut Vec<u8>) {
    let first = entries.first().map_or(&[][..], |e| e.0.as_ref());
    let last = entries.last().map_or(&[][..], |e| e.0.as_ref());
    let least = entries.iter().map(|e| e.0.as_ref().len()).min().unwrap_or(0);
    let same = entries.iter().all(|e| e.0.as_ref().len() == least);
    let prefix =
        common(first, last).min(least.saturating_sub(LEAST_SUFFIX)).min(usize::from(u16::MAX));
    let width = if same && least - prefix < VARIES { least - prefix } else { VARIES };
    let low = entries.iter().map(|e| e.1).min().unwrap_or(0);
    let high = entries.iter().map(|e| e.1).max().unwrap_or(0);
    let row_width = (8 - (high - low).leading_zeros() as usize / 8).max(LEAST_ROW_WIDTH);

    out.clear();
    out.extend_from_slice(&(entries.len() as u16).to_le_bytes());
    out.extend_from_slice(&(prefix as u16).to_le_bytes());
    out.extend_from_slice(&(width as u16).to_le_bytes());
    out.extend_from_slice(&[row_width as u8, 0]);
    out.extend_from_slice(&low.to_le_bytes());
    out.extend_from_slice(&first[..prefix]);
    for (_, row) in entries {
        out.extend_from_slice(&(row - low).to_le_bytes()[..row_width]);
    }
    if width == VARIES {
        let mut end = 0;
        for (key, _) in entries {
            end += key.as_ref().len() - prefix;
            out.extend_from_slice(&(end as u32).to_le_bytes());
        }
    }
    for (key, _) in entries {
        out.extend_from_slice(&key.as_ref()[prefix..]);
    }
    out.extend_from_slice(&[0; TAIL]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(entries: &[(Vec<u8>, RowId)], block: &[u8]) {
        let leaf = Leaf::new(block);
        assert_eq!(leaf.entries(), entries);
        for (i, (key, row)) in entries.iter().enumerate() {
            assert_eq!(leaf.lower_bound(key, *row), i);
            assert!(leaf.is(i, key, *row) && leaf.starts_with(i, key));
        }
    }

    proptest! {
        #[test]
        fn blocks_are_sorted_sets(
            mut entries in proptest::collection::btree_set(
                (proptest::collection::vec(0u8..4, 0..5), 0u64..1 << 40), 1..40),
            width in proptest::option::of(0usize..12),
            probe in (proptest::collection::vec(0u8..4, 0..5), 0u64..1 << 40),
        ) {
            if let Some(w) = width {
                entries = entries.into_iter().map(|(mut k, r)| { k.resize(w, 9); (k, r) }).collect();
            }
            let entries: Vec<_> = entries.into_iter().collect();
            let (mut block, mut next) = (Vec::new(), Vec::new());
            build(&entries, &mut block);
            check(&entries, &block);
            let leaf = Leaf::new(&block);
            let at = leaf.lower_bound(&probe.0, probe.1);
            prop_assert_eq!(at, entries.partition_point(|e| *e < probe));
            for i in 0..entries.len() {
                leaf.without(i, &mut next);
                let mut fewer = entries.clone();
                let (key, row) = fewer.remove(i);
                check(&fewer, &next);
                let mut again = Vec::new();
                Leaf::new(&next).with(i, &key, row, &mut again);
                check(&entries, &again);
            }
        }
    }
}
