//! Names of variables in a piece of SQL, and what its plan takes records to be.

use std::cell::RefCell;
use std::sync::Arc;

use vicinity_types::{Kind, Oid, oid};

use super::ast::{Scope, Slot, VariableKind};
use super::frame::{Frame, Row, Value};
use crate::bind::{Conflict, Variables};
use crate::call::PgType;
use crate::context::ExecContext;

/// Where a parameter's value comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Use {
    Whole(Slot, PgType),
    Field(Slot, usize, PgType),
}

/// What a plan takes a record to be.
#[derive(Debug)]
pub(super) struct Shape {
    slot: Slot,
    names: Arc<[String]>,
    types: Arc<[PgType]>,
    /// Its type, where the plan has the record as a whole.
    whole: Option<Oid>,
}

impl Shape {
    pub(super) fn fits(&self, frame: &Frame<'_>) -> bool {
        match frame.value(self.slot) {
            Some(Value::Row(Some(row))) => {
                self.whole.is_none_or(|ty| ty == row.type_oid)
                    && (Arc::ptr_eq(&row.names, &self.names) || row.names == self.names)
                    && (Arc::ptr_eq(&row.types, &self.types) || row.types == self.types)
            }
            Some(Value::Row(None)) => {
                let kind = frame.variables.get(self.slot).map(|v| &v.kind);
                matches!(kind, Some(VariableKind::Row(_)))
            }
            _ => false,
        }
    }
}

/// Resolves names of variables while a piece of SQL is bound.
pub(super) struct Lookup<'a, 'f> {
    pub(super) ctx: &'a ExecContext,
    pub(super) scope: &'a Scope,
    pub(super) conflict: Conflict,
    pub(super) frame: &'a Frame<'f>,
    pub(super) uses: RefCell<Vec<Use>>,
    pub(super) shapes: RefCell<Vec<Shape>>,
}

impl Lookup<'_, '_> {
    fn index(&self, wanted: Use) -> usize {
        let mut uses = self.uses.borrow_mut();
        match uses.iter().position(|u| *u == wanted) {
            Some(at) => at + 1,
            None => {
                uses.push(wanted);
                uses.len()
            }
        }
    }

    fn whole(&self, slot: Slot) -> Option<(usize, PgType)> {
        let ty = match self.frame.variables.get(slot)?.kind {
            VariableKind::Scalar(ty) => ty,
            VariableKind::Row(ty) => PgType::with_kind(ty, -1, Kind::Record),
            VariableKind::Record => match self.frame.value(slot) {
                Some(Value::Row(Some(row))) => {
                    self.saw(slot, row, true);
                    PgType::with_kind(row.type_oid, -1, Kind::Record)
                }
                _ => PgType::new(oid::RECORD),
            },
        };
        Some((self.index(Use::Whole(slot, ty)), ty))
    }

    /// The plan depends on what a record looks like.
    fn saw(&self, slot: Slot, row: &Row, whole: bool) {
        let mut shapes = self.shapes.borrow_mut();
        let whole = whole.then_some(row.type_oid);
        match shapes.iter_mut().find(|s| s.slot == slot) {
            Some(shape) => shape.whole = shape.whole.or(whole),
            None => {
                let (names, types) = (row.names.clone(), row.types.clone());
                shapes.push(Shape { slot, names, types, whole });
            }
        }
    }

    fn field(&self, slot: Slot, field: &str) -> Option<(usize, PgType)> {
        if let VariableKind::Scalar(_) = self.frame.variables.get(slot)?.kind {
            return None;
        }
        let row = self.frame.row(self.ctx, slot).ok()?;
        let at = row.position(field)?;
        let ty = *row.types.get(at)?;
        self.saw(slot, &row, false);
        Some((self.index(Use::Field(slot, at, ty)), ty))
    }
}

impl Variables for Lookup<'_, '_> {
    fn lookup(&self, parts: &[&str]) -> Option<(usize, PgType)> {
        match parts {
            [name] => self.whole(*self.scope.names.get(*name)?),
            [first, second] => {
                if let Some(slot) = self.scope.labels.get(*first).and_then(|l| l.get(*second)) {
                    return self.whole(*slot);
                }
                self.field(*self.scope.names.get(*first)?, second)
            }
            [label, name, field] => self.field(*self.scope.labels.get(*label)?.get(*name)?, field),
            _ => None,
        }
    }

    fn fields(&self, name: &str) -> Option<Vec<(String, usize, PgType)>> {
        let slot = *self.scope.names.get(name)?;
        if let VariableKind::Scalar(_) = self.frame.variables.get(slot)?.kind {
            return None;
        }
        let row = self.frame.row(self.ctx, slot).ok()?;
        let field = |name: &String| {
            let (number, ty) = self.field(slot, name)?;
            Some((name.clone(), number, ty))
        };
        row.names.iter().map(field).collect()
    }

    fn conflict(&self) -> Conflict {
        self.conflict
    }

    fn transition(&self, name: &str) -> Option<Vec<(String, PgType)>> {
        self.ctx.transition.as_ref()?.columns(name).map(<[_]>::to_vec)
    }

    fn types(&self) -> Option<Vec<Oid>> {
        let uses = self.uses.borrow();
        let oid = |u: &Use| match u {
            Use::Whole(_, ty) | Use::Field(_, _, ty) => ty.oid,
        };
        Some(uses.iter().map(oid).collect())
    }
}
