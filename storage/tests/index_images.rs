//! Vector indexes that a start reads instead of building them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use vicinity_storage::catalog::model::{IndexMethod, Persistence};
use vicinity_storage::disk::{Disk, sim::SimDisk};
use vicinity_storage::{Access, Database, Options, Progress, Write, pin};
use vicinity_types::array::Array;
use vicinity_types::{Datum, oid};

const DIM: usize = 8;
const VEC: u32 = 20_005;
const METHODS: [IndexMethod; 2] = [IndexMethod::Hnsw, IndexMethod::Ivfflat];

/// What is in the table, and how it came there.
struct World {
    disk: SimDisk,
    db: Arc<Database>,
    there: BTreeMap<i32, Vec<f32>>,
    random: StdRng,
}

fn tuple(id: i32, v: &[f32]) -> [Datum; 2] {
    [Datum::Int4(id), Datum::Array(Arc::new(Array::from_f32s(v.to_vec())))]
}

impl World {
    fn new(method: IndexMethod, persistence: Persistence, rows: i32) -> World {
        let disk = SimDisk::new();
        let db = open(&disk);
        let random = StdRng::seed_from_u64(1);
        let mut world = World { disk, db, there: BTreeMap::new(), random };
        let txn = begin(&world.db);
        let cols = [("id", oid::INT4), ("vec", oid::FLOAT4_ARRAY)];
        txn.put(table_object(T, "t", persistence, &cols)).unwrap();
        txn.put(index_object(PK, "t_pkey", T, IndexMethod::Btree, &[1], true, &[])).unwrap();
        world.db.build_index(&txn, PK, &Arc::new(Progress::new())).unwrap();
        finish(&world.db, txn);
        world.add(0..rows);
        let options: &[(&str, &str)] = match method {
            IndexMethod::Hnsw => &[("dim", "8")],
            _ => &[("dimension", "8"), ("clustering_type", "1"), ("clustering_params", "1000,20")],
        };
        let txn = begin(&world.db);
        txn.put(index_object(VEC, "t_vec", T, method, &[2], false, options)).unwrap();
        world.db.build_index(&txn, VEC, &Arc::new(Progress::new())).unwrap();
        finish(&world.db, txn);
        world
    }

    fn vector(&mut self) -> Vec<f32> {
        (0..DIM).map(|_| self.random.random_range(-100.0..100.0)).collect()
    }

    fn add(&mut self, ids: std::ops::Range<i32>) {
        let txn = begin(&self.db);
        for id in ids {
            let v = self.vector();
            table(&self.db).insert(&txn, &tuple(id, &v)).unwrap();
            self.there.insert(id, v);
        }
        finish(&self.db, txn);
    }

    /// Moves some, removes others.
    fn change(&mut self, ids: std::ops::Range<i32>) {
        let txn = begin(&self.db);
        let t = table(&self.db);
        for id in ids {
            let s = txn.snapshot();
            let row = find(&t, id, s).unwrap();
            let done = if id % 3 == 0 {
                self.there.remove(&id);
                t.delete(&txn, &s, row).unwrap()
            } else {
                let v = self.vector();
                let done = t.update(&txn, &s, row, &tuple(id, &v)).unwrap();
                self.there.insert(id, v);
                done
            };
            assert_eq!(done, Write::Done);
        }
        finish(&self.db, txn);
        self.db.vacuum_step();
    }

    /// The index has every row once and in order.
    fn check(&mut self, db: &Arc<Database>) {
        let t = table(db);
        assert_eq!(t.index_size(VEC).0, self.there.len(), "entries");
        let txn = begin(db);
        let guard = pin();
        for _ in 0..3 {
            let q = self.vector();
            let access =
                Access::Vector { index: VEC, query: q.clone().into(), extra: 1000, limit: 10 };
            let mut cursor = t.open(access, txn.snapshot()).unwrap();
            let mut got = Vec::new();
            while let Some(row) = cursor.next(&guard, &mut |_| Ok(true)).unwrap() {
                got.push(int(&row.get(0)));
            }
            let distance = |id: &i32| -> f32 {
                self.there[id].iter().zip(&q).map(|(a, b)| (a - b) * (a - b)).sum()
            };
            let near: Vec<i32> = got.iter().take(10).copied().collect();
            let mut order: Vec<i32> = self.there.keys().copied().collect();
            order.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
            let hits = near.iter().filter(|id| order[..10].contains(id)).count();
            assert!(hits >= 7, "{hits} of the ten nearest");
            got.sort_unstable();
            assert!(got.iter().eq(self.there.keys()), "every row once");
        }
    }
}

/// Whether the index of a database that was just opened was read: its image is good enough for the next checkpoint.
fn was_read(db: &Arc<Database>, disk: &SimDisk) -> bool {
    let images = |disk: &SimDisk| -> Vec<String> {
        disk.list("image").unwrap().into_iter().filter(|n| n.ends_with(".index")).collect()
    };
    let before = images(disk);
    let txn = begin(db);
    table(db).insert(&txn, &tuple(1_000_000, &[0.0; DIM])).unwrap();
    finish(db, txn);
    db.checkpoint().unwrap();
    before.len() == 1 && images(disk) == before
}

#[test]
fn an_image_and_what_came_since() {
    for method in METHODS {
        let mut world = World::new(method, Persistence::Permanent, 3000);
        assert!(world.db.checkpoint().unwrap().written > 0);
        let crashed = world.disk.crash(1);
        let again = open(&crashed);
        world.check(&again);
        assert!(was_read(&again, &crashed));
        // The image is of before.
        world.add(5000..5100);
        world.change(100..300);
        let crashed = world.disk.crash(2);
        let again = open(&crashed);
        world.check(&again);
        // Row ids are used again, the image stays as it is.
        let done = world.db.checkpoint().unwrap();
        assert_eq!(done.kept, 1, "the image of the index");
        world.add(6000..6100);
        let crashed = world.disk.crash(3);
        let again = open(&crashed);
        world.check(&again);
        assert!(was_read(&again, &crashed));
        world.change(1000..2500);
        assert_eq!(world.db.checkpoint().unwrap().kept, 0);
        let again = open(&world.disk.crash(4));
        world.check(&again);
    }
}

#[test]
fn entries_of_what_never_committed_go() {
    for method in METHODS {
        let mut world = World::new(method, Persistence::Permanent, 2000);
        let txn = begin(&world.db);
        for id in 0..500 {
            let v = world.vector();
            table(&world.db).insert(&txn, &tuple(10_000 + id, &v)).unwrap();
        }
        world.db.checkpoint().unwrap();
        let again = open(&world.disk.crash(1));
        world.check(&again);
        drop(txn);
    }
}

#[test]
fn a_damaged_image_is_not_needed() {
    for method in METHODS {
        let mut world = World::new(method, Persistence::Permanent, 1500);
        world.db.checkpoint().unwrap();
        let names = world.disk.list("image").unwrap();
        let name = names.iter().find(|n| n.ends_with(".index")).unwrap();
        let path = format!("image/{name}");
        let damages: [&dyn Fn(&mut Vec<u8>); 4] = [
            &|bytes| bytes[7] ^= 1,
            &|bytes| bytes[5000] ^= 1,
            &|bytes| bytes.truncate(7000),
            &|bytes| bytes.clear(),
        ];
        for damage in damages {
            let copy = world.disk.crash(1);
            copy.tamper(&path, damage);
            let again = open(&copy);
            world.check(&again);
        }
        let copy = world.disk.crash(1);
        copy.remove(&path).unwrap();
        let again = open(&copy);
        world.check(&again);
    }
}

#[test]
fn unlogged_tables_have_images_over_a_clean_stop() {
    for method in METHODS {
        let mut world = World::new(method, Persistence::Unlogged, 1500);
        world.db.shutdown().unwrap();
        let options = Options { checkpoint_bytes: 1 << 30, ..options() };
        let db = Database::open_on(Arc::new(world.disk.clone()), options.clone()).unwrap();
        world.check(&db);
        db.shutdown().unwrap();
        let images = world.disk.list("image").unwrap();
        assert_eq!(images.iter().filter(|n| n.ends_with(".index")).count(), 1);
        let db = Database::open_on(Arc::new(world.disk.clone()), options).unwrap();
        world.check(&db);
        world.there.clear();
        let again = open(&world.disk.crash(1));
        assert_eq!(table(&again).index_size(VEC).0, 0);
    }
}

#[test]
fn writers_go_on_while_an_index_is_copied() {
    for method in METHODS {
        let mut world = World::new(method, Persistence::Permanent, 3000);
        let (db, stop) = (world.db.clone(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let copier = scope.spawn(|| {
                let mut copies = 0;
                while !stop.load(Ordering::Relaxed) || copies == 0 {
                    copies += usize::from(db.checkpoint().unwrap().number > 0);
                }
            });
            for n in 0..20 {
                world.add(10_000 + n * 100..10_100 + n * 100);
                world.change(10_000 + n * 100..10_050 + n * 100);
            }
            stop.store(true, Ordering::Relaxed);
            copier.join().unwrap();
        });
        let again = open(&world.disk.crash(1));
        world.check(&again);
    }
}
