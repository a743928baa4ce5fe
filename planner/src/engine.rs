//! What all sessions of a server share.

use std::ops::Deref;
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use vicinity_storage::Database;

use crate::advisory::Advisory;
use crate::partition::Families;
use crate::prepared::PlanCache;
use crate::session_state::SessionState;
use crate::userfn;

/// The database with everything that is kept beside it: plans, compiled functions, who is connected.
pub struct Engine {
    /// The database.
    pub db: Arc<Database>,
    /// Plans of all sessions.
    pub plans: PlanCache,
    /// Compiled functions.
    pub functions: userfn::Cache,
    /// Bounds of partitioned tables.
    pub(crate) families: Families,
    /// Locks of applications.
    pub advisory: Advisory,
    sessions: Mutex<Vec<Weak<SessionState>>>,
    started: i64,
    /// Makes of a password what is kept of it; set by whoever checks passwords.
    verifier: OnceLock<fn(&str) -> String>,
}

/// A session's way to the engine. It is counted apart: a count that all sessions' threads changed with
/// every statement would go from core to core each time.
#[derive(Clone)]
#[allow(clippy::redundant_allocation)] // for the count of its own
pub struct EngineHandle(Arc<Arc<Engine>>);

impl From<Arc<Engine>> for EngineHandle {
    fn from(engine: Arc<Engine>) -> EngineHandle {
        EngineHandle(Arc::new(engine))
    }
}

impl Deref for EngineHandle {
    type Target = Engine;

    #[inline]
    fn deref(&self) -> &Engine {
        &self.0
    }
}

impl Engine {
    /// The engine over an open database.
    pub fn new(db: Arc<Database>) -> Arc<Engine> {
        crate::user_call::set_function_runner(userfn::run_function, userfn::run_set);
        let engine = Arc::new(Engine {
            db,
            plans: PlanCache::default(),
            functions: userfn::Cache::default(),
            families: Families::default(),
            advisory: Advisory::default(),
            sessions: Mutex::new(Vec::new()),
            started: vicinity_types::datetime::clock(),
            verifier: OnceLock::new(),
        });
        crate::exec::dml::IndexCompiler::install(&engine);
        for prepared in engine.db.prepared_transactions() {
            engine.advisory.restore(Advisory::of_prepared(prepared.xid), &prepared.extra);
        }
        engine
    }

    /// Passwords are kept as `make` says.
    pub fn keep_passwords_as(&self, make: fn(&str) -> String) {
        let _ = self.verifier.set(make);
    }

    /// What is kept of a password: never itself.
    pub(crate) fn verifier(&self, password: &str) -> Option<String> {
        self.verifier.get().map(|make| make(password))
    }

    /// When the server started, microseconds since 2000-01-01 UTC.
    pub fn started(&self) -> i64 {
        self.started
    }

    /// Everybody connected.
    pub fn sessions(&self) -> Vec<Arc<SessionState>> {
        self.sessions.lock().iter().filter_map(Weak::upgrade).collect()
    }

    pub(crate) fn register(&self, session: &Arc<SessionState>) {
        let mut sessions = self.sessions.lock();
        sessions.retain(|s| s.strong_count() > 0);
        sessions.push(Arc::downgrade(session));
    }
}
