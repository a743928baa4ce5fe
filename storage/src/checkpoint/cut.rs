//! The moment an image is of: see the head of this module.

use std::collections::HashSet;
use std::sync::Arc;

use vicinity_types::{Oid, Result};

use super::manifest::SequenceImage;
use crate::catalog::Catalog;
use crate::database::Database;
use crate::mvcc::place::OwnPlace;
use crate::mvcc::{Snapshot, Xid};
use crate::sequence::Sequence;
use crate::store::Store;
use crate::wal::Lsn;

/// What is committed at one moment; its rows are kept until [`Cut::let_go`].
pub(super) struct Cut<'a> {
    place: Option<OwnPlace<'a>>,
    ts: u64,
    /// The end of the log.
    pub(super) lsn: Lsn,
    pub(super) replay: Lsn,
    pub(super) catalog: Arc<Catalog>,
    /// The logged storages of the catalog's tables.
    pub(super) stores: Vec<Arc<Store>>,
    /// Those of all its tables.
    pub(super) all: Vec<Arc<Store>>,
    /// Those that a commit touched since the cut before.
    pub(super) changed: Vec<Arc<Store>>,
    changed_ids: HashSet<u64>,
    sequences: Vec<(Oid, Arc<Sequence>)>,
    pub(super) next_xid: Xid,
    pub(super) next_oid: Oid,
    pub(super) next_storage: u64,
}

impl<'a> Cut<'a> {
    /// Takes it. Commits wait for as long as it takes to note what there is.
    pub(super) fn take(db: &'a Database) -> Result<Cut<'a>> {
        let clock = &db.core.clock;
        let alone = db.commit.lock();
        let place = OwnPlace::take(clock)?;
        let (lsn, sent) = db.wal.streams(|xid| clock.is_running(xid));
        let prepared = db.prepared.oldest();
        let catalog = db.catalog();
        let stores = db.stores();
        let sequences = db.sequences();
        let changed: Vec<Arc<Store>> =
            stores.iter().filter(|s| s.logged() && s.take_touched()).cloned().collect();
        let next_xid = clock.next_xid();
        drop(alone);
        let storages: HashSet<u64> =
            catalog.relations().filter_map(|r| r.table()).map(|t| t.storage).collect();
        let all: Vec<_> = stores.into_iter().filter(|s| storages.contains(&s.id)).collect();
        let stores = all.iter().filter(|s| s.logged()).cloned().collect();
        let changed_ids = changed.iter().map(|s| s.id).collect();
        let (next_oid, next_storage) = db.next_ids();
        let next_oid = next_oid.max(catalog.max_oid() + 1);
        Ok(Cut {
            ts: place.ts,
            place: Some(place),
            lsn,
            replay: [sent, prepared].into_iter().flatten().fold(lsn, Lsn::min),
            catalog,
            stores,
            all,
            changed,
            changed_ids,
            sequences,
            next_xid,
            next_oid,
            next_storage,
        })
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let slot = self.place.as_ref().map_or(u32::MAX, |place| place.slot);
        Snapshot::unwatched(self.ts, 0, 0, slot)
    }

    /// Its rows have been read.
    pub(super) fn let_go(&mut self) {
        self.place = None;
    }

    /// Whether nothing was written since, and nobody was about to.
    pub(super) fn is_present(&self, db: &Database) -> bool {
        let clock = &db.core.clock;
        clock.running().is_empty() && clock.next_xid() == self.next_xid && db.wal.end() == self.lsn
    }

    pub(super) fn is_changed(&self, store: &Store) -> bool {
        self.changed_ids.contains(&store.id)
    }

    /// Where the sequences stand by what the log says; if this is the end, by what was handed out.
    pub(super) fn sequences(&self, ending: bool) -> Vec<SequenceImage> {
        let state = |(oid, s): &(Oid, Arc<Sequence>)| {
            let state = if ending { s.close() } else { s.logged_state() };
            SequenceImage { oid: *oid, state }
        };
        let mut all: Vec<SequenceImage> = self.sequences.iter().map(state).collect();
        all.sort_unstable_by_key(|s| s.oid);
        all
    }
}
