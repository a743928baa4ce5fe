//! PostgreSQL's resolution of operators, functions, casts and common types.
//!
//! Source: "Type Conversion" in PostgreSQL's manual, and `parse_func.c`, `parse_oper.c`,
//! `parse_coerce.c`. The rows it works over are PostgreSQL 15's own.

mod casts;
mod coerce;
mod common;
mod function;
mod operator;
mod polymorphic;
mod typename;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use vicinity_functions::catalog as builtin;
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::TypeKind;
use vicinity_types::{Kind, Oid, oid};

use crate::call::PgType;
use crate::session_state::SessionState;

pub use casts::{ApplyTypmod, ArrayCoerce, CoerceViaIo};
pub use coerce::CoerceContext;
pub use function::{Func, Target};
pub use operator::Op;

/// Resolution against one version of the catalog and one search path.
#[derive(Clone, Copy)]
pub struct Resolver<'a> {
    /// What exists.
    pub catalog: &'a Arc<Catalog>,
    /// Whose search path and formats apply.
    pub session: &'a SessionState,
}

impl Resolver<'_> {
    /// A type with how its values are held.
    pub fn full(&self, oid: Oid, typmod: i32) -> PgType {
        PgType::with_kind(oid, typmod, self.catalog.kind_of(oid))
    }

    /// A type's name in messages.
    pub fn type_name(&self, oid: Oid) -> String {
        crate::names::type_name(self.catalog, oid, -1)
    }

    /// Whether an extension's built-in rows exist yet.
    fn present(&self, extension: Option<&str>) -> bool {
        extension.is_none_or(|name| self.catalog.extension_named(name).is_some())
    }

    /// `pg_type.typcategory` and `typispreferred`.
    fn category(&self, ty: Oid) -> (u8, bool) {
        if let Some(info) = builtin::type_by_oid(ty) {
            return (info.category, info.preferred);
        }
        if self.catalog.element_of(ty).is_some() {
            return (b'A', false);
        }
        match self.catalog.type_def(ty).map(|t| &t.kind) {
            Some(TypeKind::Enum { .. }) => (b'E', false),
            Some(TypeKind::Domain { base, .. }) => (self.category(*base).0, false),
            _ => (b'C', false),
        }
    }

    /// The element type of an array type.
    fn element_of(&self, ty: Oid) -> Option<Oid> {
        self.catalog.element_of(ty).or_else(|| oid::element_of(ty))
    }

    fn array_of(&self, elem: Oid) -> Option<Oid> {
        self.catalog.array_of(elem).or_else(|| oid::array_of(elem))
    }

    fn is_array(&self, ty: Oid) -> bool {
        self.element_of(ty).is_some()
    }

    fn is_composite(&self, ty: Oid) -> bool {
        ty == oid::RECORD || self.catalog.kind_of(ty) == Kind::Record
    }

    fn is_enum(&self, ty: Oid) -> bool {
        self.catalog.type_def(ty).is_some_and(|t| matches!(t.kind, TypeKind::Enum { .. }))
    }

    /// A domain's base type; any other type itself.
    fn base_type(&self, ty: Oid) -> Oid {
        match self.catalog.type_def(ty).map(|t| &t.kind) {
            Some(TypeKind::Domain { base, .. }) => self.base_type(*base),
            _ => ty,
        }
    }
}
