//! A disk in memory that forgets. What was synced stays; of the rest, a crash keeps what a seed says.
//!
//! - Of writes any part may stay, in sectors or cut off at any byte, whatever became of writes before and behind.
//! - The length of a file, as writes and [`DiskFile::set_len`] change it, is kept or not for itself; bytes that were
//!   never written are zeros.
//! - Creating, renaming and removing are kept or not, each for itself and each whole.
//! - After a sync that failed, what it was for stays or is lost there and then, and later syncs, which
//!   may say that all is well, do not bring it back.
//!
//! Every operation is a step. [`SimDisk::fault_after`] has something happen in the middle of one.

mod crash;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Disk, DiskFile, Lasting};
use crash::{Dice, Keep};

/// What goes wrong at some step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The machine stops: the step is done in part, or not at all, and no later one is.
    Stop,
    /// The step fails, having been done in part, or not at all; later ones go well.
    Error,
    /// The next sync does nothing and says that it did: for the test of the test.
    Lie,
}

/// What happens to a file between two syncs.
#[derive(Clone)]
enum Change {
    Write(u64, Arc<[u8]>),
    Length(u64),
}

#[derive(Clone, Default)]
struct FileState {
    synced: Arc<Vec<u8>>,
    current: Arc<Vec<u8>>,
    /// Since the last sync, in order.
    pending: Vec<Change>,
    /// Bytes up to which it has blocks.
    blocks: u64,
}

/// A file, whatever it is called.
type Inode = u64;

/// What happens to a directory between two syncs.
#[derive(Clone)]
enum Naming {
    Dir(String),
    Put(String, Inode),
    Gone(String),
    Move(String, String, Inode),
}

impl Naming {
    /// Whether it happens in this directory.
    fn is_in(&self, dir: &str) -> bool {
        let (Naming::Dir(path)
        | Naming::Put(path, _)
        | Naming::Gone(path)
        | Naming::Move(path, _, _)) = self;
        parent(path) == dir
    }
}

/// The names there are.
#[derive(Clone, Default)]
struct Names {
    files: BTreeMap<String, Inode>,
    dirs: BTreeSet<String>,
}

impl Names {
    fn apply(&mut self, change: &Naming) {
        match change {
            Naming::Dir(path) => {
                self.dirs.insert(path.clone());
            }
            Naming::Put(path, inode) => {
                self.files.insert(path.clone(), *inode);
            }
            Naming::Gone(path) => {
                self.files.remove(path);
            }
            Naming::Move(from, to, inode) => {
                self.files.remove(from);
                self.files.insert(to.clone(), *inode);
            }
        }
    }

    fn has_dir(&self, dir: &str) -> bool {
        dir == "." || self.dirs.contains(dir)
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or(".", |(dir, _)| dir)
}

#[derive(Default)]
struct State {
    files: HashMap<Inode, FileState>,
    names: Names,
    /// Names as they were synced.
    lasting: Names,
    /// Since then, in order.
    renamed: Vec<Naming>,
    next_inode: Inode,
    steps: u64,
    /// At this step.
    fault: Option<(u64, Fault)>,
    stopped: bool,
    /// Syncs left before they fail; `None` never fails.
    syncs_left: Option<u64>,
    /// Syncs do nothing.
    lying: bool,
    /// Bytes there is room for in all files together.
    room: Option<u64>,
    dice: Dice,
}

/// What becomes of a step.
enum Step {
    /// It is done.
    Well,
    /// It is begun, and fails.
    Broken(io::Error),
    /// It is not done, and says that it was.
    Lie,
}

/// A simulated disk. Clones share it, as two processes would share a directory.
#[derive(Clone, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

impl SimDisk {
    /// An empty disk.
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    /// The disk as it is found after the machine stopped now. This one goes on as before.
    pub fn crash(&self, seed: u64) -> SimDisk {
        SimDisk(Arc::new(Mutex::new(self.0.lock().after_crash(seed))))
    }

    /// The disk as the next process finds it after this one was killed: nothing is lost, and no more lasts than did.
    pub fn killed(&self) -> SimDisk {
        SimDisk(Arc::new(Mutex::new(self.0.lock().after_kill())))
    }

    /// Lets so many steps go well before one at which something happens.
    pub fn fault_after(&self, steps: u64, fault: Fault) {
        let mut state = self.0.lock();
        state.fault = Some((state.steps + steps, fault));
    }

    /// Nothing happens any more, but to a machine that has stopped.
    pub fn clear_faults(&self) {
        let mut state = self.0.lock();
        state.fault = None;
        state.syncs_left = None;
    }

    /// Whether the machine has stopped.
    pub fn stopped(&self) -> bool {
        self.0.lock().stopped
    }

    /// Whether what was to happen has happened.
    pub fn faults_happened(&self) -> bool {
        self.0.lock().fault.is_none()
    }

    /// Steps made.
    pub fn steps(&self) -> u64 {
        self.0.lock().steps
    }

    /// Lets this many more syncs succeed; then all fail.
    pub fn fail_syncs_after(&self, syncs: u64) {
        self.0.lock().syncs_left = Some(syncs);
    }

    /// Lets the files have so many bytes more, or again as many as they want.
    pub fn set_room(&self, more: Option<u64>) {
        let mut state = self.0.lock();
        let used = state.used();
        state.room = more.map(|more| used + more);
    }

    /// Syncs that do nothing and say they did.
    pub fn lie_about_syncs(&self) {
        self.0.lock().lying = true;
    }

    /// Changes the bytes of a file, as a failing disk would.
    pub fn tamper(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.0.lock();
        let Some(inode) = state.names.files.get(path).copied() else { return };
        let Some(file) = state.files.get_mut(&inode) else { return };
        change(Arc::make_mut(&mut file.current));
        file.synced = file.current.clone();
        file.pending.clear();
    }
}

impl State {
    fn used(&self) -> u64 {
        self.names.files.values().filter_map(|i| self.files.get(i)).map(|f| f.blocks).sum()
    }

    /// Counts a step.
    fn step(&mut self, sync: bool) -> io::Result<Step> {
        if self.stopped {
            return Err(stopped());
        }
        let at = self.steps;
        self.steps += 1;
        if sync {
            match &mut self.syncs_left {
                Some(0) => return Ok(Step::Broken(io::Error::other("simulated sync failure"))),
                Some(n) => *n -= 1,
                None => {}
            }
        }
        let due = self.fault.filter(|(when, fault)| *when <= at && (sync || *fault != Fault::Lie));
        if due.is_some() {
            self.fault = None;
        }
        Ok(match due {
            Some((_, Fault::Stop)) => {
                self.stopped = true;
                Step::Broken(stopped())
            }
            Some((_, Fault::Error)) => Step::Broken(io::Error::other("simulated failure")),
            Some((_, Fault::Lie)) => Step::Lie,
            None if sync && self.lying => Step::Lie,
            None => Step::Well,
        })
    }

    /// A change of names that may fail having been made or not.
    fn rename(&mut self, change: Naming) -> io::Result<()> {
        match self.step(false)? {
            Step::Broken(e) if self.dice.one_in(2) => return Err(e),
            Step::Broken(e) => {
                self.names.apply(&change);
                self.renamed.push(change);
                return Err(e);
            }
            Step::Well | Step::Lie => {}
        }
        self.names.apply(&change);
        self.renamed.push(change);
        Ok(())
    }

    fn find(&self, path: &str) -> io::Result<Inode> {
        self.names.files.get(path).copied().ok_or_else(missing)
    }

    fn file(&mut self, inode: Inode) -> io::Result<&mut FileState> {
        self.files.get_mut(&inode).ok_or_else(missing)
    }
}

impl FileState {
    fn change(&mut self, change: Change) {
        apply(Arc::make_mut(&mut self.current), &change);
        self.pending.push(change);
    }

    fn sync(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let synced = Arc::make_mut(&mut self.synced);
        self.pending.drain(..).for_each(|change| apply(synced, &change));
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(offset, write) => put(bytes, *offset, write),
        Change::Length(len) => bytes.resize(*len as usize, 0),
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

fn stopped() -> io::Error {
    io::Error::other("the simulated machine has stopped")
}

impl Disk for SimDisk {
    fn open(&self, path: &str, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.0.lock();
        if create && !state.names.has_dir(parent(path)) {
            return Err(missing());
        }
        let inode = match state.find(path) {
            Ok(inode) if create => {
                if let Step::Broken(e) = state.step(false)? {
                    return Err(e);
                }
                let file = state.file(inode)?;
                file.change(Change::Length(0));
                file.blocks = 0;
                inode
            }
            Ok(inode) => inode,
            Err(e) if !create => return Err(e),
            Err(_) => {
                let inode = state.next_inode;
                state.next_inode += 1;
                state.files.insert(inode, FileState::default());
                state.rename(Naming::Put(path.to_owned(), inode))?;
                inode
            }
        };
        Ok(Arc::new(SimFile { disk: self.clone(), inode }))
    }

    fn create_lasting(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(Lasting(self.open(path, true)?)))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let state = self.0.lock();
        if !state.names.has_dir(dir) {
            return Err(missing());
        }
        let here = state.names.files.keys().chain(&state.names.dirs).filter(|p| parent(p) == dir);
        let mut names: Vec<String> = here
            .map(|p| p.rsplit_once('/').map_or(p.as_str(), |(_, name)| name).to_owned())
            .collect();
        names.sort();
        Ok(names)
    }

    fn make_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        if state.names.has_dir(dir) {
            return Ok(());
        }
        state.rename(Naming::Dir(dir.to_owned()))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        state.find(path)?;
        state.rename(Naming::Gone(path.to_owned()))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        let inode = state.find(from)?;
        state.rename(Naming::Move(from.to_owned(), to.to_owned(), inode))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut state = self.0.lock();
        match state.step(true)? {
            Step::Lie => return Ok(()),
            Step::Broken(e) => return Err(e),
            Step::Well => {}
        }
        let (here, elsewhere) =
            std::mem::take(&mut state.renamed).into_iter().partition(|c| c.is_in(dir));
        let here: Vec<Naming> = here;
        here.iter().for_each(|c| state.lasting.apply(c));
        state.renamed = elsewhere;
        Ok(())
    }

    fn unlock(&self) {}

    fn lock(&self) -> io::Result<()> {
        Ok(())
    }
}

struct SimFile {
    disk: SimDisk,
    inode: Inode,
}

impl DiskFile for SimFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let (used, room) = (state.used(), state.room);
        let before = state.file(self.inode)?.blocks;
        let blocks = before.max(offset + bytes.len() as u64);
        let whole = Change::Write(offset, bytes.into());
        let outcome = match state.step(false)? {
            // Who is told that it failed may find all of it there, or some, or nothing.
            Step::Broken(e) => Err(e),
            _ if room.is_some_and(|room| used + (blocks - before) > room) => {
                return Err(io::ErrorKind::StorageFull.into());
            }
            _ => Ok(()),
        };
        let some = match &outcome {
            Ok(()) => None,
            Err(_) => Some(state.dice.below(bytes.len() as u64 + 1) as usize),
        };
        let file = state.file(self.inode)?;
        match some {
            None => file.change(whole),
            Some(n) => file.change(Change::Write(offset, bytes.get(..n).unwrap_or(bytes).into())),
        }
        file.blocks = blocks;
        outcome
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.disk.0.lock();
        if state.stopped {
            return Err(stopped());
        }
        let file = state.file(self.inode)?;
        let from = file.current.get(offset as usize..).unwrap_or_default();
        let n = from.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..n), from.get(..n)) {
            to.copy_from_slice(from);
        }
        Ok(n)
    }

    fn sync(&self) -> io::Result<()> {
        let mut guard = self.disk.0.lock();
        let state = &mut *guard;
        let step = state.step(true)?;
        let Some(file) = state.files.get_mut(&self.inode) else { return Err(missing()) };
        match step {
            Step::Well => file.sync(),
            Step::Lie => {}
            Step::Broken(e) => {
                if !state.stopped {
                    let keep = Keep::roll(&mut state.dice);
                    file.settle(keep, &mut state.dice);
                }
                return Err(e);
            }
        }
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().file(self.inode)?.current.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.0.lock();
        let outcome = match state.step(false)? {
            Step::Broken(e) if state.dice.one_in(2) => return Err(e),
            Step::Broken(e) => Err(e),
            Step::Well | Step::Lie => Ok(()),
        };
        let file = state.file(self.inode)?;
        file.change(Change::Length(len));
        file.blocks = file.blocks.min(len);
        outcome
    }
}
