//! A socket, in the clear or inside TLS.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::read::ReadBuffer;
use crate::server::Stop;

/// The client's end.
pub enum Stream {
    /// In the clear.
    Plain(TcpStream),
    /// Inside TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Plain(s) => Pin::new(s).poll_read(cx, buf),
            Stream::Tls(s) => Pin::new(s).poll_read(cx, buf),
        }
    }

    /// Writes everything.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Plain(s) => s.write_all(bytes).await,
            Stream::Tls(s) => {
                s.write_all(bytes).await?;
                s.flush().await
            }
        }
    }

    /// Says goodbye properly; errors no longer matter.
    pub async fn close(&mut self) {
        let _ = match self {
            Stream::Plain(s) => s.shutdown().await,
            Stream::Tls(s) => s.shutdown().await,
        };
    }
}

/// How a read ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// More bytes are in the buffer.
    More,
    /// The client closed.
    Closed,
    /// The server is stopping.
    Stopped,
}

/// A stream with its read buffer.
pub struct Wire {
    /// The socket.
    pub stream: Stream,
    /// What came from it.
    pub buffer: ReadBuffer,
    /// Set when the server stops.
    pub stop: Arc<Stop>,
}

impl Wire {
    /// Writes everything. A client that takes nothing does not keep a session that is to end.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut writing = std::pin::pin!(self.stream.send(bytes));
        let stop = &self.stop;
        std::future::poll_fn(|cx| match writing.as_mut().poll(cx) {
            Poll::Pending if stop.is_set_or_register(cx) => {
                Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()))
            }
            polled => polled,
        })
        .await
    }

    /// Reads once. A stop is noticed only when there is nothing to read.
    pub async fn fill(&mut self) -> io::Result<Read> {
        std::future::poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// The same, inside a larger future.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Read>> {
        let mut buf = ReadBuf::new(self.buffer.room());
        match self.stream.poll_read(cx, &mut buf) {
            Poll::Ready(Ok(())) => {
                let n = buf.filled().len();
                self.buffer.filled(n);
                Poll::Ready(Ok(if n == 0 { Read::Closed } else { Read::More }))
            }
            Poll::Ready(Err(e)) => Poll::Ready(Err(e)),
            Poll::Pending if self.stop.is_set_or_register(cx) => Poll::Ready(Ok(Read::Stopped)),
            Poll::Pending => Poll::Pending,
        }
    }
}
