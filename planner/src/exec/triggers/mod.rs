//! Triggers around writes.
//!
//! A write's plan holds what fires around it, ready to be called ([`Triggers`]): nothing is looked
//! up for a row. What comes after the rows waits in a queue for the statement's end (`exec/after`).

mod fire;
mod when;

use std::cell::OnceCell;
use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use sqlparser::ast::{Expr, Ident, visit_expressions};
use vicinity_storage::catalog::model::{Column, Relation, Trigger};
use vicinity_types::{Datum, Kind, Oid, Result};

use super::after::Values;
use super::dml::{column_type, columns_of, extend};
use super::name;
use crate::call::PgType;
use crate::context::ExecContext;
use crate::plpgsql;
use crate::row::{Compiler, Frame, Node, RowRef};
use crate::sql;

pub(crate) use fire::{Call, Rows, Stays};
use when::{condition, layout as when_layout};
pub(crate) use when::{
    condition_text, layout as condition_layout, shown_condition, written_condition,
};

/// Bits of `pg_trigger.tgtype` beside those of the events.
pub(crate) mod bits {
    /// FOR EACH ROW
    pub(crate) const ROW: i16 = 1;
    /// BEFORE
    pub(crate) const BEFORE: i16 = 2;
    /// INSTEAD OF
    pub(crate) const INSTEAD: i16 = 64;
}

/// What happens to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Insert,
    Update,
    Delete,
    Truncate,
}

impl Event {
    /// Its bit in `pg_trigger.tgtype`.
    pub(crate) fn bit(self) -> i16 {
        match self {
            Event::Insert => 4,
            Event::Delete => 8,
            Event::Update => 16,
            Event::Truncate => 32,
        }
    }

    /// `TG_OP`
    pub(crate) fn name(self) -> &'static str {
        match self {
            Event::Insert => "INSERT",
            Event::Update => "UPDATE",
            Event::Delete => "DELETE",
            Event::Truncate => "TRUNCATE",
        }
    }
}

/// A relation as the functions of its triggers see it.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) relation: Arc<Relation>,
    pub(crate) schema: Datum,
    pub(crate) name: Datum,
    pub(crate) row_type: Oid,
    pub(crate) names: Arc<[String]>,
    pub(crate) types: Arc<[PgType]>,
    /// The places of its columns among all, where some were dropped.
    live: Option<Vec<usize>>,
    /// Where it has generated columns.
    generated: Vec<usize>,
    width: usize,
}

impl Shape {
    fn of(ctx: &ExecContext, relation: &Arc<Relation>) -> Shape {
        let (columns, row_type) = columns_of(relation);
        let live = || columns.iter().filter(|c| !c.dropped);
        let places = || columns.iter().enumerate().filter(|(_, c)| !c.dropped).map(|(i, _)| i);
        let schema = ctx.catalog.schema(relation.schema).map_or("", |s| s.name.as_str());
        Shape {
            relation: relation.clone(),
            schema: Datum::text(schema),
            name: Datum::text(&relation.name),
            row_type,
            names: live().map(|c| c.name.clone()).collect(),
            types: live().map(|c| column_type(&ctx.catalog, c)).collect(),
            live: columns.iter().any(|c| c.dropped).then(|| places().collect()),
            generated: places().filter(|at| is_generated(columns, *at)).collect(),
            width: columns.len(),
        }
    }

    /// The columns that there are.
    pub(crate) fn seen(&self, row: Values) -> Values {
        match &self.live {
            None => row,
            Some(live) => live.iter().map(|at| row.get(*at).cloned().unwrap_or_default()).collect(),
        }
    }

    /// A new row before its generated columns are computed.
    fn clear_generated(&self, row: &mut Values) {
        for at in &self.generated {
            if let Some(value) = row.get_mut(*at) {
                *value = Datum::Null;
            }
        }
    }

    /// All columns again.
    pub(crate) fn stored(&self, seen: Values) -> Values {
        let Some(live) = &self.live else { return seen };
        let mut row = vec![Datum::Null; self.width];
        for (at, value) in live.iter().zip(seen) {
            if let Some(slot) = row.get_mut(*at) {
                *slot = value;
            }
        }
        row
    }
}

fn is_generated(columns: &[Column], at: usize) -> bool {
    columns.get(at).is_some_and(|c| c.generated.is_some())
}

/// The columns an UPDATE changes: those it gives values, and those that are generated from them.
fn changed_columns(
    relation: &Relation,
    assigned: &[usize],
    triggers: &[&Arc<Trigger>],
) -> Result<Vec<usize>> {
    let (columns, _) = columns_of(relation);
    let before = |t: &&Arc<Trigger>| t.kind & bits::ROW != 0 && t.kind & bits::BEFORE != 0;
    // Whatever such a trigger does to a row, all of them are computed again.
    let all = triggers.iter().any(before);
    let mut changed = assigned.to_vec();
    for (at, c) in columns.iter().enumerate() {
        let Some(text) = c.generated.as_ref().filter(|_| !c.dropped) else { continue };
        let from = |own: &Ident| {
            let own = name::ident(own);
            assigned.iter().any(|a| columns.get(*a).is_some_and(|c| c.name == own))
        };
        let found = all
            || visit_expressions(&sql::parse_expression(text)?, |e| match e {
                Expr::Identifier(own) if from(own) => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            })
            .is_break();
        if found {
            changed.push(at);
        }
    }
    Ok(changed)
}

/// A compiled WHEN.
struct Condition {
    node: Node,
    cells: usize,
}

impl Condition {
    /// Whether the trigger fires for a row; a missing one is NULLs.
    fn passes(
        &self,
        ctx: &ExecContext,
        shape: &Shape,
        old: Option<&[Datum]>,
        new: Option<&[Datum]>,
    ) -> Result<bool> {
        let mut both: Values = Vec::with_capacity(2 * shape.width + 12);
        for row in [old, new] {
            match row {
                Some(row) => both.extend_from_slice(row),
                None => both.resize(both.len() + shape.width, Datum::Null),
            }
            extend(&mut both, 0, shape.relation.oid);
        }
        let once = vec![OnceCell::new(); self.cells];
        self.node.passes(&Frame { ctx, params: &[], once: &once, row: RowRef::Values(&both) })
    }
}

/// A trigger ready to be called.
pub(crate) struct Armed {
    pub(crate) trigger: Arc<Trigger>,
    /// `TG_NAME`
    pub(crate) name: Datum,
    /// `TG_ARGV`
    pub(crate) args: Datum,
    when: Option<Condition>,
    /// Compiled when it first fires.
    function: OnceLock<Arc<plpgsql::Function>>,
}

impl Armed {
    fn new(ctx: &ExecContext, relation: &Arc<Relation>, trigger: &Arc<Trigger>) -> Result<Armed> {
        let when = match &trigger.when {
            None => None,
            Some(text) => {
                let bound = condition(ctx, relation, &sql::parse_expression(text)?)?;
                let layout = when_layout(ctx, relation)?;
                let mut compiler = Compiler::new(layout.values(), Vec::new());
                let node = compiler.compile(&bound.expr, Kind::Bool)?;
                Some(Condition { node, cells: compiler.once_cells() })
            }
        };
        Ok(Armed {
            name: Datum::text(&trigger.name),
            args: fire::arguments(&trigger.args),
            trigger: trigger.clone(),
            when,
            function: OnceLock::new(),
        })
    }
}

/// What fires around one kind of write to one relation.
pub(crate) struct Triggers {
    pub(crate) shape: Shape,
    pub(crate) event: Event,
    before_statement: Vec<Armed>,
    before_row: Vec<Armed>,
    instead: Vec<Armed>,
    pub(crate) after_row: Vec<Armed>,
    pub(crate) after_statement: Vec<Armed>,
    /// Whether somebody wants to see all old or new rows at the end.
    pub(crate) keeps_old: bool,
    pub(crate) keeps_new: bool,
}

impl Triggers {
    /// Those there are; `None` if there are none, which is what most tables have. `assigned` are the
    /// columns an UPDATE gives values.
    pub(crate) fn of(
        ctx: &ExecContext,
        relation: &Arc<Relation>,
        event: Event,
        assigned: &[usize],
    ) -> Result<Option<Arc<Triggers>>> {
        let mut all: Vec<&Arc<Trigger>> = ctx
            .catalog
            .triggers_of(relation.oid)
            .filter(|t| matches!(t.enabled, 'O' | 'A') && t.kind & event.bit() != 0)
            .collect();
        if event == Event::Update && all.iter().any(|t| !t.columns.is_empty()) {
            let changed = changed_columns(relation, assigned, &all)?;
            let given = |n: &i16| usize::try_from(*n - 1).is_ok_and(|at| changed.contains(&at));
            all.retain(|t| t.columns.is_empty() || t.columns.iter().any(given));
        }
        if all.is_empty() {
            return Ok(None);
        }
        // They fire in the order of their names.
        all.sort_by(|a, b| a.name.cmp(&b.name));
        let mut made = Triggers {
            shape: Shape::of(ctx, relation),
            event,
            before_statement: Vec::new(),
            before_row: Vec::new(),
            instead: Vec::new(),
            after_row: Vec::new(),
            after_statement: Vec::new(),
            keeps_old: all.iter().any(|t| t.old_table.is_some()),
            keeps_new: all.iter().any(|t| t.new_table.is_some()),
        };
        for t in all {
            let list = match (t.kind & bits::ROW != 0, t.kind & bits::BEFORE != 0) {
                _ if t.kind & bits::INSTEAD != 0 => &mut made.instead,
                (true, true) => &mut made.before_row,
                (true, false) => &mut made.after_row,
                (false, true) => &mut made.before_statement,
                (false, false) => &mut made.after_statement,
            };
            list.push(Armed::new(ctx, relation, t)?);
        }
        Ok(Some(Arc::new(made)))
    }

    /// Whether something fires before each row.
    pub(crate) fn has_before_row(&self) -> bool {
        !self.before_row.is_empty()
    }

    /// Whether all of it may run on a connection's own task (invariant *no-starvation*): bodies
    /// that ran before, and were nothing but a few short statements.
    pub(crate) fn is_short(&self, depth: u32) -> bool {
        let lists = [
            &self.before_statement,
            &self.before_row,
            &self.instead,
            &self.after_row,
            &self.after_statement,
        ];
        let short = |t: &Armed| t.function.get().is_some_and(|f| f.is_short(depth));
        lists.into_iter().flatten().all(short)
    }
}
