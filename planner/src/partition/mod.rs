//! Partitions: which rows are whose.
//!
//! A partitioned table's [`Bounds`] place a row's key in one of its partitions: ranges by binary search over memcomparable
//! keys, lists and hashes by lookup. They are kept for all sessions ([`Families`]). Writes are routed by them
//! (`exec/dml/route.rs`), scans are cut down to the partitions a filter leaves ([`Pruning`]), at plan time where the
//! filter's values are known and when the scan begins otherwise.

mod bounds;
mod family;
mod kept;
mod prune;
mod satisfies;
pub(crate) mod show;

pub(crate) use bounds::{Bounds, access_method, key_types};
pub(crate) use family::{ancestors, descendants, has_all_parts, is_partitioned};
pub(crate) use kept::Families;
pub(crate) use kept::{bounds, children};
pub(crate) use prune::{Pruning, is_written, literal};
pub(crate) use satisfies::satisfies;
