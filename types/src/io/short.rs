//! Texts of bounded length, written where they are to stand: what rows mostly consist of.

use super::{IoStyle, digits, float, is_reg};
use crate::datum::{Kind, Oid};
use crate::oid;

/// Room for the longest text, a point's.
pub const ROOM: usize = 60;

/// Writes a stored value's text at the beginning of `room`. Its length; `None` where the text has no bound, or where
/// the value or the style ask for more than the plain digits of a number.
// Its callers are loops over rows.
#[inline(always)]
pub fn write(
    ty: Oid,
    kind: Kind,
    raw: &[u8],
    style: &IoStyle,
    room: &mut [u8; ROOM],
) -> Option<usize> {
    match kind {
        Kind::Bool => put(if raw == [0] { b"f" } else { b"t" }, 0, room),
        Kind::Int2 => whole(i16::from_le_bytes(raw.try_into().ok()?).into(), 0, room),
        Kind::Int4 => whole(i32::from_le_bytes(raw.try_into().ok()?).into(), 0, room),
        Kind::Int8 if ty != oid::PG_LSN => whole(i64::from_le_bytes(raw.try_into().ok()?), 0, room),
        Kind::Oid if !is_reg(ty) => whole(u32::from_le_bytes(raw.try_into().ok()?).into(), 0, room),
        Kind::Float8 if style.extra_float_digits > 0 => {
            let mut digits = float::Shortest8::new();
            float(digits.plain(f64::from_le_bytes(raw.try_into().ok()?))?, 0, room)
        }
        Kind::Point if style.extra_float_digits > 0 => {
            let ([x, y], []) = raw.as_chunks::<8>() else { return None };
            // Both are there before either is copied: what was just written by bytes is slow to read by words.
            let (mut first, mut second) = (float::Shortest8::new(), float::Shortest8::new());
            let x = first.plain(f64::from_le_bytes(*x))?;
            let y = second.plain(f64::from_le_bytes(*y))?;
            let end = put(b"(", 0, room).and_then(|at| float(x, at, room))?;
            let end = put(b",", end, room).and_then(|at| float(y, at, room))?;
            put(b")", end, room)
        }
        _ => None,
    }
}

/// Writes a whole number; where it ends.
#[inline(always)]
fn whole(number: i64, at: usize, room: &mut [u8; ROOM]) -> Option<usize> {
    Some(at + digits::write(number, room.get_mut(at..)?.first_chunk_mut()?))
}

#[inline(always)]
fn float(number: float::Plain<'_>, at: usize, room: &mut [u8; ROOM]) -> Option<usize> {
    match number {
        float::Plain::Whole(number) => whole(number, at, room),
        float::Plain::Text(text) => put(text.as_bytes(), at, room),
    }
}

/// Copies a text to where it is to stand, without a call or a loop if it is of a number's usual length.
#[inline(always)]
fn put(text: &[u8], at: usize, room: &mut [u8; ROOM]) -> Option<usize> {
    if let [byte] = text {
        *room.get_mut(at)? = *byte;
    } else if overlapped::<16>(text, at, room).is_none()
        && overlapped::<8>(text, at, room).is_none()
        && overlapped::<4>(text, at, room).is_none()
    {
        room.get_mut(at..at + text.len())?.copy_from_slice(text);
    }
    Some(at + text.len())
}

/// Copies a text of `N` to `2 * N` bytes: its first `N` and its last, which agree where they meet.
#[inline(always)]
fn overlapped<const N: usize>(text: &[u8], at: usize, room: &mut [u8; ROOM]) -> Option<()> {
    let (first, last) = (text.first_chunk::<N>()?, text.last_chunk::<N>()?);
    let room = room.get_mut(at..at + text.len()).filter(|room| room.len() <= 2 * N)?;
    *room.first_chunk_mut()? = *first;
    *room.last_chunk_mut()? = *last;
    Some(())
}
