//! What a judge can object to.

use std::fmt;

use hongyan_client::{ClientMsgId, ConversationId};

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// An acknowledged message is not where its ack says.
    Lost {
        /// Where it should be.
        conversation: ConversationId,
        /// Its place.
        seq: u64,
        /// Its id.
        id: ClientMsgId,
        /// What is there instead.
        instead: String,
    },
    /// One message is stored twice.
    Duplicate {
        /// Where.
        conversation: ConversationId,
        /// Its id.
        id: ClientMsgId,
        /// The two places.
        seqs: (u64, u64),
    },
    /// Two acks of one message differ.
    AckChanged {
        /// Its id.
        id: ClientMsgId,
        /// Both acks, in words.
        acks: String,
    },
    /// The ack names less than was asked.
    AckTooWeak {
        /// Its id.
        id: ClientMsgId,
    },
    /// A conversation has a hole, or messages out of order.
    NotDense {
        /// Who sees it.
        viewer: String,
        /// Where.
        conversation: ConversationId,
        /// The seq that should be there.
        expected: u64,
        /// The seq that is.
        found: Option<u64>,
    },
    /// Two devices, or the same one at two times, see different messages.
    Different {
        /// Who sees it now.
        viewer: String,
        /// Where.
        conversation: ConversationId,
        /// The place.
        seq: u64,
        /// Both, in words.
        both: String,
    },
    /// A message that nobody sent, or with another body or sender.
    Foreign {
        /// Where.
        conversation: ConversationId,
        /// The place.
        seq: u64,
        /// What is wrong.
        detail: String,
    },
    /// A message that was pushed to a device is gone, or another one.
    Unseen {
        /// Where.
        conversation: ConversationId,
        /// The place.
        seq: u64,
        /// What is there instead.
        instead: String,
    },
    /// Unread is not last less what was read, sent and before joining.
    Unread {
        /// Who sees it.
        viewer: String,
        /// Where.
        conversation: ConversationId,
        /// What the server says.
        found: u64,
        /// The lowest and the highest right answer.
        expected: (u64, u64),
    },
    /// A cursor that was acknowledged went back.
    CursorLost {
        /// Who sees it.
        viewer: String,
        /// Where.
        conversation: ConversationId,
        /// What the server says.
        found: u64,
        /// The lowest and the highest right answer.
        expected: (u64, u64),
    },
    /// The list of conversations lacks one, has one too many or one twice.
    List {
        /// Who sees it.
        viewer: String,
        /// Where.
        conversation: ConversationId,
        /// What is wrong.
        detail: String,
    },
    /// A client met what it should never meet.
    Client {
        /// Which.
        viewer: String,
        /// What.
        detail: String,
    },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { conversation, seq, id, instead } => {
                write!(f, "LOST {conversation:?} seq {seq} id {id}: acknowledged, but {instead}")
            }
            Self::Duplicate { conversation, id, seqs: (a, b) } => {
                write!(f, "DUPLICATE {conversation:?} id {id}: at seq {a} and seq {b}")
            }
            Self::AckChanged { id, acks } => write!(f, "ACK CHANGED id {id}: {acks}"),
            Self::AckTooWeak { id } => write!(f, "ACK TOO WEAK id {id}"),
            Self::NotDense { viewer, conversation, expected, found } => write!(
                f,
                "NOT DENSE {conversation:?} for {viewer}: seq {expected} expected, {found:?} found"
            ),
            Self::Different { viewer, conversation, seq, both } => {
                write!(f, "DIFFERENT {conversation:?} seq {seq} for {viewer}: {both}")
            }
            Self::Foreign { conversation, seq, detail } => {
                write!(f, "FOREIGN {conversation:?} seq {seq}: {detail}")
            }
            Self::Unseen { conversation, seq, instead } => {
                write!(f, "UNSEEN {conversation:?} seq {seq}: pushed to a device, but {instead}")
            }
            Self::Unread { viewer, conversation, found, expected: (low, high) } => write!(
                f,
                "UNREAD {conversation:?} for {viewer}: {found}, but {low} to {high} is right"
            ),
            Self::CursorLost { viewer, conversation, found, expected: (low, high) } => write!(
                f,
                "CURSOR {conversation:?} for {viewer}: {found}, but {low} to {high} is right"
            ),
            Self::List { viewer, conversation, detail } => {
                write!(f, "LIST {conversation:?} for {viewer}: {detail}")
            }
            Self::Client { viewer, detail } => write!(f, "CLIENT {viewer}: {detail}"),
        }
    }
}
