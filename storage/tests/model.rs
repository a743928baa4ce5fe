//! Random interleaved transactions beside a naive model: a list of versions per row, looked through
//! from the end. Every view of every open transaction is compared after every step, by sequential
//! scan, by index scan and by key; now and then the machine stops.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use vicinity_storage::disk::sim::SimDisk;
use vicinity_storage::{
    Access, Database, Insert, Isolation, KeyRange, Savepoint, Snapshot, Transaction, Write,
};

#[derive(Clone, Debug)]
struct Version {
    /// Commit time; `None` while its transaction runs.
    ts: Option<u64>,
    txn: u64,
    value: Option<(i32, i32)>,
}

#[derive(Default)]
struct Model {
    rows: Vec<Vec<Version>>,
    now: u64,
}

impl Model {
    fn view(&self, ts: u64, txn: u64) -> Vec<(usize, (i32, i32))> {
        let seen = |v: &&Version| v.txn == txn || v.ts.is_some_and(|t| t <= ts);
        let shown = self.rows.iter().enumerate();
        shown.filter_map(|(i, r)| Some((i, r.iter().rev().find(seen)?.value?))).collect()
    }

    /// What may come of `txn` writing key `id`. A running writer's row is waited for if the index
    /// leads to it: certainly under its newest committed key and its new ones, and possibly under
    /// older keys, until the vacuum has been there.
    fn taken(&self, id: i32, txn: u64, me: Option<usize>) -> Outcomes {
        let mut out = Outcomes::default();
        let key = |v: &Version| v.value.is_some_and(|(k, _)| k == id);
        for (i, row) in self.rows.iter().enumerate() {
            let Some(head) = row.last() else { continue };
            if me == Some(i) || !row.iter().any(key) {
                continue;
            }
            if head.ts.is_none() && head.txn != txn {
                let committed = row.iter().rev().find(|v| v.ts.is_some());
                let running = row.iter().any(|v| v.ts.is_none() && key(v));
                out.wait = true;
                out.sure |= running || committed.is_some_and(key);
            } else if key(head) {
                out.duplicate = true;
                out.sure = true;
            }
        }
        out
    }
}

/// What a statement may come to.
#[derive(Clone, Copy, Debug, Default)]
struct Outcomes {
    wait: bool,
    duplicate: bool,
    /// One of the two will be.
    sure: bool,
}

impl Outcomes {
    fn check(self, got: Option<&str>) {
        match got {
            None => assert!(!self.sure, "no error where {self:?}"),
            Some("55P03") => assert!(self.wait, "a wait where {self:?}"),
            Some("23505") => assert!(self.duplicate, "a duplicate where {self:?}"),
            Some(other) => panic!("{other} where {self:?}"),
        }
    }
}

struct Open {
    txn: Transaction,
    number: u64,
    fixed: Option<u64>,
    savepoints: Vec<(Savepoint, Vec<usize>)>,
}

struct World {
    disk: SimDisk,
    db: Arc<Database>,
    model: Model,
    open: Vec<Open>,
    number: u64,
    random: StdRng,
}

impl World {
    fn new(seed: u64) -> World {
        let disk = SimDisk::new();
        let db = common::open(&disk);
        make_table(&db);
        let random = StdRng::seed_from_u64(seed);
        World { disk, db, model: Model::default(), open: Vec::new(), number: 0, random }
    }

    fn snapshot(&mut self, i: usize) -> (Snapshot, u64) {
        let now = self.model.now;
        let o = &mut self.open[i];
        let s = o.txn.snapshot();
        let ts = if o.txn.isolation().is_snapshot() { *o.fixed.get_or_insert(now) } else { now };
        (s, ts)
    }

    /// Runs a statement; an error takes it back, as the session above would.
    fn statement(
        &mut self,
        i: usize,
        work: impl FnOnce(&Transaction) -> vicinity_types::Result<()>,
    ) -> Option<String> {
        let txn = &self.open[i].txn;
        let sp = txn.savepoint();
        match work(txn) {
            Ok(()) => None,
            Err(e) => {
                txn.rollback_to(&sp).unwrap();
                Some(e.code().as_str().to_owned())
            }
        }
    }

    fn begin(&mut self) {
        let iso = if self.random.random_bool(0.4) {
            Isolation::RepeatableRead
        } else {
            Isolation::ReadCommitted
        };
        let txn = self.db.begin(iso, false).unwrap();
        txn.set_lock_timeout(Some(Duration::ZERO));
        self.number += 1;
        let number = self.number;
        self.open.push(Open { txn, number, fixed: None, savepoints: Vec::new() });
    }

    fn insert(&mut self, i: usize, id: i32, v: i32) {
        self.snapshot(i);
        let number = self.open[i].number;
        let expected = self.model.taken(id, number, None);
        let t = table(&self.db);
        let upsert = self.random.random_bool(0.3);
        let mut conflict = false;
        let got = self.statement(i, |txn| {
            if upsert {
                let r = t.insert_unless_conflict(txn, &row(id, v), &[PK])?;
                conflict = matches!(r, Insert::Conflict(_));
                return Ok(());
            }
            t.insert(txn, &row(id, v)).map(drop)
        });
        let got = if conflict { Some("23505") } else { got.as_deref() };
        expected.check(got);
        if got.is_none() {
            let v = Version { ts: None, txn: number, value: Some((id, v)) };
            self.model.rows.push(vec![v]);
        }
    }

    fn change(&mut self, i: usize, id: i32, to: Option<(i32, i32)>) {
        let (s, ts) = self.snapshot(i);
        let number = self.open[i].number;
        let view = self.model.view(ts, number);
        let Some((at, _)) = view.iter().find(|(_, (k, _))| *k == id).copied() else { return };
        let t = table(&self.db);
        let twice = view.iter().filter(|(_, (k, _))| *k == id).count() > 1;
        if twice {
            return;
        }
        let head = self.model.rows[at].last().unwrap().clone();
        let key_changed = to.is_some_and(|(k, _)| head.value.is_none_or(|(h, _)| h != k));
        let expected = if head.ts.is_none() && head.txn != number {
            Err("55P03")
        } else if head.ts.is_some_and(|h| h > ts) {
            Err("40001")
        } else if key_changed {
            Ok(self.model.taken(to.unwrap().0, number, Some(at)))
        } else {
            Ok(Outcomes::default())
        };
        let rid = find(&t, id, s).expect("the row by its key");
        let got = self.statement(i, |txn| {
            let w = match to {
                Some((k, v)) => t.update(txn, &s, rid, &row(k, v))?,
                None => t.delete(txn, &s, rid)?,
            };
            assert_eq!(w, Write::Done);
            Ok(())
        });
        match expected {
            Err(code) => assert_eq!(got.as_deref(), Some(code)),
            Ok(outcomes) => outcomes.check(got.as_deref()),
        }
        if got.is_none() {
            self.model.rows[at].push(Version { ts: None, txn: number, value: to });
        }
    }

    fn end(&mut self, i: usize, commit: bool) {
        let o = self.open.swap_remove(i);
        if commit {
            finish(&self.db, o.txn);
            self.model.now += 1;
            let now = self.model.now;
            for v in self.model.rows.iter_mut().flatten().filter(|v| v.txn == o.number) {
                v.ts = v.ts.or(Some(now));
            }
        } else {
            drop(o.txn);
            self.forget(o.number, &[]);
        }
    }

    /// Takes a transaction's versions back, but for its first `keep[row]` ones of each row.
    fn forget(&mut self, number: u64, keep: &[usize]) {
        for (i, row) in self.model.rows.iter_mut().enumerate() {
            let least = keep.get(i).copied().unwrap_or(0);
            let mine = |v: &Version| v.ts.is_none() && v.txn == number;
            while row.iter().filter(|v| mine(v)).count() > least {
                row.pop();
            }
        }
    }

    fn savepoint(&mut self, i: usize) {
        let number = self.open[i].number;
        let mine = |row: &Vec<Version>| row.iter().filter(|v| v.txn == number).count();
        let lens = self.model.rows.iter().map(mine).collect();
        let sp = self.open[i].txn.savepoint();
        self.open[i].savepoints.push((sp, lens));
    }

    fn rollback_to(&mut self, i: usize) {
        let Some((sp, lens)) = self.open[i].savepoints.pop() else { return };
        self.open[i].txn.rollback_to(&sp).unwrap();
        let number = self.open[i].number;
        self.forget(number, &lens);
    }

    fn crash(&mut self) {
        self.open.clear();
        let seed = self.random.random();
        self.disk = self.disk.crash(seed);
        self.db = common::open(&self.disk);
        for row in &mut self.model.rows {
            row.retain(|v| v.ts.is_some());
            for v in row.iter_mut() {
                v.txn = 0;
            }
        }
    }

    fn check(&mut self) {
        for i in 0..self.open.len() {
            let (s, ts) = self.snapshot(i);
            let number = self.open[i].number;
            let mut expected: Vec<_> =
                self.model.view(ts, number).into_iter().map(|(_, v)| v).collect();
            expected.sort_unstable();
            let t = table(&self.db);
            assert_eq!(all(&t, s), expected, "sequential scan");
            for reverse in [false, true] {
                let access = Access::Btree { index: PK, range: KeyRange::all(), reverse };
                let mut got = scan(&t, access, s);
                let keys: Vec<_> = got.iter().map(|(k, _)| *k).collect();
                let sorted = |a: &[i32]| match reverse {
                    false => a.is_sorted(),
                    true => a.iter().rev().is_sorted(),
                };
                assert!(sorted(&keys), "order of the index");
                got.sort_unstable();
                assert_eq!(got, expected, "index scan");
            }
        }
    }
}

fn run(seed: u64, steps: usize) {
    let mut w = World::new(seed);
    for _ in 0..steps {
        if w.open.len() < 2 {
            w.begin();
        }
        let i = w.random.random_range(0..w.open.len());
        let id = w.random.random_range(0..6);
        let v = w.random.random_range(0..100);
        match w.random.random_range(0..100) {
            0..10 if w.open.len() < 5 => w.begin(),
            0..35 => w.insert(i, id, v),
            35..55 => w.change(i, id, Some((id, v))),
            55..63 => {
                let to = w.random.random_range(0..6);
                w.change(i, id, Some((to, v)));
            }
            63..73 => w.change(i, id, None),
            73..78 => w.savepoint(i),
            78..81 => w.rollback_to(i),
            81..90 => w.end(i, true),
            90..93 => w.end(i, false),
            93..99 => w.db.vacuum_step(),
            _ => w.crash(),
        }
        w.check();
    }
}

#[test]
fn transactions_agree_with_the_model() {
    for seed in 0..400 {
        println!("seed {seed}");
        run(seed, 120);
    }
}
