//! `float4` and `float8`: comparison (NaN equals itself and is greatest), arithmetic with overflow
//! and underflow checks, casts between them.

use std::cmp::Ordering;

use vicinity_types::Datum::{Float4, Float8};
use vicinity_types::Result;
pub(crate) use vicinity_types::float::{double, overflow, single, underflow};

/// The btree order of floats: NaN after everything, equal to itself; zeroes equal.
#[inline]
pub(crate) fn order(a: f64, b: f64) -> Ordering {
    match a.partial_cmp(&b) {
        Some(ordering) => ordering,
        None => a.is_nan().cmp(&b.is_nan()),
    }
}

/// `float8` to `float4`.
pub(crate) fn narrow(value: f64) -> Result<f32> {
    let narrowed = value as f32;
    if narrowed.is_infinite() && !value.is_infinite() {
        return Err(overflow());
    }
    if narrowed == 0.0 && value != 0.0 {
        return Err(underflow());
    }
    Ok(narrowed)
}

scalars! { pub(crate) COMPARE, env;
    "float4eq" [Float4(a), Float4(b)] => order(f64::from(*a), f64::from(*b)).is_eq();
    "float4ne" [Float4(a), Float4(b)] => order(f64::from(*a), f64::from(*b)).is_ne();
    "float4lt" [Float4(a), Float4(b)] => order(f64::from(*a), f64::from(*b)).is_lt();
    "float4le" [Float4(a), Float4(b)] => order(f64::from(*a), f64::from(*b)).is_le();
    "float4gt" [Float4(a), Float4(b)] => order(f64::from(*a), f64::from(*b)).is_gt();
    "float4ge" [Float4(a), Float4(b)] => order(f64::from(*a), f64::from(*b)).is_ge();
    "btfloat4cmp" [Float4(a), Float4(b)] => order(f64::from(*a), f64::from(*b)) as i32;
    "float48eq" [Float4(a), Float8(b)] => order(f64::from(*a), *b).is_eq();
    "float48ne" [Float4(a), Float8(b)] => order(f64::from(*a), *b).is_ne();
    "float48lt" [Float4(a), Float8(b)] => order(f64::from(*a), *b).is_lt();
    "float48le" [Float4(a), Float8(b)] => order(f64::from(*a), *b).is_le();
    "float48gt" [Float4(a), Float8(b)] => order(f64::from(*a), *b).is_gt();
    "float48ge" [Float4(a), Float8(b)] => order(f64::from(*a), *b).is_ge();
    "btfloat48cmp" [Float4(a), Float8(b)] => order(f64::from(*a), *b) as i32;
    "float84eq" [Float8(a), Float4(b)] => order(*a, f64::from(*b)).is_eq();
    "float84ne" [Float8(a), Float4(b)] => order(*a, f64::from(*b)).is_ne();
    "float84lt" [Float8(a), Float4(b)] => order(*a, f64::from(*b)).is_lt();
    "float84le" [Float8(a), Float4(b)] => order(*a, f64::from(*b)).is_le();
    "float84gt" [Float8(a), Float4(b)] => order(*a, f64::from(*b)).is_gt();
    "float84ge" [Float8(a), Float4(b)] => order(*a, f64::from(*b)).is_ge();
    "btfloat84cmp" [Float8(a), Float4(b)] => order(*a, f64::from(*b)) as i32;
    "float8eq" [Float8(a), Float8(b)] => order(*a, *b).is_eq();
    "float8ne" [Float8(a), Float8(b)] => order(*a, *b).is_ne();
    "float8lt" [Float8(a), Float8(b)] => order(*a, *b).is_lt();
    "float8le" [Float8(a), Float8(b)] => order(*a, *b).is_le();
    "float8gt" [Float8(a), Float8(b)] => order(*a, *b).is_gt();
    "float8ge" [Float8(a), Float8(b)] => order(*a, *b).is_ge();
    "btfloat8cmp" [Float8(a), Float8(b)] => order(*a, *b) as i32;
    "float4larger" [Float4(a), Float4(b)] => if order(f64::from(*a), f64::from(*b)).is_gt() { *a } else { *b };
    "float4smaller" [Float4(a), Float4(b)] => if order(f64::from(*a), f64::from(*b)).is_lt() { *a } else { *b };
    "float8larger" [Float8(a), Float8(b)] => if order(*a, *b).is_gt() { *a } else { *b };
    "float8smaller" [Float8(a), Float8(b)] => if order(*a, *b).is_lt() { *a } else { *b };
}

scalars! { pub(crate) ARITHMETIC, env;
    "float4pl" [Float4(a), Float4(b)] => single::pl(*a, *b);
    "float4mi" [Float4(a), Float4(b)] => single::mi(*a, *b);
    "float4mul" [Float4(a), Float4(b)] => single::mul(*a, *b);
    "float4div" [Float4(a), Float4(b)] => single::div(*a, *b);
    "float48pl" [Float4(a), Float8(b)] => double::pl(f64::from(*a), *b);
    "float48mi" [Float4(a), Float8(b)] => double::mi(f64::from(*a), *b);
    "float48mul" [Float4(a), Float8(b)] => double::mul(f64::from(*a), *b);
    "float48div" [Float4(a), Float8(b)] => double::div(f64::from(*a), *b);
    "float84pl" [Float8(a), Float4(b)] => double::pl(*a, f64::from(*b));
    "float84mi" [Float8(a), Float4(b)] => double::mi(*a, f64::from(*b));
    "float84mul" [Float8(a), Float4(b)] => double::mul(*a, f64::from(*b));
    "float84div" [Float8(a), Float4(b)] => double::div(*a, f64::from(*b));
    "float8pl" [Float8(a), Float8(b)] => double::pl(*a, *b);
    "float8mi" [Float8(a), Float8(b)] => double::mi(*a, *b);
    "float8mul" [Float8(a), Float8(b)] => double::mul(*a, *b);
    "float8div" [Float8(a), Float8(b)] => double::div(*a, *b);
    "float4um" [Float4(a)] => -*a;
    "float4up" [Float4(a)] => *a;
    "float4abs" [Float4(a)] => a.abs();
    "float8um" [Float8(a)] => -*a;
    "float8up" [Float8(a)] => *a;
    "float8abs" [Float8(a)] => a.abs();
}

scalars! { pub(crate) CAST, env;
    "ftod" [Float4(a)] => f64::from(*a);
    "dtof" [Float8(a)] => narrow(*a);
}
