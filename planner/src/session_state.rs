//! What a session carries from statement to statement, shared with the functions it runs.

mod clock;
mod deferred;
mod path;
mod settings;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use parking_lot::{Mutex, MutexGuard};
use vicinity_types::{IoStyle, Notice, Oid};

use crate::activity::Activity;
use crate::advisory;
use crate::exec::after::Deferred;
use crate::exec::settings::Settings;
use crate::inner;
use crate::news::News;
use crate::portal::Portals;
use crate::prepared::NamedStatements;

pub use path::{SearchPath, Steering};

/// Which lane statements take (`SET vicinity.lane`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lane {
    /// The row lane where it can, the batch lane for the rest.
    #[default]
    Auto,
    /// The row lane, or an error.
    Row,
    /// Always the batch lane.
    Batch,
}

/// Sends a notice to the client at once, if it can.
pub type NoticeHook = Box<dyn Fn(&Notice) -> bool + Send + Sync>;

/// A session's state. All of it can be used from any thread.
pub struct SessionState {
    user: String,
    /// Whose rights count: set by SET ROLE and SET SESSION AUTHORIZATION.
    current_user: ArcSwap<String>,
    database: String,
    pid: i32,
    settings: Mutex<Settings>,
    style: ArcSwap<IoStyle>,
    path: ArcSwap<SearchPath>,
    lane: AtomicU8,
    /// What implicit transactions begin with: isolation (2 bits), read only, asynchronous commit.
    transaction: AtomicU8,
    /// Milliseconds, 0 for none.
    lock_timeout: AtomicI64,
    /// Milliseconds, 0 for none.
    statement_timeout: AtomicI64,
    /// Milliseconds a client may be idle: outside of a transaction, and inside. 0 for ever.
    idle_timeouts: [AtomicI64; 2],
    /// There may be something for [`SessionState::take_news`].
    untold: AtomicBool,
    notices: Mutex<Vec<Notice>>,
    /// Takes notices while a statement runs; `false` leaves one to be queued.
    notice_hook: Mutex<Option<NoticeHook>>,
    /// Tells a connection that waits for its client that the session is over.
    wake: Mutex<Option<Arc<dyn Fn() + Send + Sync>>>,
    /// What others see of it.
    pub activity: Activity,
    /// It has asked for an advisory lock.
    pub locks_advisory: AtomicBool,
    /// Advisory locks of the transaction in the order taken, with whether they are shared.
    pub(crate) advisory: Mutex<Vec<(advisory::Key, bool)>>,
    statements: Mutex<NamedStatements>,
    portals: Mutex<Portals>,
    /// Queries of functions whose rows are being gone through.
    queries: Mutex<Vec<Arc<inner::Statement>>>,
    cancel: Arc<AtomicBool>,
    terminate: Arc<AtomicBool>,
    /// When the running statement times out: microseconds after `epoch`, 0 for never.
    deadline: AtomicI64,
    epoch: Instant,
    /// The session's temporary schema, 0 before it has one.
    temp_schema: AtomicU32,
    /// Checks and triggers that wait for the commit, and what may not be used before it.
    deferred: Mutex<Arc<Deferred>>,
    /// Temporary tables with ON COMMIT DROP or DELETE ROWS.
    on_commit: Mutex<Vec<Oid>>,
    sequences: Mutex<(Option<Oid>, HashMap<Oid, i64>)>,
    transaction_time: AtomicI64,
    statement_time: AtomicI64,
    started: i64,
}

impl SessionState {
    /// A new session's.
    pub fn new(user: &str, database: &str, pid: i32) -> SessionState {
        let settings = Settings::new();
        SessionState {
            user: user.to_owned(),
            current_user: ArcSwap::from_pointee(user.to_owned()),
            database: database.to_owned(),
            pid,
            style: ArcSwap::from_pointee(settings.io_style()),
            path: ArcSwap::from_pointee(SearchPath::of(&settings, user)),
            settings: Mutex::new(settings),
            lane: AtomicU8::new(0),
            transaction: AtomicU8::new(0),
            lock_timeout: AtomicI64::new(0),
            statement_timeout: AtomicI64::new(0),
            untold: AtomicBool::default(),
            notices: Mutex::new(Vec::new()),
            idle_timeouts: Default::default(),
            notice_hook: Mutex::default(),
            wake: Mutex::default(),
            activity: Activity::default(),
            locks_advisory: AtomicBool::default(),
            advisory: Mutex::default(),
            statements: Mutex::default(),
            portals: Mutex::default(),
            queries: Mutex::default(),
            cancel: Arc::default(),
            terminate: Arc::default(),
            deadline: AtomicI64::new(0),
            epoch: Instant::now(),
            temp_schema: AtomicU32::new(0),
            deferred: Mutex::default(),
            on_commit: Mutex::default(),
            sequences: Mutex::default(),
            transaction_time: AtomicI64::new(vicinity_types::datetime::clock()),
            statement_time: AtomicI64::new(vicinity_types::datetime::clock()),
            started: vicinity_types::datetime::clock(),
        }
    }

    /// `current_user`: the role whose rights count.
    pub fn current_user(&self) -> Arc<String> {
        self.current_user.load_full()
    }

    /// Has another role's rights until what it gives is dropped.
    pub fn act_as(&self, user: &str) -> Acting<'_> {
        let before = (self.current_user.load_full(), self.path.load_full());
        self.path.store(Arc::new(SearchPath::of(&self.settings.lock(), user)));
        self.current_user.store(Arc::new(user.to_owned()));
        Acting { session: self, before: Some(before) }
    }

    /// `session_user`: who SET ROLE starts from.
    pub fn session_user(&self) -> String {
        settings::session_user(&self.settings.lock()).unwrap_or_else(|| self.user.clone())
    }

    /// The role that logged in.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The backend's process id, as clients know it.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// When it began.
    pub fn started(&self) -> i64 {
        self.started
    }

    /// Queues a notice for the client, unless `client_min_messages` is above it.
    pub fn notice(&self, notice: Notice) {
        use vicinity_types::Severity;
        let least = match self.setting("client_min_messages").as_deref() {
            Some("error" | "fatal" | "panic") => return,
            Some("warning") => Severity::Warning,
            Some("log") => Severity::Log,
            Some("debug" | "debug1" | "debug2" | "debug3" | "debug4" | "debug5") => Severity::Debug,
            _ => Severity::Info,
        };
        // INFO is always sent; NOTICE and WARNING are above the default.
        if notice.severity >= least || notice.severity == Severity::Info {
            let mut queue = self.notices.lock();
            // One that had to be queued holds back those behind it.
            let sent = queue.is_empty()
                && self.notice_hook.lock().as_ref().is_some_and(|send| send(&notice));
            if !sent {
                queue.push(notice);
                self.untold.store(true, Ordering::Relaxed);
            }
        }
    }

    /// While a statement runs, notices go through `hook`.
    pub fn set_notice_hook(&self, hook: Option<NoticeHook>) {
        *self.notice_hook.lock() = hook;
    }

    /// How [`SessionState::terminate`] reaches the connection.
    pub fn set_wake(&self, wake: Arc<dyn Fn() + Send + Sync>) {
        *self.wake.lock() = Some(wake);
    }

    /// Ends the session: the running statement, and the wait for the next one.
    pub fn terminate(&self) {
        self.terminate.store(true, Ordering::Relaxed);
        if let Some(wake) = &*self.wake.lock() {
            wake();
        }
    }

    /// Statements with names.
    pub fn statements(&self) -> MutexGuard<'_, NamedStatements> {
        self.statements.lock()
    }

    /// `DEALLOCATE name`, or all; `false` if there is none of that name.
    pub fn deallocate(&self, name: Option<&str>) -> bool {
        let mut statements = self.statements();
        self.untold.store(true, Ordering::Relaxed);
        match name {
            Some(name) => statements.deallocate(name),
            None => {
                statements.deallocate_all();
                true
            }
        }
    }

    /// Takes what the client has not been told yet.
    #[inline]
    pub fn take_news(&self) -> Option<News> {
        if !self.untold.load(Ordering::Relaxed) {
            return None;
        }
        self.untold.store(false, Ordering::Relaxed);
        Some(News {
            notices: self.take_notices(),
            parameters: self.change_settings(|s| s.take_reports()),
            forgotten: self.statements().take_forgotten(),
        })
    }

    /// Takes the queued notices, oldest first.
    pub fn take_notices(&self) -> Vec<Notice> {
        let mut queue = self.notices.lock();
        if queue.is_empty() { Vec::new() } else { std::mem::take(&mut *queue) }
    }

    /// Portals with names. Not to be held while anything runs.
    pub fn portals(&self) -> MutexGuard<'_, Portals> {
        self.portals.lock()
    }

    /// A function goes through the rows of a query, until what this gives is dropped.
    pub(crate) fn open_query(&self, query: Arc<inner::Statement>) -> OpenQuery<'_> {
        self.queries.lock().push(query.clone());
        OpenQuery { session: self, query }
    }

    /// Whether such a query reads one of these relations.
    pub(crate) fn is_queried(&self, relations: &[Oid]) -> bool {
        self.queries.lock().iter().any(|q| relations.iter().any(|oid| q.reads(*oid)))
    }

    /// How many advisory locks the transaction has taken, to go back to.
    pub(crate) fn advisory_taken(&self) -> usize {
        if self.locks_advisory.load(Ordering::Relaxed) { self.advisory.lock().len() } else { 0 }
    }

    /// `nextval` gave out a value.
    pub fn set_currval(&self, sequence: Oid, value: i64) {
        let mut guard = self.sequences.lock();
        guard.0 = Some(sequence);
        guard.1.insert(sequence, value);
    }

    /// `currval`
    pub fn currval(&self, sequence: Oid) -> Option<i64> {
        self.sequences.lock().1.get(&sequence).copied()
    }

    /// `lastval`
    pub fn lastval(&self) -> Option<i64> {
        let guard = self.sequences.lock();
        guard.0.and_then(|sequence| guard.1.get(&sequence).copied())
    }

    /// `DISCARD SEQUENCES`
    pub fn forget_sequences(&self) {
        *self.sequences.lock() = (None, HashMap::new());
    }
}

/// A session with another role's rights: a SECURITY DEFINER function runs.
pub struct Acting<'s> {
    session: &'s SessionState,
    before: Option<(Arc<String>, Arc<SearchPath>)>,
}

impl Drop for Acting<'_> {
    fn drop(&mut self) {
        if let Some((user, path)) = self.before.take() {
            self.session.current_user.store(user);
            self.session.path.store(path);
        }
    }
}

/// A query of a function that is open.
pub(crate) struct OpenQuery<'s> {
    session: &'s SessionState,
    query: Arc<inner::Statement>,
}

impl Drop for OpenQuery<'_> {
    fn drop(&mut self) {
        let mut queries = self.session.queries.lock();
        if let Some(at) = queries.iter().rposition(|q| Arc::ptr_eq(q, &self.query)) {
            queries.remove(at);
        }
    }
}
