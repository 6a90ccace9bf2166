//! What a device holds of its conversations.
//!
//! Owns the messages by seq and the state last told. A message once held
//! never changes; holes are known as holes.

use std::collections::BTreeMap;

use hongyan_protocol::pb;
use hongyan_protocol::{ConversationId, UserId};

use crate::model::LogModel;
use crate::violation::{Checked, ensure, violated};

/// One conversation.
#[derive(Debug, Default, Clone)]
pub(crate) struct Held {
    /// Message ids by seq.
    pub(crate) messages: BTreeMap<u64, u64>,
    /// The history before this seq is not held.
    pub(crate) base: u64,
    /// The lowest seq that the user may see, as last told; zero: not told.
    pub(crate) first_seq: u64,
    /// The highest seq heard of.
    pub(crate) last_heard: u64,
    pub(crate) state: Option<pb::Conversation>,
}

/// See the module.
#[derive(Debug, Default, Clone)]
pub(crate) struct Timeline {
    pub(crate) conversations: BTreeMap<ConversationId, Held>,
}

impl Held {
    /// The highest seq below which there is no hole above `base`.
    pub(crate) fn cursor(&self) -> u64 {
        let mut cursor = self.base;
        for seq in self.messages.range(self.base + 1..).map(|(seq, _)| *seq) {
            if seq != cursor + 1 {
                break;
            }
            cursor = seq;
        }
        cursor
    }

    /// The first hole at or after `from`, both ends inclusive.
    pub(crate) fn hole(&self, from: u64) -> Option<(u64, u64)> {
        let mut expected = from.max(1);
        for seq in self.messages.range(expected..).map(|(seq, _)| *seq) {
            if seq != expected {
                return Some((expected, seq - 1));
            }
            expected = seq + 1;
        }
        (expected <= self.last_heard).then_some((expected, self.last_heard))
    }

    fn insert(&mut self, message: &pb::Message) -> Checked {
        let known = self.messages.entry(message.seq).or_insert(message.message_id);
        ensure!(
            *known == message.message_id,
            "a device never sees two messages in one place",
            "{known} and {} at seq {} of {:?}",
            message.message_id,
            message.seq,
            message.conversation
        );
        self.last_heard = self.last_heard.max(message.seq);
        Ok(())
    }
}

impl Timeline {
    /// For resuming.
    pub(crate) fn held(&self) -> Vec<pb::HeldCursor> {
        let cursors = self.conversations.iter().map(|(id, held)| pb::HeldCursor {
            conversation: Some(id.to_wire()),
            seq: held.cursor(),
        });
        cursors.collect()
    }

    /// A message was pushed; or an own one was stored, which is not pushed to
    /// the device that sent it.
    pub(crate) fn on_pushed(&mut self, message: &pb::Message) -> Checked {
        let Some(id) = conversation_of(&message.conversation) else {
            return Ok(());
        };
        let fresh = !self.conversations.contains_key(&id);
        let held = self.conversations.entry(id).or_default();
        if fresh {
            held.base = message.seq - 1;
        }
        held.insert(message)
    }

    pub(crate) fn on_history(&mut self, id: ConversationId, messages: &[pb::Message]) -> Checked {
        let Some(held) = self.conversations.get_mut(&id) else {
            return Ok(());
        };
        for message in messages {
            held.insert(message)?;
        }
        Ok(())
    }

    pub(crate) fn on_state(&mut self, state: &pb::Conversation) {
        let Some(id) = conversation_of(&state.id) else {
            return;
        };
        if state.gone {
            self.conversations.remove(&id);
            return;
        }
        let fresh = !self.conversations.contains_key(&id);
        let held = self.conversations.entry(id).or_default();
        if fresh {
            held.base = state.last_seq;
        }
        held.last_heard = held.last_heard.max(state.last_seq);
        held.first_seq = state.first_seq;
        held.state = Some(state.clone());
    }

    /// A part of a sync, asked for with `asked` held of the conversation.
    pub(crate) fn on_synced(
        &mut self,
        synced: &pb::SyncedConversation,
        asked: Option<u64>,
    ) -> Checked {
        const SYNC: &str = "a sync leaves no hole";
        let state = synced.state.clone().unwrap_or_default();
        let Some(id) = conversation_of(&state.id) else { violated!(SYNC, "no conversation") };
        if state.gone {
            self.conversations.remove(&id);
            return Ok(());
        }
        let seqs: Vec<u64> = synced.messages.iter().map(|message| message.seq).collect();
        ensure!(
            seqs.windows(2).all(|pair| pair[1] == pair[0] + 1),
            SYNC,
            "{id:?} comes as {seqs:?}"
        );
        match (seqs.last(), asked) {
            (Some(last), _) => ensure!(
                *last == state.last_seq,
                SYNC,
                "{id:?} ends at {last} of {}",
                state.last_seq
            ),
            (None, Some(asked)) => ensure!(
                asked >= state.last_seq || state.first_seq > state.last_seq,
                SYNC,
                "{id:?} brings nothing after {asked} of {}",
                state.last_seq
            ),
            (None, None) => {}
        }
        if let (false, Some(asked), Some(first)) = (synced.too_old, asked, seqs.first()) {
            ensure!(
                *first <= (asked + 1).max(state.first_seq),
                SYNC,
                "{id:?} held to {asked} goes on at {first} without being too old"
            );
        }
        let held = self.conversations.entry(id).or_default();
        if let Some(first) = seqs.first()
            && (asked.is_none_or(|asked| *first > asked + 1))
            && *first > held.cursor() + 1
        {
            held.base = first - 1;
        }
        for message in &synced.messages {
            held.insert(message)?;
        }
        self.on_state(&state);
        Ok(())
    }

    /// After a crash: forgets what did not survive it. The judge has made
    /// sure that only messages of weaker levels are gone.
    pub(crate) fn forget_lost(&mut self, log: &LogModel) {
        self.conversations.retain(|id, held| {
            let Some(stored) = log.conversations.get(id) else {
                return false;
            };
            held.messages.retain(|seq, message_id| {
                stored.message(*seq).is_some_and(|message| message.message_id == *message_id)
            });
            held.last_heard = held.last_heard.min(stored.last_seq());
            held.base = held.base.min(stored.last_seq());
            true
        });
    }

    /// The conversations held, with whether `user` was told a state of each.
    pub(crate) fn ids(&self) -> Vec<ConversationId> {
        self.conversations.keys().copied().collect()
    }

    /// Compares with what `user` must hold now. Unless the device began from
    /// nothing (`cold`), it may not know of a changed history rule yet.
    pub(crate) fn compare(&self, user: UserId, log: &LogModel, cold: bool) -> Checked {
        const SAME: &str = "every device holds the same timeline";
        for (id, stored) in &log.conversations {
            let Some(first) = stored.first_visible(user) else {
                ensure!(
                    !self.conversations.contains_key(id),
                    "who left holds the conversation no more",
                    "{user} holds {id:?}"
                );
                continue;
            };
            if stored.last_seq() == 0 {
                continue;
            }
            let Some(held) = self.conversations.get(id) else {
                violated!("lists equal memberships", "{user} lacks {id:?}")
            };
            let first = if cold { first } else { first.max(held.first_seq) };
            for seq in first..=stored.last_seq() {
                let expected = stored.message(seq).map(|message| message.message_id);
                let seen = held.messages.get(&seq).copied();
                ensure!(
                    expected == seen,
                    SAME,
                    "{user} has {seen:?} for {expected:?} at {seq} of {id:?}"
                );
            }
            ensure!(
                held.last_heard == stored.last_seq(),
                SAME,
                "{user} heard of {} of {} in {id:?}",
                held.last_heard,
                stored.last_seq()
            );
        }
        for id in self.conversations.keys() {
            ensure!(log.conversations.contains_key(id), SAME, "{user} holds {id:?}, which is not");
        }
        Ok(())
    }
}

fn conversation_of(id: &Option<pb::ConversationId>) -> Option<ConversationId> {
    id.as_ref().and_then(ConversationId::from_wire)
}
