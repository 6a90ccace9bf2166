//! One conversation as the log tells it.
//!
//! Owns its messages, who was in it from which seq to which, and everybody's
//! cursors. Everything derived (unread, what may be seen) is computed here by
//! the words of the specification, never copied from the server.

use std::collections::BTreeMap;

use bytes::Bytes;
use hongyan_protocol::limits::{DEDUPE_SENDS, OUTBOX_WINDOW};
use hongyan_protocol::pb::{self, Role};
use hongyan_protocol::{ConversationId, UserId};

use crate::violation::{Checked, ensure};

/// A message that is in the log.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) lsn: u64,
    pub(crate) message_id: u64,
    pub(crate) sender: u64,
    pub(crate) time_ms: u64,
    pub(crate) client_msg_id: Bytes,
    /// Of the encoded body.
    pub(crate) body: u64,
    pub(crate) event: Option<pb::GroupEvent>,
}

/// Somebody who is in it now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) role: u32,
    pub(crate) joined_seq: u64,
    pub(crate) delivered_seq: u64,
    pub(crate) read_seq: u64,
}

/// A time during which somebody was in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stay {
    /// The seq that told of the joining.
    pub(crate) from: u64,
    /// The last seq that was theirs to see; `None` while they stay.
    pub(crate) to: Option<u64>,
    /// Where the log says that they joined.
    pub(crate) since_lsn: u64,
}

/// What is known of a group beside its members.
#[derive(Debug, Clone)]
pub(crate) struct GroupInfo {
    pub(crate) name: String,
    pub(crate) history_visible: bool,
    /// It was, at some time.
    pub(crate) ever_visible: bool,
    pub(crate) dissolved: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) id: ConversationId,
    pub(crate) messages: Vec<Stored>,
    pub(crate) members: BTreeMap<UserId, Member>,
    pub(crate) stays: BTreeMap<UserId, Vec<Stay>>,
    pub(crate) group: Option<GroupInfo>,
    /// Where in the log each cursor move is: lsn, user, delivered, read.
    pub(crate) cursor_moves: Vec<(u64, UserId, u64, u64)>,
}

impl Conversation {
    pub(crate) fn new(id: ConversationId) -> Self {
        let mut conversation = Self {
            id,
            messages: Vec::new(),
            members: BTreeMap::new(),
            stays: BTreeMap::new(),
            group: None,
            cursor_moves: Vec::new(),
        };
        if let ConversationId::Direct(low, high) = id {
            for user in [low, high] {
                conversation.join(user, Role::Member as u32, 1, 0);
            }
        }
        conversation
    }

    pub(crate) fn last_seq(&self) -> u64 {
        self.messages.len() as u64
    }

    pub(crate) fn message(&self, seq: u64) -> Option<&Stored> {
        self.messages.get(usize::try_from(seq.checked_sub(1)?).ok()?)
    }

    pub(crate) fn is_dissolved(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.dissolved)
    }

    pub(crate) fn role(&self, user: UserId) -> Option<u32> {
        self.members.get(&user).map(|member| member.role)
    }

    pub(crate) fn join(&mut self, user: UserId, role: u32, seq: u64, lsn: u64) {
        self.members.insert(user, Member { role, joined_seq: seq, ..Member::default() });
        self.stays.entry(user).or_default().push(Stay { from: seq, to: None, since_lsn: lsn });
    }

    pub(crate) fn part(&mut self, user: UserId) {
        self.members.remove(&user);
        if let Some(stay) = self.stays.get_mut(&user).and_then(|stays| stays.last_mut()) {
            stay.to = Some(0);
        }
    }

    /// Whoever parted in this write-set still saw the message that says so.
    pub(crate) fn end_write_set(&mut self) {
        let last = self.last_seq();
        for stay in self.stays.values_mut().filter_map(|stays| stays.last_mut()) {
            if stay.to == Some(0) {
                stay.to = Some(last);
            }
        }
    }

    /// Whether a push of message `seq` to `user` tells it to somebody who was
    /// there.
    pub(crate) fn was_present(&self, user: UserId, seq: u64) -> bool {
        self.stays.get(&user).is_some_and(|stays| {
            stays.iter().any(|stay| stay.from <= seq && stay.to.is_none_or(|to| seq <= to))
        })
    }

    /// Whether `user` has been in it once, and still is.
    pub(crate) fn stayed_throughout(&self, user: UserId) -> bool {
        self.stays.get(&user).is_some_and(|stays| stays.len() == 1 && stays[0].to.is_none())
    }

    /// Whether `user` may ever have been allowed to read message `seq`.
    pub(crate) fn was_readable(&self, user: UserId, seq: u64) -> bool {
        if self.was_present(user, seq) {
            return true;
        }
        let shown = self.group.as_ref().is_some_and(|group| group.ever_visible);
        let last_stay = self.stays.get(&user).and_then(|stays| stays.last());
        shown && last_stay.is_some_and(|stay| stay.to.is_none_or(|to| seq <= to))
    }

    /// The lowest seq that a present member may see.
    pub(crate) fn first_visible(&self, user: UserId) -> Option<u64> {
        let member = self.members.get(&user)?;
        Some(match &self.group {
            Some(group) if !group.history_visible => member.joined_seq,
            _ => 1,
        })
    }

    /// Unread as specified: the last seq less the highest of what was read,
    /// what the user last sent, and what came before the user joined. As of
    /// the moment when the last message was `last_seq` and the read cursor
    /// stood at `read_seq`.
    pub(crate) fn unread_at(&self, user: UserId, last_seq: u64, read_seq: u64) -> Option<u64> {
        let stay = self.stays.get(&user)?.iter().rev().find(|stay| stay.from <= last_seq.max(1))?;
        let upto = &self.messages.get(..usize::try_from(last_seq).ok()?)?;
        let sent = upto.iter().rposition(|message| message.sender == user.get());
        let sent = sent.map_or(0, |at| at as u64 + 1);
        Some(last_seq - read_seq.max(sent).max(stay.from - 1).min(last_seq))
    }

    /// Whether the server still has to know that `sender` sent message `seq`:
    /// it remembers the last sends of each member, and fewer of those who
    /// went and came back.
    pub(crate) fn is_remembered(&self, sender: u64, seq: u64) -> bool {
        let since = self.messages.iter().skip(usize::try_from(seq).unwrap_or(usize::MAX));
        let since = since.filter(|m| m.sender == sender && m.event.is_none()).count();
        let stays = UserId::new(sender).and_then(|user| self.stays.get(&user)).map_or(0, Vec::len);
        since < if stays > 1 { OUTBOX_WINDOW - 1 } else { DEDUPE_SENDS - 1 }
    }

    /// What must hold between any two write-sets.
    pub(crate) fn check(&self) -> Checked {
        let ConversationId::Group(_) = self.id else {
            return Ok(());
        };
        let owners = self.members.values().filter(|m| m.role == Role::Owner as u32).count();
        ensure!(
            owners == 1 || self.is_dissolved() && owners <= 1,
            "a group has one owner",
            "{:?} has {owners} owners",
            self.id
        );
        Ok(())
    }
}
