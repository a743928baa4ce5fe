//! Operators.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator as Native};
use sqlparser::ast::{self, BinaryOperator, Spanned, UnaryOperator};
use vicinity_functions::Operator;
use vicinity_types::{PgError, Result, SqlState, oid};

use super::expr::is_plain;
use super::{Binder, special};
use crate::call::{Builtin, Callable, PgType, Typed, call_expr, callable_of};
use crate::nearness::Nearness;
use crate::resolve::{Context, operator};

/// An operator's schema, if given, and name.
pub(super) fn operator_name(op: &BinaryOperator) -> (Option<String>, String) {
    match op {
        BinaryOperator::Custom(name) => (None, name.clone()),
        BinaryOperator::PGCustomBinaryOperator(parts) => match parts.as_slice() {
            [schema, name] => (Some(schema.to_lowercase()), name.clone()),
            [name] => (None, name.clone()),
            _ => (None, parts.join(".")),
        },
        other => (None, other.to_string()),
    }
}

impl Binder<'_> {
    /// A binary operation as written.
    pub(super) fn binary(
        &mut self,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
    ) -> Result<Typed> {
        match op {
            BinaryOperator::And | BinaryOperator::Or => return self.logical(left, op, right),
            BinaryOperator::Overlaps => {
                let bound = self.overlaps(left, right);
                return bound.map_err(|e| e.or_at(self.operator_place(left, op, right)));
            }
            _ => {}
        }
        let (schema, name) = operator_name(op);
        // Where it stands is looked for when it is asked for: that walks over all of both sides.
        match self.row_operation(left, &name, right) {
            Ok(None) => {}
            Ok(Some(rows)) => return Ok(rows),
            Err(e) => return Err(e.or_at(self.operator_place(left, op, right))),
        }
        let (bound_left, bound_right) = (self.expr(left)?, self.expr(right)?);
        let literal = match (bound_left.ty.oid, bound_right.ty.oid) {
            (oid::UNKNOWN, _) => left,
            _ => right,
        };
        self.operation(schema.as_deref(), &name, bound_left, bound_right).map_err(|e| {
            // What cannot be read is the constant, not the operator.
            let unreadable = e.code().as_str().starts_with("22");
            e.or_at(match unreadable {
                true => self.place(literal),
                false => self.operator_place(left, op, right),
            })
        })
    }

    /// `(from, to) OVERLAPS (from, to)`
    fn overlaps(&mut self, left: &ast::Expr, right: &ast::Expr) -> Result<Typed> {
        let mut args = Vec::with_capacity(4);
        for (row, side) in [(left, "left"), (right, "right")] {
            let fields = written_row(row).filter(|fields| fields.len() == 2);
            let Some(fields) = fields else {
                return Err(PgError::new(
                    SqlState::SYNTAX_ERROR,
                    format!("wrong number of parameters on {side} side of OVERLAPS expression"),
                )
                .or_at(self.place(row)));
            };
            for field in fields {
                args.push(self.expr(field)?);
            }
        }
        self.builtin("overlaps", args)
    }

    /// AND and OR: long chains become balanced trees, so that no walk over them goes deep.
    fn logical(
        &mut self,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
    ) -> Result<Typed> {
        let (word, native) = match op {
            BinaryOperator::And => ("AND", Native::And),
            _ => ("OR", Native::Or),
        };
        let mut operands = vec![right];
        let mut at = left;
        while let ast::Expr::BinaryOp { left, op: inner, right } = at
            && inner == op
        {
            operands.push(right);
            at = left;
        }
        operands.push(at);
        let mut exprs = Vec::with_capacity(operands.len());
        for operand in operands.into_iter().rev() {
            let place = self.place(operand);
            let value = self.expr(operand)?;
            exprs.push(self.boolean(value, word, place)?.expr);
        }
        Ok(Typed::new(balanced(exprs, native), PgType::new(oid::BOOL)))
    }

    /// The operator of a name over bound operands.
    pub(super) fn operation(
        &mut self,
        schema: Option<&str>,
        name: &str,
        left: Typed,
        right: Typed,
    ) -> Result<Typed> {
        let name = if name == "!=" { "<>" } else { name };
        let op = operator::binary(&self.types, schema, name, left.ty.oid, right.ty.oid)?;
        self.apply_operator(op, left, right)
    }

    pub(super) fn apply_operator(
        &mut self,
        op: &'static Operator,
        left: Typed,
        right: Typed,
    ) -> Result<Typed> {
        let inputs = [left.ty.oid, right.ty.oid];
        let mut declared = [op.left, op.right];
        let ret =
            crate::resolve::polymorphic::resolve(&self.types, &inputs, &mut declared, op.result)?;
        let left = self.coerce(left, self.ty(declared[0]), Context::Implicit, None)?;
        let right = self.coerce(right, self.ty(declared[1]), Context::Implicit, None)?;
        if let Some(native) = native_comparison(op, &left, &right) {
            return Ok(native);
        }
        let call = self.operator_call(op, left.ty, right.ty, self.ty(ret))?;
        let ret = call.ret();
        Ok(Typed::new(call_expr(call, vec![left.expr, right.expr]), ret))
    }

    /// The function behind an operator for resolved operand types.
    pub(super) fn operator_call(
        &self,
        op: &'static Operator,
        left: PgType,
        right: PgType,
        ret: PgType,
    ) -> Result<Arc<dyn Callable>> {
        let proc = vicinity_functions::proc_by_oid(op.code)
            .ok_or_else(|| PgError::unsupported(format!("operator {}", op.name)))?;
        Ok(Arc::new(Builtin::new(proc, Some(op), vec![left, right], ret, false)?))
    }

    /// A prefix operator over a bound operand.
    pub(super) fn prefix_operation(&mut self, name: &str, value: Typed) -> Result<Typed> {
        let op = operator::prefix(&self.types, None, name, value.ty.oid)?;
        let value = self.coerce(value, self.ty(op.right), Context::Implicit, None)?;
        let proc = vicinity_functions::proc_by_oid(op.code)
            .ok_or_else(|| PgError::unsupported(format!("operator {}", op.name)))?;
        let ret = self.ty(op.result);
        let call = Builtin::new(proc, Some(op), vec![value.ty], ret, false)?;
        Ok(Typed::new(call_expr(Arc::new(call), vec![value.expr]), ret))
    }

    pub(super) fn unary(&mut self, op: UnaryOperator, expr: &ast::Expr) -> Result<Typed> {
        let place = self.place(expr);
        match op {
            UnaryOperator::Not => {
                let value = self.expr(expr)?;
                let value = self.boolean(value, "NOT", place)?;
                Ok(Typed::new(Expr::Not(Box::new(value.expr)), PgType::new(oid::BOOL)))
            }
            UnaryOperator::Minus => {
                if let ast::Expr::Value(v) = expr
                    && let ast::Value::Number(text, _) = &v.value
                {
                    return super::literal::number(text, true);
                }
                let value = self.expr(expr)?;
                self.prefix_operation("-", value)
                    .map_err(|e| e.or_at(place.map(|p| p.saturating_sub(1))))
            }
            UnaryOperator::Plus => {
                let value = self.expr(expr)?;
                self.prefix_operation("+", value)
                    .map_err(|e| e.or_at(place.map(|p| p.saturating_sub(1))))
            }
            other => Err(PgError::unsupported(format!("operator {other}"))),
        }
    }

    /// Comparisons of rows: `(a, b) = (c, d)`, `(a, b) < (SELECT c, d)`.
    fn row_operation(
        &mut self,
        left: &ast::Expr,
        name: &str,
        right: &ast::Expr,
    ) -> Result<Option<Typed>> {
        if let (Some(left), ast::Expr::Subquery(query)) = (written_row(left), right) {
            return self.row_and_query(&left, name, query).map(Some);
        }
        let Some(written) = written_rows(left, right)? else { return Ok(None) };
        if written.is_empty() {
            return Err(PgError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "cannot compare rows of zero length",
            ));
        }
        let mut pairs = Vec::with_capacity(written.len());
        for (l, r) in written {
            pairs.push((self.expr(l)?, self.expr(r)?));
        }
        if let [(left, right)] = pairs.as_slice() {
            return self.operation(None, name, left.clone(), right.clone()).map(Some);
        }
        if matches!(name, "=" | "<>" | "!=") {
            let native = if name == "=" { Native::And } else { Native::Or };
            let mut exprs = Vec::new();
            for (l, r) in pairs {
                exprs.push(self.operation(None, name, l, r)?.expr);
            }
            return Ok(Some(Typed::new(balanced(exprs, native), PgType::new(oid::BOOL))));
        }
        let (mut ls, mut rs) = (Vec::new(), Vec::new());
        for (l, r) in pairs {
            let ty = self.compared(name, l.ty.oid, r.ty.oid)?;
            ls.push(self.coerce(l, ty, Context::Implicit, None)?);
            rs.push(self.coerce(r, ty, Context::Implicit, None)?);
        }
        let record = PgType::new(oid::RECORD);
        let (left, right) = (super::row::row_ctor(ls, record), super::row::row_ctor(rs, record));
        special::row_test(left, right, name).map(Some)
    }

    /// The type that two fields of rows are compared as.
    pub(super) fn compared(&self, name: &str, left: u32, right: u32) -> Result<PgType> {
        let name = if name == "!=" { "<>" } else { name };
        let op = operator::binary(&self.types, None, name, left, right)?;
        let same = op.left == op.right && !vicinity_functions::is_polymorphic(op.left);
        if same {
            return Ok(self.ty(op.left));
        }
        let common = crate::resolve::common::require_common(&self.types, &[left, right], "ROW")?;
        Ok(self.ty(common))
    }

    /// Where an expression begins.
    pub(super) fn place(&self, expr: &ast::Expr) -> Option<usize> {
        super::position(expr.span())
    }

    /// Where the operator between two operands stands.
    fn operator_place(
        &self,
        left: &ast::Expr,
        op: &BinaryOperator,
        right: &ast::Expr,
    ) -> Option<usize> {
        self.place_between(left, &operator_name(op).1, right)
    }

    /// Where an operator or a word stands last between two operands.
    pub(super) fn place_between(
        &self,
        left: &ast::Expr,
        name: &str,
        right: &ast::Expr,
    ) -> Option<usize> {
        let from = self.place(left)?;
        let to = self.place(right)?;
        let text = self.source.as_ref()?;
        let name: Vec<char> = name.chars().collect();
        let in_word = |c: Option<&char>| c.is_some_and(|c| c.is_alphanumeric() || *c == '_');
        let is_word = in_word(name.first());
        let between = text.between(from.saturating_sub(1), to.saturating_sub(1))?;
        let found = |(at, run): (usize, &[char])| {
            let inside = in_word(at.checked_sub(1).and_then(|i| between.get(i)))
                || in_word(between.get(at + run.len()));
            let alike = run.iter().zip(&name).all(|(a, b)| a.eq_ignore_ascii_case(b));
            (alike && !(is_word && inside)).then_some(at)
        };
        let at = between.windows(name.len().max(1)).enumerate().rev().find_map(found)?;
        Some(from + at)
    }
}

/// The fields of two rows that stand side by side.
pub(super) type RowPairs<'a> = Vec<(&'a ast::Expr, &'a ast::Expr)>;

/// The fields of two written rows, side by side; `None` where one side is no such row.
pub(super) fn written_rows<'a>(
    left: &'a ast::Expr,
    right: &'a ast::Expr,
) -> Result<Option<RowPairs<'a>>> {
    let (Some(left), Some(right)) = (written_row(left), written_row(right)) else {
        return Ok(None);
    };
    if left.len() != right.len() {
        return Err(PgError::new(
            SqlState::SYNTAX_ERROR,
            "unequal number of entries in row expressions",
        ));
    }
    Ok(Some(left.into_iter().zip(right).collect()))
}

/// The fields of `(a, b)` and of `ROW(a, b)`: comparisons of such rows are of their fields.
pub(crate) fn written_row(expr: &ast::Expr) -> Option<Vec<&ast::Expr>> {
    match expr {
        ast::Expr::Tuple(fields) => Some(fields.iter().collect()),
        ast::Expr::Nested(inner) => written_row(inner),
        ast::Expr::Function(f) => {
            let [ast::ObjectNamePart::Identifier(name)] = f.name.0.as_slice() else { return None };
            let ast::FunctionArguments::List(list) = &f.args else { return None };
            if name.quote_style.is_some() || !name.value.eq_ignore_ascii_case("row") {
                return None;
            }
            list.args
                .iter()
                .map(|arg| match arg {
                    ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => Some(expr),
                    _ => None,
                })
                .collect()
        }
        _ => None,
    }
}

/// A tree of a logical operator, as flat as can be.
pub(crate) fn balanced(mut exprs: Vec<Expr>, op: Native) -> Expr {
    if exprs.len() <= 1 {
        return exprs.pop().unwrap_or_else(|| datafusion::logical_expr::lit(op == Native::And));
    }
    // short chains stay left-deep: filters are split at their ANDs anyway
    if exprs.len() <= 16 {
        let mut rest = exprs.into_iter();
        let first = rest.next().unwrap_or_else(|| datafusion::logical_expr::lit(true));
        return rest.fold(first, |l, r| binary_expr(l, op, r));
    }
    let right = exprs.split_off(exprs.len() / 2);
    binary_expr(balanced(exprs, op), op, balanced(right, op))
}

fn binary_expr(left: Expr, op: Native, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr { left: Box::new(left), op, right: Box::new(right) })
}

/// DataFusion's own comparison, where Arrow orders the type as PostgreSQL does.
fn native_comparison(op: &Operator, left: &Typed, right: &Typed) -> Option<Typed> {
    let native = match op.name {
        "=" => Native::Eq,
        "<>" => Native::NotEq,
        "<" => Native::Lt,
        "<=" => Native::LtEq,
        ">" => Native::Gt,
        ">=" => Native::GtEq,
        _ => return None,
    };
    if !is_plain(op.left) || !is_plain(op.right) {
        return None;
    }
    let (l, r) = if left.ty.kind == right.ty.kind {
        // `date < timestamp` are different kinds, `timestamp < timestamptz` too
        (left.expr.clone(), right.expr.clone())
    } else {
        widened(left, right)?
    };
    Some(Typed::new(binary_expr(l, native, r), PgType::new(oid::BOOL)))
}

/// Whether values of two types are compared as those of the wider one, which has all of the other's.
fn is_widened(left: u32, right: u32) -> bool {
    let integer = |ty: u32| matches!(ty, oid::INT2 | oid::INT4 | oid::INT8);
    let float = |ty: u32| matches!(ty, oid::FLOAT4 | oid::FLOAT8);
    integer(left) && integer(right) || float(left) && float(right)
}

/// Whether an operator's operands can both be of one type without loss. A date is no timestamp to the operator of the
/// two: it may be one that no timestamp is.
pub(super) fn is_of_one_type(op: &Operator) -> bool {
    op.left == op.right || is_widened(op.left, op.right)
}

/// Integers of different width, and floats: both as the wider.
fn widened(left: &Typed, right: &Typed) -> Option<(Expr, Expr)> {
    if !is_widened(left.ty.oid, right.ty.oid) {
        return None;
    }
    let width = |ty: &PgType| ty.kind.width().unwrap_or(0);
    let to = if width(&left.ty) >= width(&right.ty) { left.ty } else { right.ty };
    Some((as_type(left, to)?, as_type(right, to)?))
}

fn as_type(value: &Typed, to: PgType) -> Option<Expr> {
    if value.ty.kind == to.kind {
        return Some(value.expr.clone());
    }
    if let Some(constant) = super::literal::widen(value, to) {
        return Some(constant.expr);
    }
    let target: DataType = to.arrow();
    Some(Expr::Cast(datafusion::logical_expr::Cast::new(Box::new(value.expr.clone()), target)))
}

/// The sort expression of a distance operator; others are what they are.
pub(super) fn order_value(value: Typed) -> Typed {
    let found = callable_of(&value.expr).and_then(|(call, args)| {
        Some((Nearness::of(call.operator()?, call.args())?, args.to_vec()))
    });
    match found {
        Some((nearness, args)) => nearness.over(args),
        None => value,
    }
}
