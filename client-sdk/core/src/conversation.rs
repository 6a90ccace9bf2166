//! One conversation as this user sees it, and unread as arithmetic.
//!
//! `unread = last_seq - floor`, where `floor` is the highest of what was
//! read, what the user last sent, and what came before the user joined. Both
//! only grow, so what arrives late or twice changes nothing: there is no
//! counter that could drift.

use std::sync::Arc;

use hongyan_protocol::ids::{ConversationId, GroupId, UserId};
use hongyan_protocol::{pb, raw};

use crate::message::{Message, SendState};

/// A person's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Who.
    pub user: UserId,
    /// The account name, unique.
    pub name: String,
    /// The name shown to people.
    pub display_name: String,
}

impl Profile {
    /// Reads the wire form; `None` when it names nobody.
    pub fn from_wire(profile: pb::Profile) -> Option<Self> {
        Some(Self {
            user: UserId::new(profile.user)?,
            name: profile.name,
            display_name: profile.display_name,
        })
    }
}

/// A group as this user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupInfo {
    /// Which group.
    pub id: GroupId,
    /// Its name.
    pub name: String,
    /// How many are in it.
    pub member_count: u32,
    /// Whether newcomers see messages from before they joined.
    pub history_visible: bool,
    /// This user's own role.
    pub role: pb::Role,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// Nobody can send any more.
    pub dissolved: bool,
}

impl GroupInfo {
    /// Reads the wire form; `None` when it names no group.
    pub fn from_wire(group: pb::Group) -> Option<Self> {
        Some(Self {
            id: GroupId::new(group.id)?,
            name: group.name,
            member_count: group.member_count,
            history_visible: group.history_visible,
            role: i32::try_from(group.role)
                .ok()
                .and_then(|role| pb::Role::try_from(role).ok())
                .unwrap_or(pb::Role::Unspecified),
            created_ms: group.created_ms,
            dissolved: group.dissolved,
        })
    }

    /// The wire form, without the seq that it was read at.
    pub fn to_wire(&self) -> pb::Group {
        pb::Group {
            id: self.id.get(),
            name: self.name.clone(),
            member_count: self.member_count,
            history_visible: self.history_visible,
            role: self.role as u32,
            created_ms: self.created_ms,
            dissolved: self.dissolved,
            last_seq: 0,
        }
    }

    /// The conversation of this group.
    pub const fn conversation(&self) -> ConversationId {
        ConversationId::Group(self.id)
    }
}

/// What is kept of a conversation, also on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationRecord {
    /// Which conversation.
    pub id: ConversationId,
    /// The newest seq known to exist.
    pub last_seq: u64,
    /// Up to here this user's devices have everything.
    pub delivered_seq: u64,
    /// Up to here this user has read.
    pub read_seq: u64,
    /// The part of `read_seq` that the server is known to have.
    pub read_confirmed_seq: u64,
    /// The highest seq that can not count as unread.
    pub floor_seq: u64,
    /// The lowest seq that this user may see.
    pub first_seq: u64,
    /// The other person's delivered cursor.
    pub peer_delivered_seq: u64,
    /// The other person's read cursor.
    pub peer_read_seq: u64,
    /// The app was told of everything up to here.
    pub told_seq: u64,
    /// Groups only.
    pub group: Option<GroupInfo>,
    /// `group` counts in the events up to this seq, and none after it.
    pub group_seq: u64,
    /// The user is no longer in it; what was held of it stays.
    pub gone: bool,
    /// When something last happened, in milliseconds since 1970.
    pub activity_ms: u64,
}

impl ConversationRecord {
    /// A conversation of which nothing is known yet.
    pub const fn new(id: ConversationId) -> Self {
        Self {
            id,
            last_seq: 0,
            delivered_seq: 0,
            read_seq: 0,
            read_confirmed_seq: 0,
            floor_seq: 0,
            first_seq: 1,
            peer_delivered_seq: 0,
            peer_read_seq: 0,
            told_seq: 0,
            group: None,
            group_seq: 0,
            gone: false,
            activity_ms: 0,
        }
    }

    /// Messages that the user has not read; none where the user is gone, for
    /// nothing there waits for them.
    pub const fn unread(&self) -> u64 {
        if self.gone { 0 } else { self.last_seq.saturating_sub(self.floor_seq) }
    }

    /// A message exists; the user's own ones count as read.
    pub fn apply_message(&mut self, message: &Message, me: UserId) {
        self.last_seq = self.last_seq.max(message.seq);
        if message.sender == Some(me) {
            self.floor_seq = self.floor_seq.max(message.seq);
        }
        self.activity_ms = self.activity_ms.max(message.time_ms);
    }

    /// Moves the user's own read cursor, never back and never past the end.
    /// Returns whether it moved.
    pub fn apply_read(&mut self, seq: u64) -> bool {
        let seq = seq.min(self.last_seq);
        let moved = seq > self.read_seq;
        self.read_seq = self.read_seq.max(seq);
        self.floor_seq = self.floor_seq.max(seq);
        moved
    }

    /// Somebody's cursors moved, as the server tells it.
    pub fn apply_cursor(&mut self, user: UserId, delivered_seq: u64, read_seq: u64, me: UserId) {
        if user == me {
            self.delivered_seq = self.delivered_seq.max(delivered_seq);
            self.read_seq = self.read_seq.max(read_seq);
            self.read_confirmed_seq = self.read_confirmed_seq.max(read_seq);
            self.floor_seq = self.floor_seq.max(read_seq);
        } else if self.id.peer_of(me) == Some(user) {
            self.peer_delivered_seq = self.peer_delivered_seq.max(delivered_seq).max(read_seq);
            self.peer_read_seq = self.peer_read_seq.max(read_seq);
        }
    }

    /// Takes over the server's state of a conversation that the user is in.
    /// Cursors only grow; what can change both ways (the group, who is in it)
    /// is replaced. `time_ms` is that of the last message, zero when it is
    /// not known.
    pub fn apply_state(&mut self, state: &raw::Conversation, time_ms: u64) {
        self.last_seq = self.last_seq.max(state.last_seq);
        self.delivered_seq = self.delivered_seq.max(state.delivered_seq);
        self.read_seq = self.read_seq.max(state.read_seq);
        self.read_confirmed_seq = self.read_confirmed_seq.max(state.read_seq);
        self.floor_seq = self
            .floor_seq
            .max(state.last_seq.saturating_sub(state.unread))
            .max(state.read_seq)
            .max(state.first_seq.saturating_sub(1).min(state.last_seq));
        self.first_seq = state.first_seq.max(1);
        self.peer_read_seq = self.peer_read_seq.max(state.peer_read_seq);
        self.peer_delivered_seq =
            self.peer_delivered_seq.max(state.peer_delivered_seq).max(self.peer_read_seq);
        self.gone = false;
        self.activity_ms = self.activity_ms.max(time_ms);
        if let Some(group) = state.group.clone().and_then(GroupInfo::from_wire) {
            self.apply_group(group, state.last_seq);
        }
    }

    /// Takes over a group as the server saw it at `seq`; what is known of a
    /// later moment stands.
    pub fn apply_group(&mut self, group: GroupInfo, seq: u64) {
        self.activity_ms = self.activity_ms.max(group.created_ms);
        if self.group.is_none() || seq >= self.group_seq {
            self.group = Some(group);
            self.group_seq = self.group_seq.max(seq);
        }
    }

    /// Applies a change of the group that its timeline tells of. Each event
    /// is to be applied once, in the order of seqs, from the one after
    /// `group_seq` on. Whether newcomers see older messages is not told by
    /// events: the next sync says it.
    pub fn apply_event(&mut self, event: &pb::GroupEvent, me: UserId) {
        use pb::group_event::Kind;
        let Some(group) = &mut self.group else {
            return;
        };
        match Kind::try_from(event.kind) {
            Ok(Kind::Invited) => {
                group.member_count = group.member_count.saturating_add(event.user_count);
            }
            Ok(Kind::Left | Kind::Removed) => {
                group.member_count = group.member_count.saturating_sub(event.user_count);
            }
            Ok(Kind::RoleChanged) => {
                let role = i32::try_from(event.role).ok();
                let role = role.and_then(|role| pb::Role::try_from(role).ok());
                let role = role.unwrap_or(pb::Role::Unspecified);
                if event.users.contains(&me.get()) {
                    group.role = role;
                } else if role == pb::Role::Owner && event.actor == me.get() {
                    // Who names a new owner is an admin from then on.
                    group.role = pb::Role::Admin;
                }
            }
            Ok(Kind::Updated) if !event.name.is_empty() => group.name.clone_from(&event.name),
            Ok(Kind::Dissolved) => group.dissolved = true,
            Ok(Kind::Created | Kind::Updated | Kind::Unspecified) | Err(_) => {}
        }
    }

    /// Forgets everything after `last_seq`: the server no longer has it.
    pub fn rewind(&mut self, last_seq: u64) {
        for seq in [
            &mut self.last_seq,
            &mut self.delivered_seq,
            &mut self.read_seq,
            &mut self.read_confirmed_seq,
            &mut self.floor_seq,
            &mut self.peer_delivered_seq,
            &mut self.peer_read_seq,
            &mut self.told_seq,
            &mut self.group_seq,
        ] {
            *seq = (*seq).min(last_seq);
        }
    }

    /// How far one of the user's own stored messages got, by the other
    /// person's cursors.
    pub fn send_state(&self, seq: u64) -> Option<SendState> {
        if matches!(self.id, ConversationId::Group(_)) {
            None
        } else if self.peer_read_seq >= seq {
            Some(SendState::Read)
        } else if self.peer_delivered_seq >= seq {
            Some(SendState::Delivered)
        } else {
            None
        }
    }
}

/// A conversation as lists show it: a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationState {
    /// Which conversation.
    pub id: ConversationId,
    /// The newest seq known to exist.
    pub last_seq: u64,
    /// Up to here this user's devices have everything.
    pub delivered_seq: u64,
    /// Up to here this user has read.
    pub read_seq: u64,
    /// Messages that the user has not read.
    pub unread: u64,
    /// The lowest seq that this user may see.
    pub first_seq: u64,
    /// The newest message held.
    pub last_message: Option<Arc<Message>>,
    /// Direct conversations: the other person, once known.
    pub peer: Option<Profile>,
    /// Direct conversations: the other person's delivered cursor.
    pub peer_delivered_seq: u64,
    /// Direct conversations: the other person's read cursor.
    pub peer_read_seq: u64,
    /// Groups only.
    pub group: Option<GroupInfo>,
    /// The user is no longer in it; what was held of it stays.
    pub gone: bool,
    /// When something last happened, in milliseconds since 1970.
    pub activity_ms: u64,
    /// Own messages that are not stored yet, failed ones included.
    pub pending: usize,
}

impl ConversationState {
    /// What to call it: the group's name, or the other person's.
    pub fn title(&self) -> String {
        match (&self.group, &self.peer, self.id) {
            (Some(group), _, _) => group.name.clone(),
            (None, Some(peer), _) if !peer.display_name.is_empty() => peer.display_name.clone(),
            (None, Some(peer), _) => peer.name.clone(),
            (None, None, id) => format!("{id:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::Body;

    fn user(id: u64) -> UserId {
        UserId::new(id).expect("not zero")
    }

    fn direct() -> ConversationId {
        ConversationId::direct(user(1), user(2)).expect("two people")
    }

    fn message(seq: u64, sender: u64) -> Message {
        Message {
            conversation: direct(),
            seq,
            message_id: seq,
            sender: UserId::new(sender),
            time_ms: seq,
            client_msg_id: None,
            body: Body::from("x"),
            newer_body: None,
        }
    }

    #[test]
    fn own_messages_are_never_unread() {
        let mut record = ConversationRecord::new(direct());
        for seq in 1..=3 {
            record.apply_message(&message(seq, 2), user(1));
        }
        assert_eq!(record.unread(), 3);
        record.apply_message(&message(4, 1), user(1));
        assert_eq!(record.unread(), 0);
        record.apply_message(&message(5, 2), user(1));
        assert_eq!(record.unread(), 1);
    }

    #[test]
    fn a_read_mark_beyond_the_end_is_cut() {
        let mut record = ConversationRecord::new(direct());
        record.apply_message(&message(1, 2), user(1));
        assert!(record.apply_read(100));
        assert!(!record.apply_read(100));
        record.apply_message(&message(2, 2), user(1));
        assert_eq!(record.unread(), 1);
    }

    proptest! {
        /// In any order, with any repetition, unread is what the definition
        /// in conversation.proto says.
        #[test]
        fn unread_is_the_definition(
            events in prop::collection::vec((0_u8..3, 1_u64..30), 0..80),
            joined in 1_u64..10,
        ) {
            let mut record = ConversationRecord::new(direct());
            let joining = raw::Conversation {
                last_seq: joined - 1,
                first_seq: joined,
                ..raw::Conversation::default()
            };
            record.apply_state(&joining, 0);
            let (mut last, mut read, mut own) = (joined - 1, 0, 0);
            for (kind, seq) in events {
                match kind {
                    0 => {
                        record.apply_message(&message(seq, 2), user(1));
                        last = last.max(seq);
                    }
                    1 => {
                        record.apply_message(&message(seq, 1), user(1));
                        last = last.max(seq);
                        own = own.max(seq);
                    }
                    _ => {
                        record.apply_read(seq);
                        read = read.max(seq.min(last));
                    }
                }
                let floor = read.max(own).max(joined - 1);
                prop_assert_eq!(record.unread(), last - floor.min(last));
            }
        }
    }
}
