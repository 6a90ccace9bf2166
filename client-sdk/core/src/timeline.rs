//! The messages of one conversation that this device holds.
//!
//! ```text
//!   seq   first_seq ....... lo ━━━━━━━━━━━━━━━ hi . . ▪▪ . ▪ . . last
//!         (can be paged in) (held, no gap)         (held ahead of a gap)
//! ```
//!
//! Invariants: every seq in `lo..=hi` is held; nothing below `lo` is; a seq is
//! held at most once; `hi <= last`. So the cursor that a sync starts from is
//! `hi`, and a gap is `hi < last`: nothing is searched.

use std::collections::BTreeMap;
use std::sync::Arc;

use hongyan_protocol::ids::{ConversationId, UserId};

use crate::message::{Message, SendState};
use crate::outbox::PendingMessage;

/// What inserting a message did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It is held now and was not before.
    New,
    /// It was held already, or lies below what is held.
    Known,
}

/// The held part of a conversation.
#[derive(Debug, Clone)]
pub struct Timeline {
    messages: BTreeMap<u64, Arc<Message>>,
    lo: u64,
    hi: u64,
    last: u64,
    /// There is nothing to page in below `lo`.
    at_start: bool,
}

impl Timeline {
    /// An empty timeline whose first message will be `next_seq`.
    pub const fn starting_at(next_seq: u64) -> Self {
        let lo = if next_seq == 0 { 1 } else { next_seq };
        Self { messages: BTreeMap::new(), lo, hi: lo - 1, last: lo - 1, at_start: lo == 1 }
    }

    /// The timeline that a store kept: what lies ahead of a gap stays ahead
    /// of it.
    pub fn restored(messages: BTreeMap<u64, Arc<Message>>, last_seq: u64) -> Self {
        let lo = messages.keys().next().copied().unwrap_or(last_seq + 1);
        let mut timeline = Self { messages, ..Self::starting_at(lo) };
        timeline.advance();
        let highest = timeline.messages.keys().next_back().copied().unwrap_or(0);
        timeline.last = timeline.hi.max(last_seq).max(highest);
        timeline
    }

    /// Takes in a message that the server stored.
    pub fn insert(&mut self, message: Arc<Message>) -> Inserted {
        let seq = message.seq;
        if seq <= self.hi || self.messages.contains_key(&seq) {
            return Inserted::Known;
        }
        self.messages.insert(seq, message);
        self.last = self.last.max(seq);
        self.advance();
        Inserted::New
    }

    /// Takes in older messages: those that join what is held without a gap.
    /// `page` is ascending. Returns how many joined.
    pub fn prepend(&mut self, page: &[Arc<Message>]) -> usize {
        let mut joined = 0;
        for message in page.iter().rev() {
            if message.seq + 1 != self.lo {
                continue;
            }
            self.messages.insert(message.seq, Arc::clone(message));
            self.lo -= 1;
            joined += 1;
        }
        self.at_start |= self.lo == 1;
        joined
    }

    /// There is nothing below what is held that the user may see.
    pub const fn reached_start(&mut self) {
        self.at_start = true;
    }

    /// Messages up to `seq` exist.
    pub fn extend_to(&mut self, seq: u64) {
        self.last = self.last.max(seq);
    }

    /// Gives up what is held below `seq`, so that it can be paged in again.
    pub fn rebase(&mut self, seq: u64) {
        let seq = seq.max(1);
        if seq <= self.lo {
            return;
        }
        self.messages = self.messages.split_off(&seq);
        self.lo = seq;
        self.hi = self.hi.max(seq - 1);
        self.last = self.last.max(self.hi);
        self.at_start = false;
        self.advance();
    }

    /// Gives up what lies above `seq`: the server no longer has it.
    pub fn rewind(&mut self, seq: u64) {
        self.messages.split_off(&(seq + 1));
        self.hi = self.hi.min(seq);
        self.last = self.last.min(seq);
        self.lo = self.lo.min(self.hi + 1);
    }

    /// Keeps the newest `messages_max` messages. Returns whether any went.
    pub fn trim(&mut self, messages_max: usize) -> bool {
        let excess = self.messages.len().saturating_sub(messages_max);
        let Some(seq) = self.messages.keys().nth(excess).copied() else {
            return false;
        };
        // Only what has no gap above it is given up.
        if excess == 0 || seq > self.hi {
            return false;
        }
        self.rebase(seq);
        true
    }

    fn advance(&mut self) {
        while self.messages.contains_key(&(self.hi + 1)) {
            self.hi += 1;
        }
        self.last = self.last.max(self.hi);
    }

    /// The lowest range of seqs that exist and are not held.
    pub fn gap(&self) -> Option<(u64, u64)> {
        if self.hi >= self.last {
            return None;
        }
        let above = self.messages.range(self.hi + 1..).next().map_or(self.last, |(seq, _)| seq - 1);
        Some((self.hi + 1, above))
    }

    /// The lowest seq held without a gap.
    pub const fn lo(&self) -> u64 {
        self.lo
    }

    /// The highest seq below which nothing is missing: the cursor to sync from.
    pub const fn held_seq(&self) -> u64 {
        self.hi
    }

    /// The newest seq known to exist.
    pub const fn last_seq(&self) -> u64 {
        self.last
    }

    /// Whether older messages can be paged in.
    pub const fn has_older(&self, first_seq: u64) -> bool {
        !self.at_start && self.lo > first_seq
    }

    /// The message at `seq`.
    pub fn message(&self, seq: u64) -> Option<&Arc<Message>> {
        self.messages.get(&seq)
    }

    /// The newest message held.
    pub fn newest(&self) -> Option<&Arc<Message>> {
        self.messages.values().next_back()
    }

    /// The highest seq in `from..=held_seq()` that somebody else sent.
    pub fn newest_of_others(&self, from: u64, me: UserId) -> Option<u64> {
        if from > self.hi {
            return None;
        }
        self.messages
            .range(from..=self.hi)
            .rev()
            .find(|(_, message)| message.sender != Some(me))
            .map(|(seq, _)| *seq)
    }

    /// Messages held, ascending; there can be gaps above
    /// [`Timeline::held_seq`].
    pub fn messages(&self) -> impl Iterator<Item = &Arc<Message>> {
        self.messages.values()
    }

    /// Messages from `from_seq` up to [`Timeline::held_seq`], ascending.
    pub fn held_from(&self, from_seq: u64) -> impl Iterator<Item = &Arc<Message>> {
        let end = self.hi + 1;
        self.messages.range(from_seq.min(end)..end).map(|(_, message)| message)
    }

    /// How many messages are held.
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// How many messages are held above a gap.
    pub fn ahead_len(&self) -> usize {
        self.messages.len().saturating_sub((self.hi + 1 - self.lo) as usize)
    }

    /// True when none is held.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}

/// A timeline as an app shows it: a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineView {
    /// Which conversation.
    pub conversation: ConversationId,
    /// Messages held without a gap, ascending by seq. Those above a gap
    /// follow once it is filled.
    pub messages: Vec<Arc<Message>>,
    /// Own messages that the server has not stored yet, in the order they
    /// were written; shown below `messages`.
    pub pending: Vec<PendingMessage>,
    /// Older messages can be paged in.
    pub has_older: bool,
    /// Newer messages exist and are on their way.
    pub catching_up: bool,
    /// The newest seq known to exist.
    pub last_seq: u64,
    /// Up to here this user has read.
    pub read_seq: u64,
    /// Direct conversations: the other person's delivered cursor.
    pub peer_delivered_seq: u64,
    /// Direct conversations: the other person's read cursor.
    pub peer_read_seq: u64,
    /// The signed-in user.
    pub me: Option<UserId>,
}

impl TimelineView {
    /// An empty view.
    pub const fn empty(conversation: ConversationId) -> Self {
        Self {
            conversation,
            messages: Vec::new(),
            pending: Vec::new(),
            has_older: false,
            catching_up: false,
            last_seq: 0,
            read_seq: 0,
            peer_delivered_seq: 0,
            peer_read_seq: 0,
            me: None,
        }
    }

    /// How far a message of this view got: `None` for what others sent.
    /// [`SendState::Saved`] names the strongest level, because a message that
    /// came back from the server's log is on its disk.
    pub fn send_state(&self, message: &Message) -> Option<SendState> {
        if message.sender.is_none() || message.sender != self.me {
            return None;
        }
        let direct = matches!(self.conversation, ConversationId::Direct(..));
        Some(if direct && self.peer_read_seq >= message.seq {
            SendState::Read
        } else if direct && self.peer_delivered_seq >= message.seq {
            SendState::Delivered
        } else {
            SendState::Saved { level: crate::message::AckLevel::Durable }
        })
    }
}
