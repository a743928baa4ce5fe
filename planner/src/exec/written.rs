//! Stored expressions as PostgreSQL writes them (`ruleutils.c`): every operator in parentheses, the
//! types of literals and implicit casts spelled out.

use std::cell::Cell;

use sqlparser::ast::{
    self, AccessExpr, BinaryOperator as Op, CastKind, Expr, FunctionArg, FunctionArgExpr,
    FunctionArgumentClause, FunctionArguments, Ident, Subscript, UnaryOperator, Value,
};
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{Function, TypeKind};
use vicinity_types::io::{text_in, to_text};
use vicinity_types::{Oid, oid};

use super::dml::{Layout, binder};
use super::name;
use crate::call::{PgType, Typed, callable_of, scalar_to_datum};
use crate::context::ExecContext;
use crate::names;
use crate::resolve::{Types, operator};
use crate::session_state::SessionState;
use crate::user_call::UserCall;

/// What names mean where an expression stands, and how they are written.
pub(crate) trait Names {
    /// The expression, bound.
    fn bind(&self, e: &Expr) -> Option<Typed>;
    /// A column.
    fn column(&self, parts: &[Ident]) -> Option<String>;
    /// A query within an expression.
    fn query(&self, query: &ast::Query) -> Option<String>;
    /// Where objects have their names: not always the catalog that the text is read with.
    fn catalog(&self) -> &Catalog;
    /// Whose search path may shorten names; without, they are written in full.
    fn path(&self) -> Option<&SessionState>;

    /// A type.
    fn type_name(&self, ty: PgType) -> String {
        // Without a length it is not `character`, which has one of 1.
        if ty.oid == oid::BPCHAR && ty.typmod < 0 {
            return "bpchar".to_owned();
        }
        names::type_name_in(self.catalog(), self.path(), ty.oid, ty.typmod)
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
        let own = names::quote(&now.name);
        if self.path().is_some_and(|s| s.search_path_oids(catalog).contains(&now.schema)) {
            return own;
        }
        let schema = catalog.schema(now.schema).map_or("?", |s| s.name.as_str());
        format!("{}.{own}", names::quote(schema))
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

    fn query(&self, _: &ast::Query) -> Option<String> {
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
    /// Writes expressions over the rows, on one line.
    pub(crate) fn writer(&self) -> Writer<'_> {
        Writer { ctx: self.ctx, names: self, indent: Cell::new(None) }
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
    /// Where the lines of a CASE begin; `None` where it begins no line of its own.
    pub(crate) indent: Cell<Option<usize>>,
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

/// An expression without the parentheses around it.
fn within(e: &Expr) -> &Expr {
    match e {
        Expr::Nested(inner) => within(inner),
        e => e,
    }
}

/// A value with the first of its fields and subscripts.
fn before_step(root: &Expr, chain: &[AccessExpr]) -> Expr {
    if chain.is_empty() {
        return root.clone();
    }
    Expr::CompoundFieldAccess { root: Box::new(root.clone()), access_chain: chain.to_vec() }
}

/// Words of the grammar that are values.
fn is_value_word(word: &str) -> bool {
    const WORDS: [&str; 10] = [
        "CURRENT_DATE",
        "CURRENT_TIME",
        "CURRENT_TIMESTAMP",
        "LOCALTIME",
        "LOCALTIMESTAMP",
        "CURRENT_USER",
        "CURRENT_ROLE",
        "SESSION_USER",
        "CURRENT_CATALOG",
        "CURRENT_SCHEMA",
    ];
    WORDS.contains(&word)
}

/// Types whose values are objects of the catalog.
fn is_reg(ty: Oid) -> bool {
    matches!(
        ty,
        oid::REGCLASS
            | oid::REGTYPE
            | oid::REGPROC
            | oid::REGPROCEDURE
            | oid::REGOPER
            | oid::REGOPERATOR
            | oid::REGROLE
            | oid::REGNAMESPACE
    )
}

/// Types that stand for any other: what is given to them stays what it is.
fn is_polymorphic(ty: Oid) -> bool {
    vicinity_functions::type_by_oid(ty).is_some_and(|t| t.kind == b'p')
}

impl Writer<'_> {
    fn bind(&self, e: &Expr) -> Option<Typed> {
        self.names.bind(e)
    }

    fn type_name(&self, ty: PgType) -> String {
        self.names.type_name(ty)
    }

    /// An expression; `None` where it has a part that this does not know how to write.
    pub(crate) fn expr(&self, e: &Expr) -> Option<String> {
        Some(match e {
            Expr::Nested(inner) => self.expr(inner)?,
            Expr::Identifier(i) => self.names.column(std::slice::from_ref(i))?,
            Expr::CompoundIdentifier(parts) => self.names.column(parts)?,
            Expr::QualifiedWildcard(item, _) => {
                let parts: Option<Vec<Ident>> =
                    item.0.iter().map(|p| p.as_ident().cloned()).collect();
                self.names.column(&parts?)?
            }
            Expr::CompoundFieldAccess { root, access_chain } => self.access(root, access_chain)?,
            Expr::Value(v) => match &v.value {
                Value::SingleQuotedString(_) => format!("{e}::text"),
                Value::Boolean(b) => b.to_string(),
                Value::Number(n, _) => self.number(e, n)?,
                Value::Null => "NULL::text".to_owned(),
                _ => return None,
            },
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => format!("(NOT {})", self.expr(expr)?),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match literal(expr) {
                Some(Value::Number(n, _)) => {
                    let ty = self.bind(expr)?.ty;
                    format!("'-{n}'::{}", self.type_name(ty))
                }
                _ => format!("(- {})", self.expr(expr)?),
            },
            Expr::UnaryOp { op, expr } => format!("({op} {})", self.expr(expr)?),
            Expr::BinaryOp { op: op @ (Op::And | Op::Or), .. } => {
                let mut parts = Vec::new();
                self.flatten(e, op, &mut parts)?;
                format!("({})", parts.join(&format!(" {op} ")))
            }
            Expr::BinaryOp { left, op, right } => {
                let name = if matches!(op, Op::NotEq) { "<>".to_owned() } else { op.to_string() };
                let (left, right) = self.operands(e, left, &name, right)?;
                format!("({left} {name} {right})")
            }
            Expr::Like { negated, any: false, expr, pattern, escape_char: None } => {
                let name = if *negated { "!~~" } else { "~~" };
                let (left, right) = self.operands(e, expr, name, pattern)?;
                format!("({left} {name} {right})")
            }
            Expr::ILike { negated, any: false, expr, pattern, escape_char: None } => {
                let name = if *negated { "!~~*" } else { "~~*" };
                let (left, right) = self.operands(e, expr, name, pattern)?;
                format!("({left} {name} {right})")
            }
            Expr::IsNull(inner) => format!("({} IS NULL)", self.expr(inner)?),
            Expr::IsNotNull(inner) => format!("({} IS NOT NULL)", self.expr(inner)?),
            Expr::IsTrue(inner) => format!("({} IS TRUE)", self.expr(inner)?),
            Expr::IsFalse(inner) => format!("({} IS FALSE)", self.expr(inner)?),
            Expr::IsNotTrue(inner) => format!("({} IS NOT TRUE)", self.expr(inner)?),
            Expr::IsNotFalse(inner) => format!("({} IS NOT FALSE)", self.expr(inner)?),
            Expr::IsUnknown(inner) => format!("({} IS UNKNOWN)", self.expr(inner)?),
            Expr::IsNotUnknown(inner) => format!("({} IS NOT UNKNOWN)", self.expr(inner)?),
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
                let ty = self.bind(e)?.ty;
                match literal(expr) {
                    Some(Value::SingleQuotedString(_)) => self.typed_literal(expr, ty)?,
                    Some(Value::Null) => format!("NULL::{}", self.type_name(ty)),
                    _ => format!("({})::{}", self.expr(expr)?, self.type_name(ty)),
                }
            }
            Expr::TypedString(_) | Expr::Interval(_) => self.constant(e)?,
            Expr::AtTimeZone { timestamp, time_zone } => {
                let zone = self.given(time_zone, PgType::new(oid::TEXT))?;
                format!("({} AT TIME ZONE {zone})", self.expr(timestamp)?)
            }
            Expr::Extract { field, expr, .. } => {
                format!("EXTRACT({} FROM {})", field.to_string().to_lowercase(), self.expr(expr)?)
            }
            Expr::IsDistinctFrom(l, r) | Expr::IsNotDistinctFrom(l, r) => {
                let (left, right) = self.operands(e, l, "=", r)?;
                let distinct = format!("({left} IS DISTINCT FROM {right})");
                let is = matches!(e, Expr::IsDistinctFrom(..));
                if is { distinct } else { format!("(NOT {distinct})") }
            }
            Expr::Subquery(query) => format!("({})", self.names.query(query)?),
            Expr::Exists { subquery, negated } => {
                let exists = format!("(EXISTS ({}))", self.names.query(subquery)?);
                if *negated { format!("(NOT {exists})") } else { exists }
            }
            Expr::InSubquery { expr, subquery, negated } => {
                let among = format!("({} IN ({}))", self.expr(expr)?, self.names.query(subquery)?);
                if *negated { format!("(NOT {among})") } else { among }
            }
            Expr::Array(array) => {
                let elem = self.ctx.catalog.element_of(self.bind(e)?.ty.oid)?;
                let items: Option<Vec<String>> =
                    array.elem.iter().map(|i| self.given(i, PgType::new(elem))).collect();
                format!("ARRAY[{}]", items?.join(", "))
            }
            Expr::Function(f) => self.function(e, f)?,
            Expr::Case { operand: None, conditions, else_result, .. } => {
                self.case(e, conditions, else_result.as_deref())?
            }
            _ => return None,
        })
    }

    fn flatten(&self, e: &Expr, op: &Op, parts: &mut Vec<String>) -> Option<()> {
        match e {
            Expr::BinaryOp { left, op: own, right } if own == op => {
                self.flatten(left, op, parts)?;
                self.flatten(right, op, parts)
            }
            Expr::Nested(inner) if matches!(&**inner, Expr::BinaryOp { op: own, .. } if own == op) => {
                self.flatten(inner, op, parts)
            }
            other => {
                parts.push(self.expr(other)?);
                Some(())
            }
        }
    }

    /// A value where a type is expected: literals carry it, other types are cast.
    fn given(&self, e: &Expr, expected: PgType) -> Option<String> {
        if matches!(literal(e), Some(Value::Null)) {
            return Some(format!("NULL::{}", self.type_name(expected.typmod(-1))));
        }
        if is_string(e) {
            let ty = if is_polymorphic(expected.oid) { PgType::new(oid::TEXT) } else { expected };
            return self.typed_literal(e, ty.typmod(-1));
        }
        let text = self.expr(e)?;
        let own = self.bind(e)?.ty.oid;
        let same = own == expected.oid || is_polymorphic(expected.oid) || own == oid::UNKNOWN;
        let domain = self.ctx.catalog.type_def(own).is_some();
        if same || domain {
            return Some(text);
        }
        Some(format!("({text})::{}", self.type_name(expected.typmod(-1))))
    }

    /// A default of a column: a string is a value of the column's type.
    pub(crate) fn default(&self, e: &Expr, ty: PgType) -> Option<String> {
        if is_string(e) { self.typed_literal(e, ty.typmod(-1)) } else { self.expr(e) }
    }

    /// A string that is a value of a type, as the type writes it: names in it are today's.
    fn typed_literal(&self, e: &Expr, ty: PgType) -> Option<String> {
        let given = literal(e)?;
        let Value::SingleQuotedString(text) = given else {
            return Some(format!("{given}::{}", self.type_name(ty)));
        };
        let label = self.ctx.catalog.type_def(ty.oid).and_then(|def| match &def.kind {
            TypeKind::Enum { labels } => labels.iter().find(|l| *l.text == **text),
            _ => None,
        });
        let value = match label {
            Some(label) => {
                let now = self.names.catalog().type_def(ty.oid)?;
                let TypeKind::Enum { labels } = &now.kind else { return None };
                labels.iter().find(|l| l.oid == label.oid)?.text.to_string()
            }
            None if is_reg(ty.oid) => self.reg_literal(text, ty.oid)?,
            None => match text_in(ty.oid, -1, text, &self.ctx.io()) {
                Ok(value) => to_text(ty.oid, &value, &self.ctx.io()),
                Err(_) => text.clone(),
            },
        };
        Some(format!("'{}'::{}", value.replace('\'', "''"), self.type_name(ty)))
    }

    /// A `regclass` and its kin: the object's name.
    fn reg_literal(&self, text: &str, ty: Oid) -> Option<String> {
        let (ctx, catalog) = (self.ctx, self.names.catalog());
        let object = names::reg_in(&ctx.catalog, &ctx.session, ty, text).ok()?;
        let in_full = self.names.path().is_none() && ty == oid::REGCLASS;
        match catalog.relation(object).filter(|_| in_full) {
            Some(r) => Some(crate::catalog::definition::qualified_name(catalog, r)),
            None => Some(
                names::reg_out(catalog, &ctx.session, ty, object)
                    .unwrap_or_else(|| object.to_string()),
            ),
        }
    }

    /// Both sides of an operator, as the types it was resolved to.
    fn operands(
        &self,
        whole: &Expr,
        left: &Expr,
        op: &str,
        right: &Expr,
    ) -> Option<(String, String)> {
        let bound = self.bind(whole)?;
        let resolved = callable_of(&bound.expr)
            .filter(|(c, args)| args.len() == 2 && c.operator().is_some() && c.args().len() == 2);
        let (l, r) = match resolved {
            Some((c, _)) => (*c.args().first()?, *c.args().get(1)?),
            None => self.native(left, op, right)?,
        };
        Some((self.given(left, l)?, self.given(right, r)?))
    }

    /// The types of an operator that is a form of the plan, not a call.
    fn native(&self, left: &Expr, op: &str, right: &Expr) -> Option<(PgType, PgType)> {
        let side = |e: &Expr| match is_string(e) {
            true => Some(PgType::new(oid::UNKNOWN)),
            false => self.bind(e).map(|t| t.ty),
        };
        let (l, r) = (side(left)?, side(right)?);
        let types = Types { catalog: self.ctx.catalog.clone() };
        let found = operator::binary(&types, None, op, l.oid, r.oid).ok();
        Some(match found.map(|o| (types.plain(o.left), types.plain(o.right))) {
            Some((left, right)) if !is_polymorphic(left.oid) => (left, right),
            _ => match (l.oid, r.oid) {
                (oid::UNKNOWN, oid::UNKNOWN) => (PgType::new(oid::TEXT), PgType::new(oid::TEXT)),
                (oid::UNKNOWN, _) => (r, r),
                (_, oid::UNKNOWN) => (l, l),
                _ => (l, r),
            },
        })
    }

    /// Fields and subscripts behind a value.
    fn access(&self, root: &Expr, chain: &[AccessExpr]) -> Option<String> {
        if let Expr::CompoundFieldAccess { root, access_chain } = within(root) {
            let whole = [access_chain.as_slice(), chain].concat();
            return self.access(root, &whole);
        }
        let (mut text, from, mut bare) = self.access_root(root, chain)?;
        for (at, step) in chain.iter().enumerate().skip(from) {
            match step {
                AccessExpr::Dot(Expr::Identifier(field)) => {
                    let before = before_step(root, chain.get(..at)?);
                    let row = self.bind(&before)?.ty.oid;
                    let field = names::quote(&self.field(row, &name::ident(field))?);
                    let behind = at > from;
                    text = if behind {
                        format!("{text}.{field}")
                    } else {
                        format!("({text}).{field}")
                    };
                    bare = true;
                }
                AccessExpr::Dot(_) => return None,
                AccessExpr::Subscript(subscript) => {
                    if !bare {
                        text = format!("({text})");
                    }
                    text.push_str(&self.subscript(subscript)?);
                    bare = true;
                }
            }
        }
        Some(text)
    }

    /// What fields and subscripts are taken of, how many of them it has in it, and whether it stands
    /// before a subscript without parentheses.
    fn access_root(&self, root: &Expr, chain: &[AccessExpr]) -> Option<(String, usize, bool)> {
        if let Expr::Identifier(first) = root {
            let mut parts = vec![first.clone()];
            parts.extend(chain.iter().map_while(|step| match step {
                AccessExpr::Dot(Expr::Identifier(part)) => Some(part.clone()),
                _ => None,
            }));
            for count in (2..=parts.len()).rev() {
                let column = parts.get(..count)?;
                if self.bind(&Expr::CompoundIdentifier(column.to_vec())).is_some() {
                    return Some((self.names.column(column)?, count - 1, true));
                }
            }
        }
        let inner = within(root);
        let column = matches!(inner, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
        Some((self.expr(inner)?, 0, column))
    }

    /// What a field of a row type is called now.
    fn field(&self, row: Oid, given: &str) -> Option<String> {
        let at = |catalog: &Catalog| {
            let columns = catalog.relation_of_type(row)?.columns()?;
            columns.iter().position(|c| !c.dropped && c.name == given)
        };
        let Some(at) = at(&self.ctx.catalog) else { return Some(given.to_owned()) };
        let now = self.names.catalog().relation_of_type(row)?;
        now.columns()?.get(at).map(|c| c.name.clone())
    }

    fn subscript(&self, subscript: &Subscript) -> Option<String> {
        let one = |e: &Option<Expr>| match e {
            Some(e) => self.expr(e),
            None => Some(String::new()),
        };
        match subscript {
            Subscript::Index { index } => Some(format!("[{}]", self.expr(index)?)),
            Subscript::Slice { lower_bound, upper_bound, stride: None } => {
                Some(format!("[{}:{}]", one(lower_bound)?, one(upper_bound)?))
            }
            Subscript::Slice { .. } => None,
        }
    }

    fn between(&self, e: &Expr, negated: bool, low: &Expr, high: &Expr) -> Option<String> {
        let part = |op: Op, bound: &Expr| {
            self.expr(&Expr::BinaryOp {
                left: Box::new(e.clone()),
                op,
                right: Box::new(bound.clone()),
            })
        };
        Some(match negated {
            false => format!("({} AND {})", part(Op::GtEq, low)?, part(Op::LtEq, high)?),
            true => format!("({} OR {})", part(Op::Lt, low)?, part(Op::Gt, high)?),
        })
    }

    /// `IN (...)`, as the comparison with an array that it is.
    fn list(&self, whole: &Expr, e: &Expr, list: &[Expr], negated: bool) -> Option<String> {
        self.bind(whole)?;
        let ty = self.bind(e)?.ty;
        let items: Option<Vec<String>> = list.iter().map(|i| self.given(i, ty)).collect();
        let array = format!("ARRAY[{}]", items?.join(", "));
        let (op, any) = if negated { ("<>", "ALL") } else { ("=", "ANY") };
        let own = self.expr(e)?;
        // Of varchar there is no comparison.
        Some(match ty.oid {
            oid::VARCHAR => format!("(({own})::text {op} {any} (({array})::text[]))"),
            _ => format!("({own} {op} {any} ({array}))"),
        })
    }

    /// `x op ANY (array)`, both sides as the types the operator was resolved to.
    fn quantified(
        &self,
        whole: &Expr,
        left: &Expr,
        op: &Op,
        word: &str,
        right: &Expr,
    ) -> Option<String> {
        let bound = self.bind(whole)?;
        // A query on the right is no array.
        let (call, _) = callable_of(&bound.expr).filter(|(_, args)| args.len() == 2)?;
        let [ours, array] = call.args() else { return None };
        let op = if matches!(op, Op::NotEq) { "<>".to_owned() } else { op.to_string() };
        let (ours, array) = (self.given(left, *ours)?, self.given(right, *array)?);
        Some(format!("({ours} {op} {word} ({array}))"))
    }

    /// A number without a sign, as the type it is read as writes it: a label where the text alone
    /// would be read as another type.
    fn number(&self, e: &Expr, digits: &str) -> Option<String> {
        let ty = self.bind(e)?.ty;
        let text = text_in(ty.oid, -1, digits, &self.ctx.io())
            .map_or_else(|_| digits.to_owned(), |v| to_text(ty.oid, &v, &self.ctx.io()));
        let plain = match ty.oid {
            oid::INT4 => true,
            oid::NUMERIC => !text.bytes().all(|b| b.is_ascii_digit()),
            _ => false,
        };
        Some(if plain { text } else { format!("'{text}'::{}", self.type_name(ty)) })
    }

    fn function(&self, whole: &Expr, f: &ast::Function) -> Option<String> {
        let word = name::last(&f.name).to_uppercase();
        let FunctionArguments::List(list) = &f.args else {
            return is_value_word(&word).then_some(word);
        };
        if is_value_word(&word) {
            let args: Vec<String> = list.args.iter().map(ToString::to_string).collect();
            return Some(format!("{word}({})", args.join(", ")));
        }
        if !f.within_group.is_empty() {
            return None;
        }
        let bound = self.bind(whole)?;
        let mut args = Vec::new();
        for a in &list.args {
            match a {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(e)) => args.push(e),
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard) if list.args.len() == 1 => {
                    let name = self.names.function_name(f, &bound);
                    return Some(format!("{name}(*){}", self.behind_call(f)?));
                }
                // A row as a whole, to an aggregate: that the argument is one is plain to see.
                FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(item))
                    if list.args.len() == 1 && list.clauses.is_empty() =>
                {
                    let parts: Option<Vec<Ident>> =
                        item.0.iter().map(|p| p.as_ident().cloned()).collect();
                    let (name, row) =
                        (self.names.function_name(f, &bound), self.names.column(&parts?)?);
                    let distinct = match list.duplicate_treatment {
                        Some(ast::DuplicateTreatment::Distinct) => "DISTINCT ",
                        _ => "",
                    };
                    return Some(format!("{name}({distinct}{row}){}", self.behind_call(f)?));
                }
                _ => return None,
            }
        }
        let own = name::last(&f.name);
        let common = matches!(own.as_str(), "coalesce" | "greatest" | "least" | "nullif");
        let types: Vec<PgType> = match callable_of(&bound.expr) {
            _ if common => vec![bound.ty; args.len()],
            Some((c, given)) if given.len() == args.len() => c.args().to_vec(),
            Some(_) => return None,
            // an aggregate or window function takes its arguments as they are
            None => args.iter().map(|e| self.bind(e).map(|t| t.ty)).collect::<Option<_>>()?,
        };
        let texts: Option<Vec<String>> =
            args.iter().zip(types).map(|(e, ty)| self.given(e, ty)).collect();
        let last = f.name.0.last().and_then(|part| part.as_ident());
        let row = own == "row" && last.is_some_and(|name| name.quote_style.is_none());
        let shown = match common || row {
            true => own.to_uppercase(),
            false => self.names.function_name(f, &bound),
        };
        let distinct = match list.duplicate_treatment {
            Some(ast::DuplicateTreatment::Distinct) => "DISTINCT ",
            _ => "",
        };
        let order = match list.clauses.as_slice() {
            [] => String::new(),
            [FunctionArgumentClause::OrderBy(keys)] => format!(" ORDER BY {}", self.keys(keys)?),
            _ => return None,
        };
        let behind = self.behind_call(f)?;
        Some(format!("{shown}({distinct}{}{order}){behind}", texts?.join(", ")))
    }

    /// FILTER and OVER.
    fn behind_call(&self, f: &ast::Function) -> Option<String> {
        let mut out = String::new();
        if let Some(filter) = &f.filter {
            out.push_str(&format!(" FILTER (WHERE {})", self.expr(filter)?));
        }
        match &f.over {
            None => {}
            Some(ast::WindowType::NamedWindow(name)) => {
                out.push_str(&format!(" OVER {}", names::quote(&name::ident(name))));
            }
            Some(ast::WindowType::WindowSpec(spec)) => {
                out.push_str(&format!(" OVER ({})", self.window(spec)?));
            }
        }
        Some(out)
    }

    fn window(&self, spec: &ast::WindowSpec) -> Option<String> {
        if spec.window_name.is_some() || spec.window_frame.is_some() {
            return None;
        }
        let mut parts = Vec::new();
        if !spec.partition_by.is_empty() {
            let key = |e: &Expr| Some(key_text(e, self.expr(e)?, false));
            let by: Option<Vec<String>> = spec.partition_by.iter().map(key).collect();
            parts.push(format!("PARTITION BY {}", by?.join(", ")));
        }
        if !spec.order_by.is_empty() {
            parts.push(format!("ORDER BY {}", self.keys(&spec.order_by)?));
        }
        Some(parts.join(" "))
    }

    fn keys(&self, keys: &[ast::OrderByExpr]) -> Option<String> {
        let key = |k: &ast::OrderByExpr| {
            k.with_fill.is_none().then_some(())?;
            Some(key_text(&k.expr, self.expr(&k.expr)?, false) + direction(&k.options))
        };
        Some(keys.iter().map(key).collect::<Option<Vec<_>>>()?.join(", "))
    }

    /// A constant with its type.
    fn constant(&self, e: &Expr) -> Option<String> {
        let bound = self.bind(e)?;
        let datafusion::logical_expr::Expr::Literal(value, _) = &bound.expr else { return None };
        let datum = scalar_to_datum(bound.ty.kind, value).ok()?;
        let text = to_text(bound.ty.oid, &datum, &self.ctx.io());
        Some(format!("'{}'::{}", text.replace('\'', "''"), self.type_name(bound.ty)))
    }

    fn case(
        &self,
        whole: &Expr,
        conditions: &[ast::CaseWhen],
        other: Option<&Expr>,
    ) -> Option<String> {
        let ty = self.bind(whole)?.ty;
        let indent = self.indent.get();
        let line = format!("\n{}", " ".repeat(indent.unwrap_or(0)));
        let mut out = if indent.is_some() { format!("{line}CASE") } else { "CASE".to_owned() };
        self.indent.set(indent.map(|i| i + 4));
        for c in conditions {
            let (when, then) = (self.expr(&c.condition)?, self.given(&c.result, ty)?);
            out.push_str(&format!("{line}    WHEN {when} THEN {then}"));
        }
        let other = match other {
            Some(e) => self.given(e, ty)?,
            None => format!("NULL::{}", self.type_name(ty)),
        };
        self.indent.set(indent);
        out.push_str(&format!("{line}    ELSE {other}{line}END"));
        Some(out)
    }
}

/// A key to sort or group by: what is no column or constant stands in parentheses. Operators have
/// their own, but for the pretty form.
pub(crate) fn key_text(e: &Expr, text: String, pretty: bool) -> String {
    let bare = match e {
        Expr::Nested(inner) => return key_text(inner, text, pretty),
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_) => true,
        Expr::TypedString(_) | Expr::Interval(_) => true,
        Expr::Function(f) => {
            let word = name::last(&f.name);
            let form = matches!(word.as_str(), "coalesce" | "greatest" | "least" | "nullif");
            (form || is_value_word(&word.to_uppercase())) && !pretty
        }
        Expr::Extract { .. } => false,
        _ => !pretty,
    };
    if bare { text } else { format!("({text})") }
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
