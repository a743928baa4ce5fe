//! Stored values, rows, keys and Arrow columns, over values of every kind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs
)]

use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use num_bigint::BigInt;
use proptest::collection::vec;
use proptest::prelude::*;
use vicinity_types::array::{Array, Dim, Elements};
use vicinity_types::bits::Bits;
use vicinity_types::geo::{Circle, Line, Lseg, Path, Point, Polygon, Rect};
use vicinity_types::interval::Interval;
use vicinity_types::io::fast::digits_in;
use vicinity_types::io::{Io, IoStyle, NoNames};
use vicinity_types::jsonb::{Jsonb, normalize};
use vicinity_types::numeric::Numeric;
use vicinity_types::pase::Pase;
use vicinity_types::record::Record;
use vicinity_types::tuple::{Tuple, TupleDesc, encode_tuple};
use vicinity_types::{Datum, Kind, TimeTz, arrow, compare, encode_key, equal, oid, raw, text_in};

/// Floats with the special values often among them.
fn float8() -> BoxedStrategy<f64> {
    prop_oneof![
        4 => any::<f64>(),
        4 => (-5i32..5).prop_map(f64::from),
        1 => prop::sample::select(vec![0.0, -0.0, f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
    ]
    .boxed()
}

fn float4() -> BoxedStrategy<f32> {
    prop_oneof![
        3 => any::<f32>(),
        3 => (-5i16..5).prop_map(f32::from),
        1 => prop::sample::select(vec![0.0f32, -0.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY]),
    ]
    .boxed()
}

fn int8() -> BoxedStrategy<i64> {
    prop_oneof![any::<i64>(), -3i64..3, Just(i64::MIN), Just(i64::MAX)].boxed()
}

fn int4() -> BoxedStrategy<i32> {
    prop_oneof![any::<i32>(), -3i32..3, Just(i32::MIN), Just(i32::MAX)].boxed()
}

fn numeric() -> BoxedStrategy<Numeric> {
    let small = (-2000i64..2000, 0i64..4).prop_map(|(d, s)| Numeric::new(BigInt::from(d), s));
    let large = (any::<i128>(), 0i64..60).prop_map(|(d, s)| Numeric::new(BigInt::from(d), s));
    let shifted = (-99i64..99, 0u64..40)
        .prop_map(|(d, e)| Numeric::new(BigInt::from(d) * vicinity_types::numeric::pow10(e), 0));
    let special = prop::sample::select(vec![Numeric::NaN, Numeric::Infinity, Numeric::NegInfinity]);
    prop_oneof![4 => small, 3 => large, 2 => shifted, 1 => special].boxed()
}

fn text() -> BoxedStrategy<String> {
    prop_oneof!["[ab]{0,4}", "\\PC{0,12}", "[\u{1}\u{2}a]{0,4}"].boxed()
}

fn point() -> BoxedStrategy<Point> {
    (float8(), float8()).prop_map(|(x, y)| Point { x, y }).boxed()
}

fn points() -> BoxedStrategy<Vec<Point>> {
    vec(point(), 1..4).boxed()
}

fn json() -> BoxedStrategy<serde_json::Value> {
    use serde_json::Value;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-20i64..20).prop_map(Value::from),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Value::from),
        "[ab\"\\\\\n]{0,3}".prop_map(Value::String),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::Array),
            vec(("[abc]{0,3}", inner), 0..4)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
    .boxed()
}

fn array() -> BoxedStrategy<Datum> {
    let floats = vec(float4(), 0..6).prop_map(Array::from_f32s);
    let nullable = vec(prop::option::of(int4()), 1..5).prop_map(|values| {
        let datums = values.into_iter().map(|v| v.map_or(Datum::Null, Datum::Int4)).collect();
        Array::from_datums(oid::INT4, datums)
    });
    let texts = vec(text(), 0..4).prop_map(|values| {
        Array::from_datums(oid::TEXT, values.into_iter().map(Datum::text).collect())
    });
    let grid = (vec(int4(), 4), -2i32..3).prop_map(|(values, lower)| Array {
        elem: oid::INT4,
        dims: vec![Dim { len: 2, lower }, Dim { len: 2, lower: 1 }],
        elements: Elements::Datums(values.into_iter().map(Datum::Int4).collect()),
    });
    prop_oneof![floats, nullable, texts, grid].prop_map(|a| Datum::Array(Arc::new(a))).boxed()
}

fn record() -> BoxedStrategy<Datum> {
    (prop::option::of(int4()), prop::option::of(text()))
        .prop_map(|(number, word)| {
            let fields = vec![
                (oid::INT4, number.map_or(Datum::Null, Datum::Int4)),
                (oid::TEXT, word.map_or(Datum::Null, Datum::text)),
            ];
            Datum::Record(Arc::new(Record::new(oid::RECORD, fields).unwrap()))
        })
        .boxed()
}

fn value(kind: Kind) -> BoxedStrategy<Datum> {
    match kind {
        Kind::Bool => any::<bool>().prop_map(Datum::Bool).boxed(),
        Kind::Int2 => any::<i16>().prop_map(Datum::Int2).boxed(),
        Kind::Int4 => int4().prop_map(Datum::Int4).boxed(),
        Kind::Int8 => int8().prop_map(Datum::Int8).boxed(),
        Kind::Float4 => float4().prop_map(Datum::Float4).boxed(),
        Kind::Float8 => float8().prop_map(Datum::Float8).boxed(),
        Kind::Numeric => numeric().prop_map(|n| Datum::Numeric(Arc::new(n))).boxed(),
        Kind::Text => text().prop_map(Datum::text).boxed(),
        Kind::Bpchar => (text(), 0usize..3)
            .prop_map(|(text, blanks)| Datum::Bpchar(Arc::from(text + &" ".repeat(blanks))))
            .boxed(),
        Kind::Bytea => vec(prop::sample::select(vec![0u8, 1, 2, 254, 255]), 0..6)
            .prop_map(|b| Datum::Bytea(Arc::from(b)))
            .boxed(),
        Kind::Date => int4().prop_map(Datum::Date).boxed(),
        Kind::Time => (0i64..86_400_000_001).prop_map(Datum::Time).boxed(),
        Kind::TimeTz => (0i64..4, -2i32..3)
            .prop_map(|(t, zone)| {
                Datum::TimeTz(TimeTz { micros: t * 3_600_000_000, zone: zone * 3600 })
            })
            .boxed(),
        Kind::Timestamp => int8().prop_map(Datum::Timestamp).boxed(),
        Kind::TimestampTz => int8().prop_map(Datum::TimestampTz).boxed(),
        Kind::Interval => {
            let small = (-2i32..3, -31i32..61, -2i64..3).prop_map(|(months, days, hours)| {
                Interval { months, days, micros: hours * 43_200_000_000 }
            });
            let any = (int4(), int4(), int8()).prop_map(|(months, days, micros)| Interval {
                months,
                days,
                micros,
            });
            prop_oneof![small, any].prop_map(Datum::Interval).boxed()
        }
        Kind::Uuid => any::<[u8; 16]>().prop_map(Datum::Uuid).boxed(),
        Kind::Oid => any::<u32>().prop_map(Datum::Oid).boxed(),
        Kind::Tid => any::<u64>().prop_map(Datum::Tid).boxed(),
        Kind::Bits => vec(any::<bool>(), 0..40)
            .prop_map(|bits| Datum::Bits(Arc::new(Bits::from_bits(bits.into_iter()))))
            .boxed(),
        Kind::Enum => any::<i64>().prop_map(Datum::Enum).boxed(),
        Kind::Jsonb => json().prop_map(|v| Datum::Jsonb(Arc::new(Jsonb(normalize(v))))).boxed(),
        Kind::Point => point().prop_map(Datum::Point).boxed(),
        Kind::Lseg => {
            (point(), point()).prop_map(|(a, b)| Datum::Lseg(Arc::new(Lseg { a, b }))).boxed()
        }
        Kind::Box => {
            (point(), point()).prop_map(|(a, b)| Datum::Box(Arc::new(Rect::spanning(a, b)))).boxed()
        }
        Kind::Line => (float8(), float8(), float8())
            .prop_map(|(a, b, c)| Datum::Line(Line { a, b, c }))
            .boxed(),
        Kind::Circle => (point(), float8())
            .prop_map(|(center, radius)| Datum::Circle(Circle { center, radius }))
            .boxed(),
        Kind::Path => (any::<bool>(), points())
            .prop_map(|(closed, points)| Datum::Path(Arc::new(Path { closed, points })))
            .boxed(),
        Kind::Polygon => {
            points().prop_map(|points| Datum::Polygon(Arc::new(Polygon { points }))).boxed()
        }
        Kind::Pase => (vec(float4(), 1..5), 0i32..9, 0i32..3)
            .prop_map(|(values, extra, ds)| Datum::Pase(Arc::new(Pase { values, extra, ds })))
            .boxed(),
        Kind::Array => array(),
        Kind::Record => record(),
    }
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(Kind::ALL.to_vec())
}

fn nullable(kind: Kind) -> BoxedStrategy<Datum> {
    prop_oneof![1 => Just(Datum::Null), 5 => value(kind)].boxed()
}

fn pair() -> impl Strategy<Value = (Kind, Datum, Datum)> {
    any_kind()
        .prop_flat_map(|kind| (Just(kind), nullable(kind), nullable(kind)))
        .prop_filter("comparable", comparable)
}

/// Arrays are compared only with arrays over the same type.
fn comparable((_, a, b): &(Kind, Datum, Datum)) -> bool {
    match (a, b) {
        (Datum::Array(a), Datum::Array(b)) => a.elem == b.elem,
        _ => true,
    }
}

fn rows() -> impl Strategy<Value = (Vec<Kind>, Vec<Datum>)> {
    vec(any_kind(), 0..12).prop_flat_map(|kinds| {
        let values: Vec<_> = kinds.iter().map(|k| nullable(*k)).collect();
        (Just(kinds), values)
    })
}

/// Identical to the last bit, which `equal` does not ask for.
fn same(a: &Datum, b: &Datum) -> bool {
    let encode = |d: &Datum| {
        let mut out = Vec::new();
        raw::encode(d, &mut out);
        (d.kind(), out)
    };
    encode(a) == encode(b)
}

fn key(d: &Datum, descending: bool, nulls_first: bool) -> Vec<u8> {
    let mut out = Vec::new();
    encode_key(d, descending, nulls_first, &mut out);
    out
}

fn digest(d: &Datum) -> u64 {
    let mut hasher = DefaultHasher::new();
    vicinity_types::hash(d, &mut hasher);
    hasher.finish()
}

fn is_plain(text: &str) -> bool {
    text.strip_prefix('-').unwrap_or(text).bytes().all(|b| b.is_ascii_digit())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn stored_values_read_back((kind, value, _) in pair()) {
        prop_assume!(!value.is_null());
        let mut bytes = Vec::new();
        raw::encode(&value, &mut bytes);
        if let Some(width) = kind.width() {
            prop_assert_eq!(bytes.len(), width);
        }
        let back = raw::decode(kind, &bytes).unwrap();
        prop_assert!(same(&value, &back), "{:?} became {:?}", value, back);
    }

    #[test]
    fn damaged_bytes_are_an_error_or_a_value((kind, value, _) in pair(), at in 0usize..64, byte in any::<u8>(), cut in 0usize..64) {
        prop_assume!(!value.is_null());
        let mut bytes = Vec::new();
        raw::encode(&value, &mut bytes);
        if let Some(slot) = bytes.get_mut(at) {
            *slot = byte;
        }
        let _ = raw::decode(kind, &bytes);
        let _ = raw::decode(kind, &bytes[..cut.min(bytes.len())]);
    }

    #[test]
    fn key_order_is_value_order((_, a, b) in pair(), descending in any::<bool>(), nulls_first in any::<bool>()) {
        let by_value = match (a.is_null(), b.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) if nulls_first => Ordering::Less,
            (true, false) => Ordering::Greater,
            (false, true) if nulls_first => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) if descending => compare(&b, &a),
            (false, false) => compare(&a, &b),
        };
        let (ka, kb) = (key(&a, descending, nulls_first), key(&b, descending, nulls_first));
        prop_assert_eq!(ka.cmp(&kb), by_value, "{:?} and {:?}", a, b);
        if ka != kb {
            // Self-delimiting: no key is the start of another.
            prop_assert!(!ka.starts_with(&kb) && !kb.starts_with(&ka));
        }
    }

    #[test]
    fn order_is_total((kind, a, b) in pair()) {
        prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
        prop_assert_eq!(compare(&a, &a), Ordering::Equal);
        if compare(&a, &b) == Ordering::Equal {
            prop_assert_eq!(digest(&a), digest(&b), "{:?}: {:?} and {:?}", kind, a, b);
        }
    }

    #[test]
    fn rows_read_back((kinds, values) in rows(), stored in 0usize..12) {
        let desc = TupleDesc::new(kinds);
        // A row from before the last columns were added.
        let stored = stored.min(values.len());
        let mut bytes = vec![0xaa; 3];
        encode_tuple(&desc, &values[..stored], &mut bytes).unwrap();
        let tuple = Tuple::new(&desc, &bytes[3..]);
        prop_assert_eq!(tuple.stored_columns(), stored);
        for (i, value) in values.iter().enumerate() {
            let expected = if i < stored { value.clone() } else { Datum::Null };
            prop_assert!(same(&tuple.get(i), &expected), "column {}: {:?}", i, value);
            prop_assert_eq!(tuple.raw(i).is_none(), expected.is_null());
        }
        prop_assert!(tuple.raw(values.len()).is_none());
        let is_whole = stored == values.len();
        prop_assert_eq!(tuple.whole().is_some(), is_whole);
        for (i, kind) in desc.kinds().iter().enumerate().filter(|_| is_whole) {
            let fixed = kind.width().and_then(|_| tuple.raw(i));
            prop_assert_eq!(tuple.whole().zip(desc.fixed(i)).and_then(|(whole, place)| whole.at(place)), fixed);
        }
    }

    #[test]
    fn damaged_rows_do_not_panic((kinds, values) in rows(), at in 0usize..200, byte in any::<u8>(), cut in 0usize..200) {
        let desc = TupleDesc::new(kinds);
        let mut bytes = Vec::new();
        encode_tuple(&desc, &values, &mut bytes).unwrap();
        if let Some(slot) = bytes.get_mut(at) {
            *slot = byte;
        }
        let _ = Tuple::new(&desc, &bytes).values();
        let whole = Tuple::new(&desc, &bytes[..cut.min(bytes.len())]).whole();
        let places = (0..=desc.len()).filter_map(|i| desc.fixed(i));
        let _ = whole.map(|whole| places.filter_map(|place| whole.at(place)).count());
        let _ = Tuple::new(&desc, &bytes[..cut.min(bytes.len())]).values();
    }

    #[test]
    fn plain_numbers_are_read_the_short_way_as_the_long(text in "-?[0-9]{0,20}|[-+ 0-9.eE]{0,8}") {
        let style = IoStyle::default();
        let io = Io { style: &style, names: &NoNames };
        for ty in [oid::INT2, oid::INT4, oid::INT8, oid::FLOAT8, oid::NUMERIC, oid::TEXT] {
            let long = text_in(ty, -1, &text, &io);
            match digits_in(ty, text.as_bytes()) {
                Some(short) => prop_assert!(same(&short, &long.unwrap()), "{:?}", text),
                None => prop_assert!(!matches!(long, Ok(Datum::Int4(_))) || text.len() > 15 || !is_plain(&text)),
            }
        }
    }

    #[test]
    fn arrow_columns_read_back((kind, a, b) in pair()) {
        let mut builder = arrow::ColumnBuilder::new(kind, 4);
        builder.push(&a).unwrap();
        builder.push(&b).unwrap();
        let mut bytes = Vec::new();
        raw::encode(&a, &mut bytes);
        builder.push_raw((!a.is_null()).then_some(bytes.as_slice()));
        let column = builder.finish();
        prop_assert_eq!(column.data_type(), &arrow::data_type(kind));
        for (row, expected) in [&a, &b, &a].into_iter().enumerate() {
            let got = arrow::value_at(kind, column.as_ref(), row).unwrap();
            // Columns keep one NaN only.
            let float = matches!(kind, Kind::Float4 | Kind::Float8);
            prop_assert!(same(&got, expected) || float && equal(&got, expected), "{:?}", expected);
        }
        if arrow::needs_key(kind) {
            let keys = (arrow::group_key(&a), arrow::group_key(&b));
            prop_assert_eq!(keys.0.cmp(&keys.1), compare(&a, &b));
        }
    }
}

#[test]
fn vectors_are_read_in_place() {
    let vector = Datum::Array(Arc::new(Array::from_f32s(vec![1.0, -2.5, 3.25])));
    let desc = TupleDesc::new(vec![Kind::Text, Kind::Array, Kind::Int2]);
    let mut bytes = Vec::with_capacity(256);
    for word in ["", "a", "ab", "abc", "abcd"] {
        bytes.clear();
        let row = [Datum::text(word), vector.clone(), Datum::Int2(7)];
        encode_tuple(&desc, &row, &mut bytes).unwrap();
        let tuple = Tuple::new(&desc, &bytes);
        let floats = raw::float4_slice(tuple.raw(1).unwrap()).unwrap();
        assert_eq!(floats.to_vec(), [1.0, -2.5, 3.25]);
        // Rows are allocated at multiples of eight; so the floats lie at a multiple of four.
        if bytes.as_ptr().addr() % 8 == 0 {
            assert!(floats.as_slice().is_some());
        }
        let mut scratch = Vec::new();
        assert_eq!(floats.with(&mut scratch, |f| f.len()), 3);
    }
}

#[test]
fn rows_reject_values_of_another_kind() {
    let desc = TupleDesc::new(vec![Kind::Int4]);
    let mut bytes = Vec::new();
    assert!(encode_tuple(&desc, &[Datum::Int8(1)], &mut bytes).is_err());
    assert!(encode_tuple(&desc, &[Datum::Int4(1), Datum::Int4(2)], &mut bytes).is_err());
}

#[test]
fn keys_of_columns_concatenate() {
    let row = |a: &str, b: i32| {
        let mut out = key(&Datum::text(a), false, false);
        encode_key(&Datum::Int4(b), true, true, &mut out);
        out
    };
    assert!(row("a", 2) < row("a", 1));
    assert!(row("a", 1) < row("a\u{1}", 2));
    assert!(row("a", i32::MIN) < row("ab", i32::MAX));
    assert!(row("ab", 5).starts_with(&key(&Datum::text("ab"), false, false)));
}
