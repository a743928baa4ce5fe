//! Text, as `EXPLAIN_FORMAT_TEXT` writes it.

use super::super::Options;
use super::super::tree::{PlanNode, Relation, Shown, Value};
use super::{Summary, each, milliseconds};

pub(super) fn lines(root: &PlanNode, options: &Options, summary: &Summary) -> Vec<String> {
    let mut lines = Vec::new();
    node(root, options, 0, &mut lines);
    if options.settings && !summary.settings.is_empty() {
        let settings: Vec<String> =
            summary.settings.iter().map(|(name, value)| format!("{name} = '{value}'")).collect();
        lines.push(format!("Settings: {}", settings.join(", ")));
    }
    if options.summary {
        lines.push(format!("Planning Time: {:.3} ms", summary.planning));
    }
    if summary.execution.is_some() {
        for (name, fired) in &summary.triggers {
            let time = if options.timing {
                format!(" time={:.3}", milliseconds(fired.time, 1))
            } else {
                String::new()
            };
            lines.push(format!("Trigger {name}:{time} calls={}", fired.calls));
        }
    }
    if let Some(execution) = summary.execution.filter(|_| options.summary) {
        lines.push(format!("Execution Time: {execution:.3} ms"));
    }
    lines
}

/// A node and those below. `indent` is PostgreSQL's: two spaces each.
fn node(plan: &PlanNode, options: &Options, indent: usize, lines: &mut Vec<String>) {
    let mut indent = indent;
    let mut line = String::new();
    if let Relation::InitPlan(name) | Relation::SubPlan(name) = &plan.relation {
        lines.push(format!("{}{name}", spaces(indent)));
        indent += 1;
    }
    if indent > 0 {
        line.push_str(&format!("{}->  ", spaces(indent)));
        indent += 2;
    }
    line.push_str(plan.title.as_ref().unwrap_or(&plan.kind));
    if options.costs {
        line.push_str(&format!(
            "  (cost={:.2}..{:.2} rows={:.0} width={})",
            plan.startup, plan.total, plan.rows, plan.width
        ));
    }
    line.push_str(&actual(plan, options));
    lines.push(line);
    let pad = spaces(indent + 1);
    if options.verbose && plan.shows_output() {
        let output: Vec<String> = plan.output.iter().map(|i| i.listed()).collect();
        lines.push(format!("{pad}Output: {}", output.join(", ")));
    }
    for property in plan.details.iter().filter(|p| p.shown != Shown::Structured) {
        let value = match &property.value {
            Value::Text(text) => text.clone(),
            Value::List(list) => list.join(", "),
            Value::Int(n) => n.to_string(),
            // Lines of their own say it.
            Value::Groups(..) => continue,
        };
        match property.shown {
            Shown::Line => lines.push(format!("{pad}{value}")),
            _ => lines.push(format!("{pad}{}: {value}", property.label)),
        }
    }
    let pages = plan.pages();
    if options.buffers && plan.figures.as_ref().is_some_and(|f| f.loops > 0) && pages > 0 {
        lines.push(format!("{pad}Buffers: shared hit={pages}"));
    }
    for child in &plan.children {
        node(child, options, indent + 1, lines);
    }
}

fn spaces(indent: usize) -> String {
    " ".repeat(indent * 2)
}

fn actual(plan: &PlanNode, options: &Options) -> String {
    let Some(f) = &plan.figures else { return String::new() };
    if f.loops == 0 {
        return " (never executed)".to_owned();
    }
    let rows = format!("rows={} loops={}", each(f.rows, f.loops), f.loops);
    if !options.timing {
        return format!(" (actual {rows})");
    }
    let (startup, total) = (milliseconds(f.startup, f.loops), milliseconds(f.total, f.loops));
    format!(" (actual time={startup:.3}..{total:.3} {rows})")
}
