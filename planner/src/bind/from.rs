//! FROM.

use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use sqlparser::ast::{self, TableFactor, TableWithJoins};
use vicinity_types::{PgError, Result, SqlState, oid};

use super::function::{Arguments, Resolved, Unresolved};
use super::scope::{Item, Scope, ScopeColumn, column};
use super::table::derived;
use super::{Binder, Bound, fold, name_parts, name_position};
use crate::call::{PgType, internal};
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
            let source = self.table_with_joins(table, left.as_ref())?;
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
                if sample.is_some() {
                    return Err(PgError::unsupported("TABLESAMPLE"));
                }
                let visible = alias.as_ref().map(|a| fold(&a.name));
                let (plan, item) = match self.cte(name, visible.as_deref())? {
                    Some(found) => found,
                    None => self.table(name, visible.as_deref())?,
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
        let columns = bound.columns.clone();
        let (function, args) = self.lateral(bound)?;
        let qualifier = self.unique(visible);
        let names: Vec<String> = (1..=columns.len()).map(|i| format!("c{i}")).collect();
        let call = SetCall { function, args, names: names.clone() };
        let plan = project_set(left.clone(), vec![call], Some(&qualifier), outer, None)?;
        let item = derived(visible, &qualifier, columns, &names);
        Ok(Joined { plan, scope: Scope::of(rename(item, Some(alias))?), lateral: true })
    }

    /// `FROM f(...)`
    fn function_in_from(
        &mut self,
        name: &ast::ObjectName,
        args: &[ast::FunctionArg],
        alias: Option<&ast::TableAlias>,
        ordinality: bool,
        left: Option<&LogicalPlan>,
        outer: bool,
    ) -> Result<Joined> {
        let place = name_position(name);
        let parts = name_parts(name);
        let (schema, function) = match parts.as_slice() {
            [name] => (None, name.clone()),
            [schema, name] | [_, schema, name] => (Some(schema.clone()), name.clone()),
            _ => return Err(PgError::unsupported("this function name").or_at(place)),
        };
        let mut given =
            Arguments { values: Vec::new(), names: Vec::new(), variadic: false, star: false };
        self.argument_list(args, &mut given)?;
        let resolved = match self.resolve(schema.as_deref(), &function, given) {
            Ok(resolved) => resolved,
            Err(Unresolved::Error(e)) => return Err(e.or_at(place)),
            Err(e) => return Err(PgError::from(e).or_at(place)),
        };
        let visible = alias.map_or_else(|| function.clone(), |a| fold(&a.name));
        let uses_left = resolved.args.iter().any(|a| !a.expr.column_refs().is_empty());
        let input = match left {
            Some(left) if uses_left => left.clone(),
            _ => one_row()?,
        };
        let mut columns = self.result_columns(&resolved.target, resolved.ret, &resolved.args);
        if let Some(defined) = self.column_definitions(alias)? {
            columns = defined;
        } else if resolved.ret == oid::RECORD
            && columns.len() == 1
            && columns.first().is_some_and(|(_, ty)| ty.oid == oid::RECORD)
        {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                "a column definition list is required for functions returning \"record\"",
            )
            .or_at(place));
        }
        let scalar = columns.len() == 1 && self.types.fields(resolved.ret).is_none();
        let (plan, mut item) =
            self.function_source(resolved, columns, &visible, input, ordinality, outer)?;
        item.scalar = scalar && !ordinality;
        // an alias names the one column of a function that returns plain values
        if item.scalar
            && let Some(only) = item.columns.first_mut()
        {
            only.name.clone_from(&visible);
        }
        let item = match alias {
            Some(a) if a.columns.iter().all(|c| c.data_type.is_none()) => rename(item, alias)?,
            _ => item,
        };
        Ok(Joined { plan, scope: Scope::of(item), lateral: uses_left && left.is_some() })
    }

    fn function_source(
        &mut self,
        resolved: Resolved,
        columns: Vec<(String, PgType)>,
        visible: &str,
        input: LogicalPlan,
        ordinality: bool,
        outer: bool,
    ) -> Result<(LogicalPlan, Item)> {
        let qualifier = self.unique(visible);
        let single = !resolved.target.returns_set();
        let mut names: Vec<String> = Vec::new();
        for (i, (name, _)) in columns.iter().enumerate() {
            let taken = names.contains(name);
            names.push(if taken { format!("{name}_{i}") } else { name.clone() });
        }
        let args: Vec<Expr> = resolved.args.iter().map(|a| a.expr.clone()).collect();
        let function = if single {
            let call = self.scalar_call(resolved)?;
            let outputs = columns.iter().map(|(_, ty)| *ty).collect();
            crate::single_row::SingleRow::over(&call, outputs)?
        } else {
            self.set_function(&resolved, &columns)?
        };
        let call = SetCall { function, args, names: names.clone() };
        let counter = ordinality.then_some("ordinality");
        let plan = project_set(input, vec![call], Some(&qualifier), outer, counter)?;
        let mut scope: Vec<ScopeColumn> = columns
            .iter()
            .zip(&names)
            .map(|((name, ty), field)| ScopeColumn {
                name: name.clone(),
                expr: column(&qualifier, field),
                ty: *ty,
                table: 0,
                attr: 0,
                hidden: false,
            })
            .collect();
        if ordinality {
            scope.push(ScopeColumn {
                name: "ordinality".to_owned(),
                expr: column(&qualifier, "ordinality"),
                ty: super::table::bigint(),
                table: 0,
                attr: 0,
                hidden: false,
            });
        }
        let item = Item {
            alias: visible.to_owned(),
            schema: None,
            columns: scope,
            row_type: None,
            relation: 0,
            scalar: false,
            nullable: false,
        };
        Ok((plan, item))
    }

    /// `AS t(a int, b text)`
    fn column_definitions(
        &self,
        alias: Option<&ast::TableAlias>,
    ) -> Result<Option<Vec<(String, PgType)>>> {
        let Some(alias) = alias else { return Ok(None) };
        if alias.columns.iter().all(|c| c.data_type.is_none()) {
            return Ok(None);
        }
        let mut columns = Vec::new();
        for column in &alias.columns {
            let ty = column.data_type.as_ref().ok_or_else(|| {
                PgError::new(SqlState::SYNTAX_ERROR, "syntax error in column definition list")
            })?;
            columns.push((fold(&column.name), self.resolve_type(ty)?));
        }
        Ok(Some(columns))
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

/// `AS t(a, b)`: new names for the first columns.
pub(super) fn rename(mut item: Item, alias: Option<&ast::TableAlias>) -> Result<Item> {
    let Some(alias) = alias else { return Ok(item) };
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
        )
        .or_at(super::position(alias.name.span)));
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
