//! Listening, counting, cancelling, stopping.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::task::Context;
use std::time::Duration;

use futures::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;
use vicinity_types::{PgError, Result, SqlState};

use crate::backend::Service;
use crate::connection;
use crate::cores::{Cores, Seat, Threads};

/// Every limit of the wire (invariant bounded).
#[derive(Clone, Debug)]
pub struct Limits {
    /// Sessions at a time; one more is refused with 53300.
    pub connections: usize,
    /// The longest message, in bytes.
    pub message: usize,
    /// Named prepared statements of a session.
    pub statements: usize,
    /// A client must be in by then.
    pub authentication_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 100,
            message: 256 << 20,
            statements: 10_000,
            authentication_timeout: Duration::from_secs(60),
        }
    }
}

/// Tells one connection's task that the server stops. Costs nothing while it does not: the
/// task's waker is registered once.
#[derive(Default)]
pub struct Stop {
    set: AtomicBool,
    registered: AtomicBool,
    waker: AtomicWaker,
}

impl Stop {
    /// Whether it is set; if not, the task is woken when it will be.
    pub fn is_set_or_register(&self, cx: &Context<'_>) -> bool {
        if !self.registered.swap(true, Ordering::Relaxed) {
            self.waker.register(cx.waker());
        }
        self.set.load(Ordering::Acquire)
    }

    /// The task is about to go on as another one.
    pub(crate) fn forget(&self) {
        self.registered.store(false, Ordering::Relaxed);
    }

    pub(crate) fn stop(&self) {
        self.set.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// What the server shows of itself inside TLS.
pub struct Tls {
    /// Makes the connections.
    pub acceptor: TlsAcceptor,
    /// The certificate chain (PEM): clients bind their proof to its first one.
    pub certificate: Vec<u8>,
}

struct Entry {
    secret: i32,
    cancel: Arc<AtomicBool>,
    /// The session is to end.
    end: Arc<AtomicBool>,
}

/// A session's place among the counted ones; freed when dropped.
pub struct Place {
    /// The session's process id.
    pub pid: i32,
    /// What a cancel request must know.
    pub secret: i32,
    /// Set by one.
    pub cancel: Arc<AtomicBool>,
    book: Arc<Book>,
}

impl Place {
    /// The session has flags of its own: one that cancel requests set, one that the server's end does.
    pub(crate) fn cancel_by(&self, cancel: Arc<AtomicBool>, end: Arc<AtomicBool>) {
        if let Some(entry) = self.book.sessions.lock().get_mut(&self.pid) {
            entry.cancel = cancel;
            entry.end = end;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.book.sessions.lock().remove(&self.pid);
    }
}

#[derive(Default)]
struct Book {
    sessions: Mutex<HashMap<i32, Entry>>,
}

/// What all connections share.
pub struct Shared<S: Service> {
    /// Makes sessions.
    pub service: Arc<S>,
    /// Limits.
    pub limits: Arc<Limits>,
    /// TLS, if there is any.
    pub tls: Option<Tls>,
    cores: Cores,
    book: Arc<Book>,
    next_pid: AtomicI32,
    stops: Mutex<HashMap<usize, Arc<Stop>>>,
    stopping: AtomicBool,
    open: AtomicUsize,
    empty: Notify,
}

/// A connection among those the server waits for when it stops; it is gone when this is dropped.
pub(crate) struct Guest<S: Service> {
    pub(crate) shared: Arc<Shared<S>>,
    /// Tells it to end.
    pub(crate) stop: Arc<Stop>,
}

impl<S: Service> Drop for Guest<S> {
    fn drop(&mut self) {
        self.shared.stops.lock().remove(&(Arc::as_ptr(&self.stop) as usize));
        if self.shared.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.empty.notify_waiters();
        }
    }
}

impl<S: Service> Shared<S> {
    /// One more connection is there.
    fn guest(self: &Arc<Self>) -> Guest<S> {
        let stop = Arc::new(Stop::default());
        self.open.fetch_add(1, Ordering::AcqRel);
        self.stops.lock().insert(Arc::as_ptr(&stop) as usize, Arc::clone(&stop));
        if self.stopping.load(Ordering::Acquire) {
            stop.stop();
        }
        Guest { shared: Arc::clone(self), stop }
    }

    /// Gives a socket to the thread of its seat, and goes on with it there.
    pub(crate) fn hand_over<F: Future<Output = ()> + Send + 'static>(
        &self,
        tcp: TcpStream,
        seat: Seat,
        then: impl FnOnce(TcpStream, Seat) -> F + Send + 'static,
    ) {
        let Some(thread) = self.cores.thread(&seat) else { return };
        let failed = |e: io::Error| tracing::warn!("a socket could not change threads: {e}");
        let tcp = match tcp.into_std() {
            Ok(tcp) => tcp,
            Err(e) => return failed(e),
        };
        thread.spawn(async move {
            match TcpStream::from_std(tcp) {
                Ok(tcp) => then(tcp, seat).await,
                Err(e) => failed(e),
            }
        });
    }

    /// A place for one more session.
    pub(crate) fn place(&self) -> Result<Place> {
        let mut sessions = self.book.sessions.lock();
        if sessions.len() >= self.limits.connections {
            return Err(PgError::new(
                SqlState::TOO_MANY_CONNECTIONS,
                "sorry, too many clients already",
            ));
        }
        let pid = loop {
            let pid = self.next_pid.fetch_add(1, Ordering::Relaxed) & i32::MAX;
            if pid != 0 && !sessions.contains_key(&pid) {
                break pid;
            }
        };
        let (secret, cancel) = (rand::random(), Arc::new(AtomicBool::new(false)));
        sessions.insert(pid, Entry { secret, cancel: Arc::clone(&cancel), end: Arc::default() });
        Ok(Place { pid, secret, cancel, book: Arc::clone(&self.book) })
    }

    /// A cancel request; says nothing to who asks.
    pub(crate) fn cancel(&self, pid: i32, secret: i32) {
        match self.book.sessions.lock().get(&pid) {
            Some(entry) if entry.secret == secret => entry.cancel.store(true, Ordering::Relaxed),
            Some(_) => tracing::info!("wrong key in cancel request for process {pid}"),
            None => tracing::info!("PID {pid} in cancel request did not match any process"),
        }
    }
}

/// A bound server that does not accept yet.
pub struct Server<S: Service> {
    listeners: Vec<TcpListener>,
    shared: Arc<Shared<S>>,
}

impl<S: Service> Server<S> {
    /// Binds every address, and starts the threads that will serve.
    pub async fn bind(
        addresses: &[SocketAddr],
        service: Arc<S>,
        limits: Limits,
        tls: Option<Tls>,
        threads: &Threads,
    ) -> io::Result<Self> {
        let mut listeners = Vec::new();
        for address in addresses {
            listeners.push(TcpListener::bind(address).await?);
        }
        let shared = Arc::new(Shared {
            service,
            limits: Arc::new(limits),
            tls,
            cores: Cores::start(threads)?,
            book: Arc::default(),
            next_pid: AtomicI32::new(1),
            stops: Mutex::default(),
            stopping: AtomicBool::new(false),
            open: AtomicUsize::new(0),
            empty: Notify::new(),
        });
        Ok(Server { listeners, shared })
    }

    /// Begins to accept.
    pub fn start(self) -> io::Result<ServerHandle<S>> {
        let (quit, _) = watch::channel(false);
        let mut addresses = Vec::new();
        for listener in self.listeners {
            addresses.push(listener.local_addr()?);
            tokio::spawn(accept(listener, Arc::clone(&self.shared), quit.subscribe()));
        }
        Ok(ServerHandle { addresses, shared: self.shared, quit })
    }
}

async fn accept<S: Service>(
    listener: TcpListener,
    shared: Arc<Shared<S>>,
    mut quit: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            a = listener.accept() => a,
            _ = quit.changed() => return,
        };
        match accepted {
            Ok((tcp, peer)) => {
                if let Err(e) = prepare(&tcp, peer) {
                    tracing::debug!("socket options: {e}");
                }
                if let Some(seat) = shared.cores.seat() {
                    let guest = shared.guest();
                    shared.hand_over(tcp, seat, move |tcp, seat| {
                        connection::serve(tcp, peer, guest, seat)
                    });
                }
            }
            Err(e) => {
                // Out of descriptors, most likely: some will come back.
                tracing::warn!("accept: {e}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn prepare(tcp: &TcpStream, peer: SocketAddr) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let socket = socket2::SockRef::from(tcp);
    #[cfg(target_os = "linux")]
    if peer.ip().is_loopback() {
        // No path to probe: pacing (BBR) only costs a timer per answer.
        let _ = socket.set_tcp_congestion(b"reno");
    }
    let keepalive = socket2::TcpKeepalive::new().with_time(Duration::from_secs(300));
    socket.set_tcp_keepalive(&keepalive)
}

/// A running server.
pub struct ServerHandle<S: Service> {
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared<S>>,
    quit: watch::Sender<bool>,
}

impl<S: Service> ServerHandle<S> {
    /// Where it listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Sessions that are connected now.
    pub fn sessions(&self) -> usize {
        self.shared.book.sessions.lock().len()
    }

    /// Stops: no new connections, running statements are cancelled, idle sessions told. Waits
    /// until all have gone, at most `patience`.
    pub async fn stop(&self, patience: Duration) {
        let _ = self.quit.send(true);
        self.shared.stopping.store(true, Ordering::Release);
        for entry in self.shared.book.sessions.lock().values() {
            entry.end.store(true, Ordering::Relaxed);
        }
        for stop in self.shared.stops.lock().values() {
            stop.stop();
        }
        let gone = async {
            loop {
                let empty = self.shared.empty.notified();
                tokio::pin!(empty);
                empty.as_mut().enable();
                if self.shared.open.load(Ordering::Acquire) == 0 {
                    return;
                }
                empty.await;
            }
        };
        if tokio::time::timeout(patience, gone).await.is_err() {
            tracing::warn!("sessions still running at shutdown");
        }
    }
}
