//! The input, output and send functions of types, called as functions: `point_in('(1,2)')`.

use vicinity_types::io::{as_text, binary_out, text_in};
use vicinity_types::{Datum, Oid, PgError, Result};

use crate::catalog::{Proc, is_polymorphic, types};
use crate::env::Env;

/// What a function does with values of a type.
#[derive(Clone, Copy, Debug)]
pub(crate) enum IoFn {
    In(Oid),
    Out(Oid),
    Send(Oid),
}

impl IoFn {
    /// `None` for what is no such function, or serves many types and is not told which.
    pub(crate) fn of(proc: &Proc) -> Option<IoFn> {
        let types = || types().iter().filter(|t| t.kind == b'b' && !is_polymorphic(t.oid));
        let one = |ty: Oid| (!is_polymorphic(ty)).then_some(ty);
        if types().any(|t| t.input == proc.oid) {
            return one(proc.ret).map(IoFn::In);
        }
        if types().any(|t| t.output == proc.oid) {
            return one(*proc.args.first()?).map(IoFn::Out);
        }
        if types().any(|t| t.send == proc.oid) {
            return one(*proc.args.first()?).map(IoFn::Send);
        }
        None
    }

    /// Of an input function the third argument is a type modifier.
    pub(crate) fn call(self, env: &dyn Env, args: &[Datum]) -> Result<Datum> {
        let io = env.io();
        match (self, args) {
            (IoFn::In(ty), [Datum::Text(text), rest @ ..]) => {
                let typmod = match rest {
                    [_, Datum::Int4(typmod)] => *typmod,
                    _ => -1,
                };
                text_in(ty, typmod, text, &io)
            }
            (IoFn::Out(ty), [value]) => Ok(Datum::Text(as_text(ty, value, &io)?.into())),
            (IoFn::Send(ty), [value]) => {
                let mut out = Vec::new();
                binary_out(ty, value, &io, &mut out);
                Ok(Datum::Bytea(out.into()))
            }
            _ => Err(PgError::internal("an input or output function was called with other values")),
        }
    }
}
