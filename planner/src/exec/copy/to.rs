//! COPY TO: rows of a query written in one of the formats.

use std::io::Write as _;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use sqlparser::ast::{self, Ident, Statement as Ast};
use vicinity_storage::catalog::model::{Relation, RelationKind};
use vicinity_types::{Datum, Io, PgError, Result, SqlState, binary_out, raw, text_out};

use super::options::{Chosen, Format, Header, Options};
use super::{binary, columns_of, file};
use crate::call::PgType;
use crate::context::ExecContext;
use crate::exec::{dml, name};
use crate::hooks;
use crate::query::{Cursor, Fetched};
use crate::rows::RowSink;
use crate::session::plan_query;
use crate::sql::{Copy, CopySubject};

/// A COPY TO that has begun.
pub struct CopyTo {
    ctx: ExecContext,
    cursor: Cursor,
    names: Vec<String>,
    options: Options,
    /// By column: quote every value.
    force: Vec<bool>,
    /// Header or signature are still to be written.
    fresh: bool,
    done: bool,
}

/// The query that reads a table's columns.
fn table_query(ctx: &ExecContext, relation: &Relation, columns: &[String]) -> Result<ast::Query> {
    let quoted = |name: &str| Ident::with_quote('"', name);
    let wrong = |message: String| PgError::new(SqlState::WRONG_OBJECT_TYPE, message);
    match &relation.kind {
        RelationKind::Table(t) if t.partitioning.is_some() => {
            return Err(wrong(format!("cannot copy from partitioned table \"{}\"", relation.name))
                .hint("Try the COPY (SELECT ...) TO variant."));
        }
        RelationKind::Table(_) => {}
        RelationKind::View(_) => {
            return Err(wrong(format!("cannot copy from view \"{}\"", relation.name))
                .hint("Try the COPY (SELECT ...) TO variant."));
        }
        RelationKind::Sequence(_) => {
            return Err(wrong(format!("cannot copy from sequence \"{}\"", relation.name)));
        }
        _ => return Err(wrong(format!("cannot open relation \"{}\"", relation.name))),
    }
    let schema = name::schema_name_of(ctx, relation.schema);
    let list: Vec<String> = columns.iter().map(|c| quoted(c).to_string()).collect();
    let own = format!("{}.{}", quoted(&schema), quoted(&relation.name));
    let text = format!("SELECT {} FROM ONLY {own}", list.join(", "));
    let parsed = crate::sql::parse(&text)?.into_iter().next().map(|p| Arc::unwrap_or_clone(p.stmt));
    match parsed {
        Some(crate::sql::Statement::Sql(stmt)) => match *stmt {
            Ast::Query(query) => Ok(*query),
            _ => Err(PgError::internal("COPY of a table is a query")),
        },
        _ => Err(PgError::internal("COPY of a table is a query")),
    }
}

/// Rows of a query, or of a write's RETURNING.
fn open(ctx: &ExecContext, stmt: &Ast) -> Result<(Cursor, Vec<String>)> {
    let refused = |message: &str| PgError::new(SqlState::FEATURE_NOT_SUPPORTED, message);
    if dml::is_write(stmt) {
        let plan = hooks::prepare_dml(ctx, stmt, &[])?;
        let Some(columns) = plan.columns().map(<[_]>::to_vec) else {
            return Err(refused("COPY query must have a RETURNING clause"));
        };
        let rows = plan.run(ctx, &[])?.rows.map(|r| r.rows).unwrap_or_default();
        let names = columns.iter().map(|c| c.name.clone()).collect();
        return Ok((Cursor::memory(columns, rows), names));
    }
    let Ast::Query(query) = stmt else {
        return Err(PgError::new(
            SqlState::SYNTAX_ERROR,
            format!("syntax error at or near \"{}\"", first_word(stmt)),
        )
        .or_at(name::position(stmt)));
    };
    if matches!(&*query.body, ast::SetExpr::Select(s) if s.into.is_some()) {
        return Err(refused("COPY (SELECT INTO) is not supported"));
    }
    let (plan, params) = plan_query(ctx, query, &[])?;
    if !params.is_empty() {
        return Err(PgError::new(SqlState::UNDEFINED_PARAMETER, "there is no parameter $1"));
    }
    let names = plan.columns.iter().map(|c| c.name.clone()).collect();
    Ok((plan.open(ctx.clone(), Vec::new())?, names))
}

fn first_word(stmt: &Ast) -> String {
    stmt.to_string().split_whitespace().next().unwrap_or_default().to_lowercase()
}

impl CopyTo {
    /// Checks the statement and begins the query.
    pub(super) fn begin(ctx: &ExecContext, copy: &Copy) -> Result<CopyTo> {
        if copy.filter.is_some() {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                "WHERE clause not allowed with COPY TO",
            )
            .or_at(copy.filter_at));
        }
        let options = Options::read(&copy.options, true)?;
        let (cursor, names, relation) = match &copy.subject {
            CopySubject::Query(stmt) => {
                let (cursor, names) = open(ctx, stmt)?;
                (cursor, names, None)
            }
            CopySubject::Table(given, columns) => {
                let relation = super::relation(ctx, given)?;
                let places = columns_of(&relation, columns)?;
                let def = relation.table().map_or(&[][..], |t| &t.columns);
                let column = |at: &usize| def.get(*at).map(|c| c.name.clone());
                let names: Vec<String> = places.iter().filter_map(column).collect();
                let query = table_query(ctx, &relation, &names)?;
                let (cursor, _) = open(ctx, &Ast::Query(Box::new(query)))?;
                (cursor, names, Some(relation))
            }
        };
        let mut force = vec![options.force_quote == Chosen::All; names.len()];
        if let Chosen::Names(chosen) = &options.force_quote {
            for own in chosen {
                if let Some(relation) = &relation {
                    super::known_column(relation, own)?;
                }
                let at = names.iter().position(|n| n == own);
                match at.and_then(|at| force.get_mut(at)) {
                    Some(flag) => *flag = true,
                    None => return Err(super::not_referenced("FORCE_QUOTE", own)),
                }
            }
        }
        let ctx = ctx.clone();
        Ok(CopyTo { ctx, cursor, names, options, force, fresh: true, done: false })
    }

    /// Whether values go in the binary format.
    pub fn is_binary(&self) -> bool {
        self.options.format == Format::Binary
    }

    /// How many values a row has.
    pub fn width(&self) -> usize {
        self.names.len()
    }

    /// Appends up to `max` rows as CopyData messages.
    pub fn fill(&mut self, out: &mut BytesMut, max: usize) -> Result<Fetched> {
        let mut messages = Vec::new();
        let fetched = self.write(&mut messages, max, true);
        // What came before an error is sent.
        out.extend_from_slice(&messages);
        fetched
    }

    fn write(&mut self, out: &mut Vec<u8>, max: usize, framed: bool) -> Result<Fetched> {
        if self.done {
            return Ok(Fetched { rows: 0, done: true });
        }
        let io = self.ctx.io();
        let mut writer = Writer {
            out,
            options: &self.options,
            force: &self.force,
            io,
            framed,
            start: 0,
            column: 0,
            signature: self.is_binary() && self.fresh,
        };
        if self.fresh && self.options.header != Header::None {
            writer.header(&self.names)?;
        }
        let fetched = self.cursor.fill(&mut writer, max)?;
        if fetched.done && self.options.format == Format::Binary {
            writer.trailer();
        }
        self.fresh = writer.signature;
        self.done = fetched.done;
        Ok(fetched)
    }

    /// Writes everything to a file of the server; gives the number of rows.
    pub(super) fn into_file(mut self, path: &str) -> Result<u64> {
        let mut target = file::create(path)?;
        let failed =
            |e: std::io::Error| file::error(&e, format!("could not write to COPY file \"{path}\""));
        let mut out = Vec::new();
        let mut rows = 0;
        loop {
            let fetched = self.write(&mut out, 1024, false)?;
            rows += u64::try_from(fetched.rows).unwrap_or(0);
            target.write_all(&out).map_err(failed)?;
            out.clear();
            if fetched.done {
                return Ok(rows);
            }
            self.ctx.check()?;
        }
    }
}

/// Writes rows, each a CopyData message if `framed`.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    options: &'a Options,
    force: &'a [bool],
    io: Io<'a>,
    framed: bool,
    /// Where the row's message begins.
    start: usize,
    column: usize,
    /// The signature goes before the next row, in its message.
    signature: bool,
}

impl Writer<'_> {
    fn open_message(&mut self) {
        self.start = self.out.len();
        if self.framed {
            self.out.put_slice(b"d\0\0\0\0");
        }
        if std::mem::take(&mut self.signature) {
            self.out.put_slice(binary::HEADER);
        }
    }

    fn close_message(&mut self) -> Result<()> {
        if self.framed {
            let length = self.out.len() - self.start - 1;
            self.patch(self.start + 1, length)?;
        }
        Ok(())
    }

    fn patch(&mut self, at: usize, length: usize) -> Result<()> {
        let length = i32::try_from(length).map_err(|_| {
            PgError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "row is too long to be sent")
        })?;
        if let Some(slot) = self.out.get_mut(at..at + 4) {
            slot.copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }

    fn header(&mut self, names: &[String]) -> Result<()> {
        self.open_message();
        for (i, name) in names.iter().enumerate() {
            if i > 0 {
                self.out.put_u8(self.options.delimiter);
            }
            let at = self.out.len();
            self.out.put_slice(name.as_bytes());
            match self.options.format {
                Format::Csv => self.quote(at, false, names.len() == 1),
                _ => self.escape(at),
            }
        }
        self.out.put_u8(b'\n');
        self.close_message()
    }

    fn trailer(&mut self) {
        self.open_message();
        self.out.put_slice(binary::TRAILER);
        // Two bytes are never too long.
        let _ = self.close_message();
    }

    /// Text format: backslashes before what would be read otherwise, from `at` on.
    fn escape(&mut self, at: usize) {
        let delimiter = self.options.delimiter;
        let special = |b: &u8| matches!(*b, 8..=13 | b'\\') || *b == delimiter;
        let written = self.out.get(at..).unwrap_or_default();
        let Some(first) = written.iter().position(special) else { return };
        let tail = self.out.split_off(at + first);
        for b in &tail {
            match b {
                8 => self.out.put_slice(b"\\b"),
                9 => self.out.put_slice(b"\\t"),
                10 => self.out.put_slice(b"\\n"),
                11 => self.out.put_slice(b"\\v"),
                12 => self.out.put_slice(b"\\f"),
                13 => self.out.put_slice(b"\\r"),
                b if special(b) => self.out.put_slice(&[b'\\', *b]),
                b => self.out.put_u8(*b),
            }
        }
    }

    /// CSV: quotes around what needs them, from `at` on. `alone`: it is the row's only value.
    fn quote(&mut self, at: usize, force: bool, alone: bool) {
        let Options { delimiter, quote, escape, ref null, .. } = *self.options;
        let written = self.out.get(at..).unwrap_or_default();
        let special = |b: &u8| *b == delimiter || *b == quote || matches!(*b, b'\r' | b'\n');
        let needed = force
            || written == null.as_bytes()
            || (alone && written == b"\\.")
            || written.iter().any(special);
        if !needed {
            return;
        }
        let text = self.out.split_off(at);
        self.out.put_u8(quote);
        for b in &text {
            if *b == quote || *b == escape {
                self.out.put_u8(escape);
            }
            self.out.put_u8(*b);
        }
        self.out.put_u8(quote);
    }

    /// One value, written by `write` in text or in binary.
    fn value(
        &mut self,
        null: bool,
        write: impl FnOnce(&mut Vec<u8>, &Io<'_>, bool) -> Result<()>,
    ) -> Result<()> {
        let column = self.column;
        self.column += 1;
        if self.options.format == Format::Binary {
            let at = self.out.len();
            self.out.put_i32(-1);
            if null {
                return Ok(());
            }
            write(self.out, &self.io, true)?;
            let length = self.out.len() - at - 4;
            return self.patch(at, length);
        }
        if column > 0 {
            self.out.put_u8(self.options.delimiter);
        }
        if null {
            self.out.put_slice(self.options.null.as_bytes());
            return Ok(());
        }
        let at = self.out.len();
        write(self.out, &self.io, false)?;
        if self.options.format == Format::Csv {
            let force = self.force.get(column).copied().unwrap_or(false);
            self.quote(at, force, self.force.len() == 1);
        } else {
            self.escape(at);
        }
        Ok(())
    }
}

impl RowSink for Writer<'_> {
    fn begin(&mut self, columns: usize) {
        self.open_message();
        self.column = 0;
        if self.options.format == Format::Binary {
            self.out.put_u16(u16::try_from(columns).unwrap_or(u16::MAX));
        }
    }

    fn raw(&mut self, ty: PgType, value: Option<&[u8]>) -> Result<()> {
        self.value(value.is_none(), |out, io, binary| {
            let value = value.unwrap_or_default();
            match binary {
                true => raw::binary_out_raw(ty.oid, ty.kind, value, io, out),
                false => raw::text_out_raw(ty.oid, ty.kind, value, io, out),
            }
        })
    }

    fn datum(&mut self, ty: PgType, value: Datum) -> Result<()> {
        self.value(value.is_null(), |out, io, binary| {
            if binary {
                binary_out(ty.oid, &value, io, out);
                return Ok(());
            }
            text_out(ty.oid, &value, io, out)
        })
    }

    fn end(&mut self) -> Result<()> {
        if self.options.format != Format::Binary {
            self.out.put_u8(b'\n');
        }
        self.close_message()
    }
}
