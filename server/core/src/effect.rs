//! What a shard wants done, and how long each of it must wait.

use bytes::Bytes;
use hongyan_protocol::{ConversationId, Frame, Opcode, UserId, frame};
use prost::Message;

use crate::envelope::Envelope;
use crate::input::{AdminOutcome, AdminTicket, ConnId, Link, OffloadJob, Ticket};
use crate::key::EntityKey;
use crate::routing::{PartitionId, ShardId};

/// What an effect waits for: the submission of its wake, and all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    /// Nothing.
    Now,
    /// Given to the kernel.
    Written,
    /// Synced to the disk.
    Durable,
}

/// One thing to do.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Queue these bytes (one delimited frame) on a connection. They may not
    /// be dropped while the connection lives: a reply.
    Reply {
        /// The connection.
        conn: ConnId,
        /// Length and frame.
        frame: Bytes,
    },
    /// As `Reply`, but the host drops it when the connection reads too
    /// slowly, and sends [`sync_needed`] once it has caught up.
    Push {
        /// The connection.
        conn: ConnId,
        /// Length and frame, shared by all receivers.
        frame: Bytes,
        /// It may wait a moment for company on its way: see `is_patient`.
        patient: bool,
    },
    /// Queue these last bytes, then close.
    Close {
        /// The connection.
        conn: ConnId,
        /// A Goodbye, length and frame.
        goodbye: Bytes,
    },
    /// The connection has a session now: deadlines and limits of an open
    /// session apply, frames of up to `frame_bytes_max` are taken and sent.
    SessionOpened {
        /// The connection.
        conn: ConnId,
        /// Whose it is.
        user: UserId,
        /// Bytes.
        frame_bytes_max: u32,
    },
    /// Move the connection, with what it has sent, to another shard, and
    /// give `link` there as [`Input::Adopted`](crate::Input::Adopted).
    /// Frames of it that were decoded but not handled move too.
    Handoff {
        /// The connection.
        conn: ConnId,
        /// Where to.
        shard: ShardId,
        /// What it said.
        link: Box<Link>,
    },
    /// Put into the mailbox of a shard. It may be this one: work that one of
    /// its partitions owes another must wait for its gate all the same.
    Forward {
        /// Where to.
        shard: ShardId,
        /// What.
        envelope: Envelope,
    },
    /// Read an entity from the views.
    Load {
        /// The entity; its stored form is under `key.to_bytes()`.
        key: EntityKey,
    },
    /// Read pages of a conversation from the views: those that can hold
    /// messages `from_seq` to `to_seq`. A page is stored under
    /// [`page_key`](crate::key::page_key) of its first seq, so the page
    /// that begins at or before `from_seq` belongs to them.
    ReadPages {
        /// For the answer.
        ticket: Ticket,
        /// Which.
        conversation: ConversationId,
        /// At least 1.
        from_seq: u64,
        /// Inclusive.
        to_seq: u64,
        /// Start at the upper end; pages come in descending order then.
        backwards: bool,
        /// Stop after the page that reaches so many bytes.
        bytes_max: usize,
    },
    /// Slow work.
    Offload {
        /// For the answer.
        ticket: Ticket,
        /// What to do.
        job: OffloadJob,
    },
    /// Answer the admin interface.
    AdminReply {
        /// As asked.
        ticket: AdminTicket,
        /// The answer.
        outcome: AdminOutcome,
    },
}

/// Whether a push may be held back for a moment, so that it shares a write (and
/// on a phone a wake-up of the radio) with what comes next: how far others
/// got, which nobody acts on at once. `frame` is delimited.
pub(crate) fn is_patient(frame: &[u8]) -> bool {
    // Length, then field 1 (the opcode), as `encode_header` writes them.
    let length = frame.iter().position(|byte| byte & 0x80 == 0);
    let opcode = length.and_then(|end| frame.get(end + 1..=end + 2));
    opcode == Some(&[OPCODE_TAG, Opcode::CursorMoved.number() as u8])
}

/// Field 1 of `Frame`, a varint: its number of three bits, its type of none.
const OPCODE_TAG: u8 = 1 << 3;

// The opcode is a varint of one byte.
const _: () = assert!(Opcode::CursorMoved.number() < 0x80);

/// All write-sets of one partition in one wake (or a part of them, when they
/// are large): one record of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordDraft {
    /// Which order it belongs to.
    pub partition: PartitionId,
    /// Its place there: dense, from 1.
    pub idx: u64,
    /// An encoded [`Record`](crate::state::Record).
    pub payload: Bytes,
}

/// The records of one wake: one append to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Counts up by one per shard, from 1.
    pub number: u64,
    /// At least one.
    pub records: Vec<RecordDraft>,
    /// True when something waits for `Durable`; otherwise the log may put the
    /// sync off for a moment.
    pub wants_sync: bool,
}

/// A part of a settle round: entities and pages to write to the views.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SettleStep {
    /// Which round; echoed in [`Input::Settled`](crate::Input::Settled).
    pub round: u64,
    /// Key and value, in the order to write them. May be written only after
    /// submission `after` of this shard is durable.
    pub entries: Vec<(Bytes, Option<Bytes>)>,
    /// See `entries`.
    pub after: u64,
    /// Set in the last part of a round: up to where each partition's records
    /// are in the views once `entries` are.
    pub marks: Option<Vec<(PartitionId, u64)>>,
}

/// What a wake has produced so far. The host makes one and uses it again.
#[derive(Debug, Default)]
pub struct Effects {
    /// In the order they were decided.
    pub queue: Vec<(Gate, Effect)>,
}

impl Effects {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn push(&mut self, gate: Gate, effect: Effect) {
        self.queue.push((gate, effect));
    }

    pub(crate) fn reply(
        &mut self,
        gate: Gate,
        conn: ConnId,
        opcode: Opcode,
        request: u64,
        message: &impl Message,
    ) {
        self.push(gate, Effect::Reply { conn, frame: delimited(opcode, request, message) });
    }
}

/// Length and frame around `message`.
pub fn delimited(opcode: Opcode, request: u64, message: &impl Message) -> Bytes {
    frame::message_to_delimited(opcode, request, message)
}

/// What the host sends a connection after it had to drop pushes.
pub fn sync_needed() -> Bytes {
    Frame::new(Opcode::SyncNeeded, 0, &hongyan_protocol::pb::SyncNeeded {}).to_delimited()
}

#[cfg(test)]
mod tests {
    use hongyan_protocol::pb;

    use super::*;

    #[test]
    fn only_moved_cursors_wait_for_company() {
        let moved = pb::CursorMoved { user: 1 << 40, read_seq: 7, ..Default::default() };
        assert!(is_patient(&delimited(Opcode::CursorMoved, 0, &moved)));
        assert!(!is_patient(&delimited(Opcode::SyncNeeded, 0, &pb::Empty {})));
        assert!(!is_patient(&sync_needed()));
        for bytes in [&b""[..], b"\xff", b"\x02", b"\x02\x08", b"\x02\x08\xff"] {
            assert!(!is_patient(&Bytes::from_static(bytes)));
        }
    }
}
