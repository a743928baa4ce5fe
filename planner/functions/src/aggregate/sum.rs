//! `count`, `sum`, `avg`.

use std::sync::Arc;

use num_bigint::BigInt;
use vicinity_types::interval::Interval;
use vicinity_types::numeric::Numeric;
use vicinity_types::{Datum, Oid, Result, oid};

use super::{Aggregate, MakeAggregate, maker};
use crate::datetime::interval;
use crate::env::Env;
use crate::number::float::{double, single};
use crate::number::int::int8_range;

pub(super) fn make(name: &str, ty: Oid) -> Option<MakeAggregate> {
    match (name, ty) {
        ("count", _) => maker(Count { n: 0 }),
        ("sum", oid::INT2 | oid::INT4) => maker(SumInt { sum: None }),
        ("sum", oid::INT8) => maker(SumWide { n: 0, sum: 0, average: false }),
        ("sum", oid::FLOAT4) => maker(SumFloat4 { sum: None }),
        ("sum", oid::FLOAT8) => maker(SumFloat8 { n: 0, sum: 0.0, average: false }),
        ("sum", oid::NUMERIC) => maker(SumNumeric { n: 0, sum: Numeric::from(0), average: false }),
        ("sum", oid::INTERVAL) => maker(SumInterval { n: 0, sum: ZERO, average: false }),
        ("avg", oid::INT2 | oid::INT4 | oid::INT8) => {
            maker(SumWide { n: 0, sum: 0, average: true })
        }
        ("avg", oid::FLOAT4 | oid::FLOAT8) => maker(SumFloat8 { n: 0, sum: 0.0, average: true }),
        ("avg", oid::NUMERIC) => maker(SumNumeric { n: 0, sum: Numeric::from(0), average: true }),
        ("avg", oid::INTERVAL) => maker(SumInterval { n: 0, sum: ZERO, average: true }),
        _ => None,
    }
}

const ZERO: Interval = Interval { months: 0, days: 0, micros: 0 };

/// `count(*)` and `count(x)`.
#[derive(Clone)]
struct Count {
    n: i64,
}

impl Aggregate for Count {
    fn step(&mut self, _: &dyn Env, args: &[Datum]) -> Result<()> {
        if !args.first().is_some_and(Datum::is_null) {
            self.n += 1;
        }
        Ok(())
    }

    fn finish(&mut self, _: &dyn Env) -> Result<Datum> {
        Ok(Datum::Int8(self.n))
    }

    fn size(&self) -> usize {
        0
    }
}

/// `sum(int2)` and `sum(int4)`, an `int8`.
#[derive(Clone)]
struct SumInt {
    sum: Option<i64>,
}

impl Aggregate for SumInt {
    fn step(&mut self, _: &dyn Env, args: &[Datum]) -> Result<()> {
        let value = match args {
            [Datum::Int4(v)] => i64::from(*v),
            [Datum::Int2(v)] => i64::from(*v),
            _ => return Ok(()),
        };
        let sum = self.sum.unwrap_or(0).checked_add(value);
        self.sum = Some(sum.ok_or_else(int8_range)?);
        Ok(())
    }

    fn finish(&mut self, _: &dyn Env) -> Result<Datum> {
        Ok(self.sum.map_or(Datum::Null, Datum::Int8))
    }

    fn size(&self) -> usize {
        0
    }
}

/// `sum(int8)` and the averages of integers, a `numeric`. 128 bits outlast any number of rows.
#[derive(Clone)]
struct SumWide {
    n: i64,
    sum: i128,
    average: bool,
}

impl Aggregate for SumWide {
    fn step(&mut self, _: &dyn Env, args: &[Datum]) -> Result<()> {
        let value = match args {
            [Datum::Int8(v)] => i128::from(*v),
            [Datum::Int4(v)] => i128::from(*v),
            [Datum::Int2(v)] => i128::from(*v),
            _ => return Ok(()),
        };
        self.n += 1;
        self.sum += value;
        Ok(())
    }

    fn finish(&mut self, _: &dyn Env) -> Result<Datum> {
        if self.n == 0 {
            return Ok(Datum::Null);
        }
        let sum = Numeric::new(BigInt::from(self.sum), 0);
        let value = if self.average { sum.div(&Numeric::from(self.n))? } else { sum };
        Ok(Datum::Numeric(Arc::new(value)))
    }

    fn size(&self) -> usize {
        0
    }
}

/// `sum(float4)`, added in single precision as PostgreSQL does.
#[derive(Clone)]
struct SumFloat4 {
    sum: Option<f32>,
}

impl Aggregate for SumFloat4 {
    fn step(&mut self, _: &dyn Env, args: &[Datum]) -> Result<()> {
        if let [Datum::Float4(v)] = args {
            self.sum = Some(match self.sum {
                Some(sum) => single::pl(sum, *v)?,
                None => *v,
            });
        }
        Ok(())
    }

    fn finish(&mut self, _: &dyn Env) -> Result<Datum> {
        Ok(self.sum.map_or(Datum::Null, Datum::Float4))
    }

    fn size(&self) -> usize {
        0
    }
}

/// `sum(float8)` and the averages of floats.
#[derive(Clone)]
struct SumFloat8 {
    n: i64,
    sum: f64,
    average: bool,
}

impl Aggregate for SumFloat8 {
    fn step(&mut self, _: &dyn Env, args: &[Datum]) -> Result<()> {
        let value = match args {
            [Datum::Float8(v)] => *v,
            [Datum::Float4(v)] => f64::from(*v),
            _ => return Ok(()),
        };
        self.sum = if self.n == 0 { value } else { double::pl(self.sum, value)? };
        self.n += 1;
        Ok(())
    }

    fn finish(&mut self, _: &dyn Env) -> Result<Datum> {
        Ok(match (self.n, self.average) {
            (0, _) => Datum::Null,
            (n, true) => Datum::Float8(self.sum / n as f64),
            (_, false) => Datum::Float8(self.sum),
        })
    }

    fn size(&self) -> usize {
        0
    }
}

#[derive(Clone)]
struct SumNumeric {
    n: i64,
    sum: Numeric,
    average: bool,
}

impl Aggregate for SumNumeric {
    fn step(&mut self, _: &dyn Env, args: &[Datum]) -> Result<()> {
        if let [Datum::Numeric(v)] = args {
            self.n += 1;
            self.sum = self.sum.add(v)?;
        }
        Ok(())
    }

    fn finish(&mut self, _: &dyn Env) -> Result<Datum> {
        if self.n == 0 {
            return Ok(Datum::Null);
        }
        let value = match self.average {
            true => self.sum.div(&Numeric::from(self.n))?,
            false => self.sum.clone(),
        };
        Ok(Datum::Numeric(Arc::new(value)))
    }

    fn size(&self) -> usize {
        64
    }
}

#[derive(Clone)]
struct SumInterval {
    n: i64,
    sum: Interval,
    average: bool,
}

impl Aggregate for SumInterval {
    fn step(&mut self, _: &dyn Env, args: &[Datum]) -> Result<()> {
        if let [Datum::Interval(v)] = args {
            self.n += 1;
            self.sum = interval::add(&self.sum, v)?;
        }
        Ok(())
    }

    fn finish(&mut self, _: &dyn Env) -> Result<Datum> {
        Ok(match (self.n, self.average) {
            (0, _) => Datum::Null,
            (n, true) => Datum::Interval(interval::divide(&self.sum, n as f64)?),
            (_, false) => Datum::Interval(self.sum),
        })
    }

    fn size(&self) -> usize {
        0
    }
}
