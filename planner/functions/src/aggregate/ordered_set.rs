//! `percentile_cont`, `percentile_disc`, `mode`.

use std::sync::Arc;

use vicinity_types::array::{Array, Elements};
use vicinity_types::{Datum, Oid, PgError, Result, SqlState, equal, oid};

use super::{Aggregate, MakeAggregate, maker};
use crate::array::build::Collector;
use crate::datetime::interval;
use crate::env::Env;

pub(super) fn make(name: &str, types: &[Oid]) -> Option<MakeAggregate> {
    let value = types.last().copied().unwrap_or(0);
    let fresh = |what| Sorted { what, ty: value, direct: Datum::Null, values: Vec::new() };
    match (name, types) {
        ("percentile_cont", [oid::FLOAT8 | oid::FLOAT8_ARRAY, oid::FLOAT8 | oid::INTERVAL]) => {
            maker(fresh(What::Continuous))
        }
        ("percentile_disc", [oid::FLOAT8 | oid::FLOAT8_ARRAY, _]) => maker(fresh(What::Discrete)),
        ("mode", [_]) => maker(fresh(What::Mode)),
        _ => None,
    }
}

#[derive(Clone, Copy)]
enum What {
    Continuous,
    Discrete,
    Mode,
}

/// Values in the order WITHIN GROUP gives them.
#[derive(Clone)]
struct Sorted {
    what: What,
    ty: Oid,
    direct: Datum,
    values: Vec<Datum>,
}

impl Aggregate for Sorted {
    fn step(&mut self, _: &dyn Env, args: &[Datum]) -> Result<()> {
        let value = match args {
            [value] => value,
            [direct, value] => {
                if self.direct.is_null() {
                    self.direct = direct.clone();
                }
                value
            }
            _ => return Ok(()),
        };
        if !value.is_null() {
            self.values.push(value.clone());
        }
        Ok(())
    }

    fn finish(&mut self, _: &dyn Env) -> Result<Datum> {
        if self.values.is_empty() {
            return Ok(Datum::Null);
        }
        match (self.what, &self.direct) {
            (What::Mode, _) => Ok(self.mode()),
            (_, Datum::Float8(p)) => self.percentile(*p),
            (_, Datum::Array(list)) => self.percentiles(list),
            _ => Ok(Datum::Null),
        }
    }

    fn size(&self) -> usize {
        self.values.capacity() * size_of::<Datum>()
    }
}

impl Sorted {
    /// The most frequent value, the first of several.
    fn mode(&self) -> Datum {
        let mut best = (0usize, &Datum::Null);
        for run in self.values.chunk_by(equal) {
            if let Some(first) = run.first()
                && run.len() > best.0
            {
                best = (run.len(), first);
            }
        }
        best.1.clone()
    }

    fn at(&self, index: f64) -> Datum {
        self.values.get(index as usize).cloned().unwrap_or(Datum::Null)
    }

    fn percentile(&self, p: f64) -> Result<Datum> {
        if !(0.0..=1.0).contains(&p) {
            return Err(PgError::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                format!("percentile value {p} is not between 0 and 1"),
            ));
        }
        let n = self.values.len() as f64;
        if matches!(self.what, What::Discrete) {
            return Ok(self.at(((p * n).ceil() - 1.0).max(0.0)));
        }
        let position = p * (n - 1.0);
        let (low, high) = (self.at(position.floor()), self.at(position.ceil()));
        let share = position - position.floor();
        Ok(match (low, high) {
            (Datum::Float8(a), Datum::Float8(b)) if share > 0.0 => {
                Datum::Float8(a + share * (b - a))
            }
            (Datum::Interval(a), Datum::Interval(b)) if share > 0.0 => {
                let difference = interval::subtract(&b, &a)?;
                let part = interval::multiply(&difference, share)?;
                Datum::Interval(interval::add(&a, &part)?)
            }
            (low, _) => low,
        })
    }

    /// An array of percentiles gives an array of the same shape.
    fn percentiles(&self, list: &Array) -> Result<Datum> {
        let mut collector = Collector::new(self.ty);
        for p in list.iter() {
            let value = match p {
                Datum::Float8(p) => self.percentile(p)?,
                _ => Datum::Null,
            };
            collector.push(&value);
        }
        let (elem, elements): (Oid, Elements) = collector.into_elements();
        Ok(Datum::Array(Arc::new(Array { elem, dims: list.dims.clone(), elements })))
    }
}
