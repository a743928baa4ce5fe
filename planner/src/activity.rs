//! What a session is doing, as `pg_stat_activity` shows it.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::prepared::Prepared;

/// What a session does now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doing {
    /// It waits for a command.
    #[default]
    Idle,
    /// It runs a statement.
    Active,
    /// It waits inside a transaction block.
    InTransaction,
    /// It waits inside a transaction block that failed.
    Aborted,
}

impl Doing {
    /// `pg_stat_activity.state`
    pub fn as_str(self) -> &'static str {
        match self {
            Doing::Idle => "idle",
            Doing::Active => "active",
            Doing::InTransaction => "idle in transaction",
            Doing::Aborted => "idle in transaction (aborted)",
        }
    }
}

/// Times are microseconds since 2000-01-01 UTC.
#[derive(Clone, Default)]
pub struct Seen {
    /// What it does.
    pub doing: Doing,
    /// The statement it runs or ran last.
    pub statement: Option<Arc<Prepared>>,
    /// The text of the statement that is being planned, which may wait for locks.
    planning: Option<String>,
    /// When that began.
    pub query_start: i64,
    /// When `doing` changed.
    pub changed: i64,
    /// When its transaction began, if one is open.
    pub transaction_start: Option<i64>,
}

impl Seen {
    /// The statement that it plans, runs or ran last.
    pub fn query(&self) -> &str {
        let run = self.statement.as_ref().map_or("", |s| s.parsed.text.as_str());
        self.planning.as_deref().unwrap_or(run)
    }
}

/// A session's activity, for others to look at.
#[derive(Default)]
pub struct Activity(Mutex<Seen>);

impl Activity {
    /// What it is now.
    pub fn look(&self) -> Seen {
        self.0.lock().clone()
    }

    /// A statement is to be planned.
    pub(crate) fn plan(&self, text: &str, now: i64) {
        let mut seen = self.0.lock();
        seen.doing = Doing::Active;
        seen.planning = Some(text.to_owned());
        (seen.query_start, seen.changed) = (now, now);
        seen.transaction_start.get_or_insert(now);
    }

    /// A statement begins.
    pub(crate) fn begin(&self, statement: &Arc<Prepared>, now: i64) {
        let mut seen = self.0.lock();
        seen.doing = Doing::Active;
        seen.planning = None;
        if !seen.statement.as_ref().is_some_and(|last| Arc::ptr_eq(last, statement)) {
            seen.statement = Some(statement.clone());
        }
        (seen.query_start, seen.changed) = (now, now);
        seen.transaction_start.get_or_insert(now);
    }

    /// It waits for the next command.
    pub(crate) fn rest(&self, doing: Doing) {
        let mut seen = self.0.lock();
        if seen.doing == Doing::Active || seen.doing != doing {
            seen.changed = vicinity_types::datetime::clock();
        }
        seen.doing = doing;
        if doing == Doing::Idle {
            seen.transaction_start = None;
        }
    }
}
