//! SQL's special forms: value functions, LIKE, AT TIME ZONE, EXTRACT, SUBSTRING and the like.

use datafusion::logical_expr::Expr;
use sqlparser::ast::{self, FunctionArguments, TrimWhereField};
use vicinity_functions::{SizedIn, column_size, lacks, lacks_order};
use vicinity_types::{Datum, PgError, Result, SqlState, oid};

use super::cast::one_of;
use super::function::Arguments;
use super::special::Special;
use super::{Binder, special};
use crate::call::{PgType, Typed};
use crate::resolve::Context;
use crate::resolve::common::require_common_at;

/// Where arguments begin.
pub(super) fn argument_places(args: &FunctionArguments) -> Vec<Option<usize>> {
    let FunctionArguments::List(list) = args else { return Vec::new() };
    list.args.iter().map(|arg| super::position(ast::Spanned::span(arg))).collect()
}

impl Binder<'_> {
    pub(super) fn builtin(&mut self, name: &str, values: Vec<Typed>) -> Result<Typed> {
        self.call(Some("pg_catalog"), name, Arguments::plain(values))
    }

    fn text(&mut self, text: &str) -> Result<Typed> {
        let unknown = super::literal::unknown(Some(text));
        self.coerce(unknown, PgType::new(oid::TEXT), Context::Implicit, None)
    }

    /// `CURRENT_DATE`, `USER`...; None if the word is no such value.
    pub(super) fn sql_value(&mut self, word: &str) -> Result<Option<Typed>> {
        let cast = |binder: &mut Self, ty: u32| {
            let now = binder.builtin("now", Vec::new())?;
            binder.coerce(now, PgType::new(ty), Context::Explicit, None)
        };
        Ok(Some(match word {
            "current_date" => cast(self, oid::DATE)?,
            "current_time" => cast(self, oid::TIMETZ)?,
            "current_timestamp" => self.builtin("now", Vec::new())?,
            "localtime" => cast(self, oid::TIME)?,
            "localtimestamp" => cast(self, oid::TIMESTAMP)?,
            "current_user" | "user" | "current_role" => self.builtin("current_user", Vec::new())?,
            "session_user" => self.builtin("session_user", Vec::new())?,
            "current_catalog" => self.builtin("current_database", Vec::new())?,
            "current_schema" => self.builtin("current_schema", Vec::new())?,
            _ => return Ok(None),
        }))
    }

    /// Calls whose grammar or typing is their own: COALESCE, NULLIF, GREATEST, ROW...
    pub(super) fn special_function(
        &mut self,
        f: &ast::Function,
        parts: &[String],
    ) -> Result<Option<Typed>> {
        let [name] = parts else { return Ok(None) };
        let quoted = matches!(f.name.0.first(),
            Some(ast::ObjectNamePart::Identifier(i)) if i.quote_style.is_some());
        if quoted {
            return Ok(None);
        }
        match name.as_str() {
            "coalesce" => {
                let why = "set-returning functions are not allowed in COALESCE";
                self.without_sets(why, |me| me.coalesce(&f.args)).map(Some)
            }
            "greatest" | "least" => {
                let values = self.arguments(&f.args)?.values;
                let inputs: Vec<u32> = values.iter().map(|v| v.ty.oid).collect();
                let places = argument_places(&f.args);
                let word = name.to_uppercase();
                let ty = require_common_at(&self.types, &inputs, &word, &places)?;
                if lacks_order(ty) {
                    return Err(lacks("a comparison function", &self.types.name(ty)));
                }
                let ty = self.ty(ty);
                let values = self.coerce_all(values, ty, &places)?;
                let (name, worse) = match name.as_str() {
                    "greatest" => ("greatest", "<"),
                    _ => ("least", ">"),
                };
                let op =
                    crate::resolve::operator::binary(&self.types, None, worse, ty.oid, ty.oid)?;
                let worse = self.operator_call(op, ty, ty, PgType::new(oid::BOOL))?;
                let ret = one_of(&values, ty);
                Ok(Some(special::greatest_least(name, values, ret, worse)))
            }
            "nullif" => self.nullif(&f.args).map(Some),
            "row" => {
                let values = self.row_values(&f.args)?;
                self.row(values).map(Some)
            }
            "array" => match &f.args {
                FunctionArguments::Subquery(query) => self.array_subquery(query).map(Some),
                _ => Ok(None),
            },
            "current_timestamp" | "current_time" | "localtime" | "localtimestamp" => {
                let args = self.arguments(&f.args)?;
                let value = self.sql_value(name)?;
                match (value, args.values.is_empty()) {
                    (Some(value), true) => Ok(Some(value)),
                    (Some(value), false) => self.with_precision(value, &args.values).map(Some),
                    _ => Ok(None),
                }
            }
            "pg_typeof" => {
                let values = self.arguments(&f.args)?.values;
                let [value] = values.as_slice() else { return Ok(None) };
                // A call, as what it is over may be an aggregate, or fail.
                let (ty, regtype) = (value.ty, PgType::new(oid::REGTYPE));
                let own = vicinity_types::Datum::Oid(ty.oid);
                let call =
                    Special::new("pg_typeof", vec![ty], regtype, move |_, _| Ok(own.clone()));
                Ok(Some(call.lenient().over(vec![value.expr.clone()])))
            }
            "pg_column_size" => {
                let values = self.arguments(&f.args)?.values;
                let [value] = values.as_slice() else { return Ok(None) };
                let (base, int4) = (self.types.base(value.ty.oid), PgType::new(oid::INT4));
                let place = match value.expr {
                    Expr::Column(_) => SizedIn::Row,
                    _ => SizedIn::Memory,
                };
                let detail = format!("{base} {place:?}");
                let call =
                    Special::new(
                        "pg_column_size",
                        vec![value.ty],
                        int4,
                        move |_, args| match args {
                            [value] if !value.is_null() => {
                                let size = column_size(value, base, place);
                                Ok(Datum::Int4(i32::try_from(size).unwrap_or(i32::MAX)))
                            }
                            _ => Ok(Datum::Null),
                        },
                    );
                Ok(Some(call.detail(detail).over(vec![value.expr.clone()])))
            }
            "grouping" => self.grouping_call(&f.args).map(Some),
            _ => Ok(None),
        }
    }

    /// The fields of `ROW(a, t.*)`: a table's columns each on its own.
    fn row_values(&mut self, args: &FunctionArguments) -> Result<Vec<Typed>> {
        let FunctionArguments::List(list) = args else { return Ok(self.arguments(args)?.values) };
        let mut values = Vec::with_capacity(list.args.len());
        for arg in &list.args {
            match arg {
                ast::FunctionArg::Unnamed(ast::FunctionArgExpr::QualifiedWildcard(item)) => {
                    values.extend(self.item_values(item)?);
                }
                arg => {
                    let mut one = Arguments::plain(Vec::new());
                    self.argument_list(std::slice::from_ref(arg), &mut one)?;
                    values.extend(one.values);
                }
            }
        }
        Ok(values)
    }

    fn with_precision(&mut self, value: Typed, args: &[Typed]) -> Result<Typed> {
        let precision = args
            .first()
            .and_then(|a| super::query::constant_int(&a.expr))
            .and_then(|p| i32::try_from(p.clamp(0, 6)).ok())
            .ok_or_else(|| super::literal::not_constant("precision"))?;
        let target = value.ty.typmod(precision);
        self.coerce(value, target, Context::Explicit, None)
    }

    fn coalesce(&mut self, args: &FunctionArguments) -> Result<Typed> {
        let values = self.arguments(args)?.values;
        let inputs: Vec<u32> = values.iter().map(|v| v.ty.oid).collect();
        let places = argument_places(args);
        let ty = require_common_at(&self.types, &inputs, "COALESCE", &places)?;
        let ty = self.ty(ty);
        let mut values = self.coerce_all(values, ty, &places)?;
        let ty = one_of(&values, ty);
        let Some(last) = values.pop() else {
            return Err(PgError::new(SqlState::SYNTAX_ERROR, "syntax error at or near \")\""));
        };
        // CASE evaluates later arguments only where they are needed, as COALESCE must
        let pairs = values
            .into_iter()
            .map(|v| {
                let test = datafusion::logical_expr::Expr::IsNotNull(Box::new(v.expr.clone()));
                (Box::new(test), Box::new(v.expr))
            })
            .collect::<Vec<_>>();
        if pairs.is_empty() {
            return Ok(last);
        }
        let case = datafusion::logical_expr::Case::new(None, pairs, Some(Box::new(last.expr)));
        Ok(Typed::new(datafusion::logical_expr::Expr::Case(case), ty))
    }

    fn nullif(&mut self, args: &FunctionArguments) -> Result<Typed> {
        let values = self.arguments(args)?.values;
        let [left, right] = values.as_slice() else {
            return Err(PgError::new(SqlState::SYNTAX_ERROR, "NULLIF requires two arguments"));
        };
        let same = self.operation(None, "=", left.clone(), right.clone())?;
        // an unknown first argument takes the type the operator compares it as
        let compared = match crate::resolve::operator::binary(
            &self.types,
            None,
            "=",
            left.ty.oid,
            right.ty.oid,
        ) {
            Ok(op) if left.ty.oid == oid::UNKNOWN => self.ty(op.left),
            _ => left.ty,
        };
        let left = self.coerce(left.clone(), compared, Context::Implicit, None)?;
        let null = crate::call::literal(&vicinity_types::Datum::Null, left.ty)?;
        let case = datafusion::logical_expr::Case::new(
            None,
            vec![(Box::new(same.expr), Box::new(null))],
            Some(Box::new(left.expr)),
        );
        Ok(Typed::new(datafusion::logical_expr::Expr::Case(case), left.ty))
    }

    /// The rest of sqlparser's expressions.
    pub(super) fn form(&mut self, expr: &ast::Expr) -> Result<Typed> {
        use ast::Expr as E;
        let place = self.place(expr);
        match expr {
            E::Like { negated, any: false, expr, pattern, escape_char } => {
                let op = if *negated { "!~~" } else { "~~" };
                self.like(op, expr, pattern, escape_char.as_ref())
            }
            E::ILike { negated, any: false, expr, pattern, escape_char } => {
                let op = if *negated { "!~~*" } else { "~~*" };
                self.like(op, expr, pattern, escape_char.as_ref())
            }
            E::SimilarTo { negated, expr, pattern, escape_char } => {
                let value = self.expr(expr)?;
                let mut args = vec![self.expr(pattern)?];
                if let Some(escape) = escape_char {
                    args.push(self.value(escape)?);
                }
                let pattern = self.builtin("similar_to_escape", args)?;
                let op = if *negated { "!~" } else { "~" };
                self.operation(Some("pg_catalog"), op, value, pattern)
            }
            E::AtTimeZone { timestamp, time_zone } => {
                let value = self.expr(timestamp)?;
                let zone = self.expr(time_zone)?;
                self.builtin("timezone", vec![zone, value])
            }
            E::Extract { field, expr, .. } => {
                let name = field.to_string().trim_matches('\'').to_lowercase();
                let field = self.text(&name)?;
                let value = self.expr(expr)?;
                self.builtin("extract", vec![field, value]).map_err(|e| e.or_at(place))
            }
            E::Ceil {
                expr,
                field: ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime),
            } => {
                let value = self.expr(expr)?;
                self.builtin("ceil", vec![value])
            }
            E::Floor {
                expr,
                field: ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime),
            } => {
                let value = self.expr(expr)?;
                self.builtin("floor", vec![value])
            }
            E::Position { expr, r#in } => {
                let (needle, text) = (self.expr(expr)?, self.expr(r#in)?);
                self.builtin("position", vec![text, needle])
            }
            E::Substring { expr, substring_from, substring_for, .. } => {
                let mut args = vec![self.expr(expr)?];
                match (substring_from, substring_for) {
                    (Some(from), length) => {
                        args.push(self.expr(from)?);
                        if let Some(length) = length {
                            args.push(self.expr(length)?);
                        }
                    }
                    (None, Some(length)) => {
                        args.push(super::literal::number("1", false)?);
                        args.push(self.expr(length)?);
                    }
                    (None, None) => {}
                }
                self.builtin("substring", args)
            }
            E::Trim { trim_where, trim_what, expr, trim_characters } => {
                let name = match trim_where {
                    Some(TrimWhereField::Leading) => "ltrim",
                    Some(TrimWhereField::Trailing) => "rtrim",
                    _ => "btrim",
                };
                let mut args = vec![self.expr(expr)?];
                if let Some(what) = trim_what {
                    args.push(self.expr(what)?);
                }
                for what in trim_characters.iter().flatten() {
                    args.push(self.expr(what)?);
                }
                self.builtin(name, args)
            }
            E::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let mut args =
                    vec![self.expr(expr)?, self.expr(overlay_what)?, self.expr(overlay_from)?];
                if let Some(length) = overlay_for {
                    args.push(self.expr(length)?);
                }
                self.builtin("overlay", args)
            }
            E::Collate { expr, collation } => {
                let name = super::name_parts(collation).pop().unwrap_or_default();
                let known = vicinity_functions::collations().iter().any(|c| c.name == name);
                if !known && name != "default" {
                    return Err(PgError::new(
                        SqlState::UNDEFINED_OBJECT,
                        format!("collation \"{name}\" for encoding \"UTF8\" does not exist"),
                    )
                    .or_at(place));
                }
                let value = self.expr(expr)?;
                self.types.check_collatable(value.ty.oid)?;
                Ok(value)
            }
            E::IsNormalized { expr, form, negated } => {
                let value = self.expr(expr)?;
                let form = form.map_or("NFC".to_owned(), |form| form.to_string());
                let args = vec![value, self.text(&form)?];
                let is = self.builtin("is_normalized", args).map_err(|e| e.or_at(place))?;
                let not = |is: Typed| Typed::new(Expr::Not(Box::new(is.expr)), is.ty);
                Ok(if *negated { not(is) } else { is })
            }
            other => Err(PgError::unsupported(format!("expression {other}")).or_at(place)),
        }
    }

    fn like(
        &mut self,
        op: &str,
        expr: &ast::Expr,
        pattern: &ast::Expr,
        escape: Option<&ast::ValueWithSpan>,
    ) -> Result<Typed> {
        let place = self.place(expr);
        let value = self.expr(expr)?;
        let mut pattern = self.expr(pattern)?;
        if let Some(escape) = escape {
            let escape = self.value(escape)?;
            pattern = self.builtin("like_escape", vec![pattern, escape])?;
        }
        self.operation(Some("pg_catalog"), op, value, pattern).map_err(|e| e.or_at(place))
    }

    /// `INTERVAL '1' DAY`
    pub(super) fn interval(&mut self, interval: &ast::Interval) -> Result<Typed> {
        let ast::Expr::Value(value) = interval.value.as_ref() else {
            return Err(PgError::unsupported("INTERVAL of an expression"));
        };
        let place = super::position(value.span);
        let mut text = value.value.clone().into_string().unwrap_or_default();
        let mut fields = None;
        if let Some(first) = &interval.leading_field {
            // a bare number counts the last unit named
            let last = interval.last_field.as_ref().unwrap_or(first);
            if text.trim().parse::<f64>().is_ok() {
                text = format!("{text} {last}");
            }
            fields = interval_fields(first, last);
        }
        let unknown = super::literal::unknown(Some(&text));
        let precision = interval.fractional_seconds_precision.or(interval.leading_precision);
        let target = self.resolve_type(&ast::DataType::Interval { fields, precision })?;
        self.coerce(unknown, target, Context::Explicit, place)
    }
}

fn interval_fields(
    first: &ast::DateTimeField,
    last: &ast::DateTimeField,
) -> Option<ast::IntervalFields> {
    use ast::{DateTimeField as F, IntervalFields as I};
    Some(match (first, last) {
        (F::Year, F::Year) => I::Year,
        (F::Month, F::Month) => I::Month,
        (F::Day, F::Day) => I::Day,
        (F::Hour, F::Hour) => I::Hour,
        (F::Minute, F::Minute) => I::Minute,
        (F::Second, F::Second) => I::Second,
        (F::Year, F::Month) => I::YearToMonth,
        (F::Day, F::Hour) => I::DayToHour,
        (F::Day, F::Minute) => I::DayToMinute,
        (F::Day, F::Second) => I::DayToSecond,
        (F::Hour, F::Minute) => I::HourToMinute,
        (F::Hour, F::Second) => I::HourToSecond,
        (F::Minute, F::Second) => I::MinuteToSecond,
        _ => return None,
    })
}
