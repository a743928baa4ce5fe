//! One execution of an INSERT: rows are made, checked and put into the table.

use std::cell::OnceCell;

use vicinity_types::{Datum, Result};

use super::super::conflict::Written;
use super::super::layout::{extend, set_xmax};
use super::super::leaf::Leaf;
use super::Insert;
use crate::call::PgType;
use crate::context::ExecContext;
use crate::exec::after::Queue;
use crate::exec::triggers::Stays;
use crate::measure::Meter;
use crate::row::{Frame, Node, RowRef};
use crate::rows::RowSink;

/// Takes a query's rows and inserts them.
pub(in super::super) struct Inserter<'a> {
    insert: &'a Insert,
    ctx: &'a ExecContext,
    params: &'a [Datum],
    once: Vec<OnceCell<Datum>>,
    sink: &'a mut dyn RowSink,
    /// What the running query's columns become.
    pub(super) nodes: &'a [(usize, Node)],
    row: Vec<Datum>,
    values: Vec<Datum>,
    pub(super) count: u64,
    /// Of rows in the way: all, and those that were left as they are.
    pub(super) conflicts: u64,
    pub(super) left: u64,
    /// What the rows leave for the statement's end.
    queue: Queue,
}

impl<'a> Inserter<'a> {
    pub(in super::super) fn new(
        insert: &'a Insert,
        ctx: &'a ExecContext,
        params: &'a [Datum],
        sink: &'a mut dyn RowSink,
        queue: Queue,
    ) -> Inserter<'a> {
        Inserter {
            insert,
            ctx,
            params,
            once: vec![OnceCell::new(); insert.cells],
            sink,
            nodes: &[],
            row: Vec::new(),
            values: Vec::new(),
            count: 0,
            conflicts: 0,
            left: 0,
            queue,
        }
    }

    /// Before the first row.
    pub(in super::super) fn begin(&self) -> Result<()> {
        for t in self.insert.triggers() {
            t.before_statement(self.ctx)?;
        }
        Ok(())
    }

    /// All rows are in. Gives their number, and what is to be done now.
    pub(in super::super) fn finish(mut self) -> Result<(u64, Queue)> {
        for t in self.insert.triggers().rev() {
            t.after_statement(self.ctx, &mut self.queue)?;
        }
        Ok((self.count, self.queue))
    }

    /// Puts a row into the table whose values `set` fills in over the defaults, unless that says
    /// `false`.
    pub(in super::super) fn given(
        &mut self,
        set: impl FnOnce(&mut Vec<Datum>) -> Result<bool>,
    ) -> Result<()> {
        self.defaults(&[], RowRef::None)?;
        if set(&mut self.values)? { self.put() } else { Ok(()) }
    }

    /// Evaluates one row's values over a source row and puts it into the table.
    pub(super) fn one(&mut self, nodes: &[(usize, Node)], source: RowRef<'_>) -> Result<()> {
        self.defaults(nodes, source)?;
        self.put()
    }

    /// The same, for the row that the INSERT's one row of values is over.
    pub(in super::super) fn row_of(&mut self, source: &[Datum]) -> Result<()> {
        match &self.insert.source {
            super::Source::Rows(rows) => {
                rows.iter().try_for_each(|nodes| self.one(nodes, RowRef::Values(source)))
            }
            super::Source::Queries(_) => Ok(()),
        }
    }

    /// The number of rows, and what is to be done when all is over.
    pub(in super::super) fn into_parts(self) -> (u64, Queue) {
        (self.count, self.queue)
    }

    /// The same, its evaluation under a clock.
    pub(super) fn measured(&mut self, nodes: &[(usize, Node)], meter: &mut Meter) -> Result<()> {
        meter.resume();
        self.defaults(nodes, RowRef::None)?;
        meter.pause(true);
        meter.given += 1;
        self.put()
    }

    /// Makes `values` of the defaults and of `nodes` over a source row.
    fn defaults(&mut self, nodes: &[(usize, Node)], source: RowRef<'_>) -> Result<()> {
        let plan = self.insert;
        self.values.clear();
        self.values.resize_with(plan.leaf.rules.types.len(), Datum::default);
        let frame = Frame { ctx: self.ctx, params: self.params, once: &self.once, row: source };
        for (at, node) in plan.defaults.iter().chain(nodes) {
            let value = node.eval(&frame)?;
            if let Some(slot) = self.values.get_mut(*at) {
                *slot = value;
            }
        }
        Ok(())
    }

    /// Puts `values` into the table, into the partition they belong to, or where the view's triggers do.
    fn put(&mut self) -> Result<()> {
        let values = std::mem::take(&mut self.values);
        if self.insert.leaf.table_if_any().is_none() {
            return self.instead(values);
        }
        let Some((router, leaves)) = &self.insert.router else {
            return self.put_in(&self.insert.leaf, values);
        };
        self.insert.leaf.rules.check_partition(self.ctx, &values)?;
        let part = router.find(self.ctx, &values)?;
        let leaf = leaves.get(self.ctx, part)?;
        let values = leaf.map.to_leaf(values, None);
        self.put_in(&leaf, values)
    }

    /// The view's triggers put a row somewhere.
    fn instead(&mut self, values: Vec<Datum>) -> Result<()> {
        let Some(t) = &self.insert.leaf.insert else { return Ok(()) };
        let Some(values) = t.instead(self.ctx, None, Some(values))? else { return Ok(()) };
        self.count += 1;
        if let Some(returning) = &self.insert.returning {
            returning.emit(self.ctx, self.params, &values, self.sink)?;
        }
        self.values = values;
        Ok(())
    }

    fn put_in(&mut self, leaf: &Leaf, mut values: Vec<Datum>) -> Result<()> {
        let plan = self.insert;
        let before = leaf.insert.as_ref().filter(|t| t.has_before_row());
        if let Some(t) = before {
            let (ctx, rules) = (self.ctx, &leaf.rules);
            let stays = |row: &[Datum]| rules.holds(ctx, row);
            // What was never the partition's is told of below.
            let fits = plan.router.is_some() || stays(&values)?;
            let stays: Option<&Stays<'_>> = if fits { Some(&stays) } else { None };
            match t.before_insert(ctx, values, stays)? {
                Some(changed) => values = changed,
                None => return Ok(()),
            }
        }
        leaf.rules.apply(self.ctx, &mut values)?;
        if plan.router.is_none() || before.is_some() {
            leaf.rules.check_partition(self.ctx, &values)?;
        }
        let written = match &plan.conflict {
            None => {
                let table = leaf.table()?;
                let insert = || table.insert(&self.ctx.txn, &values);
                Some(Written { row: leaf.rules.writing(self.ctx, insert)?, old: None })
            }
            Some(conflict) => conflict.run(self.ctx, self.params, leaf, &mut values)?,
        };
        self.conflicts += u64::from(!matches!(written, Some(Written { old: None, .. })));
        self.left += u64::from(written.is_none());
        if let Some(Written { row, old }) = written {
            self.count += 1;
            let triggers = if old.is_some() { &leaf.update } else { &leaf.insert };
            let (keys, old) = (&leaf.rules.keys, old.as_deref());
            self.queue.written(self.ctx, keys, triggers.as_ref(), old, Some(&values))?;
            if plan.router.is_some() {
                let head = if old.is_some() { &plan.leaf.update } else { &plan.leaf.insert };
                leaf.keep(head.as_ref(), old, Some(&values), &mut self.queue);
            }
            if let Some(returning) = &plan.returning {
                values = leaf.map.to_target(values);
                extend(&mut values, row, leaf.rules.relation.oid);
                if old.is_some() {
                    set_xmax(&mut values, self.ctx.txn.xid());
                }
                returning.emit(self.ctx, self.params, &values, self.sink)?;
            }
        }
        self.values = values;
        Ok(())
    }
}

impl RowSink for Inserter<'_> {
    fn begin(&mut self, _columns: usize) {
        self.row.clear();
    }

    fn raw(&mut self, ty: PgType, value: Option<&[u8]>) -> Result<()> {
        self.row.push(match value {
            Some(bytes) => vicinity_types::raw::decode(ty.kind, bytes)?,
            None => Datum::Null,
        });
        Ok(())
    }

    fn datum(&mut self, _ty: PgType, value: Datum) -> Result<()> {
        self.row.push(value);
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let nodes = self.nodes;
        let row = std::mem::take(&mut self.row);
        match &self.ctx.measure {
            // The query that gives the row is not charged with putting it in.
            Some(measure) => measure.aside(|| self.one(nodes, RowRef::Values(&row)))?,
            None => self.one(nodes, RowRef::Values(&row))?,
        }
        self.row = row;
        Ok(())
    }
}
