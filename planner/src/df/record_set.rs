//! Documents as rows: `json_to_record` and its kin, whose columns the statement tells.

use std::any::Any;
use std::fmt::{self, Debug};
use std::sync::Arc;

use vicinity_functions::{Proc, Rows, gives_rows, record_rows};
use vicinity_types::io::Field;
use vicinity_types::{Datum, PgError, Result};

use super::set::SetCallable;
use crate::call::{PgType, Volatility};
use crate::context::ExecContext;

/// A call of such a function in FROM.
pub(crate) struct RecordSet {
    proc: &'static Proc,
    args: Vec<PgType>,
    columns: Vec<PgType>,
    fields: Arc<[Field]>,
}

impl RecordSet {
    /// A call that gives these columns; `None` if the function is no such one.
    pub(crate) fn of(
        proc: &'static Proc,
        args: &[PgType],
        columns: &[(String, PgType)],
    ) -> Option<RecordSet> {
        let field = |(name, ty): &(String, PgType)| Field {
            name: name.clone(),
            ty: ty.oid,
            typmod: ty.typmod,
        };
        gives_rows(proc.src).then(|| RecordSet {
            proc,
            args: args.to_vec(),
            columns: columns.iter().map(|(_, ty)| *ty).collect(),
            fields: columns.iter().map(field).collect(),
        })
    }
}

impl Debug for RecordSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.identity())
    }
}

impl SetCallable for RecordSet {
    fn name(&self) -> &str {
        self.proc.name
    }

    fn args(&self) -> &[PgType] {
        &self.args
    }

    fn columns(&self) -> &[PgType] {
        &self.columns
    }

    fn volatility(&self) -> Volatility {
        Volatility::Stable
    }

    fn call(&self, ctx: &ExecContext, args: &[Datum]) -> Result<Rows> {
        if self.proc.strict && args.iter().any(Datum::is_null) {
            let row = (!self.proc.retset).then(|| Ok(vec![Datum::Null; self.columns.len()]));
            return Ok(Box::new(row.into_iter()));
        }
        record_rows(ctx, self.proc.src, &self.fields, args)
            .unwrap_or_else(|| Err(PgError::internal("function gives no rows")))
    }

    fn identity(&self) -> String {
        let names: Vec<&str> = self.fields.iter().map(|f| f.name.as_str()).collect();
        format!("records {} {:?} {:?} {names:?}", self.proc.oid, self.args, self.columns)
    }

    fn source(&self) -> Option<&'static str> {
        Some(self.proc.src)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
