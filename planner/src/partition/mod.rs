//! Partitions: which rows are whose.
//!
//! A partitioned table's [`Bounds`] place a row's key in one of its partitions: ranges by binary
//! search over memcomparable keys, lists and hashes by lookup. Writes are routed by them
//! (`exec/dml/route.rs`), scans are cut down to the partitions a filter leaves ([`Guard`]), at plan
//! time where the filter's values are known and when the scan begins otherwise.

mod bounds;
mod family;
mod guard;
pub(crate) mod show;

pub(crate) use bounds::{Bounds, access_method, children, key_types};
pub(crate) use family::{ancestors, descendants, is_partitioned};
pub(crate) use guard::{CompiledGuard, Guard};
