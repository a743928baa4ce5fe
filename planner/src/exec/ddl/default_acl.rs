//! `ALTER DEFAULT PRIVILEGES`: the rights that objects begin with.

use std::sync::Arc;

use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{Acl, AclItem, DefaultAcl, Object, Privileges, fixed};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::name;
use super::super::outcome::{Outcome, done};
use super::{grant, role};
use crate::authority::{self, Target, class, forbidden};
use crate::context::ExecContext;
use crate::sql::DefaultPrivileges;

/// A kind of objects: its rights, those everybody has, its word.
struct Kind {
    all: Privileges,
    public: Privileges,
    word: &'static str,
}

fn kind(letter: char) -> Kind {
    let (all, public, word) = match letter {
        'S' => (Privileges::SEQUENCE, Privileges::NONE, "sequence"),
        'f' => (Privileges::FUNCTION, Privileges::EXECUTE, "function"),
        'T' => (Privileges::USAGE, Privileges::USAGE, "type"),
        'n' => (Privileges::SCHEMA, Privileges::NONE, "schema"),
        _ => (Privileges::TABLE, Privileges::NONE, "table"),
    };
    Kind { all, public, word }
}

impl Kind {
    /// What an object of the kind begins with where nobody said otherwise.
    fn items(&self, owner: Oid) -> Vec<AclItem> {
        let none = Privileges::NONE;
        let item =
            |grantee, privileges| AclItem { grantee, grantor: owner, privileges, options: none };
        let everybody = Some(self.public).filter(|p| !p.is_empty()).map(|p| item(0, p));
        everybody.into_iter().chain([item(owner, self.all)]).collect()
    }
}

fn sorted(mut items: Vec<AclItem>) -> Vec<AclItem> {
    items.sort_by_key(|i| (i.grantee, i.grantor, i.privileges.0, i.options.0));
    items
}

/// A list as messages call it.
pub(crate) fn describe(catalog: &Catalog, list: &DefaultAcl) -> String {
    let what = match list.kind {
        'S' => "sequences",
        'f' => "functions",
        'T' => "types",
        'n' => "schemas",
        _ => "relations",
    };
    let role = catalog.role(list.role).map_or("?", |r| r.name.as_str());
    let within = catalog.schema(list.schema).map(|s| format!(" in schema {}", s.name));
    let within = within.unwrap_or_default();
    format!("default privileges on new {what} belonging to role {role}{within}")
}

/// Keeps a list, if it says more than is so anyway.
pub(crate) fn put(ctx: &ExecContext, list: DefaultAcl) -> Result<()> {
    let list = DefaultAcl { items: sorted(list.items), ..list };
    let plain = match list.schema {
        0 => sorted(kind(list.kind).items(list.role)),
        _ => Vec::new(),
    };
    if list.items != plain {
        return ctx.txn.put(Object::DefaultAcl(Arc::new(list)));
    }
    if ctx.txn.catalog().default_acl(list.role, list.schema, list.kind).is_some() {
        ctx.txn.drop_default_acl(list.role, list.schema, list.kind)?;
    }
    Ok(())
}

/// Runs ALTER DEFAULT PRIVILEGES.
pub(crate) fn alter(ctx: &ExecContext, d: &DefaultPrivileges) -> Result<Outcome> {
    let catalog = ctx.txn.catalog();
    let letter = match d.kind {
        "sequences" => 'S',
        "functions" => 'f',
        "types" => 'T',
        "schemas" => 'n',
        _ => 'r',
    };
    if letter == 'n' && !d.schemas.is_empty() {
        let text = "cannot use IN SCHEMA clause when using GRANT/REVOKE ON SCHEMAS";
        return Err(PgError::new(SqlState(*b"0LP01"), text));
    }
    let me = authority::current(&catalog, &ctx.session);
    let mut roles = Vec::new();
    for given in &d.roles {
        let own = name::ident(given);
        let oid = role::oid_of(ctx, &own)?;
        if !authority::is_member(&catalog, me, oid) {
            return Err(forbidden(format!("must be member of role \"{own}\"")));
        }
        roles.push(oid);
    }
    if roles.is_empty() {
        roles.push(me);
    }
    let mut schemas = Vec::new();
    for given in &d.schemas {
        schemas.push(name::schema(ctx, &name::ident(given))?);
    }
    if schemas.is_empty() {
        schemas.push(0);
    }
    for role in &roles {
        for schema in &schemas {
            change(ctx, d, (*role, *schema, letter))?;
        }
    }
    Ok(done("ALTER DEFAULT PRIVILEGES"))
}

fn change(
    ctx: &ExecContext,
    d: &DefaultPrivileges,
    (role, schema, letter): (Oid, Oid, char),
) -> Result<()> {
    let kind = kind(letter);
    let have = ctx.txn.catalog().default_acl(role, schema, letter).cloned();
    let mut list = match have {
        Some(have) => (*have).clone(),
        None => {
            let items = if schema == 0 { kind.items(role) } else { Vec::new() };
            DefaultAcl { oid: ctx.txn.new_oid(), role, schema, kind: letter, items }
        }
    };
    let wanted = match &d.grant.privileges {
        None => kind.all,
        Some(words) => words.iter().try_fold(Privileges::NONE, |all, (word, _)| {
            grant::privilege(word, kind.all, kind.word).map(|p| all.and(p))
        })?,
    };
    for given in &d.grant.roles {
        let to = grant::grantee(ctx, given)?;
        if d.grant.revoke {
            grant::revoke(&mut list.items, to, role, wanted, &d.grant)?;
        } else {
            grant::grant(&mut list.items, to, role, wanted, d.grant.with_option);
        }
    }
    put(ctx, list)
}

/// Gives a new object the rights its owner's objects begin with.
pub(crate) fn begin(ctx: &ExecContext, target: &Target, schema: Oid) -> Result<()> {
    let letter = match target.class {
        class::FUNCTION => 'f',
        class::TYPE => 'T',
        class::SCHEMA => 'n',
        _ if target.word == "sequence" => 'S',
        _ => 'r',
    };
    let catalog = ctx.txn.catalog();
    let everywhere = catalog.default_acl(target.owner, 0, letter);
    let within = catalog.default_acl(target.owner, schema, letter).filter(|_| schema != 0);
    if everywhere.is_none() && within.is_none() || schema == fixed::PG_CATALOG {
        return Ok(());
    }
    let plain = kind(letter).items(target.owner);
    let mut items = everywhere.map_or_else(|| plain.clone(), |list| list.items.clone());
    for item in within.iter().flat_map(|list| &list.items) {
        grant::grant(&mut items, item.grantee, item.grantor, item.privileges, false);
        if !item.options.is_empty() {
            grant::grant(&mut items, item.grantee, item.grantor, item.options, true);
        }
    }
    let items = sorted(items);
    if items == sorted(plain) {
        return Ok(());
    }
    let acl = Acl { class: target.class, object: target.oid, sub: 0, items };
    ctx.txn.put(Object::Acl(Arc::new(acl)))
}
