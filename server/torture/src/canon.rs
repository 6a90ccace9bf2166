//! The one order of every conversation, put together from what all devices
//! are shown.

use std::collections::BTreeMap;

use hongyan_client::ConversationId;

use crate::fault::Fault;
use crate::reading::{Fact, Shown};

/// One conversation.
#[derive(Debug, Clone, Default)]
pub struct Line {
    /// Messages by seq.
    pub facts: BTreeMap<u64, Fact>,
    /// The newest seq.
    pub last_seq: u64,
    /// Seq of the first invitation of each user.
    pub joined: BTreeMap<u64, u64>,
}

/// All conversations.
#[derive(Debug, Clone, Default)]
pub struct Canon {
    /// By id.
    pub lines: BTreeMap<ConversationId, Line>,
}

impl Canon {
    /// Takes in what `viewer` is shown of a conversation. Objects to holes,
    /// to a wrong order, to an end before the known one, and to anything that
    /// was shown otherwise before.
    pub fn absorb(&mut self, viewer: &str, id: ConversationId, shown: &Shown) -> Vec<Fault> {
        let line = self.lines.entry(id).or_default();
        let mut faults = Vec::new();
        let mut hole = |expected, found| {
            faults.push(Fault::NotDense {
                viewer: viewer.into(),
                conversation: id,
                expected,
                found,
            });
        };
        let mut expected = shown.from_seq.max(shown.first_seq).max(1);
        for (seq, _) in &shown.messages {
            if *seq != expected {
                hole(expected, Some(*seq));
            }
            expected = seq + 1;
        }
        let end = shown.last_seq.max(line.last_seq);
        if expected <= end && shown.first_seq > 0 {
            hole(expected, None);
        }
        line.last_seq = end;
        for (seq, fact) in &shown.messages {
            let known = *line.facts.entry(*seq).or_insert(*fact);
            if known != *fact {
                faults.push(Fault::Different {
                    viewer: viewer.into(),
                    conversation: id,
                    seq: *seq,
                    both: format!("{known:?} before, {fact:?} now"),
                });
            }
        }
        for (user, seq) in &shown.invited {
            let joined = line.joined.entry(*user).or_insert(*seq);
            *joined = (*joined).min(*seq);
        }
        faults
    }

    /// The message at a place.
    #[must_use]
    pub fn fact(&self, id: ConversationId, seq: u64) -> Option<&Fact> {
        self.lines.get(&id)?.facts.get(&seq)
    }

    /// Seq of the newest message that `user` sent, or of the newest event
    /// that they caused; zero when there is none.
    #[must_use]
    pub fn last_sent(&self, id: ConversationId, user: u64) -> u64 {
        let facts = self.lines.get(&id).map(|line| &line.facts);
        facts
            .and_then(|facts| facts.iter().rev().find(|(_, fact)| fact.sender == user))
            .map_or(0, |(seq, _)| *seq)
    }
}
