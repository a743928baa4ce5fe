//! Expressions.

use datafusion::logical_expr::{Case, Expr, Operator as Native, binary_expr, expr::InList};
use sqlparser::ast::{self, AccessExpr, CastKind, Subscript};
use vicinity_types::{Kind, PgError, Result, SqlState, oid};

use super::cast::one_of;
use super::function::Arguments;
use super::operator::{RowPairs, is_of_one_type, written_row, written_rows};
use super::special::Subscripts;
use super::{Binder, fold, special};
use crate::call::{PgType, Typed};
use crate::resolve::common::{listed_type, require_common, require_common_at};
use crate::resolve::types::part_type;
use crate::resolve::{Context, operator};
use crate::sql::star::ALL_FIELDS;

impl Binder<'_> {
    /// Binds an expression.
    pub(super) fn expr(&mut self, expr: &ast::Expr) -> Result<Typed> {
        self.deeper(1, |me| me.expr_inner(expr))
    }

    fn expr_inner(&mut self, expr: &ast::Expr) -> Result<Typed> {
        use ast::Expr as E;
        match expr {
            E::Identifier(ident) => self.identifier(ident),
            E::CompoundIdentifier(idents) => self.column(idents),
            E::Value(value) => self.value(value),
            E::Nested(inner) => self.expr(inner),
            E::BinaryOp { left, op, right } => self.binary(left, op, right),
            E::UnaryOp { op, expr } => self.unary(*op, expr),
            E::Prefixed { prefix, value } => {
                let place = super::position(prefix.span);
                let value = self.expr(value)?;
                self.prefix_operation(&prefix.value, value).map_err(|e| e.or_at(place))
            }
            E::Cast {
                kind: CastKind::Cast | CastKind::DoubleColon,
                expr,
                data_type,
                array: false,
                format: None,
            } => self.cast(expr, data_type),
            E::TypedString(typed) => {
                let target = self.named_type(&typed.data_type)?;
                let text = typed.value.value.clone().into_string();
                let place = super::position(typed.value.span);
                let constant = super::literal::unknown(text.as_deref());
                self.coerce(constant, target, Context::Explicit, place)
            }
            E::Interval(interval) => self.interval(interval),
            E::Function(function) => self.function(function),
            E::IsNull(inner) => self.is_null(inner, true),
            E::IsNotNull(inner) => self.is_null(inner, false),
            E::IsTrue(e) => self.truth(e, "IS TRUE", Expr::IsTrue),
            E::IsNotTrue(e) => self.truth(e, "IS NOT TRUE", Expr::IsNotTrue),
            E::IsFalse(e) => self.truth(e, "IS FALSE", Expr::IsFalse),
            E::IsNotFalse(e) => self.truth(e, "IS NOT FALSE", Expr::IsNotFalse),
            E::IsUnknown(e) => self.truth(e, "IS UNKNOWN", Expr::IsUnknown),
            E::IsNotUnknown(e) => self.truth(e, "IS NOT UNKNOWN", Expr::IsNotUnknown),
            E::IsDistinctFrom(l, r) => self.distinct(l, r, false),
            E::IsNotDistinctFrom(l, r) => self.distinct(l, r, true),
            E::InList { expr, list, negated } => self.in_list(expr, list, *negated),
            E::Between { expr, negated, low, high } => self.between(expr, *negated, low, high),
            E::Case { operand, conditions, else_result, .. } => self
                .without_sets("set-returning functions are not allowed in CASE", |me| {
                    me.case(operand.as_deref(), conditions, else_result.as_deref())
                }),
            E::Array(array) => self.array(array),
            E::Tuple(fields) if fields.is_empty() => {
                Err(PgError::new(SqlState::SYNTAX_ERROR, "syntax error at or near \")\""))
            }
            E::Tuple(fields) => {
                let fields = fields.iter().map(|f| self.expr(f)).collect::<Result<Vec<_>>>()?;
                self.row(fields)
            }
            E::CompoundFieldAccess { root, access_chain } => self.access(root, access_chain),
            E::QualifiedWildcard(item, _) => self.whole_item(item),
            E::AnyOp { left, compare_op, right, .. } => {
                self.quantified(left, compare_op, right, true)
            }
            E::AllOp { left, compare_op, right } => self.quantified(left, compare_op, right, false),
            E::Exists { subquery, negated } => self.exists(subquery, *negated),
            E::Subquery(query) => self.scalar_subquery(query),
            E::InSubquery { expr, subquery, negated } => self.in_subquery(expr, subquery, *negated),
            other => self.form(other),
        }
    }

    /// A name, or one of SQL's values that look like names.
    fn identifier(&mut self, ident: &ast::Ident) -> Result<Typed> {
        if ident.quote_style.is_none() {
            let word = ident.value.to_lowercase();
            if word == "default" {
                return Err(PgError::new(
                    SqlState::SYNTAX_ERROR,
                    "DEFAULT is not allowed in this context",
                )
                .or_at(super::position(ident.span)));
            }
            if let Some(value) = self.sql_value(&word)? {
                return Ok(value);
            }
        }
        self.column(std::slice::from_ref(ident))
    }

    fn cast(&mut self, expr: &ast::Expr, data_type: &ast::DataType) -> Result<Typed> {
        let target = self.named_type(data_type)?;
        let place = self.place(expr);
        // ARRAY[]::type[] knows its elements' type from here
        if let ast::Expr::Array(array) = expr
            && let Some(elem) = self.types.element(target.oid)
        {
            let elem = self.types.pg(elem, target.typmod);
            return self.array_of(&array.elem, elem, target);
        }
        let value = self.expr(expr)?;
        self.coerce(value, target, Context::Explicit, place)
    }

    fn is_null(&mut self, inner: &ast::Expr, want: bool) -> Result<Typed> {
        let value = self.expr(inner)?;
        let value = self.settled(value)?;
        if value.ty.kind == Kind::Record {
            return Ok(special::row_is_null(value, want));
        }
        let expr = Box::new(value.expr);
        let expr = if want { Expr::IsNull(expr) } else { Expr::IsNotNull(expr) };
        Ok(Typed::new(expr, PgType::new(oid::BOOL)))
    }

    fn truth(
        &mut self,
        inner: &ast::Expr,
        clause: &str,
        make: fn(Box<Expr>) -> Expr,
    ) -> Result<Typed> {
        let place = self.place(inner);
        let value = self.expr(inner)?;
        let value = self.boolean(value, clause, place)?;
        Ok(Typed::new(make(Box::new(value.expr)), PgType::new(oid::BOOL)))
    }

    fn distinct(&mut self, l: &ast::Expr, r: &ast::Expr, negated: bool) -> Result<Typed> {
        let bound = match written_rows(l, r) {
            Ok(Some(pairs)) => self.distinct_fields(pairs, negated),
            Ok(None) => {
                let (left, right) = (self.expr(l)?, self.expr(r)?);
                self.distinct_values(left, right, negated)
            }
            Err(e) => Err(e),
        };
        bound.map_err(|e| e.or_at(self.place_between(l, "is", r)))
    }

    /// Written rows are distinct where their fields are, each by its own types.
    fn distinct_fields(&mut self, pairs: RowPairs<'_>, negated: bool) -> Result<Typed> {
        let mut fields = Vec::with_capacity(pairs.len());
        for (l, r) in pairs {
            let (l, r) = (self.expr(l)?, self.expr(r)?);
            fields.push(self.distinct_values(l, r, negated)?.expr);
        }
        let expr = match (fields.is_empty(), negated) {
            (true, _) => datafusion::logical_expr::lit(negated),
            (false, true) => super::operator::balanced(fields, Native::And),
            (false, false) => super::operator::balanced(fields, Native::Or),
        };
        Ok(Typed::new(expr, PgType::new(oid::BOOL)))
    }

    fn distinct_values(&mut self, l: Typed, r: Typed, negated: bool) -> Result<Typed> {
        let op = operator::binary(&self.types, None, "=", l.ty.oid, r.ty.oid)?;
        let (left, right) = if !is_of_one_type(op) {
            (self.ty(op.left), self.ty(op.right))
        } else if op.left == op.right && !vicinity_functions::is_polymorphic(op.left) {
            (self.ty(op.left), self.ty(op.left))
        } else {
            let common = require_common(&self.types, &[l.ty.oid, r.ty.oid], "IS DISTINCT FROM")?;
            (self.ty(common), self.ty(common))
        };
        let l = self.coerce(l, left, Context::Implicit, None)?;
        let r = self.coerce(r, right, Context::Implicit, None)?;
        let operator = match is_plain(left.oid) && is_of_one_type(op) {
            true => None,
            false => Some(self.operator_call(op, left, right, PgType::new(oid::BOOL))?),
        };
        Ok(special::distinct_from(l, r, negated, operator))
    }

    fn in_list(&mut self, expr: &ast::Expr, list: &[ast::Expr], negated: bool) -> Result<Typed> {
        if written_row(expr).is_none() {
            return self.in_values(expr, list, negated);
        }
        let op = if negated { ast::BinaryOperator::NotEq } else { ast::BinaryOperator::Eq };
        let mut tests = Vec::with_capacity(list.len());
        for item in list {
            tests.push(self.binary(expr, &op, item)?.expr);
        }
        Ok(one_of(tests, negated))
    }

    /// `value [NOT] IN (items)`. Items without columns become one type, in which the value has a say; the others are
    /// compared each by its own.
    fn in_values(&mut self, expr: &ast::Expr, list: &[ast::Expr], negated: bool) -> Result<Typed> {
        let place = self.place(expr);
        let value = self.expr(expr)?;
        let (mut fixed, mut places, mut alone) = (Vec::new(), Vec::new(), Vec::new());
        for item in list {
            let bound = self.expr(item)?;
            let at = self.place(item);
            if bound.expr.any_column_refs() {
                alone.push((bound, at));
            } else {
                fixed.push(bound);
                places.push(at);
            }
        }
        let types: Vec<u32> = fixed.iter().map(|item| item.ty.oid).collect();
        let mut tests = match listed_type(&self.types, value.ty.oid, &types) {
            Some(ty) => {
                let ty = self.ty(ty);
                let items = self.coerce_all(fixed, ty, &places)?;
                self.in_alike(&value, items, ty, negated, place)?
            }
            None => {
                alone = fixed.into_iter().zip(places).chain(alone).collect();
                Vec::new()
            }
        };
        for (item, at) in alone {
            tests.push(self.in_one(&value, item, negated, place, at)?);
        }
        Ok(one_of(tests, negated))
    }

    /// The test of a value for one item of a list, each at its place.
    fn in_one(
        &mut self,
        value: &Typed,
        item: Typed,
        negated: bool,
        place: Option<usize>,
        at: Option<usize>,
    ) -> Result<Expr> {
        let word = unequal_or_equal(negated);
        let test = self.operation(None, word, value.clone(), item).map_err(|e| {
            // What cannot be read is the constant, not the operator.
            let unreadable = e.code().as_str().starts_with("22");
            e.or_at(if unreadable { at } else { place })
        })?;
        Ok(test.expr)
    }

    /// The tests of a value for items of one type. A value of another type stays what it is where the two have an
    /// operator of their own: a date need not be a timestamp to differ from one.
    fn in_alike(
        &mut self,
        value: &Typed,
        items: Vec<Typed>,
        ty: PgType,
        negated: bool,
        place: Option<usize>,
    ) -> Result<Vec<Expr>> {
        let word = unequal_or_equal(negated);
        let op = operator::binary(&self.types, None, word, value.ty.oid, ty.oid)
            .map_err(|e| e.or_at(place))?;
        if !is_of_one_type(op) {
            let array = self.types.array(ty.oid).map(|array| self.ty(array));
            let array = array.ok_or_else(|| PgError::internal("a list of no array type"))?;
            let array = special::array_ctor(items, array, ty.oid, false);
            let test = self.quantified_array(value.clone(), None, word, array, !negated);
            return Ok(vec![test.map_err(|e| e.or_at(place))?.expr]);
        }
        if is_plain(ty.oid) {
            let value = self.coerce(value.clone(), ty, Context::Implicit, place)?;
            let items = items.into_iter().map(|i| i.expr).collect();
            return Ok(among(value.expr, items, negated));
        }
        items.into_iter().map(|item| self.in_one(value, item, negated, place, None)).collect()
    }

    fn between(
        &mut self,
        expr: &ast::Expr,
        negated: bool,
        low: &ast::Expr,
        high: &ast::Expr,
    ) -> Result<Typed> {
        use ast::BinaryOperator as Op;
        let (from, to, op) = match negated {
            true => (Op::Lt, Op::Gt, Native::Or),
            false => (Op::GtEq, Op::LtEq, Native::And),
        };
        let both = if written_row(expr).is_some() {
            vec![self.binary(expr, &from, low)?.expr, self.binary(expr, &to, high)?.expr]
        } else {
            let value = self.expr(expr)?;
            let (below, above) = (self.expr(low)?, self.expr(high)?);
            let from = self.operation(None, &from.to_string(), value.clone(), below);
            let to =
                from.and_then(|f| Ok((f, self.operation(None, &to.to_string(), value, above)?)));
            let (from, to) = to.map_err(|e| e.or_at(self.place_between(expr, "between", low)))?;
            vec![from.expr, to.expr]
        };
        let both = super::operator::balanced(both, op);
        Ok(Typed::new(both, PgType::new(oid::BOOL)))
    }

    fn case(
        &mut self,
        operand: Option<&ast::Expr>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
    ) -> Result<Typed> {
        let operand = match operand {
            Some(operand) => {
                let value = self.expr(operand)?;
                Some(self.settled(value)?)
            }
            None => None,
        };
        let mut whens = Vec::new();
        let mut results = Vec::new();
        for when in conditions {
            let place = self.place(&when.condition);
            let condition = self.expr(&when.condition)?;
            whens.push(match &operand {
                Some(operand) => self
                    .operation(None, "=", operand.clone(), condition)
                    .map_err(|e| e.or_at(place))?,
                None => self.boolean(condition, "CASE/WHEN", place)?,
            });
            results.push(self.expr(&when.result)?);
        }
        let has_else = otherwise.is_some();
        if let Some(otherwise) = otherwise {
            // PostgreSQL looks at ELSE first
            results.insert(0, self.expr(otherwise)?);
        }
        let inputs: Vec<u32> = results.iter().map(|r| r.ty.oid).collect();
        let written = otherwise.into_iter().chain(conditions.iter().map(|when| &when.result));
        let places: Vec<_> = written.map(|e| self.place(e)).collect();
        let ty = require_common_at(&self.types, &inputs, "CASE", &places)?;
        let ty = self.ty(ty);
        let mut results = self.coerce_all(results, ty, &places)?;
        let ret = if has_else { one_of(&results, ty) } else { ty };
        let otherwise = if has_else {
            results.remove(0).expr
        } else {
            crate::call::literal(&vicinity_types::Datum::Null, ty)?
        };
        let pairs = whens
            .into_iter()
            .zip(results)
            .map(|(w, r)| (Box::new(w.expr), Box::new(r.expr)))
            .collect();
        Ok(Typed::new(Expr::Case(Case::new(None, pairs, Some(Box::new(otherwise)))), ret))
    }

    fn array(&mut self, array: &ast::Array) -> Result<Typed> {
        let mut values = Vec::new();
        for element in &array.elem {
            // `ARRAY[[1,2],[3,4]]`
            values.push(self.expr(element)?);
        }
        if values.is_empty() {
            return Err(PgError::new(
                SqlState::INDETERMINATE_DATATYPE,
                "cannot determine type of empty array",
            )
            .hint("Explicitly cast to the desired type, for example ARRAY[]::integer[]."));
        }
        let inputs: Vec<u32> = values.iter().map(|v| v.ty.oid).collect();
        let places: Vec<_> = array.elem.iter().map(|e| self.place(e)).collect();
        let common = require_common_at(&self.types, &inputs, "ARRAY", &places)?;
        if let Some(elem) = self.types.element(common) {
            let ty = self.ty(common);
            let values = self.coerce_all(values, ty, &places)?;
            return Ok(special::array_ctor(values, ty, elem, true));
        }
        let array = self.types.array(common).ok_or_else(|| {
            PgError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("could not find array type for data type {}", self.types.name(common)),
            )
        })?;
        let values = self.coerce_all(values, self.ty(common), &places)?;
        let typmod = one_of(&values, self.ty(common)).typmod;
        Ok(special::array_ctor(values, self.ty(array).typmod(typmod), common, false))
    }

    /// An array constructor whose element type a cast told.
    fn array_of(&mut self, elements: &[ast::Expr], elem: PgType, target: PgType) -> Result<Typed> {
        let mut nested = false;
        let mut values = Vec::new();
        for element in elements {
            let place = self.place(element);
            if let ast::Expr::Array(inner) = element {
                nested = true;
                values.push(self.array_of(&inner.elem, elem, target)?);
                continue;
            }
            let value = self.expr(element)?;
            if self.types.element(value.ty.oid).is_some() {
                nested = true;
                values.push(self.coerce(value, target, Context::Explicit, place)?);
            } else {
                values.push(self.coerce(value, elem, Context::Explicit, place)?);
            }
        }
        Ok(special::array_ctor(values, PgType { typmod: -1, ..target }, elem.oid, nested))
    }

    /// `ROW(...)`
    pub(super) fn row(&mut self, fields: Vec<Typed>) -> Result<Typed> {
        let fields = fields.into_iter().map(|f| self.settled(f)).collect::<Result<Vec<_>>>()?;
        Ok(super::row::row_ctor(fields, PgType::new(oid::RECORD)))
    }

    /// `a[1]`, `a[1:2]`, `(c).f`, and chains of them.
    fn access(&mut self, root: &ast::Expr, chain: &[AccessExpr]) -> Result<Typed> {
        let place = self.place(root);
        if let (ast::Expr::Array(_), Some(AccessExpr::Subscript(_))) = (root, chain.first()) {
            // Only in parentheses.
            let text = "syntax error at or near \"[\"";
            return Err(PgError::new(SqlState::SYNTAX_ERROR, text));
        }
        let (mut value, mut rest) = self.access_root(root, chain)?;
        while let Some(step) = rest.first() {
            match step {
                AccessExpr::Dot(field) => {
                    value = self.field(value, field, place)?;
                    rest = rest.get(1..).unwrap_or_default();
                }
                AccessExpr::Subscript(_) => {
                    let count =
                        rest.iter().take_while(|s| matches!(s, AccessExpr::Subscript(_))).count();
                    let (subscripts, tail) = rest.split_at(count);
                    value = self.subscripts(value, subscripts).map_err(|e| e.or_at(place))?;
                    rest = tail;
                }
            }
        }
        Ok(value)
    }

    /// `t.a[1]` begins with a column, `(t.a).b` with a value.
    fn access_root<'c>(
        &mut self,
        root: &ast::Expr,
        chain: &'c [AccessExpr],
    ) -> Result<(Typed, &'c [AccessExpr])> {
        if let ast::Expr::Identifier(first) = root {
            let mut idents = vec![first.clone()];
            for step in chain {
                match step {
                    AccessExpr::Dot(ast::Expr::Identifier(ident)) => idents.push(ident.clone()),
                    _ => break,
                }
            }
            for count in (1..=idents.len()).rev() {
                let Some(part) = idents.get(..count) else { continue };
                match self.column(part) {
                    Ok(value) => return Ok((value, chain.get(count - 1..).unwrap_or_default())),
                    Err(e) if count == 1 => return Err(e),
                    Err(_) => {}
                }
            }
        }
        Ok((self.expr(root)?, chain))
    }

    /// A field of a value that stands at `place`.
    fn field(&mut self, value: Typed, field: &ast::Expr, place: Option<usize>) -> Result<Typed> {
        let ast::Expr::Identifier(ident) = field else {
            return Err(PgError::unsupported("this field selection"));
        };
        let name = fold(ident);
        if name == ALL_FIELDS {
            let text = "row expansion via \"*\" is not supported here";
            let place = super::position(ident.span);
            return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, text).or_at(place));
        }
        let fields = self.row_fields(&value);
        let found = fields.iter().position(|(n, _)| *n == name);
        if let Some((i, ty)) = found.and_then(|i| fields.get(i).map(|(_, ty)| (i, *ty))) {
            self.note_field(value.ty.oid, i);
            return Ok(special::field_select(value, i, name, ty));
        }
        match self.function_of(&name, &value) {
            Some(value) => Ok(value),
            None if fields.is_empty() && value.ty.kind != Kind::Record => Err(PgError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!(
                    "column notation .{name} applied to type {}, which is not a composite type",
                    self.types.name(value.ty.oid)
                ),
            )
            .or_at(place)),
            None if value.ty.oid == oid::RECORD => Err(PgError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("could not identify column \"{name}\" in record data type"),
            )
            .or_at(place)),
            None => Err(PgError::new(
                SqlState::UNDEFINED_COLUMN,
                format!(
                    "column \"{name}\" not found in data type {}",
                    self.types.name(value.ty.oid)
                ),
            )
            .or_at(place)),
        }
    }

    fn subscripts(&mut self, value: Typed, steps: &[AccessExpr]) -> Result<Typed> {
        if value.ty.oid == oid::JSONB {
            return self.json_subscripts(value, steps);
        }
        let elem = self.subscripted(value.ty.oid)?;
        let elem = self.ty(elem).typmod(value.ty.typmod);
        match self.array_subscripts(steps)? {
            Subscripts::Element(indices) => Ok(special::subscript(value, indices, elem)),
            Subscripts::Slice(bounds) => special::slice(value, bounds),
        }
    }

    /// The type of the elements of a type that can be subscripted.
    pub(super) fn subscripted(&self, ty: u32) -> Result<u32> {
        part_type(&self.types.catalog, ty).ok_or_else(|| {
            PgError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "cannot subscript type {} because it does not support subscripting",
                    self.types.name(ty)
                ),
            )
        })
    }

    /// Subscripts of an array: where one is a slice, the others are slices up to them.
    pub(super) fn array_subscripts(&mut self, steps: &[AccessExpr]) -> Result<Subscripts> {
        vicinity_types::io::array::check_dims(steps.len())?;
        let sliced =
            steps.iter().any(|s| matches!(s, AccessExpr::Subscript(Subscript::Slice { .. })));
        let mut indices = Vec::new();
        let mut bounds = Vec::new();
        for step in steps {
            match step {
                AccessExpr::Subscript(Subscript::Index { index }) if sliced => {
                    let one = super::literal::number("1", false)?;
                    bounds.push((Some(one), Some(self.index(index)?)));
                }
                AccessExpr::Subscript(Subscript::Index { index }) => {
                    indices.push(self.index(index)?)
                }
                AccessExpr::Subscript(Subscript::Slice {
                    lower_bound,
                    upper_bound,
                    stride: None,
                }) => {
                    let lower = lower_bound.as_ref().map(|b| self.index(b)).transpose()?;
                    let upper = upper_bound.as_ref().map(|b| self.index(b)).transpose()?;
                    bounds.push((lower, upper));
                }
                _ => return Err(PgError::unsupported("this subscript")),
            }
        }
        Ok(if sliced { Subscripts::Slice(bounds) } else { Subscripts::Element(indices) })
    }

    /// `document['key'][0]`
    fn json_subscripts(&mut self, value: Typed, steps: &[AccessExpr]) -> Result<Typed> {
        let mut values = vec![value];
        for step in steps {
            let AccessExpr::Subscript(Subscript::Index { index }) = step else {
                return Err(PgError::new(
                    SqlState::DATATYPE_MISMATCH,
                    "jsonb subscript does not support slices",
                ));
            };
            let place = self.place(index);
            let index = self.expr(index)?;
            values.push(self.coerce(index, PgType::new(oid::TEXT), Context::Assignment, place)?);
        }
        let args = Arguments::plain(values);
        self.call(Some("pg_catalog"), "jsonb_extract_path", args)
    }

    fn index(&mut self, index: &ast::Expr) -> Result<Typed> {
        let place = self.place(index);
        let value = self.expr(index)?;
        let is_text = value.ty.oid == oid::UNKNOWN;
        self.coerce(value, PgType::new(oid::INT4), Context::Assignment, place).map_err(|e| {
            if is_text {
                return e;
            }
            PgError::new(SqlState::DATATYPE_MISMATCH, "array subscript must have type integer")
                .or_at(place)
        })
    }
}

/// What IN compares with, or NOT IN.
fn unequal_or_equal(negated: bool) -> &'static str {
    if negated { "<>" } else { "=" }
}

/// Whether one of the tests of IN holds, or all of those of NOT IN.
fn one_of(tests: Vec<Expr>, negated: bool) -> Typed {
    let joined = if negated { Native::And } else { Native::Or };
    Typed::new(super::operator::balanced(tests, joined), PgType::new(oid::BOOL))
}

/// The tests of `value [NOT] IN (items)`, of one type whose equality is Arrow's. Constants are looked up as a
/// list, before any other item is compared on its own: DataFusion takes a list for constant if it gives
/// constants over no rows, as a CASE of columns may.
fn among(value: Expr, items: Vec<Expr>, negated: bool) -> Vec<Expr> {
    let equal = if negated { Native::NotEq } else { Native::Eq };
    let mut tests = Vec::new();
    let mut others = items;
    if others.iter().filter(|item| is_listed(item)).count() > 1 {
        let (listed, rest) = others.into_iter().partition(is_listed);
        tests.push(Expr::InList(InList::new(Box::new(value.clone()), listed, negated)));
        others = rest;
    }
    tests.extend(others.into_iter().map(|item| binary_expr(value.clone(), equal, item)));
    tests
}

/// Whether an item is a constant, or will be one: a parameter, or a call of constants.
fn is_listed(item: &Expr) -> bool {
    match item {
        Expr::Literal(..) | Expr::Placeholder(_) => true,
        Expr::Cast(cast) => is_listed(&cast.expr),
        Expr::Negative(inner) => is_listed(inner),
        Expr::ScalarFunction(call) => {
            crate::push::access::is_row_free(item) && call.args.iter().all(is_listed)
        }
        _ => false,
    }
}

/// Types whose equality and order are Arrow's.
pub(super) fn is_plain(ty: u32) -> bool {
    matches!(
        ty,
        oid::BOOL
            | oid::INT2
            | oid::INT4
            | oid::INT8
            | oid::FLOAT4
            | oid::FLOAT8
            | oid::TEXT
            | oid::VARCHAR
            | oid::NAME
            | oid::CHAR
            | oid::DATE
            | oid::TIME
            | oid::TIMESTAMP
            | oid::TIMESTAMPTZ
            | oid::UUID
            | oid::OID
    )
}
