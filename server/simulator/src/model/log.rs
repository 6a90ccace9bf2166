//! An independent reader of the log.
//!
//! Owns what the records say, and checks while reading that each write-set is
//! one that the rules allow at its place: dense seqs, no message twice, no
//! message of a stranger, no change of a group by somebody without the right.

use std::collections::{BTreeMap, BTreeSet};

use hongyan_core::state::op::Kind;
use hongyan_core::state::{self, ConversationKey};
use hongyan_protocol::ids::GroupId;
use hongyan_protocol::pb::group_event::Kind as EventKind;
use hongyan_protocol::pb::{self, Role};
use hongyan_protocol::{ConversationId, UserId};
use prost::Message as _;

use super::conversation::{Conversation, GroupInfo, Stored};
use super::sends::Sends;
use crate::crashing_store::Archived;
use crate::trace::fingerprint;
use crate::violation::{Checked, ensure, violated};

const DECODES: &str = "the log holds what a reader can read";
const AUTHORITY: &str = "only who may does it";

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct LogModel {
    pub(crate) conversations: BTreeMap<ConversationId, Conversation>,
    /// What the lists of users hold.
    pub(crate) lists: BTreeMap<UserId, BTreeSet<ConversationId>>,
    /// Whose name it is.
    pub(crate) names: BTreeMap<String, UserId>,
    /// Tasks put and not confirmed, by from and to.
    owed: BTreeMap<(u16, u16), BTreeSet<u64>>,
    taken: BTreeMap<(u16, u16), u64>,
    message_ids: BTreeSet<u64>,
    by_client_id: BTreeMap<(ConversationId, u64, Vec<u8>), u64>,
    /// The place of the last record read.
    pub(crate) lsn: u64,
}

impl LogModel {
    /// Reads the whole log anew, as after a crash.
    pub(crate) fn reread(archive: &[Archived], sends: &Sends) -> Checked<Self> {
        let mut model = Self::default();
        for record in archive {
            model.read(record, sends)?;
        }
        Ok(model)
    }

    /// Reads one more record.
    pub(crate) fn read(&mut self, record: &Archived, sends: &Sends) -> Checked {
        ensure!(record.lsn == self.lsn + 1, DECODES, "{} after {}", record.lsn, self.lsn);
        self.lsn = record.lsn;
        let Ok(content) = state::Record::decode(record.payload.clone()) else {
            violated!(DECODES, "record {} is malformed", record.lsn)
        };
        for write_set in &content.write_sets {
            self.read_write_set(record, write_set, sends)?;
        }
        Ok(())
    }

    /// Tasks that partitions still owe each other.
    pub(crate) fn tasks_owed(&self) -> usize {
        self.owed.values().map(BTreeSet::len).sum()
    }

    fn read_write_set(
        &mut self,
        record: &Archived,
        write_set: &state::WriteSet,
        sends: &Sends,
    ) -> Checked {
        let mut touched = BTreeSet::new();
        let event = write_set.ops.iter().find_map(event_of);
        for op in &write_set.ops {
            let Some(kind) = &op.kind else { violated!(DECODES, "an op without a kind") };
            if let Some(id) = self.authorize(kind, event.as_ref())? {
                touched.insert(id);
            }
        }
        for op in &write_set.ops {
            if let Some(kind) = &op.kind {
                self.apply(record, kind, sends)?;
            }
        }
        for id in touched {
            if let Some(conversation) = self.conversations.get_mut(&id) {
                conversation.end_write_set();
                conversation.check()?;
            }
        }
        Ok(())
    }

    /// Checks an op against the state before its write-set; says which
    /// conversation it changes.
    fn authorize(
        &self,
        kind: &Kind,
        event: Option<&pb::GroupEvent>,
    ) -> Checked<Option<ConversationId>> {
        let (key, expected): (&Option<ConversationKey>, &[EventKind]) = match kind {
            Kind::Message(op) => return self.authorize_message(&op.message).map(Some),
            Kind::Cursor(op) => return conversation_of(&op.conversation).map(Some),
            Kind::GroupCreated(op) => (&op.conversation, &[EventKind::Created]),
            Kind::MembersAdded(op) => (&op.conversation, &[EventKind::Created, EventKind::Invited]),
            Kind::MemberRemoved(op) => (&op.conversation, &[EventKind::Left, EventKind::Removed]),
            Kind::RoleSet(op) => (&op.conversation, &[EventKind::RoleChanged]),
            Kind::GroupUpdated(op) => (&op.conversation, &[EventKind::Updated]),
            Kind::GroupDissolved(op) => {
                // The last one to leave ends the group.
                (&op.conversation, &[EventKind::Dissolved, EventKind::Left])
            }
            _ => return Ok(None),
        };
        let id = conversation_of(key)?;
        let told = event.is_some_and(|event| expected.contains(&event.kind()));
        // Leaving a dissolved group changes its order no more.
        let quiet = matches!(kind, Kind::MemberRemoved(_))
            && event.is_none()
            && self.conversations.get(&id).is_some_and(Conversation::is_dissolved);
        ensure!(told || quiet, "every change of a group is told in it", "{kind:?} with {event:?}");
        Ok(Some(id))
    }

    fn authorize_message(&self, encoded: &bytes::Bytes) -> Checked<ConversationId> {
        let message = decode_message(encoded)?;
        let id = message_conversation(&message)?;
        let Some(sender) = UserId::new(message.sender) else {
            violated!(AUTHORITY, "a message without a sender in {id:?}")
        };
        let conversation = self.conversations.get(&id);
        let Some(pb::body::Kind::Event(event)) = message.body.and_then(|body| body.kind) else {
            let member = match id {
                ConversationId::Direct(low, high) => sender == low || sender == high,
                ConversationId::Group(_) => {
                    conversation.is_some_and(|c| c.role(sender).is_some() && !c.is_dissolved())
                }
            };
            ensure!(member, AUTHORITY, "{sender} sent into {id:?} without being a member");
            return Ok(id);
        };
        ensure!(
            event.actor == sender.get(),
            AUTHORITY,
            "{sender} signs an event of {}",
            event.actor
        );
        ensure!(
            may(conversation, sender, &event),
            AUTHORITY,
            "{sender} with {:?} did {event:?} in {id:?}",
            conversation.and_then(|c| c.role(sender))
        );
        Ok(id)
    }

    fn apply(&mut self, record: &Archived, kind: &Kind, sends: &Sends) -> Checked {
        match kind {
            Kind::Message(op) => self.append(record, &op.message, sends)?,
            Kind::Listed(op) => {
                let id = conversation_of(&op.conversation)?;
                self.lists.entry(user(op.user)?).or_default().insert(id);
            }
            Kind::Unlisted(op) => {
                let id = conversation_of(&op.conversation)?;
                self.lists.entry(user(op.user)?).or_default().remove(&id);
            }
            Kind::AccountCreated(op) => {
                let Some(account) = &op.account else { violated!(DECODES, "no account") };
                self.bind(&account.name, account.user)?;
            }
            Kind::NameBound(op) => self.bind(&op.name, op.user)?,
            Kind::TaskPut(_) | Kind::TasksConfirmed(_) | Kind::TasksTaken(_) => {
                self.apply_task(record.partition.0, kind)?;
            }
            Kind::PasswordSet(_)
            | Kind::StatusSet(_)
            | Kind::DeviceSet(_)
            | Kind::DeviceRemoved(_) => {}
            _ => self.apply_group(record, kind)?,
        }
        Ok(())
    }

    fn apply_group(&mut self, record: &Archived, kind: &Kind) -> Checked {
        let lsn = record.lsn;
        match kind {
            Kind::Cursor(op) => {
                let id = conversation_of(&op.conversation)?;
                let (delivered, read) = (op.delivered_seq, op.read_seq);
                self.move_cursor(id, user(op.user)?, lsn, delivered, read)?;
            }
            Kind::GroupCreated(op) => {
                let id = conversation_of(&op.conversation)?;
                let Some(meta) = &op.meta else { violated!(DECODES, "a group without meta") };
                let derived = GroupId::derive(user(meta.creator)?, &meta.client_group_id);
                ensure!(
                    id == ConversationId::Group(derived),
                    "a group's id comes from its creator's",
                    "{id:?} is not {derived:?}"
                );
                self.conversation(id).group = Some(GroupInfo {
                    name: meta.name.clone(),
                    history_visible: meta.history_visible,
                    ever_visible: meta.history_visible,
                    dissolved: false,
                });
            }
            Kind::MembersAdded(op) => {
                let conversation = self.conversation(conversation_of(&op.conversation)?);
                for id in &op.users {
                    let id = user(*id)?;
                    ensure!(
                        conversation.role(id).is_none(),
                        "nobody joins twice",
                        "{id} in {:?}",
                        conversation.id
                    );
                    conversation.join(id, op.role, op.joined_seq, lsn);
                }
            }
            Kind::MemberRemoved(op) => {
                self.conversation(conversation_of(&op.conversation)?).part(user(op.user)?);
            }
            Kind::RoleSet(op) => {
                let id = conversation_of(&op.conversation)?;
                let Some(member) = self.conversation(id).members.get_mut(&user(op.user)?) else {
                    violated!(AUTHORITY, "a role for {} who is not in {id:?}", op.user)
                };
                member.role = op.role;
            }
            Kind::GroupUpdated(op) => {
                let id = conversation_of(&op.conversation)?;
                let Some(group) = &mut self.conversation(id).group else {
                    violated!(DECODES, "an update of {id:?}, which is no group")
                };
                op.name.clone_into(&mut group.name);
                group.history_visible = op.history_visible;
                group.ever_visible |= op.history_visible;
            }
            Kind::GroupDissolved(op) => {
                let id = conversation_of(&op.conversation)?;
                let Some(group) = &mut self.conversation(id).group else {
                    violated!(DECODES, "{id:?} is no group to be dissolved")
                };
                group.dissolved = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn append(&mut self, record: &Archived, encoded: &bytes::Bytes, sends: &Sends) -> Checked {
        let message = decode_message(encoded)?;
        let id = message_conversation(&message)?;
        let body = message.body.unwrap_or_default();
        let stored = Stored {
            lsn: record.lsn,
            message_id: message.message_id,
            sender: message.sender,
            time_ms: message.time_ms,
            client_msg_id: message.client_msg_id.clone(),
            body: fingerprint(&body.encode_to_vec()),
            event: match body.kind {
                Some(pb::body::Kind::Event(event)) => Some(event),
                _ => None,
            },
        };
        ensure!(
            self.message_ids.insert(stored.message_id),
            "a message id is used once",
            "{} in {id:?}",
            stored.message_id
        );
        if stored.event.is_none() {
            let key = (id, message.sender, stored.client_msg_id.to_vec());
            if let Some(seq) = self.by_client_id.insert(key, message.seq)
                && self.conversation(id).is_remembered(message.sender, seq)
            {
                violated!(
                    "a message is stored once",
                    "client id of {} is at seq {seq} and {} of {id:?}",
                    message.sender,
                    message.seq
                );
            }
            sends.check_stored(id, &stored)?;
        }
        let conversation = self.conversation(id);
        let last = conversation.last_seq();
        ensure!(message.seq == last + 1, "seq is dense", "{} after {last} in {id:?}", message.seq);
        let before = conversation.messages.last().map_or(0, |message| message.time_ms);
        ensure!(
            stored.time_ms >= before,
            "time does not go back in a conversation",
            "{} after {before} in {id:?}",
            stored.time_ms
        );
        conversation.messages.push(stored);
        Ok(())
    }

    fn move_cursor(
        &mut self,
        id: ConversationId,
        user: UserId,
        lsn: u64,
        delivered: u64,
        read: u64,
    ) -> Checked {
        let conversation = self.conversation(id);
        let last = conversation.last_seq();
        let Some(member) = conversation.members.get_mut(&user) else {
            violated!(AUTHORITY, "{user} moves a cursor in {id:?} without being a member")
        };
        ensure!(
            delivered <= last && read <= last,
            "a cursor is within its conversation",
            "{user} at {delivered}, {read} of {last} in {id:?}"
        );
        member.read_seq = member.read_seq.max(read);
        member.delivered_seq = member.delivered_seq.max(delivered).max(member.read_seq);
        let (delivered, read) = (member.delivered_seq, member.read_seq);
        conversation.cursor_moves.push((lsn, user, delivered, read));
        Ok(())
    }

    fn apply_task(&mut self, partition: u16, kind: &Kind) -> Checked {
        let number = |to: u32| u16::try_from(to).unwrap_or(u16::MAX);
        match kind {
            Kind::TaskPut(op) => {
                self.owed.entry((partition, number(op.to))).or_default().insert(op.number);
            }
            Kind::TasksConfirmed(op) => {
                let link = (partition, number(op.to));
                let taken = self.taken.get(&link).copied().unwrap_or(0);
                ensure!(
                    op.number <= taken,
                    "a task is confirmed after it was carried out",
                    "{} of {link:?}, taken {taken}",
                    op.number
                );
                self.owed.entry(link).or_default().retain(|task| *task > op.number);
            }
            Kind::TasksTaken(op) => {
                let taken = self.taken.entry((number(op.from), partition)).or_default();
                ensure!(
                    op.number > *taken,
                    "a task is carried out once",
                    "{} of {} after {taken}",
                    op.number,
                    op.from
                );
                *taken = op.number;
            }
            _ => {}
        }
        Ok(())
    }

    fn bind(&mut self, name: &str, id: u64) -> Checked {
        let id = user(id)?;
        let before = self.names.insert(name.to_owned(), id);
        ensure!(
            before.is_none_or(|before| before == id),
            "a name belongs to one account",
            "{name} is {id} and {before:?}"
        );
        Ok(())
    }

    fn conversation(&mut self, id: ConversationId) -> &mut Conversation {
        self.conversations.entry(id).or_insert_with(|| Conversation::new(id))
    }
}

/// Who may do what to a group, by the words of the protocol.
fn may(group: Option<&Conversation>, actor: UserId, event: &pb::GroupEvent) -> bool {
    let (owner, admin) = (Role::Owner as u32, Role::Admin as u32);
    let Some(group) = group else {
        return event.kind() == EventKind::Created;
    };
    let Some(role) = group.role(actor) else {
        return false;
    };
    let target = event.users.first().and_then(|id| UserId::new(*id));
    let target_role = target.and_then(|target| group.role(target));
    if group.is_dissolved() {
        return event.kind() == EventKind::Left;
    }
    match event.kind() {
        EventKind::Invited | EventKind::Updated => role == owner || role == admin,
        // The last one may go, and ends the group by that.
        EventKind::Left => role != owner || group.members.len() == 1,
        EventKind::Removed => {
            target != Some(actor)
                && (role == owner && target_role.is_some()
                    || role == admin && target_role == Some(Role::Member as u32))
        }
        EventKind::RoleChanged => role == owner && target_role.is_some(),
        EventKind::Dissolved => role == owner,
        EventKind::Created | EventKind::Unspecified => false,
    }
}

fn event_of(op: &state::Op) -> Option<pb::GroupEvent> {
    let Some(Kind::Message(op)) = &op.kind else {
        return None;
    };
    let message = pb::Message::decode(op.message.clone()).ok()?;
    match message.body?.kind? {
        pb::body::Kind::Event(event) => Some(event),
        _ => None,
    }
}

fn decode_message(encoded: &bytes::Bytes) -> Checked<pb::Message> {
    match pb::Message::decode(encoded.clone()) {
        Ok(message) => Ok(message),
        Err(error) => violated!(DECODES, "a message: {error}"),
    }
}

fn message_conversation(message: &pb::Message) -> Checked<ConversationId> {
    match message.conversation.as_ref().and_then(ConversationId::from_wire) {
        Some(id) => Ok(id),
        None => violated!(DECODES, "message {} has no conversation", message.message_id),
    }
}

fn conversation_of(key: &Option<ConversationKey>) -> Checked<ConversationId> {
    match key.as_ref().and_then(|key| ConversationId::from_words(key.first, key.second)) {
        Some(id) => Ok(id),
        None => violated!(DECODES, "no conversation: {key:?}"),
    }
}

fn user(id: u64) -> Checked<UserId> {
    match UserId::new(id) {
        Some(id) => Ok(id),
        None => violated!(DECODES, "user zero"),
    }
}
