//! What shards say to each other. Values only: nothing is shared but
//! immutable bytes.

use std::sync::Arc;

use bytes::Bytes;
use hongyan_protocol::{ConversationId, UserId, pb};

use crate::input::ConnId;
use crate::routing::{PartitionId, ShardId};
use crate::state;

/// Who asked, and where the answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The shard of the session.
    pub shard: ShardId,
    /// The connection there.
    pub conn: ConnId,
    /// Zero: no answer is wanted.
    pub request: u64,
    /// The user of the session.
    pub user: UserId,
}

/// A request about one conversation, checked for form but not for rights.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// Which conversation.
    pub conversation: ConversationId,
    /// What about it.
    pub kind: AskKind,
}

/// See [`Ask`].
#[derive(Debug, Clone, PartialEq)]
pub enum AskKind {
    /// Store a message.
    Send {
        /// The client's id of it.
        client_msg_id: [u8; 16],
        /// A checked, encoded body.
        body: Bytes,
        /// Wanted by the sender.
        level: pb::AckLevel,
    },
    /// Move the asker's cursors.
    MoveCursor {
        /// Zero: leave it.
        delivered_seq: u64,
        /// Zero: leave it.
        read_seq: u64,
    },
    /// Read messages.
    History {
        /// At least 1.
        from_seq: u64,
        /// Inclusive; `u64::MAX` for the newest.
        to_seq: u64,
        /// 1 to 500.
        limit: u32,
        /// Count from the upper end.
        backwards: bool,
    },
    /// Make the group.
    CreateGroup {
        /// To tell a retry from a clash.
        client_group_id: [u8; 16],
        /// Checked.
        name: String,
        /// Existing users, without the creator.
        members: Vec<UserId>,
        /// See `Group` on the wire.
        history_visible: bool,
    },
    /// Add members.
    Invite {
        /// Existing users.
        users: Vec<UserId>,
    },
    /// The asker leaves.
    Leave,
    /// Remove a member.
    Remove {
        /// Who.
        user: UserId,
    },
    /// Give a role.
    SetRole {
        /// To whom.
        user: UserId,
        /// Which.
        role: pb::Role,
    },
    /// Change name or history rule.
    Update {
        /// Empty: unchanged.
        name: String,
        /// `None`: unchanged.
        history_visible: Option<bool>,
    },
    /// End the group.
    Dissolve,
    /// List members.
    Members {
        /// Exclusive.
        after_user: u64,
        /// 1 to 500.
        limit: u32,
    },
}

/// One conversation in a sync page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncItem {
    /// Which.
    pub conversation: ConversationId,
    /// What the device holds; `None` when it does not know the conversation.
    pub held: Option<u64>,
    /// In the user's list. What is not is told in the first page, whole.
    pub listed: bool,
}

/// Receivers of one delivery on one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Receivers {
    /// One user.
    One(UserId),
    /// Many, in ascending order.
    Many(Arc<[UserId]>),
}

/// Who was asked about a sync page or profiles, on which shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gather {
    /// Where the parts are put together.
    pub shard: ShardId,
    /// Which page there.
    pub number: u64,
}

/// One message between shards.
#[derive(Debug, Clone)]
pub enum Envelope {
    /// Session's shard to conversation's shard.
    Ask(Origin, Ask),
    /// Back again, finished: queue `frame` on the connection that asked, and
    /// `echo` on the user's other connections.
    Answer {
        /// As in the ask.
        to: Origin,
        /// A reply; empty when none is due.
        frame: Bytes,
        /// A push for the user's other devices.
        echo: Option<Bytes>,
    },
    /// Conversation's shard to the shards of its members.
    Deliver {
        /// Users of the receiving shard.
        to: Receivers,
        /// A push.
        frame: Bytes,
        /// Leave this session out (it is where the change came from).
        except: Option<Origin>,
    },
    /// Tasks of one partition for another, in order.
    Tasks {
        /// Who owes them.
        from: PartitionId,
        /// Who is to take them.
        to: PartitionId,
        /// Number of the first.
        first: u64,
        /// The tasks.
        tasks: Vec<state::Task>,
    },
    /// Tasks up to `number` were taken for good.
    TasksTaken {
        /// Who owed them.
        from: PartitionId,
        /// Who took them.
        to: PartitionId,
        /// The last.
        number: u64,
    },
    /// How do these conversations stand for this user?
    SyncAsk {
        /// For the answer.
        gather: Gather,
        /// Whose view.
        user: UserId,
        /// In the order of the user's list.
        items: Vec<SyncItem>,
        /// Stop when the answer has so many bytes.
        bytes_max: usize,
    },
    /// An encoded `SyncedConversation` for each of the first items.
    SyncAnswer {
        /// As asked.
        gather: Gather,
        /// In the order asked; may be fewer.
        items: Vec<(ConversationId, Bytes)>,
    },
    /// Who are these users?
    ProfilesAsk {
        /// For the answer.
        gather: Gather,
        /// Users of the receiving shard.
        users: Vec<UserId>,
    },
    /// Those that exist.
    ProfilesAnswer {
        /// As asked.
        gather: Gather,
        /// Found.
        profiles: Vec<pb::Profile>,
    },
    /// Whose name is it?
    FindAsk {
        /// For the answer, which is an `Answer`.
        origin: Origin,
        /// Folded and checked.
        name: String,
    },
    /// Do these users exist?
    ProbeAsk {
        /// For the answer.
        shard: ShardId,
        /// Users of the receiving shard.
        users: Vec<UserId>,
    },
    /// Each with whether it exists.
    ProbeAnswer {
        /// Found or not.
        users: Vec<(UserId, bool)>,
    },
    /// It cannot be said now whether these users exist.
    ProbeFailed {
        /// As asked.
        users: Vec<UserId>,
    },
    /// Tell a session when one of `users` goes on or off line; or no longer.
    Watch {
        /// The shard of the watching session.
        shard: ShardId,
        /// The watching connection.
        conn: ConnId,
        /// Users of the receiving shard.
        users: Vec<UserId>,
        /// Begin or end.
        on: bool,
    },
    /// To a watching connection.
    PresenceIs {
        /// The watching connection.
        conn: ConnId,
        /// Users and whether they are online.
        presences: Vec<pb::Presence>,
    },
}

impl Envelope {
    /// About how many bytes it keeps in memory that a client sent: what a host
    /// counts to bound the work between its shards. Answers and deliveries
    /// are not counted, so that they never wait for what they would free.
    pub fn bytes_asked(&self) -> usize {
        match self {
            Self::Ask(_, Ask { kind: AskKind::Send { body, .. }, .. }) => ASK_BYTES + body.len(),
            Self::Ask(..) => ASK_BYTES,
            _ => 0,
        }
    }
}

/// An ask without its body.
const ASK_BYTES: usize = size_of::<Ask>() + size_of::<Origin>();
