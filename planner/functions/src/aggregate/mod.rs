//! Aggregates.
//!
//! A state is fed rows and asked for its result. DISTINCT, ORDER BY and FILTER are the caller's:
//! it feeds the rows that count, in the order asked for. Ordered-set aggregates (`percentile_cont`,
//! `mode`) take their rows sorted as WITHIN GROUP says, direct arguments first in every row.

mod collect;
mod extreme;
mod json;
mod ordered_set;
mod statistics;
mod sum;

pub use collect::array_of_arrays;
use vicinity_types::{Datum, Oid, Result};

use crate::catalog::Proc;
use crate::env::Env;

/// The state of one aggregate over one group.
pub trait Aggregate: Send {
    /// Takes a row's arguments. Called for rows with NULLs too; each state skips what PostgreSQL's
    /// transition function skips.
    fn step(&mut self, env: &dyn Env, args: &[Datum]) -> Result<()>;

    /// The result so far. May be called again after further steps (window frames).
    fn finish(&mut self, env: &dyn Env) -> Result<Datum>;

    /// Bytes held beyond the state itself, roughly.
    fn size(&self) -> usize;
}

/// Makes a fresh state for each group.
pub type MakeAggregate = Box<dyn Fn() -> Box<dyn Aggregate> + Send + Sync>;

/// The aggregate behind a `pg_proc` row, for the argument types of a call.
pub fn aggregate(proc: &Proc, arg_types: &[Oid]) -> Option<MakeAggregate> {
    let first = arg_types.first().copied().unwrap_or(0);
    sum::make(proc.name, first)
        .or_else(|| extreme::make(proc.name, first))
        .or_else(|| collect::make(proc.name, first))
        .or_else(|| statistics::make(proc.name, first))
        .or_else(|| ordered_set::make(proc.name, arg_types))
        .or_else(|| json::make(proc.name, arg_types))
}

/// A maker of clones of a fresh state.
fn maker<A: Aggregate + Clone + Sync + 'static>(fresh: A) -> Option<MakeAggregate> {
    Some(Box::new(move || Box::new(fresh.clone())))
}

pub(crate) fn implements(proc: &Proc) -> bool {
    aggregate(proc, &proc.args).is_some()
}
