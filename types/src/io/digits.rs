//! Whole numbers as text, eight digits in a word: neither loop nor table.

/// Room for the longest number.
pub(super) const ROOM: usize = 24;

/// Writes a number at the beginning of `room`; its length.
#[inline(always)]
pub(super) fn write(number: i64, room: &mut [u8; ROOM]) -> usize {
    let magnitude = number.unsigned_abs();
    let sign = usize::from(number < 0);
    if magnitude >= 100_000_000 {
        return long(number, room);
    }
    let (text, length) = shortened(eight(magnitude), 7);
    // Where there is no sign the text goes over it.
    let [first, ..] = room;
    *first = b'-';
    if let Some(room) = room.get_mut(sign..).and_then(<[u8]>::first_chunk_mut) {
        *room = text;
    }
    sign + length
}

/// The same for more than eight digits.
#[cold]
fn long(number: i64, room: &mut [u8; ROOM]) -> usize {
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(number).as_bytes();
    if let Some(room) = room.get_mut(..text.len()) {
        room.copy_from_slice(text);
    }
    text.len()
}

/// A text's digits behind its leading zeros, of which at most `zeros` go; their number.
#[inline(always)]
fn shortened(digits: u64, zeros: u32) -> ([u8; 8], usize) {
    let zeros = (digits.trailing_zeros() / 8).min(zeros);
    let text = (digits | 0x3030_3030_3030_3030) >> (8 * zeros);
    (text.to_le_bytes(), 8 - zeros as usize)
}

/// The digits of a number below 10^8, one in a byte, the first in the lowest: halves, and their halves, side by side,
/// by multiplying with what is nearly the reciprocal.
#[inline(always)]
fn eight(number: u64) -> u64 {
    let high = number / 10_000;
    let fours = high | ((number - high * 10_000) << 32);
    let high = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let pairs = high | ((fours - high * 100) << 16);
    let high = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    high | ((pairs - high * 10) << 8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(number: i64) -> String {
        let mut room = [0; ROOM];
        let length = write(number, &mut room);
        String::from_utf8_lossy(room.get(..length).unwrap_or_default()).into_owned()
    }

    #[test]
    fn all_halves_of_eight_digits_are_written() {
        for number in 0..10_000 {
            for number in [number, number * 10_000 + 9_999, number * 10_000] {
                assert_eq!(written(number), number.to_string());
            }
        }
    }

    proptest! {
        #[test]
        fn any_number_is_written(number in any::<i64>(), bits in 0..64u32) {
            let number = number >> bits;
            prop_assert_eq!(written(number), number.to_string());
        }
    }
}
