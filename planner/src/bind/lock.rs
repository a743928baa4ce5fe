//! FOR UPDATE and FOR SHARE.

use datafusion::logical_expr::LogicalPlan;
use sqlparser::ast;
use vicinity_types::{PgError, Result, SqlState};

use super::scope::Item;
use super::{Binder, fold};
use crate::df::SystemColumn;
use crate::df::lock_rows::{LockTarget, lock_rows};
use crate::row::lock::RowLocks;
use crate::sql::locks;
use crate::uses::Use;

/// A clause, or what one outside asks of a subquery.
#[derive(Clone, Debug)]
pub(super) struct Locking {
    locks: RowLocks,
    /// As errors call it.
    word: &'static str,
    /// The one item it is for.
    of: Option<(String, Option<usize>)>,
}

impl Locking {
    pub(super) fn of_clause(clause: &ast::LockClause) -> Result<Locking> {
        let word = match (&clause.lock_type, locks::of_key(clause)) {
            (ast::LockType::Share, true) => "FOR KEY SHARE",
            (ast::LockType::Share, false) => "FOR SHARE",
            (ast::LockType::Update, true) => "FOR NO KEY UPDATE",
            (ast::LockType::Update, false) => "FOR UPDATE",
        };
        let of = match &clause.of {
            None => None,
            Some(name) => match locks::tables(name) {
                [] => None,
                [ast::ObjectNamePart::Identifier(ident)] => {
                    Some((fold(ident), super::position(ident.span)))
                }
                _ => {
                    return Err(PgError::new(
                        SqlState::SYNTAX_ERROR,
                        format!("{word} must specify unqualified relation names"),
                    )
                    .or_at(super::name_position(name)));
                }
            },
        };
        Ok(Locking { locks: RowLocks::of(clause), word, of })
    }

    fn concerns(&self, alias: &str) -> bool {
        self.of.as_ref().is_none_or(|(name, _)| name == alias)
    }

    /// A clause that queries of this form cannot have.
    pub(super) fn refuse(&self, what: &str) -> PgError {
        PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("{} is not allowed with {what}", self.word),
        )
    }

    pub(super) fn refuse_values(&self) -> PgError {
        PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("{} cannot be applied to VALUES", self.word),
        )
    }
}

impl Binder<'_> {
    /// What the present level's clauses ask of a subquery or view in FROM.
    pub(super) fn passed_locks(&mut self, alias: &str) -> Vec<Locking> {
        let all = self.level().locks.iter().filter(|l| l.concerns(alias));
        all.map(|l| Locking { of: None, ..l.clone() }).collect()
    }

    /// Puts the locking over a plan in which the tables' ids are still columns.
    pub(super) fn locked(&mut self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let level = self.level();
        let locks = std::mem::take(&mut level.locks);
        let items = &level.scope.items;
        let mut targets: Vec<LockTarget> = Vec::new();
        let mut locked = Vec::new();
        for lock in &locks {
            if let Some((name, place)) = &lock.of
                && !items.iter().any(|i| i.alias == *name)
            {
                return Err(PgError::new(
                    SqlState::UNDEFINED_TABLE,
                    format!("relation \"{name}\" in {} clause not found in FROM clause", lock.word),
                )
                .or_at(*place));
            }
            for item in items.iter().filter(|i| lock.concerns(&i.alias)) {
                if item.nullable {
                    return Err(PgError::new(
                        SqlState::FEATURE_NOT_SUPPORTED,
                        format!(
                            "{} cannot be applied to the nullable side of an outer join",
                            lock.word
                        ),
                    ));
                }
                add_target(&mut targets, item, lock.locks);
                locked.push(item.relation);
            }
        }
        locked.into_iter().for_each(|r| self.uses.add(Use::locked(r, self.acting)));
        locks.iter().for_each(|lock| self.uses.add_row_locks(lock.word));
        // Rows of a family are locked where they are.
        let families = targets.iter_mut().filter(|t| self.types.catalog.has_children(t.relation));
        families.for_each(|t| t.is_family = true);
        Ok(if targets.is_empty() { plan } else { lock_rows(plan, targets) })
    }
}

/// Of several clauses for a table the strongest counts.
fn add_target(targets: &mut Vec<LockTarget>, item: &Item, locks: RowLocks) {
    let system = |wanted: SystemColumn| {
        item.columns.iter().find(|c| c.hidden && c.attr == wanted.number()).map(|c| c.expr.clone())
    };
    let Some((id, table)) = system(SystemColumn::Ctid).zip(system(SystemColumn::TableOid)) else {
        return;
    };
    match targets.iter_mut().find(|t| t.id == id) {
        Some(have) => have.locks = have.locks.and(locks),
        None => {
            let relation = item.relation;
            targets.push(LockTarget { relation, id, table, is_family: false, locks });
        }
    }
}
