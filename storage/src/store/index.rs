//! One index of a storage: from a row's bytes to its entries.
//!
//! Entries are hints (invariant *hints*): they are added before the row's transaction commits, stay
//! while any version with their key can be seen, and are rechecked by whoever finds them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use base64::Engine as _;
use parking_lot::Mutex;
use vicinity_indexes::options::MethodOptions;
use vicinity_indexes::{Boxes, Btree, Hnsw, Ivfflat, Points, VectorIndex, parse_options};
use vicinity_types::{Datum, Kind, Oid, PgError, Result, SqlState, key, pase, raw};

use super::Layout;
use super::columns::{Columns, Stored};
use super::computed::IndexExpressions;
use super::place::{self, Place};
use crate::catalog::Catalog;
use crate::catalog::model::{IndexDef, IndexMethod, TableDef};
use crate::mvcc::RowId;

/// Where a key's value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// A column, zero-based.
    Column(usize),
    /// The next of the index's expressions.
    Expression,
}

/// A key column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyColumn {
    pub(crate) source: KeySource,
    pub(crate) kind: Kind,
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
}

/// What holds the entries.
#[derive(Clone)]
pub(crate) enum Body {
    /// No build has begun: nothing is kept.
    Unbuilt,
    /// A build runs over the rows; changes wait here and are put in at its end.
    Building(Arc<Mutex<Vec<Pending>>>),
    Btree(Arc<Btree>),
    Vector(Arc<dyn VectorIndex>),
    Points(Arc<Points>),
    Boxes(Arc<Boxes>),
}

impl Body {
    pub(crate) fn len(&self) -> usize {
        match self {
            Body::Btree(b) => b.len(),
            Body::Vector(v) => v.len(),
            Body::Points(p) => p.len(),
            Body::Boxes(b) => b.len(),
            Body::Unbuilt | Body::Building(_) => 0,
        }
    }
}

/// A change to an index that is being built.
pub(crate) enum Pending {
    Add(RowId, Entry),
    Remove(RowId, Entry),
}

/// What an index keeps of a row.
#[derive(Clone, Debug)]
pub(crate) enum Entry {
    Key(Vec<u8>),
    Vector(Vec<f32>),
    Place(Place),
}

/// What a row has in an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keyed {
    /// No entry: the index is partial, and the row is not in the part.
    Absent,
    /// An entry; a column of its key is NULL.
    WithNull,
    /// An entry.
    Whole,
}

/// Key locks of a unique index: checking and adding are one step for one key.
const STRIPES: usize = 64;

/// An index attached to a storage.
pub(crate) struct IndexStore {
    pub(crate) oid: Oid,
    pub(crate) method: IndexMethod,
    pub(crate) unique: bool,
    pub(crate) nulls_not_distinct: bool,
    pub(crate) keys: Vec<KeyColumn>,
    /// Whether it has expressions or a predicate; `expressions` is set before it is built.
    computed: bool,
    expressions: OnceLock<Arc<dyn IndexExpressions>>,
    /// Whether values can differ in their bytes and have the same key.
    loose: bool,
    options: Vec<(String, String)>,
    body: ArcSwap<Body>,
    /// Its body was read from an image.
    read: AtomicBool,
    stripes: Box<[Mutex<()>]>,
}

/// Kinds with several encodings of equal values (`1.0` and `1.00`), or equal boxes around different ones.
fn is_loose(method: IndexMethod, kind: Kind) -> bool {
    // A point's place is its bytes.
    let point = method == IndexMethod::Spatial && kind == Kind::Point;
    let several = matches!(kind, Kind::Float4 | Kind::Float8);
    !point && (several || vicinity_types::arrow::needs_key(kind))
}

impl IndexStore {
    pub(crate) fn new(
        oid: Oid,
        def: &IndexDef,
        table: &TableDef,
        catalog: &Catalog,
    ) -> Result<Self> {
        let mut keys = Vec::with_capacity(def.keys.len());
        // A spatial index serves its first key; rows are checked for what is said of the others.
        let served = if def.method == IndexMethod::Spatial { 1 } else { def.keys.len() };
        for k in def.keys.iter().take(served) {
            let (source, ty) = match &k.expr {
                Some(e) => (KeySource::Expression, e.type_oid),
                None => {
                    let column = usize::try_from(i32::from(k.column) - 1)
                        .map_err(|_| PgError::unsupported("index on a system column"))?;
                    let held = table.columns.get(column);
                    let held =
                        held.ok_or_else(|| PgError::internal("index column is not in its table"))?;
                    (KeySource::Column(column), held.type_oid)
                }
            };
            keys.push(KeyColumn {
                source,
                kind: catalog.kind_of(ty),
                descending: k.descending,
                nulls_first: k.nulls_first,
            });
        }
        let computed = def.is_computed();
        Ok(IndexStore {
            oid,
            method: def.method,
            unique: def.unique,
            nulls_not_distinct: def.nulls_not_distinct,
            loose: computed || keys.iter().any(|k| is_loose(def.method, k.kind)),
            keys,
            computed,
            expressions: OnceLock::new(),
            options: def.options.clone(),
            body: ArcSwap::from_pointee(Body::Unbuilt),
            read: AtomicBool::new(false),
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
        })
    }

    /// The same index without any entries, to be built anew.
    pub(crate) fn blank(&self) -> IndexStore {
        IndexStore {
            oid: self.oid,
            method: self.method,
            unique: self.unique,
            nulls_not_distinct: self.nulls_not_distinct,
            keys: self.keys.clone(),
            computed: self.computed,
            expressions: self.expressions.clone(),
            loose: self.loose,
            options: self.options.clone(),
            body: ArcSwap::from_pointee(Body::Unbuilt),
            read: AtomicBool::new(false),
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
        }
    }

    /// Whether its columns are a key of the table: unique for all rows, and no expressions.
    pub(crate) fn is_key(&self) -> bool {
        self.unique && !self.computed
    }

    /// Whether it waits for [`IndexStore::set_expressions`].
    pub(crate) fn lacks_expressions(&self) -> bool {
        self.computed && self.expressions.get().is_none()
    }

    /// What its expressions and its predicate do.
    pub(crate) fn set_expressions(&self, expressions: Arc<dyn IndexExpressions>) {
        let _ = self.expressions.set(expressions);
    }

    /// What holds the entries now.
    #[inline]
    pub(crate) fn body(&self) -> arc_swap::Guard<Arc<Body>> {
        self.body.load()
    }

    pub(crate) fn set_body(&self, body: Body) {
        self.body.store(Arc::new(body));
    }

    /// Takes what was made of an image.
    pub(crate) fn set_read(&self, body: Body) {
        self.read.store(true, Ordering::Relaxed);
        self.set_body(body);
    }

    /// Whether what it has was made of an image.
    pub(crate) fn is_of_image(&self) -> bool {
        self.read.load(Ordering::Relaxed)
    }

    /// Whether it has expressions or a predicate.
    pub(crate) fn is_computed(&self) -> bool {
        self.computed
    }

    /// Tells apart what entries are made by: options, and keys where there are several of a kind.
    pub(crate) fn definition_crc(&self) -> u32 {
        let mut text = format!("{:?} {:?}", self.method, self.options);
        if !self.is_vector() {
            text.push_str(&format!(" {:?}", self.keys));
        }
        crc32fast::hash(text.as_bytes())
    }

    /// Whether it answers queries.
    pub(crate) fn ready(&self) -> bool {
        !matches!(**self.body.load(), Body::Unbuilt | Body::Building(_))
    }

    pub(crate) fn is_vector(&self) -> bool {
        matches!(self.method, IndexMethod::Hnsw | IndexMethod::Ivfflat)
    }

    pub(crate) fn is_spatial(&self) -> bool {
        self.method == IndexMethod::Spatial
    }

    /// The column its only key is, and how the column's values are held.
    pub(crate) fn column(&self) -> Option<(usize, Kind)> {
        match self.keys.first() {
            Some(KeyColumn { source: KeySource::Column(column), kind, .. }) => {
                Some((*column, *kind))
            }
            _ => None,
        }
    }

    /// The structure without entries, as for a table without rows.
    pub(crate) fn empty_body(&self) -> Result<Body> {
        if self.is_spatial() {
            return self.spatial_body(Vec::new());
        }
        Ok(match self.vector_options()? {
            None => Body::Btree(Arc::new(Btree::new())),
            Some(MethodOptions::Hnsw(o)) => Body::Vector(Arc::new(Hnsw::new(o))),
            Some(MethodOptions::Ivfflat(o)) => Body::Vector(Arc::new(Ivfflat::new(o)?)),
        })
    }

    /// The parsed options of a vector index; `None` for the other methods.
    pub(crate) fn vector_options(&self) -> Result<Option<MethodOptions>> {
        let name = match self.method {
            IndexMethod::Hnsw => "pase_hnsw",
            IndexMethod::Ivfflat => "pase_ivfflat",
            _ => return Ok(None),
        };
        Ok(Some(parse_options(name, &self.options)?.method))
    }

    pub(crate) fn len(&self) -> usize {
        self.body.load().len()
    }

    pub(crate) fn memory(&self) -> usize {
        match &**self.body.load() {
            Body::Btree(b) => b.memory(),
            Body::Vector(v) => v.memory(),
            Body::Points(p) => p.memory(),
            Body::Boxes(b) => b.memory(),
            Body::Unbuilt | Body::Building(_) => 0,
        }
    }

    /// Excludes others from checking and adding the same key.
    pub(crate) fn lock_key(&self, key: &[u8]) -> Option<parking_lot::MutexGuard<'_, ()>> {
        let at = crc32fast::hash(key) as usize % STRIPES;
        self.stripes.get(at).map(Mutex::lock)
    }

    /// Whether what it computes of a row may wait for anything.
    #[inline]
    pub(crate) fn may_wait(&self) -> bool {
        self.computed && self.expressions.get().is_some_and(|e| e.may_wait())
    }

    /// Writes a row's key.
    #[inline]
    pub(crate) fn key(&self, layout: &Layout, bytes: &[u8], out: &mut Vec<u8>) -> Result<Keyed> {
        self.write_key(&Stored { layout, bytes }, out, false)
    }

    /// Writes the key of a row, which need not be stored yet, for a statement that has nothing locked that others
    /// cannot see.
    #[inline]
    pub(crate) fn key_of(&self, row: &impl Columns, out: &mut Vec<u8>) -> Result<Keyed> {
        self.write_key(row, out, true)
    }

    #[inline]
    fn write_key(&self, row: &impl Columns, out: &mut Vec<u8>, alone: bool) -> Result<Keyed> {
        out.clear();
        let mut null = false;
        let mut computed = Vec::new();
        if self.computed && !self.compute(row, &mut computed, alone)? {
            return Ok(Keyed::Absent);
        }
        let mut computed = computed.into_iter();
        for k in &self.keys {
            let value = match k.source {
                KeySource::Column(column) => row.value(column, k.kind)?,
                KeySource::Expression => computed.next().unwrap_or_default(),
            };
            null |= value.is_null();
            key::encode_key(&value, k.descending, k.nulls_first, out);
        }
        Ok(if null { Keyed::WithNull } else { Keyed::Whole })
    }

    /// Runs the expressions over a row; false if the predicate is not true.
    fn compute(&self, row: &impl Columns, out: &mut Vec<Datum>, alone: bool) -> Result<bool> {
        let expressions =
            self.expressions.get().ok_or_else(|| PgError::internal("index has no expressions"))?;
        row.with_values(expressions.columns(), |values| expressions.evaluate(values, out, alone))
    }

    /// The values of a row's key, for messages.
    pub(crate) fn key_values(&self, layout: &Layout, bytes: &[u8]) -> Result<Vec<Datum>> {
        let mut computed = Vec::new();
        if self.computed {
            self.compute(&Stored { layout, bytes }, &mut computed, false)?;
        }
        let mut computed = computed.into_iter();
        let value = |k: &KeyColumn| match k.source {
            KeySource::Column(column) => match layout.raw(bytes, column) {
                Some(raw) => raw::decode(k.kind, raw),
                None => Ok(Datum::Null),
            },
            KeySource::Expression => Ok(computed.next().unwrap_or_default()),
        };
        self.keys.iter().map(value).collect()
    }

    /// Whether two versions of a row have the same entry.
    #[inline]
    pub(crate) fn same_entry(&self, layout: &Layout, a: &[u8], b: &[u8]) -> bool {
        let same = |column: usize| layout.raw(a, column) == layout.raw(b, column);
        let keys = self.keys.iter().all(|k| match k.source {
            KeySource::Column(column) => same(column),
            KeySource::Expression => true,
        });
        let read = self.expressions.get().is_none_or(|e| e.columns().iter().all(|c| same(*c)));
        (keys && read) || (self.loose && self.same_key(layout, a, b))
    }

    /// Whether two versions that differ in their bytes have equal keys all the same.
    fn same_key(&self, layout: &Layout, a: &[u8], b: &[u8]) -> bool {
        if self.is_spatial() {
            return match (self.place(layout, a), self.place(layout, b)) {
                (Ok(Some(a)), Ok(Some(b))) => a.same(&b),
                (Ok(None), Ok(None)) => true,
                _ => false,
            };
        }
        let (mut x, mut y) = (Vec::new(), Vec::new());
        match (self.key(layout, a, &mut x), self.key(layout, b, &mut y)) {
            (Ok(Keyed::Absent), Ok(Keyed::Absent)) => true,
            (Ok(Keyed::Absent), _) | (_, Ok(Keyed::Absent)) => false,
            (Ok(_), Ok(_)) => x == y,
            _ => false,
        }
    }

    /// A row's vector; `None` where it is NULL. Text holds base64 of little-endian float4.
    pub(crate) fn vector<R>(
        &self,
        layout: &Layout,
        bytes: &[u8],
        scratch: &mut Vec<f32>,
        f: impl FnOnce(&[f32]) -> R,
    ) -> Result<Option<R>> {
        let Some((column, kind)) = self.column() else { return Ok(None) };
        let Some(value) = layout.raw(bytes, column) else { return Ok(None) };
        if kind == Kind::Text {
            *scratch = decode_base64(value)?;
            return Ok(Some(f(scratch)));
        }
        match raw::float4_slice(value) {
            Some(v) if !v.is_empty() => Ok(Some(v.with(scratch, f))),
            // Nested, empty or with NULLs.
            _ => match raw::decode(kind, value)? {
                Datum::Array(array) => Ok(Some(f(pase::vector(&array)?))),
                _ => Err(PgError::internal("a vector index on a column without vectors")),
            },
        }
    }

    /// A row's place; `None` where it is NULL, or the index is of a part that the row is not in.
    #[inline]
    pub(crate) fn place(&self, layout: &Layout, bytes: &[u8]) -> Result<Option<Place>> {
        self.find_place(layout, bytes, false)
    }

    #[inline]
    fn find_place(&self, layout: &Layout, bytes: &[u8], alone: bool) -> Result<Option<Place>> {
        let Some(key) = self.keys.first() else { return Ok(None) };
        let mut computed = Vec::new();
        if self.computed && !self.compute(&Stored { layout, bytes }, &mut computed, alone)? {
            return Ok(None);
        }
        match key.source {
            KeySource::Column(column) => {
                layout.raw(bytes, column).map(|value| Place::of(key.kind, value)).transpose()
            }
            KeySource::Expression => {
                let value = computed.first().filter(|value| !value.is_null());
                value.map(Place::of_value).transpose()
            }
        }
    }

    /// A row's value of the first key; `None` where it is NULL, or the index is of a part that the row is not in.
    pub(crate) fn value(&self, layout: &Layout, bytes: &[u8]) -> Result<Option<Datum>> {
        let Some(key) = self.keys.first() else { return Ok(None) };
        let mut computed = Vec::new();
        if self.computed && !self.compute(&Stored { layout, bytes }, &mut computed, false)? {
            return Ok(None);
        }
        match key.source {
            KeySource::Column(column) => {
                layout.raw(bytes, column).map(|value| raw::decode(key.kind, value)).transpose()
            }
            KeySource::Expression => {
                Ok(computed.into_iter().next().filter(|value| !value.is_null()))
            }
        }
    }

    /// Asks the cache for where a spatial index on a column has these rows.
    pub(crate) fn prefetch_places(&self, rows: impl Iterator<Item = impl Columns>) {
        let Some((column, kind)) = self.column().filter(|_| self.is_spatial()) else { return };
        let places = rows.filter_map(|row| Place::of_value(&row.value(column, kind).ok()?).ok());
        place::prefetch(&self.body.load(), places);
    }

    /// A spatial index of these places.
    pub(crate) fn spatial_body(&self, places: Vec<(RowId, Place)>) -> Result<Body> {
        let key = self.keys.first();
        let key = key.ok_or_else(|| PgError::internal("a spatial index without a key"))?;
        Ok(place::built(key.kind, places))
    }

    /// A row's entry, owned; `None` where there is none.
    pub(crate) fn entry(&self, layout: &Layout, bytes: &[u8]) -> Result<Option<Entry>> {
        self.make_entry(layout, bytes, false)
    }

    /// The same for a statement that has nothing locked that others cannot see.
    pub(crate) fn entry_of(&self, layout: &Layout, bytes: &[u8]) -> Result<Option<Entry>> {
        self.make_entry(layout, bytes, true)
    }

    fn make_entry(&self, layout: &Layout, bytes: &[u8], alone: bool) -> Result<Option<Entry>> {
        if self.is_vector() {
            let mut scratch = Vec::new();
            let v = self.vector(layout, bytes, &mut scratch, <[f32]>::to_vec)?;
            return Ok(v.map(Entry::Vector));
        }
        if self.is_spatial() {
            return Ok(self.find_place(layout, bytes, alone)?.map(Entry::Place));
        }
        let mut out = Vec::new();
        let keyed = self.write_key(&Stored { layout, bytes }, &mut out, alone)?;
        Ok((keyed != Keyed::Absent).then_some(Entry::Key(out)))
    }

    /// Adds a row's entry without looking for duplicates.
    pub(crate) fn add(
        &self,
        layout: &Layout,
        bytes: &[u8],
        row: RowId,
        key: &mut Vec<u8>,
    ) -> Result<()> {
        match &**self.body.load() {
            Body::Unbuilt => {}
            Body::Building(pending) => {
                if let Some(entry) = self.entry(layout, bytes)? {
                    pending.lock().push(Pending::Add(row, entry));
                }
            }
            Body::Btree(b) => {
                if self.key(layout, bytes, key)? != Keyed::Absent {
                    b.insert(key, row);
                }
            }
            Body::Vector(v) => {
                let mut scratch = Vec::new();
                self.vector(layout, bytes, &mut scratch, |x| v.insert(row, x))?.transpose()?;
            }
            body @ (Body::Points(_) | Body::Boxes(_)) => {
                if let Some(place) = self.place(layout, bytes)? {
                    place.add(body, row);
                }
            }
        }
        Ok(())
    }

    /// Adds an entry that is known already.
    pub(crate) fn add_entry(&self, row: RowId, entry: Entry) {
        match (&**self.body.load(), entry) {
            (Body::Building(pending), entry) => pending.lock().push(Pending::Add(row, entry)),
            (_, Entry::Key(key)) => self.add_key(&key, row),
            (body, Entry::Place(place)) => place.add(body, row),
            // Vectors are columns: nothing is computed of them.
            (_, Entry::Vector(_)) => {}
        }
    }

    /// Adds an entry of a btree whose key is known already.
    pub(crate) fn add_key(&self, key: &[u8], row: RowId) {
        match &**self.body.load() {
            Body::Building(pending) => {
                pending.lock().push(Pending::Add(row, Entry::Key(key.to_vec())));
            }
            Body::Btree(b) => {
                b.insert(key, row);
            }
            Body::Unbuilt | Body::Vector(_) | Body::Points(_) | Body::Boxes(_) => {}
        }
    }

    /// Removes the entry a version of a row had.
    pub(crate) fn remove(&self, layout: &Layout, bytes: &[u8], row: RowId) -> Result<()> {
        let body = self.body.load();
        if matches!(**body, Body::Unbuilt) {
            return Ok(());
        }
        // An entry that cannot be made was never added.
        let Ok(Some(entry)) = self.entry(layout, bytes) else { return Ok(()) };
        match (&**body, entry) {
            (Body::Building(pending), entry) => pending.lock().push(Pending::Remove(row, entry)),
            (Body::Btree(b), Entry::Key(k)) => {
                b.remove(&k, row);
            }
            (Body::Vector(v), Entry::Vector(x)) => {
                v.remove(row, &x);
            }
            (body, Entry::Place(place)) => place.remove(body, row),
            _ => {}
        }
        Ok(())
    }
}

fn decode_base64(text: &[u8]) -> Result<Vec<f32>> {
    let bad = |why: &str| {
        PgError::new(SqlState::INVALID_TEXT_REPRESENTATION, format!("invalid base64 vector: {why}"))
    };
    let bytes =
        base64::engine::general_purpose::STANDARD.decode(text).map_err(|e| bad(&e.to_string()))?;
    if bytes.is_empty() {
        return Err(pase::empty());
    }
    if bytes.len() % 4 != 0 {
        return Err(bad("its length is not a multiple of four bytes"));
    }
    let (words, _) = bytes.as_chunks::<4>();
    Ok(words.iter().map(|w| f32::from_le_bytes(*w)).collect())
}
