//! From `Expr` to [`Node`].
//!
//! An `Expr` knows Arrow types only; a value's kind comes from where it is born (a column, a call) or
//! from where it goes (an argument, a comparison's other side), so it is handed down as a hint.

use std::sync::Arc;

use datafusion::common::{Column, ScalarValue, TableReference};
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, Operator, SortExpr, Volatility};
use hashbrown::HashSet;
use vicinity_types::{Datum, Kind, PgError, Result, encode_key};

use super::node::{CallNode, CompareOp, Node};
use super::number::{Int, Num, as_i64, is_whole};
use super::sort::SortNode;
use crate::call::{Callable, callable_of, scalar_kind, scalar_to_datum};
use crate::df::source::{Origin, SourceColumn};

/// A column an expression may name.
#[derive(Clone, Debug)]
struct Visible {
    qualifier: Option<TableReference>,
    name: String,
    kind: Kind,
    at: At,
}

#[derive(Clone, Copy, Debug)]
enum At {
    Value(usize),
    Origin(Origin),
}

/// The columns expressions are compiled over.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    columns: Vec<Visible>,
}

impl Scope {
    /// No columns.
    pub fn empty() -> Scope {
        Scope::default()
    }

    /// A source's columns under a qualifier; rows are the storage's.
    pub fn stored(qualifier: Option<&TableReference>, columns: &[SourceColumn]) -> Scope {
        let columns = columns.iter().map(|c| Visible {
            qualifier: qualifier.cloned(),
            name: c.name.clone(),
            kind: c.ty.kind,
            at: At::Origin(c.origin),
        });
        Scope { columns: columns.collect() }
    }

    /// Values in order.
    pub fn values<'a>(
        columns: impl IntoIterator<Item = (Option<&'a TableReference>, &'a str, Kind)>,
    ) -> Scope {
        let columns = columns.into_iter().enumerate().map(|(i, (qualifier, name, kind))| Visible {
            qualifier: qualifier.cloned(),
            name: name.to_owned(),
            kind,
            at: At::Value(i),
        });
        Scope { columns: columns.collect() }
    }

    fn find(&self, column: &Column) -> Option<&Visible> {
        let qualified = |c: &&Visible| match (&column.relation, &c.qualifier) {
            (Some(want), Some(have)) => want == have,
            (Some(_), None) => false,
            (None, _) => true,
        };
        self.columns.iter().filter(|c| c.name == column.name).find(qualified)
    }

    /// A column's kind.
    pub fn kind(&self, column: &Column) -> Option<Kind> {
        self.find(column).map(|c| c.kind)
    }

    /// The stored column an expression is, bare or under an alias.
    pub fn stored_column(&self, expr: &Expr) -> Option<usize> {
        match expr {
            Expr::Column(c) => match self.find(c)?.at {
                At::Origin(Origin::Stored(i)) => Some(i),
                _ => None,
            },
            Expr::Alias(a) => self.stored_column(&a.expr),
            _ => None,
        }
    }
}

/// Compiles the expressions of one plan.
pub struct Compiler {
    scope: Scope,
    params: Vec<Kind>,
    once: usize,
    /// There is one row at most: nothing would be evaluated twice.
    single: bool,
}

fn unsupported(expr: &Expr) -> PgError {
    PgError::unsupported(format!("expression {expr} in the row lane"))
}

impl Compiler {
    /// Over a scope and parameters of these kinds.
    pub fn new(scope: Scope, params: Vec<Kind>) -> Compiler {
        Compiler { scope, params, once: 0, single: false }
    }

    /// Another scope, the same plan.
    pub fn set_scope(&mut self, scope: Scope) {
        self.scope = scope;
    }

    /// What follows is evaluated for one row at most.
    pub fn set_single(&mut self) {
        self.single = true;
    }

    /// The scope of now.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// How many cells [`Frame::once`](super::Frame::once) needs.
    pub fn once_cells(&self) -> usize {
        self.once
    }

    /// Compiles an expression whose value is to be of a kind.
    pub fn compile(&mut self, expr: &Expr, kind: Kind) -> Result<Node> {
        self.node(expr, Some(kind))
    }

    /// Compiles a condition.
    pub fn condition(&mut self, expr: &Expr) -> Result<Node> {
        self.node(expr, Some(Kind::Bool))
    }

    /// Compiles conjuncts; `None` if there are none.
    pub fn conditions(&mut self, exprs: &[Expr]) -> Result<Option<Node>> {
        let mut nodes = exprs.iter().map(|e| self.condition(e)).collect::<Result<Vec<_>>>()?;
        Ok(match nodes.len() {
            0 => None,
            1 => nodes.pop(),
            _ => Some(Node::And(nodes)),
        })
    }

    /// Compiles the keys of a sort.
    pub fn sort_keys(&mut self, keys: &[SortExpr]) -> Result<Vec<SortNode>> {
        let key = |key: &SortExpr| {
            let kind = self.kind_of(&key.expr).ok_or_else(|| PgError::unsupported("sort key"))?;
            Ok(SortNode {
                node: self.compile(&key.expr, kind)?,
                descending: !key.asc,
                nulls_first: key.nulls_first,
            })
        };
        keys.iter().map(key).collect()
    }

    /// The kind of an expression's value, as far as it knows itself.
    pub fn kind_of(&self, expr: &Expr) -> Option<Kind> {
        if let Some((callable, _)) = callable_of(expr) {
            return Some(callable.ret().kind);
        }
        match expr {
            Expr::Column(c) => self.scope.kind(c),
            Expr::Alias(a) => self.kind_of(&a.expr),
            Expr::Cast(c) => widened_kind(c),
            Expr::Placeholder(p) => self.params.get(parameter(&p.id)?).copied(),
            Expr::Case(case) => case
                .when_then_expr
                .iter()
                .map(|(_, then)| &**then)
                .chain(case.else_expr.as_deref())
                .find_map(|e| self.kind_of(e)),
            Expr::BinaryExpr(_)
            | Expr::Not(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNotFalse(_)
            | Expr::IsNotUnknown(_)
            | Expr::Between(_)
            | Expr::InList(_) => Some(Kind::Bool),
            _ => None,
        }
    }

    fn node(&mut self, expr: &Expr, hint: Option<Kind>) -> Result<Node> {
        Ok(match expr {
            Expr::Alias(a) => self.node(&a.expr, hint)?,
            Expr::Literal(value, _) => Node::Const(constant(value, hint)?),
            Expr::Placeholder(p) => Node::Param(parameter(&p.id).ok_or_else(|| unsupported(expr))?),
            Expr::Column(c) => {
                let found = self.scope.find(c).ok_or_else(|| {
                    PgError::internal(format!("column {c} is not in the row lane's scope"))
                })?;
                match found.at {
                    At::Value(i) | At::Origin(Origin::Stored(i)) => Node::Column(i),
                    At::Origin(Origin::System(column)) => Node::System(column),
                }
            }
            Expr::Not(inner) => Node::Not(Box::new(self.condition(inner)?)),
            Expr::IsNull(inner) => Node::IsNull(Box::new(self.node(inner, None)?), false),
            Expr::IsNotNull(inner) => Node::IsNull(Box::new(self.node(inner, None)?), true),
            Expr::IsTrue(e) => self.state(e, Some(true), false)?,
            Expr::IsFalse(e) => self.state(e, Some(false), false)?,
            Expr::IsUnknown(e) => self.state(e, None, false)?,
            Expr::IsNotTrue(e) => self.state(e, Some(true), true)?,
            Expr::IsNotFalse(e) => self.state(e, Some(false), true)?,
            Expr::IsNotUnknown(e) => self.state(e, None, true)?,
            Expr::BinaryExpr(b) => self.binary(b, expr)?,
            Expr::Between(b) => {
                let low = self.compare(CompareOp::Ge, &b.expr, &b.low)?;
                let high = self.compare(CompareOp::Le, &b.expr, &b.high)?;
                let both = Node::And(vec![low, high]);
                if b.negated { Node::Not(Box::new(both)) } else { both }
            }
            Expr::InList(list) => self.in_list(&list.expr, &list.list, list.negated)?,
            Expr::Case(case) => {
                let mut when = Vec::with_capacity(case.when_then_expr.len());
                let kind = hint.or_else(|| self.kind_of(expr));
                for (condition, then) in &case.when_then_expr {
                    let condition = match &case.expr {
                        Some(base) => self.compare(CompareOp::Eq, base, condition)?,
                        None => self.condition(condition)?,
                    };
                    when.push((condition, self.node(then, kind)?));
                }
                let other = match &case.else_expr {
                    Some(e) => Some(Box::new(self.node(e, kind)?)),
                    None => None,
                };
                Node::Case { when, other }
            }
            Expr::ScalarFunction(_) => {
                let (callable, args) = callable_of(expr).ok_or_else(|| unsupported(expr))?;
                self.call(callable, args)?
            }
            Expr::Cast(c) => {
                let from = self.kind_of(&c.expr).filter(|k| is_number(*k));
                let (Some(from), Some(to)) = (from, widened_kind(c)) else {
                    return Err(unsupported(expr));
                };
                widened(self.node(&c.expr, Some(from))?, from, to)
            }
            _ => return Err(unsupported(expr)),
        })
    }

    fn state(&mut self, inner: &Expr, state: Option<bool>, negated: bool) -> Result<Node> {
        Ok(Node::IsState(Box::new(self.condition(inner)?), state, negated))
    }

    fn binary(&mut self, b: &BinaryExpr, whole: &Expr) -> Result<Node> {
        let op = match b.op {
            Operator::And | Operator::Or => {
                let mut nodes = Vec::new();
                self.flatten(whole, b.op, &mut nodes)?;
                return Ok(if b.op == Operator::And { Node::And(nodes) } else { Node::Or(nodes) });
            }
            Operator::Eq => CompareOp::Eq,
            Operator::NotEq => CompareOp::Ne,
            Operator::Lt => CompareOp::Lt,
            Operator::LtEq => CompareOp::Le,
            Operator::Gt => CompareOp::Gt,
            Operator::GtEq => CompareOp::Ge,
            Operator::IsDistinctFrom | Operator::IsNotDistinctFrom => {
                let kind = self.kind_of(&b.left).or_else(|| self.kind_of(&b.right));
                let left = Box::new(self.node(&b.left, kind)?);
                let right = Box::new(self.node(&b.right, kind)?);
                return Ok(Node::Distinct(left, right, b.op == Operator::IsNotDistinctFrom));
            }
            _ => return Err(unsupported(whole)),
        };
        self.compare(op, &b.left, &b.right)
    }

    fn flatten(&mut self, expr: &Expr, op: Operator, nodes: &mut Vec<Node>) -> Result<()> {
        match expr {
            Expr::BinaryExpr(b) if b.op == op => {
                self.flatten(&b.left, op, nodes)?;
                self.flatten(&b.right, op, nodes)
            }
            other => {
                nodes.push(self.condition(other)?);
                Ok(())
            }
        }
    }

    fn compare(&mut self, op: CompareOp, left: &Expr, right: &Expr) -> Result<Node> {
        let kind = self.kind_of(left).or_else(|| self.kind_of(right));
        let (l, r) = (self.node(left, kind)?, self.node(right, kind)?);
        Ok(match kind {
            Some(k) if is_whole(k) => {
                Node::CompareInt(op, Box::new(int(l, k)), Box::new(int(r, k)))
            }
            _ => Node::Compare(op, Box::new(l), Box::new(r)),
        })
    }

    fn in_list(&mut self, value: &Expr, list: &[Expr], negated: bool) -> Result<Node> {
        let kind = self.kind_of(value).or_else(|| list.iter().find_map(|e| self.kind_of(e)));
        let value = Box::new(self.node(value, kind)?);
        let list = list.iter().map(|e| self.node(e, kind)).collect::<Result<Vec<_>>>()?;
        if list.len() < 4 || !list.iter().all(|n| matches!(n, Node::Const(_))) {
            return Ok(Node::InList { value, list, negated });
        }
        let mut set = HashSet::with_capacity(list.len());
        let mut has_null = false;
        for node in &list {
            match node {
                Node::Const(Datum::Null) => has_null = true,
                Node::Const(item) => {
                    let mut key = Vec::new();
                    encode_key(item, false, false, &mut key);
                    set.insert(key);
                }
                _ => {}
            }
        }
        Ok(Node::InSet { value, set, has_null, negated })
    }

    fn call(&mut self, callable: &Arc<dyn Callable>, args: &[Expr]) -> Result<Node> {
        let volatile = callable.volatility() == Volatility::Volatile;
        let nodes = args
            .iter()
            .zip(callable.args())
            .map(|(arg, ty)| self.node(arg, Some(ty.kind)))
            .collect::<Result<Vec<_>>>()?;
        if nodes.len() != callable.args().len() {
            return Err(PgError::internal(format!("{} takes other arguments", callable.name())));
        }
        // Inner cells are of no use below an outer one, but cost nothing either.
        let constant = !volatile && nodes.iter().all(Node::is_row_free);
        let node = arithmetic(&**callable, nodes).unwrap_or_else(|nodes| {
            Node::Call(Box::new(CallNode {
                direct: callable.builtin(),
                strict: callable.strict(),
                callable: callable.clone(),
                args: nodes,
            }))
        });
        if !constant || self.single {
            return Ok(node);
        }
        let cell = self.once;
        self.once += 1;
        Ok(Node::Once(cell, Box::new(node)))
    }
}

/// Zero-based index of `$n`.
pub(crate) fn parameter(id: &str) -> Option<usize> {
    id.strip_prefix('$')?.parse::<usize>().ok()?.checked_sub(1)
}

fn constant(value: &ScalarValue, hint: Option<Kind>) -> Result<Datum> {
    scalar_to_datum(hint.unwrap_or_else(|| scalar_kind(value)), value)
}

/// A node as a whole number.
fn int(node: Node, kind: Kind) -> Int {
    match node {
        Node::Const(value) => match as_i64(&value) {
            Some(v) => Int::Const(v),
            None => Int::Any(Box::new(Node::Const(value))),
        },
        Node::Column(i) => Int::Column(i, kind),
        Node::Int(inner, _) => *inner,
        other => Int::Any(Box::new(other)),
    }
}

/// A node of a kind as a float8.
fn num(node: Node, kind: Kind) -> Num {
    match node {
        Node::Const(Datum::Float8(v)) => Num::Const(v),
        Node::Const(Datum::Float4(v)) => Num::Const(f64::from(v)),
        Node::Column(i) if kind == Kind::Float8 => Num::Column8(i),
        Node::Column(i) if kind == Kind::Float4 => Num::Column4(i),
        Node::Float8(n) | Node::Float4(n) => *n,
        other if matches!(kind, Kind::Int2 | Kind::Int4 | Kind::Int8) => {
            Num::Int(Box::new(int(other, kind)))
        }
        other => Num::Any(Box::new(other)),
    }
}

/// Built-in arithmetic gets nodes of its own; everything else comes back.
fn arithmetic(callable: &dyn Callable, args: Vec<Node>) -> Result<Node, Vec<Node>> {
    let Some(source) = callable.source() else { return Err(args) };
    let kinds: Vec<Kind> = callable.args().iter().map(|a| a.kind).collect();
    let ret = callable.ret().kind;
    if source == "drandom" {
        return Ok(Node::Float8(Box::new(Num::Random)));
    }
    if kinds.len() == 1 {
        return unary(source, ret, &kinds, args);
    }
    let is_float = matches!(ret, Kind::Float4 | Kind::Float8) && source.starts_with("float");
    let is_int = matches!(ret, Kind::Int2 | Kind::Int4 | Kind::Int8) && source.starts_with("int");
    let Some(op) = ["pl", "mi", "mul", "div", "mod"].into_iter().find(|op| source.ends_with(op))
    else {
        return Err(args);
    };
    let digits = source
        .strip_prefix("float")
        .or_else(|| source.strip_prefix("int"))
        .and_then(|s| s.strip_suffix(op))
        .is_some_and(|s| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit()));
    if !digits || !(is_float || is_int) || kinds.iter().any(|k| !is_number(*k)) {
        return Err(args);
    }
    let (Ok([left, right]), [lk, rk]) = (<[Node; 2]>::try_from(args), kinds.as_slice()) else {
        return Err(Vec::new());
    };
    if is_int {
        let (l, r) = (Box::new(int(left, *lk)), Box::new(int(right, *rk)));
        let node = match op {
            "pl" => Int::Add(l, r, ret),
            "mi" => Int::Sub(l, r, ret),
            "mul" => Int::Mul(l, r, ret),
            "div" => Int::Div(l, r, ret),
            _ => Int::Mod(l, r, ret),
        };
        return Ok(Node::Int(Box::new(node), ret));
    }
    let (l, r) = (Box::new(num(left, *lk)), Box::new(num(right, *rk)));
    let node = match op {
        "pl" => Num::Add(l, r),
        "mi" => Num::Sub(l, r),
        "mul" => Num::Mul(l, r),
        _ => Num::Div(l, r),
    };
    Ok(float(node, ret))
}

/// What a native cast makes: only numbers are cast natively, to compare those of unlike width.
fn widened_kind(cast: &Cast) -> Option<Kind> {
    use arrow::datatypes::DataType;
    match cast.field.data_type() {
        DataType::Int16 => Some(Kind::Int2),
        DataType::Int32 => Some(Kind::Int4),
        DataType::Int64 => Some(Kind::Int8),
        DataType::Float32 => Some(Kind::Float4),
        DataType::Float64 => Some(Kind::Float8),
        _ => None,
    }
}

fn widened(node: Node, from: Kind, to: Kind) -> Node {
    if is_whole(to) {
        return Node::Int(Box::new(Int::Narrow(Box::new(int(node, from)), to)), to);
    }
    float(num(node, from), to)
}

fn float(node: Num, ret: Kind) -> Node {
    match ret {
        Kind::Float4 => Node::Float4(Box::new(Num::Single(Box::new(node)))),
        _ => Node::Float8(Box::new(node)),
    }
}

fn is_number(kind: Kind) -> bool {
    matches!(kind, Kind::Int2 | Kind::Int4 | Kind::Int8 | Kind::Float4 | Kind::Float8)
}

fn unary(source: &str, ret: Kind, kinds: &[Kind], args: Vec<Node>) -> Result<Node, Vec<Node>> {
    let kind = kinds.first().copied().unwrap_or(Kind::Bool);
    let known = matches!(
        source,
        "i2tod"
            | "i4tod"
            | "i8tod"
            | "i2tof"
            | "i4tof"
            | "i8tof"
            | "ftod"
            | "dtof"
            | "dtrunc"
            | "float8um"
            | "float4um"
            | "float8abs"
            | "float4abs"
            | "i2toi4"
            | "i4toi2"
            | "int48"
            | "int84"
            | "int28"
            | "int82"
    );
    if !known || !is_number(kind) {
        return Err(args);
    }
    let Ok([arg]) = <[Node; 1]>::try_from(args) else { return Err(Vec::new()) };
    Ok(match source {
        "dtrunc" => Node::Float8(Box::new(Num::Trunc(Box::new(num(arg, kind))))),
        "float8um" | "float4um" => {
            let negated = Box::new(Num::Neg(Box::new(num(arg, kind))));
            if ret == Kind::Float4 { Node::Float4(negated) } else { Node::Float8(negated) }
        }
        "float8abs" | "float4abs" => {
            let absolute = Box::new(Num::Abs(Box::new(num(arg, kind))));
            if ret == Kind::Float4 { Node::Float4(absolute) } else { Node::Float8(absolute) }
        }
        _ if matches!(ret, Kind::Int2 | Kind::Int4 | Kind::Int8) => {
            Node::Int(Box::new(Int::Narrow(Box::new(int(arg, kind)), ret)), ret)
        }
        _ => float(num(arg, kind), ret),
    })
}
