//! The asynchronous half of a connection: reads, writes, waits, and blocking threads.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use vicinity_types::{PgError, Result, SqlState};

use crate::backend::{Backend, Service, Session, Wake};
use crate::copy::{self, Feed};
use crate::cores::{Habit, Seat};
use crate::protocol::{Chunk, Job, Protocol, Sink, Step, durable};
use crate::read::ReadBuffer;
use crate::server::{Guest, Place, Shared};
use crate::startup::{self, Opening, Startup};
use crate::stream::{Read, Stream, Wire};
use crate::turns::Pace;
use crate::{auth, encode};

/// `out` is written early when it holds that much.
const HIGH_WATER: usize = 64 << 10;
/// A larger empty `out` is given back.
const KEEP: usize = 256 << 10;
/// A statement that nobody waits for is told to end that often.
const REMIND: Duration = Duration::from_millis(100);
/// A connection looks after its own kind after so many reads.
const LOOK: u32 = 64;
/// A connection takes the time of its statements so often.
const TIME: u32 = 8;
/// CPUs beyond are not told apart.
const CPUS: usize = 4096;
/// Read ahead no further than this while a statement runs.
const READ_AHEAD: usize = 64 << 10;

/// Serves one client until it leaves.
pub(crate) async fn serve<S: Service>(
    tcp: TcpStream,
    peer: SocketAddr,
    guest: Guest<S>,
    seat: Seat,
) {
    let shared = &guest.shared;
    let wire = Wire {
        stream: Stream::Plain(tcp),
        buffer: ReadBuffer::new(shared.limits.message),
        stop: Arc::clone(&guest.stop),
    };
    let opened = tokio::time::timeout(
        shared.limits.authentication_timeout,
        begin(wire, peer, Arc::clone(shared)),
    )
    .await;
    if let Ok(Some((wire, protocol, place))) = opened {
        let (protocol, pace) = (Some(protocol), Pace::default());
        Connection { wire, protocol, place, seat, pace, reads: 0, waits: 0, guest }.live().await;
    }
}

type Begun<B> = (Wire, Box<Protocol<B>>, Place);

/// Startup: up to the first ReadyForQuery.
async fn begin<S: Service>(
    wire: Wire,
    peer: SocketAddr,
    shared: Arc<Shared<S>>,
) -> Option<Begun<S::Backend>> {
    let (mut wire, opening) = startup::open(wire, shared.tls.as_ref().map(|t| &t.acceptor)).await;
    let begun = match opening {
        Ok(Opening::Start(startup)) => admit(&mut wire, startup, peer, &shared).await,
        Ok(Opening::Cancel { pid, secret }) => {
            shared.cancel(pid, secret);
            return None;
        }
        Ok(Opening::Gone) => return None,
        Err(e) => Err(e),
    };
    match begun {
        Ok(Some((protocol, place))) => Some((wire, protocol, place)),
        Ok(None) => None,
        Err(error) => {
            let mut out = BytesMut::new();
            encode::report(&mut out, b'E', "FATAL", error.report());
            let _ = wire.stream.send(&out).await;
            wire.stream.close().await;
            None
        }
    }
}

async fn admit<S: Service>(
    wire: &mut Wire,
    startup: Startup,
    peer: SocketAddr,
    shared: &Arc<Shared<S>>,
) -> Result<Option<(Box<Protocol<S::Backend>>, Place)>> {
    let mut out = BytesMut::new();
    startup::negotiate(&startup, &mut out);
    if !out.is_empty() && wire.stream.send(&out).await.is_err() {
        return Ok(None);
    }
    let place = shared.place()?;
    let how = shared.service.auth(&startup, peer)?;
    if !auth::authenticate(wire, &startup.user, how, shared.tls.as_ref()).await? {
        return Ok(None);
    }
    let stop = Arc::clone(&wire.stop);
    let session = Session {
        startup,
        pid: place.pid,
        peer,
        cancel: Arc::clone(&place.cancel),
        wake: Wake(Arc::new(move || stop.stop())),
    };
    let (service, limits) = (Arc::clone(&shared.service), Arc::clone(&shared.limits));
    let backend = catch_unwind(AssertUnwindSafe(|| service.connect(session)))
        .unwrap_or_else(|_| Err(PgError::internal("the session could not be started")))?;
    place.cancel_by(backend.cancel_flag(), backend.end_flag());
    let mut protocol = Box::new(Protocol::new(backend, limits));
    let out = &mut protocol.out;
    encode::authentication(out, 0, &[]);
    let mut first = BytesMut::new();
    for (name, value) in protocol.backend().parameters() {
        encode::parameter_status(&mut first, &name, &value);
    }
    encode::backend_key(&mut first, place.pid, place.secret);
    encode::ready(&mut first, b'I');
    protocol.out.extend_from_slice(&first);
    if wire.send(&protocol.out).await.is_err() {
        return Ok(None);
    }
    protocol.out.clear();
    Ok(Some((protocol, place)))
}

struct Connection<S: Service> {
    wire: Wire,
    /// Away only while a blocking thread has it.
    protocol: Option<Box<Protocol<S::Backend>>>,
    place: Place,
    seat: Seat,
    pace: Pace,
    reads: u32,
    /// How many of the last reads' answers waited for the log.
    waits: u32,
    guest: Guest<S>,
}

/// Why the loop ends.
enum End {
    /// It does not.
    No,
    /// Everything is said.
    Yes,
    /// It goes on with another thread.
    Moves,
}

impl<S: Service> Connection<S> {
    /// Serves the client on this thread, and on those it changes to.
    fn live(mut self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            match self.run().await {
                End::Moves => self.change_threads(),
                End::No | End::Yes => self.close().await,
            }
        })
    }

    async fn close(self) {
        let Connection { mut wire, protocol, place, seat, guest, .. } = self;
        wire.stream.close().await;
        drop((place, seat));
        // Rolling back and dropping temporary tables may take a while.
        if let Some(protocol) = protocol {
            let _ = tokio::task::spawn_blocking(move || drop(protocol)).await;
        }
        drop(guest);
    }

    /// Goes on with the thread of its seat.
    fn change_threads(self) {
        let Connection { wire, protocol, place, seat, pace, reads, waits, guest } = self;
        let Wire { stream: Stream::Plain(tcp), buffer, stop } = wire else { return };
        stop.forget();
        let cores = Arc::clone(&guest.shared);
        cores.hand_over(tcp, seat, move |tcp, seat| {
            let wire = Wire { stream: Stream::Plain(tcp), buffer, stop };
            Connection { wire, protocol, place, seat, pace, reads, waits, guest }.live()
        });
    }

    /// Whether its own kind is better served by another thread (see [`Seat::look`]).
    fn moves(&mut self) -> bool {
        self.reads = self.reads.wrapping_add(1);
        if !self.reads.is_multiple_of(LOOK) {
            return false;
        }
        let commits = std::mem::take(&mut self.waits) >= LOOK / 4;
        let Stream::Plain(tcp) = &self.wire.stream else { return false };
        if !self.wire.buffer.is_empty() {
            return false;
        }
        self.seat.look(if commits {
            Habit::Commits(self.pace.time())
        } else {
            incoming_cpu(tcp).map_or(Habit::New, Habit::Heard)
        })
    }

    /// Waits for its turn with the thread, if there is something to do.
    async fn turn(&mut self) {
        if self.pace.is_long() && !self.wire.buffer.is_empty() {
            self.seat.turns().long().await;
        } else {
            self.seat.turns().short();
        }
    }

    async fn run(&mut self) -> End {
        loop {
            self.turn().await;
            match self.messages().await {
                Ok(End::No) if self.moves() => return End::Moves,
                Ok(End::No) => {}
                Ok(end) => return end,
                Err(_) => return End::Yes,
            }
            let limit = self.protocol.as_ref().and_then(|p| p.idle_limit());
            let read = match limit {
                None => self.wire.fill().await,
                Some((limit, error)) => match tokio::time::timeout(limit, self.wire.fill()).await {
                    Ok(read) => read,
                    Err(_) => return self.end(&error).await,
                },
            };
            match read {
                Ok(Read::More) => {}
                Ok(Read::Closed) | Err(_) => return End::Yes,
                Ok(Read::Stopped) => {
                    let error = PgError::new(
                        SqlState::ADMIN_SHUTDOWN,
                        "terminating connection due to administrator command",
                    );
                    return self.end(&error).await;
                }
            }
        }
    }

    /// Tells the client why it is the end.
    async fn end(&mut self, error: &PgError) -> End {
        if let Some(protocol) = &mut self.protocol {
            protocol.fatal(error);
        }
        let _ = self.flush().await;
        End::Yes
    }

    /// Handles every complete message in the read buffer, then writes the answers at once.
    async fn messages(&mut self) -> std::io::Result<End> {
        let mut due = false;
        let timed = self.pace.is_long() || self.reads.is_multiple_of(TIME);
        let mut began = timed.then(Instant::now);
        loop {
            let Some(protocol) = &mut self.protocol else { return Ok(End::Yes) };
            let (tag, body) = match self.wire.buffer.frame() {
                Ok(Some(found)) => found,
                Ok(None) => break,
                Err(error) => {
                    protocol.fatal(&error);
                    self.flush().await?;
                    return Ok(End::Yes);
                }
            };
            due |= matches!(tag, b'S' | b'Q' | b'H' | b'F');
            let bytes = self.wire.buffer.get(body);
            let mark = protocol.out.len();
            let step = catch_unwind(AssertUnwindSafe(|| protocol.on_message(tag, bytes)))
                .unwrap_or_else(|_| {
                    protocol.panicked(tag, mark);
                    Step::Next
                });
            match step {
                Step::Next => {
                    if protocol.is_over() {
                        self.flush().await?;
                        return Ok(End::Yes);
                    }
                    if protocol.out.len() > HIGH_WATER {
                        self.flush().await?;
                    }
                }
                Step::Block(job) => {
                    // Its time is no time of this thread's.
                    began = None;
                    if let End::Yes = self.block(tag, job).await? {
                        return Ok(End::Yes);
                    }
                }
                Step::Close => {
                    self.flush().await?;
                    return Ok(End::Yes);
                }
            }
        }
        if let Some(began) = began {
            self.pace.took(began.elapsed());
        }
        self.wire.buffer.settle();
        if due {
            self.flush().await?;
        }
        Ok(End::No)
    }

    /// Writes the buffer, once what it tells of is durable (invariant durable).
    async fn flush(&mut self) -> std::io::Result<()> {
        let Some(protocol) = &mut self.protocol else { return Ok(()) };
        if let Some(lsn) = protocol.take_barrier() {
            self.waits += 1;
            wait(durable(protocol.backend(), lsn)).await?;
        }
        if protocol.out.is_empty() {
            return Ok(());
        }
        self.wire.send(&protocol.out).await?;
        if protocol.out.capacity() > KEEP {
            protocol.out = BytesMut::with_capacity(8 << 10);
        } else {
            protocol.out.clear();
        }
        Ok(())
    }

    /// Runs a job on a blocking thread, writes what it sends meanwhile, and passes on what a COPY
    /// is sent. A client that goes away cancels its statement.
    async fn block(&mut self, tag: u8, job: Box<Job<S::Backend>>) -> std::io::Result<End> {
        let Some(mut protocol) = self.protocol.take() else { return Ok(End::Yes) };
        let (cancel, end) = (protocol.backend().cancel_flag(), protocol.backend().end_flag());
        let (sender, mut chunks) = mpsc::channel(4);
        let (back, mut returned) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            let sink = Sink(sender);
            let ran = catch_unwind(AssertUnwindSafe(|| protocol.do_job(*job, &sink)));
            if ran.is_err() {
                protocol.panicked(tag, 0);
            }
            drop(sink);
            let _ = back.send(protocol);
        });
        let (mut lost, mut stopped) = (false, false);
        let mut feed: Option<mpsc::Sender<Feed>> = None;
        let mut found: Option<Feed> = None;
        let mut open = true;
        loop {
            if feed.is_some() && found.is_none() {
                found = copy::take(&mut self.wire.buffer);
            }
            let ahead = feed.is_some() || self.wire.buffer.len() < READ_AHEAD;
            let event = tokio::select! {
                biased;
                chunk = chunks.recv(), if open => Next::Chunk(chunk),
                done = &mut returned => Next::Back(done.ok()),
                permit = reserve(feed.as_ref()), if found.is_some() => {
                    Next::Fed(match (permit, found.take()) {
                        (Some(permit), Some(found)) => {
                            let more = matches!(found, Feed::Data(_));
                            permit.send(found);
                            more
                        }
                        // The statement has had enough.
                        _ => false,
                    })
                }
                read = self.wire.fill(), if !lost && !stopped && ahead && found.is_none() => match read {
                    Ok(Read::More) => Next::Read,
                    // The statement ends first, then the session, which is told why.
                    Ok(Read::Stopped) => Next::Stopped,
                    _ => Next::Lost,
                },
                () = tokio::time::sleep(REMIND), if lost || stopped => Next::Remind,
            };
            match event {
                Next::Chunk(Some(chunk)) => {
                    if let Some(sender) = chunk.feed {
                        feed = Some(sender);
                    }
                    if let Some(done) = chunk.barrier
                        && !lost
                    {
                        wait(done).await?;
                    }
                    if !lost && self.wire.send(&chunk.bytes).await.is_err() {
                        (lost, feed) = (true, None);
                        cancel.store(true, Ordering::Relaxed);
                    }
                }
                Next::Chunk(None) => open = false,
                Next::Remind if stopped => end.store(true, Ordering::Relaxed),
                Next::Remind => cancel.store(true, Ordering::Relaxed),
                Next::Fed(more) => feed = feed.filter(|_| more),
                Next::Read => {}
                Next::Stopped => {
                    stopped = true;
                    end.store(true, Ordering::Relaxed);
                }
                Next::Lost => {
                    (lost, feed) = (true, None);
                    cancel.store(true, Ordering::Relaxed);
                }
                Next::Back(protocol) => {
                    self.protocol = protocol;
                    break;
                }
            }
        }
        // What it sent last may still be in the channel.
        while let Ok(chunk) = chunks.try_recv() {
            if lost {
                continue;
            }
            if let Some(done) = chunk.barrier {
                wait(done).await?;
            }
            self.wire.send(&chunk.bytes).await?;
        }
        let Some(protocol) = &mut self.protocol else { return Ok(End::Yes) };
        if protocol.is_over() && !lost {
            self.flush().await?;
            return Ok(End::Yes);
        }
        Ok(if lost { End::Yes } else { End::No })
    }
}

enum Next<B: Backend> {
    /// The job sent something; `None`: it will not again.
    Chunk(Option<Chunk>),
    /// The job is done.
    Back(Option<Box<Protocol<B>>>),
    /// COPY took what was found; whether it takes more.
    Fed(bool),
    /// More bytes came.
    Read,
    /// The session is to end.
    Stopped,
    /// The client went away.
    Lost,
    /// The statement that was to end still runs: a handler may have caught its cancelling.
    Remind,
}

/// Room for one more block; `None` if nobody takes any.
async fn reserve(feed: Option<&mpsc::Sender<Feed>>) -> Option<mpsc::Permit<'_, Feed>> {
    feed?.reserve().await.ok()
}

/// The CPU over which the client's last bytes came, where the system tells.
fn incoming_cpu(tcp: &TcpStream) -> Option<usize> {
    #[cfg(target_os = "linux")]
    return socket2::SockRef::from(tcp).cpu_affinity().ok().filter(|cpu| *cpu < CPUS);
    #[cfg(not(target_os = "linux"))]
    return None;
}

async fn wait(done: oneshot::Receiver<Result<(), PgError>>) -> std::io::Result<()> {
    match done.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(e)) => Err(std::io::Error::other(e)),
        Err(_) => Err(std::io::ErrorKind::BrokenPipe.into()),
    }
}
