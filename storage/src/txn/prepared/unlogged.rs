//! What prepared transactions wrote to unlogged tables.
//!
//! Their files have it, and a crash takes the tables' rows away. So it is not done again where these are not there. The
//! files go on having it, and the next start would find rows, after a clean stop: others. A clean stop writes such files
//! anew without it, before it keeps any rows: a start has no room to rely on.

use std::collections::HashSet;

use vicinity_types::Result;

use super::super::log::{Op, Ops, TxnLog};
use super::Registry;
use super::file::{self, Image};
use crate::database::Database;
use crate::mvcc::Xid;

impl Image {
    /// The same without what was done to some storages.
    fn without(self, is_gone: impl Fn(u64) -> bool) -> Result<Image> {
        let mut kept = TxnLog::default();
        let mut ops = Ops::new(0, &self.ops);
        while let Some((_, op)) = ops.next()? {
            match op {
                op if is_gone(op.store()) => {}
                Op::Insert { store, row, tuple } => kept.insert(store, row, tuple),
                Op::Update { store, row, tuple } => kept.update(store, row, tuple),
                Op::Delete { store, row } => kept.delete(store, row),
                Op::Leave { store, row } => kept.leave(store, row),
            }
        }
        let stores = self.stores.iter().filter(|s| !is_gone(s.storage)).copied().collect();
        let rows = self.rows.iter().filter(|(storage, ..)| !is_gone(*storage)).copied().collect();
        Ok(Image { stores, rows, ops: kept.unsent().1.to_vec(), ..self })
    }
}

impl Registry {
    /// Before rows of unlogged tables are kept over a stop: the files of transactions whose own were lost have them no more.
    pub(crate) fn forget_unlogged(&self, db: &Database) -> Result<()> {
        let bereft: HashSet<Xid> = {
            let all = self.all.lock();
            all.values().filter(|e| e.bereft).map(|e| e.info.xid).collect()
        };
        if bereft.is_empty() {
            return Ok(());
        }
        let disk = db.disk.as_ref();
        let is_gone = |storage| db.store(storage).is_some_and(|store| !store.logged());
        for image in file::read(disk)? {
            if bereft.contains(&image.xid) {
                image.without(is_gone)?.rewrite(disk)?;
            }
        }
        Ok(())
    }
}
