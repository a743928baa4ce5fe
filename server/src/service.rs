//! Who may come in, and the session each one gets.

use std::net::SocketAddr;
use std::sync::Arc;

use vicinity_planner::engine::Engine;
use vicinity_types::{PgError, Result, SqlState};
use vicinity_wire::startup::Startup;
use vicinity_wire::{Auth, Service, Session};

use crate::config::{AuthMethod, Config, MEMORY_LIMIT};
use crate::session::EngineSession;

/// Sessions of one engine.
pub struct EngineService {
    engine: Arc<Engine>,
    auth: AuthMethod,
    settings: Vec<(String, String)>,
}

impl EngineService {
    /// Sessions of `engine` under a configuration.
    pub fn new(engine: Arc<Engine>, config: &Config) -> Self {
        let mut settings = config.settings.clone();
        // Last, so that SHOW tells what is so.
        settings.push(("max_connections".to_owned(), config.limits.connections.to_string()));
        settings.push((MEMORY_LIMIT.to_owned(), config.memory_limit.to_string()));
        EngineService { engine, auth: config.auth, settings }
    }

    /// The engine.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }
}

impl Service for EngineService {
    type Backend = EngineSession;

    fn auth(&self, startup: &Startup, _peer: SocketAddr) -> Result<Auth> {
        Ok(match self.auth {
            AuthMethod::Trust => Auth::Trust,
            AuthMethod::Scram => {
                let catalog = self.engine.db.catalog();
                let now = vicinity_types::datetime::clock();
                let valid = |until: i64| until > now;
                let role = catalog.role_named(&startup.user).filter(|r| r.login);
                // A password that is no longer valid is none.
                let role = role.filter(|r| r.valid_until.is_none_or(valid));
                Auth::Scram { verifier: role.and_then(|r| r.password.clone()) }
            }
        })
    }

    fn connect(&self, session: Session) -> Result<EngineSession> {
        let user = &session.startup.user;
        let refuse = |message: String| {
            Err(PgError::new(SqlState::INVALID_AUTHORIZATION_SPECIFICATION, message))
        };
        match self.engine.db.catalog().role_named(user) {
            None => return refuse(format!("role \"{user}\" does not exist")),
            Some(role) if !role.login => {
                return refuse(format!("role \"{user}\" is not permitted to log in"));
            }
            Some(_) => {}
        }
        EngineSession::start(&self.engine, &session, &self.settings)
    }
}
