//! RETURNING.

use std::cell::OnceCell;

use sqlparser::ast::{Expr, SelectItem, SelectItemQualifiedWildcardKind};
use vicinity_types::{Datum, Kind, PgError, Result, SqlState, oid};

use super::super::name;
use super::layout::Layout;
use crate::bind::{Binder, Scope};
use crate::call::{PgType, Typed};
use crate::context::ExecContext;
use crate::row::{Compiler, Frame, Node, RowRef};
use crate::rows::{OutputColumn, RowSink};

/// RETURNING's list, bound but not compiled: parameters' types may come later.
pub(crate) struct BoundReturning {
    values: Vec<Typed>,
    pub(crate) columns: Vec<OutputColumn>,
}

/// RETURNING's list, compiled.
pub(crate) struct Returning {
    outputs: Vec<(Node, PgType)>,
    cells: usize,
    /// As bound, for EXPLAIN.
    pub(super) shown: Vec<datafusion::logical_expr::Expr>,
}

fn attribute(scope: &Scope, value: &Typed) -> (u32, i16) {
    let found = scope.items.iter().flat_map(|i| &i.columns).find(|c| c.expr == value.expr);
    found.map_or((0, 0), |c| (c.table, c.attr))
}

/// Binds the list.
pub(crate) fn bind(
    binder: &mut Binder<'_>,
    items: &[SelectItem],
    scope: &Scope,
) -> Result<BoundReturning> {
    let mut out = BoundReturning { values: Vec::new(), columns: Vec::new() };
    for item in items {
        match item {
            SelectItem::UnnamedExpr(e) => {
                let own = binder.column_name(e);
                one(binder, &mut out, scope, e, own)?;
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                one(binder, &mut out, scope, expr, name::ident(alias))?;
            }
            SelectItem::Wildcard(_) => {
                let columns: Vec<_> = scope.star().cloned().collect();
                push_columns(&mut out, columns);
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(n), _) => {
                let own = name::last(n);
                let item = scope.items.iter().find(|i| i.alias == own).ok_or_else(|| {
                    PgError::new(
                        SqlState::UNDEFINED_TABLE,
                        format!("missing FROM-clause entry for table \"{own}\""),
                    )
                })?;
                push_columns(
                    &mut out,
                    item.columns.iter().filter(|c| !c.hidden).cloned().collect(),
                );
            }
            _ => return Err(PgError::unsupported("this form of RETURNING")),
        }
    }
    Ok(out)
}

fn push_columns(out: &mut BoundReturning, columns: Vec<crate::bind::ScopeColumn>) {
    for c in columns {
        out.values.push(c.typed());
        out.columns.push(OutputColumn { name: c.name, ty: c.ty, table: c.table, attr: c.attr });
    }
}

fn one(
    binder: &mut Binder<'_>,
    out: &mut BoundReturning,
    scope: &Scope,
    expr: &Expr,
    name: String,
) -> Result<()> {
    let mut value = binder.expr_over(expr, scope)?;
    if value.ty.oid == oid::UNKNOWN {
        value =
            binder.coerce_to(value, PgType::new(oid::TEXT), crate::resolve::Context::Implicit)?;
    }
    let (table, attr) = attribute(scope, &value);
    out.columns.push(OutputColumn { name, ty: value.ty, table, attr });
    out.values.push(value);
    Ok(())
}

impl BoundReturning {
    /// Compiles it, the parameters' kinds being known.
    pub(crate) fn compile(&self, layout: &Layout, params: &[Kind]) -> Result<Returning> {
        let mut compiler = Compiler::new(layout.values(), params.to_vec());
        let outputs = self
            .values
            .iter()
            .map(|v| Ok((compiler.compile(&v.expr, v.ty.kind)?, v.ty)))
            .collect::<Result<Vec<_>>>()?;
        let shown = self.values.iter().map(|v| v.expr.clone()).collect();
        Ok(Returning { outputs, cells: compiler.once_cells(), shown })
    }
}

impl Returning {
    /// Whether what it computes may take any time.
    pub(crate) fn runs_statements(&self) -> bool {
        self.outputs.iter().any(|(node, _)| node.runs_statements())
    }

    /// Gives out one row.
    pub(crate) fn emit(
        &self,
        ctx: &ExecContext,
        params: &[Datum],
        row: &[Datum],
        sink: &mut dyn RowSink,
    ) -> Result<()> {
        let once = vec![OnceCell::new(); self.cells];
        let frame = Frame { ctx, params, once: &once, row: RowRef::Values(row) };
        sink.begin(self.outputs.len());
        for (node, ty) in &self.outputs {
            sink.datum(*ty, node.eval(&frame)?)?;
        }
        sink.end()
    }
}
