//! Rows as values, and what is known of their fields.
//!
//! `record` says nothing of a row's fields, so they are traced to where the row was made, as
//! PostgreSQL does: to a constructor, a table's whole row, or a function with OUT parameters; through
//! subqueries by remembering what their columns were.

use std::any::Any;
use std::sync::Arc;

use datafusion::logical_expr::{Case, Expr, LogicalPlan};
use vicinity_storage::catalog::model::{Column, RelationKind};
use vicinity_types::record::Record;
use vicinity_types::{Datum, Oid, Result, oid};

use super::Binder;
use super::scope::Item;
use crate::call::{Builtin, Callable, PgType, Typed, Volatility, call_expr, callable_of};
use crate::context::ExecContext;
use crate::resolve::function::Target;
use crate::user_call::UserCall;

/// A row's fields: names and types.
pub(super) type Fields = Vec<(String, PgType)>;

/// Makes a row of its arguments.
#[derive(Debug)]
pub(super) struct RowCtor {
    args: Vec<PgType>,
    ret: PgType,
    names: Option<Arc<[String]>>,
}

impl RowCtor {
    fn field_names(&self) -> impl Iterator<Item = String> {
        let own = |i: usize| self.names.as_ref().and_then(|n| n.get(i)).cloned();
        (0..self.args.len()).map(move |i| own(i).unwrap_or_else(|| format!("f{}", i + 1)))
    }
}

impl Callable for RowCtor {
    fn name(&self) -> &str {
        "row"
    }

    fn ret(&self) -> PgType {
        self.ret
    }

    fn args(&self) -> &[PgType] {
        &self.args
    }

    fn strict(&self) -> bool {
        false
    }

    fn volatility(&self) -> Volatility {
        Volatility::Immutable
    }

    fn call(&self, _: &ExecContext, args: &[Datum]) -> Result<Datum> {
        let fields = self.args.iter().map(|ty| ty.oid).zip(args.iter().cloned()).collect();
        let row = Record::new(self.ret.oid, fields)?.named(self.names.clone());
        Ok(Datum::Record(Arc::new(row)))
    }

    fn identity(&self) -> String {
        format!("row {:?} {:?} {:?}", self.args, self.ret, self.names)
    }

    fn deparse(&self, args: &[String]) -> String {
        format!("ROW({})", args.join(", "))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `ROW(...)`, of type record or a composite type.
pub(super) fn row_ctor(fields: Vec<Typed>, ty: PgType) -> Typed {
    construct(fields, ty, None)
}

/// A row that a query's columns name.
pub(super) fn named_row(fields: Vec<(String, Typed)>, ty: PgType) -> Typed {
    let (names, fields): (Vec<String>, Vec<Typed>) = fields.into_iter().unzip();
    // a composite type has its own names
    let names = (ty.oid == oid::RECORD).then(|| Arc::from(names));
    construct(fields, ty, names)
}

fn construct(fields: Vec<Typed>, ty: PgType, names: Option<Arc<[String]>>) -> Typed {
    let args = fields.iter().map(|f| f.ty).collect();
    let call = RowCtor { args, ret: ty, names };
    Typed::new(call_expr(Arc::new(call), fields.into_iter().map(|f| f.expr).collect()), ty)
}

/// A row of the side of an outer join that may be missing: NULL then. A table's row has a place; of
/// a subquery's nothing but its columns can tell.
pub(super) fn unless_missing(row: Typed, item: &Item) -> Typed {
    let place = item.columns.iter().find(|c| c.hidden && c.name == "ctid");
    let asked: Vec<Expr> = match place {
        Some(ctid) => vec![ctid.expr.clone()],
        None => item.columns.iter().filter(|c| !c.hidden).map(|c| c.expr.clone()).collect(),
    };
    let there = asked.into_iter().map(|c| Expr::IsNotNull(Box::new(c))).collect();
    let there = super::operator::balanced(there, datafusion::logical_expr::Operator::Or);
    let case = Case::new(None, vec![(Box::new(there), Box::new(row.expr))], None);
    Typed::new(Expr::Case(case), row.ty)
}

impl Binder<'_> {
    /// Names and types of a row's fields; empty where nothing is known of them.
    pub(super) fn row_fields(&self, value: &Typed) -> Fields {
        match self.types.fields(value.ty.oid) {
            Some(fields) => fields.into_iter().map(|c| self.field_of(c)).collect(),
            None => self.traced(&value.expr, None).unwrap_or_default(),
        }
    }

    /// A row's fields, each selected from it.
    pub(super) fn spread_row(&mut self, row: &Typed, fields: Fields) -> Vec<(String, Typed)> {
        let mut out = Vec::with_capacity(fields.len());
        for (at, (name, ty)) in fields.into_iter().enumerate() {
            self.note_field(row.ty.oid, at);
            let value = super::special::field_select(row.clone(), at, name.clone(), ty);
            out.push((name, value));
        }
        out
    }

    /// Notes that a field of a composite type is looked at.
    pub(super) fn note_field(&mut self, ty: Oid, at: usize) {
        let relation = self.types.catalog.relation_of_type(self.types.base(ty));
        let composite = relation.filter(|r| matches!(r.kind, RelationKind::Composite(_)));
        if let Some(oid) = composite.map(|r| r.oid)
            && let Ok(number) = i16::try_from(at + 1)
        {
            self.uses.add_column(oid, number);
        }
    }

    fn field_of(&self, column: Column) -> (String, PgType) {
        let ty = self.types.pg(column.type_oid, column.typmod);
        (column.name, ty)
    }

    /// The fields of an anonymous row; `input` is the plan the expression is over, if one is known.
    fn traced(&self, expr: &Expr, input: Option<&LogicalPlan>) -> Option<Fields> {
        match expr {
            Expr::Alias(alias) => self.traced(&alias.expr, input),
            Expr::Case(case) => self.traced(&case.when_then_expr.first()?.1, input),
            Expr::Column(column) => {
                let known = self.rows.get(&column.flat_name()).cloned();
                known.or_else(|| {
                    let input = input?;
                    self.column_fields(input, input.schema().index_of_column(column).ok()?)
                })
            }
            Expr::Placeholder(_) => self.traced(&self.outer_of(expr)?.expr, None),
            other => {
                let (call, _) = callable_of(other)?;
                self.call_fields(&**call)
            }
        }
    }

    fn call_fields(&self, call: &dyn Callable) -> Option<Fields> {
        let any = call.as_any();
        if let Some(row) = any.downcast_ref::<RowCtor>() {
            return Some(row.field_names().zip(call.args().iter().copied()).collect());
        }
        let target = match any.downcast_ref::<UserCall>() {
            Some(user) => Target::User(user.function().clone()),
            None => Target::Builtin(any.downcast_ref::<Builtin>()?.proc()),
        };
        let types: Vec<_> = call.args().iter().map(|ty| ty.oid).collect();
        let columns = self.result_columns(&target, call.ret().oid, &types);
        (columns.len() > 1).then_some(columns)
    }

    /// The fields of a plan's column.
    fn column_fields(&self, plan: &LogicalPlan, index: usize) -> Option<Fields> {
        match plan {
            LogicalPlan::Projection(p) => self.traced(p.expr.get(index)?, Some(&p.input)),
            LogicalPlan::SubqueryAlias(_)
            | LogicalPlan::Filter(_)
            | LogicalPlan::Sort(_)
            | LogicalPlan::Limit(_)
            | LogicalPlan::Distinct(_)
            | LogicalPlan::Union(_) => self.column_fields(plan.inputs().first()?, index),
            _ => {
                let (qualifier, field) = plan.schema().qualified_field(index);
                let column = datafusion::common::Column::from((qualifier, field));
                self.rows.get(&column.flat_name()).cloned()
            }
        }
    }

    /// Remembers the fields of the rows among a subquery's columns.
    pub(super) fn remember_rows(&mut self, plan: &LogicalPlan, item: &Item) {
        for (i, column) in item.columns.iter().enumerate() {
            if column.ty.oid == oid::RECORD
                && let Expr::Column(name) = &column.expr
                && let Some(fields) = self.column_fields(plan, i)
            {
                self.rows.insert(name.flat_name(), fields);
            }
        }
    }
}
