//! WITH.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use sqlparser::ast::{self, CteAsMaterialized, ObjectName, SetExpr, Visit};
use vicinity_types::{PgError, Result, SqlState};

use super::recursion;
use super::references::{names_itself, references};
use super::scope::{Item, column};
use super::{Binder, Bound, OutputColumn, fold, name_parts};
use crate::call::internal;
use crate::df::VirtualSource;
use crate::exec::dml;
use crate::parts::{self, BoundPart};

/// A named query.
#[derive(Clone, Debug)]
pub(super) struct Cte {
    /// What a recursive query reads of itself.
    pub work: bool,
    /// None for a write that returns no rows.
    pub bound: Option<Bound>,
}

impl Binder<'_> {
    /// Binds the queries of a WITH; `whole` is what has it.
    pub(super) fn with<V: Visit>(&mut self, with: &ast::With, whole: &V) -> Result<()> {
        let references = references(with, whole);
        for (cte, references) in with.cte_tables.iter().zip(references) {
            let name = fold(&cte.alias.name);
            if self.level().ctes.contains_key(&name)
                && with.cte_tables.iter().filter(|c| fold(&c.alias.name) == name).count() > 1
            {
                return Err(PgError::new(
                    SqlState::DUPLICATE_ALIAS,
                    format!("WITH query name \"{name}\" specified more than once"),
                )
                .or_at(super::position(cte.alias.name.span)));
            }
            let recursive = match with.recursive && names_itself(with, cte) {
                true => Some(recursion::terms(cte, &name)?),
                false => None,
            };
            let bound = if is_write(&cte.query) {
                let mut bound = self.write_cte(&name, cte)?;
                if let Some(bound) = &mut bound {
                    rename(&mut bound.columns, &cte.alias)?;
                }
                bound
            } else {
                let mut bound = match recursive {
                    Some((left, right, all)) => self.recursive(&name, cte, left, right, all)?,
                    None => self.bind_query(&cte.query)?,
                };
                rename(&mut bound.columns, &cte.alias)?;
                let keep = match (references, &cte.materialized) {
                    (0, _) => false,
                    // PostgreSQL reads all of them as tables; one that is read once streams as it is.
                    (n, _) if recursive.is_some() => n > 1,
                    (_, Some(CteAsMaterialized::Materialized)) => true,
                    (n, asked) => (n > 1 && asked.is_none()) || super::has_effects(&bound.plan)?,
                };
                Some(if keep { self.kept(&name, bound)? } else { bound })
            };
            self.level().ctes.insert(name, Arc::new(Cte { work: false, bound }));
        }
        Ok(())
    }

    /// A data-modifying WITH query: a part of the statement that runs once; its rows are RETURNING's.
    fn write_cte(&mut self, name: &str, cte: &ast::Cte) -> Result<Option<Bound>> {
        let place = super::position(cte.alias.name.span);
        if matches!(*cte.query.body, SetExpr::Merge(_)) {
            let text = "MERGE not supported in WITH query";
            return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, text).or_at(place));
        }
        if self.levels.len() > 1 || self.ctx.is_none() {
            return Err(PgError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "WITH clause containing a data-modifying statement must be at the top level",
            )
            .or_at(place));
        }
        let Some(ctx) = self.ctx else { return Ok(None) };
        let statement = ast::Statement::Query(cte.query.clone());
        let plan = Arc::new(dml::prepare(ctx, self.part(ctx), &statement)?);
        self.params.adopt(plan.params());
        self.uses.extend(plan.uses());
        let id = parts::new_id();
        self.parts.push((id, BoundPart::Write(plan.clone(), name.to_owned())));
        plan.columns().map(|columns| self.part_scan(id, name, columns.to_vec())).transpose()
    }

    /// A WITH query that is read as a table: its rows are computed once.
    fn kept(&mut self, name: &str, bound: Bound) -> Result<Bound> {
        if !self.keeps_parts || names_outer(&bound.plan)? {
            return Ok(bound);
        }
        let id = parts::new_id();
        let part = BoundPart::Read(bound.plan, bound.columns.clone(), name.to_owned());
        self.parts.push((id, part));
        self.part_scan(id, name, bound.columns)
    }

    /// The rows of a part.
    fn part_scan(
        &mut self,
        id: parts::PartId,
        name: &str,
        columns: Vec<OutputColumn>,
    ) -> Result<Bound> {
        let named: HashSet<&str> = columns.iter().map(|c| c.name.as_str()).collect();
        let distinct = named.len() == columns.len();
        let field = |(i, c): (usize, &OutputColumn)| match distinct {
            true => c.name.clone(),
            false => format!("c{i}"),
        };
        let fields: Vec<String> = columns.iter().enumerate().map(field).collect();
        let typed = fields.iter().cloned().zip(columns.iter().map(|c| c.ty)).collect();
        let qualifier = self.unique(&format!("{name}_part"));
        let plan = crate::df::scan(&qualifier, VirtualSource::of_part(id, name, typed))?;
        let plan = LogicalPlanBuilder::from(plan)
            .project(fields.iter().map(|f| column(&qualifier, f)))
            .and_then(LogicalPlanBuilder::build)
            .map_err(internal)?;
        let columns = columns.into_iter().map(|c| OutputColumn { table: 0, attr: 0, ..c });
        Ok(Bound { plan, columns: columns.collect() })
    }

    /// A WITH query by name, if the name is one.
    pub(super) fn cte(
        &mut self,
        name: &ObjectName,
        alias: Option<&str>,
    ) -> Result<Option<(LogicalPlan, Item)>> {
        let parts = name_parts(name);
        let [bare] = parts.as_slice() else { return Ok(None) };
        let found = self.levels.iter().rev().find_map(|l| l.ctes.get(bare));
        let Some(cte) = found.or_else(|| self.statement.ctes.get(bare)).cloned() else {
            return Ok(None);
        };
        self.level().recursing |= cte.work;
        let bound = cte.bound.clone().ok_or_else(|| {
            PgError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("WITH query \"{bare}\" does not have a RETURNING clause"),
            )
            .or_at(super::name_position(name))
        })?;
        self.named(bound, alias.unwrap_or(bare)).map(Some)
    }
}

pub(super) fn is_write(query: &ast::Query) -> bool {
    matches!(
        *query.body,
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_)
    )
}

/// Whether a plan names columns of a query around it.
fn names_outer(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|e| {
                found |= matches!(e, Expr::Placeholder(p) if p.id.starts_with("$outer"));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })
    .map_err(internal)?;
    Ok(found)
}

pub(super) fn rename(columns: &mut [OutputColumn], alias: &ast::TableAlias) -> Result<()> {
    if alias.columns.len() > columns.len() {
        return Err(PgError::new(
            SqlState::INVALID_COLUMN_REFERENCE,
            format!(
                "WITH query \"{}\" has {} columns available but {} columns specified",
                fold(&alias.name),
                columns.len(),
                alias.columns.len()
            ),
        )
        .or_at(super::position(alias.name.span)));
    }
    for (column, name) in columns.iter_mut().zip(&alias.columns) {
        column.name = fold(&name.name);
    }
    Ok(())
}
