//! Domains at run time: a value that becomes one must pass its NOT NULL and its checks.

use std::sync::{Arc, OnceLock};

use sqlparser::ast::Expr as Ast;
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{TypeDef, TypeKind};
use vicinity_types::{Datum, Kind, Oid, PgError, Result, SqlState};

use crate::bind::Place;
use crate::call::PgType;
use crate::context::ExecContext;
use crate::exec::dml::{Layout, RowExpr, binder};
use crate::{names, sql};

/// What a domain asks of its values, its checks compiled when they are first needed.
pub(crate) struct Asked {
    domain: Arc<TypeDef>,
    /// The domain that errors speak of: one over that domain, or itself.
    shown: Arc<TypeDef>,
    base: PgType,
    checks: OnceLock<Vec<(String, RowExpr)>>,
}

/// The layout of a check: its only name is VALUE.
pub(crate) fn layout(base: PgType) -> Layout {
    let mut layout = Layout::default();
    layout.add_columns("", &[("value".to_owned(), base)]);
    layout
}

fn compile(ctx: &ExecContext, base: PgType, expr: &Ast) -> Result<RowExpr> {
    let layout = layout(base);
    let bound = binder(ctx).condition_at(expr, layout.scope(), "CHECK", Place::Check)?;
    RowExpr::compile(&bound, Kind::Bool, Some(&layout))
}

/// Binds a check, for its errors.
pub(crate) fn validate(ctx: &ExecContext, (base, typmod): (Oid, i32), expr: &Ast) -> Result<()> {
    let base = PgType::with_kind(base, typmod, ctx.catalog.kind_of(base));
    compile(ctx, base, expr).map(drop)
}

/// Whether a domain, or one that it is made of, asks anything of its values
/// (`DomainHasConstraints`).
pub(crate) fn is_constrained(catalog: &Catalog, ty: Oid) -> bool {
    let Some(TypeKind::Domain { base, not_null, checks, .. }) =
        catalog.type_def(ty).map(|t| &t.kind)
    else {
        return false;
    };
    *not_null || !checks.is_empty() || is_constrained(catalog, *base)
}

impl Asked {
    /// What a domain asks itself, not what the domain it is made of asks; `None` if nothing. It may ask
    /// it of what becomes a value of `shown`.
    pub(crate) fn of(catalog: &Catalog, domain: Oid, shown: Oid) -> Option<Asked> {
        let ty = catalog.type_def(domain)?;
        let shown = catalog.type_def(shown)?.clone();
        let TypeKind::Domain { base, typmod, not_null, checks, .. } = &ty.kind else {
            return None;
        };
        if !not_null && checks.is_empty() {
            return None;
        }
        let base = PgType::with_kind(*base, *typmod, catalog.kind_of(*base));
        Some(Asked { domain: ty.clone(), shown, base, checks: OnceLock::new() })
    }

    /// What distinguishes it from others.
    pub(crate) fn identity(&self) -> String {
        format!("{} {} {:?}", self.shown.oid, self.domain.oid, self.domain.kind)
    }

    /// An error if a value is not one of the domain's.
    pub(crate) fn check(&self, ctx: &ExecContext, value: &Datum) -> Result<()> {
        let TypeKind::Domain { not_null, checks, .. } = &self.domain.kind else { return Ok(()) };
        let shown = || names::type_name_in(&ctx.catalog, Some(&ctx.session), self.shown.oid, None);
        if *not_null && value.is_null() {
            let text = format!("domain {} does not allow null values", shown());
            return Err(self.refused(ctx, SqlState::NOT_NULL_VIOLATION, text, None));
        }
        let compiled = match self.checks.get() {
            Some(compiled) => compiled,
            None => {
                let mut made = Vec::with_capacity(checks.len());
                for c in checks {
                    let expr = sql::parse_expression(&c.expr)?;
                    made.push((c.name.clone(), compile(ctx, self.base, &expr)?));
                }
                // They are looked at in the order of their names.
                made.sort_by(|a, b| a.0.cmp(&b.0));
                self.checks.get_or_init(|| made)
            }
        };
        for (own, check) in compiled {
            if check.fails(ctx, std::slice::from_ref(value))? {
                let text =
                    format!("value for domain {} violates check constraint \"{own}\"", shown());
                return Err(self.refused(ctx, SqlState::CHECK_VIOLATION, text, Some(own)));
            }
        }
        Ok(())
    }

    /// An error with the names that programs read.
    fn refused(
        &self,
        ctx: &ExecContext,
        code: SqlState,
        text: String,
        constraint: Option<&String>,
    ) -> PgError {
        let mut error = PgError::new(code, text);
        let report = error.report_mut();
        report.schema = ctx.catalog.schema(self.shown.schema).map(|s| s.name.clone());
        report.data_type = Some(self.shown.name.clone());
        report.constraint = constraint.cloned();
        error
    }
}
