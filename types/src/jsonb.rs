//! `jsonb`: object keys in PostgreSQL's order (shorter first, then bytewise), last duplicate wins.

/// A `jsonb` document.
#[derive(Clone, Debug, PartialEq)]
pub struct Jsonb(pub serde_json::Value);
