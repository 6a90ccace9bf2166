//! What each change of a group is made of: its ops, its event, whose lists
//! it changes.

use hongyan_protocol::{ConversationId, UserId, pb};
use prost::Message;

use super::EVENT_USERS;
use crate::conversation::Draft;
use crate::conversation::conversation_key;
use crate::effect::{Effects, Gate};
use crate::entity::Stop;
use crate::envelope::Origin;
use crate::shard::{Shard, op, partition_of};
use crate::state::op::Kind;
use crate::state::{self, Op};

/// A decided change.
pub(super) struct Change {
    /// Applied before the event is appended.
    before: Vec<Op>,
    event: pb::GroupEvent,
    /// Applied after it, so that who goes is still there to send it.
    after: Vec<Op>,
    /// Into these people's lists.
    list: Vec<UserId>,
    /// Out of these people's lists.
    unlist: Vec<UserId>,
}

fn event(kind: pb::group_event::Kind, actor: UserId, users: &[UserId]) -> pb::GroupEvent {
    pb::GroupEvent {
        kind: kind.into(),
        actor: actor.get(),
        users: users.iter().take(EVENT_USERS).map(|user| user.get()).collect(),
        user_count: users.len() as u32,
        name: String::new(),
        role: 0,
    }
}

fn added(id: ConversationId, users: &[UserId], role: pb::Role, joined_seq: u64) -> Op {
    op(Kind::MembersAdded(state::MembersAdded {
        conversation: Some(conversation_key(id)),
        users: users.iter().map(|user| user.get()).collect(),
        role: role as u32,
        joined_seq,
    }))
}

fn removed(id: ConversationId, user: UserId) -> Op {
    let conversation = Some(conversation_key(id));
    op(Kind::MemberRemoved(state::MemberRemoved { conversation, user: user.get() }))
}

fn role_set(id: ConversationId, user: UserId, role: pb::Role) -> Op {
    let conversation = Some(conversation_key(id));
    op(Kind::RoleSet(state::RoleSet { conversation, user: user.get(), role: role as u32 }))
}

fn dissolved(id: ConversationId) -> Op {
    op(Kind::GroupDissolved(state::GroupDissolved { conversation: Some(conversation_key(id)) }))
}

pub(super) fn founding(
    id: ConversationId,
    meta: state::GroupMeta,
    creator: UserId,
    members: &[UserId],
    everybody: &[UserId],
) -> Change {
    let mut event = event(pb::group_event::Kind::Created, creator, members);
    event.name.clone_from(&meta.name);
    let conversation = Some(conversation_key(id));
    let mut before =
        vec![op(Kind::GroupCreated(state::GroupCreated { conversation, meta: Some(meta) }))];
    if !members.is_empty() {
        before.push(added(id, members, pb::Role::Member, 1));
    }
    before.push(added(id, &[creator], pb::Role::Owner, 1));
    Change { before, event, after: Vec::new(), list: everybody.to_vec(), unlist: Vec::new() }
}

pub(super) fn inviting(
    id: ConversationId,
    actor: UserId,
    new: &[UserId],
    joined_seq: u64,
) -> Change {
    Change {
        before: vec![added(id, new, pb::Role::Member, joined_seq)],
        event: event(pb::group_event::Kind::Invited, actor, new),
        after: Vec::new(),
        list: new.to_vec(),
        unlist: Vec::new(),
    }
}

/// The last one to leave also ends the group.
pub(super) fn leaving(id: ConversationId, actor: UserId, last: bool) -> Change {
    let mut after = vec![removed(id, actor)];
    if last {
        after.push(dissolved(id));
    }
    Change {
        before: Vec::new(),
        event: event(pb::group_event::Kind::Left, actor, &[actor]),
        after,
        list: Vec::new(),
        unlist: vec![actor],
    }
}

pub(super) fn removing(id: ConversationId, actor: UserId, user: UserId) -> Change {
    Change {
        before: vec![removed(id, user)],
        event: event(pb::group_event::Kind::Removed, actor, &[user]),
        after: Vec::new(),
        list: Vec::new(),
        unlist: vec![user],
    }
}

/// A new owner makes the old one an admin.
pub(super) fn giving_role(
    id: ConversationId,
    actor: UserId,
    user: UserId,
    role: pb::Role,
) -> Change {
    let mut before = vec![role_set(id, user, role)];
    if role == pb::Role::Owner {
        before.push(role_set(id, actor, pb::Role::Admin));
    }
    let mut event = event(pb::group_event::Kind::RoleChanged, actor, &[user]);
    event.role = role as u32;
    Change { before, event, after: Vec::new(), list: Vec::new(), unlist: Vec::new() }
}

pub(super) fn updating(
    id: ConversationId,
    actor: UserId,
    name: &str,
    history_visible: bool,
) -> Change {
    let mut event = event(pb::group_event::Kind::Updated, actor, &[]);
    name.clone_into(&mut event.name);
    let updated = state::GroupUpdated {
        conversation: Some(conversation_key(id)),
        name: name.to_owned(),
        history_visible,
    };
    let before = vec![op(Kind::GroupUpdated(updated))];
    Change { before, event, after: Vec::new(), list: Vec::new(), unlist: Vec::new() }
}

pub(super) fn dissolving(id: ConversationId, actor: UserId) -> Change {
    Change {
        before: Vec::new(),
        event: event(pb::group_event::Kind::Dissolved, actor, &[]),
        after: vec![dissolved(id)],
        list: Vec::new(),
        unlist: Vec::new(),
    }
}

impl Shard {
    /// Commits a change as one write-set and pushes its event.
    pub(super) fn change_group(
        &mut self,
        origin: Origin,
        id: ConversationId,
        change: Change,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let body = pb::Body { kind: Some(pb::body::Kind::Event(change.event)) };
        let body = body.encode_to_vec();
        let draft = Draft { sender: origin.user, client_msg_id: &[], body: &body };
        let message = self.draft_message(id, &draft)?;
        let mut ops = change.before;
        ops.push(message.op());
        ops.extend(change.after);
        ops.extend(self.list_ops(id, &change.list, true));
        ops.extend(self.list_ops(id, &change.unlist, false));
        let partition = partition_of(id.slot());
        self.commit(partition, ops.clone());
        self.stats.messages += 1;
        self.tell_tasks(partition, &ops, fx);
        let (_, gate) = self.gates(id, pb::AckLevel::Durable);
        debug_assert!(gate == Gate::Durable || cfg!(feature = "__break_ack_before_durable"));
        // Members learn of the change by its event, the actor's own session
        // too: no echo comes with the answer.
        let everyone = Origin { conn: crate::ConnId(u64::MAX), ..origin };
        self.push_to_members(gate, id, everyone, &message.bytes.push, fx);
        Ok(())
    }
}
