//! What devices do: one sampler for each room of the server.
//!
//! A sampler draws one request that a client could make now, sensible or not,
//! and returns its frame. Whether the answer is right is judged elsewhere.

pub(crate) mod auth;
pub(crate) mod conversation;
pub(crate) mod group;
pub(crate) mod presence;
pub(crate) mod sync;

use hongyan_protocol::{ConversationId, UserId};

use crate::model::Model;
use crate::people::People;
use crate::plan::Plan;
use crate::rng::Rng;

/// What a sampler draws from.
pub(crate) struct Bench<'a> {
    pub(crate) rng: &'a mut Rng,
    pub(crate) people: &'a mut People,
    pub(crate) model: &'a mut Model,
    pub(crate) plan: &'a Plan,
    /// The user of the device, once it is known.
    pub(crate) me: Option<UserId>,
}

impl Bench<'_> {
    /// A conversation that somebody might open: with anybody known, or any
    /// group that was ever made, the own ones more often.
    pub(crate) fn conversation(&mut self, me: UserId) -> Option<ConversationId> {
        let others = self.people.others(me);
        if self.people.groups.is_empty() || self.rng.chance(500) {
            let other = self.rng.pick(&others)?;
            return ConversationId::direct(me, *other);
        }
        self.group(me)
    }

    /// A group, mostly one that `me` is in.
    pub(crate) fn group(&mut self, me: UserId) -> Option<ConversationId> {
        let mut ids: Vec<ConversationId> =
            self.people.groups.iter().map(|group| group.conversation).collect();
        if !self.rng.chance(150) {
            let log = &self.model.log;
            let mine = |id: &ConversationId| {
                log.conversations.get(id).is_some_and(|c| c.role(me).is_some())
            };
            ids.retain(mine);
        }
        self.rng.pick(&ids).copied()
    }
}
