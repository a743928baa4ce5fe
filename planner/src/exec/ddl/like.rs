//! `CREATE TABLE (LIKE source INCLUDING ...)`: what is taken over from another relation.

use std::sync::Arc;

use sqlparser::ast::{self, SequenceOptions as Option_, Value};
use vicinity_storage::catalog::model::{
    AttrNumber, Column, Comment, Constraint, ConstraintKind, IndexDef, IndexKey, Object, Relation,
    RelationKind, SequenceDef,
};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::name;
use super::constraint::{Pending, PendingKind};
use super::table::{self, Draft};
use super::{index, inherit};
use crate::context::ExecContext;
use crate::sql::Like;

/// What can be taken over only when the new table is there.
pub(crate) struct Copied {
    source: Arc<Relation>,
    /// The new numbers of the source's columns.
    numbers: Vec<(AttrNumber, AttrNumber)>,
    indexes: bool,
    comments: bool,
}

/// The columns of a relation that LIKE can name.
fn columns(source: &Relation) -> Result<&[Column]> {
    match &source.kind {
        RelationKind::Table(t) => Ok(&t.columns),
        RelationKind::View(v) => Ok(&v.columns),
        RelationKind::Composite(columns) => Ok(columns),
        _ => Err(PgError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("relation \"{}\" is invalid in LIKE clause", source.name),
        )),
    }
}

/// Puts the columns of a LIKE, and its checks and keys, into a draft.
pub(crate) fn columns_into(ctx: &ExecContext, draft: &mut Draft, like: &Like) -> Result<Copied> {
    let source = name::relation(ctx, &like.name)?;
    let mut numbers = Vec::new();
    for (number, c) in (1..).zip(columns(&source)?).filter(|(_, c)| !c.dropped) {
        table::check_name(draft, &c.name)?;
        let at = draft.columns.len();
        let column = Column {
            default: c.default.clone().filter(|_| like.defaults),
            identity: c.identity.filter(|_| like.identity),
            generated: c.generated.clone().filter(|_| like.generated),
            missing: None,
            storage: c.storage.filter(|_| like.storage),
            compression: c.compression.filter(|_| like.compression),
            statistics: -1,
            options: Vec::new(),
            inherited: 0,
            local: true,
            ..c.clone()
        };
        if column.identity.is_some() {
            let sequence = ctx.txn.catalog();
            let owned = Some((source.oid, number));
            let def = sequence
                .sequences_of(source.oid)
                .find_map(|s| s.sequence().filter(|d| d.owned_by == owned && d.identity).cloned());
            draft.add_identity(at, column.type_oid, def.map_or_else(Vec::new, |d| options(&d)));
        }
        draft.declared += 1;
        let at = match inherit::merge(ctx, draft, column)? {
            Some(column) => {
                draft.columns.push(column);
                at
            }
            None => draft.columns.iter().position(|have| have.name == c.name).unwrap_or(at),
        };
        numbers.push((number, i16::try_from(at + 1).unwrap_or(i16::MAX)));
    }
    let copied = Copied { source, numbers, indexes: like.indexes, comments: like.comments };
    if like.constraints {
        copied.checks_into(ctx, draft);
    }
    if like.indexes {
        copied.keys_into(ctx, draft);
    }
    Ok(copied)
}

/// A sequence's definition as options.
fn options(d: &SequenceDef) -> Vec<Option_> {
    let number = |n: i64| ast::Expr::Value(Value::Number(n.to_string(), false).into());
    vec![
        Option_::IncrementBy(number(d.increment), true),
        Option_::MinValue(Some(number(d.min))),
        Option_::MaxValue(Some(number(d.max))),
        Option_::StartWith(number(d.start), true),
        Option_::Cache(number(d.cache)),
        Option_::Cycle(!d.cycle),
    ]
}

impl Copied {
    fn number(&self, old: AttrNumber) -> AttrNumber {
        self.numbers.iter().find(|(o, _)| *o == old).map_or(0, |(_, new)| *new)
    }

    fn constraints(&self) -> &[Constraint] {
        self.source.table().map_or(&[][..], |t| &t.constraints)
    }

    fn checks_into(&self, ctx: &ExecContext, draft: &mut Draft) {
        for c in self.constraints() {
            if matches!(c.kind, ConstraintKind::Check { .. }) {
                draft.ready.push(Constraint {
                    oid: ctx.txn.new_oid(),
                    columns: c.columns.iter().map(|n| self.number(*n)).collect(),
                    inherited: 0,
                    local: true,
                    ..c.clone()
                });
            }
        }
    }

    /// Keys are made anew, with names of their own.
    fn keys_into(&self, ctx: &ExecContext, draft: &mut Draft) {
        let catalog = ctx.txn.catalog();
        let name = |n: &AttrNumber| {
            let at = usize::try_from(self.number(*n) - 1).unwrap_or(usize::MAX);
            draft.columns.get(at).map_or_else(String::new, |c| c.name.clone())
        };
        for c in self.constraints() {
            let (index, primary) = match &c.kind {
                ConstraintKind::PrimaryKey { index } => (index, true),
                ConstraintKind::Unique { index } => (index, false),
                _ => continue,
            };
            let def = catalog.relation(*index).and_then(|r| r.index());
            let kind = PendingKind::Key {
                columns: c.columns.iter().map(name).collect(),
                primary,
                nulls_not_distinct: def.is_some_and(|d| d.nulls_not_distinct),
                include: def.map_or_else(Vec::new, |d| d.include.iter().map(name).collect()),
            };
            draft.constraints.push(Pending::new(None, kind));
        }
    }

    /// Indexes and comments, onto the new table.
    pub(crate) fn finish(&self, ctx: &ExecContext, table: Oid) -> Result<()> {
        let mut made: Vec<(Oid, Oid)> = Vec::new();
        if self.indexes {
            self.indexes(ctx, table, &mut made)?;
        }
        if self.comments {
            self.comments(ctx, table, &made)?;
        }
        Ok(())
    }

    fn indexes(&self, ctx: &ExecContext, table: Oid, made: &mut Vec<(Oid, Oid)>) -> Result<()> {
        let catalog = ctx.txn.catalog();
        let target = index::reread(ctx, table)?;
        for old in catalog.indexes_of(self.source.oid) {
            let Some(def) = old.index() else { continue };
            if super::depend::constraint_of_index(&catalog, old).is_some() {
                let same = |i: &&Arc<Relation>| {
                    i.index().is_some_and(|d| {
                        d.unique
                            && d.keys
                                .iter()
                                .map(|k| k.column)
                                .eq(def.keys.iter().map(|k| self.number(k.column)))
                    })
                };
                let held = ctx.txn.catalog();
                made.extend(held.indexes_of(table).find(same).map(|new| (old.oid, new.oid)));
                continue;
            }
            let def = self.index(table, def);
            let names = attribute_names(&target, &def);
            let joined = name::joined(names.iter().map(String::as_str));
            let own =
                name::choose(ctx, target.schema, &target.name, Some(&joined), "idx", &|_| false);
            let oid = ctx.txn.new_oid();
            let kind = RelationKind::Index(def);
            let (schema, owner) = (target.schema, target.owner);
            let relation = Relation { oid, name: own, schema, owner, kind };
            ctx.txn.put(Object::Relation(Arc::new(relation)))?;
            made.push((old.oid, oid));
        }
        Ok(())
    }

    /// An index's definition over the new table's columns; its expressions name the same columns.
    fn index(&self, table: Oid, def: &IndexDef) -> IndexDef {
        let key = |k: &IndexKey| IndexKey {
            column: if k.expr.is_some() { 0 } else { self.number(k.column) },
            ..k.clone()
        };
        IndexDef {
            table,
            keys: def.keys.iter().map(key).collect(),
            include: def.include.iter().map(|n| self.number(*n)).collect(),
            valid: true,
            parent: None,
            ..def.clone()
        }
    }

    fn comments(&self, ctx: &ExecContext, table: Oid, made: &[(Oid, Oid)]) -> Result<()> {
        let catalog = ctx.txn.catalog();
        let put = |class, object, sub, text: &str| {
            let text = text.to_owned();
            ctx.txn.put(Object::Comment(Arc::new(Comment { class, object, sub, text })))
        };
        for (old, new) in &self.numbers {
            if let Some(c) = catalog.comment(1259, self.source.oid, i32::from(*old)) {
                put(1259, table, i32::from(*new), &c.text)?;
            }
        }
        for (old, new) in made {
            if let Some(c) = catalog.comment(1259, *old, 0) {
                put(1259, *new, 0, &c.text)?;
            }
        }
        let target = index::reread(ctx, table)?;
        for c in target.table().map_or(&[][..], |t| &t.constraints) {
            let old = self.constraints().iter().find(|o| o.name == c.name);
            if let Some(found) = old.and_then(|o| catalog.comment(2606, o.oid, 0)) {
                put(2606, c.oid, 0, &found.text)?;
            }
        }
        Ok(())
    }
}

/// The names of an index's attributes.
pub(crate) fn attribute_names(table: &Relation, def: &IndexDef) -> Vec<String> {
    let column = |n: AttrNumber| {
        let columns = table.table().map_or(&[][..], |t| &t.columns);
        let at = usize::try_from(n - 1).unwrap_or(usize::MAX);
        columns.get(at).map_or_else(String::new, |c| c.name.clone())
    };
    let keys = def.keys.iter().map(|k| match &k.expr {
        Some(e) => e.name.clone(),
        None => column(k.column),
    });
    keys.chain(def.include.iter().map(|n| column(*n))).collect()
}
