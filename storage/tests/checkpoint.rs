//! Checkpoints, and starts from what they left.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::*;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use vicinity_storage::catalog::model::Persistence;
use vicinity_storage::disk::{Disk, DiskFile, sim::SimDisk};
use vicinity_storage::{Database, ObjectKind, Transaction, Write};
use vicinity_types::{SqlState, oid};

fn add(db: &Arc<Database>, ids: std::ops::Range<i32>, v: i32) {
    let txn = begin(db);
    let t = table(db);
    for id in ids {
        t.insert(&txn, &row(id, v)).unwrap();
    }
    finish(db, txn);
}

fn segments(disk: &SimDisk) -> usize {
    disk.list("wal").unwrap().iter().filter(|n| n.ends_with(".wal")).count()
}

#[test]
fn the_log_before_a_checkpoint_goes() {
    let disk = SimDisk::new();
    let db = open(&disk);
    make_table(&db);
    (0..20).for_each(|n| add(&db, n * 500..n * 500 + 500, n));
    assert!(segments(&disk) > 2);
    let done = db.checkpoint().unwrap();
    assert_eq!(done.number, 1);
    assert!(done.written > 0 && done.segments > 0 && done.syncing > Duration::ZERO);
    assert_eq!(db.checkpoint_figures().syncing, done.syncing);
    assert_eq!(segments(&disk), 1);
    add(&db, 10_000..10_010, 1);
    let before = seen(&db);
    assert_eq!(seen(&open(&disk.crash(1))), before);
    db.shutdown().unwrap();
    let again = open(&disk.crash(2));
    assert_eq!(seen(&again), before);
    // And it goes on from there.
    add(&again, 20_000..20_010, 1);
    again.checkpoint().unwrap();
    add(&again, 30_000..30_010, 1);
    assert_eq!(seen(&again).len(), 10_030);
    assert_eq!(seen(&open(&disk.crash(2))).len(), 10_010);
}

#[test]
fn what_did_not_change_keeps_its_files() {
    let disk = SimDisk::new();
    let mut db = open(&disk);
    make_table(&db);
    let txn = begin(&db);
    let cols = [("id", oid::INT4), ("v", oid::INT4)];
    txn.put(table_object(30_000, "u", Persistence::Permanent, &cols)).unwrap();
    finish(&db, txn);
    add(&db, 0..70_000, 0);
    let txn = begin(&db);
    let u = db.table(30_000, &db.catalog()).unwrap();
    let other = u.insert(&txn, &row(1, 1)).unwrap();
    finish(&db, txn);
    assert_eq!(db.checkpoint().unwrap().kept, 0);
    assert_eq!(disk.list("image").unwrap().len(), 3);
    assert_eq!(db.checkpoint().unwrap().number, 0, "nothing to do");
    for n in 0..3 {
        let txn = begin(&db);
        let s = txn.snapshot();
        let first = find(&table(&db), 3, s).unwrap();
        table(&db).update(&txn, &s, first, &row(3, n)).unwrap();
        finish(&db, txn);
        let done = db.checkpoint().unwrap();
        let kept = if n == 2 { 1 } else { 2 };
        assert_eq!((done.kept, disk.list("image").unwrap().len()), (kept, 3));
        if n == 1 {
            db = open(&disk.crash(1));
            // What recovery read is as old as its file; what is in the second part now is not.
            add(&db, 100_000..100_001, 0);
        }
    }
    let txn = begin(&db);
    let u = db.table(30_000, &db.catalog()).unwrap();
    assert_eq!(u.delete(&txn, &txn.snapshot(), other).unwrap(), Write::Done);
    finish(&db, txn);
    db.checkpoint().unwrap();
    let txn = begin(&db);
    assert_eq!(all(&u, txn.snapshot()), []);
    assert_eq!(seen(&db).len(), 70_001);
}

#[test]
fn a_row_replaced_by_another_is_a_change() {
    let disk = SimDisk::new();
    let db = open(&disk);
    make_table(&db);
    add(&db, 0..10, 0);
    db.checkpoint().unwrap();
    let txn = begin(&db);
    let s = txn.snapshot();
    let gone = find(&table(&db), 3, s).unwrap();
    table(&db).delete(&txn, &s, gone).unwrap();
    finish(&db, txn);
    db.vacuum_step();
    db.vacuum_step();
    let txn = begin(&db);
    assert_eq!(table(&db).insert(&txn, &row(77, 7)).unwrap(), gone, "the row's id comes again");
    finish(&db, txn);
    let before = seen(&db);
    assert_eq!(seen(&open(&disk.crash(1))), before);
    assert_eq!(db.checkpoint().unwrap().kept, 0);
    assert_eq!(seen(&open(&disk.crash(1))), before);
}

#[test]
fn transactions_that_run_at_the_cut() {
    let disk = SimDisk::new();
    let db = open(&disk);
    make_table(&db);
    let t = table(&db);
    let (late, lost, undone) = (begin(&db), begin(&db), begin(&db));
    for i in 0..40_000 {
        t.insert(&late, &row(i, 1)).unwrap();
        t.insert(&lost, &row(100_000 + i, 1)).unwrap();
        t.insert(&undone, &row(200_000 + i, 1)).unwrap();
    }
    let place = late.savepoint();
    for i in 40_000..80_000 {
        t.insert(&late, &row(i, 2)).unwrap();
    }
    let truncated = begin(&db);
    undone.rollback();
    add(&db, 300_000..300_010, 1);
    let done = db.checkpoint().unwrap();
    assert!(done.replay < db.wal().end());
    late.rollback_to(&place).unwrap();
    for i in 40_000..40_010 {
        t.insert(&late, &row(i, 3)).unwrap();
    }
    let not_yet = disk.crash(1);
    assert_eq!(seen(&open(&not_yet)).len(), 10);
    finish(&db, late);
    drop((lost, truncated));
    let before = seen(&db);
    assert_eq!(before.len(), 40_020);
    assert_eq!(seen(&open(&disk.crash(2))), before);
    // Nobody is left who needs the old log.
    let done = db.checkpoint().unwrap();
    assert_eq!(done.replay, db.wal().end());
    assert_eq!(segments(&disk), 1);
    assert_eq!(seen(&open(&disk.crash(3))), before);
}

#[test]
fn truncate_drop_and_definitions() {
    let disk = SimDisk::new();
    let db = open(&disk);
    make_table(&db);
    add(&db, 0..100, 1);
    let txn = begin(&db);
    txn.truncate(T).unwrap();
    let t = db.table(T, &txn.catalog()).unwrap();
    for i in 0..20_000 {
        t.insert(&txn, &row(i, 2)).unwrap();
    }
    db.checkpoint().unwrap();
    // It has sent its rows ahead of a commit that comes after the cut.
    assert_eq!(seen(&open(&disk.crash(1))).len(), 100);
    finish(&db, txn);
    assert_eq!(seen(&open(&disk.crash(2))).len(), 20_000);
    db.checkpoint().unwrap();
    assert_eq!(seen(&open(&disk.crash(3))).len(), 20_000);
    let txn = begin(&db);
    txn.drop_object(ObjectKind::Relation, PK).unwrap();
    txn.drop_object(ObjectKind::Relation, T).unwrap();
    finish(&db, txn);
    db.checkpoint().unwrap();
    assert_eq!(disk.list("image").unwrap().len(), 0);
    let again = open(&disk.crash(4));
    assert!(again.catalog().relation(T).is_none());
    // Ids do not come again.
    assert!(again.new_oid() >= db.new_oid());
    assert!(again.next_xid() >= db.next_xid());
}

fn next(txn: &Transaction) -> i64 {
    txn.use_sequence(T).unwrap().nextval("s").unwrap()
}

#[test]
fn sequences_go_on_behind_what_was_given_away() {
    let disk = SimDisk::new();
    let db = open(&disk);
    let txn = begin(&db);
    txn.put(sequence_object(T)).unwrap();
    finish(&db, txn);
    for n in 1..100 {
        let txn = begin(&db);
        assert_eq!(next(&txn), n);
        finish(&db, txn);
        db.wal().wait_durable(db.wal().end()).unwrap();
        if n % 7 == 0 {
            db.checkpoint().unwrap();
        }
        if n % 3 == 0 {
            let later = next(&begin(&open(&disk.crash(n as u64))));
            assert!(later > n && later <= n + 33, "{later} after {n}");
        }
    }
}

#[test]
fn a_clean_stop_loses_no_value_of_a_sequence() {
    let disk = SimDisk::new();
    let options = || vicinity_storage::Options { checkpoint_bytes: 1 << 30, ..options() };
    for n in 0..5 {
        let db = Database::open_on(Arc::new(disk.clone()), options()).unwrap();
        if n == 0 {
            let txn = begin(&db);
            txn.put(sequence_object(T)).unwrap();
            finish(&db, txn);
        }
        let txn = begin(&db);
        assert_eq!((next(&txn), next(&txn)), (2 * n + 1, 2 * n + 2));
        finish(&db, txn);
        db.shutdown().unwrap();
    }
}

/// A disk that notes what a crash would leave before its n-th change.
struct Stopping {
    disk: SimDisk,
    left: AtomicU64,
    seed: u64,
    found: Mutex<Option<SimDisk>>,
}

impl Stopping {
    fn step(&self) {
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            *self.found.lock() = Some(self.disk.crash(self.seed));
        }
    }
}

struct Shared(Arc<Stopping>);

struct File(Arc<dyn DiskFile>, Arc<Stopping>);

impl Disk for Shared {
    fn open(&self, path: &str, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        if create {
            self.0.step();
        }
        Ok(Arc::new(File(self.0.disk.open(path, create)?, self.0.clone())))
    }

    fn create_lasting(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.0.disk.create_lasting(path)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.0.disk.list(dir)
    }

    fn make_dir(&self, dir: &str) -> io::Result<()> {
        self.0.disk.make_dir(dir)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.0.step();
        self.0.disk.remove(path)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.step();
        self.0.disk.rename(from, to)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.0.step();
        self.0.disk.sync_dir(dir)
    }

    fn lock(&self) -> io::Result<()> {
        self.0.disk.lock()
    }

    fn unlock(&self) {
        self.0.disk.unlock();
    }
}

impl DiskFile for File {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.1.step();
        self.0.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, into)
    }

    fn sync(&self) -> io::Result<()> {
        self.1.step();
        self.0.sync()
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

#[test]
fn a_crash_at_any_point_of_a_checkpoint() {
    let mut stopped = 0;
    for at in 1..200 {
        let disk = SimDisk::new();
        let found = Mutex::new(None);
        let stopping =
            Arc::new(Stopping { disk: disk.clone(), left: AtomicU64::new(0), seed: at, found });
        let db = Database::open_on(Arc::new(Shared(stopping.clone())), options()).unwrap();
        make_table(&db);
        add(&db, 0..3000, 1);
        db.checkpoint().unwrap();
        add(&db, 5000..8000, 2);
        let before = seen(&db);
        db.wal().wait_durable(db.wal().end()).unwrap();
        stopping.left.store(at, Ordering::SeqCst);
        db.checkpoint().unwrap();
        let Some(crashed) = stopping.found.lock().take() else { break };
        stopped += 1;
        let again = open(&crashed);
        assert_eq!(seen(&again), before, "stopped before change {at}");
        // What the interrupted one left does not hinder the next.
        add(&again, 9000..9001, 3);
        again.checkpoint().unwrap();
        assert_eq!(crashed.list("image").unwrap().len(), 1);
        assert_eq!(seen(&open(&crashed.crash(at))).len(), before.len() + 1);
    }
    assert!(stopped > 8, "{stopped} points");
}

#[test]
fn a_checkpoint_that_fails_leaves_all_as_it_was() {
    for room in (0..60_000).step_by(6000) {
        let disk = SimDisk::new();
        let db = open(&disk);
        make_table(&db);
        add(&db, 0..3000, 1);
        db.checkpoint().unwrap();
        add(&db, 5000..8000, 2);
        let before = seen(&db);
        disk.set_room(Some(room));
        if let Err(e) = db.checkpoint() {
            assert_eq!(e.code(), SqlState::DISK_FULL);
            assert_eq!(disk.list("image").unwrap().len(), 1);
        }
        assert_eq!(seen(&open(&disk.crash(1))), before);
        disk.set_room(None);
        db.checkpoint().unwrap();
        assert_eq!(disk.list("image").unwrap().len(), 1);
        assert_eq!(seen(&open(&disk.crash(1))), before);
    }
}

#[test]
fn a_damaged_image_is_an_error() {
    let disk = SimDisk::new();
    let db = open(&disk);
    make_table(&db);
    (0..6).for_each(|n| add(&db, n * 1000..n * 1000 + 1000, 1));
    assert!(db.checkpoint().unwrap().segments > 0);
    add(&db, 7000..7010, 1);
    db.shutdown().unwrap();
    let image = format!("image/{}", disk.list("image").unwrap()[0]);
    let corrupt = |path: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let copy = disk.crash(1);
        copy.tamper(path, change);
        let e = Database::open_on(Arc::new(copy), options()).err().expect(path);
        assert_eq!(e.code(), SqlState::DATA_CORRUPTED, "{path}: {e}");
    };
    for at in [0, 7, 9, 20, 41, 100, 9000] {
        corrupt(&image, &|bytes| bytes[at] ^= 4);
    }
    corrupt(&image, &|bytes| bytes.truncate(500));
    corrupt(&image, &|bytes| bytes.truncate(3));
    for at in [0, 6, 9, 15, 40, 70] {
        corrupt("CHECKPOINT", &|bytes| bytes[at] ^= 4);
    }
    corrupt("CHECKPOINT", &|bytes| bytes.truncate(20));
    corrupt("CHECKPOINT", &|bytes| bytes.clear());
    // Files that are gone are missed.
    for path in [image.as_str(), "CHECKPOINT"] {
        let copy = disk.crash(1);
        copy.remove(path).unwrap();
        let e = Database::open_on(Arc::new(copy), options()).err().expect(path);
        assert_eq!(e.code(), SqlState::DATA_CORRUPTED, "{path}: {e}");
    }
    let copy = disk.crash(1);
    for name in copy.list("wal").unwrap() {
        copy.remove(&format!("wal/{name}")).unwrap();
    }
    assert!(Database::open_on(Arc::new(copy), options()).is_err());
    // Not so a start in between.
    assert_eq!(seen(&open(&disk.crash(1))).len(), 6010);
}

/// Transactions one beside the other, each with rows of its own, and what was acknowledged of them.
struct World {
    disk: SimDisk,
    db: Arc<Database>,
    there: BTreeMap<i32, i32>,
    open: Vec<(Transaction, BTreeMap<i32, Option<i32>>)>,
    random: StdRng,
}

impl World {
    fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..12 if self.open.len() < 4 => self.open.push((begin(&self.db), BTreeMap::new())),
            12..70 => self.write(),
            70..85 => self.end(true),
            85..90 => self.end(false),
            90..93 => self.db.vacuum_step(),
            93..98 => drop(self.db.checkpoint().unwrap()),
            98 => self.truncate(),
            _ => self.crash(),
        }
    }

    fn write(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let at = self.random.random_range(0..self.open.len());
        // Long ones stream.
        let many = if self.random.random_bool(0.008) { 14_000 } else { 3 };
        for _ in 0..many {
            let wide = if many > 3 { 100_000 } else { 30 };
            let id = self.random.random_range(0..wide) * 4 + i32::try_from(at).unwrap();
            let v = self.random.random_range(0..1000);
            let taken = |o: &(Transaction, BTreeMap<i32, Option<i32>>)| o.1.contains_key(&id);
            if self.open.iter().enumerate().any(|(i, o)| i != at && taken(o)) {
                continue;
            }
            let (txn, wrote) = &mut self.open[at];
            let t = table(&self.db);
            let s = txn.snapshot();
            let now = wrote.get(&id).copied().unwrap_or_else(|| self.there.get(&id).copied());
            let next = match now {
                None => t.insert(txn, &row(id, v)).map(|_| Some(v)).unwrap(),
                Some(_) => {
                    let place = find(&t, id, s).unwrap();
                    if self.random.random_bool(0.4) {
                        assert_eq!(t.delete(txn, &s, place).unwrap(), Write::Done);
                        None
                    } else {
                        assert_eq!(t.update(txn, &s, place, &row(id, v)).unwrap(), Write::Done);
                        Some(v)
                    }
                }
            };
            wrote.insert(id, next);
        }
    }

    fn end(&mut self, commit: bool) {
        if self.open.is_empty() {
            return;
        }
        let at = self.random.random_range(0..self.open.len());
        let (txn, wrote) = self.open.swap_remove(at);
        if !commit {
            return;
        }
        finish(&self.db, txn);
        for (id, v) in wrote {
            match v {
                Some(v) => drop(self.there.insert(id, v)),
                None => drop(self.there.remove(&id)),
            }
        }
    }

    fn truncate(&mut self) {
        self.open.clear();
        let txn = begin(&self.db);
        txn.truncate(T).unwrap();
        if self.random.random_bool(0.5) {
            finish(&self.db, txn);
            self.there.clear();
        }
    }

    fn crash(&mut self) {
        self.disk = self.disk.crash(self.random.random());
        self.open.clear();
        self.db = open(&self.disk);
        self.check();
    }

    fn check(&self) {
        let there: Vec<(i32, i32)> = self.there.iter().map(|(id, v)| (*id, *v)).collect();
        assert_eq!(seen(&self.db), there);
    }
}

#[test]
fn random_work_comes_back() {
    for seed in 0..24 {
        println!("seed {seed}");
        let disk = SimDisk::new();
        let db = open(&disk);
        make_table(&db);
        let random = StdRng::seed_from_u64(seed);
        let mut world = World { disk, db, there: BTreeMap::new(), open: Vec::new(), random };
        for _ in 0..300 {
            world.step();
        }
        world.crash();
    }
}

#[test]
fn writers_go_on_while_images_are_written() {
    let disk = SimDisk::new();
    let db = open(&disk);
    make_table(&db);
    add(&db, 0..20_000, 0);
    let stop = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for w in 0..3 {
            let (db, stop) = (&db, &stop);
            scope.spawn(move || {
                let mut n = 0;
                while stop.load(Ordering::Relaxed) == 0 {
                    n += 1;
                    add(db, 10_000_000 * (w + 1) + n * 5..10_000_000 * (w + 1) + n * 5 + 5, n);
                }
            });
        }
        for n in 0..8 {
            db.checkpoint().unwrap();
            let rows = seen(&open(&disk.crash(n)));
            assert_eq!(rows.len() % 5, 0, "a transaction is there whole or not at all");
        }
        stop.store(1, Ordering::Relaxed);
    });
    let before = seen(&db);
    assert_eq!(seen(&open(&disk.crash(99))), before);
}
