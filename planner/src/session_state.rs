//! What a session carries from statement to statement, shared with the functions it runs.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use parking_lot::{Mutex, MutexGuard};
use vicinity_storage::catalog::model::{Relation, fixed};
use vicinity_storage::{Catalog, Isolation};
use vicinity_types::{IoStyle, Notice, Oid, PgError, Result, SqlState};

use crate::activity::Activity;
use crate::advisory;
use crate::authority;
use crate::exec::after::Deferred;
use crate::exec::settings::Settings;
use crate::inner;
use crate::names;
use crate::news::News;
use crate::portal::Portals;
use crate::prepared::NamedStatements;

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

/// Ways through a table that a session has left (`SET enable_indexscan` and the like).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Steering {
    /// No index is read.
    pub no_index: bool,
    /// An index that gives an order is taken for that alone: sorts or sequential scans are off.
    pub in_order: bool,
}

impl Steering {
    fn of(settings: &Settings) -> Steering {
        let off = |name| settings.get(name) == Some("off");
        Steering {
            no_index: off("enable_indexscan"),
            in_order: off("enable_sort") || off("enable_seqscan"),
        }
    }
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

/// `search_path` taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SearchPath {
    /// Schema names as given, `"$user"` included.
    pub names: Vec<String>,
    /// Which ways plans may take.
    steering: Steering,
    /// What distinguishes one path from another in cache keys.
    pub key: u64,
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
            path: ArcSwap::from_pointee(path_of(&settings, user)),
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
        self.path.store(Arc::new(path_of(&self.settings.lock(), user)));
        self.current_user.store(Arc::new(user.to_owned()));
        Acting { session: self, before: Some(before) }
    }

    /// `session_user`: who SET ROLE starts from.
    pub fn session_user(&self) -> String {
        session_user(&self.settings.lock()).unwrap_or_else(|| self.user.clone())
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

    /// The formats of now.
    #[inline]
    pub fn style(&self) -> Arc<IoStyle> {
        self.style.load_full()
    }

    /// The formats of now, to look at only.
    #[inline]
    pub fn style_now(&self) -> impl Deref<Target = Arc<IoStyle>> {
        self.style.load()
    }

    /// Takes the formats of now in place of older ones.
    pub(crate) fn refresh_style(&self, have: &mut Arc<IoStyle>) {
        let now = self.style.load();
        if !Arc::ptr_eq(&now, have) {
            *have = Arc::clone(&now);
        }
    }

    /// Which ways through tables plans may take.
    pub fn steering(&self) -> Steering {
        self.path.load().steering
    }

    /// The lane statements take.
    pub fn lane(&self) -> Lane {
        match self.lane.load(Ordering::Relaxed) {
            1 => Lane::Row,
            2 => Lane::Batch,
            _ => Lane::Auto,
        }
    }

    /// A setting's value as `SHOW` prints it.
    pub fn setting(&self, name: &str) -> Option<String> {
        self.settings.lock().show(name).ok()
    }

    /// The settings, to read.
    pub fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock()
    }

    /// Changes settings; what hot paths read of them follows at once.
    pub fn change_settings<T>(&self, change: impl FnOnce(&mut Settings) -> T) -> T {
        let mut settings = self.settings.lock();
        let before = settings.version();
        let result = change(&mut settings);
        if settings.version() != before {
            self.derive(&settings);
        }
        if settings.has_reports() {
            self.untold.store(true, Ordering::Relaxed);
        }
        result
    }

    fn derive(&self, settings: &Settings) {
        self.style.store(Arc::new(settings.io_style()));
        let role = settings.get("role").filter(|r| !r.is_empty() && *r != "none");
        let user = role.map(str::to_owned).or_else(|| session_user(settings));
        let user = user.unwrap_or_else(|| self.user.clone());
        let path = path_of(settings, &user);
        if user != **self.current_user.load() {
            self.current_user.store(Arc::new(user));
        }
        if path.key != self.path.load().key {
            self.path.store(Arc::new(path));
        }
        let lane = match settings.get("vicinity.lane") {
            Some("row") => 1,
            Some("batch") => 2,
            _ => 0,
        };
        self.lane.store(lane, Ordering::Relaxed);
        let mut flags = match settings.get("default_transaction_isolation") {
            Some("repeatable read") => 1,
            Some("serializable") => 2,
            _ => 0,
        };
        if settings.is_on("default_transaction_read_only") {
            flags |= 4;
        }
        if settings.get("synchronous_commit") == Some("off") {
            flags |= 8;
        }
        self.transaction.store(flags, Ordering::Relaxed);
        self.lock_timeout.store(settings.integer("lock_timeout"), Ordering::Relaxed);
        self.statement_timeout.store(settings.integer("statement_timeout"), Ordering::Relaxed);
        let idle = ["idle_session_timeout", "idle_in_transaction_session_timeout"];
        for (slot, name) in self.idle_timeouts.iter().zip(idle) {
            slot.store(settings.integer(name), Ordering::Relaxed);
        }
    }

    /// The isolation level and access mode implicit transactions begin with.
    #[inline]
    pub fn transaction_defaults(&self) -> (Isolation, bool) {
        let flags = self.transaction.load(Ordering::Relaxed);
        let isolation = match flags & 3 {
            1 => Isolation::RepeatableRead,
            2 => Isolation::Serializable,
            _ => Isolation::ReadCommitted,
        };
        (isolation, flags & 4 != 0)
    }

    /// Whether commits wait for the disk (`synchronous_commit`).
    #[inline]
    pub fn is_synchronous(&self) -> bool {
        self.transaction.load(Ordering::Relaxed) & 8 == 0
    }

    /// `lock_timeout`
    pub fn lock_timeout(&self) -> Option<Duration> {
        match self.lock_timeout.load(Ordering::Relaxed) {
            0 => None,
            ms => Some(Duration::from_millis(u64::try_from(ms).unwrap_or(0))),
        }
    }

    /// The transaction was rolled back: so are its settings.
    #[inline]
    pub fn rollback_settings(&self) {
        self.change_settings(Settings::rollback);
    }

    /// The transaction was committed: `SET LOCAL` ends.
    #[inline]
    pub fn commit_settings(&self) {
        self.change_settings(Settings::commit);
    }

    /// The search path as set.
    pub fn search_path(&self) -> Arc<SearchPath> {
        self.path.load_full()
    }

    /// What `search_path` and the session's own schemas contribute to a plan's cache key.
    pub fn path_key(&self) -> u64 {
        let path = self.path.load();
        path.key ^ u64::from(self.temp_schema.load(Ordering::Relaxed)).rotate_left(40)
    }

    /// The schemas searched, in order: temporary tables, `pg_catalog` unless the path names it, then
    /// the path. Names that are no schema are passed over.
    pub fn search_path_oids(&self, catalog: &Catalog) -> Vec<Oid> {
        let path = self.path.load();
        let user = self.current_user.load();
        let mut found: Vec<Oid> = Vec::new();
        for name in &path.names {
            let name = if name == "$user" { user.as_str() } else { name };
            let oid = match name {
                "pg_temp" => Some(self.temp_schema.load(Ordering::Relaxed)).filter(|o| *o != 0),
                _ => catalog.schema_named(name).map(|s| s.oid),
            };
            // Schemas that may not be used are passed over.
            let oid = oid.filter(|oid| authority::may_use_schema(catalog, self, *oid));
            if let Some(oid) = oid
                && !found.contains(&oid)
            {
                found.push(oid);
            }
        }
        if !found.contains(&fixed::PG_CATALOG) {
            found.insert(0, fixed::PG_CATALOG);
        }
        let temp = self.temp_schema.load(Ordering::Relaxed);
        if temp != 0 && !found.contains(&temp) {
            found.insert(0, temp);
        }
        found
    }

    /// Where `CREATE TABLE name` goes: the first schema of the path that exists.
    pub fn creation_schema(&self, catalog: &Catalog) -> Option<Oid> {
        let path = self.path.load();
        let user = self.current_user.load();
        path.names.iter().find_map(|name| {
            let name = if name == "$user" { user.as_str() } else { name };
            let oid = match name {
                "pg_temp" => Some(self.temp_schema.load(Ordering::Relaxed)).filter(|o| *o != 0),
                _ => catalog.schema_named(name).map(|s| s.oid),
            };
            oid.filter(|oid| authority::may_use_schema(catalog, self, *oid))
        })
    }

    /// The relation a possibly qualified, possibly quoted name means, as `'name'::regclass` reads it.
    pub fn find_relation(&self, catalog: &Catalog, name: &str) -> Result<Option<Arc<Relation>>> {
        let parts = names::split_identifier(name)?;
        Ok(match parts.as_slice() {
            [name] => self
                .search_path_oids(catalog)
                .into_iter()
                .find_map(|schema| catalog.relation_named(schema, name).cloned()),
            [schema, name] | [_, schema, name] => self
                .schema_oid(catalog, schema)
                .and_then(|schema| catalog.relation_named(schema, name).cloned()),
            _ => None,
        })
    }

    /// A schema by name, `pg_temp` being the session's own.
    pub fn schema_oid(&self, catalog: &Catalog, name: &str) -> Option<Oid> {
        match name {
            "pg_temp" => Some(self.temp_schema.load(Ordering::Relaxed)).filter(|o| *o != 0),
            _ => catalog.schema_named(name).map(|s| s.oid),
        }
    }

    /// The session's temporary schema, 0 before it has one.
    pub fn temp_schema(&self) -> Oid {
        self.temp_schema.load(Ordering::Relaxed)
    }

    /// The session got its temporary schema (or lost it, 0).
    pub fn set_temp_schema(&self, schema: Oid) {
        self.temp_schema.store(schema, Ordering::Relaxed);
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

    /// How long the client may be silent, and what it is told then.
    pub fn idle_limit(&self, in_transaction: bool) -> Option<(Duration, PgError)> {
        let slot = self.idle_timeouts.get(usize::from(in_transaction))?;
        let ms = u64::try_from(slot.load(Ordering::Relaxed)).ok().filter(|ms| *ms > 0)?;
        let error = match in_transaction {
            true => PgError::new(
                SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
                "terminating connection due to idle-in-transaction timeout",
            ),
            false => PgError::new(
                SqlState::IDLE_SESSION_TIMEOUT,
                "terminating connection due to idle-session timeout",
            ),
        };
        Some((Duration::from_millis(ms), error))
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

    /// The flag that ends the session.
    pub fn end_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.terminate)
    }

    /// The flag a cancel request raises.
    pub fn cancel_flag(&self) -> Arc<AtomicBool> {
        self.cancel.clone()
    }

    /// Whether the running statement may go on.
    #[inline]
    pub fn check_cancel(&self) -> Result<()> {
        if self.cancel.load(Ordering::Relaxed) || self.terminate.load(Ordering::Relaxed) {
            return self.cancelled();
        }
        let deadline = self.deadline.load(Ordering::Relaxed);
        if deadline != 0 && self.elapsed() > deadline {
            return Err(PgError::new(
                SqlState::QUERY_CANCELED,
                "canceling statement due to statement timeout",
            ));
        }
        Ok(())
    }

    #[cold]
    fn cancelled(&self) -> Result<()> {
        if self.terminate.load(Ordering::Relaxed) {
            return Err(PgError::new(
                SqlState::ADMIN_SHUTDOWN,
                "terminating connection due to administrator command",
            ));
        }
        self.cancel.store(false, Ordering::Relaxed);
        Err(PgError::new(SqlState::QUERY_CANCELED, "canceling statement due to user request"))
    }

    /// The end of the statement's time was heard of, and dealt with: it is said once.
    pub(crate) fn forget_deadline(&self) {
        if self.deadline.load(Ordering::Relaxed) < self.elapsed() {
            self.deadline.store(0, Ordering::Relaxed);
        }
    }

    fn elapsed(&self) -> i64 {
        i64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(i64::MAX)
    }

    /// A statement begins: its clock and its deadline.
    #[inline]
    pub fn begin_statement(&self) {
        self.statement_time.store(vicinity_types::datetime::clock(), Ordering::Relaxed);
        let timeout = self.statement_timeout.load(Ordering::Relaxed);
        let deadline = if timeout > 0 {
            self.elapsed().saturating_add(timeout.saturating_mul(1000))
        } else {
            0
        };
        self.deadline.store(deadline, Ordering::Relaxed);
    }

    /// The time left to the running statement.
    pub fn time_left(&self) -> Option<Duration> {
        match self.deadline.load(Ordering::Relaxed) {
            0 => None,
            deadline => {
                let left = deadline.saturating_sub(self.elapsed());
                Some(Duration::from_micros(u64::try_from(left).unwrap_or(0)))
            }
        }
    }

    /// A transaction begins with the statement that just began.
    #[inline]
    pub fn begin_transaction(&self) {
        self.transaction_time.store(self.statement_time(), Ordering::Relaxed);
    }

    /// `now()`, microseconds since 2000-01-01 UTC.
    #[inline]
    pub fn transaction_time(&self) -> i64 {
        self.transaction_time.load(Ordering::Relaxed)
    }

    /// `statement_timestamp()`
    #[inline]
    pub fn statement_time(&self) -> i64 {
        self.statement_time.load(Ordering::Relaxed)
    }

    /// Checks and triggers that wait for the commit. Not to be held while anything runs.
    pub(crate) fn deferred(&self) -> MutexGuard<'_, Arc<Deferred>> {
        self.deferred.lock()
    }

    /// Whether some do.
    pub(crate) fn has_deferred(&self) -> bool {
        !self.deferred.lock().is_empty()
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

    /// What waits now, to go back to.
    pub(crate) fn mark_deferred(&self) -> Arc<Deferred> {
        self.deferred.lock().clone()
    }

    /// What has come to wait since is undone, and so is what was done of what waited.
    pub(crate) fn restore_deferred(&self, mark: &Arc<Deferred>) {
        self.deferred.lock().clone_from(mark);
    }

    /// The transaction has ended: nothing waits, and SET CONSTRAINTS is over.
    pub(crate) fn forget_deferred(&self) {
        let mut deferred = self.deferred.lock();
        if !deferred.is_untouched() {
            *deferred = Arc::default();
        }
    }

    /// A temporary table has something to do at commit.
    pub(crate) fn add_on_commit(&self, table: Oid) {
        self.on_commit.lock().push(table);
    }

    /// The temporary tables that had something to do at commit when they were made.
    pub(crate) fn on_commit(&self) -> Vec<Oid> {
        let tables = self.on_commit.lock();
        if tables.is_empty() { Vec::new() } else { tables.clone() }
    }

    /// Those of them that are still there.
    pub(crate) fn set_on_commit(&self, tables: Vec<Oid>) {
        *self.on_commit.lock() = tables;
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

fn session_user(settings: &Settings) -> Option<String> {
    settings.get("session_authorization").filter(|s| !s.is_empty()).map(str::to_owned)
}

/// Plans are of one role too: what it may do is looked at when they are made; and of one steering.
fn path_of(settings: &Settings, user: &str) -> SearchPath {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let names = settings.search_path();
    let mut hasher = DefaultHasher::new();
    names.hash(&mut hasher);
    user.hash(&mut hasher);
    let steering = Steering::of(settings);
    steering.hash(&mut hasher);
    SearchPath { names, steering, key: hasher.finish() }
}
