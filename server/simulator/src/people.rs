//! Who lives in the simulated world.
//!
//! Owns names, passwords, and the groups that somebody tried to make: what
//! people tell each other outside of the server.

use bytes::Bytes;
use hongyan_protocol::ids::GroupId;
use hongyan_protocol::{ConversationId, UserId};

/// Somebody with an account, or about to have one.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) name: String,
    /// The first one, and those that somebody tried to change it to: any of
    /// them may be in force.
    pub(crate) passwords: Vec<String>,
    /// Somebody tried to sign devices out; when that takes effect nobody can
    /// know, so tokens may be worth nothing from then on.
    pub(crate) revoked: bool,
    /// An operator banned the account, or may have.
    pub(crate) banned: bool,
    pub(crate) ever_banned: bool,
    /// Known as soon as one of the devices was told.
    pub(crate) user: Option<UserId>,
}

/// A group that somebody tried to make, under the id that it has if it
/// exists.
#[derive(Debug, Clone)]
pub(crate) struct KnownGroup {
    pub(crate) conversation: ConversationId,
    pub(crate) creator: UserId,
    pub(crate) client_group_id: Bytes,
    pub(crate) name: String,
    pub(crate) members: Vec<u64>,
    pub(crate) history_visible: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct People {
    pub(crate) persons: Vec<Person>,
    pub(crate) groups: Vec<KnownGroup>,
}

impl People {
    pub(crate) fn new(seed: u64, count: usize) -> Self {
        let persons = (0..count).map(|at| Person {
            name: format!("p{seed}-{at}"),
            passwords: vec![format!("password {at}")],
            revoked: false,
            banned: false,
            ever_banned: false,
            user: None,
        });
        Self { persons: persons.collect(), groups: Vec::new() }
    }

    /// Everybody with an account, but `me`.
    pub(crate) fn others(&self, me: UserId) -> Vec<UserId> {
        self.persons.iter().filter_map(|p| p.user).filter(|user| *user != me).collect()
    }
}

/// The id of the group that `creator` makes with this client id.
pub(crate) fn group_id(creator: UserId, client_group_id: &[u8]) -> ConversationId {
    ConversationId::Group(GroupId::derive(creator, client_group_id))
}
