//! Running cursors: a cursor variable holds the name of one of the session's portals.

use std::sync::Arc;

use vicinity_types::{Datum, PgError, Result, SqlState, oid};

use super::ast::{Place, Query, Slot, Sql, Statement, Target, Where};
use super::expr;
use super::frame::{Row, Value};
use super::loops::Round;
use super::query;
use super::run::{Flow, Interpreter};
use crate::call::PgType;
use crate::portal::{Handle, cannot_be_run};
use crate::rows::{Collect, Discard};
use crate::sql::Direction;

impl Interpreter<'_> {
    /// The portal's name in a cursor variable.
    fn cursor_name(&self, slot: Slot) -> Result<Option<String>> {
        match self.frame.value(slot) {
            Some(Value::Scalar(Datum::Text(name))) => Ok(Some(name.as_ref().to_owned())),
            Some(Value::Scalar(Datum::Null)) => Ok(None),
            _ => Err(PgError::internal("a cursor variable holds a name")),
        }
    }

    fn open_portal(&self, slot: Slot) -> Result<(String, Handle)> {
        let name = self.cursor_name(slot)?.ok_or_else(|| {
            let own = self.frame.variable(slot).map_or("", |v| v.name.as_str());
            PgError::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                format!("cursor variable \"{own}\" is null"),
            )
        })?;
        let portal = self.ctx.session.portals().find(&name)?;
        Ok((name, portal))
    }

    /// `OPEN`
    pub(super) fn open(
        &mut self,
        slot: Slot,
        args: &[(Slot, Sql)],
        query: Option<&(Option<bool>, Query)>,
    ) -> Result<()> {
        let name = self.cursor_name(slot)?;
        if let Some(name) = &name
            && self.ctx.session.portals().get(name).is_some()
        {
            return Err(PgError::new(
                SqlState::DUPLICATE_CURSOR,
                format!("cursor \"{name}\" already in use"),
            ));
        }
        for (arg, value) in args {
            let (value, ty) = expr::eval(self, value)?;
            self.frame.assign(&self.ctx, &Place::Variable(*arg), value, ty)?;
        }
        let bound = self.frame.variable(slot)?.cursor.clone();
        let portal = match (query, bound) {
            (Some((scroll, query)), _) => query::open(self, query, *scroll)?,
            (None, Some(cursor)) => query::open(self, &cursor.query, cursor.scroll)?,
            (None, None) => return Err(PgError::internal("a cursor without a query")),
        };
        let mut portals = self.ctx.session.portals();
        let made_up = name.is_none();
        let name = name.unwrap_or_else(|| portals.made_up_name());
        portals.insert(&name, portal)?;
        drop(portals);
        if made_up {
            self.frame.set_raw(slot, Value::Scalar(Datum::text(&name)));
        }
        Ok(())
    }

    fn direction(&mut self, direction: &Where) -> Result<Direction> {
        match direction {
            Where::Fixed(direction) => Ok(*direction),
            Where::Counted(make, sql) => {
                let count = expr::int(self, sql)?.ok_or_else(|| {
                    PgError::new(
                        SqlState::NULL_VALUE_NOT_ALLOWED,
                        "relative or absolute cursor position is null",
                    )
                })?;
                Ok(make(count))
            }
        }
    }

    /// `FETCH`; without a target `MOVE`.
    pub(super) fn fetch(
        &mut self,
        slot: Slot,
        direction: &Where,
        target: Option<&Target>,
    ) -> Result<()> {
        let direction = self.direction(direction)?;
        let (name, portal) = self.open_portal(slot)?;
        let count = match target {
            None => {
                let mut portal = portal.try_lock().ok_or_else(|| cannot_be_run(&name))?;
                portal.walk(&self.ctx, &name)?.fetch(direction, true, &mut Discard)?
            }
            Some(target) => {
                let (row, found) = self.next_row(&name, &portal, direction)?;
                self.store(target, Some(row))?;
                u64::from(found)
            }
        };
        self.frame.set_found(count > 0);
        self.row_count = count;
        Ok(())
    }

    /// The row a direction leads to, and whether there is one: if not, all of it is NULL.
    fn next_row(&self, name: &str, portal: &Handle, to: Direction) -> Result<(Row, bool)> {
        let mut portal = portal.try_lock().ok_or_else(|| cannot_be_run(name))?;
        let walk = portal.walk(&self.ctx, name)?;
        let mut found = Collect::default();
        walk.fetch(to, false, &mut found)?;
        let columns = walk.columns();
        let row = found.rows.into_iter().next();
        let there = row.is_some();
        let row = Row {
            type_oid: vicinity_types::oid::RECORD,
            names: columns.iter().map(|c| c.name.clone()).collect::<Arc<[String]>>(),
            types: columns.iter().map(|c| c.ty).collect::<Arc<[PgType]>>(),
            values: row.unwrap_or_else(|| vec![Datum::Null; columns.len()]),
        };
        Ok((row, there))
    }

    /// `CLOSE`
    pub(super) fn close(&mut self, slot: Slot) -> Result<()> {
        let (name, _) = self.open_portal(slot)?;
        self.ctx.session.portals().close(&name);
        Ok(())
    }

    /// `FOR record IN cursor LOOP`
    pub(super) fn for_cursor(
        &mut self,
        label: Option<&str>,
        record: Slot,
        cursor: Slot,
        args: &[(Slot, Sql)],
        body: &[Statement],
    ) -> Result<Flow> {
        let before = self.cursor_name(cursor)?;
        self.open(cursor, args, None)?;
        let (name, portal) = self.open_portal(cursor)?;
        let mut any = false;
        let mut left = Flow::Next;
        loop {
            let (row, found) = self.next_row(&name, &portal, Direction::Forward(1))?;
            if !found {
                break;
            }
            self.ctx.check()?;
            any = true;
            self.frame.assign_row(&self.ctx, record, Some(row))?;
            if let Round::Leave(flow) = self.round(label, body)? {
                left = flow;
                break;
            }
        }
        self.ctx.session.portals().close(&name);
        if before.is_none() {
            let ty = PgType::new(oid::REFCURSOR);
            self.frame.assign(&self.ctx, &Place::Variable(cursor), Datum::Null, ty)?;
        }
        self.frame.set_found(any);
        Ok(left)
    }
}
