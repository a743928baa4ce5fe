//! First packets: encryption and cancel requests, versions, refusals.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use vicinity_sql_tests::TestServer;
use vicinity_sql_tests::raw::{Raw, cstr, packet, query, startup, tags};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_begins_with_its_parameters_and_a_key() {
    let server = TestServer::start().await;
    let (_, said) = Raw::start(server.address()).await;
    let tags = tags(&said);
    assert!(tags.starts_with('R') && tags.ends_with("KZ"), "{tags}");
    let parameters: Vec<_> =
        said.iter().filter(|m| m.tag == b'S').map(|m| m.body.clone()).collect();
    let has = |name: &str, value: &str| {
        let prefix = [cstr(name), value.as_bytes().to_vec()].concat();
        assert!(parameters.iter().any(|p| p.starts_with(&prefix)), "{name}");
    };
    has("server_version", "15.");
    has("client_encoding", "UTF8");
    has("DateStyle", "ISO");
    has("integer_datetimes", "on");
    has("standard_conforming_strings", "on");
    has("TimeZone", "");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn encryption_is_declined_and_the_session_goes_on() {
    let server = TestServer::start().await;
    let mut raw = Raw::open(server.address()).await;
    raw.send(&packet(80_877_104, &[])).await;
    assert_eq!(raw.byte().await, b'N');
    raw.send(&packet(80_877_103, &[])).await;
    assert_eq!(raw.byte().await, b'N');
    let said = raw.ask(&startup(&[("user", "postgres"), ("database", "postgres")])).await;
    assert_eq!(said[0].tag, b'R');
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_minor_versions_are_negotiated() {
    let server = TestServer::start().await;
    let mut raw = Raw::open(server.address()).await;
    let body = [cstr("user"), cstr("postgres"), cstr("_pq_.x"), cstr("1"), vec![0]].concat();
    let said = raw.ask(&packet(196_608 + 2, &body)).await;
    assert_eq!(said[0].tag, b'v');
    assert_eq!(said[0].body, [vec![0, 0, 0, 0, 0, 0, 0, 1], cstr("_pq_.x")].concat());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_first_packets_are_refused_with_a_fatal_error() {
    let server = TestServer::start().await;
    let cases: [(Vec<u8>, &str); 8] = [
        (packet(131_072, &[0]), "FATAL 0A000: unsupported frontend protocol 2.0"),
        (packet(196_608, &[0]), "FATAL 28000: no PostgreSQL user name"),
        (startup(&[("user", "nobody")]), "FATAL 28000: role \"nobody\" does not exist"),
        (
            startup(&[("user", "postgres"), ("database", "elsewhere")]),
            "FATAL 3D000: database \"elsewhere\" does not exist",
        ),
        (vec![0, 0, 0, 3, 0, 0, 0, 0], "FATAL 08P01: invalid length of startup packet"),
        (vec![0xff; 16], "FATAL 08P01: invalid length of startup packet"),
        (packet(196_608, b"user\0postgres"), "FATAL 08P01: invalid startup packet layout"),
        (
            startup(&[("user", "postgres"), ("database", "postgres"), ("no_such_thing", "1")]),
            "FATAL 42704: unrecognized configuration parameter \"no_such_thing\"",
        ),
    ];
    for (bytes, want) in cases {
        let mut raw = Raw::open(server.address()).await;
        raw.send(&bytes).await;
        let said = raw.rest().await;
        let last = said.last().map(|m| m.error()).unwrap_or_default();
        assert!(last.starts_with(want), "{last:?} is not {want:?}");
    }
    let (mut raw, _) = Raw::start(server.address()).await;
    assert_eq!(tags(&raw.ask(&query("")).await), "IZ");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_says_so() {
    let server = TestServer::start().await;
    let (mut raw, _) = Raw::start(server.address()).await;
    let (stopped, said) = tokio::join!(server.stop(), raw.rest());
    let () = stopped;
    assert!(said[0].error().starts_with("FATAL 57P01"), "{said:?}");
}
