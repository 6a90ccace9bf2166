//! A conversation: its one order of messages, who is in it, how far each has
//! read. Foundation of the direct and group rooms.
//!
//! Owns: `last_seq`, the members with their cursors and last sends, and the
//! messages that are not in pages yet. Refuses to decide who may do what.
//!
//! Invariants: seq is dense from 1; a cursor never goes back and never past
//! `last_seq`; read <= delivered; unread is arithmetic over them.
//!
//! ```text
//! messages   1 ........ paged_seq ........ last_seq
//!            '- in pages ('-- maybe) --'------- tail ---'
//!                         tail_first
//! ```

mod ask;
mod history;
mod member;
mod send;
mod sends;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use hongyan_protocol::ids::{GroupId, mix64};
use hongyan_protocol::raw::StoredMessage;
use hongyan_protocol::{ConversationId, UserId, pb};
use prost::Message;

pub(crate) use self::history::Range;
pub(crate) use self::member::Member;
pub(crate) use self::send::{Draft, Drafted};
use self::sends::Sends;
use crate::envelope::Receivers;
use crate::routing::{Layout, ShardId};
use crate::state;

/// Messages kept in memory beyond those that are not in pages yet.
const TAIL_KEEP: usize = 64;

/// People who went and whose last sends are kept.
const FORMER_KEEP: usize = 64;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Conversation {
    pub(crate) id: ConversationId,
    pub(crate) last_seq: u64,
    /// Stamped on the last message; the next is not earlier.
    pub(crate) last_time_ms: u64,
    /// An encoded message; empty before the first.
    pub(crate) last_message: Bytes,
    /// By user, ascending.
    members: Vec<Member>,
    pub(crate) group: Option<state::GroupMeta>,
    /// Messages up to this one were given to the settler.
    pub(crate) paged_seq: u64,
    /// Encoded messages `tail_first..=last_seq`.
    tail: VecDeque<Bytes>,
    /// The last submission for whose sync a push waits; later messages of a
    /// weaker level must not overtake it.
    pub(crate) durable_barrier: u64,
    /// Members by shard, until somebody joins or leaves.
    receivers: Option<Vec<(ShardId, Receivers)>>,
    /// The last sends of people who went, so that a retry is known as one
    /// when they come back. The one who went last is last.
    former: VecDeque<(UserId, Sends)>,
}

/// What a conversation remembers of a message besides its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Appended {
    pub(crate) seq: u64,
    pub(crate) time_ms: u64,
    pub(crate) sender: Option<UserId>,
    /// `None` for an event.
    pub(crate) client_id_hash: Option<u64>,
}

impl Appended {
    /// That of a message that was stored before.
    pub(crate) fn of(message: &StoredMessage) -> Self {
        Self {
            seq: message.seq,
            time_ms: message.time_ms,
            sender: UserId::new(message.sender),
            client_id_hash: message.client_msg_id.as_ref().try_into().ok().map(client_id_hash),
        }
    }
}

/// The id in a stored form.
pub(crate) fn conversation_id(id: Option<&state::ConversationKey>) -> Option<ConversationId> {
    let id = id?;
    ConversationId::from_words(id.first, id.second)
}

/// The stored form of an id.
pub(crate) const fn conversation_key(id: ConversationId) -> state::ConversationKey {
    let (first, second) = id.to_words();
    state::ConversationKey { first, second }
}

/// What a client's message id is remembered by.
pub(crate) fn client_id_hash(client_msg_id: &[u8; 16]) -> u64 {
    let (low, high) = client_msg_id.split_at(8);
    let word = |half: &[u8]| u64::from_le_bytes(half.try_into().unwrap_or_default());
    mix64(word(low) ^ mix64(word(high)))
}

impl Conversation {
    /// An empty one. A direct conversation has its two members from the
    /// start.
    pub(crate) fn new(id: ConversationId) -> Self {
        let members = match id {
            ConversationId::Direct(low, high) => vec![
                Member::new(low, pb::Role::Member as u32, 1),
                Member::new(high, pb::Role::Member as u32, 1),
            ],
            ConversationId::Group(_) => Vec::new(),
        };
        Self {
            id,
            last_seq: 0,
            last_time_ms: 0,
            last_message: Bytes::new(),
            members,
            group: None,
            paged_seq: 0,
            tail: VecDeque::new(),
            durable_barrier: 0,
            receivers: None,
            former: VecDeque::new(),
        }
    }

    pub(crate) fn from_state(id: ConversationId, stored: state::Conversation) -> Option<Self> {
        if conversation_id(stored.id.as_ref())? != id {
            return None;
        }
        let last = if stored.last_message.is_empty() {
            StoredMessage::default()
        } else {
            StoredMessage::decode(stored.last_message.clone()).ok()?
        };
        let members: Option<Vec<_>> = stored.members.into_iter().map(Member::from_state).collect();
        let former = stored.former.iter().map(|gone| {
            let sends = gone.sends.iter().map(|sent| (sent.hash, sent.seq)).collect();
            Some((UserId::new(gone.user)?, sends))
        });
        let former: Option<VecDeque<_>> = former.collect();
        Some(Self {
            last_seq: stored.last_seq,
            last_time_ms: last.time_ms,
            last_message: stored.last_message,
            members: members?,
            group: stored.group,
            paged_seq: stored.paged_seq,
            former: former?,
            ..Self::new(id)
        })
    }

    pub(crate) fn to_state(&self, applied: u64) -> state::Conversation {
        state::Conversation {
            applied,
            id: Some(conversation_key(self.id)),
            last_seq: self.last_seq,
            last_message: self.last_message.clone(),
            members: self.members.iter().map(Member::to_state).collect(),
            group: self.group.clone(),
            paged_seq: self.paged_seq,
            former: self.former.iter().map(|(user, sends)| former_state(*user, sends)).collect(),
        }
    }

    // Changes; called by `apply` only.

    pub(crate) fn append(
        &mut self,
        message: &Appended,
        encoded: Bytes,
    ) -> Result<(), crate::entity::BadOp> {
        if message.seq != self.last_seq + 1 {
            return Err(crate::entity::BadOp);
        }
        self.last_seq = message.seq;
        self.last_time_ms = message.time_ms;
        self.last_message = encoded.clone();
        self.tail.push_back(encoded);
        if cfg!(feature = "__break_unread_counter") {
            for member in &mut self.members {
                member.counted += 1;
            }
        }
        if let Some(sender) = message.sender
            && let Some(member) = self.member_mut(sender)
        {
            member.note_send(message.seq, message.client_id_hash);
        }
        Ok(())
    }

    pub(crate) fn move_cursor(&mut self, user: UserId, delivered_seq: u64, read_seq: u64) {
        if let Some(member) = self.member_mut(user) {
            if cfg!(feature = "__break_unread_counter") && read_seq > member.read_seq {
                member.counted = 0;
            }
            member.read_seq = member.read_seq.max(read_seq);
            member.delivered_seq = member.delivered_seq.max(delivered_seq).max(member.read_seq);
        }
    }

    pub(crate) fn found(&mut self, meta: state::GroupMeta) {
        self.group = Some(meta);
    }

    pub(crate) fn add_member(&mut self, user: UserId, role: u32, joined_seq: u64) {
        let mut member = Member::new(user, role, joined_seq);
        if let Some(at) = self.former.iter().position(|(gone, _)| *gone == user)
            && let Some((_, sends)) = self.former.remove(at)
        {
            member.recall_sends(sends);
        }
        match self.members.binary_search_by_key(&user, |member| member.user) {
            Ok(at) => self.members[at] = member,
            Err(at) => self.members.insert(at, member),
        }
        self.receivers = None;
    }

    pub(crate) fn remove_member(&mut self, user: UserId) {
        let Ok(at) = self.members.binary_search_by_key(&user, |member| member.user) else {
            return;
        };
        let sends = self.members.remove(at).into_sends();
        if !sends.is_empty() {
            if self.former.len() == FORMER_KEEP {
                self.former.pop_front();
            }
            self.former.push_back((user, sends));
        }
        self.receivers = None;
    }

    pub(crate) fn set_role(&mut self, user: UserId, role: u32) {
        if let Some(member) = self.member_mut(user) {
            member.role = role;
        }
    }

    pub(crate) fn update(&mut self, name: &str, history_visible: bool) {
        if let Some(group) = &mut self.group {
            name.clone_into(&mut group.name);
            group.history_visible = history_visible;
        }
    }

    pub(crate) fn dissolve(&mut self) {
        if let Some(group) = &mut self.group {
            group.dissolved = true;
        }
    }

    fn member_mut(&mut self, user: UserId) -> Option<&mut Member> {
        let at = self.members.binary_search_by_key(&user, |member| member.user).ok()?;
        Some(&mut self.members[at])
    }

    // Pages and the tail.

    /// The first seq of the tail.
    pub(crate) fn tail_first(&self) -> u64 {
        self.last_seq + 1 - self.tail.len() as u64
    }

    /// The message at `seq`, if the tail has it.
    pub(crate) fn tail_message(&self, seq: u64) -> Option<&Bytes> {
        let at = seq.checked_sub(self.tail_first())?;
        self.tail.get(usize::try_from(at).ok()?)
    }

    /// Packs what is not in pages yet into pages of at most about
    /// `page_bytes` each; they count as paged from then on.
    pub(crate) fn take_pages(&mut self, page_bytes: usize) -> Vec<(u64, state::Page)> {
        let mut pages: Vec<(u64, state::Page)> = Vec::new();
        let mut bytes = 0;
        for seq in self.paged_seq + 1..=self.last_seq {
            let Some(message) = self.tail_message(seq).cloned() else {
                break;
            };
            match pages.last_mut() {
                Some((_, page)) if bytes + message.len() <= page_bytes => {
                    bytes += message.len();
                    page.messages.push(message);
                }
                _ => {
                    bytes = message.len();
                    pages.push((seq, state::Page { messages: vec![message] }));
                }
            }
            self.paged_seq = seq;
        }
        pages
    }

    /// Lets go of messages that pages have, up to `paged_seq`, but for the
    /// newest few; of `most` at most. Says of how many: fewer than `most`
    /// when it is through.
    pub(crate) fn trim_tail(&mut self, paged_seq: u64, most: usize) -> usize {
        let mut gone = 0;
        while gone < most && self.tail.len() > TAIL_KEEP && self.tail_first() <= paged_seq {
            self.tail.pop_front();
            gone += 1;
        }
        if gone < most && self.tail.capacity() > 4 * (self.tail.len() + TAIL_KEEP) {
            self.tail.shrink_to_fit();
        }
        gone
    }

    // Questions.

    pub(crate) fn member(&self, user: UserId) -> Option<&Member> {
        let at = self.members.binary_search_by_key(&user, |member| member.user).ok()?;
        Some(&self.members[at])
    }

    /// The seq of the remembered send with this hash of a member, or of one
    /// who went.
    pub(crate) fn sent_before(&self, user: UserId, hash: u64) -> Option<u64> {
        if let Some(member) = self.member(user) {
            return member.sent_before(hash);
        }
        let (_, sends) = self.former.iter().find(|(gone, _)| *gone == user)?;
        sends.find(hash)
    }

    pub(crate) fn members(&self) -> &[Member] {
        &self.members
    }

    pub(crate) fn is_dissolved(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.dissolved)
    }

    /// The lowest seq that this member may see.
    pub(crate) fn first_visible(&self, member: &Member) -> u64 {
        match &self.group {
            Some(group) if !group.history_visible => member.joined_seq,
            _ => 1,
        }
    }

    /// Messages that this member has not read: arithmetic over seqs.
    pub(crate) fn unread(&self, member: &Member) -> u64 {
        if cfg!(feature = "__break_unread_counter") {
            return member.counted;
        }
        let seen = member.read_seq.max(member.sent_seq).max(member.joined_seq.saturating_sub(1));
        self.last_seq.saturating_sub(seen)
    }

    /// All members by the shard of each, kept until membership changes.
    pub(crate) fn receivers(&mut self, layout: Layout) -> &[(ShardId, Receivers)] {
        let members = &self.members;
        self.receivers.get_or_insert_with(|| {
            let mut shards: Vec<Vec<UserId>> = vec![Vec::new(); usize::from(layout.shards())];
            for member in members {
                shards[usize::from(layout.shard_of(member.user.slot()).0)].push(member.user);
            }
            let by_shard = shards.into_iter().enumerate().filter(|(_, users)| !users.is_empty());
            by_shard
                .map(|(shard, users)| (ShardId(shard as u16), Receivers::Many(Arc::from(users))))
                .collect()
        })
    }

    /// A group as `member` sees it.
    pub(crate) fn group_for(&self, member: &Member) -> Option<pb::Group> {
        let (Some(meta), ConversationId::Group(id)) = (&self.group, self.id) else {
            return None;
        };
        Some(pb::Group {
            id: GroupId::get(id),
            name: meta.name.clone(),
            member_count: self.members.len() as u32,
            history_visible: meta.history_visible,
            role: member.role,
            created_ms: meta.created_ms,
            dissolved: meta.dissolved,
            last_seq: self.last_seq,
        })
    }

    /// The conversation as `user` sees it; marked gone when it is not theirs.
    pub(crate) fn state_for(&self, user: UserId) -> hongyan_protocol::raw::Conversation {
        let mut view = hongyan_protocol::raw::Conversation {
            id: Some(self.id.to_wire()),
            ..Default::default()
        };
        let Some(member) = self.member(user) else {
            view.gone = true;
            return view;
        };
        view.last_seq = self.last_seq;
        view.delivered_seq = member.delivered_seq;
        view.read_seq = member.read_seq;
        view.unread = self.unread(member);
        view.first_seq = self.first_visible(member);
        view.last_message = (!self.last_message.is_empty() && self.last_seq >= view.first_seq)
            .then(|| self.last_message.clone());
        if let Some(peer) = self.id.peer_of(user).and_then(|peer| self.member(peer)) {
            view.peer_delivered_seq = peer.delivered_seq;
            view.peer_read_seq = peer.read_seq;
        }
        view.group = self.group_for(member);
        view
    }

    /// Panics when an invariant of the module does not hold. For debug builds.
    pub(crate) fn check_invariants(&self) {
        assert!(self.members.len() > 64 || self.members.is_sorted_by_key(|member| member.user));
        assert!(self.tail_first() >= 1, "the tail is no longer than the conversation");
        assert!(self.tail_first() <= self.paged_seq + 1, "what is not paged is in the tail");
        // All of a small conversation, a few of a large one.
        for member in self.members.iter().take(64) {
            assert!(member.read_seq <= member.delivered_seq, "what was read was delivered");
            assert!(member.delivered_seq <= self.last_seq, "cursors are within the conversation");
            assert!(member.sent_seq <= self.last_seq, "sends are within the conversation");
        }
    }
}

fn former_state(user: UserId, sends: &Sends) -> state::Former {
    state::Former { user: user.get(), sends: member::stored_sends(sends) }
}
