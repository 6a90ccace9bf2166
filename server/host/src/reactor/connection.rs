//! One connection: its socket, what it is in the middle of, and when it must
//! have got on.
//!
//! ```text
//! Handshake ─TLS up─> Preface ─8 bytes─> Greeted ─SessionOpened─> Open
//!     \_______________\__________________\_______________________\
//!                                            Leaving ─flushed─> Lingering ─> gone
//! ```
//!
//! Owns the partial frame (a buffer only while a frame is partial), the
//! out-queue and the deadlines. Decides nothing about requests. *Leaving*
//! reads nothing and sends what is queued; *Lingering* has ended its own side
//! and throws away what still comes, because closing a socket with unread
//! bytes would reset it and lose the Goodbye on the way.
//!
//! Invariant: at most one of reading and leaving; `closed_told` is set
//! exactly once, when the rules are told that the connection is gone.

use bytes::{Bytes, BytesMut};
use hongyan_core::{ConnId, Peer};
use hongyan_protocol::limits::FRAME_BYTES_MAX_UNAUTHENTICATED;
use hongyan_protocol::{ErrorCode, Frame, FrameDecoder, Opcode, pb, version};

use super::outqueue::OutQueue;
use super::transport::Transport;
use crate::config::LimitsConfig;

/// Where a connection is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// TLS is not established.
    Handshake,
    /// The peer's preface is not whole.
    Preface,
    /// Frames come; there is no session.
    Greeted,
    /// There is a session.
    Open,
    /// A Goodbye is queued; nothing is read.
    Leaving,
    /// Our side has ended; what comes is thrown away.
    Lingering,
}

/// Which deadline passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overdue {
    /// TLS was not established in time.
    Handshake,
    /// No session in time.
    Login,
    /// Nothing heard in an open session.
    Idle,
    /// A frame was begun and not finished.
    Frame,
    /// The peer takes nothing.
    Stall,
    /// Waited long enough for the peer's end.
    Linger,
}

/// See the module. Times are milliseconds of the monotonic clock.
pub(crate) struct Connection {
    pub(crate) id: ConnId,
    pub(crate) transport: Transport,
    pub(crate) peer: Peer,
    pub(crate) stage: Stage,
    pub(crate) decoder: FrameDecoder,
    /// Bytes that are not frames yet.
    pub(crate) inbuf: BytesMut,
    pub(crate) out: OutQueue,
    /// When it was accepted.
    pub(crate) born_ms: u64,
    /// When something was last heard.
    pub(crate) heard_ms: u64,
    /// When the frame in `inbuf` began; zero: none has.
    pub(crate) frame_since_ms: u64,
    /// Since when the socket has taken nothing; zero: it does.
    pub(crate) stalled_since_ms: u64,
    /// When it began to leave or linger.
    pub(crate) left_ms: u64,
    /// The wheel's entry in force.
    pub(crate) timer_tick: u64,
    /// Requests for whole pages that are not answered yet; zero: free.
    pub(crate) bulk: [u64; BULK_MAX],
    /// Frames that were no protobuf.
    pub(crate) malformed: u8,
    /// Our preface was queued.
    pub(crate) prefaced: bool,
    /// The kernel may have bytes for us.
    pub(crate) readable: bool,
    /// An edge said that the peer has ended its side; its last bytes may have
    /// to be read first.
    pub(crate) ended: bool,
    /// In the worker's list of connections to read.
    pub(crate) in_ready: bool,
    /// In the worker's list of connections to flush.
    pub(crate) in_dirty: bool,
    /// The socket took no more; a writable edge clears it.
    pub(crate) write_blocked: bool,
    /// Not read from until the out-queue is below its soft limit.
    pub(crate) paused: bool,
    /// Pushes were dropped since the queue was last empty.
    pub(crate) behind: bool,
    /// The rules know of it.
    pub(crate) opened_told: bool,
    /// The rules know that it is gone.
    pub(crate) closed_told: bool,
}

/// Malformed frames that a connection may send before it is closed.
pub(crate) const MALFORMED_MAX: u8 = 16;
/// Requests for whole pages that may be under way at once; nothing more is
/// read until one of them is answered, so that the answers fit the out-queue.
pub(crate) const BULK_MAX: usize = 2;
/// How long a closing connection may linger.
const LINGER_MS: u64 = 1_000;

impl Connection {
    /// A connection as it was accepted.
    pub(crate) fn new(id: ConnId, transport: Transport, peer: Peer, now_ms: u64) -> Self {
        let stage = if transport.is_handshaking() { Stage::Handshake } else { Stage::Preface };
        Self {
            id,
            transport,
            peer,
            stage,
            decoder: FrameDecoder::new(FRAME_BYTES_MAX_UNAUTHENTICATED),
            inbuf: BytesMut::new(),
            out: OutQueue::default(),
            born_ms: now_ms,
            heard_ms: now_ms,
            frame_since_ms: 0,
            stalled_since_ms: 0,
            left_ms: 0,
            timer_tick: 0,
            bulk: [0; BULK_MAX],
            malformed: 0,
            prefaced: false,
            readable: false,
            ended: false,
            in_ready: false,
            in_dirty: false,
            write_blocked: false,
            paused: false,
            behind: false,
            opened_told: false,
            closed_told: false,
        }
    }

    /// Notes a request for a whole page.
    pub(crate) fn begin_bulk(&mut self, request: u64) {
        if let Some(slot) = self.bulk.iter_mut().find(|slot| **slot == 0) {
            *slot = request;
        }
    }

    /// Notes that `request` was answered.
    pub(crate) fn end_bulk(&mut self, request: u64) {
        if let Some(slot) = self.bulk.iter_mut().find(|slot| **slot == request) {
            *slot = 0;
        }
    }

    /// True while no frame may be taken: the out-queue is over `soft` bytes,
    /// or enough pages are on their way into it.
    pub(crate) fn is_full(&self, soft: usize) -> bool {
        self.out.bytes() > soft || self.bulk.iter().all(|request| *request != 0)
    }

    /// True while frames are taken from it.
    pub(crate) fn is_reading(&self) -> bool {
        self.stage < Stage::Leaving
    }

    /// Queues the server's preface with `version` in both places, or with the
    /// whole range when there is none in common.
    pub(crate) fn queue_preface(&mut self, version: Option<u8>) {
        if !self.prefaced {
            self.prefaced = true;
            let (lowest, highest) =
                version.map_or((version::VERSION_MIN, version::VERSION_MAX), |v| (v, v));
            self.out.push(Bytes::copy_from_slice(&version::preface(lowest, highest)));
        }
    }

    /// Queues `goodbye` as the last bytes and stops reading.
    pub(crate) fn leave(&mut self, goodbye: Bytes, now_ms: u64) {
        if self.stage >= Stage::Leaving {
            return;
        }
        if self.stage > Stage::Handshake {
            self.queue_preface(None);
            self.out.push(goodbye);
        }
        self.stage = Stage::Leaving;
        self.left_ms = now_ms;
        self.inbuf = BytesMut::new();
        self.frame_since_ms = 0;
    }

    /// The deadline that comes first.
    pub(crate) fn deadline(&self, limits: &LimitsConfig) -> (u64, Overdue) {
        let mut first = match self.stage {
            Stage::Handshake => (self.born_ms + limits.handshake_timeout_ms, Overdue::Handshake),
            Stage::Preface | Stage::Greeted => {
                (self.born_ms + limits.login_timeout_ms, Overdue::Login)
            }
            Stage::Open => (self.heard_ms + limits.idle_timeout_ms, Overdue::Idle),
            Stage::Leaving => (self.left_ms + limits.write_stall_ms, Overdue::Stall),
            Stage::Lingering => (self.left_ms + LINGER_MS, Overdue::Linger),
        };
        if self.frame_since_ms > 0 {
            first =
                first.min_by_time((self.frame_since_ms + limits.frame_timeout_ms, Overdue::Frame));
        }
        if self.stalled_since_ms > 0 && self.stage < Stage::Lingering {
            first =
                first.min_by_time((self.stalled_since_ms + limits.write_stall_ms, Overdue::Stall));
        }
        first
    }
}

trait EarlierOf {
    fn min_by_time(self, other: Self) -> Self;
}

impl EarlierOf for (u64, Overdue) {
    fn min_by_time(self, other: Self) -> Self {
        if other.0 < self.0 { other } else { self }
    }
}

/// A Goodbye, length and frame.
pub(crate) fn goodbye(code: ErrorCode, message: &str, reconnect_after_ms: u32) -> Bytes {
    let goodbye =
        pb::Goodbye { code: code.number(), message: message.to_owned(), reconnect_after_ms };
    Frame::new(Opcode::Goodbye, 0, &goodbye).to_delimited()
}

/// An error reply, length and frame.
pub(crate) fn error_reply(
    request: u64,
    code: ErrorCode,
    message: &str,
    retry_after_ms: u32,
) -> Bytes {
    let error = pb::Error { code: code.number(), message: message.to_owned(), retry_after_ms };
    Frame::error(request, &error).to_delimited()
}

const _: () = assert!(std::mem::size_of::<Connection>() <= 512);
