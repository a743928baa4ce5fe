//! Calls that are no function of `pg_proc`: conversions, constructors, subscripts.

mod array;
mod comparison;
mod conversion;
mod quantified;
mod row;
mod subscript;

use std::any::Any;
use std::fmt::{self, Debug};
use std::sync::Arc;

use datafusion::logical_expr::Expr;
use vicinity_types::{Datum, Result};

use crate::call::{Callable, PgType, Typed, Volatility, call_expr};
use crate::context::ExecContext;

pub(super) use array::{array_ctor, shaped};
pub(super) use comparison::{distinct_from, greatest_least};
pub(super) use conversion::{
    apply_typmod, array_coerce, coerce_via_io, domain, read_text, relabel,
};
pub(crate) use quantified::Quantified;
pub(super) use quantified::array_op;
pub(super) use row::{field_select, row_is_null, row_test};
pub(super) use subscript::{Subscripts, slice, subscript};

type Run = Box<dyn Fn(&ExecContext, &[Datum]) -> Result<Datum> + Send + Sync>;
type Deparse = Box<dyn Fn(&[String]) -> String + Send + Sync>;

/// A call made of a closure.
pub(super) struct Special {
    name: &'static str,
    ret: PgType,
    args: Vec<PgType>,
    strict: bool,
    volatility: Volatility,
    /// What distinguishes it from others of its name and types.
    detail: String,
    run: Run,
    deparse: Deparse,
    /// What an array's elements are compared by, and whether one that is true is enough.
    quantifies: Option<(Arc<dyn Callable>, bool)>,
}

impl Special {
    /// A strict, immutable call shown as `name(args)`.
    pub(super) fn new(
        name: &'static str,
        args: Vec<PgType>,
        ret: PgType,
        run: impl Fn(&ExecContext, &[Datum]) -> Result<Datum> + Send + Sync + 'static,
    ) -> Special {
        Special {
            name,
            ret,
            args,
            strict: true,
            volatility: Volatility::Immutable,
            detail: String::new(),
            run: Box::new(run),
            deparse: Box::new(move |args| format!("{name}({})", args.join(", "))),
            quantifies: None,
        }
    }

    /// NULL arguments are given to it.
    #[must_use]
    pub(super) fn lenient(mut self) -> Special {
        self.strict = false;
        self
    }

    /// It asks the session.
    #[must_use]
    pub(super) fn stable(mut self) -> Special {
        self.volatility = Volatility::Stable;
        self
    }

    /// What else distinguishes it.
    #[must_use]
    pub(super) fn detail(mut self, detail: impl Into<String>) -> Special {
        self.detail = detail.into();
        self
    }

    /// How EXPLAIN shows it.
    #[must_use]
    pub(super) fn shown(
        mut self,
        deparse: impl Fn(&[String]) -> String + Send + Sync + 'static,
    ) -> Special {
        self.deparse = Box::new(deparse);
        self
    }

    /// The call over arguments.
    pub(super) fn over(self, args: Vec<Expr>) -> Typed {
        let ty = self.ret;
        Typed::new(call_expr(Arc::new(self), args), ty)
    }
}

impl Debug for Special {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.identity())
    }
}

impl Callable for Special {
    fn name(&self) -> &str {
        self.name
    }

    fn ret(&self) -> PgType {
        self.ret
    }

    fn args(&self) -> &[PgType] {
        &self.args
    }

    fn strict(&self) -> bool {
        self.strict
    }

    fn volatility(&self) -> Volatility {
        self.volatility
    }

    fn call(&self, ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
        if self.strict && args.iter().any(Datum::is_null) {
            return Ok(Datum::Null);
        }
        (self.run)(ctx, args)
    }

    fn identity(&self) -> String {
        let args: Vec<String> =
            self.args.iter().map(|a| format!("{}/{}", a.oid, a.typmod)).collect();
        format!(
            "{} {} {} {}/{}",
            self.name,
            self.detail,
            args.join(","),
            self.ret.oid,
            self.ret.typmod
        )
    }

    fn deparse(&self, args: &[String]) -> String {
        (self.deparse)(args)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn first(args: &[Datum]) -> Datum {
    args.first().cloned().unwrap_or_default()
}

const HELD: &str = "held";

/// A value with a type of its own, where it stands among others of another type. `stable`: it is one of them only for a
/// session.
pub(crate) fn held(value: Expr, ty: PgType, stable: bool) -> Expr {
    let call = Special::new(HELD, vec![ty], ty, |_, args| Ok(first(args)));
    if stable { call.stable() } else { call }.over(vec![value]).expr
}

/// Whether a call is such a value.
pub(crate) fn is_held(callable: &dyn Callable) -> bool {
    callable.as_any().downcast_ref::<Special>().is_some_and(|s| s.name == HELD)
}
