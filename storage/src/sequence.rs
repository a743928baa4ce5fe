//! Sequences: outside transactions, logged ahead.
//!
//! A value handed out never comes back: every 32nd value is logged before it is used, 32 ahead, so
//! that after a crash the sequence goes on behind the logged one (with a gap, as in PostgreSQL).

use std::sync::Arc;

use parking_lot::Mutex;
use vicinity_types::{Oid, PgError, Result, SqlState};

use crate::catalog::model::SequenceDef;
use crate::wal::{Lsn, Wal};

/// Values logged ahead.
const AHEAD: i64 = 32;

/// Where a sequence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceState {
    /// `last_value`
    pub last: i64,
    /// `is_called`: whether `last` was handed out already.
    pub called: bool,
}

/// A sequence's running value.
pub struct Sequence {
    oid: Oid,
    wal: Option<Arc<Wal>>,
    inner: Mutex<Inner>,
}

struct Inner {
    def: SequenceDef,
    state: SequenceState,
    /// Values that may be handed out before the next record.
    logged: i64,
    /// The end of the last record.
    lsn: Option<Lsn>,
}

impl Sequence {
    pub(crate) fn new(oid: Oid, def: &SequenceDef, wal: Option<Arc<Wal>>) -> Sequence {
        let state = SequenceState { last: def.start, called: false };
        Sequence {
            oid,
            wal,
            inner: Mutex::new(Inner { def: def.clone(), state, logged: 0, lsn: None }),
        }
    }

    /// Takes a changed definition over.
    pub(crate) fn define(&self, def: &SequenceDef) {
        let mut inner = self.inner.lock();
        inner.def = def.clone();
        inner.logged = 0;
    }

    /// Recovery: where it stood.
    pub(crate) fn restore(&self, state: SequenceState) {
        let mut inner = self.inner.lock();
        inner.state = state;
        inner.logged = 0;
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

    /// `ALTER SEQUENCE ... RESTART`, `TRUNCATE ... RESTART IDENTITY`
    pub fn restart(&self, value: i64) -> Result<()> {
        let mut inner = self.inner.lock();
        let state = SequenceState { last: value, called: false };
        self.log(&mut inner, state)?;
        inner.state = state;
        inner.logged = 0;
        Ok(())
    }

    /// Where it stands.
    pub fn state(&self) -> SequenceState {
        self.inner.lock().state
    }

    /// Where the log must be durable before a value handed out may be told of.
    pub fn logged_at(&self) -> Option<Lsn> {
        self.inner.lock().lsn
    }

    fn log(&self, inner: &mut Inner, state: SequenceState) -> Result<()> {
        if let Some(wal) = &self.wal {
            inner.lsn = Some(wal.append_sequence(self.oid, state)?);
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
