//! Statements whose PostgreSQL form sqlparser's syntax tree cannot hold.

use sqlparser::ast::{self, DataType, Expr, Ident, ObjectName};

/// A parsed statement.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Statement {
    /// As sqlparser reads it.
    Sql(Box<ast::Statement>),
    /// `CREATE TABLE`, also `CREATE UNLOGGED TABLE` and `CREATE TABLE .. AS`.
    CreateTable {
        /// What sqlparser reads of it.
        table: Box<ast::CreateTable>,
        /// `UNLOGGED`
        unlogged: bool,
        /// `AS ... WITH NO DATA`
        no_data: bool,
    },
    /// `DO [LANGUAGE x] 'body'`
    Do {
        /// Lower case; `plpgsql` unless given.
        language: String,
        /// The block.
        body: String,
    },
    /// `CREATE INDEX`
    CreateIndex(Box<CreateIndex>),
    /// `CREATE FUNCTION` and `CREATE PROCEDURE`
    CreateFunction(Box<CreateFunction>),
    /// `CREATE TRIGGER`
    CreateTrigger(Box<CreateTrigger>),
    /// `VACUUM` and `ANALYZE`
    Vacuum(Vacuum),
    /// `REINDEX`
    Reindex {
        /// `INDEX`, `TABLE`, `SCHEMA`, `DATABASE` or `SYSTEM`.
        kind: String,
        /// What to rebuild.
        name: Option<ObjectName>,
        /// `CONCURRENTLY`
        concurrently: bool,
    },
    /// `CHECKPOINT`
    Checkpoint,
    /// `SET CONSTRAINTS`
    SetConstraints {
        /// None is ALL.
        names: Option<Vec<ObjectName>>,
        /// `DEFERRED`
        deferred: bool,
    },
    /// `DECLARE` of a cursor
    Declare(Box<super::Declare>),
    /// `FETCH` and `MOVE`
    Fetch(super::Fetch),
    /// `CLOSE`; `None` is ALL.
    Close(Option<Ident>),
    /// `ALTER SEQUENCE`
    AlterSequence(AlterSequence),
    /// `COPY`
    Copy(Box<super::Copy>),
}

/// `CREATE INDEX`
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct CreateIndex {
    pub unique: bool,
    pub concurrently: bool,
    pub if_not_exists: bool,
    pub name: Option<Ident>,
    pub table: ObjectName,
    /// `btree` unless given.
    pub method: Option<Ident>,
    pub keys: Vec<IndexKey>,
    pub include: Vec<Ident>,
    pub nulls_not_distinct: bool,
    /// In order, values without their quotes; a bare name means `true`.
    pub options: Vec<(String, String)>,
    pub tablespace: Option<Ident>,
    pub predicate: Option<Expr>,
}

/// A key of an index.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct IndexKey {
    /// A plain column is an `Expr::Identifier`.
    pub expr: Expr,
    pub collation: Option<ObjectName>,
    pub opclass: Option<ObjectName>,
    pub opclass_options: Vec<(String, String)>,
    pub descending: bool,
    pub nulls_first: Option<bool>,
}

/// The direction of a function's argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ArgMode {
    In,
    Out,
    InOut,
    Variadic,
}

/// An argument of `CREATE FUNCTION`.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct FunctionArg {
    pub mode: ArgMode,
    pub name: Option<Ident>,
    pub ty: DataType,
    pub default: Option<Expr>,
}

/// `RETURNS`
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum Returns {
    Type { ty: DataType, set: bool },
    Table(Vec<(Ident, DataType)>),
}

/// `CREATE FUNCTION` and `CREATE PROCEDURE`
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct CreateFunction {
    pub or_replace: bool,
    pub procedure: bool,
    pub name: Option<ObjectName>,
    pub args: Vec<FunctionArg>,
    pub returns: Option<Returns>,
    pub language: Option<String>,
    /// `AS 'body'`
    pub body: Option<String>,
    /// `AS 'file', 'symbol'`
    pub symbol: Option<String>,
    /// `RETURN expression`
    pub return_expr: Option<Expr>,
    /// `i`, `s` or `v`
    pub volatility: Option<char>,
    pub strict: Option<bool>,
    pub leakproof: Option<bool>,
    pub security_definer: Option<bool>,
    pub window: bool,
    /// `s`afe, `r`estricted or `u`nsafe.
    pub parallel: Option<char>,
    pub cost: Option<String>,
    pub rows: Option<String>,
    pub config: Vec<(String, String)>,
}

/// An event a trigger fires on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum TriggerEvent {
    Insert,
    Delete,
    Update(Vec<Ident>),
    Truncate,
}

/// When a trigger fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum TriggerTiming {
    Before,
    After,
    InsteadOf,
}

/// `CREATE TRIGGER`
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct CreateTrigger {
    pub or_replace: bool,
    pub constraint: bool,
    pub name: Ident,
    pub timing: TriggerTiming,
    pub events: Vec<TriggerEvent>,
    pub table: ObjectName,
    pub for_each_row: bool,
    pub when: Option<Expr>,
    pub function: ObjectName,
    pub args: Vec<String>,
}

/// `VACUUM` and `ANALYZE`
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Vacuum {
    pub vacuum: bool,
    pub analyze: bool,
    pub full: bool,
    pub freeze: bool,
    pub verbose: bool,
    /// Further options of the parenthesised form, lower case.
    pub options: Vec<(String, String)>,
    pub tables: Vec<(ObjectName, Vec<Ident>)>,
}

/// `ALTER SEQUENCE`
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct AlterSequence {
    pub if_exists: bool,
    pub name: ObjectName,
    pub options: Vec<ast::SequenceOptions>,
    pub owned_by: Option<ObjectName>,
    /// `RESTART [WITH n]`: `Some(None)` without a number.
    pub restart: Option<Option<i64>>,
    pub rename_to: Option<Ident>,
    pub owner_to: Option<Ident>,
    pub set_schema: Option<Ident>,
}
