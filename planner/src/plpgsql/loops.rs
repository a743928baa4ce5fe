//! LOOP, WHILE, FOR and FOREACH.

use std::sync::Arc;

use vicinity_types::array::Array;
use vicinity_types::{Datum, PgError, Result, SqlState};

use super::ast::{Place, Slot, Sql, Statement, StatementKind, Target, VariableKind};
use super::expr;
use super::frame::{self, Value};
use super::query;
use super::run::{Flow, Interpreter};
use crate::call::PgType;

/// What a loop does after a round of its body.
pub(super) enum Round {
    Again,
    Leave(Flow),
}

impl Interpreter<'_> {
    pub(super) fn loops(&mut self, kind: &StatementKind) -> Result<Flow> {
        match kind {
            StatementKind::Loop { label, body } => loop {
                self.ctx.check()?;
                if let Round::Leave(flow) = self.round(label.as_deref(), body)? {
                    return Ok(flow);
                }
            },
            StatementKind::While { label, condition, body } => {
                while expr::truth(self, condition)? {
                    self.ctx.check()?;
                    if let Round::Leave(flow) = self.round(label.as_deref(), body)? {
                        return Ok(flow);
                    }
                }
                Ok(Flow::Next)
            }
            StatementKind::ForInteger { label, slot, from, to, by, reverse, body } => {
                let range = self.range(from, to, by.as_ref(), *reverse)?;
                self.for_integer(label.as_deref(), *slot, &range, body)
            }
            StatementKind::ForQuery { label, target, query, held, body } => {
                let mut left = Flow::Next;
                let mut any = false;
                let mut take = |me: &mut Self, row| {
                    any = true;
                    me.store(target, Some(row))?;
                    match me.round(label.as_deref(), body)? {
                        Round::Again => Ok(true),
                        Round::Leave(flow) => {
                            left = flow;
                            Ok(false)
                        }
                    }
                };
                if *held && self.transactions.is_some() {
                    // What is read later must be what there was in the transaction of now.
                    let mut rows = Vec::new();
                    query::for_each(self, query, &mut |_, row| {
                        rows.push(row);
                        Ok(true)
                    })?;
                    for row in rows {
                        self.ctx.check()?;
                        if !take(self, row)? {
                            break;
                        }
                    }
                } else {
                    query::for_each(self, query, &mut take)?;
                }
                self.frame.set_found(any);
                Ok(left)
            }
            StatementKind::ForCursor { label, record, cursor, args, body } => {
                self.for_cursor(label.as_deref(), *record, *cursor, args, body)
            }
            StatementKind::ForEach { label, target, slice, array, body } => {
                self.for_each_element(label.as_deref(), target, *slice, array, body)
            }
            _ => Err(PgError::internal("not a loop")),
        }
    }

    /// Runs the body once.
    pub(super) fn round(&mut self, label: Option<&str>, body: &[Statement]) -> Result<Round> {
        let mine = |to: &Option<String>| to.is_none() || to.as_deref() == label;
        Ok(match self.statements(body)? {
            Flow::Next => Round::Again,
            Flow::Continue(to) if mine(&to) => Round::Again,
            Flow::Exit(to) if mine(&to) => Round::Leave(Flow::Next),
            other => Round::Leave(other),
        })
    }

    fn bound(&mut self, sql: &Sql, what: &str) -> Result<i64> {
        expr::int(self, sql)?.ok_or_else(|| {
            PgError::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                format!("{what} of FOR loop cannot be null"),
            )
        })
    }

    fn range(&mut self, from: &Sql, to: &Sql, by: Option<&Sql>, reverse: bool) -> Result<Range> {
        let first = self.bound(from, "lower bound")?;
        let last = self.bound(to, "upper bound")?;
        let step = match by {
            Some(sql) => self.bound(sql, "BY value")?,
            None => 1,
        };
        if step <= 0 {
            return Err(PgError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "BY value of FOR loop must be greater than zero",
            ));
        }
        Ok(Range { first, last, step, reverse })
    }

    fn for_integer(
        &mut self,
        label: Option<&str>,
        slot: Slot,
        range: &Range,
        body: &[Statement],
    ) -> Result<Flow> {
        let mut at = range.first;
        let mut any = false;
        while range.holds(at) {
            self.ctx.check()?;
            any = true;
            let value = i32::try_from(at).map_err(|_| PgError::out_of_range("integer"))?;
            self.frame.set_raw(slot, Value::Scalar(Datum::Int4(value)));
            if let Round::Leave(flow) = self.round(label, body)? {
                self.frame.set_found(true);
                return Ok(flow);
            }
            at = if range.reverse { at - range.step } else { at + range.step };
        }
        self.frame.set_found(any);
        Ok(Flow::Next)
    }

    fn for_each_element(
        &mut self,
        label: Option<&str>,
        target: &Target,
        slice: usize,
        array: &Sql,
        body: &[Statement],
    ) -> Result<Flow> {
        let (value, ty) = expr::eval(self, array)?;
        let Datum::Array(array) = value else {
            return Err(if value.is_null() {
                PgError::new(
                    SqlState::NULL_VALUE_NOT_ALLOWED,
                    "FOREACH expression must not be null",
                )
            } else {
                let name = self.ctx.type_name(ty.oid, None);
                PgError::new(
                    SqlState::DATATYPE_MISMATCH,
                    format!("FOREACH expression must yield an array, not type {name}"),
                )
            });
        };
        let (elements, elem) = if slice == 0 {
            let elem = PgType::with_kind(array.elem, -1, self.ctx.catalog.kind_of(array.elem));
            if self.holds_array(target, ty)? {
                return Err(mismatch("FOREACH loop variable must not be of an array type"));
            }
            (array.iter().collect(), elem)
        } else {
            if !self.holds_array(target, ty)? {
                return Err(mismatch("FOREACH ... SLICE loop variable must be of an array type"));
            }
            (slices(&array, slice)?, ty)
        };
        let mut any = false;
        for element in elements {
            self.ctx.check()?;
            any = true;
            self.store_element(target, element, elem)?;
            if let Round::Leave(flow) = self.round(label, body)? {
                self.frame.set_found(true);
                return Ok(flow);
            }
        }
        self.frame.set_found(any);
        Ok(Flow::Next)
    }
}

impl Interpreter<'_> {
    /// Whether a FOREACH's variable is an array as the expression's type is.
    fn holds_array(&self, target: &Target, ty: PgType) -> Result<bool> {
        let Target::Scalars(places) = target else { return Ok(false) };
        let [Place::Variable(slot)] = places.as_slice() else { return Ok(false) };
        let VariableKind::Scalar(own) = self.frame.variable(*slot)?.kind else { return Ok(false) };
        let catalog = &self.ctx.catalog;
        Ok(catalog.element_of(own.oid).is_some() && catalog.element_of(ty.oid).is_some())
    }

    fn store_element(&mut self, target: &Target, element: Datum, ty: PgType) -> Result<()> {
        match target {
            Target::Scalars(places) if places.len() == 1 => {
                let Some(place) = places.first() else { return Ok(()) };
                self.frame.assign(&self.ctx, place, element, ty)
            }
            _ => {
                let row = match frame::record_value(&self.ctx, element, None)? {
                    Value::Row(row) => row,
                    Value::Scalar(_) => None,
                };
                self.store(target, row)
            }
        }
    }
}

fn mismatch(text: &str) -> PgError {
    PgError::new(SqlState::DATATYPE_MISMATCH, text)
}

/// An array cut into arrays of its last dimensions.
fn slices(array: &Array, dimensions: usize) -> Result<Vec<Datum>> {
    let have = array.dims.len();
    let Some(cut) = have.checked_sub(dimensions) else {
        return Err(PgError::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            format!("slice dimension ({dimensions}) is out of the valid range 0..{have}"),
        ));
    };
    let dims = array.dims.get(cut..).unwrap_or_default();
    let size = dims.iter().try_fold(1_usize, |n, d| n.checked_mul(usize::try_from(d.len).ok()?));
    let values: Vec<Datum> = array.iter().collect();
    let piece = |part: &[Datum]| {
        let mut made = Array::from_datums(array.elem, part.to_vec());
        made.dims = dims.to_vec();
        Datum::Array(Arc::new(made))
    };
    Ok(values.chunks(size.unwrap_or(1).max(1)).map(piece).collect())
}

/// `FOR i IN [REVERSE] first..last BY step`
struct Range {
    first: i64,
    last: i64,
    step: i64,
    reverse: bool,
}

impl Range {
    fn holds(&self, at: i64) -> bool {
        if self.reverse { at >= self.last } else { at <= self.last }
    }
}
