//! Rows a statement wrote, for triggers that ask for all of them (`REFERENCING`).

use std::sync::Arc;

use vicinity_storage::catalog::model::Trigger;
use vicinity_types::Datum;

use super::Values;
use crate::call::PgType;
use crate::exec::triggers::{Shape, Triggers};

/// All rows a statement wrote to a table, kept where a trigger asked for them.
pub(super) struct Kept {
    triggers: Arc<Triggers>,
    old: Arc<Vec<Values>>,
    new: Arc<Vec<Values>>,
}

/// Notes a row.
pub(super) fn keep(
    all: &mut Vec<Kept>,
    triggers: &Arc<Triggers>,
    old: Option<&[Datum]>,
    new: Option<&[Datum]>,
) {
    if !triggers.keeps_old && !triggers.keeps_new {
        return;
    }
    let mine = |k: &Kept| Arc::ptr_eq(&k.triggers, triggers);
    let at = all.iter().position(mine).unwrap_or(all.len());
    if at == all.len() {
        all.push(Kept { triggers: triggers.clone(), old: Arc::default(), new: Arc::default() });
    }
    let Some(kept) = all.get_mut(at) else { return };
    let seen = |row: &[Datum]| triggers.shape.seen(row.to_vec());
    if let Some(row) = old.filter(|_| triggers.keeps_old) {
        Arc::make_mut(&mut kept.old).push(seen(row));
    }
    if let Some(row) = new.filter(|_| triggers.keeps_new) {
        Arc::make_mut(&mut kept.new).push(seen(row));
    }
}

/// The rows one of these triggers sees, under the names it gives them; `None` if it asks for none.
pub(super) fn of(all: &[Kept], triggers: &Arc<Triggers>, trigger: &Trigger) -> Option<Transition> {
    if trigger.old_table.is_none() && trigger.new_table.is_none() {
        return None;
    }
    let kept = all.iter().find(|k| Arc::ptr_eq(&k.triggers, triggers));
    let (old, new) = kept.map_or_else(Default::default, |k| (k.old.clone(), k.new.clone()));
    let Shape { names, types, .. } = &triggers.shape;
    Some(Transition {
        old,
        new,
        old_name: trigger.old_table.clone(),
        new_name: trigger.new_table.clone(),
        columns: names.iter().cloned().zip(types.iter().copied()).collect(),
    })
}

/// Rows a statement wrote, as tables its triggers can read.
#[derive(Debug)]
pub(crate) struct Transition {
    old: Arc<Vec<Values>>,
    new: Arc<Vec<Values>>,
    old_name: Option<String>,
    new_name: Option<String>,
    columns: Vec<(String, PgType)>,
}

impl Transition {
    /// The columns of a table of this name, if there is one.
    pub(crate) fn columns(&self, name: &str) -> Option<&[(String, PgType)]> {
        self.rows(name).map(|_| self.columns.as_slice())
    }

    /// Its rows.
    pub(crate) fn rows(&self, name: &str) -> Option<&Arc<Vec<Values>>> {
        let is = |own: &Option<String>| own.as_deref() == Some(name);
        match (is(&self.old_name), is(&self.new_name)) {
            (true, _) => Some(&self.old),
            (_, true) => Some(&self.new),
            _ => None,
        }
    }
}
