//! What the catalog holds: plain descriptions of schemas, relations, types, functions and the rest.
//!
//! Every object has an [`Oid`] and is immutable once published; DDL replaces whole objects. SQL
//! texts (defaults, checks, view queries, function bodies) are kept as canonical SQL: this room
//! does not read them (invariant one-way).

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use vicinity_types::Oid;
use vicinity_types::enums::Label;

pub use super::acl::{Acl, AclItem, DefaultAcl, Privileges};

/// Fixed ids of PostgreSQL's own schemas and roles.
pub mod fixed {
    use vicinity_types::Oid;
    /// `pg_catalog`
    pub const PG_CATALOG: Oid = 11;
    /// `pg_toast`
    pub const PG_TOAST: Oid = 99;
    /// `public`
    pub const PUBLIC: Oid = 2200;
    /// `information_schema`
    pub const INFORMATION_SCHEMA: Oid = 13000;
    /// The bootstrap superuser.
    pub const SUPERUSER: Oid = 10;
    /// The role whose only member is the database's owner.
    pub const DATABASE_OWNER: Oid = 6171;
    /// The one database.
    pub const DATABASE: Oid = 5;
    /// Its name.
    pub const DATABASE_NAME: &str = "postgres";
    /// Access methods.
    pub const AM_HEAP: Oid = 2;
    /// `btree`
    pub const AM_BTREE: Oid = 403;
    /// `hash`
    pub const AM_HASH: Oid = 405;
    /// `gist`
    pub const AM_GIST: Oid = 783;
    /// `gin`
    pub const AM_GIN: Oid = 2742;
    /// `brin`
    pub const AM_BRIN: Oid = 3580;
    /// `spgist`
    pub const AM_SPGIST: Oid = 4000;
    /// `pase_hnsw`
    pub const AM_PASE_HNSW: Oid = 16404;
    /// `pase_ivfflat`
    pub const AM_PASE_IVFFLAT: Oid = 16412;
}

/// A one-based column number; system columns are negative.
pub type AttrNumber = i16;

/// One catalog object.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Object {
    Schema(Arc<Schema>),
    Relation(Arc<Relation>),
    Type(Arc<TypeDef>),
    Function(Arc<Function>),
    Extension(Arc<Extension>),
    Trigger(Arc<Trigger>),
    Role(Arc<Role>),
    Comment(Arc<Comment>),
    Acl(Arc<Acl>),
    SessionDefaults(Arc<SessionDefaults>),
    DefaultAcl(Arc<DefaultAcl>),
}

/// A namespace.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Schema {
    pub oid: Oid,
    pub name: String,
    pub owner: Oid,
}

/// A login or group.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Role {
    pub oid: Oid,
    pub name: String,
    pub superuser: bool,
    pub login: bool,
    pub create_db: bool,
    pub create_role: bool,
    pub inherit: bool,
    pub replication: bool,
    pub bypass_rls: bool,
    pub connection_limit: i32,
    /// SCRAM verifier in PostgreSQL's form, if it has a password.
    pub password: Option<String>,
    /// `VALID UNTIL`: microseconds since 2000; the password is none after it.
    pub valid_until: Option<i64>,
    pub member_of: Vec<Oid>,
}

impl Role {
    /// What `CREATE ROLE name` makes: it inherits, and may nothing else.
    pub fn new(oid: Oid, name: impl Into<String>) -> Role {
        Role {
            oid,
            name: name.into(),
            superuser: false,
            login: false,
            create_db: false,
            create_role: false,
            inherit: true,
            replication: false,
            bypass_rls: false,
            connection_limit: -1,
            password: None,
            valid_until: None,
            member_of: Vec::new(),
        }
    }
}

/// `ALTER ROLE ... SET` and `ALTER DATABASE ... SET`: what a session begins with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionDefaults {
    /// 0 is every database.
    pub database: Oid,
    /// 0 is everybody.
    pub role: Oid,
    /// Settings with their values, in the order they were first set.
    pub values: Vec<(String, String)>,
}

/// Anything that has a row in `pg_class`. Names are unique within a schema.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Relation {
    pub oid: Oid,
    pub name: String,
    pub schema: Oid,
    pub owner: Oid,
    pub kind: RelationKind,
}

/// What a relation is.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum RelationKind {
    Table(TableDef),
    Index(IndexDef),
    Sequence(SequenceDef),
    View(ViewDef),
    /// A composite type's relation (`CREATE TYPE name AS (...)`).
    Composite(Vec<Column>),
}

/// Where a table's rows live over a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Persistence {
    /// Logged.
    Permanent,
    /// Never in the WAL, empty after a crash.
    Unlogged,
    /// Belongs to one session and goes with it.
    Temporary,
}

/// A table.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct TableDef {
    pub persistence: Persistence,
    /// By attribute number; dropped columns stay as holes.
    pub columns: Vec<Column>,
    pub constraints: Vec<Constraint>,
    /// The row storage behind the table: TRUNCATE and rewrites give a new one (`relfilenode`).
    pub storage: u64,
    /// The row type's id in `pg_type`, and its array type's.
    pub row_type: Oid,
    pub row_array_type: Oid,
    pub options: Vec<(String, String)>,
    /// What becomes of a temporary table's rows at commit.
    pub on_commit: OnCommit,
    /// The query of a materialized view.
    pub materialized: Option<Materialized>,
    /// The tables it inherits from, in order; a partition has one.
    pub parents: Vec<Oid>,
    /// `PARTITION BY`: it has no rows of its own.
    pub partitioning: Option<Partitioning>,
    /// A partition's `FOR VALUES`.
    pub bound: Option<PartitionBound>,
}

/// How a partitioned table is cut.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Partitioning {
    pub strategy: Strategy,
    pub keys: Vec<PartitionKey>,
}

/// `PARTITION BY RANGE | LIST | HASH`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Strategy {
    Range,
    List,
    Hash,
}

/// A column or expression of a partition key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct PartitionKey {
    /// 0 for an expression.
    pub column: AttrNumber,
    pub expr: Option<KeyExpr>,
    pub opclass: Oid,
}

/// The rows of a partition; values are raw (vicinity_types::raw), in the types of the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PartitionBound {
    /// What no other partition takes.
    Default,
    /// `IN`; `None` is NULL.
    List(Vec<Option<Vec<u8>>>),
    /// `FROM (...) TO (...)`
    #[allow(missing_docs)]
    Range { from: Vec<Limit>, to: Vec<Limit> },
    /// `WITH (MODULUS m, REMAINDER r)`
    #[allow(missing_docs)]
    Hash { modulus: u32, remainder: u32 },
}

/// One column of an end of a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// `MINVALUE`
    Min,
    /// A value.
    At(Vec<u8>),
    /// `MAXVALUE`
    Max,
}

/// `ON COMMIT`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum OnCommit {
    #[default]
    PreserveRows,
    DeleteRows,
    Drop,
}

/// What makes a table a materialized view.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Materialized {
    /// Canonical SQL.
    pub query: String,
    /// Relations it reads, for DROP ... CASCADE.
    pub depends_on: Vec<Oid>,
    /// False after `WITH NO DATA`: it cannot be read.
    pub populated: bool,
}

/// A column.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Column {
    pub name: String,
    pub type_oid: Oid,
    /// -1 where the type takes none.
    pub typmod: i32,
    pub not_null: bool,
    /// Canonical SQL.
    pub default: Option<String>,
    pub identity: Option<Identity>,
    /// Canonical SQL of a stored generated column.
    pub generated: Option<String>,
    pub dropped: bool,
    /// The raw value (vicinity_types::raw) of rows written before the column was added.
    pub missing: Option<Vec<u8>>,
    /// Declared array dimensions (`int[][]` is 2); display only.
    pub ndims: i16,
    /// `SET STORAGE`, where it is not the type's own; display only.
    pub storage: Option<char>,
    /// `SET COMPRESSION`; display only.
    pub compression: Option<char>,
    /// `SET STATISTICS`, -1 for the default; display only.
    pub statistics: i32,
    /// `SET (n_distinct = ...)`; display only.
    pub options: Vec<(String, String)>,
    /// How many parents have it (`attinhcount`).
    pub inherited: i16,
    /// It was also declared here (`attislocal`).
    pub local: bool,
}

impl Column {
    /// A column without anything but a name and a type.
    pub fn new(name: &str, type_oid: Oid, typmod: i32) -> Column {
        Column {
            name: name.to_owned(),
            type_oid,
            typmod,
            not_null: false,
            default: None,
            identity: None,
            generated: None,
            dropped: false,
            missing: None,
            ndims: 0,
            storage: None,
            compression: None,
            statistics: -1,
            options: Vec::new(),
            inherited: 0,
            local: true,
        }
    }
}

/// `GENERATED ... AS IDENTITY`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Identity {
    Always,
    ByDefault,
}

/// A table constraint (NOT NULL lives on the column).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Constraint {
    pub oid: Oid,
    pub name: String,
    pub columns: Vec<AttrNumber>,
    pub kind: ConstraintKind,
    pub deferrable: bool,
    /// `INITIALLY DEFERRED`
    pub deferred: bool,
    /// False after `NOT VALID`: rows from before may break it.
    pub validated: bool,
    /// How many parents have it (`coninhcount`).
    pub inherited: i16,
    /// It was also declared here (`conislocal`).
    pub local: bool,
    /// `NO INHERIT`
    pub no_inherit: bool,
}

/// What a constraint asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum ConstraintKind {
    PrimaryKey {
        index: Oid,
    },
    Unique {
        index: Oid,
    },
    /// Canonical SQL without the outer parentheses.
    Check {
        expr: String,
    },
    ForeignKey(Box<ForeignKey>),
}

/// `REFERENCES`; the constraint's own columns refer.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ForeignKey {
    /// The table referred to.
    pub table: Oid,
    pub columns: Vec<AttrNumber>,
    /// The unique index over those columns.
    pub index: Oid,
    pub on_update: ReferentialAction,
    pub on_delete: ReferentialAction,
    /// `MATCH FULL`
    pub full: bool,
}

/// `ON UPDATE`/`ON DELETE`
///
/// The variants are numbered in the catalog's bytes: a new one comes last, so that directories from before are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum ReferentialAction {
    NoAction,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
    /// `SET NULL (a, b)`: these of the referring columns, and no others.
    SetNullOf(Vec<AttrNumber>),
    /// `SET DEFAULT (a, b)`
    SetDefaultOf(Vec<AttrNumber>),
}

impl ReferentialAction {
    /// The letter that stands for it in `pg_constraint`; a list of columns makes no difference.
    pub fn letter(&self) -> char {
        match self {
            ReferentialAction::NoAction => 'a',
            ReferentialAction::Restrict => 'r',
            ReferentialAction::Cascade => 'c',
            ReferentialAction::SetNull | ReferentialAction::SetNullOf(_) => 'n',
            ReferentialAction::SetDefault | ReferentialAction::SetDefaultOf(_) => 'd',
        }
    }

    /// The columns that are set, if not all of the key's (`confdelsetcols`).
    pub fn listed_columns(&self) -> Option<&[AttrNumber]> {
        match self {
            ReferentialAction::SetNullOf(columns) | ReferentialAction::SetDefaultOf(columns) => {
                Some(columns)
            }
            _ => None,
        }
    }

    /// The same for these columns alone, if it sets any.
    pub fn with_columns(&self, columns: Vec<AttrNumber>) -> ReferentialAction {
        match self {
            ReferentialAction::SetNull | ReferentialAction::SetNullOf(_) => {
                ReferentialAction::SetNullOf(columns)
            }
            ReferentialAction::SetDefault | ReferentialAction::SetDefaultOf(_) => {
                ReferentialAction::SetDefaultOf(columns)
            }
            other => other.clone(),
        }
    }

    /// Whether columns get their defaults.
    pub fn sets_default(&self) -> bool {
        matches!(self, ReferentialAction::SetDefault | ReferentialAction::SetDefaultOf(_))
    }
}

/// How an index finds rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum IndexMethod {
    /// `btree`; `hash` is served by one too, with equality only.
    Btree,
    /// `hash` as declared.
    Hash,
    /// `gist` over points and boxes.
    Spatial,
    /// `pase_hnsw`
    Hnsw,
    /// `pase_ivfflat`
    Ivfflat,
}

/// An index.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct IndexDef {
    pub table: Oid,
    pub method: IndexMethod,
    pub keys: Vec<IndexKey>,
    /// INCLUDE columns.
    pub include: Vec<AttrNumber>,
    /// Canonical SQL of a partial index's WHERE.
    pub predicate: Option<String>,
    pub unique: bool,
    pub primary: bool,
    pub nulls_not_distinct: bool,
    /// `WITH (...)` as given, in order.
    pub options: Vec<(String, String)>,
    /// False until its build has finished: never used, dropped at recovery (no half-built index).
    pub valid: bool,
    /// The index of a partitioned table that it is a part of.
    pub parent: Option<Oid>,
}

/// A key column of an index.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct IndexKey {
    /// 0 for an expression.
    pub column: AttrNumber,
    pub expr: Option<KeyExpr>,
    pub opclass: Oid,
    pub descending: bool,
    pub nulls_first: bool,
}

/// An expression that is a key of an index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct KeyExpr {
    /// Canonical SQL.
    pub sql: String,
    pub type_oid: Oid,
    pub typmod: i32,
    /// The index's attribute (`lower`, `expr`, `expr1`).
    pub name: String,
}

impl IndexDef {
    /// Whether its entries depend on more than the values of its columns.
    pub fn is_computed(&self) -> bool {
        self.predicate.is_some() || self.keys.iter().any(|k| k.expr.is_some())
    }
}

/// A sequence's definition; its running value lives beside the catalog: see [`crate::Sequence`].
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct SequenceDef {
    pub type_oid: Oid,
    pub start: i64,
    pub increment: i64,
    pub min: i64,
    pub max: i64,
    pub cache: i64,
    pub cycle: bool,
    /// `OWNED BY`
    pub owned_by: Option<(Oid, AttrNumber)>,
    /// An identity column's own sequence (`pg_depend` deptype 'i' instead of 'a').
    pub identity: bool,
}

/// A view.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ViewDef {
    pub columns: Vec<Column>,
    /// The query as canonical SQL.
    pub query: String,
    /// Relations it reads, for DROP ... CASCADE.
    pub depends_on: Vec<Oid>,
    pub row_type: Oid,
    /// `WITH (...)`, `check_option` among them.
    pub options: Vec<(String, String)>,
}

/// A user's or an extension's type.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct TypeDef {
    pub oid: Oid,
    pub name: String,
    pub schema: Oid,
    pub owner: Oid,
    pub array_oid: Oid,
    pub kind: TypeKind,
}

impl TypeDef {
    /// A domain's checks; of other types none.
    pub fn checks(&self) -> &[DomainCheck] {
        match &self.kind {
            TypeKind::Domain { checks, .. } => checks,
            _ => &[],
        }
    }
}

/// What a type is made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum TypeKind {
    /// Implemented by the server, visible once its extension is created (`pase`).
    Base,
    /// `CREATE TYPE ... AS (...)` or a table's row type; the relation has the columns.
    Composite { relation: Oid },
    Enum {
        /// In order.
        labels: Arc<[Label]>,
    },
    Domain {
        base: Oid,
        typmod: i32,
        not_null: bool,
        default: Option<String>,
        checks: Vec<DomainCheck>,
    },
}

/// A CHECK of a domain; its value is called `VALUE`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct DomainCheck {
    pub oid: Oid,
    pub name: String,
    /// Canonical SQL without the outer parentheses.
    pub expr: String,
    pub validated: bool,
}

/// A function a user or an extension made.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Function {
    pub oid: Oid,
    pub name: String,
    pub schema: Oid,
    pub owner: Oid,
    pub language: Language,
    /// `f`unction, `p`rocedure.
    pub procedure: bool,
    pub args: Vec<Argument>,
    pub returns: Oid,
    pub returns_set: bool,
    pub volatility: Volatility,
    pub strict: bool,
    pub security_definer: bool,
    pub leakproof: bool,
    pub parallel: char,
    pub cost: f32,
    pub rows: f32,
    /// Body text, or the internal name for `internal` and `c`.
    pub body: String,
    pub config: Vec<(String, String)>,
}

/// The language of a function's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Language {
    Internal,
    C,
    Sql,
    PlPgSql,
}

/// How often a function may give another answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Volatility {
    Immutable,
    Stable,
    Volatile,
}

/// A function's argument or result column.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Argument {
    pub name: Option<String>,
    pub type_oid: Oid,
    pub mode: ArgMode,
    /// Canonical SQL.
    pub default: Option<String>,
}

/// An argument's direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum ArgMode {
    In,
    Out,
    InOut,
    Variadic,
    /// A column of `RETURNS TABLE`.
    Table,
}

/// A created extension.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Extension {
    pub oid: Oid,
    pub name: String,
    pub schema: Oid,
    pub owner: Oid,
    pub version: String,
    pub relocatable: bool,
}

/// A trigger.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Trigger {
    pub oid: Oid,
    pub name: String,
    pub table: Oid,
    pub function: Oid,
    /// `pg_trigger.tgtype` bits: 1 row, 2 before, 4 insert, 8 delete, 16 update, 32 truncate, 64 instead.
    pub kind: i16,
    pub enabled: char,
    pub columns: Vec<AttrNumber>,
    pub args: Vec<String>,
    /// Canonical SQL of WHEN; columns are those of `old` and `new`.
    pub when: Option<String>,
    /// Of a constraint trigger.
    pub constraint: Option<TriggerConstraint>,
    /// `REFERENCING OLD TABLE AS`
    pub old_table: Option<String>,
    /// `REFERENCING NEW TABLE AS`
    pub new_table: Option<String>,
    /// The trigger of a partitioned table that it is a copy of.
    pub parent: Option<Oid>,
}

/// What makes a trigger a constraint.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct TriggerConstraint {
    pub oid: Oid,
    /// `FROM`: another table it is about, or 0.
    pub from: Oid,
    pub deferrable: bool,
    /// `INITIALLY DEFERRED`
    pub deferred: bool,
}

/// `COMMENT ON`: keyed as in `pg_description`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Comment {
    pub class: Oid,
    pub object: Oid,
    pub sub: i32,
    pub text: String,
}
