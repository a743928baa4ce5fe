//! `numeric`: arbitrary precision with a display scale, NaN and the infinities.

use bigdecimal::BigDecimal;

/// A `numeric` value.
#[derive(Clone, Debug)]
pub enum Numeric {
    /// Not a number; sorts above everything.
    NaN,
    /// `-Infinity`
    NegInfinity,
    /// `Infinity`
    Infinity,
    /// A finite value; the decimal's exponent is the display scale, never negative.
    Finite(BigDecimal),
}
