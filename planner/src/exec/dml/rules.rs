//! What a table or view asks of its rows: defaults, NOT NULL, CHECK, generated columns.

use std::cell::OnceCell;
use std::sync::{Arc, OnceLock};

use sqlparser::ast::Expr as Ast;
use vicinity_storage::catalog::model::{ConstraintKind, Relation};
use vicinity_types::io::to_text;
use vicinity_types::{Datum, Kind, Oid, PgError, Result, SqlState};

use super::super::foreign::Keys;
use super::super::stored::{self, Place};
use super::index_expressions;
use super::layout::{Layout, column_type, columns, extend, table_def};
use super::leaf::Level;
use crate::bind::{Binder, ParamTypes, Scope};
use crate::call::{PgType, Typed};
use crate::context::ExecContext;
use crate::domain::is_constrained;
use crate::partition;
use crate::row::{Compiler, Frame, Node, RowRef};
use crate::sql;

/// An expression over a table's columns, ready to run.
pub(crate) struct RowExpr {
    node: Node,
    cells: usize,
}

impl RowExpr {
    pub(crate) fn compile(value: &Typed, kind: Kind, layout: Option<&Layout>) -> Result<RowExpr> {
        let scope = layout.map_or_else(crate::row::Scope::empty, Layout::values);
        let mut compiler = Compiler::new(scope, Vec::new());
        let node = compiler.compile(&value.expr, kind)?;
        Ok(RowExpr { node, cells: compiler.once_cells() })
    }

    /// Its value over a row of the table (all columns, dropped ones included).
    pub(crate) fn eval(&self, ctx: &ExecContext, row: &[Datum]) -> Result<Datum> {
        let once = vec![OnceCell::new(); self.cells];
        self.node.eval(&Frame { ctx, params: &[], once: &once, row: RowRef::Values(row) })
    }

    /// Its value if it has the same one for every row.
    pub(crate) fn constant(&self, ctx: &ExecContext) -> Result<Option<Datum>> {
        match self.node {
            Node::Const(_) | Node::Once(..) => self.eval(ctx, &[]).map(Some),
            _ => Ok(None),
        }
    }

    /// Whether it may take any time.
    pub(crate) fn runs_statements(&self) -> bool {
        self.node.runs_statements()
    }

    /// Whether a check is false over a row.
    pub(crate) fn fails(&self, ctx: &ExecContext, row: &[Datum]) -> Result<bool> {
        Ok(matches!(self.eval(ctx, row)?, Datum::Bool(false)))
    }
}

pub(crate) fn binder(ctx: &ExecContext) -> Binder<'_> {
    Binder::new(&ctx.catalog, &ctx.session, ParamTypes::none())
}

/// The text of a column's default; a sequence of its own is named by id, which outlives renaming.
fn default_text(ctx: &ExecContext, relation: &Relation, at: usize) -> Result<Option<String>> {
    let Some(c) = columns(relation).get(at) else { return Ok(None) };
    let number = i16::try_from(at + 1).unwrap_or(i16::MAX);
    let own = |identity: bool| {
        let owned = Some((relation.oid, number));
        ctx.catalog
            .sequences_of(relation.oid)
            .find(|s| s.sequence().is_some_and(|d| d.owned_by == owned && d.identity == identity))
            .map(|s| format!("nextval('{}'::regclass)", s.oid))
    };
    if c.identity.is_some() {
        return Ok(own(true));
    }
    match &c.default {
        Some(text) if text.starts_with("nextval('") && text.ends_with("'::regclass)") => {
            Ok(own(false).or_else(|| Some(text.clone())))
        }
        other => Ok(other.clone()),
    }
}

/// A column's default, bound; `None` is NULL.
pub(crate) fn bind_default(
    ctx: &ExecContext,
    relation: &Relation,
    at: usize,
) -> Result<Option<Typed>> {
    let Some(text) = default_text(ctx, relation, at)? else {
        return domain_default(ctx, relation, at);
    };
    let Some(c) = columns(relation).get(at) else { return Ok(None) };
    let expr = sql::parse_expression(&text)?;
    default_value(ctx, &expr, column_type(&ctx.catalog, c), &c.name).map(Some)
}

/// A default as a value of the type it is for; `own` is the column or domain.
pub(crate) fn default_value(ctx: &ExecContext, expr: &Ast, ty: PgType, own: &str) -> Result<Typed> {
    let mut binder = binder(ctx);
    let value = binder.expr_at(expr, &Scope::empty(), Place::Default).map_err(in_default)?;
    binder.coerce_assign(value, ty, own).map_err(in_default)
}

/// What an error says where it is one of a default.
fn in_default(e: PgError) -> PgError {
    if e.code() == SqlState::UNDEFINED_COLUMN {
        return PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "cannot use column reference in DEFAULT expression",
        );
    }
    // Positions are of the stored text, not of the statement.
    let mut e = e.without_position();
    let message = e.message().replace("but expression is", "but default expression is");
    e.report_mut().message = message;
    e
}

/// A column without default of a domain with one.
fn domain_default(ctx: &ExecContext, relation: &Relation, at: usize) -> Result<Option<Typed>> {
    use vicinity_storage::catalog::model::TypeKind;
    let Some(c) = columns(relation).get(at) else { return Ok(None) };
    let ty = ctx.catalog.type_def(c.type_oid).map(|t| &t.kind);
    let Some(TypeKind::Domain { default, .. }) = ty else { return Ok(None) };
    let text = match default {
        Some(text) => text.as_str(),
        // No value is a value too, which the domain may refuse.
        None if is_constrained(&ctx.catalog, c.type_oid) => "NULL",
        None => return Ok(None),
    };
    let mut binder = binder(ctx);
    let value = binder.expr_at(&sql::parse_expression(text)?, &Scope::empty(), Place::Default)?;
    binder.coerce_assign(value, column_type(&ctx.catalog, c), &c.name).map(Some)
}

/// The default of a column, ready to run.
pub(crate) fn default_of(ctx: &ExecContext, r: &Arc<Relation>, at: usize) -> Result<RowExpr> {
    let layout = Layout::of_table(&ctx.catalog, r, None)?;
    let c = columns(r).get(at);
    let kind = c.map_or(Kind::Text, |c| ctx.catalog.kind_of(c.type_oid));
    if let Some(text) = c.and_then(|c| c.generated.as_ref()) {
        let value = bind_generated(ctx, r, at, text, &layout)?;
        return RowExpr::compile(&value, kind, Some(&layout));
    }
    match bind_default(ctx, r, at)? {
        Some(value) => RowExpr::compile(&value, kind, None),
        None => Ok(RowExpr { node: Node::Const(Datum::Null), cells: 0 }),
    }
}

fn bind_generated(
    ctx: &ExecContext,
    r: &Relation,
    at: usize,
    text: &str,
    layout: &Layout,
) -> Result<Typed> {
    let mut binder = binder(ctx);
    let Some(c) = columns(r).get(at) else {
        return Err(PgError::internal("generated column is missing"));
    };
    let expr = sql::parse_expression(text)?;
    let value = binder.expr_at(&expr, layout.scope(), Place::Generated)?;
    binder.coerce_assign(value, column_type(&ctx.catalog, c), &c.name)
}

/// A named check of a table.
pub(crate) fn check_named(ctx: &ExecContext, r: &Arc<Relation>, own: &str) -> Result<RowExpr> {
    let layout = Layout::of_table(&ctx.catalog, r, None)?;
    for c in &table_def(r)?.constraints {
        if let ConstraintKind::Check { expr } = &c.kind
            && c.name == own
        {
            let expr = sql::parse_expression(expr)?;
            let value = binder(ctx).condition_at(&expr, layout.scope(), "CHECK", Place::Check)?;
            return RowExpr::compile(&value, Kind::Bool, Some(&layout));
        }
    }
    Err(PgError::internal(format!("check {own} is missing")))
}

/// What ALTER COLUMN TYPE makes of a row's value.
pub(crate) fn conversion(
    ctx: &ExecContext,
    r: &Arc<Relation>,
    at: usize,
    ty: PgType,
    using: Option<&Ast>,
) -> Result<RowExpr> {
    let layout = Layout::of_table(&ctx.catalog, r, None)?;
    let own = columns(r).get(at).map_or("", |c| c.name.as_str());
    let mut binder = binder(ctx);
    let plain = Ast::Identifier(sqlparser::ast::Ident::with_quote('"', own));
    let value = binder.expr_at(using.unwrap_or(&plain), layout.scope(), Place::Transform)?;
    let name = ctx.type_name(ty.oid, None);
    let value = binder.coerce_assign(value, ty, own).map_err(|e| {
        if e.code() != SqlState::DATATYPE_MISMATCH {
            return e;
        }
        let e = PgError::new(
            SqlState::DATATYPE_MISMATCH,
            match using {
                None => format!("column \"{own}\" cannot be cast automatically to type {name}"),
                Some(_) => format!(
                    "result of USING clause for column \"{own}\" cannot be cast automatically to \
                     type {name}"
                ),
            },
        );
        match using {
            None => e.hint(format!("You might need to specify \"USING {own}::{name}\".")),
            Some(_) => e.hint("You might need to add an explicit cast."),
        }
    })?;
    RowExpr::compile(&value, ty.kind, Some(&layout))
}

/// Binds defaults, checks and generated columns, for their errors.
pub(crate) fn validate(ctx: &ExecContext, relation: &Relation) -> Result<()> {
    let ctx = &ctx.next_statement();
    let relation = Arc::new(relation.clone());
    for at in 0..columns(&relation).len() {
        bind_default(ctx, &relation, at)?;
    }
    for c in columns(&relation).iter().filter(|c| !c.dropped) {
        if let Some(text) = &c.generated {
            validate_generated(ctx, &relation, text)?;
        }
    }
    // Positions are of the stored text, not of the statement.
    Rules::new(ctx, &relation).map(drop).map_err(PgError::without_position)
}

/// A generated column is computed from plain columns, always the same way.
fn validate_generated(ctx: &ExecContext, relation: &Arc<Relation>, text: &str) -> Result<()> {
    let expr = sql::parse_expression(text)?;
    let plain = |mut e: PgError| {
        // Positions are of the stored text, not of the statement.
        e.report_mut().position = None;
        e
    };
    stored::define(ctx, relation, &expr, Place::Generated).map_err(plain)?;
    let columns = columns(relation);
    for at in stored::columns(relation, &expr)? {
        if let Some(c) = columns.get(at).filter(|c| c.generated.is_some()) {
            return Err(PgError::new(
                SqlState::INVALID_OBJECT_DEFINITION,
                format!(
                    "cannot use generated column \"{}\" in column generation expression",
                    c.name
                ),
            )
            .detail("A generated column cannot reference another generated column."));
        }
    }
    Ok(())
}

/// The rules of one table, compiled.
pub(crate) struct Rules {
    pub(crate) relation: Arc<Relation>,
    /// Types of all columns, dropped ones included.
    pub(crate) types: Vec<PgType>,
    not_null: Vec<usize>,
    checks: Vec<(String, Node)>,
    generated: Vec<(usize, Node)>,
    cells: usize,
    /// Whether an index calls users' functions.
    indexes_call: bool,
    /// Foreign keys from and to the table.
    pub(crate) keys: Keys,
    /// The tables it is a part of, made ready when that is first asked.
    levels: OnceLock<Vec<(Level, Oid)>>,
}

impl Rules {
    pub(crate) fn new(ctx: &ExecContext, relation: &Arc<Relation>) -> Result<Rules> {
        let own = columns(relation);
        let types: Vec<PgType> = own.iter().map(|c| column_type(&ctx.catalog, c)).collect();
        let layout = Layout::of_table(&ctx.catalog, relation, None)?;
        let mut compiler = Compiler::new(layout.values(), Vec::new());
        let mut checks = Vec::new();
        for c in relation.table().map_or(&[][..], |t| &t.constraints) {
            let ConstraintKind::Check { expr } = &c.kind else { continue };
            let expr = sql::parse_expression(expr)?;
            let value = binder(ctx).condition_at(&expr, layout.scope(), "CHECK", Place::Check)?;
            checks.push((c.name.clone(), compiler.condition(&value.expr)?));
        }
        // PostgreSQL checks in the order of the names.
        checks.sort_by(|a, b| a.0.cmp(&b.0));
        let mut generated = Vec::new();
        for (i, c) in own.iter().enumerate() {
            let Some(text) = &c.generated else { continue };
            let value = bind_generated(ctx, relation, i, text, &layout)?;
            generated.push((i, compiler.compile(&value.expr, value.ty.kind)?));
        }
        let not_null = own.iter().enumerate();
        let not_null = not_null.filter(|(_, c)| c.not_null && !c.dropped).map(|(i, _)| i);
        Ok(Rules {
            relation: relation.clone(),
            types,
            not_null: not_null.collect(),
            checks,
            generated,
            cells: compiler.once_cells(),
            indexes_call: index_expressions::call_users(&ctx.catalog, relation),
            keys: Keys::of(ctx, relation),
            levels: OnceLock::new(),
        })
    }

    /// Whether checks, generated columns and what indexes compute may take any time.
    pub(crate) fn run_statements(&self) -> bool {
        self.indexes_call
            || self.checks.iter().any(|(_, node)| node.runs_statements())
            || self.generated.iter().any(|(_, node)| node.runs_statements())
    }

    /// Runs a statement's write to the table.
    #[inline]
    pub(super) fn writing<T>(&self, ctx: &ExecContext, write: impl FnOnce() -> T) -> T {
        if self.indexes_call { index_expressions::in_statement(ctx, write) } else { write() }
    }

    /// Whether a row may be in the table, as far as partitions go: all above it would put it there.
    pub(crate) fn holds(&self, ctx: &ExecContext, values: &[Datum]) -> Result<bool> {
        if self.relation.table().is_none_or(|t| t.bound.is_none()) {
            return Ok(true);
        }
        let levels = match self.levels.get() {
            Some(levels) => levels,
            None => {
                let mut made = Vec::new();
                let mut part = self.relation.oid;
                for above in partition::ancestors(&ctx.catalog, &self.relation) {
                    made.push((Level::new(ctx, &above, &self.relation)?, part));
                    part = above.oid;
                }
                self.levels.get_or_init(|| made)
            }
        };
        for (level, part) in levels {
            if level.find(ctx, values)? != Some(*part) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// An error for a row that is not the partition's.
    pub(crate) fn check_partition(&self, ctx: &ExecContext, values: &[Datum]) -> Result<()> {
        if self.holds(ctx, values)? { Ok(()) } else { Err(self.partition_error(ctx, values)) }
    }

    #[cold]
    fn partition_error(&self, ctx: &ExecContext, values: &[Datum]) -> PgError {
        let table = &self.relation.name;
        let mut e = PgError::new(
            SqlState::CHECK_VIOLATION,
            format!("new row for relation \"{table}\" violates partition constraint"),
        )
        .detail(self.failing_row(ctx, values));
        let report = e.report_mut();
        report.schema = ctx.catalog.schema(self.relation.schema).map(|s| s.name.clone());
        report.table = Some(table.clone());
        e
    }

    /// Computes generated columns and checks a row about to be written.
    pub(crate) fn apply(&self, ctx: &ExecContext, values: &mut Vec<Datum>) -> Result<()> {
        if !self.generated.is_empty() {
            let once = vec![OnceCell::new(); self.cells];
            for (at, node) in &self.generated {
                let frame = Frame { ctx, params: &[], once: &once, row: RowRef::Values(values) };
                let value = node.eval(&frame)?;
                if let Some(slot) = values.get_mut(*at) {
                    *slot = value;
                }
            }
        }
        for at in &self.not_null {
            if values.get(*at).is_none_or(Datum::is_null) {
                return Err(self.null_error(ctx, *at, values));
            }
        }
        if self.checks.is_empty() {
            return Ok(());
        }
        let width = values.len();
        extend(values, 0, self.relation.oid);
        let once = vec![OnceCell::new(); self.cells];
        let frame = Frame { ctx, params: &[], once: &once, row: RowRef::Values(values) };
        let mut broken = None;
        for (name, node) in &self.checks {
            if node.eval_bool(&frame)? == Some(false) {
                broken = Some(name);
                break;
            }
        }
        values.truncate(width);
        match broken {
            Some(name) => Err(self.check_error(ctx, name, values)),
            None => Ok(()),
        }
    }

    #[cold]
    fn null_error(&self, ctx: &ExecContext, at: usize, values: &[Datum]) -> PgError {
        let column = self.relation.table().and_then(|t| t.columns.get(at));
        let column = column.map_or("", |c| c.name.as_str());
        let table = &self.relation.name;
        let mut e = PgError::new(
            SqlState::NOT_NULL_VIOLATION,
            format!(
                "null value in column \"{column}\" of relation \"{table}\" violates not-null \
                 constraint"
            ),
        )
        .detail(self.failing_row(ctx, values));
        let report = e.report_mut();
        report.schema = ctx.catalog.schema(self.relation.schema).map(|s| s.name.clone());
        report.table = Some(table.clone());
        report.column = Some(column.to_owned());
        e
    }

    #[cold]
    fn check_error(&self, ctx: &ExecContext, name: &str, values: &[Datum]) -> PgError {
        let table = &self.relation.name;
        let schema = ctx.catalog.schema(self.relation.schema).map(|s| s.name.clone());
        PgError::new(
            SqlState::CHECK_VIOLATION,
            format!("new row for relation \"{table}\" violates check constraint \"{name}\""),
        )
        .detail(self.failing_row(ctx, values))
        .constraint(&schema.unwrap_or_default(), table, name)
    }

    /// `Failing row contains (1, null, ...).`: each value cut at 64 bytes.
    fn failing_row(&self, ctx: &ExecContext, values: &[Datum]) -> String {
        const LONGEST: usize = 64;
        let columns = self.relation.table().map_or(&[][..], |t| &t.columns);
        let mut parts = Vec::new();
        for ((c, ty), value) in columns.iter().zip(&self.types).zip(values) {
            if c.dropped {
                continue;
            }
            if value.is_null() {
                parts.push("null".to_owned());
                continue;
            }
            let text = to_text(ty.oid, value, &ctx.io());
            if text.len() <= LONGEST {
                parts.push(text);
            } else {
                let mut end = LONGEST;
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                parts.push(format!("{}...", text.get(..end).unwrap_or("")));
            }
        }
        format!("Failing row contains ({}).", parts.join(", "))
    }
}
