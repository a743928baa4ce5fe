//! The portals of a session that have names.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use vicinity_types::{PgError, Result, SqlState};

use super::{About, Portal};

/// A portal in use by whoever found it by its name.
pub type Handle = Arc<Mutex<Portal>>;

/// Portals of a session (invariant *bounded*).
const MOST: usize = 1000;

/// A moment: portals made later are newer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

/// Portals by name.
#[derive(Default)]
pub struct Portals {
    open: BTreeMap<String, (Mark, Handle)>,
    next: Mark,
    unnamed: u64,
}

impl Portals {
    /// The portal of a name.
    pub fn get(&self, name: &str) -> Option<Handle> {
        self.open.get(name).map(|(_, portal)| portal.clone())
    }

    /// The portal of a name, or `34000`.
    pub fn find(&self, name: &str) -> Result<Handle> {
        self.get(name).ok_or_else(|| {
            PgError::new(SqlState::INVALID_CURSOR_NAME, format!("cursor \"{name}\" does not exist"))
        })
    }

    /// Whether a name is free, and one portal more allowed.
    pub fn check_free(&self, name: &str) -> Result<()> {
        if self.open.contains_key(name) {
            return Err(PgError::new(
                SqlState::DUPLICATE_CURSOR,
                format!("cursor \"{name}\" already exists"),
            ));
        }
        if self.open.len() >= MOST {
            return Err(PgError::new(SqlState::CONFIGURATION_LIMIT_EXCEEDED, "too many portals"));
        }
        Ok(())
    }

    /// Keeps a portal under a name.
    pub fn insert(&mut self, name: &str, mut portal: Portal) -> Result<Handle> {
        self.check_free(name)?;
        if portal.about.is_none() {
            let text = portal.prepared.as_ref().map(|p| p.parsed.text.clone());
            portal.about = Some(Box::new(About {
                text: text.unwrap_or_default(),
                created: vicinity_types::datetime::clock(),
                ..About::default()
            }));
        }
        let handle = Arc::new(Mutex::new(portal));
        self.next.0 += 1;
        self.open.insert(name.to_owned(), (self.next, handle.clone()));
        Ok(handle)
    }

    /// A name nobody has given: `<unnamed portal 1>`.
    pub fn made_up_name(&mut self) -> String {
        loop {
            self.unnamed += 1;
            let name = format!("<unnamed portal {}>", self.unnamed);
            if !self.open.contains_key(&name) {
                return name;
            }
        }
    }

    /// Closes a portal; `false` if there is none of that name.
    pub fn close(&mut self, name: &str) -> bool {
        self.open.remove(name).is_some()
    }

    /// Closes all.
    pub fn close_all(&mut self) {
        self.open.clear();
    }

    /// Now.
    pub fn mark(&self) -> Mark {
        self.next
    }

    /// What was made since is rolled back. Portals that outlived their transaction stay.
    pub fn rollback_to(&mut self, mark: Mark) {
        self.open.retain(|_, (made, portal)| {
            // One that runs now cannot have been held.
            *made <= mark || portal.try_lock().is_some_and(|p| p.held)
        });
    }

    /// All of them. The transaction is about to commit: each is told by [`Portal::commit`], while
    /// nobody is kept from the others.
    pub fn all(&self) -> Vec<(String, Handle)> {
        self.open.iter().map(|(name, (_, portal))| (name.clone(), portal.clone())).collect()
    }

    /// The transaction is over: only portals that outlive it stay.
    pub fn end(&mut self) {
        self.rollback_to(Mark::default());
    }

    /// Names with what `pg_cursors` tells of them, and whether each can go back.
    pub fn list(&self) -> Vec<(String, About, bool)> {
        let tell = |(name, (_, portal)): (&String, &(Mark, Handle))| {
            let portal = portal.try_lock()?;
            let scrolls = match &portal.run {
                super::Run::Walk(walk) => walk.is_scrollable(),
                _ => false,
            };
            let about = portal.about.as_deref().cloned().unwrap_or_default();
            Some((name.clone(), about, scrolls))
        };
        self.open.iter().filter_map(tell).collect()
    }
}
