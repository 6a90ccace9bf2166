//! Servers that a run can be pointed at.
//!
//! A [`Driver`] opens connections; each brings a [`Link`], which turns sends into bytes and bytes
//! into [`Event`]s and does nothing else: no socket, no clock, no statistics. So one worker loop,
//! one schedule and one ledger serve every server, and what differs between two servers in a
//! comparison is their bytes.

use std::net::TcpStream;

use bytes::BytesMut;

use crate::payload::Stamp;

pub mod hongyan;
pub mod null;

mod send_form;

/// Names a send of one connection until it is answered: `0..window`.
pub type Tag = u16;

/// Something that came from the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A send is acknowledged at the wanted level.
    Acked {
        /// Which send.
        tag: Tag,
        /// Its place in the conversation.
        seq: u64,
    },
    /// The server ends the connection.
    Closing {
        /// Why, in the server's numbers.
        code: u32,
    },
    /// A message arrived.
    Delivered {
        /// Its place in the conversation.
        seq: u64,
        /// What was written into it.
        text: &'a [u8],
    },
    /// Nothing that a run counts.
    Other,
    /// A send is refused.
    Refused {
        /// Which send.
        tag: Tag,
        /// Why, in the server's numbers.
        code: u32,
    },
    /// The server dropped pushes to this connection because it read too slowly.
    Shed,
}

/// Bytes that are not what the server should send; the connection is of no use any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Not a frame.
    #[error("the server sent bytes that are no frame: {0}")]
    Frame(#[from] hongyan_protocol::WireError),
    /// A frame, but not one that makes sense here.
    #[error("the server sent {0}")]
    Unexpected(&'static str),
}

/// One connection's bytes.
pub trait Link: Send + 'static {
    /// Appends a send of the next message to `out`. `tag` is not in use.
    fn encode_send(&mut self, tag: Tag, stamp: &Stamp, out: &mut BytesMut);

    /// Appends the word that everything up to `seq` was delivered to `out`.
    fn encode_receipt(&mut self, seq: u64, out: &mut BytesMut);

    /// Takes one event off the front of `bytes` and says how many it took; `Ok(None)` asks for
    /// more bytes.
    ///
    /// # Errors
    /// [`LinkError`]: nothing more can be read from this connection.
    fn parse<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<(usize, Event<'a>)>, LinkError>;
}

/// Opens connections to one kind of server.
pub trait Driver {
    /// Its connections' bytes.
    type Link: Link;

    /// Connects, logs in, and makes the connection ready for sends to connection `index + 1` of
    /// the ring. Blocks, for a bounded time. The stream comes back in blocking mode.
    ///
    /// # Errors
    /// Says what the server answered; the run cannot begin then.
    fn open(&self, index: usize) -> anyhow::Result<(TcpStream, Self::Link)>;
}
