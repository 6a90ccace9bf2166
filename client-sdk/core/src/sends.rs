//! Messages of one's own: into the outbox, onto the wire, and what came of
//! them.
//!
//! Invariants: nothing is shown as sending or sent before it is kept on this
//! device; every message ends in one [`SendUpdate::Saved`],
//! [`SendUpdate::Failed`] or [`SendUpdate::Dropped`].

use std::sync::Arc;

use hongyan_protocol::ids::ConversationId;
use hongyan_protocol::{ErrorCode, Opcode, pb};

use crate::client::ClientCore;
use crate::error::ClientError;
use crate::event::{Event, SendUpdate};
use crate::message::{ClientMsgId, Message, SendAck};
use crate::outbox::{NewMessage, OutboxEntry};
use crate::requests::Purpose;
use crate::store::StoreOp;

/// Messages of all conversations sent and not answered.
const SENDS_IN_FLIGHT_MAX: usize = 1_024;
/// Bytes of messages encoded ahead of the socket.
const TRANSMIT_BYTES: usize = 256 * 1024;

impl ClientCore {
    /// Takes a message into the outbox. An [`Event::Send`] tells when it is
    /// kept on this device, and later what became of it.
    ///
    /// # Errors
    /// [`ClientError::Offline`] when nobody is signed in on this device,
    /// [`ClientError::Invalid`] when the server would refuse it for certain,
    /// [`ClientError::OutboxFull`] (try again when some are sent),
    /// [`ClientError::Storage`] after the local store failed.
    pub fn send(&mut self, now_ms: u64, message: NewMessage) -> Result<(), ClientError> {
        let me = self.me().ok_or(ClientError::Offline)?;
        message.body.check()?;
        let id = message.conversation;
        if matches!(id, ConversationId::Direct(..)) && id.peer_of(me).is_none() {
            return Err(ClientError::Invalid("the conversation is between other people"));
        }
        self.check_store()?;
        let entry = self.outbox.push(message, now_ms)?.clone();
        self.keep_entry(entry);
        Ok(())
    }

    /// Sends a failed message again, with the same id.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] when no failed message has this id,
    /// [`ClientError::Storage`] as in [`ClientCore::send`].
    pub fn retry(&mut self, id: ClientMsgId) -> Result<(), ClientError> {
        self.check_store()?;
        let entry = self.outbox.retry(id).cloned();
        let entry = entry.ok_or(ClientError::Invalid("no failed message has this id"))?;
        self.keep_entry(entry);
        Ok(())
    }

    /// Forgets a failed message.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] when no failed message has this id.
    pub fn discard(&mut self, id: ClientMsgId) -> Result<(), ClientError> {
        let failed = self.outbox.entry(id).is_some_and(|entry| entry.failed_code.is_some());
        let entry = if failed { self.outbox.discard(id) } else { None };
        let entry = entry.ok_or(ClientError::Invalid("no failed message has this id"))?;
        self.note_settled(&entry, SendUpdate::Dropped(ClientError::Closed));
        Ok(())
    }

    fn keep_entry(&mut self, entry: OutboxEntry) {
        self.outgoing_store.sends.push(entry.client_msg_id);
        self.outgoing_store.durable = true;
        self.store(StoreOp::PutOutbox(entry));
    }

    pub(crate) fn on_entry_kept(&mut self, id: ClientMsgId) {
        let Some(me) = self.me() else { return };
        let Some(entry) = self.outbox.stored(id) else {
            return;
        };
        let (conversation, created_ms) = (entry.conversation, entry.created_ms);
        let record = &mut self.conv(conversation).record;
        record.activity_ms = record.activity_ms.max(created_ms);
        self.learn_peer(conversation, me);
        self.touch(conversation);
        self.events.push_back(Event::Send {
            client_msg_id: id,
            conversation,
            update: SendUpdate::Sending,
        });
    }

    pub(crate) fn fill_sends(&mut self, now_ms: u64) {
        let entries_max = SENDS_IN_FLIGHT_MAX.saturating_sub(self.outbox.in_flight());
        let bytes_max = TRANSMIT_BYTES.saturating_sub(self.link.out.len());
        for entry in self.outbox.take_sendable(now_ms, entries_max, bytes_max) {
            let message = pb::Send {
                conversation: Some(entry.conversation.to_wire()),
                client_msg_id: entry.client_msg_id.to_wire(),
                body: Some(entry.body.to_wire()),
                level: entry.level.to_wire().into(),
            };
            self.request_frame(now_ms, Purpose::Send(entry.client_msg_id), Opcode::Send, &message);
        }
    }

    pub(crate) fn on_send_ack(&mut self, now_ms: u64, id: ClientMsgId, ack: SendAck) {
        let Some(me) = self.me() else { return };
        // A sync may have told already.
        let Some(entry) = self.outbox.settle(id) else {
            return;
        };
        self.note_settled(&entry, SendUpdate::Saved(ack));
        let message = Message {
            conversation: entry.conversation,
            seq: ack.seq,
            message_id: ack.message_id,
            sender: Some(me),
            time_ms: ack.time_ms,
            client_msg_id: Some(id),
            body: entry.body,
            newer_body: None,
        };
        let conversation = message.conversation;
        let conv = self.conv(conversation);
        conv.heard_seq = conv.heard_seq.max(ack.seq);
        if ack.seq > conv.record.told_seq {
            conv.own_acked.insert(ack.seq);
        }
        self.take_message(now_ms, Arc::new(message));
        self.follow_events(now_ms, conversation);
    }

    pub(crate) fn on_send_refused(&mut self, id: ClientMsgId, error: ClientError) {
        let code = error.code().map_or_else(|| error_number(&error), |code| code.number());
        let Some(entry) = self.outbox.fail(id, code).cloned() else {
            return;
        };
        let conversation = entry.conversation;
        if error.is(ErrorCode::NotMember) {
            self.mark_gone(conversation);
        }
        // Once shown as failed, it must not go out after a power cut.
        self.outgoing_store.durable = true;
        self.store(StoreOp::PutOutbox(entry));
        self.touch(conversation);
        let update = SendUpdate::Failed(error);
        self.events.push_back(Event::Send { client_msg_id: id, conversation, update });
    }

    /// A message left the outbox.
    pub(crate) fn note_settled(&mut self, entry: &OutboxEntry, update: SendUpdate) {
        self.removals_not_durable += 1;
        self.store(StoreOp::RemoveOutbox(entry.client_msg_id));
        self.dirty_conversations.insert(entry.conversation);
        self.dirty_timelines.insert(entry.conversation);
        self.events.push_back(Event::Send {
            client_msg_id: entry.client_msg_id,
            conversation: entry.conversation,
            update,
        });
    }
}

fn error_number(error: &ClientError) -> u32 {
    match error {
        ClientError::Refused { code, .. } => *code,
        _ => ErrorCode::Internal.number(),
    }
}
