//! Distances and constructors of the `pase` extension, with the document's own figures.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::sync::Arc;

use vicinity_functions as f;
use vicinity_types::array::Array;
use vicinity_types::pase::Pase;
use vicinity_types::{Datum, Io, IoStyle, NoNames, Result, oid};

struct Env(IoStyle);

impl f::Env for Env {
    fn io(&self) -> Io<'_> {
        Io { style: &self.0, names: &NoNames }
    }
    fn transaction_time(&self) -> i64 {
        0
    }
    fn statement_time(&self) -> i64 {
        0
    }
    fn clock_time(&self) -> i64 {
        0
    }
    fn setting(&self, _: &str) -> Option<String> {
        None
    }
}

fn vector(values: &[f32]) -> Datum {
    Datum::Array(Arc::new(Array::from_f32s(values.to_vec())))
}

fn query(values: &[f32], ds: i32) -> Datum {
    Datum::Pase(Arc::new(Pase { values: values.to_vec(), extra: 0, ds }))
}

fn operator(name: &str, left: Datum, right: Datum, right_type: u32) -> Result<Datum> {
    let operator = f::operator_exact(name, oid::FLOAT4_ARRAY, right_type).unwrap();
    let proc = f::proc_by_oid(operator.code).unwrap();
    f::scalar(proc.src).unwrap()(&Env(IoStyle::default()), &[left, right])
}

fn float(value: Result<Datum>) -> f32 {
    match value {
        Ok(Datum::Float4(v)) => v,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_distance_type_picks_the_value() {
    let left = || vector(&[2.0, 1.0, 1.0]);
    for name in ["<?>", "<#>"] {
        let at = |ds| float(operator(name, left(), query(&[3.0, 1.0, 1.0], ds), oid::PASE));
        assert_eq!(at(0), 1.0);
        assert_eq!(at(1), 8.0);
        assert!((at(2) - (1.0 - 8.0 / (6f32 * 11.0).sqrt())).abs() < 1e-6);
    }
    let plain = operator("<?>", left(), vector(&[3.0, 3.0, 1.0]), oid::FLOAT4_ARRAY);
    assert_eq!(float(plain), 5.0);
}

#[test]
fn dimensions_must_match() {
    let e = operator("<?>", vector(&[1.0]), query(&[1.0, 2.0], 0), oid::PASE).unwrap_err();
    assert_eq!(e.code().as_str(), "22000");
    assert!(e.message().contains('1') && e.message().contains('2'));
}

#[test]
fn vectors_have_elements_and_no_nulls() {
    let empty = operator("<?>", vector(&[]), query(&[1.0], 0), oid::PASE);
    assert!(empty.is_err());
    let nulls = Array::from_datums(oid::FLOAT4, vec![Datum::Float4(1.0), Datum::Null]);
    let with_null =
        operator("<?>", Datum::Array(Arc::new(nulls)), query(&[1.0, 1.0], 0), oid::PASE);
    assert!(with_null.is_err());
}

#[test]
fn constructors() {
    let env = Env(IoStyle::default());
    let make = f::scalar("pase_text_constructor").unwrap();
    let Ok(Datum::Pase(p)) = make(&env, &[Datum::text("1, 2"), Datum::Int4(40), Datum::Int4(1)])
    else {
        panic!()
    };
    assert_eq!((p.values.as_slice(), p.extra, p.ds), ([1.0, 2.0].as_slice(), 40, 1));
    assert!(make(&env, &[Datum::text("1,2:5"), Datum::Int4(0), Datum::Int4(0)]).is_err());
    assert!(make(&env, &[Datum::text("1,2"), Datum::Int4(0), Datum::Int4(3)]).is_err());
}
