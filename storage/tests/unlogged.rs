//! Unlogged tables larger than `memory_limit`, kept over a clean stop in little memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::alloc::System;
use std::sync::Arc;

use cap::Cap;
use common::*;
use vicinity_storage::catalog::model::Persistence;
use vicinity_storage::{Access, Database, Options, Walk, pin};
use vicinity_types::{Datum, oid};

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

const LIMIT: u64 = 1 << 20;
const ROWS: i32 = 40_000;
/// Bytes of all rows, and of memory that may be used.
const BYTES: usize = ROWS as usize * 1000;
const MOST: usize = BYTES / 4;

fn content(id: i32) -> [Datum; 2] {
    let letter = char::from(b'a' + (id % 26) as u8);
    [Datum::Int4(id), Datum::text(std::iter::repeat_n(letter, 1000).collect::<String>())]
}

fn check(db: &Arc<Database>) {
    let mut cursor = table(db).open(Access::Seq, begin(db).snapshot()).unwrap();
    let mut next = 0;
    loop {
        let guard = pin();
        let took = cursor.each(&guard, &mut |_| Ok(true), |row| {
            for (column, value) in content(next).iter().enumerate() {
                let mut raw = Vec::new();
                vicinity_types::raw::encode(value, &mut raw);
                assert!(row.raw(column) == Some(raw.as_slice()), "row {next}");
            }
            next += 1;
            Ok(true)
        });
        if took.unwrap() == Walk::Ended {
            break;
        }
    }
    assert_eq!(next, ROWS);
}

#[test]
fn a_stop_and_a_start_need_no_room_for_all_rows() {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        let options = Options { memory_limit: LIMIT, sync: false, ..options() };
        Database::open(dir.path(), options).unwrap()
    };
    let db = open();
    let txn = begin(&db);
    let cols = [("id", oid::INT4), ("v", oid::TEXT)];
    txn.put(table_object(T, "t", Persistence::Unlogged, &cols)).unwrap();
    finish(&db, txn);
    for first in (0..ROWS).step_by(500) {
        let (txn, t) = (begin(&db), table(&db));
        for id in first..first + 500 {
            t.insert(&txn, &content(id)).unwrap();
        }
        finish(&db, txn);
        db.sweep_step().unwrap();
    }
    db.shutdown().unwrap();
    drop(db);
    let again = open();
    // Scans have other needs.
    assert!(MEMORY.max_allocated() < MOST, "{} bytes", MEMORY.max_allocated());
    check(&again);
    again.shutdown().unwrap();
    drop(again);
    check(&open());
}
