//! Whether a cold start brought what it must: every conversation, with its last message, its
//! unread count and the name of the person on the other side; and nothing else.

use std::collections::{HashMap, HashSet};

use hongyan_protocol::{ConversationId, UserId, pb};
use serde::{Deserialize, Serialize};

use super::prepare::Last;

/// What was wrong, over all starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColdFindings {
    /// Conversations that did not come.
    pub missing: u64,
    /// Conversations that came more than once.
    pub repeated: u64,
    /// Conversations that were not written to in this run, or cannot be read.
    pub unexpected: u64,
    /// Conversations with another last message, or none.
    pub wrong_message: u64,
    /// Conversations whose unread count is not that of somebody who has read nothing.
    pub wrong_unread: u64,
    /// Direct conversations whose other person came without a name.
    pub nameless: u64,
}

impl ColdFindings {
    /// Holds the pages of one start of the user `me` against what must have come.
    pub(super) fn check(
        &mut self,
        me: u64,
        pages: &[pb::SyncPage],
        expected: &HashMap<ConversationId, Last>,
    ) {
        let named: HashSet<u64> = pages
            .iter()
            .flat_map(|page| &page.profiles)
            .filter(|profile| !profile.name.is_empty())
            .map(|profile| profile.user)
            .collect();
        let mut seen = HashSet::new();
        for synced in pages.iter().flat_map(|page| &page.conversations) {
            let state = synced.state.as_ref();
            let id = state
                .and_then(|state| state.id.as_ref())
                .and_then(ConversationId::from_wire)
                .filter(|id| expected.contains_key(id));
            let (Some(state), Some(id)) = (state, id) else {
                self.unexpected += 1;
                continue;
            };
            if !seen.insert(id) {
                self.repeated += 1;
                continue;
            }
            self.check_state(state, &expected[&id]);
            let peer = UserId::new(me).and_then(|me| id.peer_of(me));
            self.nameless += u64::from(peer.is_some_and(|peer| !named.contains(&peer.get())));
        }
        self.missing += (expected.len() - seen.len()) as u64;
    }

    fn check_state(&mut self, state: &pb::Conversation, last: &Last) {
        let came = state.last_message.as_ref().is_some_and(|message| {
            let text = match message.body.as_ref().and_then(|body| body.kind.as_ref()) {
                Some(pb::body::Kind::Text(text)) => text.as_str(),
                _ => "",
            };
            (message.seq, text) == (last.seq, last.text.as_str())
        });
        self.wrong_message += u64::from(!came || state.last_seq != last.seq);
        // Nobody reads, and nobody who starts cold writes.
        self.wrong_unread += u64::from(state.unread != state.last_seq);
    }

    /// In words, without what did not happen.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        [
            (self.missing, "conversations did not come"),
            (self.repeated, "conversations came more than once"),
            (
                self.unexpected,
                "conversations came that this run did not write to (accounts of another plan? take \
                 another --users-prefix)",
            ),
            (self.wrong_message, "conversations came with another last message, or none"),
            (self.wrong_unread, "conversations came with a wrong unread count"),
            (self.nameless, "direct conversations came without the other's name"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: u64 = 3 << 12;

    fn direct(peer: u64) -> ConversationId {
        ConversationId::direct(UserId::new(ME).unwrap(), UserId::new(peer << 12).unwrap()).unwrap()
    }

    fn synced(peer: u64, text: &str) -> pb::SyncedConversation {
        let body = pb::Body { kind: Some(pb::body::Kind::Text(text.to_owned())) };
        let last_message = Some(pb::Message { seq: 4, body: Some(body), ..pb::Message::default() });
        let state = pb::Conversation {
            id: Some(direct(peer).to_wire()),
            last_seq: 4,
            unread: 4,
            last_message,
            ..pb::Conversation::default()
        };
        pb::SyncedConversation { state: Some(state), ..pb::SyncedConversation::default() }
    }

    fn page(conversations: Vec<pb::SyncedConversation>, named: &[u64]) -> pb::SyncPage {
        let profiles = named
            .iter()
            .map(|peer| pb::Profile {
                user: peer << 12,
                name: "somebody".to_owned(),
                ..pb::Profile::default()
            })
            .collect();
        pb::SyncPage { conversations, profiles, ..pb::SyncPage::default() }
    }

    fn check(pages: &[pb::SyncPage]) -> ColdFindings {
        let last = || Last { seq: 4, text: "hello".to_owned() };
        let expected = HashMap::from([(direct(7), last()), (direct(8), last())]);
        let mut findings = ColdFindings::default();
        findings.check(ME, pages, &expected);
        findings
    }

    #[test]
    fn all_of_it_over_two_pages_is_right() {
        let findings =
            check(&[page(vec![synced(7, "hello")], &[7]), page(vec![synced(8, "hello")], &[8])]);
        assert_eq!(findings, ColdFindings::default());
        assert_eq!(findings.failures(), Vec::<String>::new());
    }

    #[test]
    fn whatever_is_wrong_is_found() {
        let good = || vec![synced(7, "hello"), synced(8, "hello")];
        let with = |change: fn(&mut pb::Conversation)| {
            let mut all = good();
            change(all[1].state.as_mut().unwrap());
            check(&[page(all, &[7, 8])])
        };
        let none = ColdFindings::default();
        assert_eq!(check(&[page(vec![synced(7, "hello")], &[7])]).missing, 1);
        let twice = [good(), good()].concat();
        assert_eq!(check(&[page(twice, &[7, 8])]), ColdFindings { repeated: 2, ..none });
        let more = [good(), vec![synced(9, "hello")]].concat();
        assert_eq!(check(&[page(more, &[7, 8, 9])]), ColdFindings { unexpected: 1, ..none });
        let other = vec![synced(7, "hello"), synced(8, "other")];
        assert_eq!(check(&[page(other, &[7, 8])]), ColdFindings { wrong_message: 1, ..none });
        assert_eq!(check(&[page(good(), &[7])]), ColdFindings { nameless: 1, ..none });
        let read = with(|state| state.unread = 3);
        assert_eq!(read, ColdFindings { wrong_unread: 1, ..none });
        let empty = with(|state| state.last_message = None);
        assert_eq!(empty, ColdFindings { wrong_message: 1, ..none });
        assert_eq!(empty.failures().len(), 1);
        assert_eq!(
            with(|state| state.id = None),
            ColdFindings { unexpected: 1, missing: 1, ..none }
        );
    }
}
