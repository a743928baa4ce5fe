//! Everything that is not a plain query: definitions, writes, transactions, settings.

pub mod settings;
