//! Requests that wait for their reply.
//!
//! Invariants: an id is in use at most once at a time; every request leaves
//! exactly once: by its reply, by its deadline, or with the connection.

use std::collections::{BTreeMap, BTreeSet};

use hongyan_protocol::ids::ConversationId;

use crate::event::RequestToken;
use crate::message::ClientMsgId;
use crate::replies::Lesson;

/// What to do with the reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The app asked; the reply is read on the way.
    App { token: RequestToken, lesson: Lesson },
    /// Opens the session by credentials or refresh token.
    Authenticate,
    /// Fills a gap, or takes the newest page when it is too wide.
    Gap { conversation: ConversationId, from_seq: u64, newest_only: bool },
    /// Opens the connection.
    Hello,
    /// Signs out; the app waits.
    Logout(RequestToken),
    /// Reads what a timeline left out, to tell it.
    Missed { conversation: ConversationId, from_seq: u64, to_seq: u64 },
    /// Pages messages up to `to_seq` in; the app waits.
    Older { conversation: ConversationId, to_seq: u64, token: RequestToken },
    /// Names of direct conversations' other side.
    Profiles,
    /// Moves the read cursor.
    Read { conversation: ConversationId, seq: u64 },
    /// Sends a message of the outbox.
    Send(ClientMsgId),
    /// A page of a sync.
    Sync,
    /// Watches who is on line.
    Watch,
}

#[derive(Debug)]
struct Waiting {
    purpose: Purpose,
    deadline_ms: u64,
}

/// The table of requests.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    waiting: BTreeMap<u64, Waiting>,
    deadlines: BTreeSet<(u64, u64)>,
    last_id: u32,
    app: usize,
}

impl Requests {
    /// Makes an id for a request.
    pub(crate) fn start(&mut self, purpose: Purpose, deadline_ms: u64) -> u64 {
        let id = loop {
            self.last_id = self.last_id.wrapping_add(1).max(1);
            if !self.waiting.contains_key(&u64::from(self.last_id)) {
                break u64::from(self.last_id);
            }
        };
        self.app += usize::from(purpose.is_app());
        self.deadlines.insert((deadline_ms, id));
        self.waiting.insert(id, Waiting { purpose, deadline_ms });
        id
    }

    /// The reply to `id` came.
    pub(crate) fn finish(&mut self, id: u64) -> Option<Purpose> {
        let waiting = self.waiting.remove(&id)?;
        self.deadlines.remove(&(waiting.deadline_ms, id));
        self.app -= usize::from(waiting.purpose.is_app());
        Some(waiting.purpose)
    }

    /// Takes one request out whose time is up.
    pub(crate) fn expire(&mut self, now_ms: u64) -> Option<Purpose> {
        let (deadline_ms, id) = self.deadlines.first().copied()?;
        if deadline_ms > now_ms {
            return None;
        }
        self.finish(id)
    }

    /// The connection is gone: takes all out, oldest first.
    pub(crate) fn drain(&mut self) -> Vec<Purpose> {
        self.deadlines.clear();
        self.app = 0;
        std::mem::take(&mut self.waiting).into_values().map(|waiting| waiting.purpose).collect()
    }

    /// The next deadline.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Requests of the app that wait.
    pub(crate) const fn app_len(&self) -> usize {
        self.app
    }

    /// Whether a request with this purpose waits. Linear.
    pub(crate) fn contains(&self, purpose: impl Fn(&Purpose) -> bool) -> bool {
        self.waiting.values().any(|waiting| purpose(&waiting.purpose))
    }
}

impl Purpose {
    const fn is_app(&self) -> bool {
        matches!(self, Self::App { .. } | Self::Logout(_) | Self::Older { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_leaves_once() {
        let mut requests = Requests::default();
        let first = requests.start(Purpose::Sync, 10);
        let app = Purpose::App { token: RequestToken(1), lesson: Lesson::Nothing };
        let second = requests.start(app.clone(), 5);
        assert_eq!(requests.deadline_ms(), Some(5));
        assert_eq!(requests.app_len(), 1);
        assert_eq!(requests.expire(4), None);
        assert_eq!(requests.expire(5), Some(app));
        assert_eq!(requests.finish(second), None);
        assert_eq!(requests.finish(first), Some(Purpose::Sync));
        assert_eq!(requests.drain(), []);
    }

    #[test]
    fn ids_skip_zero_and_those_in_use() {
        let mut requests = Requests { last_id: u32::MAX - 1, ..Requests::default() };
        assert_eq!(requests.start(Purpose::Sync, 1), u64::from(u32::MAX));
        assert_eq!(requests.start(Purpose::Sync, 1), 1);
        requests.last_id = u32::MAX - 1;
        assert_eq!(requests.start(Purpose::Sync, 1), 2);
    }
}
