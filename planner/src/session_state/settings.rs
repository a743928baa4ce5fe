//! What statements read of the settings, kept where it is quick to read.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::MutexGuard;
use vicinity_storage::Isolation;
use vicinity_types::{IoStyle, PgError, SqlState};

use super::{Lane, SearchPath, SessionState};
use crate::exec::settings::Settings;

impl SessionState {
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
        let path = SearchPath::of(settings, &user);
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
}

pub(super) fn session_user(settings: &Settings) -> Option<String> {
    settings.get("session_authorization").filter(|s| !s.is_empty()).map(str::to_owned)
}
