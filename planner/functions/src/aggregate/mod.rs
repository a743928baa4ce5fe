//! Aggregates.

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

/// The aggregate behind a `pg_proc` row, for the argument types of a call. Ordered-set aggregates
/// take their direct arguments first.
pub fn aggregate(proc: &Proc, arg_types: &[Oid]) -> Option<MakeAggregate> {
    let _ = (proc, arg_types);
    None
}

pub(crate) fn implements(proc: &Proc) -> bool {
    aggregate(proc, &proc.args).is_some()
}
