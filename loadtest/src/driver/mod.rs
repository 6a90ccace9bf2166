//! Servers that a run can be pointed at.
//!
//! A [`Driver`] opens connections; each brings a [`Link`], which turns sends into bytes and bytes
//! into [`Event`]s and does nothing else: no socket, no clock, no statistics. So one worker loop,
//! one schedule and one ledger serve every server, and what differs between two servers in a
//! comparison is their bytes.

use anyhow::bail;
use bytes::{Bytes, BytesMut};

use crate::engine::payload::Stamp;
use crate::engine::topology::Seat;
use crate::session::Traffic;
use crate::stream::Stream;

pub mod hongyan;
pub mod jetstream;
pub mod mqtt;
pub mod null;
pub mod rabbitmq;
pub mod redis;
pub mod xmpp;

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
        /// Its place in the conversation; zero when the server numbers nothing.
        seq: u64,
    },
    /// The server ends the connection.
    Closing {
        /// Why, in the server's numbers.
        code: u32,
    },
    /// A message arrived.
    Delivered {
        /// Its place in the conversation; zero when the server numbers nothing.
        seq: u64,
        /// What was written into it.
        text: &'a [u8],
    },
    /// Nothing that a run counts.
    Other,
    /// Somebody came or went.
    Presence,
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
    /// Not what the codec of another protocol reads.
    #[error("the server sent bytes that are not its protocol: {0}")]
    Foreign(String),
    /// A frame, but not one that makes sense here.
    #[error("the server sent {0}")]
    Unexpected(&'static str),
}

/// One connection's bytes.
pub trait Link: Send + 'static {
    /// Appends a send of the next message into talk `slot` of the seat to `out`. `tag` is not in
    /// use.
    fn encode_send(&mut self, slot: usize, tag: Tag, stamp: &Stamp, out: &mut BytesMut);

    /// Appends the word that everything delivered so far in talk `slot` has arrived, up to `seq`
    /// where the server numbers messages, to `out`.
    fn encode_receipt(&mut self, slot: usize, seq: u64, out: &mut BytesMut);

    /// Takes one event off the front of `bytes` and says how many it took; `Ok(None)` asks for
    /// more bytes.
    ///
    /// # Errors
    /// [`LinkError`]: nothing more can be read from this connection.
    fn parse<'a>(&'a mut self, bytes: &'a [u8]) -> Result<Option<(usize, Event<'a>)>, LinkError>;

    /// Appends bytes that the protocol wants without being asked by the run, such as a request for
    /// more or the answer to a ping, to `out`. Called after what was read has been parsed.
    fn encode_upkeep(&mut self, _out: &mut BytesMut) {}
}

/// A connection of a seat that was away.
#[derive(Debug)]
pub struct Return<L> {
    /// In blocking mode.
    pub stream: Stream,
    /// Its bytes from here on.
    pub link: L,
    /// By talk of the seat: the seq of the newest message.
    pub held: Vec<u64>,
    /// What was missed: per talk in ascending order and without a gap.
    pub missed: Vec<Missed>,
    /// What it took.
    pub traffic: Traffic,
}

/// A message that was missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missed {
    /// Which of the seat's talks it is in.
    pub slot: usize,
    /// Its place in the conversation.
    pub seq: u64,
    /// What was written into it; empty when it is no text.
    pub text: Bytes,
}

/// Opens connections to one kind of server.
pub trait Driver {
    /// Its connections' bytes.
    type Link: Link;

    /// True when sending and hearing need two connections each, as where a blocking read holds
    /// up what comes after it.
    fn splits(&self) -> bool {
        false
    }

    /// Makes what the run needs once: streams, queues, topics. Blocks, for a bounded time.
    ///
    /// # Errors
    /// Says what the server answered; the run cannot begin then.
    fn prepare(&self) -> anyhow::Result<()> {
        Ok(())
    }

    /// Connects, logs in, and makes the `index`th connection ready for the talks of its seat.
    /// Blocks, for a bounded time. The stream comes back in blocking mode.
    ///
    /// # Errors
    /// Says what the server answered; the run cannot begin then.
    fn open(&self, index: usize, seat: &Seat) -> anyhow::Result<(Stream, Self::Link)>;

    /// Opens a connection for a run in which seats go away and come back, and brings what was
    /// missed. `held` says by talk the highest seq below which the seat has no gap; `None` is its
    /// first connection, which misses nothing. Blocks, for a bounded time.
    ///
    /// # Errors
    /// Says what the server answered, or that this driver cannot do it.
    fn reopen(
        &self,
        _index: usize,
        _seat: &Seat,
        _held: Option<&[u64]>,
    ) -> anyhow::Result<Return<Self::Link>> {
        bail!("this driver does not bring connections back");
    }
}
