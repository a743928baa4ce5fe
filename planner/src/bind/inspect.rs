//! Names and types at a place of a query, for what writes queries back as SQL.

use std::sync::Arc;

use sqlparser::ast::{self, Ident};
use vicinity_storage::catalog::model::Function;
use vicinity_types::Result;

use super::column::lookup;
use super::from_function::CallInFrom;
use super::function::Resolved;
use super::{Binder, Level, Scope, fold};
use crate::call::{PgType, Typed};
use crate::resolve::function::Target;

/// Where a column comes from.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    /// The table's alias.
    pub(crate) table: String,
    /// The column's name in the query.
    pub(crate) column: String,
    /// How many queries up the table is.
    pub(crate) up: usize,
    /// The table, 0 if it is none of the catalog's.
    pub(crate) relation: vicinity_types::Oid,
    /// The column's number there, 0 if it has none.
    pub(crate) attr: i16,
}

impl Binder<'_> {
    /// Goes into a query: its WITH queries are known from here.
    pub(crate) fn enter(&mut self, query: Option<&ast::Query>) -> Result<()> {
        self.levels.push(Level { sets_allowed: true, ..Level::default() });
        match query.and_then(|query| Some((query.with.as_ref()?, query))) {
            Some((with, query)) => self.with(with, query),
            None => Ok(()),
        }
    }

    /// Makes the names of a FROM clause known.
    pub(crate) fn enter_from(&mut self, from: &[ast::TableWithJoins]) -> Result<()> {
        self.level().scope = super::Scope::empty();
        self.from(from).map(drop)
    }

    /// Puts the tables of the query entered last out of sight.
    pub(crate) fn hide_scope(&mut self) -> Scope {
        std::mem::take(&mut self.level().scope)
    }

    /// Has them in sight again.
    pub(crate) fn show_scope(&mut self, scope: Scope) {
        self.level().scope = scope;
    }

    /// Leaves the query entered last.
    pub(crate) fn leave(&mut self) {
        self.levels.pop();
    }

    /// The types of the columns that a body of the query entered last gives.
    pub(crate) fn column_types(&mut self, body: &ast::SetExpr) -> Option<Vec<PgType>> {
        let bound = self.body(body, &[]).ok()?;
        Some(bound.columns.iter().map(|c| c.ty).collect())
    }

    /// An expression of the query entered last, aggregates and all.
    pub(crate) fn value_here(&mut self, expr: &ast::Expr) -> Result<Typed> {
        self.expr(expr)
    }

    /// The table and the column a reference means.
    pub(crate) fn owner(&self, idents: &[Ident]) -> Option<Owner> {
        let parts: Vec<String> = idents.iter().map(fold).collect();
        for (up, level) in self.levels.iter().rev().enumerate() {
            let Some(found) = lookup(&level.scope, &parts).ok()? else { continue };
            let items = &level.scope.items;
            let mut owners = items.iter().filter(|item| {
                item.columns.iter().any(|c| c.expr == found.expr)
                    && (parts.len() == 1 || parts.iter().rev().nth(1) == Some(&item.alias))
            });
            let owner = owners.next()?;
            let alone = items.iter().filter(|i| i.alias == owner.alias).count() == 1;
            let own = owner.columns.iter().find(|c| c.expr == found.expr);
            let attr = own.filter(|c| c.table == owner.relation).map_or(0, |c| c.attr);
            return alone.then(|| Owner {
                table: owner.alias.clone(),
                column: found.name,
                up,
                relation: owner.relation,
                attr,
            });
        }
        None
    }

    /// How many levels up a name is a table's, not a column's: its whole row is meant.
    pub(crate) fn item_level(&self, ident: &Ident) -> Option<usize> {
        let own = fold(ident);
        self.item(std::slice::from_ref(&own))?;
        let mut levels = self.levels.iter().rev();
        levels.position(|level| level.scope.items.iter().any(|i| i.alias == own))
    }

    /// The columns `*` or `t.*` means: the tables' aliases and the columns' names.
    pub(crate) fn star(&self, of: Option<&ast::ObjectName>) -> Option<Vec<(String, String)>> {
        let scope = &self.levels.last()?.scope;
        let columns: Vec<_> = match of {
            None => scope.star().cloned().collect(),
            Some(name) => {
                let (_, item) = self.item(&super::name_parts(name))?;
                item.columns.into_iter().filter(|c| !c.hidden).collect()
            }
        };
        columns
            .into_iter()
            .map(|c| {
                let owns = |i: &&super::Item| i.columns.iter().any(|own| own.expr == c.expr);
                let owner = scope.items.iter().find(owns)?;
                Some((owner.alias.clone(), c.name))
            })
            .collect()
    }

    /// The user's function that a call in FROM means.
    pub(crate) fn function_called(
        &mut self,
        name: &ast::ObjectName,
        args: &[ast::FunctionArg],
    ) -> Option<Arc<Function>> {
        match self.calls_in_from(name, args).ok()?.as_slice() {
            [CallInFrom { resolved: Resolved { target: Target::User(function), .. }, .. }] => {
                Some(function.clone())
            }
            _ => None,
        }
    }

    /// The columns of an item of the FROM clause entered last.
    pub(crate) fn columns_of(&self, alias: &str) -> Option<Vec<String>> {
        let item = self.levels.last()?.scope.items.iter().find(|i| i.alias == alias)?;
        Some(item.columns.iter().filter(|c| !c.hidden).map(|c| c.name.clone()).collect())
    }
}
