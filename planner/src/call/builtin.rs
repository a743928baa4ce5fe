//! What the planner calls that no user wrote: functions of the built-in catalog, and keys of groups.

use std::any::Any;
use std::fmt::{self, Debug};
use std::sync::Arc;

use vicinity_functions::{Call, Operator, Proc, ScalarFn};
use vicinity_types::{Datum, Kind, Oid, PgError, Result, oid};

use super::{Callable, PgType, Volatility};
use crate::context::ExecContext;

/// A function of planner itself, by `prosrc`: it may ask the catalog and the session.
pub type PlannerFn = fn(&ExecContext, &[Datum]) -> Result<Datum>;

#[derive(Clone)]
enum Run {
    Native(Call),
    Planner(PlannerFn),
}

/// A function or operator of the built-in catalog.
pub struct Builtin {
    proc: &'static Proc,
    operator: Option<&'static Operator>,
    args: Vec<PgType>,
    ret: PgType,
    variadic: bool,
    run: Run,
}

impl Builtin {
    /// A call of `proc` with resolved argument and result types; `variadic` if written `VARIADIC`.
    /// `operator` is what it was written as. An error if nothing implements it.
    pub fn new(
        proc: &'static Proc,
        operator: Option<&'static Operator>,
        args: Vec<PgType>,
        ret: PgType,
        variadic: bool,
    ) -> Result<Builtin> {
        let oids = args.iter().map(|a| a.oid).collect();
        let run = match Call::new(proc, oids, ret.oid, variadic) {
            Some(call) => Run::Native(call),
            None => Run::Planner(
                crate::hooks::planner_function(proc.src)
                    .ok_or_else(|| PgError::unsupported(format!("function {}", proc.name)))?,
            ),
        };
        Ok(Builtin { proc, operator, args, ret, variadic, run })
    }

    /// `pg_proc`'s row.
    pub fn proc(&self) -> &'static Proc {
        self.proc
    }
}

impl Debug for Builtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.identity())
    }
}

impl Callable for Builtin {
    fn name(&self) -> &str {
        self.proc.name
    }

    fn ret(&self) -> PgType {
        self.ret
    }

    fn args(&self) -> &[PgType] {
        &self.args
    }

    fn strict(&self) -> bool {
        self.proc.strict
    }

    fn volatility(&self) -> Volatility {
        match self.proc.volatility {
            b'i' => Volatility::Immutable,
            b's' => Volatility::Stable,
            _ => Volatility::Volatile,
        }
    }

    #[inline]
    fn call(&self, ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
        match &self.run {
            Run::Native(call) => call.call(ctx, args),
            Run::Planner(_) if self.proc.strict && args.iter().any(Datum::is_null) => {
                Ok(Datum::Null)
            }
            Run::Planner(function) => function(ctx, args),
        }
    }

    fn identity(&self) -> String {
        let args: Vec<Oid> = self.args.iter().map(|a| a.oid).collect();
        format!("builtin {} {args:?} {} {}", self.proc.oid, self.ret.oid, self.variadic)
    }

    fn deparse(&self, args: &[String]) -> String {
        match (self.operator, args) {
            (Some(op), [left, right]) => format!("({left} {} {right})", op.name),
            (Some(op), [right]) => format!("({} {right})", op.name),
            _ => format!("{}({})", self.proc.name, args.join(", ")),
        }
    }

    fn builtin(&self) -> Option<ScalarFn> {
        match self.run {
            Run::Native(_) if !self.variadic => vicinity_functions::scalar(self.proc.src),
            _ => None,
        }
    }

    fn source(&self) -> Option<&'static str> {
        Some(self.proc.src)
    }

    fn operator(&self) -> Option<&'static Operator> {
        self.operator
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The sort and group key of a value whose Arrow bytes are not canonical: `types::arrow::group_key`.
/// NULL stays NULL, so that `NULLS FIRST` and `LAST` work on the key.
#[derive(Debug)]
pub struct GroupKey {
    arg: [PgType; 1],
}

impl GroupKey {
    /// The key of values of a type.
    pub fn new(arg: PgType) -> GroupKey {
        GroupKey { arg: [arg] }
    }
}

impl Callable for GroupKey {
    fn name(&self) -> &str {
        "group_key"
    }

    fn ret(&self) -> PgType {
        PgType::new(oid::BYTEA)
    }

    fn args(&self) -> &[PgType] {
        &self.arg
    }

    fn strict(&self) -> bool {
        true
    }

    fn volatility(&self) -> Volatility {
        Volatility::Immutable
    }

    fn call(&self, _ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
        Ok(match args {
            [Datum::Null] | [] => Datum::Null,
            [value, ..] => Datum::Bytea(Arc::from(vicinity_types::arrow::group_key(value))),
        })
    }

    fn identity(&self) -> String {
        let kinds: Vec<Kind> = self.arg.iter().map(|a| a.kind).collect();
        format!("group_key {kinds:?}")
    }

    fn deparse(&self, args: &[String]) -> String {
        args.concat()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
