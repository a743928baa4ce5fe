//! Compiled expressions, and how they are evaluated.

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::sync::Arc;

use hashbrown::HashSet;
use smallvec::SmallVec;
use vicinity_functions::ScalarFn;
use vicinity_storage::{Row, RowId};
use vicinity_types::{Datum, Kind, Oid, Result, compare, encode_key};

use super::number::{Int, Num};
use crate::call::Callable;
use crate::context::ExecContext;
use crate::df::source::{SystemColumn, system_value};

/// The row an expression is evaluated over.
#[derive(Clone, Copy)]
pub enum RowRef<'a> {
    /// None: constants and parameters only.
    None,
    /// A row in storage, and its table.
    Stored(&'a Row<'a>, Oid),
    /// Values.
    Values(&'a [Datum]),
    /// A row of a table that is written to.
    Written(&'a WrittenRow<'a>),
}

/// A row of a table as a write's expressions see it: the columns, the system columns, and whatever stands
/// beside them, numbered one after the other without being put together.
#[derive(Clone, Copy)]
pub struct WrittenRow<'a> {
    /// The table's columns.
    pub own: &'a [Datum],
    /// The row.
    pub id: RowId,
    /// The table.
    pub table: Oid,
    /// `excluded`, or FROM.
    pub beside: &'a [Datum],
}

impl WrittenRow<'_> {
    fn column(&self, index: usize) -> Datum {
        if let Some(value) = self.own.get(index) {
            return value.clone();
        }
        let past = index - self.own.len();
        match SystemColumn::ALL.get(past) {
            Some(column) => system_value(*column, self.id, self.table),
            None => self.beside.get(past - SystemColumn::ALL.len()).cloned().unwrap_or_default(),
        }
    }
}

/// Everything an evaluation can reach.
#[derive(Clone, Copy)]
pub struct Frame<'a> {
    /// The statement.
    pub ctx: &'a ExecContext,
    /// Its parameters.
    pub params: &'a [Datum],
    /// Row-free subexpressions, each evaluated at most once an execution.
    pub once: &'a [OnceCell<Datum>],
    /// The current row.
    pub row: RowRef<'a>,
}

impl<'a> Frame<'a> {
    /// The same with another row.
    #[inline]
    pub fn with_row(self, row: RowRef<'a>) -> Frame<'a> {
        Frame { row, ..self }
    }

    /// A column's value.
    #[inline]
    pub fn column(&self, index: usize) -> Datum {
        match self.row {
            RowRef::Stored(row, _) => row.get(index),
            RowRef::Values(values) => values.get(index).cloned().unwrap_or_default(),
            RowRef::Written(row) => row.column(index),
            RowRef::None => Datum::Null,
        }
    }

    /// A parameter's value.
    #[inline]
    pub fn param(&self, index: usize) -> &'a Datum {
        self.params.get(index).unwrap_or(&Datum::Null)
    }
}

/// Comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum CompareOp {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl CompareOp {
    /// Whether an order satisfies it.
    #[inline]
    pub fn holds(self, order: Ordering) -> bool {
        match self {
            CompareOp::Eq => order.is_eq(),
            CompareOp::Ne => order.is_ne(),
            CompareOp::Lt => order.is_lt(),
            CompareOp::Le => order.is_le(),
            CompareOp::Gt => order.is_gt(),
            CompareOp::Ge => order.is_ge(),
        }
    }
}

/// A call with everything looked up.
#[derive(Debug)]
pub struct CallNode {
    pub(crate) callable: Arc<dyn Callable>,
    /// The implementation itself, where nothing stands between.
    pub(crate) direct: Option<ScalarFn>,
    pub(crate) strict: bool,
    pub(crate) args: Vec<Node>,
}

/// A compiled expression.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Node {
    Const(Datum),
    Param(usize),
    Column(usize),
    System(SystemColumn),
    /// Evaluated at most once an execution.
    Once(usize, Box<Node>),
    Call(Box<CallNode>),
    /// float8 arithmetic
    Float8(Box<Num>),
    /// float4 results
    Float4(Box<Num>),
    /// Integer arithmetic and the kind of the result.
    Int(Box<Int>, Kind),
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    IsNull(Box<Node>, bool),
    /// `IS [NOT] TRUE/FALSE/UNKNOWN`: the state asked for, and whether it must differ.
    IsState(Box<Node>, Option<bool>, bool),
    CompareInt(CompareOp, Box<Int>, Box<Int>),
    Compare(CompareOp, Box<Node>, Box<Node>),
    /// `IS [NOT] DISTINCT FROM`
    Distinct(Box<Node>, Box<Node>, bool),
    /// Constant lists are hashed.
    InSet {
        value: Box<Node>,
        set: HashSet<Vec<u8>>,
        has_null: bool,
        negated: bool,
    },
    InList {
        value: Box<Node>,
        list: Vec<Node>,
        negated: bool,
    },
    Case {
        when: Vec<(Node, Node)>,
        other: Option<Box<Node>>,
    },
}

impl Node {
    /// Evaluates to a value.
    pub fn eval(&self, f: &Frame<'_>) -> Result<Datum> {
        Ok(match self {
            Node::Const(value) => value.clone(),
            Node::Param(i) => f.param(*i).clone(),
            Node::Column(i) => f.column(*i),
            Node::System(column) => match f.row {
                RowRef::Stored(row, table) => system_value(*column, row.id, table),
                _ => Datum::Null,
            },
            Node::Once(i, inner) => match f.once.get(*i) {
                Some(cell) => match cell.get() {
                    Some(value) => value.clone(),
                    None => {
                        let value = inner.eval(&f.with_row(RowRef::None))?;
                        cell.get_or_init(|| value).clone()
                    }
                },
                None => inner.eval(f)?,
            },
            Node::Call(call) => call.eval(f)?,
            Node::Float8(n) => n.eval(f)?.map_or(Datum::Null, Datum::Float8),
            Node::Float4(n) => n.eval(f)?.map_or(Datum::Null, |v| Datum::Float4(v as f32)),
            Node::Int(n, kind) => int_datum(n.eval(f)?, *kind),
            Node::Case { when, other } => {
                for (condition, result) in when {
                    if condition.eval_bool(f)? == Some(true) {
                        return result.eval(f);
                    }
                }
                match other {
                    Some(other) => other.eval(f)?,
                    None => Datum::Null,
                }
            }
            _ => self.eval_bool(f)?.map_or(Datum::Null, Datum::Bool),
        })
    }

    /// Evaluates to a truth value; `None` is unknown.
    pub fn eval_bool(&self, f: &Frame<'_>) -> Result<Option<bool>> {
        Ok(match self {
            Node::And(nodes) => return all(nodes, f, false),
            Node::Or(nodes) => return all(nodes, f, true),
            Node::Not(inner) => inner.eval_bool(f)?.map(|v| !v),
            Node::IsNull(inner, negated) => Some(inner.is_null(f)? != *negated),
            Node::IsState(inner, state, negated) => {
                Some((inner.eval_bool(f)? == *state) != *negated)
            }
            Node::CompareInt(op, left, right) => {
                let (Some(l), Some(r)) = (left.eval(f)?, right.eval(f)?) else { return Ok(None) };
                Some(op.holds(l.cmp(&r)))
            }
            Node::Compare(op, left, right) => {
                let (l, r) = (left.eval(f)?, right.eval(f)?);
                if l.is_null() || r.is_null() {
                    return Ok(None);
                }
                Some(op.holds(compare(&l, &r)))
            }
            Node::Distinct(left, right, negated) => {
                let (l, r) = (left.eval(f)?, right.eval(f)?);
                let same = match (l.is_null(), r.is_null()) {
                    (true, true) => true,
                    (false, false) => compare(&l, &r).is_eq(),
                    _ => false,
                };
                Some(same == *negated)
            }
            Node::InSet { value, set, has_null, negated } => {
                let value = value.eval(f)?;
                if value.is_null() {
                    return Ok(if set.is_empty() && !has_null { Some(*negated) } else { None });
                }
                let mut key = Vec::with_capacity(16);
                encode_key(&value, false, false, &mut key);
                match (set.contains(&key), has_null) {
                    (true, _) => Some(!negated),
                    (false, true) => None,
                    (false, false) => Some(*negated),
                }
            }
            Node::InList { value, list, negated } => in_list(value, list, *negated, f)?,
            other => match other.eval(f)? {
                Datum::Bool(v) => Some(v),
                _ => None,
            },
        })
    }

    /// Whether a row passes: unknown does not.
    #[inline]
    pub fn passes(&self, f: &Frame<'_>) -> Result<bool> {
        Ok(self.eval_bool(f)? == Some(true))
    }

    /// Whether its value does not depend on the row, nor changes during an execution.
    pub(super) fn is_row_free(&self) -> bool {
        matches!(self, Node::Const(_) | Node::Param(_) | Node::Once(..))
    }

    /// Whether a call in it [runs statements](Callable::runs_statements).
    pub fn runs_statements(&self) -> bool {
        let any = |nodes: &[Node]| nodes.iter().any(Node::runs_statements);
        match self {
            Node::Const(_) | Node::Param(_) | Node::Column(_) | Node::System(_) => false,
            Node::Call(call) => call.callable.runs_statements() || any(&call.args),
            Node::Float8(n) | Node::Float4(n) => n.runs_statements(),
            Node::Int(n, _) => n.runs_statements(),
            Node::CompareInt(_, left, right) => left.runs_statements() || right.runs_statements(),
            Node::And(nodes) | Node::Or(nodes) => any(nodes),
            Node::Once(_, node)
            | Node::Not(node)
            | Node::IsNull(node, _)
            | Node::IsState(node, ..)
            | Node::InSet { value: node, .. } => node.runs_statements(),
            Node::Compare(_, left, right) | Node::Distinct(left, right, _) => {
                left.runs_statements() || right.runs_statements()
            }
            Node::InList { value, list, .. } => value.runs_statements() || any(list),
            Node::Case { when, other } => {
                when.iter().any(|(c, r)| c.runs_statements() || r.runs_statements())
                    || other.as_ref().is_some_and(|o| o.runs_statements())
            }
        }
    }

    fn is_null(&self, f: &Frame<'_>) -> Result<bool> {
        if let (Node::Column(i), RowRef::Stored(row, _)) = (self, f.row) {
            return Ok(row.raw(*i).is_none());
        }
        Ok(self.eval(f)?.is_null())
    }
}

/// A whole number as a value of a kind; arithmetic has checked that it fits.
pub(crate) fn int_datum(value: Option<i64>, kind: Kind) -> Datum {
    let Some(v) = value else { return Datum::Null };
    match kind {
        Kind::Int2 => Datum::Int2(i16::try_from(v).unwrap_or_default()),
        Kind::Int4 => Datum::Int4(i32::try_from(v).unwrap_or_default()),
        _ => Datum::Int8(v),
    }
}

/// AND (`stop` false) and OR (`stop` true), unknown where nothing decides.
fn all(nodes: &[Node], f: &Frame<'_>, stop: bool) -> Result<Option<bool>> {
    let mut unknown = false;
    for node in nodes {
        match node.eval_bool(f)? {
            Some(v) if v == stop => return Ok(Some(stop)),
            Some(_) => {}
            None => unknown = true,
        }
    }
    Ok(if unknown { None } else { Some(!stop) })
}

fn in_list(value: &Node, list: &[Node], negated: bool, f: &Frame<'_>) -> Result<Option<bool>> {
    let value = value.eval(f)?;
    if value.is_null() {
        return Ok(None);
    }
    let mut unknown = false;
    for item in list {
        let item = item.eval(f)?;
        if item.is_null() {
            unknown = true;
        } else if compare(&value, &item).is_eq() {
            return Ok(Some(!negated));
        }
    }
    Ok(if unknown { None } else { Some(negated) })
}

impl CallNode {
    /// Not a part of [`Node::eval`], whose other ways would pay for the room that arguments take.
    #[inline(never)]
    fn eval(&self, f: &Frame<'_>) -> Result<Datum> {
        let mut args: SmallVec<[Datum; 4]> = SmallVec::new();
        for arg in &self.args {
            let value = arg.eval(f)?;
            if self.strict && value.is_null() {
                return Ok(Datum::Null);
            }
            args.push(value);
        }
        match self.direct {
            Some(function) => function(f.ctx, &args),
            None => self.callable.call(f.ctx, &args),
        }
    }
}
