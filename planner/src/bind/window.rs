//! Window functions.

use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::functions_window as native;
use datafusion::logical_expr::expr::{Sort, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    Cast, Expr, LogicalPlan, LogicalPlanBuilder, WindowFrame, WindowFrameBound, WindowFrameUnits,
    WindowFunctionDefinition,
};
use sqlparser::ast::{self, WindowType};
use vicinity_functions::Proc;
use vicinity_types::{PgError, Result, SqlState};

use super::aggregate::replaced;
use super::order::{key, sort};
use super::query::constant_int;
use super::select::{OrderKey, Target};
use super::{Binder, fold};
use crate::call::{Typed, internal};
use crate::df;

impl Binder<'_> {
    /// `WINDOW w AS (...)`
    pub(super) fn named_window(&mut self, window: &ast::NamedWindowDefinition) -> Result<()> {
        let name = fold(&window.0);
        let spec = match &window.1 {
            ast::NamedWindowExpr::WindowSpec(spec) => spec.clone(),
            ast::NamedWindowExpr::NamedWindow(other) => self.window(&fold(other))?,
        };
        self.level().windows.insert(name, spec);
        Ok(())
    }

    fn window(&mut self, name: &str) -> Result<ast::WindowSpec> {
        self.level().windows.get(name).cloned().ok_or_else(|| {
            PgError::new(SqlState::UNDEFINED_OBJECT, format!("window \"{name}\" does not exist"))
        })
    }

    #[allow(clippy::too_many_arguments)]
    pub(super) fn window_call(
        &mut self,
        f: &ast::Function,
        proc: &'static Proc,
        args: Vec<Typed>,
        ret: u32,
        distinct: bool,
        filter: Option<Expr>,
        over: &WindowType,
    ) -> Result<Typed> {
        if distinct {
            return Err(PgError::unsupported("DISTINCT in a window function"));
        }
        if f.null_treatment.is_some() {
            return Err(PgError::unsupported("IGNORE NULLS"));
        }
        let spec = match over {
            WindowType::NamedWindow(name) => self.window(&fold(name))?,
            WindowType::WindowSpec(spec) => self.inherited(spec)?,
        };
        let (partition_by, order_by) = self.window_keys(&spec)?;
        let window_frame = self.frame(&spec, order_by.is_empty())?;
        let ty = self.ty(ret);
        let (fun, exprs) = match proc.kind {
            b'w' => (builtin_window(proc)?, args.into_iter().map(|a| a.expr).collect()),
            b'a' => match df::aggregate_expr(proc, ty, args, false, Vec::new(), None)? {
                Expr::AggregateFunction(a) => {
                    (WindowFunctionDefinition::AggregateUDF(a.func), a.params.args)
                }
                _ => return Err(PgError::internal("an aggregate that is none")),
            },
            _ => {
                return Err(PgError::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!(
                        "OVER specified, but {} is not a window function nor an aggregate function",
                        proc.name
                    ),
                ));
            }
        };
        let call = Expr::WindowFunction(Box::new(WindowFunction {
            fun,
            params: WindowFunctionParams {
                args: exprs,
                partition_by,
                order_by,
                window_frame,
                filter: filter.map(Box::new),
                null_treatment: None,
                distinct: false,
            },
        }));
        // ranks are unsigned there, bigint or integer here
        let counted = matches!(
            proc.src,
            "window_row_number" | "window_rank" | "window_dense_rank" | "window_ntile"
        );
        let expr = if counted { Expr::Cast(Cast::new(Box::new(call), ty.arrow())) } else { call };
        Ok(Typed::new(expr, ty))
    }

    /// `OVER (w ORDER BY ...)` takes over what `w` says.
    fn inherited(&mut self, spec: &ast::WindowSpec) -> Result<ast::WindowSpec> {
        let Some(name) = &spec.window_name else { return Ok(spec.clone()) };
        let base = self.window(&fold(name))?;
        let mut merged = spec.clone();
        merged.partition_by = base.partition_by;
        if merged.order_by.is_empty() {
            merged.order_by = base.order_by;
        }
        if merged.window_frame.is_none() {
            merged.window_frame = base.window_frame;
        }
        Ok(merged)
    }

    fn window_keys(&mut self, spec: &ast::WindowSpec) -> Result<(Vec<Expr>, Vec<Sort>)> {
        let windows = self.level().no_windows.replace("window definitions");
        let mut partition = Vec::new();
        let mut order = Vec::new();
        let result = (|| {
            for expr in &spec.partition_by {
                let value = self.expr(expr)?;
                partition.push(key(self.settled(value)?));
            }
            for item in &spec.order_by {
                let value = self.expr(&item.expr)?;
                order.push(sort(self.settled(value)?, &item.options));
            }
            Ok(())
        })();
        self.level().no_windows = windows;
        result.map(|()| (partition, order))
    }

    fn frame(&mut self, spec: &ast::WindowSpec, unordered: bool) -> Result<WindowFrame> {
        let Some(frame) = &spec.window_frame else {
            return Ok(WindowFrame::new((!unordered).then_some(false)));
        };
        let units = match frame.units {
            ast::WindowFrameUnits::Rows => WindowFrameUnits::Rows,
            ast::WindowFrameUnits::Range => WindowFrameUnits::Range,
            ast::WindowFrameUnits::Groups => WindowFrameUnits::Groups,
        };
        let start = self.bound(&frame.start_bound, units)?;
        let end = match &frame.end_bound {
            Some(end) => self.bound(end, units)?,
            None => WindowFrameBound::CurrentRow,
        };
        Ok(WindowFrame::new_bounds(units, start, end))
    }

    fn bound(
        &mut self,
        bound: &ast::WindowFrameBound,
        units: WindowFrameUnits,
    ) -> Result<WindowFrameBound> {
        let offset = |binder: &mut Self, expr: &ast::Expr| {
            let value = binder.expr(expr)?;
            let number = constant_int(&value.expr)
                .ok_or_else(|| PgError::unsupported("a frame offset that is no constant"))?;
            let number = u64::try_from(number).map_err(|_| {
                PgError::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    "frame starting offset must not be negative",
                )
            })?;
            if units == WindowFrameUnits::Range {
                return Err(PgError::unsupported("RANGE with an offset"));
            }
            Ok(ScalarValue::UInt64(Some(number)))
        };
        Ok(match bound {
            ast::WindowFrameBound::CurrentRow => WindowFrameBound::CurrentRow,
            ast::WindowFrameBound::Preceding(None) => {
                WindowFrameBound::Preceding(ScalarValue::UInt64(None))
            }
            ast::WindowFrameBound::Following(None) => {
                WindowFrameBound::Following(ScalarValue::UInt64(None))
            }
            ast::WindowFrameBound::Preceding(Some(n)) => {
                WindowFrameBound::Preceding(offset(self, n)?)
            }
            ast::WindowFrameBound::Following(Some(n)) => {
                WindowFrameBound::Following(offset(self, n)?)
            }
        })
    }

    /// Puts the window functions over a plan and points everything above it at their results.
    pub(super) fn windowed(
        &mut self,
        plan: LogicalPlan,
        list: &mut [Target],
        keys: &mut [OrderKey],
        on: &mut [Typed],
    ) -> Result<LogicalPlan> {
        let mut calls: Vec<Expr> = Vec::new();
        {
            let above = list.iter().map(|t| &t.value.expr);
            let above = above.chain(keys.iter().map(|k| &k.value.expr));
            for expr in above.chain(on.iter().map(|v| &v.expr)) {
                expr.apply(|e| {
                    if matches!(e, Expr::WindowFunction(_)) {
                        if !calls.contains(e) {
                            calls.push(e.clone());
                        }
                        return Ok(TreeNodeRecursion::Jump);
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
                .map_err(internal)?;
            }
        }
        if calls.is_empty() {
            return Ok(plan);
        }
        let plan = LogicalPlanBuilder::window_plan(plan, calls.clone()).map_err(internal)?;
        let map: Vec<(Expr, Expr)> = calls
            .into_iter()
            .map(|c| {
                let name = c.schema_name().to_string();
                (c, super::aggregate::unqualified(&name))
            })
            .collect();
        for target in list.iter_mut() {
            target.value.expr = replaced(target.value.expr.clone(), &map)?;
        }
        for key in keys.iter_mut() {
            key.value.expr = replaced(key.value.expr.clone(), &map)?;
        }
        for value in on.iter_mut() {
            value.expr = replaced(value.expr.clone(), &map)?;
        }
        Ok(plan)
    }
}

fn builtin_window(proc: &Proc) -> Result<WindowFunctionDefinition> {
    let udf = match proc.src {
        "window_row_number" => native::row_number::row_number_udwf(),
        "window_rank" => native::rank::rank_udwf(),
        "window_dense_rank" => native::rank::dense_rank_udwf(),
        "window_percent_rank" => native::rank::percent_rank_udwf(),
        "window_cume_dist" => native::cume_dist::cume_dist_udwf(),
        "window_ntile" => native::ntile::ntile_udwf(),
        "window_lag" | "window_lag_with_offset" | "window_lag_with_offset_and_default" => {
            native::lead_lag::lag_udwf()
        }
        "window_lead" | "window_lead_with_offset" | "window_lead_with_offset_and_default" => {
            native::lead_lag::lead_udwf()
        }
        "window_first_value" => native::nth_value::first_value_udwf(),
        "window_last_value" => native::nth_value::last_value_udwf(),
        "window_nth_value" => native::nth_value::nth_value_udwf(),
        _ => return Err(PgError::unsupported(format!("window function {}", proc.name))),
    };
    Ok(WindowFunctionDefinition::WindowUDF(udf))
}
