//! Nodes over other nodes: limits, sorts, groups, windows, unions.

use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{
    Aggregate, Expr, Limit, LogicalPlan, Sort, SortExpr, UserDefinedLogicalNodeCore,
};

use super::build::{Ask, At, Builder, filtered, over};
use super::cost;
use super::deparse::plain;
use super::join::memory;
use super::tree::{Item, PlanNode, Property, Relation, Shown, Style, Value};
use crate::df::append::appended;
use crate::df::window::{Window, WindowCall};
use crate::measure::{SortSpace, Stage};
use crate::names::quote;
use crate::push::lower::scan_of;
use crate::row::plan::Leaf;

/// A constant number of rows.
fn constant(expr: Option<&Expr>) -> Option<f64> {
    match expr {
        Some(Expr::Literal(n, _)) => n.to_string().parse().ok(),
        _ => None,
    }
}

/// A node that gives what its input gives.
fn passing(kind: &str, input: &PlanNode) -> PlanNode {
    let mut node = PlanNode::new(kind);
    node.output = input.output.iter().map(Item::above).collect();
    (node.rows, node.width) = (input.rows, input.width);
    node
}

impl Builder<'_> {
    pub(super) fn limit<'l>(&self, limit: &Limit, ask: Ask<'l>, at: At<'l>) -> PlanNode {
        let input = self.node(&limit.input, ask.below_limit(), at.child(1));
        let (fetch, skip) = (limit.fetch.as_deref(), limit.skip.as_deref());
        let mut node = self.limited(input, constant(fetch), constant(skip).unwrap_or(0.0));
        node.figures = self.figures(at, Stage::Top);
        node
    }

    fn limited(&self, input: PlanNode, fetch: Option<f64>, skip: f64) -> PlanNode {
        let mut node = passing("Limit", &input);
        cost::limit(&mut node, &input, fetch, skip);
        node.children = vec![input];
        node
    }

    pub(super) fn sort<'l>(&self, sort: &Sort, ask: Ask<'l>, at: At<'l>) -> PlanNode {
        let input = |below: Ask<'l>| self.node(&sort.input, below, at.child(1));
        self.sorted((&sort.expr, sort.fetch), ask, at, input)
    }

    /// What `input` makes of what is asked of it, sorted.
    pub(super) fn sorted<'l>(
        &self,
        (keys, fetch): (&[SortExpr], Option<usize>),
        ask: Ask<'l>,
        at: At<'l>,
        input: impl FnOnce(Ask<'l>) -> PlanNode,
    ) -> PlanNode {
        let limited = ask.limited;
        let mut below = ask;
        // Keys that are no columns of the result are computed with them.
        let places: Vec<usize> = keys
            .iter()
            .map(|key| {
                let key = plain(&key.expr);
                let found = below.outputs.iter().position(|o| o == key);
                found.unwrap_or_else(|| {
                    below.outputs.push(key.clone());
                    below.outputs.len() - 1
                })
            })
            .collect();
        let input = input(below.inside());
        let mut node = passing("Sort", &input);
        cost::sort(&mut node, &input, fetch.map(|n| n as f64));
        node.figures = self.figures(at, Stage::Sort);
        let keys: Vec<String> = keys
            .iter()
            .zip(places)
            .map(|(key, i)| {
                let text = input.output.get(i).map(|item| item.reference(Style::Condition));
                format!("{}{}", text.unwrap_or_default(), direction(key.asc, key.nulls_first))
            })
            .collect();
        node.detail("Sort Key", Value::List(keys));
        self.sort_space(&mut node, &input, fetch.is_some());
        node.children = vec![input];
        match fetch {
            // A sort that keeps the first rows only is PostgreSQL's Limit over Sort.
            Some(n) if !limited => {
                let figures = self.figures(at, Stage::Top);
                let mut limit = self.limited(node, Some(n as f64), 0.0);
                limit.figures = figures;
                limit
            }
            _ => node,
        }
    }

    /// How it sorted: told by the row lane; batches are held whole, or the first of them kept.
    fn sort_space(&self, node: &mut PlanNode, input: &PlanNode, top: bool) {
        let Some(figures) = node.figures.as_ref().filter(|f| f.loops > 0) else { return };
        let came = input.figures.as_ref().map_or(0, |f| f.bytes);
        let held = if top { figures.bytes } else { figures.bytes.max(came) };
        let method = if top { "top-N heapsort" } else { "quicksort" };
        let space = figures.sort.unwrap_or(SortSpace { method, bytes: held, disk: false });
        let kilobytes = space.bytes.div_ceil(1024);
        let kind = if space.disk { "Disk" } else { "Memory" };
        let line = format!("Sort Method: {}  {kind}: {kilobytes}kB", space.method);
        node.details.push(Property { label: "", value: Value::Text(line), shown: Shown::Line });
        let parts = [
            ("Sort Method", Value::Text(space.method.to_owned())),
            ("Sort Space Used", Value::Int(kilobytes)),
            ("Sort Space Type", Value::Text(kind.to_owned())),
        ];
        for (label, value) in parts {
            node.details.push(Property { label, value, shown: Shown::Structured });
        }
    }

    pub(super) fn aggregate<'l>(&self, a: &Aggregate, ask: &Ask<'l>, at: At<'l>) -> PlanNode {
        let (mut child_at, mut extreme) = (at.child(1), None);
        if let Some(row) = at.row
            && let Leaf::Aggregate { inner, extreme: found, .. } = &row.leaf
        {
            child_at.row = Some(inner);
            extreme = found.as_ref();
        }
        if let Some(plan) = extreme {
            return self.extreme(plan, &a.schema, ask, at, child_at);
        }
        let input = self.node(&a.input, Ask::all(a.input.schema()), child_at);
        let below = over(a.input.schema(), &input.output);
        let groups: Vec<Expr> = a.group_expr.iter().map(|e| grouped(e).clone()).collect();
        let mut items = self.items(at, &groups, &below, false);
        let groups: Vec<String> =
            items.iter().map(|i| i.reference_or_own(Style::Condition)).collect();
        let calls: Vec<Expr> = a.aggr_expr.iter().map(|e| first_value(e).clone()).collect();
        items.extend(self.items(at, &calls, &below, false));
        drop(below);
        let hashed = !a.group_expr.is_empty();
        if let Some(command) = set_operation(a, ask) {
            return self.set_operation(command, a, ask, at, input);
        }
        let mut node = PlanNode::new("Aggregate");
        node.title = hashed.then(|| "HashAggregate".to_owned());
        let strategy = if hashed { "Hashed" } else { "Plain" };
        node.manner.push(("Strategy", Value::Text(strategy.to_owned())));
        node.manner.push(("Partial Mode", Value::Text("Simple".to_owned())));
        node.output = self.items(at, &ask.outputs, &over(&a.schema, &items), true);
        node.width = self.width(at, &ask.outputs, &a.schema);
        cost::aggregate(&mut node, &input, a.group_expr.len(), a.aggr_expr.len());
        if hashed {
            node.detail("Group Key", Value::List(groups));
        }
        let removed = self.measured(&mut node, ask, at);
        let text = self.condition(at, &ask.filters, &over(&a.schema, &items), true);
        self.removed(&mut node, "Filter", text, removed);
        filtered(&mut node, &ask.filters);
        if let Some(bytes) = node.figures.as_ref().and_then(|f| f.hash).filter(|_| hashed) {
            memory(&mut node, "HashAgg Batches", bytes);
        }
        node.children = vec![input];
        self.finish(node, at)
    }

    /// INTERSECT or EXCEPT: the sides' rows are grouped and counted.
    fn set_operation<'l>(
        &self,
        command: &str,
        a: &Aggregate,
        ask: &Ask<'l>,
        at: At<'l>,
        input: PlanNode,
    ) -> PlanNode {
        let mut node = PlanNode::new("SetOp");
        node.title = Some(format!("HashSetOp {command}"));
        node.manner.push(("Strategy", Value::Text("Hashed".to_owned())));
        node.facts.push(("Command", Value::Text(command.to_owned())));
        let columns = input.output.iter().take(a.group_expr.len());
        node.output = columns.map(Item::above).collect();
        node.width = self.width(at, &ask.outputs, &a.schema);
        cost::aggregate(&mut node, &input, a.group_expr.len(), 0);
        self.measured(&mut node, ask, at);
        node.children = vec![input];
        node
    }

    /// `min` or `max` that only looks at one end of an index.
    fn extreme<'l>(
        &self,
        plan: &LogicalPlan,
        schema: &DFSchema,
        ask: &Ask<'l>,
        at: At<'l>,
        child: At<'l>,
    ) -> PlanNode {
        let scan = self.node(plan, Ask::all(plan.schema()), child);
        let mut first = self.limited(scan, Some(1.0), 0.0);
        first.figures = self.figures(child, Stage::Top);
        let (name, value) = self.subplans.borrow_mut().made();
        first.relation = Relation::InitPlan(name);
        let own = Item { output: value.clone(), condition: value, simple: true, passed: false };
        let mut node = PlanNode::new("Result");
        node.output = self.items(at, &ask.outputs, &|_| Some(own.clone()), true);
        node.width = self.width(at, &ask.outputs, schema);
        (node.rows, node.startup, node.total) = (1.0, first.total, first.total + 0.01);
        let removed = self.measured(&mut node, ask, at);
        let text = self.condition(at, &ask.filters, &|_| Some(own.clone()), true);
        self.removed(&mut node, "Filter", text, removed);
        node.children = vec![first];
        self.finish(node, at)
    }

    pub(super) fn window<'l>(&self, w: &Window, ask: &Ask<'l>, at: At<'l>) -> PlanNode {
        let mut input = self.node(&w.input, Ask::all(w.input.schema()), at.child(1));
        let keys = self.window_keys(w, at, &input);
        if !keys.is_empty() {
            let mut sort = passing("Sort", &input);
            cost::sort(&mut sort, &input, None);
            sort.detail("Sort Key", Value::List(keys));
            sort.figures = self.figures(at.sort_below(), Stage::Top);
            self.sort_space(&mut sort, &input, false);
            sort.children = vec![input];
            input = sort;
        }
        let schema = UserDefinedLogicalNodeCore::schema(w);
        let columns = w.input.schema().fields().len();
        let mut items: Vec<Item> = input.output.iter().take(columns).map(Item::above).collect();
        let below = over(w.input.schema(), &input.output);
        items.extend(w.group.calls.iter().map(|call| self.window_call(call, at, &below)));
        drop(below);
        let mut node = PlanNode::new("WindowAgg");
        node.output = self.items(at, &ask.outputs, &over(schema, &items), true);
        (node.rows, node.startup) = (input.rows, input.startup);
        node.width = self.width(at, &ask.outputs, schema);
        node.total =
            input.total + input.rows * (cost::OPERATOR * w.group.calls.len() as f64 + 0.01);
        if !ask.filters.is_empty() {
            // PostgreSQL filters a window's rows in the subquery it stands in.
            let find = over(schema, &items);
            let text = self.condition(at, &ask.filters, &find, true);
            let removed = self.measured(&mut node, ask, at);
            self.removed(&mut node, "Filter", text, removed);
            filtered(&mut node, &ask.filters);
        } else {
            self.measured(&mut node, ask, at);
        }
        node.children = vec![input];
        self.finish(node, at)
    }

    /// `sum(a) OVER (?)`
    fn window_call(
        &self,
        call: &WindowCall,
        at: At<'_>,
        below: &dyn Fn(&Column) -> Option<Item>,
    ) -> Item {
        let args: Vec<Expr> = call.args.iter().map(|a| a.expr.clone()).collect();
        let args = self.items(at, &args, below, false);
        let text = |style: Style| {
            let args: Vec<String> = args.iter().map(|a| a.reference_or_own(style)).collect();
            let args = match args.as_slice() {
                [] if call.proc.name == "count" => "*".to_owned(),
                args => args.join(", "),
            };
            format!("{}({args}) OVER (?)", quote(call.proc.name))
        };
        let (output, condition) = (text(Style::Output), text(Style::Condition));
        Item { output, condition, simple: false, passed: false }
    }

    /// What the rows of a window are sorted by.
    fn window_keys(&self, w: &Window, at: At<'_>, input: &PlanNode) -> Vec<String> {
        let find = over(w.input.schema(), &input.output);
        let keys = w.group.spec.sort.iter().map(|s| {
            let items = self.items(at, std::slice::from_ref(plain(&s.expr)), &find, false);
            let text = items.first().map(|i| i.reference_or_own(Style::Condition));
            text.unwrap_or_default() + &direction(s.asc, s.nulls_first)
        });
        keys.collect()
    }

    pub(super) fn append<'l>(
        &self,
        plan: &LogicalPlan,
        ask: &Ask<'l>,
        at: At<'l>,
        (children, removed): (&[At<'l>], usize),
    ) -> PlanNode {
        let order = appended(plan).map_or(&[][..], |(_, order)| order);
        let mut node = PlanNode::new(if order.is_empty() { "Append" } else { "Merge Append" });
        for (input, at) in plan.inputs().into_iter().zip(children) {
            let mut child = self.node(input, Ask::all(input.schema()), at.alone());
            child.relation = Relation::Member;
            node.rows += child.rows;
            node.total += child.total;
            node.width = node.width.max(child.width);
            node.children.push(child);
        }
        node.total += 0.005 * node.rows;
        node.startup = node.children.first().map_or(0.0, |c| c.startup);
        // Above a family its columns are the parent's.
        let family = plan.inputs().first().and_then(|p| scan_of(p)).map(|s| &*s.spec);
        let parent = family.filter(|s| s.member.is_some()).and_then(|s| s.qualifier.as_ref());
        if let Some(parent) = parent {
            let column = |c: &Column| Some(self.columns_of(parent.table(), c));
            node.output = self.items(at, &ask.outputs, &column, true);
            let key = |key: &SortExpr| {
                let own = std::slice::from_ref(plain(&key.expr));
                let items = self.items(at, own, &column, false);
                let text = items.first().map(|i| i.reference(Style::Condition));
                format!("{}{}", text.unwrap_or_default(), direction(key.asc, key.nulls_first))
            };
            if !order.is_empty() {
                node.detail("Sort Key", Value::List(order.iter().map(key).collect()));
            }
        } else if let Some(first) = node.children.first() {
            let find = over(plan.schema(), &first.output);
            node.output = self.items(at, &ask.outputs, &find, false);
        }
        // The text says so only where there are any.
        let shown = if removed > 0 { Shown::Everywhere } else { Shown::Structured };
        let value = Value::Int(u64::try_from(removed).unwrap_or(u64::MAX));
        node.details.push(Property { label: "Subplans Removed", value, shown });
        self.measured(&mut node, ask, at);
        node
    }

    /// A query in FROM whose rows are looked at once more.
    pub(super) fn subquery_scan<'l>(
        &self,
        plan: &LogicalPlan,
        ask: &Ask<'l>,
        at: At<'l>,
    ) -> PlanNode {
        let alias = ask.alias.clone().unwrap_or_else(|| "unnamed_subquery".to_owned());
        let mut input = self.node(plan, Ask::all(plan.schema()), at);
        input.relation = Relation::Subquery;
        let mut node = PlanNode::new("Subquery Scan");
        node.title = Some(format!("Subquery Scan on {}", quote(&alias)));
        node.facts.push(("Alias", Value::Text(alias.clone())));
        let column = |c: &Column| Some(self.columns_of(&alias, c));
        node.output = self.items(at, &ask.outputs, &column, true);
        (node.rows, node.width) = (input.rows, self.width(at, &ask.outputs, plan.schema()));
        (node.startup, node.total) = (input.startup, input.total + 0.01 * input.rows);
        let removed = self.measured(&mut node, ask, at);
        let text = self
            .conjunction(at, &ask.filters, &|c| format!("{}.{}", quote(&alias), quote(&c.name)));
        self.removed(&mut node, "Filter", text, removed);
        filtered(&mut node, &ask.filters);
        node.children = vec![input];
        self.finish(node, at)
    }
}

/// What is written behind a key that is not in the usual order.
pub(super) fn direction(asc: bool, nulls_first: bool) -> String {
    let direction = if asc { "" } else { " DESC" };
    let nulls = match (asc, nulls_first) {
        (true, true) => " NULLS FIRST",
        (false, false) => " NULLS LAST",
        _ => "",
    };
    format!("{direction}{nulls}")
}

/// What rows are grouped by.
fn grouped(key: &Expr) -> &Expr {
    match key {
        Expr::Alias(a) => grouped(&a.expr),
        other => plain(other),
    }
}

/// The value that rows of a group are alike in, of a call that picks one; other calls themselves.
fn first_value(call: &Expr) -> &Expr {
    match call {
        Expr::Alias(a) => first_value(&a.expr),
        Expr::AggregateFunction(f) if f.func.name() == "first_value" => {
            f.params.args.first().unwrap_or(call)
        }
        other => other,
    }
}

/// The command of a grouping that stands for INTERSECT or EXCEPT: the binder counts each side's rows
/// and says in a filter how many must be there.
fn set_operation(a: &Aggregate, ask: &Ask<'_>) -> Option<&'static str> {
    let counts = |name: &str| a.schema.fields().iter().any(|f| f.name() == name);
    if !counts("__l") || !counts("__r") {
        return None;
    }
    let mut parts = Vec::new();
    ask.filters.iter().for_each(|f| crate::push::access::conjuncts(f, &mut parts));
    let both = parts.iter().filter(|p| p.to_string().ends_with("> Int64(0)")).count() == 2;
    Some(if both { "Intersect" } else { "Except" })
}
