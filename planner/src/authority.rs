//! Who may do what: roles, the rights they hold, and what owners alone may do.
//!
//! Rights on what a plan reads and writes are looked at once, when it is planned; a plan is of one
//! role (its cache key says which) and one version of the catalog, which every GRANT changes. Running
//! it costs nothing more. An object whose list of rights nobody has changed has PostgreSQL's defaults.

use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{
    AclItem, Function, Privileges, Relation, RelationKind, Schema, TypeDef, fixed,
};
use vicinity_types::{Oid, PgError, Result, SqlState};

use crate::context::ExecContext;
use crate::session_state::{Acting, SessionState};
use crate::uses::{Use, Uses};

/// `pg_class` and the other catalogs objects are kept in.
pub mod class {
    use vicinity_types::Oid;
    /// `pg_class`
    pub const RELATION: Oid = 1259;
    /// `pg_proc`
    pub const FUNCTION: Oid = 1255;
    /// `pg_namespace`
    pub const SCHEMA: Oid = 2615;
    /// `pg_type`
    pub const TYPE: Oid = 1247;
    /// `pg_extension`
    pub const EXTENSION: Oid = 3079;
    /// `pg_authid`
    pub const ROLE: Oid = 1260;
    /// `pg_constraint`
    pub const CONSTRAINT: Oid = 2606;
    /// `pg_trigger`
    pub const TRIGGER: Oid = 2620;
    /// `pg_database`
    pub const DATABASE: Oid = 1262;
}

/// A role nobody is.
const NOBODY: Oid = Oid::MAX;

/// An object rights are held on.
#[derive(Clone, Debug)]
pub struct Target {
    /// The catalog it is in.
    pub class: Oid,
    /// Its id.
    pub oid: Oid,
    /// A column's number, or 0.
    pub sub: i32,
    /// Who owns it.
    pub owner: Oid,
    /// All rights there are on it.
    pub all: Privileges,
    /// What everybody has by default.
    pub public: Privileges,
    /// What messages call its kind.
    pub word: &'static str,
    /// Its name.
    pub name: String,
}

impl Target {
    /// A table, view or sequence.
    pub fn relation(r: &Relation) -> Target {
        let (word, all) = match &r.kind {
            RelationKind::Table(t) if t.materialized.is_some() => {
                ("materialized view", Privileges::TABLE)
            }
            RelationKind::Table(_) => ("table", Privileges::TABLE),
            RelationKind::View(_) => ("view", Privileges::TABLE),
            RelationKind::Sequence(_) => ("sequence", Privileges::SEQUENCE),
            RelationKind::Index(_) => ("index", Privileges::NONE),
            RelationKind::Composite(_) => ("type", Privileges::NONE),
        };
        Target {
            class: class::RELATION,
            oid: r.oid,
            sub: 0,
            owner: r.owner,
            all,
            public: Privileges::NONE,
            word,
            name: r.name.clone(),
        }
    }

    /// A system table.
    pub fn system_table(oid: Oid, name: &str) -> Target {
        Target {
            class: class::RELATION,
            oid,
            sub: 0,
            owner: fixed::SUPERUSER,
            all: Privileges::TABLE,
            public: Privileges::SELECT,
            word: "table",
            name: name.to_owned(),
        }
    }

    /// A column of this relation.
    #[must_use]
    pub fn column(&self, number: i16) -> Target {
        let none = Privileges::NONE;
        Target { sub: i32::from(number), all: Privileges::COLUMN, public: none, ..self.clone() }
    }

    /// A function or procedure.
    pub fn function(f: &Function) -> Target {
        Target {
            class: class::FUNCTION,
            oid: f.oid,
            sub: 0,
            owner: f.owner,
            all: Privileges::FUNCTION,
            public: Privileges::EXECUTE,
            word: if f.procedure { "procedure" } else { "function" },
            name: f.name.clone(),
        }
    }

    /// A schema.
    pub fn schema(s: &Schema) -> Target {
        let open = [fixed::PG_CATALOG, fixed::INFORMATION_SCHEMA, fixed::PUBLIC];
        Target {
            class: class::SCHEMA,
            oid: s.oid,
            sub: 0,
            owner: s.owner,
            all: Privileges::SCHEMA,
            public: if open.contains(&s.oid) { Privileges::USAGE } else { Privileges::NONE },
            word: "schema",
            name: s.name.clone(),
        }
    }

    /// A type; messages of what is done to a domain say type too.
    pub fn user_type(t: &TypeDef) -> Target {
        Target {
            class: class::TYPE,
            oid: t.oid,
            sub: 0,
            owner: t.owner,
            all: Privileges::USAGE,
            public: Privileges::USAGE,
            word: "type",
            name: t.name.clone(),
        }
    }

    /// The database.
    pub fn database(name: &str) -> Target {
        Target {
            class: class::DATABASE,
            oid: fixed::DATABASE,
            sub: 0,
            owner: fixed::SUPERUSER,
            all: Privileges::DATABASE,
            public: Privileges::TEMPORARY.and(Privileges::CONNECT),
            word: "database",
            name: name.to_owned(),
        }
    }

    /// Its list of rights, or the one it has by default.
    pub fn items(&self, catalog: &Catalog) -> Vec<AclItem> {
        if let Some(acl) = catalog.acl(self.class, self.oid, self.sub) {
            return acl.items.clone();
        }
        if self.sub != 0 {
            return Vec::new();
        }
        let item = |grantee, privileges| AclItem {
            grantee,
            grantor: self.owner,
            privileges,
            options: Privileges::NONE,
        };
        let everybody = Some(self.public).filter(|p| !p.is_empty()).map(|p| item(0, p));
        everybody.into_iter().chain([item(self.owner, self.all)]).collect()
    }

    /// What a role may do with it.
    pub fn held(&self, catalog: &Catalog, role: Oid) -> Privileges {
        if is_superuser(catalog, role) {
            return self.all;
        }
        let roles = inherited(catalog, role);
        let mine = |i: &&AclItem| i.grantee == 0 || roles.contains(&i.grantee);
        let items = self.items(catalog);
        items.iter().filter(mine).fold(Privileges::NONE, |all, i| all.and(i.privileges))
    }

    /// What a role may give to others: an owner everything.
    pub fn grantable(&self, catalog: &Catalog, role: Oid) -> Privileges {
        if is_owner(catalog, role, self.owner) {
            return self.all;
        }
        let roles = inherited(catalog, role);
        let items = self.items(catalog);
        let mine = items.iter().filter(|i| roles.contains(&i.grantee));
        mine.fold(Privileges::NONE, |all, i| all.and(i.options))
    }

    /// An error unless the session's role has all of some rights.
    pub fn check(
        &self,
        catalog: &Catalog,
        session: &SessionState,
        wanted: Privileges,
    ) -> Result<()> {
        if self.held(catalog, current(catalog, session)).contains(wanted) {
            return Ok(());
        }
        Err(self.denied())
    }

    /// An error unless the session's role has any of some rights.
    pub fn check_any(
        &self,
        catalog: &Catalog,
        session: &SessionState,
        wanted: Privileges,
    ) -> Result<()> {
        if !self.held(catalog, current(catalog, session)).common(wanted).is_empty() {
            return Ok(());
        }
        Err(self.denied())
    }

    /// An error unless the session's role owns it.
    pub fn check_owner(&self, catalog: &Catalog, session: &SessionState) -> Result<()> {
        if is_owner(catalog, current(catalog, session), self.owner) {
            return Ok(());
        }
        let (word, name) = (self.word, &self.name);
        Err(forbidden(format!("must be owner of {word} {name}")))
    }

    /// What a role without the right hears.
    pub fn denied(&self) -> PgError {
        forbidden(format!("permission denied for {} {}", self.word, self.name))
    }
}

/// 42501
pub fn forbidden(text: impl Into<String>) -> PgError {
    PgError::new(SqlState::INSUFFICIENT_PRIVILEGE, text.into())
}

/// The role whose rights count now: `current_user`.
pub fn current(catalog: &Catalog, session: &SessionState) -> Oid {
    catalog.role_named(&session.current_user()).map_or(NOBODY, |r| r.oid)
}

/// Whether a role may do everything.
pub fn is_superuser(catalog: &Catalog, role: Oid) -> bool {
    catalog.role(role).is_some_and(|r| r.superuser)
}

/// Whether the session's role may do everything.
pub fn is_all_powerful(catalog: &Catalog, session: &SessionState) -> bool {
    is_superuser(catalog, current(catalog, session))
}

/// A role and those whose rights it has without asking.
pub fn inherited(catalog: &Catalog, role: Oid) -> Vec<Oid> {
    reach(catalog, role, true)
}

/// Whether a role may become another.
pub fn is_member(catalog: &Catalog, role: Oid, of: Oid) -> bool {
    is_superuser(catalog, role) || reach(catalog, role, false).contains(&of)
}

/// Whether a role has an owner's rights.
pub fn is_owner(catalog: &Catalog, role: Oid, owner: Oid) -> bool {
    is_superuser(catalog, role) || inherited(catalog, role).contains(&owner)
}

/// Whether the session's role has the rights of another, or of a predefined role that opens `what`
/// everybody does to members.
pub fn may_watch(ctx: &ExecContext, watched: Oid, group: &str) -> bool {
    let me = current(&ctx.catalog, &ctx.session);
    let group = ctx.catalog.role_named(group).map(|r| r.oid);
    is_owner(&ctx.catalog, me, watched) || group.is_some_and(|g| is_owner(&ctx.catalog, me, g))
}

/// Whether the session's role may look for things in a schema.
pub fn may_use_schema(catalog: &Catalog, session: &SessionState, schema: Oid) -> bool {
    let role = current(catalog, session);
    is_superuser(catalog, role)
        || schema == session.temp_schema()
        || catalog
            .schema(schema)
            .is_some_and(|s| Target::schema(s).held(catalog, role).contains(Privileges::USAGE))
}

/// An error unless the session's role may look for things in a schema that was named.
pub fn check_schema(catalog: &Catalog, session: &SessionState, schema: Oid) -> Result<()> {
    if may_use_schema(catalog, session, schema) {
        return Ok(());
    }
    catalog.schema(schema).map_or(Ok(()), |s| Err(Target::schema(s).denied()))
}

/// Whether membership leads from a role to another.
pub fn reaches(catalog: &Catalog, role: Oid, other: Oid) -> bool {
    reach(catalog, role, false).contains(&other)
}

fn reach(catalog: &Catalog, role: Oid, by_inheritance: bool) -> Vec<Oid> {
    let mut found = vec![role];
    let mut at = 0;
    while let Some(next) = found.get(at).copied() {
        at += 1;
        let Some(role) = catalog.role(next).filter(|r| r.inherit || !by_inheritance) else {
            continue;
        };
        for group in &role.member_of {
            if !found.contains(group) {
                found.push(*group);
            }
        }
    }
    found
}

/// The rights of a relation's owner, while this lives: what a foreign key looks at and changes is not
/// for the role to see that wrote the key.
pub fn as_owner<'c>(ctx: &'c ExecContext, relation: &Relation) -> Option<Acting<'c>> {
    if is_all_powerful(&ctx.catalog, &ctx.session) {
        return None;
    }
    ctx.catalog.role(relation.owner).map(|owner| ctx.session.act_as(&owner.name))
}

/// What keeps the session's role from a plan's relations, if anything does.
pub fn refusal(catalog: &Catalog, session: &SessionState, uses: &Uses) -> Option<PgError> {
    let current = current(catalog, session);
    uses.list().iter().find_map(|u| {
        let role = u.role.unwrap_or(current);
        if is_superuser(catalog, role) {
            return None;
        }
        let target = Target::relation(catalog.relation(u.relation)?);
        let missing = u.needs.without(target.held(catalog, role));
        let of_columns = || {
            let reads = missing.contains(Privileges::SELECT);
            missing.without(Privileges::COLUMN).is_empty()
                && (!reads || reads_columns(catalog, role, &target, u, uses))
                && writes_columns(catalog, role, &target, u, missing)
        };
        (!missing.is_empty() && !of_columns()).then(|| target.denied())
    })
}

/// Whether a role may read all columns that are read; one at least if none is named.
fn reads_columns(catalog: &Catalog, role: Oid, target: &Target, u: &Use, uses: &Uses) -> bool {
    let may = |n: i16| target.column(n).held(catalog, role).contains(Privileges::SELECT);
    let mut named = uses.columns_of(u.relation).peekable();
    if named.peek().is_none() {
        return u.written || columns_with_rights(catalog, target).any(may);
    }
    named.all(may)
}

fn writes_columns(
    catalog: &Catalog,
    role: Oid,
    target: &Target,
    u: &Use,
    missing: Privileges,
) -> bool {
    let missing = missing.without(Privileges::SELECT);
    let may = |n: i16| target.column(n).held(catalog, role).contains(missing);
    if u.columns.is_empty() {
        // Rows that are locked, and those without a value, are no column's in particular.
        return missing.is_empty() || columns_with_rights(catalog, target).any(may);
    }
    u.columns.iter().all(|n| may(*n))
}

/// The columns of a relation that somebody was given rights on.
fn columns_with_rights(catalog: &Catalog, target: &Target) -> impl Iterator<Item = i16> {
    let (class, object) = (target.class, target.oid);
    let lists = catalog.acls().filter(move |a| a.class == class && a.object == object);
    lists.filter_map(|a| i16::try_from(a.sub).ok()).filter(|n| *n != 0)
}
