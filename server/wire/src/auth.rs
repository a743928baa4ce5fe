//! Letting clients in: trust, or SCRAM-SHA-256 by pgwire's implementation. Inside TLS the client may
//! bind its proof to the server's certificate (SCRAM-SHA-256-PLUS).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use pgwire::api::auth::sasl::scram::{ScramSecret, ScramServerAuth, gen_salted_password};
use rand::RngCore as _;
use vicinity_types::{PgError, Result, SqlState};

use crate::backend::Auth;
use crate::encode;
use crate::message::{Body, violation};
use crate::server::Tls;
use crate::stream::{Read, Stream, Wire};

const MECHANISM: &str = "SCRAM-SHA-256";
const BOUND: &str = "SCRAM-SHA-256-PLUS";
const ITERATIONS: usize = 4096;

/// Makes what PostgreSQL would keep for a password: `SCRAM-SHA-256$4096:salt$stored:server`.
pub fn make_verifier(password: &str) -> String {
    let mut salt = [0u8; 16];
    rand::rng().fill_bytes(&mut salt);
    let salted = gen_salted_password(password, &salt, ITERATIONS);
    match ScramSecret::verifier_from_salted_password(salt.to_vec(), salted, ITERATIONS) {
        ScramSecret::Verifier { stored_key, server_key, .. } => format!(
            "{MECHANISM}${ITERATIONS}:{}${}:{}",
            STANDARD.encode(salt),
            STANDARD.encode(stored_key),
            STANDARD.encode(server_key)
        ),
        ScramSecret::SaltedPassword { .. } => String::new(),
    }
}

fn parse_verifier(text: &str) -> Option<ScramSecret> {
    let rest = text.strip_prefix("SCRAM-SHA-256$")?;
    let (head, keys) = rest.split_once('$')?;
    let (iterations, salt) = head.split_once(':')?;
    let (stored, server) = keys.split_once(':')?;
    Some(ScramSecret::Verifier {
        salt: STANDARD.decode(salt).ok()?,
        iterations: iterations.parse().ok()?,
        stored_key: STANDARD.decode(stored).ok()?,
        server_key: STANDARD.decode(server).ok()?,
    })
}

/// Has the client prove who it is. `Ok(false)`: it went away.
pub async fn authenticate(
    wire: &mut Wire,
    user: &str,
    auth: Auth,
    tls: Option<&Tls>,
) -> Result<bool> {
    let Auth::Scram { verifier } = auth else { return Ok(true) };
    let failed = || {
        PgError::new(
            SqlState::INVALID_PASSWORD,
            format!("password authentication failed for user \"{user}\""),
        )
    };
    let known = verifier.as_deref().and_then(parse_verifier);
    let enters = known.is_some();
    // A user who cannot enter is asked all the same, with a salt of no meaning.
    let secret = known.or_else(|| parse_verifier(&make_verifier("")));
    let Some(secret) = secret else { return Err(failed()) };

    let mut server = ScramServerAuth::new();
    let mut offer = Vec::new();
    // A certificate whose signature pgwire does not know is not bound to.
    if let (Stream::Tls(_), Some(tls)) = (&wire.stream, tls)
        && server.configure_certificate(&tls.certificate).is_ok()
    {
        offer.extend(BOUND.as_bytes());
        offer.push(0);
    }
    offer.extend(MECHANISM.as_bytes());
    offer.extend([0, 0]);
    let Some(first) = ask(wire, 10, &offer).await? else { return Ok(false) };
    let mut body = Body::new(&first);
    let chosen = body.str()?;
    let binds = chosen == BOUND && server.supports_channel_binding();
    if chosen != MECHANISM && !binds {
        return Err(violation("client selected an invalid SASL authentication mechanism"));
    }
    let len = usize::try_from(body.i32()?).map_err(|_| violation("malformed SCRAM message"))?;
    let client_first = body.take(len)?;
    body.end()?;
    if client_first.starts_with(b"p=") != binds {
        return Err(violation("malformed SCRAM message")
            .detail("The channel binding asked for does not fit the mechanism."));
    }
    let (server_first, waiting) = server
        .on_client_first_message_with_secret(client_first, secret)
        .map_err(|_| violation("malformed SCRAM message"))?;
    let Some(client_final) = ask(wire, 11, server_first.as_bytes()).await? else {
        return Ok(false);
    };
    let server_final = waiting.on_client_final_message(&client_final).map_err(|_| failed())?;
    if !enters {
        return Err(failed());
    }
    let mut out = BytesMut::new();
    encode::authentication(&mut out, 12, server_final.as_bytes());
    Ok(wire.stream.send(&out).await.is_ok())
}

/// Sends an Authentication request and reads the client's answer.
async fn ask(wire: &mut Wire, code: i32, data: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut out = BytesMut::new();
    encode::authentication(&mut out, code, data);
    if wire.stream.send(&out).await.is_err() {
        return Ok(None);
    }
    loop {
        if let Some((tag, range)) = wire.buffer.frame()? {
            if tag != b'p' {
                return Err(violation(format!("expected SASL response, got message type {tag}")));
            }
            let body = wire.buffer.get(range).to_vec();
            wire.buffer.settle();
            return Ok(Some(body));
        }
        // Nobody is known yet: no long messages.
        if wire.buffer.len() > 10_000 {
            return Err(violation("invalid message length"));
        }
        match wire.fill().await {
            Ok(Read::More) => {}
            Ok(Read::Closed | Read::Stopped) | Err(_) => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn verifiers_read_back() {
        let text = make_verifier("secret");
        assert!(text.starts_with("SCRAM-SHA-256$4096:"));
        assert!(parse_verifier(&text).is_some());
        assert!(parse_verifier("md5abc").is_none());
    }
}
