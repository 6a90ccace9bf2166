//! The cursors that go back to the server and come from it: what this user's
//! devices have, and what was read.
//!
//! Invariants: a cursor only grows; a delivered mark goes once per
//! conversation and burst, and again after a reconnect unless an answered
//! heartbeat covers it; a read mark goes until the server has it.

use hongyan_protocol::ids::{ConversationId, UserId};
use hongyan_protocol::{Opcode, pb};

use crate::client::ClientCore;
use crate::event::Event;
use crate::requests::Purpose;
use crate::session::Phase;

const READ_RETRY_MS: u64 = 1_000;

impl ClientCore {
    pub(crate) fn on_cursor_moved(&mut self, moved: pb::CursorMoved) {
        let (Some(id), Some(user), Some(me)) = (
            moved.conversation.as_ref().and_then(ConversationId::from_wire),
            UserId::new(moved.user),
            self.me(),
        ) else {
            return;
        };
        let Some(conv) = self.convs.get_mut(&id) else {
            return;
        };
        conv.record.apply_cursor(user, moved.delivered_seq, moved.read_seq, me);
        self.touch(id);
        self.events.push_back(Event::CursorMoved {
            conversation: id,
            user,
            delivered_seq: moved.delivered_seq,
            read_seq: moved.read_seq,
        });
    }

    /// Moves cursors on the wire: one message per conversation and burst.
    pub(crate) fn flush_cursors(&mut self, now_ms: u64) {
        for (id, delivered_seq) in std::mem::take(&mut self.delivered_due) {
            let message =
                pb::MoveCursor { conversation: Some(id.to_wire()), delivered_seq, read_seq: 0 };
            hongyan_protocol::frame::encode_message(
                Opcode::MoveCursor,
                0,
                &message,
                &mut self.link.out,
            );
            self.cursors_unconfirmed.insert(id, delivered_seq);
        }
        for id in std::mem::take(&mut self.reads_due) {
            let Some(conv) = self.convs.get(&id) else {
                continue;
            };
            let message = pb::MoveCursor {
                conversation: Some(id.to_wire()),
                delivered_seq: conv.record.delivered_seq.max(conv.record.read_seq),
                read_seq: conv.record.read_seq,
            };
            let purpose = Purpose::Read { conversation: id, seq: conv.record.read_seq };
            self.request_frame(now_ms, purpose, Opcode::MoveCursor, &message);
        }
    }

    /// Notes that the newest messages are on this device, when others sent
    /// them. What is still to be read comes first.
    pub(crate) fn note_delivered(&mut self, id: ConversationId) {
        let Some(me) = self.me().filter(|_| !self.is_behind(id)) else {
            return;
        };
        let Some(conv) = self.convs.get_mut(&id) else {
            return;
        };
        let from = conv.record.delivered_seq + 1;
        if let Some(seq) = conv.timeline.newest_of_others(from, me) {
            conv.record.delivered_seq = seq;
            self.delivered_due.insert(id, seq);
        }
    }

    /// A read mark was not taken. `again`: it may be later.
    pub(crate) fn on_read_failed(
        &mut self,
        now_ms: u64,
        id: ConversationId,
        again: bool,
        retry_after_ms: u64,
    ) {
        if again {
            self.reads_retry_at_ms = Some(now_ms + retry_after_ms.max(READ_RETRY_MS));
        } else if let Some(conv) = self.convs.get_mut(&id) {
            // It will never be taken: no longer a member, say.
            conv.record.read_confirmed_seq = conv.record.read_seq;
            self.dirty_records.insert(id);
        }
    }

    pub(crate) fn handle_reads_timeout(&mut self, now_ms: u64) {
        if self.link.phase == Phase::Live && self.reads_retry_at_ms.is_some_and(|at| at <= now_ms) {
            self.resend_reads();
        }
    }

    pub(crate) fn resend_reads(&mut self) {
        self.reads_retry_at_ms = None;
        let unsent = self
            .convs
            .values()
            .filter(|conv| conv.record.read_seq > conv.record.read_confirmed_seq)
            .map(|conv| conv.record.id);
        self.reads_due.extend(unsent);
    }
}
