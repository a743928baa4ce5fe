//! What the suites share: a server in this process, and a client that speaks in bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

pub mod isolation;
pub mod postgres;
pub mod process;
pub mod program;
pub mod raw;

use std::net::SocketAddr;

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};
pub use vicinity_server::config::{AuthMethod, Settings};
use vicinity_server::serve::Running;

/// A server on a free port of 127.0.0.1, over a directory that goes with it.
pub struct TestServer {
    running: Option<Running>,
    directory: TempDir,
    settings: Settings,
}

impl TestServer {
    /// Starts one. Needs a multi-thread runtime.
    pub async fn start() -> TestServer {
        TestServer::start_with(Settings::default()).await
    }

    /// Starts one with settings.
    pub async fn start_with(settings: Settings) -> TestServer {
        let directory = TempDir::with_prefix("vicinity-test-").unwrap();
        let running = Some(open(&directory, &settings).await);
        TestServer { running, directory, settings }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.running.as_ref().unwrap().addresses()[0]
    }

    /// A session of user postgres.
    pub async fn connect(&self) -> Client {
        let at = self.address();
        let login = format!("host={} port={} user=postgres", at.ip(), at.port());
        let (client, connection) = tokio_postgres::connect(&login, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// Stops it cleanly and starts it again over the same directory.
    pub async fn restart(&mut self) {
        self.running.take().unwrap().stop().await.unwrap();
        self.running = Some(open(&self.directory, &self.settings).await);
    }

    /// Stops it cleanly and starts it again with other settings.
    pub async fn restart_with(&mut self, settings: Settings) {
        self.settings = settings;
        self.restart().await;
    }

    /// Stops it cleanly.
    pub async fn stop(mut self) {
        self.running.take().unwrap().stop().await.unwrap();
    }
}

async fn open(directory: &TempDir, settings: &Settings) -> Running {
    let own = Settings {
        listen: Some(vec!["127.0.0.1:0".to_owned()]),
        data: Some(directory.path().to_owned()),
        ..Settings::default()
    };
    Running::start(&settings.clone().over(own).finish().unwrap()).await.unwrap()
}
