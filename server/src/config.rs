//! Configuration: flags, then `VICINITY_*` variables, then a TOML file, then defaults.

use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use vicinity_planner::exec::settings;
use vicinity_types::{PgError, Result, SqlState};
use vicinity_wire::Limits;

/// How clients prove who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum AuthMethod {
    /// Not at all.
    Trust,
    /// By password, SCRAM-SHA-256.
    #[value(name = "scram-sha-256")]
    #[serde(rename = "scram-sha-256")]
    Scram,
}

/// What can be said on the command line, in the environment and in the file. Nothing has a
/// default here, so that the sources can be laid over each other.
#[derive(Clone, Debug, Default, Deserialize, clap::Args)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Address to listen on; may be given more than once [default: 127.0.0.1:5432]
    #[arg(long, env = "VICINITY_LISTEN", value_delimiter = ',', value_name = "HOST:PORT")]
    pub listen: Option<Vec<String>>,
    /// Directory of the database, made if missing [default: ./data]
    #[arg(long, env = "VICINITY_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Sessions at a time; one more is refused with 53300 [default: 100]
    #[arg(long, env = "VICINITY_MAX_CONNECTIONS", value_name = "N")]
    pub max_connections: Option<usize>,
    /// How clients prove who they are [default: trust on loopback addresses, else scram-sha-256]
    #[arg(long, env = "VICINITY_AUTH", value_name = "METHOD")]
    pub auth: Option<AuthMethod>,
    /// Certificate chain (PEM) for TLS
    #[arg(long, env = "VICINITY_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key (PEM) for TLS
    #[arg(long, env = "VICINITY_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Threads that serve connections [default: one per core, at least 2]
    #[arg(long, env = "VICINITY_WORKERS", value_name = "N")]
    pub workers: Option<usize>,
    /// Whether commits reach the disk [default: true]
    #[arg(long, env = "VICINITY_FSYNC", value_name = "BOOL")]
    pub fsync: Option<bool>,
    /// Memory for rows, as in "8GB"; above it those not used lately are kept in files [default: no limit]
    #[arg(long, env = "VICINITY_MEMORY_LIMIT", value_name = "SIZE")]
    pub memory_limit: Option<String>,
    /// Longest message of a client, in bytes [default: 268435456]
    #[arg(long, env = "VICINITY_MAX_MESSAGE", value_name = "BYTES")]
    pub max_message: Option<usize>,
    /// What is logged to standard error: error, warn, info, debug, or a filter [default: warn]
    #[arg(long, env = "VICINITY_LOG", value_name = "LEVEL")]
    pub log: Option<String>,
    /// Defaults of SQL settings, `name = value` (file only)
    #[arg(skip)]
    #[serde(deserialize_with = "plain_values")]
    pub settings: BTreeMap<String, String>,
}

/// Numbers and switches need no quotes.
fn plain_values<'de, D: Deserializer<'de>>(
    from: D,
) -> std::result::Result<BTreeMap<String, String>, D::Error> {
    let written: BTreeMap<String, toml::Value> = BTreeMap::deserialize(from)?;
    let text = |(name, value): (String, toml::Value)| match value {
        toml::Value::String(text) => Ok((name, text)),
        toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => {
            Ok((name, value.to_string()))
        }
        _ => Err(D::Error::custom(format!("setting \"{name}\" needs a single value"))),
    };
    written.into_iter().map(text).collect()
}

impl Settings {
    /// Reads a TOML file.
    pub fn from_file(path: &Path) -> Result<Settings> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            wrong(format!("could not open configuration file \"{}\": {e}", path.display()))
        })?;
        toml::from_str(&text)
            .map_err(|e| wrong(format!("configuration file \"{}\": {e}", path.display())))
    }

    /// What is not said here is taken from `below`.
    #[must_use]
    pub fn over(self, below: Settings) -> Settings {
        let mut settings = below.settings;
        settings.extend(self.settings);
        Settings {
            listen: self.listen.or(below.listen),
            data: self.data.or(below.data),
            max_connections: self.max_connections.or(below.max_connections),
            auth: self.auth.or(below.auth),
            tls_cert: self.tls_cert.or(below.tls_cert),
            tls_key: self.tls_key.or(below.tls_key),
            workers: self.workers.or(below.workers),
            fsync: self.fsync.or(below.fsync),
            memory_limit: self.memory_limit.or(below.memory_limit),
            max_message: self.max_message.or(below.max_message),
            log: self.log.or(below.log),
            settings,
        }
    }

    /// Fills in defaults and checks everything.
    pub fn finish(self) -> Result<Config> {
        let listen = self.listen.unwrap_or_else(|| vec!["127.0.0.1:5432".to_owned()]);
        let mut addresses = Vec::new();
        for text in &listen {
            let found = text
                .to_socket_addrs()
                .map_err(|e| wrong(format!("invalid listen address \"{text}\": {e}")))?;
            addresses.extend(found);
        }
        addresses.dedup();
        if addresses.is_empty() {
            return Err(wrong("no listen address"));
        }
        let loopback = addresses.iter().all(|a| a.ip().is_loopback());
        let auth =
            self.auth.unwrap_or(if loopback { AuthMethod::Trust } else { AuthMethod::Scram });
        let connections =
            within("max_connections", self.max_connections.unwrap_or(100), 1, 262_143)?;
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let workers = within("workers", self.workers.unwrap_or(cores.max(2)), 1, 1024)?;
        let message = self.max_message.unwrap_or(256 << 20);
        let message = within("max_message", message, 64 << 10, 1 << 30)?;
        let memory =
            settings::number_of(MEMORY_LIMIT, self.memory_limit.as_deref().unwrap_or("0"))?;
        let memory_limit = u64::try_from(memory).map_err(|_| wrong("no memory"))?;
        let tls = match (self.tls_cert, self.tls_key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            _ => return Err(wrong("tls_cert and tls_key go together")),
        };
        Ok(Config {
            listen: addresses,
            data: self.data.unwrap_or_else(|| PathBuf::from("data")),
            auth,
            tls,
            workers,
            fsync: self.fsync.unwrap_or(true),
            memory_limit,
            log: self.log.unwrap_or_else(|| "warn".to_owned()),
            limits: Limits {
                connections,
                message,
                authentication_timeout: Duration::from_secs(60),
                ..Limits::default()
            },
            settings: self.settings.into_iter().collect(),
        })
    }
}

/// A configuration that was checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: Vec<SocketAddr>,
    /// The database's directory.
    pub data: PathBuf,
    /// How clients prove who they are.
    pub auth: AuthMethod,
    /// Certificate and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Threads that serve connections.
    pub workers: usize,
    /// Whether commits reach the disk.
    pub fsync: bool,
    /// Kilobytes of memory for rows; 0 for no limit.
    pub memory_limit: u64,
    /// Log filter.
    pub log: String,
    /// The wire's limits.
    pub limits: Limits,
    /// Defaults of SQL settings.
    pub settings: Vec<(String, String)>,
}

impl Config {
    /// A server for tests and demonstrations: any free port on loopback, that directory.
    pub fn local(data: &Path) -> Result<Config> {
        Settings {
            listen: Some(vec!["127.0.0.1:0".to_owned()]),
            data: Some(data.to_owned()),
            ..Settings::default()
        }
        .finish()
    }
}

/// The setting that says how much memory rows may take.
pub(crate) const MEMORY_LIMIT: &str = "vicinity.memory_limit";

fn wrong(message: impl Into<String>) -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

fn within(name: &str, value: usize, least: usize, most: usize) -> Result<usize> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(wrong(format!(
        "{value} is outside the valid range for parameter \"{name}\" ({least} .. {most})"
    )))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn flags_go_over_the_file() {
        let file: Settings = toml::from_str(
            "listen = ['127.0.0.1:1']\nmax_connections = 7\nauth = 'scram-sha-256'\n\
             [settings]\nwork_mem = '8MB'\nstatement_timeout = 5\nenable_seqscan = true\n",
        )
        .unwrap();
        let flags = Settings { max_connections: Some(9), ..Settings::default() };
        let config = flags.over(file).finish().unwrap();
        assert_eq!(config.limits.connections, 9);
        assert_eq!(config.auth, AuthMethod::Scram);
        assert_eq!(config.listen, ["127.0.0.1:1".parse().unwrap()]);
        let wanted = [("enable_seqscan", "true"), ("statement_timeout", "5"), ("work_mem", "8MB")];
        assert_eq!(config.settings, wanted.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }

    #[test]
    fn sizes_have_units() {
        let limit = |text: &str| {
            let memory_limit = Some(text.to_owned());
            Settings { memory_limit, ..Settings::default() }.finish().map(|c| c.memory_limit)
        };
        assert_eq!(limit("1GB").unwrap(), 1 << 20);
        assert_eq!(limit("64").unwrap(), 64);
        assert!(limit("much").is_err() && limit("-1").is_err());
    }

    #[test]
    fn everything_is_checked() {
        assert!(toml::from_str::<Settings>("lisen = []").is_err());
        let few = Settings { max_connections: Some(0), ..Settings::default() };
        assert!(few.finish().unwrap_err().message().contains("max_connections"));
        let nowhere = Settings { listen: Some(vec!["x".into()]), ..Settings::default() };
        assert!(nowhere.finish().is_err());
        let open = Settings { listen: Some(vec!["0.0.0.0:0".into()]), ..Settings::default() };
        assert_eq!(open.finish().unwrap().auth, AuthMethod::Scram);
    }
}
