//! Hashes, sizes, log positions, identifiers: what belongs to no type's own functions.

pub(crate) mod acl;
pub(crate) mod hash;
pub(crate) mod hash_parts;
pub(crate) mod information;
pub(crate) mod keywords;
pub(crate) mod misc;
pub(crate) mod size;
