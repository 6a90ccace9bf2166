//! What the core tells the app.

use std::sync::Arc;

use bytes::Bytes;
use hongyan_protocol::ids::{ConversationId, UserId};

use crate::error::ClientError;
use crate::message::{ClientMsgId, Message, SendAck};
use crate::session::Status;
use crate::store::Account;

/// Names a request of the app, chosen by the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestToken(pub u64);

/// How far a message of one's own got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendUpdate {
    /// The server refused it for good; it stays in the outbox as failed.
    Failed(ClientError),
    /// It could not be kept on this device, or was taken out of the outbox:
    /// it will not be sent.
    Dropped(ClientError),
    /// It is kept on this device and will be sent.
    Sending,
    /// The server has it.
    Saved(SendAck),
}

/// Something that happened, in the order it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A conversation appeared or changed; [`crate::ClientCore::conversation`]
    /// has its state.
    ConversationChanged(ConversationId),
    /// A member's cursors moved.
    CursorMoved {
        /// Where.
        conversation: ConversationId,
        /// Whose.
        user: UserId,
        /// Up to here the member's devices have everything.
        delivered_seq: u64,
        /// Up to here the member has read.
        read_seq: u64,
    },
    /// The account's devices changed, as far as
    /// [`crate::ClientCore::devices`] knows.
    DevicesChanged,
    /// The connection ended or could not be opened.
    Disconnected(ClientError),
    /// A message that this device had not seen: pushed, or missed while it
    /// was away, however much that was. Those of a conversation come in the
    /// order of their seqs, each once. Not told for what a cold start brings,
    /// unless none of the user's devices had it.
    Message(Arc<Message>),
    /// These messages of a conversation are not told, and next comes what
    /// follows them: they lie further back than
    /// [`crate::CoreConfig::missed_max`], or the server does not give them.
    /// Bounds are inclusive; History may have them.
    MessagesSkipped {
        /// Where.
        conversation: ConversationId,
        /// The first.
        from_seq: u64,
        /// The last.
        to_seq: u64,
    },
    /// People went on or off line.
    Presence(Vec<Presence>),
    /// A request of the app is done. The bytes are the reply's payload.
    Reply {
        /// Which request.
        token: RequestToken,
        /// What came of it.
        result: Result<Bytes, ClientError>,
    },
    /// A message of one's own got further.
    Send {
        /// Which message.
        client_msg_id: ClientMsgId,
        /// Where it goes.
        conversation: ConversationId,
        /// How far it got.
        update: SendUpdate,
    },
    /// A session is open.
    SignedIn(Account),
    /// The connection's state changed.
    StatusChanged(Status),
    /// The local store failed. What is shown goes on from memory; new
    /// messages are refused.
    StorageFailed(ClientError),
    /// The messages of a timeline changed.
    TimelineChanged(ConversationId),
    /// Whom the server lets the app watch, of those it asked for.
    Watching {
        /// Which request.
        token: RequestToken,
        /// In the order in which they were asked for, each once.
        people: Vec<PresenceWatch>,
    },
}

/// What came of asking to watch one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresenceWatch {
    /// Who.
    pub user: UserId,
    /// The server tells how they are. It does not while there is no direct
    /// conversation with them; once one has begun they are watched.
    pub watched: bool,
}

/// Whether somebody is on line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presence {
    /// Who.
    pub user: UserId,
    /// On line on any device.
    pub online: bool,
    /// When last seen, in milliseconds since 1970; zero when not known.
    pub last_seen_ms: u64,
}
