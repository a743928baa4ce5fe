//! Variance, standard deviation, covariance, correlation and linear regression.
//!
//! Floats use the Youngs-Cramer update, integers and `numeric` exact sums, as PostgreSQL does.

use std::sync::Arc;

use num_bigint::BigInt;
use num_traits::{Signed, Zero};
use vicinity_types::numeric::Numeric;
use vicinity_types::{Datum, Oid, Result, oid};

use super::{Aggregate, MakeAggregate, maker};
use crate::env::Env;
use crate::number::float::overflow;
use crate::numeric::{sqrt_at, ten};

pub(super) fn make(name: &str, ty: Oid) -> Option<MakeAggregate> {
    let (root, sample) = match name {
        "var_pop" => (false, false),
        "var_samp" | "variance" => (false, true),
        "stddev_pop" => (true, false),
        "stddev_samp" | "stddev" => (true, true),
        _ => return regression(name),
    };
    match ty {
        oid::FLOAT4 | oid::FLOAT8 => {
            let result: Finish = match (root, sample) {
                (false, false) => |m| m.over(m.sxx, m.n, 1.0),
                (false, true) => |m| m.over(m.sxx, m.n - 1.0, 2.0),
                (true, false) => |m| m.over(m.sxx, m.n, 1.0).map(f64::sqrt),
                (true, true) => |m| m.over(m.sxx, m.n - 1.0, 2.0).map(f64::sqrt),
            };
            maker(Floats { moments: Moments::default(), result })
        }
        oid::INT2 | oid::INT4 | oid::INT8 | oid::NUMERIC => maker(Exact {
            n: 0,
            special: false,
            scale: 0,
            sum: BigInt::ZERO,
            squares: BigInt::ZERO,
            root,
            sample,
        }),
        _ => None,
    }
}

fn regression(name: &str) -> Option<MakeAggregate> {
    let result: Finish = match name {
        "regr_count" => {
            return maker(RegrCount { n: 0 });
        }
        "regr_sxx" => |m| m.over(m.sxx, 1.0, 1.0),
        "regr_syy" => |m| m.over(m.syy, 1.0, 1.0),
        "regr_sxy" => |m| m.over(m.sxy, 1.0, 1.0),
        "regr_avgx" => |m| m.over(m.sx, m.n, 1.0),
        "regr_avgy" => |m| m.over(m.sy, m.n, 1.0),
        "covar_pop" => |m| m.over(m.sxy, m.n, 1.0),
        "covar_samp" => |m| m.over(m.sxy, m.n - 1.0, 2.0),
        "corr" => |m| {
            let defined = m.n >= 1.0 && m.sxx != 0.0 && m.syy != 0.0;
            defined.then(|| m.sxy / (m.sxx * m.syy).sqrt())
        },
        "regr_r2" => |m| match (m.n >= 1.0 && m.sxx != 0.0, m.syy == 0.0) {
            (false, _) => None,
            (true, true) => Some(1.0),
            (true, false) => Some(m.sxy * m.sxy / (m.sxx * m.syy)),
        },
        "regr_slope" => |m| (m.n >= 1.0 && m.sxx != 0.0).then(|| m.sxy / m.sxx),
        "regr_intercept" => {
            |m| (m.n >= 1.0 && m.sxx != 0.0).then(|| (m.sy - m.sx * m.sxy / m.sxx) / m.n)
        }
        _ => return None,
    };
    maker(Floats { moments: Moments::default(), result })
}

#[derive(Clone)]
struct RegrCount {
    n: i64,
}

impl Aggregate for RegrCount {
    fn step(&mut self, _: &dyn Env, args: &[Datum]) -> Result<()> {
        if !args.iter().any(Datum::is_null) {
            self.n += 1;
        }
        Ok(())
    }

    fn finish(&mut self, _: &dyn Env) -> Result<Datum> {
        Ok(Datum::Int8(self.n))
    }

    fn size(&self) -> usize {
        0
    }
}

/// Counts, sums and centred sums of squares and products.
#[derive(Clone, Copy, Default)]
struct Moments {
    n: f64,
    sx: f64,
    sxx: f64,
    sy: f64,
    syy: f64,
    sxy: f64,
}

impl Moments {
    fn add(&mut self, x: f64, y: f64) -> Result<()> {
        let before = self.n;
        self.n += 1.0;
        self.sx += x;
        self.sy += y;
        if before > 0.0 {
            let (dx, dy) = (x * self.n - self.sx, y * self.n - self.sy);
            let scale = 1.0 / (self.n * before);
            self.sxx += dx * dx * scale;
            self.syy += dy * dy * scale;
            self.sxy += dx * dy * scale;
            let sums = [self.sx, self.sy, self.sxx, self.syy, self.sxy];
            if sums.iter().any(|s| s.is_infinite()) && x.is_finite() && y.is_finite() {
                return Err(overflow());
            }
        }
        // An infinity or NaN has no finite spread.
        if !x.is_finite() {
            (self.sxx, self.sxy) = (f64::NAN, f64::NAN);
        }
        if !y.is_finite() {
            (self.syy, self.sxy) = (f64::NAN, f64::NAN);
        }
        Ok(())
    }

    /// A quotient, NULL below a number of rows.
    fn over(&self, sum: f64, divisor: f64, least: f64) -> Option<f64> {
        (self.n >= least).then(|| sum / divisor)
    }
}

type Finish = fn(&Moments) -> Option<f64>;

#[derive(Clone)]
struct Floats {
    moments: Moments,
    result: Finish,
}

impl Aggregate for Floats {
    fn step(&mut self, _: &dyn Env, args: &[Datum]) -> Result<()> {
        match args {
            [Datum::Float8(x)] => self.moments.add(*x, 0.0),
            [Datum::Float4(x)] => self.moments.add(f64::from(*x), 0.0),
            // The two-argument aggregates take the dependent variable first.
            [Datum::Float8(y), Datum::Float8(x)] => self.moments.add(*x, *y),
            _ => Ok(()),
        }
    }

    fn finish(&mut self, _: &dyn Env) -> Result<Datum> {
        Ok((self.result)(&self.moments).map_or(Datum::Null, Datum::Float8))
    }

    fn size(&self) -> usize {
        0
    }
}

/// Exact sums of values and squares, in units of 10^-scale and 10^-(2 scale).
#[derive(Clone)]
struct Exact {
    n: i64,
    /// A NaN or an infinity was among the values.
    special: bool,
    scale: i64,
    sum: BigInt,
    squares: BigInt,
    root: bool,
    sample: bool,
}

impl Exact {
    fn add(&mut self, digits: BigInt, scale: i64) {
        if scale > self.scale {
            let up = scale - self.scale;
            self.sum *= ten(up);
            self.squares *= ten(2 * up);
            self.scale = scale;
        }
        let digits = digits * ten(self.scale - scale);
        self.squares += &digits * &digits;
        self.sum += digits;
    }

    fn result(&self) -> Result<Numeric> {
        let n = BigInt::from(self.n);
        let spread = &self.squares * &n - &self.sum * &self.sum;
        if !spread.is_positive() {
            return Ok(Numeric::from(0));
        }
        let divisor = if self.sample { &n * (&n - 1) } else { &n * &n };
        let quotient = Numeric::new(spread, 2 * self.scale).div(&Numeric::new(divisor, 0))?;
        Ok(if self.root { sqrt_at(&quotient, quotient.scale()) } else { quotient })
    }
}

impl Aggregate for Exact {
    fn step(&mut self, _: &dyn Env, args: &[Datum]) -> Result<()> {
        match args {
            [Datum::Int2(v)] => self.add(BigInt::from(*v), 0),
            [Datum::Int4(v)] => self.add(BigInt::from(*v), 0),
            [Datum::Int8(v)] => self.add(BigInt::from(*v), 0),
            [Datum::Numeric(v)] => match v.parts() {
                Some((digits, scale)) => self.add(digits, scale),
                None => self.special = true,
            },
            _ => return Ok(()),
        }
        self.n += 1;
        Ok(())
    }

    fn finish(&mut self, _: &dyn Env) -> Result<Datum> {
        let least = if self.sample { 2 } else { 1 };
        if self.n < least {
            return Ok(Datum::Null);
        }
        let value = if self.special { Numeric::NaN } else { self.result()? };
        Ok(Datum::Numeric(Arc::new(value)))
    }

    fn size(&self) -> usize {
        if self.sum.is_zero() { 0 } else { 64 }
    }
}
