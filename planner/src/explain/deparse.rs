//! Expressions as PostgreSQL writes them in plans.

use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use vicinity_types::{Datum, Kind, format_type, io::to_text, oid};

use crate::call::{PgType, callable_of, scalar_kind, scalar_to_datum};
use crate::context::ExecContext;
use crate::df::aggregate::aggregate_of;

/// Finds a column's type by name.
pub type ColumnTypes<'a> = &'a dyn Fn(&str) -> Option<PgType>;

/// Writes expressions.
pub struct Deparse<'a> {
    /// For types' names and formats.
    pub ctx: &'a ExecContext,
    /// Types of columns.
    pub types: ColumnTypes<'a>,
    /// Whether columns carry their table's name.
    pub qualified: bool,
}

impl Deparse<'_> {
    /// An expression's text.
    pub fn expr(&self, expr: &Expr) -> String {
        self.typed(expr, None)
    }

    fn type_of(&self, expr: &Expr) -> Option<PgType> {
        match expr {
            Expr::Column(c) => (self.types)(&c.name),
            Expr::Alias(a) => self.type_of(&a.expr),
            other => callable_of(other).map(|(c, _)| c.ret()),
        }
    }

    fn typed(&self, expr: &Expr, hint: Option<PgType>) -> String {
        if let Some((callable, args)) = callable_of(expr) {
            let texts: Vec<String> =
                args.iter().zip(callable.args()).map(|(a, ty)| self.typed(a, Some(*ty))).collect();
            return callable.deparse(&texts);
        }
        if let Some((aggregate, call)) = aggregate_of(expr) {
            let args: Vec<String> = call
                .params
                .args
                .iter()
                .zip(aggregate.arg_types())
                .map(|(a, ty)| self.typed(a, Some(*ty)))
                .collect();
            let distinct = if aggregate.distinct() { "DISTINCT " } else { "" };
            return format!("{}({distinct}{})", aggregate.proc().name, args.join(", "));
        }
        match expr {
            Expr::Alias(a) => self.typed(&a.expr, hint),
            Expr::Column(c) => match &c.relation {
                Some(table) if self.qualified => {
                    let table = crate::names::quote(table.table());
                    format!("{table}.{}", crate::names::quote(&c.name))
                }
                _ => crate::names::quote(&c.name),
            },
            Expr::Literal(value, _) => {
                let kind = hint.map_or_else(|| scalar_kind(value), |t| t.kind);
                match scalar_to_datum(kind, value) {
                    Ok(datum) => self.constant(&datum, hint),
                    Err(_) => value.to_string(),
                }
            }
            Expr::Placeholder(p) => p.id.clone(),
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
            Expr::Between(b) => {
                let ty = self.type_of(&b.expr);
                let (low, high) = (self.typed(&b.low, ty), self.typed(&b.high, ty));
                let value = self.expr(&b.expr);
                format!("(({value} >= {low}) AND ({value} <= {high}))")
            }
            Expr::InList(list) => self.list(list),
            Expr::Case(case) => {
                let mut text = "CASE".to_owned();
                for (when, then) in &case.when_then_expr {
                    let (when, then) = (self.expr(when), self.typed(then, hint));
                    text.push_str(&format!(" WHEN {when} THEN {then}"));
                }
                if let Some(other) = &case.else_expr {
                    text.push_str(&format!(" ELSE {}", self.typed(other, hint)));
                }
                text + " END"
            }
            Expr::AggregateFunction(f) => {
                let args: Vec<String> = f.params.args.iter().map(|a| self.expr(a)).collect();
                let args = if args == ["1"] { "*".to_owned() } else { args.join(", ") };
                format!("{}({args})", f.func.name())
            }
            Expr::ScalarSubquery(_) => "(SubPlan)".to_owned(),
            other => other.to_string(),
        }
    }

    fn binary(&self, b: &BinaryExpr) -> String {
        if matches!(b.op, Operator::And | Operator::Or) {
            let mut parts = Vec::new();
            self.flatten(b, b.op, &mut parts);
            return format!("({})", parts.join(&format!(" {} ", b.op)));
        }
        let ty = self.type_of(&b.left).or_else(|| self.type_of(&b.right));
        let op = match b.op {
            Operator::NotEq => "<>".to_owned(),
            op => op.to_string(),
        };
        format!("({} {op} {})", self.typed(&b.left, ty), self.typed(&b.right, ty))
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
        let items: Vec<String> = list
            .list
            .iter()
            .map(|e| match e {
                Expr::Literal(value, _) => {
                    let kind = ty.map_or_else(|| scalar_kind(value), |t| t.kind);
                    let oid = ty.map_or(oid::TEXT, |t| t.oid);
                    scalar_to_datum(kind, value)
                        .map(|d| to_text(oid, &d, &self.ctx.io()))
                        .unwrap_or_default()
                }
                other => self.typed(other, ty),
            })
            .collect();
        let array = ty.map_or_else(|| "text[]".to_owned(), |t| format!("{}[]", self.name(t)));
        let (op, any) = if list.negated { ("<>", "ALL") } else { ("=", "ANY") };
        format!("({} {op} {any} ('{{{}}}'::{array}))", self.expr(&list.expr), items.join(","))
    }

    fn name(&self, ty: PgType) -> String {
        match oid::kind(ty.oid) {
            Some(_) => format_type(ty.oid, ty.typmod),
            None => crate::names::type_name(&self.ctx.catalog, ty.oid, ty.typmod),
        }
    }

    /// A constant: numbers and truth values bare, everything else quoted with its type.
    pub fn constant(&self, value: &Datum, ty: Option<PgType>) -> String {
        let ty = ty.unwrap_or_else(|| PgType::new(type_of_kind(value.kind())));
        if value.is_null() {
            return format!("NULL::{}", self.name(ty));
        }
        let text = to_text(ty.oid, value, &self.ctx.io());
        match value {
            Datum::Bool(v) => (if *v { "true" } else { "false" }).to_owned(),
            Datum::Int4(v) if *v >= 0 => text,
            Datum::Numeric(_) if !text.starts_with('-') => text,
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
