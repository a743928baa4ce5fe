//! `ARRAY[...]`.

use sqlparser::ast;
use vicinity_types::{PgError, Result, SqlState};

use crate::bind::cast::one_of;
use crate::bind::{Binder, special};
use crate::call::{PgType, Typed};
use crate::resolve::Context;
use crate::resolve::common::require_common_at;

impl Binder<'_> {
    pub(super) fn array(&mut self, array: &ast::Array) -> Result<Typed> {
        let mut values = Vec::new();
        for element in &array.elem {
            // `ARRAY[[1,2],[3,4]]`
            values.push(self.expr(element)?);
        }
        if values.is_empty() {
            return Err(PgError::new(
                SqlState::INDETERMINATE_DATATYPE,
                "cannot determine type of empty array",
            )
            .hint("Explicitly cast to the desired type, for example ARRAY[]::integer[]."));
        }
        let inputs: Vec<u32> = values.iter().map(|v| v.ty.oid).collect();
        let places: Vec<_> = array.elem.iter().map(|e| self.place(e)).collect();
        let common = require_common_at(&self.types, &inputs, "ARRAY", &places)?;
        if let Some(elem) = self.types.element(common) {
            let ty = self.ty(common);
            let values = self.coerce_all(values, ty, &places)?;
            return Ok(special::array_ctor(values, ty, elem, true));
        }
        let array = self.types.array(common).ok_or_else(|| {
            PgError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("could not find array type for data type {}", self.types.name(common)),
            )
        })?;
        let values = self.coerce_all(values, self.ty(common), &places)?;
        let typmod = one_of(&values, self.ty(common)).typmod;
        Ok(special::array_ctor(values, self.ty(array).typmod(typmod), common, false))
    }

    /// An array constructor whose element type a cast told.
    pub(super) fn array_of(
        &mut self,
        elements: &[ast::Expr],
        elem: PgType,
        target: PgType,
    ) -> Result<Typed> {
        let mut nested = false;
        let mut values = Vec::new();
        for element in elements {
            let place = self.place(element);
            if let ast::Expr::Array(inner) = element {
                nested = true;
                values.push(self.array_of(&inner.elem, elem, target)?);
                continue;
            }
            let value = self.expr(element)?;
            if self.types.element(value.ty.oid).is_some() {
                nested = true;
                values.push(self.coerce(value, target, Context::Explicit, place)?);
            } else {
                values.push(self.coerce(value, elem, Context::Explicit, place)?);
            }
        }
        Ok(special::array_ctor(values, PgType { typmod: -1, ..target }, elem.oid, nested))
    }
}
