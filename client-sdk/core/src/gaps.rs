//! What is missing in a timeline, and what is too much of it: gaps are filled
//! by History, older messages paged in, and memory and store kept within
//! their windows.
//!
//! Invariants: at most [`GAPS_ASKED_MAX`] gaps are asked for at a time, none
//! before its grace is over; a gap that the server cannot fill is given up
//! rather than asked for again.

use std::sync::Arc;

use hongyan_protocol::ids::ConversationId;
use hongyan_protocol::{Opcode, pb, raw};

use crate::client::ClientCore;
use crate::message::Message;
use crate::requests::Purpose;
use crate::session::Phase;
use crate::store::StoreOp;

/// A gap wider than this is left to paging.
pub(crate) const GAP_MESSAGES_MAX: u64 = 500;
const GAP_PAGE: u32 = 100;
/// Gaps asked for at a time.
const GAPS_ASKED_MAX: usize = 16;
/// Messages kept of each conversation when all together are too many.
const MESSAGES_WHEN_CROWDED: usize = 20;

impl ClientCore {
    /// When a gap is to be asked for; `None` while enough are.
    pub(crate) fn gap_deadline_ms(&self) -> Option<u64> {
        let asked = self.gaps.values().filter(|at| **at == u64::MAX).count();
        let due = self.gaps.values().min().copied().filter(|at| *at < u64::MAX);
        due.filter(|_| asked < GAPS_ASKED_MAX)
    }

    /// Asks for what is missing, where the grace is over.
    pub(crate) fn handle_gap_timeout(&mut self, now_ms: u64) {
        if self.link.phase != Phase::Live {
            return;
        }
        let due: Vec<_> =
            self.gaps.iter().filter(|(_, at)| **at <= now_ms).map(|(id, _)| *id).collect();
        let asked = self.gaps.values().filter(|at| **at == u64::MAX).count();
        for id in due.into_iter().take(GAPS_ASKED_MAX.saturating_sub(asked)) {
            // Asked for: not due again before the answer.
            self.gaps.insert(id, u64::MAX);
            let Some(conv) = self.convs.get(&id) else {
                continue;
            };
            let Some((from_seq, to_seq)) = conv.timeline.gap() else {
                self.gaps.remove(&id);
                continue;
            };
            let newest_only = to_seq - from_seq >= GAP_MESSAGES_MAX;
            let request = pb::History {
                conversation: Some(id.to_wire()),
                from_seq,
                to_seq,
                limit: GAP_PAGE,
                backwards: newest_only,
            };
            let purpose = Purpose::Gap { conversation: id, from_seq, newest_only };
            self.request_frame(now_ms, purpose, Opcode::History, &request);
        }
    }

    /// What was asked for from `from_seq` on came.
    pub(crate) fn on_gap_page(
        &mut self,
        now_ms: u64,
        id: ConversationId,
        from_seq: u64,
        newest_only: bool,
        page: raw::HistoryPage,
    ) {
        if !self.convs.contains_key(&id) {
            return;
        }
        // What is below does not exist for this user.
        self.told_up_to(id, page.first_seq.saturating_sub(1));
        let messages: Vec<_> = page.messages.into_iter().filter_map(Message::decode).collect();
        if newest_only && let Some(first) = messages.first() {
            self.rebase(id, first.seq);
        }
        for message in messages {
            self.take_message(now_ms, Arc::new(message));
        }
        let Some(conv) = self.convs.get(&id) else {
            return;
        };
        if let Some((from, to)) = conv.timeline.gap()
            && from == from_seq
        {
            // The server does not have it, or does not show it: it will never
            // come. Any other gap is one that it was not asked about.
            self.rebase(id, to + 1);
        }
        self.gaps.remove(&id);
        self.follow_events(now_ms, id);
        self.note_gap(now_ms, id);
        if let Some(at) = self.gaps.get_mut(&id) {
            *at = now_ms;
        }
        self.note_delivered(id);
        self.touch(id);
    }

    /// The missing range was not given. `retry_at_ms` is when to ask again.
    pub(crate) fn on_gap_failed(&mut self, id: ConversationId, retry_at_ms: Option<u64>) {
        match retry_at_ms {
            Some(at) => {
                self.gaps.insert(id, at);
            }
            // Until the next push or sync says otherwise.
            None => {
                self.gaps.remove(&id);
            }
        }
    }

    pub(crate) fn on_older_page(
        &mut self,
        id: ConversationId,
        to_seq: u64,
        page: raw::HistoryPage,
    ) {
        let Some(conv) = self.convs.get_mut(&id) else {
            return;
        };
        if to_seq + 1 != conv.timeline.lo() {
            // Another call was faster, or the timeline began anew meanwhile: this page does not
            // say where the history begins.
            return;
        }
        let messages: Vec<_> =
            page.messages.into_iter().filter_map(Message::decode).map(Arc::new).collect();
        let joined = conv.timeline.prepend(&messages);
        if joined == 0 || (!page.more && conv.timeline.lo() <= page.first_seq.max(1)) {
            conv.timeline.reached_start();
        }
        self.held_messages += joined;
        self.dirty_timelines.insert(id);
    }

    pub(crate) fn note_gap(&mut self, now_ms: u64, id: ConversationId) {
        let Some(conv) = self.convs.get(&id) else {
            return;
        };
        if conv.timeline.gap().is_none() || conv.record.gone {
            self.gaps.remove(&id);
        } else {
            let grace_ms = self.config.gap_grace_ms;
            self.gaps.entry(id).or_insert(now_ms + grace_ms);
        }
    }

    /// Gives up what a timeline holds below `seq`.
    pub(crate) fn rebase(&mut self, id: ConversationId, seq: u64) {
        let Some(conv) = self.convs.get_mut(&id) else {
            return;
        };
        let before = conv.timeline.len();
        conv.timeline.rebase(seq);
        self.held_messages -= before - conv.timeline.len();
        conv.stored_from_seq = seq;
        self.store(StoreOp::KeepMessages { conversation: id, from_seq: seq, to_seq: u64::MAX });
        self.tell_messages(id);
    }

    /// Keeps memory and store within their windows.
    pub(crate) fn trim(&mut self, id: ConversationId) {
        let window = self.config.timeline_window;
        let Some(conv) = self.convs.get_mut(&id) else {
            return;
        };
        let in_memory = if conv.open { self.config.timeline_window_open } else { window };
        let before = conv.timeline.len();
        // Some slack, so that not every message pays for it.
        if before > in_memory + in_memory / 4 {
            conv.timeline.trim(in_memory);
            self.held_messages -= before - conv.timeline.len();
        }
        let keep_from = (conv.timeline.held_seq() + 1).saturating_sub(window as u64);
        if keep_from > conv.stored_from_seq + window as u64 / 4 {
            conv.stored_from_seq = keep_from;
            self.store(StoreOp::KeepMessages {
                conversation: id,
                from_seq: keep_from,
                to_seq: u64::MAX,
            });
        }
        self.drop_stale_gap(id);
        if self.held_messages > self.config.messages_max {
            self.trim_all();
        }
    }

    /// A gap that stays open while much arrives above it is given up: the
    /// timeline starts again above it.
    fn drop_stale_gap(&mut self, id: ConversationId) {
        let Some(conv) = self.convs.get(&id) else {
            return;
        };
        if conv.timeline.ahead_len() <= self.config.timeline_window {
            return;
        }
        if let Some((_, above)) = conv.timeline.gap() {
            self.rebase(id, above + 1);
            self.gaps.remove(&id);
        }
    }

    fn trim_all(&mut self) {
        let mut total = 0;
        for conv in self.convs.values_mut() {
            if !conv.open {
                conv.timeline.trim(MESSAGES_WHEN_CROWDED);
            }
            total += conv.timeline.len();
        }
        self.held_messages = total;
    }
}
