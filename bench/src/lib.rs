//! Benches: recall and build, load, the ceiling of the connection loop.

pub mod ann;
pub mod btree;
pub mod ceiling;
pub mod storage_rows;

/// Seconds of CPU this process took so far: steadier than the clock when the machine is shared.
pub(crate) fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: f64 = fields.skip(11).take(2).flat_map(str::parse::<f64>).sum();
    ticks / 100.0
}
