//! All file access of the database, behind one trait, so that tests can run on a disk that loses and
//! tears what was not synced.
//!
//! What is assumed of a disk: bytes are there after [`DiskFile::sync`] returned well, and a file's
//! name is there, or gone, after [`Disk::sync_dir`]. Everything else may be lost, in part and in
//! any order, when the machine stops.

mod real;
pub mod sim;

use std::io;
use std::sync::Arc;

pub use real::RealDisk;

/// A directory of files, addressed by paths relative to it (`wal/0000.wal`).
pub trait Disk: Send + Sync {
    /// Opens a file for reading and writing, made empty first if `create`.
    fn open(&self, path: &str, create: bool) -> io::Result<Arc<dyn DiskFile>>;
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
