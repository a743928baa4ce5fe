//! `numeric` from and to the other numbers.

use vicinity_types::Datum::{Float4, Float8, Int2, Int4, Int8, Numeric as Num};
use vicinity_types::Result;
use vicinity_types::numeric::{Numeric, round};

fn difference(a: &Numeric, b: &Numeric) -> Result<f64> {
    a.sub(b)?.to_f64()
}

scalars! { pub(crate) CAST, env;
    "int2_numeric" [Int2(a)] => Numeric::from(i64::from(*a));
    "int4_numeric" [Int4(a)] => Numeric::from(*a);
    "int8_numeric" [Int8(a)] => Numeric::from(*a);
    "float4_numeric" [Float4(a)] => Numeric::from_f32(*a);
    "float8_numeric" [Float8(a)] => Numeric::from_f64(*a);
    "numeric_int2" [Num(a)] => a.to_i16();
    "numeric_int4" [Num(a)] => a.to_i32();
    "numeric_int8" [Num(a)] => a.to_i64();
    "numeric_float4" [Num(a)] => a.to_f32();
    "numeric_float8" [Num(a)] => a.to_f64();
    "numeric" [Num(a), Int4(m)] => round::apply_typmod(a.as_ref().clone(), *m);
    "numrange_subdiff" [Num(a), Num(b)] => difference(a, b);
}
