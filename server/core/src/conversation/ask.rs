//! Requests about one conversation, where its order is made.

use hongyan_protocol::{ConversationId, ErrorCode, Opcode, UserId, pb};

use super::history::Range;
use super::{Conversation, conversation_key};
use crate::authority::{Action, Denial, Standing, Target, permit};
use crate::effect::{Effects, Gate, delimited};
use crate::entity::Stop;
use crate::envelope::{Ask, AskKind, Origin};
use crate::error::Refusal;
use crate::shard::{Shard, op, partition_of};
use crate::state::{self, op::Kind};

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::NotMember => Self::new(ErrorCode::NotMember, "not in this conversation"),
            Denial::NotAllowed => Self::new(ErrorCode::NotAllowed, "not allowed to your role"),
            Denial::OwnerCannotLeave => {
                Self::new(ErrorCode::OwnerCannotLeave, "hand the group over or dissolve it first")
            }
            Denial::Dissolved => Self::new(ErrorCode::GroupDissolved, "the group was dissolved"),
            Denial::NoSuchTarget => Self::new(ErrorCode::NoSuchUser, "nobody like that in it"),
        }
    }
}

impl Shard {
    /// Handles a request about a conversation of this shard.
    pub(crate) fn answer_ask(
        &mut self,
        origin: Origin,
        ask: &Ask,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let id = ask.conversation;
        match &ask.kind {
            AskKind::Send { client_msg_id, body, level } => {
                self.send_message(origin, id, client_msg_id, body, *level, fx)
            }
            AskKind::MoveCursor { delivered_seq, read_seq } => {
                self.check_right(origin, id, Action::MoveCursor)?;
                self.move_cursor(origin, id, *delivered_seq, *read_seq, fx)
            }
            AskKind::History { from_seq, to_seq, limit, backwards } => {
                let first_seq = self.check_right(origin, id, Action::Read)?;
                let (from_seq, to_seq) = (*from_seq, *to_seq);
                let range = Range { from_seq, to_seq, limit: *limit, backwards: *backwards };
                self.history(origin, id, range, first_seq, fx)
            }
            _ => self.answer_group(origin, ask, fx),
        }
    }

    /// Asks the table about an action without a target; says the lowest seq
    /// that the actor may see.
    pub(crate) fn check_right(
        &mut self,
        origin: Origin,
        id: ConversationId,
        action: Action,
    ) -> Result<u64, Stop> {
        let found = self.entities.conversation(id)?.map(|found| &*found);
        Ok(Self::right_in(found, origin.user, id, action)?)
    }

    /// As [`Shard::check_right`], of a conversation that was looked up.
    pub(super) fn right_in(
        found: Option<&Conversation>,
        user: UserId,
        id: ConversationId,
        action: Action,
    ) -> Result<u64, Refusal> {
        let Some(found) = found else {
            if matches!(id, ConversationId::Group(_)) {
                return Err(Refusal::new(ErrorCode::NoSuchGroup, "no such group"));
            }
            let party = id.peer_of(user).is_some();
            let standing = if party { Standing::Party } else { Standing::Stranger };
            permit(action, standing, Target::Nobody, false)?;
            return Ok(1);
        };
        let member = found.member(user);
        let standing = match (member, id) {
            (Some(_), ConversationId::Direct(..)) => Standing::Party,
            (Some(member), ConversationId::Group(_)) => Standing::of_role(member.role),
            (None, _) => Standing::Stranger,
        };
        permit(action, standing, Target::Nobody, found.is_dissolved())?;
        Ok(member.map_or(1, |member| found.first_visible(member)))
    }

    fn move_cursor(
        &mut self,
        origin: Origin,
        id: ConversationId,
        delivered_seq: u64,
        read_seq: u64,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let moved = self.entities.conversation(id)?.and_then(|found| {
            let member = found.member(origin.user)?;
            let read_seq = read_seq.min(found.last_seq).max(member.read_seq);
            let delivered_seq =
                delivered_seq.min(found.last_seq).max(member.delivered_seq).max(read_seq);
            let read_moved = read_seq > member.read_seq;
            let moved = read_moved || delivered_seq > member.delivered_seq;
            moved.then_some((delivered_seq, read_seq, read_moved, tells_all(found)))
        });
        // That the user has read something is a promise; that it has arrived
        // is told again by the device when it comes back, so others may hear
        // of it before it is written. Still, the reply must not overtake the
        // sync of an earlier move that it repeats.
        let (gate, push_gate) = match moved {
            Some((_, _, true, _)) => (Gate::Durable, Gate::Durable),
            _ => (self.read_gate(), Gate::Now),
        };
        if let Some((delivered_seq, read_seq, read_moved, tells_all)) = moved {
            if read_moved {
                self.want_sync();
            }
            let moved = state::CursorMoved {
                conversation: Some(conversation_key(id)),
                user: origin.user.get(),
                delivered_seq,
                read_seq,
            };
            self.commit(partition_of(id.slot()), vec![op(Kind::Cursor(moved))]);
            let push = pb::CursorMoved {
                conversation: Some(id.to_wire()),
                user: origin.user.get(),
                delivered_seq,
                read_seq,
            };
            let push = delimited(Opcode::CursorMoved, 0, &push);
            if tells_all {
                self.push_to_members(push_gate, id, origin, &push, fx);
            }
            if !tells_all || matches!(id, ConversationId::Direct(..)) {
                self.push_to_user(push_gate, origin.user, &push, Some(origin), fx);
            }
        }
        if origin.request != 0 {
            let gate = if moved.is_some() { gate } else { self.read_gate() };
            let frame = delimited(Opcode::MoveCursor, origin.request, &pb::Empty {});
            self.answer(gate, origin, frame, None, fx);
        }
        Ok(())
    }
}

fn tells_all(conversation: &Conversation) -> bool {
    conversation.members().len() <= hongyan_protocol::limits::CURSOR_PUSH_MEMBERS_MAX
}
