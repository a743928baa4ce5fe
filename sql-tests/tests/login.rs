//! TLS and passwords, from a certificate made for the test to psql and a driver.
// Whether a task that holds a server may change threads follows from every type of a plan.
#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::task::{Context, Poll};

use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{Client, NoTls, Socket};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio_rustls::{TlsConnector, client};
use vicinity_sql_tests::{AuthMethod, Settings, TestServer};

/// A certificate for `localhost` and its files.
struct Certificate {
    der: CertificateDer<'static>,
    cert: PathBuf,
    key: PathBuf,
    _directory: TempDir,
}

fn certificate() -> Certificate {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let directory = TempDir::with_prefix("vicinity-tls-").unwrap();
    let (cert, key) = (directory.path().join("cert.pem"), directory.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    Certificate { der: made.cert.der().clone(), cert, key, _directory: directory }
}

/// TLS for tokio-postgres, trusting one certificate.
#[derive(Clone)]
struct Trusting(Arc<ClientConfig>, CertificateDer<'static>);

impl Trusting {
    fn new(certificate: &Certificate) -> Trusting {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.der.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Trusting(Arc::new(config), certificate.der.clone())
    }
}

struct Secure(client::TlsStream<Socket>, Vec<u8>);

impl MakeTlsConnect<Socket> for Trusting {
    type Stream = Secure;
    type TlsConnect = Trusting;
    type Error = io::Error;

    fn make_tls_connect(&mut self, _: &str) -> io::Result<Trusting> {
        Ok(self.clone())
    }
}

impl TlsConnect<Socket> for Trusting {
    type Stream = Secure;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Secure>> + Send>>;

    fn connect(self, stream: Socket) -> Self::Future {
        Box::pin(async move {
            let name = ServerName::try_from("localhost").unwrap();
            let stream = TlsConnector::from(self.0).connect(name, stream).await?;
            Ok(Secure(stream, Sha256::digest(&self.1).to_vec()))
        })
    }
}

impl TlsStream for Secure {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::tls_server_end_point(self.1.clone())
    }
}

impl AsyncRead for Secure {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Secure {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A server where user postgres has the password `secret` and `limited` may not log in.
async fn server(certificate: &Certificate) -> TestServer {
    let mut server = TestServer::start().await;
    let client = server.connect().await;
    let setup = "alter role postgres password 'secret'; create role limited password 'x'";
    client.batch_execute(setup).await.unwrap();
    let row = client.query_one("select rolpassword from pg_authid where rolname = 'postgres'", &[]);
    let kept: String = row.await.unwrap().get(0);
    assert!(kept.starts_with("SCRAM-SHA-256$4096:") && !kept.contains("secret"));
    drop(client);
    let settings = Settings {
        auth: Some(AuthMethod::Scram),
        tls_cert: Some(certificate.cert.clone()),
        tls_key: Some(certificate.key.clone()),
        ..Settings::default()
    };
    server.restart_with(settings).await;
    server
}

fn login(server: &TestServer, user: &str, password: &str, more: &str) -> String {
    let at = server.address();
    format!(
        "host={} port={} user={user} dbname=postgres password={password} {more}",
        at.ip(),
        at.port()
    )
}

async fn connect(login: &str, tls: &Trusting) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(login, tls.clone()).await?;
    tokio::spawn(connection);
    Ok(client)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_proves_who_it_is() {
    let certificate = certificate();
    let server = server(&certificate).await;
    let tls = Trusting::new(&certificate);
    for more in
        ["sslmode=require channel_binding=require", "sslmode=require channel_binding=disable"]
    {
        let client = connect(&login(&server, "postgres", "secret", more), &tls).await.unwrap();
        assert_eq!(client.query_one("select 1", &[]).await.unwrap().get::<_, i32>(0), 1);
    }
    let (client, connection) =
        tokio_postgres::connect(&login(&server, "postgres", "secret", "sslmode=disable"), NoTls)
            .await
            .unwrap();
    tokio::spawn(connection);
    client.simple_query("select 1").await.unwrap();
    for (user, password) in [("postgres", "wrong"), ("nobody", "secret"), ("limited", "x")] {
        let login = login(&server, user, password, "sslmode=require");
        let error = connect(&login, &tls).await.err().unwrap();
        let error = error.as_db_error().unwrap().clone();
        assert_eq!(error.code().code(), "28P01", "{user}");
        let message = format!("password authentication failed for user \"{user}\"");
        assert_eq!(error.message(), message);
    }
    server.stop().await;
}

fn psql(server: &TestServer, password: &str, more: &str) -> (bool, String) {
    let at = server.address();
    let to = format!(
        "host=localhost hostaddr={} port={} user=postgres dbname=postgres {more}",
        at.ip(),
        at.port()
    );
    let done = Command::new("psql")
        .args(["-X", "-A", "-t", "-c", "select 'in'", "-d", &to])
        .env("PGPASSWORD", password)
        .output()
        .unwrap();
    let said = [done.stdout, done.stderr].concat();
    (done.status.success(), String::from_utf8_lossy(&said).trim().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_proves_who_it_is() {
    if Command::new("psql").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: psql is not installed");
        return;
    }
    let certificate = certificate();
    let server = server(&certificate).await;
    let root = format!("sslmode=verify-full sslrootcert={}", certificate.cert.display());
    let ways = [
        "sslmode=require".to_owned(),
        "sslmode=require channel_binding=require".to_owned(),
        "sslmode=disable".to_owned(),
        root,
    ];
    let (server, outcomes) = tokio::task::spawn_blocking(move || {
        let mut outcomes: Vec<_> = ways.iter().map(|way| psql(&server, "secret", way)).collect();
        outcomes.push(psql(&server, "wrong", "sslmode=require"));
        (server, outcomes)
    })
    .await
    .unwrap();
    let (wrong, right) = outcomes.split_last().unwrap();
    for (succeeded, said) in right {
        assert!(*succeeded && said == "in", "{said}");
    }
    assert!(!wrong.0 && wrong.1.contains("password authentication failed for user \"postgres\""));
    server.stop().await;
}
