//! FROM.

use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use sqlparser::ast::{self, TableFactor, TableWithJoins};
use vicinity_types::{PgError, Result, SqlState};

use super::join::JOIN;
use super::scope::{Item, Scope};
use super::table::derived;
use super::{Binder, Bound, fold};
use crate::call::internal;
use crate::df::{SetCall, project_set};

/// One row of no columns.
pub(super) fn one_row() -> Result<LogicalPlan> {
    LogicalPlanBuilder::empty(true).build().map_err(internal)
}

impl Binder<'_> {
    /// The FROM clause; its names are left in the present level's scope.
    pub(super) fn from(&mut self, tables: &[TableWithJoins]) -> Result<LogicalPlan> {
        let mut plan: Option<LogicalPlan> = None;
        for table in tables {
            let left = plan.take();
            let why = self.level().no_aggregates.replace("FROM clause of their own query level");
            let source = self.table_with_joins(table, left.as_ref());
            self.level().no_aggregates = why;
            let source = source?;
            self.check_aliases(&source.scope)?;
            plan = Some(match left {
                Some(left) if !source.lateral => LogicalPlanBuilder::from(left)
                    .cross_join(source.plan)
                    .and_then(LogicalPlanBuilder::build)
                    .map_err(internal)?,
                _ => source.plan,
            });
            let level = self.level();
            level.scope = Scope::pair(std::mem::take(&mut level.scope), source.scope);
        }
        match plan {
            Some(plan) => Ok(plan),
            None => one_row(),
        }
    }

    pub(super) fn check_aliases(&mut self, new: &Scope) -> Result<()> {
        for item in &new.items {
            let twice = self
                .level()
                .scope
                .items
                .iter()
                .any(|have| have.alias == item.alias && have.schema == item.schema);
            if twice {
                return Err(duplicate(&item.alias));
            }
        }
        Ok(())
    }

    /// A table and what is joined to it. `left` is what stands before it, for lateral references.
    fn table_with_joins(
        &mut self,
        table: &TableWithJoins,
        left: Option<&LogicalPlan>,
    ) -> Result<Joined> {
        let outside = self.level().scope.clone();
        let first = self.factor(&table.relation, left, false)?;
        let mut joined = first;
        for join in &table.joins {
            joined = self.join(joined, join, &outside)?;
        }
        Ok(joined)
    }

    /// One element of FROM. `left` is the plan lateral references run over; `outer` keeps its rows.
    pub(super) fn factor(
        &mut self,
        factor: &TableFactor,
        left: Option<&LogicalPlan>,
        outer: bool,
    ) -> Result<Joined> {
        match factor {
            TableFactor::Table {
                name, alias, args: None, with_ordinality: false, sample, ..
            } => {
                let visible = alias.as_ref().map(|a| fold(&a.name));
                let (plan, item) = match self.cte(name, visible.as_deref())? {
                    Some(found) => found,
                    None => self.table(name, visible.as_deref())?,
                };
                let plan = match sample {
                    Some(sample) => self.sampled(plan, &item, sample)?,
                    None => plan,
                };
                let item = rename(item, alias.as_ref())?;
                Ok(Joined { plan, scope: Scope::of(item), lateral: false })
            }
            TableFactor::Table { name, alias, args: Some(args), with_ordinality, .. } => self
                .function_in_from(name, &args.args, alias.as_ref(), *with_ordinality, left, outer),
            TableFactor::Function { name, args, alias, with_ordinality, .. } => {
                self.function_in_from(name, args, alias.as_ref(), *with_ordinality, left, outer)
            }
            TableFactor::UNNEST { alias, array_exprs, with_ordinality, .. } => {
                let name = ast::ObjectName::from(vec![ast::Ident::new("unnest")]);
                let args: Vec<ast::FunctionArg> = array_exprs
                    .iter()
                    .map(|e| ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(e.clone())))
                    .collect();
                self.function_in_from(&name, &args, alias.as_ref(), *with_ordinality, left, outer)
            }
            TableFactor::Derived { sample: Some(_), .. } => {
                Err(PgError::new(SqlState::SYNTAX_ERROR, "syntax error at or near \"tablesample\""))
            }
            TableFactor::Derived { lateral, subquery, alias, .. } => {
                self.derived(*lateral, subquery, alias.as_ref(), left, outer)
            }
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let inner = self.table_with_joins(table_with_joins, left)?;
                match alias {
                    None => Ok(inner),
                    Some(alias) => {
                        let item = Item {
                            alias: fold(&alias.name),
                            schema: None,
                            columns: inner.scope.columns.clone(),
                            row_type: None,
                            relation: 0,
                            scalar: false,
                            nullable: false,
                        };
                        let item = rename(item, Some(alias))?;
                        Ok(Joined { scope: Scope::of(item), ..inner })
                    }
                }
            }
            _ => Err(PgError::unsupported("this form of FROM")),
        }
    }

    fn derived(
        &mut self,
        lateral: bool,
        query: &ast::Query,
        alias: Option<&ast::TableAlias>,
        left: Option<&LogicalPlan>,
        outer: bool,
    ) -> Result<Joined> {
        let Some(alias) = alias else {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                "subquery in FROM must have an alias",
            )
            .hint("For example, FROM (SELECT ...) [AS] foo.")
            .or_at(super::position(ast::Spanned::span(query))));
        };
        let visible = fold(&alias.name);
        self.passed = self.passed_locks(&visible);
        if !lateral {
            // what stands left of it is out of sight
            let seen = std::mem::take(&mut self.level().scope);
            let bound = self.bind_query(query);
            self.level().scope = seen;
            let (plan, item) = self.named(bound?, &visible)?;
            let item = rename(item, Some(alias))?;
            return Ok(Joined { plan, scope: Scope::of(item), lateral: false });
        }
        let bound = self.bind_query(query)?;
        let Some(left) = left.filter(|_| self.is_correlated(&bound.plan).unwrap_or(true)) else {
            let (plan, item) = self.named(bound, &visible)?;
            let item = rename(item, Some(alias))?;
            return Ok(Joined { plan, scope: Scope::of(item), lateral: false });
        };
        self.lateral_join(bound, &visible, alias, left, outer)
    }

    fn lateral_join(
        &mut self,
        bound: Bound,
        visible: &str,
        alias: &ast::TableAlias,
        left: &LogicalPlan,
        outer: bool,
    ) -> Result<Joined> {
        let (plan, item) = self.run_over(bound, visible, left, outer)?;
        Ok(Joined { plan, scope: Scope::of(rename(item, Some(alias))?), lateral: true })
    }

    /// A query run for each row of a plan.
    fn run_over(
        &mut self,
        bound: Bound,
        visible: &str,
        left: &LogicalPlan,
        outer: bool,
    ) -> Result<(LogicalPlan, Item)> {
        let columns = bound.columns.clone();
        let inner = bound.plan.clone();
        let (function, args) = self.lateral(bound)?;
        let qualifier = self.unique(visible);
        let names: Vec<String> = (1..=columns.len()).map(|i| format!("c{i}")).collect();
        let call = SetCall { function, args, names: names.clone() };
        let plan = project_set(left.clone(), vec![call], Some(&qualifier), outer, None)?;
        let item = derived(visible, &qualifier, columns, &names);
        self.remember_rows(&inner, &item);
        Ok((plan, item))
    }

    /// `LEFT JOIN LATERAL .. ON condition`: the right side keeps the rows that meet the condition
    /// before the left side's rows without any are filled with NULLs.
    pub(super) fn lateral_where(
        &mut self,
        factor: &TableFactor,
        condition: &ast::Expr,
        left: &LogicalPlan,
    ) -> Result<Joined> {
        self.levels.push(super::Level::default());
        let bound = self.where_level(factor, condition);
        self.levels.pop();
        let (bound, alias) = bound?;
        let (plan, item) = self.run_over(bound, &alias, left, true)?;
        Ok(Joined { plan, scope: Scope::of(item), lateral: true })
    }

    fn where_level(
        &mut self,
        factor: &TableFactor,
        condition: &ast::Expr,
    ) -> Result<(Bound, String)> {
        let nothing = one_row()?;
        let source = self.factor(factor, Some(&nothing), false)?;
        let [item] = source.scope.items.as_slice() else {
            return Err(PgError::unsupported("LEFT JOIN LATERAL of a join with a condition"));
        };
        let (columns, alias) = (item.columns.clone(), item.alias.clone());
        self.level().scope = source.scope;
        let place = self.place(condition);
        let test = self.in_clause(JOIN, |me| me.expr(condition))?;
        let test = self.boolean(test, "JOIN/ON", place)?;
        let visible = columns.iter().filter(|c| !c.hidden);
        let exprs: Vec<Expr> = visible
            .clone()
            .enumerate()
            .map(|(i, c)| c.expr.clone().alias(format!("c{i}")))
            .collect();
        let plan = LogicalPlanBuilder::from(source.plan)
            .filter(test.expr)
            .and_then(|b| b.project(exprs))
            .and_then(LogicalPlanBuilder::build)
            .map_err(internal)?;
        let columns = visible
            .map(|c| super::OutputColumn {
                name: c.name.clone(),
                ty: c.ty,
                table: c.table,
                attr: c.attr,
            })
            .collect();
        Ok((Bound { plan, columns }, alias))
    }
}

/// A plan with names; `lateral` if what stood left of it is already in it.
pub(super) struct Joined {
    pub plan: LogicalPlan,
    pub scope: Scope,
    pub lateral: bool,
}

pub(super) fn duplicate(alias: &str) -> PgError {
    PgError::new(
        SqlState::DUPLICATE_ALIAS,
        format!("table name \"{alias}\" specified more than once"),
    )
}

/// sqlparser takes a string for an alias, PostgreSQL does not.
pub(super) fn no_string(alias: &ast::Ident) -> Result<()> {
    if alias.quote_style != Some('\'') {
        return Ok(());
    }
    let text = format!("syntax error at or near \"'{}'\"", alias.value);
    Err(PgError::new(SqlState::SYNTAX_ERROR, text).or_at(super::position(alias.span)))
}

/// `AS t(a, b)`: new names for the first columns.
pub(super) fn rename(mut item: Item, alias: Option<&ast::TableAlias>) -> Result<Item> {
    let Some(alias) = alias else { return Ok(item) };
    no_string(&alias.name)?;
    item.alias = fold(&alias.name);
    item.schema = None;
    let visible = item.columns.iter().filter(|c| !c.hidden).count();
    if alias.columns.len() > visible {
        return Err(PgError::new(
            SqlState::INVALID_COLUMN_REFERENCE,
            format!(
                "table \"{}\" has {visible} columns available but {} columns specified",
                item.alias,
                alias.columns.len()
            ),
        ));
    }
    let mut names = alias.columns.iter();
    for column in item.columns.iter_mut().filter(|c| !c.hidden) {
        match names.next() {
            Some(name) => column.name = fold(&name.name),
            None => break,
        }
    }
    Ok(item)
}
