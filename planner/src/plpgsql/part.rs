//! Assignments to parts of variables: `a[2] := ..`, `r.list[1:2] := ..`, `r.c.f := ..`.

use vicinity_types::{Datum, Kind, PgError, Result, SqlState, oid};

use super::ast::{Place, Sql, Step};
use super::cast;
use super::expr;
use super::frame::empty_row;
use super::run::Interpreter;
use crate::call::PgType;
use crate::resolve::types::part_type;
use crate::store;

/// What brackets with nothing but a subscript or a slice say.
type Bounds<'s> = Vec<(Option<&'s Sql>, Option<&'s Sql>)>;

impl Interpreter<'_> {
    /// Assigns to a part of what a place holds.
    pub(super) fn assign_part(
        &mut self,
        place: &Place,
        path: &[Step],
        value: Datum,
        ty: PgType,
    ) -> Result<()> {
        let (old, whole) = self.held(place)?;
        let new = self.with_part(old, whole, path, (value, ty))?;
        self.frame.assign(&self.ctx, place, new, whole)
    }

    /// What a place holds, and its type.
    fn held(&mut self, place: &Place) -> Result<(Datum, PgType)> {
        use super::ast::VariableKind as K;
        match place {
            Place::Variable(slot) => match self.frame.variable(*slot)?.kind {
                K::Scalar(ty) => Ok((self.frame.datum(*slot)?, ty)),
                K::Row(ty) => {
                    let kind = self.ctx.catalog.kind_of(ty);
                    Ok((self.frame.datum(*slot)?, PgType::with_kind(ty, -1, kind)))
                }
                K::Record => Err(cannot_subscript("record".to_owned())),
            },
            Place::Field(slot, field) => {
                let row = self.frame.row(&self.ctx, *slot)?;
                let variable = &self.frame.variable(*slot)?.name;
                let at = row.position(field).ok_or_else(|| no_field(variable, field))?;
                let ty = row.types.get(at).copied().unwrap_or(PgType::new(oid::TEXT));
                Ok((row.values.get(at).cloned().unwrap_or_default(), ty))
            }
        }
    }

    fn with_part(
        &mut self,
        old: Datum,
        whole: PgType,
        path: &[Step],
        (value, from): (Datum, PgType),
    ) -> Result<Datum> {
        let subscripts = path.iter().take_while(|s| !matches!(s, Step::Field(_))).count();
        match path.first() {
            None => cast::assign(&self.ctx, value, from, whole),
            Some(Step::Field(field)) => {
                let rest = path.get(1..).unwrap_or_default();
                if self.ctx.catalog.relation_of_type(whole.oid).is_none() {
                    let name = self.ctx.type_name(whole.oid, None);
                    let text = format!(
                        "cannot assign to field \"{field}\" because its type {name} is not a \
                         composite type"
                    );
                    return Err(PgError::new(SqlState::DATATYPE_MISMATCH, text));
                }
                let shape = empty_row(&self.ctx, whole.oid)?;
                let at = shape.position(field).ok_or_else(|| no_field("", field))?;
                let ty = shape.types.get(at).copied().unwrap_or(whole);
                let inner = match &old {
                    Datum::Record(row) => row.fields.get(at).map(|(_, v)| v.clone()),
                    _ => None,
                };
                let inner = self.with_part(inner.unwrap_or_default(), ty, rest, (value, from))?;
                let types: Vec<u32> = shape.types.iter().map(|ty| ty.oid).collect();
                store::field(&old, whole.oid, &types, at, inner)
            }
            Some(_) => {
                let (steps, rest) = path.split_at(subscripts);
                self.with_subscript(old, whole, (steps, rest), (value, from))
            }
        }
    }

    fn with_subscript(
        &mut self,
        old: Datum,
        whole: PgType,
        (steps, rest): (&[Step], &[Step]),
        given: (Datum, PgType),
    ) -> Result<Datum> {
        let mut bounds: Bounds<'_> = Vec::new();
        let mut sliced = false;
        for step in steps {
            bounds.push(match step {
                Step::Element(index) => (None, Some(index)),
                Step::Slice(from, to) => {
                    sliced = true;
                    (from.as_ref(), to.as_ref())
                }
                Step::Field(_) => continue,
            });
        }
        if whole.oid == oid::JSONB {
            let mut keys = Vec::new();
            for (_, key) in &bounds {
                let Some(key) = key else { continue };
                let (key, ty) = expr::eval(self, key)?;
                let to = if ty.oid == oid::INT4 { oid::INT4 } else { oid::TEXT };
                keys.push(cast::assign(&self.ctx, key, ty, PgType::new(to))?);
            }
            let value = cast::assign(&self.ctx, given.0, given.1, whole)?;
            let list = matches!(keys.first(), Some(Datum::Int4(_)));
            return store::json(&old, &value, &keys, list);
        }
        let Some(elem) = part_type(&self.ctx.catalog, whole.oid) else {
            return Err(cannot_subscript(self.ctx.type_name(whole.oid, None)));
        };
        if sliced {
            let source = cast::assign(&self.ctx, given.0, given.1, whole)?;
            if whole.kind != Kind::Array {
                return Err(PgError::unsupported("slices of fixed-length arrays"));
            }
            let (mut numbers, mut marks) = (Vec::new(), Vec::new());
            for ((from, to), step) in bounds.iter().zip(steps) {
                let single = matches!(step, Step::Element(_));
                numbers.push(if single { Datum::Int4(1) } else { self.subscript(*from)? });
                numbers.push(self.subscript(*to)?);
                marks.extend([single || from.is_some(), to.is_some()]);
            }
            return store::slice(&old, elem, &source, &numbers, &marks);
        }
        let kind = self.ctx.catalog.kind_of(elem);
        let ty = PgType::with_kind(elem, whole.typmod, kind);
        let mut indices = Vec::with_capacity(bounds.len());
        for (_, index) in &bounds {
            indices.push(self.subscript(*index)?);
        }
        let inner = if rest.is_empty() { Datum::Null } else { store::read(&old, &indices) };
        let value = self.with_part(inner, ty, rest, given)?;
        store::element(&old, whole.kind, elem, value, &indices)
    }

    fn subscript(&mut self, index: Option<&Sql>) -> Result<Datum> {
        let Some(index) = index else { return Ok(Datum::Null) };
        let (value, ty) = expr::eval(self, index)?;
        cast::assign(&self.ctx, value, ty, PgType::new(oid::INT4))
    }
}

fn no_field(variable: &str, field: &str) -> PgError {
    PgError::new(
        SqlState::UNDEFINED_COLUMN,
        format!("record \"{variable}\" has no field \"{field}\""),
    )
}

fn cannot_subscript(ty: String) -> PgError {
    PgError::new(
        SqlState::DATATYPE_MISMATCH,
        format!("cannot subscript type {ty} because it does not support subscripting"),
    )
}
