//! A running function's variables.

use std::sync::Arc;

use vicinity_types::record::Record;
use vicinity_types::{Datum, Kind, Oid, PgError, Result, SqlState, oid};

use super::ast::{Place, Slot, Variable, VariableKind};
use super::cast;
use crate::call::PgType;
use crate::context::ExecContext;

/// A row a record variable holds: column names beside the values.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// The composite type it is of; `record` for none.
    pub(super) type_oid: Oid,
    pub(super) names: Arc<[String]>,
    pub(super) types: Arc<[PgType]>,
    /// None at all in a row that is NULL as a whole.
    pub(super) values: Vec<Datum>,
}

impl Row {
    pub(super) fn position(&self, field: &str) -> Option<usize> {
        self.names.iter().position(|n| n == field)
    }

    fn is_null(&self) -> bool {
        self.values.is_empty() && !self.types.is_empty()
    }

    /// The row as one value.
    pub(super) fn to_datum(&self) -> Result<Datum> {
        if self.is_null() {
            return Ok(Datum::Null);
        }
        let fields = self.types.iter().map(|t| t.oid).zip(self.values.iter().cloned()).collect();
        let row = Record::new(self.type_oid, fields)?.named(Some(self.names.clone()));
        Ok(Datum::Record(Arc::new(row)))
    }
}

/// A variable's content.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Scalar(Datum),
    /// `None`: a record not yet assigned.
    Row(Option<Row>),
}

/// All variables of one call.
pub(super) struct Frame<'a> {
    pub(super) variables: &'a [Variable],
    values: Vec<Value>,
    /// FOUND lives in a slot of its own.
    found: Slot,
}

impl<'a> Frame<'a> {
    pub(super) fn new(variables: &'a [Variable], found: Slot) -> Self {
        let empty = |v: &Variable| match v.kind {
            VariableKind::Scalar(_) => Value::Scalar(Datum::Null),
            VariableKind::Record | VariableKind::Row(_) => Value::Row(None),
        };
        Frame { variables, values: variables.iter().map(empty).collect(), found }
    }

    pub(super) fn value(&self, slot: Slot) -> Option<&Value> {
        self.values.get(slot)
    }

    pub(super) fn set_found(&mut self, found: bool) {
        self.set_raw(self.found, Value::Scalar(Datum::Bool(found)));
    }

    pub(super) fn set_raw(&mut self, slot: Slot, value: Value) {
        if let Some(place) = self.values.get_mut(slot) {
            *place = value;
        }
    }

    /// The value of a scalar variable, or a whole row as one value.
    pub(super) fn datum(&self, slot: Slot) -> Result<Datum> {
        match self.values.get(slot) {
            Some(Value::Scalar(d)) => Ok(d.clone()),
            Some(Value::Row(Some(row))) => row.to_datum(),
            _ => Ok(Datum::Null),
        }
    }

    /// A field of a row.
    pub(super) fn field(&self, ctx: &ExecContext, slot: Slot, at: usize) -> Result<Datum> {
        if let Some(Value::Row(Some(row))) = self.values.get(slot) {
            return Ok(row.values.get(at).cloned().unwrap_or_default());
        }
        Ok(self.row(ctx, slot)?.values.get(at).cloned().unwrap_or_default())
    }

    /// Takes a row out of its variable; `None` if there is none.
    pub(super) fn take_row(&mut self, slot: Slot) -> Option<Row> {
        match self.values.get_mut(slot) {
            Some(Value::Row(row)) => row.take().filter(|r| !r.is_null()),
            _ => None,
        }
    }

    pub(super) fn variable(&self, slot: Slot) -> Result<&'a Variable> {
        self.variables
            .get(slot)
            .ok_or_else(|| PgError::internal("PL/pgSQL variable out of its frame"))
    }

    /// The row a record holds, with the shape of its type where it was never assigned.
    pub(super) fn row(&self, ctx: &ExecContext, slot: Slot) -> Result<Row> {
        if let Some(Value::Row(Some(row))) = self.values.get(slot) {
            return Ok(row.clone());
        }
        unassigned(ctx, self.variable(slot)?)
    }

    /// Assigns with assignment casts; `value` is of type `from`.
    pub(super) fn assign(
        &mut self,
        ctx: &ExecContext,
        place: &Place,
        value: Datum,
        from: PgType,
    ) -> Result<()> {
        match place {
            Place::Variable(slot) => self.assign_variable(ctx, *slot, value, from),
            Place::Field(slot, field) => {
                let variable = self.variable(*slot)?;
                if let Some(Value::Row(have @ None)) = self.values.get_mut(*slot) {
                    *have = Some(unassigned(ctx, variable)?);
                }
                let Some(Value::Row(Some(row))) = self.values.get_mut(*slot) else {
                    return Err(PgError::internal("PL/pgSQL variable is no record"));
                };
                let at = row.position(field).ok_or_else(|| {
                    PgError::new(
                        SqlState::UNDEFINED_COLUMN,
                        format!("record \"{}\" has no field \"{field}\"", variable.name),
                    )
                })?;
                let to = row.types.get(at).copied().unwrap_or(from);
                row.values.resize(row.types.len(), Datum::Null);
                if let Some(v) = row.values.get_mut(at) {
                    *v = cast::assign(ctx, value, from, to)?;
                }
                Ok(())
            }
        }
    }

    fn assign_variable(
        &mut self,
        ctx: &ExecContext,
        slot: Slot,
        value: Datum,
        from: PgType,
    ) -> Result<()> {
        let variable = self.variable(slot)?;
        if variable.not_null && value.is_null() {
            return Err(PgError::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                format!(
                    "null value cannot be assigned to variable \"{}\" declared NOT NULL",
                    variable.name
                ),
            ));
        }
        let value = match variable.kind {
            VariableKind::Scalar(to) => Value::Scalar(cast::assign(ctx, value, from, to)?),
            VariableKind::Record => record_value(ctx, value, None)?,
            VariableKind::Row(ty) => record_value(ctx, value, Some(ty))?,
        };
        self.set_raw(slot, value);
        Ok(())
    }

    /// Assigns a result row to a record or row variable; `None` makes all fields NULL.
    pub(super) fn assign_row(
        &mut self,
        ctx: &ExecContext,
        slot: Slot,
        row: Option<Row>,
    ) -> Result<()> {
        let shaped = match self.variable(slot)?.kind {
            VariableKind::Row(ty) => Some(shape_row(ctx, row, ty)?),
            _ => row,
        };
        self.set_raw(slot, Value::Row(shaped));
        Ok(())
    }
}

/// What a row variable is before anything was assigned.
fn unassigned(ctx: &ExecContext, variable: &Variable) -> Result<Row> {
    match variable.kind {
        VariableKind::Row(ty) => empty_row(ctx, ty),
        _ => Err(PgError::new(
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("record \"{}\" is not assigned yet", variable.name),
        )
        .detail("The tuple structure of a not-yet-assigned record is indeterminate.")),
    }
}

/// A NULL row of a composite type.
pub(super) fn empty_row(ctx: &ExecContext, ty: Oid) -> Result<Row> {
    let columns = composite_columns(ctx, ty)?;
    Ok(Row {
        type_oid: ty,
        values: vec![Datum::Null; columns.len()],
        names: columns.iter().map(|(n, _)| n.clone()).collect(),
        types: columns.iter().map(|(_, t)| *t).collect(),
    })
}

/// Names and types of a composite type's live columns.
pub(super) fn composite_columns(ctx: &ExecContext, ty: Oid) -> Result<Vec<(String, PgType)>> {
    use vicinity_storage::catalog::model::RelationKind;
    let relation = ctx
        .catalog
        .relation_of_type(ty)
        .ok_or_else(|| PgError::internal(format!("type {ty} is not composite")))?;
    let columns = match &relation.kind {
        RelationKind::Table(t) => &t.columns,
        RelationKind::View(v) => &v.columns,
        RelationKind::Composite(c) => c,
        _ => return Err(PgError::internal(format!("type {ty} is not composite"))),
    };
    Ok(columns
        .iter()
        .filter(|c| !c.dropped)
        .map(|c| {
            let kind = ctx.catalog.kind_of(c.type_oid);
            (c.name.clone(), PgType::with_kind(c.type_oid, c.typmod, kind))
        })
        .collect())
}

/// Takes a row's values, in order, into the columns of a composite type.
fn shape_row(ctx: &ExecContext, row: Option<Row>, ty: Oid) -> Result<Row> {
    let mut shaped = empty_row(ctx, ty)?;
    let Some(row) = row else { return Ok(shaped) };
    for (i, (value, from)) in row.values.into_iter().zip(row.types.iter()).enumerate() {
        if let (Some(to), Some(place)) = (shaped.types.get(i), shaped.values.get_mut(i)) {
            *place = cast::assign(ctx, value, *from, *to)?;
        }
    }
    Ok(shaped)
}

/// A record value taken apart.
pub(super) fn record_value(ctx: &ExecContext, value: Datum, ty: Option<Oid>) -> Result<Value> {
    let record = match value {
        Datum::Null => return Ok(Value::Row(ty.map(|t| empty_row(ctx, t)).transpose()?)),
        Datum::Record(record) => record,
        _ => {
            return Err(PgError::new(
                SqlState::DATATYPE_MISMATCH,
                "cannot assign non-composite value to a record variable",
            ));
        }
    };
    let own = ctx.catalog.relation_of_type(record.type_oid).is_some();
    let (names, types): (Vec<String>, Vec<PgType>) = if own {
        composite_columns(ctx, record.type_oid)?.into_iter().unzip()
    } else {
        let types =
            record.fields.iter().map(|(t, _)| PgType::with_kind(*t, -1, ctx.catalog.kind_of(*t)));
        (1..).zip(types).map(|(i, t): (usize, _)| (format!("f{i}"), t)).unzip()
    };
    let row = Row {
        type_oid: if own { record.type_oid } else { oid::RECORD },
        names: names.into(),
        types: types.into(),
        values: record.fields.iter().map(|(_, d)| d.clone()).collect(),
    };
    Ok(Value::Row(Some(match ty {
        Some(ty) => shape_row(ctx, Some(row), ty)?,
        None => row,
    })))
}

/// Whether values of two types are held alike and need no conversion to be exchanged.
pub(super) fn same_type(a: PgType, b: PgType) -> bool {
    a.oid == b.oid && (b.typmod < 0 || a.typmod == b.typmod) && a.kind != Kind::Record
}
