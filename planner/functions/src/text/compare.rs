//! Comparison of `text`, `name`, `bpchar` and `"char"`: bytewise, `bpchar` without its padding.

use vicinity_types::Datum::{Bpchar, Bytea, Text};
use vicinity_types::compare::unpadded;

scalars! { pub(crate) COMPARE, env;
    "texteq" | "nameeq" | "chareq" | "nameeqtext" | "texteqname" [Text(a), Text(b)] => a == b;
    "bpchareq" [Bpchar(a), Bpchar(b)] => unpadded(a) == unpadded(b);
    "byteaeq" [Bytea(a), Bytea(b)] => a == b;
    "textne" | "namene" | "charne" | "namenetext" | "textnename" [Text(a), Text(b)] => a != b;
    "bpcharne" [Bpchar(a), Bpchar(b)] => unpadded(a) != unpadded(b);
    "byteane" [Bytea(a), Bytea(b)] => a != b;
    "text_lt" | "namelt" | "charlt" | "namelttext" | "textltname" | "text_pattern_lt" [Text(a), Text(b)] => a < b;
    "bpcharlt" | "bpchar_pattern_lt" [Bpchar(a), Bpchar(b)] => unpadded(a) < unpadded(b);
    "bytealt" [Bytea(a), Bytea(b)] => a < b;
    "text_le" | "namele" | "charle" | "nameletext" | "textlename" | "text_pattern_le" [Text(a), Text(b)] => a <= b;
    "bpcharle" | "bpchar_pattern_le" [Bpchar(a), Bpchar(b)] => unpadded(a) <= unpadded(b);
    "byteale" [Bytea(a), Bytea(b)] => a <= b;
    "text_gt" | "namegt" | "chargt" | "namegttext" | "textgtname" | "text_pattern_gt" [Text(a), Text(b)] => a > b;
    "bpchargt" | "bpchar_pattern_gt" [Bpchar(a), Bpchar(b)] => unpadded(a) > unpadded(b);
    "byteagt" [Bytea(a), Bytea(b)] => a > b;
    "text_ge" | "namege" | "charge" | "namegetext" | "textgename" | "text_pattern_ge" [Text(a), Text(b)] => a >= b;
    "bpcharge" | "bpchar_pattern_ge" [Bpchar(a), Bpchar(b)] => unpadded(a) >= unpadded(b);
    "byteage" [Bytea(a), Bytea(b)] => a >= b;
    "bttextcmp" | "btnamecmp" | "btnametextcmp" | "bttextnamecmp" | "btcharcmp" | "bttext_pattern_cmp" [Text(a), Text(b)] => a.cmp(b) as i32;
    "bpcharcmp" | "btbpchar_pattern_cmp" [Bpchar(a), Bpchar(b)] => unpadded(a).cmp(unpadded(b)) as i32;
    "byteacmp" [Bytea(a), Bytea(b)] => a.cmp(b) as i32;
    "text_larger" [Text(a), Text(b)] => a.max(b).clone();
    "text_smaller" [Text(a), Text(b)] => a.min(b).clone();
    "bpchar_larger" [Bpchar(a), Bpchar(b)] => Bpchar(if unpadded(a) >= unpadded(b) { a } else { b }.clone());
    "bpchar_smaller" [Bpchar(a), Bpchar(b)] => Bpchar(if unpadded(a) <= unpadded(b) { a } else { b }.clone());
}
