//! Functions of `float8`, with the C library's domains checked as PostgreSQL checks them.

use vicinity_types::Datum::Float8;
use vicinity_types::{PgError, Result, SqlState};

use super::float::{overflow, underflow};

#[cold]
fn input_range() -> PgError {
    PgError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "input is out of range")
}

/// A finite argument's infinite result is an overflow.
fn finite(argument: f64, result: f64) -> Result<f64> {
    if result.is_infinite() && argument.is_finite() { Err(overflow()) } else { Ok(result) }
}

fn exp(a: f64) -> Result<f64> {
    let result = a.exp();
    if result == 0.0 && a.is_finite() {
        return Err(underflow());
    }
    finite(a, result)
}

fn log(a: f64, function: fn(f64) -> f64) -> Result<f64> {
    let refuse = |what| Err(PgError::new(SqlState::INVALID_ARGUMENT_FOR_LOGARITHM, what));
    if a == 0.0 {
        return refuse("cannot take logarithm of zero");
    }
    if a < 0.0 {
        return refuse("cannot take logarithm of a negative number");
    }
    Ok(function(a))
}

fn sqrt(a: f64) -> Result<f64> {
    if a < 0.0 {
        return Err(PgError::new(
            SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION,
            "cannot take square root of a negative number",
        ));
    }
    Ok(a.sqrt())
}

fn power(a: f64, b: f64) -> Result<f64> {
    let refuse = |what| Err(PgError::new(SqlState::INVALID_ARGUMENT_FOR_POWER_FUNCTION, what));
    // 1 to the NaN and NaN to the 0 are 1, in IEEE 754 and here.
    if a.is_nan() {
        return Ok(if b == 0.0 { 1.0 } else { a });
    }
    if b.is_nan() {
        return Ok(if a == 1.0 { 1.0 } else { b });
    }
    if a == 0.0 && b < 0.0 {
        return refuse("zero raised to a negative power is undefined");
    }
    if a < 0.0 && b.floor() != b {
        return refuse("a negative number raised to a non-integer power yields a complex result");
    }
    let result = a.powf(b);
    if a.is_finite() && b.is_finite() {
        if result.is_infinite() {
            return Err(overflow());
        }
        if result == 0.0 && a != 0.0 {
            return Err(underflow());
        }
    }
    Ok(result)
}

/// Trigonometry of an angle in radians; an infinite angle has none.
fn circular(a: f64, function: fn(f64) -> f64) -> Result<f64> {
    if a.is_infinite() { Err(input_range()) } else { Ok(function(a)) }
}

fn cot(a: f64) -> Result<f64> {
    // cot(0) is infinite: PostgreSQL gives Infinity, not an error.
    circular(a, |a| 1.0 / a.tan())
}

fn arc(a: f64, function: fn(f64) -> f64) -> Result<f64> {
    if (-1.0..=1.0).contains(&a) || a.is_nan() { Ok(function(a)) } else { Err(input_range()) }
}

/// Beyond this the inverse hyperbolic functions are ln(2|x|) to the last bit, and the terms they are
/// made of would overflow.
const HYPERBOLIC_FAR: f64 = 1e100;

fn acosh(a: f64) -> Result<f64> {
    match a {
        _ if a < 1.0 => Err(input_range()),
        _ if a > HYPERBOLIC_FAR => Ok(a.ln() + std::f64::consts::LN_2),
        _ => Ok(a.acosh()),
    }
}

fn asinh(a: f64) -> f64 {
    match a.abs() {
        far if far > HYPERBOLIC_FAR => (far.ln() + std::f64::consts::LN_2).copysign(a),
        _ => a.asinh(),
    }
}

fn atanh(a: f64) -> Result<f64> {
    if !(-1.0..=1.0).contains(&a) && !a.is_nan() { Err(input_range()) } else { Ok(a.atanh()) }
}

/// sin of an angle of the first quadrant in degrees, exact at 0, 30 and 90.
fn sin_q1(degrees: f64) -> f64 {
    let sin_0_30 = |x: f64| (x.to_radians().sin() / 30f64.to_radians().sin()) / 2.0;
    let cos_0_60 =
        |x: f64| 1.0 - ((1.0 - x.to_radians().cos()) / (1.0 - 60f64.to_radians().cos())) / 2.0;
    if degrees <= 30.0 { sin_0_30(degrees) } else { cos_0_60(90.0 - degrees) }
}

fn cos_q1(degrees: f64) -> f64 {
    sin_q1(90.0 - degrees)
}

fn sin_degrees(a: f64) -> f64 {
    let (mut a, mut sign) = (a % 360.0, 1.0);
    if a < 0.0 {
        (a, sign) = (-a, -sign);
    }
    if a > 180.0 {
        (a, sign) = (360.0 - a, -sign);
    }
    if a > 90.0 {
        a = 180.0 - a;
    }
    sign * sin_q1(a)
}

fn cos_degrees(a: f64) -> f64 {
    let (mut a, mut sign) = ((a % 360.0).abs(), 1.0);
    if a > 180.0 {
        a = 360.0 - a;
    }
    if a > 90.0 {
        (a, sign) = (180.0 - a, -sign);
    }
    sign * cos_q1(a)
}

/// The angle of the first quadrant that has the same tangent but for its sign.
fn tangent_quadrant(a: f64) -> (f64, f64) {
    let (mut a, mut sign) = (a % 360.0, 1.0);
    if a < 0.0 {
        (a, sign) = (-a, -sign);
    }
    if a > 180.0 {
        (a, sign) = (360.0 - a, -sign);
    }
    if a > 90.0 {
        (a, sign) = (180.0 - a, -sign);
    }
    (a, sign)
}

fn tan_degrees(a: f64) -> f64 {
    let (a, sign) = tangent_quadrant(a);
    let scaled = (sin_q1(a) / cos_q1(a)) / (sin_q1(45.0) / cos_q1(45.0));
    // No negative zero for tand(180).
    if scaled == 0.0 { 0.0 } else { sign * scaled }
}

fn cot_degrees(a: f64) -> f64 {
    let (a, sign) = tangent_quadrant(a);
    let scaled = (cos_q1(a) / sin_q1(a)) / (cos_q1(45.0) / sin_q1(45.0));
    if scaled == 0.0 { 0.0 } else { sign * scaled }
}

fn asin_q1(a: f64) -> f64 {
    if a <= 0.5 {
        (a.asin() / 0.5f64.asin()) * 30.0
    } else {
        90.0 - (a.acos() / 0.5f64.acos()) * 60.0
    }
}

fn acos_q1(a: f64) -> f64 {
    if a <= 0.5 {
        90.0 - (a.asin() / 0.5f64.asin()) * 30.0
    } else {
        (a.acos() / 0.5f64.acos()) * 60.0
    }
}

fn asin_degrees(a: f64) -> f64 {
    if a >= 0.0 { asin_q1(a) } else { -asin_q1(-a) }
}

fn acos_degrees(a: f64) -> f64 {
    if a >= 0.0 { acos_q1(a) } else { 90.0 + asin_q1(-a) }
}

fn atan_degrees(a: f64) -> f64 {
    (a.atan() / 1f64.atan()) * 45.0
}

fn width_bucket(operand: f64, low: f64, high: f64, count: i32) -> Result<i32> {
    let refuse = |what| Err(PgError::new(SqlState(*b"2201G"), what));
    if count <= 0 {
        return refuse("count must be greater than zero");
    }
    if operand.is_nan() || low.is_nan() || high.is_nan() {
        return refuse("operand, lower bound, and upper bound cannot be NaN");
    }
    if low.is_infinite() || high.is_infinite() {
        return refuse("lower and upper bounds must be finite");
    }
    let past = || count.checked_add(1).ok_or_else(super::int::int4_range);
    let inside = |share: f64| {
        let bucket = (f64::from(count) * share).floor() as i32;
        Ok(bucket.min(count - 1) + 1)
    };
    if low < high {
        match () {
            () if operand < low => Ok(0),
            () if operand >= high => past(),
            () => inside((operand - low) / (high - low)),
        }
    } else if low > high {
        match () {
            () if operand > low => Ok(0),
            () if operand <= high => past(),
            () => inside((low - operand) / (low - high)),
        }
    } else {
        refuse("lower bound cannot equal upper bound")
    }
}

fn set_seed(env: &dyn crate::Env, seed: f64) -> Result<&'static str> {
    if !(-1.0..=1.0).contains(&seed) {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("setseed parameter {seed} is out of allowed range [-1,1]"),
        ));
    }
    env.set_seed(seed);
    Ok("")
}

scalars! { pub(crate) MATH, env;
    "dround" [Float8(a)] => a.round_ties_even();
    "dceil" [Float8(a)] => a.ceil();
    "dfloor" [Float8(a)] => a.floor();
    "dtrunc" [Float8(a)] => a.trunc();
    "dsign" [Float8(a)] => if *a > 0.0 { 1.0 } else if *a < 0.0 { -1.0 } else { 0.0 };
    "dsqrt" [Float8(a)] => sqrt(*a);
    "dcbrt" [Float8(a)] => a.cbrt();
    "dpow" [Float8(a), Float8(b)] => power(*a, *b);
    "dexp" [Float8(a)] => exp(*a);
    "dlog1" [Float8(a)] => log(*a, f64::ln);
    "dlog10" [Float8(a)] => log(*a, f64::log10);
    "dsin" [Float8(a)] => circular(*a, f64::sin);
    "dcos" [Float8(a)] => circular(*a, f64::cos);
    "dtan" [Float8(a)] => circular(*a, f64::tan);
    "dcot" [Float8(a)] => cot(*a);
    "dasin" [Float8(a)] => arc(*a, f64::asin);
    "dacos" [Float8(a)] => arc(*a, f64::acos);
    "datan" [Float8(a)] => a.atan();
    "datan2" [Float8(a), Float8(b)] => a.atan2(*b);
    "dsind" [Float8(a)] => circular(*a, sin_degrees);
    "dcosd" [Float8(a)] => circular(*a, cos_degrees);
    "dtand" [Float8(a)] => circular(*a, tan_degrees);
    "dcotd" [Float8(a)] => circular(*a, cot_degrees);
    "dasind" [Float8(a)] => arc(*a, asin_degrees);
    "dacosd" [Float8(a)] => arc(*a, acos_degrees);
    "datand" [Float8(a)] => atan_degrees(*a);
    "datan2d" [Float8(a), Float8(b)] => (a.atan2(*b) / 1f64.atan()) * 45.0;
    "dsinh" [Float8(a)] => a.sinh();
    "dcosh" [Float8(a)] => a.cosh();
    "dtanh" [Float8(a)] => a.tanh();
    "dasinh" [Float8(a)] => asinh(*a);
    "dacosh" [Float8(a)] => acosh(*a);
    "datanh" [Float8(a)] => atanh(*a);
    "degrees" [Float8(a)] => finite(*a, a / (std::f64::consts::PI / 180.0));
    "radians" [Float8(a)] => a * (std::f64::consts::PI / 180.0);
    "dpi" [] => std::f64::consts::PI;
    "drandom" [] => env.random();
    "setseed" [Float8(a)] => set_seed(env, *a);
    "width_bucket_float8" [Float8(a), Float8(low), Float8(high), vicinity_types::Datum::Int4(n)] => width_bucket(*a, *low, *high, *n);
}
