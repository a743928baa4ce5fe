//! Operators and elementary functions.

use std::sync::Arc;

use vicinity_types::Datum::Numeric as Num;
use vicinity_types::numeric::Numeric;

fn larger(a: &Arc<Numeric>, b: &Arc<Numeric>) -> Arc<Numeric> {
    if a > b { a.clone() } else { b.clone() }
}

fn smaller(a: &Arc<Numeric>, b: &Arc<Numeric>) -> Arc<Numeric> {
    if a < b { a.clone() } else { b.clone() }
}

fn sign(a: &Numeric) -> Numeric {
    if a.is_nan() { Numeric::NaN } else { Numeric::from(a.signum()) }
}

scalars! { pub(crate) ARITHMETIC, env;
    "numeric_add" [Num(a), Num(b)] => a.add(b);
    "numeric_sub" [Num(a), Num(b)] => a.sub(b);
    "numeric_mul" [Num(a), Num(b)] => a.mul(b);
    "numeric_div" [Num(a), Num(b)] => a.div(b);
    "numeric_div_trunc" [Num(a), Num(b)] => a.div_trunc(b);
    "numeric_mod" [Num(a), Num(b)] => a.rem(b);
    "numeric_uminus" [Num(a)] => a.neg();
    "numeric_uplus" [Num(a)] => a.clone();
    "numeric_abs" [Num(a)] => a.abs();
    "numeric_sign" [Num(a)] => sign(a);
    "numeric_inc" [Num(a)] => a.add(&Numeric::from(1));
    "numeric_gcd" [Num(a), Num(b)] => a.gcd(b);
    "numeric_lcm" [Num(a), Num(b)] => a.lcm(b);
    "numeric_sqrt" [Num(a)] => a.sqrt();
    "numeric_exp" [Num(a)] => a.exp();
    "numeric_ln" [Num(a)] => a.ln();
    "numeric_log" [Num(base), Num(a)] => a.log(base);
    "log(numeric)" | "log10(numeric)" [Num(a)] => a.log10();
    "numeric_power" [Num(a), Num(b)] => a.power(b);
    "numeric_larger" [Num(a), Num(b)] => larger(a, b);
    "numeric_smaller" [Num(a), Num(b)] => smaller(a, b);
    "numeric_eq" [Num(a), Num(b)] => a == b;
    "numeric_ne" [Num(a), Num(b)] => a != b;
    "numeric_lt" [Num(a), Num(b)] => a < b;
    "numeric_le" [Num(a), Num(b)] => a <= b;
    "numeric_gt" [Num(a), Num(b)] => a > b;
    "numeric_ge" [Num(a), Num(b)] => a >= b;
    "numeric_cmp" [Num(a), Num(b)] => a.cmp(b) as i32;
}
