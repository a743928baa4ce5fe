//! The extended protocol: prepared statements and portals.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::run::Ran;
use super::{Job, Portal, Protocol, Sink, Slot, Step};
use crate::backend::{Backend, Tag, Values};
use crate::encode;
use crate::message::{Bind, Body, Parse, Target, violation};

impl<B: Backend> Slot<B> {
    fn empty() -> Self {
        Slot {
            statement: None,
            params: Vec::new(),
            columns: None,
            description: Bytes::from_static(encode::NO_DATA),
            short: true,
        }
    }
}

impl<B: Backend> Protocol<B> {
    pub(super) fn parse(&mut self, body: &[u8]) -> Result<Step<B>> {
        self.begin_statement();
        let Parse { name, sql, types } = Parse::read(Body::new(body))?;
        let slot = match self.one_statement(sql)? {
            None => Slot::empty(),
            Some(parsed) => match self.backend.prepared(&parsed, &types) {
                Some(statement) => self.slot(statement)?,
                None => {
                    return Ok(Step::Block(Job::Parse {
                        name: name.to_owned(),
                        sql: sql.to_owned(),
                        types,
                    }));
                }
            },
        };
        self.keep(name, slot)?;
        Ok(Step::Next)
    }

    pub(super) fn do_parse(&mut self, name: &str, sql: &str, types: &[Oid]) -> Result<()> {
        let slot = match self.one_statement(sql)? {
            None => Slot::empty(),
            Some(parsed) => {
                let statement = self.backend.prepare(&parsed, types)?;
                self.slot(statement)?
            }
        };
        self.keep(name, slot)
    }

    fn one_statement(&mut self, sql: &str) -> Result<Option<B::Parsed>> {
        let mut statements = self.backend.split(sql)?.into_iter();
        let first = statements.next();
        if statements.next().is_some() {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                "cannot insert multiple commands into a prepared statement",
            ));
        }
        Ok(first)
    }

    fn slot(&mut self, statement: B::Statement) -> Result<Slot<B>> {
        let about = self.backend.describe(&statement)?;
        let description = match &about.columns {
            None => Bytes::from_static(encode::NO_DATA),
            Some(columns) => {
                let mut out = BytesMut::new();
                encode::row_description(&mut out, columns, |_| 0);
                out.freeze()
            }
        };
        Ok(Slot {
            statement: Some(statement),
            params: about.params,
            columns: about.columns,
            description,
            short: about.short,
        })
    }

    fn keep(&mut self, name: &str, slot: Slot<B>) -> Result<()> {
        self.tell();
        let slot = Arc::new(slot);
        if name.is_empty() {
            self.unnamed = Some(slot);
        } else if self.statements.contains_key(name) {
            return Err(PgError::new(
                SqlState::DUPLICATE_PREPARED_STATEMENT,
                format!("prepared statement \"{name}\" already exists"),
            ));
        } else if self.statements.len() >= self.limits.statements {
            return Err(self.too_many("prepared statements"));
        } else {
            self.statements.insert(name.into(), slot);
        }
        self.out.extend_from_slice(encode::PARSE_COMPLETE);
        Ok(())
    }

    fn find(&self, name: &str) -> Result<&Arc<Slot<B>>> {
        if name.is_empty() {
            return self.unnamed.as_ref().ok_or_else(|| {
                PgError::new(
                    SqlState::INVALID_SQL_STATEMENT_NAME,
                    "unnamed prepared statement does not exist",
                )
            });
        }
        self.statements.get(name).ok_or_else(|| {
            PgError::new(
                SqlState::INVALID_SQL_STATEMENT_NAME,
                format!("prepared statement \"{name}\" does not exist"),
            )
        })
    }

    pub(super) fn bind(&mut self, body: &[u8]) -> Result<Step<B>> {
        let bind = Bind::read(Body::new(body))?;
        let slot = Arc::clone(self.find(bind.statement)?);
        let (given, want) = (bind.params.len(), slot.params.len());
        if given != want {
            return Err(violation(format!(
                "bind message supplies {given} parameters, but prepared statement \"{}\" requires {want}",
                bind.statement
            )));
        }
        let columns = slot.columns.as_ref().map_or(0, Vec::len);
        if bind.results.len() > 1 && bind.results.len() != columns {
            return Err(violation(format!(
                "bind message has {} result formats but query has {columns} columns",
                bind.results.len()
            )));
        }
        if !bind.portal.is_empty() {
            if self.portals.contains_key(bind.portal) {
                return Err(PgError::new(
                    SqlState::DUPLICATE_CURSOR,
                    format!("cursor \"{}\" already exists", bind.portal),
                ));
            }
            if self.portals.len() >= self.limits.portals {
                return Err(self.too_many("portals"));
            }
        }
        let formats: SmallVec<[i16; 4]> = bind.results.iter().collect();
        let values = Values { params: bind.params, results: bind.results };
        let run = match &slot.statement {
            Some(statement) => Some(self.backend.bind(statement, bind.portal, values)?),
            None => None,
        };
        let portal = Portal { slot, run, formats, done: false };
        if bind.portal.is_empty() {
            self.unnamed_portal = Some(portal);
        } else {
            self.portals.insert(bind.portal.into(), portal);
        }
        self.out.extend_from_slice(encode::BIND_COMPLETE);
        Ok(Step::Next)
    }

    fn portal(&mut self, name: &str) -> Result<&mut Portal<B>> {
        let found =
            if name.is_empty() { self.unnamed_portal.as_mut() } else { self.portals.get_mut(name) };
        found.ok_or_else(|| {
            PgError::new(SqlState::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
        })
    }

    pub(super) fn describe(&mut self, body: &[u8]) -> Result<Step<B>> {
        match Target::read(Body::new(body), "DESCRIBE")? {
            Target::Statement(name) => {
                let slot = Arc::clone(self.find(name)?);
                encode::parameter_description(&mut self.out, &slot.params);
                self.out.extend_from_slice(&slot.description);
            }
            Target::Portal(name) => {
                let portal = self.portal(name)?;
                let slot = Arc::clone(&portal.slot);
                let text = portal.formats.iter().all(|f| *f == 0);
                match &slot.columns {
                    Some(columns) if !text => {
                        let formats = portal.formats.clone();
                        let one = formats.first().copied().filter(|_| formats.len() == 1);
                        encode::row_description(&mut self.out, columns, |i| {
                            one.or_else(|| formats.get(i).copied()).unwrap_or(0)
                        });
                    }
                    _ => self.out.extend_from_slice(&slot.description),
                }
            }
        }
        Ok(Step::Next)
    }

    pub(super) fn execute(&mut self, body: &[u8]) -> Result<Step<B>> {
        self.begin_statement();
        let mut body = Body::new(body);
        let name = body.str()?;
        // PostgreSQL takes a negative limit for none.
        let limit = u64::try_from(body.i32()?).unwrap_or(0);
        body.end()?;
        let portal = self.portal(name)?;
        if portal.slot.short {
            return self.do_execute(name, limit, 0, None);
        }
        Ok(Step::Block(Job::Execute { portal: name.to_owned(), limit, rows: 0 }))
    }

    pub(super) fn do_execute(
        &mut self,
        name: &str,
        limit: u64,
        rows: u64,
        sink: Option<&Sink>,
    ) -> Result<Step<B>> {
        let portal = self.portal(name)?;
        let done = portal.done;
        let returns_rows = portal.slot.columns.is_some();
        let Some(mut run) = portal.run.take() else {
            match (portal.slot.statement.is_some(), done) {
                (false, _) => self.out.extend_from_slice(encode::EMPTY_QUERY),
                (true, true) if returns_rows => self.complete(0, &Tag::Rows("SELECT")),
                (true, _) => {
                    return Err(PgError::new(
                        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                        format!("portal \"{name}\" cannot be run"),
                    ));
                }
            }
            return Ok(Step::Next);
        };
        self.in_block = self.backend.status() != b'I';
        let ran = self.run(&mut run, limit, rows, sink)?;
        // Transaction control ends portals, this one too.
        let found =
            if name.is_empty() { self.unnamed_portal.as_mut() } else { self.portals.get_mut(name) };
        match ran {
            Ran::Done(rows, tag) => {
                if let Some(portal) = found {
                    portal.done = true;
                }
                drop(run);
                self.complete(rows, &tag);
            }
            Ran::Suspended => {
                if let Some(portal) = found {
                    portal.run = Some(run);
                }
                self.tell();
                self.out.extend_from_slice(encode::PORTAL_SUSPENDED);
            }
            Ran::Long(rows) => {
                if let Some(portal) = found {
                    portal.run = Some(run);
                }
                return Ok(Step::Block(Job::Execute { portal: name.to_owned(), limit, rows }));
            }
        }
        Ok(Step::Next)
    }

    pub(super) fn close(&mut self, body: &[u8]) -> Result<Step<B>> {
        // Closing what is not there is no error.
        match Target::read(Body::new(body), "CLOSE")? {
            Target::Statement("") => self.unnamed = None,
            Target::Portal("") => self.unnamed_portal = None,
            Target::Statement(name) => {
                self.statements.remove(name);
            }
            Target::Portal(name) => {
                self.portals.remove(name);
            }
        }
        self.out.extend_from_slice(encode::CLOSE_COMPLETE);
        Ok(Step::Next)
    }

    pub(super) fn sync(&mut self, body: &[u8]) -> Result<Step<B>> {
        self.skipping = false;
        Body::new(body).end()?;
        self.commit()?;
        self.transaction_over();
        self.ready();
        Ok(Step::Next)
    }
}
