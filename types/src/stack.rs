//! How far down its stack a thread may recurse (invariant *bounded*). What recurses as deeply as values or functions do
//! asks here; what recurses over a statement is bounded by the statement's own limits, for which the rest is kept.

use std::cell::Cell;

use crate::error::{PgError, Result, SqlState};

/// The part of a thread's stack that is for recursion that asks.
const SHARE: usize = 8;
/// The same where nobody has said how large the stack is: half of what threads have by default.
const UNKNOWN: usize = 1 << 20;

thread_local! {
    /// The lowest address; 0 if not known yet.
    static LOWEST: Cell<usize> = const { Cell::new(0) };
}

/// About where the stack ends now.
#[inline(never)]
fn here() -> usize {
    let mark = 0u8;
    std::ptr::from_ref(std::hint::black_box(&mark)).addr()
}

/// A thread has begun, with a stack of this size.
pub fn begins(size: usize) {
    LOWEST.set(here().saturating_sub(size / SHARE).max(1));
}

/// An error if too much of the stack is in use.
#[inline]
pub fn check() -> Result<()> {
    let now = here();
    let lowest = match LOWEST.get() {
        0 => {
            let lowest = now.saturating_sub(UNKNOWN).max(1);
            LOWEST.set(lowest);
            lowest
        }
        known => known,
    };
    if now < lowest { Err(exceeded()) } else { Ok(()) }
}

#[cold]
fn exceeded() -> PgError {
    PgError::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded").hint(
        "Increase the configuration parameter \"max_stack_depth\" (currently 2048kB), after \
         ensuring the platform's stack depth limit is adequate.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn down(levels: usize) -> Result<usize> {
        check()?;
        let filled = std::hint::black_box([levels; 128]);
        if levels == 0 { Ok(0) } else { Ok(down(filled[7] - 1)?.max(filled[9])) }
    }

    #[test]
    fn recursion_ends_with_an_error() {
        assert_eq!(down(100).ok(), Some(100));
        assert_eq!(down(1_000_000).err().map(|e| e.code()), Some(SqlState::STATEMENT_TOO_COMPLEX));
    }

    #[test]
    fn a_larger_stack_is_used() {
        let deep = || {
            begins(64 << 20);
            down(3000).ok()
        };
        let thread = std::thread::Builder::new().stack_size(64 << 20).spawn(deep);
        assert_eq!(thread.ok().and_then(|t| t.join().ok()).flatten(), Some(3000));
    }
}
