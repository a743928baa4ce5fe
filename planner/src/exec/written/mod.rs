//! Stored expressions as PostgreSQL writes them (`ruleutils.c`): every operator in parentheses, or as many
//! as the precedence asks for; the types of literals and implicit casts spelled out.

mod access;
mod call;
mod constant;
mod operator;
mod parentheses;

use std::cell::Cell;

use sqlparser::ast::{self, BinaryOperator as Op, CastKind, Expr, Ident, UnaryOperator, Value};
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{Function, TypeDef, TypeKind};
use vicinity_types::{Oid, oid};

use self::call::is_value_word;
use self::constant::is_bits;
use self::parentheses::Inside;
use super::dml::{Layout, binder};
use super::name;
use crate::bind::written_row;
use crate::call::{PgType, Typed, callable_of};
use crate::context::ExecContext;
use crate::names;
use crate::session_state::SessionState;
use crate::user_call::UserCall;

/// What names mean where an expression stands, and how they are written.
pub(crate) trait Names {
    /// The expression, bound.
    fn bind(&self, e: &Expr) -> Option<Typed>;
    /// A column.
    fn column(&self, parts: &[Ident]) -> Option<String>;
    /// A query within an expression, its lines beginning there.
    fn query(&self, query: &ast::Query, indent: usize) -> Option<String>;
    /// Where objects have their names: not always the catalog that the text is read with.
    fn catalog(&self) -> &Catalog;
    /// Whose search path may shorten names; without, they are written in full.
    fn path(&self) -> Option<&SessionState>;

    /// A table's row as a whole, also where it has a column of that name.
    fn row(&self, table: &Ident) -> Option<String> {
        self.column(std::slice::from_ref(table))
    }

    /// Whether this is a table's row as a whole.
    fn is_row(&self, e: &Expr) -> bool {
        let parts = match within(e) {
            Expr::Identifier(i) => std::slice::from_ref(i),
            Expr::CompoundIdentifier(parts) => parts,
            _ => return false,
        };
        self.column(parts).is_some_and(|text| text.ends_with(".*"))
    }

    /// A type.
    fn type_name(&self, ty: PgType) -> String {
        names::type_name_in(self.catalog(), self.path(), ty.oid, Some(ty.typmod))
    }

    /// A function: the name of a user's is looked up, PostgreSQL's own are found under any path.
    fn function_name(&self, f: &ast::Function, bound: &Typed) -> String {
        let called =
            callable_of(&bound.expr).and_then(|(c, _)| c.as_any().downcast_ref::<UserCall>());
        match called {
            Some(call) => self.user_function(call.function()),
            None => names::quote(&name::last(&f.name)),
        }
    }

    /// A user's function.
    fn user_function(&self, called: &Function) -> String {
        let catalog = self.catalog();
        let now = catalog.function(called.oid).map_or(called, |f| f);
        match self.path() {
            Some(session) => names::function_name(catalog, session, now),
            None => names::in_schema(catalog, now.schema, &now.name),
        }
    }
}

/// The names of the rows that a layout has.
pub(crate) struct RowNames<'a> {
    pub(crate) ctx: &'a ExecContext,
    pub(crate) layout: &'a Layout,
    pub(crate) catalog: &'a Catalog,
    pub(crate) path: Option<&'a SessionState>,
    /// How a column is written.
    pub(crate) column: &'a dyn Fn(&[Ident]) -> Option<String>,
}

impl Names for RowNames<'_> {
    fn bind(&self, e: &Expr) -> Option<Typed> {
        binder(self.ctx).expr_over(e, self.layout.scope()).ok()
    }

    fn column(&self, parts: &[Ident]) -> Option<String> {
        (self.column)(parts)
    }

    fn query(&self, _: &ast::Query, _: usize) -> Option<String> {
        None
    }

    fn catalog(&self) -> &Catalog {
        self.catalog
    }

    fn path(&self) -> Option<&SessionState> {
        self.path
    }
}

impl RowNames<'_> {
    /// Writes expressions over the rows.
    pub(crate) fn writer(&self, pretty: bool) -> Writer<'_> {
        Writer { ctx: self.ctx, names: self, indent: Cell::new(0), pretty }
    }
}

/// A column where there is one table.
pub(crate) fn table_column(layout: &Layout, catalog: &Catalog, parts: &[Ident]) -> Option<String> {
    let own = name::ident(parts.last()?);
    let items = &layout.scope().items;
    if items.iter().any(|item| item.columns.iter().any(|c| c.name == own)) {
        return Some(names::quote(&own));
    }
    // The row as a whole.
    let table = items.iter().find(|item| item.alias == own)?;
    let now = catalog.relation(table.relation).map_or(own, |r| r.name.clone());
    Some(format!("{}.*", names::quote(&now)))
}

/// Writes expressions.
pub(crate) struct Writer<'a> {
    pub(crate) ctx: &'a ExecContext,
    pub(crate) names: &'a dyn Names,
    /// Where the lines of a CASE begin.
    pub(crate) indent: Cell<usize>,
    /// Without the parentheses that only say what the precedence says.
    pub(crate) pretty: bool,
}

fn literal(e: &Expr) -> Option<&Value> {
    match e {
        Expr::Value(v) => Some(&v.value),
        Expr::Nested(inner) => literal(inner),
        _ => None,
    }
}

fn is_string(e: &Expr) -> bool {
    matches!(literal(e), Some(Value::SingleQuotedString(_)))
}

/// A word of the grammar that is a value, where it was read as a name.
fn value_word(name: &Ident) -> Option<String> {
    let word = name.value.to_uppercase();
    (name.quote_style.is_none() && is_value_word(&word)).then_some(word)
}

/// A literal that takes the type of what it stands in.
pub(crate) fn is_untyped(e: &Expr) -> bool {
    matches!(literal(e), Some(Value::SingleQuotedString(_) | Value::Null))
}

/// Whether an array constructor has nothing but literals in it, all as deep.
fn is_literal_array(elements: &[Expr]) -> bool {
    let inner = |e: &Expr| matches!(e, Expr::Array(array) if is_literal_array(&array.elem));
    let flat = elements.iter().all(|e| literal(e).is_some());
    !elements.is_empty() && (flat || elements.iter().all(inner))
}

/// An expression without the parentheses around it.
fn within(e: &Expr) -> &Expr {
    match e {
        Expr::Nested(inner) => within(inner),
        e => e,
    }
}

/// Types that stand for any other: what is given to them stays what it is.
fn is_polymorphic(ty: Oid) -> bool {
    vicinity_functions::type_by_oid(ty).is_some_and(|t| t.kind == b'p')
}

/// Two parts with a space between, unless the second begins a line.
pub(super) fn spaced(left: &str, right: &str) -> String {
    let space = if right.starts_with('\n') { "" } else { " " };
    format!("{left}{space}{right}")
}

impl Writer<'_> {
    fn bind(&self, e: &Expr) -> Option<Typed> {
        self.names.bind(e)
    }

    fn type_name(&self, ty: PgType) -> String {
        self.names.type_name(ty)
    }

    fn query(&self, query: &ast::Query) -> Option<String> {
        self.names.query(query, self.indent.get())
    }

    /// An expression without what changes nothing: parentheses, and casts to the type that it is of.
    pub(crate) fn bared<'e>(&self, e: &'e Expr) -> &'e Expr {
        match within(e) {
            Expr::Cast { expr, .. } if literal(expr).is_none() => {
                let types = self.bind(expr).zip(self.bind(e)).map(|(from, to)| (from.ty, to.ty));
                let same =
                    types.is_some_and(|(from, to)| from.oid == to.oid && from.typmod == to.typmod);
                if same { self.bared(expr) } else { e }
            }
            e => e,
        }
    }

    /// In the parentheses that say what the precedence says.
    fn group(&self, text: String) -> String {
        if self.pretty { text } else { format!("({text})") }
    }

    /// An expression in another.
    fn inside(&self, e: &Expr, inside: Inside) -> Option<String> {
        let text = self.expr(e)?;
        let bare = !self.pretty || self.is_simple(e, inside);
        Some(if bare { text } else { format!("({text})") })
    }

    /// An expression; `None` where it has a part that this does not know how to write.
    pub(crate) fn expr(&self, e: &Expr) -> Option<String> {
        Some(match e {
            Expr::Nested(inner) => self.expr(inner)?,
            Expr::Identifier(i) => {
                let column = self.names.column(std::slice::from_ref(i));
                column.or_else(|| value_word(i))?
            }
            Expr::CompoundIdentifier(parts) => self.names.column(parts)?,
            Expr::QualifiedWildcard(item, _) => {
                let parts: Option<Vec<Ident>> =
                    item.0.iter().map(|p| p.as_ident().cloned()).collect();
                self.names.column(&parts?)?
            }
            Expr::CompoundFieldAccess { root, access_chain } => self.access(root, access_chain)?,
            Expr::Value(v) => match &v.value {
                Value::SingleQuotedString(_) => self.typed_literal(e, PgType::new(oid::TEXT))?,
                Value::Boolean(b) => b.to_string(),
                Value::Number(n, _) => self.number(e, n)?,
                Value::Null => "NULL::text".to_owned(),
                bits if is_bits(bits) => self.constant(e)?,
                _ => return None,
            },
            Expr::UnaryOp { op, expr } => self.prefix(op, expr)?,
            Expr::BinaryOp { op: op @ (Op::And | Op::Or), .. } => self.junction(e, op)?,
            Expr::BinaryOp { left, op, right } => self.binary(e, left, op, right)?,
            Expr::Tuple(fields) => self.row(&fields.iter().collect::<Vec<_>>())?,
            Expr::Like { negated, any: false, expr, pattern, escape_char: None } => {
                let name = if *negated { "!~~" } else { "~~" };
                self.infix(e, expr, (name, None), pattern)?
            }
            Expr::ILike { negated, any: false, expr, pattern, escape_char: None } => {
                let name = if *negated { "!~~*" } else { "~~*" };
                self.infix(e, expr, (name, None), pattern)?
            }
            Expr::SimilarTo { negated, expr, pattern, escape_char } => {
                let escape = escape_char.as_ref().map(|v| Expr::Value(v.clone()));
                self.similar(e, (expr, *negated), pattern, escape.as_ref())?
            }
            Expr::IsNull(inner) => self.test(inner, "IS NULL")?,
            Expr::IsNotNull(inner) => self.test(inner, "IS NOT NULL")?,
            Expr::IsTrue(inner) => self.test(inner, "IS TRUE")?,
            Expr::IsFalse(inner) => self.test(inner, "IS FALSE")?,
            Expr::IsNotTrue(inner) => self.test(inner, "IS NOT TRUE")?,
            Expr::IsNotFalse(inner) => self.test(inner, "IS NOT FALSE")?,
            Expr::IsUnknown(inner) => self.test(inner, "IS UNKNOWN")?,
            Expr::IsNotUnknown(inner) => self.test(inner, "IS NOT UNKNOWN")?,
            Expr::Between { expr, negated, low, high } => {
                self.between(expr, *negated, low, high)?
            }
            Expr::InList { expr, list, negated } => self.list(e, expr, list, *negated)?,
            Expr::AnyOp { left, compare_op, right, .. } => {
                self.quantified(e, left, compare_op, "ANY", right)?
            }
            Expr::AllOp { left, compare_op, right } => {
                self.quantified(e, left, compare_op, "ALL", right)?
            }
            Expr::Cast { kind: CastKind::DoubleColon | CastKind::Cast, expr, .. } => {
                self.cast(expr, self.bind(e)?.ty)?
            }
            Expr::Collate { expr, collation } => {
                let text = self.inside(expr, Inside::Other)?;
                let name = names::quote(&name::last(collation));
                self.group(format!("{text} COLLATE {name}"))
            }
            Expr::TypedString(_) | Expr::Interval(_) => self.constant(e)?,
            Expr::AtTimeZone { timestamp, time_zone } => {
                let zone = match is_string(time_zone) {
                    true => self.typed_literal(time_zone, PgType::new(oid::TEXT))?,
                    false => self.inside(time_zone, Inside::Other)?,
                };
                format!("({} AT TIME ZONE {zone})", self.inside(timestamp, Inside::Other)?)
            }
            Expr::IsDistinctFrom(l, r) => self.distinct(e, l, r)?,
            Expr::IsNotDistinctFrom(l, r) => {
                self.group(format!("NOT {}", self.nested(self.distinct(e, l, r)?)))
            }
            Expr::Subquery(query) => format!("({})", self.query(query)?),
            Expr::Exists { subquery, negated } => {
                self.not(*negated, format!("(EXISTS ({}))", self.query(subquery)?))
            }
            Expr::InSubquery { expr, subquery, negated } => {
                self.not(*negated, self.among(expr, "=", "IN", subquery)?)
            }
            Expr::Array(array) => self.array(&array.elem, self.bind(e)?.ty)?,
            Expr::Function(f) => self.function(e, f)?,
            Expr::Case { operand, conditions, else_result, .. } => {
                self.case(e, operand.as_deref(), conditions, else_result.as_deref())?
            }
            _ => self.form(e)?,
        })
    }

    /// `ARRAY[...]` of a type; arrays within it are of the same one.
    fn array(&self, elements: &[Expr], whole: PgType) -> Option<String> {
        let elem = self.ctx.catalog.element_of(whole.oid)?;
        let nested = elements.iter().any(|e| self.is_array(e));
        let expected = PgType::new(if nested { whole.oid } else { elem });
        let items: Option<Vec<String>> =
            elements.iter().map(|e| self.given(e, expected, Inside::Free)).collect();
        Some(format!("ARRAY[{}]", items?.join(", ")))
    }

    fn is_array(&self, e: &Expr) -> bool {
        let array = |t: Typed| self.ctx.catalog.element_of(t.ty.oid).is_some();
        literal(e).is_none() && self.bind(e).is_some_and(array)
    }

    /// An array of literals under a cast, which is a cast of each of them.
    fn cast_array(&self, elements: &[Expr], elem: PgType) -> Option<String> {
        let item = |e: &Expr| match e {
            Expr::Array(inner) => self.cast_array(&inner.elem, elem),
            e => self.given(e, elem, Inside::Free),
        };
        let items: Option<Vec<String>> = elements.iter().map(item).collect();
        Some(format!("ARRAY[{}]", items?.join(", ")))
    }

    /// A table's row as a whole, where `*` would be its columns.
    pub(crate) fn whole_row(&self, e: &Expr) -> Option<String> {
        Some(format!("{}::{}", self.expr(e)?, self.type_name(self.bind(e)?.ty)))
    }

    fn not(&self, negated: bool, text: String) -> String {
        if negated { self.group(format!("NOT {text}")) } else { text }
    }

    /// What [`Writer::group`] left without parentheses, in some.
    fn nested(&self, text: String) -> String {
        if self.pretty { format!("({text})") } else { text }
    }

    fn prefix(&self, op: &UnaryOperator, e: &Expr) -> Option<String> {
        Some(match (op, literal(e)) {
            (UnaryOperator::Not, _) => self.group(format!("NOT {}", self.inside(e, Inside::Not)?)),
            (UnaryOperator::Minus, Some(Value::Number(n, _))) => {
                self.number_of(self.bind(e)?.ty, &format!("-{n}"))
            }
            _ => self.group(format!("{op} {}", self.inside(e, Inside::Operator(None, false))?)),
        })
    }

    /// AND and OR of all that is joined by it from the left.
    fn junction(&self, e: &Expr, op: &Op) -> Option<String> {
        let inside = if matches!(op, Op::And) { Inside::And } else { Inside::Or };
        let mut parts = Vec::new();
        let mut left = e;
        while let Expr::BinaryOp { left: l, op: own, right } = within(left) {
            if own != op {
                break;
            }
            parts.push(self.inside(right, inside)?);
            left = l;
        }
        parts.push(self.inside(left, inside)?);
        parts.reverse();
        Some(self.group(parts.join(&format!(" {op} "))))
    }

    /// `(type)` behind a value.
    fn cast(&self, e: &Expr, ty: PgType) -> Option<String> {
        if is_string(e) {
            return self.typed_literal(e, ty);
        }
        if matches!(literal(e), Some(Value::Null)) {
            return Some(format!("NULL::{}", self.type_name(ty)));
        }
        if matches!(within(e), Expr::Array(array) if array.elem.is_empty()) {
            return Some(format!("ARRAY[]::{}", self.type_name(ty)));
        }
        if let Some(row) = written_row(e).and_then(|fields| self.row_as(&fields, ty.oid)) {
            return Some(format!("{row}::{}", self.type_name(ty)));
        }
        if let Some(bits) = self.bits(e, ty) {
            return Some(bits);
        }
        let own = self.bind(e)?.ty;
        if own.oid == ty.oid && own.typmod == ty.typmod {
            return self.expr(e);
        }
        if let Expr::Array(array) = e
            && let Some(elem) = self.ctx.catalog.element_of(ty.oid)
            && ty.typmod < 0
            && is_literal_array(&array.elem)
        {
            return self.cast_array(&array.elem, PgType::new(elem));
        }
        let text = self.group(self.inside(e, Inside::Other)?);
        Some(format!("{text}::{}", self.type_name(ty)))
    }

    /// A value where a type is expected: literals carry it, other types are cast.
    fn given(&self, e: &Expr, expected: PgType, inside: Inside) -> Option<String> {
        if matches!(literal(e), Some(Value::Null)) {
            return Some(format!("NULL::{}", self.type_name(expected.typmod(-1))));
        }
        if is_string(e) {
            let ty = if is_polymorphic(expected.oid) { PgType::new(oid::TEXT) } else { expected };
            return self.typed_literal(e, ty.typmod(-1));
        }
        let own = self.bind(e)?.ty.oid;
        let same = own == expected.oid || is_polymorphic(expected.oid) || own == oid::UNKNOWN;
        let known = |def: &TypeDef| !matches!(def.kind, TypeKind::Domain { .. });
        let own_type = self.ctx.catalog.type_def(own).is_some_and(|def| known(def));
        if same || own_type {
            return self.inside(e, inside);
        }
        let text = self.group(self.inside(e, Inside::Other)?);
        let text = format!("{text}::{}", self.type_name(expected.typmod(-1)));
        let simple = !self.pretty
            || inside == Inside::Free
            || self.cast_is_call(own, expected.oid)
            || self.is_simple(e, Inside::Other);
        Some(if simple { text } else { format!("({text})") })
    }

    /// The same where implicit casts are not shown.
    fn hidden(&self, e: &Expr, expected: PgType) -> Option<String> {
        if literal(e).is_some() { self.given(e, expected, Inside::Free) } else { self.expr(e) }
    }

    /// A default of a column: a string is a value of the column's type.
    pub(crate) fn default(&self, e: &Expr, ty: PgType) -> Option<String> {
        if is_string(e) {
            return self.typed_literal(e, ty.typmod(-1));
        }
        let row = written_row(e).and_then(|fields| self.row_as(&fields, ty.oid));
        row.or_else(|| self.expr(e))
    }

    /// A value in a column of VALUES or of a set operation: a literal without a type of its own is
    /// of the column's, where that is known.
    pub(crate) fn listed(&self, e: &Expr, column: Option<&PgType>) -> Option<String> {
        match column {
            Some(ty) if is_untyped(e) => self.given(e, *ty, Inside::Free),
            _ => self.expr(e),
        }
    }

    fn case(
        &self,
        whole: &Expr,
        operand: Option<&Expr>,
        conditions: &[ast::CaseWhen],
        other: Option<&Expr>,
    ) -> Option<String> {
        let ty = self.bind(whole)?.ty;
        let indent = self.indent.get();
        let line = format!("\n{}", " ".repeat(indent));
        let mut out = format!("{line}CASE");
        self.indent.set(indent + 4);
        if let Some(operand) = operand {
            out = spaced(&out, &self.hidden(operand, PgType::new(oid::TEXT))?);
        }
        for c in conditions {
            let when = match operand {
                Some(operand) => {
                    let (_, value) = self.native(operand, "=", &c.condition)?;
                    self.hidden(&c.condition, value)?
                }
                None => self.expr(&c.condition)?,
            };
            out = spaced(&format!("{out}{line}    WHEN"), &when);
            out = spaced(&format!("{out} THEN"), &self.given(&c.result, ty, Inside::Free)?);
        }
        let other = match other {
            Some(e) => self.given(e, ty, Inside::Free)?,
            None => format!("NULL::{}", self.type_name(ty)),
        };
        self.indent.set(indent);
        Some(format!("{}{line}END", spaced(&format!("{out}{line}    ELSE"), &other)))
    }

    /// A key to sort or group by: what is no column or constant stands in parentheses. Operators have their
    /// own, but for the pretty form.
    pub(crate) fn key(&self, e: &Expr) -> Option<String> {
        let text = self.expr(e)?;
        let bare = match self.bared(e) {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::QualifiedWildcard(..) => true,
            Expr::Value(_) | Expr::TypedString(_) | Expr::Interval(_) => true,
            Expr::Cast { expr, .. } if literal(expr).is_some() => true,
            _ if self.pretty => false,
            Expr::Function(f) => {
                let word = name::last(&f.name);
                let form = matches!(word.as_str(), "coalesce" | "greatest" | "least" | "nullif");
                form || is_value_word(&word.to_uppercase())
            }
            Expr::Cast { expr, .. } => {
                let (from, to) = (self.bind(expr)?.ty.oid, self.bind(e)?.ty.oid);
                from == to || !self.cast_is_call(from, to)
            }
            Expr::Extract { .. }
            | Expr::AtTimeZone { .. }
            | Expr::Substring { .. }
            | Expr::Position { .. }
            | Expr::Trim { .. }
            | Expr::Overlay { .. } => false,
            _ => true,
        };
        Some(if bare { text } else { format!("({text})") })
    }
}

/// How a sort key goes on, where that is not the default.
pub(crate) fn direction(options: &ast::OrderByOptions) -> &'static str {
    match (options.asc.unwrap_or(true), options.nulls_first) {
        (true, Some(true)) => " NULLS FIRST",
        (true, _) => "",
        (false, Some(false)) => " DESC NULLS LAST",
        (false, _) => " DESC",
    }
}
