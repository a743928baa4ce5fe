//! Triggers fire: their functions are called.

use std::sync::Arc;

use vicinity_storage::catalog::model::Language;
use vicinity_types::array::Array;
use vicinity_types::{Datum, PgError, Result, SqlState, oid};

use super::{Armed, Triggers, bits};
use crate::context::ExecContext;
use crate::exec::after::{Due, Queue, Transition, Values};
use crate::plpgsql;

/// `TG_ARGV`: its subscripts begin at 0; NULL without arguments.
pub(super) fn arguments(args: &[String]) -> Datum {
    if args.is_empty() {
        return Datum::Null;
    }
    let mut array = Array::from_datums(oid::TEXT, args.iter().map(Datum::text).collect());
    array.dims.iter_mut().for_each(|d| d.lower = 0);
    Datum::Array(Arc::new(array))
}

/// Whether a row is still one of the partition it was to be written to.
pub(crate) type Stays<'a> = dyn Fn(&[Datum]) -> Result<bool> + 'a;

/// The rows a trigger's function is called with.
#[derive(Clone, Default)]
pub(crate) struct Rows {
    pub(crate) old: Option<Values>,
    pub(crate) new: Option<Values>,
}

/// A call of a trigger's function.
pub(crate) struct Call<'a> {
    pub(crate) triggers: &'a Triggers,
    pub(crate) armed: &'a Armed,
    pub(crate) rows: Rows,
}

impl Call<'_> {
    /// `TG_WHEN`
    pub(crate) fn when(&self) -> &'static str {
        match self.armed.trigger.kind {
            kind if kind & bits::BEFORE != 0 => "BEFORE",
            kind if kind & bits::INSTEAD != 0 => "INSTEAD OF",
            _ => "AFTER",
        }
    }

    /// Whether it is for a row.
    pub(crate) fn for_row(&self) -> bool {
        self.armed.trigger.kind & bits::ROW != 0
    }
}

impl Armed {
    fn function(&self, ctx: &ExecContext) -> Result<&plpgsql::Function> {
        if let Some(function) = self.function.get() {
            return Ok(function);
        }
        let declared = ctx.catalog.function(self.trigger.function).ok_or_else(|| {
            PgError::internal(format!("function of trigger {} is missing", self.trigger.name))
        })?;
        if declared.language != Language::PlPgSql {
            return Err(PgError::unsupported("trigger function in this language"));
        }
        let made = Arc::new(plpgsql::compile(ctx, declared)?);
        Ok(self.function.get_or_init(|| made))
    }

    fn passes(
        &self,
        ctx: &ExecContext,
        triggers: &Triggers,
        old: Option<&[Datum]>,
        new: Option<&[Datum]>,
    ) -> Result<bool> {
        match &self.when {
            None => Ok(true),
            Some(when) => when.passes(ctx, &triggers.shape, old, new),
        }
    }

    /// Calls the function, under a clock where the statement is being measured.
    fn fire(&self, ctx: &ExecContext, triggers: &Triggers, rows: Rows) -> Result<Option<Values>> {
        let call = Call { triggers, armed: self, rows };
        let run = || {
            let declared = ctx.catalog.function(self.trigger.function);
            let _acting = declared.and_then(|f| crate::userfn::acting(ctx, f));
            plpgsql::call_trigger(ctx, self.function(ctx)?, call)
        };
        match &ctx.measure {
            None => run(),
            Some(measure) => {
                measure.trigger(&self.trigger.name, &triggers.shape.relation.name, run)
            }
        }
    }
}

impl Triggers {
    /// Before the statement touches anything.
    pub(crate) fn before_statement(&self, ctx: &ExecContext) -> Result<()> {
        for t in &self.before_statement {
            if t.passes(ctx, self, None, None)? {
                t.fire(ctx, self, Rows::default())?;
            }
        }
        Ok(())
    }

    /// Before a row is written: what to write in its place, `None` to leave it. Triggers that a
    /// partition has of its parent leave the row in it, as far as `stays` can tell.
    pub(crate) fn before_insert(
        &self,
        ctx: &ExecContext,
        new: Values,
        stays: Option<&Stays<'_>>,
    ) -> Result<Option<Values>> {
        self.changed(&self.before_row, ctx, None, new, stays)
    }

    /// The same for a row that takes another one's place.
    pub(crate) fn before_update(
        &self,
        ctx: &ExecContext,
        old: &[Datum],
        new: Values,
    ) -> Result<Option<Values>> {
        self.changed(&self.before_row, ctx, Some(old), new, None)
    }

    /// Before a row goes: whether it may.
    pub(crate) fn before_delete(&self, ctx: &ExecContext, old: &[Datum]) -> Result<bool> {
        self.let_go(&self.before_row, ctx, old)
    }

    /// In place of a write to a view: the row that was written, `None` if none was.
    pub(crate) fn instead(
        &self,
        ctx: &ExecContext,
        old: Option<&[Datum]>,
        new: Option<Values>,
    ) -> Result<Option<Values>> {
        match (old, new) {
            (old, Some(new)) => self.changed(&self.instead, ctx, old, new, None),
            (Some(old), None) => Ok(self.let_go(&self.instead, ctx, old)?.then(|| old.to_vec())),
            (None, None) => Ok(None),
        }
    }

    /// What triggers make of a new row, one after the other; `None` if one of them drops it.
    fn changed(
        &self,
        triggers: &[Armed],
        ctx: &ExecContext,
        old: Option<&[Datum]>,
        mut new: Values,
        stays: Option<&Stays<'_>>,
    ) -> Result<Option<Values>> {
        for t in triggers {
            self.shape.clear_generated(&mut new);
            if !t.passes(ctx, self, old, Some(&new))? {
                continue;
            }
            let rows = Rows { old: old.map(<[Datum]>::to_vec), new: Some(new) };
            match t.fire(ctx, self, rows)? {
                Some(row) => new = row,
                None => return Ok(None),
            }
            if let Some(stays) = stays.filter(|_| t.trigger.parent.is_some())
                && !stays(&new)?
            {
                return Err(self.moved(ctx, t));
            }
        }
        Ok(Some(new))
    }

    #[cold]
    fn moved(&self, ctx: &ExecContext, t: &Armed) -> PgError {
        let text = "moving row to another partition during a BEFORE FOR EACH ROW trigger is not \
                    supported";
        let part = &self.shape.relation;
        let schema = ctx.catalog.schema(part.schema).map_or("", |s| s.name.as_str());
        PgError::new(SqlState::FEATURE_NOT_SUPPORTED, text).detail(format!(
            "Before executing trigger \"{}\", the row was to be in partition \"{schema}.{}\".",
            t.trigger.name, part.name
        ))
    }

    /// Whether triggers let an old row go.
    fn let_go(&self, triggers: &[Armed], ctx: &ExecContext, old: &[Datum]) -> Result<bool> {
        for t in triggers {
            if t.passes(ctx, self, Some(old), None)?
                && t.fire(ctx, self, Rows { old: Some(old.to_vec()), new: None })?.is_none()
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// After a row was written: it waits for the statement's end.
    pub(crate) fn after_row(
        self: &Arc<Self>,
        ctx: &ExecContext,
        old: Option<&[Datum]>,
        new: Option<&[Datum]>,
        queue: &mut Queue,
    ) -> Result<()> {
        queue.keep(self, old, new);
        if self.after_row.is_empty() {
            return Ok(());
        }
        // WHEN is looked at now: rows nobody wants need not wait.
        let mut due = Due::new();
        for (i, t) in self.after_row.iter().enumerate() {
            if t.passes(ctx, self, old, new)? {
                due.push(i);
            }
        }
        if !due.is_empty() {
            let rows = Rows { old: old.map(<[Datum]>::to_vec), new: new.map(<[Datum]>::to_vec) };
            queue.row(self, rows, due);
        }
        Ok(())
    }

    /// After the statement: its triggers wait behind the rows'.
    pub(crate) fn after_statement(
        self: &Arc<Self>,
        ctx: &ExecContext,
        queue: &mut Queue,
    ) -> Result<()> {
        for (i, t) in self.after_statement.iter().enumerate() {
            if t.passes(ctx, self, None, None)? {
                queue.statement(self, i);
            }
        }
        Ok(())
    }

    /// Calls what waited, which may read the rows of its statement.
    pub(crate) fn fire(
        &self,
        ctx: &ExecContext,
        t: &Armed,
        rows: Rows,
        tables: Option<Transition>,
    ) -> Result<()> {
        match tables {
            None => t.fire(ctx, self, rows).map(drop),
            Some(tables) => {
                let transition = Some(Arc::new(tables));
                t.fire(&ExecContext { transition, ..ctx.clone() }, self, rows).map(drop)
            }
        }
    }
}
