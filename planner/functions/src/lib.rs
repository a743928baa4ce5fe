//! Built-in functions, operators, casts and aggregates, by PostgreSQL's internal names.
//!
//! The catalog ([`procs`], [`operators`], [`casts`], ...) is PostgreSQL 15's own, restricted to what
//! has an implementation. An implementation is found as PostgreSQL's function manager finds it: by
//! `prosrc`, here [`Proc::src`].
//!
//! | to run | ask | gives |
//! |---|---|---|
//! | a function | [`Call::new`] (or [`scalar`] where the argument types do not matter) | one value |
//! | a set-returning function | [`set_returning`] | rows |
//! | one whose columns the query lists | [`record_rows`] | rows |
//! | an aggregate | [`aggregate`] | a maker of [`Aggregate`] states |
//!
//! What is in [`PLANNER_SOURCES`] has a row in `pg_proc` and its implementation in the planner.

#[macro_use]
mod macros;

mod aggregate;
mod array;
mod bits;
mod call;
pub mod catalog;
mod datetime;
mod enums;
mod env;
mod formatting;
mod geo;
mod in_range;
mod io;
mod json;
mod number;
mod numeric;
mod order;
mod out;
mod partition;
mod pase;
mod registry;
mod series;
mod size;
mod system;
mod text;

pub use aggregate::{Aggregate, MakeAggregate, aggregate, array_of_arrays};
pub use array::assign::{set_element, set_slice};
pub use call::{Call, Signature};
pub use catalog::{
    AccessMethod, AggregateInfo, Amop, Amproc, Cast, Collation, Description, Language, Opclass,
    Operator, Opfamily, PG_CATALOG, PLANNER_SOURCES, PUBLIC, Proc, TypeInfo, access_method_by_oid,
    access_method_named, access_methods, aggregate_info, aggregates, amops, amops_of, amprocs,
    cast, casts, collations, default_opclass, description, descriptions, is_polymorphic,
    lacks_function, lacks_type, languages, opclass_by_oid, opclass_named, opclasses,
    operator_by_oid, operator_exact, operators, operators_named, opfamilies, proc_by_oid,
    proc_exact, procs, procs_named, type_by_oid, type_named, types,
};
pub use env::Env;
pub use geo::distance_to_point;
pub use json::modify::store_path;
pub use json::record::{gives_rows, record_rows};
pub use order::{lacks, lacks_order};
pub use pase::nearness;
pub use registry::{Rows, ScalarFn, SetFn, TypedFn, scalar, set_returning, typed};
pub use size::{Place as SizedIn, column_size};
pub use system::hash_parts::hash_function;
pub use system::keywords::{Keyword, keyword};
pub use text::convert::{quote_ident, quote_literal};
