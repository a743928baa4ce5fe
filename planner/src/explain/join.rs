//! Joins, as DataFusion runs them.

use datafusion::common::{JoinType, NullEquality};
use datafusion::logical_expr::{Expr, Join, LogicalPlan};

use super::build::{Ask, At, Builder, filtered, over};
use super::cost;
use super::tree::{Item, PlanNode, Property, Shown, Value};
use crate::df::instrument::JoinMethod;
use crate::measure::Stage;
use crate::push::ScanSource;
use crate::push::lower::scan_of;

/// PostgreSQL's word for a join whose outer side is the logical left or right.
fn word(join: JoinType, outer_is_left: bool) -> &'static str {
    match (join, outer_is_left) {
        (JoinType::Inner, _) => "",
        (JoinType::Full, _) => "Full",
        (JoinType::Left, true) | (JoinType::Right, false) => "Left",
        (JoinType::Left, false) | (JoinType::Right, true) => "Right",
        (JoinType::LeftSemi, true) | (JoinType::RightSemi, false) => "Semi",
        (JoinType::LeftSemi, false) | (JoinType::RightSemi, true) => "Right Semi",
        (JoinType::LeftAnti, true) | (JoinType::RightAnti, false) => "Anti",
        (JoinType::LeftAnti, false) | (JoinType::RightAnti, true) => "Right Anti",
        (JoinType::LeftMark, _) | (JoinType::RightMark, _) => "Mark",
    }
}

/// Whether an expression is a column whose values differ in every row of a plan.
fn is_unique(plan: &LogicalPlan, expr: &Expr, builder: &Builder<'_>) -> bool {
    match plan {
        LogicalPlan::SubqueryAlias(a) => {
            let Expr::Column(c) = expr else { return false };
            let Ok(i) = a.schema.index_of_column(c) else { return false };
            let inner = Expr::Column(a.input.schema().qualified_field(i).into());
            is_unique(&a.input, &inner, builder)
        }
        LogicalPlan::Filter(f) => is_unique(&f.input, expr, builder),
        LogicalPlan::Aggregate(a) => a.group_expr.len() == 1 && a.group_expr.first() == Some(expr),
        other => {
            let (Some(scan), Expr::Column(column)) = (scan_of(other), expr) else { return false };
            let ScanSource::Storage(source) = &scan.spec.source else { return false };
            let place = source
                .relation()
                .table()
                .and_then(|t| t.columns.iter().position(|c| !c.dropped && c.name == column.name));
            builder.ctx.catalog.indexes_of(source.relation().oid).filter_map(|r| r.index()).any(
                |d| {
                    let only = d.keys.first().map(|k| usize::try_from(k.column).unwrap_or(0));
                    d.unique && d.valid && d.keys.len() == 1 && only == place.map(|p| p + 1)
                },
            )
        }
    }
}

impl Builder<'_> {
    pub(super) fn join<'l>(
        &self,
        join: &Join,
        ask: &Ask<'l>,
        at: At<'l>,
        children: &[At<'l>],
    ) -> PlanNode {
        let [left_at, right_at] = children else { return PlanNode::new("Join") };
        let left = self.node(&join.left, Ask::all(join.left.schema()), *left_at);
        let right = self.node(&join.right, Ask::all(join.right.schema()), *right_at);
        let hashed = if join.on.is_empty() {
            JoinMethod::Loop { left: true }
        } else {
            JoinMethod::Hash { left: true }
        };
        let method = at.join().unwrap_or(hashed);
        let mut node = self.joined(join, method, &left, &right, at);
        let items = columns(join, &left, &right);
        node.output = self.items(at, &ask.outputs, &over(&join.schema, &items), true);
        let removed = self.measured(&mut node, ask, at);
        let text = self.condition(at, &ask.filters, &over(&join.schema, &items), true);
        self.removed(&mut node, "Filter", text, removed);
        self.estimate(join, method, &mut node, &left, &right);
        filtered(&mut node, &ask.filters);
        let own = self.figures(at, Stage::Top);
        node.children = match method {
            JoinMethod::Hash { left: true } => vec![right, hash(left, own)],
            JoinMethod::Hash { left: false } => vec![left, hash(right, own)],
            // The kept side is what PostgreSQL would go through again and again.
            JoinMethod::Loop { left: true } => vec![right, left],
            JoinMethod::Loop { left: false } | JoinMethod::Merge => vec![left, right],
        };
        self.finish(node, at)
    }

    /// The node with its conditions.
    fn joined(
        &self,
        join: &Join,
        method: JoinMethod,
        left: &PlanNode,
        right: &PlanNode,
        at: At<'_>,
    ) -> PlanNode {
        let (kind, label, outer_left) = match method {
            JoinMethod::Hash { left } => ("Hash Join", "Hash Cond", !left),
            JoinMethod::Merge => ("Merge Join", "Merge Cond", true),
            JoinMethod::Loop { left } => ("Nested Loop", "Join Filter", !left),
        };
        let word = word(join.join_type, outer_left);
        let mut node = PlanNode::new(kind);
        node.title = match (kind, word) {
            (_, "") => None,
            ("Nested Loop", word) => Some(format!("Nested Loop {word} Join")),
            (kind, word) => Some(kind.replace(" Join", &format!(" {word} Join"))),
        };
        let shown = if word.is_empty() { "Inner" } else { word };
        node.facts.push(("Join Type", Value::Text(shown.to_owned())));
        let equal = if join.null_equality == NullEquality::NullEqualsNull {
            |l: &str, r: &str| format!("(NOT ({l} IS DISTINCT FROM {r}))")
        } else {
            |l: &str, r: &str| format!("({l} = {r})")
        };
        let side = |expr: &Expr, plan: &LogicalPlan, node: &PlanNode| {
            let find = over(plan.schema(), &node.output);
            self.condition(at, std::slice::from_ref(expr), &find, false).unwrap_or_default()
        };
        let mut texts: Vec<String> = Vec::new();
        for (l, r) in &join.on {
            let (l, r) = (side(l, &join.left, left), side(r, &join.right, right));
            texts.push(if outer_left { equal(&l, &r) } else { equal(&r, &l) });
        }
        if let Some(filter) = &join.filter {
            let Ok(schema) = join.left.schema().join(join.right.schema()) else { return node };
            let all: Vec<Item> = sides(join, left, right);
            let find = over(&schema, &all);
            let text = self.condition(at, std::slice::from_ref(filter), &find, false);
            if label == "Join Filter" {
                texts.extend(text);
            } else if let Some(text) = text {
                condition(&mut node, label, std::mem::take(&mut texts));
                node.text("Join Filter", text);
            }
        }
        condition(&mut node, label, texts);
        node
    }

    fn estimate(
        &self,
        join: &Join,
        method: JoinMethod,
        node: &mut PlanNode,
        left: &PlanNode,
        right: &PlanNode,
    ) {
        let keys: Vec<(f64, f64)> = join
            .on
            .iter()
            .map(|(l, r)| {
                let unique = |plan: &LogicalPlan, expr: &Expr| is_unique(plan, expr, self);
                let l = cost::distinct(left.rows, unique(&join.left, l));
                (l, cost::distinct(right.rows, unique(&join.right, r)))
            })
            .collect();
        let mut rows = cost::joined(left.rows, right.rows, &keys);
        if let Some(filter) = &join.filter {
            rows = cost::clamp(rows * cost::selectivity(filter));
        }
        node.rows = match join.join_type {
            JoinType::Left => rows.max(left.rows),
            JoinType::Right => rows.max(right.rows),
            JoinType::Full => rows.max(left.rows + right.rows),
            JoinType::LeftSemi => rows.min(left.rows),
            JoinType::RightSemi => rows.min(right.rows),
            JoinType::LeftAnti => cost::clamp(left.rows - rows.min(left.rows)),
            JoinType::RightAnti => cost::clamp(right.rows - rows.min(right.rows)),
            _ => rows,
        };
        node.width = match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti => left.width,
            JoinType::RightSemi | JoinType::RightAnti => right.width,
            _ => left.width + right.width,
        };
        match method {
            JoinMethod::Hash { left: true } => cost::hash_join(node, right, left, join.on.len()),
            JoinMethod::Hash { left: false } => cost::hash_join(node, left, right, join.on.len()),
            JoinMethod::Merge => cost::hash_join(node, left, right, join.on.len()),
            JoinMethod::Loop { left: true } => cost::nested_loop(node, right, left),
            JoinMethod::Loop { left: false } => cost::nested_loop(node, left, right),
        }
    }
}

fn condition(node: &mut PlanNode, label: &'static str, texts: Vec<String>) {
    match texts.as_slice() {
        [] => {}
        [_] => node.text(label, texts.concat()),
        _ => node.text(label, format!("({})", texts.join(" AND "))),
    }
}

/// The items of both sides.
fn sides(join: &Join, left: &PlanNode, right: &PlanNode) -> Vec<Item> {
    let left = left.output.iter().take(join.left.schema().fields().len());
    let right = right.output.iter().take(join.right.schema().fields().len());
    left.chain(right).cloned().collect()
}

/// The items of a join's own columns.
fn columns(join: &Join, left: &PlanNode, right: &PlanNode) -> Vec<Item> {
    let both = sides(join, left, right);
    let first = join.left.schema().fields().len();
    let kept = match join.join_type {
        JoinType::LeftSemi | JoinType::LeftAnti => both.get(..first),
        JoinType::RightSemi | JoinType::RightAnti => both.get(first..),
        _ => both.get(..),
    };
    kept.unwrap_or_default().iter().map(Item::above).collect()
}

/// The hash table over a side.
fn hash(input: PlanNode, join: Option<crate::measure::Figures>) -> PlanNode {
    let mut node = PlanNode::new("Hash");
    node.output = input.output.iter().map(Item::above).collect();
    (node.rows, node.width) = (input.rows, input.width);
    (node.startup, node.total) = (input.total, input.total);
    if let Some(figures) = &input.figures {
        let mut own = figures.clone();
        (own.startup, own.pages) = (own.total, 0);
        node.figures = Some(own);
    }
    if let Some(bytes) = join.and_then(|j| j.hash) {
        memory(&mut node, "Hash Batches", bytes);
    }
    node.children = vec![input];
    node
}

/// What a hash table took.
pub(super) fn memory(node: &mut PlanNode, batches: &'static str, bytes: u64) {
    let kilobytes = bytes.div_ceil(1024);
    let line = Value::Text(format!("Batches: 1  Memory Usage: {kilobytes}kB"));
    node.details.push(Property { label: "", value: line, shown: Shown::Line });
    for (label, value) in [(batches, 1), ("Peak Memory Usage", kilobytes)] {
        node.details.push(Property { label, value: Value::Int(value), shown: Shown::Structured });
    }
}
