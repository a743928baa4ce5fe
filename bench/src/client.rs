//! Connections to a server that runs.

use tokio_postgres::{Client, NoTls};
use vicinity_types::{PgError, Result};

/// Where it is.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Place {
    /// Host of the server.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: String,
    /// Its port.
    #[arg(long, default_value_t = 5432)]
    pub(crate) port: u16,
}

impl Place {
    pub(crate) async fn connect(&self) -> Result<Client> {
        let login = format!("host={} port={} user=postgres", self.host, self.port);
        let (client, connection) = tokio_postgres::connect(&login, NoTls).await.map_err(failed)?;
        tokio::spawn(connection);
        Ok(client)
    }
}

pub(crate) fn failed(e: tokio_postgres::Error) -> PgError {
    crate::failed(e.as_db_error().map_or_else(|| e.to_string(), |d| d.message().to_owned()))
}

/// Runs to its end what talks to servers.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|e| PgError::internal(e.to_string()))?.block_on(work)
}
