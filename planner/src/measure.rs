//! What EXPLAIN ANALYZE measures: figures of plan nodes, gathered while they run.
//!
//! A statement is measured when its context says so ([`ExecContext::measure`]); one that is not pays
//! for looking at an `Option` when a cursor opens. Cursors count in fields of their own and hand their
//! figures in when they are dropped, so that a node run many times adds up its loops.
//!
//! [`ExecContext::measure`]: crate::context::ExecContext

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

/// A node of a plan: which plan, and the node's number in it, from the root down, left before right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// [`QueryPlan`](crate::query::QueryPlan)'s own number.
    pub plan: u64,
    /// The node's.
    pub node: u32,
}

impl Place {
    /// The root of a plan.
    pub fn root(plan: u64) -> Place {
        Place { plan, node: 0 }
    }

    /// A node below.
    #[must_use]
    pub fn below(self, nodes: u32) -> Place {
        Place { node: self.node + nodes, ..self }
    }
}

/// A row plan does the work of several nodes; batches have one stage a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The scan, or whatever rows come from.
    Leaf,
    /// Locking them.
    Lock,
    /// Sorting them.
    Sort,
    /// What leaves: after LIMIT.
    Top,
}

/// A number no other plan or statement has.
pub fn new_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// How rows were sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SortSpace {
    /// `quicksort`
    pub method: &'static str,
    /// Bytes of keys and rows held.
    pub bytes: u64,
    /// Those were on disk.
    pub disk: bool,
}

/// Figures of one node, over all its executions. Times are nanoseconds, children's included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Until the first row.
    pub startup: u64,
    /// Until the last.
    pub total: u64,
    /// Rows given.
    pub rows: u64,
    /// Executions.
    pub loops: u64,
    /// Rows a filter turned away.
    pub removed: u64,
    /// Rows of an INSERT that met others.
    pub conflicts: u64,
    /// Pages touched, not those of children.
    pub pages: u64,
    /// Of a sort.
    pub sort: Option<SortSpace>,
    /// Bytes a hash table had at most.
    pub hash: Option<u64>,
    /// Bytes of the batches given.
    pub bytes: u64,
}

impl Figures {
    /// Adds another execution's.
    pub fn add(&mut self, other: &Figures) {
        self.startup += other.startup;
        self.total += other.total;
        self.rows += other.rows;
        self.loops += other.loops;
        self.removed += other.removed;
        self.conflicts += other.conflicts;
        self.pages += other.pages;
        self.bytes += other.bytes;
        self.sort = other.sort.or(self.sort);
        self.hash = self.hash.max(other.hash);
    }
}

/// A trigger's figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fired {
    /// Its table.
    pub relation: String,
    /// Nanoseconds.
    pub time: u64,
    /// How often.
    pub calls: u64,
}

/// The figures of a statement being measured.
#[derive(Debug)]
pub struct Measure {
    id: u64,
    began: Instant,
    timing: bool,
    /// Time that counts for no node's children: see [`Measure::aside`].
    paused: AtomicU64,
    nodes: Mutex<HashMap<(Place, Stage), Figures>>,
    triggers: Mutex<BTreeMap<String, Fired>>,
}

impl Measure {
    /// Begins; without `timing` only rows are counted.
    pub fn new(timing: bool) -> Arc<Measure> {
        Arc::new(Measure {
            id: new_number(),
            began: Instant::now(),
            timing,
            paused: AtomicU64::new(0),
            nodes: Mutex::default(),
            triggers: Mutex::default(),
        })
    }

    /// Tells the statement from others: what ran in another was not measured in this.
    pub fn id(&self) -> u64 {
        self.id
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The nodes' clock, in nanoseconds.
    pub fn now(&self) -> u64 {
        if !self.timing {
            return 0;
        }
        self.elapsed().saturating_sub(self.paused.load(Ordering::Relaxed))
    }

    /// Whether times are taken.
    pub fn timing(&self) -> bool {
        self.timing
    }

    /// Does work that is not the running node's but its parent's (an INSERT takes rows as its source
    /// gives them): the clock stands still.
    pub fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        if !self.timing {
            return work();
        }
        let before = self.now();
        let done = work();
        let spent = self.now().saturating_sub(before);
        self.paused.fetch_add(spent, Ordering::Relaxed);
        done
    }

    /// Adds an execution of a node.
    pub fn add(&self, place: Place, stage: Stage, figures: &Figures) {
        self.nodes.lock().entry((place, stage)).or_default().add(figures);
    }

    /// A node's figures; `None` if it never ran.
    pub fn figures(&self, place: Place, stage: Stage) -> Option<Figures> {
        self.nodes.lock().get(&(place, stage)).cloned()
    }

    /// Calls a trigger's function.
    pub fn trigger<T>(&self, name: &str, relation: &str, call: impl FnOnce() -> T) -> T {
        let before = self.elapsed();
        let done = call();
        let mut triggers = self.triggers.lock();
        let fired = triggers.entry(name.to_owned()).or_default();
        fired.relation = relation.to_owned();
        fired.time += self.elapsed().saturating_sub(before);
        fired.calls += 1;
        done
    }

    /// The triggers that fired, by name.
    pub fn triggers(&self) -> BTreeMap<String, Fired> {
        self.triggers.lock().clone()
    }
}

/// Figures of a cursor being measured, handed in when it is dropped.
pub struct Meter {
    measure: Arc<Measure>,
    place: Place,
    since: u64,
    spent: u64,
    /// [`Meter::spent`] when the first row was there.
    first: Option<u64>,
    /// Rows that left.
    pub given: u64,
    /// Rows OFFSET passed over.
    pub skipped: u64,
    /// The leaf's own; of its times only what a sort leaves it.
    pub leaf: Figures,
    /// Rows found before they were locked.
    pub locking: Option<u64>,
    /// The sort's own.
    pub sort: Option<Figures>,
}

impl Meter {
    /// Begins to measure the plan at a place.
    pub fn begin(measure: &Arc<Measure>, place: Place) -> Box<Meter> {
        Box::new(Meter {
            measure: measure.clone(),
            place,
            since: measure.now(),
            spent: 0,
            first: None,
            given: 0,
            skipped: 0,
            leaf: Figures::default(),
            locking: None,
            sort: None,
        })
    }

    /// The figures go to this.
    pub fn measure(&self) -> &Arc<Measure> {
        &self.measure
    }

    /// The cursor goes on.
    pub fn resume(&mut self) {
        self.since = self.measure.now();
    }

    /// The cursor waits to be asked again. Figures count from the first answer, rows or not.
    pub fn pause(&mut self, answered: bool) {
        self.spent += self.measure.now().saturating_sub(self.since);
        if answered && self.first.is_none() {
            self.first = Some(self.spent);
        }
    }

    /// Whether it has answered.
    pub fn answered(&self) -> bool {
        self.first.is_some()
    }

    /// The scan is done and sorted; it took `scan` nanoseconds itself, `first` of them until its
    /// first row.
    pub fn sorted(&mut self, first: u64, scan: u64, space: SortSpace) {
        (self.leaf.startup, self.leaf.total) = (first, scan);
        let startup = self.spent + self.measure.now().saturating_sub(self.since);
        self.sort = Some(Figures { startup, sort: Some(space), ..Figures::default() });
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let rows = self.given + self.skipped;
        let first = self.first.unwrap_or(self.spent);
        let whole = Figures { startup: first, total: self.spent, loops: 1, ..Figures::default() };
        self.measure.add(self.place, Stage::Top, &Figures { rows: self.given, ..whole.clone() });
        let mut leaf = Figures { loops: 1, ..self.leaf.clone() };
        match &self.sort {
            Some(sort) => {
                let sort = Figures { total: self.spent, rows, loops: 1, ..sort.clone() };
                self.measure.add(self.place, Stage::Sort, &sort);
            }
            None => leaf = Figures { startup: first, total: self.spent, rows, ..leaf },
        }
        if let Some(found) = self.locking {
            self.measure.add(self.place, Stage::Lock, &Figures { rows: leaf.rows, ..leaf.clone() });
            leaf.rows = found;
        }
        self.measure.add(self.place, Stage::Leaf, &leaf);
    }
}
