//! A plan as EXPLAIN shows it: nodes with PostgreSQL's names and properties.

use crate::measure::Figures;

/// What a property holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    List(Vec<String>),
    Int(u64),
    /// Each of the name given, and what is said of it.
    Groups(&'static str, Vec<Vec<(&'static str, String)>>),
}

/// Where a property is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    Everywhere,
    /// Not in text, which says it otherwise or not at all.
    Structured,
    /// A whole line of text; the structured formats have it in parts.
    Line,
}

/// A property of a node.
#[derive(Clone, Debug)]
pub(crate) struct Property {
    pub(crate) label: &'static str,
    pub(crate) value: Value,
    pub(crate) shown: Shown,
}

/// An output column of a node, as other nodes refer to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Item {
    /// In an Output list: a table's name only where several are around.
    pub(crate) output: String,
    /// In a condition: also with VERBOSE.
    pub(crate) condition: String,
    /// A column or a constant; anything else is in parentheses wherever it is referred to.
    pub(crate) simple: bool,
    /// The node only passes it on.
    pub(crate) passed: bool,
}

/// Where an item is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Output,
    Condition,
}

impl Item {
    fn text(&self, style: Style) -> &str {
        match style {
            Style::Output => &self.output,
            Style::Condition => &self.condition,
        }
    }

    /// As the node that computes it writes it.
    pub(crate) fn own(&self, style: Style) -> String {
        self.text(style).to_owned()
    }

    /// As the nodes above refer to it.
    pub(crate) fn reference(&self, style: Style) -> String {
        if self.simple { self.own(style) } else { format!("({})", self.text(style)) }
    }

    /// As the node that has it writes it among its keys: what it passes on is a reference.
    pub(crate) fn reference_or_own(&self, style: Style) -> String {
        if self.passed { self.reference(style) } else { self.own(style) }
    }

    /// In the Output list of the node that has it.
    pub(crate) fn listed(&self) -> String {
        self.reference_or_own(Style::Output)
    }

    /// The same in a node above.
    pub(crate) fn above(&self) -> Item {
        Item { passed: true, ..self.clone() }
    }
}

/// What a node is to the one above.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Relation {
    #[default]
    Input,
    Member,
    Subquery,
    /// A query run once; its name is shown above it.
    InitPlan(String),
    /// A query run when an expression asks.
    SubPlan(String),
}

/// One node.
#[derive(Clone, Debug, Default)]
pub(crate) struct PlanNode {
    /// `Index Scan`
    pub(crate) kind: String,
    /// The first line, if it says more: `Index Scan using i on t`.
    pub(crate) title: Option<String>,
    /// Before the relationship in structured formats: strategy, operation.
    pub(crate) manner: Vec<(&'static str, Value)>,
    /// Facts of the title.
    pub(crate) facts: Vec<(&'static str, Value)>,
    /// Lines below it.
    pub(crate) details: Vec<Property>,
    /// Its columns.
    pub(crate) output: Vec<Item>,
    pub(crate) rows: f64,
    pub(crate) startup: f64,
    pub(crate) total: f64,
    pub(crate) width: usize,
    /// Measured; no loops if it never ran, `None` if it was not to run.
    pub(crate) figures: Option<Figures>,
    pub(crate) relation: Relation,
    pub(crate) children: Vec<PlanNode>,
}

impl PlanNode {
    pub(crate) fn new(kind: impl Into<String>) -> PlanNode {
        PlanNode { kind: kind.into(), ..PlanNode::default() }
    }

    /// Whether its columns are worth a line: those of nodes that only pass rows on are not.
    pub(crate) fn shows_output(&self) -> bool {
        !self.output.is_empty() && !matches!(self.kind.as_str(), "Append" | "Recursive Union")
    }

    pub(crate) fn detail(&mut self, label: &'static str, value: Value) {
        self.details.push(Property { label, value, shown: Shown::Everywhere });
    }

    pub(crate) fn text(&mut self, label: &'static str, text: impl Into<String>) {
        self.detail(label, Value::Text(text.into()));
    }

    /// Pages of the node and all below it, as PostgreSQL counts buffers.
    pub(crate) fn pages(&self) -> u64 {
        let own = self.figures.as_ref().map_or(0, |f| f.pages);
        own + self.children.iter().map(PlanNode::pages).sum::<u64>()
    }
}
