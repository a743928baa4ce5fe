//! Versioned rows, transactions, WAL, catalog; owns the indexes' upkeep.

pub mod catalog;
