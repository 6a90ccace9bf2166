//! A user's list of conversations. Foundation of sync.
//!
//! Owns: which conversations a user has, in the order they appeared. What
//! happened in them, and how far the user has read, is the conversation's
//! business; that way a message to ten thousand people changes one entity.

use foldhash::fast::FixedState;
use hongyan_protocol::ConversationId;
use hongyan_protocol::limits::CONVERSATIONS_MAX;
use indexmap::IndexMap;

use crate::conversation::{conversation_id, conversation_key};
use crate::state;

/// See the module.
#[derive(Debug, Default, Clone)]
pub(crate) struct Inbox {
    /// Numbers ascend in the order of the map.
    entries: IndexMap<ConversationId, u64, FixedState>,
    last_number: u64,
}

impl Inbox {
    pub(crate) fn from_state(stored: state::Inbox) -> Option<Self> {
        let mut inbox = Self { last_number: stored.next_number, ..Self::default() };
        for entry in stored.entries {
            inbox.entries.insert(conversation_id(entry.conversation.as_ref())?, entry.number);
        }
        Some(inbox)
    }

    pub(crate) fn to_state(&self, applied: u64) -> state::Inbox {
        state::Inbox {
            applied,
            next_number: self.last_number,
            entries: self
                .entries
                .iter()
                .map(|(id, number)| state::InboxEntry {
                    number: *number,
                    conversation: Some(conversation_key(*id)),
                })
                .collect(),
        }
    }

    /// Adds a conversation at the end, unless it is there. A full list stays
    /// as it is: the conversation can still be opened by its id.
    pub(crate) fn list(&mut self, id: ConversationId) {
        if self.entries.len() < CONVERSATIONS_MAX && !self.entries.contains_key(&id) {
            self.last_number += 1;
            self.entries.insert(id, self.last_number);
        }
    }

    pub(crate) fn unlist(&mut self, id: ConversationId) {
        self.entries.shift_remove(&id);
    }

    pub(crate) fn contains(&self, id: ConversationId) -> bool {
        self.entries.contains_key(&id)
    }

    /// Entries with a number above `after`, in order.
    pub(crate) fn after(&self, after: u64) -> impl Iterator<Item = (u64, ConversationId)> + '_ {
        self.entries
            .iter()
            .map(|(id, number)| (*number, *id))
            .skip_while(move |(number, _)| *number <= after)
    }
}
