//! What all sessions of a server share.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use vicinity_storage::Database;

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
    sessions: Mutex<Vec<Weak<SessionState>>>,
    started: i64,
}

impl Engine {
    /// The engine over an open database.
    pub fn new(db: Arc<Database>) -> Arc<Engine> {
        crate::user_call::set_function_runner(userfn::run_function, userfn::run_set);
        let engine = Arc::new(Engine {
            db,
            plans: PlanCache::default(),
            functions: userfn::Cache::default(),
            sessions: Mutex::new(Vec::new()),
            started: vicinity_types::datetime::clock(),
        });
        crate::exec::dml::IndexCompiler::install(&engine);
        engine
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
