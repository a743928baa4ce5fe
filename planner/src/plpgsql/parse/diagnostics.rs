//! GET DIAGNOSTICS.

use vicinity_types::{PgError, Result, SqlState};

use super::Parser;
use crate::plpgsql::ast::StatementKind;

/// What GET DIAGNOSTICS tells.
const CURRENT_ITEMS: [&str; 2] = ["row_count", "pg_context"];

/// What GET STACKED DIAGNOSTICS tells.
const STACKED_ITEMS: [&str; 10] = [
    "returned_sqlstate",
    "message_text",
    "pg_exception_detail",
    "pg_exception_hint",
    "pg_exception_context",
    "column_name",
    "constraint_name",
    "pg_datatype_name",
    "table_name",
    "schema_name",
];

impl Parser<'_> {
    pub(super) fn diagnostics(&mut self) -> Result<StatementKind> {
        let from = self.at;
        self.advance();
        let stacked = self.keyword("stacked");
        if !stacked {
            self.keyword("current");
        }
        self.expect_word("diagnostics")?;
        let mut items = Vec::new();
        loop {
            let begin = self.at;
            let place = self.place()?;
            self.check_constant(&place, begin)?;
            if !self.symbol("=") && !self.symbol(":=") {
                return Err(self.unexpected());
            }
            let known = |items: &[&str]| items.iter().any(|i| self.is_word(i));
            if !known(&CURRENT_ITEMS) && !known(&STACKED_ITEMS) {
                return Err(self.complaint("unrecognized GET DIAGNOSTICS item"));
            }
            items.push((place, self.word()?));
            if !self.symbol(",") {
                break;
            }
        }
        self.expect_symbol(";")?;
        let (kind, allowed) = match stacked {
            true => ("STACKED", &STACKED_ITEMS[..]),
            false => ("CURRENT", &CURRENT_ITEMS[..]),
        };
        if let Some((_, item)) = items.iter().find(|(_, item)| !allowed.contains(&item.as_str())) {
            let item = item.to_uppercase();
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                format!("diagnostics item {item} is not allowed in GET {kind} DIAGNOSTICS"),
            )
            .at(self.column(from)));
        }
        Ok(StatementKind::Diagnostics { stacked, items })
    }
}
