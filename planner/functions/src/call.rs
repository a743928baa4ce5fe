//! A function made ready to be called.

use vicinity_types::oid;
use vicinity_types::{Datum, Oid, Result};

use crate::catalog::Proc;
use crate::env::Env;
use crate::io::IoFn;
use crate::registry::{self, ScalarFn, TypedFn};

/// The resolved types of a call.
#[derive(Clone, Debug, Default)]
pub struct Signature {
    /// Of the arguments as given, a variadic array spread out or not as the call has it.
    pub args: Vec<Oid>,
    /// Of the result.
    pub ret: Oid,
}

impl Signature {
    /// The type of an argument; `unknown` past the end.
    pub fn arg(&self, index: usize) -> Oid {
        self.args.get(index).copied().unwrap_or(oid::UNKNOWN)
    }
}

#[derive(Clone, Copy, Debug)]
enum Implementation {
    Plain(ScalarFn),
    Typed(TypedFn),
    Io(IoFn),
}

/// A scalar function with everything known but its arguments' values.
#[derive(Clone, Debug)]
pub struct Call {
    implementation: Implementation,
    strict: bool,
    spread: bool,
    signature: Signature,
}

impl Call {
    /// Resolves a function for argument types and a result type. `variadic` says that the call was
    /// written with `VARIADIC`: for a `VARIADIC "any"` function the last argument's elements are
    /// then the arguments. `None` when the implementation is not in this crate.
    pub fn new(proc: &Proc, args: Vec<Oid>, ret: Oid, variadic: bool) -> Option<Call> {
        let implementation = match registry::scalar(proc.src) {
            Some(plain) => Implementation::Plain(plain),
            None => match registry::typed(proc.src) {
                Some(typed) => Implementation::Typed(typed),
                None => Implementation::Io(IoFn::of(proc)?),
            },
        };
        let spread = variadic && proc.variadic == oid::ANY;
        Some(Call {
            implementation,
            strict: proc.strict,
            spread,
            signature: Signature { args, ret },
        })
    }

    /// Calls it: NULL at once where the function is strict and an argument is NULL.
    #[inline]
    pub fn call(&self, env: &dyn Env, args: &[Datum]) -> Result<Datum> {
        if self.strict && args.iter().any(Datum::is_null) {
            return Ok(Datum::Null);
        }
        match self.implementation {
            Implementation::Plain(function) if !self.spread => function(env, args),
            Implementation::Typed(function) if !self.spread => function(env, &self.signature, args),
            Implementation::Io(function) => function.call(env, args),
            implementation => self.call_spread(implementation, env, args),
        }
    }

    /// `f(a, VARIADIC array)` of a `VARIADIC "any"` function. A NULL array makes the result NULL.
    fn call_spread(
        &self,
        implementation: Implementation,
        env: &dyn Env,
        args: &[Datum],
    ) -> Result<Datum> {
        let Some((Datum::Array(array), fixed)) = args.split_last() else {
            return Ok(Datum::Null);
        };
        let mut spread = fixed.to_vec();
        spread.extend(array.iter());
        let mut signature = self.signature.clone();
        signature.args.truncate(fixed.len());
        signature.args.resize(spread.len(), array.elem);
        match implementation {
            Implementation::Plain(function) => function(env, &spread),
            Implementation::Typed(function) => function(env, &signature, &spread),
            Implementation::Io(function) => function.call(env, &spread),
        }
    }
}
