//! Who is online, told to who watches. Soft: nothing is stored, and a watch
//! ends with the connection that asked for it.

use foldhash::fast::FixedState;
use hongyan_protocol::{ConversationId, ErrorCode, Opcode, UserId, pb};
use indexmap::IndexMap;

use super::ConnStage;
use crate::effect::{Effect, Effects, Gate, delimited};
use crate::entity::Stop;
use crate::envelope::Envelope;
use crate::error::Refusal;
use crate::input::ConnId;
use crate::routing::ShardId;
use crate::shard::Shard;

/// Sessions that may watch one user; more are not told.
const WATCHERS_MAX: usize = 2_000;
/// Users whose last moment online is remembered.
const SEEN_MAX: usize = 100_000;

/// Who watches users of this shard, and when those were last online.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    by_user: IndexMap<UserId, Vec<(ShardId, ConnId)>, FixedState>,
    seen_ms: IndexMap<UserId, u64, FixedState>,
}

impl Shard {
    /// Replaces the set of people that a session watches.
    pub(crate) fn watch_presence(
        &mut self,
        conn: ConnId,
        request: u64,
        own: UserId,
        users: &[UserId],
        fx: &mut Effects,
    ) -> Result<(), Stop> {
        let inbox = self.entities.inbox(own)?;
        let allowed = users.iter().all(|user| {
            ConversationId::direct(own, *user)
                .is_some_and(|id| inbox.is_some_and(|inbox| inbox.contains(id)))
        });
        if !allowed {
            let message = "only people with whom you have a direct conversation";
            return Err(Refusal::new(ErrorCode::NotAllowed, message).into());
        }
        let before = match self.conns.get_mut(&conn).map(|conn| &mut conn.stage) {
            Some(ConnStage::Live(session)) => {
                std::mem::replace(&mut session.watched, users.to_vec())
            }
            _ => return Ok(()),
        };
        let ended: Vec<_> = before.into_iter().filter(|user| !users.contains(user)).collect();
        self.unwatch_all(conn, &ended, fx);
        // The states follow as pushes, from each person's shard.
        if request != 0 {
            let frame = delimited(Opcode::WatchPresence, request, &pb::Presences::default());
            fx.push(Gate::Now, Effect::Reply { conn, frame });
        }
        self.tell_watch(conn, users, true, fx);
        Ok(())
    }

    pub(crate) fn unwatch_all(&mut self, conn: ConnId, users: &[UserId], fx: &mut Effects) {
        self.tell_watch(conn, users, false, fx);
    }

    fn tell_watch(&mut self, conn: ConnId, users: &[UserId], on: bool, fx: &mut Effects) {
        let mut by_shard: std::collections::BTreeMap<ShardId, Vec<UserId>> =
            std::collections::BTreeMap::new();
        for user in users {
            by_shard.entry(self.layout.shard_of(user.slot())).or_default().push(*user);
        }
        for (shard, users) in by_shard {
            if shard == self.id {
                self.watch(shard, conn, users, on, fx);
            } else {
                let watch = Envelope::Watch { shard: self.id, conn, users, on };
                self.send(Gate::Now, shard, watch, fx);
            }
        }
    }

    /// A session begins or ends to watch users of this shard.
    pub(crate) fn watch(
        &mut self,
        shard: ShardId,
        conn: ConnId,
        users: Vec<UserId>,
        on: bool,
        fx: &mut Effects,
    ) {
        let watcher = (shard, conn);
        let mut presences = Vec::new();
        for user in users {
            if on {
                presences.push(self.presence_of(user));
                let watchers = self.watchers.by_user.entry(user).or_default();
                if watchers.len() < WATCHERS_MAX && !watchers.contains(&watcher) {
                    watchers.push(watcher);
                }
            } else if let Some(watchers) = self.watchers.by_user.get_mut(&user) {
                watchers.retain(|other| *other != watcher);
                if watchers.is_empty() {
                    self.watchers.by_user.swap_remove(&user);
                }
            }
        }
        if !presences.is_empty() {
            self.tell_presence(watcher, presences, fx);
        }
    }

    fn presence_of(&self, user: UserId) -> pb::Presence {
        let online = self.online.contains_key(&user);
        let last_seen_ms = if online {
            self.now.unix_ms
        } else {
            self.watchers.seen_ms.get(&user).copied().unwrap_or(0)
        };
        pb::Presence { user: user.get(), online, last_seen_ms }
    }

    /// A user of this shard went on or off line.
    pub(crate) fn presence_changed(&mut self, user: UserId, online: bool, fx: &mut Effects) {
        if !online {
            if self.watchers.seen_ms.len() >= SEEN_MAX {
                self.watchers.seen_ms.swap_remove_index(0);
            }
            self.watchers.seen_ms.insert(user, self.now.unix_ms);
        }
        let Some(watchers) = self.watchers.by_user.get(&user).cloned() else {
            return;
        };
        let presence = self.presence_of(user);
        for watcher in watchers {
            self.tell_presence(watcher, vec![presence], fx);
        }
    }

    fn tell_presence(
        &mut self,
        (shard, conn): (ShardId, ConnId),
        presences: Vec<pb::Presence>,
        fx: &mut Effects,
    ) {
        if shard == self.id {
            self.presence_is(conn, presences, fx);
        } else {
            self.send(Gate::Now, shard, Envelope::PresenceIs { conn, presences }, fx);
        }
    }

    /// A session of this shard is told about people that it watches.
    pub(crate) fn presence_is(
        &mut self,
        conn: ConnId,
        presences: Vec<pb::Presence>,
        fx: &mut Effects,
    ) {
        let Some(session) = self.session(conn) else {
            return;
        };
        let presences: Vec<_> = presences
            .into_iter()
            .filter(|presence| session.watched.iter().any(|user| user.get() == presence.user))
            .collect();
        if !presences.is_empty() {
            let frame = delimited(Opcode::PresenceChanged, 0, &pb::Presences { presences });
            fx.push(Gate::Now, Effect::Push { conn, frame, patient: false });
        }
    }
}
