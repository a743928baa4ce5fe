//! TLS from a certificate and a key in PEM files.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use vicinity_types::{PgError, Result, SqlState};
use vicinity_wire::Tls;

/// Reads both files.
pub fn load(cert: &Path, key: &Path) -> Result<Tls> {
    let fail = |what: &str, path: &Path, e: String| {
        PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("could not load {what} file \"{}\": {e}", path.display()),
        )
    };
    let chain: Vec<_> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|e| fail("server certificate", cert, e.to_string()))?;
    let secret =
        PrivateKeyDer::from_pem_file(key).map_err(|e| fail("private key", key, e.to_string()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| PgError::internal(e.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|e| fail("server certificate", cert, e.to_string()))?;
    let certificate =
        std::fs::read(cert).map_err(|e| fail("server certificate", cert, e.to_string()))?;
    Ok(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), certificate })
}
