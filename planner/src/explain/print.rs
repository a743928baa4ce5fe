//! The tree as text and as JSON.

use serde_json::{Map, Value, json};

use super::build::PlanNode;
use super::{Measured, Options};

/// Text, a line each.
pub(crate) fn text(
    root: &PlanNode,
    options: &Options,
    planning: f64,
    measured: Option<&Measured>,
) -> Vec<String> {
    let mut lines = Vec::new();
    node_text(root, options, 0, &mut lines);
    if options.summary {
        lines.push(format!("Planning Time: {planning:.3} ms"));
        if let Some(m) = measured {
            lines.push(format!("Execution Time: {:.3} ms", m.total));
        }
    }
    lines
}

fn node_text(node: &PlanNode, options: &Options, depth: usize, lines: &mut Vec<String>) {
    let indent = match depth {
        0 => String::new(),
        d => format!("{}->  ", " ".repeat(2 + (d - 1) * 6)),
    };
    let mut line = format!("{indent}{}", node.title);
    if options.costs {
        line.push_str(&format!(
            "  (cost={:.2}..{:.2} rows={:.0} width={})",
            node.startup, node.total, node.rows, node.width
        ));
    }
    if let Some((first, total, rows)) = node.actual {
        if options.timing {
            line.push_str(&format!(" (actual time={first:.3}..{total:.3} rows={rows} loops=1)"));
        } else {
            line.push_str(&format!(" (actual rows={rows} loops=1)"));
        }
    }
    lines.push(line);
    let pad = " ".repeat(if depth == 0 { 2 } else { depth * 6 + 2 });
    for (label, text) in &node.details {
        lines.push(format!("{pad}{label}: {text}"));
    }
    if let Some(removed) = node.removed {
        lines.push(format!("{pad}Rows Removed by Filter: {removed}"));
    }
    if options.buffers && depth == 0 && node.actual.is_some() {
        let hit = node.actual.map_or(0, |(_, _, rows)| rows);
        lines.push(format!("{pad}Buffers: shared hit={hit}"));
    }
    for child in &node.children {
        node_text(child, options, depth + 1, lines);
    }
}

/// One JSON document.
pub(crate) fn json(
    root: &PlanNode,
    options: &Options,
    planning: f64,
    measured: Option<&Measured>,
) -> String {
    let mut top = Map::new();
    top.insert("Plan".to_owned(), node_json(root, options, None));
    if options.summary {
        top.insert("Planning Time".to_owned(), json!(round3(planning)));
        if let Some(m) = measured {
            top.insert("Triggers".to_owned(), json!([]));
            top.insert("Execution Time".to_owned(), json!(round3(m.total)));
        }
    }
    let document = Value::Array(vec![Value::Object(top)]);
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

fn round3(v: f64) -> f64 {
    (v * 1000.0).round() / 1000.0
}

fn node_json(node: &PlanNode, options: &Options, relationship: Option<&str>) -> Value {
    let mut out = Map::new();
    out.insert("Node Type".to_owned(), json!(node.kind));
    if let Some(relationship) = relationship {
        out.insert("Parent Relationship".to_owned(), json!(relationship));
    }
    out.insert("Parallel Aware".to_owned(), json!(false));
    out.insert("Async Capable".to_owned(), json!(false));
    for (name, value) in &node.facts {
        out.insert((*name).to_owned(), json!(value));
    }
    if options.costs {
        out.insert("Startup Cost".to_owned(), json!(round3(node.startup)));
        out.insert("Total Cost".to_owned(), json!(round3(node.total)));
        out.insert("Plan Rows".to_owned(), json!(node.rows.round() as u64));
        out.insert("Plan Width".to_owned(), json!(node.width));
    }
    if let Some((first, total, rows)) = node.actual {
        if options.timing {
            out.insert("Actual Startup Time".to_owned(), json!(round3(first)));
            out.insert("Actual Total Time".to_owned(), json!(round3(total)));
        }
        out.insert("Actual Rows".to_owned(), json!(rows));
        out.insert("Actual Loops".to_owned(), json!(1));
    }
    for (label, text) in &node.details {
        let value = match *label {
            "Output" | "Sort Key" | "Group Key" => json!([text]),
            _ => json!(text),
        };
        out.insert((*label).to_owned(), value);
    }
    if let Some(removed) = node.removed {
        out.insert("Rows Removed by Filter".to_owned(), json!(removed));
    }
    if !node.children.is_empty() {
        let relations = ["Outer", "Inner"];
        let children = node.children.iter().enumerate().map(|(i, c)| {
            node_json(c, options, Some(relations.get(i).copied().unwrap_or("Member")))
        });
        out.insert("Plans".to_owned(), Value::Array(children.collect()));
    }
    Value::Object(out)
}
