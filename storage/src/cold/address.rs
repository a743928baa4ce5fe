//! Where a record is.

/// What a slot has in the place of a pointer, when its row is in a file.
///
/// ```text
///  63         38 37         18 17         1  0
///  | segment 26 |  block 20   | word 17    | 1 |
/// ```
///
/// The segment by its number, the block by where it begins in units of [`UNIT`], the record by where it begins in the
/// block in words of eight bytes. The lowest bit tells an address from a pointer, which is a multiple of eight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address(u64);

/// Blocks begin at multiples of this.
pub(super) const UNIT: u64 = 4096;
const WORD_BITS: u32 = 17;
const BLOCK_BITS: u32 = 20;
/// Segments are numbered below this.
pub(super) const SEGMENTS: u32 = 1 << 26;

impl Address {
    /// `None` if there is no room for a number.
    pub(super) fn new(segment: u32, offset: u64, word: usize) -> Option<Address> {
        let (block, word) = (offset / UNIT, word as u64);
        let fits = segment < SEGMENTS && block < 1 << BLOCK_BITS && word < 1 << WORD_BITS;
        fits.then(|| {
            let upper = u64::from(segment) << BLOCK_BITS | block;
            Address((upper << WORD_BITS | word) << 1 | 1)
        })
    }

    /// What a slot says, if it is no pointer.
    #[inline]
    pub(crate) fn of(slot: usize) -> Option<Address> {
        (slot & 1 != 0).then_some(Address(slot as u64))
    }

    /// As a slot has it. Slots are of 64 bits.
    pub(crate) fn slot(self) -> usize {
        self.0 as usize
    }

    pub(super) fn segment(self) -> u32 {
        (self.0 >> (1 + WORD_BITS + BLOCK_BITS)) as u32
    }

    pub(super) fn offset(self) -> u64 {
        ((self.0 >> (1 + WORD_BITS)) & ((1 << BLOCK_BITS) - 1)) * UNIT
    }

    pub(super) fn word(self) -> usize {
        ((self.0 >> 1) & ((1 << WORD_BITS) - 1)) as usize
    }

    /// The same for all records of a block.
    pub(super) fn block(self) -> u64 {
        self.0 >> (1 + WORD_BITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_come_back() {
        for (segment, block, word) in
            [(0, 0, 0), (7, 3, 5), ((1 << 26) - 1, (1 << 20) - 1, (1 << 17) - 1)]
        {
            let at = Address::new(segment, block * UNIT, word);
            let got = at.map(|at| (at.segment(), at.offset(), at.word()));
            assert_eq!(got, Some((segment, block * UNIT, word)));
            assert_eq!(at.and_then(|at| Address::of(at.slot())), at);
        }
        assert_eq!(Address::new(SEGMENTS, 0, 0), None);
        assert_eq!(Address::new(0, UNIT << BLOCK_BITS, 0), None);
        assert_eq!(Address::new(0, 0, 1 << WORD_BITS), None);
        assert_eq!(Address::of(64), None);
    }
}
