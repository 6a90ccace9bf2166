//! The acceptor: one thread that takes connections and deals them round.
//!
//! Owns the listeners, the limits at the door (connections at once, new ones
//! of one address) and the answer to running out of descriptors. Reads
//! nothing: what a connection says is its worker's business.
//!
//! # Out of descriptors
//! An edge is told once. When `accept` fails with EMFILE or ENFILE the
//! backlog would be forgotten, and the peers would wait for nothing. So a
//! spare descriptor is kept: it is closed, one connection is accepted and
//! dropped (its peer learns at once), the spare is opened again; and a timer
//! tries again, with the pause doubling up to a second.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hongyan_protocol::{ErrorCode, version};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use rustix::io::Errno;
use socket2::{SockRef, Socket};

use super::addresses::{Addresses, Each, Speaks, named};
use super::connection::goodbye;
use super::jitter::Jitter;
use super::post::{Incoming, Post};
use super::transport::websocket;
use crate::config::LimitsConfig;
use crate::shared::Shared;

/// The listeners have the numbers below.
const STOP: Token = Token(Speaks::ALL.len());
/// Connections taken of one listener before the other has its turn.
const ACCEPTS_PER_TURN: usize = 256;
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Whoever is turned away is asked to stay away for so long, and up to as
/// long again.
const FULL_PAUSE_MS: u32 = 10_000;
const ADDRESS_PAUSE_MS: u32 = 2_000;
/// The kernel gives up on a peer that acknowledges nothing for so long.
const USER_TIMEOUT: Duration = Duration::from_secs(30);
/// Connections that wait in the kernel for `accept`.
const BACKLOG: i32 = 4_096;

/// Ends the acceptor.
pub(crate) struct AcceptorStop {
    stop: Arc<AtomicBool>,
    waker: Waker,
}

impl AcceptorStop {
    /// Closes the listeners; connections stay.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        // The poll also ends by itself within a second.
        let _ = self.waker.wake();
    }
}

/// See the module.
pub(crate) struct Acceptor {
    poll: Poll,
    listeners: Each<Option<TcpListener>>,
    stop: Arc<AtomicBool>,
    spare: Option<File>,
    doors: Doors,
    jitter: Jitter,
    next_worker: usize,
}

/// Where the listeners are.
pub(crate) type Bound = Each<Option<SocketAddr>>;

impl Acceptor {
    /// Listens where the addresses are.
    ///
    /// # Errors
    /// When an address is in use after all; the text names it.
    pub(crate) fn listen(addresses: Addresses) -> io::Result<(Self, AcceptorStop, Bound)> {
        let poll = Poll::new()?;
        let mut listeners: Each<Option<TcpListener>> = Default::default();
        let mut bound = Bound::default();
        for (index, socket) in addresses.0.into_iter().enumerate() {
            let Some(mut listener) = socket.map(listen).transpose()? else { continue };
            bound[index] = Some(listener.local_addr()?);
            poll.registry().register(&mut listener, Token(index), Interest::READABLE)?;
            listeners[index] = Some(listener);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let handle = AcceptorStop { stop: stop.clone(), waker: Waker::new(poll.registry(), STOP)? };
        let spare = spare();
        let (doors, jitter) = (Doors::default(), Jitter::new());
        Ok((Self { poll, listeners, stop, spare, doors, jitter, next_worker: 0 }, handle, bound))
    }

    /// Accepts until stopped.
    pub(crate) fn run(mut self, shared: &Shared) {
        let mut events = Events::with_capacity(8);
        let mut pause: Option<Duration> = None;
        // Connections may have come between bind and now: their edge is told
        // by the first poll. After that, `more` remembers what was left.
        let mut more = false;
        while !self.stop.load(Ordering::Acquire) {
            let timeout = match (more, pause) {
                (_, Some(pause)) => pause,
                (true, None) => Duration::ZERO,
                (false, None) => Duration::from_secs(1),
            };
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() != ErrorKind::Interrupted => {
                    shared.fail(&format!("poll of the acceptor: {error}"), 74);
                    return;
                }
                _ => {}
            }
            if let Some(pause) = pause
                && timeout == pause
                && events.is_empty()
            {
                tracing::debug!(?pause, "trying to accept again");
            }
            let exhausted;
            (more, exhausted) = self.accept_all(shared);
            pause = exhausted.then(|| pause.map_or(PAUSE_MIN, |pause| (pause * 2).min(PAUSE_MAX)));
        }
    }

    /// Takes what waits: whether more is left, and whether descriptors ran
    /// out.
    fn accept_all(&mut self, shared: &Shared) -> (bool, bool) {
        let mut more = false;
        for (index, speaks) in Speaks::ALL.into_iter().enumerate() {
            for turn in 0.. {
                let Some(listener) = &self.listeners[index] else { break };
                if turn == ACCEPTS_PER_TURN {
                    more = true;
                    break;
                }
                match listener.accept() {
                    Ok((socket, from)) => self.admit(shared, socket, from.ip(), speaks),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => match Errno::from_io_error(&error) {
                        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                            tracing::warn!(%error, "no connection can be accepted");
                            shared.metrics.accept_exhausted.add(1);
                            self.shed(index);
                            return (true, true);
                        }
                        // The peer went away before its turn, and the like.
                        _ => tracing::debug!(%error, "accept"),
                    },
                }
            }
        }
        (more, false)
    }

    /// Uses the spare descriptor to turn one peer away.
    fn shed(&mut self, index: usize) {
        self.spare = None;
        if let Some(listener) = &self.listeners[index] {
            drop(listener.accept());
        }
        self.spare = spare();
    }

    fn admit(&mut self, shared: &Shared, mut socket: TcpStream, ip: IpAddr, speaks: Speaks) {
        let ip = ip.to_canonical();
        if !self.doors.admit(ip, &shared.limits, Instant::now()) {
            shared.metrics.accept_rate_limited.add(1);
            let message = "too many connections of this address in too short a time";
            self.turn_away(&mut socket, speaks, message, ADDRESS_PAUSE_MS);
            return;
        }
        let open = shared.connections.fetch_add(1, Ordering::Relaxed);
        if open >= shared.limits.connections_max {
            shared.connections.fetch_sub(1, Ordering::Relaxed);
            shared.metrics.accept_full.add(1);
            let message = "the server has as many connections as it can hold";
            self.turn_away(&mut socket, speaks, message, FULL_PAUSE_MS);
            return;
        }
        tune(&socket);
        // Round, but past workers whose mailbox is full.
        let mut post = Post::Incoming(Incoming { socket, ip, speaks });
        for _ in 0..shared.mailboxes.len() {
            let mailbox = &shared.mailboxes[self.next_worker % shared.mailboxes.len()];
            self.next_worker = self.next_worker.wrapping_add(1);
            match mailbox.try_send(post) {
                Ok(()) => {
                    mailbox.ring();
                    return;
                }
                Err(back) => post = back,
            }
        }
        shared.connections.fetch_sub(1, Ordering::Relaxed);
        shared.metrics.accept_full.add(1);
    }

    /// A Goodbye on a best-effort basis: a fresh socket's buffer has room for
    /// it. Where TLS is spoken nothing can be said before a handshake.
    fn turn_away(&mut self, socket: &mut TcpStream, speaks: Speaks, message: &str, pause_ms: u32) {
        let after_ms = self.jitter.spread(pause_ms);
        let bytes = match speaks {
            Speaks::Tls | Speaks::Wss => return,
            Speaks::Ws => websocket::busy(message, after_ms).to_vec(),
            Speaks::Tcp => {
                let mut bytes =
                    version::preface(version::VERSION_MIN, version::VERSION_MAX).to_vec();
                bytes.extend_from_slice(&goodbye(ErrorCode::TooManyConnections, message, after_ms));
                bytes
            }
        };
        let _ = socket.write(&bytes);
        let _ = socket.shutdown(std::net::Shutdown::Write);
    }
}

/// Lets peers in at a socket that has its address.
fn listen(socket: Socket) -> io::Result<TcpListener> {
    socket.listen(BACKLOG).map_err(|error| named(&socket, error))?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Options that make a connection better; it works without them too.
fn tune(socket: &TcpStream) {
    let _ = socket.set_nodelay(true);
    let _ = SockRef::from(socket).set_tcp_user_timeout(Some(USER_TIMEOUT));
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

/// New connections of each address: one token bucket each.
#[derive(Default)]
struct Doors {
    buckets: HashMap<IpAddr, Bucket>,
}

struct Bucket {
    tokens: f64,
    seen: Instant,
}

/// Addresses remembered; above it those that have not come for a while are
/// forgotten, and then all.
const ADDRESSES_MAX: usize = 65_536;

impl Doors {
    fn admit(&mut self, ip: IpAddr, limits: &LimitsConfig, now: Instant) -> bool {
        if ip.is_loopback() && !limits.limit_loopback {
            return true;
        }
        let burst = f64::from(limits.address_burst);
        let rate = f64::from(limits.address_rate);
        if self.buckets.len() >= ADDRESSES_MAX {
            let full_after = burst / rate;
            self.buckets
                .retain(|_, bucket| now.duration_since(bucket.seen).as_secs_f64() < full_after);
            if self.buckets.len() >= ADDRESSES_MAX {
                self.buckets.clear();
            }
        }
        // The hasher is seeded at random: peers choose their addresses.
        let bucket = self.buckets.entry(ip).or_insert(Bucket { tokens: burst, seen: now });
        let since = now.duration_since(bucket.seen).as_secs_f64();
        bucket.tokens = (bucket.tokens + since * rate).min(burst);
        bucket.seen = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, RawConfig};

    fn limits(limit_loopback: bool) -> LimitsConfig {
        let mut raw = RawConfig::default();
        raw.limits.address_connections_burst = 3;
        raw.limits.address_connections_per_second = 2;
        raw.limits.limit_loopback = limit_loopback;
        Config::check(&raw).unwrap().limits
    }

    #[test]
    fn an_address_has_a_burst_and_then_a_rate() {
        let mut doors = Doors::default();
        let limits = limits(true);
        let start = Instant::now();
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let admitted = (0..5).filter(|_| doors.admit(ip, &limits, start)).count();
        assert_eq!(admitted, 3);
        assert!(doors.admit("192.0.2.2".parse().unwrap(), &limits, start));
        let later = start + Duration::from_secs(1);
        let admitted = (0..5).filter(|_| doors.admit(ip, &limits, later)).count();
        assert_eq!(admitted, 2);
    }

    #[test]
    fn this_machine_is_let_in_unless_told_otherwise() {
        let now = Instant::now();
        let ip = IpAddr::from([127, 0, 0, 1]);
        let count = |limits: LimitsConfig| {
            let mut doors = Doors::default();
            (0..10).filter(|_| doors.admit(ip, &limits, now)).count()
        };
        assert_eq!(count(limits(false)), 10);
        assert_eq!(count(limits(true)), 3);
    }

    #[test]
    fn addresses_do_not_pile_up() {
        let mut doors = Doors::default();
        let limits = limits(false);
        let now = Instant::now();
        for number in 0..70_000_u32 {
            doors.admit(IpAddr::from(number.to_be_bytes()), &limits, now);
        }
        assert!(doors.buckets.len() <= ADDRESSES_MAX);
    }
}
