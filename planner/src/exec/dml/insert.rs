//! INSERT.

use std::cell::OnceCell;
use std::sync::Arc;

use datafusion::logical_expr::{Expr as Plan, LogicalPlanBuilder};
use sqlparser::ast::{self, Expr, OnInsert, SetExpr, TableObject};
use vicinity_storage::Table;
use vicinity_storage::catalog::model::{Identity, Relation, RelationKind};
use vicinity_types::{Datum, Kind, PgError, Result, SqlState};

use super::super::foreign::Queue;
use super::super::name;
use super::conflict::{BoundConflict, Conflict, Written};
use super::layout::{Layout, extend, table_def};
use super::returning::{self, Returning};
use super::rules::{Rules, bind_default};
use super::shown::{ConflictShown, Shown};
use super::{DmlPlan, Kind as PlanKind};
use crate::bind::{Binder, Scope};
use crate::call::{PgType, Typed};
use crate::context::ExecContext;
use crate::measure::{Figures, Meter, Stage};
use crate::query::QueryPlan;
use crate::row::{Compiler, Frame, Node, RowRef};
use crate::rows::{OutputColumn, RowSink};
use crate::sql::carried::{Overriding, overriding};

/// Where the rows come from.
enum Source {
    /// `VALUES`: for every row, the value of every column that is given one.
    Rows(Vec<Vec<(usize, Node)>>),
    /// Queries, and what their columns become.
    Queries(Vec<(QueryPlan, Vec<(usize, Node)>)>),
}

/// A prepared INSERT.
pub(super) struct Insert {
    pub(super) rules: Rules,
    source: Source,
    /// Defaults of the columns that are given nothing.
    defaults: Vec<(usize, Node)>,
    cells: usize,
    conflict: Option<Conflict>,
    returning: Option<Returning>,
    pub(super) shown: Shown,
}

/// The table a write goes to.
pub(super) fn target(
    ctx: &ExecContext,
    given: &ast::ObjectName,
    verb: &str,
) -> Result<Arc<Relation>> {
    let relation = name::relation(ctx, given)?;
    match relation.kind {
        RelationKind::Table(ref t) if t.materialized.is_some() => Err(PgError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("cannot change materialized view \"{}\"", relation.name),
        )),
        RelationKind::Table(_) => Ok(relation),
        RelationKind::View(_) => Err(PgError::unsupported(format!("{verb} a view"))),
        RelationKind::Sequence(_) => Err(PgError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("cannot change sequence \"{}\"", relation.name),
        )),
        _ => Err(PgError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("cannot open relation \"{}\"", relation.name),
        )),
    }
}

/// Zero-based place of a column to be written.
pub(super) fn place(relation: &Relation, column: &ast::ObjectName) -> Result<usize> {
    let own = name::last(column);
    let at = name::position(column);
    let def = table_def(relation)?;
    def.columns.iter().position(|c| !c.dropped && c.name == own).ok_or_else(|| {
        PgError::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{own}\" of relation \"{}\" does not exist", relation.name),
        )
        .or_at(at)
    })
}

pub(super) fn is_default(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(i)
        if i.quote_style.is_none() && i.value.eq_ignore_ascii_case("default"))
}

/// Clauses other servers have.
fn refuse(i: &ast::Insert) -> Result<()> {
    let refused = [
        (i.or.is_some() || i.ignore || i.replace_into, "INSERT OR REPLACE"),
        (i.overwrite, "INSERT OVERWRITE"),
        (!i.assignments.is_empty(), "INSERT ... SET"),
        (i.partitioned.is_some() || !i.after_columns.is_empty(), "PARTITION"),
        (i.output.is_some(), "OUTPUT"),
        (i.insert_alias.is_some(), "INSERT ... AS row alias"),
        (i.settings.is_some() || i.format_clause.is_some(), "INSERT ... FORMAT"),
    ];
    match refused.iter().find(|(given, _)| *given) {
        Some((_, what)) => Err(PgError::unsupported(what)),
        None => Ok(()),
    }
}

/// The columns given values, in order.
fn columns_of(relation: &Relation, i: &ast::Insert) -> Result<Vec<usize>> {
    let def = table_def(relation)?;
    let mut given = i.columns.iter().filter(|c| overriding(c).is_none()).peekable();
    if given.peek().is_none() {
        let live = def.columns.iter().enumerate().filter(|(_, c)| !c.dropped);
        return Ok(live.map(|(at, _)| at).collect());
    }
    let mut out = Vec::new();
    for column in given {
        let at = place(relation, column)?;
        if out.contains(&at) {
            return Err(PgError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{}\" specified more than once", name::last(column)),
            )
            .or_at(name::position(column)));
        }
        out.push(at);
    }
    Ok(out)
}

/// GENERATED ALWAYS columns take nothing but DEFAULT, unless OVERRIDING says so. False if the value
/// given to an identity column is not to be used.
fn check_writable(relation: &Relation, at: usize, clause: Option<Overriding>) -> Result<bool> {
    let Some(c) = table_def(relation)?.columns.get(at) else { return Ok(true) };
    match clause {
        Some(Overriding::System) if c.identity.is_some() => return Ok(true),
        Some(Overriding::User) if c.identity.is_some() => return Ok(false),
        _ => {}
    }
    let always = |detail: String| {
        PgError::new(
            SqlState::GENERATED_ALWAYS,
            format!("cannot insert a non-DEFAULT value into column \"{}\"", c.name),
        )
        .detail(detail)
    };
    if c.identity == Some(Identity::Always) {
        return Err(always(format!(
            "Column \"{}\" is an identity column defined as GENERATED ALWAYS.",
            c.name
        ))
        .hint("Use OVERRIDING SYSTEM VALUE to override."));
    }
    if c.generated.is_some() {
        return Err(always(format!("Column \"{}\" is a generated column.", c.name)));
    }
    Ok(true)
}

/// The columns given values.
struct Target {
    columns: Vec<usize>,
    /// They were listed.
    explicit: bool,
    overriding: Option<Overriding>,
}

/// Rows of values, bound; `None` in place of a default.
type Bound = Vec<Vec<(usize, Option<Typed>)>>;

enum BoundSource {
    Rows(Bound),
    Query(crate::bind::BoundQuery, Vec<(usize, Typed)>),
}

fn too_many(expressions: bool) -> PgError {
    PgError::new(
        SqlState::SYNTAX_ERROR,
        if expressions {
            "INSERT has more expressions than target columns"
        } else {
            "INSERT has more target columns than expressions"
        },
    )
}

fn bind_rows(
    binder: &mut Binder<'_>,
    relation: &Relation,
    types: &[PgType],
    target: &Target,
    rows: &[Vec<Expr>],
) -> Result<Bound> {
    let Target { columns, explicit, .. } = target;
    let def = table_def(relation)?;
    let width = rows.first().map_or(0, Vec::len);
    let mut out = Vec::with_capacity(rows.len());
    for row in rows {
        if row.len() != width {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                "VALUES lists must all be the same length",
            ));
        }
        if row.len() > columns.len() {
            let at = row.get(columns.len()).and_then(name::position);
            return Err(too_many(true).or_at(at));
        }
        if *explicit && row.len() < columns.len() {
            return Err(too_many(false));
        }
        let mut cells = Vec::with_capacity(row.len());
        for (expr, at) in row.iter().zip(columns) {
            let (Some(c), Some(ty)) = (def.columns.get(*at), types.get(*at)) else { continue };
            if is_default(expr) {
                cells.push((*at, None));
                continue;
            }
            if !check_writable(relation, *at, target.overriding)? {
                cells.push((*at, None));
                continue;
            }
            let value = binder.expr_over(expr, &Scope::empty())?;
            let value = binder
                .coerce_assign(value, *ty, &c.name)
                .map_err(|e| e.or_at(name::position(expr)))?;
            cells.push((*at, Some(value)));
        }
        out.push(cells);
    }
    Ok(out)
}

fn bind_query(
    binder: &mut Binder<'_>,
    relation: &Relation,
    types: &[PgType],
    target: &Target,
    query: &ast::Query,
) -> Result<BoundSource> {
    let Target { columns, explicit, .. } = target;
    let def = table_def(relation)?;
    let targets: Vec<PgType> = columns.iter().filter_map(|at| types.get(*at).copied()).collect();
    let bound = binder.query_into(query, &targets)?;
    if bound.columns.len() > columns.len() {
        return Err(too_many(true));
    }
    if *explicit && bound.columns.len() < columns.len() {
        return Err(too_many(false));
    }
    let mut values = Vec::new();
    for (i, (column, at)) in bound.columns.iter().zip(columns).enumerate() {
        let (Some(c), Some(ty)) = (def.columns.get(*at), types.get(*at)) else { continue };
        if !check_writable(relation, *at, target.overriding)? {
            continue;
        }
        let (qualifier, field) = bound.plan.schema().qualified_field(i);
        let value = Typed::new(Plan::Column((qualifier, field).into()), column.ty);
        values.push((*at, binder.coerce_assign(value, *ty, &c.name)?));
    }
    Ok(BoundSource::Query(bound, values))
}

/// Prepares INSERT.
pub(super) fn prepare(
    ctx: &ExecContext,
    binder: &mut Binder<'_>,
    i: &ast::Insert,
) -> Result<DmlPlan> {
    refuse(i)?;
    let TableObject::TableName(given) = &i.table else {
        return Err(PgError::unsupported("INSERT into a function"));
    };
    let relation = target(ctx, given, "INSERT into")?;
    let rules = Rules::new(ctx, &relation)?;
    let columns = columns_of(&relation, i)?;
    let to = Target {
        columns,
        explicit: i.columns.iter().any(|c| overriding(c).is_none()),
        overriding: i.columns.iter().find_map(overriding),
    };
    let source = match &i.source {
        None => BoundSource::Rows(vec![Vec::new()]),
        Some(query) => match (&*query.body, plain_values(query)) {
            (SetExpr::Values(values), true) => {
                let rows: Vec<Vec<Expr>> = values.rows.iter().map(|r| r.to_vec()).collect();
                let types = &rules.types;
                BoundSource::Rows(bind_rows(binder, &relation, types, &to, &rows)?)
            }
            _ => bind_query(binder, &relation, &rules.types, &to, query)?,
        },
    };
    let alias = i.table_alias.as_ref().map(|a| name::ident(&a.alias));
    let layout = Layout::of_table(&ctx.catalog, &relation, alias.as_deref())?;
    let conflict = match &i.on {
        None => None,
        Some(OnInsert::OnConflict(c)) => {
            let alias = alias.as_deref();
            Some(BoundConflict::bind(ctx, binder, &relation, &rules.types, alias, c)?)
        }
        Some(_) => return Err(PgError::unsupported("ON DUPLICATE KEY UPDATE")),
    };
    let bound_returning = match &i.returning {
        None => None,
        Some(items) => Some(returning::bind(binder, items, layout.scope())?),
    };
    let params = binder.finish_params()?;
    let kinds: Vec<Kind> = params.iter().map(|p| ctx.catalog.kind_of(*p)).collect();
    let mut maker =
        Maker { ctx, relation: &relation, types: &rules.types, params: &params, kinds: &kinds };
    let shown = match &source {
        BoundSource::Rows(rows) => Shown::new(alias).of_rows(rows),
        BoundSource::Query(_, values) => {
            Shown { columns: values.iter().map(|(at, _)| *at).collect(), ..Shown::new(alias) }
        }
    };
    let (source, defaults, cells) = maker.source(source)?;
    let conflict = conflict.map(|c| c.compile(&kinds)).transpose()?;
    let columns = bound_returning.as_ref().map(|r| r.columns.clone());
    let returning = bound_returning.map(|r| r.compile(&layout, &kinds)).transpose()?;
    let short =
        matches!(&source, Source::Rows(rows) if rows.len() <= 100) && !has_triggers(ctx, &relation);
    let insert = Insert { rules, source, defaults, cells, conflict, returning, shown };
    Ok(DmlPlan {
        kind: PlanKind::Insert(Box::new(insert)),
        params,
        columns,
        short,
        parts: super::Parts::default(),
    })
}

pub(super) fn has_triggers(ctx: &ExecContext, relation: &Relation) -> bool {
    ctx.catalog.triggers_of(relation.oid).next().is_some()
}

/// Whether a query is nothing but VALUES.
fn plain_values(q: &ast::Query) -> bool {
    q.with.is_none()
        && q.order_by.is_none()
        && q.limit_clause.is_none()
        && q.fetch.is_none()
        && q.locks.is_empty()
}

struct Maker<'a> {
    ctx: &'a ExecContext,
    relation: &'a Relation,
    types: &'a [PgType],
    params: &'a [u32],
    kinds: &'a [Kind],
}

impl Maker<'_> {
    fn kind(&self, at: usize) -> Kind {
        self.types.get(at).map_or(Kind::Text, |t| t.kind)
    }

    /// Compiles the rows and the defaults of columns without a value.
    fn source(&mut self, source: BoundSource) -> Result<(Source, Vec<(usize, Node)>, usize)> {
        let mut compiler = Compiler::new(crate::row::Scope::empty(), self.kinds.to_vec());
        match source {
            BoundSource::Rows(rows) => match self.rows(&mut compiler, &rows) {
                Ok((made, defaults)) => Ok((Source::Rows(made), defaults, compiler.once_cells())),
                Err(e) if e.code() == SqlState::FEATURE_NOT_SUPPORTED => self.computed(rows),
                Err(e) => Err(e),
            },
            BoundSource::Query(bound, values) => {
                let given: Vec<usize> = values.iter().map(|(at, _)| *at).collect();
                let defaults = self.defaults(&mut compiler, &given)?;
                let schema = bound.plan.schema().clone();
                let columns = schema
                    .iter()
                    .zip(&bound.columns)
                    .map(|((q, f), c)| (q, f.name().as_str(), c.ty.kind));
                compiler.set_scope(crate::row::Scope::values(columns));
                let nodes = values
                    .iter()
                    .map(|(at, v)| Ok((*at, compiler.compile(&v.expr, self.kind(*at))?)))
                    .collect::<Result<Vec<_>>>()?;
                let columns = bound
                    .columns
                    .iter()
                    .map(|c| OutputColumn::computed(c.name.clone(), c.ty))
                    .collect();
                let plan = QueryPlan::new(self.ctx, bound.plan, columns, self.params)?;
                let cells = compiler.once_cells();
                Ok((Source::Queries(vec![(plan, nodes)]), defaults, cells))
            }
        }
    }

    /// Defaults of the columns not in `given`.
    fn defaults(&self, compiler: &mut Compiler, given: &[usize]) -> Result<Vec<(usize, Node)>> {
        let mut out = Vec::new();
        for at in 0..self.types.len() {
            if !given.contains(&at)
                && let Some(value) = bind_default(self.ctx, self.relation, at)?
            {
                out.push((at, compiler.compile(&value.expr, self.kind(at))?));
            }
        }
        Ok(out)
    }

    fn rows(
        &self,
        compiler: &mut Compiler,
        rows: &Bound,
    ) -> Result<(Vec<Vec<(usize, Node)>>, Vec<(usize, Node)>)> {
        let given: Vec<usize> =
            rows.first().map_or_else(Vec::new, |r| r.iter().map(|(at, _)| *at).collect());
        let defaults = self.defaults(compiler, &given)?;
        let mut made = Vec::with_capacity(rows.len());
        for row in rows {
            let mut cells = Vec::with_capacity(row.len());
            for (at, value) in row {
                match value {
                    Some(v) => cells.push((*at, compiler.compile(&v.expr, self.kind(*at))?)),
                    None => {
                        if let Some(v) = bind_default(self.ctx, self.relation, *at)? {
                            cells.push((*at, compiler.compile(&v.expr, self.kind(*at))?));
                        }
                    }
                }
            }
            made.push(cells);
        }
        Ok((made, defaults))
    }

    /// Values beyond the row lane (subqueries): a query gives each row.
    fn computed(&self, rows: Bound) -> Result<(Source, Vec<(usize, Node)>, usize)> {
        let mut compiler = Compiler::new(crate::row::Scope::empty(), self.kinds.to_vec());
        let mut queries = Vec::with_capacity(rows.len());
        for row in rows {
            let mut exprs = Vec::new();
            let mut columns = Vec::new();
            let mut given = Vec::new();
            for (at, value) in row {
                let Some(value) = value else { continue };
                let own = format!("v{}", exprs.len());
                columns.push(OutputColumn::computed(own.clone(), value.ty));
                exprs.push(value.expr.alias(own));
                given.push(at);
            }
            let mut nodes = self.defaults(&mut compiler, &given)?;
            nodes.extend(given.iter().enumerate().map(|(i, at)| (*at, Node::Column(i))));
            let plan = LogicalPlanBuilder::empty(true)
                .project(exprs)
                .and_then(LogicalPlanBuilder::build)
                .map_err(crate::call::internal)?;
            queries.push((QueryPlan::new(self.ctx, plan, columns, self.params)?, nodes));
        }
        Ok((Source::Queries(queries), Vec::new(), compiler.once_cells()))
    }
}

/// Takes a query's rows and inserts them.
pub(super) struct Inserter<'a> {
    insert: &'a Insert,
    ctx: &'a ExecContext,
    params: &'a [Datum],
    table: &'a Arc<Table>,
    once: Vec<OnceCell<Datum>>,
    sink: &'a mut dyn RowSink,
    /// What the running query's columns become.
    nodes: &'a [(usize, Node)],
    row: Vec<Datum>,
    values: Vec<Datum>,
    pub(super) count: u64,
    /// Of rows in the way: all, and those that were left as they are.
    conflicts: u64,
    left: u64,
    /// Keys for the statement's end.
    pub(super) queue: Queue,
}

impl<'a> Inserter<'a> {
    pub(super) fn new(
        insert: &'a Insert,
        ctx: &'a ExecContext,
        params: &'a [Datum],
        table: &'a Arc<Table>,
        sink: &'a mut dyn RowSink,
    ) -> Inserter<'a> {
        Inserter {
            insert,
            ctx,
            params,
            table,
            once: vec![OnceCell::new(); insert.cells],
            sink,
            nodes: &[],
            row: Vec::new(),
            values: Vec::new(),
            count: 0,
            conflicts: 0,
            left: 0,
            queue: Queue::default(),
        }
    }

    /// Puts a row into the table whose values `set` fills in over the defaults, unless that says
    /// `false`.
    pub(super) fn given(
        &mut self,
        set: impl FnOnce(&mut Vec<Datum>) -> Result<bool>,
    ) -> Result<()> {
        self.defaults(&[], RowRef::None)?;
        if set(&mut self.values)? { self.put() } else { Ok(()) }
    }

    /// Evaluates one row's values over a source row and puts it into the table.
    fn one(&mut self, nodes: &[(usize, Node)], source: RowRef<'_>) -> Result<()> {
        self.defaults(nodes, source)?;
        self.put()
    }

    /// The same, its evaluation under a clock.
    fn measured(&mut self, nodes: &[(usize, Node)], meter: &mut Meter) -> Result<()> {
        meter.resume();
        self.defaults(nodes, RowRef::None)?;
        meter.pause(true);
        meter.given += 1;
        self.put()
    }

    /// Makes `values` of the defaults and of `nodes` over a source row.
    fn defaults(&mut self, nodes: &[(usize, Node)], source: RowRef<'_>) -> Result<()> {
        let plan = self.insert;
        self.values.clear();
        self.values.resize(plan.rules.types.len(), Datum::Null);
        let frame = Frame { ctx: self.ctx, params: self.params, once: &self.once, row: source };
        for (at, node) in plan.defaults.iter().chain(nodes) {
            let value = node.eval(&frame)?;
            if let Some(slot) = self.values.get_mut(*at) {
                *slot = value;
            }
        }
        Ok(())
    }

    /// Puts `values` into the table.
    fn put(&mut self) -> Result<()> {
        let plan = self.insert;
        let mut values = std::mem::take(&mut self.values);
        let relation = &plan.rules.relation;
        let triggers = super::super::triggers::Row::of(
            self.ctx,
            relation,
            super::super::triggers::Event::Insert,
        );
        if let Some(t) = &triggers {
            match t.before(self.ctx, None, Some(values))? {
                Some(changed) => values = changed,
                None => return Ok(()),
            }
        }
        plan.rules.apply(self.ctx, &mut values)?;
        let written = match &plan.conflict {
            None => {
                let row = self.table.insert(&self.ctx.txn, &values)?;
                Some(Written { row, old: None })
            }
            Some(conflict) => {
                conflict.run(self.ctx, self.params, &plan.rules, self.table, &mut values)?
            }
        };
        self.conflicts += u64::from(!matches!(written, Some(Written { old: None, .. })));
        self.left += u64::from(written.is_none());
        if let Some(Written { row, old }) = written {
            self.count += 1;
            match &old {
                _ if plan.rules.keys.is_empty() => {}
                None => self.queue.inserted(self.ctx, &plan.rules.keys, &values)?,
                Some(old) => self.queue.updated(self.ctx, &plan.rules.keys, old, &values)?,
            }
            if let Some(t) = &triggers
                && old.is_none()
            {
                t.after(self.ctx, None, Some(&values))?;
            }
            if let Some(returning) = &plan.returning {
                extend(&mut values, row, relation.oid);
                returning.emit(self.ctx, self.params, &values, self.sink)?;
            }
        }
        self.values = values;
        Ok(())
    }
}

impl RowSink for Inserter<'_> {
    fn begin(&mut self, _columns: usize) {
        self.row.clear();
    }

    fn raw(&mut self, ty: PgType, value: Option<&[u8]>) -> Result<()> {
        self.row.push(match value {
            Some(bytes) => vicinity_types::raw::decode(ty.kind, bytes)?,
            None => Datum::Null,
        });
        Ok(())
    }

    fn datum(&mut self, _ty: PgType, value: Datum) -> Result<()> {
        self.row.push(value);
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        let nodes = self.nodes;
        let row = std::mem::take(&mut self.row);
        match &self.ctx.measure {
            // The query that gives the row is not charged with putting it in.
            Some(measure) => measure.aside(|| self.one(nodes, RowRef::Values(&row)))?,
            None => self.one(nodes, RowRef::Values(&row))?,
        }
        self.row = row;
        Ok(())
    }
}

impl Insert {
    /// An INSERT whose rows come from outside, with values for the columns `given`.
    pub(super) fn of_given(
        ctx: &ExecContext,
        relation: &Arc<Relation>,
        given: &[usize],
    ) -> Result<Insert> {
        let rules = Rules::new(ctx, relation)?;
        let maker = Maker { ctx, relation, types: &rules.types, params: &[], kinds: &[] };
        let mut compiler = Compiler::new(crate::row::Scope::empty(), Vec::new());
        let defaults = maker.defaults(&mut compiler, given)?;
        let cells = compiler.once_cells();
        let source = Source::Rows(Vec::new());
        let shown = Shown::new(None);
        Ok(Insert { rules, source, defaults, cells, conflict: None, returning: None, shown })
    }

    /// The queries the rows come from.
    pub(super) fn plans(&self) -> Vec<&QueryPlan> {
        match &self.source {
            Source::Queries(queries) => queries.iter().map(|(plan, _)| plan).collect(),
            Source::Rows(_) => Vec::new(),
        }
    }

    /// RETURNING's list.
    pub(super) fn returned(&self) -> &[Plan] {
        self.returning.as_ref().map_or(&[], |r| &r.shown)
    }

    /// ON CONFLICT.
    pub(super) fn on_conflict(&self) -> Option<ConflictShown<'_>> {
        self.conflict.as_ref().map(Conflict::shown)
    }

    pub(super) fn run(
        &self,
        ctx: &ExecContext,
        params: &[Datum],
        sink: &mut dyn RowSink,
        queue: &mut Queue,
    ) -> Result<u64> {
        let table = ctx.engine.db.table(self.rules.relation.oid, &ctx.catalog)?;
        let mut inserter = Inserter::new(self, ctx, params, &table, sink);
        match &self.source {
            Source::Rows(rows) => {
                let mut meter =
                    ctx.measure.as_ref().map(|m| Meter::begin(m, self.shown.place.below(1)));
                for (i, row) in rows.iter().enumerate() {
                    match &mut meter {
                        Some(meter) => inserter.measured(row, meter)?,
                        None => inserter.one(row, RowRef::None)?,
                    }
                    if i % 1024 == 1023 {
                        ctx.check()?;
                    }
                }
            }
            Source::Queries(queries) => {
                for (plan, nodes) in queries {
                    inserter.nodes = nodes;
                    let mut cursor = plan.open(ctx.clone(), params.to_vec())?;
                    while !cursor.fill(&mut inserter, 4096)?.done {
                        ctx.check()?;
                    }
                }
            }
        }
        if let Some(measure) = &ctx.measure {
            let (conflicts, left) = (inserter.conflicts, inserter.left);
            let rows = inserter.count - (conflicts - left);
            let figures =
                Figures { rows, conflicts, removed: left, loops: 1, ..Figures::default() };
            measure.add(self.shown.place, Stage::Top, &figures);
        }
        queue.append(inserter.queue);
        Ok(inserter.count)
    }
}
