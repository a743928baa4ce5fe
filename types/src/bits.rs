//! `bit` and `varbit`: strings of bits.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::error::{PgError, Result, SqlState};

/// Most bits a string may have.
pub const MAX: usize = i32::MAX as usize - 8;

/// A string of bits, packed from the left; those behind the last are 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bits {
    len: usize,
    bytes: Vec<u8>,
}

fn wrong_digit(what: &str, digit: char) -> PgError {
    PgError::new(
        SqlState::INVALID_TEXT_REPRESENTATION,
        format!("\"{digit}\" is not a valid {what} digit"),
    )
}

impl Bits {
    /// So many zeros.
    pub fn zeros(len: usize) -> Bits {
        Bits { len, bytes: vec![0; len.div_ceil(8)] }
    }

    /// A string of its bits.
    pub fn from_bits(bits: impl Iterator<Item = bool>) -> Bits {
        let mut out = Bits { len: 0, bytes: Vec::new() };
        bits.for_each(|bit| out.push(bit));
        out
    }

    /// A string from its packed form; what is behind the last bit is forgotten.
    pub fn from_bytes(len: usize, bytes: &[u8]) -> Option<Bits> {
        let mut bytes = bytes.get(..len.div_ceil(8))?.to_vec();
        if let (Some(last), used @ 1..) = (bytes.last_mut(), len % 8) {
            *last &= 0xff << (8 - used);
        }
        Some(Bits { len, bytes })
    }

    /// Reads `101`, `b101` and `x1F`.
    pub fn parse(text: &str) -> Result<Bits> {
        match text.split_at_checked(1) {
            Some(("b" | "B", digits)) => Bits::binary(digits),
            Some(("x" | "X", digits)) => Bits::hexadecimal(digits),
            _ => Bits::binary(text),
        }
    }

    fn binary(digits: &str) -> Result<Bits> {
        let mut out = Bits::zeros(0);
        for digit in digits.chars() {
            match digit {
                '0' => out.push(false),
                '1' => out.push(true),
                other => return Err(wrong_digit("binary", other)),
            }
        }
        Ok(out)
    }

    fn hexadecimal(digits: &str) -> Result<Bits> {
        let mut out = Bits::zeros(0);
        for digit in digits.chars() {
            let value = digit.to_digit(16).ok_or_else(|| wrong_digit("hexadecimal", digit))?;
            (0..4).rev().for_each(|place| out.push(value >> place & 1 == 1));
        }
        Ok(out)
    }

    fn push(&mut self, bit: bool) {
        if self.len.is_multiple_of(8) {
            self.bytes.push(0);
        }
        self.len += 1;
        if bit {
            self.set(self.len - 1, true);
        }
    }

    /// How many bits there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The packed bits.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bit at a place from 0; `None` past the end.
    pub fn get(&self, at: usize) -> Option<bool> {
        let byte = self.bytes.get(at / 8).filter(|_| at < self.len)?;
        Some(byte >> (7 - at % 8) & 1 == 1)
    }

    /// Sets the bit at a place; nothing past the end.
    pub fn set(&mut self, at: usize, bit: bool) {
        if at >= self.len {
            return;
        }
        if let Some(byte) = self.bytes.get_mut(at / 8) {
            let mask = 0x80 >> (at % 8);
            if bit {
                *byte |= mask;
            } else {
                *byte &= !mask;
            }
        }
    }

    /// The bits in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = bool> + '_ {
        (0..self.len).map(|at| self.get(at).unwrap_or(false))
    }

    /// The same, cut or filled with zeros to a length.
    #[must_use]
    pub fn resized(&self, len: usize) -> Bits {
        let mut bytes = self.bytes.clone();
        bytes.resize(len.div_ceil(8), 0);
        Bits::from_bytes(len, &bytes).unwrap_or_else(|| Bits::zeros(len))
    }

    /// `0`s and `1`s.
    pub fn text(&self) -> String {
        self.iter().map(|bit| if bit { '1' } else { '0' }).collect()
    }

    /// By the bits, then by length.
    pub fn compare(&self, other: &Bits) -> Ordering {
        self.bytes.cmp(&other.bytes).then(self.len.cmp(&other.len))
    }
}

/// The length a modifier stands for.
fn limit_of(typmod: i32) -> usize {
    usize::try_from(typmod).unwrap_or(0)
}

/// Brings a string to `bit(n)`: explicit casts cut and fill on the right, assignments want the length.
pub fn fit_bit(bits: Arc<Bits>, typmod: i32, explicit: bool) -> Result<Arc<Bits>> {
    let limit = limit_of(typmod);
    if bits.len() == limit {
        return Ok(bits);
    }
    if !explicit {
        return Err(PgError::new(
            SqlState(*b"22026"),
            format!("bit string length {} does not match type bit({limit})", bits.len()),
        ));
    }
    Ok(Arc::new(bits.resized(limit)))
}

/// Brings a string to `varbit(n)`: explicit casts cut it.
pub fn fit_varbit(bits: Arc<Bits>, typmod: i32, explicit: bool) -> Result<Arc<Bits>> {
    let limit = limit_of(typmod);
    if bits.len() <= limit {
        return Ok(bits);
    }
    if !explicit {
        return Err(PgError::new(
            SqlState::STRING_DATA_RIGHT_TRUNCATION,
            format!("bit string too long for type bit varying({limit})"),
        ));
    }
    Ok(Arc::new(bits.resized(limit)))
}
