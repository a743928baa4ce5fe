//! Prepared statements, and the cache all sessions share.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;
use parking_lot::RwLock;
use vicinity_storage::Transaction;
use vicinity_types::{Datum, Oid, PgError, Result, SqlState};

use crate::context::ExecContext;
use crate::exec::CallPlan;
use crate::explain::{Explained, Options};
use crate::hooks::DmlPlan;
use crate::query::QueryPlan;
use crate::rows::OutputColumn;
use crate::sql::{Lifted, Parsed};
use crate::uses::Uses;

/// What a statement is, as far as running it goes.
pub enum Kind {
    /// A query.
    Query(Arc<QueryPlan>),
    /// INSERT, UPDATE, DELETE.
    Dml(Arc<DmlPlan>),
    /// CALL.
    Call(Arc<CallPlan>),
    /// EXPLAIN of one of those.
    Explain(Options, Arc<Explained>),
    /// BEGIN, COMMIT, SAVEPOINT ...
    Transaction,
    /// PREPARE, EXECUTE, DEALLOCATE, DISCARD.
    Session,
    /// COPY.
    Copy,
    /// Everything else.
    Utility,
}

impl Kind {
    pub(crate) fn depends_on_catalog(&self) -> bool {
        matches!(self, Kind::Query(_) | Kind::Dml(_) | Kind::Call(_) | Kind::Explain(..))
    }
}

/// A statement, planned.
pub struct Prepared {
    /// As parsed.
    pub parsed: Parsed,
    /// What it is.
    pub kind: Kind,
    /// Its result's columns; `None` if it returns no rows.
    pub columns: Option<Vec<OutputColumn>>,
    /// Its parameters' types.
    pub params: Vec<Oid>,
    pub(crate) version: u64,
    pub(crate) path_key: u64,
    pub(crate) declared: Vec<Oid>,
    /// Values of the plan's parameters, where the statement's own text has them: it has no parameters then.
    pub(crate) given: Vec<Datum>,
}

impl Prepared {
    /// What it asks of relations.
    pub(crate) fn uses(&self) -> Option<&Uses> {
        match &self.kind {
            Kind::Query(plan) => Some(plan.uses()),
            Kind::Dml(plan) => Some(plan.uses()),
            Kind::Call(plan) => Some(plan.uses()),
            Kind::Explain(_, plan) => plan.uses(),
            _ => None,
        }
    }

    /// Takes the locks it needs in a transaction.
    pub(crate) fn lock(&self, txn: &Transaction) -> Result<()> {
        self.uses().map_or(Ok(()), |uses| uses.lock(txn))
    }

    /// Locks the tables that it reads through those they inherit from; whether all were to be had, and what it was
    /// planned for has not changed.
    #[inline]
    pub(crate) fn lock_families(&self, ctx: &ExecContext, params: &[Datum]) -> Result<bool> {
        match &self.kind {
            Kind::Query(plan) if plan.has_families() => {
                plan.lock_families(ctx, self.values_of(params), plan.uses())
            }
            Kind::Dml(plan) if plan.has_families() => {
                let mut at_once = true;
                for query in plan.queries() {
                    at_once &= query.lock_families(ctx, self.values_of(params), plan.uses())?;
                }
                Ok(at_once)
            }
            _ => Ok(true),
        }
    }

    fn values_of<'v>(&'v self, params: &'v [Datum]) -> &'v [Datum] {
        if self.given.is_empty() { params } else { &self.given }
    }

    /// The values of its plan's parameters: those given to it, unless its own text had them.
    pub(crate) fn values(&self, params: Vec<Datum>) -> Vec<Datum> {
        if self.given.is_empty() { params } else { self.given.clone() }
    }

    /// Whether it may run on a connection's own task (invariant *no-starvation*).
    pub fn is_short(&self) -> bool {
        match &self.kind {
            Kind::Query(plan) => plan.is_short(),
            Kind::Dml(plan) => plan.is_short(),
            Kind::Transaction => true,
            _ => false,
        }
    }
}

/// A session's statements with names: those of PREPARE and those of the protocol.
#[derive(Default)]
pub struct NamedStatements {
    statements: std::collections::BTreeMap<String, NamedStatement>,
    /// What the connection has yet to forget; `None` is all.
    forgotten: Vec<Option<String>>,
}

/// One of them.
#[derive(Clone)]
pub struct NamedStatement {
    /// The statement.
    pub prepared: Arc<Prepared>,
    /// The text of the PREPARE that made it.
    pub from_sql: Option<Arc<str>>,
    /// Microseconds since 2000-01-01 UTC.
    pub time: i64,
}

impl NamedStatements {
    /// The statement of a name.
    pub fn get(&self, name: &str) -> Option<&Arc<Prepared>> {
        self.statements.get(name).map(|s| &s.prepared)
    }

    /// Keeps one; `42P05` if the name is taken.
    pub fn insert(
        &mut self,
        name: &str,
        prepared: Arc<Prepared>,
        from_sql: Option<&str>,
    ) -> Result<()> {
        if self.statements.contains_key(name) {
            return Err(PgError::new(
                SqlState::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            ));
        }
        let time = vicinity_types::datetime::clock();
        let from_sql = from_sql.map(Arc::from);
        self.statements.insert(name.to_owned(), NamedStatement { prepared, from_sql, time });
        Ok(())
    }

    /// The protocol's Close.
    pub fn close(&mut self, name: &str) {
        self.statements.remove(name);
    }

    /// `DEALLOCATE name`; `false` if there is none of that name.
    pub(crate) fn deallocate(&mut self, name: &str) -> bool {
        let found = self.statements.remove(name).is_some();
        if found {
            self.forgotten.push(Some(name.to_owned()));
        }
        found
    }

    /// `DEALLOCATE ALL`
    pub(crate) fn deallocate_all(&mut self) {
        self.statements.clear();
        self.forgotten.push(None);
    }

    /// What the connection has to forget.
    pub(crate) fn take_forgotten(&mut self) -> Vec<Option<String>> {
        std::mem::take(&mut self.forgotten)
    }

    /// All of them, by name.
    pub fn list(&self) -> Vec<(String, NamedStatement)> {
        self.statements.iter().map(|(name, s)| (name.clone(), s.clone())).collect()
    }
}

/// Statements kept (invariant *bounded*).
const CAPACITY: usize = 4096;

#[derive(PartialEq, Eq, Hash)]
struct Key {
    text: String,
    types: Vec<Oid>,
    path: u64,
}

#[derive(Default)]
struct Plans {
    /// The catalog version all of them are for.
    version: u64,
    plans: HashMap<Key, Arc<Prepared>>,
}

/// Statements that were planned once are remembered by this many hashes.
const SEEN: usize = 4096;

/// Plans by text, declared types, search path and role, and catalog version. A plan is kept when its
/// statement comes for the second time: statements with values written in them come once, are many,
/// and may be long.
pub struct PlanCache {
    plans: RwLock<Plans>,
    seen: Box<[AtomicU64]>,
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

impl Default for PlanCache {
    fn default() -> PlanCache {
        let seen = (0..SEEN).map(|_| AtomicU64::new(0)).collect();
        PlanCache { plans: RwLock::default(), seen }
    }
}

impl PlanCache {
    pub(crate) fn get(
        &self,
        text: &str,
        types: &[Oid],
        path: u64,
        version: u64,
    ) -> Option<Arc<Prepared>> {
        let plans = self.plans.read();
        if plans.version != version {
            return None;
        }
        let key = Key { text: text.to_owned(), types: types.to_vec(), path };
        plans.plans.get(&key).cloned()
    }

    /// Keeps the plan of a statement that has come before.
    pub(crate) fn offer(&self, types: &[Oid], prepared: &Arc<Prepared>) {
        let hash = hash(&(&prepared.parsed.text, types, prepared.path_key));
        let slot = self.seen.get((hash as usize) % SEEN);
        if slot.is_some_and(|slot| slot.swap(hash, Ordering::Relaxed) == hash) {
            self.put(types, prepared);
        }
    }

    /// Whether a statement without its constants comes for the second time under a catalog: not before, and not
    /// after.
    pub(crate) fn again(&self, lifted: &Lifted, version: u64) -> bool {
        let (once, twice) = (hash(&lifted.text), hash(&(&lifted.text, version)));
        let Some(slot) = self.seen.get((once as usize) % SEEN) else { return false };
        if slot.load(Ordering::Relaxed) == twice {
            return false;
        }
        let second = slot.swap(once, Ordering::Relaxed) == once;
        if second {
            slot.store(twice, Ordering::Relaxed);
        }
        second
    }

    /// Keeps a plan.
    pub(crate) fn put(&self, types: &[Oid], prepared: &Arc<Prepared>) {
        if !prepared.kind.depends_on_catalog() {
            return;
        }
        let mut plans = self.plans.write();
        if plans.version > prepared.version {
            return;
        }
        if plans.version < prepared.version || plans.plans.len() >= CAPACITY {
            plans.plans.clear();
            plans.version = prepared.version;
        }
        let key = Key {
            text: prepared.parsed.text.clone(),
            types: types.to_vec(),
            path: prepared.path_key,
        };
        plans.plans.insert(key, prepared.clone());
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.plans.write().plans.clear();
    }
}
