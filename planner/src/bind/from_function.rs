//! Functions called in FROM.

use std::sync::Arc;

use datafusion::logical_expr::{Expr, LogicalPlan};
use sqlparser::ast;
use vicinity_types::{PgError, Result, SqlState, oid};

use super::from::{Joined, one_row, rename};
use super::function::{Arguments, Resolved};
use super::place::IN_FROM;
use super::scope::{Item, Scope, ScopeColumn, column};
use super::{Binder, fold, name_parts, name_position};
use crate::call::PgType;
use crate::df::{RecordSet, SetCall, SetCallable, project_set};
use crate::resolve::function::Target;
use crate::sql::from::ROWS_FROM;

impl Binder<'_> {
    /// `FROM f(...)`, `FROM ROWS FROM (f(...), g(...))`
    pub(super) fn function_in_from(
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
        if defined.is_some() {
            let first = alias.and_then(|a| a.columns.first());
            self.check_definitions(name, &calls, ordinality)
                .map_err(|e| e.or_at(first.and_then(|c| super::position(c.name.span))))?;
        }
        for call in &mut calls {
            if let Some(defined) = &defined {
                call.columns.clone_from(defined);
            } else if call.is_undefined() {
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
            } else if resolved.target.returns_set() || tells_columns(&resolved) {
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

    /// Columns are defined for one function only, and where nothing else says what they are.
    fn check_definitions(
        &self,
        name: &ast::ObjectName,
        calls: &[CallInFrom],
        ordinality: bool,
    ) -> Result<()> {
        let wrong = |text: &str| PgError::new(SqlState::SYNTAX_ERROR, text);
        let [call] = calls else {
            let rows_from = name_parts(name).last().is_some_and(|part| part == ROWS_FROM);
            return Err(if rows_from {
                wrong("ROWS FROM() with multiple functions cannot have a column definition list")
                    .hint("Put a separate column definition list for each function inside ROWS FROM().")
            } else {
                wrong("UNNEST() with multiple arguments cannot have a column definition list").hint(
                    "Use separate UNNEST() calls inside ROWS FROM(), and attach a column definition list to each one.",
                )
            });
        };
        if ordinality {
            return Err(wrong("WITH ORDINALITY cannot be used with a column definition list")
                .hint("Put the column definition list inside ROWS FROM()."));
        }
        if call.is_undefined() {
            return Ok(());
        }
        let ret = call.resolved.ret;
        Err(wrong(if ret == oid::RECORD {
            "a column definition list is redundant for a function with OUT parameters"
        } else if self.types.fields(self.types.base(ret)).is_some() {
            "a column definition list is redundant for a function returning a named composite type"
        } else {
            "a column definition list is only allowed for functions returning \"record\""
        }))
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

impl CallInFrom {
    /// Whether it returns rows of which nothing is known.
    fn is_undefined(&self) -> bool {
        let only = |ty: &PgType| ty.oid == oid::RECORD;
        self.resolved.ret == oid::RECORD && matches!(self.columns.as_slice(), [(_, ty)] if only(ty))
    }
}

/// Whether a user's function that gives one row has to be told the columns of it.
fn tells_columns(resolved: &Resolved) -> bool {
    matches!(resolved.target, Target::User(_)) && resolved.ret == oid::RECORD
}
