//! The tree as text, JSON, XML and YAML.

mod document;
mod structured;
mod text;

use std::collections::BTreeMap;

use super::tree::PlanNode;
use super::{Format, Options};
use crate::measure::Fired;

/// What is written below the tree.
pub(super) struct Summary {
    /// Settings that differ from their defaults.
    pub(super) settings: Vec<(String, String)>,
    /// Milliseconds.
    pub(super) planning: f64,
    /// Milliseconds, if it ran.
    pub(super) execution: Option<f64>,
    pub(super) triggers: BTreeMap<String, Fired>,
}

/// The lines of the result.
pub(super) fn lines(root: &PlanNode, options: &Options, summary: &Summary) -> Vec<String> {
    match options.format {
        Format::Text => text::lines(root, options, summary),
        Format::Json => vec![document::json(&structured::query(root, options, summary))],
        Format::Xml => vec![document::xml(&structured::query(root, options, summary))],
        Format::Yaml => vec![document::yaml(&structured::query(root, options, summary))],
    }
}

/// Nanoseconds over loops, in milliseconds.
fn milliseconds(nanoseconds: u64, loops: u64) -> f64 {
    nanoseconds as f64 / 1e6 / loops.max(1) as f64
}

/// Rows over loops.
fn each(rows: u64, loops: u64) -> String {
    format!("{:.0}", rows as f64 / loops.max(1) as f64)
}
