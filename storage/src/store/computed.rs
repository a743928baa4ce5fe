//! Index entries that are more than column values: expressions and predicates.
//!
//! What an expression means is SQL, which this room does not know (invariant *one-way*): the planner
//! compiles it, once per index, and this room calls what comes out, also where no statement runs
//! (the vacuum, rollback, the rebuild after recovery).

use std::sync::Arc;

use vicinity_types::{Datum, Oid, Result};

use crate::catalog::Catalog;
use crate::catalog::model::{IndexDef, Relation};

/// The expressions and the predicate of one index, ready to run. Equal rows give equal answers, unless
/// a function they call was replaced.
pub trait IndexExpressions: Send + Sync {
    /// The columns they read, zero-based.
    fn columns(&self) -> &[usize];

    /// Puts the values of the key expressions into `out`, in their order; false if the predicate is
    /// not true, and the row has no entry. `row` has all of the table's columns; those not in
    /// [`IndexExpressions::columns`] are NULL. `alone`: the caller keeps others from nothing meanwhile, so that
    /// a statement's functions may wait in its transaction.
    fn evaluate(&self, row: &[Datum], out: &mut Vec<Datum>, alone: bool) -> Result<bool>;

    /// Whether they call users' functions, which may wait for anything.
    fn may_wait(&self) -> bool;
}

/// Makes them.
pub trait ExpressionCompiler: Send + Sync {
    /// Compiles what an index of a table computes, as a catalog describes both.
    fn compile(
        &self,
        catalog: &Arc<Catalog>,
        table: &Arc<Relation>,
        index: (Oid, &IndexDef),
    ) -> Result<Arc<dyn IndexExpressions>>;
}
