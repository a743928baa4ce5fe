//! The row lane: plans that run a row at a time, on the caller's thread, without batches.
//!
//! An expression is compiled once from DataFusion's `Expr` into a [`Node`] and evaluated over rows as
//! they lie in storage. Calls are the same [`Callable`](crate::call::Callable)s as the batch lane's;
//! arithmetic on numbers has nodes of its own that never box a value ([`number`]).

pub mod aggregate;
pub mod append;
mod build;
pub mod compile;
pub mod cursor;
mod emit;
pub mod family;
mod keys;
pub mod lock;
mod map;
mod merge;
pub mod node;
pub mod number;
mod place;
pub mod plan;
pub mod scan;
pub mod sort;
mod walk;

pub(crate) use compile::parameter;
pub use compile::{Compiler, Scope};
pub use cursor::RowCursor;
pub use emit::StoredColumn;
pub use node::{Frame, Node, RowRef, WrittenRow};
pub use plan::RowPlan;

/// Evaluates an expression without columns or parameters, once.
pub fn evaluate(
    ctx: &crate::context::ExecContext,
    expr: &datafusion::logical_expr::Expr,
    ty: crate::call::PgType,
) -> vicinity_types::Result<vicinity_types::Datum> {
    let mut compiler = Compiler::new(Scope::empty(), Vec::new());
    let node = compiler.compile(expr, ty.kind)?;
    let once = vec![std::cell::OnceCell::new(); compiler.once_cells()];
    node.eval(&Frame { ctx, params: &[], once: &once, row: RowRef::None })
}
