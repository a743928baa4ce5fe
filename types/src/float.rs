//! Arithmetic of `float4` and `float8`, with PostgreSQL's checks for overflow and underflow.

use crate::{PgError, Result, SqlState};

/// `value out of range: overflow`
#[cold]
pub fn overflow() -> PgError {
    PgError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow")
}

/// `value out of range: underflow`
#[cold]
pub fn underflow() -> PgError {
    PgError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: underflow")
}

/// `division by zero`
#[cold]
pub fn division_by_zero() -> PgError {
    PgError::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

macro_rules! checked {
    ($module:ident, $ty:ty) => {
        /// Arithmetic that says when it goes beyond what the type holds.
        pub mod $module {
            use super::*;

            /// A sum.
            pub fn pl(a: $ty, b: $ty) -> Result<$ty> {
                let sum = a + b;
                if sum.is_infinite() && !a.is_infinite() && !b.is_infinite() {
                    return Err(overflow());
                }
                Ok(sum)
            }

            /// A difference.
            pub fn mi(a: $ty, b: $ty) -> Result<$ty> {
                let difference = a - b;
                if difference.is_infinite() && !a.is_infinite() && !b.is_infinite() {
                    return Err(overflow());
                }
                Ok(difference)
            }

            /// A product.
            pub fn mul(a: $ty, b: $ty) -> Result<$ty> {
                let product = a * b;
                if product.is_infinite() && !a.is_infinite() && !b.is_infinite() {
                    return Err(overflow());
                }
                if product == 0.0 && a != 0.0 && b != 0.0 {
                    return Err(underflow());
                }
                Ok(product)
            }

            /// A quotient.
            pub fn div(a: $ty, b: $ty) -> Result<$ty> {
                if b == 0.0 && !a.is_nan() {
                    return Err(division_by_zero());
                }
                let quotient = a / b;
                if quotient.is_infinite() && !a.is_infinite() {
                    return Err(overflow());
                }
                if quotient == 0.0 && a != 0.0 && !b.is_infinite() {
                    return Err(underflow());
                }
                Ok(quotient)
            }
        }
    };
}

checked!(single, f32);
checked!(double, f64);
