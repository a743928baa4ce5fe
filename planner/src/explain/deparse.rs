//! Expressions as PostgreSQL writes them in plans.

use datafusion::common::Column;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use vicinity_types::array::Array;
use vicinity_types::{Datum, Kind, format_type, io::to_text, oid};

use crate::bind::SubPlan;
use crate::call::{
    Builtin, Callable, GroupKey, PgType, Volatility, callable_of, scalar_kind, scalar_to_datum,
};
use crate::context::ExecContext;
use crate::df::aggregate::aggregate_of;
use crate::row::compile::parameter;

/// What the expressions of one node refer to.
pub(crate) trait Names {
    /// A column's text.
    fn column(&self, column: &Column) -> String;
    /// A column's text where a query inside the expression looks at it.
    fn outer(&self, column: &Column) -> String {
        self.column(column)
    }
    /// A column's type.
    fn column_type(&self, column: &Column) -> Option<PgType>;
    /// A parameter's text; `None` if it stays one.
    fn parameter(&self, index: usize) -> Option<String>;
    /// A parameter's value, where it is known.
    fn value(&self, _index: usize) -> Option<Datum> {
        None
    }
    /// A subquery's, and that of the value it is compared with.
    fn subplan(&self, plan: &SubPlan, args: &[String]) -> String;
}

/// The columns of a query as those inside it see them.
struct Outer<'a>(&'a dyn Names);

impl Names for Outer<'_> {
    fn column(&self, column: &Column) -> String {
        self.0.outer(column)
    }

    fn column_type(&self, column: &Column) -> Option<PgType> {
        self.0.column_type(column)
    }

    fn parameter(&self, index: usize) -> Option<String> {
        self.0.parameter(index)
    }

    fn value(&self, index: usize) -> Option<Datum> {
        self.0.value(index)
    }

    fn subplan(&self, plan: &SubPlan, args: &[String]) -> String {
        self.0.subplan(plan, args)
    }
}

/// Writes expressions.
pub(crate) struct Deparse<'a> {
    /// For types' names and formats.
    pub(crate) ctx: &'a ExecContext,
    pub(crate) names: &'a dyn Names,
}

/// The argument of a call that only prepares a value for sorting or grouping.
pub(crate) fn plain(expr: &Expr) -> &Expr {
    match callable_of(expr) {
        Some((c, [arg])) if c.as_any().is::<GroupKey>() => plain(arg),
        _ => expr,
    }
}

/// Whether a call is a cast: its function stands in pg_cast.
fn is_cast(callable: &dyn Callable) -> bool {
    let Some(builtin) = callable.as_any().downcast_ref::<Builtin>() else { return false };
    let [arg] = callable.args() else { return false };
    builtin.operator().is_none()
        && vicinity_functions::cast(arg.oid, callable.ret().oid)
            .is_some_and(|c| c.func == builtin.proc().oid)
}

impl Deparse<'_> {
    /// An expression's text.
    pub(crate) fn expr(&self, expr: &Expr) -> String {
        self.typed(expr, None)
    }

    /// An expression's type, as far as it knows itself.
    pub(crate) fn type_of(&self, expr: &Expr) -> Option<PgType> {
        if let Some((aggregate, _)) = aggregate_of(expr) {
            return Some(aggregate.ret());
        }
        match expr {
            Expr::Column(c) => self.names.column_type(c),
            Expr::Alias(a) => self.type_of(&a.expr),
            other => callable_of(other).map(|(c, _)| c.ret()),
        }
    }

    fn call(&self, callable: &dyn Callable, args: &[Expr]) -> String {
        let texts = |me: &Deparse<'_>| -> Vec<String> {
            args.iter().zip(callable.args()).map(|(a, ty)| me.typed(a, Some(*ty))).collect()
        };
        if let Some(plan) = callable.as_any().downcast_ref::<SubPlan>() {
            let names = &Outer(self.names);
            return self.names.subplan(plan, &texts(&Deparse { ctx: self.ctx, names }));
        }
        if let Some(value) = self.folded(callable, args) {
            return self.constant(&value, Some(callable.ret()));
        }
        let texts = texts(self);
        match texts.as_slice() {
            [one] if is_cast(callable) => format!("({one})::{}", self.name(callable.ret())),
            _ => callable.deparse(&texts),
        }
    }

    /// What a call of known values comes to: PostgreSQL plans with values, and has nothing to compute then.
    fn folded(&self, callable: &dyn Callable, args: &[Expr]) -> Option<Datum> {
        if callable.volatility() != Volatility::Immutable || callable.as_any().is::<SubPlan>() {
            return None;
        }
        let value = |(arg, ty): (&Expr, &PgType)| match arg {
            Expr::Literal(value, _) => scalar_to_datum(ty.kind, value).ok(),
            Expr::Placeholder(p) => self.names.value(parameter(&p.id)?),
            other => {
                let (inner, args) = callable_of(other)?;
                self.folded(&**inner, args)
            }
        };
        let values: Option<Vec<Datum>> = args.iter().zip(callable.args()).map(value).collect();
        let values = values.filter(|v| !v.is_empty())?;
        callable.call(self.ctx, &values).ok()
    }

    fn aggregate(&self, expr: &Expr) -> Option<String> {
        let (aggregate, call) = aggregate_of(expr)?;
        let args: Vec<String> = call
            .params
            .args
            .iter()
            .zip(aggregate.arg_types())
            .map(|(a, ty)| self.typed(a, Some(*ty)))
            .collect();
        let distinct = if aggregate.distinct() { "DISTINCT " } else { "" };
        let filter = self.filter_clause(call.params.filter.as_deref());
        Some(format!("{}({distinct}{}){filter}", aggregate.proc().name, args.join(", ")))
    }

    fn filter_clause(&self, filter: Option<&Expr>) -> String {
        filter.map(|f| format!(" FILTER (WHERE {})", self.expr(f))).unwrap_or_default()
    }

    fn typed(&self, expr: &Expr, hint: Option<PgType>) -> String {
        let expr = plain(expr);
        if let Some((callable, args)) = callable_of(expr) {
            return self.call(&**callable, args);
        }
        if let Some(text) = self.aggregate(expr) {
            return text;
        }
        match expr {
            Expr::Alias(a) => self.typed(&a.expr, hint),
            Expr::Column(c) => self.names.column(c),
            Expr::Literal(value, _) => {
                let kind = hint.map_or_else(|| scalar_kind(value), |t| t.kind);
                match scalar_to_datum(kind, value) {
                    Ok(datum) => self.constant(&datum, hint),
                    Err(_) => value.to_string(),
                }
            }
            Expr::Placeholder(p) => parameter(&p.id)
                .and_then(|i| self.names.parameter(i))
                .unwrap_or_else(|| p.id.clone()),
            Expr::Not(e) => format!("(NOT {})", self.expr(e)),
            Expr::IsNull(e) => format!("({} IS NULL)", self.expr(e)),
            Expr::IsNotNull(e) => format!("({} IS NOT NULL)", self.expr(e)),
            Expr::IsTrue(e) => format!("({} IS TRUE)", self.expr(e)),
            Expr::IsFalse(e) => format!("({} IS FALSE)", self.expr(e)),
            Expr::IsUnknown(e) => format!("({} IS UNKNOWN)", self.expr(e)),
            Expr::IsNotTrue(e) => format!("({} IS NOT TRUE)", self.expr(e)),
            Expr::IsNotFalse(e) => format!("({} IS NOT FALSE)", self.expr(e)),
            Expr::IsNotUnknown(e) => format!("({} IS NOT UNKNOWN)", self.expr(e)),
            Expr::BinaryExpr(b) => self.binary(b),
            // A width that two numbers are compared in: their types tell it.
            Expr::Cast(c) => self.typed(&c.expr, hint),
            Expr::Between(b) => {
                let ty = self.type_of(&b.expr);
                let (low, high) = (self.typed(&b.low, ty), self.typed(&b.high, ty));
                let value = self.expr(&b.expr);
                let both = format!("(({value} >= {low}) AND ({value} <= {high}))");
                if b.negated { format!("(NOT {both})") } else { both }
            }
            Expr::InList(list) => self.list(list),
            Expr::Case(case) => self.case(case, hint),
            Expr::AggregateFunction(f) => {
                let args = match f.params.args.as_slice() {
                    [Expr::Literal(value, _)] if !value.is_null() => "*".to_owned(),
                    args => args.iter().map(|a| self.expr(a)).collect::<Vec<_>>().join(", "),
                };
                let distinct = if f.params.distinct { "DISTINCT " } else { "" };
                let filter = self.filter_clause(f.params.filter.as_deref());
                format!("{}({distinct}{args}){filter}", f.func.name())
            }
            other => other.to_string(),
        }
    }

    fn case(&self, case: &datafusion::logical_expr::Case, hint: Option<PgType>) -> String {
        let mut text = "CASE".to_owned();
        if let Some(base) = &case.expr {
            text.push_str(&format!(" {}", self.expr(base)));
        }
        for (when, then) in &case.when_then_expr {
            let (when, then) = (self.expr(when), self.typed(then, hint));
            text.push_str(&format!(" WHEN {when} THEN {then}"));
        }
        if let Some(other) = &case.else_expr {
            text.push_str(&format!(" ELSE {}", self.typed(other, hint)));
        }
        text + " END"
    }

    fn binary(&self, b: &BinaryExpr) -> String {
        if matches!(b.op, Operator::And | Operator::Or) {
            let mut parts = Vec::new();
            self.flatten(b, b.op, &mut parts);
            return format!("({})", parts.join(&format!(" {} ", b.op)));
        }
        let ty = self.type_of(&b.left).or_else(|| self.type_of(&b.right));
        let (left, right) = (self.typed(&b.left, ty), self.typed(&b.right, ty));
        match b.op {
            Operator::NotEq => format!("({left} <> {right})"),
            // PostgreSQL has one operator for both
            Operator::IsNotDistinctFrom => format!("(NOT ({left} IS DISTINCT FROM {right}))"),
            op => format!("({left} {op} {right})"),
        }
    }

    fn flatten(&self, b: &BinaryExpr, op: Operator, parts: &mut Vec<String>) {
        for side in [&b.left, &b.right] {
            match &**side {
                Expr::BinaryExpr(inner) if inner.op == op => self.flatten(inner, op, parts),
                other => parts.push(self.expr(other)),
            }
        }
    }

    fn list(&self, list: &datafusion::logical_expr::expr::InList) -> String {
        let ty = self.type_of(&list.expr);
        let constant = |e: &Expr| match e {
            Expr::Literal(value, _) if value.is_null() => Some(Datum::Null),
            Expr::Literal(value, _) => {
                let kind = ty.map_or_else(|| scalar_kind(value), |t| t.kind);
                scalar_to_datum(kind, value).ok()
            }
            _ => None,
        };
        let name = self.name(ty.unwrap_or(PgType::new(oid::TEXT)));
        let array = match list.list.iter().map(constant).collect::<Option<Vec<_>>>() {
            Some(values) => {
                let elem = ty.map_or(oid::TEXT, |t| t.oid);
                let array = Datum::Array(Array::from_datums(elem, values).into());
                let text = to_text(oid::TEXT_ARRAY, &array, &self.ctx.io());
                format!("'{}'::{name}[]", text.replace('\'', "''"))
            }
            None => {
                let items: Vec<String> = list.list.iter().map(|e| self.typed(e, ty)).collect();
                format!("ARRAY[{}]", items.join(", "))
            }
        };
        let (op, any) = if list.negated { ("<>", "ALL") } else { ("=", "ANY") };
        format!("({} {op} {any} ({array}))", self.expr(&list.expr))
    }

    fn name(&self, ty: PgType) -> String {
        match oid::kind(ty.oid) {
            Some(_) => format_type(ty.oid, Some(ty.typmod)),
            None => self.ctx.type_name(ty.oid, Some(ty.typmod)),
        }
    }

    /// A constant: numbers and truth values bare, everything else quoted with its type.
    pub(crate) fn constant(&self, value: &Datum, ty: Option<PgType>) -> String {
        let ty = ty.unwrap_or_else(|| PgType::new(type_of_kind(value.kind())));
        if value.is_null() {
            return format!("NULL::{}", self.name(ty));
        }
        let text = to_text(ty.oid, value, &self.ctx.io());
        match value {
            Datum::Bool(v) => (if *v { "true" } else { "false" }).to_owned(),
            Datum::Int4(v) if *v >= 0 => text,
            Datum::Numeric(_) if !text.starts_with('-') && text.contains('.') => text,
            _ => format!("'{}'::{}", text.replace('\'', "''"), self.name(ty)),
        }
    }
}

fn type_of_kind(kind: Option<Kind>) -> vicinity_types::Oid {
    match kind {
        Some(Kind::Bool) => oid::BOOL,
        Some(Kind::Int2) => oid::INT2,
        Some(Kind::Int4) => oid::INT4,
        Some(Kind::Int8) => oid::INT8,
        Some(Kind::Float4) => oid::FLOAT4,
        Some(Kind::Float8) => oid::FLOAT8,
        Some(Kind::Oid) => oid::OID,
        Some(Kind::Bytea) => oid::BYTEA,
        _ => oid::TEXT,
    }
}
