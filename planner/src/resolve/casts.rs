//! The conversions that are no functions of `pg_proc`.

use std::any::Any;
use std::sync::Arc;

use datafusion::logical_expr::Volatility;
use vicinity_types::array::{Array, Elements};
use vicinity_types::{Datum, Kind, PgError, Result, io};

use crate::call::{Callable, PgType};
use crate::context::ExecContext;

/// Out through the source's text and in through the target's (`CoerceViaIO`).
#[derive(Debug)]
pub struct CoerceViaIo {
    from: [PgType; 1],
    to: PgType,
}

impl CoerceViaIo {
    /// Between two types.
    pub fn new(from: PgType, to: PgType) -> Self {
        CoerceViaIo { from: [from], to }
    }
}

impl Callable for CoerceViaIo {
    fn name(&self) -> &str {
        "coerce_via_io"
    }

    fn ret(&self) -> PgType {
        self.to
    }

    fn args(&self) -> &[PgType] {
        &self.from
    }

    fn strict(&self) -> bool {
        true
    }

    fn volatility(&self) -> Volatility {
        Volatility::Stable
    }

    fn call(&self, ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
        let [from] = self.from;
        match args {
            [Datum::Null] => Ok(Datum::Null),
            [Datum::Text(text)] if self.to.kind == Kind::Text && from.kind == Kind::Text => {
                io::text_in(self.to.oid, self.to.typmod, text, &ctx.io())
            }
            [value] => {
                let text = io::to_text(from.oid, value, &ctx.io());
                io::text_in(self.to.oid, self.to.typmod, &text, &ctx.io())
            }
            _ => Err(PgError::internal("a conversion takes one value")),
        }
    }

    fn identity(&self) -> String {
        format!("io {:?} {:?}", self.from, self.to)
    }

    fn deparse(&self, args: &[String]) -> String {
        format!("({})::{}", args.concat(), vicinity_types::typname::format_type(self.to.oid, self.to.typmod))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Cuts, pads, rounds or refuses according to a type modifier.
#[derive(Debug)]
pub struct ApplyTypmod {
    from: [PgType; 1],
    to: PgType,
    explicit: bool,
}

impl ApplyTypmod {
    /// To `to.typmod`; explicit casts cut where assignments refuse.
    pub fn new(from: PgType, to: PgType, explicit: bool) -> Self {
        ApplyTypmod { from: [from], to, explicit }
    }
}

impl Callable for ApplyTypmod {
    fn name(&self) -> &str {
        "apply_typmod"
    }

    fn ret(&self) -> PgType {
        self.to
    }

    fn args(&self) -> &[PgType] {
        &self.from
    }

    fn strict(&self) -> bool {
        true
    }

    fn volatility(&self) -> Volatility {
        Volatility::Immutable
    }

    fn call(&self, _: &ExecContext, args: &[Datum]) -> Result<Datum> {
        match args {
            [Datum::Null] => Ok(Datum::Null),
            [value] => io::apply_typmod(self.to.oid, self.to.typmod, value.clone(), self.explicit),
            _ => Err(PgError::internal("a conversion takes one value")),
        }
    }

    fn identity(&self) -> String {
        format!("typmod {:?} {:?} {}", self.from, self.to, self.explicit)
    }

    fn deparse(&self, args: &[String]) -> String {
        let name = vicinity_types::typname::format_type(self.to.oid, self.to.typmod);
        format!("({})::{name}", args.concat())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// An array converted element by element; NULL elements stay NULL.
#[derive(Debug)]
pub struct ArrayCoerce {
    element: Arc<dyn Callable>,
    from: [PgType; 1],
    to: PgType,
}

impl ArrayCoerce {
    /// By a conversion of the elements.
    pub fn new(element: Arc<dyn Callable>, from: PgType, to: PgType) -> Self {
        ArrayCoerce { element, from: [from], to }
    }
}

impl Callable for ArrayCoerce {
    fn name(&self) -> &str {
        "array_coerce"
    }

    fn ret(&self) -> PgType {
        self.to
    }

    fn args(&self) -> &[PgType] {
        &self.from
    }

    fn strict(&self) -> bool {
        true
    }

    fn volatility(&self) -> Volatility {
        self.element.volatility()
    }

    fn call(&self, ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
        let array = match args {
            [Datum::Array(array)] => array,
            _ => return Ok(Datum::Null),
        };
        let elem = self.element.ret().oid;
        let mut values = Vec::with_capacity(array.len());
        for value in array.iter() {
            values.push(if value.is_null() {
                Datum::Null
            } else {
                self.element.call(ctx, std::slice::from_ref(&value))?
            });
        }
        let elements = pack(elem, values);
        Ok(Datum::Array(Arc::new(Array { elem, dims: array.dims.clone(), elements })))
    }

    fn identity(&self) -> String {
        format!("array {} {:?} {:?}", self.element.identity(), self.from, self.to)
    }

    fn deparse(&self, args: &[String]) -> String {
        let name = vicinity_types::typname::format_type(self.to.oid, self.to.typmod);
        format!("({})::{name}", args.concat())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Vectors without NULLs are kept packed.
pub(crate) fn pack(elem: vicinity_types::Oid, values: Vec<Datum>) -> Elements {
    if elem == vicinity_types::oid::FLOAT4 {
        let floats: Option<Vec<f32>> = values
            .iter()
            .map(|v| match v {
                Datum::Float4(f) => Some(*f),
                _ => None,
            })
            .collect();
        if let Some(floats) = floats {
            return Elements::Float4(floats);
        }
    }
    Elements::Datums(values)
}
