//! All file access of the database, behind one trait, so that tests can run on a disk that loses and
//! tears what was not synced.
//!
//! What is assumed of a disk: bytes are there after [`DiskFile::sync`] returned well, and a file's
//! name is there, or gone, after [`Disk::sync_dir`]. Everything else may be lost, in part and in
//! any order, when the machine stops.

mod real;
pub mod sim;

use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

pub use real::RealDisk;

/// What writes that last are made of.
pub const BLOCK: usize = 4096;

/// Zeros in memory that begin at a multiple of [`BLOCK`].
pub(crate) struct Aligned {
    bytes: Vec<u8>,
    from: usize,
    len: usize,
}

impl Aligned {
    pub(crate) fn zeros(len: usize) -> Aligned {
        let bytes = vec![0; len + BLOCK];
        let from = bytes.as_ptr().align_offset(BLOCK).min(BLOCK);
        Aligned { bytes, from, len }
    }
}

impl Deref for Aligned {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(self.from..self.from + self.len).unwrap_or_default()
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.from..self.from + self.len).unwrap_or_default()
    }
}

/// A directory of files, addressed by paths relative to it (`wal/0000.wal`).
pub trait Disk: Send + Sync {
    /// Opens a file for reading and writing, made empty first if `create`.
    fn open(&self, path: &str, create: bool) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes an empty file every write to which lasts once it returned well, without a sync. Writes begin
    /// and end at multiples of [`BLOCK`], in the file and in memory ([`Aligned`]).
    fn create_lasting(&self, path: &str) -> io::Result<Arc<dyn DiskFile>>;
    /// The names in a directory, sorted.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;
    /// Makes a directory if it is not there.
    fn make_dir(&self, dir: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Renames a file over another, within one directory.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes creations, removals and renames in a directory last.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
    /// Keeps every other process out, until [`Disk::unlock`] or for as long as this `Disk` lives.
    fn lock(&self) -> io::Result<()>;
    /// Lets others in: nothing will be written any more.
    fn unlock(&self);
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Writes all of it at an offset.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Reads up to a buffer full at an offset; fewer bytes only at the end.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
    /// Makes the contents last.
    fn sync(&self) -> io::Result<()>;
    /// Bytes in the file.
    fn len(&self) -> io::Result<u64>;
    /// Whether there are none.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts or extends with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
}

/// A file every write to which is followed by a sync.
struct Lasting(Arc<dyn DiskFile>);

impl DiskFile for Lasting {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)?;
        self.0.sync()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(offset, into)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

/// A whole file.
pub(crate) fn read_all(disk: &dyn Disk, path: &str) -> io::Result<Vec<u8>> {
    let file = disk.open(path, false)?;
    let len = usize::try_from(file.len()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; len];
    let got = file.read_at(0, &mut bytes)?;
    bytes.truncate(got);
    Ok(bytes)
}

/// Replaces a file so that after a crash either the old or the new one is there.
pub(crate) fn replace(disk: &dyn Disk, dir: &str, path: &str, bytes: &[u8]) -> io::Result<()> {
    let draft = format!("{path}.new");
    let file = disk.open(&draft, true)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    disk.rename(&draft, path)?;
    disk.sync_dir(dir)
}
