//! One partition of a window: peers, frames, and what each function gives for each row.

use std::ops::Range;

use vicinity_functions::MakeAggregate;
use vicinity_types::{Datum, PgError, Result, SqlState};

use super::window::{Bound, Exclude, Frame, Units};
use crate::call::Callable;
use crate::context::ExecContext;

/// The rows of a partition, in order.
#[derive(Default)]
pub(super) struct Partition {
    /// Bytes that are equal for peers.
    pub(super) order: Vec<Vec<u8>>,
    /// The values of the order's only key, where a frame measures distances in it.
    pub(super) values: Vec<Datum>,
    /// Peers, one group after the other.
    groups: Vec<Range<usize>>,
    group_of: Vec<usize>,
}

impl Partition {
    /// Finds the groups of peers.
    pub(super) fn finish(&mut self) {
        let mut start = 0;
        for i in 0..self.order.len() {
            if self.order.get(i) != self.order.get(i + 1) {
                self.group_of.resize(i + 1, self.groups.len());
                self.groups.push(start..i + 1);
                start = i + 1;
            }
        }
    }

    fn len(&self) -> usize {
        self.order.len()
    }

    fn group(&self, row: usize) -> (usize, Range<usize>) {
        let at = self.group_of.get(row).copied().unwrap_or(0);
        (at, self.groups.get(at).cloned().unwrap_or(row..row + 1))
    }

    /// The rows whose order value is NULL as `row`'s is, or is not.
    fn alike(&self, row: usize) -> Range<usize> {
        let is_null = |i: usize| self.values.get(i).is_none_or(Datum::is_null);
        let null = is_null(row);
        let start = (0..self.len()).find(|i| is_null(*i) == null).unwrap_or(0);
        let end = (start..self.len()).find(|i| is_null(*i) != null).unwrap_or(self.len());
        start..end
    }
}

/// A frame whose offsets are known.
pub(super) struct Frames<'a> {
    pub(super) frame: &'a Frame,
    pub(super) start: Datum,
    pub(super) end: Datum,
    pub(super) descending: bool,
    pub(super) partition: &'a Partition,
    pub(super) ctx: &'a ExecContext,
}

impl Frames<'_> {
    /// Rows or groups an offset counts.
    fn count(value: &Datum, which: &str) -> Result<usize> {
        let number = match value {
            Datum::Null => {
                return Err(PgError::new(
                    SqlState::NULL_VALUE_NOT_ALLOWED,
                    format!("frame {which} offset must not be null"),
                ));
            }
            value => crate::row::number::as_i64(value).unwrap_or(-1),
        };
        usize::try_from(number).map_err(|_| {
            PgError::new(
                SqlState::INVALID_PRECEDING_OR_FOLLOWING_SIZE,
                format!("frame {which} offset must not be negative"),
            )
        })
    }

    /// The frame of a row, before anything is excluded.
    pub(super) fn of(&self, row: usize) -> Result<Range<usize>> {
        let start = self.start(row)?;
        Ok(start..self.end(row)?.max(start))
    }

    fn start(&self, row: usize) -> Result<usize> {
        let n = self.partition.len();
        let (at, peers) = self.partition.group(row);
        Ok(match (&self.frame.start, self.frame.units) {
            (Bound::Unbounded, _) => 0,
            (Bound::Current, Units::Rows) => row,
            (Bound::Current, _) => peers.start,
            (Bound::Offset { in_range: Some(call), preceding, .. }, Units::Range) => {
                // the first row that is not before the bound
                let sub = *preceding != self.descending;
                self.reach(&**call, row, &self.start, sub, self.descending, false)?
            }
            (Bound::Offset { preceding, .. }, Units::Groups) => {
                let k = Self::count(&self.start, "starting")?;
                let group = moved(at, k, *preceding).unwrap_or(0);
                self.partition.groups.get(group).map_or(n, |g| g.start)
            }
            (Bound::Offset { preceding, .. }, _) => {
                let k = Self::count(&self.start, "starting")?;
                moved(row, k, *preceding).unwrap_or(0).min(n)
            }
        })
    }

    fn end(&self, row: usize) -> Result<usize> {
        let n = self.partition.len();
        let (at, peers) = self.partition.group(row);
        Ok(match (&self.frame.end, self.frame.units) {
            (Bound::Unbounded, _) => n,
            (Bound::Current, Units::Rows) => row + 1,
            (Bound::Current, _) => peers.end,
            (Bound::Offset { in_range: Some(call), preceding, .. }, Units::Range) => {
                // the first row that is beyond the bound
                let sub = *preceding != self.descending;
                self.reach(&**call, row, &self.end, sub, !self.descending, true)?
            }
            (Bound::Offset { preceding, .. }, Units::Groups) => {
                let k = Self::count(&self.end, "ending")?;
                match moved(at, k, *preceding) {
                    Some(group) => self.partition.groups.get(group).map_or(n, |g| g.end),
                    None => 0,
                }
            }
            (Bound::Offset { preceding, .. }, _) => {
                let k = Self::count(&self.end, "ending")?;
                moved(row, k, *preceding).map_or(0, |at| at.saturating_add(1).min(n))
            }
        })
    }

    /// The first row whose `in_range` is other than `inside`, going over rows where it changes once.
    fn reach(
        &self,
        call: &dyn Callable,
        row: usize,
        offset: &Datum,
        sub: bool,
        less: bool,
        inside: bool,
    ) -> Result<usize> {
        let block = self.partition.alike(row);
        let base = self.partition.values.get(row).unwrap_or(&Datum::Null);
        if offset.is_null() {
            let which = if inside { "ending" } else { "starting" };
            Self::count(offset, which)?;
        }
        if base.is_null() {
            return Ok(if inside { block.end } else { block.start });
        }
        let (mut low, mut high) = (block.start, block.end);
        while low < high {
            let middle = low + (high - low) / 2;
            let value = self.partition.values.get(middle).cloned().unwrap_or_default();
            let args = [value, base.clone(), offset.clone(), Datum::Bool(sub), Datum::Bool(less)];
            let within = matches!(call.call(self.ctx, &args)?, Datum::Bool(true));
            if within == inside {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The rows of a row's frame, in order.
    fn rows(&self, row: usize, frame: Range<usize>) -> impl Iterator<Item = usize> + use<> {
        let peers = self.partition.group(row).1;
        let exclude = self.frame.exclude;
        frame.filter(move |i| match exclude {
            Exclude::None => true,
            Exclude::Row => *i != row,
            Exclude::Group => !peers.contains(i),
            Exclude::Ties => *i == row || !peers.contains(i),
        })
    }
}

/// So many before or after; none before the first.
fn moved(from: usize, by: usize, back: bool) -> Option<usize> {
    if back { from.checked_sub(by) } else { Some(from.saturating_add(by)) }
}

/// A call's arguments, row by row.
pub(super) struct Arguments {
    pub(super) rows: Vec<Vec<Datum>>,
    /// Which rows FILTER lets pass; empty without one.
    pub(super) passes: Vec<bool>,
}

impl Arguments {
    fn get(&self, row: usize, arg: usize) -> Datum {
        self.rows.get(row).and_then(|r| r.get(arg)).cloned().unwrap_or_default()
    }
}

/// An aggregate over each row's frame. A frame that only grows is stepped through once.
pub(super) fn aggregate(
    make: &MakeAggregate,
    args: &Arguments,
    frames: &Frames<'_>,
) -> Result<Vec<Datum>> {
    let grows =
        matches!(frames.frame.start, Bound::Unbounded) && frames.frame.exclude == Exclude::None;
    let mut out: Vec<Datum> = Vec::with_capacity(args.rows.len());
    let mut state = make();
    let mut done: Range<usize> = 0..0;
    for row in 0..args.rows.len() {
        let frame = frames.of(row)?;
        let same = row > 0 && frame == done && frames.frame.exclude == Exclude::None;
        if same && let Some(last) = out.last() {
            out.push(last.clone());
            continue;
        }
        let from = if grows && frame.end >= done.end {
            done.end
        } else {
            state = make();
            frame.start
        };
        for i in frames.rows(row, from..frame.end) {
            if args.passes.get(i).copied().unwrap_or(true) {
                let values = args.rows.get(i).map_or(&[][..], Vec::as_slice);
                state.step(frames.ctx, values)?;
            }
        }
        out.push(state.finish(frames.ctx)?);
        done = frame;
        if row % 256 == 255 {
            frames.ctx.check()?;
        }
    }
    Ok(out)
}

/// A window function by `prosrc`.
pub(super) fn builtin(src: &str, args: &Arguments, frames: &Frames<'_>) -> Result<Vec<Datum>> {
    let partition = frames.partition;
    let n = partition.len();
    let big = |v: usize| Datum::Int8(i64::try_from(v).unwrap_or(i64::MAX));
    let share = |part: usize, whole: usize| Datum::Float8(part as f64 / whole as f64);
    let each = |f: &dyn Fn(usize) -> Result<Datum>| (0..n).map(f).collect::<Result<Vec<_>>>();
    match src {
        "window_row_number" => each(&|i| Ok(big(i + 1))),
        "window_rank" => each(&|i| Ok(big(partition.group(i).1.start + 1))),
        "window_dense_rank" => each(&|i| Ok(big(partition.group(i).0 + 1))),
        "window_percent_rank" => each(&|i| {
            let before = partition.group(i).1.start;
            Ok(if n <= 1 { Datum::Float8(0.0) } else { share(before, n - 1) })
        }),
        "window_cume_dist" => each(&|i| Ok(share(partition.group(i).1.end, n))),
        "window_ntile" => ntile(&args.get(0, 0), n),
        "window_lag" | "window_lag_with_offset" | "window_lag_with_offset_and_default" => {
            each(&|i| Ok(shifted(args, i, -1)))
        }
        "window_lead" | "window_lead_with_offset" | "window_lead_with_offset_and_default" => {
            each(&|i| Ok(shifted(args, i, 1)))
        }
        "window_first_value" => each(&|i| {
            let first = frames.rows(i, frames.of(i)?).next();
            Ok(first.map_or(Datum::Null, |at| args.get(at, 0)))
        }),
        "window_last_value" => each(&|i| {
            let last = frames.rows(i, frames.of(i)?).last();
            Ok(last.map_or(Datum::Null, |at| args.get(at, 0)))
        }),
        "window_nth_value" => each(&|i| nth(args, frames, i)),
        _ => Err(PgError::unsupported(format!("window function {src}"))),
    }
}

fn nth(args: &Arguments, frames: &Frames<'_>, row: usize) -> Result<Datum> {
    let Datum::Int4(n) = args.get(row, 1) else { return Ok(Datum::Null) };
    let skip = usize::try_from(n).ok().and_then(|n| n.checked_sub(1)).ok_or_else(|| {
        PgError::new(
            SqlState::INVALID_ARGUMENT_FOR_NTH_VALUE,
            "argument of nth_value must be greater than zero",
        )
    })?;
    let at = frames.rows(row, frames.of(row)?).nth(skip);
    Ok(at.map_or(Datum::Null, |at| args.get(at, 0)))
}

/// `lag` and `lead`: another row's value, or the default.
fn shifted(args: &Arguments, row: usize, direction: i64) -> Datum {
    let offset = match args.rows.get(row).map_or(0, Vec::len) {
        0 | 1 => Some(1),
        _ => match args.get(row, 1) {
            Datum::Int4(offset) => Some(i64::from(offset)),
            _ => None,
        },
    };
    let Some(offset) = offset else { return Datum::Null };
    let at = i64::try_from(row).unwrap_or(i64::MAX).saturating_add(offset * direction);
    match usize::try_from(at).ok().filter(|at| *at < args.rows.len()) {
        Some(at) => args.get(at, 0),
        None => args.get(row, 2),
    }
}

fn ntile(buckets: &Datum, n: usize) -> Result<Vec<Datum>> {
    let Datum::Int4(buckets) = buckets else { return Ok(vec![Datum::Null; n]) };
    let count = usize::try_from(*buckets).ok().filter(|b| *b > 0).ok_or_else(|| {
        PgError::new(
            SqlState::INVALID_ARGUMENT_FOR_NTILE,
            "argument of ntile must be greater than zero",
        )
    })?;
    let (size, larger) = (n / count, n % count);
    // the first `larger` buckets have one row more
    let bucket = |i: usize| {
        let in_larger = larger * (size + 1);
        if i < in_larger { i / (size + 1) } else { larger + (i - in_larger) / size.max(1) }
    };
    Ok((0..n).map(|i| Datum::Int4(i32::try_from(bucket(i) + 1).unwrap_or(i32::MAX))).collect())
}
