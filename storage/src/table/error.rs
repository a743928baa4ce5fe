//! Errors that name a table's parts, in PostgreSQL's words.

use std::sync::Arc;

use vicinity_types::enums::Label;
use vicinity_types::io::{Io, IoStyle, TypeNames, UserType, to_text};
use vicinity_types::{Datum, Oid, PgError, Result, SqlState};

use super::Table;
use crate::catalog::Catalog;
use crate::txn::Transaction;

/// What this room knows of types: the labels of enums.
struct Labels(Arc<Catalog>);

impl TypeNames for Labels {
    fn reg_out(&self, _: Oid, _: Oid) -> Option<String> {
        None
    }

    fn reg_in(&self, _: Oid, text: &str) -> Result<Oid> {
        Err(PgError::internal(format!("\"{text}\" is read where no names are known")))
    }

    fn type_info(&self, _: Oid) -> Option<UserType> {
        None
    }

    fn labels(&self, ty: Oid) -> Option<Arc<[Label]>> {
        self.0.enum_labels(ty).cloned()
    }
}

impl Table {
    /// `(id, name)=(1, x)` of a tuple under an index.
    fn key_text(&self, txn: &Transaction, index: Oid, tuple: &[u8]) -> Option<String> {
        let store = self.store.index(index)?;
        let style = IoStyle::default();
        let labels = Labels(txn.catalog());
        let io = Io { style: &style, names: &labels };
        let (mut names, mut values) = (Vec::new(), Vec::new());
        let def = txn.catalog().relation(index)?.index()?.clone();
        for (k, value) in def.keys.iter().zip(store.key_values(&self.layout, tuple).ok()?) {
            let ty = match &k.expr {
                Some(e) => {
                    names.push(e.sql.clone());
                    e.type_oid
                }
                None => {
                    let at = usize::try_from(k.column).ok()?.checked_sub(1)?;
                    let column = self.def()?.columns.get(at)?;
                    names.push(column.name.clone());
                    column.type_oid
                }
            };
            values.push(match value {
                Datum::Null => "null".to_owned(),
                value => to_text(ty, &value, &io),
            });
        }
        Some(format!("({})=({})", names.join(", "), values.join(", ")))
    }

    /// The names of an index and of the table's schema, from the catalog the transaction sees.
    fn names(&self, txn: &Transaction, index: Oid) -> (String, String) {
        let catalog = txn.catalog();
        let index = catalog.relation(index).map_or_else(String::new, |r| r.name.clone());
        let schema =
            catalog.schema(self.relation.schema).map_or_else(String::new, |s| s.name.clone());
        (index, schema)
    }

    pub(super) fn duplicate_key(&self, txn: &Transaction, index: Oid, tuple: &[u8]) -> PgError {
        let (name, schema) = self.names(txn, index);
        let e = PgError::new(
            SqlState::UNIQUE_VIOLATION,
            format!("duplicate key value violates unique constraint \"{name}\""),
        )
        .constraint(&schema, &self.relation.name, &name);
        match self.key_text(txn, index, tuple) {
            Some(key) => e.detail(format!("Key {key} already exists.")),
            None => e,
        }
    }

    /// CREATE UNIQUE INDEX found the same key twice.
    pub(crate) fn cannot_be_unique(&self, txn: &Transaction, index: Oid, tuple: &[u8]) -> PgError {
        let (name, schema) = self.names(txn, index);
        let e = PgError::new(
            SqlState::UNIQUE_VIOLATION,
            format!("could not create unique index \"{name}\""),
        )
        .constraint(&schema, &self.relation.name, &name);
        match self.key_text(txn, index, tuple) {
            Some(key) => e.detail(format!("Key {key} is duplicated.")),
            None => e,
        }
    }

    /// Adds what a wait for a row's writer was about.
    pub(super) fn while_doing(&self, e: PgError, what: &str, row: u64) -> PgError {
        if e.code() == SqlState::DEADLOCK_DETECTED || e.code() == SqlState::LOCK_NOT_AVAILABLE {
            let (block, offset) = (row >> 16, (row & 0xffff) + 1);
            let relation = &self.relation.name;
            return e.context(format!(
                "while {what} tuple ({block},{offset}) in relation \"{relation}\""
            ));
        }
        e
    }
}

/// Another transaction changed a row behind a snapshot that lasts.
pub fn concurrent_update() -> PgError {
    PgError::new(
        SqlState::SERIALIZATION_FAILURE,
        "could not serialize access due to concurrent update",
    )
}

/// The row that was waited for is another partition's now: nothing finds it there again.
pub(super) fn concurrent_move() -> PgError {
    PgError::new(
        SqlState::SERIALIZATION_FAILURE,
        "tuple to be locked was already moved to another partition due to concurrent update",
    )
}

pub(super) fn concurrent_delete() -> PgError {
    PgError::new(
        SqlState::SERIALIZATION_FAILURE,
        "could not serialize access due to concurrent delete",
    )
}
