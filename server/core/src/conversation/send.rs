//! Storing a message: told from a retry, numbered, encoded once, committed,
//! acknowledged and pushed.

use bytes::Bytes;
use hongyan_protocol::message::{MessageBytes, MessageParts};
use hongyan_protocol::raw::StoredMessage;
use hongyan_protocol::{ConversationId, ErrorCode, MessageId, Opcode, UserId, pb};
use prost::Message;

use super::{Appended, Conversation, client_id_hash};
use crate::authority::Action;
use crate::effect::{Effects, Gate, delimited};
use crate::entity::{MessageRange, Need, Stop};
use crate::envelope::Origin;
use crate::error::Refusal;
use crate::shard::{Shard, op, partition_of};
use crate::state::{self, op::Kind};

/// A message that is about to be stored.
pub(crate) struct Draft<'a> {
    pub(crate) sender: UserId,
    /// Empty for an event.
    pub(crate) client_msg_id: &'a [u8],
    pub(crate) body: &'a [u8],
}

/// A message with its place and its bytes; nothing is changed yet.
pub(crate) struct Drafted {
    pub(crate) appended: Appended,
    message_id: u64,
    pub(crate) bytes: MessageBytes,
}

impl Drafted {
    /// The op that stores it.
    pub(crate) fn op(&self) -> state::Op {
        op(Kind::Message(state::MessageAppended { message: self.bytes.stored.clone() }))
    }
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
        let partition = partition_of(id.slot());
        let number = self.entities.partition(partition).next_message;
        let found = self.entities.conversation(id)?.map(|found| &*found);
        if let Some(seq) = sent_before(found, origin.user, client_msg_id) {
            return self.acknowledge_again(origin, id, seq, client_msg_id, body, level, fx);
        }
        Self::right_in(found, origin.user, id, Action::Send)?;
        let draft = Draft { sender: origin.user, client_msg_id, body };
        let drafted = Self::draft_in(found, id, number, self.now.unix_ms, &draft);
        let (ack_gate, push_gate) = if drafted.appended.seq == 1 {
            self.commit_first(id, &drafted, fx);
            self.gates(id, level)
        } else {
            let (next, durable) = (self.next_submission(), self.durable_submission());
            let found = self.commit_message(partition, id, &drafted);
            let gates = found.map_or((Gate::Durable, Gate::Durable), |found| {
                gates_in(found, level, next, durable)
            });
            self.note_gates(gates)
        };
        self.stats.messages += 1;
        let ack = ack_frame(origin.request, &drafted, level);
        let push = drafted.bytes.push;
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

    /// Commits the first message of a conversation, which puts it into the lists of its people.
    fn commit_first(&mut self, id: ConversationId, drafted: &Drafted, fx: &mut Effects) {
        let partition = partition_of(id.slot());
        let mut ops = vec![drafted.op()];
        if let ConversationId::Direct(low, high) = id {
            ops.extend(self.list_ops(id, &[low, high], true));
        }
        let told = ops.clone();
        self.commit(partition, ops);
        self.tell_tasks(partition, &told, fx);
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
        let ack = pb::SendAck {
            message_id: stored.message_id,
            seq: stored.seq,
            time_ms: stored.time_ms,
            level: level.into(),
            repeated_send: true,
        };
        let ack = reply_frame(origin.request, &ack);
        self.answer(gate, origin, ack, None, fx);
        Ok(())
    }

    /// Numbers and encodes a message; nothing is changed yet.
    pub(crate) fn draft_message(
        &mut self,
        id: ConversationId,
        draft: &Draft<'_>,
    ) -> Result<Drafted, Stop> {
        let number = self.entities.partition(partition_of(id.slot())).next_message;
        let found = self.entities.conversation(id)?.map(|found| &*found);
        Ok(Self::draft_in(found, id, number, self.now.unix_ms, draft))
    }

    /// As [`Shard::draft_message`], the `number`-th message of the partition.
    fn draft_in(
        found: Option<&Conversation>,
        id: ConversationId,
        number: u64,
        now_ms: u64,
        draft: &Draft<'_>,
    ) -> Drafted {
        let (last_seq, last_time_ms) =
            found.map_or((0, 0), |found| (found.last_seq, found.last_time_ms));
        let appended = Appended {
            seq: last_seq + 1,
            time_ms: now_ms.max(last_time_ms),
            sender: Some(draft.sender),
            client_id_hash: draft.client_msg_id.try_into().ok().map(client_id_hash),
        };
        let message_id = MessageId::compose(partition_of(id.slot()).0, number).0;
        let parts = MessageParts {
            conversation: id,
            seq: appended.seq,
            message_id,
            sender: draft.sender,
            time_ms: appended.time_ms,
            client_msg_id: draft.client_msg_id,
            body: draft.body,
        };
        Drafted { appended, message_id, bytes: parts.encode() }
    }

    /// The gates of the ack and of the pushes of a message just committed.
    pub(crate) fn gates(&mut self, id: ConversationId, level: pb::AckLevel) -> (Gate, Gate) {
        let (next, durable) = (self.next_submission(), self.durable_submission());
        let gates = match self.entities.loaded_conversation(id) {
            Some(found) => gates_in(found, level, next, durable),
            None => (Gate::Durable, Gate::Durable),
        };
        self.note_gates(gates)
    }

    fn note_gates(&mut self, gates: (Gate, Gate)) -> (Gate, Gate) {
        if gates.1 == Gate::Durable {
            self.want_sync();
        }
        gates
    }
}

/// Whether this sender used this id here before, and for which message.
fn sent_before(
    found: Option<&Conversation>,
    sender: UserId,
    client_msg_id: &[u8; 16],
) -> Option<u64> {
    if cfg!(feature = "__break_dedupe_outside_commit") {
        return None;
    }
    found?.sent_before(sender, client_id_hash(client_msg_id))
}

/// The gates of the ack and of the pushes of a message that goes with submission `next`, while
/// those up to `durable` are synced. Nobody sees a message before it is as safe as its sender
/// asked, and nobody sees messages of one conversation out of order.
fn gates_in(
    found: &mut Conversation,
    level: pb::AckLevel,
    next: u64,
    durable: u64,
) -> (Gate, Gate) {
    if cfg!(feature = "__break_ack_before_durable") {
        return (Gate::Now, Gate::Now);
    }
    let push_gate = if level == pb::AckLevel::Durable || found.durable_barrier > durable {
        // Of a weaker level, it waits for the sync of its own submission because one before it
        // does, so the next one must wait at least as long.
        found.durable_barrier = next;
        Gate::Durable
    } else {
        Gate::Written
    };
    match level {
        pb::AckLevel::Durable => (Gate::Durable, push_gate),
        pb::AckLevel::Written => (Gate::Written, push_gate),
        _ => (Gate::Now, push_gate),
    }
}

fn ack_frame(request: u64, drafted: &Drafted, level: pb::AckLevel) -> Bytes {
    let ack = pb::SendAck {
        message_id: drafted.message_id,
        seq: drafted.appended.seq,
        time_ms: drafted.appended.time_ms,
        level: level.into(),
        repeated_send: false,
    };
    reply_frame(request, &ack)
}

/// Empty when no answer is wanted.
fn reply_frame(request: u64, ack: &pb::SendAck) -> Bytes {
    if request == 0 { Bytes::new() } else { delimited(Opcode::Send, request, ack) }
}
