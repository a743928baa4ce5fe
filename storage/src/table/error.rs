//! Errors that name a table's parts, in PostgreSQL's words.

use vicinity_types::io::{Io, IoStyle, NoNames, to_text};
use vicinity_types::{Oid, PgError, SqlState};

use super::Table;
use crate::txn::Transaction;

impl Table {
    /// `(id, name)=(1, x)` of a tuple under an index.
    fn key_text(&self, index: Oid, tuple: &[u8]) -> Option<String> {
        let store = self.store.index(index)?;
        let style = IoStyle::default();
        let io = Io { style: &style, names: &NoNames };
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for k in &store.keys {
            let column = self.def()?.columns.get(k.column)?;
            names.push(column.name.clone());
            values.push(match self.layout.raw(tuple, k.column) {
                Some(raw) => {
                    let value = vicinity_types::raw::decode(k.kind, raw).ok()?;
                    to_text(column.type_oid, &value, &io)
                }
                None => "null".to_owned(),
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
        match self.key_text(index, tuple) {
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
        match self.key_text(index, tuple) {
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

pub(super) fn concurrent_update() -> PgError {
    PgError::new(
        SqlState::SERIALIZATION_FAILURE,
        "could not serialize access due to concurrent update",
    )
}

pub(super) fn concurrent_delete() -> PgError {
    PgError::new(
        SqlState::SERIALIZATION_FAILURE,
        "could not serialize access due to concurrent delete",
    )
}
