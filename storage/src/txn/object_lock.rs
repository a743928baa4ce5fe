//! Locks on objects that are no relations: a schema in which something is made, a role that is to own something, stay
//! while that is not committed; whoever drops one waits.

use std::hash::{DefaultHasher, Hash, Hasher};

use smallvec::SmallVec;
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::Transaction;
use super::locks::{LockKey, LockMode};
use crate::catalog::ObjectKind;
use crate::catalog::model::{Object, fixed};

/// A number that no name and no other object is likely to have.
fn key_of(object: (ObjectKind, Oid)) -> LockKey {
    let mut hasher = DefaultHasher::new();
    ("object", object).hash(&mut hasher);
    LockKey::Name(hasher.finish())
}

/// What must be there for an object to be: its schema, its owner, who has rights on it.
fn needed(object: &Object) -> SmallVec<[(ObjectKind, Oid); 4]> {
    let (schema, roles): (Option<Oid>, Vec<Oid>) = match object {
        Object::Relation(o) => (Some(o.schema), vec![o.owner]),
        Object::Type(o) => (Some(o.schema), vec![o.owner]),
        Object::Function(o) => (Some(o.schema), vec![o.owner]),
        Object::Schema(o) => (None, vec![o.owner]),
        Object::Extension(o) => (None, vec![o.owner]),
        Object::Acl(o) => (None, o.items.iter().flat_map(|i| [i.grantee, i.grantor]).collect()),
        _ => (None, Vec::new()),
    };
    let schema = schema.map(|oid| (ObjectKind::Schema, oid));
    let roles = roles.into_iter().filter(|oid| *oid != 0 && *oid != fixed::SUPERUSER);
    schema.into_iter().chain(roles.map(|oid| (ObjectKind::Role, oid))).collect()
}

/// What an object needs now and did not before.
pub(super) fn needed_now(before: Option<&Object>, object: &Object) -> Vec<(ObjectKind, Oid)> {
    let had = before.map(needed).unwrap_or_default();
    needed(object).into_iter().filter(|o| !had.contains(o)).collect()
}

impl Transaction {
    /// Keeps an object from being dropped to the end of the transaction (or to ROLLBACK TO), waiting for who does.
    /// Look again whether it is there.
    pub fn share_object(&self, kind: ObjectKind, oid: Oid) -> Result<()> {
        self.take_object((kind, oid), LockMode::Shared).map(drop)
    }

    /// Waits until nobody else needs an object, which is to be dropped.
    pub fn lock_object(&self, kind: ObjectKind, oid: Oid) -> Result<()> {
        self.take_object((kind, oid), LockMode::Exclusive).map(drop)
    }

    /// Whether it was to be had at once.
    fn take_object(&self, object: (ObjectKind, Oid), mode: LockMode) -> Result<bool> {
        let mut free = true;
        while let Err(holder) = self.try_lock(key_of(object), mode)? {
            free = false;
            self.wait_for(holder)?;
        }
        Ok(free)
    }

    /// Shares what an object needs now and did not before.
    pub(super) fn share_needed(&self, before: Option<&Object>, object: &Object) -> Result<()> {
        for (kind, oid) in needed_now(before, object) {
            let name = self.catalog().schema(oid).map(|s| s.name.clone());
            if self.take_object((kind, oid), LockMode::Shared)? {
                continue;
            }
            let catalog = self.catalog();
            match (kind, name) {
                (ObjectKind::Schema, Some(name)) if catalog.schema(oid).is_none() => {
                    let text = format!("schema \"{name}\" does not exist");
                    return Err(PgError::new(SqlState::INVALID_SCHEMA_NAME, text));
                }
                (ObjectKind::Role, _) if catalog.role(oid).is_none() => {
                    let text = format!("role {oid} was concurrently dropped");
                    return Err(PgError::new(SqlState::UNDEFINED_OBJECT, text));
                }
                _ => {}
            }
        }
        Ok(())
    }
}
