//! A disk in memory that forgets. What was synced stays; of the rest, a crash keeps what a seed says:
//! each unsynced write whole, torn, or not at all.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, DiskFile, Lasting};

type Shared<T> = Arc<Mutex<T>>;

#[derive(Clone, Default)]
struct FileState {
    synced: Vec<u8>,
    current: Vec<u8>,
    /// Writes since the last sync, in order.
    pending: Vec<(u64, Vec<u8>)>,
    /// Bytes up to which it has blocks.
    blocks: u64,
}

#[derive(Default)]
struct DirState {
    files: BTreeMap<String, Shared<FileState>>,
    /// Names as of the last directory sync.
    synced: BTreeMap<String, Shared<FileState>>,
    /// Syncs left before they fail; `None` never fails.
    syncs_left: Option<u64>,
    /// Syncs do nothing: for the test of the test.
    lying: bool,
    /// Bytes there is room for in all files together.
    room: Option<u64>,
}

/// A simulated disk. Clones share it, as two processes would share a directory.
#[derive(Clone, Default)]
pub struct SimDisk(Shared<DirState>);

impl SimDisk {
    /// An empty disk.
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    /// The disk as it is found after the machine stopped now. This one goes on as before.
    pub fn crash(&self, seed: u64) -> SimDisk {
        let mut random = seed | 1;
        let mut next = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let dir = self.0.lock();
        let mut after = DirState::default();
        for (name, file) in &dir.synced {
            let state = file.lock();
            let mut bytes = state.synced.clone();
            for (offset, write) in &state.pending {
                match next() % 3 {
                    0 => {}
                    1 => put(&mut bytes, *offset, write),
                    _ => {
                        let keep = next() as usize % (write.len() + 1);
                        put(&mut bytes, *offset, write.get(..keep).unwrap_or(write));
                    }
                }
            }
            let blocks = bytes.len() as u64;
            let kept =
                FileState { synced: bytes.clone(), current: bytes, pending: Vec::new(), blocks };
            after.files.insert(name.clone(), Arc::new(Mutex::new(kept)));
        }
        after.synced = after.files.clone();
        SimDisk(Arc::new(Mutex::new(after)))
    }

    /// Lets this many more syncs succeed; then all fail.
    pub fn fail_syncs_after(&self, syncs: u64) {
        self.0.lock().syncs_left = Some(syncs);
    }

    /// Lets the files have so many bytes more, or again as many as they want.
    pub fn set_room(&self, more: Option<u64>) {
        let mut dir = self.0.lock();
        let used: u64 = dir.files.values().map(|f| f.lock().blocks).sum();
        dir.room = more.map(|more| used + more);
    }

    /// Syncs that do nothing and say they did.
    pub fn lie_about_syncs(&self) {
        self.0.lock().lying = true;
    }

    /// Changes the bytes of a file, as a failing disk would.
    pub fn tamper(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        if let Some(file) = self.0.lock().files.get(path) {
            let mut state = file.lock();
            change(&mut state.current);
            state.synced = state.current.clone();
            state.pending.clear();
        }
    }

    fn count_sync(&self) -> io::Result<bool> {
        let mut dir = self.0.lock();
        match &mut dir.syncs_left {
            Some(0) => return Err(io::Error::other("simulated sync failure")),
            Some(n) => *n -= 1,
            None => {}
        }
        Ok(!dir.lying)
    }
}

fn put(bytes: &mut Vec<u8>, offset: u64, write: &[u8]) {
    let start = offset as usize;
    let end = start + write.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    if let Some(place) = bytes.get_mut(start..end) {
        place.copy_from_slice(write);
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk for SimDisk {
    fn open(&self, path: &str, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut dir = self.0.lock();
        if create {
            dir.files.insert(path.to_owned(), Shared::default());
        }
        let state = dir.files.get(path).ok_or_else(missing)?.clone();
        Ok(Arc::new(SimFile { disk: self.clone(), state }))
    }

    fn create_lasting(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(Lasting(self.open(path, true)?)))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let prefix = if dir == "." { String::new() } else { format!("{dir}/") };
        let names = self.0.lock();
        let here = names.files.keys().filter_map(|p| p.strip_prefix(&prefix));
        Ok(here.filter(|n| !n.contains('/')).map(str::to_owned).collect())
    }

    fn make_dir(&self, _dir: &str) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.0.lock().files.remove(path).map(drop).ok_or_else(missing)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut dir = self.0.lock();
        let file = dir.files.remove(from).ok_or_else(missing)?;
        dir.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        if !self.count_sync()? {
            return Ok(());
        }
        let prefix = if dir == "." { String::new() } else { format!("{dir}/") };
        let mut state = self.0.lock();
        let inside = |p: &String| p.strip_prefix(&prefix).is_some_and(|rest| !rest.contains('/'));
        state.synced.retain(|p, _| !inside(p));
        let now: Vec<_> = state
            .files
            .iter()
            .filter(|(p, _)| inside(p))
            .map(|(p, f)| (p.clone(), f.clone()))
            .collect();
        state.synced.extend(now);
        Ok(())
    }

    fn unlock(&self) {}

    fn lock(&self) -> io::Result<()> {
        Ok(())
    }
}

struct SimFile {
    disk: SimDisk,
    state: Shared<FileState>,
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let dir = self.disk.0.lock();
        let used: u64 = dir.files.values().map(|f| f.lock().blocks).sum();
        let mut state = self.state.lock();
        let blocks = state.blocks.max(offset + bytes.len() as u64);
        if dir.room.is_some_and(|room| used + (blocks - state.blocks) > room) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.blocks = blocks;
        put(&mut state.current, offset, bytes);
        state.pending.push((offset, bytes.to_vec()));
        Ok(())
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let state = self.state.lock();
        let from = state.current.get(offset as usize..).unwrap_or_default();
        let n = from.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..n), from.get(..n)) {
            to.copy_from_slice(from);
        }
        Ok(n)
    }

    fn sync(&self) -> io::Result<()> {
        if self.disk.count_sync()? {
            let mut state = self.state.lock();
            state.synced = state.current.clone();
            state.pending.clear();
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().current.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.current.resize(len as usize, 0);
        state.blocks = state.blocks.min(len);
        Ok(())
    }
}
