//! What processes use, from /proc: of this one, and of servers that listen on this machine.

use std::collections::{HashMap, HashSet};
use std::net::ToSocketAddrs;

/// Ticks of a second in /proc: Linux has shown it so since ever.
const TICKS: f64 = 100.0;

/// The fields of a process behind its name: state, parent, ...
fn fields(pid: &str) -> Option<Vec<u64>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields = text.rsplit(')').next()?.split_whitespace();
    Some(fields.map(|f| f.parse().unwrap_or(0)).collect())
}

fn seconds(fields: &[u64], count: usize) -> f64 {
    fields.iter().skip(11).take(count).sum::<u64>() as f64 / TICKS
}

/// Seconds of CPU this process took so far: steadier than the clock when the machine is shared.
pub(crate) fn cpu() -> f64 {
    seconds(&fields("self").unwrap_or_default(), 2)
}

/// Bytes that a file of a process says behind a word.
fn bytes(pid: &str, file: &str, word: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix(word));
    let kb = line.and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok());
    kb.unwrap_or(0.0) * 1024.0
}

/// Resident bytes of a process; `self` is this one.
pub(crate) fn resident(pid: &str) -> f64 {
    bytes(pid, "status", "VmRSS:")
}

/// The same, with a share only of what others have too.
fn proportional(pid: &str) -> f64 {
    bytes(pid, "smaps_rollup", "Pss:")
}

/// Ids of all processes, with their parents'.
fn parents() -> HashMap<u64, u64> {
    let ids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = ids.filter_map(|e| e.file_name().to_str()?.parse::<u64>().ok());
    ids.filter_map(|id| Some((id, *fields(&id.to_string())?.get(1)?))).collect()
}

/// The sockets that listen on a port, as `/proc/PID/fd` names them.
fn sockets(port: u16) -> HashSet<String> {
    let mut found = HashSet::new();
    for file in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        for line in text.lines().skip(1) {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let (Some(local), Some(state), Some(inode)) =
                (columns.get(1), columns.get(3), columns.get(9))
            else {
                continue;
            };
            let on = local.rsplit(':').next().and_then(|p| u16::from_str_radix(p, 16).ok());
            if on == Some(port) && *state == "0A" {
                found.insert(format!("socket:[{inode}]"));
            }
        }
    }
    found
}

/// A server on this machine: the processes that listen on its port, and what they started.
pub(crate) struct Listener {
    roots: Vec<u64>,
}

impl Listener {
    /// `None` if it is on another machine, or may not be looked at.
    pub(crate) fn find(host: &str, port: u16) -> Option<Listener> {
        let local = (host, port).to_socket_addrs().ok()?.any(|a| a.ip().is_loopback());
        let sockets = sockets(port);
        let holds = |id: &u64| {
            let open = std::fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten().flatten();
            let mut open = open.filter_map(|f| std::fs::read_link(f.path()).ok());
            open.any(|to| to.to_str().is_some_and(|to| sockets.contains(to)))
        };
        let parents = parents();
        let holders: HashSet<u64> = parents.keys().copied().filter(holds).collect();
        let inherited = |id: &u64| parents.get(id).is_some_and(|p| holders.contains(p));
        let roots: Vec<u64> = holders.iter().copied().filter(|id| !inherited(id)).collect();
        (local && !roots.is_empty()).then_some(Listener { roots })
    }

    /// They, and all they started.
    fn all(&self) -> HashSet<u64> {
        let parents = parents();
        let mut all: HashSet<u64> = self.roots.iter().copied().collect();
        loop {
            let more: Vec<u64> = parents
                .iter()
                .filter(|(id, parent)| all.contains(*parent) && !all.contains(*id))
                .map(|(id, _)| *id)
                .collect();
            if more.is_empty() {
                break;
            }
            all.extend(more);
        }
        all
    }

    /// Seconds of CPU so far: of those that live, and of those that ended and were waited for.
    pub(crate) fn cpu(&self) -> f64 {
        let of = |id: &u64| fields(&id.to_string()).map_or(0.0, |f| seconds(&f, 4));
        self.all().iter().map(of).sum()
    }

    /// Resident bytes, and the proportional share of them: pages that several have are counted once.
    pub(crate) fn memory(&self) -> (f64, f64) {
        let all: Vec<String> = self.all().iter().map(u64::to_string).collect();
        let sum = |of: fn(&str) -> f64| all.iter().map(|id| of(id)).sum();
        (sum(resident), sum(proportional))
    }
}
