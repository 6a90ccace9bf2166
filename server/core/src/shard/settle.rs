//! What changed, given to the views a part at a time.
//!
//! A round takes all entities that differ from the views at its beginning,
//! and ends with a mark per partition: everything up to that record is in
//! the views. An entity may have changed again by the time its turn comes;
//! it is given as it is then, with the index of its last record, so that
//! replaying records which it has seen does nothing.

use std::collections::VecDeque;

use bytes::Bytes;
use prost::Message;

use super::Shard;
use crate::effect::SettleStep;
use crate::key::{EntityKey, page_key};
use crate::routing::PartitionId;

/// Size of a page of messages: small enough to be one value of any engine.
const PAGE_BYTES: usize = 6 * 1024;

/// Messages that one step lets go of: many thousands wait for it after a
/// round, and nobody else is served meanwhile.
const LET_GO: usize = 128;

/// The round under way.
#[derive(Debug, Default)]
pub(crate) struct Settling {
    round: u64,
    settled: u64,
    queue: VecDeque<EntityKey>,
    marks: Vec<(PartitionId, u64)>,
    /// Conversations with pages in this round: what may be let go after it.
    paged: Vec<(hongyan_protocol::ConversationId, u64)>,
    /// What may be let go and is not yet.
    letting_go: VecDeque<(hongyan_protocol::ConversationId, u64)>,
    open: bool,
}

impl Settling {
    /// The last round whose entries are durable in the views.
    pub(crate) const fn settled_round(&self) -> u64 {
        self.settled
    }

    /// Whether [`Shard::let_go`] has something to do.
    pub(crate) fn is_letting_go(&self) -> bool {
        !self.letting_go.is_empty()
    }
}

impl Shard {
    /// Begins or continues a settle round; `None` when the views have
    /// everything, or when the last round is not settled yet. A step has
    /// about `bytes_max` bytes, unless one entity is larger. To be called
    /// between wakes.
    pub fn settle(&mut self, bytes_max: usize) -> Option<SettleStep> {
        if !self.settling.open {
            if self.settling.round > self.settling.settled || self.entities.dirty.is_empty() {
                return None;
            }
            self.settling.round += 1;
            self.settling.open = true;
            self.settling.queue = std::mem::take(&mut self.entities.dirty).into_iter().collect();
            self.settling.marks = self
                .layout
                .partitions_of(self.id)
                .map(|id| (id, self.entities.partition(id).last_idx))
                .collect();
        }
        let round = self.settling.round;
        let mut step = SettleStep { round, after: self.submission, ..SettleStep::default() };
        let mut bytes = 0;
        while bytes < bytes_max
            && let Some(key) = self.settling.queue.pop_front()
        {
            if let EntityKey::Conversation(id) = key {
                bytes += self.settle_pages(id, &mut step.entries);
            }
            // Changed again since the round began: this is the newest, so it
            // need not be given again in the next round.
            self.entities.dirty.shift_remove(&key);
            self.entities.begin_settling(&key, round);
            let value = self.entities.encode(&key);
            let key = key.to_bytes();
            bytes += key.len() + value.as_ref().map_or(0, Bytes::len);
            step.entries.push((key, value));
        }
        if self.settling.queue.is_empty() {
            self.settling.open = false;
            step.marks = Some(std::mem::take(&mut self.settling.marks));
        }
        Some(step)
    }

    /// Moves what is not in pages yet into pages; says how many bytes.
    fn settle_pages(
        &mut self,
        id: hongyan_protocol::ConversationId,
        entries: &mut Vec<(Bytes, Option<Bytes>)>,
    ) -> usize {
        let Some(conversation) = self.entities.loaded_conversation(id) else {
            return 0;
        };
        let mut bytes = 0;
        for (first_seq, page) in conversation.take_pages(PAGE_BYTES) {
            let value = page.encode_to_vec();
            bytes += value.len();
            entries.push((page_key(id, first_seq), Some(value.into())));
        }
        let paged_seq = conversation.paged_seq;
        self.settling.paged.push((id, paged_seq));
        bytes
    }

    /// A round is durable in the views.
    pub(crate) fn settled(&mut self, round: u64) {
        if round < self.settling.round || self.settling.open {
            return;
        }
        self.settling.settled = round;
        self.settling.letting_go.extend(self.settling.paged.drain(..));
    }

    /// Lets go of some messages that the views have: they need no memory.
    pub(crate) fn let_go(&mut self) {
        let mut left = LET_GO;
        while left > 0
            && let Some((id, paged_seq)) = self.settling.letting_go.pop_front()
        {
            // A conversation costs a look even when nothing of it goes.
            left -= 1;
            let Some(conversation) = self.entities.loaded_conversation(id) else {
                continue;
            };
            let gone = conversation.trim_tail(paged_seq, left);
            if gone == left {
                self.settling.letting_go.push_front((id, paged_seq));
            }
            left -= gone;
        }
    }
}
