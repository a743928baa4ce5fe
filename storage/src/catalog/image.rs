//! The whole catalog as a list of changes to what a new database begins with.
//!
//! What is as it was at the beginning is left out, so that a newer server's catalog, which may begin with more, has that
//! too when it reads the list.

use std::collections::HashSet;
use std::sync::Arc;

use vicinity_types::Result;

use super::Catalog;
use super::change::{Key, LoggedChange};
use super::model::Object;
use crate::wal::record::encode_changes;

impl Catalog {
    /// All objects.
    fn objects(&self) -> impl Iterator<Item = Object> {
        let schemas = self.schemas.values().map(|o| Object::Schema(Arc::clone(o)));
        let roles = self.roles.values().map(|o| Object::Role(Arc::clone(o)));
        let types = self.types.values().map(|o| Object::Type(Arc::clone(o)));
        let relations = self.relations.values().map(|o| Object::Relation(Arc::clone(o)));
        let functions = self.functions.values().map(|o| Object::Function(Arc::clone(o)));
        let extensions = self.extensions.values().map(|o| Object::Extension(Arc::clone(o)));
        let triggers = self.triggers.values().map(|o| Object::Trigger(Arc::clone(o)));
        let comments = self.comments.values().map(|o| Object::Comment(Arc::clone(o)));
        let acls = self.acls.values().map(|o| Object::Acl(Arc::clone(o)));
        let sessions = self.session_defaults.values();
        let sessions = sessions.map(|o| Object::SessionDefaults(Arc::clone(o)));
        let defaults = self.default_acls.values().map(|o| Object::DefaultAcl(Arc::clone(o)));
        schemas
            .chain(roles)
            .chain(types)
            .chain(relations)
            .chain(functions)
            .chain(extensions)
            .chain(triggers)
            .chain(comments)
            .chain(acls)
            .chain(sessions)
            .chain(defaults)
    }

    /// What is other than at the beginning, as the log's commits have it.
    pub(crate) fn image(&self) -> Result<Vec<u8>> {
        let encoded = |o: &Object| encode_changes(&[LoggedChange::Put(o.clone())]);
        let mut begun = HashSet::new();
        let mut changes = Vec::new();
        for object in Catalog::bootstrap().objects() {
            let key = Key::of(&object);
            match self.get(&key) {
                None => changes.push(LoggedChange::Drop(key)),
                Some(now) if encoded(&now)? == encoded(&object)? => {
                    begun.insert(key);
                }
                Some(_) => {}
            }
        }
        let others = self.objects().filter(|o| !begun.contains(&Key::of(o)));
        changes.extend(others.map(LoggedChange::Put));
        encode_changes(&changes)
    }

    /// The catalog that an image is of. Objects are put into nothing, each once: on the way from one state to the other
    /// two of them might have the same name.
    pub(crate) fn from_image(changes: Vec<LoggedChange>) -> Catalog {
        let mut other = HashSet::new();
        let mut objects = Vec::new();
        for change in changes {
            match change {
                LoggedChange::Put(object) => {
                    other.insert(Key::of(&object));
                    objects.push(object);
                }
                LoggedChange::Drop(key) => {
                    other.insert(key);
                }
                LoggedChange::Sequence(..) => {}
            }
        }
        let mut catalog = Catalog::empty();
        let begun = Catalog::bootstrap();
        let kept = begun.objects().filter(|o| !other.contains(&Key::of(o)));
        kept.chain(objects).for_each(|object| catalog.put(object));
        catalog
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::model::{Schema, fixed};
    use super::*;
    use crate::wal::record::decode_changes;

    fn schema(oid: u32, name: &str) -> Object {
        Object::Schema(Arc::new(Schema { oid, name: name.to_owned(), owner: fixed::SUPERUSER }))
    }

    fn again(catalog: &Catalog) -> Catalog {
        Catalog::from_image(decode_changes(&catalog.image().unwrap()).unwrap())
    }

    #[test]
    fn names_that_changed_places_come_back() {
        let mut catalog = Catalog::bootstrap();
        catalog.put(schema(fixed::PUBLIC, "aside"));
        catalog.put(schema(20_000, "public"));
        catalog.drop(&Key::Schema(fixed::INFORMATION_SCHEMA));
        let back = again(&catalog);
        assert_eq!(back.schema_named("public").unwrap().oid, 20_000);
        assert_eq!(back.schema_named("aside").unwrap().oid, fixed::PUBLIC);
        assert!(back.schema_named("information_schema").is_none());
        assert_eq!(back.objects().count(), catalog.objects().count());
        assert_eq!(back.image().unwrap(), catalog.image().unwrap());
    }

    #[test]
    fn a_new_database_has_nothing_to_say() {
        let catalog = Catalog::bootstrap();
        assert_eq!(decode_changes(&catalog.image().unwrap()).unwrap().len(), 0);
    }
}
