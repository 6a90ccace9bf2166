//! Groups: making and ending them, who is in them, who may do what to whom.
//!
//! A feature room over the conversation foundation. Every change is one
//! write-set of the group's partition: the change itself, the event in the
//! group's timeline that tells of it, and, where lists change, the tasks for
//! the partitions of the people concerned.
//!
//! ```text
//! (nothing) --CreateGroup--> live --Dissolve--> dissolved
//!                            live: Invite, Remove, Leave, SetRole, Update
//!                            dissolved: only reading and leaving
//! ```

mod change;

use hongyan_protocol::limits::GROUP_MEMBERS_MAX;
use hongyan_protocol::{ConversationId, ErrorCode, Opcode, UserId, pb};
use prost::Message;

use crate::authority::{Action, Standing, Target, permit};
use crate::conversation::{Conversation, Member};
use crate::effect::{Effects, Gate, delimited};
use crate::entity::Stop;
use crate::envelope::{Ask, AskKind, Origin};
use crate::error::Refusal;
use crate::shard::Shard;

/// People named in one event of the timeline.
const EVENT_USERS: usize = 32;

impl Shard {
    /// Handles a request about a group of this shard.
    pub(crate) fn answer_group(
        &mut self,
        origin: Origin,
        ask: &Ask,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let id = ask.conversation;
        match &ask.kind {
            AskKind::CreateGroup { client_group_id, name, members, history_visible } => {
                let meta = crate::state::GroupMeta {
                    name: name.clone(),
                    history_visible: *history_visible,
                    created_ms: self.now.unix_ms,
                    dissolved: false,
                    creator: origin.user.get(),
                    client_group_id: bytes::Bytes::copy_from_slice(client_group_id),
                    founding_name: name.clone(),
                };
                self.create_group(origin, id, meta, members, fx)
            }
            AskKind::Invite { users } => {
                self.check_right(origin, id, Action::Invite)?;
                self.invite(origin, id, users, fx)
            }
            AskKind::Leave => self.leave(origin, id, fx),
            AskKind::Remove { user } => {
                self.check_right_over(origin, id, Action::Remove, *user)?;
                self.remove(origin, id, *user, fx)
            }
            AskKind::SetRole { user, role } => {
                self.check_right_over(origin, id, Action::SetRole, *user)?;
                self.set_role(origin, id, *user, *role, fx)
            }
            AskKind::Update { name, history_visible } => {
                self.check_right(origin, id, Action::Update)?;
                self.update_group(origin, id, name, *history_visible, fx)
            }
            AskKind::Dissolve => {
                self.check_right(origin, id, Action::Dissolve)?;
                self.dissolve(origin, id, fx)
            }
            AskKind::Members { after_user, limit } => {
                self.check_right(origin, id, Action::ListMembers)?;
                self.list_members(origin, id, *after_user, *limit, fx)
            }
            // Not a group's business; `answer_ask` took these.
            AskKind::Send { .. } | AskKind::MoveCursor { .. } | AskKind::History { .. } => Ok(()),
        }
    }

    /// Asks the table about an action that is done to somebody.
    fn check_right_over(
        &mut self,
        origin: Origin,
        id: ConversationId,
        action: Action,
        user: UserId,
    ) -> Result<(), Stop> {
        let found = self.group(id)?;
        let standing = found
            .member(origin.user)
            .map_or(Standing::Stranger, |member| Standing::of_role(member.role));
        let target = if user == origin.user {
            Target::Oneself
        } else {
            match found.member(user).map(|member| Standing::of_role(member.role)) {
                None => Target::Stranger,
                Some(Standing::Owner) => Target::Owner,
                Some(Standing::Admin) => Target::Admin,
                Some(_) => Target::Member,
            }
        };
        Ok(permit(action, standing, target, found.is_dissolved()).map_err(Refusal::from)?)
    }

    /// A group that exists.
    fn group(&mut self, id: ConversationId) -> Result<&Conversation, Stop> {
        match self.entities.conversation(id)? {
            Some(found) if found.group.is_some() => Ok(found),
            _ => Err(Refusal::new(ErrorCode::NoSuchGroup, "no such group").into()),
        }
    }

    fn create_group(
        &mut self,
        origin: Origin,
        id: ConversationId,
        meta: crate::state::GroupMeta,
        members: &[UserId],
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        if let Some(found) = self.entities.conversation(id)?
            && let Some(known) = &found.group
        {
            // A retry, unless the id was used for another group.
            let same = known.creator == meta.creator
                && known.client_group_id == meta.client_group_id
                && known.founding_name == meta.founding_name;
            if !same {
                let message = "client_group_id was used before for another group";
                return Err(Refusal::new(ErrorCode::IdConflict, message).into());
            }
            return self.answer_with_group(origin, Opcode::CreateGroup, id, self.read_gate(), fx);
        }
        if members.len() + 1 > GROUP_MEMBERS_MAX {
            return Err(Refusal::new(ErrorCode::GroupFull, "too many members").into());
        }
        let mut everybody: Vec<_> = members.to_vec();
        everybody.push(origin.user);
        everybody.sort_unstable();
        let change = change::founding(id, meta, origin.user, members, &everybody);
        self.change_group(origin, id, change, fx)?;
        self.tell_state(id, &everybody, origin, fx);
        self.answer_with_group(origin, Opcode::CreateGroup, id, Gate::Durable, fx)
    }

    fn invite(
        &mut self,
        origin: Origin,
        id: ConversationId,
        users: &[UserId],
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let found = self.group(id)?;
        let new: Vec<_> =
            users.iter().copied().filter(|user| found.member(*user).is_none()).collect();
        if found.members().len() + new.len() > GROUP_MEMBERS_MAX {
            return Err(Refusal::new(ErrorCode::GroupFull, "too many members").into());
        }
        if new.is_empty() {
            return self.answer_with_group(origin, Opcode::InviteMembers, id, self.read_gate(), fx);
        }
        let change = change::inviting(id, origin.user, &new, found.last_seq + 1);
        self.change_group(origin, id, change, fx)?;
        self.tell_state(id, &new, origin, fx);
        self.answer_with_group(origin, Opcode::InviteMembers, id, Gate::Durable, fx)
    }

    fn leave(&mut self, origin: Origin, id: ConversationId, fx: &mut Effects) -> Result<(), Stop> {
        let found = self.group(id)?;
        let alone = found.members().len() == 1;
        let dissolved = found.is_dissolved();
        if !(alone && found.member(origin.user).is_some()) {
            self.check_right(origin, id, Action::Leave)?;
        }
        let change = change::leaving(id, origin.user, alone && !dissolved);
        self.change_group(origin, id, change, fx)?;
        self.tell_state(id, &[origin.user], origin, fx);
        let frame = delimited(Opcode::LeaveGroup, origin.request, &pb::Empty {});
        self.answer_if_asked(origin, frame, fx);
        Ok(())
    }

    fn remove(
        &mut self,
        origin: Origin,
        id: ConversationId,
        user: UserId,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let change = change::removing(id, origin.user, user);
        self.change_group(origin, id, change, fx)?;
        self.tell_state(id, &[user], origin, fx);
        self.answer_with_group(origin, Opcode::RemoveMember, id, Gate::Durable, fx)
    }

    fn set_role(
        &mut self,
        origin: Origin,
        id: ConversationId,
        user: UserId,
        role: pb::Role,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let current = self.group(id)?.member(user).map_or(0, |member| member.role);
        if current != role as u32 {
            let change = change::giving_role(id, origin.user, user, role);
            self.change_group(origin, id, change, fx)?;
        }
        self.answer_with_group(origin, Opcode::SetRole, id, self.read_gate(), fx)
    }

    fn update_group(
        &mut self,
        origin: Origin,
        id: ConversationId,
        name: &str,
        history_visible: Option<bool>,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let meta = self.group(id)?.group.clone().unwrap_or_default();
        let name = if name.is_empty() { &meta.name } else { name };
        let history_visible = history_visible.unwrap_or(meta.history_visible);
        if *name != meta.name || history_visible != meta.history_visible {
            let change = change::updating(id, origin.user, name, history_visible);
            self.change_group(origin, id, change, fx)?;
        }
        self.answer_with_group(origin, Opcode::UpdateGroup, id, self.read_gate(), fx)
    }

    fn dissolve(
        &mut self,
        origin: Origin,
        id: ConversationId,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        self.change_group(origin, id, change::dissolving(id, origin.user), fx)?;
        let frame = delimited(Opcode::DissolveGroup, origin.request, &pb::Empty {});
        self.answer_if_asked(origin, frame, fx);
        Ok(())
    }

    fn list_members(
        &mut self,
        origin: Origin,
        id: ConversationId,
        after_user: u64,
        limit: u32,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let found = self.group(id)?;
        let start = found.members().partition_point(|member| member.user.get() <= after_user);
        let rest = &found.members()[start..];
        let end = rest.len().min(limit as usize);
        let page = pb::Members {
            members: rest[..end].iter().map(wire_member).collect(),
            more: end < rest.len(),
        };
        let frame = delimited(Opcode::ListMembers, origin.request, &page);
        self.answer(self.read_gate(), origin, frame, None, fx);
        Ok(())
    }

    /// The reply of most requests: the group as the asker sees it now.
    fn answer_with_group(
        &mut self,
        origin: Origin,
        opcode: Opcode,
        id: ConversationId,
        gate: Gate,
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let found = self.group(id)?;
        let group = found.member(origin.user).and_then(|member| found.group_for(member));
        let group = group.ok_or(Refusal::new(ErrorCode::NotMember, "not in this group"))?;
        if origin.request != 0 {
            let frame = delimited(opcode, origin.request, &group);
            self.answer(gate, origin, frame, None, fx);
        }
        Ok(())
    }

    fn answer_if_asked(&mut self, origin: Origin, frame: bytes::Bytes, fx: &mut Effects) {
        if origin.request != 0 {
            self.answer(Gate::Durable, origin, frame, None, fx);
        }
    }

    /// Tells people how the conversation stands for them now: it appeared, or
    /// it is gone.
    fn tell_state(
        &mut self,
        id: ConversationId,
        users: &[UserId],
        origin: Origin,
        fx: &mut Effects,
    ) {
        for user in users {
            let Some(found) = self.entities.loaded_conversation(id) else {
                return;
            };
            let state = found.state_for(*user);
            // The same bytes as ConversationChanged { conversation: state }.
            let changed = hongyan_protocol::raw::SyncedConversation {
                state: state.encode_to_vec().into(),
                ..Default::default()
            };
            let frame = delimited(Opcode::ConversationChanged, 0, &changed);
            self.push_to_user(Gate::Durable, *user, &frame, Some(origin), fx);
        }
    }
}

fn wire_member(member: &Member) -> pb::Member {
    pb::Member {
        user: member.user.get(),
        role: member.role as i32,
        joined_seq: member.joined_seq,
        delivered_seq: member.delivered_seq,
        read_seq: member.read_seq,
    }
}
