//! Nearest rows through the vector indexes: every row once, in order, as the snapshot sees it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::sync::Arc;

use base64::Engine as _;
use common::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use vicinity_storage::catalog::model::{IndexMethod, Persistence};
use vicinity_storage::disk::sim::SimDisk;
use vicinity_storage::{Access, Database, Progress, Snapshot, Table, Write, pin};
use vicinity_types::array::Array;
use vicinity_types::{Datum, oid};

const DIM: usize = 8;
const VEC: u32 = 20_005;

fn vector(random: &mut StdRng) -> Vec<f32> {
    (0..DIM).map(|_| random.random_range(-100.0..100.0)).collect()
}

fn tuple(id: i32, v: Option<&[f32]>) -> [Datum; 2] {
    let v = v.map_or(Datum::Null, |v| Datum::Array(Arc::new(Array::from_f32s(v.to_vec()))));
    [Datum::Int4(id), v]
}

fn make(db: &Arc<Database>, method: IndexMethod) {
    let txn = begin(db);
    let cols = [("id", oid::INT4), ("vec", oid::FLOAT4_ARRAY)];
    txn.put(table_object(T, "t", Persistence::Permanent, &cols)).unwrap();
    txn.put(index_object(PK, "t_pkey", T, IndexMethod::Btree, &[1], true, &[])).unwrap();
    db.build_index(&txn, PK, &Arc::new(Progress::new())).unwrap();
    let options: &[(&str, &str)] = match method {
        IndexMethod::Hnsw => &[("dim", "8")],
        _ => &[("dimension", "8"), ("clustering_type", "1"), ("clustering_params", "1000,5")],
    };
    txn.put(index_object(VEC, "t_vec", T, method, &[2], false, options)).unwrap();
    db.build_index(&txn, VEC, &Arc::new(Progress::new())).unwrap();
    finish(db, txn);
}

fn nearest(t: &Arc<Table>, s: Snapshot, query: &[f32], limit: usize) -> Vec<(i32, Option<f64>)> {
    let access = Access::Vector { index: VEC, query: query.into(), extra: 0, limit };
    let mut cursor = t.open(access, s).unwrap();
    let guard = pin();
    let mut out = Vec::new();
    while out.len() < limit {
        let Some(row) = cursor.next(&guard, &mut |r| Ok(int(&r.get(0)) % 7 != 0)).unwrap() else {
            break;
        };
        out.push((int(&row.get(0)), cursor.distance()));
    }
    out
}

fn run(method: IndexMethod) {
    let disk = SimDisk::new();
    let db = open(&disk);
    make(&db, method);
    let mut random = StdRng::seed_from_u64(1);
    let mut model: Vec<Option<Option<Vec<f32>>>> = Vec::new();
    for round in 0..20 {
        let txn = begin(&db);
        let t = table(&db);
        let before = model.clone();
        for _ in 0..30 {
            let v = random.random_bool(0.95).then(|| vector(&mut random));
            t.insert(&txn, &tuple(model.len() as i32, v.as_deref())).unwrap();
            model.push(Some(v));
        }
        let s = txn.snapshot();
        for _ in 0..20 {
            let id = random.random_range(0..model.len());
            let Some(r) = find(&t, id as i32, s) else { continue };
            let v = vector(&mut random);
            let delete = random.random_bool(0.3);
            let w = if delete {
                t.delete(&txn, &s, r).unwrap()
            } else {
                t.update(&txn, &s, r, &tuple(id as i32, Some(&v))).unwrap()
            };
            if w == Write::Done {
                model[id] = (!delete).then_some(Some(v));
            }
        }
        if round % 4 == 3 {
            drop(txn);
            model = before;
        } else {
            finish(&db, txn);
        }
        if round % 3 == 0 {
            db.vacuum_step();
        }
        check(&db, &model, &mut random);
    }
    check(&open(&disk.crash(1)), &model, &mut random);
}

fn check(db: &Arc<Database>, model: &[Option<Option<Vec<f32>>>], random: &mut StdRng) {
    let txn = begin(db);
    let s = txn.snapshot();
    let t = table(db);
    let query = vector(random);
    let mut expected: Vec<(i32, f64)> = Vec::new();
    let mut without = 0;
    for (id, v) in model.iter().enumerate().filter(|(id, _)| id % 7 != 0) {
        match v {
            Some(Some(v)) => {
                let d = v.iter().zip(&query).map(|(a, b)| f64::from(*a) - f64::from(*b));
                expected.push((id as i32, d.map(|d| d * d).sum()));
            }
            Some(None) => without += 1,
            None => {}
        }
    }
    expected.sort_by(|a, b| a.1.total_cmp(&b.1));
    let all = nearest(&t, s, &query, usize::MAX);
    assert_eq!(all.len(), expected.len() + without, "every row once, those without a vector last");
    for (got, want) in all.iter().zip(&expected) {
        assert_eq!(got.0, want.0);
        assert!((got.1.unwrap() - want.1).abs() < 1e-3);
    }
    let few = nearest(&t, s, &query, 10);
    assert_eq!(few.len(), 10);
    assert!(few.iter().map(|(_, d)| d.unwrap()).is_sorted());
}

#[test]
fn hnsw_scans_agree_with_brute_force() {
    run(IndexMethod::Hnsw);
}

#[test]
fn ivfflat_scans_agree_with_brute_force() {
    run(IndexMethod::Ivfflat);
}

#[test]
fn base64_text_columns_are_vectors_too() {
    let db = memory();
    let txn = begin(&db);
    let cols = [("id", oid::INT4), ("vec", oid::TEXT)];
    txn.put(table_object(T, "t", Persistence::Permanent, &cols)).unwrap();
    let options = [("dim", "2"), ("base64_encoded", "1")];
    txn.put(index_object(VEC, "t_vec", T, IndexMethod::Hnsw, &[2], false, &options)).unwrap();
    db.build_index(&txn, VEC, &Arc::new(Progress::new())).unwrap();
    let t = db.table(T, &txn.catalog()).unwrap();
    for (id, v) in [(1, [1f32, 1.0]), (2, [5.0, 5.0]), (3, [2.0, 2.0])] {
        let bytes: Vec<u8> = v.iter().flat_map(|f| f.to_le_bytes()).collect();
        let text = base64::engine::general_purpose::STANDARD.encode(bytes);
        t.insert(&txn, &[Datum::Int4(id), Datum::text(text)]).unwrap();
    }
    let ids: Vec<_> =
        nearest(&t, txn.snapshot(), &[0.0, 0.0], 3).into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids, [1, 3, 2]);
    assert!(t.insert(&txn, &[Datum::Int4(4), Datum::text("%%")]).is_err());
}

#[test]
fn a_vector_of_another_dimension_is_an_error() {
    let db = memory();
    make(&db, IndexMethod::Hnsw);
    let txn = begin(&db);
    let e = table(&db).insert(&txn, &tuple(1, Some(&[1.0]))).unwrap_err();
    assert_eq!(e.code().as_str(), "22000");
}

#[test]
fn an_update_that_fails_leaves_the_row_where_it_was() {
    for method in [IndexMethod::Hnsw, IndexMethod::Ivfflat] {
        let db = memory();
        make(&db, method);
        let t = table(&db);
        let mut random = StdRng::seed_from_u64(3);
        let vectors: Vec<Vec<f32>> = (0..2).map(|_| vector(&mut random)).collect();
        let txn = begin(&db);
        for id in 1..3 {
            t.insert(&txn, &tuple(id, Some(&vectors[0]))).unwrap();
        }
        finish(&db, txn);
        let txn = begin(&db);
        let before = txn.savepoint();
        let s = txn.snapshot();
        let row = find(&t, 1, s).unwrap();
        // The key is taken: whatever was done to the other indexes is taken back.
        assert!(t.update(&txn, &s, row, &tuple(2, Some(&vectors[1]))).is_err());
        txn.rollback_to(&before).unwrap();
        let found = nearest(&t, txn.snapshot(), &vectors[0], usize::MAX);
        assert_eq!(found, [(1, Some(0.0)), (2, Some(0.0))]);
    }
}

#[test]
fn an_index_made_behind_two_updates_keeps_the_row() {
    for method in [IndexMethod::Hnsw, IndexMethod::Ivfflat] {
        let db = memory();
        make(&db, method);
        let t = table(&db);
        let vectors = [[0.0; DIM], [5.0; DIM], [9.0; DIM]];
        let txn = begin(&db);
        t.insert(&txn, &tuple(1, Some(&vectors[0]))).unwrap();
        finish(&db, txn);
        let txn = begin(&db);
        for v in &vectors[1..] {
            let s = txn.snapshot();
            let row = find(&t, 1, s).unwrap();
            t.update(&txn, &s, row, &tuple(1, Some(v))).unwrap();
        }
        txn.drop_object(vicinity_storage::ObjectKind::Relation, VEC).unwrap();
        let options: &[_] = match method {
            IndexMethod::Hnsw => &[("dim", "8")],
            _ => &[("dimension", "8"), ("clustering_type", "1"), ("clustering_params", "1000,5")],
        };
        txn.put(index_object(VEC + 1, "t_vec2", T, method, &[2], false, options)).unwrap();
        db.build_index(&txn, VEC + 1, &Arc::new(Progress::new())).unwrap();
        finish(&db, txn);
        db.vacuum_step();
        let txn = begin(&db);
        let query: Arc<[f32]> = vectors[2].into();
        let access = Access::Vector { index: VEC + 1, query, extra: 0, limit: usize::MAX };
        assert_eq!(scan_ids(&table(&db), access, txn.snapshot()), [1]);
    }
}

fn scan_ids(t: &Arc<Table>, access: Access, s: Snapshot) -> Vec<i32> {
    let mut cursor = t.open(access, s).unwrap();
    let guard = pin();
    let mut out = Vec::new();
    while let Some(row) = cursor.next(&guard, &mut |_| Ok(true)).unwrap() {
        out.push(int(&row.get(0)));
    }
    out
}
