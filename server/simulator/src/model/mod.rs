//! The shadow model: what must be true, derived without the server's code.
//!
//! Owns two things. [`LogModel`] reads the records of the log as an
//! independent reader would and says what every conversation is; it also
//! checks that each decision was one that the rules allow. [`Sends`]
//! remembers what devices asked to be stored and what they were told.
//! Refuses to know anything of shards, connections or time.

pub(crate) mod conversation;
pub(crate) mod log;
pub(crate) mod sends;

use std::collections::BTreeMap;

use hongyan_protocol::{ConversationId, UserId};

use crate::violation::{Checked, ensure};

pub(crate) use self::conversation::{Conversation, Stored};
pub(crate) use self::log::LogModel;
pub(crate) use self::sends::{Ack, Sends};

/// See the module.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) log: LogModel,
    pub(crate) sends: Sends,
    /// Read cursors that were acknowledged.
    pub(crate) cursors: BTreeMap<(ConversationId, UserId), u64>,
}

impl Model {
    pub(crate) fn new() -> Self {
        Self { log: LogModel::default(), sends: Sends::default(), cursors: BTreeMap::new() }
    }
}

impl Model {
    /// Every cursor that was acknowledged is where it was, or further.
    pub(crate) fn check_cursors(&self) -> Checked {
        for ((id, user), acked) in &self.cursors {
            let Some(stored) = self.log.conversations.get(id) else {
                continue;
            };
            let Some(member) = stored.members.get(user) else {
                continue;
            };
            ensure!(
                member.read_seq >= (*acked).min(stored.last_seq())
                    || !stored.stayed_throughout(*user),
                "no acknowledged cursor goes back",
                "{user} read {acked} of {id:?}, the log says {}",
                member.read_seq
            );
        }
        Ok(())
    }
}
