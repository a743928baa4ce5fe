//! Benches: recall and build, load, the ceiling of the connection loop.

pub mod ann;
pub mod btree;
pub mod ceiling;
pub mod checker;
pub mod couriers;
mod data;
pub mod search;
pub mod spatial;
pub mod storage_rows;

/// Seconds of CPU this process took so far: steadier than the clock when the machine is shared.
pub(crate) fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).flat_map(str::parse::<f64>).sum();
    ticks / 100.0
}

/// Resident bytes of a process; `self` is this one.
pub(crate) fn resident(pid: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let kb = line.and_then(|l| l.split_whitespace().next()?.parse::<f64>().ok());
    kb.unwrap_or(0.0) * 1024.0
}
