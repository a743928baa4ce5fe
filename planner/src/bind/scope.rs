//! What names mean at a place of a query.

use datafusion::common::{Column, TableReference};
use datafusion::logical_expr::Expr;
use vicinity_types::Oid;

use crate::call::{PgType, Typed};

/// A column that can be named.
#[derive(Clone, Debug)]
pub struct ScopeColumn {
    /// Its visible name.
    pub name: String,
    /// What reads it.
    pub expr: Expr,
    /// Its type.
    pub ty: PgType,
    /// The relation it comes from, 0 if computed.
    pub table: Oid,
    /// Its number there.
    pub attr: i16,
    /// System columns: named only, never in `*`.
    pub hidden: bool,
}

impl ScopeColumn {
    /// The value.
    pub fn typed(&self) -> Typed {
        Typed::new(self.expr.clone(), self.ty)
    }
}

/// A table, subquery, function or join with a name.
#[derive(Clone, Debug)]
pub struct Item {
    /// The name that qualifies its columns.
    pub alias: String,
    /// The schema that may qualify the name, for a table without alias.
    pub schema: Option<String>,
    /// Its columns, system columns last.
    pub columns: Vec<ScopeColumn>,
    /// The type of its rows, if they have a named one.
    pub row_type: Option<Oid>,
    /// The relation, 0 if none.
    pub relation: Oid,
    /// A function that returns one plain value: its name alone means that value.
    pub scalar: bool,
    /// On the side of an outer join that may be missing.
    pub nullable: bool,
}

/// The names of a FROM clause.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// What can qualify a name.
    pub items: Vec<Item>,
    /// What an unqualified name can mean, in the order of `*`.
    pub columns: Vec<ScopeColumn>,
}

/// A column of a plan.
pub(super) fn column(qualifier: &str, name: &str) -> Expr {
    Expr::Column(Column::new(Some(TableReference::bare(qualifier)), name))
}

impl Scope {
    /// No names at all.
    pub fn empty() -> Scope {
        Scope::default()
    }

    /// The names of one item.
    pub fn of(item: Item) -> Scope {
        Scope { columns: item.columns.clone(), items: vec![item] }
    }

    /// Two scopes side by side, as FROM's comma has them: a table and `excluded`, for example.
    pub fn pair(left: Scope, right: Scope) -> Scope {
        let mut both = left;
        both.items.extend(right.items);
        both.columns.extend(right.columns);
        both
    }

    /// The columns of `*`.
    pub fn star(&self) -> impl Iterator<Item = &ScopeColumn> {
        self.columns.iter().filter(|c| !c.hidden)
    }
}
