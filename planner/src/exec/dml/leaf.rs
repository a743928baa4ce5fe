//! The tables a write's rows are really in: the target itself, a partition of it, a table that
//! inherits from it.

use std::borrow::Cow;
use std::sync::Arc;

use vicinity_storage::Table;
use vicinity_storage::catalog::model::Relation;
use vicinity_types::{Datum, PgError, Result, SqlState};

use super::layout::{Layout, extend, table_def};
use super::rules::{RowExpr, Rules, binder};
use super::target::table_of;
use crate::bind::Place;
use crate::context::ExecContext;
use crate::exec::after::Queue;
use crate::exec::triggers::{Event, Triggers};
use crate::partition::{self, Bounds};
use crate::sql;

/// Where a table's columns are in the row of another one that has the same, by their names.
#[derive(Default)]
pub(super) struct Map {
    /// For each column of the leaf its place in the target's row; `None` if the rows are alike.
    places: Option<Vec<Option<usize>>>,
    /// Columns of the target, dropped ones included.
    width: usize,
}

impl Map {
    fn of(target: &Relation, leaf: &Relation) -> Result<Map> {
        let (whole, own) = (&table_def(target)?.columns, &table_def(leaf)?.columns);
        let width = whole.len();
        let place = |name: &str| whole.iter().position(|c| !c.dropped && c.name == name);
        let places: Vec<Option<usize>> =
            own.iter().map(|c| if c.dropped { None } else { place(&c.name) }).collect();
        let alike = own.len() == width
            && places.iter().zip(own).enumerate().all(|(i, (p, c))| c.dropped || *p == Some(i));
        Ok(Map { places: (!alike).then_some(places), width })
    }

    /// A row of the target as the leaf has it; columns it alone has are taken from `old`.
    pub(super) fn to_leaf(&self, row: Vec<Datum>, old: Option<&[Datum]>) -> Vec<Datum> {
        let Some(places) = &self.places else { return row };
        let value = |(i, place): (usize, &Option<usize>)| match place {
            Some(at) => row.get(*at).cloned(),
            None => old.and_then(|old| old.get(i)).cloned(),
        };
        places.iter().enumerate().map(|p| value(p).unwrap_or_default()).collect()
    }

    /// A row of the leaf as the target has it.
    pub(super) fn to_target(&self, row: Vec<Datum>) -> Vec<Datum> {
        if self.places.is_none() { row } else { self.target_of(&row).into_owned() }
    }

    /// The same, of a row that stays.
    pub(super) fn target_of<'r>(&self, row: &'r [Datum]) -> Cow<'r, [Datum]> {
        let Some(places) = &self.places else { return Cow::Borrowed(row) };
        let mut out = vec![Datum::Null; self.width];
        for (place, value) in places.iter().zip(row) {
            if let Some(slot) = place.and_then(|at| out.get_mut(at)) {
                *slot = value.clone();
            }
        }
        Cow::Owned(out)
    }
}

/// A table that rows are in.
pub(super) struct Leaf {
    pub(super) rules: Rules,
    /// Where the rows are; a view has none.
    table: Option<Arc<Table>>,
    /// What fires for its rows.
    pub(super) insert: Option<Arc<Triggers>>,
    pub(super) update: Option<Arc<Triggers>>,
    pub(super) delete: Option<Arc<Triggers>>,
    pub(super) map: Map,
}

impl Leaf {
    /// A table below `target`; `assigned` are the columns of the target an UPDATE gives values.
    pub(super) fn new(
        ctx: &ExecContext,
        target: &Relation,
        relation: &Arc<Relation>,
        assigned: &[usize],
    ) -> Result<Leaf> {
        let map = Map::of(target, relation)?;
        let own: Vec<usize> = match &map.places {
            None => assigned.to_vec(),
            Some(places) => {
                let given = |p: &Option<usize>| p.is_some_and(|at| assigned.contains(&at));
                places.iter().enumerate().filter(|(_, p)| given(p)).map(|(i, _)| i).collect()
            }
        };
        Ok(Leaf { map, ..Leaf::over(ctx, Rules::new(ctx, relation)?, &own)? })
    }

    /// Where the rows are; `None` behind a view.
    pub(super) fn table_if_any(&self) -> Option<&Table> {
        self.table.as_deref()
    }

    /// Where the rows are.
    pub(super) fn table(&self) -> Result<&Table> {
        self.table_if_any().ok_or_else(|| PgError::internal("a view has no rows of its own"))
    }

    /// Notes a row for the transition tables of the table that was written to, whose triggers these are.
    pub(super) fn keep(
        &self,
        head: Option<&Arc<Triggers>>,
        old: Option<&[Datum]>,
        new: Option<&[Datum]>,
        queue: &mut Queue,
    ) {
        if let Some(head) = head.filter(|t| t.keeps_old || t.keeps_new) {
            let (old, new) =
                (old.map(|r| self.map.target_of(r)), new.map(|r| self.map.target_of(r)));
            queue.keep(head, old.as_deref(), new.as_deref());
        }
    }

    /// The target itself.
    pub(super) fn over(ctx: &ExecContext, rules: Rules, assigned: &[usize]) -> Result<Leaf> {
        let relation = &rules.relation;
        Ok(Leaf {
            table: table_of(ctx, relation)?,
            insert: Triggers::of(ctx, relation, Event::Insert, &[])?,
            update: Triggers::of(ctx, relation, Event::Update, assigned)?,
            delete: Triggers::of(ctx, relation, Event::Delete, &[])?,
            map: Map::default(),
            rules,
        })
    }
}

enum KeyPart {
    Column(usize),
    Expression(RowExpr),
}

/// A partitioned table's key over the rows of one of its family, and where it leads.
pub(crate) struct Level {
    pub(super) relation: Arc<Relation>,
    bounds: Arc<Bounds>,
    key: Vec<KeyPart>,
}

impl Level {
    /// The partition key of `partitioned`, over rows of `rows`.
    pub(crate) fn new(
        ctx: &ExecContext,
        partitioned: &Arc<Relation>,
        rows: &Arc<Relation>,
    ) -> Result<Level> {
        let def = table_def(partitioned)?;
        let by = def.partitioning.as_ref();
        let by = by.ok_or_else(|| PgError::internal("table is not partitioned"))?;
        let columns = &table_def(rows)?.columns;
        let place = |number: i16| {
            let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
            let own = def.columns.get(at);
            own.and_then(|own| columns.iter().position(|c| !c.dropped && c.name == own.name))
        };
        let mut key = Vec::with_capacity(by.keys.len());
        for k in &by.keys {
            key.push(match &k.expr {
                None => KeyPart::Column(place(k.column).unwrap_or(usize::MAX)),
                Some(e) => {
                    let layout = Layout::of_table(&ctx.catalog, rows, None)?;
                    let expr = sql::parse_expression(&e.sql)?;
                    let value = binder(ctx).expr_at(&expr, layout.scope(), Place::PartitionKey)?;
                    let kind = ctx.catalog.kind_of(e.type_oid);
                    KeyPart::Expression(RowExpr::compile(&value, kind, Some(&layout))?)
                }
            });
        }
        let bounds = partition::bounds(&ctx.engine, &ctx.catalog, partitioned)?;
        Ok(Level { relation: partitioned.clone(), bounds, key })
    }

    /// The key of a row.
    pub(crate) fn key_of(&self, ctx: &ExecContext, row: &[Datum]) -> Result<Vec<Datum>> {
        let part = |part: &KeyPart| match part {
            KeyPart::Column(at) => Ok(row.get(*at).cloned().unwrap_or_default()),
            KeyPart::Expression(e) => {
                let mut row = row.to_vec();
                extend(&mut row, 0, self.relation.oid);
                e.eval(ctx, &row)
            }
        };
        self.key.iter().map(part).collect()
    }

    /// The partition a row belongs to.
    pub(crate) fn find(&self, ctx: &ExecContext, row: &[Datum]) -> Result<Option<u32>> {
        self.bounds.find(ctx, &self.key_of(ctx, row)?)
    }

    #[cold]
    pub(super) fn no_partition(&self, ctx: &ExecContext, row: &[Datum]) -> PgError {
        let own = &self.relation.name;
        let error = PgError::new(
            SqlState::CHECK_VIOLATION,
            format!("no partition of relation \"{own}\" found for row"),
        );
        let mut error = match self.key_of(ctx, row) {
            Ok(key) => {
                let shown = partition::show::key_values(ctx, &self.relation, &key);
                error.detail(format!("Partition key of the failing row contains {shown}."))
            }
            Err(_) => error,
        };
        let report = error.report_mut();
        report.schema = ctx.catalog.schema(self.relation.schema).map(|s| s.name.clone());
        report.table = Some(own.clone());
        error
    }
}
