//! The one function that changes state: live right after a decision, and
//! again when the log is replayed.

use bytes::Bytes;
use hongyan_protocol::raw::StoredMessage;
use hongyan_protocol::{ConversationId, UserId};
use prost::Message;

use super::Entities;
use crate::conversation::{Appended, Conversation, conversation_id};
use crate::inbox::Inbox;
use crate::key::EntityKey;
use crate::routing::PartitionId;
use crate::state::{self, op::Kind};

/// An op that cannot be applied: not what this program writes.
#[derive(Debug)]
pub(crate) struct BadOp;

/// Which entities an op changes, so that a replay can load them first.
pub(crate) fn touches(op: &state::Op) -> Result<Option<EntityKey>, BadOp> {
    let conversation = |id: &Option<state::ConversationKey>| {
        conversation_id(id.as_ref()).map(EntityKey::Conversation).ok_or(BadOp)
    };
    let account = |user: u64| UserId::new(user).map(EntityKey::Account).ok_or(BadOp);
    let inbox = |user: u64| UserId::new(user).map(EntityKey::Inbox).ok_or(BadOp);
    Ok(match op.kind.as_ref().ok_or(BadOp)? {
        Kind::Message(op) => {
            let message = StoredMessage::decode(op.message.clone()).map_err(|_| BadOp)?;
            let id = message.conversation.as_ref().and_then(ConversationId::from_wire);
            Some(EntityKey::Conversation(id.ok_or(BadOp)?))
        }
        Kind::Cursor(op) => Some(conversation(&op.conversation)?),
        Kind::GroupCreated(op) => Some(conversation(&op.conversation)?),
        Kind::MembersAdded(op) => Some(conversation(&op.conversation)?),
        Kind::MemberRemoved(op) => Some(conversation(&op.conversation)?),
        Kind::RoleSet(op) => Some(conversation(&op.conversation)?),
        Kind::GroupUpdated(op) => Some(conversation(&op.conversation)?),
        Kind::GroupDissolved(op) => Some(conversation(&op.conversation)?),
        Kind::AccountCreated(op) => Some(account(op.account.as_ref().ok_or(BadOp)?.user)?),
        Kind::PasswordSet(op) => Some(account(op.user)?),
        Kind::StatusSet(op) => Some(account(op.user)?),
        Kind::DeviceSet(op) => Some(account(op.user)?),
        Kind::DeviceRemoved(op) => Some(account(op.user)?),
        Kind::Listed(op) => Some(inbox(op.user)?),
        Kind::Unlisted(op) => Some(inbox(op.user)?),
        Kind::NameBound(op) => Some(EntityKey::Name(op.name.clone())),
        Kind::TaskPut(_) | Kind::TasksConfirmed(_) | Kind::TasksTaken(_) => None,
    })
}

impl Entities {
    /// Carries out one op of record `idx` of `partition`. Every entity that
    /// it touches is in memory. An op that an entity has seen before (its
    /// stored form was newer than the record) does nothing.
    pub(crate) fn apply(
        &mut self,
        partition: PartitionId,
        idx: u64,
        op: &state::Op,
    ) -> Result<(), BadOp> {
        match op.kind.as_ref().ok_or(BadOp)? {
            Kind::Message(_)
            | Kind::Cursor(_)
            | Kind::GroupCreated(_)
            | Kind::MembersAdded(_)
            | Kind::MemberRemoved(_)
            | Kind::RoleSet(_)
            | Kind::GroupUpdated(_)
            | Kind::GroupDissolved(_) => self.apply_to_conversation(partition, idx, op),
            Kind::AccountCreated(_)
            | Kind::PasswordSet(_)
            | Kind::StatusSet(_)
            | Kind::DeviceSet(_)
            | Kind::DeviceRemoved(_)
            | Kind::NameBound(_) => self.apply_to_account(partition, idx, op),
            Kind::Listed(listed) => {
                let id = conversation_id(listed.conversation.as_ref()).ok_or(BadOp)?;
                self.change_inbox(idx, listed.user, |inbox| inbox.list(id))
            }
            Kind::Unlisted(unlisted) => {
                let id = conversation_id(unlisted.conversation.as_ref()).ok_or(BadOp)?;
                self.change_inbox(idx, unlisted.user, |inbox| inbox.unlist(id))
            }
            Kind::TaskPut(_) | Kind::TasksConfirmed(_) | Kind::TasksTaken(_) => {
                self.apply_to_partition(partition, idx, op)
            }
        }
    }

    fn apply_to_partition(
        &mut self,
        id: PartitionId,
        idx: u64,
        op: &state::Op,
    ) -> Result<(), BadOp> {
        let partition = self.partition_mut(id);
        if idx <= partition.base {
            return Ok(());
        }
        let other = |number: u32| u16::try_from(number).map(PartitionId).map_err(|_| BadOp);
        match op.kind.as_ref().ok_or(BadOp)? {
            Kind::TaskPut(put) => {
                let task = put.task.clone().ok_or(BadOp)?;
                partition.put_task(other(put.to)?, put.number, task);
            }
            Kind::TasksConfirmed(op) => partition.confirm_tasks(other(op.to)?, op.number),
            Kind::TasksTaken(op) => {
                partition.watermarks.insert(other(op.from)?, op.number);
            }
            _ => return Err(BadOp),
        }
        self.soil_partition(id);
        Ok(())
    }

    fn apply_to_conversation(
        &mut self,
        partition: PartitionId,
        idx: u64,
        op: &state::Op,
    ) -> Result<(), BadOp> {
        if let Kind::Message(op) = op.kind.as_ref().ok_or(BadOp)? {
            let message = StoredMessage::decode(op.message.clone()).map_err(|_| BadOp)?;
            let id = message.conversation.as_ref().and_then(ConversationId::from_wire);
            let id = id.ok_or(BadOp)?;
            let stored = op.message.clone();
            return self
                .append_message(partition, idx, id, &Appended::of(&message), stored)
                .map(drop);
        }
        let Some(EntityKey::Conversation(id)) = touches(op)? else {
            return Err(BadOp);
        };
        self.change_conversation(idx, id, |conversation| {
            match op.kind.as_ref().ok_or(BadOp)? {
                Kind::Cursor(op) => {
                    conversation.move_cursor(user(op.user)?, op.delivered_seq, op.read_seq);
                }
                Kind::GroupCreated(op) => {
                    conversation.found(op.meta.clone().ok_or(BadOp)?);
                }
                Kind::MembersAdded(op) => {
                    for id in &op.users {
                        conversation.add_member(user(*id)?, op.role, op.joined_seq);
                    }
                }
                Kind::MemberRemoved(op) => conversation.remove_member(user(op.user)?),
                Kind::RoleSet(op) => conversation.set_role(user(op.user)?, op.role),
                Kind::GroupUpdated(op) => conversation.update(&op.name, op.history_visible),
                Kind::GroupDissolved(_) => conversation.dissolve(),
                _ => return Err(BadOp),
            }
            Ok(())
        })
        .map(drop)
    }

    /// What [`Entities::apply`] does for a message, also of one that was decided a moment ago and
    /// need not be decoded; the conversation as it is then.
    pub(crate) fn append_message(
        &mut self,
        partition: PartitionId,
        idx: u64,
        id: ConversationId,
        message: &Appended,
        stored: Bytes,
    ) -> Result<Option<&mut Conversation>, BadOp> {
        let counter = self.partition_mut(partition);
        if idx > counter.base {
            counter.next_message += 1;
        }
        self.change_conversation(idx, id, |conversation| conversation.append(message, stored))
    }

    fn change_conversation(
        &mut self,
        idx: u64,
        id: ConversationId,
        change: impl FnOnce(&mut Conversation) -> Result<(), BadOp>,
    ) -> Result<Option<&mut Conversation>, BadOp> {
        let cell = self.conversations.cell_mut(&id).ok_or(BadOp)?;
        if idx <= cell.base {
            return Ok(cell.value.as_mut());
        }
        let conversation = cell.value.get_or_insert_with(|| Conversation::new(id));
        change(conversation)?;
        if cfg!(debug_assertions) {
            conversation.check_invariants();
        }
        cell.applied = idx;
        if !cell.dirty {
            cell.dirty = true;
            self.dirty.insert(EntityKey::Conversation(id));
        }
        Ok(Some(conversation))
    }

    fn change_inbox(
        &mut self,
        idx: u64,
        id: u64,
        change: impl FnOnce(&mut Inbox),
    ) -> Result<(), BadOp> {
        let id = user(id)?;
        let cell = self.inboxes.cell_mut(&id).ok_or(BadOp)?;
        if idx <= cell.base {
            return Ok(());
        }
        change(cell.value.get_or_insert_with(Inbox::default));
        cell.applied = idx;
        if !cell.dirty {
            cell.dirty = true;
            self.dirty.insert(EntityKey::Inbox(id));
        }
        Ok(())
    }

    fn apply_to_account(
        &mut self,
        partition: PartitionId,
        idx: u64,
        op: &state::Op,
    ) -> Result<(), BadOp> {
        match op.kind.as_ref().ok_or(BadOp)? {
            Kind::AccountCreated(op) => {
                let account = op.account.clone().ok_or(BadOp)?;
                let counter = self.partition_mut(partition);
                if idx > counter.base {
                    counter.next_user = counter.next_user.max(op.next_user);
                    self.soil_partition(partition);
                }
                let id = user(account.user)?;
                let name = account.name.clone();
                self.change_account(idx, account.user, |known| *known = account)?;
                self.bind_name(idx, &name, id)
            }
            Kind::NameBound(op) => self.bind_name(idx, &op.name, user(op.user)?),
            Kind::PasswordSet(op) => self.change_account(idx, op.user, |account| {
                account.password.clone_from(&op.password);
            }),
            Kind::StatusSet(op) => self.change_account(idx, op.user, |account| {
                account.status = op.status;
                account.status_reason.clone_from(&op.reason);
            }),
            Kind::DeviceSet(op) => {
                let device = op.device.clone().ok_or(BadOp)?;
                self.change_account(idx, op.user, |account| {
                    account.epochs = account.epochs.max(device.epoch);
                    match account.devices.iter_mut().find(|known| known.id == device.id) {
                        Some(known) => *known = device,
                        None => account.devices.push(device),
                    }
                })
            }
            Kind::DeviceRemoved(op) => self.change_account(idx, op.user, |account| {
                account.devices.retain(|device| device.id != op.device_id);
            }),
            _ => Err(BadOp),
        }
    }

    fn change_account(
        &mut self,
        idx: u64,
        id: u64,
        change: impl FnOnce(&mut state::Account),
    ) -> Result<(), BadOp> {
        let id = user(id)?;
        let cell = self.accounts.cell_mut(&id).ok_or(BadOp)?;
        if idx <= cell.base {
            return Ok(());
        }
        change(cell.value.get_or_insert_with(state::Account::default));
        cell.applied = idx;
        if !cell.dirty {
            cell.dirty = true;
            self.dirty.insert(EntityKey::Account(id));
        }
        Ok(())
    }

    fn bind_name(&mut self, idx: u64, name: &str, id: UserId) -> Result<(), BadOp> {
        let name = name.to_owned();
        // A name is bound once; there is nothing to lose by binding it again.
        if self.names.cell(&name).is_none() {
            self.names.install(name.clone(), None, 0);
        }
        let cell = self.names.cell_mut(&name).ok_or(BadOp)?;
        if idx <= cell.base {
            return Ok(());
        }
        cell.value = Some(id);
        cell.applied = idx;
        if !cell.dirty {
            cell.dirty = true;
            self.dirty.insert(EntityKey::Name(name));
        }
        Ok(())
    }

    /// Every record counts the partition's entity as changed: it holds
    /// `applied`, from which a restart goes on.
    pub(crate) fn soil_partition(&mut self, id: PartitionId) {
        let partition = self.partition_mut(id);
        if !partition.dirty {
            partition.dirty = true;
            self.dirty.insert(EntityKey::Partition(id));
        }
    }
}

fn user(id: u64) -> Result<UserId, BadOp> {
    UserId::new(id).ok_or(BadOp)
}
