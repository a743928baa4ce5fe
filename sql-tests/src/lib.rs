//! What the suites share: a server in this process, and a client that speaks in bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

pub mod raw;

use std::net::SocketAddr;

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};
use vicinity_server::config::Config;
use vicinity_server::serve::Running;

/// A server on a free port of 127.0.0.1, over a directory that goes with it.
pub struct TestServer {
    running: Option<Running>,
    directory: TempDir,
}

impl TestServer {
    /// Starts one. Needs a multi-thread runtime.
    pub async fn start() -> TestServer {
        let directory = TempDir::with_prefix("vicinity-test-").unwrap();
        let running = Some(open(&directory).await);
        TestServer { running, directory }
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
        self.running = Some(open(&self.directory).await);
    }

    /// Stops it cleanly.
    pub async fn stop(mut self) {
        self.running.take().unwrap().stop().await.unwrap();
    }
}

async fn open(directory: &TempDir) -> Running {
    Running::start(&Config::local(directory.path()).unwrap()).await.unwrap()
}
