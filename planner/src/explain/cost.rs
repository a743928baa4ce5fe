//! Estimates: rows, widths and costs by PostgreSQL's rules, from the rows tables have now.

use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use vicinity_types::oid;

use super::tree::PlanNode;
use crate::bind::Quantified;
use crate::call::{PgType, callable_of};
use crate::push::element_count;

const RANDOM_PAGE: f64 = 4.0;
const TUPLE: f64 = 0.01;
const INDEX_TUPLE: f64 = 0.005;
pub(super) const OPERATOR: f64 = 0.0025;
/// What PostgreSQL supposes without statistics.
const DISTINCT: f64 = 200.0;
const EQUAL: f64 = 0.005;
const RANGE: f64 = 1.0 / 3.0;

/// A table as the estimates see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) rows: f64,
    pub(super) pages: f64,
}

/// Rows are whole, and at least one.
pub(super) fn clamp(rows: f64) -> f64 {
    if rows <= 1.0 { 1.0 } else { rows.round() }
}

/// Reading a whole table.
pub(super) fn seq(node: &mut PlanNode, size: Size, conditions: usize, selectivity: f64) {
    node.total = size.pages + size.rows * (TUPLE + OPERATOR * conditions as f64);
    node.rows = clamp(size.rows * selectivity);
}

/// A btree range of `rows` rows, `fetched` of which pass the filter.
pub(super) fn index(node: &mut PlanNode, size: Size, rows: f64, conditions: usize, kept: f64) {
    let height = (size.rows.max(1.0).log(100.0)).floor().max(0.0) + 1.0;
    node.startup = size.rows.max(1.0).log2().ceil() * OPERATOR + height * 50.0 * OPERATOR;
    let leaves = (rows / 100.0).ceil().max(1.0);
    let fetched = rows.min(size.pages.max(1.0));
    let each = INDEX_TUPLE + TUPLE + OPERATOR * conditions as f64;
    node.total = node.startup + (leaves + fetched) * RANDOM_PAGE + rows * each;
    node.rows = clamp(rows * kept);
}

/// All rows by a vector index, nearest first: beginning costs a search, going on a fetch each.
pub(super) fn nearest(node: &mut PlanNode, size: Size, kept: f64) {
    node.startup = size.rows.max(1.0).log2().ceil() * RANDOM_PAGE;
    node.total = node.startup + size.rows * (RANDOM_PAGE + INDEX_TUPLE + TUPLE);
    node.rows = clamp(size.rows * kept);
}

/// Sorting a node's rows, or keeping the first of them.
pub(super) fn sort(node: &mut PlanNode, input: &PlanNode, fetch: Option<f64>) {
    let rows = input.rows.max(2.0);
    let kept = fetch.map_or(rows, |n| (2.0 * n).clamp(2.0, rows));
    node.startup = input.total + 2.0 * OPERATOR * rows * kept.log2();
    node.total = node.startup + OPERATOR * input.rows;
    (node.rows, node.width) = (input.rows, input.width);
}

/// The first rows of a node.
pub(super) fn limit(node: &mut PlanNode, input: &PlanNode, fetch: Option<f64>, skip: f64) {
    let share = |rows: f64| {
        let run = input.total - input.startup;
        input.startup + run * (rows / input.rows.max(1.0)).min(1.0)
    };
    node.startup = if skip > 0.0 { share(skip) } else { input.startup };
    let rows = (input.rows - skip).max(1.0);
    node.rows = fetch.map_or(rows, |n| rows.min(n.max(1.0)));
    node.total = share(skip + node.rows).max(node.startup);
    node.width = input.width;
}

/// Grouping, or one group of everything.
pub(super) fn aggregate(node: &mut PlanNode, input: &PlanNode, keys: usize, calls: usize) {
    let each = OPERATOR * (keys + calls) as f64;
    node.startup = input.total + input.rows * each;
    node.rows = if keys == 0 { 1.0 } else { clamp(input.rows.min(DISTINCT)) };
    node.total = node.startup + node.rows * TUPLE;
}

/// A hash join: `inner` is hashed.
pub(super) fn hash_join(node: &mut PlanNode, outer: &PlanNode, inner: &PlanNode, keys: usize) {
    let hashing = OPERATOR * keys.max(1) as f64;
    node.startup = inner.total + inner.rows * (hashing + TUPLE) + outer.startup;
    let probing = outer.rows * hashing + node.rows * TUPLE;
    node.total = node.startup + (outer.total - outer.startup) + probing;
}

/// A nested loop over rows kept in memory.
pub(super) fn nested_loop(node: &mut PlanNode, outer: &PlanNode, inner: &PlanNode) {
    node.startup = outer.startup + inner.startup;
    let pairs = outer.rows * inner.rows;
    node.total = outer.total + inner.total + pairs * OPERATOR + node.rows * TUPLE;
}

/// Rows of an equality join: each row meets the rows with its key. `distinct` values on each side.
pub(super) fn joined(left: f64, right: f64, keys: &[(f64, f64)]) -> f64 {
    let met = keys.iter().map(|(l, r)| 1.0 / l.max(*r).max(1.0));
    clamp(left * right * met.product::<f64>())
}

/// Values a column of so many rows is supposed to have.
pub(super) fn distinct(rows: f64, unique: bool) -> f64 {
    if unique { rows } else { rows.min(DISTINCT) }
}

/// The same of `x = ANY (array)` and `x <> ALL (array)`.
fn among_elements(condition: &Expr) -> Option<f64> {
    let Quantified { array, comparison, any, .. } = Quantified::of(condition)?;
    let some = (EQUAL * element_count(array) as f64).min(1.0);
    match (comparison.operator()?.name, any) {
        ("=", true) => Some(some),
        ("<>", false) => Some(1.0 - some),
        _ => None,
    }
}

/// The share of rows a condition lets through, without statistics.
pub(super) fn selectivity(condition: &Expr) -> f64 {
    match condition {
        Expr::Alias(a) => selectivity(&a.expr),
        Expr::Not(e) => 1.0 - selectivity(e),
        Expr::IsNull(_) => EQUAL,
        Expr::IsNotNull(_) => 1.0 - EQUAL,
        Expr::Between(b) if !b.negated => EQUAL,
        Expr::InList(list) => {
            let some = (EQUAL * list.list.len() as f64).min(1.0);
            if list.negated { 1.0 - some } else { some }
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::And => selectivity(left) * selectivity(right),
            Operator::Or => {
                let (l, r) = (selectivity(left), selectivity(right));
                l + r - l * r
            }
            Operator::Eq => EQUAL,
            Operator::NotEq => 1.0 - EQUAL,
            _ => RANGE,
        },
        Expr::Column(_) => 0.5,
        other if let Some(share) = among_elements(other) => share,
        other => match callable_of(other).and_then(|(c, _)| c.operator()).map(|o| o.name) {
            Some("=" | "~~" | "~~*" | "~" | "~*") => EQUAL,
            Some("<>" | "!~~" | "!~~*" | "!~" | "!~*") => 1.0 - EQUAL,
            Some("@>" | "<@" | "&&" | "?") => 0.001,
            _ => RANGE,
        },
    }
}

/// Bytes a value of a type takes, as `get_typavgwidth` supposes.
pub(super) fn width(ty: PgType) -> usize {
    if let Some(fixed) = vicinity_functions::type_by_oid(ty.oid)
        && let Ok(length) = usize::try_from(fixed.len)
    {
        return length;
    }
    let usual = |most: usize| match most {
        0..=32 => most,
        33..1000 => 32 + (most - 32) / 2,
        _ => 32 + (1000 - 32) / 2,
    };
    let modifier = usize::try_from(ty.typmod).ok().and_then(|m| m.checked_sub(4));
    match (ty.oid, modifier) {
        (oid::BPCHAR, Some(n)) => n * 4 + 4,
        (oid::VARCHAR, Some(n)) => usual(n * 4 + 4),
        (oid::NUMERIC, Some(m)) => usual(8 + 2 * (((m >> 16) & 0xffff) + 6).div_ceil(4).max(1)),
        _ => 32,
    }
}
