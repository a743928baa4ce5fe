//! Indexes of all kinds that a clean stop leaves as they are, and the next start takes as they are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::*;
use vicinity_storage::catalog::model::{IndexMethod, Persistence};
use vicinity_storage::disk::{Disk, sim::SimDisk};
use vicinity_storage::{Access, Database, KeyRange, Options, Progress, Transaction, Write, pin};
use vicinity_types::array::Array;
use vicinity_types::geo::{Point, Rect};
use vicinity_types::{Datum, Oid, oid};

const POINTS: Oid = 20_002;
const BOXES: Oid = 20_003;
const HNSW: Oid = 20_004;
const IVFFLAT: Oid = 20_005;
const INDEXES: [Oid; 5] = [PK, POINTS, BOXES, HNSW, IVFFLAT];
/// A table that nobody changes.
const OTHER: Oid = 30_000;
const OTHER_PK: Oid = 30_001;

fn options() -> Options {
    Options { checkpoint_bytes: 1 << 40, index_image_entries: 10, ..common::options() }
}

fn open(disk: &SimDisk) -> Arc<Database> {
    Database::open_on(Arc::new(disk.clone()), options()).unwrap()
}

/// Some have no place, some none in the plane.
fn values(id: i32, v: i32) -> [Datum; 4] {
    let (x, y) = (f64::from(id * 7 % 131 + v), f64::from(id * 13 % 97));
    let x = if id % 50 == 3 { f64::NAN } else { x };
    let (low, high) = (Point { x: x - 1.0, y: y - 1.0 }, Point { x, y });
    let vector = Array::from_f32s(vec![(id * 7 % 131 + v) as f32, y as f32]);
    let or_null = |of: i32, value| if id % of == 1 { Datum::Null } else { value };
    [
        Datum::Int4(id),
        or_null(20, Datum::Point(high)),
        or_null(30, Datum::Box(Arc::new(Rect { high, low }))),
        or_null(40, Datum::Array(Arc::new(vector))),
    ]
}

/// The table as it is, and what changes it.
struct World {
    disk: SimDisk,
    db: Arc<Database>,
    there: BTreeMap<i32, i32>,
}

impl World {
    fn new() -> World {
        let disk = SimDisk::new();
        let db = open(&disk);
        let txn = begin(&db);
        let cols = [
            ("id", oid::INT4),
            ("pos", oid::POINT),
            ("area", oid::BOX),
            ("vec", oid::FLOAT4_ARRAY),
        ];
        let graph = [("dim", "2"), ("base_nb_num", "8")];
        let lists = [("dimension", "2"), ("clustering_type", "1"), ("clustering_params", "1000,9")];
        for (table, pk) in [(T, PK), (OTHER, OTHER_PK)] {
            txn.put(table_object(table, &format!("t{table}"), Persistence::Permanent, &cols))
                .unwrap();
            let key =
                index_object(pk, &format!("i{pk}"), table, IndexMethod::Btree, &[1], true, &[]);
            txn.put(key).unwrap();
        }
        for (oid, method, column, options) in [
            (POINTS, IndexMethod::Spatial, 2, &[][..]),
            (BOXES, IndexMethod::Spatial, 3, &[]),
            (HNSW, IndexMethod::Hnsw, 4, &graph),
            (IVFFLAT, IndexMethod::Ivfflat, 4, &lists),
        ] {
            let name = format!("i{oid}");
            txn.put(index_object(oid, &name, T, method, &[column], false, options)).unwrap();
        }
        finish(&db, txn);
        let mut world = World { disk, db, there: BTreeMap::new() };
        let txn = begin(&world.db);
        let other = world.db.table(OTHER, &world.db.catalog()).unwrap();
        for id in 0..300 {
            other.insert(&txn, &values(id, 0)).unwrap();
        }
        finish(&world.db, txn);
        world.add(0..1500);
        let txn = begin(&world.db);
        for index in INDEXES.into_iter().chain([OTHER_PK]) {
            world.db.build_index(&txn, index, &Arc::new(Progress::new())).unwrap();
        }
        finish(&world.db, txn);
        world
    }

    fn add(&mut self, ids: std::ops::Range<i32>) {
        let txn = begin(&self.db);
        for id in ids {
            table(&self.db).insert(&txn, &values(id, 0)).unwrap();
            self.there.insert(id, 0);
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
                self.there.insert(id, 5);
                t.update(&txn, &s, row, &values(id, 5)).unwrap()
            };
            assert_eq!(done, Write::Done);
        }
        finish(&self.db, txn);
    }

    /// Stops it cleanly. It is what it was when it comes back.
    fn stop(&mut self) {
        self.db.shutdown().unwrap();
        self.reopen(self.disk.killed());
    }

    fn reopen(&mut self, disk: SimDisk) {
        self.db = open(&disk);
        self.disk = disk;
        self.check();
    }

    /// The files of indexes, by index.
    fn images(&self) -> BTreeMap<Oid, String> {
        let names = self.disk.list("image").unwrap().into_iter();
        let index = |name: &str| name.strip_suffix(".index")?.rsplit('-').next()?.parse().ok();
        names.filter_map(|name| Some((index(&name)?, name))).collect()
    }

    /// Every index has every row that has a value, once, and gives every row.
    fn check(&self) {
        let t = table(&self.db);
        let txn = begin(&self.db);
        let guard = pin();
        let near = Some([50.0, 50.0]);
        for (column, index) in [0, 1, 2, 3, 3].into_iter().zip(INDEXES) {
            let with_value = |id: &&i32| !values(**id, 0)[column].is_null();
            let count = self.there.keys().filter(with_value).count();
            assert_eq!(t.index_size(index).0, count, "entries of {index}");
            let access = match column {
                0 => Access::Btree { index, range: KeyRange::all(), reverse: false },
                3 => Access::Vector { index, query: [50.0; 2].into(), extra: 1000, limit: 10_000 },
                1 => Access::Points { index, region: None, near, limit: 10_000 },
                _ => Access::Boxes {
                    index,
                    low: [f64::NEG_INFINITY; 4],
                    high: [f64::INFINITY; 4],
                    near: None,
                    limit: 10_000,
                },
            };
            let mut cursor = t.open(access, txn.snapshot()).unwrap();
            let mut got = Vec::new();
            while let Some(row) = cursor.next(&guard, &mut |_| Ok(true)).unwrap() {
                let id = int(&row.get(0));
                assert_eq!(
                    format!("{:?}", row.values()),
                    format!("{:?}", values(id, self.there[&id]))
                );
                got.push(id);
            }
            if column > 0 {
                got.sort_unstable();
            }
            // Boxes are asked for in no order: NULL is none.
            let has = |id: &&i32| column != 2 || with_value(id);
            got.retain(|id| has(&id));
            assert!(got.iter().eq(self.there.keys().filter(has)), "rows of {index}");
        }
    }
}

#[test]
fn a_clean_stop_leaves_what_the_next_start_takes() {
    let mut world = World::new();
    world.change(100..300);
    world.stop();
    let first = world.images();
    assert!(first.keys().eq(INDEXES.iter().chain([&OTHER_PK])), "{first:?}");
    // Had one been built anew, it would have a new file.
    world.stop();
    assert_eq!(world.images(), first);
    world.reopen(world.disk.crash(1));
    world.stop();
    assert_eq!(world.images(), first);
    world.add(2000..2100);
    world.stop();
    let second = world.images();
    assert_eq!(second[&OTHER_PK], first[&OTHER_PK]);
    assert!(INDEXES.iter().all(|index| second[index] != first[index]), "{second:?}");
}

#[test]
fn a_commit_behind_them_is_not_missed() {
    let mut world = World::new();
    world.stop();
    world.change(0..20);
    world.add(2000..2001);
    world.reopen(world.disk.killed());
    world.change(30..40);
    // Most are no more, the vectors' are beginnings.
    world.db.checkpoint().unwrap();
    assert!(world.images().keys().eq([&HNSW, &IVFFLAT]), "{:?}", world.images());
    world.reopen(world.disk.killed());
    world.change(50..60);
    world.reopen(world.disk.crash(1));
    world.stop();
    assert_eq!(world.images().len(), 6);
}

#[test]
fn what_nobody_touches_stays_exact() {
    let mut world = World::new();
    world.stop();
    let first = world.images();
    world.add(2000..2100);
    world.db.checkpoint().unwrap();
    let images = world.images();
    assert_eq!(images.get(&OTHER_PK), first.get(&OTHER_PK));
    assert!(!images.contains_key(&PK));
    world.reopen(world.disk.killed());
    world.stop();
    assert_eq!(world.images().get(&OTHER_PK), first.get(&OTHER_PK));
}

#[test]
fn who_still_writes_leaves_none() {
    let mut world = World::new();
    let writes = |world: &World| -> Transaction {
        let txn = begin(&world.db);
        table(&world.db).insert(&txn, &values(9000, 0)).unwrap();
        txn
    };
    let txn = writes(&world);
    world.db.shutdown().unwrap();
    drop(txn);
    assert!(!world.images().contains_key(&PK), "{:?}", world.images());
    world.reopen(world.disk.killed());
    // What was undone is no matter, nor is who only reads.
    drop(writes(&world));
    let reader = begin(&world.db);
    assert!(find(&table(&world.db), 7, reader.snapshot()).is_some());
    world.db.shutdown().unwrap();
    drop(reader);
    assert_eq!(world.images().len(), 6);
    world.reopen(world.disk.killed());
}

#[test]
fn old_versions_that_somebody_needs_are_in_none() {
    let mut world = World::new();
    let reader = begin(&world.db);
    let row = find(&table(&world.db), 100, reader.snapshot());
    world.change(100..110);
    world.db.shutdown().unwrap();
    assert!(row.is_some());
    drop(reader);
    assert!(!world.images().contains_key(&PK) && !world.images().contains_key(&POINTS));
    world.reopen(world.disk.killed());
}

#[test]
fn a_damaged_one_is_built_anew() {
    let mut world = World::new();
    world.db.shutdown().unwrap();
    let images = world.images();
    assert_eq!(images.len(), 6);
    let disk = world.disk.killed();
    for name in images.values() {
        let path = format!("image/{name}");
        let damages: [&dyn Fn(&mut Vec<u8>); 5] = [
            &|bytes| bytes[7] ^= 1,
            &|bytes| *bytes.iter_mut().nth_back(100).unwrap() ^= 1,
            &|bytes| bytes.truncate(bytes.len() / 2),
            &|bytes| bytes.clear(),
            &|bytes| bytes.extend([0; 100]),
        ];
        for damage in damages {
            let copy = disk.killed();
            copy.tamper(&path, damage);
            world.reopen(copy);
        }
        let copy = disk.killed();
        copy.remove(&path).unwrap();
        world.reopen(copy);
        world.db.shutdown().unwrap();
        assert_eq!(world.images().len(), 6);
        world.reopen(world.disk.killed());
    }
}
