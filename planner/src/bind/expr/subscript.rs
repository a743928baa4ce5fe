//! Subscripts and slices of arrays, and subscripts of jsonb.

use sqlparser::ast::{self, AccessExpr, Subscript};
use vicinity_types::{PgError, Result, SqlState, oid};

use crate::bind::function::Arguments;
use crate::bind::special::Subscripts;
use crate::bind::{Binder, literal, special};
use crate::call::{PgType, Typed};
use crate::resolve::Context;
use crate::resolve::types::part_type;

impl Binder<'_> {
    pub(super) fn subscripts(&mut self, value: Typed, steps: &[AccessExpr]) -> Result<Typed> {
        if value.ty.oid == oid::JSONB {
            return self.json_subscripts(value, steps);
        }
        let elem = self.subscripted(value.ty.oid)?;
        let elem = self.ty(elem).typmod(value.ty.typmod);
        match self.array_subscripts(steps)? {
            Subscripts::Element(indices) => Ok(special::subscript(value, indices, elem)),
            Subscripts::Slice(bounds) => special::slice(value, bounds),
        }
    }

    /// The type of the elements of a type that can be subscripted.
    pub(in crate::bind) fn subscripted(&self, ty: u32) -> Result<u32> {
        part_type(&self.types.catalog, ty).ok_or_else(|| {
            PgError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "cannot subscript type {} because it does not support subscripting",
                    self.types.name(ty)
                ),
            )
        })
    }

    /// Subscripts of an array: where one is a slice, the others are slices up to them.
    pub(in crate::bind) fn array_subscripts(&mut self, steps: &[AccessExpr]) -> Result<Subscripts> {
        vicinity_types::io::array::check_dims(steps.len())?;
        let sliced =
            steps.iter().any(|s| matches!(s, AccessExpr::Subscript(Subscript::Slice { .. })));
        let mut indices = Vec::new();
        let mut bounds = Vec::new();
        for step in steps {
            match step {
                AccessExpr::Subscript(Subscript::Index { index }) if sliced => {
                    let one = literal::number("1", false)?;
                    bounds.push((Some(one), Some(self.index(index)?)));
                }
                AccessExpr::Subscript(Subscript::Index { index }) => {
                    indices.push(self.index(index)?)
                }
                AccessExpr::Subscript(Subscript::Slice {
                    lower_bound,
                    upper_bound,
                    stride: None,
                }) => {
                    let lower = lower_bound.as_ref().map(|b| self.index(b)).transpose()?;
                    let upper = upper_bound.as_ref().map(|b| self.index(b)).transpose()?;
                    bounds.push((lower, upper));
                }
                _ => return Err(PgError::unsupported("this subscript")),
            }
        }
        Ok(if sliced { Subscripts::Slice(bounds) } else { Subscripts::Element(indices) })
    }

    /// `document['key'][0]`
    fn json_subscripts(&mut self, value: Typed, steps: &[AccessExpr]) -> Result<Typed> {
        let mut values = vec![value];
        for step in steps {
            let AccessExpr::Subscript(Subscript::Index { index }) = step else {
                return Err(PgError::new(
                    SqlState::DATATYPE_MISMATCH,
                    "jsonb subscript does not support slices",
                ));
            };
            let place = self.place(index);
            let index = self.expr(index)?;
            values.push(self.coerce(index, PgType::new(oid::TEXT), Context::Assignment, place)?);
        }
        let args = Arguments::plain(values);
        self.call(Some("pg_catalog"), "jsonb_extract_path", args)
    }

    fn index(&mut self, index: &ast::Expr) -> Result<Typed> {
        let place = self.place(index);
        let value = self.expr(index)?;
        let is_text = value.ty.oid == oid::UNKNOWN;
        self.coerce(value, PgType::new(oid::INT4), Context::Assignment, place).map_err(|e| {
            if is_text {
                return e;
            }
            PgError::new(SqlState::DATATYPE_MISMATCH, "array subscript must have type integer")
                .or_at(place)
        })
    }
}
