//! `int2`, `int4`, `int8` and `oid`: comparison, arithmetic with overflow checks, bits, casts.

use vicinity_types::Datum::{Bool, Float4, Float8, Int2, Int4, Int8, Oid};
use vicinity_types::{PgError, Result};

/// `smallint out of range`
#[cold]
pub(crate) fn int2_range() -> PgError {
    PgError::out_of_range("smallint")
}

/// `integer out of range`
#[cold]
pub(crate) fn int4_range() -> PgError {
    PgError::out_of_range("integer")
}

/// `bigint out of range`
#[cold]
pub(crate) fn int8_range() -> PgError {
    PgError::out_of_range("bigint")
}

pub(crate) use vicinity_types::float::division_by_zero;

/// PostgreSQL's three-way results are -1, 0 and 1.
fn order<T: Ord>(a: T, b: T) -> i32 {
    a.cmp(&b) as i32
}

macro_rules! divide {
    ($name:ident, $remainder:ident, $ty:ty, $range:ident) => {
        fn $name(a: $ty, b: $ty) -> Result<$ty> {
            if b == 0 { Err(division_by_zero()) } else { a.checked_div(b).ok_or_else($range) }
        }

        /// The remainder by -1 is 0 for the least value too.
        fn $remainder(a: $ty, b: $ty) -> Result<$ty> {
            if b == 0 { Err(division_by_zero()) } else { Ok(a.wrapping_rem(b)) }
        }
    };
}

divide!(div2, rem2, i16, int2_range);
divide!(div4, rem4, i32, int4_range);
divide!(div8, rem8, i64, int8_range);

macro_rules! gcd {
    ($gcd:ident, $lcm:ident, $ty:ty, $unsigned:ty, $range:ident) => {
        fn $gcd(a: $ty, b: $ty) -> Result<$ty> {
            let (mut a, mut b) = (a.unsigned_abs(), b.unsigned_abs());
            while b != 0 {
                (a, b) = (b, a % b);
            }
            <$ty>::try_from(a).map_err(|_| $range())
        }

        fn $lcm(a: $ty, b: $ty) -> Result<$ty> {
            if a == 0 || b == 0 {
                return Ok(0);
            }
            let gcd = $gcd(a, b)?;
            (a / gcd).checked_mul(b).and_then(<$ty>::checked_abs).ok_or_else($range)
        }
    };
}

gcd!(gcd4, lcm4, i32, u32, int4_range);
gcd!(gcd8, lcm8, i64, u64, int8_range);

scalars! { pub(crate) COMPARE, env;
    "int2eq" [Int2(a), Int2(b)] => *a == *b;
    "int2ne" [Int2(a), Int2(b)] => *a != *b;
    "int2lt" [Int2(a), Int2(b)] => *a < *b;
    "int2le" [Int2(a), Int2(b)] => *a <= *b;
    "int2gt" [Int2(a), Int2(b)] => *a > *b;
    "int2ge" [Int2(a), Int2(b)] => *a >= *b;
    "btint2cmp" [Int2(a), Int2(b)] => order(*a, *b);
    "int24eq" [Int2(a), Int4(b)] => i32::from(*a) == *b;
    "int24ne" [Int2(a), Int4(b)] => i32::from(*a) != *b;
    "int24lt" [Int2(a), Int4(b)] => i32::from(*a) < *b;
    "int24le" [Int2(a), Int4(b)] => i32::from(*a) <= *b;
    "int24gt" [Int2(a), Int4(b)] => i32::from(*a) > *b;
    "int24ge" [Int2(a), Int4(b)] => i32::from(*a) >= *b;
    "btint24cmp" [Int2(a), Int4(b)] => order(i32::from(*a), *b);
    "int28eq" [Int2(a), Int8(b)] => i64::from(*a) == *b;
    "int28ne" [Int2(a), Int8(b)] => i64::from(*a) != *b;
    "int28lt" [Int2(a), Int8(b)] => i64::from(*a) < *b;
    "int28le" [Int2(a), Int8(b)] => i64::from(*a) <= *b;
    "int28gt" [Int2(a), Int8(b)] => i64::from(*a) > *b;
    "int28ge" [Int2(a), Int8(b)] => i64::from(*a) >= *b;
    "btint28cmp" [Int2(a), Int8(b)] => order(i64::from(*a), *b);
    "int42eq" [Int4(a), Int2(b)] => *a == i32::from(*b);
    "int42ne" [Int4(a), Int2(b)] => *a != i32::from(*b);
    "int42lt" [Int4(a), Int2(b)] => *a < i32::from(*b);
    "int42le" [Int4(a), Int2(b)] => *a <= i32::from(*b);
    "int42gt" [Int4(a), Int2(b)] => *a > i32::from(*b);
    "int42ge" [Int4(a), Int2(b)] => *a >= i32::from(*b);
    "btint42cmp" [Int4(a), Int2(b)] => order(*a, i32::from(*b));
    "int4eq" [Int4(a), Int4(b)] => *a == *b;
    "int4ne" [Int4(a), Int4(b)] => *a != *b;
    "int4lt" [Int4(a), Int4(b)] => *a < *b;
    "int4le" [Int4(a), Int4(b)] => *a <= *b;
    "int4gt" [Int4(a), Int4(b)] => *a > *b;
    "int4ge" [Int4(a), Int4(b)] => *a >= *b;
    "btint4cmp" [Int4(a), Int4(b)] => order(*a, *b);
    "int48eq" [Int4(a), Int8(b)] => i64::from(*a) == *b;
    "int48ne" [Int4(a), Int8(b)] => i64::from(*a) != *b;
    "int48lt" [Int4(a), Int8(b)] => i64::from(*a) < *b;
    "int48le" [Int4(a), Int8(b)] => i64::from(*a) <= *b;
    "int48gt" [Int4(a), Int8(b)] => i64::from(*a) > *b;
    "int48ge" [Int4(a), Int8(b)] => i64::from(*a) >= *b;
    "btint48cmp" [Int4(a), Int8(b)] => order(i64::from(*a), *b);
    "int82eq" [Int8(a), Int2(b)] => *a == i64::from(*b);
    "int82ne" [Int8(a), Int2(b)] => *a != i64::from(*b);
    "int82lt" [Int8(a), Int2(b)] => *a < i64::from(*b);
    "int82le" [Int8(a), Int2(b)] => *a <= i64::from(*b);
    "int82gt" [Int8(a), Int2(b)] => *a > i64::from(*b);
    "int82ge" [Int8(a), Int2(b)] => *a >= i64::from(*b);
    "btint82cmp" [Int8(a), Int2(b)] => order(*a, i64::from(*b));
    "int84eq" [Int8(a), Int4(b)] => *a == i64::from(*b);
    "int84ne" [Int8(a), Int4(b)] => *a != i64::from(*b);
    "int84lt" [Int8(a), Int4(b)] => *a < i64::from(*b);
    "int84le" [Int8(a), Int4(b)] => *a <= i64::from(*b);
    "int84gt" [Int8(a), Int4(b)] => *a > i64::from(*b);
    "int84ge" [Int8(a), Int4(b)] => *a >= i64::from(*b);
    "btint84cmp" [Int8(a), Int4(b)] => order(*a, i64::from(*b));
    "int8eq" [Int8(a), Int8(b)] => *a == *b;
    "int8ne" [Int8(a), Int8(b)] => *a != *b;
    "int8lt" [Int8(a), Int8(b)] => *a < *b;
    "int8le" [Int8(a), Int8(b)] => *a <= *b;
    "int8gt" [Int8(a), Int8(b)] => *a > *b;
    "int8ge" [Int8(a), Int8(b)] => *a >= *b;
    "btint8cmp" [Int8(a), Int8(b)] => order(*a, *b);
    "int2larger" [Int2(a), Int2(b)] => *a.max(b);
    "int2smaller" [Int2(a), Int2(b)] => *a.min(b);
    "int4larger" [Int4(a), Int4(b)] => *a.max(b);
    "int4smaller" [Int4(a), Int4(b)] => *a.min(b);
    "int8larger" [Int8(a), Int8(b)] => *a.max(b);
    "int8smaller" [Int8(a), Int8(b)] => *a.min(b);
    "oideq" [Oid(a), Oid(b)] => a == b;
    "oidne" [Oid(a), Oid(b)] => a != b;
    "oidlt" [Oid(a), Oid(b)] => a < b;
    "oidle" [Oid(a), Oid(b)] => a <= b;
    "oidgt" [Oid(a), Oid(b)] => a > b;
    "oidge" [Oid(a), Oid(b)] => a >= b;
    "btoidcmp" [Oid(a), Oid(b)] => order(a, b);
    "oidlarger" [Oid(a), Oid(b)] => *a.max(b);
    "oidsmaller" [Oid(a), Oid(b)] => *a.min(b);
    "xideq" | "cideq" [Oid(a), Oid(b)] => a == b, [Oid(a), Int4(b)] => *a == b.cast_unsigned();
    "xidneq" [Oid(a), Oid(b)] => a != b, [Oid(a), Int4(b)] => *a != b.cast_unsigned();
}

scalars! { pub(crate) ARITHMETIC, env;
    "int2pl" [Int2(a), Int2(b)] => a.checked_add(*b).ok_or_else(int2_range);
    "int2mi" [Int2(a), Int2(b)] => a.checked_sub(*b).ok_or_else(int2_range);
    "int2mul" [Int2(a), Int2(b)] => a.checked_mul(*b).ok_or_else(int2_range);
    "int2div" [Int2(a), Int2(b)] => div2(*a, *b);
    "int24pl" [Int2(a), Int4(b)] => i32::from(*a).checked_add(*b).ok_or_else(int4_range);
    "int24mi" [Int2(a), Int4(b)] => i32::from(*a).checked_sub(*b).ok_or_else(int4_range);
    "int24mul" [Int2(a), Int4(b)] => i32::from(*a).checked_mul(*b).ok_or_else(int4_range);
    "int24div" [Int2(a), Int4(b)] => div4(i32::from(*a), *b);
    "int28pl" [Int2(a), Int8(b)] => i64::from(*a).checked_add(*b).ok_or_else(int8_range);
    "int28mi" [Int2(a), Int8(b)] => i64::from(*a).checked_sub(*b).ok_or_else(int8_range);
    "int28mul" [Int2(a), Int8(b)] => i64::from(*a).checked_mul(*b).ok_or_else(int8_range);
    "int28div" [Int2(a), Int8(b)] => div8(i64::from(*a), *b);
    "int42pl" [Int4(a), Int2(b)] => a.checked_add(i32::from(*b)).ok_or_else(int4_range);
    "int42mi" [Int4(a), Int2(b)] => a.checked_sub(i32::from(*b)).ok_or_else(int4_range);
    "int42mul" [Int4(a), Int2(b)] => a.checked_mul(i32::from(*b)).ok_or_else(int4_range);
    "int42div" [Int4(a), Int2(b)] => div4(*a, i32::from(*b));
    "int4pl" [Int4(a), Int4(b)] => a.checked_add(*b).ok_or_else(int4_range);
    "int4mi" [Int4(a), Int4(b)] => a.checked_sub(*b).ok_or_else(int4_range);
    "int4mul" [Int4(a), Int4(b)] => a.checked_mul(*b).ok_or_else(int4_range);
    "int4div" [Int4(a), Int4(b)] => div4(*a, *b);
    "int48pl" [Int4(a), Int8(b)] => i64::from(*a).checked_add(*b).ok_or_else(int8_range);
    "int48mi" [Int4(a), Int8(b)] => i64::from(*a).checked_sub(*b).ok_or_else(int8_range);
    "int48mul" [Int4(a), Int8(b)] => i64::from(*a).checked_mul(*b).ok_or_else(int8_range);
    "int48div" [Int4(a), Int8(b)] => div8(i64::from(*a), *b);
    "int82pl" [Int8(a), Int2(b)] => a.checked_add(i64::from(*b)).ok_or_else(int8_range);
    "int82mi" [Int8(a), Int2(b)] => a.checked_sub(i64::from(*b)).ok_or_else(int8_range);
    "int82mul" [Int8(a), Int2(b)] => a.checked_mul(i64::from(*b)).ok_or_else(int8_range);
    "int82div" [Int8(a), Int2(b)] => div8(*a, i64::from(*b));
    "int84pl" [Int8(a), Int4(b)] => a.checked_add(i64::from(*b)).ok_or_else(int8_range);
    "int84mi" [Int8(a), Int4(b)] => a.checked_sub(i64::from(*b)).ok_or_else(int8_range);
    "int84mul" [Int8(a), Int4(b)] => a.checked_mul(i64::from(*b)).ok_or_else(int8_range);
    "int84div" [Int8(a), Int4(b)] => div8(*a, i64::from(*b));
    "int8pl" [Int8(a), Int8(b)] => a.checked_add(*b).ok_or_else(int8_range);
    "int8mi" [Int8(a), Int8(b)] => a.checked_sub(*b).ok_or_else(int8_range);
    "int8mul" [Int8(a), Int8(b)] => a.checked_mul(*b).ok_or_else(int8_range);
    "int8div" [Int8(a), Int8(b)] => div8(*a, *b);
    "int2mod" [Int2(a), Int2(b)] => rem2(*a, *b);
    "int2um" [Int2(a)] => a.checked_neg().ok_or_else(int2_range);
    "int2up" [Int2(a)] => *a;
    "int2abs" [Int2(a)] => a.checked_abs().ok_or_else(int2_range);
    "int2and" [Int2(a), Int2(b)] => *a & *b;
    "int2or" [Int2(a), Int2(b)] => *a | *b;
    "int2xor" [Int2(a), Int2(b)] => *a ^ *b;
    "int2not" [Int2(a)] => !*a;
    "int2shl" [Int2(a), Int4(b)] => i32::from(*a).wrapping_shl(b.cast_unsigned()) as i16;
    "int2shr" [Int2(a), Int4(b)] => i32::from(*a).wrapping_shr(b.cast_unsigned()) as i16;
    "int4mod" [Int4(a), Int4(b)] => rem4(*a, *b);
    "int4um" [Int4(a)] => a.checked_neg().ok_or_else(int4_range);
    "int4up" [Int4(a)] => *a;
    "int4abs" [Int4(a)] => a.checked_abs().ok_or_else(int4_range);
    "int4and" [Int4(a), Int4(b)] => *a & *b;
    "int4or" [Int4(a), Int4(b)] => *a | *b;
    "int4xor" [Int4(a), Int4(b)] => *a ^ *b;
    "int4not" [Int4(a)] => !*a;
    "int4shl" [Int4(a), Int4(b)] => a.wrapping_shl(b.cast_unsigned());
    "int4shr" [Int4(a), Int4(b)] => a.wrapping_shr(b.cast_unsigned());
    "int8mod" [Int8(a), Int8(b)] => rem8(*a, *b);
    "int8um" [Int8(a)] => a.checked_neg().ok_or_else(int8_range);
    "int8up" [Int8(a)] => *a;
    "int8abs" [Int8(a)] => a.checked_abs().ok_or_else(int8_range);
    "int8and" [Int8(a), Int8(b)] => *a & *b;
    "int8or" [Int8(a), Int8(b)] => *a | *b;
    "int8xor" [Int8(a), Int8(b)] => *a ^ *b;
    "int8not" [Int8(a)] => !*a;
    "int8shl" [Int8(a), Int4(b)] => a.wrapping_shl(b.cast_unsigned());
    "int8shr" [Int8(a), Int4(b)] => a.wrapping_shr(b.cast_unsigned());
    "int4inc" [Int4(a)] => a.checked_add(1).ok_or_else(int4_range);
    "int4gcd" [Int4(a), Int4(b)] => gcd4(*a, *b);
    "int4lcm" [Int4(a), Int4(b)] => lcm4(*a, *b);
    "int8inc" [Int8(a)] => a.checked_add(1).ok_or_else(int8_range);
    "int8gcd" [Int8(a), Int8(b)] => gcd8(*a, *b);
    "int8lcm" [Int8(a), Int8(b)] => lcm8(*a, *b);
    "int8dec" [Int8(a)] => a.checked_sub(1).ok_or_else(int8_range);
    "int4range_subdiff" [Int4(a), Int4(b)] => f64::from(*a) - f64::from(*b);
    "int8range_subdiff" [Int8(a), Int8(b)] => *a as f64 - *b as f64;
}

scalars! { pub(crate) CAST, env;
    "i2toi4" [Int2(a)] => i32::from(*a);
    "int28" [Int2(a)] => i64::from(*a);
    "int48" [Int4(a)] => i64::from(*a);
    "i4toi2" [Int4(a)] => i16::try_from(*a).map_err(|_| int2_range());
    "int82" [Int8(a)] => i16::try_from(*a).map_err(|_| int2_range());
    "int84" [Int8(a)] => i32::try_from(*a).map_err(|_| int4_range());
    "i2tod" [Int2(a)] => f64::from(*a);
    "i2tof" [Int2(a)] => f32::from(*a);
    "i4tod" [Int4(a)] => f64::from(*a);
    "i4tof" [Int4(a)] => *a as f32;
    "i8tod" [Int8(a)] => *a as f64;
    "i8tof" [Int8(a)] => *a as f32;
    "int4_bool" [Int4(a)] => *a != 0;
    "bool_int4" [Bool(a)] => i32::from(*a);
    "i8tooid" [Int8(a)] => u32::try_from(*a).map_err(|_| PgError::out_of_range("OID"));
    "oidtoi8" [Oid(a)] => i64::from(*a);
    "ftoi2" [Float4(a)] => i16::try_from(float_int(f64::from(*a), i16::MIN.into(), int2_range)?).map_err(|_| int2_range());
    "ftoi4" [Float4(a)] => i32::try_from(float_int(f64::from(*a), i32::MIN.into(), int4_range)?).map_err(|_| int4_range());
    "ftoi8" [Float4(a)] => float_int(f64::from(*a), i64::MIN, int8_range);
    "dtoi2" [Float8(a)] => i16::try_from(float_int(*a, i16::MIN.into(), int2_range)?).map_err(|_| int2_range());
    "dtoi4" [Float8(a)] => i32::try_from(float_int(*a, i32::MIN.into(), int4_range)?).map_err(|_| int4_range());
    "dtoi8" [Float8(a)] => float_int(*a, i64::MIN, int8_range);
}

/// Rounds half to even, as `rint` does; fails outside `[least, -least)`.
pub(crate) fn float_int(value: f64, least: i64, range: fn() -> PgError) -> Result<i64> {
    let rounded = value.round_ties_even();
    let least = least as f64;
    // NaN fails both comparisons.
    if rounded >= least && rounded < -least { Ok(rounded as i64) } else { Err(range()) }
}
