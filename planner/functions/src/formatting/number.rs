//! `to_char` and `to_number` of numbers.

mod numeral;
mod picture;
mod read;
mod write;

use vicinity_types::Datum::{Float4, Float8, Int4, Int8, Numeric as Num, Text};
use vicinity_types::Result;
use vicinity_types::numeric::{Numeric, text as numeric_text};

use crate::numeric::ten;
use numeral::numeral;
use picture::Picture;
use read::to_number;
use write::write;

pub(crate) use numeral::ordinal;

fn plain(n: &Numeric) -> String {
    let mut out = Vec::new();
    numeric_text::write(n, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// `1.23e+04`
fn scientific(n: &Numeric, places: usize) -> String {
    let Some((digits, scale)) = n.parts() else { return plain(n) };
    let negative = n.signum() < 0;
    let magnitude = digits.magnitude().to_string();
    let zero = n.signum() == 0;
    let mut exponent = if zero { 0 } else { magnitude.len() as i64 - 1 - scale };
    let mut mantissa = if zero {
        Numeric::from(0).round(places as i64)
    } else {
        Numeric::new(
            num_bigint::BigInt::from(digits.magnitude().clone()),
            magnitude.len() as i64 - 1,
        )
        .round(places as i64)
    };
    if mantissa >= Numeric::from(10) {
        exponent += 1;
        mantissa = Numeric::from(1).round(places as i64);
    }
    let sign = if negative { '-' } else { ' ' };
    format!("{sign}{}", with_exponent(&plain(&mantissa), exponent))
}

fn with_exponent(mantissa: &str, exponent: i64) -> String {
    let way = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{way}{:02}", exponent.unsigned_abs())
}

fn numeric(n: &Numeric, format: &str) -> Result<String> {
    let mut picture = Picture::parse(format)?;
    if picture.roman {
        return Ok(numeral(&picture, n));
    }
    if picture.exponent {
        return Ok(scientific(n, picture.after));
    }
    let mut n = n.clone();
    if picture.multiplies {
        let factor = Numeric::new(ten(picture.multiply), 0);
        n = n.mul(&factor)?;
        picture.before += usize::try_from(picture.multiply).unwrap_or(0);
    }
    let n = n.round(i64::try_from(picture.after).unwrap_or(0));
    Ok(write(&picture, &plain(&n.abs()), n.signum() < 0))
}

/// Floats show no more digits than they have.
fn float(value: f64, digits: usize, format: &str) -> Result<String> {
    let mut picture = Picture::parse(format)?;
    if picture.roman {
        return Ok(numeral(&picture, &Numeric::from_f64(value)));
    }
    if picture.exponent {
        if !value.is_finite() {
            return Ok(format!(" {}", "#".repeat(picture.after + 6)));
        }
        let text = format!("{:.*e}", picture.after, value);
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let sign = if mantissa.starts_with('-') { "" } else { " " };
        return Ok(format!("{sign}{}", with_exponent(mantissa, exponent.parse().unwrap_or(0))));
    }
    let mut value = value;
    if picture.multiplies {
        value *= 10f64.powi(i32::try_from(picture.multiply).unwrap_or(0));
        picture.before += usize::try_from(picture.multiply).unwrap_or(0);
    }
    let whole = format!("{:.0}", value.abs()).len();
    let places = if whole >= digits { 0 } else { picture.after.min(digits - whole) };
    picture.after = places;
    Ok(write(&picture, &format!("{:.*}", places, value.abs()), value < 0.0))
}

scalars! { pub(crate) NUMBER, env;
    "int4_to_char" [Int4(n), Text(f)] => numeric(&Numeric::from(*n), f);
    "int8_to_char" [Int8(n), Text(f)] => numeric(&Numeric::from(*n), f);
    "numeric_to_char" [Num(n), Text(f)] => numeric(n, f);
    "float4_to_char" [Float4(n), Text(f)] => float(f64::from(*n), 6, f);
    "float8_to_char" [Float8(n), Text(f)] => float(*n, 15, f);
    "numeric_to_number" [Text(t), Text(f)] => to_number(t, f);
}
