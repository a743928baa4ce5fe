//! What storage costs a row, without SQL and without a wire.

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use vicinity_storage::catalog::model::{
    Column, IndexDef, IndexKey, IndexMethod, Object, OnCommit, Persistence, Relation, RelationKind,
    TableDef, fixed,
};
use vicinity_storage::{
    Access, Database, Isolation, KeyRange, Options, Progress, Table, Write, pin,
};
use vicinity_types::array::Array;
use vicinity_types::{Datum, Oid, PgError, Result, oid};

/// Options of `bench rows`.
#[derive(clap::Args)]
pub struct Args {
    /// Rows to load.
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Floats in each row's vector.
    #[arg(long, default_value_t = 80)]
    dim: usize,
    /// Where the database goes; a temporary directory otherwise.
    #[arg(long)]
    data: Option<PathBuf>,
    /// An unlogged table.
    #[arg(long)]
    unlogged: bool,
}

const TABLE: Oid = 30_000;
const KEY: Oid = 30_001;

fn relation(oid: Oid, name: &str, kind: RelationKind) -> Object {
    Object::Relation(Arc::new(Relation {
        oid,
        name: name.to_owned(),
        schema: fixed::PUBLIC,
        owner: fixed::SUPERUSER,
        kind,
    }))
}

fn definition(oid: Oid, persistence: Persistence, columns: &[(&str, Oid)]) -> TableDef {
    TableDef {
        persistence,
        columns: columns.iter().map(|(name, ty)| Column::new(name, *ty, -1)).collect(),
        constraints: Vec::new(),
        storage: 0,
        row_type: oid + 100_000,
        row_array_type: oid + 200_000,
        options: Vec::new(),
        on_commit: OnCommit::default(),
        materialized: None,
        parents: Vec::new(),
        partitioning: None,
        bound: None,
    }
}

/// A logged table.
pub(crate) fn table(oid: Oid, name: &str, columns: &[(&str, Oid)]) -> Object {
    let table = definition(oid, Persistence::Permanent, columns);
    relation(oid, name, RelationKind::Table(table))
}

/// An index on a column, unique if it can be.
pub(crate) fn index(
    table: Oid,
    oid: Oid,
    (method, column): (IndexMethod, i16),
    options: &[(&str, &str)],
) -> Object {
    let key = IndexKey { column, expr: None, opclass: 0, descending: false, nulls_first: false };
    let index = IndexDef {
        table,
        method,
        keys: vec![key],
        include: Vec::new(),
        predicate: None,
        unique: method == IndexMethod::Btree,
        primary: false,
        nulls_not_distinct: false,
        options: options.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect(),
        valid: false,
        parent: None,
    };
    relation(oid, &format!("i{oid}"), RelationKind::Index(index))
}

fn create(db: &Arc<Database>, persistence: Persistence) -> Result<()> {
    let txn = db.begin(Isolation::ReadCommitted, false)?;
    let columns = [("id", oid::INT8), ("v", oid::FLOAT4_ARRAY)];
    let table = definition(TABLE, persistence, &columns);
    txn.put(relation(TABLE, "t", RelationKind::Table(table)))?;
    txn.put(index(TABLE, KEY, (IndexMethod::Btree, 1), &[]))?;
    db.build_index(&txn, KEY, &Arc::new(Progress::new()))?;
    txn.commit().map(drop)
}

fn id_of(n: u64) -> Datum {
    Datum::Int8(i64::try_from(n).unwrap_or(0))
}

/// Wall time, and CPU time of all threads: the one that counts when the machine is shared.
#[derive(Clone, Copy)]
struct Timer {
    start: Instant,
    cpu: f64,
}

impl Timer {
    fn start() -> Timer {
        Timer { start: Instant::now(), cpu: crate::process::cpu() }
    }

    fn report(self, what: &str, n: u64) {
        Timer::print(what, n, self.start.elapsed(), crate::process::cpu() - self.cpu);
    }

    fn print(what: &str, n: u64, time: Duration, cpu: f64) {
        let n = n.max(1) as f64;
        let (wall, cpu) = (time.as_secs_f64() / n * 1e9, cpu / n * 1e9);
        println!("{what:<44} {wall:>10.0} ns {cpu:>10.0} ns of CPU");
    }
}

fn resident_mb() -> f64 {
    crate::process::resident("self") / (1 << 20) as f64
}

fn load(db: &Arc<Database>, args: &Args) -> Result<Arc<Table>> {
    let t = db.table(TABLE, &db.catalog())?;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let (mut time, mut cpu) = (Duration::ZERO, 0.0);
    let mut next = 0;
    while next < args.rows {
        let end = (next + 10_000).min(args.rows);
        let mut rows = Vec::new();
        for id in next..end {
            let v: Vec<f32> = (0..args.dim).map(|_| random.random_range(0.0..100.0)).collect();
            rows.push([id_of(id), Datum::Array(Arc::new(Array::from_f32s(v)))]);
        }
        let timer = Timer::start();
        let txn = db.begin(Isolation::ReadCommitted, false)?;
        for row in &rows {
            t.insert(&txn, row)?;
        }
        if let Some(lsn) = txn.commit()?.lsn {
            db.wal().wait_durable(lsn)?;
        }
        time += timer.start.elapsed();
        cpu += crate::process::cpu() - timer.cpu;
        next = end;
    }
    Timer::print("insert, 10,000 a transaction, with its key", args.rows, time, cpu);
    println!("{:<44} {:>10.0} MB", "resident after the load", resident_mb());
    Ok(t)
}

fn lookups(db: &Arc<Database>, t: &Arc<Table>, rows: u64) -> Result<()> {
    let keys = match &t.indexes().first().map(|i| &i.kind) {
        Some(RelationKind::Index(i)) => i.keys.clone(),
        _ => return Err(PgError::internal("no key")),
    };
    let mut random = Xoshiro256PlusPlus::seed_from_u64(2);
    let n = 1_000_000;
    let timer = Timer::start();
    for _ in 0..n {
        let txn = db.begin(Isolation::ReadCommitted, true)?;
        let snapshot = txn.snapshot();
        let id = random.random_range(0..rows);
        let range = KeyRange::equal(&keys, &[id_of(id)]);
        let mut cursor = t.open(Access::Btree { index: KEY, range, reverse: false }, snapshot)?;
        let guard = pin();
        let row = cursor.next(&guard, &mut |_| Ok(true))?;
        black_box(row.map(|r| r.raw(0).map(<[u8]>::len)));
    }
    timer.report("transaction, snapshot, key lookup by cursor", n);
    let txn = db.begin(Isolation::ReadCommitted, true)?;
    let snapshot = txn.snapshot();
    let timer = Timer::start();
    for _ in 0..n {
        let id = random.random_range(0..rows);
        let key = match KeyRange::equal(&keys, &[id_of(id)]).lower {
            std::ops::Bound::Included(key) => key,
            _ => Vec::new(),
        };
        let guard = pin();
        let row = t.lookup(KEY, &key, &snapshot, &guard)?;
        black_box(row.map(|r| r.raw(0).map(<[u8]>::len)));
    }
    timer.report("key lookup alone", n);
    let timer = Timer::start();
    for _ in 0..n {
        let id = random.random_range(0..rows);
        let guard = pin();
        black_box(t.fetch(id, &snapshot, &guard)?.map(|r| r.raw(0).map(<[u8]>::len)));
    }
    timer.report("fetch by row id", n);
    let timer = Timer::start();
    let mut cursor = t.open(Access::Seq, snapshot)?;
    let mut count = 0u64;
    loop {
        let guard = pin();
        let mut batch = 0;
        while batch < 1024 && cursor.next(&guard, &mut |r| Ok(!r.tuple().is_null(0)))?.is_some() {
            batch += 1;
        }
        count += batch;
        if batch < 1024 {
            break;
        }
    }
    timer.report("sequential scan", count);
    Ok(())
}

fn updates(db: &Arc<Database>, t: &Arc<Table>, args: &Args) -> Result<()> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
    let n = 200_000;
    let values = Datum::Array(Arc::new(Array::from_f32s(vec![1.0; args.dim])));
    let timer = Timer::start();
    for _ in 0..n {
        let txn = db.begin(Isolation::ReadCommitted, false)?;
        let snapshot = txn.snapshot();
        let row = random.random_range(0..args.rows);
        let id = t.fetch(row, &snapshot, &pin())?.map_or(Datum::Null, |r| r.get(0));
        let done = t.update(&txn, &snapshot, row, &[id, values.clone()])?;
        if done != Write::Done {
            return Err(PgError::internal("the update was refused"));
        }
        txn.commit()?;
    }
    timer.report("transaction, update, commit, not waiting", n);
    println!("{:<44} {:>10.0} MB", "resident after the updates", resident_mb());
    for threads in [1u64, 8] {
        let each = 4000 / threads;
        let timer = Timer::start();
        std::thread::scope(|scope| {
            let running: Vec<_> =
                (0..threads).map(|n| scope.spawn(move || commits(db, t, args, n, each))).collect();
            running.into_iter().try_for_each(|r| {
                r.join().map_err(|_| PgError::internal("a thread ended badly"))?
            })
        })?;
        timer.report(&format!("insert and wait for the disk, {threads} threads"), each * threads);
    }
    Ok(())
}

fn commits(db: &Arc<Database>, t: &Arc<Table>, args: &Args, thread: u64, n: u64) -> Result<()> {
    let values = Datum::Array(Arc::new(Array::from_f32s(vec![1.0; 4])));
    for i in 0..n {
        let txn = db.begin(Isolation::ReadCommitted, false)?;
        let id = args.rows * 10 + thread * 1_000_000 + i + (n << 32);
        t.insert(&txn, &[id_of(id), values.clone()])?;
        if let Some(lsn) = txn.commit()?.lsn {
            db.wal().wait_durable(lsn)?;
        }
    }
    Ok(())
}

/// Runs the bench.
pub fn run(args: &Args) -> Result<()> {
    let temporary = tempfile::tempdir().map_err(|e| PgError::internal(e.to_string()))?;
    let dir = args.data.clone().unwrap_or_else(|| temporary.path().join("data"));
    let db = Database::open(&dir, Options::default())?;
    let persistence = if args.unlogged { Persistence::Unlogged } else { Persistence::Permanent };
    create(&db, persistence)?;
    let t = load(&db, args)?;
    lookups(&db, &t, args.rows)?;
    updates(&db, &t, args)?;
    drop(t);
    db.shutdown()?;
    drop(db);
    let timer = Timer::start();
    let db = Database::open(&dir, Options::default())?;
    timer.report("recovery, a row of the load", args.rows);
    let txn = db.begin(Isolation::ReadCommitted, true)?;
    let t = db.table(TABLE, &db.catalog())?;
    println!("{:<44} {:>10}", "rows after recovery", t.stats().live);
    drop(txn);
    db.shutdown()?;
    Ok(())
}
