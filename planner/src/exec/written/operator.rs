//! Operators, and the comparisons that are made of them.

use sqlparser::ast::{self, BinaryOperator as Op, Expr};
use vicinity_storage::catalog::model::Column;
use vicinity_types::{Oid, oid};

use super::parentheses::{Inside, precedence};
use super::{Writer, is_polymorphic, is_string, is_untyped, spaced, within};
use crate::bind::written_row;
use crate::call::{PgType, callable_of};
use crate::resolve::common::listed_type;
use crate::resolve::{Types, operator};

impl Writer<'_> {
    /// `left op right`
    pub(super) fn binary(
        &self,
        whole: &Expr,
        left: &Expr,
        op: &Op,
        right: &Expr,
    ) -> Option<String> {
        if let (Some(l), Some(r)) = (written_row(left), written_row(right)) {
            return self.rows(&l, op, &r);
        }
        let name = if matches!(op, Op::NotEq) { "<>".to_owned() } else { op.to_string() };
        self.infix(whole, left, (&name, precedence(op)), right)
    }

    /// Rows compared: field by field where that is all there is to it.
    fn rows(&self, left: &[&Expr], op: &Op, right: &[&Expr]) -> Option<String> {
        let (inside, word) = match op {
            Op::Eq => (Inside::And, " AND "),
            Op::NotEq => (Inside::Or, " OR "),
            _ => return self.compared_rows(left, op, right),
        };
        let pair = |(l, r): (&&Expr, &&Expr)| {
            let (left, right) = (Box::new((*l).clone()), Box::new((*r).clone()));
            self.inside(&Expr::BinaryOp { left, op: op.clone(), right }, inside)
        };
        let pairs: Option<Vec<String>> = left.iter().zip(right).map(pair).collect();
        Some(self.group(pairs?.join(word)))
    }

    /// `ROW(...) < ROW(...)`, each pair of fields as the operator was resolved for it.
    fn compared_rows(&self, left: &[&Expr], op: &Op, right: &[&Expr]) -> Option<String> {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for (l, r) in left.iter().zip(right) {
            let (own, other) = self.native(l, &op.to_string(), r)?;
            ours.push(self.row_field(l, own)?);
            theirs.push(self.row_field(r, other)?);
        }
        let (ours, theirs) = (ours.join(", "), theirs.join(", "));
        Some(self.group(format!("ROW({ours}) {op} ROW({theirs})")))
    }

    /// A field of a row, where a type is expected.
    fn row_field(&self, e: &Expr, expected: PgType) -> Option<String> {
        if self.names.is_row(e) {
            return self.whole_row(e);
        }
        self.given(e, expected, Inside::Free)
    }

    /// `ROW(...)` of a composite type's fields; `None` where the type is none, or has not as many.
    pub(super) fn row_as(&self, fields: &[&Expr], ty: Oid) -> Option<String> {
        let columns = self.ctx.catalog.relation_of_type(ty)?.columns()?;
        let columns: Vec<_> = columns.iter().filter(|c| !c.dropped).collect();
        if columns.len() != fields.len() {
            return None;
        }
        let field = |(e, c): (&&Expr, &&Column)| {
            if self.names.is_row(e) {
                return self.whole_row(e);
            }
            let kind = self.ctx.catalog.kind_of(c.type_oid);
            self.cast(e, PgType::with_kind(c.type_oid, c.typmod, kind))
        };
        let fields: Option<Vec<String>> = fields.iter().zip(&columns).map(field).collect();
        Some(format!("ROW({})", fields?.join(", ")))
    }

    /// `ROW(...)`
    pub(super) fn row(&self, fields: &[&Expr]) -> Option<String> {
        let field = |e: &&Expr| if self.names.is_row(e) { self.whole_row(e) } else { self.expr(e) };
        let fields: Option<Vec<String>> = fields.iter().map(field).collect();
        Some(format!("ROW({})", fields?.join(", ")))
    }

    pub(super) fn infix(
        &self,
        whole: &Expr,
        left: &Expr,
        (op, precedence): (&str, Option<u8>),
        right: &Expr,
    ) -> Option<String> {
        let (l, r) = self.operands(whole, left, op, right)?;
        let left = self.given(left, l, Inside::Operator(precedence, true))?;
        let right = self.given(right, r, Inside::Operator(precedence, false))?;
        Some(self.group(spaced(&format!("{left} {op}"), &right)))
    }

    /// `SIMILAR TO`, which is a match of the regular expression that a function makes of the pattern.
    pub(super) fn similar(
        &self,
        whole: &Expr,
        (e, negated): (&Expr, bool),
        pattern: &Expr,
        escape: Option<&Expr>,
    ) -> Option<String> {
        let text = PgType::new(oid::TEXT);
        let bound = self.bind(whole)?;
        let matched = callable_of(&bound.expr).and_then(|(c, _)| c.args().first().copied());
        let parts = std::iter::once(pattern).chain(escape);
        let parts: Option<Vec<String>> =
            parts.map(|part| self.given(part, text, Inside::Free)).collect();
        let value = self.given(e, matched.unwrap_or(text), Inside::Operator(None, true))?;
        let op = if negated { "!~" } else { "~" };
        Some(self.group(format!("{value} {op} similar_to_escape({})", parts?.join(", "))))
    }

    pub(super) fn test(&self, e: &Expr, is: &str) -> Option<String> {
        Some(self.group(format!("{} {is}", self.inside(e, Inside::Other)?)))
    }

    pub(super) fn distinct(&self, whole: &Expr, left: &Expr, right: &Expr) -> Option<String> {
        let (l, r) = self.operands(whole, left, "=", right)?;
        let left = self.given(left, l, Inside::Other)?;
        let right = self.given(right, r, Inside::Other)?;
        Some(self.group(format!("{left} IS DISTINCT FROM {right}")))
    }

    /// The types that an operator was resolved to.
    fn operands(
        &self,
        whole: &Expr,
        left: &Expr,
        op: &str,
        right: &Expr,
    ) -> Option<(PgType, PgType)> {
        let bound = self.bind(whole)?;
        let resolved = callable_of(&bound.expr)
            .filter(|(c, args)| args.len() == 2 && c.operator().is_some() && c.args().len() == 2);
        match resolved {
            Some((c, _)) => Some((*c.args().first()?, *c.args().get(1)?)),
            None => self.native(left, op, right),
        }
    }

    /// The types of an operator that is a form of the plan, not a call.
    pub(super) fn native(&self, left: &Expr, op: &str, right: &Expr) -> Option<(PgType, PgType)> {
        let side = |e: &Expr| match is_string(e) {
            true => Some(PgType::new(oid::UNKNOWN)),
            false => self.bind(e).map(|t| t.ty),
        };
        let (l, r) = (side(left)?, side(right)?);
        let types = Types::of(self.ctx);
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

    pub(super) fn between(
        &self,
        e: &Expr,
        negated: bool,
        low: &Expr,
        high: &Expr,
    ) -> Option<String> {
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

    /// `IN (...)`: a comparison with an array of the values that have no columns in them, and one with each
    /// that has; one with each where the values cannot be an array.
    pub(super) fn list(
        &self,
        whole: &Expr,
        e: &Expr,
        list: &[Expr],
        negated: bool,
    ) -> Option<String> {
        self.bind(whole)?;
        let op = if negated { Op::NotEq } else { Op::Eq };
        let (mut values, mut types, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for item in list {
            if self.bind(item)?.expr.any_column_refs() {
                others.push(item);
            } else {
                types.push(self.own_type(item)?);
                values.push(item);
            }
        }
        let row = written_row(e).is_some();
        let listed = match row {
            true => None,
            false => listed_type(&Types::of(self.ctx), self.own_type(e)?, &types),
        };
        let array = match listed {
            Some(ty) => Some(self.array_list(e, &values, ty, &op)?),
            None => {
                others = list.iter().collect();
                None
            }
        };
        self.one_of(e, array, &others, &op)
    }

    /// The type that an item of a list has by itself.
    fn own_type(&self, e: &Expr) -> Option<Oid> {
        if is_untyped(e) { Some(oid::UNKNOWN) } else { self.bind(e).map(|t| t.ty.oid) }
    }

    /// The comparisons that IN is made of, joined one after the other: with the array, and with each of `items`.
    fn one_of(&self, e: &Expr, array: Option<String>, items: &[&Expr], op: &Op) -> Option<String> {
        let compared = |item: &Expr| {
            let (left, right) = (Box::new(e.clone()), Box::new(item.clone()));
            Expr::BinaryOp { left, op: op.clone(), right }
        };
        match (array, items) {
            (Some(array), []) => Some(array),
            (None, [one]) => self.expr(&compared(one)),
            (array, items) => {
                let (inside, word) = match op {
                    Op::NotEq => (Inside::And, "AND"),
                    _ => (Inside::Or, "OR"),
                };
                let mut all = array.map(|array| self.nested(array));
                for item in items {
                    let part = self.inside(&compared(item), inside)?;
                    all = Some(match all {
                        Some(before) => self.group(format!("{before} {word} {part}")),
                        None => part,
                    });
                }
                all
            }
        }
    }

    /// A comparison with an array of values that become one type, of the types that the operator has.
    fn array_list(&self, e: &Expr, values: &[&Expr], ty: Oid, op: &Op) -> Option<String> {
        let (op, any) = if matches!(op, Op::NotEq) { ("<>", "ALL") } else { ("=", "ANY") };
        let types = Types::of(self.ctx);
        let compared = operator::binary(&types, None, op, self.own_type(e)?, ty).ok()?;
        let elem = types.plain(ty);
        let items: Option<Vec<String>> =
            values.iter().map(|i| self.given(i, elem, Inside::Free)).collect();
        let mut array = format!("ARRAY[{}]", items?.join(", "));
        // An operator of any type is one of theirs.
        let own = if is_polymorphic(compared.left) { elem } else { types.plain(compared.left) };
        if compared.right != ty && !is_polymorphic(compared.right) {
            let cast = self.type_name(types.plain(types.array(compared.right)?));
            array = format!("{}::{cast}", self.group(array));
        }
        let own = self.given(e, own, Inside::Other)?;
        Some(self.group(format!("{own} {op} {any} ({array})")))
    }

    /// `x op ANY (array)`, both sides as the types the operator was resolved to.
    pub(super) fn quantified(
        &self,
        whole: &Expr,
        left: &Expr,
        op: &Op,
        word: &str,
        right: &Expr,
    ) -> Option<String> {
        let op = if matches!(op, Op::NotEq) { "<>".to_owned() } else { op.to_string() };
        if let Expr::Subquery(query) = within(right) {
            let any =
                if word == "ANY" && op == "=" { "IN".to_owned() } else { format!("{op} {word}") };
            return self.among(left, &op, &any, query);
        }
        let bound = self.bind(whole)?;
        let (call, _) = callable_of(&bound.expr).filter(|(_, args)| args.len() == 2)?;
        let [ours, array] = call.args() else { return None };
        let ours = self.given(left, *ours, Inside::Other)?;
        let array = self.given(right, *array, Inside::Other)?;
        Some(self.group(format!("{ours} {op} {word} ({array})")))
    }

    /// A value, or a row of them, that is looked for in a query.
    pub(super) fn among(
        &self,
        e: &Expr,
        op: &str,
        word: &str,
        query: &ast::Query,
    ) -> Option<String> {
        let text = match within(e) {
            Expr::Tuple(fields) => {
                let fields: Option<Vec<String>> = fields.iter().map(|f| self.expr(f)).collect();
                format!("({})", fields?.join(", "))
            }
            e => {
                let column = Expr::Subquery(Box::new(query.clone()));
                let (ours, _) = self.native(e, op, &column)?;
                self.given(e, ours, Inside::Free)?
            }
        };
        Some(format!("({text} {word} ({}))", self.query(query)?))
    }
}
