//! Sequences: their values outside transactions, logged ahead; their definitions inside.
//!
//! A value handed out never comes back: every 32nd value is logged before it is used, 32 ahead, so
//! that after a crash the sequence goes on behind the logged one (with a gap, as in PostgreSQL).
//!
//! A transaction that makes a sequence, changes its definition or restarts it does so with a copy of
//! its own, which nobody else knows and the log says nothing of: see [`Transaction::sequence`]. The
//! commit's record says where the copy stands, and puts it in the place of the one before.
//!
//! [`Transaction::sequence`]: crate::Transaction::sequence

use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use vicinity_types::{Oid, PgError, Result, SqlState};

use crate::catalog::model::SequenceDef;
use crate::wal::{Lsn, Wal};

/// Values logged ahead.
const AHEAD: i64 = 32;

/// Where a sequence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SequenceState {
    /// `last_value`
    pub last: i64,
    /// `is_called`: whether `last` was handed out already.
    pub called: bool,
}

/// A sequence's running value.
pub struct Sequence {
    oid: Oid,
    inner: Mutex<Inner>,
}

struct Inner {
    def: SequenceDef,
    state: SequenceState,
    /// `None` while only the transaction knows it that made it.
    wal: Option<Arc<Wal>>,
    /// Values that may be handed out before the next record.
    logged: i64,
    /// What the log says.
    durable: SequenceState,
    /// The end of the last record.
    lsn: Option<Lsn>,
}

impl Sequence {
    pub(crate) fn new(oid: Oid, def: &SequenceDef, wal: Option<Arc<Wal>>) -> Sequence {
        Sequence::standing_at(oid, def, SequenceState { last: def.start, called: false }, wal)
    }

    pub(crate) fn standing_at(
        oid: Oid,
        def: &SequenceDef,
        state: SequenceState,
        wal: Option<Arc<Wal>>,
    ) -> Sequence {
        let def = def.clone();
        Sequence {
            oid,
            inner: Mutex::new(Inner { def, state, wal, logged: 0, durable: state, lsn: None }),
        }
    }

    pub(crate) fn definition(&self) -> SequenceDef {
        self.inner.lock().def.clone()
    }

    /// A transaction's own sequence is everybody's now.
    pub(crate) fn publish(&self, wal: Arc<Wal>) {
        let mut inner = self.inner.lock();
        inner.wal = Some(wal);
        inner.logged = 0;
        inner.durable = inner.state;
    }

    /// The next value.
    pub fn nextval(&self, name: &str) -> Result<i64> {
        let mut inner = self.inner.lock();
        let next = inner.after(name)?;
        if inner.logged == 0 {
            let ahead = inner.ahead(next);
            self.log(&mut inner, SequenceState { last: ahead, called: true })?;
            inner.logged = AHEAD;
        }
        inner.logged -= 1;
        inner.state = SequenceState { last: next, called: true };
        Ok(next)
    }

    /// `setval(seq, value, called)`
    pub fn setval(&self, name: &str, value: i64, called: bool) -> Result<()> {
        let mut inner = self.inner.lock();
        if value < inner.def.min || value > inner.def.max {
            return Err(PgError::new(
                SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
                format!(
                    "setval: value {value} is out of bounds for sequence \"{name}\" ({}..{})",
                    inner.def.min, inner.def.max
                ),
            ));
        }
        let state = SequenceState { last: value, called };
        self.log(&mut inner, state)?;
        inner.state = state;
        inner.logged = 0;
        Ok(())
    }

    /// Where it stands.
    pub fn state(&self) -> SequenceState {
        self.inner.lock().state
    }

    /// Where it goes on after a crash, by what the log says.
    pub(crate) fn logged_state(&self) -> SequenceState {
        self.inner.lock().durable
    }

    /// Where it stands. What was logged ahead is not handed out any more without another record.
    pub(crate) fn close(&self) -> SequenceState {
        let mut inner = self.inner.lock();
        inner.logged = 0;
        inner.state
    }

    /// Where the log must be durable before a value handed out may be told of.
    pub fn logged_at(&self) -> Option<Lsn> {
        self.inner.lock().lsn
    }

    fn log(&self, inner: &mut Inner, state: SequenceState) -> Result<()> {
        if let Some(wal) = &inner.wal {
            inner.lsn = Some(wal.append_sequence(self.oid, state)?);
            inner.durable = state;
        }
        Ok(())
    }
}

impl Inner {
    /// The value after the current one.
    fn after(&self, name: &str) -> Result<i64> {
        let (d, s) = (&self.def, self.state);
        if !s.called {
            return Ok(s.last);
        }
        match s.last.checked_add(d.increment) {
            Some(v) if v >= d.min && v <= d.max => Ok(v),
            _ if d.cycle => Ok(if d.increment > 0 { d.min } else { d.max }),
            _ => {
                let (what, limit) =
                    if d.increment > 0 { ("maximum", d.max) } else { ("minimum", d.min) };
                Err(PgError::new(
                    SqlState(*b"2200H"),
                    format!("nextval: reached {what} value of sequence \"{name}\" ({limit})"),
                ))
            }
        }
    }

    /// The last value that may be handed out without another record.
    fn ahead(&self, next: i64) -> i64 {
        let d = &self.def;
        next.saturating_add(d.increment.saturating_mul(AHEAD - 1)).clamp(d.min, d.max)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn def() -> SequenceDef {
        SequenceDef {
            type_oid: vicinity_types::oid::INT8,
            start: 1,
            increment: 1,
            min: 1,
            max: 3,
            cache: 1,
            cycle: false,
            owned_by: None,
            identity: false,
        }
    }

    #[test]
    fn counts_to_its_limit() {
        let s = Sequence::new(1, &def(), None);
        let got: Vec<i64> = (0..3).map(|_| s.nextval("s").unwrap()).collect();
        assert_eq!(got, [1, 2, 3]);
        let e = s.nextval("s").unwrap_err();
        assert_eq!(e.message(), "nextval: reached maximum value of sequence \"s\" (3)");
        assert_eq!(e.code().as_str(), "2200H");
        s.setval("s", 2, false).unwrap();
        assert_eq!(s.nextval("s").unwrap(), 2);
        let e = s.setval("s", 9, true).unwrap_err();
        assert_eq!(e.message(), "setval: value 9 is out of bounds for sequence \"s\" (1..3)");
    }

    #[test]
    fn cycles_and_counts_down() {
        let s = Sequence::new(1, &SequenceDef { cycle: true, ..def() }, None);
        let got: Vec<i64> = (0..5).map(|_| s.nextval("s").unwrap()).collect();
        assert_eq!(got, [1, 2, 3, 1, 2]);
        let down = SequenceDef { increment: -2, start: -1, min: i64::MIN, max: -1, ..def() };
        let s = Sequence::new(1, &down, None);
        assert_eq!((s.nextval("s").unwrap(), s.nextval("s").unwrap()), (-1, -3));
    }
}
