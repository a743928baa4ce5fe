//! From syntax to plans: names, types and meanings, as PostgreSQL gives them.
//!
//! Every expression comes out fully typed, with PostgreSQL's choice of operators, functions and
//! casts: DataFusion's own type coercion finds nothing to do. Errors carry positions of the whole
//! query string.

mod aggregate;
mod cast;
mod column;
mod cte;
mod expr;
mod forms;
mod from;
mod from_function;
mod function;
mod group;
mod grouping;
mod hashed;
mod inspect;
mod join;
mod limit;
mod literal;
mod lock;
mod operator;
mod order;
mod params;
mod place;
mod procedure;
mod query;
mod recursion;
mod recursive;
mod references;
mod row;
mod sample;
mod scope;
mod select;
mod setop;
mod special;
mod srf;
mod store;
mod subplan;
mod subquery;
mod table;
mod typename;
mod window;

pub(crate) use operator::balanced;

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{Expr, LogicalPlan};
use sqlparser::ast;
use sqlparser::tokenizer::Span;
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::Relation;
use vicinity_types::{Oid, Result};

use crate::call::{PgType, Typed};
use crate::context::ExecContext;
use crate::df::window::WindowGroup;
use crate::parts::{BoundPart, PartId};
use crate::resolve::{Context, Types};
use crate::session_state::SessionState;
use crate::sql::Source;
use crate::uses::Uses;

pub(crate) use inspect::Owner;
pub(crate) use operator::written_row;
pub use params::{Conflict, ParamTypes, Variables};
pub(crate) use place::Place;
pub use scope::{Item, Scope, ScopeColumn};
pub(crate) use special::{Quantified, held, is_held};
pub(crate) use store::Part;
pub use subplan::{LateralQuery, SubPlan, SubPlanKind, SubQuery};
pub(crate) use typename::bit_length;

pub use crate::rows::OutputColumn;

/// Steps in, see [`Binder::deeper`]. PostgreSQL's stack ends a little short of 5000 operators.
const DEPTH: usize = 5000;

/// A query, bound.
#[derive(Clone, Debug)]
pub struct BoundQuery {
    /// The plan; its columns are `columns` in order, under names of their own.
    pub plan: LogicalPlan,
    /// What comes out.
    pub columns: Vec<OutputColumn>,
    /// Types of the parameters, inferred where they were not declared.
    pub params: Vec<Oid>,
    /// What it asks of the relations it reads.
    pub uses: Uses,
    /// Parts that run once.
    pub parts: Vec<(PartId, BoundPart)>,
}

/// A query within a query.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    plan: LogicalPlan,
    columns: Vec<OutputColumn>,
}

/// What messages call the place of a value in VALUES.
pub(crate) const VALUES: &str = "VALUES";

/// One query being bound: its names and what it collects on the way.
#[derive(Default)]
struct Level {
    scope: Scope,
    ctes: HashMap<String, Arc<cte::Cte>>,
    windows: HashMap<String, ast::WindowSpec>,
    /// Calls of the target list that nodes of their own will compute.
    pending: Pending,
    /// Why aggregates are not allowed here; None where they are.
    no_aggregates: Option<&'static str>,
    /// Why window functions are not allowed here.
    no_windows: Option<&'static str>,
    /// What the expression is where it is no part of a query, and may hold none.
    own_place: Option<Place>,
    /// Inside an aggregate's arguments.
    in_aggregate: bool,
    /// Inside a window function's arguments.
    in_window: bool,
    /// GROUPING() was called.
    grouping: bool,
    /// Set-returning functions are allowed here.
    sets_allowed: bool,
    /// What is bound here is the only row of VALUES, whose sets make several of it.
    only_row: bool,
    /// Why they are not all the same: what is around that cannot hold them.
    no_sets: Option<&'static str>,
    /// Constants of unknown type in the select list stay so.
    keep_unknown: bool,
    /// FROM reads what a recursive query gave before.
    recursing: bool,
    /// FOR UPDATE and the like.
    locks: Vec<lock::Locking>,
    /// Queries inside of its expressions, as they are written.
    subqueries: Vec<subquery::BoundOnce>,
    /// The same as plans, each with what its parameters are.
    closed: Vec<(Arc<subplan::SubQuery>, Vec<Expr>)>,
}

/// Calls that are columns of nodes yet to be placed.
#[derive(Default)]
struct Pending {
    /// Set-returning calls.
    sets: Vec<srf::PendingSet>,
    /// Window functions.
    windows: Vec<WindowGroup>,
}

impl Pending {
    fn exprs(&self) -> Vec<Expr> {
        let sets = self.sets.iter().flat_map(|s| s.call.args.iter().cloned());
        sets.chain(self.windows.iter().flat_map(WindowGroup::exprs)).collect()
    }

    fn exprs_mut(&mut self) -> impl Iterator<Item = &mut Expr> {
        let sets = self.sets.iter_mut().flat_map(|s| s.call.args.iter_mut());
        sets.chain(self.windows.iter_mut().flat_map(WindowGroup::exprs_mut))
    }
}

/// A column of an outer query that an inner one uses.
struct Outer {
    level: usize,
    expr: Expr,
    ty: PgType,
}

/// Binds statements for one catalog version and session.
pub struct Binder<'a> {
    types: Types,
    session: &'a SessionState,
    path: Vec<Oid>,
    params: ParamTypes,
    variables: Option<&'a dyn Variables>,
    /// The statement's text, for positions of operators.
    source: Option<Arc<Source>>,
    /// The surroundings, where the statement may have data-modifying parts.
    ctx: Option<&'a ExecContext>,
    /// Parts that run once.
    parts: Vec<(PartId, BoundPart)>,
    /// Whether the statement has a place for them.
    keeps_parts: bool,
    /// Locks that the query bound next takes over from the one around it.
    passed: Vec<lock::Locking>,
    /// Part of a statement whose parameters' types are not all known yet.
    nested: bool,
    /// Names every query of the statement sees.
    statement: Level,
    levels: Vec<Level>,
    outers: Vec<Outer>,
    /// Qualifiers given out, so that no two plans share one.
    aliases: HashMap<String, usize>,
    /// What the statement asks of relations.
    uses: Uses,
    /// Whose rights count in a view: its owner's.
    acting: Option<Oid>,
    /// Where columns were named, for errors found later.
    places: HashMap<String, usize>,
    /// The fields of subqueries' columns that are rows.
    rows: HashMap<String, row::Fields>,
    /// How deep expressions, set operations and views nest.
    depth: usize,
}

impl<'a> Binder<'a> {
    /// A binder over a catalog, a session's search path and parameters.
    pub fn new(
        catalog: &Arc<Catalog>,
        session: &'a SessionState,
        params: ParamTypes,
    ) -> Binder<'a> {
        let types = Types::new(catalog, session);
        Binder {
            path: types.path().to_vec(),
            types,
            session,
            params,
            variables: None,
            source: None,
            ctx: None,
            parts: Vec::new(),
            keeps_parts: false,
            passed: Vec::new(),
            nested: false,
            statement: Level::default(),
            levels: Vec::new(),
            outers: Vec::new(),
            aliases: HashMap::new(),
            uses: Uses::default(),
            acting: None,
            places: HashMap::new(),
            rows: HashMap::new(),
            depth: 0,
        }
    }

    /// Names that stand for parameters.
    #[must_use]
    pub fn with_variables(mut self, variables: &'a dyn Variables) -> Binder<'a> {
        self.variables = Some(variables);
        self
    }

    /// A binder for a statement of the client's: operator errors point at the operator, WITH may
    /// have data-modifying parts.
    pub fn of(ctx: &'a ExecContext, params: ParamTypes) -> Binder<'a> {
        let binder = Binder::new(&ctx.catalog, &ctx.session, params);
        Binder { source: ctx.source.clone(), ctx: Some(ctx), keeps_parts: true, ..binder }
    }

    /// The text positions refer to.
    #[must_use]
    pub fn with_source(mut self, source: Source) -> Binder<'a> {
        self.source = Some(Arc::new(source));
        self
    }

    /// A binder for a part of this statement: it sees the names of the WITH queries so far.
    fn part(&mut self, ctx: &'a ExecContext) -> Binder<'a> {
        let binder = Binder::new(&ctx.catalog, &ctx.session, self.params.clone());
        let ctes = self.level().ctes.clone();
        Binder {
            source: self.source.clone(),
            ctx: Some(ctx),
            keeps_parts: true,
            variables: self.variables,
            statement: Level { ctes, ..Level::default() },
            nested: true,
            ..binder
        }
    }

    /// Binds WITH for the whole statement.
    pub fn statement_with(
        &mut self,
        with: Option<&ast::With>,
        statement: &ast::Statement,
    ) -> Result<()> {
        with.map_or(Ok(()), |with| self.with(with, statement))
    }

    /// The parts that are to run once, met so far.
    pub fn take_parts(&mut self) -> Vec<(PartId, BoundPart)> {
        std::mem::take(&mut self.parts)
    }

    /// The rules of types.
    pub fn types(&self) -> &Types {
        &self.types
    }

    /// Types of the parameters as far as they are known; 0 is unknown.
    pub fn params(&self) -> Vec<Oid> {
        self.params.so_far()
    }

    /// Types of all parameters; 42P18 if one could not be told.
    pub fn finish_params(&self) -> Result<Vec<Oid>> {
        if self.nested { Ok(self.params.so_far()) } else { self.params.finish() }
    }

    /// What the statement asks of relations, as far as it is bound.
    pub fn uses(&mut self) -> &mut Uses {
        &mut self.uses
    }

    /// Notes that the statement names a function, a type or a constraint: not one of its views.
    fn note(&mut self, object: Oid) {
        if self.acting.is_none() {
            self.uses.add_object(object);
        }
    }

    /// Binds a whole query.
    pub fn query(&mut self, query: &ast::Query) -> Result<BoundQuery> {
        let bound = self.bind_query(query)?;
        Ok(BoundQuery {
            plan: bound.plan,
            columns: bound.columns,
            params: self.params.finish()?,
            uses: self.uses.clone(),
            parts: self.take_parts(),
        })
    }

    /// Binds a query whose columns go where types are known: unknown literals stay unknown until
    /// [`Binder::coerce_assign`]; parameters may still be inferred.
    pub fn query_into(&mut self, query: &ast::Query, targets: &[PgType]) -> Result<BoundQuery> {
        let bound = self.bind_query_into(query, targets)?;
        Ok(BoundQuery {
            plan: bound.plan,
            columns: bound.columns,
            params: self.params.so_far(),
            uses: self.uses.clone(),
            parts: Vec::new(),
        })
    }

    /// Binds something only to look at it: the names it gives to tables are free again.
    pub(crate) fn looking<T>(&mut self, look: impl FnOnce(&mut Self) -> T) -> T {
        let names = self.aliases.clone();
        let seen = look(self);
        self.aliases = names;
        seen
    }

    /// Binds an expression over names. Aggregates, window functions and sets are errors.
    pub fn expr_over(&mut self, expr: &ast::Expr, scope: &Scope) -> Result<Typed> {
        self.expr_in(expr, scope, "this expression")
    }

    /// The same; `clause` is what messages call the place of the expression.
    pub fn expr_in(
        &mut self,
        expr: &ast::Expr,
        scope: &Scope,
        clause: &'static str,
    ) -> Result<Typed> {
        self.over(scope, clause, |me| me.expr(expr))
    }

    /// The same for an expression that is no part of a query: queries in it are errors too.
    pub(crate) fn expr_at(
        &mut self,
        expr: &ast::Expr,
        scope: &Scope,
        place: Place,
    ) -> Result<Typed> {
        self.over(scope, place.plural(), |me| {
            me.level().own_place = Some(place);
            me.expr(expr)
        })
    }

    /// Binds something over names.
    fn over<T>(
        &mut self,
        scope: &Scope,
        clause: &'static str,
        bind: impl FnOnce(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let sets_allowed = self.level().only_row && clause == VALUES;
        self.levels.push(Level {
            scope: scope.clone(),
            no_aggregates: Some(clause),
            no_windows: Some(clause),
            sets_allowed,
            ..Level::default()
        });
        let bound = bind(self);
        let sets = self.levels.pop().map(|level| level.pending.sets);
        if sets_allowed {
            self.level().pending.sets.extend(sets.into_iter().flatten());
        }
        bound
    }

    /// The same, for a condition: boolean, or an error naming the clause.
    pub fn condition_over(
        &mut self,
        expr: &ast::Expr,
        scope: &Scope,
        clause: &'static str,
    ) -> Result<Typed> {
        self.condition_in(expr, scope, clause, "this expression")
    }

    /// The same; `place` is what messages call the place of the expression.
    pub fn condition_in(
        &mut self,
        expr: &ast::Expr,
        scope: &Scope,
        clause: &'static str,
        place: &'static str,
    ) -> Result<Typed> {
        let at = self.place(expr);
        let bound = self.expr_in(expr, scope, place)?;
        self.boolean(bound, clause, at)
    }

    /// A condition that is no part of a query.
    pub(crate) fn condition_at(
        &mut self,
        expr: &ast::Expr,
        scope: &Scope,
        clause: &'static str,
        place: Place,
    ) -> Result<Typed> {
        let at = self.place(expr);
        let bound = self.expr_at(expr, scope, place)?;
        self.boolean(bound, clause, at)
    }

    /// Makes a value fit a column of a type, as INSERT and UPDATE do. `column` is for the error.
    pub fn coerce_assign(&mut self, value: Typed, target: PgType, column: &str) -> Result<Typed> {
        let source = value.ty;
        if source.oid != vicinity_types::oid::UNKNOWN
            && !crate::resolve::cast::can_coerce(
                &self.types,
                &[source.oid],
                &[target.oid],
                Context::Assignment,
            )
        {
            return Err(vicinity_types::PgError::new(
                vicinity_types::SqlState::DATATYPE_MISMATCH,
                format!(
                    "column \"{column}\" is of type {} but expression is of type {}",
                    self.types.name(target.oid),
                    self.types.name(source.oid)
                ),
            )
            .hint("You will need to rewrite or cast the expression."));
        }
        self.coerce(value, target, Context::Assignment, None)
    }

    /// Makes a value another type, as a cast or an operand.
    pub fn coerce_to(&mut self, value: Typed, target: PgType, context: Context) -> Result<Typed> {
        self.coerce(value, target, context, None)
    }

    /// The plan that reads a relation under an alias, and its names.
    pub fn scan(&mut self, relation: &Arc<Relation>, alias: &str) -> Result<(LogicalPlan, Scope)> {
        let (plan, item) = self.scan_relation(relation, Some(alias), true)?;
        Ok((plan, Scope::of(item)))
    }

    /// The type a type name means.
    pub fn data_type(&self, ty: &ast::DataType) -> Result<PgType> {
        self.resolve_type(ty)
    }

    /// The relation a name means.
    pub fn relation(&self, name: &ast::ObjectName) -> Result<Arc<Relation>> {
        self.find_relation(name)
    }

    /// The innermost query; the statement around all queries where there is none.
    fn level(&mut self) -> &mut Level {
        self.levels.last_mut().unwrap_or(&mut self.statement)
    }

    /// A qualifier nobody has yet.
    fn unique(&mut self, name: &str) -> String {
        let count = self.aliases.entry(name.to_owned()).or_insert(0);
        *count += 1;
        if *count == 1 { name.to_owned() } else { format!("{name}_{}", *count - 1) }
    }

    /// Does something so many steps further in (invariant *bounded*): the planner walks what it makes
    /// of them recursively, on stacks that are made for that many.
    fn deeper<T>(&mut self, steps: usize, f: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.depth += steps;
        if self.depth > DEPTH {
            return Err(crate::sql::too_deep());
        }
        self.session.check_cancel()?;
        let done = f(self);
        self.depth = self.depth.saturating_sub(steps);
        done
    }

    /// The type with what the catalog knows of it.
    fn ty(&self, oid: Oid) -> PgType {
        self.types.plain(oid)
    }
}

/// Whether running a plan twice is not the same as running it once.
fn has_effects(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= crate::df::lock_rows::lock_rows_of(node).is_some();
        node.apply_expressions(|expr| {
            found |= expr.is_volatile();
            Ok(TreeNodeRecursion::Continue)
        })
    })
    .map_err(crate::call::internal)?;
    Ok(found)
}

/// The one-based position of a span; none for a made-up one.
pub(crate) fn position(span: Span) -> Option<usize> {
    usize::try_from(span.start.column).ok().filter(|at| *at > 0 && span.start.line > 0)
}

/// PostgreSQL's folding of an identifier.
pub(crate) fn fold(ident: &ast::Ident) -> String {
    let name = match ident.quote_style {
        Some(_) => ident.value.clone(),
        None if ident.value.bytes().any(|b| b.is_ascii_uppercase()) => {
            ident.value.to_ascii_lowercase()
        }
        None => ident.value.clone(),
    };
    truncated(name)
}

/// Names are at most 63 bytes.
fn truncated(mut name: String) -> String {
    if name.len() > 63 {
        let mut end = 63;
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        name.truncate(end);
    }
    name
}

/// The folded parts of a name.
pub(crate) fn name_parts(name: &ast::ObjectName) -> Vec<String> {
    let part = |part: &ast::ObjectNamePart| match part {
        ast::ObjectNamePart::Identifier(ident) if crate::sql::is_mark(ident) => None,
        ast::ObjectNamePart::Identifier(ident) => Some(fold(ident)),
        ast::ObjectNamePart::Function(f) => Some(f.to_string()),
    };
    name.0.iter().filter_map(part).collect()
}

/// Where a name stands.
fn name_position(name: &ast::ObjectName) -> Option<usize> {
    match name.0.first() {
        Some(ast::ObjectNamePart::Identifier(ident)) => position(ident.span),
        _ => None,
    }
}
