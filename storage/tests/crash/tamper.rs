//! Mistakes that the harness must find: each is made on purpose, and a run of some seeds has to fail.

use std::collections::HashSet;

use vicinity_storage::disk::Disk;
use vicinity_storage::disk::sim::SimDisk;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    None,
    /// One sync does nothing and says that it did.
    LyingSync,
    /// Commits are acknowledged before they are on disk.
    EarlyAcknowledgement,
    /// What ROLLBACK TO took back after it was sent ahead counts.
    ForgottenVoid,
    /// Chunks of a transaction count that was never committed.
    UncommittedChunk,
    /// A commit in the middle of the log is missing.
    MissingCommit,
    /// Sequences do not log ahead.
    ForgottenSequence,
    /// The file of a prepared transaction is missing.
    LostPrepared,
}

const SEGMENT_HEADER: usize = 24;
const RECORD_HEADER: usize = 8;
const CHUNK: u8 = 1;
const COMMIT: u8 = 2;
const VOID: u8 = 3;
const SEQUENCE: u8 = 4;

/// A record: where its body is.
#[derive(Clone, Copy)]
struct Place {
    at: usize,
    len: usize,
    kind: u8,
    xid: u64,
}

/// The records of a segment, and where they end.
fn records(bytes: &[u8]) -> (Vec<Place>, usize) {
    let number =
        |at: usize| bytes.get(at..at + 4).map(|b| u32::from_le_bytes(b.try_into().unwrap()));
    let (mut all, mut at) = (Vec::new(), SEGMENT_HEADER);
    while let (Some(len), Some(crc)) = (number(at), number(at + 4)) {
        let len = len as usize;
        let body = at + RECORD_HEADER;
        let whole = bytes.get(body..body + len).filter(|b| len > 0 && crc32fast::hash(b) == crc);
        let Some(whole) = whole else { break };
        let xid = u64::from_le_bytes(whole[1..9].try_into().unwrap());
        all.push(Place { at: body, len, kind: whole[0], xid });
        at = body + len;
    }
    (all, at)
}

/// The checksum is right again.
fn seal(bytes: &mut [u8], place: Place) {
    let crc = crc32fast::hash(&bytes[place.at..place.at + place.len]);
    bytes[place.at - 4..place.at].copy_from_slice(&crc.to_le_bytes());
}

fn read(disk: &SimDisk, path: &str) -> Vec<u8> {
    let file = disk.open(path, false).unwrap();
    let mut bytes = vec![0; file.len().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

/// Makes the mistake on a disk that is about to be opened.
pub fn apply(mutation: Mutation, disk: &SimDisk) {
    let segments: Vec<String> = disk
        .list("wal")
        .unwrap()
        .iter()
        .filter(|n| n.ends_with(".wal"))
        .map(|n| format!("wal/{n}"))
        .collect();
    let logs: Vec<Vec<u8>> = segments.iter().map(|path| read(disk, path)).collect();
    let all: Vec<(usize, Place)> = logs
        .iter()
        .enumerate()
        .flat_map(|(i, bytes)| records(bytes).0.into_iter().map(move |place| (i, place)))
        .collect();
    let change = |(segment, place): (usize, Place), f: &dyn Fn(&mut [u8])| {
        disk.tamper(&segments[segment], |bytes| {
            f(&mut bytes[place.at..place.at + place.len]);
            seal(bytes, place);
        });
    };
    let of = |kind: u8| all.iter().filter(move |(_, p)| p.kind == kind).copied();
    match mutation {
        Mutation::ForgottenVoid => {
            of(VOID).for_each(|p| change(p, &|body| body[1..9].copy_from_slice(&[0xee; 8])));
        }
        Mutation::ForgottenSequence => {
            of(SEQUENCE)
                .for_each(|p| change(p, &|body| body[9..13].copy_from_slice(&[1, 0, 0, 0])));
        }
        Mutation::MissingCommit => {
            let commits: Vec<_> = of(COMMIT).collect();
            if commits.len() > 4 {
                change(commits[commits.len() - 3], &|body| {
                    body[0] = CHUNK;
                    body[1..9].copy_from_slice(&u64::from(u32::MAX).to_le_bytes());
                });
            }
        }
        Mutation::UncommittedChunk => {
            let committed: HashSet<u64> = of(COMMIT).map(|(_, p)| p.xid).collect();
            let lost = of(CHUNK).map(|(_, p)| p.xid).find(|xid| !committed.contains(xid));
            if let (Some(xid), Some(path)) = (lost, segments.last()) {
                disk.tamper(path, |bytes| commit_behind(bytes, xid));
            }
        }
        Mutation::LostPrepared => {
            if let Some(name) = disk.list("prepared").unwrap().first() {
                disk.remove(&format!("prepared/{name}")).unwrap();
            }
        }
        Mutation::None | Mutation::LyingSync | Mutation::EarlyAcknowledgement => {}
    }
}

/// Puts a commit without operations behind the last record.
fn commit_behind(bytes: &mut Vec<u8>, xid: u64) {
    let (_, end) = records(bytes);
    let mut body = vec![COMMIT];
    body.extend_from_slice(&xid.to_le_bytes());
    body.extend_from_slice(&[0; 12]);
    bytes.truncate(end);
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&crc32fast::hash(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
}
