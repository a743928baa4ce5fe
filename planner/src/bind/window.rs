//! Window functions.

use std::sync::Arc;

use datafusion::logical_expr::{Expr, LogicalPlan};
use sqlparser::ast::{self, WindowType};
use vicinity_functions::Proc;
use vicinity_storage::catalog::model::fixed;
use vicinity_types::{PgError, Result, SqlState, oid};

use super::aggregate::unqualified;
use super::order::sort;
use super::{Binder, fold};
use crate::call::{Builtin, Callable, PgType, Typed};
use crate::df::window::{
    Bound, Exclude, Frame, Units, WindowCall, WindowGroup, WindowKey, WindowSpec, window,
};
use crate::resolve::Context;
use crate::sql::window::excluded;

fn windowing(text: impl Into<String>) -> PgError {
    PgError::new(SqlState::WINDOWING_ERROR, text)
}

/// A call with OVER, its arguments bound.
pub(super) struct Windowed {
    pub proc: &'static Proc,
    pub args: Vec<Typed>,
    pub ret: u32,
    pub filter: Option<Expr>,
}

impl Binder<'_> {
    /// `WINDOW w AS (...)`
    pub(crate) fn named_window(&mut self, window: &ast::NamedWindowDefinition) -> Result<()> {
        let name = fold(&window.0);
        if self.level().windows.contains_key(&name) {
            return Err(windowing(format!("window \"{name}\" is already defined"))
                .or_at(super::position(window.0.span)));
        }
        let spec = match &window.1 {
            ast::NamedWindowExpr::WindowSpec(spec) => self.inherited(spec)?,
            ast::NamedWindowExpr::NamedWindow(other) => self.window(other)?,
        };
        self.level().windows.insert(name, spec);
        Ok(())
    }

    fn window(&mut self, ident: &ast::Ident) -> Result<ast::WindowSpec> {
        let name = fold(ident);
        self.level().windows.get(&name).cloned().ok_or_else(|| {
            PgError::new(SqlState::UNDEFINED_OBJECT, format!("window \"{name}\" does not exist"))
                .or_at(super::position(ident.span))
        })
    }

    /// A call with OVER: a column of the `Window` to come.
    pub(super) fn window_call(&mut self, call: Windowed, over: &WindowType) -> Result<Typed> {
        let Windowed { proc, args, ret, filter } = call;
        match proc.kind {
            b'w' if filter.is_some() => {
                return Err(PgError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "FILTER is not implemented for non-aggregate window functions",
                ));
            }
            b'w' | b'a' => {}
            _ => {
                return Err(PgError::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!(
                        "OVER specified, but {} is not a window function nor an aggregate function",
                        proc.name
                    ),
                ));
            }
        }
        let spec = match over {
            WindowType::NamedWindow(name) => self.window(name)?,
            WindowType::WindowSpec(spec) => self.inherited(spec)?,
        };
        let keys = self.window_keys(&spec)?;
        let frame = self.frame(spec.window_frame.as_ref(), &keys.order)?;
        let ty = self.ty(ret);
        let number: usize = self.level().pending.windows.iter().map(|w| w.calls.len()).sum();
        let name = format!("__w{number}");
        let value = Typed::new(unqualified(&name), ty);
        let call = WindowCall { proc, args, filter, frame, name, ret: ty };
        let windows = &mut self.level().pending.windows;
        let identity = format!("{keys:?}");
        match windows.iter_mut().find(|w| format!("{:?}", w.spec) == identity) {
            Some(group) => group.calls.push(call),
            None => windows.push(WindowGroup { spec: keys, calls: vec![call] }),
        }
        Ok(value)
    }

    /// `OVER (w ORDER BY ...)` takes over what `w` says.
    fn inherited(&mut self, spec: &ast::WindowSpec) -> Result<ast::WindowSpec> {
        let Some(ident) = &spec.window_name else { return Ok(spec.clone()) };
        let base = self.window(ident)?;
        let name = fold(ident);
        let refuse = |text: String| windowing(text).or_at(super::position(ident.span));
        if !spec.partition_by.is_empty() {
            return Err(refuse(format!(
                "cannot override PARTITION BY clause of window \"{name}\""
            )));
        }
        if !spec.order_by.is_empty() && !base.order_by.is_empty() {
            return Err(refuse(format!("cannot override ORDER BY clause of window \"{name}\"")));
        }
        if base.window_frame.is_some() {
            let text = format!("cannot copy window \"{name}\" because it has a frame clause");
            let error = refuse(text);
            let bare = spec.order_by.is_empty() && spec.window_frame.is_none();
            return Err(if bare {
                error.hint("Omit the parentheses in this OVER clause.")
            } else {
                error
            });
        }
        let mut merged = spec.clone();
        merged.window_name = None;
        merged.partition_by = base.partition_by;
        if merged.order_by.is_empty() {
            merged.order_by = base.order_by;
        }
        Ok(merged)
    }

    fn window_keys(&mut self, spec: &ast::WindowSpec) -> Result<WindowSpec> {
        let windows = self.level().no_windows.replace("window definitions");
        // They are computed above the windows.
        let why = "set-returning functions are not allowed in window definitions";
        let keys = self.without_sets(why, |me| me.window_keys_inner(spec));
        self.level().no_windows = windows;
        keys
    }

    fn window_keys_inner(&mut self, spec: &ast::WindowSpec) -> Result<WindowSpec> {
        let mut keys = WindowSpec { partition: Vec::new(), order: Vec::new(), sort: Vec::new() };
        for expr in &spec.partition_by {
            let value = self.expr(expr)?;
            let value = self.settled(value)?;
            self.groupable(value.ty).map_err(|e| e.or_at(self.place(expr)))?;
            let ascending = ast::OrderByOptions { asc: None, nulls_first: None };
            keys.sort.push(sort(value.clone(), &ascending));
            keys.partition.push(value);
        }
        for item in &spec.order_by {
            let value = self.expr(&item.expr)?;
            let value = self.settled(value)?;
            self.orderable(&value).map_err(|e| e.or_at(self.place(&item.expr)))?;
            keys.sort.push(sort(value.clone(), &item.options));
            let descending = !item.options.asc.unwrap_or(true);
            let nulls_first = item.options.nulls_first.unwrap_or(descending);
            keys.order.push(WindowKey { value, descending, nulls_first });
        }
        Ok(keys)
    }

    fn frame(&mut self, frame: Option<&ast::WindowFrame>, order: &[WindowKey]) -> Result<Frame> {
        let Some(frame) = frame else {
            return Ok(Frame {
                units: Units::Range,
                start: Bound::Unbounded,
                end: Bound::Current,
                exclude: Exclude::None,
            });
        };
        let units = match frame.units {
            ast::WindowFrameUnits::Rows => Units::Rows,
            ast::WindowFrameUnits::Range => Units::Range,
            ast::WindowFrameUnits::Groups => Units::Groups,
        };
        let written = excluded(frame);
        let (start, end) = (&written.start, &written.end);
        check_bounds(start, end)?;
        if units == Units::Groups && order.is_empty() {
            return Err(windowing("GROUPS mode requires an ORDER BY clause"));
        }
        Ok(Frame {
            units,
            start: self.bound(start, units, order)?,
            end: self.bound(end, units, order)?,
            exclude: written.exclude,
        })
    }

    fn bound(
        &mut self,
        bound: &ast::WindowFrameBound,
        units: Units,
        order: &[WindowKey],
    ) -> Result<Bound> {
        use ast::WindowFrameBound as B;
        let (expr, preceding) = match bound {
            B::CurrentRow => return Ok(Bound::Current),
            B::Preceding(None) | B::Following(None) => return Ok(Bound::Unbounded),
            B::Preceding(Some(expr)) => (expr.as_ref(), true),
            B::Following(Some(expr)) => (expr.as_ref(), false),
        };
        let clause = match units {
            Units::Rows => "ROWS",
            Units::Range => "RANGE",
            Units::Groups => "GROUPS",
        };
        let value = self.offset(expr, clause)?;
        let place = self.place(expr);
        if units != Units::Range {
            let offset = self.whole_number(value, clause, place)?;
            return Ok(Bound::Offset { offset, preceding, in_range: None });
        }
        let [key] = order else {
            return Err(windowing(
                "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column",
            ));
        };
        let (offset, in_range) = self.in_range(key.value.ty, value, place)?;
        Ok(Bound::Offset { offset, preceding, in_range: Some(in_range) })
    }

    /// The family's `in_range` function for an order's type and an offset.
    fn in_range(
        &mut self,
        order: PgType,
        offset: Typed,
        place: Option<usize>,
    ) -> Result<(Typed, Arc<dyn Callable>)> {
        const IN_RANGE: u16 = 3;
        let base = self.types.base(order.oid);
        let family =
            vicinity_functions::default_opclass(fixed::AM_BTREE, base).map(|class| class.family);
        let usable: Vec<_> = vicinity_functions::amprocs()
            .iter()
            .filter(|p| Some(p.family) == family && p.left == base && p.number == IN_RANGE)
            .collect();
        if usable.is_empty() {
            return Err(PgError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!(
                    "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {}",
                    self.types.name(order.oid)
                ),
            )
            .or_at(place));
        }
        let given = offset.ty.oid;
        let unknown = given == oid::UNKNOWN;
        let found = usable
            .iter()
            .find(|p| p.right == given || unknown && p.right == base)
            .or_else(|| usable.iter().find(|p| unknown || self.implicit(given, p.right)));
        let proc = found.and_then(|p| Some((vicinity_functions::proc_by_oid(p.proc)?, p.right)));
        let Some((proc, right)) = proc else {
            return Err(PgError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!(
                    "RANGE with offset PRECEDING/FOLLOWING is not supported for column type {} and offset type {}",
                    self.types.name(order.oid),
                    self.types.name(given)
                ),
            )
            .hint("Cast the offset value to an appropriate type.")
            .or_at(place));
        };
        let offset = self.coerce(offset, self.ty(right), Context::Implicit, place)?;
        let (bool, ty) = (PgType::new(oid::BOOL), self.ty(base));
        let call = Builtin::new(proc, None, vec![ty, ty, offset.ty, bool, bool], bool, false)?;
        Ok((offset, Arc::new(call)))
    }

    fn implicit(&self, from: u32, to: u32) -> bool {
        crate::resolve::cast::can_coerce(&self.types, &[from], &[to], Context::Implicit)
    }

    /// A frame's offset, in which names mean nothing. A bare string is read as the order's type has it.
    fn offset(&mut self, expr: &ast::Expr, clause: &'static str) -> Result<Typed> {
        if let ast::Expr::Interval(interval) = expr
            && interval.leading_field.is_none()
            && let ast::Expr::Value(text) = interval.value.as_ref()
        {
            return self.value(text);
        }
        self.without_columns(expr, clause)
    }

    /// Puts the window functions over a plan.
    pub(super) fn windowed(&mut self, mut plan: LogicalPlan) -> Result<LogicalPlan> {
        for group in std::mem::take(&mut self.level().pending.windows) {
            plan = window(plan, group)?;
        }
        Ok(plan)
    }
}

/// Frames that could never have rows.
fn check_bounds(start: &ast::WindowFrameBound, end: &ast::WindowFrameBound) -> Result<()> {
    use ast::WindowFrameBound as B;
    Err(windowing(match (start, end) {
        (B::Following(None), _) => "frame start cannot be UNBOUNDED FOLLOWING",
        (_, B::Preceding(None)) => "frame end cannot be UNBOUNDED PRECEDING",
        (B::CurrentRow, B::Preceding(_)) => {
            "frame starting from current row cannot have preceding rows"
        }
        (B::Following(_), B::Preceding(_)) => {
            "frame starting from following row cannot have preceding rows"
        }
        (B::Following(_), B::CurrentRow) => {
            "frame starting from following row cannot end with current row"
        }
        _ => return Ok(()),
    }))
}
