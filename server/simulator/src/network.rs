//! Connections between devices and shards.
//!
//! Owns what is on the way: frames of one connection arrive in order, pushes
//! are dropped when too many wait for a slow device, and a connection can
//! move from one shard to another with what it has sent. Refuses to look into
//! frames.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use hongyan_core::{ConnId, ShardId};
use hongyan_protocol::{Frame, FrameDecoder, limits};

use crate::violation::{Checked, violated};

/// One connection, through all its moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkId(pub(crate) u64);

/// Where a connection ends at the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On this shard, under this id.
    At(ShardId, ConnId),
    /// Between two shards.
    Moving,
    /// The server has closed it.
    Gone,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) device: usize,
    pub(crate) place: Place,
    /// Frames that the server has read while the connection was moving.
    pub(crate) held: VecDeque<Frame>,
    /// The server died; nothing of what was on the way arrives.
    pub(crate) severed: bool,
    /// The device has not closed it.
    pub(crate) open_at_device: bool,
    /// Frames that the device has not read yet.
    pub(crate) unread: usize,
    /// Pushes were dropped; the device must be told once it has caught up.
    pub(crate) lagging: bool,
    /// Nothing may arrive before what was sent earlier.
    pub(crate) server_reads_at: u64,
    pub(crate) device_reads_at: u64,
}

/// All connections that are not closed at both ends.
#[derive(Debug, Default)]
pub(crate) struct Network {
    pub(crate) links: BTreeMap<LinkId, Link>,
    opened: u64,
}

impl Network {
    /// Opens a connection to a shard.
    pub(crate) fn open(&mut self, device: usize, shard: ShardId, conn: ConnId) -> LinkId {
        self.opened += 1;
        let id = LinkId(self.opened);
        let link = Link {
            device,
            place: Place::At(shard, conn),
            held: VecDeque::new(),
            severed: false,
            open_at_device: true,
            unread: 0,
            lagging: false,
            server_reads_at: 0,
            device_reads_at: 0,
        };
        self.links.insert(id, link);
        id
    }

    /// Forgets connections that both ends have closed.
    pub(crate) fn sweep(&mut self) {
        self.links.retain(|_, link| link.open_at_device || link.place != Place::Gone);
    }
}

/// Reads the one frame in `bytes`.
pub(crate) fn read_frame(bytes: &Bytes) -> Checked<Frame> {
    let mut buffer = BytesMut::from(bytes.as_ref());
    match FrameDecoder::new(limits::FRAME_BYTES_MAX).decode(&mut buffer) {
        Ok(Some(frame)) if buffer.is_empty() => Ok(frame),
        other => violated!("a frame is whole", "{} bytes: {other:?}", bytes.len()),
    }
}
