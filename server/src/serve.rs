//! Opening the database, listening, stopping.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use vicinity_planner::engine::Engine;
use vicinity_storage::{Database, Options, set_wait_hook};
use vicinity_types::{PgError, Result, SqlState};
use vicinity_wire::{Server, ServerHandle, Threads};

use crate::config::Config;
use crate::service::EngineService;
use crate::tls;

/// Connections have that long to end when the server stops.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that runs.
pub struct Running {
    handle: ServerHandle<EngineService>,
    database: Arc<Database>,
}

impl Running {
    /// Opens the database (recovering it if need be) and begins to accept connections. Must be
    /// called inside a runtime.
    pub async fn start(config: &Config) -> Result<Running> {
        // A statement that waits for a lock lets other connections have the thread.
        set_wait_hook(wait);
        let tls = match &config.tls {
            Some((cert, key)) => Some(tls::load(cert, key)?),
            None => None,
        };
        let options = Options {
            sync: config.fsync,
            memory_limit: config.memory_limit << 10,
            on_fatal: Some(Arc::new(|reason: &str| {
                // Nothing more can be promised to anyone (invariant durable).
                eprintln!("vicinity: PANIC: {reason}");
                std::process::abort();
            })),
            ..Options::default()
        };
        let directory = config.data.clone();
        let began = std::time::Instant::now();
        let database = tokio::task::spawn_blocking(move || Database::open(&directory, options))
            .await
            .map_err(|e| PgError::internal(e.to_string()))??;
        let engine = Engine::new(Arc::clone(&database));
        engine.keep_passwords_as(vicinity_wire::auth::make_verifier);
        // Nobody is let in before everything is there.
        let seconds = began.elapsed().as_secs_f64();
        tracing::info!("database {} opened in {seconds:.1} s", config.data.display());
        let service = Arc::new(EngineService::new(engine, config));
        let server =
            Server::bind(&config.listen, service, config.limits.clone(), tls, &threads(config))
                .await
                .map_err(|e| {
                    let places: Vec<String> =
                        config.listen.iter().map(ToString::to_string).collect();
                    PgError::new(
                        SqlState::CONNECTION_EXCEPTION,
                        format!("could not listen on {}: {e}", places.join(", ")),
                    )
                })?;
        let handle = server.start().map_err(|e| PgError::internal(e.to_string()))?;
        Ok(Running { handle, database })
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.handle.addresses()
    }

    /// The command line that connects to it.
    pub fn psql(&self) -> String {
        let at = self.addresses().first();
        let host = match at.map(SocketAddr::ip) {
            Some(ip) if !ip.is_unspecified() => ip.to_string(),
            _ => "127.0.0.1".to_owned(),
        };
        format!("psql -h {host} -p {} -U postgres", at.map_or(0, SocketAddr::port))
    }

    /// Ends all sessions and closes the database.
    pub async fn stop(self) -> Result<()> {
        self.handle.stop(PATIENCE).await;
        let database = self.database;
        tokio::task::spawn_blocking(move || database.shutdown())
            .await
            .map_err(|e| PgError::internal(e.to_string()))?
    }
}

/// Blocking waits inside the engine: on a worker thread, others take over its connections.
fn wait(work: &mut dyn FnMut()) {
    use tokio::runtime::{Handle, RuntimeFlavor};
    match Handle::try_current() {
        Ok(h) if h.runtime_flavor() == RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(work);
        }
        _ => work(),
    }
}

/// The threads that serve connections.
fn threads(config: &Config) -> Threads {
    Threads {
        count: config.workers,
        // Statements are walked recursively, to the depth `sql::depth` allows; untouched pages cost nothing.
        stack: Some(512 << 20),
        // Statements that wait for each other's locks each hold one.
        blocking: config.limits.connections + 64,
    }
}

/// The runtime that opens, accepts and stops; connections have threads of their own.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| PgError::internal(e.to_string()))
}

/// Resolves on SIGTERM or SIGINT.
pub async fn interrupted() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let fail = |e: std::io::Error| PgError::internal(e.to_string());
    let mut term = signal(SignalKind::terminate()).map_err(fail)?;
    let mut int = signal(SignalKind::interrupt()).map_err(fail)?;
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}

/// `vicinity serve`: until a signal comes.
pub fn serve(config: &Config) -> Result<()> {
    runtime()?.block_on(async {
        let running = Running::start(config).await?;
        println!("vicinity is ready; connect with\n\n    {}\n", running.psql());
        interrupted().await?;
        println!("vicinity is stopping");
        running.stop().await
    })
}
