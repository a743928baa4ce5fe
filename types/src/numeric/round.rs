//! Rounding to a scale, and the modifiers of `numeric(p,s)`.

use num_bigint::BigInt;
use num_traits::Signed;

use super::{MAX_SCALE, Numeric, digit_count, pow10};
use crate::error::{PgError, Result, SqlState};

/// Which way digits beyond the scale go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    HalfAwayFromZero,
    TowardsZero,
    Up,
    Down,
}

impl Numeric {
    /// Rounds half away from zero to `scale` digits after the point (negative: before it).
    #[must_use]
    pub fn round(&self, scale: i64) -> Numeric {
        self.rescale(scale, Mode::HalfAwayFromZero)
    }

    /// Cuts to `scale` digits after the point (negative: before it).
    #[must_use]
    pub fn trunc(&self, scale: i64) -> Numeric {
        self.rescale(scale, Mode::TowardsZero)
    }

    /// The least integer not below.
    #[must_use]
    pub fn ceil(&self) -> Numeric {
        self.rescale(0, Mode::Up)
    }

    /// The greatest integer not above.
    #[must_use]
    pub fn floor(&self) -> Numeric {
        self.rescale(0, Mode::Down)
    }

    fn rescale(&self, scale: i64, mode: Mode) -> Numeric {
        let Some((digits, have)) = self.parts() else { return self.clone() };
        let scale = scale.clamp(-MAX_SCALE * 16, MAX_SCALE);
        if scale >= have {
            let factor = pow10(u64::try_from(scale - have).unwrap_or(0));
            return Numeric::new(digits * factor, scale);
        }
        let rounded = drop_digits(&digits, have - scale, mode);
        if scale < 0 {
            return Numeric::new(rounded * pow10(u64::try_from(-scale).unwrap_or(0)), 0);
        }
        Numeric::new(rounded, scale)
    }
}

/// Divides by `10^count`.
fn drop_digits(digits: &BigInt, count: i64, mode: Mode) -> BigInt {
    if count > digit_count(digits) + 1 && mode != Mode::Up && mode != Mode::Down {
        return BigInt::default();
    }
    let unit = pow10(u64::try_from(count).unwrap_or(0));
    let quotient = digits / &unit;
    let rest = digits - &quotient * &unit;
    let away = match mode {
        Mode::TowardsZero => false,
        Mode::HalfAwayFromZero => rest.abs() * 2u32 >= unit,
        Mode::Up => rest.is_positive(),
        Mode::Down => rest.is_negative(),
    };
    match (away, rest.is_negative()) {
        (false, _) => quotient,
        (true, false) => quotient + 1,
        (true, true) => quotient - 1,
    }
}

/// Applies `numeric(precision, scale)`, packed as PostgreSQL packs it.
pub fn apply_typmod(n: Numeric, typmod: i32) -> Result<Numeric> {
    let Some((precision, scale)) = crate::typname::numeric_precision_scale(typmod) else {
        return Ok(n);
    };
    let (precision, scale) = (i64::from(precision), i64::from(scale));
    if n.is_nan() {
        return Ok(n);
    }
    let overflow = |detail: String| {
        Err(PgError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow")
            .detail(detail))
    };
    if n.is_infinite() {
        return overflow(format!(
            "A field with precision {precision}, scale {scale} cannot hold an infinite value."
        ));
    }
    let rounded = n.round(scale);
    let (digits, have) = rounded.parts().unwrap_or_default();
    let whole = digit_count(&digits) - have;
    let limit = precision - scale;
    if whole > limit && digit_count(&digits) > 0 {
        let bound = if limit != 0 { format!("10^{limit}") } else { "1".to_owned() };
        return overflow(format!(
            "A field with precision {precision}, scale {scale} must round to an absolute value less than {bound}."
        ));
    }
    Ok(rounded)
}
