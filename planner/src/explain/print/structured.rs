//! The tree as properties and groups, which JSON, XML and YAML write alike.

use super::super::Options;
use super::super::tree::{PlanNode, Relation, Shown, Value};
use super::document::{Field, fields};
use super::{Summary, each, milliseconds};

/// What one query's document says.
pub(super) fn query(root: &PlanNode, options: &Options, summary: &Summary) -> Vec<(String, Field)> {
    let mut out = vec![("Plan".to_owned(), node(root, options, None))];
    if options.settings {
        let settings = summary.settings.iter();
        let settings = settings.map(|(name, value)| (name.clone(), Field::Text(value.clone())));
        out.push(("Settings".to_owned(), Field::Group(settings.collect())));
    }
    if options.summary {
        out.push(("Planning Time".to_owned(), number(summary.planning, 3)));
    }
    if let Some(execution) = summary.execution {
        let triggers = summary.triggers.iter().map(|(name, fired)| {
            let mut trigger = fields([
                ("Trigger Name", Field::Text(name.clone())),
                ("Relation", Field::Text(fired.relation.clone())),
            ]);
            if options.timing {
                trigger.push(("Time".to_owned(), number(milliseconds(fired.time, 1), 3)));
            }
            trigger.push(("Calls".to_owned(), number(fired.calls as f64, 0)));
            trigger
        });
        out.push(("Triggers".to_owned(), Field::Groups("Trigger", triggers.collect())));
        if options.summary {
            out.push(("Execution Time".to_owned(), number(execution, 3)));
        }
    }
    out
}

fn number(value: f64, digits: usize) -> Field {
    Field::Number(format!("{value:.digits$}"))
}

fn field(value: &Value) -> Field {
    match value {
        Value::Text(text) => Field::Text(text.clone()),
        Value::List(list) => Field::List(list.clone()),
        Value::Int(n) => Field::Number(n.to_string()),
        Value::Groups(name, groups) => {
            let text = |(label, text): &(&'static str, String)| {
                (label.to_string(), Field::Text(text.clone()))
            };
            Field::Groups(name, groups.iter().map(|g| g.iter().map(text).collect()).collect())
        }
    }
}

fn node(plan: &PlanNode, options: &Options, place: Option<usize>) -> Field {
    let mut out = fields([("Node Type", Field::Text(plan.kind.clone()))]);
    let mut put = |label: &str, value: Field| out.push((label.to_owned(), value));
    plan.manner.iter().for_each(|(label, value)| put(label, field(value)));
    if let Some(place) = place {
        put("Parent Relationship", Field::Text(relationship(plan, place).to_owned()));
    }
    if let Relation::InitPlan(name) | Relation::SubPlan(name) = &plan.relation {
        put("Subplan Name", Field::Text(name.clone()));
    }
    put("Parallel Aware", Field::Number("false".to_owned()));
    put("Async Capable", Field::Number("false".to_owned()));
    plan.facts.iter().for_each(|(label, value)| put(label, field(value)));
    if options.costs {
        put("Startup Cost", number(plan.startup, 2));
        put("Total Cost", number(plan.total, 2));
        put("Plan Rows", number(plan.rows, 0));
        put("Plan Width", number(plan.width as f64, 0));
    }
    if let Some(f) = &plan.figures {
        if options.timing {
            put("Actual Startup Time", number(milliseconds(f.startup, f.loops), 3));
            put("Actual Total Time", number(milliseconds(f.total, f.loops), 3));
        }
        put("Actual Rows", Field::Number(each(f.rows, f.loops)));
        put("Actual Loops", number(f.loops as f64, 0));
    }
    if options.verbose && plan.shows_output() {
        put("Output", Field::List(plan.output.iter().map(|i| i.listed()).collect()));
    }
    for property in plan.details.iter().filter(|p| p.shown != Shown::Line) {
        put(property.label, field(&property.value));
    }
    if options.buffers {
        buffers(plan.pages(), &mut put);
    }
    if !plan.children.is_empty() {
        let mut inputs = 0;
        let mut children = Vec::new();
        for child in &plan.children {
            if let Field::Group(fields) = node(child, options, Some(inputs)) {
                children.push(fields);
            }
            inputs += usize::from(child.relation == Relation::Input);
        }
        put("Plans", Field::Groups("Plan", children));
    }
    Field::Group(out)
}

/// Everything is in memory: pages are found, never read.
fn buffers(hit: u64, put: &mut dyn FnMut(&str, Field)) {
    put("Shared Hit Blocks", number(hit as f64, 0));
    for label in [
        "Shared Read Blocks",
        "Shared Dirtied Blocks",
        "Shared Written Blocks",
        "Local Hit Blocks",
        "Local Read Blocks",
        "Local Dirtied Blocks",
        "Local Written Blocks",
        "Temp Read Blocks",
        "Temp Written Blocks",
    ] {
        put(label, number(0.0, 0));
    }
}

fn relationship(plan: &PlanNode, place: usize) -> &'static str {
    match (&plan.relation, place) {
        (Relation::InitPlan(_), _) => "InitPlan",
        (Relation::SubPlan(_), _) => "SubPlan",
        (Relation::Member, _) => "Member",
        (Relation::Subquery, _) => "Subquery",
        (Relation::Input, 0) => "Outer",
        (Relation::Input, _) => "Inner",
    }
}
