//! The machine's own file system.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

#[cfg(target_os = "linux")]
use super::{Aligned, BLOCK};
use super::{Disk, DiskFile};

/// Files below a directory.
pub struct RealDisk {
    root: PathBuf,
    lock: Mutex<Option<File>>,
}

impl RealDisk {
    /// Makes the directory if it is not there.
    pub fn new(root: &Path) -> io::Result<RealDisk> {
        fs::create_dir_all(root)?;
        Ok(RealDisk { root: root.to_owned(), lock: Mutex::new(None) })
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &str, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(create).truncate(create);
        Ok(Arc::new(RealFile(options.open(self.at(path))?)))
    }

    fn create_lasting(&self, path: &str) -> io::Result<Arc<dyn DiskFile>> {
        create_lasting(&self.at(path))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.at(dir))? {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn make_dir(&self, dir: &str) -> io::Result<()> {
        fs::create_dir_all(self.at(dir))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.at(path))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        File::open(self.at(dir))?.sync_all()
    }

    fn unlock(&self) {
        *self.lock.lock() = None;
    }

    fn lock(&self) -> io::Result<()> {
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).open(self.at("LOCK"))?;
        match file.try_lock() {
            Ok(()) => {
                *self.lock.lock() = Some(file);
                Ok(())
            }
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }
}

/// Past the page cache, where the file system can: that costs half the CPU time of a write and a sync, and
/// less of the disk's.
#[cfg(target_os = "linux")]
fn create_lasting(path: &Path) -> io::Result<Arc<dyn DiskFile>> {
    use std::os::unix::fs::OpenOptionsExt;

    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true);
    let direct = || -> io::Result<RealFile> {
        let file =
            RealFile(options.clone().custom_flags(libc::O_DSYNC | libc::O_DIRECT).open(path)?);
        file.write_at(0, &Aligned::zeros(BLOCK))?;
        Ok(file)
    };
    let file = match direct() {
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => {
            RealFile(options.custom_flags(libc::O_DSYNC).open(path)?)
        }
        outcome => outcome?,
    };
    Ok(Arc::new(file))
}

/// Elsewhere every write is followed by what the system has for a sync.
#[cfg(not(target_os = "linux"))]
fn create_lasting(path: &Path) -> io::Result<Arc<dyn DiskFile>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true);
    Ok(Arc::new(super::Lasting(Arc::new(RealFile(options.open(path)?)))))
}

struct RealFile(File);

impl DiskFile for RealFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, mut offset: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut rest = into;
        let whole = rest.len();
        while !rest.is_empty() {
            match self.0.read_at(rest, offset) {
                Ok(0) => break,
                Ok(n) => {
                    offset += n as u64;
                    rest = rest.split_at_mut(n).1;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(whole - rest.len())
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}
