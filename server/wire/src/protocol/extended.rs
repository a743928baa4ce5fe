//! The extended protocol: prepared statements and portals.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::run::Ran;
use super::{Job, Portal, Protocol, Sink, Slot, Step};
use crate::backend::{Backend, Column, Named, Tag, Values};
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
                    return Ok(Step::Block(Box::new(Job::Parse {
                        name: name.to_owned(),
                        sql: sql.to_owned(),
                        types,
                    })));
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
            if let Some(statement) = &slot.statement {
                self.backend.keep_statement(name, statement)?;
            }
            self.statements.insert(name.into(), slot);
        }
        self.out.extend_from_slice(encode::PARSE_COMPLETE);
        Ok(())
    }

    fn find(&mut self, name: &str) -> Result<Arc<Slot<B>>> {
        if name.is_empty() {
            return self.unnamed.clone().ok_or_else(|| {
                PgError::new(
                    SqlState::INVALID_SQL_STATEMENT_NAME,
                    "unnamed prepared statement does not exist",
                )
            });
        }
        if let Some(found) = self.statements.get(name) {
            return Ok(Arc::clone(found));
        }
        let Some(statement) = self.backend.statement(name) else {
            return Err(PgError::new(
                SqlState::INVALID_SQL_STATEMENT_NAME,
                format!("prepared statement \"{name}\" does not exist"),
            ));
        };
        // Made by PREPARE.
        let slot = Arc::new(self.slot(statement)?);
        self.statements.insert(name.into(), Arc::clone(&slot));
        Ok(slot)
    }

    pub(super) fn bind(&mut self, body: &[u8]) -> Result<Step<B>> {
        let bind = Bind::read(Body::new(body))?;
        let slot = self.find(bind.statement)?;
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
            self.backend.check_portal_name(bind.portal)?;
        }
        let formats: SmallVec<[i16; 4]> = bind.results.iter().collect();
        let values = Values { params: bind.params, results: bind.results };
        let run = match &slot.statement {
            Some(statement) => Some(self.backend.bind(statement, values)?),
            None => None,
        };
        if bind.portal.is_empty() {
            self.unnamed_portal = Some(Portal { slot, run, formats, done: false });
        } else {
            self.backend.keep_portal(bind.portal, run)?;
        }
        self.out.extend_from_slice(encode::BIND_COMPLETE);
        Ok(Step::Next)
    }

    fn unnamed_portal(&mut self) -> Result<&mut Portal<B>> {
        self.unnamed_portal.as_mut().ok_or_else(|| no_portal(""))
    }

    fn named_portal(&mut self, name: &str) -> Result<Named<B::Portal>> {
        self.backend.portal(name).ok_or_else(|| no_portal(name))
    }

    pub(super) fn describe(&mut self, body: &[u8]) -> Result<Step<B>> {
        match Target::read(Body::new(body), "DESCRIBE")? {
            Target::Statement(name) => {
                let slot = self.find(name)?;
                encode::parameter_description(&mut self.out, &slot.params);
                self.out.extend_from_slice(&slot.description);
            }
            Target::Portal("") => {
                let portal = self.unnamed_portal()?;
                let slot = Arc::clone(&portal.slot);
                let text = portal.formats.iter().all(|f| *f == 0);
                match &slot.columns {
                    Some(columns) if !text => {
                        let formats = portal.formats.clone();
                        describe_rows(&mut self.out, columns, &formats);
                    }
                    _ => self.out.extend_from_slice(&slot.description),
                }
            }
            Target::Portal(name) => {
                let portal = self.named_portal(name)?;
                match &portal.columns {
                    Some(columns) => describe_rows(&mut self.out, columns, &portal.formats),
                    None => self.out.extend_from_slice(encode::NO_DATA),
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
        let short = match name {
            "" => {
                let slot = Arc::clone(&self.unnamed_portal()?.slot);
                // What its triggers do is known once they have run.
                slot.short || slot.statement.as_ref().is_some_and(|s| self.backend.is_short(s))
            }
            name => self.named_portal(name)?.short,
        };
        if short {
            return self.do_execute(name, limit, 0, None);
        }
        Ok(Step::Block(Box::new(Job::Execute { portal: name.to_owned(), limit, rows: 0 })))
    }

    pub(super) fn do_execute(
        &mut self,
        name: &str,
        limit: u64,
        rows: u64,
        sink: Option<&Sink>,
    ) -> Result<Step<B>> {
        let ran = match name {
            "" => self.run_unnamed(limit, rows, sink)?,
            name => {
                let mut portal = self.named_portal(name)?.portal;
                self.in_block = self.backend.status() != b'I';
                self.run(&mut portal, limit, rows, sink)?
            }
        };
        match ran {
            Ran::Done(rows, tag) => self.complete(rows, &tag),
            Ran::Suspended => {
                self.tell();
                self.out.extend_from_slice(encode::PORTAL_SUSPENDED);
            }
            Ran::Long(rows) => {
                let portal = name.to_owned();
                return Ok(Step::Block(Box::new(Job::Execute { portal, limit, rows })));
            }
        }
        Ok(Step::Next)
    }

    fn run_unnamed(&mut self, limit: u64, rows: u64, sink: Option<&Sink>) -> Result<Ran> {
        let portal = self.unnamed_portal()?;
        let returns_rows = portal.slot.columns.is_some();
        let Some(mut run) = portal.run.take() else {
            return match (portal.slot.statement.is_some(), portal.done) {
                (false, _) => Ok(Ran::Done(0, Tag::Empty)),
                (true, true) if returns_rows => Ok(Ran::Done(0, Tag::Rows("SELECT"))),
                (true, _) => Err(PgError::new(
                    SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
                    "portal \"\" cannot be run",
                )),
            };
        };
        self.in_block = self.backend.status() != b'I';
        let ran = self.run(&mut run, limit, rows, sink)?;
        // Transaction control ends portals, this one too.
        if let Some(portal) = self.unnamed_portal.as_mut() {
            match &ran {
                Ran::Done(..) => portal.done = true,
                Ran::Suspended | Ran::Long(_) => portal.run = Some(run),
            }
        }
        Ok(ran)
    }

    pub(super) fn close(&mut self, body: &[u8]) -> Result<Step<B>> {
        // Closing what is not there is no error.
        match Target::read(Body::new(body), "CLOSE")? {
            Target::Statement("") => self.unnamed = None,
            Target::Portal("") => self.unnamed_portal = None,
            Target::Statement(name) => {
                self.statements.remove(name);
                self.backend.close_statement(name);
            }
            Target::Portal(name) => self.backend.close_portal(name),
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

fn no_portal(name: &str) -> PgError {
    PgError::new(SqlState::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
}

/// RowDescription with Bind's format codes: none, one for all, or one each.
fn describe_rows(out: &mut BytesMut, columns: &[Column], formats: &[i16]) {
    let one = formats.first().copied().filter(|_| formats.len() == 1);
    encode::row_description(out, columns, |i| one.or_else(|| formats.get(i).copied()).unwrap_or(0));
}
