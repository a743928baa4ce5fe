//! How far an index build has come, for `pg_stat_progress_create_index`, and the way to stop it.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use vicinity_types::{PgError, Result, SqlState};

use crate::aside::step_aside;

/// What a build is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Nothing counted yet.
    Initializing,
    /// First pass over the rows: value ranges and a sample.
    Sampling,
    /// Training centroids.
    Clustering,
    /// Second pass over the rows.
    Loading,
    /// Linking the graph.
    Linking,
    /// Looking for nodes that no entry point reaches.
    Checking,
}

impl Phase {
    const ALL: [Phase; 6] = [
        Phase::Initializing,
        Phase::Sampling,
        Phase::Clustering,
        Phase::Loading,
        Phase::Linking,
        Phase::Checking,
    ];

    /// As the progress view has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Initializing => "initializing",
            Phase::Sampling => "building index: sampling tuples",
            Phase::Clustering => "building index: performing k-means",
            Phase::Loading => "building index: loading tuples",
            Phase::Linking => "building index: linking neighbors",
            Phase::Checking => "building index: checking reachability",
        }
    }
}

/// Shared between the builder, which writes, and anyone who looks or cancels. `total` counts tuples and may be an
/// estimate (0 = unknown).
#[derive(Debug, Default)]
pub struct Progress {
    phase: AtomicU8,
    done: AtomicU64,
    total: AtomicU64,
    cancelled: AtomicBool,
}

impl Progress {
    /// Nothing done yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a phase.
    pub fn start(&self, phase: Phase, total: u64) {
        self.done.store(0, Ordering::Relaxed);
        self.total.store(total, Ordering::Relaxed);
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// Counts `n` more tuples done.
    pub fn advance(&self, n: u64) {
        self.done.fetch_add(n, Ordering::Relaxed);
    }

    /// The phase, tuples done and tuples in all.
    pub fn read(&self) -> (Phase, u64, u64) {
        let phase = Phase::ALL.get(usize::from(self.phase.load(Ordering::Relaxed)));
        (
            phase.copied().unwrap_or(Phase::Initializing),
            self.done.load(Ordering::Relaxed),
            self.total.load(Ordering::Relaxed),
        )
    }

    /// Asks the build to stop; it does within some milliseconds, with error 57014.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether [`Progress::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// An error once the build was cancelled. Builds that ask step aside.
    pub fn check(&self) -> Result<()> {
        step_aside();
        if self.is_cancelled() {
            return Err(PgError::new(
                SqlState::QUERY_CANCELED,
                "canceling statement due to user request",
            ));
        }
        Ok(())
    }
}
