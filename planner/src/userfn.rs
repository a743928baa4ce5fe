//! Functions users made: SQL and PL/pgSQL bodies, compiled and kept.
//!
//! A body is compiled once per function and catalog version and kept in the engine: a function
//! called a million times is planned once.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::RwLock;
use vicinity_functions::Rows;
use vicinity_storage::catalog::model::{Function, Language};
use vicinity_types::{Datum, Oid, PgError, Result, oid};

use crate::call::PgType;
use crate::context::ExecContext;
use crate::resolve::{Types, polymorphic};
use crate::session::Transactions;
use crate::session_state::Acting;
use crate::{plpgsql, sqlfn};

/// A compiled body.
#[derive(Debug)]
enum Compiled {
    Sql(sqlfn::Function),
    PlPgSql(plpgsql::Function),
}

/// A function, what its polymorphic arguments are in a call, and for whom and over which search path
/// its statements are planned.
type Key = (Oid, Vec<Oid>, u64);

/// What the engine keeps of compiled functions.
#[derive(Default, Debug)]
pub struct Cache {
    compiled: RwLock<HashMap<Key, (Arc<Function>, u64, Arc<Compiled>)>>,
}

impl Cache {
    /// The compiled body of a function, made if missing or older than the catalog.
    fn get(
        &self,
        ctx: &ExecContext,
        function: &Arc<Function>,
        types: &[PgType],
    ) -> Result<Arc<Compiled>> {
        let version = ctx.catalog.version();
        let inputs = match is_polymorphic(function) {
            true => types.iter().map(|ty| ty.oid).collect(),
            false => Vec::new(),
        };
        let path = match function.language {
            Language::Sql => ctx.session.path_key(),
            // Its statements look after that themselves.
            _ => 0,
        };
        let key = (function.oid, inputs, path);
        if let Some((declared, at, compiled)) = self.compiled.read().get(&key)
            && *at == version
            && Arc::ptr_eq(declared, function)
        {
            return Ok(compiled.clone());
        }
        let concrete = if key.1.is_empty() { None } else { Some(concrete(ctx, function, &key.1)?) };
        let called = concrete.as_ref().unwrap_or(function);
        let made = Arc::new(match function.language {
            Language::Sql => Compiled::Sql(sqlfn::compile(ctx, called)?),
            Language::PlPgSql => Compiled::PlPgSql(plpgsql::compile(ctx, called)?),
            Language::Internal | Language::C => {
                return Err(PgError::unsupported("function in language C"));
            }
        });
        self.compiled.write().insert(key, (function.clone(), version, made.clone()));
        Ok(made)
    }
}

fn is_polymorphic(function: &Function) -> bool {
    function.args.iter().any(|a| vicinity_functions::is_polymorphic(a.type_oid))
}

/// A polymorphic function as it is for arguments of these types.
fn concrete(ctx: &ExecContext, function: &Function, inputs: &[Oid]) -> Result<Arc<Function>> {
    let types = Types::of(ctx);
    let declared = function.input_types();
    let resolve = |ty: Oid| polymorphic::resolve(&types, inputs, &mut declared.clone(), ty);
    let mut made = function.clone();
    for arg in &mut made.args {
        arg.type_oid = resolve(arg.type_oid)?;
    }
    made.returns = resolve(made.returns)?;
    Ok(Arc::new(made))
}

/// Checks a body at CREATE FUNCTION. What a polymorphic one means is known when it is called.
pub fn validate(ctx: &ExecContext, function: &Function) -> Result<()> {
    match function.language {
        Language::Sql if is_polymorphic(function) => crate::sql::parse(&function.body).map(drop),
        Language::PlPgSql if is_polymorphic(function) => {
            let assumed: Vec<Oid> =
                function.input_types().into_iter().map(|ty| assumed(ty).unwrap_or(ty)).collect();
            plpgsql::compile_checking(ctx, &*concrete(ctx, function, &assumed)?, true).map(drop)
        }
        Language::Sql => sqlfn::validate(ctx, function),
        Language::PlPgSql => plpgsql::compile_checking(ctx, function, true).map(drop),
        Language::Internal | Language::C => Ok(()),
    }
}

/// What stands for a polymorphic type where no call says.
fn assumed(ty: Oid) -> Option<Oid> {
    Some(match ty {
        oid::ANYARRAY | oid::ANYCOMPATIBLEARRAY => oid::INT4_ARRAY,
        oid::ANYELEMENT | oid::ANYNONARRAY | oid::ANYCOMPATIBLE | oid::ANYCOMPATIBLENONARRAY => {
            oid::INT4
        }
        _ => return None,
    })
}

/// SECURITY DEFINER: the owner's rights count until this is dropped.
pub(crate) fn acting<'c>(ctx: &'c ExecContext, function: &Function) -> Option<Acting<'c>> {
    if !function.security_definer {
        return None;
    }
    let owner = ctx.catalog.role(function.owner)?;
    Some(ctx.session.act_as(&owner.name))
}

/// Runs a function that gives one value.
pub fn run_function(
    ctx: &ExecContext,
    function: &Arc<Function>,
    types: &[PgType],
    args: &[Datum],
) -> Result<Datum> {
    let _acting = acting(ctx, function);
    match &*ctx.engine.functions.get(ctx, function, types)? {
        Compiled::Sql(f) => sqlfn::call(ctx, f, args),
        Compiled::PlPgSql(f) => plpgsql::call(ctx, f, args),
    }
}

/// Runs a procedure, which may end `transactions`: its output arguments' values as a row, if there are any.
pub(crate) fn run_procedure(
    ctx: &ExecContext,
    function: &Arc<Function>,
    types: &[PgType],
    args: &[Datum],
    transactions: Option<&Transactions>,
) -> Result<Datum> {
    let _acting = acting(ctx, function);
    match &*ctx.engine.functions.get(ctx, function, types)? {
        Compiled::Sql(f) => sqlfn::call_procedure(ctx, f, args),
        Compiled::PlPgSql(f) => plpgsql::call_procedure(ctx, f, args, transactions),
    }
}

/// Runs a function that gives rows.
pub fn run_set(
    ctx: &ExecContext,
    function: &Arc<Function>,
    types: &[PgType],
    columns: &[PgType],
    args: &[Datum],
) -> Result<Rows> {
    let _acting = acting(ctx, function);
    let rows = match &*ctx.engine.functions.get(ctx, function, types)? {
        Compiled::Sql(f) => sqlfn::call_set(ctx, f, columns, args)?,
        Compiled::PlPgSql(f) => plpgsql::call_set(ctx, f, columns, args)?,
    };
    Ok(Box::new(rows.into_iter().map(Ok)))
}
