//! What the rules ask about a type, built-in or not.

use std::sync::Arc;

use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{Column, RelationKind, TypeKind};
use vicinity_types::{Kind, Oid, PgError, Result, SqlState, oid};

use crate::call::PgType;
use crate::context::ExecContext;
use crate::names;
use crate::session_state::SessionState;

/// Types as one version of the catalog knows them.
#[derive(Clone)]
pub struct Types {
    /// The catalog.
    pub catalog: Arc<Catalog>,
    /// The search path: names are written in full where it does not lead to a type.
    path: Vec<Oid>,
}

/// The type a domain is over; any other type is its own base.
fn base_type(catalog: &Catalog, ty: Oid) -> Oid {
    let mut ty = ty;
    // domains over domains are few; a bound keeps a damaged catalog from looping
    for _ in 0..32 {
        match catalog.type_def(ty).map(|t| &t.kind) {
            Some(TypeKind::Domain { base, .. }) => ty = *base,
            _ => break,
        }
    }
    ty
}

/// The type of what a subscript leads to; `None` for types without.
pub fn part_type(catalog: &Catalog, ty: Oid) -> Option<Oid> {
    match base_type(catalog, ty) {
        oid::INT2VECTOR => Some(oid::INT2),
        oid::OIDVECTOR => Some(oid::OID),
        // types of fixed length are arrays of their parts, counted from 0
        oid::POINT | oid::LINE => Some(oid::FLOAT8),
        oid::LSEG | oid::BOX => Some(oid::POINT),
        oid::NAME => Some(oid::CHAR),
        ty => catalog.element_of(ty),
    }
}

impl Types {
    /// As a session sees them.
    pub fn new(catalog: &Arc<Catalog>, session: &SessionState) -> Types {
        Types { catalog: catalog.clone(), path: session.search_path_oids(catalog) }
    }

    /// The schemas that names without one are looked for in.
    pub fn path(&self) -> &[Oid] {
        &self.path
    }

    /// As a statement sees them.
    pub fn of(ctx: &ExecContext) -> Types {
        Types::new(&ctx.catalog, &ctx.session)
    }

    /// How values are held.
    pub fn kind(&self, ty: Oid) -> Kind {
        self.catalog.kind_of(ty)
    }

    /// A type with a modifier.
    pub fn pg(&self, ty: Oid, typmod: i32) -> PgType {
        PgType::with_kind(ty, typmod, self.kind(ty))
    }

    /// A type without one.
    pub fn plain(&self, ty: Oid) -> PgType {
        self.pg(ty, -1)
    }

    /// SQL's name.
    pub fn name(&self, ty: Oid) -> String {
        names::type_name_on(&self.catalog, &self.path, ty, None)
    }

    /// The type a domain is over; any other type is its own base.
    pub fn base(&self, ty: Oid) -> Oid {
        base_type(&self.catalog, ty)
    }

    /// Error 42804 unless values of a type may be compared under a collation.
    pub fn check_collatable(&self, ty: Oid) -> Result<()> {
        let base = self.base(ty);
        let one = self.catalog.element_of(base).map_or(base, |elem| self.base(elem));
        let known = vicinity_functions::type_by_oid(one);
        if ty == oid::UNKNOWN || known.is_some_and(|t| t.collation != 0) {
            return Ok(());
        }
        Err(PgError::new(
            SqlState::DATATYPE_MISMATCH,
            format!("collations are not supported by type {}", self.name(ty)),
        ))
    }

    /// A domain's base and modifier.
    pub fn domain(&self, ty: Oid) -> Option<(Oid, i32)> {
        match self.catalog.type_def(ty).map(|t| &t.kind) {
            Some(TypeKind::Domain { base, typmod, .. }) => Some((*base, *typmod)),
            _ => None,
        }
    }

    /// What a domain, or an array of one, is made of in the end, and the modifier: its values are read as that first, and
    /// then checked.
    pub fn made_of(&self, ty: Oid) -> Option<(Oid, i32)> {
        if let Some(element) = self.element(ty) {
            let (base, typmod) = self.made_of(element)?;
            return Some((self.array(base)?, typmod));
        }
        let (base, typmod) = self.domain(ty)?;
        Some(self.made_of(base).unwrap_or((base, typmod)))
    }

    /// Whether values cannot be sorted or told apart: nothing compares them, or a part of them.
    pub fn lacks_order(&self, ty: Oid) -> bool {
        vicinity_functions::lacks_order(ty)
            || self.element(ty).is_some_and(|e| self.lacks_order(e))
            || self.domain(ty).is_some_and(|(base, _)| self.lacks_order(base))
            || self.fields(ty).is_some_and(|all| all.iter().any(|f| self.lacks_order(f.type_oid)))
    }

    /// `pg_type.typcategory`
    pub fn category(&self, ty: Oid) -> u8 {
        if let Some(info) = vicinity_functions::type_by_oid(ty) {
            return info.category;
        }
        if self.catalog.element_of(ty).is_some() {
            return b'A';
        }
        match self.catalog.type_def(ty).map(|t| &t.kind) {
            Some(TypeKind::Enum { .. }) => b'E',
            Some(TypeKind::Domain { .. }) => self.category(self.base(ty)),
            Some(TypeKind::Base) => b'U',
            _ => b'C',
        }
    }

    /// `pg_type.typispreferred`
    pub fn preferred(&self, category: u8, ty: Oid) -> bool {
        vicinity_functions::type_by_oid(ty).is_some_and(|t| t.preferred && t.category == category)
    }

    /// Element type of a true array type.
    pub fn element(&self, ty: Oid) -> Option<Oid> {
        match ty {
            oid::INT2VECTOR | oid::OIDVECTOR => None,
            _ => self.catalog.element_of(self.base(ty)),
        }
    }

    /// The array type over a type.
    pub fn array(&self, elem: Oid) -> Option<Oid> {
        self.catalog.array_of(elem)
    }

    /// Whether it is an enum.
    pub fn is_enum(&self, ty: Oid) -> bool {
        matches!(self.catalog.type_def(ty).map(|t| &t.kind), Some(TypeKind::Enum { .. }))
    }

    /// Whether it is a named composite type.
    pub fn is_composite(&self, ty: Oid) -> bool {
        self.fields(ty).is_some()
    }

    /// The columns of a composite type.
    pub fn fields(&self, ty: Oid) -> Option<Vec<Column>> {
        if oid::kind(ty).is_some() || self.catalog.element_of(ty).is_some() {
            return None;
        }
        let relation = self.catalog.relation_of_type(self.base(ty))?;
        let columns = match &relation.kind {
            RelationKind::Table(t) => &t.columns,
            RelationKind::View(v) => &v.columns,
            RelationKind::Composite(columns) => columns,
            _ => return None,
        };
        Some(columns.iter().filter(|c| !c.dropped).cloned().collect())
    }

    /// Whether rows of an extension are visible.
    pub fn extension_exists(&self, extension: Option<&str>) -> bool {
        extension.is_none_or(|name| self.catalog.extension_named(name).is_some())
    }
}
