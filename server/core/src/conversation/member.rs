//! One member of a conversation.

use hongyan_protocol::UserId;
use hongyan_protocol::limits::{DEDUPE_SENDS, OUTBOX_WINDOW};

use super::sends::Sends;
use crate::state;

/// Cursors, role and last sends of one member.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) user: UserId,
    /// As `pb::Role`.
    pub(crate) role: u32,
    /// The seq that told of the joining, or 1.
    pub(crate) joined_seq: u64,
    pub(crate) delivered_seq: u64,
    pub(crate) read_seq: u64,
    /// The member's own last message; it counts as read.
    pub(crate) sent_seq: u64,
    /// Hash of the client's id and seq of the last sends, oldest first.
    sends: Sends,
    /// Used by the deliberately broken build only, and not stored.
    pub(crate) counted: u64,
}

impl Member {
    pub(crate) fn new(user: UserId, role: u32, joined_seq: u64) -> Self {
        Self {
            user,
            role,
            joined_seq,
            delivered_seq: 0,
            read_seq: 0,
            sent_seq: 0,
            sends: Sends::default(),
            counted: 0,
        }
    }

    pub(crate) fn from_state(stored: state::Member) -> Option<Self> {
        let mut member = Self::new(UserId::new(stored.user)?, stored.role, stored.joined_seq);
        member.delivered_seq = stored.delivered_seq;
        member.read_seq = stored.read_seq;
        member.sent_seq = stored.sent_seq;
        member.sends = stored.sends.iter().map(|sent| (sent.hash, sent.seq)).collect();
        Some(member)
    }

    pub(crate) fn to_state(&self) -> state::Member {
        state::Member {
            user: self.user.get(),
            role: self.role,
            joined_seq: self.joined_seq,
            delivered_seq: self.delivered_seq,
            read_seq: self.read_seq,
            sent_seq: self.sent_seq,
            sends: stored_sends(&self.sends),
        }
    }

    /// The member sent message `seq`. Without a client's id it was an event,
    /// which is never retried.
    pub(crate) fn note_send(&mut self, seq: u64, hash: Option<u64>) {
        self.sent_seq = seq;
        if let Some(hash) = hash {
            self.sends.note(hash, seq, DEDUPE_SENDS);
        }
    }

    /// The last sends, to be kept when the member goes: no more than a client
    /// may have without a result.
    pub(crate) fn into_sends(mut self) -> Sends {
        self.sends.keep_newest(OUTBOX_WINDOW);
        self.sends
    }

    /// The sends of an earlier stay.
    pub(crate) fn recall_sends(&mut self, sends: Sends) {
        self.sends = sends;
    }

    /// The seq of the remembered send with this hash, the newest if several.
    pub(crate) fn sent_before(&self, hash: u64) -> Option<u64> {
        self.sends.find(hash)
    }
}

/// The stored form of sends.
pub(super) fn stored_sends(sends: &Sends) -> Vec<state::Sent> {
    sends.iter().map(|(hash, seq)| state::Sent { hash, seq }).collect()
}
