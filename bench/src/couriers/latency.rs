//! How long statements took, as pgbench notes it: one line each, `client number microseconds script second microsecond`.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use vicinity_types::Result;

use crate::failed;

/// Microseconds at the beginning of a run that do not count: statements are planned for the first time.
const BEGIN: u64 = 1_000_000;

/// Microseconds of all statements of a run, in order.
#[derive(Default)]
pub(crate) struct Latencies(Vec<u32>);

/// The line's fields that matter: when the statement ended and how long it took, in microseconds.
fn statement(line: &str) -> Option<(u64, u32)> {
    let mut fields = line.split(' ').skip(2);
    let took = fields.next()?.parse().ok()?;
    let second: u64 = fields.nth(1)?.parse().ok()?;
    Some((second * 1_000_000 + fields.next()?.parse::<u64>().ok()?, took))
}

impl Latencies {
    /// Reads what a pgbench with such an id left in a directory, a file for each of its threads, and removes it.
    pub(crate) fn read(under: &Path, id: u32) -> Result<Latencies> {
        let of_thread = |path: &PathBuf| {
            let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
            name.is_some_and(|n| n.split('.').nth(1) == Some(&id.to_string()))
        };
        let files = std::fs::read_dir(under).map_err(failed)?.flatten().map(|e| e.path());
        let mut all: Vec<(u64, u32)> = Vec::new();
        for path in files.filter(of_thread) {
            for line in BufReader::new(File::open(&path).map_err(failed)?).lines() {
                let line = line.map_err(failed)?;
                let read = statement(&line);
                all.push(read.ok_or_else(|| failed(format!("pgbench's log has \"{line}\"")))?);
            }
            std::fs::remove_file(&path).map_err(failed)?;
        }
        let begin = all.iter().map(|(at, _)| *at).min().unwrap_or(0) + BEGIN;
        let mut counted: Vec<u32> =
            all.into_iter().filter(|(at, _)| *at >= begin).map(|(_, took)| took).collect();
        counted.sort_unstable();
        Ok(Latencies(counted))
    }

    /// What so many of a thousand statements do not exceed, in milliseconds; of 1000 the longest.
    pub(crate) fn at(&self, of_thousand: usize) -> f64 {
        let at = (self.0.len() * of_thousand / 1000).min(self.0.len().saturating_sub(1));
        self.0.get(at).map_or(0.0, |us| f64::from(*us) / 1e3)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_first_second_is_left_out_and_threads_are_one() {
        let under = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(under.path().join(name), text).unwrap();
        write("ups.77", "0 0 90000 0 10 500000\n0 1 3000 0 11 500000\n");
        write("ups.77.1", "1 0 1000 0 12 0\n1 1 2000 0 12 1\n");
        write("ups.771", "0 0 5 0 12 0\n");
        let read = Latencies::read(under.path(), 77).unwrap();
        assert_eq!([read.at(0), read.at(500), read.at(1000)], [1.0, 2.0, 3.0]);
        assert_eq!(std::fs::read_dir(under.path()).unwrap().count(), 1);
        write("ups.78", "0 0 five\n");
        assert!(Latencies::read(under.path(), 78).is_err());
    }
}
