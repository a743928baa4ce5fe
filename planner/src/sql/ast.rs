//! Statements whose PostgreSQL form sqlparser's syntax tree cannot hold.

use super::role::{AlterDatabase, AlterRole, CreateRole, DefaultPrivileges};
use super::transaction::{Control, Modes};
use sqlparser::ast::{self, DataType, Expr, Ident, ObjectName};

/// A parsed statement.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum Statement {
    /// As sqlparser reads it.
    Sql(Box<ast::Statement>),
    /// `BEGIN`, `SET TRANSACTION`, two-phase commit.
    Transaction(Control),
    /// `SET SESSION CHARACTERISTICS AS TRANSACTION`
    Characteristics(Modes),
    /// `CREATE TABLE`, also `CREATE UNLOGGED TABLE` and `CREATE TABLE .. AS`.
    CreateTable {
        /// What sqlparser reads of it.
        table: Box<ast::CreateTable>,
        /// `UNLOGGED`
        unlogged: bool,
        /// `AS ... WITH NO DATA`
        no_data: bool,
        /// `LIKE` in the list.
        likes: Vec<Like>,
        /// `PARTITION BY`
        partition_by: Option<PartitionBy>,
        /// It was written as `SELECT ... INTO`.
        select_into: bool,
    },
    /// `CREATE ROLE`
    CreateRole(CreateRole),
    /// `ALTER ROLE`
    AlterRole(AlterRole),
    /// `ALTER DATABASE`
    AlterDatabase {
        /// Which.
        name: ast::Ident,
        /// How.
        alter: AlterDatabase,
    },
    /// `DROP ROUTINE`
    DropRoutine(ast::DropFunction),
    /// `DROP DOMAIN`
    DropDomain {
        /// Which.
        names: Vec<ObjectName>,
        /// `IF EXISTS`
        if_exists: bool,
        /// `CASCADE`
        cascade: bool,
    },
    /// `DROP OWNED BY`
    DropOwned {
        /// Whose.
        roles: Vec<ast::Ident>,
        /// `CASCADE`
        cascade: bool,
    },
    /// `REASSIGN OWNED BY`
    ReassignOwned {
        /// Whose.
        roles: Vec<ast::Ident>,
        /// Who is to own it.
        to: ast::Ident,
    },
    /// `ALTER DEFAULT PRIVILEGES`
    DefaultPrivileges(Box<DefaultPrivileges>),
    /// `CREATE SCHEMA` with what is to be made in it.
    CreateSchema {
        /// The statement without that.
        schema: Box<ast::Statement>,
        /// `CREATE TABLE ...`, `GRANT ...`
        elements: Vec<Statement>,
    },
    /// `ALTER TABLE`, `ALTER VIEW`, `ALTER INDEX`
    AlterRelation(AlterRelation),
    /// `CREATE DOMAIN`
    CreateDomain(Box<CreateDomain>),
    /// `CREATE MATERIALIZED VIEW`
    CreateMaterializedView {
        /// What sqlparser reads of it.
        view: Box<ast::CreateView>,
        /// `WITH NO DATA`
        no_data: bool,
    },
    /// `ALTER DOMAIN`
    AlterDomain(Box<AlterDomain>),
    /// `ALTER FUNCTION`, `ALTER TYPE`: what every object can be told.
    AlterObject(Box<AlterObject>),
    /// `ALTER TYPE ... ATTRIBUTE`
    AlterAttributes(Box<AlterAttributes>),
    /// `COMMENT ON` a constraint, trigger or function.
    Comment {
        /// What it is on.
        on: Box<super::comment::CommentOn>,
        /// None takes it away.
        text: Option<String>,
    },
    /// `REFRESH MATERIALIZED VIEW`
    Refresh {
        /// The view.
        name: ObjectName,
        /// `WITH NO DATA`
        no_data: bool,
        /// `CONCURRENTLY`: who reads need not wait.
        concurrently: bool,
    },
    /// `GRANT` and `REVOKE`
    Grant(Box<super::Grant>),
    /// `DO [LANGUAGE x] 'body'`
    Do {
        /// Lower case; `plpgsql` unless given.
        language: String,
        /// The block.
        body: String,
        /// Where it stands in the query string.
        body_at: Option<usize>,
    },
    /// `CREATE INDEX`
    CreateIndex(Box<CreateIndex>),
    /// `CREATE FUNCTION` and `CREATE PROCEDURE`
    CreateFunction(Box<CreateFunction>),
    /// `CREATE TRIGGER`
    CreateTrigger(Box<CreateTrigger>),
    /// `ALTER TRIGGER name ON table RENAME TO to`
    #[allow(missing_docs)]
    RenameTrigger { name: Ident, table: ObjectName, to: Ident },
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

/// `PARTITION BY strategy (keys)`
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct PartitionBy {
    pub strategy: Ident,
    pub keys: Vec<IndexKey>,
}

/// `LIKE source INCLUDING ...` in a table's list.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Like {
    /// Columns written before it.
    pub at: usize,
    pub name: ObjectName,
    pub comments: bool,
    pub compression: bool,
    pub constraints: bool,
    pub defaults: bool,
    pub generated: bool,
    pub identity: bool,
    pub indexes: bool,
    pub statistics: bool,
    pub storage: bool,
}

impl Like {
    /// With nothing but the columns.
    pub fn plain(at: usize, name: ObjectName) -> Like {
        Like {
            at,
            name,
            comments: false,
            compression: false,
            constraints: false,
            defaults: false,
            generated: false,
            identity: false,
            indexes: false,
            statistics: false,
            storage: false,
        }
    }

    /// Its options by their words.
    pub fn flags(&mut self) -> [(&'static str, &mut bool); 9] {
        [
            ("comments", &mut self.comments),
            ("compression", &mut self.compression),
            ("constraints", &mut self.constraints),
            ("defaults", &mut self.defaults),
            ("generated", &mut self.generated),
            ("identity", &mut self.identity),
            ("indexes", &mut self.indexes),
            ("statistics", &mut self.statistics),
            ("storage", &mut self.storage),
        ]
    }
}

/// What an ALTER of a relation was written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum AlterKind {
    Table,
    View,
    MaterializedView,
    Index,
}

/// `ALTER TABLE name action, ...` and its kin.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct AlterRelation {
    pub kind: AlterKind,
    pub if_exists: bool,
    pub only: bool,
    pub name: ObjectName,
    pub actions: Vec<AlterAction>,
}

/// How a partition is taken from its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetachKind {
    /// At once.
    Plain,
    /// `CONCURRENTLY`: not within a block.
    Concurrently,
    /// `FINALIZE`: what was begun concurrently is brought to its end.
    Finalize,
}

/// One action of an ALTER of a relation.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum AlterAction {
    /// As sqlparser reads it.
    Sql(Box<ast::AlterTableOperation>),
    SetSchema(Ident),
    SetOptions(Vec<(String, String)>),
    ResetOptions(Vec<String>),
    SetLogged(bool),
    OwnerTo(Ident),
    /// `ATTACH PARTITION name FOR VALUES ...`; of an index, its part.
    Attach {
        name: ObjectName,
        bound: Option<ast::ForValues>,
    },
    /// `DETACH PARTITION name`
    Detach(ObjectName, DetachKind),
    /// `INHERIT parent`, `NO INHERIT parent`
    Inherit {
        parent: ObjectName,
        begin: bool,
    },
    AlterConstraint {
        name: Ident,
        deferrable: bool,
        deferred: bool,
    },
    Column {
        column: Ident,
        action: ColumnAction,
    },
    /// What has no meaning any more.
    Nothing,
}

/// `ALTER COLUMN name action`
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum ColumnAction {
    Storage(String),
    Compression(String),
    Statistics(i64),
    Options(Vec<(String, String)>),
    ResetOptions(Vec<String>),
    DropExpression {
        if_exists: bool,
    },
    DropIdentity {
        if_exists: bool,
    },
    /// `ADD GENERATED ... AS IDENTITY (SEQUENCE NAME sequence ...)`
    AddIdentity {
        always: bool,
        sequence: Option<ObjectName>,
        options: Vec<ast::SequenceOptions>,
    },
    Identity {
        always: Option<bool>,
        options: Vec<ast::SequenceOptions>,
        restart: Option<Option<i64>>,
    },
}

/// `CREATE DOMAIN`
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct CreateDomain {
    pub name: ObjectName,
    pub ty: DataType,
    pub collation: Option<ObjectName>,
    pub default: Option<Expr>,
    pub not_null: bool,
    pub checks: Vec<(Option<Ident>, Expr)>,
}

/// `ALTER DOMAIN`
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct AlterDomain {
    pub name: ObjectName,
    pub action: DomainAction,
}

/// What a domain can be told.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum DomainAction {
    Default(Option<Expr>),
    NotNull(bool),
    Add { name: Option<Ident>, check: Expr, not_valid: bool },
    Drop { name: Ident, if_exists: bool },
    RenameConstraint(Ident, Ident),
    Validate(Ident),
    Object(ObjectAction),
}

/// What every object can be told.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum ObjectAction {
    Rename(Ident),
    Owner(Ident),
    Schema(Ident),
    /// What a function says of itself.
    Options {
        /// As in CREATE FUNCTION.
        clauses: Box<CreateFunction>,
        /// Settings that it has no longer; None is all of them.
        reset: Vec<Option<String>>,
    },
}

/// `ALTER FUNCTION`, `ALTER PROCEDURE`, `ALTER TYPE`
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct AlterObject {
    /// A function or procedure; else a type.
    pub function: bool,
    pub procedure: bool,
    pub name: ObjectName,
    pub args: Option<Vec<ast::OperateFunctionArg>>,
    pub action: ObjectAction,
}

/// `ALTER TYPE ... ATTRIBUTE`
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct AlterAttributes {
    pub name: ObjectName,
    pub actions: Vec<AttributeAction>,
}

/// What happens to a field of a composite type. No table is of such a type, so that CASCADE matters
/// for what looks at a field that goes.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub enum AttributeAction {
    Add { name: Ident, ty: ast::DataType, collation: Option<ObjectName> },
    Drop { name: Ident, if_exists: bool, cascade: bool },
    Type { name: Ident, ty: ast::DataType, collation: Option<ObjectName> },
    Rename { from: Ident, to: Ident },
}

/// `CREATE INDEX`
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct CreateIndex {
    pub unique: bool,
    pub concurrently: bool,
    pub if_not_exists: bool,
    pub name: Option<Ident>,
    pub only: bool,
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
    /// Where the body stands in the query string: characters before it.
    pub body_at: Option<usize>,
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
    /// `FROM` of a constraint trigger.
    pub from: Option<ObjectName>,
    pub deferrable: bool,
    pub deferred: bool,
    /// `REFERENCING OLD TABLE AS`
    pub old_table: Option<Ident>,
    /// `REFERENCING NEW TABLE AS`
    pub new_table: Option<Ident>,
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
    /// `AS type`
    pub ty: Option<DataType>,
    pub options: Vec<ast::SequenceOptions>,
    pub owned_by: Option<ObjectName>,
    /// `RESTART [WITH n]`: `Some(None)` without a number.
    pub restart: Option<Option<i64>>,
    pub rename_to: Option<Ident>,
    pub owner_to: Option<Ident>,
    pub set_schema: Option<Ident>,
}
