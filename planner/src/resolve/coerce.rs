//! Whether and how a value of one type becomes one of another.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use vicinity_functions::catalog as builtin;
use vicinity_types::{Datum, Io, Kind, NoNames, Oid, PgError, Result, SqlState, io, oid};

use super::casts::{ApplyTypmod, ArrayCoerce, CoerceViaIo};
use super::{Resolver, polymorphic};
use crate::call::{Builtin, PgType, Typed, call_expr, literal};

/// How much a conversion may do, in rising order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CoerceContext {
    /// Inside expressions.
    Implicit,
    /// Storing into a column or variable.
    Assignment,
    /// `CAST`, `::`
    Explicit,
}

/// The way from one type to another (`find_coercion_pathway`).
#[derive(Clone, Debug)]
pub(super) enum Path {
    /// The value as it is.
    Relabel,
    /// A cast function.
    Function(&'static builtin::Proc),
    /// Out through text and in again.
    ViaIo,
    /// Element by element.
    Array(Box<Path>, Oid, Oid),
}

impl Resolver<'_> {
    /// Whether `from` can become `to` (`can_coerce_type`).
    pub fn can_coerce(&self, from: Oid, to: Oid, context: CoerceContext) -> bool {
        from == to
            || from == oid::UNKNOWN
            || polymorphic::accepts(self, to, from)
            || self.path(from, to, context).is_some()
    }

    pub(super) fn path(&self, from: Oid, to: Oid, context: CoerceContext) -> Option<Path> {
        let (from, to) = (self.base_type(from), self.base_type(to));
        if from == to {
            return Some(Path::Relabel);
        }
        if let Some(cast) = builtin::cast(from, to) {
            let needed = match cast.context {
                b'i' => CoerceContext::Implicit,
                b'a' => CoerceContext::Assignment,
                _ => CoerceContext::Explicit,
            };
            if context < needed {
                return None;
            }
            return match cast.method {
                b'b' => Some(Path::Relabel),
                b'i' => Some(Path::ViaIo),
                _ => builtin::proc_by_oid(cast.func).map(Path::Function),
            };
        }
        if let (Some(a), Some(b)) = (self.element_of(from), self.element_of(to))
            && from != oid::INT2VECTOR
            && from != oid::OIDVECTOR
            && let Some(path) = self.path(a, b, context)
        {
            return Some(match path {
                Path::Relabel => Path::Relabel,
                path => Path::Array(Box::new(path), a, b),
            });
        }
        // A vector is an array of its elements as it stands.
        if matches!((from, to), (oid::INT2VECTOR, oid::INT2_ARRAY) | (oid::OIDVECTOR, oid::OID_ARRAY)) {
            return Some(Path::Relabel);
        }
        // A table's row is a record.
        if to == oid::RECORD && self.is_composite(from) {
            return Some(Path::Relabel);
        }
        if from == oid::RECORD && self.is_composite(to) {
            return (context >= CoerceContext::Implicit).then_some(Path::Relabel);
        }
        if self.is_composite(from) && self.is_composite(to) {
            return None;
        }
        // Any type to text on assignment, and from text explicitly.
        let stringy = |ty: Oid| self.category(ty).0 == b'S';
        if context >= CoerceContext::Assignment && stringy(to) {
            return Some(Path::ViaIo);
        }
        (context == CoerceContext::Explicit && stringy(from)).then_some(Path::ViaIo)
    }

    /// Converts, or says what cannot be.
    ///
    /// # Errors
    /// 42846 for an explicit cast there is none of, 42804 otherwise; input errors of constants.
    pub fn coerce(&self, value: Typed, to: PgType, context: CoerceContext) -> Result<Typed> {
        let from = value.ty;
        if from.oid == to.oid {
            return Ok(self.length(value, to, context));
        }
        if from.oid == oid::UNKNOWN {
            return self.coerce_unknown(value, to, context);
        }
        if polymorphic::accepts(self, to.oid, from.oid) {
            return Ok(value);
        }
        let Some(path) = self.path(from.oid, to.oid, context) else {
            return Err(self.no_cast(from.oid, to.oid, context));
        };
        let unmodified = PgType { typmod: -1, ..to };
        let converted = self.walk(value, &path, unmodified, to.typmod, context)?;
        Ok(self.length(converted, to, context))
    }

    fn no_cast(&self, from: Oid, to: Oid, context: CoerceContext) -> PgError {
        let (from, to) = (self.type_name(from), self.type_name(to));
        let code = match context {
            CoerceContext::Explicit => SqlState::CANNOT_COERCE,
            _ => SqlState::DATATYPE_MISMATCH,
        };
        PgError::new(code, format!("cannot cast type {from} to {to}"))
    }

    fn walk(
        &self,
        value: Typed,
        path: &Path,
        to: PgType,
        typmod: i32,
        context: CoerceContext,
    ) -> Result<Typed> {
        let from = value.ty;
        let expr = match path {
            Path::Relabel if self.relabels(from, to) => value.expr,
            Path::Relabel | Path::ViaIo => {
                call_expr(Arc::new(CoerceViaIo::new(from, to)), vec![value.expr])
            }
            Path::Function(proc) => {
                let mut args = vec![value.expr];
                let mut types = vec![self.full(proc.args.first().copied().unwrap_or(from.oid), -1)];
                // Cast functions may take the modifier and whether the cast is explicit.
                if proc.args.len() > 1 {
                    args.push(literal(&Datum::Int4(typmod), PgType::new(oid::INT4))?);
                    types.push(PgType::new(oid::INT4));
                }
                if proc.args.len() > 2 {
                    let explicit = context == CoerceContext::Explicit;
                    args.push(literal(&Datum::Bool(explicit), PgType::new(oid::BOOL))?);
                    types.push(PgType::new(oid::BOOL));
                }
                call_expr(Arc::new(Builtin::new(proc, None, types, to, false)?), args)
            }
            Path::Array(inner, a, b) => {
                let (a, b) = (self.full(*a, -1), self.full(*b, -1));
                let element = self.element_call(inner, a, b, context)?;
                call_expr(Arc::new(ArrayCoerce::new(element, from, to)), vec![value.expr])
            }
        };
        Ok(Typed::new(expr, to))
    }

    /// Whether two types' values are held alike, so that a relabelling needs no call.
    fn relabels(&self, from: PgType, to: PgType) -> bool {
        // Arrays carry their element type within.
        from.kind == to.kind && (from.kind != Kind::Array || self.element_of(from.oid) == self.element_of(to.oid))
    }

    fn element_call(
        &self,
        path: &Path,
        from: PgType,
        to: PgType,
        context: CoerceContext,
    ) -> Result<Arc<dyn crate::call::Callable>> {
        let column = Typed::new(Expr::Literal(ScalarValue::Null, None), from);
        let walked = self.walk(column, path, to, -1, context)?;
        match crate::call::callable_of(&walked.expr) {
            Some((callable, args)) if args.len() == 1 => Ok(callable.clone()),
            _ => Ok(Arc::new(CoerceViaIo::new(from, to))),
        }
    }

    /// Applies the target's modifier: `varchar(3)`, `numeric(10,2)`, `time(0)`.
    fn length(&self, value: Typed, to: PgType, context: CoerceContext) -> Typed {
        if to.typmod < 0 || value.ty.typmod == to.typmod {
            return value;
        }
        let explicit = context == CoerceContext::Explicit;
        let call = ApplyTypmod::new(value.ty, to, explicit);
        Typed::new(call_expr(Arc::new(call), vec![value.expr]), to)
    }

    /// A constant written without a type is read as the target's input text.
    fn coerce_unknown(&self, value: Typed, to: PgType, context: CoerceContext) -> Result<Typed> {
        let text = match &value.expr {
            Expr::Literal(scalar, _) if scalar.is_null() => {
                return Ok(Typed::new(literal(&Datum::Null, to)?, to));
            }
            Expr::Literal(ScalarValue::Utf8(Some(text)), _) => text.clone(),
            _ => {
                let text = Typed::new(value.expr, PgType::new(oid::TEXT));
                return self.walk(text, &Path::ViaIo, to, to.typmod, CoerceContext::Explicit);
            }
        };
        if matches!(to.oid, oid::UNKNOWN | oid::CSTRING | oid::ANY) || polymorphic::is_any(to.oid) {
            return Ok(Typed::new(value.expr, PgType::new(oid::TEXT)));
        }
        // Dates and reg names depend on the session: they are read when the statement runs.
        if reads_session(to.oid) || oid::kind(to.oid).is_none() {
            let text = Typed::new(value.expr, PgType::new(oid::TEXT));
            let unmodified = PgType { typmod: -1, ..to };
            let read =
                self.walk(text, &Path::ViaIo, unmodified, to.typmod, CoerceContext::Explicit)?;
            return Ok(self.length(read, to, context));
        }
        let style = self.session.style();
        let datum = io::text_in(to.oid, to.typmod, &text, &Io { style: &style, names: &NoNames })?;
        Ok(Typed::new(literal(&datum, to)?, to))
    }
}

/// Whether reading a type's text asks the session: `'now'`, time zones, names of objects.
fn reads_session(ty: Oid) -> bool {
    let ty = oid::element_of(ty).unwrap_or(ty);
    matches!(
        ty,
        oid::DATE | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::TIME | oid::TIMETZ | oid::INTERVAL
            | oid::REGCLASS
            | oid::REGTYPE
            | oid::REGPROC
            | oid::REGPROCEDURE
            | oid::REGOPER
            | oid::REGOPERATOR
            | oid::REGNAMESPACE
            | oid::REGROLE
            | oid::REGCOLLATION
            | oid::REGCONFIG
            | oid::REGDICTIONARY
            | oid::RECORD
    )
}
