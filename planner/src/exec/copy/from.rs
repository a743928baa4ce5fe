//! COPY FROM: rows read and put into a table, one after another through one INSERT.

use std::borrow::Cow;
use std::sync::Arc;

use sqlparser::ast::Ident;
use vicinity_storage::catalog::model::{Privileges, Relation, RelationKind};
use vicinity_types::{Datum, PgError, Result, SqlState, binary_in, text_in};

use super::fields::Fields;
use super::input::{Input, Source};
use super::lines::Lines;
use super::options::{Chosen, Format, Header, Options};
use super::{bad_format, binary, columns_of, data_text};
use crate::call::PgType;
use crate::context::ExecContext;
use crate::exec::dml::feed::{Feed, Feeding};
use crate::exec::dml::{columns_of as all_columns, has_instead, is_temporary};
use crate::exec::transaction;
use crate::exec::triggers::Event;
use crate::rows::Discard;
use crate::sql::{Copy, CopySubject};
use crate::uses::{Use, Uses};

/// Rows between two looks at cancel requests.
const CHECK: u64 = 256;

/// A column that is read.
struct Column {
    name: String,
    ty: PgType,
    /// In CSV, an unquoted NULL stays a string.
    not_null: bool,
    /// In CSV, a quoted NULL is one too.
    null: bool,
}

/// A prepared COPY FROM.
pub struct CopyFrom {
    ctx: ExecContext,
    relation: Arc<Relation>,
    options: Options,
    columns: Vec<Column>,
    feed: Feed,
}

/// What a table must be to be copied into.
fn target(ctx: &ExecContext, relation: &Arc<Relation>) -> Result<()> {
    let name = &relation.name;
    let wrong = |message: String| PgError::new(SqlState::WRONG_OBJECT_TYPE, message);
    match &relation.kind {
        RelationKind::View(_) if !has_instead(ctx, relation, Event::Insert) => {
            Err(wrong(format!("cannot copy to view \"{name}\""))
                .hint("To enable copying to a view, provide an INSTEAD OF INSERT trigger."))
        }
        RelationKind::Table(_) | RelationKind::View(_) => {
            if ctx.txn.read_only() && !is_temporary(relation) {
                return Err(transaction::read_only("COPY FROM"));
            }
            Ok(())
        }
        RelationKind::Sequence(_) => Err(wrong(format!("cannot copy to sequence \"{name}\""))),
        _ => Err(wrong(format!("cannot open relation \"{name}\""))),
    }
}

/// An error unless the session's role may insert into all of these columns.
fn check_rights(ctx: &ExecContext, relation: &Relation, places: &[usize]) -> Result<()> {
    let numbers = places.iter().filter_map(|at| i16::try_from(at + 1).ok()).collect();
    let mut uses = Uses::default();
    uses.add(Use::write(relation.oid, Privileges::INSERT, numbers));
    uses.judged(&ctx.catalog, &ctx.session).allowed()
}

impl CopyFrom {
    /// Checks the statement and compiles what happens to each row.
    pub(super) fn prepare(ctx: &ExecContext, copy: &Copy) -> Result<CopyFrom> {
        let CopySubject::Table(given, columns) = &copy.subject else {
            return Err(PgError::internal("COPY FROM has a table"));
        };
        let options = Options::read(&copy.options, false)?;
        let relation = super::relation(ctx, given)?;
        target(ctx, &relation)?;
        let places = columns_of(&relation, columns)?;
        check_rights(ctx, &relation, &places)?;
        let feed = Feed::prepare(ctx, &relation, &places, copy.filter.as_ref())?;
        let columns = read_columns(ctx, &relation, &options, &places, columns)?;
        Ok(CopyFrom { ctx: ctx.clone(), relation, options, columns, feed })
    }

    /// Whether values come in the binary format.
    pub fn is_binary(&self) -> bool {
        self.options.format == Format::Binary
    }

    /// How many values a row has.
    pub fn width(&self) -> usize {
        self.columns.len()
    }

    /// Reads everything. Gives the number of rows put in.
    pub fn run(&self, source: &mut dyn Source) -> Result<u64> {
        let input = Input::new(source);
        let mut nothing = Discard;
        let feeding = self.feed.begin(&self.ctx, &mut nothing)?;
        if self.is_binary() {
            return BinaryRows { copy: self, feeding, input, row: 0, column: None }.run();
        }
        let csv = self.options.format == Format::Csv;
        TextRows {
            copy: self,
            feeding,
            input,
            lines: Lines::new(csv.then_some((self.options.quote, self.options.escape))),
            line: Vec::new(),
            known: Known::Nothing,
            fields: Fields::default(),
        }
        .run()
    }
}

fn read_columns(
    ctx: &ExecContext,
    relation: &Relation,
    options: &Options,
    places: &[usize],
    given: &[Ident],
) -> Result<Vec<Column>> {
    let def = all_columns(relation).0;
    let mut columns = Vec::with_capacity(places.len());
    for at in places {
        let Some(c) = def.get(*at) else { continue };
        let ty = PgType::with_kind(c.type_oid, c.typmod, ctx.catalog.kind_of(c.type_oid));
        columns.push(Column { name: c.name.clone(), ty, not_null: false, null: false });
    }
    let mut choose = |chosen: &Chosen, what: &str, set: fn(&mut Column)| -> Result<()> {
        let Chosen::Names(names) = chosen else { return Ok(()) };
        for own in names {
            super::known_column(relation, own)?;
            let Some(column) = columns.iter_mut().find(|c| c.name == *own) else {
                debug_assert!(!given.is_empty());
                return Err(super::not_referenced(what, own));
            };
            set(column);
        }
        Ok(())
    };
    choose(&options.force_not_null, "FORCE_NOT_NULL", |c| c.not_null = true)?;
    choose(&options.force_null, "FORCE_NULL", |c| c.null = true)?;
    Ok(columns)
}

/// What an error can say of where it happened.
enum Known {
    /// Only the number of the line.
    Nothing,
    /// The line.
    Line,
    /// A column and, if it is not NULL, its text.
    Column(usize, Option<String>),
}

/// Rows in text or CSV format.
struct TextRows<'c, 's> {
    copy: &'c CopyFrom,
    feeding: Feeding<'c>,
    input: Input<'s>,
    lines: Lines,
    line: Vec<u8>,
    known: Known,
    fields: Fields,
}

impl TextRows<'_, '_> {
    fn run(mut self) -> Result<u64> {
        let done = self.header().and_then(|()| self.rows());
        match done {
            Ok(()) => self.feeding.finish(),
            Err(e) => Err(e.context(self.place())),
        }
    }

    fn place(&self) -> String {
        let place = format!("COPY {}, line {}", self.copy.relation.name, self.lines.number);
        let column = |at: usize| self.copy.columns.get(at).map_or("", |c| c.name.as_str());
        match &self.known {
            Known::Nothing => place,
            Known::Line => format!("{place}: \"{}\"", shown(&String::from_utf8_lossy(&self.line))),
            Known::Column(at, Some(text)) => {
                format!("{place}, column {}: \"{}\"", column(*at), shown(text))
            }
            Known::Column(at, None) => format!("{place}, column {}: null input", column(*at)),
        }
    }

    /// The next line; `false` at the end.
    fn read(&mut self) -> Result<bool> {
        self.known = Known::Nothing;
        if !self.lines.next(&mut self.input, &mut self.line)? {
            return Ok(false);
        }
        data_text(&self.line)?;
        self.known = Known::Line;
        Ok(true)
    }

    fn split(&mut self) -> Result<()> {
        if self.copy.columns.is_empty() {
            self.fields.clear();
            return if self.line.is_empty() { Ok(()) } else { Err(extra()) };
        }
        match self.copy.options.format {
            Format::Csv => self.fields.csv(&self.line, &self.copy.options),
            _ => {
                self.fields.text(&self.line, &self.copy.options);
                Ok(())
            }
        }
    }

    fn header(&mut self) -> Result<()> {
        if self.copy.options.header == Header::None || !self.read()? {
            return Ok(());
        }
        if self.copy.options.header != Header::Match {
            return Ok(());
        }
        self.split()?;
        let (got, expected) = (self.fields.len(), self.copy.columns.len());
        if got != expected {
            return Err(bad_format(format!(
                "wrong number of fields in header line: got {got}, expected {expected}"
            )));
        }
        for (i, column) in self.copy.columns.iter().enumerate() {
            let got = match self.fields.get(i) {
                Some(text) if text == column.name.as_bytes() => continue,
                Some(text) => format!("\"{}\"", String::from_utf8_lossy(text)),
                None => format!("null value (\"{}\")", self.copy.options.null),
            };
            return Err(bad_format(format!(
                "column name mismatch in header line field {}: got {got}, expected \"{}\"",
                i + 1,
                column.name
            )));
        }
        Ok(())
    }

    fn rows(&mut self) -> Result<()> {
        let mut values = Vec::with_capacity(self.copy.columns.len());
        let mut read = 0;
        while self.read()? {
            self.split()?;
            self.values(&mut values)?;
            self.known = Known::Line;
            if let Err(e) = self.feeding.row(&mut values) {
                // PostgreSQL writes in batches, when it no longer has the line.
                if e.code() == SqlState::UNIQUE_VIOLATION {
                    self.known = Known::Nothing;
                }
                return Err(e);
            }
            read += 1;
            if read % CHECK == 0 {
                self.copy.ctx.check()?;
            }
        }
        Ok(())
    }

    fn values(&mut self, values: &mut Vec<Datum>) -> Result<()> {
        values.clear();
        let copy = self.copy;
        if self.fields.len() > copy.columns.len() {
            return Err(extra());
        }
        let io = copy.ctx.io();
        for (at, column) in copy.columns.iter().enumerate() {
            if at >= self.fields.len() {
                let message = format!("missing data for column \"{}\"", column.name);
                return Err(bad_format(message));
            }
            let mut field = self.fields.get(at);
            match field {
                None if column.not_null => field = Some(copy.options.null.as_bytes()),
                Some(text) if column.null && text == copy.options.null.as_bytes() => field = None,
                _ => {}
            }
            let value = match field {
                None => Ok(Datum::Null),
                Some(bytes) => data_text(bytes)
                    .and_then(|text| text_in(column.ty.oid, column.ty.typmod, text, &io)),
            };
            match value {
                Ok(value) => values.push(value),
                Err(e) => {
                    let text = field.map(|f| String::from_utf8_lossy(f).into_owned());
                    self.known = Known::Column(at, text);
                    return Err(e);
                }
            }
        }
        self.feeding.check(values).map_err(|(at, e)| {
            let text = self.fields.get(at).map(|f| String::from_utf8_lossy(f).into_owned());
            self.known = Known::Column(at, text);
            e
        })
    }
}

fn extra() -> PgError {
    bad_format("extra data after last expected column")
}

/// At most a hundred bytes of a value, for CONTEXT.
fn shown(text: &str) -> Cow<'_, str> {
    const LONGEST: usize = 100;
    if text.len() <= LONGEST {
        return Cow::Borrowed(text);
    }
    let mut end = LONGEST;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Cow::Owned(format!("{}...", text.get(..end).unwrap_or("")))
}

/// Rows in the binary format.
struct BinaryRows<'c, 's> {
    copy: &'c CopyFrom,
    feeding: Feeding<'c>,
    input: Input<'s>,
    /// The row being read, one-based.
    row: u64,
    column: Option<usize>,
}

impl BinaryRows<'_, '_> {
    fn run(mut self) -> Result<u64> {
        binary::header(&mut self.input)?;
        match self.rows() {
            Ok(()) => self.feeding.finish(),
            Err(e) => {
                let place = format!("COPY {}, line {}", self.copy.relation.name, self.row);
                let column = self.column.and_then(|at| self.copy.columns.get(at));
                Err(e.context(match column {
                    Some(column) => format!("{place}, column {}", column.name),
                    None => place,
                }))
            }
        }
    }

    fn rows(&mut self) -> Result<()> {
        let mut values = Vec::with_capacity(self.copy.columns.len());
        loop {
            self.row += 1;
            self.column = None;
            if !binary::begin_row(&mut self.input, self.copy.columns.len())? {
                return Ok(());
            }
            values.clear();
            let copy = self.copy;
            let io = copy.ctx.io();
            for (at, column) in copy.columns.iter().enumerate() {
                self.column = Some(at);
                let Some(length) = binary::value(&mut self.input)? else {
                    values.push(Datum::Null);
                    continue;
                };
                let bytes = self.input.get(0..length);
                let value = binary_in(column.ty.oid, column.ty.typmod, bytes, &io);
                values.push(value.map_err(|e| match e.code() {
                    SqlState::INVALID_BINARY_REPRESENTATION => binary::incorrect(),
                    _ => e,
                })?);
                self.input.consume(length);
            }
            self.feeding.check(&mut values).map_err(|(at, e)| {
                self.column = Some(at);
                e
            })?;
            self.column = None;
            self.feeding.row(&mut values)?;
            if self.row.is_multiple_of(CHECK) {
                self.copy.ctx.check()?;
            }
        }
    }
}
