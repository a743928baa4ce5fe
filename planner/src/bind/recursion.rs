//! Where a query of WITH RECURSIVE may name itself: once, in the second part of a UNION, and where no
//! row of it can be missed or made up (not in subqueries, nor the nullable side of an outer join).

use std::ops::ControlFlow;

use sqlparser::ast::{
    self, JoinOperator, LimitClause, OrderByKind, SetExpr, SetOperator, SetQuantifier, Spanned,
    TableFactor, Visit, Visitor,
};
use vicinity_types::{PgError, Result, SqlState};

use super::{fold, name_parts, name_position, position};

/// The two terms of a recursive query, and whether all rows of theirs count.
pub(super) type Terms<'c> = (&'c SetExpr, &'c SetExpr, bool);

/// The terms of a query that names itself; an error unless it has PostgreSQL's form.
pub(super) fn terms<'c>(cte: &'c ast::Cte, name: &str) -> Result<Terms<'c>> {
    let refuse = |what: &str| {
        PgError::new(SqlState::INVALID_RECURSION, format!("recursive query \"{name}\" {what}"))
            .or_at(position(cte.alias.name.span))
    };
    let mut query = &*cte.query;
    // Parentheses around all of it say nothing.
    while let SetExpr::Query(inner) = &*query.body
        && query.with.is_none()
        && plain(query).is_ok()
    {
        query = inner;
    }
    if super::cte::is_write(query) {
        return Err(refuse("must not contain data-modifying statements"));
    }
    let SetExpr::SetOperation { op: SetOperator::Union, set_quantifier, left, right } =
        &*query.body
    else {
        return Err(refuse("does not have the form non-recursive-term UNION [ALL] recursive-term"));
    };
    let mut walker = Walker { name, place: Place::First, hidden: 0, found: 0 };
    walker.set(left)?;
    walker.at(Place::Anywhere, |w| w.set(right))?;
    walker.at(Place::Subquery, |w| w.with(query.with.as_ref()))?;
    plain(query)?;
    Ok((left, right, *set_quantifier == SetQuantifier::All))
}

/// What stands behind the UNION would need all of its rows.
fn plain(query: &ast::Query) -> Result<()> {
    let refuse = |what: &str, place: Option<usize>| {
        let text = format!("{what} in a recursive query is not implemented");
        Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, text).or_at(place))
    };
    if let Some(order) = &query.order_by {
        let first = match &order.kind {
            OrderByKind::Expressions(list) => list.first(),
            OrderByKind::All(_) => None,
        };
        return refuse("ORDER BY", first.and_then(|o| position(o.expr.span())));
    }
    if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &query.limit_clause {
        if let Some(offset) = offset {
            return refuse("OFFSET", position(offset.value.span()));
        }
        if let Some(limit) = limit {
            return refuse("LIMIT", position(limit.span()));
        }
    }
    if query.fetch.is_some() {
        return refuse("LIMIT", None);
    }
    if !query.locks.is_empty() {
        return refuse("FOR UPDATE/SHARE", None);
    }
    Ok(())
}

/// What a walk is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Anywhere,
    First,
    Subquery,
    OuterJoin,
    Intersect,
    Except,
}

/// Goes through a term and looks at every name of the query.
struct Walker<'a> {
    name: &'a str,
    place: Place,
    /// How many queries around have a WITH that gives the name another meaning.
    hidden: usize,
    found: usize,
}

impl Walker<'_> {
    fn reference(&mut self, name: &ast::ObjectName) -> Result<()> {
        let parts = name_parts(name);
        if self.hidden > 0 || !matches!(parts.as_slice(), [own] if own == self.name) {
            return Ok(());
        }
        self.found += 1;
        let wrong = match self.place {
            Place::Anywhere if self.found == 1 => return Ok(()),
            Place::Anywhere => "more than once",
            Place::First => "within its non-recursive term",
            Place::Subquery => "within a subquery",
            Place::OuterJoin => "within an outer join",
            Place::Intersect => "within INTERSECT",
            Place::Except => "within EXCEPT",
        };
        let text =
            format!("recursive reference to query \"{}\" must not appear {wrong}", self.name);
        Err(PgError::new(SqlState::INVALID_RECURSION, text).or_at(name_position(name)))
    }

    fn at(&mut self, place: Place, walk: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let around = std::mem::replace(&mut self.place, place);
        let walked = walk(self);
        self.place = around;
        walked
    }

    /// The same, where nothing around forbids the name already.
    fn within(&mut self, place: Place, walk: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let place = if self.place == Place::Anywhere { place } else { self.place };
        self.at(place, walk)
    }

    fn query(&mut self, query: &ast::Query) -> Result<()> {
        let hidden = self.hidden;
        let walked = self
            .with(query.with.as_ref())
            .and_then(|()| self.set(&query.body))
            .and_then(|()| self.expressions(&query.order_by))
            .and_then(|()| self.expressions(&query.limit_clause));
        self.hidden = hidden;
        walked
    }

    fn with(&mut self, with: Option<&ast::With>) -> Result<()> {
        let Some(with) = with else { return Ok(()) };
        let own = |cte: &ast::Cte| fold(&cte.alias.name) == self.name;
        let hides: Vec<bool> = with.cte_tables.iter().map(own).collect();
        self.hidden += usize::from(with.recursive && hides.contains(&true));
        for (cte, hides) in with.cte_tables.iter().zip(hides) {
            self.query(&cte.query)?;
            self.hidden += usize::from(hides);
        }
        Ok(())
    }

    fn set(&mut self, body: &SetExpr) -> Result<()> {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { op, set_quantifier, left, right } => {
                let all = *set_quantifier == SetQuantifier::All;
                // Without ALL, fewer rows on the left are fewer rows of the whole.
                let (first, second) = match op {
                    SetOperator::Intersect if all => (Place::Intersect, Place::Intersect),
                    SetOperator::Except | SetOperator::Minus if all => {
                        (Place::Except, Place::Except)
                    }
                    SetOperator::Except | SetOperator::Minus => (self.place, Place::Except),
                    _ => (self.place, self.place),
                };
                self.within(first, |w| w.set(left))?;
                self.within(second, |w| w.set(right))
            }
            SetExpr::Values(values) => self.expressions(values),
            _ => Ok(()),
        }
    }

    fn select(&mut self, select: &ast::Select) -> Result<()> {
        self.expressions(&select.distinct)?;
        self.expressions(&select.projection)?;
        select.from.iter().try_for_each(|table| self.joined(table))?;
        self.expressions(&select.selection)?;
        self.expressions(&select.group_by)?;
        self.expressions(&select.having)?;
        self.expressions(&select.named_window)
    }

    /// Joins lean to the left: what a RIGHT or FULL JOIN may leave out is all that stands before it.
    fn joined(&mut self, table: &ast::TableWithJoins) -> Result<()> {
        let leaves_out = |join: &ast::Join| {
            use JoinOperator as J;
            matches!(join.join_operator, J::Right(_) | J::RightOuter(_) | J::FullOuter(_))
        };
        let outer = |after: usize| table.joins.iter().skip(after).any(leaves_out);
        let place = |outer: bool| if outer { Place::OuterJoin } else { Place::Anywhere };
        self.within(place(outer(0)), |w| w.factor(&table.relation))?;
        for (i, join) in table.joins.iter().enumerate() {
            use JoinOperator as J;
            let own = matches!(join.join_operator, J::Left(_) | J::LeftOuter(_) | J::FullOuter(_));
            self.within(place(own || outer(i + 1)), |w| w.factor(&join.relation))?;
            self.expressions(&join.join_operator)?;
        }
        Ok(())
    }

    fn factor(&mut self, factor: &TableFactor) -> Result<()> {
        match factor {
            TableFactor::Table { name, args: None, .. } => self.reference(name),
            TableFactor::Derived { subquery, .. } => self.query(subquery),
            TableFactor::NestedJoin { table_with_joins, .. } => self.joined(table_with_joins),
            other => self.expressions(other),
        }
    }

    /// Queries inside of expressions.
    fn expressions<V: Visit>(&mut self, part: &V) -> Result<()> {
        self.at(Place::Subquery, |w| match part.visit(&mut Subqueries { walker: w, depth: 0 }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(e) => Err(e),
        })
    }
}

/// Hands the outermost queries to the walker, which goes on itself from there.
struct Subqueries<'w, 'a> {
    walker: &'w mut Walker<'a>,
    depth: usize,
}

impl Visitor for Subqueries<'_, '_> {
    type Break = PgError;

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<PgError> {
        self.depth += 1;
        if self.depth > 1 {
            return ControlFlow::Continue(());
        }
        self.walker.query(query).map_or_else(ControlFlow::Break, ControlFlow::Continue)
    }

    fn post_visit_query(&mut self, _query: &ast::Query) -> ControlFlow<PgError> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }
}
