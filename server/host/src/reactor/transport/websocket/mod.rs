//! WebSocket (RFC 6455), the server's side: messages below, the form of TCP
//! above.
//!
//! ```text
//! Upgrading ─request good─> Open ─nothing more is taken─> Closing ─close queued─> Closed
//!     \____________________refused: an HTTP answer___________________________/
//! ```
//! Owns what is in the middle: a request or a header that is not whole, a
//! message that comes in fragments, and the bytes on their way to the socket.
//! Does no input or output. What the connection sees is what it sees on TCP:
//! the client's preface (the sub-protocol stands for it), then frames with
//! their lengths. What it queues comes out as one message per frame, without
//! the preface, and a Goodbye is followed by a close with its code.
//!
//! # What is bounded, and what happens then
//! | what | bound | then |
//! |---|---|---|
//! | the upgrade's request | `upgrade::REQUEST_BYTES_MAX`, login timeout | HTTP 431, 408 |
//! | a message in one piece | nothing is kept of it here | the frame's own limit |
//! | a message in fragments, a text | the frame's limit | as a frame too large |
//! | pings not answered | the last one | earlier ones get no pong |
//! | bytes on their way | `outgoing::WIRE_BYTES` and one message | the queue above fills |
//! | texts that are no frame | `MALFORMED_MAX` | Goodbye |
//!
//! Invariant: nothing is taken once `state` is `Closing`, and nothing is queued
//! once it is `Closed`.

mod close;
mod incoming;
mod json;
mod outgoing;
mod upgrade;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hongyan_protocol::limits::FRAME_BYTES_MAX_UNAUTHENTICATED;

use self::incoming::Piece;
pub(crate) use self::outgoing::busy;
use super::ReadEnd;
use crate::config::{Origin, WebSocketConfig};
use crate::reactor::outqueue::OutQueue;

/// Who is let in.
#[derive(Debug)]
pub(crate) struct Upgrades {
    /// The path of the upgrade's request, with its slash.
    pub(crate) path: String,
    /// Pages that may connect; none: those of the same host.
    pub(crate) allowed_origins: Vec<Origin>,
}

impl Upgrades {
    /// As the settings say.
    pub(crate) fn of(config: &WebSocketConfig) -> Option<Arc<Self>> {
        let (path, allowed_origins) = (config.path.clone(), config.allowed_origins.clone());
        json::warm_up();
        Some(Arc::new(Self { path, allowed_origins }))
    }
}

/// See the module.
pub(crate) struct WebSocket {
    state: State,
    /// Whether frames travel as JSON texts.
    json: bool,
    /// Texts that were no frame.
    malformed: u8,
    /// Our preface was met and left out.
    preface_seen: bool,
    /// How long a frame may be.
    frame_bytes_max: usize,
    /// Beginning of a header.
    header: [u8; HEADER_BYTES_MAX],
    header_len: u8,
    /// The WebSocket frame whose payload is coming.
    piece: Option<Piece>,
    /// A message has begun and its last fragment has not come.
    fragmented: bool,
    /// The request before the upgrade; after it, a message that is put
    /// together.
    partial: BytesMut,
    /// Payload of the control frame that is coming.
    control: BytesMut,
    /// The pong that is due.
    pong: Option<Bytes>,
    /// The close that is due, when everything else was sent.
    farewell: Option<Bytes>,
    /// What the lower layer sends next: whole WebSocket frames.
    wire: OutQueue,
}

enum State {
    Upgrading(Arc<Upgrades>),
    Open,
    Closing,
    Closed,
}

/// A frame of a client with a length of 64 bits.
const HEADER_BYTES_MAX: usize = 14;

impl WebSocket {
    /// At the start, before the request.
    pub(crate) fn new(upgrades: Arc<Upgrades>) -> Self {
        Self {
            state: State::Upgrading(upgrades),
            json: false,
            malformed: 0,
            preface_seen: false,
            frame_bytes_max: FRAME_BYTES_MAX_UNAUTHENTICATED,
            header: [0; HEADER_BYTES_MAX],
            header_len: 0,
            piece: None,
            fragmented: false,
            partial: BytesMut::new(),
            control: BytesMut::new(),
            pong: None,
            farewell: None,
            wire: OutQueue::default(),
        }
    }

    /// Takes bytes of the peer (they are unmasked in place) and appends the
    /// frames in them to `into`.
    ///
    /// # Errors
    /// The end of reading; the answer is queued.
    pub(crate) fn take(
        &mut self,
        mut bytes: &mut [u8],
        into: &mut BytesMut,
    ) -> Result<(), ReadEnd> {
        while !bytes.is_empty() {
            let used = match &self.state {
                State::Upgrading(upgrades) => {
                    let upgrades = upgrades.clone();
                    self.take_request(&upgrades, bytes, into)?
                }
                State::Open if self.piece.is_some() => self.take_payload(bytes, into)?,
                State::Open => self.take_header(bytes, into)?,
                State::Closing | State::Closed => return Ok(()),
            };
            bytes = &mut bytes[used..];
        }
        Ok(())
    }

    /// What is on its way to the socket.
    pub(crate) const fn wire(&mut self) -> &mut OutQueue {
        &mut self.wire
    }

    /// True when something of this layer is due.
    pub(crate) const fn wants_write(&self) -> bool {
        !self.wire.is_empty() || self.pong.is_some() || self.farewell.is_some()
    }

    /// True while the peer is in the middle of something.
    pub(crate) const fn is_partial(&self) -> bool {
        self.header_len > 0 || self.piece.is_some() || self.fragmented
    }

    /// Sets how long a frame may be, from the next one on.
    pub(crate) const fn set_frame_bytes_max(&mut self, frame_bytes_max: usize) {
        self.frame_bytes_max = frame_bytes_max;
    }
}

const _: () = assert!(std::mem::size_of::<WebSocket>() <= 320);

#[cfg(test)]
mod tests;
