//! `bool`.

use vicinity_types::Datum::Bool;

scalars! { pub(crate) BOOLEAN, env;
    "booleq" [Bool(a), Bool(b)] => a == b;
    "boolne" [Bool(a), Bool(b)] => a != b;
    "boollt" [Bool(a), Bool(b)] => !*a & *b;
    "boolle" [Bool(a), Bool(b)] => a <= b;
    "boolgt" [Bool(a), Bool(b)] => *a & !*b;
    "boolge" [Bool(a), Bool(b)] => a >= b;
    "btboolcmp" [Bool(a), Bool(b)] => a.cmp(b) as i32;
    "booland_statefunc" [Bool(a), Bool(b)] => *a && *b;
    "boolor_statefunc" [Bool(a), Bool(b)] => *a || *b;
    "booltext" [Bool(a)] => if *a { "true" } else { "false" };
}
