//! One index of a storage: from a row's bytes to its entries.
//!
//! Entries are hints (invariant *hints*): they are added before the row's transaction commits, stay
//! while any version with their key can be seen, and are rechecked by whoever finds them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use base64::Engine as _;
use parking_lot::Mutex;
use vicinity_indexes::options::MethodOptions;
use vicinity_indexes::{Btree, Hnsw, Ivfflat, VectorIndex, parse_options};
use vicinity_types::{Datum, Kind, Oid, PgError, Result, SqlState, key, raw};

use super::Layout;
use crate::catalog::Catalog;
use crate::catalog::model::{IndexDef, IndexMethod, TableDef};
use crate::mvcc::RowId;

/// A key column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyColumn {
    /// Zero-based.
    pub(crate) column: usize,
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
    options: Vec<(String, String)>,
    body: ArcSwap<Body>,
    stripes: Box<[Mutex<()>]>,
}

impl IndexStore {
    pub(crate) fn new(
        oid: Oid,
        def: &IndexDef,
        table: &TableDef,
        catalog: &Catalog,
    ) -> Result<Self> {
        let mut keys = Vec::with_capacity(def.keys.len());
        for k in &def.keys {
            let column = usize::try_from(i32::from(k.column) - 1)
                .map_err(|_| PgError::unsupported("index on a system column"))?;
            let ty = table
                .columns
                .get(column)
                .ok_or_else(|| PgError::internal("index column is not in its table"))?
                .type_oid;
            keys.push(KeyColumn {
                column,
                kind: catalog.kind_of(ty),
                descending: k.descending,
                nulls_first: k.nulls_first,
            });
        }
        if def.method == IndexMethod::Spatial {
            return Err(PgError::unsupported("access method \"gist\""));
        }
        Ok(IndexStore {
            oid,
            method: def.method,
            unique: def.unique,
            nulls_not_distinct: def.nulls_not_distinct,
            keys,
            options: def.options.clone(),
            body: ArcSwap::from_pointee(Body::Unbuilt),
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
            options: self.options.clone(),
            body: ArcSwap::from_pointee(Body::Unbuilt),
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
        }
    }

    /// What holds the entries now.
    #[inline]
    pub(crate) fn body(&self) -> arc_swap::Guard<Arc<Body>> {
        self.body.load()
    }

    pub(crate) fn set_body(&self, body: Body) {
        self.body.store(Arc::new(body));
    }

    /// Whether it answers queries.
    pub(crate) fn ready(&self) -> bool {
        matches!(**self.body.load(), Body::Btree(_) | Body::Vector(_))
    }

    pub(crate) fn is_vector(&self) -> bool {
        matches!(self.method, IndexMethod::Hnsw | IndexMethod::Ivfflat)
    }

    /// The structure without entries, as for a table without rows.
    pub(crate) fn empty_body(&self) -> Result<Body> {
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
        match &**self.body.load() {
            Body::Btree(b) => b.len(),
            Body::Vector(v) => v.len(),
            Body::Unbuilt | Body::Building(_) => 0,
        }
    }

    pub(crate) fn memory(&self) -> usize {
        match &**self.body.load() {
            Body::Btree(b) => b.memory(),
            Body::Vector(v) => v.memory(),
            Body::Unbuilt | Body::Building(_) => 0,
        }
    }

    /// Excludes others from checking and adding the same key.
    pub(crate) fn lock_key(&self, key: &[u8]) -> Option<parking_lot::MutexGuard<'_, ()>> {
        let at = crc32fast::hash(key) as usize % STRIPES;
        self.stripes.get(at).map(Mutex::lock)
    }

    /// Writes a row's key; true if a column of it is NULL.
    #[inline]
    pub(crate) fn key(&self, layout: &Layout, bytes: &[u8], out: &mut Vec<u8>) -> Result<bool> {
        out.clear();
        let mut null = false;
        for k in &self.keys {
            let value = match layout.raw(bytes, k.column) {
                Some(raw) => raw::decode(k.kind, raw)?,
                None => {
                    null = true;
                    Datum::Null
                }
            };
            key::encode_key(&value, k.descending, k.nulls_first, out);
        }
        Ok(null)
    }

    /// Whether two versions of a row have the same entry.
    #[inline]
    pub(crate) fn same_entry(&self, layout: &Layout, a: &[u8], b: &[u8]) -> bool {
        self.keys.iter().all(|k| layout.raw(a, k.column) == layout.raw(b, k.column))
    }

    /// A row's vector; `None` where it is NULL. Text holds base64 of little-endian float4.
    pub(crate) fn vector<R>(
        &self,
        layout: &Layout,
        bytes: &[u8],
        scratch: &mut Vec<f32>,
        f: impl FnOnce(&[f32]) -> R,
    ) -> Result<Option<R>> {
        let Some(k) = self.keys.first() else { return Ok(None) };
        let Some(value) = layout.raw(bytes, k.column) else { return Ok(None) };
        if k.kind == Kind::Text {
            *scratch = decode_base64(value)?;
            return Ok(Some(f(scratch)));
        }
        match raw::float4_slice(value) {
            Some(v) if v.is_empty() => Err(empty_vector()),
            Some(v) => Ok(Some(v.with(scratch, f))),
            None => Err(null_element()),
        }
    }

    /// A row's entry, owned; `None` where there is none.
    pub(crate) fn entry(&self, layout: &Layout, bytes: &[u8]) -> Result<Option<Entry>> {
        if self.is_vector() {
            let mut scratch = Vec::new();
            let v = self.vector(layout, bytes, &mut scratch, <[f32]>::to_vec)?;
            return Ok(v.map(Entry::Vector));
        }
        let mut out = Vec::new();
        self.key(layout, bytes, &mut out)?;
        Ok(Some(Entry::Key(out)))
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
                self.key(layout, bytes, key)?;
                b.insert(key, row);
            }
            Body::Vector(v) => {
                let mut scratch = Vec::new();
                self.vector(layout, bytes, &mut scratch, |x| v.insert(row, x))?.transpose()?;
            }
        }
        Ok(())
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
        return Err(empty_vector());
    }
    if bytes.len() % 4 != 0 {
        return Err(bad("its length is not a multiple of four bytes"));
    }
    let (words, _) = bytes.as_chunks::<4>();
    Ok(words.iter().map(|w| f32::from_le_bytes(*w)).collect())
}

fn empty_vector() -> PgError {
    PgError::new(SqlState::DATA_EXCEPTION, "vector must have at least 1 dimension")
}

fn null_element() -> PgError {
    PgError::new(SqlState::NULL_VALUE_NOT_ALLOWED, "vector must not contain nulls")
}
