//! What EXPLAIN shows of a write.

use std::sync::Arc;

use datafusion::logical_expr::Expr;
use vicinity_storage::catalog::model::Relation;
use vicinity_types::{Datum, Oid, Result};

use super::layout::columns;
use super::rules::{Rules, bind_default};
use super::{DmlPlan, Kind};
use crate::call::{Typed, literal};
use crate::context::ExecContext;
use crate::measure::{Place, new_number};
use crate::query::QueryPlan;

/// What a write keeps to be shown: its expressions, compiled elsewhere.
pub(super) struct Shown {
    /// Where its figures stand.
    pub(super) place: Place,
    /// The target's alias.
    pub(super) alias: Option<String>,
    /// Rows of VALUES.
    pub(super) rows: usize,
    /// Columns that a query's columns go to.
    pub(super) columns: Vec<usize>,
    /// Columns and what they are given: of one row of VALUES, or of an UPDATE.
    pub(super) given: Vec<(usize, Typed)>,
}

impl Shown {
    pub(super) fn new(alias: Option<String>) -> Shown {
        Shown {
            place: Place::root(new_number()),
            alias,
            rows: 0,
            columns: Vec::new(),
            given: Vec::new(),
        }
    }

    /// The rows of VALUES; `None` is a default.
    #[must_use]
    pub(super) fn of_rows(self, rows: &[Vec<(usize, Option<Typed>)>]) -> Shown {
        let column = |i: usize| {
            datafusion::common::Column::new(Some("*VALUES*"), format!("column{}", i + 1))
        };
        let cells = rows.first().into_iter().flatten().enumerate();
        let given = cells.filter_map(|(i, (at, value))| match value {
            // PostgreSQL scans several rows and computes one.
            Some(v) if rows.len() > 1 => Some((*at, Typed::new(Expr::Column(column(i)), v.ty))),
            Some(v) => Some((*at, v.clone())),
            None => None,
        });
        Shown { rows: rows.len(), given: given.collect(), ..self }
    }
}

/// Where a write's rows come from.
pub(crate) enum Source<'p> {
    /// So many rows of expressions.
    Rows(usize),
    /// Queries, one after the other.
    Queries(Vec<&'p QueryPlan>),
}

/// ON CONFLICT.
pub(crate) struct ConflictShown<'p> {
    /// DO UPDATE.
    pub(crate) update: bool,
    /// The unique indexes it is about; none for any.
    pub(crate) arbiters: &'p [Oid],
    /// The condition of DO UPDATE.
    pub(crate) condition: Option<&'p Expr>,
}

/// A write, described.
pub(crate) struct Description<'p> {
    /// `Insert`, `Update`, `Delete` or `Merge`.
    pub(crate) operation: &'static str,
    pub(crate) relation: &'p Arc<Relation>,
    pub(crate) alias: Option<&'p str>,
    pub(crate) place: Place,
    pub(crate) source: Source<'p>,
    /// Columns that a query's columns go to.
    columns: &'p [usize],
    /// What columns are given.
    pub(crate) given: &'p [(usize, Typed)],
    pub(crate) returning: &'p [Expr],
    pub(crate) conflict: Option<ConflictShown<'p>>,
    /// The cursor of WHERE CURRENT OF.
    pub(crate) cursor: Option<&'p str>,
    rules: &'p Rules,
}

impl DmlPlan {
    /// What EXPLAIN shows.
    pub(crate) fn describe(&self) -> Description<'_> {
        let shown = match &self.kind {
            Kind::Insert(i) => &i.shown,
            Kind::Change(c) => c.shown(),
            Kind::Merge(m) => m.shown(),
        };
        let (operation, rules, source, returning, conflict) = match &self.kind {
            Kind::Insert(i) => {
                let queries = i.plans();
                let source = match shown.rows {
                    0 => Source::Queries(queries),
                    // rows beyond the row lane are queries of one row each
                    n if queries.is_empty() => Source::Rows(n),
                    _ => Source::Queries(queries),
                };
                ("Insert", &i.leaf.rules, source, i.returned(), i.on_conflict())
            }
            Kind::Change(c) => {
                let operation = if c.name() == "DELETE" { "Delete" } else { "Update" };
                (operation, c.rules(), Source::Queries(vec![c.plan()]), c.returned(), None)
            }
            Kind::Merge(m) => ("Merge", m.rules(), Source::Queries(vec![m.plan()]), &[][..], None),
        };
        Description {
            operation,
            relation: &rules.relation,
            alias: shown.alias.as_deref(),
            place: shown.place,
            source,
            columns: &shown.columns,
            given: &shown.given,
            returning,
            conflict,
            cursor: match &self.kind {
                Kind::Change(c) => c.cursor_name(),
                _ => None,
            },
            rules,
        }
    }
}

/// What a column of an inserted row is computed from.
pub(crate) enum Cell {
    /// A column of the query.
    Query(usize),
    /// An expression.
    Value(Typed),
}

impl Description<'_> {
    /// What every column of an inserted row is computed from.
    pub(crate) fn row(&self, ctx: &ExecContext) -> Result<Vec<Cell>> {
        let live = columns(self.relation).iter().zip(&self.rules.types).enumerate();
        let live = live.filter(|(_, (column, _))| !column.dropped);
        live.map(|(at, (_, ty))| {
            if let Some(column) = self.columns.iter().position(|c| *c == at) {
                return Ok(Cell::Query(column));
            }
            let given = self.given.iter().find(|(g, _)| *g == at).map(|(_, v)| v.clone());
            Ok(Cell::Value(match given {
                Some(value) => value,
                None => match bind_default(ctx, self.relation, at)? {
                    Some(value) => value,
                    None => Typed::new(literal(&Datum::Null, *ty)?, *ty),
                },
            }))
        })
        .collect()
    }
}
