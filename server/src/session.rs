//! One session of the engine, as the wire sees it.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use vicinity_planner::engine::Engine;
use vicinity_planner::exec::copy::Source;
use vicinity_planner::exec::{session_defaults, settings};
use vicinity_planner::names::SessionNames;
use vicinity_planner::portal::{self, Portal, Run};
use vicinity_planner::prepared::Prepared;
use vicinity_planner::rows::{OutputColumn, RowWriter};
use vicinity_planner::session::{Execution, RowsTag};
use vicinity_planner::session_state::SessionState;
use vicinity_planner::sql::Parsed;
use vicinity_storage::Transaction;
use vicinity_storage::catalog::model::fixed;
use vicinity_types::enums::Label;
use vicinity_types::io::fast::digits_in;
use vicinity_types::io::{UserType, utf8};
use vicinity_types::{
    Datum, Io, Kind, Oid, PgError, Result, SqlState, TypeNames, binary_in, oid, text_in,
};
use vicinity_wire::backend::NoticeHook;
use vicinity_wire::{
    Backend, Column, CopyData, CopyShape, Description, Event, Named, Opened, Progress, Session,
    Supply, Tag, Values,
};

/// A session.
pub struct EngineSession {
    inner: vicinity_planner::session::Session,
    state: Arc<SessionState>,
    engine: Arc<Engine>,
}

/// A portal: the connection's unnamed one, or one the session knows by its name.
pub enum EnginePortal {
    /// The unnamed one. Boxed: it passes through several hands before it runs.
    Own(Box<Portal>),
    /// One with a name.
    Named(String, portal::Handle),
}

impl EngineSession {
    /// Starts one: the server's defaults of settings first, then the client's.
    pub fn start(
        engine: &Arc<Engine>,
        session: &Session,
        defaults: &[(String, String)],
    ) -> Result<Self> {
        let startup = &session.startup;
        if startup.database != fixed::DATABASE_NAME {
            return Err(PgError::new(
                SqlState::INVALID_CATALOG_NAME,
                format!("database \"{}\" does not exist", startup.database),
            ));
        }
        let state = Arc::new(SessionState::new(&startup.user, &startup.database, session.pid));
        let start = |(name, value): &(String, String)| {
            state.change_settings(|s| s.set(name, value, settings::Source::Startup, true))
        };
        defaults.iter().try_for_each(start)?;
        for given in session_defaults(&engine.db.catalog(), &startup.user) {
            // One that is not taken any more must not keep everybody out.
            if let Err(e) = start(&given) {
                tracing::warn!(setting = given.0, "{}", e.message());
            }
        }
        startup.settings.iter().try_for_each(start)?;
        // What the start set is no transaction's: nothing takes it back.
        state.change_settings(|s| s.commit());
        let user = &startup.user;
        state.change_settings(|s| {
            s.set("session_authorization", user, settings::Source::Internal, true)
        })?;
        let wake = session.wake.clone();
        state.set_wake(Arc::new(move || (wake.0)()));
        let inner = vicinity_planner::session::Session::new(Arc::clone(engine), Arc::clone(&state));
        Ok(EngineSession { inner, state, engine: Arc::clone(engine) })
    }

    /// Does something with a portal, which nobody else may be doing anything with.
    fn with<T>(
        &mut self,
        portal: &mut EnginePortal,
        f: impl FnOnce(&mut Self, &mut Portal) -> Result<T>,
    ) -> Result<T> {
        match portal {
            EnginePortal::Own(portal) => f(self, portal),
            EnginePortal::Named(name, handle) => match handle.try_lock() {
                Some(mut portal) => f(self, &mut portal),
                None => Err(portal::cannot_be_run(name)),
            },
        }
    }

    /// Runs a portal, or goes on with it.
    fn step(&mut self, portal: &mut Portal, rows: u64, out: &mut BytesMut) -> Result<Progress> {
        portal.begin(&mut self.inner)?;
        let most = usize::try_from(rows).unwrap_or(usize::MAX);
        let style = self.state.style_now();
        let names = Names {
            engine: &self.engine,
            txn: self.inner.open_transaction(),
            session: &self.state,
        };
        let io = Io { style: &style, names: &names };
        let gives_rows = portal.columns().is_some();
        let (fetched, tag) = match &mut portal.run {
            Run::Execution(Execution::Rows { cursor, tag }) => {
                (cursor.fill(&mut RowWriter::new(out, &portal.formats, io), most)?, tag)
            }
            Run::Walk(walk) => {
                let mut writer = RowWriter::new(out, &portal.formats, io);
                let given = walk.forward(rows, &mut writer)?;
                return Ok(match given < rows {
                    true => Progress::Done(given, Tag::Rows("SELECT")),
                    false => Progress::More(given),
                });
            }
            Run::Execution(Execution::Done(tag)) => {
                let tag = Tag::Text(Cow::Owned(std::mem::take(tag)));
                portal.run = Run::Done;
                return Ok(Progress::Done(0, tag));
            }
            Run::Execution(Execution::CopyIn(copy)) => {
                let (binary, columns) = (copy.is_binary(), copy.width());
                return Ok(Progress::CopyIn(CopyShape { binary, columns }));
            }
            Run::Execution(Execution::CopyOut(copy)) => {
                if !std::mem::replace(&mut portal.copying, true) {
                    let (binary, columns) = (copy.is_binary(), copy.width());
                    return Ok(Progress::CopyOut(CopyShape { binary, columns }));
                }
                (copy.fill(out, most)?, &mut RowsTag::Count("COPY"))
            }
            Run::Bound(_) => return Ok(Progress::Done(0, Tag::Empty)),
            Run::Done if gives_rows => {
                return Ok(Progress::Done(0, Tag::Rows("SELECT")));
            }
            Run::Done => return Err(portal::cannot_be_run("")),
        };
        let rows = u64::try_from(fetched.rows).unwrap_or(u64::MAX);
        if !fetched.done {
            return Ok(Progress::More(rows));
        }
        let tag = match tag {
            RowsTag::Count(verb) => Tag::Rows(verb),
            RowsTag::Text(tag) => Tag::Text(Cow::Owned(std::mem::take(tag))),
        };
        portal.run = Run::Done;
        Ok(Progress::Done(rows, tag))
    }
}

impl Backend for EngineSession {
    type Parsed = Parsed;
    type Statement = Arc<Prepared>;
    type Portal = EnginePortal;

    fn split(&mut self, sql: &str) -> Result<Vec<Parsed>> {
        self.inner.parse(sql)
    }

    fn prepared(&mut self, parsed: &Parsed, types: &[Oid]) -> Option<Arc<Prepared>> {
        self.inner.cached(parsed, types)
    }

    fn prepare(&mut self, parsed: &Parsed, types: &[Oid]) -> Result<Arc<Prepared>> {
        self.inner.prepare(parsed, types)
    }

    fn describe(&mut self, statement: &Arc<Prepared>) -> Result<Description> {
        Ok(Description {
            params: statement.params.clone(),
            columns: statement.columns.as_deref().map(columns),
            short: statement.is_short(),
        })
    }

    fn is_short(&self, statement: &Arc<Prepared>) -> bool {
        statement.is_short()
    }

    fn bind(&mut self, statement: &Arc<Prepared>, values: Values<'_>) -> Result<EnginePortal> {
        let mut params = Vec::with_capacity(statement.params.len());
        if !statement.params.is_empty() {
            let style = self.state.style_now();
            let names = Names {
                engine: &self.engine,
                txn: self.inner.open_transaction(),
                session: &self.state,
            };
            let io = Io { style: &style, names: &names };
            for (i, ((format, bytes), ty)) in
                values.params.iter().zip(&statement.params).enumerate()
            {
                params.push(match bytes {
                    None => Datum::Null,
                    Some(bytes) if format == 0 => match digits_in(*ty, bytes) {
                        Some(number) => number,
                        None => text_in(*ty, -1, utf8(bytes)?, &io)?,
                    },
                    Some(bytes) => {
                        binary_in(*ty, -1, bytes, &io).map_err(|e| binary_format(e, i))?
                    }
                });
            }
        }
        let formats = values.results.iter().collect();
        Ok(EnginePortal::Own(Box::new(Portal::bound(Some(Arc::clone(statement)), params, formats))))
    }

    fn check_portal_name(&mut self, name: &str) -> Result<()> {
        self.state.portals().check_free(name)
    }

    fn keep_portal(&mut self, name: &str, portal: Option<EnginePortal>) -> Result<()> {
        let portal = match portal {
            Some(EnginePortal::Own(portal)) => *portal,
            Some(EnginePortal::Named(..)) => {
                return Err(PgError::internal("the portal has a name"));
            }
            None => Portal::bound(None, Vec::new(), Box::default()),
        };
        self.state.portals().insert(name, portal).map(drop)
    }

    fn portal(&mut self, name: &str) -> Option<Named<EnginePortal>> {
        let handle = self.state.portals().get(name)?;
        let portal = handle.try_lock()?;
        let named = Named {
            columns: portal.columns().map(columns),
            formats: portal.formats.to_vec(),
            short: portal.is_short(),
            portal: EnginePortal::Named(name.to_owned(), Arc::clone(&handle)),
        };
        drop(portal);
        Some(named)
    }

    fn close_portal(&mut self, name: &str) {
        self.state.portals().close(name);
    }

    fn open(&mut self, portal: &mut EnginePortal) -> Result<Option<Opened>> {
        self.with(portal, |me, portal| {
            portal.take_cursor_format(&me.state);
            portal.begin(&mut me.inner)?;
            let format = portal.formats.first().copied().unwrap_or(0);
            Ok(portal.columns().map(|c| Opened { columns: columns(c), format }))
        })
    }

    fn execute(
        &mut self,
        portal: &mut EnginePortal,
        rows: u64,
        out: &mut BytesMut,
    ) -> Result<Progress> {
        self.with(portal, |me, portal| me.step(portal, rows, out))
    }

    fn copy_in(&mut self, portal: &mut EnginePortal, data: &mut CopyData) -> Result<Tag> {
        self.with(portal, |me, portal| {
            let Run::Execution(Execution::CopyIn(copy)) =
                std::mem::replace(&mut portal.run, Run::Done)
            else {
                return Err(PgError::internal("the portal is no COPY"));
            };
            let rows = copy.run(&mut Incoming { data, state: &me.state })?;
            Ok(Tag::Text(Cow::Owned(format!("COPY {rows}"))))
        })
    }

    fn end(&mut self, ok: bool) -> Result<Option<u64>> {
        self.inner.end(ok)
    }

    fn is_durable(&self, lsn: u64) -> bool {
        self.engine.db.wal().durable() >= lsn
    }

    fn on_durable(&self, lsn: u64, done: Box<dyn FnOnce(Result<(), PgError>) + Send>) {
        self.engine.db.wal().on_durable(lsn, done);
    }

    fn status(&self) -> u8 {
        self.inner.transaction_status()
    }

    fn events(&mut self) -> Vec<Event> {
        let Some(news) = self.state.take_news() else { return Vec::new() };
        let notices = news.notices.into_iter().map(|n| Event::Notice(Box::new(n)));
        let told = |(name, value)| Event::Parameter(Cow::Borrowed(name), value);
        let parameters = news.parameters.into_iter().map(told);
        let forgotten = news.forgotten.into_iter().map(Event::Deallocate);
        notices.chain(parameters).chain(forgotten).collect()
    }

    fn keep_statement(&mut self, name: &str, statement: &Arc<Prepared>) -> Result<()> {
        self.state.statements().insert(name, Arc::clone(statement), None)
    }

    fn statement(&mut self, name: &str) -> Option<Arc<Prepared>> {
        self.state.statements().get(name).cloned()
    }

    fn close_statement(&mut self, name: &str) {
        self.state.statements().close(name);
    }

    fn on_notice(&mut self, hook: Option<NoticeHook>) {
        self.state.set_notice_hook(hook);
    }

    fn idle_limit(&self) -> Option<(Duration, PgError)> {
        self.state.idle_limit(self.inner.transaction_status() != b'I')
    }

    fn parameters(&self) -> Vec<(String, String)> {
        let reports = self.state.change_settings(|s| s.all_reports());
        reports.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn cancel_flag(&self) -> Arc<AtomicBool> {
        self.state.cancel_flag()
    }

    fn end_flag(&self) -> Arc<AtomicBool> {
        self.state.end_flag()
    }
}

/// What the client sends, for COPY. A cancel request ends the wait for it.
struct Incoming<'a> {
    data: &'a mut CopyData,
    state: &'a SessionState,
}

impl Source for Incoming<'_> {
    fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.data.receive()? {
                Supply::Block(block) => return Ok(Some(block)),
                Supply::End => return Ok(None),
                Supply::Nothing => self.state.check_cancel()?,
            }
        }
    }
}

/// The catalog as the open transaction sees it, for values of types that are not built in. It is asked
/// for only where there are some.
struct Names<'a> {
    engine: &'a Engine,
    txn: Option<Arc<Transaction>>,
    session: &'a SessionState,
}

impl Names<'_> {
    fn with<T>(&self, f: impl FnOnce(&SessionNames<'_>) -> T) -> T {
        let catalog = match &self.txn {
            Some(txn) => txn.catalog(),
            None => self.engine.db.catalog(),
        };
        f(&SessionNames { catalog: &catalog, session: self.session })
    }
}

impl TypeNames for Names<'_> {
    fn reg_out(&self, ty: Oid, value: Oid) -> Option<String> {
        self.with(|names| names.reg_out(ty, value))
    }

    fn reg_in(&self, ty: Oid, text: &str) -> Result<Oid> {
        self.with(|names| names.reg_in(ty, text))
    }

    fn type_info(&self, ty: Oid) -> Option<UserType> {
        self.with(|names| names.type_info(ty))
    }

    fn labels(&self, ty: Oid) -> Option<Arc<[Label]>> {
        self.with(|names| names.labels(ty))
    }

    fn now(&self) -> i64 {
        self.session.transaction_time()
    }
}

/// PostgreSQL's own words where a value is too short or too long for its type.
fn binary_format(error: PgError, parameter: usize) -> PgError {
    if error.code() != SqlState::INVALID_BINARY_REPRESENTATION {
        return error;
    }
    PgError::new(
        SqlState::INVALID_BINARY_REPRESENTATION,
        format!("incorrect binary data format in bind parameter {}", parameter + 1),
    )
}

fn columns(columns: &[OutputColumn]) -> Vec<Column> {
    let column = |c: &OutputColumn| Column {
        name: c.name.clone(),
        table: c.table,
        attr: c.attr,
        ty: c.ty.oid,
        len: type_length(c.ty.oid, c.ty.kind),
        typmod: c.ty.typmod,
    };
    columns.iter().map(column).collect()
}

/// `pg_type.typlen`
fn type_length(ty: Oid, kind: Kind) -> i16 {
    match ty {
        oid::NAME => 64,
        oid::CHAR => 1,
        oid::CSTRING | oid::UNKNOWN => -2,
        _ => match kind {
            Kind::Bool => 1,
            Kind::Int2 => 2,
            Kind::Int4 | Kind::Float4 | Kind::Date | Kind::Oid | Kind::Enum => 4,
            Kind::Tid => 6,
            Kind::Int8 | Kind::Float8 | Kind::Time | Kind::Timestamp | Kind::TimestampTz => 8,
            Kind::TimeTz => 12,
            Kind::Interval | Kind::Uuid | Kind::Point => 16,
            Kind::Line | Kind::Circle => 24,
            Kind::Lseg | Kind::Box => 32,
            _ => -1,
        },
    }
}
