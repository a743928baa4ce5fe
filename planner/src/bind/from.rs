//! FROM.

use std::sync::Arc;

use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use sqlparser::ast::{self, TableFactor, TableWithJoins};
use vicinity_types::{PgError, Result, SqlState, oid};

use super::function::{Arguments, Resolved};
use super::join::JOIN;
use super::place::IN_FROM;
use super::scope::{Item, Scope, ScopeColumn, column};
use super::table::derived;
use super::{Binder, Bound, fold, name_parts, name_position};
use crate::call::{PgType, internal};
use crate::df::{RecordSet, SetCall, SetCallable, project_set};
use crate::resolve::function::Target;
use crate::sql::from::ROWS_FROM;

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

    /// `FROM f(...)`, `FROM ROWS FROM (f(...), g(...))`
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
        let mut calls = self.calls_in_from(name, args).map_err(|e| e.or_at(place))?;
        let visible = match (alias, calls.as_slice()) {
            (Some(alias), _) => fold(&alias.name),
            (None, [call, ..]) => call.name.clone(),
            (None, []) => return Err(PgError::internal("no function in FROM")),
        };
        let mut arguments = calls.iter().flat_map(|c| &c.resolved.args);
        let uses_left = arguments.any(|a| !a.expr.column_refs().is_empty());
        let input = match left {
            Some(left) if uses_left => left.clone(),
            _ => one_row()?,
        };
        let defined = self.column_definitions(alias)?;
        for call in &mut calls {
            if let Some(defined) = &defined {
                call.columns.clone_from(defined);
            } else if call.resolved.ret == oid::RECORD
                && let [(_, only)] = call.columns.as_slice()
                && only.oid == oid::RECORD
            {
                return Err(PgError::new(
                    SqlState::SYNTAX_ERROR,
                    "a column definition list is required for functions returning \"record\"",
                )
                .or_at(place));
            }
        }
        let (scalar, named) = match calls.as_slice() {
            [one] => (
                one.columns.len() == 1 && self.types.fields(one.resolved.ret).is_none(),
                one.resolved.target.names_its_result(),
            ),
            _ => (false, false),
        };
        let (plan, mut item) = self.function_source(calls, &visible, input, ordinality, outer)?;
        // a list of columns names them all
        let scalar = scalar && defined.is_none();
        item.scalar = scalar && !ordinality;
        // an alias names the one column of a function that returns plain values, unless the function
        // does
        if scalar
            && !named
            && let Some(only) = item.columns.first_mut()
        {
            only.name.clone_from(&visible);
        }
        let item = match alias {
            Some(_) if defined.is_none() => rename(item, alias)?,
            _ => item,
        };
        Ok(Joined { plan, scope: Scope::of(item), lateral: uses_left && left.is_some() })
    }

    /// The calls an element of FROM makes: several for ROWS FROM, and for `unnest` of several arrays.
    pub(super) fn calls_in_from(
        &mut self,
        name: &ast::ObjectName,
        args: &[ast::FunctionArg],
    ) -> Result<Vec<CallInFrom>> {
        let parts = name_parts(name);
        let (schema, function) = match parts.as_slice() {
            [name] => (None, name.as_str()),
            [schema, name] | [_, schema, name] => (Some(schema.as_str()), name.as_str()),
            _ => return Err(PgError::unsupported("this function name")),
        };
        if function == ROWS_FROM {
            let mut calls = Vec::new();
            for arg in args {
                let ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(ast::Expr::Function(f))) =
                    arg
                else {
                    return Err(PgError::unsupported("this form of ROWS FROM"));
                };
                let ast::FunctionArguments::List(list) = &f.args else {
                    return Err(PgError::unsupported("this form of ROWS FROM"));
                };
                calls.extend(self.calls_in_from(&f.name, &list.args)?);
            }
            return Ok(calls);
        }
        let one_by_one = function == "unnest" && schema.is_none_or(|s| s == "pg_catalog");
        let lists: Vec<&[ast::FunctionArg]> =
            if one_by_one { args.chunks(1).collect() } else { vec![args] };
        lists.into_iter().map(|args| self.call_in_from(schema, function, args)).collect()
    }

    fn call_in_from(
        &mut self,
        schema: Option<&str>,
        name: &str,
        args: &[ast::FunctionArg],
    ) -> Result<CallInFrom> {
        let mut given = Arguments::plain(Vec::new());
        self.in_clause(IN_FROM, |me| me.argument_list(args, &mut given))?;
        let resolved = self.resolve(schema, name, given.without_outs())?;
        let types: Vec<_> = resolved.args.iter().map(|a| a.ty.oid).collect();
        let columns = self.result_columns(&resolved.target, resolved.ret, &types);
        Ok(CallInFrom { name: name.to_owned(), resolved, columns })
    }

    fn function_source(
        &mut self,
        calls: Vec<CallInFrom>,
        visible: &str,
        input: LogicalPlan,
        ordinality: bool,
        outer: bool,
    ) -> Result<(LogicalPlan, Item)> {
        let qualifier = self.unique(visible);
        let mut fields: Vec<String> = Vec::new();
        let mut scope: Vec<ScopeColumn> = Vec::new();
        let mut set_calls = Vec::new();
        let mut add = |name: &str, ty: PgType| {
            let taken = fields.iter().any(|f| f == name);
            let field = if taken { format!("{name}_{}", fields.len()) } else { name.to_owned() };
            scope.push(ScopeColumn {
                name: name.to_owned(),
                expr: column(&qualifier, &field),
                ty,
                table: 0,
                attr: 0,
                hidden: false,
            });
            fields.push(field.clone());
            field
        };
        let row_type = match calls.as_slice() {
            [one] if !ordinality => Some(self.types.base(one.resolved.ret)),
            _ => None,
        }
        .filter(|ty| self.types.fields(*ty).is_some());
        for CallInFrom { resolved, columns, .. } in calls {
            let names = columns.iter().map(|(name, ty)| add(name, *ty)).collect();
            let args: Vec<Expr> = resolved.args.iter().map(|a| a.expr.clone()).collect();
            let types: Vec<PgType> = resolved.args.iter().map(|a| a.ty).collect();
            let records = match &resolved.target {
                Target::Builtin(proc) => RecordSet::of(proc, &types, &columns),
                Target::User(_) => None,
            };
            let function: Arc<dyn SetCallable> = if let Some(records) = records {
                Arc::new(records)
            } else if resolved.target.returns_set() {
                self.set_function(&resolved, &columns)?
            } else {
                let call = self.scalar_call(resolved)?;
                let outputs = columns.iter().map(|(_, ty)| *ty).collect();
                crate::single_row::SingleRow::over(&call, outputs)?
            };
            set_calls.push(SetCall { function, args, names });
        }
        let counter = ordinality.then(|| add("ordinality", super::table::bigint()));
        let plan = project_set(input, set_calls, Some(&qualifier), outer, counter.as_deref())?;
        let item = Item {
            alias: visible.to_owned(),
            schema: None,
            columns: scope,
            row_type,
            relation: 0,
            scalar: false,
            nullable: false,
        };
        Ok((plan, item))
    }

    /// `AS t(a int, b text)`
    fn column_definitions(
        &mut self,
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
            columns.push((fold(&column.name), self.named_type(ty)?));
        }
        Ok(Some(columns))
    }
}

/// A function called in FROM, and the columns it gives.
pub(super) struct CallInFrom {
    name: String,
    pub(super) resolved: Resolved,
    columns: Vec<(String, PgType)>,
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
