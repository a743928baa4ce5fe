//! An index as bytes, and what becomes of it when it is read back.
//!
//! An image is written while the index goes on changing: no moment it is of is exact. That is no harm, as an image is
//! only a beginning: [`reconcile`] holds it against the rows, which have the last word. Entries that no row has go, and
//! rows that have none are named, to be inserted. So an image may be old, too: that costs inserts.

use std::io;

use rayon::prelude::*;
use vicinity_types::Result;

use super::Coder;
use crate::RowId;
use crate::image::{In, Out};

/// The rows of a table, in parts that are read side by side.
pub trait RowVectors: Sync {
    /// How many parts there are. The ids in a part follow those in the one before.
    fn parts(&self) -> usize;

    /// Calls `f` with the vectors of a part, in order of their rows' ids; stops at the first error and returns it.
    fn each_of(&self, part: usize, f: &mut dyn FnMut(RowId, &[f32]) -> Result<()>) -> Result<()>;
}

/// What an image lacks, and what it has too much.
#[derive(Debug, Default)]
pub(crate) struct Differences {
    /// Rows without an entry.
    pub(crate) missing: Vec<RowId>,
    /// Where entries are that are no row's.
    pub(crate) stale: Vec<u64>,
}

/// Compares entries, given by row and place, with rows. `same` says whether the entry at a place is that of a vector;
/// it may use the buffer.
pub(crate) fn reconcile(
    mut entries: Vec<(RowId, u64)>,
    rows: &dyn RowVectors,
    same: impl Fn(u64, &[f32], &mut Vec<u8>) -> bool + Sync,
) -> Result<Differences> {
    entries.par_sort_unstable();
    let compare = |part: usize| {
        let mut found = Differences::default();
        let mut buffer = Vec::new();
        let mut rest: Option<&[(RowId, u64)]> = None;
        rows.each_of(part, &mut |row, v| {
            let after = rest.unwrap_or(&entries);
            let (_, from) = after.split_at(match rest {
                None => after.partition_point(|e| e.0 < row),
                Some(_) => after.iter().take_while(|e| e.0 < row).count(),
            });
            let mine = from.iter().take_while(|e| e.0 == row);
            match mine.clone().find(|e| same(e.1, v, &mut buffer)) {
                // What is not stale is noted here.
                Some(kept) => found.stale.push(kept.1),
                None => found.missing.push(row),
            }
            rest = Some(from.get(mine.count()..).unwrap_or_default());
            Ok(())
        })?;
        Ok(found)
    };
    let found: Vec<Differences> =
        (0..rows.parts()).into_par_iter().map(compare).collect::<Result<_>>()?;
    let mut kept: Vec<u64> = found.iter().flat_map(|d| d.stale.iter().copied()).collect();
    kept.par_sort_unstable();
    let stale = entries.iter().map(|e| e.1).filter(|place| kept.binary_search(place).is_err());
    let stale = if kept.len() == entries.len() { Vec::new() } else { stale.collect() };
    Ok(Differences { missing: found.into_iter().flat_map(|d| d.missing).collect(), stale })
}

/// The version of what indexes write.
pub(crate) const VERSION: usize = 1;

/// What every image begins with.
pub(crate) fn begin(out: &mut Out<'_>, coder: &Coder) -> io::Result<()> {
    out.u32(VERSION)?;
    out.u32(coder.dim())?;
    let (offset, step) = coder.parts();
    out.u32(offset.len())?;
    out.f32s(offset)?;
    out.f32s(&[step])
}

/// Reads what every image begins with.
pub(crate) fn coder(from: &mut In<'_>, dim: usize) -> io::Result<Coder> {
    from.expect(VERSION, "its version")?;
    from.expect(dim, "its dimension")?;
    let offset = match from.u32()? {
        n if n == 0 || n == dim => from.f32s(n)?,
        n => return Err(io::Error::other(format!("its codes have {n} dimensions"))),
    };
    let step = from.f32s(1)?;
    Ok(Coder::of_parts(dim, offset, step.first().copied().unwrap_or(1.0)))
}
