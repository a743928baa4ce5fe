//! Definitions: what CREATE, ALTER, DROP and COMMENT do to the catalog.

pub(crate) mod comment;
pub(crate) mod constraint;
pub(crate) mod create_as;
pub(crate) mod depend;
pub(crate) mod domain;
pub(crate) mod drop;
pub(crate) mod extension;
pub(crate) mod foreign_key;
pub(crate) mod function;
pub(crate) mod grant;
pub(crate) mod index;
pub(crate) mod index_key;
pub(crate) mod inherit;
pub(crate) mod like;
pub(crate) mod materialized;
pub(crate) mod object;
pub(crate) mod opclass;
pub(crate) mod partition;
pub(crate) mod parts;
pub(crate) mod role;
pub(crate) mod schema;
pub(crate) mod sequence;
pub(crate) mod table;
pub(crate) mod trigger;
pub(crate) mod typedef;
pub(crate) mod view;
