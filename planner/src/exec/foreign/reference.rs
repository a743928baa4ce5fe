//! The foreign keys of a table, both ways.

use std::borrow::Cow;
use std::sync::Arc;

use vicinity_storage::catalog::model::{
    Constraint, ConstraintKind, ForeignKey, ReferentialAction, Relation,
};
use vicinity_types::io::to_text;
use vicinity_types::{Datum, Oid, PgError, Result, SqlState, encode_key};

use super::part;
use crate::call::PgType;
use crate::context::ExecContext;
use crate::exec::after::Values;
use crate::exec::dml::column_type;
use crate::{names, partition};

/// One foreign key.
#[derive(Clone)]
pub(crate) struct Reference {
    pub(crate) constraint: Constraint,
    pub(crate) key: ForeignKey,
    pub(crate) child: Arc<Relation>,
    pub(crate) parent: Arc<Relation>,
    /// It stands for one of the partitions that are referred to.
    pub(crate) is_part: bool,
}

/// What is to be done about a key that the parent table lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Delete,
    Update,
}

fn pick(numbers: &[i16], row: &[Datum]) -> Values {
    let at = |n: &i16| usize::try_from(*n - 1).ok().and_then(|at| row.get(at)).cloned();
    numbers.iter().map(|n| at(n).unwrap_or_default()).collect()
}

impl Reference {
    /// The same as the catalog has it now; `None` if there is none any more.
    pub(crate) fn now(&self, ctx: &ExecContext) -> Option<Cow<'_, Reference>> {
        let child = ctx.catalog.relation(self.child.oid)?;
        if Arc::ptr_eq(child, &self.child) {
            return Some(Cow::Borrowed(self));
        }
        let mut all = child.table()?.constraints.iter();
        let constraint = all.find(|c| c.oid == self.constraint.oid)?.clone();
        Some(Cow::Owned(Reference { constraint, child: child.clone(), ..self.clone() }))
    }

    /// The key of a row that refers.
    pub(crate) fn of_child(&self, row: &[Datum]) -> Values {
        pick(&self.constraint.columns, row)
    }

    /// The key of a row that is referred to.
    pub(crate) fn of_parent(&self, row: &[Datum]) -> Values {
        pick(&self.key.columns, row)
    }

    pub(crate) fn action(&self, event: Event) -> &ReferentialAction {
        match event {
            Event::Delete => &self.key.on_delete,
            Event::Update => &self.key.on_update,
        }
    }

    fn types(&self, ctx: &ExecContext, relation: &Relation, numbers: &[i16]) -> Vec<PgType> {
        let columns = relation.table().map_or(&[][..], |t| &t.columns);
        let column = |n: &i16| usize::try_from(*n - 1).ok().and_then(|at| columns.get(at));
        numbers.iter().filter_map(column).map(|c| column_type(&ctx.catalog, c)).collect()
    }

    /// Types of the referring columns.
    pub(crate) fn child_types(&self, ctx: &ExecContext) -> Vec<PgType> {
        self.types(ctx, &self.child, &self.constraint.columns)
    }

    /// Types of the columns referred to.
    pub(crate) fn parent_types(&self, ctx: &ExecContext) -> Vec<PgType> {
        self.types(ctx, &self.parent, &self.key.columns)
    }

    /// Names of some columns of a table.
    pub(crate) fn column_names(relation: &Relation, numbers: &[i16]) -> Vec<String> {
        let columns = relation.table().map_or(&[][..], |t| &t.columns);
        let column = |n: &i16| usize::try_from(*n - 1).ok().and_then(|at| columns.get(at));
        numbers.iter().filter_map(column).map(|c| c.name.clone()).collect()
    }

    /// `(a, b)=(1, x)`
    fn shown(
        &self,
        ctx: &ExecContext,
        names: &[String],
        types: &[PgType],
        key: &[Datum],
    ) -> String {
        let text = |(value, ty): (&Datum, &PgType)| {
            if value.is_null() {
                return "null".to_owned();
            }
            to_text(ty.oid, value, &ctx.io())
        };
        let values: Vec<String> = key.iter().zip(types).map(text).collect();
        format!("({})=({})", names.join(", "), values.join(", "))
    }

    fn error(&self, ctx: &ExecContext, text: String, detail: String) -> PgError {
        let schema = ctx.catalog.schema(self.child.schema).map(|s| s.name.clone());
        PgError::new(SqlState::FOREIGN_KEY_VIOLATION, text).detail(detail).constraint(
            &schema.unwrap_or_default(),
            &self.child.name,
            &self.constraint.name,
        )
    }

    fn missing(&self) -> String {
        format!(
            "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
            self.child.name, self.constraint.name
        )
    }

    /// A row refers to nothing.
    pub(crate) fn not_present(&self, ctx: &ExecContext, key: &[Datum]) -> PgError {
        let names = Reference::column_names(&self.child, &self.constraint.columns);
        let shown = self.shown(ctx, &names, &self.child_types(ctx), key);
        let parent = &self.parent.name;
        self.error(
            ctx,
            self.missing(),
            format!("Key {shown} is not present in table \"{parent}\"."),
        )
    }

    /// MATCH FULL, and only some columns are NULL.
    pub(crate) fn mixed(&self, ctx: &ExecContext) -> PgError {
        let detail = "MATCH FULL does not allow mixing of null and nonnull key values.";
        self.error(ctx, self.missing(), detail.to_owned())
    }

    /// A key goes that somebody refers to.
    pub(crate) fn still_referenced(&self, ctx: &ExecContext, key: &[Datum]) -> PgError {
        let names = Reference::column_names(&self.parent, &self.key.columns);
        let shown = self.shown(ctx, &names, &self.parent_types(ctx), key);
        let child = &self.child.name;
        self.error(
            ctx,
            format!(
                "update or delete on table \"{}\" violates foreign key constraint \"{}\" on table \
                 \"{child}\"",
                self.parent.name, self.constraint.name
            ),
            format!("Key {shown} is still referenced from table \"{child}\"."),
        )
    }

    /// A partition is to go, and a row still refers to one of its rows.
    pub(crate) fn still_parting(&self, ctx: &ExecContext, key: &[Datum]) -> PgError {
        let names = Reference::column_names(&self.parent, &self.key.columns);
        let shown = self.shown(ctx, &names, &self.child_types(ctx), key);
        self.error(
            ctx,
            format!(
                "removing partition \"{}\" violates foreign key constraint \"{}\"",
                self.parent.name, self.constraint.name
            ),
            format!("Key {shown} is still referenced from table \"{}\".", self.child.name),
        )
    }

    /// Whether a key refers to a row at all: an error if MATCH FULL forbids it.
    pub(crate) fn refers(&self, ctx: &ExecContext, key: &[Datum]) -> Result<bool> {
        let nulls = key.iter().filter(|v| v.is_null()).count();
        if self.key.full && nulls > 0 && nulls < key.len() {
            return Err(self.mixed(ctx));
        }
        Ok(nulls == 0)
    }
}

/// Bytes that are equal where the values are.
pub(crate) fn bytes_of(key: &[Datum]) -> Vec<u8> {
    let mut out = Vec::new();
    for value in key {
        encode_key(value, false, false, &mut out);
    }
    out
}

/// A table's name as SQL text needs it; tables that inherit from it have no part in its keys.
pub(crate) fn table_name(ctx: &ExecContext, relation: &Relation) -> String {
    let schema = ctx.catalog.schema(relation.schema).map_or("", |s| s.name.as_str());
    let only = if partition::is_partitioned(relation) { "" } else { "ONLY " };
    format!("{only}{}.{}", names::quote(schema), names::quote(&relation.name))
}

/// The foreign keys a table's writes must heed.
#[derive(Default)]
pub(crate) struct Keys {
    /// Where the table refers.
    pub(crate) outgoing: Vec<Arc<Reference>>,
    /// Where it is referred to.
    pub(crate) incoming: Vec<Arc<Reference>>,
}

impl Keys {
    pub(crate) fn of(ctx: &ExecContext, relation: &Arc<Relation>) -> Keys {
        let mut keys = Keys::default();
        for c in relation.table().map_or(&[][..], |t| &t.constraints) {
            let ConstraintKind::ForeignKey(f) = &c.kind else { continue };
            if part::whole_of(&ctx.catalog, relation, c).is_some() {
                continue;
            }
            let parent = match f.table == relation.oid {
                true => Some(relation),
                false => ctx.catalog.relation(f.table),
            };
            let Some(parent) = parent else { continue };
            keys.outgoing.push(Arc::new(Reference {
                constraint: c.clone(),
                key: (**f).clone(),
                child: relation.clone(),
                parent: parent.clone(),
                is_part: false,
            }));
        }
        for (child, c, f) in ctx.catalog.references_to(relation.oid) {
            if part::is_copy(&ctx.catalog, child, c) {
                continue;
            }
            keys.incoming.push(Arc::new(Reference {
                constraint: c.clone(),
                key: f.clone(),
                child: child.clone(),
                parent: relation.clone(),
                is_part: part::whole_of(&ctx.catalog, child, c).is_some(),
            }));
        }
        // Checks come in the order of their names, as triggers fire.
        keys.outgoing.sort_by(|a, b| a.constraint.name.cmp(&b.constraint.name));
        keys.incoming.sort_by_key(|r| r.constraint.oid);
        keys
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.outgoing.is_empty() && self.incoming.is_empty()
    }
}

/// A foreign key by its constraint.
pub(crate) fn find(ctx: &ExecContext, constraint: Oid) -> Option<Arc<Reference>> {
    let (child, c) = ctx.catalog.constraint(constraint)?;
    let ConstraintKind::ForeignKey(f) = &c.kind else { return None };
    let parent = ctx.catalog.relation(f.table)?;
    Some(Arc::new(Reference {
        constraint: c.clone(),
        key: (**f).clone(),
        child: child.clone(),
        parent: parent.clone(),
        is_part: part::whole_of(&ctx.catalog, child, c).is_some(),
    }))
}
