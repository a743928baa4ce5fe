//! Scans: tables, functions, VALUES, nothing at all.

use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Expr, LogicalPlan, Operator};

use super::build::{Ask, At, Builder, filtered, over};
use super::cost::{self, Size};
use super::resolve;
use super::tree::{Item, PlanNode, Style, Value};
use super::upper::direction;
use crate::bind::SubQuery;
use crate::df::lock_rows::LockRows;
use crate::df::project_set::ProjectSet;
use crate::df::set::SetCall;
use crate::measure::{Figures, Stage};
use crate::names::quote;
use crate::push::{AccessSpec, ScanNode, ScanSource, ScanSpec};

/// A table's name and alias as the title has them.
struct Named {
    title: String,
    alias: String,
    schema: Option<String>,
}

impl Builder<'_> {
    fn table_name(&self, spec: &ScanSpec) -> Named {
        let name = spec.source.name();
        let schema = match &spec.source {
            ScanSource::Storage(s) => {
                self.ctx.catalog.schema(s.relation().schema).map(|s| s.name.clone())
            }
            ScanSource::Virtual(_) => Some("pg_catalog".to_owned()),
        };
        let full = match &schema {
            Some(schema) if self.options.verbose => format!("{}.{}", quote(schema), quote(name)),
            _ => quote(name),
        };
        let alias = spec.qualifier.as_ref().map(|q| q.table()).filter(|a| !a.is_empty());
        let alias = alias.unwrap_or(name);
        let alias = match spec.member {
            Some(n) => format!("{alias}_{n}"),
            // One is left of a write's family.
            None if self.family.borrow().as_deref() == Some(alias) => format!("{alias}_1"),
            None => alias.to_owned(),
        };
        let title = if alias == name { full } else { format!("{full} {}", quote(&alias)) };
        Named { title, alias, schema }
    }

    /// The items of a source's columns under a name.
    pub(super) fn columns_of(&self, alias: &str, column: &Column) -> Item {
        let own = quote(&column.name);
        let full = format!("{}.{own}", quote(alias));
        let named = |prefix: bool| if prefix { full.clone() } else { own.clone() };
        Item {
            output: named(self.several),
            condition: named(self.several || self.options.verbose),
            simple: true,
            passed: false,
        }
    }

    fn size(&self, source: &ScanSource) -> Size {
        match source {
            ScanSource::Storage(s) => {
                let table = self.ctx.engine.db.table(s.relation().oid, &self.ctx.catalog);
                let stats = table.map(|t| t.stats()).unwrap_or_default();
                let pages = stats.bytes.div_ceil(vicinity_storage::PAGE);
                Size { rows: stats.live as f64, pages: pages as f64 }
            }
            ScanSource::Virtual(_) => Size { rows: 100.0, pages: 1.0 },
        }
    }

    pub(super) fn scan(&self, scan: &ScanNode, ask: &Ask<'_>, at: At<'_>) -> PlanNode {
        let (spec, schema) = (&*scan.spec, &*scan.schema);
        if let ScanSource::Virtual(source) = &spec.source
            && let Some(part) = source.part()
        {
            return self.cte_scan(part, scan, ask, at);
        }
        let name = self.table_name(spec);
        let mut node = PlanNode::new("Seq Scan");
        let column = |c: &Column| Some(self.columns_of(&name.alias, c));
        node.output = self.items(at, &ask.outputs, &column, true);
        node.width = self.width(at, &ask.outputs, schema);
        let order = match &spec.access {
            AccessSpec::Vector { order, .. } => Some(order),
            AccessSpec::Spatial(fit) => fit.near.as_ref().map(|(_, order)| order),
            AccessSpec::Seq | AccessSpec::Btree { .. } => None,
        };
        if let Some(order) = order {
            // What rows are ordered by is computed like a column.
            let order = self.items(at, std::slice::from_ref(order), &column, true);
            if order.iter().any(|o| !node.output.contains(o)) {
                node.output.extend(order);
                node.width += 8;
            }
        }
        let removed = self.measured(&mut node, ask, at);
        let mut filters = spec.filter.clone();
        filters.extend(ask.filters.iter().cloned());
        self.access(&mut node, spec, &name, &filters, at);
        node.facts.push(("Relation Name", Value::Text(spec.source.name().to_owned())));
        if let Some(schema) = name.schema.filter(|_| self.options.verbose) {
            node.facts.push(("Schema", Value::Text(schema)));
        }
        node.facts.push(("Alias", Value::Text(name.alias.clone())));
        let text = self.scan_condition(at, &name.alias, &filters);
        self.removed(&mut node, "Filter", text, removed);
        self.finish(node, at)
    }

    fn access(
        &self,
        node: &mut PlanNode,
        spec: &ScanSpec,
        name: &Named,
        filters: &[Expr],
        at: At<'_>,
    ) {
        let size = self.size(&spec.source);
        let kept: f64 = filters.iter().map(cost::selectivity).product();
        let on = &name.title;
        match &spec.access {
            AccessSpec::Seq => {
                node.title = Some(format!("Seq Scan on {on}"));
                cost::seq(node, size, filters.len(), kept);
            }
            AccessSpec::Btree { index, equal, low, high, reverse, conditions } => {
                let backward = if *reverse { " Backward" } else { "" };
                let using = quote(&index.name);
                node.title = Some(format!("Index Scan{backward} using {using} on {on}"));
                self.index_facts(node, &index.name, Some(*reverse));
                let conditions: Vec<Expr> = conditions.iter().map(any_of).collect();
                if let Some(text) = self.scan_condition(at, &name.alias, &conditions) {
                    node.text("Index Cond", text);
                }
                let values: f64 = equal.iter().map(|e| e.count() as f64).product();
                let whole = index.index().is_some_and(|d| d.unique && d.keys.len() == equal.len());
                let rows = match (whole, equal.len(), low, high) {
                    (true, ..) => values,
                    (_, n, None, None) => size.rows * values * 0.005f64.powi(n.min(3) as i32),
                    (_, n, Some(_), Some(_)) => {
                        size.rows * values * 0.005f64.powi((n + 1).min(3) as i32)
                    }
                    (_, n, ..) => size.rows * values * 0.005f64.powi(n.min(3) as i32) / 3.0,
                };
                let rows = cost::clamp(rows.min(size.rows));
                cost::index(node, size, rows, filters.len(), kept);
            }
            AccessSpec::Vector { index, order, .. } => {
                node.title = Some(format!("Index Scan using {} on {on}", quote(&index.name)));
                self.index_facts(node, &index.name, None);
                self.order_by(node, spec, order, name, at);
                cost::nearest(node, size, kept);
            }
            AccessSpec::Spatial(fit) => {
                node.title = Some(format!("Index Scan using {} on {on}", quote(&fit.index.name)));
                self.index_facts(node, &fit.index.name, None);
                let shown = fit.shown();
                if let Some(text) = self.scan_condition(at, &name.alias, &shown) {
                    node.text("Index Cond", text);
                }
                if let Some((_, order)) = &fit.near {
                    self.order_by(node, spec, order, name, at);
                }
                let found: f64 = shown.iter().map(cost::selectivity).product();
                let rows = cost::clamp(size.rows * found);
                cost::index(node, size, rows, filters.len(), kept);
            }
        }
    }

    /// What rows come ordered by, and what rows that tie in it are sorted by.
    fn order_by(
        &self,
        node: &mut PlanNode,
        spec: &ScanSpec,
        order: &Expr,
        name: &Named,
        at: At<'_>,
    ) {
        let text = |e: &Expr| self.scan_condition(at, &name.alias, std::slice::from_ref(e));
        let keys: Vec<String> = match spec.order.as_slice() {
            [] => text(order).into_iter().collect(),
            keys => keys
                .iter()
                .filter_map(|k| Some(text(&k.expr)? + &direction(k.asc, k.nulls_first)))
                .collect(),
        };
        node.text("Order By", keys.join(", "));
    }

    /// `reverse` says in which direction a btree is walked; others have none.
    fn index_facts(&self, node: &mut PlanNode, index: &str, reverse: Option<bool>) {
        node.kind = "Index Scan".to_owned();
        let direction = match reverse {
            Some(true) => "Backward",
            Some(false) => "Forward",
            None => "NoMovement",
        };
        node.facts.push(("Scan Direction", Value::Text(direction.to_owned())));
        node.facts.push(("Index Name", Value::Text(index.to_owned())));
    }

    /// `FOR UPDATE`: rows are locked as they pass.
    pub(super) fn lock_rows<'l>(&self, l: &LockRows, ask: Ask<'l>, at: At<'l>) -> PlanNode {
        let below = Ask { outputs: ask.outputs, limited: ask.limited, ..Ask::default() };
        let node = self.node(&l.input, below, at.child(1));
        let mut lock = PlanNode::new("LockRows");
        lock.output = node.output.iter().map(Item::above).collect();
        (lock.rows, lock.startup, lock.width) = (node.rows, node.startup, node.width);
        lock.total = node.total + 0.01 * node.rows;
        lock.figures = self.figures(at, Stage::Lock);
        lock.children = vec![node];
        lock
    }

    /// One row of expressions, or none.
    pub(super) fn result(
        &self,
        one: bool,
        schema: &DFSchema,
        ask: &Ask<'_>,
        at: At<'_>,
    ) -> PlanNode {
        let mut node = PlanNode::new("Result");
        node.output = self.items(at, &ask.outputs, &|_| None, true);
        node.width = self.width(at, &ask.outputs, schema);
        if one {
            (node.rows, node.total) = (1.0, 0.01);
        }
        self.measured(&mut node, ask, at);
        let condition = self.condition(at, &ask.filters, &|_| None, true);
        match condition {
            Some(text) => node.text("One-Time Filter", text),
            None if !one => node.text("One-Time Filter", "false"),
            None => {}
        }
        self.finish(node, at)
    }

    pub(super) fn values(
        &self,
        values: &datafusion::logical_expr::Values,
        ask: &Ask<'_>,
        at: At<'_>,
    ) -> PlanNode {
        if values.values.len() == 1 {
            return self.one_row(values, ask, at);
        }
        let mut node = PlanNode::new("Values Scan");
        node.title = Some("Values Scan on \"*VALUES*\"".to_owned());
        node.facts.push(("Alias", Value::Text("*VALUES*".to_owned())));
        let column = |c: &Column| Some(self.columns_of("*VALUES*", c));
        node.output = self.items(at, &ask.outputs, &column, true);
        let fields = values.schema.fields().iter();
        node.width = fields.map(|f| resolve::arrow_width(f.data_type())).sum();
        node.rows = values.values.len() as f64;
        node.total = 0.0125 * node.rows;
        let removed = self.measured(&mut node, ask, at);
        let text = self.scan_condition(at, "*VALUES*", &ask.filters);
        self.removed(&mut node, "Filter", text, removed);
        filtered(&mut node, &ask.filters);
        self.finish(node, at)
    }

    /// VALUES of one row is a row of expressions.
    fn one_row(
        &self,
        values: &datafusion::logical_expr::Values,
        ask: &Ask<'_>,
        at: At<'_>,
    ) -> PlanNode {
        let row = values.values.first().cloned().unwrap_or_default();
        let map =
            |c: &Column| values.schema.index_of_column(c).ok().and_then(|i| row.get(i)).cloned();
        let inner = |exprs: &[Expr]| -> Vec<Expr> {
            let exprs = exprs.iter().cloned();
            exprs.filter_map(|e| crate::push::lower::substitute(e, &map).ok()).collect()
        };
        let (outputs, filters) = (inner(&ask.outputs), inner(&ask.filters));
        self.result(true, &values.schema, &Ask { outputs, filters, ..ask.clone() }, at)
    }

    /// Set-returning functions: in FROM a scan, joined to what they look at; else a node of their own.
    pub(super) fn set(&self, set: &ProjectSet, ask: Ask<'_>, at: At<'_>) -> PlanNode {
        let ask = &ask;
        let schema = datafusion::logical_expr::UserDefinedLogicalNodeCore::schema(set);
        let before = set.input.schema().fields().len();
        let alias = schema.iter().nth(before).and_then(|(q, _)| q).map(|q| q.table().to_owned());
        let alone = matches!(&*set.input, LogicalPlan::EmptyRelation(_)) && before == 0;
        match (set.calls.as_slice(), alias) {
            ([call], Some(alias)) if alone => self.function_scan(call, &alias, ask, at),
            ([call], Some(alias)) => self.function_join(set, call, &alias, ask, at),
            _ => self.project_set(set, ask, at),
        }
    }

    fn function_scan(&self, call: &SetCall, alias: &str, ask: &Ask<'_>, at: At<'_>) -> PlanNode {
        if let Some(query) = resolve::lateral(call.function.as_ref()) {
            return self.lateral(query, call, &|_| None, at);
        }
        let mut node = self.function(call, alias, at, &|_| None);
        // The one column of a function of plain values has the alias's name.
        let own = |e: &Expr| {
            let named = |c: &Column| {
                let plain = c.name == call.function.name();
                let name = if plain { alias } else { c.name.as_str() };
                Some(Expr::Column(Column::new(c.relation.clone(), name)))
            };
            crate::push::lower::substitute(e.clone(), &named).unwrap_or_else(|_| e.clone())
        };
        let outputs: Vec<Expr> = ask.outputs.iter().map(own).collect();
        let filters: Vec<Expr> = ask.filters.iter().map(own).collect();
        node.output = self.items(at, &outputs, &|c| Some(self.columns_of(alias, c)), true);
        let removed = self.measured(&mut node, ask, at);
        let text = self.scan_condition(at, alias, &filters);
        self.removed(&mut node, "Filter", text, removed);
        filtered(&mut node, &filters);
        self.finish(node, at)
    }

    fn function(
        &self,
        call: &SetCall,
        alias: &str,
        at: At<'_>,
        below: &dyn Fn(&Column) -> Option<Item>,
    ) -> PlanNode {
        let name = quote(call.function.name());
        let mut node = PlanNode::new("Function Scan");
        let full = if self.options.verbose { format!("pg_catalog.{name}") } else { name.clone() };
        let shown =
            if alias == call.function.name() { full } else { format!("{full} {}", quote(alias)) };
        node.title = Some(format!("Function Scan on {shown}"));
        node.facts.push(("Function Name", Value::Text(call.function.name().to_owned())));
        node.facts.push(("Alias", Value::Text(alias.to_owned())));
        if self.options.verbose {
            let args = self.items(at, &call.args, below, false);
            let args: Vec<String> =
                args.iter().map(|a| a.reference_or_own(Style::Condition)).collect();
            node.text("Function Call", format!("{name}({})", args.join(", ")));
        }
        node.rows = series(call).unwrap_or(1000.0);
        node.width = call.function.columns().iter().map(|ty| cost::width(*ty)).sum();
        node.total = 0.01 * node.rows;
        node
    }

    /// The rows of a lateral subquery, which is run for each row to its left.
    fn lateral(
        &self,
        query: &SubQuery,
        call: &SetCall,
        left: &dyn Fn(&Column) -> Option<Item>,
        at: At<'_>,
    ) -> PlanNode {
        let args = self.items(at, &call.args, left, false);
        let texts = args.iter().map(|a| Some(a.reference_or_own(Style::Condition))).collect();
        match query.query_plan(self.ctx) {
            Ok(plan) => self.query(&plan, &[], texts),
            // running it will tell
            Err(_) => PlanNode::new("Subquery Scan"),
        }
    }

    /// A function that looks at the rows of an input: a join of each with what it gives for it.
    fn function_join(
        &self,
        set: &ProjectSet,
        call: &SetCall,
        alias: &str,
        ask: &Ask<'_>,
        at: At<'_>,
    ) -> PlanNode {
        let schema = datafusion::logical_expr::UserDefinedLogicalNodeCore::schema(set);
        let left = self.node(&set.input, Ask::all(set.input.schema()), at.child(1));
        let below = over(set.input.schema(), &left.output);
        let mut right = match resolve::lateral(call.function.as_ref()) {
            Some(query) => self.lateral(query, call, &below, at),
            None => {
                let mut scan = self.function(call, alias, at, &below);
                scan.figures = self.apart(at, &left);
                scan
            }
        };
        let mut items: Vec<Item> = left.output.iter().map(Item::above).collect();
        items.truncate(set.input.schema().fields().len());
        let added: Vec<Item> = schema
            .iter()
            .skip(set.input.schema().fields().len())
            .map(|(q, f)| self.columns_of(alias, &Column::new(q.cloned(), f.name())))
            .collect();
        if right.output.is_empty() {
            right.output = added.clone();
        }
        items.extend(added);
        let mut node = PlanNode::new("Nested Loop");
        if set.outer {
            node.title = Some("Nested Loop Left Join".to_owned());
        }
        let join_type = if set.outer { "Left" } else { "Inner" };
        node.facts.push(("Join Type", Value::Text(join_type.to_owned())));
        node.rows = cost::clamp(left.rows * right.rows);
        (node.startup, node.width) = (left.startup + right.startup, left.width + right.width);
        node.total = left.total + left.rows * right.total + 0.01 * node.rows;
        node.output = self.items(at, &ask.outputs, &over(schema, &items), true);
        let removed = self.measured(&mut node, ask, at);
        let find = over(schema, &items);
        let text = self.condition(at, &ask.filters, &find, true);
        self.removed(&mut node, "Filter", text, removed);
        filtered(&mut node, &ask.filters);
        drop(below);
        node.children = vec![left, right];
        self.finish(node, at)
    }

    /// The figures of functions called for each row of an input: what the join has beyond it.
    fn apart(&self, at: At<'_>, left: &PlanNode) -> Option<Figures> {
        let join = self.figures(at, Stage::Leaf)?;
        let input = left.figures.as_ref()?;
        let total = join.total.saturating_sub(input.total);
        Some(Figures { startup: total, total, rows: join.rows, loops: input.rows, ..join })
    }

    fn project_set(&self, set: &ProjectSet, ask: &Ask<'_>, at: At<'_>) -> PlanNode {
        let schema = datafusion::logical_expr::UserDefinedLogicalNodeCore::schema(set);
        let input = self.node(&set.input, Ask::all(set.input.schema()), at.child(1));
        let columns = set.input.schema().fields().len();
        let mut items: Vec<Item> = input.output.iter().take(columns).map(Item::above).collect();
        for call in &set.calls {
            let find = over(set.input.schema(), &input.output);
            let args = self.items(at, &call.args, &find, false);
            let text = |style| {
                let args: Vec<String> = args.iter().map(|a| a.reference_or_own(style)).collect();
                format!("{}({})", quote(call.function.name()), args.join(", "))
            };
            let item = Item {
                output: text(Style::Output),
                condition: text(Style::Condition),
                simple: false,
                passed: false,
            };
            items.extend(call.names.iter().map(|_| item.clone()));
        }
        let mut node = PlanNode::new("ProjectSet");
        node.output = self.items(at, &ask.outputs, &over(schema, &items), true);
        let each = set.calls.iter().filter_map(series).fold(1.0, f64::max);
        let known = set.calls.iter().any(|c| series(c).is_some());
        node.rows = cost::clamp(input.rows * if known { each } else { 1000.0 });
        (node.startup, node.width) = (input.startup, self.width(at, &ask.outputs, schema));
        node.total = input.total + 0.005 * node.rows;
        self.measured(&mut node, ask, at);
        node.children = vec![input];
        self.finish(node, at)
    }
}

/// An OR that an index answers is a list of values to it.
fn any_of(condition: &Expr) -> Expr {
    fn values(e: &Expr, out: &mut Vec<(Expr, Expr)>) -> bool {
        match e {
            Expr::BinaryExpr(b) if b.op == Operator::Or => {
                values(&b.left, out) && values(&b.right, out)
            }
            Expr::BinaryExpr(b) if b.op == Operator::Eq => {
                out.push(((*b.left).clone(), (*b.right).clone()));
                true
            }
            _ => false,
        }
    }
    let mut found = Vec::new();
    if !values(condition, &mut found) || found.len() < 2 {
        return condition.clone();
    }
    match found.first().map(|(column, _)| column.clone()) {
        Some(column) if found.iter().all(|(c, _)| *c == column) => {
            let list = found.into_iter().map(|(_, value)| value).collect();
            Expr::InList(InList::new(Box::new(column), list, false))
        }
        _ => condition.clone(),
    }
}

/// How many rows `generate_series` of constants gives.
fn series(call: &SetCall) -> Option<f64> {
    let number = |e: &Expr| match e {
        Expr::Literal(value, _) => value.to_string().parse::<f64>().ok(),
        _ => None,
    };
    if call.function.name() != "generate_series" {
        return None;
    }
    match call.args.as_slice() {
        [from, to] => Some((number(to)? - number(from)? + 1.0).max(1.0)),
        [from, to, step] => {
            let step = number(step).filter(|s| *s != 0.0)?;
            Some((((number(to)? - number(from)?) / step).floor() + 1.0).max(1.0))
        }
        _ => None,
    }
}
