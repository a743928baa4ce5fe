//! Indexes after recovery: built anew before the first statement, with word of how far they are.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rayon::prelude::*;
use vicinity_indexes::{Phase, Progress};

use super::Store;
use super::build::rebuild;
use super::index::IndexStore;
use crate::checkpoint::indexes::Loaded;
use crate::mvcc::clock::Clock;

/// How often a long rebuild says how far it is.
const PERIOD: Duration = Duration::from_secs(5);

/// An index to be built.
pub(crate) struct Job {
    pub(crate) store: Arc<Store>,
    pub(crate) index: Arc<IndexStore>,
    /// Its name, for the log.
    pub(crate) name: String,
    progress: Progress,
    /// An image to begin with.
    image: Mutex<Option<Loaded>>,
}

impl Job {
    pub(crate) fn new(store: Arc<Store>, index: Arc<IndexStore>, name: &str) -> Job {
        Job {
            store,
            index,
            name: name.to_owned(),
            progress: Progress::new(),
            image: Mutex::default(),
        }
    }

    /// Begins with an image.
    pub(crate) fn with(self, image: Option<Loaded>) -> Job {
        *self.image.lock() = image;
        self
    }

    /// Makes it of its image, if there is one.
    fn read(&self) -> bool {
        let Some(image) = self.image.lock().take() else { return false };
        match image.fit(&self.store, &self.index) {
            Ok(Some(body)) => {
                self.index.set_read(body);
                true
            }
            Ok(None) => false,
            Err(e) => {
                tracing::warn!("index {} is rebuilt: {e}", self.name);
                false
            }
        }
    }

    fn run(&self, clock: &Clock) {
        let began = Instant::now();
        if self.store.rows.end() > 0 && self.read() {
            let seconds = began.elapsed().as_secs_f64();
            let entries = self.index.len();
            tracing::info!("index {} read: {entries} entries, {seconds:.1} s", self.name);
            return;
        }
        match rebuild(&self.store, &self.index, clock, &self.progress) {
            Ok(()) => {
                let seconds = began.elapsed().as_secs_f64();
                let entries = self.index.len();
                tracing::info!("index {} rebuilt: {entries} entries, {seconds:.1} s", self.name);
            }
            // One index that cannot be built (its centroid file is gone) must not keep the rest down.
            Err(e) => tracing::error!("index {} cannot be rebuilt: {e}", self.name),
        }
    }
}

/// Builds them all, on all cores.
pub(crate) fn rebuild_all(jobs: &[Job], clock: &Clock) {
    let (done, over) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || watch(jobs, &over));
        jobs.par_iter().for_each(|job| job.run(clock));
        drop(done);
    });
}

/// Tells the log about the indexes under way until the other end is dropped.
fn watch(jobs: &[Job], over: &Receiver<()>) {
    while over.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
        for job in jobs.iter().filter(|j| !j.index.ready()) {
            let (phase, done, total) = job.progress.read();
            if phase != Phase::Initializing {
                let phase = phase.as_str();
                tracing::info!("index {} is being rebuilt: {phase}, {done} of {total}", job.name);
            }
        }
    }
}
