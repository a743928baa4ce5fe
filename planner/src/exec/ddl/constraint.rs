//! Constraints and defaults of tables: names, columns, the indexes behind keys, and their SQL texts.

use sqlparser::ast::{
    ColumnOption, ConstraintCharacteristics, DeferrableInitial, Expr, Ident, IndexColumn,
    NullsDistinctOption, TableConstraint,
};
use vicinity_storage::catalog::model::{
    AttrNumber, Column, Constraint, ConstraintKind, IndexDef, IndexKey, IndexMethod, Relation,
    RelationKind, fixed,
};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::{canon, name, stored};
use super::table::{Draft, invalid};
use super::{foreign_key, opclass};
use crate::call::PgType;
use crate::context::ExecContext;
use crate::names;
use crate::resolve::Types;
use crate::sql::constraint::{Tail, tail};

/// A constraint as written, names not yet looked up.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) name: Option<String>,
    pub(crate) kind: PendingKind,
    pub(crate) deferrable: bool,
    pub(crate) deferred: bool,
    pub(crate) validated: bool,
    pub(crate) no_inherit: bool,
}

impl Pending {
    pub(crate) fn new(name: Option<String>, kind: PendingKind) -> Pending {
        let (deferrable, deferred, validated, no_inherit) = (false, false, true, false);
        Pending { name, kind, deferrable, deferred, validated, no_inherit }
    }

    /// A constraint with what followed it.
    fn named(name: Option<&Ident>, kind: PendingKind) -> Pending {
        let (own, tail) = tail(name);
        Pending::new(own, kind).followed(tail)
    }

    fn followed(mut self, tail: Tail) -> Pending {
        self.validated &= !tail.not_valid;
        self.no_inherit |= tail.no_inherit;
        if let PendingKind::Key { nulls_not_distinct, include, .. } = &mut self.kind {
            *nulls_not_distinct |= tail.nulls_not_distinct;
            include.extend(tail.include);
        } else if let PendingKind::Foreign(written) = &mut self.kind {
            written.set_on_delete.extend(tail.set_on_delete);
        }
        self
    }

    /// `DEFERRABLE` and its kin, for constraints that can wait.
    fn timed(self, c: &Option<ConstraintCharacteristics>) -> Result<Pending> {
        let Some(c) = c else { return Ok(self) };
        if c.enforced == Some(false) {
            return Err(PgError::unsupported("NOT ENFORCED"));
        }
        let deferred = matches!(c.initially, Some(DeferrableInitial::Deferred));
        if deferred && c.deferrable == Some(false) {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                "constraint declared INITIALLY DEFERRED must be DEFERRABLE",
            ));
        }
        Ok(Pending { deferrable: c.deferrable.unwrap_or(deferred), deferred, ..self })
    }
}

/// What a written constraint asks.
#[derive(Clone, Debug)]
pub(crate) enum PendingKind {
    Key { columns: Vec<String>, primary: bool, nulls_not_distinct: bool, include: Vec<String> },
    Check(Expr),
    Foreign(Box<foreign_key::Written>),
}

/// A key's index before its table has an id.
pub(crate) struct KeyIndex {
    oid: Oid,
    name: String,
    schema: Oid,
    keys: Vec<IndexKey>,
    include: Vec<AttrNumber>,
    primary: bool,
    nulls_not_distinct: bool,
}

impl KeyIndex {
    pub(crate) fn relation(self, table: Oid, owner: Oid) -> Relation {
        Relation {
            oid: self.oid,
            name: self.name,
            schema: self.schema,
            owner,
            kind: RelationKind::Index(IndexDef {
                table,
                method: IndexMethod::Btree,
                keys: self.keys,
                include: self.include,
                predicate: None,
                unique: true,
                primary: self.primary,
                nulls_not_distinct: self.nulls_not_distinct,
                options: Vec::new(),
                valid: true,
                parent: None,
            }),
        }
    }
}

/// Constraints ready for the catalog.
pub(crate) struct Resolved {
    pub(crate) constraints: Vec<Constraint>,
    pub(crate) indexes: Vec<KeyIndex>,
    /// To be added when the table is there: it may refer to itself.
    pub(crate) foreign: Vec<(Pending, foreign_key::Written)>,
}

fn characteristics(c: &Option<ConstraintCharacteristics>) -> Result<()> {
    let Some(c) = c else { return Ok(()) };
    if c.deferrable == Some(true) || c.initially.is_some() {
        return Err(PgError::unsupported("DEFERRABLE"));
    }
    if c.enforced == Some(false) {
        return Err(PgError::unsupported("NOT ENFORCED"));
    }
    Ok(())
}

fn key_columns(columns: &[IndexColumn]) -> Result<Vec<String>> {
    columns
        .iter()
        .map(|c| match &c.column.expr {
            Expr::Identifier(i) => Ok(name::ident(i)),
            other => Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                format!("syntax error at or near \"{other}\""),
            )),
        })
        .collect()
}

fn key(
    name: Option<&Ident>,
    columns: Vec<String>,
    primary: bool,
    nulls: &NullsDistinctOption,
) -> Pending {
    let nulls_not_distinct = matches!(nulls, NullsDistinctOption::NotDistinct);
    let kind = PendingKind::Key { columns, primary, nulls_not_distinct, include: Vec::new() };
    Pending::named(name, kind)
}

/// A table constraint.
pub(crate) fn of_table(c: &TableConstraint) -> Result<Pending> {
    match c {
        TableConstraint::PrimaryKey(c) => {
            characteristics(&c.characteristics)?;
            let columns = key_columns(&c.columns)?;
            Ok(key(c.name.as_ref(), columns, true, &NullsDistinctOption::None))
        }
        TableConstraint::Unique(c) => {
            characteristics(&c.characteristics)?;
            Ok(key(c.name.as_ref(), key_columns(&c.columns)?, false, &c.nulls_distinct))
        }
        TableConstraint::Check(c) => {
            Ok(Pending::named(c.name.as_ref(), PendingKind::Check((*c.expr).clone())))
        }
        TableConstraint::ForeignKey(f) => {
            let kind = PendingKind::Foreign(Box::new(foreign_key::written(f, None)?));
            Pending::named(f.name.as_ref(), kind).timed(&f.characteristics)
        }
        TableConstraint::PrimaryKeyUsingIndex(_) | TableConstraint::UniqueUsingIndex(_) => {
            Err(PgError::unsupported("USING INDEX"))
        }
        _ => Err(PgError::unsupported("this table constraint")),
    }
}

/// A column constraint.
pub(crate) fn of_column(
    option: &ColumnOption,
    column: &str,
    constraint_name: Option<&Ident>,
) -> Result<Pending> {
    let columns = vec![column.to_owned()];
    let pending = match option {
        ColumnOption::PrimaryKey(c) => {
            characteristics(&c.characteristics)?;
            key(c.name.as_ref(), columns, true, &NullsDistinctOption::None)
        }
        ColumnOption::Unique(c) => {
            characteristics(&c.characteristics)?;
            key(c.name.as_ref(), columns, false, &c.nulls_distinct)
        }
        ColumnOption::Check(c) => {
            Pending::named(c.name.as_ref(), PendingKind::Check((*c.expr).clone()))
        }
        ColumnOption::ForeignKey(f) => {
            let kind = PendingKind::Foreign(Box::new(foreign_key::written(f, Some(column))?));
            Pending::named(f.name.as_ref(), kind).timed(&f.characteristics)?
        }
        other => return Err(PgError::unsupported(format!("column option {other}"))),
    };
    let (own, tail) = tail(constraint_name);
    let name = own.or(pending.name.clone());
    Ok(Pending { name, ..pending }.followed(tail))
}

/// An expression as the catalog keeps it.
pub(crate) fn expr_text(_ctx: &ExecContext, expr: &Expr) -> String {
    canon::expr(expr)
}

/// A default as the catalog keeps it; `DEFAULT NULL` is none.
pub(crate) fn default_text(
    ctx: &ExecContext,
    expr: &Expr,
    column: &Column,
) -> Result<Option<String>> {
    let ctx = &ctx.next_statement();
    if matches!(expr, Expr::Value(v) if v.value == sqlparser::ast::Value::Null) {
        // A column without a default has its domain's.
        let base = Types::of(ctx).base(column.type_oid);
        let null = || format!("NULL::{}", names::type_name_in(&ctx.catalog, None, base, Some(-1)));
        return Ok((base != column.type_oid).then(null));
    }
    let kind = ctx.catalog.kind_of(column.type_oid);
    let ty = PgType::with_kind(column.type_oid, column.typmod, kind);
    Ok(Some(stored::default(ctx, expr, ty)))
}

fn find(columns: &[Column], wanted: &str) -> Result<AttrNumber> {
    let at = columns.iter().position(|c| !c.dropped && c.name == wanted).ok_or_else(|| {
        PgError::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{wanted}\" named in key does not exist"),
        )
    })?;
    Ok(i16::try_from(at + 1).unwrap_or(i16::MAX))
}

/// Names of constraints and indexes given out while a table is made.
#[derive(Default)]
struct Taken {
    constraints: Vec<String>,
    relations: Vec<String>,
}

/// Looks names up, makes missing ones, and makes primary key columns NOT NULL.
pub(crate) fn resolve_all(ctx: &ExecContext, draft: &mut Draft) -> Result<Resolved> {
    let pending = std::mem::take(&mut draft.constraints);
    let ready = std::mem::take(&mut draft.ready);
    let mut taken = Taken::default();
    taken.relations.push(draft.name.clone());
    let explicit = pending.iter().filter_map(|p| p.name.clone());
    taken.constraints.extend(explicit.clone());
    taken.constraints.extend(ready.iter().map(|c| c.name.clone()));
    let mut seen: Vec<&String> = Vec::new();
    for p in &pending {
        let Some(n) = &p.name else { continue };
        if seen.contains(&n) {
            return Err(duplicate(n, &draft.name));
        }
        seen.push(n);
    }
    let mut out = Resolved { constraints: ready, indexes: Vec::new(), foreign: Vec::new() };
    // Checks first, then the primary key, then the others: the order PostgreSQL names them in.
    let rank = |p: &Pending| match p.kind {
        PendingKind::Check(_) => 0,
        PendingKind::Key { primary: true, .. } => 1,
        PendingKind::Key { .. } => 2,
        PendingKind::Foreign(_) => 3,
    };
    let mut order: Vec<&Pending> = pending.iter().collect();
    order.sort_by_key(|p| rank(p));
    let mut had_primary = false;
    for p in order {
        match &p.kind {
            PendingKind::Check(expr) => {
                let made = check(ctx, &draft.name, &draft.columns, p, expr, &taken.constraints);
                taken.constraints.push(made.name.clone());
                out.constraints.push(made);
            }
            PendingKind::Key { columns, primary, .. } => {
                if *primary && std::mem::replace(&mut had_primary, true) {
                    return Err(many_primary(&draft.name));
                }
                if *primary {
                    set_not_null(&mut draft.columns, columns)?;
                }
                let place = (draft.schema, draft.name.as_str());
                let (constraint, index) = key_constraint(ctx, place, &draft.columns, p, &|n| {
                    taken.relations.iter().any(|t| t == n)
                })?;
                taken.relations.push(index.name.clone());
                taken.constraints.push(constraint.name.clone());
                // The same key twice makes one index, as in PostgreSQL.
                let same = |have: &KeyIndex| {
                    p.name.is_none()
                        && have.keys.iter().map(|k| k.column).eq(constraint.columns.iter().copied())
                };
                if !out.indexes.iter().any(same) {
                    out.constraints.push(constraint);
                    out.indexes.push(index);
                }
            }
            PendingKind::Foreign(w) => out.foreign.push((p.clone(), (**w).clone())),
        }
    }
    Ok(out)
}

pub(crate) fn many_primary(table: &str) -> PgError {
    invalid(format!("multiple primary keys for table \"{table}\" are not allowed"))
}

pub(crate) fn duplicate(constraint: &str, table: &str) -> PgError {
    PgError::new(
        SqlState::DUPLICATE_OBJECT,
        format!("constraint \"{constraint}\" for relation \"{table}\" already exists"),
    )
}

/// A primary key's columns cannot be NULL.
pub(crate) fn set_not_null(columns: &mut [Column], key: &[String]) -> Result<()> {
    for wanted in key {
        let number = find(columns, wanted)?;
        let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
        if let Some(column) = columns.get_mut(at) {
            column.not_null = true;
        }
    }
    Ok(())
}

/// A CHECK constraint with its name.
pub(crate) fn check(
    ctx: &ExecContext,
    table: &str,
    columns: &[Column],
    pending: &Pending,
    expr: &Expr,
    taken: &[String],
) -> Constraint {
    let used = canon::columns_of(expr);
    let numbers: Vec<AttrNumber> = used.iter().filter_map(|c| find(columns, c).ok()).collect();
    let own = pending.name.clone().unwrap_or_else(|| {
        let single = match used.as_slice() {
            [one] if numbers.len() == 1 => Some(one.as_str()),
            _ => None,
        };
        choose_name(table, single, "check", taken)
    });
    Constraint {
        oid: ctx.txn.new_oid(),
        name: own,
        columns: numbers,
        kind: ConstraintKind::Check { expr: expr_text(ctx, expr) },
        deferrable: false,
        deferred: false,
        validated: true,
        inherited: 0,
        local: true,
        no_inherit: pending.no_inherit,
    }
}

/// `ChooseConstraintName`: free among the table's constraints.
pub(crate) fn choose_name(
    table: &str,
    column: Option<&str>,
    label: &str,
    taken: &[String],
) -> String {
    let mut pass = 0u32;
    loop {
        let numbered = if pass == 0 { label.to_owned() } else { format!("{label}{pass}") };
        let made = name::make(table, column, &numbered);
        if !taken.contains(&made) {
            return made;
        }
        pass += 1;
    }
}

/// A key constraint and its index, at `(schema, table name)`.
pub(crate) fn key_constraint(
    ctx: &ExecContext,
    (schema, table): (Oid, &str),
    columns: &[Column],
    pending: &Pending,
    taken: &dyn Fn(&str) -> bool,
) -> Result<(Constraint, KeyIndex)> {
    let PendingKind::Key { columns: wanted, primary, nulls_not_distinct, include } = &pending.kind
    else {
        return Err(PgError::internal("not a key constraint"));
    };
    let mut numbers: Vec<AttrNumber> = Vec::new();
    for column in wanted {
        let number = find(columns, column)?;
        if numbers.contains(&number) {
            let what = if *primary { "primary key" } else { "unique" };
            return Err(PgError::new(
                SqlState::DUPLICATE_COLUMN,
                format!("column \"{column}\" appears twice in {what} constraint"),
            ));
        }
        numbers.push(number);
    }
    let own = match &pending.name {
        Some(own) => {
            if taken(own) || ctx.txn.catalog().relation_named(schema, own).is_some() {
                return Err(PgError::new(
                    SqlState::DUPLICATE_TABLE,
                    format!("relation \"{own}\" already exists"),
                ));
            }
            own.clone()
        }
        None if *primary => name::choose(ctx, schema, table, None, "pkey", taken),
        None => {
            let joined = name::joined(wanted.iter().chain(include).map(String::as_str));
            name::choose(ctx, schema, table, Some(&joined), "key", taken)
        }
    };
    let keys = numbers
        .iter()
        .map(|number| {
            let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
            let ty = columns.get(at).map_or(0, |c| c.type_oid);
            let opclass = opclass::default(ctx, fixed::AM_BTREE, "btree", ty)?;
            Ok(IndexKey {
                column: *number,
                expr: None,
                opclass,
                descending: false,
                nulls_first: false,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    let oid = ctx.txn.new_oid();
    let kind = if *primary {
        ConstraintKind::PrimaryKey { index: oid }
    } else {
        ConstraintKind::Unique { index: oid }
    };
    let constraint = Constraint {
        oid: ctx.txn.new_oid(),
        name: own.clone(),
        columns: numbers,
        kind,
        deferrable: false,
        deferred: false,
        validated: true,
        inherited: 0,
        local: true,
        no_inherit: false,
    };
    let index = KeyIndex {
        oid,
        name: own,
        schema,
        keys,
        include: include.iter().map(|c| find(columns, c)).collect::<Result<_>>()?,
        primary: *primary,
        nulls_not_distinct: *nulls_not_distinct,
    };
    Ok((constraint, index))
}

/// Binds what a new or changed table's defaults and checks say, so that errors come now.
pub(crate) fn validate_table(ctx: &ExecContext, relation: &Relation) -> Result<()> {
    super::super::dml::validate(ctx, relation)
}
