//! Recomputes what is derived and names every difference.
//!
//! Walks the views of a store whose log has been settled into them, so the
//! views are all there is. Trusts only messages and membership; everything
//! else (last seq, last message, sent cursors, unread, lists, names) is
//! computed again and compared. Changes nothing.
//!
//! # What is checked
//! - pages: decodable, together dense from 1 to `paged_seq`; where two pages
//!   overlap (a settle round cut off by a crash) they say the same;
//! - `last_seq` and `last_message` are those of the last message;
//! - cursors: read <= delivered <= last; `sent_seq` is the member's last own
//!   message since joining; unread counted message by message is what the
//!   arithmetic says;
//! - lists: every member lists the conversation, every list entry leads to a
//!   conversation that has the user as a member, but for those that a
//!   partition still owes another (its outbox);
//! - names: every account is found by its name, every name leads to an
//!   account.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use hongyan_core::key::{page_key, parse_page_key};
use hongyan_core::state::{self, task};
use hongyan_core::{EntityKey, PartitionId};
use hongyan_protocol::limits::CONVERSATIONS_MAX;
use hongyan_protocol::raw::StoredMessage;
use hongyan_protocol::{ConversationId, UserId};
use hongyan_store::{StoreError, Views};
use prost::Message;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// Accounts seen.
    pub accounts: u64,
    /// Conversations seen.
    pub conversations: u64,
    /// Pages seen.
    pub pages: u64,
    /// Messages seen, each once.
    pub messages: u64,
    /// Entries of conversation lists seen.
    pub listed: u64,
    /// What does not agree, at most [`DIFFERENCES_MAX`].
    pub differences: Vec<String>,
    /// Differences that are not in the list.
    pub hidden: u64,
}

/// Differences that are named; more are only counted.
pub const DIFFERENCES_MAX: usize = 1_000;
const SCAN_BYTES: usize = 1024 * 1024;
const SCAN_ENTRIES: usize = 1_024;

/// Audits the store behind `views`.
///
/// # Errors
/// When the views cannot be read; differences are not errors.
pub fn audit(views: &dyn Views) -> Result<AuditReport, StoreError> {
    let mut audit = Audit { views, report: AuditReport::default(), owed: BTreeSet::new() };
    audit.read_outboxes()?;
    audit.walk()?;
    Ok(audit.report)
}

struct Audit<'a> {
    views: &'a dyn Views,
    report: AuditReport,
    /// Lists that a partition still owes a change.
    owed: BTreeSet<(UserId, ConversationId)>,
}

/// What the pages of a conversation say.
#[derive(Default)]
struct Told {
    last_seq: u64,
    last_message: Bytes,
    /// Senders by seq, from 1.
    senders: Vec<u64>,
}

impl Audit<'_> {
    fn differ(&mut self, difference: String) {
        if self.report.differences.len() < DIFFERENCES_MAX {
            self.report.differences.push(difference);
        } else {
            self.report.hidden += 1;
        }
    }

    /// Decodes, or names what cannot be.
    fn decode<M: Message + Default>(&mut self, what: &EntityKey, value: &[u8]) -> Option<M> {
        let decoded = M::decode(value).ok();
        if decoded.is_none() {
            self.differ(format!("{what:?} is not decodable"));
        }
        decoded
    }

    fn read<M: Message + Default>(&mut self, key: &EntityKey) -> Result<Option<M>, StoreError> {
        let value = self.views.read(&key.to_bytes())?;
        Ok(value.and_then(|value| self.decode(key, &value)))
    }

    fn read_outboxes(&mut self) -> Result<(), StoreError> {
        for id in PartitionId::all() {
            let Some(partition) = self.read::<state::Partition>(&EntityKey::Partition(id))? else {
                continue;
            };
            let tasks = partition.outboxes.into_iter().flat_map(|outbox| outbox.tasks);
            for task in tasks.filter_map(|task| task.kind) {
                let (conversation, users) = match task {
                    task::Kind::List(list) => (list.conversation, list.users),
                    task::Kind::Unlist(list) => (list.conversation, list.users),
                };
                let Some(conversation) = conversation.and_then(id_of) else {
                    continue;
                };
                self.owed.extend(
                    users.into_iter().filter_map(UserId::new).map(|user| (user, conversation)),
                );
            }
        }
        Ok(())
    }

    /// Every entity once, in the order of keys.
    fn walk(&mut self) -> Result<(), StoreError> {
        let mut from = vec![0_u8];
        let end = [0xff_u8; 32];
        loop {
            let entries = self.views.scan(&from, &end, false, SCAN_BYTES, SCAN_ENTRIES)?;
            let Some((last, _)) = entries.last() else {
                return Ok(());
            };
            from = last.to_vec();
            from.push(0);
            for (key, value) in entries {
                if let Some((conversation, seq)) = parse_page_key(&key) {
                    self.report.pages += 1;
                    self.check_page_owner(conversation, seq)?;
                } else if let Some(entity) = EntityKey::from_bytes(&key) {
                    self.check(&entity, &value)?;
                } else {
                    self.differ(format!("key {key:02x?} is none of ours"));
                }
            }
        }
    }

    fn check(&mut self, key: &EntityKey, value: &[u8]) -> Result<(), StoreError> {
        match key {
            EntityKey::Account(user) => self.check_account(key, *user, value),
            EntityKey::Conversation(id) => self.check_conversation(key, *id, value),
            EntityKey::Inbox(user) => self.check_inbox(key, *user, value),
            EntityKey::Name(name) => self.check_name(key, name, value),
            EntityKey::Partition(_) => Ok(()),
        }
    }

    fn check_account(
        &mut self,
        key: &EntityKey,
        user: UserId,
        value: &[u8],
    ) -> Result<(), StoreError> {
        self.report.accounts += 1;
        let Some(account) = self.decode::<state::Account>(key, value) else {
            return Ok(());
        };
        if account.user != user.get() {
            self.differ(format!("account {user} says that it is {}", account.user));
        }
        let name = EntityKey::Name(account.name.clone());
        match self.read::<state::Name>(&name)? {
            Some(found) if found.user == user.get() => {}
            found => {
                let leads = found.map_or(0, |found| found.user);
                self.differ(format!("the name of account {user} leads to {leads}"));
            }
        }
        Ok(())
    }

    fn check_name(&mut self, key: &EntityKey, name: &str, value: &[u8]) -> Result<(), StoreError> {
        let Some(found) = self.decode::<state::Name>(key, value) else {
            return Ok(());
        };
        let account = UserId::new(found.user).map(EntityKey::Account);
        let exists = match account {
            None => false,
            Some(account) => self.views.read(&account.to_bytes())?.is_some(),
        };
        if !exists {
            self.differ(format!("name {name:?} leads to {}, which is no account", found.user));
        }
        Ok(())
    }

    fn check_inbox(
        &mut self,
        key: &EntityKey,
        user: UserId,
        value: &[u8],
    ) -> Result<(), StoreError> {
        let Some(inbox) = self.decode::<state::Inbox>(key, value) else {
            return Ok(());
        };
        let mut seen = BTreeSet::new();
        let mut number = 0;
        for entry in inbox.entries {
            self.report.listed += 1;
            if entry.number < number || entry.number > inbox.next_number {
                self.differ(format!("the list of {user} is out of order at {}", entry.number));
            }
            number = entry.number;
            let Some(id) = entry.conversation.and_then(id_of) else {
                self.differ(format!("the list of {user} has an entry that is no conversation"));
                continue;
            };
            if !seen.insert(id) {
                self.differ(format!("the list of {user} has {id:?} twice"));
            }
            let conversation = EntityKey::Conversation(id);
            let member = self
                .read::<state::Conversation>(&conversation)?
                .is_some_and(|found| found.members.iter().any(|member| member.user == user.get()));
            if !member && !self.owed.contains(&(user, id)) {
                self.differ(format!("{user} lists {id:?} and is no member of it"));
            }
        }
        Ok(())
    }

    /// A page must belong to a conversation that says it has pages that far.
    fn check_page_owner(&mut self, id: ConversationId, seq: u64) -> Result<(), StoreError> {
        let owner = self.read::<state::Conversation>(&EntityKey::Conversation(id))?;
        if owner.is_none_or(|owner| owner.paged_seq < seq) {
            self.differ(format!("{id:?} has a page from {seq} that it does not know of"));
        }
        Ok(())
    }

    fn check_conversation(
        &mut self,
        key: &EntityKey,
        id: ConversationId,
        value: &[u8],
    ) -> Result<(), StoreError> {
        self.report.conversations += 1;
        let Some(stored) = self.decode::<state::Conversation>(key, value) else {
            return Ok(());
        };
        if stored.id.and_then(id_of) != Some(id) {
            self.differ(format!("{id:?} says that it is another"));
        }
        let told = self.read_pages(id)?;
        self.report.messages += told.last_seq;
        if stored.paged_seq != told.last_seq || stored.last_seq != told.last_seq {
            self.differ(format!(
                "{id:?} counts {} messages and {} in pages, its pages have {}",
                stored.last_seq, stored.paged_seq, told.last_seq
            ));
        }
        if stored.last_message != told.last_message {
            self.differ(format!("{id:?} has another last message than its pages"));
        }
        for member in &stored.members {
            self.check_member(id, member, &told)?;
        }
        Ok(())
    }

    fn check_member(
        &mut self,
        id: ConversationId,
        member: &state::Member,
        told: &Told,
    ) -> Result<(), StoreError> {
        let last = told.last_seq;
        let Some(user) = UserId::new(member.user) else {
            self.differ(format!("{id:?} has a member without an id"));
            return Ok(());
        };
        if member.read_seq > member.delivered_seq || member.delivered_seq > last {
            self.differ(format!(
                "{user} in {id:?} has read {}, got {}, of {last}",
                member.read_seq, member.delivered_seq
            ));
        }
        let before = member.joined_seq.saturating_sub(1);
        let own = told.senders.iter().rposition(|sender| *sender == member.user);
        let own = own.map_or(0, |at| at as u64 + 1);
        let own = if own > before { own } else { 0 };
        if member.sent_seq != own {
            self.differ(format!("{user} in {id:?} sent {own} last, not {}", member.sent_seq));
        }
        let seen = member.read_seq.max(own).max(before);
        let counted = told.senders.iter().skip(seen as usize).count() as u64;
        let arithmetic = last.saturating_sub(member.read_seq.max(member.sent_seq).max(before));
        if counted != arithmetic {
            self.differ(format!("{user} in {id:?} has {counted} unread, not {arithmetic}"));
        }
        let inbox = self.read::<state::Inbox>(&EntityKey::Inbox(user))?.unwrap_or_default();
        let full = inbox.entries.len() >= CONVERSATIONS_MAX;
        let listed =
            inbox.entries.into_iter().any(|entry| entry.conversation.and_then(id_of) == Some(id));
        if !listed && !full && !self.owed.contains(&(user, id)) {
            self.differ(format!("{user} is a member of {id:?} and does not list it"));
        }
        Ok(())
    }

    fn read_pages(&mut self, id: ConversationId) -> Result<Told, StoreError> {
        let mut told = Told::default();
        // Messages of pages that overlap, until the next page begins.
        let mut recent: BTreeMap<u64, Bytes> = BTreeMap::new();
        let mut from = page_key(id, 0).to_vec();
        let end = page_key(id, u64::MAX);
        loop {
            let entries = self.views.scan(&from, &end, false, SCAN_BYTES, SCAN_ENTRIES)?;
            let Some((last, _)) = entries.last() else {
                return Ok(told);
            };
            from = last.to_vec();
            from.push(0);
            for (key, value) in entries {
                let first = parse_page_key(&key).map_or(0, |(_, first)| first);
                let Ok(page) = state::Page::decode(value) else {
                    self.differ(format!("{id:?}: the page from {first} is not decodable"));
                    continue;
                };
                recent.retain(|seq, _| *seq >= first);
                for (seq, bytes) in (first..).zip(page.messages) {
                    self.read_message(id, seq, bytes, &mut told, &mut recent);
                }
            }
        }
    }

    fn read_message(
        &mut self,
        id: ConversationId,
        seq: u64,
        bytes: Bytes,
        told: &mut Told,
        recent: &mut BTreeMap<u64, Bytes>,
    ) {
        if seq <= told.last_seq {
            if recent.get(&seq).is_some_and(|before| *before != bytes) {
                self.differ(format!("{id:?}: two pages have different messages {seq}"));
            }
            return;
        }
        if seq != told.last_seq + 1 {
            self.differ(format!(
                "{id:?}: messages {} to {} are missing",
                told.last_seq + 1,
                seq - 1
            ));
            told.senders.resize(seq as usize - 1, 0);
        }
        let message = StoredMessage::decode(bytes.clone()).unwrap_or_default();
        let named = message.conversation.as_ref().and_then(ConversationId::from_wire);
        if message.seq != seq || named != Some(id) {
            self.differ(format!("{id:?}: what is stored as message {seq} is another"));
        }
        told.last_seq = seq;
        told.senders.push(message.sender);
        told.last_message = bytes.clone();
        recent.insert(seq, bytes);
    }
}

fn id_of(key: state::ConversationKey) -> Option<ConversationId> {
    ConversationId::from_words(key.first, key.second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hongyan_protocol::Slot;
    use hongyan_protocol::pb;
    use hongyan_store::MemoryViews;

    const LAST: u64 = 9;

    fn user(name: &str) -> UserId {
        UserId::compose(7, Slot::of_name(name))
    }

    fn chat() -> ConversationId {
        ConversationId::direct(user("ann"), user("bob")).unwrap()
    }

    fn message(seq: u64, text: &str) -> Bytes {
        let sender = if seq.is_multiple_of(3) { user("bob") } else { user("ann") };
        let stored = StoredMessage {
            conversation: Some(chat().to_wire()),
            seq,
            sender: sender.get(),
            body: Bytes::copy_from_slice(text.as_bytes()),
            ..StoredMessage::default()
        };
        stored.encode_to_vec().into()
    }

    fn page(first: u64, last: u64) -> (Bytes, state::Page) {
        let messages = (first..=last).map(|seq| message(seq, "x")).collect();
        (page_key(chat(), first), state::Page { messages })
    }

    fn key_of(id: ConversationId) -> Option<state::ConversationKey> {
        let (first, second) = id.to_words();
        Some(state::ConversationKey { first, second })
    }

    fn conversation() -> state::Conversation {
        let member = |name: &str, sent_seq, read_seq| state::Member {
            user: user(name).get(),
            role: pb::Role::Member as u32,
            joined_seq: 1,
            delivered_seq: read_seq + 1,
            read_seq,
            sent_seq,
            sends: Vec::new(),
        };
        state::Conversation {
            applied: 5,
            id: key_of(chat()),
            last_seq: LAST,
            last_message: message(LAST, "x"),
            members: vec![member("ann", 8, 4), member("bob", 9, 2)],
            group: None,
            paged_seq: LAST,
            ..state::Conversation::default()
        }
    }

    fn put(views: &MemoryViews, key: Bytes, value: &impl Message) {
        views.write(&[(key, Some(value.encode_to_vec().into()))]).unwrap();
    }

    /// Two people, nine messages in two pages, everything as it should be.
    fn sound() -> MemoryViews {
        let views = MemoryViews::new();
        for name in ["ann", "bob"] {
            let account = state::Account {
                user: user(name).get(),
                name: name.into(),
                ..state::Account::default()
            };
            put(&views, EntityKey::Account(user(name)).to_bytes(), &account);
            let found = state::Name { applied: 1, user: user(name).get() };
            put(&views, EntityKey::Name(name.into()).to_bytes(), &found);
            let entry = state::InboxEntry { number: 1, conversation: key_of(chat()) };
            let inbox = state::Inbox { applied: 1, next_number: 1, entries: vec![entry] };
            put(&views, EntityKey::Inbox(user(name)).to_bytes(), &inbox);
        }
        put(&views, EntityKey::Conversation(chat()).to_bytes(), &conversation());
        for (first, last) in [(1, 4), (5, LAST)] {
            let (key, page) = page(first, last);
            put(&views, key, &page);
        }
        views
    }

    fn differences(views: &MemoryViews) -> Vec<String> {
        audit(views).unwrap().differences
    }

    #[test]
    fn a_sound_store_has_no_differences() {
        let report = audit(&sound()).unwrap();
        assert_eq!(report.differences, Vec::<String>::new());
        let counts = (report.accounts, report.conversations, report.messages, report.pages);
        assert_eq!((counts, report.listed), ((2, 1, LAST, 2), 2));
    }

    #[test]
    fn pages_of_a_round_cut_off_may_overlap_if_they_agree() {
        let views = sound();
        let (key, mut overlapping) = page(3, 6);
        put(&views, key.clone(), &overlapping);
        assert_eq!(differences(&views), Vec::<String>::new());
        overlapping.messages[3] = message(6, "another");
        put(&views, key, &overlapping);
        assert_eq!(differences(&views).len(), 1);
    }

    #[test]
    fn every_wrong_number_of_a_conversation_is_named() {
        type Change = fn(&mut state::Conversation);
        let changes: [(&str, Change); 8] = [
            ("last seq", |c| c.last_seq += 1),
            ("paged seq", |c| c.paged_seq -= 1),
            ("last message", |c| c.last_message = message(LAST, "another")),
            ("sent", |c| c.members[0].sent_seq = 7),
            ("read past delivered", |c| c.members[1].read_seq = 8),
            ("delivered past last", |c| c.members[1].delivered_seq = 99),
            ("a stranger is a member", |c| c.members[0].user = user("eve").get()),
            ("another id", |c| c.id = None),
        ];
        for (name, change) in changes {
            let views = sound();
            let mut wrong = conversation();
            change(&mut wrong);
            put(&views, EntityKey::Conversation(chat()).to_bytes(), &wrong);
            assert!(!differences(&views).is_empty(), "{name}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for missing in [
            page_key(chat(), 1),
            page_key(chat(), 5),
            EntityKey::Inbox(user("bob")).to_bytes(),
            EntityKey::Conversation(chat()).to_bytes(),
            EntityKey::Account(user("ann")).to_bytes(),
            EntityKey::Name("ann".into()).to_bytes(),
        ] {
            let views = sound();
            views.write(&[(missing.clone(), None)]).unwrap();
            assert!(!differences(&views).is_empty(), "{missing:02x?}");
        }
    }

    #[test]
    fn a_list_change_that_is_still_owed_is_no_difference() {
        let views = sound();
        views.write(&[(EntityKey::Inbox(user("bob")).to_bytes(), None)]).unwrap();
        let list = state::ListConversation {
            conversation: key_of(chat()),
            users: vec![user("bob").get()],
        };
        let task = state::Task { kind: Some(task::Kind::List(list)) };
        let outbox = state::Outbox { to: 3, first: 1, tasks: vec![task] };
        let owing = state::Partition { outboxes: vec![outbox], ..state::Partition::default() };
        put(&views, EntityKey::Partition(PartitionId(2)).to_bytes(), &owing);
        assert_eq!(differences(&views), Vec::<String>::new());
    }

    #[test]
    fn garbage_is_named_and_ends_nothing() {
        let views = sound();
        let garbage = Bytes::from_static(&[0xff, 0xff]);
        views.write(&[(page_key(chat(), 5), Some(garbage.clone()))]).unwrap();
        views.write(&[(Bytes::from_static(b"\x00\x01\x77zz"), Some(garbage))]).unwrap();
        let found = differences(&views);
        assert!(found.iter().any(|line| line.contains("not decodable")), "{found:?}");
        assert!(found.iter().any(|line| line.contains("none of ours")), "{found:?}");
    }
}
