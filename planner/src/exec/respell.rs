//! What has a new name is called by it in all the texts that the catalog keeps: queries of views,
//! defaults, checks, conditions of triggers, expressions of indexes and partitions. A text is read with
//! the names from before and written with those of now, so that whatever it was bound to, it stays bound
//! to.

use std::sync::Arc;

use sqlparser::ast::Expr;
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{
    ConstraintKind, Function, Object, Relation, RelationKind, Trigger, TypeDef, TypeKind,
};
use vicinity_types::{PgError, Result};

use super::stored;
use super::triggers::written_condition;
use super::viewtext::{self, Style};
use crate::call::PgType;
use crate::context::ExecContext;
use crate::sql;

/// Makes a change that gives something a new name, and writes the texts anew.
pub(crate) fn after(ctx: &ExecContext, change: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = ctx.next_statement();
    change()?;
    let now = ctx.txn.catalog();
    let respell = Respell { ctx: &before, now: &now };
    for relation in now.relations() {
        if let Some(next) = respell.relation(relation)? {
            ctx.txn.put(Object::Relation(Arc::new(next)))?;
        }
    }
    for trigger in now.triggers() {
        if let Some(next) = respell.trigger(trigger) {
            ctx.txn.put(Object::Trigger(Arc::new(next)))?;
        }
    }
    for function in now.functions() {
        if let Some(next) = respell.function(function) {
            ctx.txn.put(Object::Function(Arc::new(next)))?;
        }
    }
    for ty in now.types() {
        if let Some(next) = respell.domain(ty) {
            ctx.txn.put(Object::Type(Arc::new(next)))?;
        }
    }
    Ok(())
}

struct Respell<'a> {
    /// Reads with the names from before.
    ctx: &'a ExecContext,
    /// Has the names of now.
    now: &'a Catalog,
}

impl Respell<'_> {
    /// A relation with its texts anew; `None` if they are as they were.
    fn relation(&self, relation: &Arc<Relation>) -> Result<Option<Relation>> {
        let mut next = (**relation).clone();
        let changed = match &mut next.kind {
            RelationKind::View(v) => {
                let columns: Vec<String> = v.columns.iter().map(|c| c.name.clone()).collect();
                let mut changed = self.query(&mut v.query, &columns)?;
                for text in v.columns.iter_mut().filter_map(|c| c.default.as_mut()) {
                    changed |= self.expr(None, text);
                }
                changed
            }
            RelationKind::Table(t) => {
                let mut changed = false;
                if let Some(m) = &mut t.materialized {
                    let columns: Vec<String> = t.columns.iter().map(|c| c.name.clone()).collect();
                    changed |= self.query(&mut m.query, &columns)?;
                }
                let table = self.ctx.catalog.relation(relation.oid);
                for c in t.columns.iter_mut().filter(|c| !c.dropped) {
                    for text in c.default.iter_mut().chain(&mut c.generated) {
                        changed |= self.expr(table, text);
                    }
                }
                for c in &mut t.constraints {
                    if let ConstraintKind::Check { expr } = &mut c.kind {
                        changed |= self.expr(table, expr);
                    }
                }
                for key in t.partitioning.iter_mut().flat_map(|p| &mut p.keys) {
                    changed |= key.expr.as_mut().is_some_and(|e| self.expr(table, &mut e.sql));
                }
                changed
            }
            RelationKind::Index(i) => {
                let table = self.ctx.catalog.relation(i.table);
                let mut changed = false;
                for key in &mut i.keys {
                    changed |= key.expr.as_mut().is_some_and(|e| self.expr(table, &mut e.sql));
                }
                changed | i.predicate.as_mut().is_some_and(|text| self.expr(table, text))
            }
            RelationKind::Sequence(_) | RelationKind::Composite(_) => false,
        };
        Ok(changed.then_some(next))
    }

    fn query(&self, kept: &mut String, columns: &[String]) -> Result<bool> {
        let ctx = self.ctx;
        let Some(query) = viewtext::parsed(kept) else { return Ok(false) };
        let write = |catalog: &Catalog| {
            viewtext::write_as(ctx, catalog, &query, columns, Style::Stored)
                .map(|text| text.trim().to_owned())
        };
        let text = match (write(&ctx.catalog), write(self.now)) {
            (Some(_), Some(text)) => text,
            // A form that is kept as it was written: if it meant something, it still must.
            _ => {
                let now = ExecContext { catalog: Arc::new(self.now.clone()), ..ctx.clone() };
                if super::query::lost_meaning(ctx, &now, &query) {
                    return Err(PgError::unsupported("renaming what a view of this form reads"));
                }
                return Ok(false);
            }
        };
        let changed = text != *kept;
        *kept = text;
        Ok(changed)
    }

    fn expr(&self, table: Option<&Arc<Relation>>, kept: &mut String) -> bool {
        let write =
            |e: &Expr, catalog: &Catalog| stored::write(self.ctx, table, e, catalog, None, false);
        self.respelled(kept, write)
    }

    fn respelled(
        &self,
        kept: &mut String,
        write: impl Fn(&Expr, &Catalog) -> Option<String>,
    ) -> bool {
        let Ok(expr) = sql::parse_expression(kept) else { return false };
        let texts = (write(&expr, &self.ctx.catalog), write(&expr, self.now));
        let (Some(before), Some(text)) = texts else { return false };
        let changed = text != before;
        if changed {
            *kept = text;
        }
        changed
    }

    fn trigger(&self, trigger: &Arc<Trigger>) -> Option<Trigger> {
        let table = self.ctx.catalog.relation(trigger.table)?;
        let mut next = (**trigger).clone();
        let write = |e: &Expr, catalog: &Catalog| {
            written_condition(self.ctx, table, e, catalog, None, false)
        };
        self.respelled(next.when.as_mut()?, write).then_some(next)
    }

    /// Defaults of arguments.
    fn function(&self, function: &Arc<Function>) -> Option<Function> {
        let mut next = (**function).clone();
        let mut changed = false;
        for text in next.args.iter_mut().filter_map(|a| a.default.as_mut()) {
            changed |= self.expr(None, text);
        }
        changed.then_some(next)
    }

    fn domain(&self, ty: &Arc<TypeDef>) -> Option<TypeDef> {
        let mut next = (**ty).clone();
        let TypeKind::Domain { base, typmod, default, checks, .. } = &mut next.kind else {
            return None;
        };
        let mut changed = default.as_mut().is_some_and(|text| self.expr(None, text));
        let base = PgType::with_kind(*base, *typmod, self.ctx.catalog.kind_of(*base));
        for check in checks {
            let write = |e: &Expr, catalog: &Catalog| {
                stored::write_check(self.ctx, base, e, catalog, None, false)
            };
            changed |= self.respelled(&mut check.expr, write);
        }
        changed.then_some(next)
    }
}
