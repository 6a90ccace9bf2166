//! Storing a message: told from a retry, numbered, encoded once, committed,
//! acknowledged and pushed.

use bytes::{Bytes, BytesMut};
use hongyan_protocol::raw::StoredMessage;
use hongyan_protocol::{ConversationId, ErrorCode, Frame, MessageId, Opcode, UserId, pb};
use prost::Message;

use super::client_id_hash;
use crate::authority::Action;
use crate::effect::{Effects, Gate, delimited};
use crate::entity::{MessageRange, Need, Stop};
use crate::envelope::Origin;
use crate::error::Refusal;
use crate::shard::{Shard, op, partition_of};
use crate::state::{self, op::Kind};

/// A message that is about to be stored.
pub(crate) struct Draft {
    pub(crate) sender: UserId,
    pub(crate) client_msg_id: Bytes,
    pub(crate) body: Bytes,
}

impl Shard {
    /// Stores a message and acknowledges it, or acknowledges again what was
    /// stored before: also for who may send no more, because it is there.
    pub(crate) fn send_message(
        &mut self,
        origin: Origin,
        id: ConversationId,
        client_msg_id: &[u8; 16],
        body: &Bytes,
        level: pb::AckLevel,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        if let Some(seq) = self.sent_before(origin.user, id, client_msg_id)? {
            return self.acknowledge_again(origin, id, seq, client_msg_id, body, level, fx);
        }
        self.check_right(origin, id, Action::Send)?;
        let draft = Draft {
            sender: origin.user,
            client_msg_id: Bytes::copy_from_slice(client_msg_id),
            body: body.clone(),
        };
        let (message, op) = self.draft_message(id, draft)?;
        let mut ops = vec![op];
        if message.seq == 1
            && let ConversationId::Direct(low, high) = id
        {
            ops.extend(self.list_ops(id, &[low, high], true));
        }
        let push = push_frame(&ops[0]);
        let partition = partition_of(id.slot());
        let told = (ops.len() > 1).then(|| ops.clone());
        self.commit(partition, ops);
        self.stats.messages += 1;
        if let Some(ops) = told {
            self.tell_tasks(partition, &ops, fx);
        }
        let (ack_gate, push_gate) = self.gates(id, level);
        let ack = ack_frame(origin.request, &message, level, false);
        let echo = matches!(id, ConversationId::Direct(..)).then(|| push.clone());
        if ack_gate == push_gate {
            self.answer(ack_gate, origin, ack, echo, fx);
        } else {
            self.answer(ack_gate, origin, ack, None, fx);
            if let Some(echo) = echo {
                self.push_to_user(push_gate, origin.user, &echo, Some(origin), fx);
            }
        }
        self.push_to_members(push_gate, id, origin, &push, fx);
        Ok(())
    }

    /// Whether this sender used this id here before, and for which message.
    fn sent_before(
        &mut self,
        sender: UserId,
        id: ConversationId,
        client_msg_id: &[u8; 16],
    ) -> Result<Option<u64>, Stop> {
        let Some(conversation) = self.entities.conversation(id)? else {
            return Ok(None);
        };
        if cfg!(feature = "__break_dedupe_outside_commit") {
            return Ok(None);
        }
        let hash = client_id_hash(client_msg_id);
        Ok(conversation.sent_before(sender, hash))
    }

    #[expect(clippy::too_many_arguments, reason = "all of a send, once more")]
    fn acknowledge_again(
        &mut self,
        origin: Origin,
        id: ConversationId,
        seq: u64,
        client_msg_id: &[u8; 16],
        body: &Bytes,
        level: pb::AckLevel,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let Some(stored) = self.message(id, seq)? else {
            if self.was_fetched(id, seq) {
                tracing::error!(conversation = ?id, seq, "a stored message is missing");
                return Err(Refusal::new(ErrorCode::Internal, "a stored message is missing").into());
            }
            let range =
                MessageRange { conversation: id, from_seq: seq, to_seq: seq, backwards: false };
            return Err(Stop::Need(Need::Messages(range)));
        };
        let stored = StoredMessage::decode(stored)
            .map_err(|_| Refusal::new(ErrorCode::Internal, "a stored message cannot be read"))?;
        if stored.client_msg_id.as_ref() != client_msg_id || stored.body != *body {
            let message = "client_msg_id was used before for another message";
            return Err(Refusal::new(ErrorCode::IdConflict, message).into());
        }
        let (gate, _) = self.gates(id, level);
        let ack = ack_frame(origin.request, &stored, level, true);
        self.answer(gate, origin, ack, None, fx);
        Ok(())
    }

    /// Numbers and encodes a message; nothing is changed yet.
    pub(crate) fn draft_message(
        &mut self,
        id: ConversationId,
        draft: Draft,
    ) -> Result<(StoredMessage, state::Op), Stop> {
        let partition = partition_of(id.slot());
        let number = self.entities.partition(partition).next_message;
        let now_ms = self.now.unix_ms;
        let (last_seq, last_time_ms) = match self.entities.conversation(id)? {
            Some(conversation) => (conversation.last_seq, conversation.last_time_ms),
            None => (0, 0),
        };
        let message = StoredMessage {
            conversation: Some(id.to_wire()),
            seq: last_seq + 1,
            message_id: MessageId::compose(partition.0, number).0,
            sender: draft.sender.get(),
            time_ms: now_ms.max(last_time_ms),
            client_msg_id: draft.client_msg_id,
            body: draft.body,
        };
        let encoded = super::encode_message(&message);
        let op = op(Kind::Message(state::MessageAppended { message: encoded }));
        Ok((message, op))
    }

    /// The gates of the ack and of the pushes of a message just committed.
    /// Nobody sees a message before it is as safe as its sender asked, and
    /// nobody sees messages of one conversation out of order.
    pub(crate) fn gates(&mut self, id: ConversationId, level: pb::AckLevel) -> (Gate, Gate) {
        if cfg!(feature = "__break_ack_before_durable") {
            return (Gate::Now, Gate::Now);
        }
        let next = self.next_submission();
        if level == pb::AckLevel::Durable {
            self.want_sync();
            if let Some(conversation) = self.entities.loaded_conversation(id) {
                conversation.durable_barrier = next;
            }
            return (Gate::Durable, Gate::Durable);
        }
        let barrier =
            self.entities.loaded_conversation(id).map_or(0, |found| found.durable_barrier);
        let push_gate = if self.is_durable(barrier) {
            Gate::Written
        } else {
            // This push now waits for the sync of its own submission, so the
            // next one must wait at least as long.
            self.want_sync();
            if let Some(conversation) = self.entities.loaded_conversation(id) {
                conversation.durable_barrier = next;
            }
            Gate::Durable
        };
        match level {
            pb::AckLevel::Written => (Gate::Written, push_gate),
            _ => (Gate::Now, push_gate),
        }
    }
}

/// The push of a message, around its stored bytes.
pub(crate) fn push_frame(op: &state::Op) -> Bytes {
    let payload = match &op.kind {
        Some(Kind::Message(op)) => op.message.clone(),
        _ => Bytes::new(),
    };
    let mut bytes = BytesMut::new();
    Frame { opcode: Opcode::Message.number(), request: 0, payload }.encode_delimited(&mut bytes);
    bytes.freeze()
}

fn ack_frame(
    request: u64,
    message: &StoredMessage,
    level: pb::AckLevel,
    repeated_send: bool,
) -> Bytes {
    if request == 0 {
        return Bytes::new();
    }
    let ack = pb::SendAck {
        message_id: message.message_id,
        seq: message.seq,
        time_ms: message.time_ms,
        level: level.into(),
        repeated_send,
    };
    delimited(Opcode::Send, request, &ack)
}
