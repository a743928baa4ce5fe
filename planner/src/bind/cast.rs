//! Making a value another type.

use std::sync::Arc;

use datafusion::logical_expr::Expr;
use vicinity_functions::Proc;
use vicinity_types::{Kind, Oid, PgError, Result, SqlState, oid};

use super::{Binder, special};
use crate::call::{Builtin, Callable, PgType, Typed, call_expr, callable_of, literal, placeholder};
use crate::resolve::Context;
use crate::resolve::cast::{CastPath, can_coerce, pathway};

impl Binder<'_> {
    /// Makes a value of the target type, modifier included, or says that it cannot.
    pub(super) fn coerce(
        &mut self,
        mut value: Typed,
        target: PgType,
        context: Context,
        place: Option<usize>,
    ) -> Result<Typed> {
        if value.ty.oid != target.oid && self.types.domain(target.oid).is_some() {
            return self.coerce_domain(value, target, target.oid, context, place);
        }
        // All that is left of these are arrays of domains.
        let made_of = self.types.made_of(target.oid);
        if let Some((held, _)) = made_of.filter(|_| value.ty.oid != target.oid) {
            // What is written as one is read as an array of what the domain is made of.
            let written = value.ty.oid == oid::UNKNOWN;
            if written {
                value = self.coerce_type(value, self.ty(held), context, place)?;
            }
            if self.types.catalog.element_of(value.ty.oid).is_some() {
                let context = if written { Context::Assignment } else { context };
                return self.coerce_array(value, target, context);
            }
        }
        let typed = self.coerce_type(value, target, context, place)?;
        self.modified(typed, target, context == Context::Explicit)
    }

    /// A value as one of a domain, which asks what the domains it is over ask first; `shown` is the
    /// domain that errors speak of.
    fn coerce_domain(
        &mut self,
        value: Typed,
        target: PgType,
        shown: Oid,
        context: Context,
        place: Option<usize>,
    ) -> Result<Typed> {
        let held = match self.types.domain(target.oid) {
            None => return self.coerce(value, target, context, place),
            Some(_) if value.ty.oid == target.oid => return Ok(value),
            Some((base, typmod)) => {
                let base = self.types.pg(base, typmod);
                self.coerce_domain(value, base, shown, context, place)?
            }
        };
        Ok(special::domain(&self.types.catalog, held, target, shown))
    }

    fn coerce_type(
        &mut self,
        value: Typed,
        target: PgType,
        context: Context,
        place: Option<usize>,
    ) -> Result<Typed> {
        let source = value.ty.oid;
        if source == target.oid || matches!(target.oid, oid::ANY | oid::ANYARRAY | oid::ANYELEMENT)
        {
            return Ok(value);
        }
        if source == oid::UNKNOWN {
            return self.coerce_unknown(value, target, place);
        }
        if let Some(path) = pathway(&self.types, source, target.oid, context) {
            return self.apply_path(value, target, path);
        }
        if let Some(row) = self.coerce_row(&value, target, context, place)? {
            return Ok(row);
        }
        Err(PgError::new(
            SqlState::CANNOT_COERCE,
            format!(
                "cannot cast type {} to {}",
                self.types.name(source),
                self.types.name(target.oid)
            ),
        )
        .or_at(place))
    }

    /// An unknown literal becomes a constant, a parameter of unknown type gets its type.
    fn coerce_unknown(
        &mut self,
        value: Typed,
        target: PgType,
        place: Option<usize>,
    ) -> Result<Typed> {
        match &value.expr {
            Expr::Placeholder(p) => {
                let number = p.id.trim_start_matches('$').parse::<usize>().unwrap_or(0);
                let base = self.types.base(target.oid);
                self.params.infer(number, base, &self.types).map_err(|e| e.or_at(place))?;
                let ty = self.types.plain(base);
                Ok(Typed::new(placeholder(number, ty), ty))
            }
            Expr::Literal(scalar, _) => {
                let text = scalar.try_as_str().flatten().map(str::to_owned);
                self.constant(text.as_deref(), target).map_err(|e| e.or_at(place))
            }
            _ => Ok(special::coerce_via_io(
                Typed::new(value.expr, PgType::new(oid::TEXT)),
                target,
                self.types.name(target.oid),
            )),
        }
    }

    fn apply_path(&mut self, value: Typed, target: PgType, path: CastPath) -> Result<Typed> {
        let base = self.types.plain(self.types.base(target.oid));
        let source = value.ty;
        match path {
            CastPath::Relabel => {
                if source.kind == base.kind {
                    return Ok(Typed::new(value.expr, PgType { typmod: source.typmod, ..target })
                        .retype(target));
                }
                let name = self.types.name(target.oid);
                Ok(special::relabel(value, target, name))
            }
            CastPath::Function(proc) => {
                if let Some(folded) = super::literal::widen(&value, base) {
                    return Ok(folded.retype(target));
                }
                // smallint becomes oid by way of integer, which is held otherwise.
                let made = self.types.plain(proc.ret);
                if made.kind != base.kind && !vicinity_functions::is_polymorphic(proc.ret) {
                    let call = cast_call(proc, source, made)?;
                    let value = Typed::new(apply(call, value.expr, proc, target.typmod)?, made);
                    let name = self.types.name(target.oid);
                    return Ok(special::coerce_via_io(value, target, name));
                }
                let call = cast_call(proc, source, base)?;
                Ok(Typed::new(apply(call, value.expr, proc, target.typmod)?, base).retype(target))
            }
            CastPath::Io => {
                let name = self.types.name(target.oid);
                Ok(special::coerce_via_io(value, target, name))
            }
            CastPath::Array => self.coerce_array(value, target, Context::Explicit),
        }
    }

    fn coerce_array(&mut self, value: Typed, target: PgType, context: Context) -> Result<Typed> {
        // ARRAY[...] of constants converts its elements, so that the whole stays a constant
        if let Some(converted) = self.coerce_array_literal(&value, target, context)? {
            return Ok(converted);
        }
        let (Some(from), Some(to)) =
            (self.types.catalog.element_of(value.ty.oid), self.types.element(target.oid))
        else {
            return Err(PgError::internal("array conversion of something that is no array"));
        };
        let probe = Typed::new(super::scope::column("", "element"), self.ty(from));
        let elem = self.coerce(probe, self.ty(to), context, None)?;
        let name = self.types.name(target.oid);
        Ok(special::array_coerce(value, target, elem, to, name))
    }

    fn coerce_array_literal(
        &mut self,
        value: &Typed,
        target: PgType,
        context: Context,
    ) -> Result<Option<Typed>> {
        let Some((call, args)) = callable_of(&value.expr) else { return Ok(None) };
        let Some(to) = self.types.element(target.oid) else { return Ok(None) };
        let flat = call.name() == "array"
            && call.args().iter().all(|a| Some(a.oid) == self.types.element(value.ty.oid));
        if !flat {
            return Ok(None);
        }
        let mut elements = Vec::with_capacity(args.len());
        for (arg, ty) in args.iter().zip(call.args().to_vec()) {
            let element = Typed::new(arg.clone(), ty);
            elements.push(self.coerce(element, self.ty(to), context, None)?);
        }
        Ok(Some(special::array_ctor(elements, target.typmod(-1), to, false)))
    }

    /// A row becomes a composite type field by field; a composite is a record as it is.
    fn coerce_row(
        &mut self,
        value: &Typed,
        target: PgType,
        context: Context,
        place: Option<usize>,
    ) -> Result<Option<Typed>> {
        if target.oid == oid::RECORD && value.ty.kind == Kind::Record {
            return Ok(Some(Typed::new(value.expr.clone(), target)));
        }
        let Some(fields) = self.types.fields(target.oid) else { return Ok(None) };
        let Some((call, args)) = callable_of(&value.expr) else { return Ok(None) };
        if call.name() != "row" || value.ty.kind != Kind::Record {
            return Ok(None);
        }
        if args.len() != fields.len() {
            return Err(PgError::new(
                SqlState::CANNOT_COERCE,
                format!("cannot cast type record to {}", self.types.name(target.oid)),
            )
            .detail(if args.len() < fields.len() {
                "Input has too few columns."
            } else {
                "Input has too many columns."
            })
            .or_at(place));
        }
        let mut values = Vec::new();
        for ((arg, ty), field) in args.iter().zip(call.args().to_vec()).zip(&fields) {
            let wanted = self.types.pg(field.type_oid, field.typmod);
            // A bare string became text when the row was made: here it may still be anything.
            let bare = ty.oid == oid::TEXT && matches!(arg, Expr::Literal(..));
            let ty = if bare { PgType { oid: oid::UNKNOWN, ..ty } } else { ty };
            values.push(self.coerce(Typed::new(arg.clone(), ty), wanted, context, place)?);
        }
        Ok(Some(super::row::row_ctor(values, target)))
    }

    /// Applies the target's modifier where the value does not already have it.
    fn modified(&mut self, value: Typed, target: PgType, explicit: bool) -> Result<Typed> {
        let (target, checked) = match self.types.domain(target.oid) {
            Some((base, typmod)) => (self.types.pg(base, typmod), true),
            None => (target, false),
        };
        let done =
            target.typmod < 0 || (value.ty.typmod == target.typmod && value.ty.oid == target.oid);
        let ty = if checked { PgType { oid: value.ty.oid, ..target } } else { target };
        if done {
            return Ok(value);
        }
        if let Expr::Literal(scalar, _) = &value.expr {
            let datum = crate::call::scalar_to_datum(target.kind, scalar)?;
            let datum = if datum.is_null() {
                datum
            } else {
                vicinity_types::apply_typmod(target.oid, target.typmod, datum, explicit)?
            };
            return Ok(Typed::new(literal(&datum, target)?, ty));
        }
        Ok(special::apply_typmod(value, target, explicit).retype(ty))
    }

    /// A condition.
    pub(super) fn boolean(
        &mut self,
        value: Typed,
        clause: &str,
        place: Option<usize>,
    ) -> Result<Typed> {
        let source = value.ty.oid;
        if self.types.base(source) == oid::BOOL {
            return Ok(value);
        }
        if source == oid::UNKNOWN {
            return self.coerce(value, PgType::new(oid::BOOL), Context::Implicit, place);
        }
        Err(self.wrong_argument(clause, "boolean", source).or_at(place))
    }

    /// What a clause asks to be of a type, assigned to it (`coerce_to_specific_type`).
    pub(crate) fn coerce_clause(
        &mut self,
        value: Typed,
        target: PgType,
        clause: &str,
        place: Option<usize>,
    ) -> Result<Typed> {
        let source = value.ty.oid;
        let known = source == oid::UNKNOWN
            || can_coerce(&self.types, &[source], &[target.oid], Context::Assignment);
        if !known {
            let wanted = self.types.name(target.oid);
            return Err(self.wrong_argument(clause, &wanted, source).or_at(place));
        }
        self.coerce(value, target, Context::Assignment, place)
    }

    /// The error (42804) of a clause's argument that is not of the type `wanted`.
    pub(super) fn wrong_argument(&self, clause: &str, wanted: &str, given: Oid) -> PgError {
        PgError::new(
            SqlState::DATATYPE_MISMATCH,
            format!(
                "argument of {clause} must be type {wanted}, not type {}",
                self.types.name(given)
            ),
        )
    }

    /// An unknown that nothing else decided is text.
    pub(super) fn settled(&mut self, value: Typed) -> Result<Typed> {
        if value.ty.oid == oid::UNKNOWN {
            return self.coerce(value, PgType::new(oid::TEXT), Context::Implicit, None);
        }
        Ok(value)
    }

    /// All values as one type.
    /// `places` is where the values stand.
    pub(super) fn coerce_all(
        &mut self,
        values: Vec<Typed>,
        ty: PgType,
        places: &[Option<usize>],
    ) -> Result<Vec<Typed>> {
        let places = places.iter().copied().chain(std::iter::repeat(None));
        let each = values.into_iter().zip(places);
        each.map(|(v, place)| self.coerce(v, ty, Context::Implicit, place)).collect()
    }
}

/// The type of what is one of several values: with a modifier, if they all have it.
pub(super) fn one_of<'v>(
    values: impl IntoIterator<Item = &'v Typed, IntoIter: Clone>,
    ty: PgType,
) -> PgType {
    let mut values = values.into_iter();
    let typmod = values.clone().next().map_or(-1, |v| v.ty.typmod);
    let alike = values.all(|v| v.ty.oid == ty.oid && v.ty.typmod == typmod);
    ty.typmod(if alike { typmod } else { -1 })
}

/// Calling the same value another type.
pub(super) trait Retype {
    /// The same expression under another type of the same kind.
    fn retype(self, ty: PgType) -> Typed;
}

impl Retype for Typed {
    fn retype(self, ty: PgType) -> Typed {
        Typed::new(self.expr, PgType { typmod: self.ty.typmod, ..ty })
    }
}

/// The call behind a cast: its function may also want the modifier and whether it is explicit.
fn cast_call(proc: &'static Proc, source: PgType, target: PgType) -> Result<Arc<dyn Callable>> {
    let mut args = vec![source];
    args.extend(proc.args.iter().skip(1).map(|ty| PgType::new(*ty)));
    Ok(Arc::new(Builtin::new(proc, None, args, target, false)?))
}

/// Calls a cast's function: it may ask for the modifier, and whether the cast is explicit.
fn apply(call: Arc<dyn Callable>, value: Expr, proc: &Proc, typmod: i32) -> Result<Expr> {
    let mut args = vec![value];
    for ty in proc.args.iter().skip(1) {
        let extra = match *ty {
            oid::INT4 => vicinity_types::Datum::Int4(typmod),
            _ => vicinity_types::Datum::Bool(false),
        };
        args.push(literal(&extra, PgType::new(*ty))?);
    }
    Ok(call_expr(call, args))
}
