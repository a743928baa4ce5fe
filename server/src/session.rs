//! One session of the engine, as the wire sees it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::BytesMut;
use vicinity_planner::engine::Engine;
use vicinity_planner::exec::settings::Source;
use vicinity_planner::session_state::SessionState;
use vicinity_planner::sql::{self, Parsed};
use vicinity_types::{Oid, PgError, Result};
use vicinity_wire::{Backend, Description, Event, Progress, Session, Values};

/// A session.
pub struct EngineSession {
    engine: Arc<Engine>,
    state: Arc<SessionState>,
}

impl EngineSession {
    /// Starts one: the server's defaults of settings first, then the client's.
    pub fn start(
        engine: &Arc<Engine>,
        session: &Session,
        defaults: &[(String, String)],
    ) -> Result<Self> {
        let startup = &session.startup;
        let state = Arc::new(SessionState::new(&startup.user, &startup.database, session.pid));
        for (name, value) in defaults.iter().chain(&startup.settings) {
            state.change_settings(|s| s.set(name, value, Source::Startup, true))?;
        }
        Ok(EngineSession { engine: Arc::clone(engine), state })
    }
}

impl Backend for EngineSession {
    type Parsed = Parsed;
    type Statement = Arc<()>;
    type Portal = ();

    fn split(&mut self, sql: &str) -> Result<Vec<Parsed>> {
        sql::parse(sql)
    }

    fn prepared(&mut self, _: &Parsed, _: &[Oid]) -> Option<Arc<()>> {
        None
    }

    fn prepare(&mut self, parsed: &Parsed, _: &[Oid]) -> Result<Arc<()>> {
        Err(PgError::unsupported(&parsed.text))
    }

    fn describe(&mut self, _: &Arc<()>) -> Result<Description> {
        Ok(Description::default())
    }

    fn bind(&mut self, _: &Arc<()>, _: &str, _: Values<'_>) -> Result<()> {
        Ok(())
    }

    fn execute(&mut self, (): &mut (), _: u64, _: &mut BytesMut) -> Result<Progress> {
        Err(PgError::unsupported("this"))
    }

    fn end(&mut self, _: bool) -> Result<Option<u64>> {
        Ok(None)
    }

    fn is_durable(&self, lsn: u64) -> bool {
        self.engine.db.wal().durable() >= lsn
    }

    fn on_durable(&self, lsn: u64, done: Box<dyn FnOnce(Result<(), PgError>) + Send>) {
        self.engine.db.wal().on_durable(lsn, done);
    }

    fn status(&self) -> u8 {
        b'I'
    }

    fn events(&mut self) -> Vec<Event> {
        let notices = self.state.take_notices();
        notices.into_iter().map(Event::Notice).collect()
    }

    fn parameters(&self) -> Vec<(String, String)> {
        let reports = self.state.change_settings(|s| s.all_reports());
        reports.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn cancel_flag(&self) -> Arc<AtomicBool> {
        self.state.cancel_flag()
    }
}
