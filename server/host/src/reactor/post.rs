//! What a worker can find in its mailbox.

use std::net::IpAddr;

use crossbeam_channel::Sender;
use hongyan_core::{Envelope, Input, Link, PartitionId, SettleStep};
use mio::net::TcpStream;

use super::addresses::Speaks;
use super::connection::Connection;

/// One post.
pub(crate) enum Post {
    /// A connection of another worker whose owner is here.
    Adopt(Box<Moved>),
    /// Begin to stop: say goodbye to everybody, then tell `done`.
    Drain {
        /// Clients come back within so many milliseconds.
        spread_ms: u32,
        /// Told when no connection is left.
        done: Sender<()>,
    },
    /// From another shard: all of one of its wakes.
    Envelopes(Vec<Envelope>),
    /// An accepted socket.
    Incoming(Incoming),
    /// The answer of a loader, the offload pool or the settler, or a question
    /// of the admin interface.
    Input(Box<Input>),
    /// The log has failed: acknowledge nothing any more.
    Poisoned,
    /// Give the next part of a settle round.
    Settle(SettleAsk),
    /// End the thread.
    Stop,
}

/// See [`Post::Incoming`].
pub(crate) struct Incoming {
    /// Not registered anywhere.
    pub(crate) socket: TcpStream,
    /// Its other end.
    pub(crate) ip: IpAddr,
    /// What is spoken on it.
    pub(crate) speaks: Speaks,
}

/// See [`Post::Adopt`].
pub(crate) struct Moved {
    /// With everything that was read and not handled.
    pub(crate) connection: Connection,
    /// What it said.
    pub(crate) link: Box<Link>,
}

/// See [`Post::Settle`].
pub(crate) struct SettleAsk {
    /// About so many bytes.
    pub(crate) bytes_max: usize,
    /// Where the answer goes.
    pub(crate) answer: Sender<SettleAnswer>,
}

/// A part of a settle round, and how far the shard had come.
pub(crate) struct SettleAnswer {
    /// `None`: the views have everything.
    pub(crate) step: Option<SettleStep>,
    /// The last record that this process has submitted, of each partition
    /// that had any.
    pub(crate) heads: Vec<(PartitionId, u64)>,
}
