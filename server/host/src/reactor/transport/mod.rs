//! Bytes in, bytes out: what a connection speaks, behind one type.
//!
//! ```text
//!            frames with their lengths (as on TCP)
//! upper      nothing | WebSocket (messages, close codes, JSON)
//! lower      plain TCP | TLS
//!            socket
//! ```
//! The layers are sans-IO but for the lower one. Above, nobody knows which
//! are there: what is read and what is queued has the form of TCP, the
//! preface included. The whole value moves when a connection changes its
//! worker.

mod stream;
#[cfg(feature = "websocket")]
pub(crate) mod websocket;
#[cfg(not(feature = "websocket"))]
#[path = "without_websocket.rs"]
pub(crate) mod websocket;

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use mio::net::TcpStream;
use rustls::ServerConnection;

use self::stream::Stream;
use self::websocket::{Upgrades, WebSocket};
use super::outqueue::OutQueue;

/// A socket and the layers on it.
pub(crate) struct Transport {
    stream: Stream,
    websocket: Option<Box<WebSocket>>,
}

/// How a read ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadEnd {
    /// The socket has nothing more; the next edge will tell.
    Drained,
    /// The budget is used up; there may be more without an edge.
    Budget,
    /// The peer closed its side.
    Closed,
    /// The peer said that it ends; the answer is queued inside.
    #[cfg_attr(not(feature = "websocket"), allow(dead_code))]
    Ended,
    /// The peer broke the rules of a layer; the answer is queued inside.
    Refused,
    /// The connection broke, or the peer broke TLS.
    Broken,
}

/// How a flush ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlushEnd {
    /// Everything is with the kernel.
    Drained,
    /// The socket takes no more; the next writable edge will tell.
    Blocked,
    /// The connection broke.
    Broken,
}

impl Transport {
    /// Plain TCP, or TLS at the start of its handshake; above it WebSocket
    /// at the start of its own when there is `upgrades`.
    pub(crate) fn new(
        socket: TcpStream,
        tls: Option<ServerConnection>,
        upgrades: Option<Arc<Upgrades>>,
    ) -> Self {
        let websocket = upgrades.map(|upgrades| Box::new(WebSocket::new(upgrades)));
        Self { stream: Stream::new(socket, tls), websocket }
    }

    /// The socket, for registration.
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        self.stream.socket()
    }

    /// True until TLS is established; never for plain TCP.
    pub(crate) fn is_handshaking(&self) -> bool {
        self.stream.is_handshaking()
    }

    /// True when messages are spoken instead of a stream of bytes.
    pub(crate) const fn is_websocket(&self) -> bool {
        self.websocket.is_some()
    }

    /// True when a layer itself has something to send, such as a part of its
    /// handshake.
    pub(crate) fn wants_write(&self) -> bool {
        self.stream.wants_write() || self.websocket.as_ref().is_some_and(|ws| ws.wants_write())
    }

    /// True while a layer holds the beginning of something.
    pub(crate) fn is_partial(&self) -> bool {
        self.websocket.as_ref().is_some_and(|ws| ws.is_partial())
    }

    /// Sets how long a frame may be, for what a layer must put together.
    pub(crate) fn set_frame_bytes_max(&mut self, frame_bytes_max: usize) {
        if let Some(websocket) = &mut self.websocket {
            websocket.set_frame_bytes_max(frame_bytes_max);
        }
    }

    /// Reads through `scratch` into `into`, at most about `budget` bytes of
    /// it. Returns how many came and how it ended.
    pub(crate) fn read(
        &mut self,
        scratch: &mut [u8],
        into: &mut BytesMut,
        budget: usize,
    ) -> (usize, ReadEnd) {
        match &mut self.websocket {
            None => self.stream.read(scratch, budget, &mut |bytes| {
                into.extend_from_slice(bytes);
                Ok(())
            }),
            Some(websocket) => {
                self.stream.read(scratch, budget, &mut |bytes| websocket.take(bytes, into))
            }
        }
    }

    /// Reads and throws away, for a connection that only waits for its end.
    pub(crate) fn discard(&mut self, scratch: &mut [u8], budget: usize) -> ReadEnd {
        self.stream.discard(scratch, budget)
    }

    /// Sends what is queued until the queue is empty or the socket is full.
    /// Returns bytes that went down and how it ended.
    pub(crate) fn flush(&mut self, out: &mut OutQueue) -> (usize, FlushEnd) {
        let Some(websocket) = &mut self.websocket else {
            let before = out.bytes();
            let end = self.stream.flush(out);
            return (before - out.bytes(), end);
        };
        let mut sent = 0;
        loop {
            let more = websocket.fill(out);
            let before = websocket.wire().bytes();
            let end = self.stream.flush(websocket.wire());
            sent += before - websocket.wire().bytes();
            if end != FlushEnd::Drained || !more {
                return (sent, end);
            }
        }
    }

    /// Ends our side; what the kernel has is still sent.
    pub(crate) fn finish(&mut self) {
        self.stream.finish();
    }
}

/// Copies what is left of `buffer` out of the block that decoded frames were
/// sliced from, so that a few bytes do not keep the block alive.
pub(crate) fn unpin(buffer: &mut BytesMut) {
    if buffer.is_empty() {
        *buffer = BytesMut::new();
    } else {
        *buffer = BytesMut::from(&buffer[..]);
    }
}

/// Takes `bytes` off the front of `chunk`.
pub(super) fn advance(chunk: &mut Bytes, bytes: usize) {
    chunk.advance(bytes);
}
