//! CALL, COMMIT and ROLLBACK.

use vicinity_types::{PgError, Result, SqlState};

use super::ast::{Call, Place};
use super::query;
use super::run::Interpreter;
use crate::exec::is_output;

impl Interpreter<'_> {
    /// `CALL`: what comes out goes to the variables that stand as arguments.
    pub(super) fn call(&mut self, call: &Call) -> Result<()> {
        let ran = query::call(self, &call.sql);
        self.adopt();
        let Some((function, row, columns)) = ran? else { return Ok(()) };
        let outputs = function.args.iter().enumerate().filter(|(_, a)| is_output(a));
        for (((at, arg), value), ty) in outputs.zip(row).zip(columns) {
            let name = arg.name.as_deref().unwrap_or("");
            match written(call, at, name) {
                Some(place) => self.frame.assign(&self.ctx, place, value, ty)?,
                None => return Err(not_writable(name, at)),
            }
        }
        Ok(())
    }

    /// `COMMIT` and `ROLLBACK`
    pub(super) fn end_transaction(&mut self, commit: bool, chain: bool) -> Result<()> {
        let Some(transactions) = self.transactions else {
            return Err(PgError::new(SqlState(*b"2D000"), "invalid transaction termination"));
        };
        let ended = transactions.end(commit, chain);
        self.adopt();
        ended
    }

    /// Goes on in the transaction of now.
    fn adopt(&mut self) {
        if let Some(transactions) = self.transactions {
            self.ctx.txn = transactions.current();
            self.ctx.advance();
        }
    }
}

/// The variable that stands for an argument, by name or by place.
fn written<'c>(call: &'c Call, at: usize, name: &str) -> Option<&'c Place> {
    let named = call.args.iter().find(|(own, _)| own.as_deref() == Some(name));
    let found = named.or_else(|| call.args.get(at).filter(|(own, _)| own.is_none()));
    found.and_then(|(_, place)| place.as_ref())
}

fn not_writable(name: &str, at: usize) -> PgError {
    let which = match name {
        "" => format!("{}", at + 1),
        name => format!("\"{name}\""),
    };
    PgError::new(
        SqlState::SYNTAX_ERROR,
        format!(
            "procedure parameter {which} is an output parameter but corresponding argument is not \
             writable"
        ),
    )
}
