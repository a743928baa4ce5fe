//! Whether a database is what a state says, and every index what its table says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use vicinity_indexes::spatial::Region;
use vicinity_storage::{Access, Database, Isolation, KeyRange, Snapshot, Table, pin};
use vicinity_types::geo::hypotenuse;
use vicinity_types::{Datum, Oid, SqlState};

use crate::model::{Effect, State, TableState};
use crate::tables::{Content, Kind};

/// What is wrong, if anything is.
pub type Verdict = Result<(), String>;

macro_rules! ensure {
    ($condition:expr, $($why:tt)*) => {
        if !$condition {
            return Err(format!($($why)*));
        }
    };
}
pub(crate) use ensure;

/// Compares everything that is committed.
pub fn check(db: &Arc<Database>, state: &State, salt: u32) -> Verdict {
    same_objects(db, state)?;
    let txn = db.begin(Isolation::RepeatableRead, true).map_err(|e| e.to_string())?;
    let snapshot = txn.snapshot();
    for (oid, want) in &state.tables {
        let table = db.table(*oid, &txn.catalog()).map_err(|e| e.to_string())?;
        rows(&table, snapshot, want).map_err(|e| format!("table {oid}: {e}"))?;
        for (index, kind) in &want.indexes {
            let look = Look { table: &table, snapshot, index: *index, want };
            look.check(*kind, salt).map_err(|e| format!("{kind:?} index {index} of {oid}: {e}"))?;
        }
    }
    Ok(())
}

/// Whether no sequence gives a value again, with nobody using them.
pub fn same_sequences(db: &Arc<Database>, state: &State) -> Verdict {
    let txn = db.begin(Isolation::RepeatableRead, true).map_err(|e| e.to_string())?;
    txn.set_lock_timeout(Some(Duration::ZERO));
    let prepared = || state.prepared.values().flatten().filter_map(Effect::sequence);
    for (oid, want) in &state.sequences {
        let at = match txn.use_sequence(*oid) {
            // A prepared transaction sets it, or drops it.
            Err(e) if e.code() == SqlState::LOCK_NOT_AVAILABLE => {
                ensure!(prepared().any(|changed| changed == *oid), "sequence {oid} is locked");
                continue;
            }
            sequence => sequence.map_err(|e| e.to_string())?.state(),
        };
        ensure!(!prepared().any(|changed| changed == *oid), "sequence {oid} is not locked");
        let next = at.last + i64::from(at.called);
        ensure!(next >= want.least, "sequence {oid}: the next value is {next}, known {want:?}");
    }
    Ok(())
}

/// Whether there are the tables, indexes and sequences that should be, and no others.
pub fn same_objects(db: &Arc<Database>, state: &State) -> Verdict {
    let catalog = db.catalog();
    let mut have: Vec<(char, Oid)> = Vec::new();
    for r in catalog.relations() {
        let what = match (r.table(), r.index(), r.sequence()) {
            (Some(_), ..) => 't',
            (_, Some(_), _) => 'i',
            (.., Some(_)) => 's',
            _ => continue,
        };
        have.push((what, r.oid));
    }
    have.sort_unstable();
    let tables = state.tables.keys().map(|oid| ('t', *oid));
    let indexes = state.tables.values().flat_map(|t| t.indexes.keys().map(|oid| ('i', *oid)));
    let sequences = state.sequences.keys().map(|oid| ('s', *oid));
    let mut want: Vec<_> = tables.chain(indexes).chain(sequences).collect();
    want.sort_unstable();
    ensure!(have == want, "objects are {have:?}, should be {want:?}");
    Ok(())
}

fn id(d: &Datum) -> i32 {
    match d {
        Datum::Int4(i) => *i,
        other => panic!("{other:?}"),
    }
}

/// Ids and distances in the order of a scan.
fn scan(
    t: &Arc<Table>,
    access: Access,
    snapshot: Snapshot,
) -> Result<Vec<(i32, Option<f64>)>, String> {
    let mut cursor = t.open(access, snapshot).map_err(|e| e.to_string())?;
    let guard = pin();
    let mut out = Vec::new();
    while let Some(row) = cursor.next(&guard, &mut |_| Ok(true)).map_err(|e| e.to_string())? {
        out.push((id(&row.get(0)), cursor.distance()));
    }
    Ok(out)
}

/// A sequential scan: every row with all its columns.
fn rows(t: &Arc<Table>, snapshot: Snapshot, want: &TableState) -> Verdict {
    let mut cursor = t.open(Access::Seq, snapshot).map_err(|e| e.to_string())?;
    let guard = pin();
    let mut raw = Vec::new();
    let mut missing: BTreeMap<i32, Content> = want.rows.clone();
    while let Some(row) = cursor.next(&guard, &mut |_| Ok(true)).map_err(|e| e.to_string())? {
        let id = id(&row.get(0));
        let Some(content) = missing.remove(&id) else {
            let again = want.rows.contains_key(&id);
            return Err(format!("row {id} is there{}", if again { " twice" } else { "" }));
        };
        for (column, value) in content.row(id).iter().enumerate() {
            raw.clear();
            vicinity_types::raw::encode(value, &mut raw);
            let want = (!matches!(value, Datum::Null)).then_some(raw.as_slice());
            ensure!(
                row.raw(column) == want,
                "column {column} of row {id} is not that of {content:?}"
            );
        }
    }
    ensure!(missing.is_empty(), "rows are missing: {:?}", missing.keys());
    Ok(())
}

/// An index that is looked at.
struct Look<'a> {
    table: &'a Arc<Table>,
    snapshot: Snapshot,
    index: Oid,
    want: &'a TableState,
}

impl Look<'_> {
    fn check(&self, kind: Kind, salt: u32) -> Verdict {
        ensure!(self.table.index_ready(self.index), "it is not ready");
        match kind {
            Kind::Primary => self.btree(salt, |id, _| Some(id)),
            Kind::Key | Kind::KeyAndId => self.btree(salt, |_, c| c.k()),
            Kind::Unique => self.btree(salt, |_, c| c.u()),
            Kind::Spatial => self.points(salt),
            Kind::Hnsw | Kind::Ivfflat => self.vectors(salt),
        }
    }

    fn ids(&self, access: Access) -> Result<Vec<i32>, String> {
        Ok(scan(self.table, access, self.snapshot)?.into_iter().map(|(id, _)| id).collect())
    }

    /// The same rows, in whatever order.
    fn same(&self, mut got: Vec<i32>, is_wanted: impl Fn(i32, Content) -> bool) -> Verdict {
        got.sort_unstable();
        let want: Vec<i32> = self
            .want
            .rows
            .iter()
            .filter(|(id, c)| is_wanted(**id, **c))
            .map(|(id, _)| *id)
            .collect();
        ensure!(got == want, "rows {got:?}, should be {want:?}");
        Ok(())
    }

    fn btree(&self, salt: u32, key: impl Fn(i32, Content) -> Option<i32>) -> Verdict {
        let place =
            |id: &i32| self.want.rows.get(id).map(|c| (key(*id, *c).is_none(), key(*id, *c)));
        for reverse in [false, true] {
            let range = KeyRange::all();
            let mut got = self.ids(Access::Btree { index: self.index, range, reverse })?;
            self.same(got.clone(), |_, _| true)?;
            if reverse {
                got.reverse();
            }
            ensure!(got.iter().map(place).is_sorted(), "out of order");
        }
        let some = self.want.rows.iter().nth(salt as usize % self.want.rows.len().max(1));
        let Some(value) = some.and_then(|(id, c)| key(*id, *c)) else { return Ok(()) };
        let indexes = self.table.indexes();
        let Some(def) = indexes.iter().find(|i| i.oid == self.index).and_then(|i| i.index()) else {
            return Err("it is not in the catalog".to_owned());
        };
        let range = KeyRange::equal(&def.keys, &[Datum::Int4(value)]);
        let got = self.ids(Access::Btree { index: self.index, range, reverse: false })?;
        self.same(got, |id, c| key(id, c) == Some(value))
    }

    fn points(&self, salt: u32) -> Verdict {
        let q = Content { v: salt % 997 + 1, pad: 0 }.point().unwrap_or([3.0, 4.0]);
        let access =
            |region, near| Access::Points { index: self.index, region, near, limit: usize::MAX };
        let all = scan(self.table, access(None, Some(q)), self.snapshot)?;
        let near = |c: &Content| c.point().map(|p| hypotenuse(p[0] - q[0], p[1] - q[1]));
        self.same(all.iter().map(|(id, _)| *id).collect(), |_, _| true)?;
        let distances: Vec<_> = all.iter().map(|(_, d)| (d.is_none(), *d)).collect();
        ensure!(distances.is_sorted(), "not nearest first");
        let mut wrong = all.iter().filter(|(id, d)| self.want.rows.get(id).map(near) != Some(*d));
        ensure!(wrong.next().is_none(), "wrong distances");
        let radius = f64::from(salt % 16);
        let Some(region) = Region::all().in_circle(q, radius) else { return Ok(()) };
        let got = self.ids(access(Some(region), None))?;
        self.same(got, |_, c| near(&c).is_some_and(|d| d <= radius))
    }

    fn vectors(&self, salt: u32) -> Verdict {
        let q = Content { v: salt % 1009 + 1, pad: 0 }.vector().unwrap_or([0.0; 4]);
        let access =
            Access::Vector { index: self.index, query: q.into(), extra: 0, limit: usize::MAX };
        let all = scan(self.table, access, self.snapshot)?;
        self.same(all.iter().map(|(id, _)| *id).collect(), |_, _| true)?;
        let near = |c: &Content| {
            let v = c.vector()?;
            Some(v.iter().zip(q).map(|(a, b)| f64::from(a - b) * f64::from(a - b)).sum::<f64>())
        };
        for (id, d) in &all {
            let want = self.want.rows.get(id).and_then(near);
            let is_right = match (*d, want) {
                (Some(a), Some(b)) => (a - b).abs() <= 1e-3 * b.max(1.0),
                (a, b) => a == b,
            };
            ensure!(is_right, "distance of {id} is {d:?}, should be {want:?}");
        }
        ensure!(all.iter().map(|(_, d)| (d.is_none(), *d)).is_sorted(), "not nearest first");
        Ok(())
    }
}
