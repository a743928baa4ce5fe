//! The first packets: TLS and cancel requests, protocol version, settings.

use bytes::BytesMut;
use tokio_rustls::TlsAcceptor;
use vicinity_types::{PgError, Result, SqlState};

use crate::encode;
use crate::message::{Body, violation};
use crate::stream::{Read, Stream, Wire};

/// PostgreSQL's limit for a startup packet.
const LONGEST: usize = 10_000;

const CANCEL: i32 = 80_877_102;
const SSL: i32 = 80_877_103;
const GSS: i32 = 80_877_104;

/// What a client asks for when it starts.
#[derive(Clone, Debug, Default)]
pub struct Startup {
    /// The role.
    pub user: String,
    /// The database; the user's name unless given.
    pub database: String,
    /// Settings, those of `options` (`-c name=value`) first.
    pub settings: Vec<(String, String)>,
    /// `_pq_.` options that are not known here.
    pub unknown: Vec<String>,
    /// Minor protocol version asked for.
    pub minor: i32,
}

/// What the first packets amount to.
pub enum Opening {
    /// A session is asked for.
    Start(Startup),
    /// A statement of another connection is to be cancelled.
    Cancel {
        /// Its process id.
        pid: i32,
        /// Its secret.
        secret: i32,
    },
    /// The client went away, or the server is stopping.
    Gone,
}

/// Reads first packets until one of them decides; answers requests for encryption on the way.
pub async fn open(mut wire: Wire, tls: Option<&TlsAcceptor>) -> (Wire, Result<Opening>) {
    let (mut asked_tls, mut asked_gss) = (false, false);
    loop {
        let (code, packet) = match packet(&mut wire).await {
            Ok(Some(found)) => found,
            Ok(None) => return (wire, Ok(Opening::Gone)),
            Err(e) => return (wire, Err(e)),
        };
        match code {
            SSL if !asked_tls => {
                asked_tls = true;
                if !wire.buffer.is_empty() {
                    let e = violation("received unencrypted data after SSL request");
                    return (wire, Err(e));
                }
                let Some(acceptor) = tls.filter(|_| matches!(wire.stream, Stream::Plain(_))) else {
                    if wire.stream.send(b"N").await.is_err() {
                        return (wire, Ok(Opening::Gone));
                    }
                    continue;
                };
                if wire.stream.send(b"S").await.is_err() {
                    return (wire, Ok(Opening::Gone));
                }
                let Wire { stream, buffer, stop } = wire;
                wire = match stream {
                    Stream::Plain(tcp) => match acceptor.accept(tcp).into_fallible().await {
                        Ok(s) => Wire { stream: Stream::Tls(Box::new(s)), buffer, stop },
                        Err((e, tcp)) => {
                            tracing::debug!("could not accept SSL connection: {e}");
                            let wire = Wire { stream: Stream::Plain(tcp), buffer, stop };
                            return (wire, Ok(Opening::Gone));
                        }
                    },
                    other => Wire { stream: other, buffer, stop },
                };
            }
            GSS if !asked_gss => {
                asked_gss = true;
                if wire.stream.send(b"N").await.is_err() {
                    return (wire, Ok(Opening::Gone));
                }
            }
            CANCEL => {
                let mut body = Body::new(&packet);
                let opening = match (body.i32(), body.i32(), body.end()) {
                    (Ok(pid), Ok(secret), Ok(())) => Ok(Opening::Cancel { pid, secret }),
                    _ => Err(violation("invalid length of startup packet")),
                };
                return (wire, opening);
            }
            version if version >> 16 == 3 => {
                let startup = settings(&packet, version & 0xffff).map(Opening::Start);
                return (wire, startup);
            }
            version => {
                let e = PgError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!(
                        "unsupported frontend protocol {}.{}: server supports 3.0 to 3.0",
                        (version >> 16) & 0xffff,
                        version & 0xffff
                    ),
                );
                return (wire, Err(e));
            }
        }
    }
}

/// One packet: its code and the rest of it.
async fn packet(wire: &mut Wire) -> Result<Option<(i32, Vec<u8>)>> {
    loop {
        let have = wire.buffer.bytes();
        if let Some(head) = have.first_chunk::<4>() {
            let len = u32::from_be_bytes(*head) as usize;
            if !(8..=LONGEST).contains(&len) {
                return Err(violation("invalid length of startup packet"));
            }
            if let Some(packet) = have.get(4..len) {
                let mut body = Body::new(packet);
                let code = body.i32()?;
                let rest = packet.get(4..).unwrap_or_default().to_vec();
                wire.buffer.consume(len);
                return Ok(Some((code, rest)));
            }
        }
        match wire.fill().await {
            Ok(Read::More) => {}
            Ok(Read::Stopped) => {
                return Err(PgError::new(
                    SqlState::CANNOT_CONNECT_NOW,
                    "the database system is shutting down",
                ));
            }
            Ok(Read::Closed) | Err(_) => return Ok(None),
        }
    }
}

/// Name and value pairs up to an empty name.
fn settings(packet: &[u8], minor: i32) -> Result<Startup> {
    let layout = || violation("invalid startup packet layout: expected terminator as last byte");
    let mut startup = Startup { minor, ..Startup::default() };
    let mut body = Body::new(packet);
    let mut given = Vec::new();
    loop {
        let name = body.str().map_err(|_| layout())?;
        if name.is_empty() {
            break;
        }
        let value = body.str().map_err(|_| layout())?;
        match name {
            "user" => startup.user = value.to_owned(),
            "database" => startup.database = value.to_owned(),
            "options" => options(value, &mut startup.settings)?,
            "replication" => {
                if !matches!(value, "false" | "off" | "no" | "0") {
                    return Err(PgError::unsupported("replication"));
                }
            }
            name if name.starts_with("_pq_.") => startup.unknown.push(name.to_owned()),
            name => given.push((name.to_owned(), value.to_owned())),
        }
    }
    body.end().map_err(|_| layout())?;
    startup.settings.append(&mut given);
    if startup.user.is_empty() {
        return Err(PgError::new(
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
            "no PostgreSQL user name specified in startup packet",
        ));
    }
    if startup.database.is_empty() {
        startup.database.clone_from(&startup.user);
    }
    Ok(startup)
}

/// `-c name=value`, `-cname=value`, `--name=value`, separated by spaces that `\` protects.
fn options(text: &str, into: &mut Vec<(String, String)>) -> Result<()> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.get_or_insert_default().extend(chars.next()),
            c if c.is_ascii_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let setting = match word.strip_prefix("--") {
            Some(rest) => Some(rest.to_owned()),
            None => match word.strip_prefix("-c") {
                Some("") => words.next(),
                Some(rest) => Some(rest.to_owned()),
                None => None,
            },
        };
        let Some((name, value)) = setting.as_deref().and_then(|s| s.split_once('=')) else {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                format!("invalid command-line argument for server process: {word}"),
            ));
        };
        into.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(())
}

/// Whatever a client of a newer protocol has to be told first.
pub fn negotiate(startup: &Startup, out: &mut BytesMut) {
    if startup.minor > 0 || !startup.unknown.is_empty() {
        encode::negotiate_version(out, &startup.unknown);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn options_are_split_as_postgres_does() {
        let mut got = Vec::new();
        options(r"-c geqo=off --search-path=a,\ b  -cx.y=1", &mut got).unwrap();
        let want = [("geqo", "off"), ("search_path", "a, b"), ("x.y", "1")];
        assert_eq!(got, want.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert!(options("-z", &mut got).is_err());
    }

    #[test]
    fn a_user_is_needed() {
        assert_eq!(settings(b"user\0a\0\0", 0).unwrap().database, "a");
        assert_eq!(settings(b"\0", 0).unwrap_err().code().as_str(), "28000");
        assert_eq!(settings(b"user\0a", 0).unwrap_err().code().as_str(), "08P01");
        assert_eq!(settings(b"user\0a\0\0x", 0).unwrap_err().code().as_str(), "08P01");
    }
}
