//! Watching who is on line.
//!
//! The server takes or refuses a set of people as a whole and does not say
//! whom it refused for. So those with whom there is no conversation are left
//! out from the start, and a set that is refused all the same is halved until
//! it is known who may be watched:
//!
//! ```text
//! due ──ask──▶ asking ──taken──▶ more to ask? ──no──▶ done, each told
//!                │                     └─yes─▶ asking with some more
//!                ├──NotAllowed──▶ asking with half of the new ones
//!                └──refused for now, late──▶ due again, later
//! ```
//!
//! Invariants: at most one request is on its way; what the server watches is
//! what it took last; a wish stands until there is another one, so people are
//! watched again after a reconnect, after pushes were dropped, and when a
//! conversation with them begins.

use std::collections::BTreeSet;

use hongyan_protocol::ids::{ConversationId, UserId};
use hongyan_protocol::limits::WATCHED_MAX;
use hongyan_protocol::{ErrorCode, Opcode, pb};

use crate::backoff::exponential;
use crate::client::ClientCore;
use crate::error::ClientError;
use crate::event::{Event, Presence, PresenceWatch, RequestToken};
use crate::requests::Purpose;

const RETRY_BASE_MS: u64 = 1_000;
const RETRY_MAX_MS: u64 = 30_000;
/// Attempts for people whom the server refuses although there is a
/// conversation: it may not have listed a new one yet.
const ATTEMPTS_MAX: u32 = 6;

/// Who is to be watched, and how far the server agreed.
#[derive(Debug, Default)]
pub(crate) struct Watching {
    /// The app's wish, each person once.
    wanted: Vec<UserId>,
    /// Those of them who are not watched.
    refused: BTreeSet<UserId>,
    /// Who waits for the result.
    token: Option<RequestToken>,
    /// The server is to be asked, as soon as it can be.
    due: bool,
    asking: Option<Asking>,
    retry_at_ms: Option<u64>,
    failures: u32,
}

/// A wish on its way.
#[derive(Debug, Default)]
struct Asking {
    /// The server took these.
    taken: Vec<UserId>,
    /// In the request that is on its way, beside those.
    new: Vec<UserId>,
    /// Still to be asked for, each set to be taken as a whole if it can be.
    left: Vec<Vec<UserId>>,
    /// The server took something: whom it watched before is forgotten.
    told: bool,
    refused: BTreeSet<UserId>,
    refused_by_server: bool,
}

impl ClientCore {
    /// Watches who is on line, instead of whom was watched before; also after
    /// a reconnect. An [`Event::Watching`] says of each whether the server
    /// allows it, or an [`Event::Reply`] with an error that it could not be
    /// asked; an [`Event::Presence`] says how they are, now and with every
    /// change. Who is not allowed yet is watched once a conversation with
    /// them has begun.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] for more than 500 people, otherwise as
    /// [`ClientCore::request`]; without a session they are watched from the
    /// next one on all the same.
    pub fn watch_presence(
        &mut self,
        token: RequestToken,
        users: &[UserId],
    ) -> Result<(), ClientError> {
        let mut seen = BTreeSet::new();
        let wanted: Vec<_> = users.iter().copied().filter(|user| seen.insert(*user)).collect();
        if wanted.len() > WATCHED_MAX {
            return Err(ClientError::Invalid("more than 500 people to watch"));
        }
        let watching = &mut self.watching;
        watching.wanted = wanted;
        watching.failures = 0;
        watching.retry_at_ms = None;
        watching.due = true;
        if let Some(before) = watching.token.take() {
            let error = ClientError::Invalid("a later call watches other people");
            self.reply(before, Err(error));
        }
        self.check_request()?;
        self.watching.token = Some(token);
        Ok(())
    }

    /// Asks for what is due. Called while the session is live.
    pub(crate) fn flush_watch(&mut self, now_ms: u64) {
        if !self.watching.due || self.watching.asking.is_some() {
            return;
        }
        self.watching.due = false;
        self.watching.retry_at_ms = None;
        let (new, unknown): (Vec<_>, Vec<_>) =
            self.watching.wanted.iter().copied().partition(|user| self.is_contact(*user));
        let refused = unknown.into_iter().collect();
        self.watching.asking = Some(Asking { new, refused, ..Asking::default() });
        self.ask_watch(now_ms);
    }

    /// A new session: the server watches nobody for it yet.
    pub(crate) fn watch_from_start(&mut self) {
        self.watching.due |= !self.watching.wanted.is_empty() || self.watching.token.is_some();
    }

    /// Pushes were dropped, those about presence among them perhaps.
    pub(crate) fn watch_again(&mut self) {
        self.watching.due |= !self.watching.wanted.is_empty();
    }

    /// A conversation with somebody has begun.
    pub(crate) fn note_contact(&mut self, id: ConversationId) {
        let Some(peer) = self.me().and_then(|me| id.peer_of(me)) else {
            return;
        };
        let asking = self.watching.asking.as_mut();
        let left_out = asking.is_some_and(|asking| asking.refused.remove(&peer));
        if self.watching.refused.remove(&peer) || left_out {
            self.watching.failures = 0;
            self.watching.due = true;
        }
    }

    pub(crate) fn on_watch_taken(&mut self, now_ms: u64) {
        let Some(asking) = &mut self.watching.asking else {
            return;
        };
        asking.told = true;
        let new = std::mem::take(&mut asking.new);
        asking.taken.extend(new);
        self.ask_next_watch(now_ms);
    }

    pub(crate) fn on_watch_refused(&mut self, now_ms: u64, error: ClientError) {
        let Some(asking) = &mut self.watching.asking else {
            return;
        };
        if !error.is(ErrorCode::NotAllowed) {
            let again = error == ClientError::TimedOut || error.is_transient();
            let retry_after_ms = u64::from(error.retry_after_ms().unwrap_or(0));
            self.watching.asking = None;
            if again {
                self.retry_watch(now_ms, retry_after_ms);
            }
            if let Some(token) = self.watching.token.take() {
                self.reply(token, Err(error));
            }
            return;
        }
        let mut new = std::mem::take(&mut asking.new);
        if new.len() > 1 {
            asking.left.push(new.split_off(new.len() / 2));
            asking.left.push(new);
        } else {
            asking.refused_by_server |= !new.is_empty();
            asking.refused.extend(new);
        }
        self.ask_next_watch(now_ms);
    }

    /// The connection is gone, and with it what was asked.
    pub(crate) fn end_watch(&mut self, error: ClientError) {
        self.watching.asking = None;
        self.watching.retry_at_ms = None;
        if let Some(token) = self.watching.token.take() {
            self.reply(token, Err(error));
        }
    }

    pub(crate) const fn watch_deadline_ms(&self) -> Option<u64> {
        self.watching.retry_at_ms
    }

    pub(crate) fn handle_watch_timeout(&mut self, now_ms: u64) {
        if self.watching.retry_at_ms.is_some_and(|at| at <= now_ms) {
            self.watching.retry_at_ms = None;
            self.watching.due = true;
        }
    }

    fn ask_next_watch(&mut self, now_ms: u64) {
        if self.watching.due {
            // The wish is another one by now.
            self.watching.asking = None;
            return;
        }
        let Some(asking) = &mut self.watching.asking else {
            return;
        };
        match asking.left.pop() {
            Some(new) => asking.new = new,
            // Once more, with nobody: or those from before stay watched.
            None if !asking.told => {}
            None => return self.finish_watch(now_ms),
        }
        self.ask_watch(now_ms);
    }

    fn ask_watch(&mut self, now_ms: u64) {
        let Some(asking) = &self.watching.asking else {
            return;
        };
        let users = asking.taken.iter().chain(&asking.new).map(|user| user.get()).collect();
        let message = pb::WatchPresence { users };
        self.request_frame(now_ms, Purpose::Watch, Opcode::WatchPresence, &message);
    }

    fn finish_watch(&mut self, now_ms: u64) {
        let Some(asking) = self.watching.asking.take() else {
            return;
        };
        self.watching.refused = asking.refused;
        if asking.refused_by_server {
            self.retry_watch(now_ms, 0);
        } else {
            self.watching.failures = 0;
        }
        if let Some(token) = self.watching.token.take() {
            let refused = &self.watching.refused;
            let people = self.watching.wanted.iter();
            let people = people
                .map(|user| PresenceWatch { user: *user, watched: !refused.contains(user) })
                .collect();
            self.events.push_back(Event::Watching { token, people });
        }
    }

    fn retry_watch(&mut self, now_ms: u64, retry_after_ms: u64) {
        let watching = &mut self.watching;
        if watching.failures < ATTEMPTS_MAX {
            let delay_ms = exponential(RETRY_BASE_MS, watching.failures).min(RETRY_MAX_MS);
            watching.failures += 1;
            watching.retry_at_ms = Some(now_ms + delay_ms.max(retry_after_ms));
        }
    }

    /// Whether there is a direct conversation in which something was said:
    /// the server tells presence to those.
    fn is_contact(&self, user: UserId) -> bool {
        let id = self.me().and_then(|me| ConversationId::direct(me, user));
        id.and_then(|id| self.convs.get(&id)).is_some_and(|conv| conv.record.last_seq > 0)
    }

    pub(crate) fn on_presences(&mut self, presences: &pb::Presences) {
        let presences: Vec<_> = presences
            .presences
            .iter()
            .filter_map(|presence| {
                Some(Presence {
                    user: UserId::new(presence.user)?,
                    online: presence.online,
                    last_seen_ms: presence.last_seen_ms,
                })
            })
            .collect();
        if !presences.is_empty() {
            self.events.push_back(Event::Presence(presences));
        }
    }
}
