//! The states behind [`PgAggregate`](super::PgAggregate): one group, or many.

use std::fmt;
use std::sync::Mutex;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use datafusion::common::{DataFusionError, Result as DfResult, ScalarValue};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};
use hashbrown::HashSet;
use vicinity_functions::{Aggregate, MakeAggregate};
use vicinity_types::arrow::{ColumnBuilder, value_at};
use vicinity_types::{Datum, Kind, PgError, Result, encode_key};

use crate::call::{datum_to_scalar, external};
use crate::context::ExecContext;

/// How rows become results: shared by all groups of one aggregate.
pub(crate) struct RowState {
    ctx: ExecContext,
    make: MakeAggregate,
    kinds: Vec<Kind>,
    ret: Kind,
    distinct: bool,
    order: usize,
}

impl RowState {
    pub(crate) fn new(
        ctx: ExecContext,
        make: MakeAggregate,
        kinds: Vec<Kind>,
        ret: Kind,
        distinct: bool,
        order: usize,
    ) -> RowState {
        RowState { ctx, make, kinds, ret, distinct, order }
    }

    fn fresh(&self) -> Group {
        Group { state: (self.make)(), seen: HashSet::new(), rows: Vec::new(), size: 0 }
    }

    /// The arguments of a row, and its order key.
    fn read(&self, values: &[ArrayRef], row: usize, args: &mut Vec<Datum>) -> Result<Vec<u8>> {
        args.clear();
        for (kind, array) in self.kinds.iter().zip(values) {
            args.push(value_at(*kind, array, row)?);
        }
        let mut key = Vec::new();
        for array in values.iter().skip(self.kinds.len()).take(self.order) {
            key.extend_from_slice(vicinity_types::arrow::bytes_at(array, row).unwrap_or(&[]));
        }
        Ok(key)
    }

    fn step(&self, group: &mut Group, args: &[Datum], mut key: Vec<u8>) -> Result<()> {
        if self.distinct {
            let mut identity = Vec::new();
            args.iter().for_each(|a| encode_key(a, false, false, &mut identity));
            if !group.seen.insert(identity.clone()) {
                return Ok(());
            }
            group.size += identity.len() * 2 + 32;
            if self.order == 0 {
                // PostgreSQL finds duplicates by sorting: the result comes in that order.
                key = identity;
            }
        }
        if self.distinct || self.order > 0 {
            group.size += key.len() + args.len() * 32 + 48;
            group.rows.push((key, args.to_vec()));
            return Ok(());
        }
        group.state.step(&self.ctx, args)
    }

    fn finish(&self, group: &mut Group) -> Result<Datum> {
        if !group.rows.is_empty() {
            group.rows.sort_by(|a, b| a.0.cmp(&b.0));
            for (_, args) in std::mem::take(&mut group.rows) {
                group.state.step(&self.ctx, &args)?;
            }
        }
        group.state.finish(&self.ctx)
    }
}

struct Group {
    state: Box<dyn Aggregate>,
    seen: HashSet<Vec<u8>>,
    /// Rows kept to be sorted.
    rows: Vec<(Vec<u8>, Vec<Datum>)>,
    size: usize,
}

fn unsplit() -> DataFusionError {
    external(PgError::internal("aggregate states are not merged"))
}

/// One group: aggregates over everything.
pub(crate) struct Single {
    rows: RowState,
    // `Accumulator` wants `Sync`; states are only ever used through `&mut`.
    group: Mutex<Group>,
}

impl Single {
    pub(crate) fn new(rows: RowState) -> Single {
        let group = Mutex::new(rows.fresh());
        Single { rows, group }
    }
}

impl fmt::Debug for Single {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Single")
    }
}

fn group_mut(group: &mut Mutex<Group>) -> &mut Group {
    match group.get_mut() {
        Ok(group) => group,
        Err(poisoned) => poisoned.into_inner(),
    }
}

impl Accumulator for Single {
    fn update_batch(&mut self, values: &[ArrayRef]) -> DfResult<()> {
        let count = values.first().map_or(0, |v| v.len());
        let mut args = Vec::new();
        let group = group_mut(&mut self.group);
        for row in 0..count {
            let key = self.rows.read(values, row, &mut args).map_err(external)?;
            self.rows.step(group, &args, key).map_err(external)?;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> DfResult<ScalarValue> {
        let value = self.rows.finish(group_mut(&mut self.group));
        value.and_then(|v| datum_to_scalar(self.rows.ret, &v)).map_err(external)
    }

    fn size(&self) -> usize {
        self.group.lock().map_or(0, |g| g.size + g.state.size())
    }

    fn state(&mut self) -> DfResult<Vec<ScalarValue>> {
        Err(unsplit())
    }

    fn merge_batch(&mut self, _states: &[ArrayRef]) -> DfResult<()> {
        Err(unsplit())
    }
}

/// Many groups.
pub(crate) struct GroupStates {
    rows: RowState,
    groups: Vec<Group>,
    size: usize,
}

impl GroupStates {
    pub(crate) fn new(rows: RowState) -> GroupStates {
        GroupStates { rows, groups: Vec::new(), size: 0 }
    }
}

impl GroupsAccumulator for GroupStates {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> DfResult<()> {
        while self.groups.len() < total {
            self.groups.push(self.rows.fresh());
            self.size += 128;
        }
        let mut args = Vec::new();
        for (row, index) in group_indices.iter().enumerate() {
            if filter.is_some_and(|f| f.is_null(row) || !f.value(row)) {
                continue;
            }
            let Some(group) = self.groups.get_mut(*index) else { continue };
            let before = group.size + group.state.size();
            let key = self.rows.read(values, row, &mut args).map_err(external)?;
            self.rows.step(group, &args, key).map_err(external)?;
            self.size += (group.size + group.state.size()).saturating_sub(before);
        }
        self.rows.ctx.check().map_err(external)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> DfResult<ArrayRef> {
        let groups = emit_to.take_needed(&mut self.groups);
        let mut out = ColumnBuilder::new(self.rows.ret, groups.len());
        for mut group in groups {
            let value = self.rows.finish(&mut group).map_err(external)?;
            out.push(&value).map_err(external)?;
        }
        Ok(out.finish())
    }

    fn state(&mut self, _emit_to: EmitTo) -> DfResult<Vec<ArrayRef>> {
        Err(unsplit())
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        _group_indices: &[usize],
        _total: usize,
    ) -> DfResult<()> {
        let _ = values.first().map(|v| v.as_binary_opt::<i32>());
        Err(unsplit())
    }

    fn convert_to_state(
        &self,
        _values: &[ArrayRef],
        _filter: Option<&BooleanArray>,
    ) -> DfResult<Vec<ArrayRef>> {
        Err(unsplit())
    }

    fn size(&self) -> usize {
        self.size
    }
}
