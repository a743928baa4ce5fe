//! Where an INSERT's rows come from, compiled.

use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use vicinity_storage::catalog::model::Relation;
use vicinity_types::{Kind, Result, SqlState};

use super::super::rules::bind_default;
use super::bind::{Bound, BoundSource};
use crate::call::PgType;
use crate::context::ExecContext;
use crate::query::QueryPlan;
use crate::row::{Compiler, Node};
use crate::rows::OutputColumn;

/// Where the rows come from.
pub(super) enum Source {
    /// `VALUES`: for every row, the value of every column that is given one.
    Rows(Vec<Vec<(usize, Node)>>),
    /// Queries, and what their columns become.
    Queries(Vec<(QueryPlan, Vec<(usize, Node)>)>),
}

impl Source {
    /// Whether a few rows come out at once.
    pub(super) fn is_short(&self) -> bool {
        let Source::Rows(rows) = self else { return false };
        rows.len() <= 100 && !rows.iter().flatten().any(|(_, node)| node.runs_statements())
    }
}

/// The rows, the defaults of the columns that are given nothing, and how many values are computed once.
pub(super) type Made = (Source, Vec<(usize, Node)>, usize);

/// Makes them.
pub(super) struct Maker<'a> {
    pub(super) ctx: &'a ExecContext,
    pub(super) relation: &'a Relation,
    pub(super) types: &'a [PgType],
    pub(super) params: &'a [u32],
    pub(super) kinds: &'a [Kind],
}

impl Maker<'_> {
    fn kind(&self, at: usize) -> Kind {
        self.types.get(at).map_or(Kind::Text, |t| t.kind)
    }

    /// Compiles the rows and the defaults of columns without a value.
    pub(super) fn source(&mut self, source: BoundSource) -> Result<Made> {
        let mut compiler = Compiler::new(crate::row::Scope::empty(), self.kinds.to_vec());
        match source {
            BoundSource::Rows(rows) => match self.rows(&mut compiler, &rows) {
                Ok((made, defaults)) => Ok((Source::Rows(made), defaults, compiler.once_cells())),
                Err(e) if e.code() == SqlState::FEATURE_NOT_SUPPORTED => {
                    let one = LogicalPlanBuilder::empty(true).build();
                    self.computed(&one.map_err(crate::call::internal)?, rows)
                }
                Err(e) => Err(e),
            },
            BoundSource::Sets(plan, row) => self.computed(&plan, vec![row]),
            BoundSource::Query(bound, values) => {
                let given: Vec<usize> = values.iter().map(|(at, _)| *at).collect();
                let defaults = self.defaults(&mut compiler, &given)?;
                let schema = bound.plan.schema().clone();
                let columns = schema
                    .iter()
                    .zip(&bound.columns)
                    .map(|((q, f), c)| (q, f.name().as_str(), c.ty.kind));
                compiler.set_scope(crate::row::Scope::values(columns));
                let nodes = values
                    .iter()
                    .map(|(at, v)| Ok((*at, compiler.compile(&v.expr, self.kind(*at))?)))
                    .collect::<Result<Vec<_>>>()?;
                let columns = bound
                    .columns
                    .iter()
                    .map(|c| OutputColumn::computed(c.name.clone(), c.ty))
                    .collect();
                let plan = QueryPlan::new(self.ctx, bound.plan, columns, self.params)?;
                let cells = compiler.once_cells();
                Ok((Source::Queries(vec![(plan, nodes)]), defaults, cells))
            }
        }
    }

    /// Defaults of the columns not in `given`.
    pub(super) fn defaults(
        &self,
        compiler: &mut Compiler,
        given: &[usize],
    ) -> Result<Vec<(usize, Node)>> {
        let mut out = Vec::new();
        for at in 0..self.types.len() {
            if !given.contains(&at)
                && let Some(value) = bind_default(self.ctx, self.relation, at)?
            {
                out.push((at, compiler.compile(&value.expr, self.kind(at))?));
            }
        }
        Ok(out)
    }

    /// Compiles rows of values.
    pub(super) fn rows(
        &self,
        compiler: &mut Compiler,
        rows: &Bound,
    ) -> Result<(Vec<Vec<(usize, Node)>>, Vec<(usize, Node)>)> {
        let given: Vec<usize> =
            rows.first().map_or_else(Vec::new, |r| r.iter().map(|(at, _)| *at).collect());
        let defaults = self.defaults(compiler, &given)?;
        let mut made = Vec::with_capacity(rows.len());
        for row in rows {
            let mut cells = Vec::with_capacity(row.len());
            for (at, value) in row {
                match value {
                    Some(v) => cells.push((*at, compiler.compile(&v.expr, self.kind(*at))?)),
                    None => {
                        if let Some(v) = bind_default(self.ctx, self.relation, *at)? {
                            cells.push((*at, compiler.compile(&v.expr, self.kind(*at))?));
                        }
                    }
                }
            }
            made.push(cells);
        }
        Ok((made, defaults))
    }

    /// Values beyond the row lane (subqueries, sets): a query over `input` gives each row.
    fn computed(&self, input: &LogicalPlan, rows: Bound) -> Result<Made> {
        let mut compiler = Compiler::new(crate::row::Scope::empty(), self.kinds.to_vec());
        let mut queries = Vec::with_capacity(rows.len());
        for row in rows {
            let mut exprs = Vec::new();
            let mut columns = Vec::new();
            let mut given = Vec::new();
            for (at, value) in row {
                let Some(value) = value else { continue };
                let own = format!("v{}", exprs.len());
                columns.push(OutputColumn::computed(own.clone(), value.ty));
                exprs.push(value.expr.alias(own));
                given.push(at);
            }
            let mut nodes = self.defaults(&mut compiler, &given)?;
            nodes.extend(given.iter().enumerate().map(|(i, at)| (*at, Node::Column(i))));
            let plan = LogicalPlanBuilder::from(input.clone())
                .project(exprs)
                .and_then(LogicalPlanBuilder::build)
                .map_err(crate::call::internal)?;
            queries.push((QueryPlan::new(self.ctx, plan, columns, self.params)?, nodes));
        }
        Ok((Source::Queries(queries), Vec::new(), compiler.once_cells()))
    }
}
