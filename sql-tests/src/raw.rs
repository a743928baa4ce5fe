//! A client that speaks in bytes, to say what no driver would.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A message of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its type.
    pub tag: u8,
    /// Its body.
    pub body: Vec<u8>,
}

impl Message {
    /// A field of an ErrorResponse or NoticeResponse.
    pub fn field(&self, kind: u8) -> Option<String> {
        self.body
            .split(|b| *b == 0)
            .find(|f| f.first() == Some(&kind))
            .map(|f| String::from_utf8_lossy(&f[1..]).into_owned())
    }

    /// `SEVERITY SQLSTATE: message` of an ErrorResponse.
    pub fn error(&self) -> String {
        let field = |k| self.field(k).unwrap_or_default();
        format!("{} {}: {}", field(b'S'), field(b'C'), field(b'M'))
    }
}

/// Puts type and length before a body.
pub fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    out.extend((body.len() as u32 + 4).to_be_bytes());
    out.extend(body);
    out
}

/// A zero-terminated string.
pub fn cstr(text: &str) -> Vec<u8> {
    let mut out = text.as_bytes().to_vec();
    out.push(0);
    out
}

/// Parse.
pub fn parse(name: &str, sql: &str) -> Vec<u8> {
    frame(b'P', &[cstr(name), cstr(sql), vec![0, 0]].concat())
}

/// Bind without parameters, results in text.
pub fn bind(portal: &str, statement: &str) -> Vec<u8> {
    frame(b'B', &[cstr(portal), cstr(statement), vec![0; 6]].concat())
}

/// Execute.
pub fn execute(portal: &str, rows: i32) -> Vec<u8> {
    frame(b'E', &[cstr(portal), rows.to_be_bytes().to_vec()].concat())
}

/// Query.
pub fn query(sql: &str) -> Vec<u8> {
    frame(b'Q', &cstr(sql))
}

/// Sync.
pub fn sync() -> Vec<u8> {
    frame(b'S', &[])
}

/// A startup packet of version 3.0.
pub fn startup(pairs: &[(&str, &str)]) -> Vec<u8> {
    packet(196_608, &{
        let mut body = Vec::new();
        for (name, value) in pairs {
            body.extend(cstr(name));
            body.extend(cstr(value));
        }
        body.push(0);
        body
    })
}

/// A packet without a type, as first ones are.
pub fn packet(code: i32, body: &[u8]) -> Vec<u8> {
    let mut out = (body.len() as u32 + 8).to_be_bytes().to_vec();
    out.extend(code.to_be_bytes());
    out.extend(body);
    out
}

/// The connection.
pub struct Raw {
    stream: TcpStream,
}

impl Raw {
    /// A socket, nothing sent yet.
    pub async fn open(address: SocketAddr) -> Raw {
        Raw { stream: TcpStream::connect(address).await.unwrap() }
    }

    /// A session of user postgres that is ready; with what the server said until then.
    pub async fn start(address: SocketAddr) -> (Raw, Vec<Message>) {
        let mut raw = Raw::open(address).await;
        raw.send(&startup(&[("user", "postgres"), ("database", "postgres")])).await;
        let said = raw.until(b'Z').await;
        (raw, said)
    }

    /// Sends bytes. The server may have hung up already: then nothing happens.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// One byte, as after an SSLRequest.
    pub async fn byte(&mut self) -> u8 {
        self.stream.read_u8().await.unwrap()
    }

    /// The next message; an error if the server hung up or says nothing for long.
    pub async fn next(&mut self) -> io::Result<Message> {
        let read = async {
            let tag = self.stream.read_u8().await?;
            let len = self.stream.read_u32().await?;
            let mut body = vec![0; len as usize - 4];
            self.stream.read_exact(&mut body).await?;
            Ok(Message { tag, body })
        };
        match tokio::time::timeout(Duration::from_secs(30), read).await {
            Ok(message) => message,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Everything up to a message of this type.
    pub async fn until(&mut self, tag: u8) -> Vec<Message> {
        let mut said = Vec::new();
        loop {
            let message = self.next().await.unwrap_or_else(|e| {
                panic!("{e} while waiting for {:?} after {said:?}", tag as char)
            });
            let last = message.tag == tag;
            said.push(message);
            if last {
                return said;
            }
        }
    }

    /// Everything until the server hangs up.
    pub async fn rest(&mut self) -> Vec<Message> {
        let mut said = Vec::new();
        while let Ok(message) = self.next().await {
            said.push(message);
        }
        said
    }

    /// Sends and reads up to ReadyForQuery.
    pub async fn ask(&mut self, bytes: &[u8]) -> Vec<Message> {
        self.send(bytes).await;
        self.until(b'Z').await
    }
}

/// The types of messages, as a string.
pub fn tags(messages: &[Message]) -> String {
    messages.iter().map(|m| m.tag as char).collect()
}
