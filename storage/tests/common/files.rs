//! Data directories that are kept in the repository.

use std::path::Path;

use vicinity_storage::disk::{Disk, sim::SimDisk};

/// The files of a data directory.
pub type Files = Vec<(String, Vec<u8>)>;

/// Everything on a disk, segments without the zeros behind.
pub fn files(disk: &SimDisk) -> Files {
    let mut all = Files::new();
    for dir in [".", "wal", "image"] {
        for name in disk.list(dir).unwrap_or_default() {
            let path = if dir == "." { name } else { format!("{dir}/{name}") };
            let Ok(file) = disk.open(&path, false) else { continue };
            let mut bytes = vec![0; file.len().unwrap() as usize];
            file.read_at(0, &mut bytes).unwrap();
            if dir == "wal" {
                let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at + 9);
                bytes.truncate(end);
            }
            all.push((path, bytes));
        }
    }
    all.sort();
    all
}

/// A disk that has these files.
pub fn disk_of(files: &Files) -> SimDisk {
    let disk = SimDisk::new();
    disk.make_dir("wal").unwrap();
    disk.make_dir("image").unwrap();
    for (path, bytes) in files {
        disk.open(path, true).unwrap().write_at(0, bytes).unwrap();
    }
    disk
}

pub fn save(root: &Path, files: &Files) {
    for (path, bytes) in files {
        let to = root.join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, bytes).unwrap();
    }
}

pub fn load(root: &Path) -> Files {
    let mut all = Files::new();
    for dir in ["", "wal/", "image/"] {
        let Ok(entries) = std::fs::read_dir(root.join(dir)) else { continue };
        for entry in entries.map(Result::unwrap).filter(|e| e.file_type().unwrap().is_file()) {
            let path = format!("{dir}{}", entry.file_name().into_string().unwrap());
            all.push((path, std::fs::read(entry.path()).unwrap()));
        }
    }
    all.sort();
    all
}
