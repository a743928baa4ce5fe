//! `min`, `max`, `bool_and`, `bool_or`, `bit_and`, `bit_or`, `bit_xor`.

use vicinity_types::{Datum, Oid, Result, compare, oid};

use super::{Aggregate, MakeAggregate, maker};
use crate::env::Env;
use crate::registry::mismatch;

pub(super) fn make(name: &str, ty: Oid) -> Option<MakeAggregate> {
    let fold = |step: Step| maker(Fold { state: Datum::Null, step });
    match (name, ty) {
        ("max" | "min", oid::BOOL | oid::UUID | oid::BYTEA | oid::JSONB | oid::RECORD) => None,
        ("max", _) => fold(max),
        ("min", _) => fold(min),
        ("bool_and" | "every", _) => fold(and),
        ("bool_or", _) => fold(or),
        ("bit_and", oid::INT2 | oid::INT4 | oid::INT8 | oid::BIT) => fold(bit_and),
        ("bit_or", oid::INT2 | oid::INT4 | oid::INT8 | oid::BIT) => fold(bit_or),
        ("bit_xor", oid::INT2 | oid::INT4 | oid::INT8 | oid::BIT) => fold(bit_xor),
        _ => None,
    }
}

/// Combines the state with a value; neither is NULL.
type Step = fn(&Datum, &Datum) -> Result<Datum>;

/// A state that starts as the first value.
#[derive(Clone)]
struct Fold {
    state: Datum,
    step: Step,
}

impl Aggregate for Fold {
    fn step(&mut self, _: &dyn Env, args: &[Datum]) -> Result<()> {
        match args {
            [value] if !value.is_null() => {
                self.state = if self.state.is_null() {
                    value.clone()
                } else {
                    (self.step)(&self.state, value)?
                };
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn finish(&mut self, _: &dyn Env) -> Result<Datum> {
        Ok(self.state.clone())
    }

    fn size(&self) -> usize {
        64
    }
}

fn max(state: &Datum, value: &Datum) -> Result<Datum> {
    Ok(if compare(state, value).is_gt() { state } else { value }.clone())
}

fn min(state: &Datum, value: &Datum) -> Result<Datum> {
    Ok(if compare(state, value).is_lt() { state } else { value }.clone())
}

fn and(state: &Datum, value: &Datum) -> Result<Datum> {
    match (state, value) {
        (Datum::Bool(a), Datum::Bool(b)) => Ok(Datum::Bool(*a && *b)),
        _ => Err(mismatch(&["bool_and"], &[state.clone(), value.clone()])),
    }
}

fn or(state: &Datum, value: &Datum) -> Result<Datum> {
    match (state, value) {
        (Datum::Bool(a), Datum::Bool(b)) => Ok(Datum::Bool(*a || *b)),
        _ => Err(mismatch(&["bool_or"], &[state.clone(), value.clone()])),
    }
}

macro_rules! bits {
    ($name:ident, $op:tt) => {
        fn $name(state: &Datum, value: &Datum) -> Result<Datum> {
            match (state, value) {
                (Datum::Int2(a), Datum::Int2(b)) => Ok(Datum::Int2(a $op b)),
                (Datum::Int4(a), Datum::Int4(b)) => Ok(Datum::Int4(a $op b)),
                (Datum::Int8(a), Datum::Int8(b)) => Ok(Datum::Int8(a $op b)),
                (Datum::Bits(a), Datum::Bits(b)) => crate::bits::$name(a, b),
                _ => Err(mismatch(&[stringify!($name)], &[state.clone(), value.clone()])),
            }
        }
    };
}

bits!(bit_and, &);
bits!(bit_or, |);
bits!(bit_xor, ^);
