//! Everything of a shard that is stored, as far as it is in memory.
//!
//! Owns: the entities, which of them differ from the views, and `apply`, the
//! only function that changes one. Refuses to decide anything: an op says
//! what is to be, not what was asked. What is not in memory is answered with
//! [`Need`]; the caller waits until it is loaded.

mod apply;
mod partition;
mod table;

use bytes::Bytes;
use foldhash::fast::FixedState;
use hongyan_protocol::{ConversationId, UserId};
use indexmap::IndexSet;
use prost::Message;

pub(crate) use self::apply::{BadOp, touches};
pub(crate) use self::partition::Partition;
use self::table::Table;
use crate::conversation::Conversation;
use crate::error::Refusal;
use crate::inbox::Inbox;
use crate::key::EntityKey;
use crate::routing::{PARTITIONS, PartitionId};
use crate::shard::ReplayError;
use crate::state;

/// What must be there before a handler can go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Need {
    /// An entity that is not in memory.
    Entity(EntityKey),
    /// Several.
    Entities(Vec<EntityKey>),
    /// Messages that are only in pages.
    Messages(MessageRange),
    /// Whether these users exist, which other shards know.
    Peers(Vec<UserId>),
}

/// Messages of one conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct MessageRange {
    pub(crate) conversation: ConversationId,
    pub(crate) from_seq: u64,
    pub(crate) to_seq: u64,
    pub(crate) backwards: bool,
}

/// Why a handler did not finish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// For good.
    Refuse(Refusal),
    /// Until this is there.
    Need(Need),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refuse(refusal)
    }
}

/// See the module.
pub(crate) struct Entities {
    pub(crate) partitions: [Option<Partition>; PARTITIONS as usize],
    names: Table<String, UserId>,
    accounts: Table<UserId, state::Account>,
    inboxes: Table<UserId, Inbox>,
    conversations: Table<ConversationId, Conversation>,
    pub(crate) dirty: IndexSet<EntityKey, FixedState>,
}

impl Entities {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            partitions: Default::default(),
            names: Table::new(seed),
            accounts: Table::new(seed),
            inboxes: Table::new(seed),
            conversations: Table::new(seed),
            dirty: IndexSet::with_hasher(FixedState::with_seed(seed)),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len() + self.accounts.len() + self.inboxes.len() + self.conversations.len()
    }

    /// Takes the stored form of an entity.
    pub(crate) fn install(
        &mut self,
        key: EntityKey,
        value: Option<Bytes>,
    ) -> Result<(), ReplayError> {
        let malformed = || ReplayError::Malformed { what: format!("{key:?}") };
        match key.clone() {
            EntityKey::Partition(id) => {
                self.partitions[usize::from(id.0)] =
                    Some(Partition::decode(value.as_deref()).ok_or_else(malformed)?);
            }
            EntityKey::Name(name) => {
                let (user, applied) = match value {
                    None => (None, 0),
                    Some(value) => {
                        let stored = state::Name::decode(value).map_err(|_| malformed())?;
                        (Some(UserId::new(stored.user).ok_or_else(malformed)?), stored.applied)
                    }
                };
                self.names.install(name, user, applied);
            }
            EntityKey::Account(user) => {
                let account =
                    value.map(state::Account::decode).transpose().map_err(|_| malformed())?;
                let applied = account.as_ref().map_or(0, |account| account.applied);
                self.accounts.install(user, account, applied);
            }
            EntityKey::Inbox(user) => {
                let stored =
                    value.map(state::Inbox::decode).transpose().map_err(|_| malformed())?;
                let applied = stored.as_ref().map_or(0, |stored| stored.applied);
                let inbox =
                    stored.map(|s| Inbox::from_state(s).ok_or_else(malformed)).transpose()?;
                self.inboxes.install(user, inbox, applied);
            }
            EntityKey::Conversation(id) => {
                let stored =
                    value.map(state::Conversation::decode).transpose().map_err(|_| malformed())?;
                let applied = stored.as_ref().map_or(0, |stored| stored.applied);
                let conversation = stored
                    .map(|s| Conversation::from_state(id, s).ok_or_else(malformed))
                    .transpose()?;
                self.conversations.install(id, conversation, applied);
            }
        }
        Ok(())
    }

    /// The stored form of an entity that is in memory.
    pub(crate) fn encode(&self, key: &EntityKey) -> Option<Bytes> {
        let bytes = match key {
            EntityKey::Partition(id) => self.partition(*id).encode(),
            EntityKey::Name(name) => {
                let cell = self.names.cell(name)?;
                state::Name { applied: cell.applied, user: cell.value?.get() }.encode_to_vec()
            }
            EntityKey::Account(user) => {
                let cell = self.accounts.cell(user)?;
                let mut account = cell.value.clone()?;
                account.applied = cell.applied;
                account.encode_to_vec()
            }
            EntityKey::Inbox(user) => {
                let cell = self.inboxes.cell(user)?;
                cell.value.as_ref()?.to_state(cell.applied).encode_to_vec()
            }
            EntityKey::Conversation(id) => {
                let cell = self.conversations.cell(id)?;
                cell.value.as_ref()?.to_state(cell.applied).encode_to_vec()
            }
        };
        Some(bytes.into())
    }

    pub(crate) fn is_loaded(&self, key: &EntityKey) -> bool {
        match key {
            EntityKey::Partition(id) => self.partitions[usize::from(id.0)].is_some(),
            EntityKey::Name(name) => self.names.cell(name).is_some(),
            EntityKey::Account(user) => self.accounts.cell(user).is_some(),
            EntityKey::Inbox(user) => self.inboxes.cell(user).is_some(),
            EntityKey::Conversation(id) => self.conversations.cell(id).is_some(),
        }
    }

    /// A partition of this shard.
    pub(crate) fn partition(&self, id: PartitionId) -> &Partition {
        self.partitions[usize::from(id.0)]
            .as_ref()
            .expect("the shard's own partitions are installed")
    }

    pub(crate) fn partition_mut(&mut self, id: PartitionId) -> &mut Partition {
        self.partitions[usize::from(id.0)]
            .as_mut()
            .expect("the shard's own partitions are installed")
    }

    pub(crate) fn name(&mut self, name: &str) -> Result<Option<UserId>, Stop> {
        match self.names.cell_mut(&name.to_owned()) {
            Some(cell) => Ok(cell.value),
            None => Err(Stop::Need(Need::Entity(EntityKey::Name(name.to_owned())))),
        }
    }

    pub(crate) fn account(&mut self, user: UserId) -> Result<Option<&state::Account>, Stop> {
        match self.accounts.cell_mut(&user) {
            Some(cell) => Ok(cell.value.as_ref()),
            None => Err(Stop::Need(Need::Entity(EntityKey::Account(user)))),
        }
    }

    pub(crate) fn inbox(&mut self, user: UserId) -> Result<Option<&Inbox>, Stop> {
        match self.inboxes.cell_mut(&user) {
            Some(cell) => Ok(cell.value.as_ref()),
            None => Err(Stop::Need(Need::Entity(EntityKey::Inbox(user)))),
        }
    }

    pub(crate) fn conversation(
        &mut self,
        id: ConversationId,
    ) -> Result<Option<&mut Conversation>, Stop> {
        match self.conversations.cell_mut(&id) {
            Some(cell) => Ok(cell.value.as_mut()),
            None => Err(Stop::Need(Need::Entity(EntityKey::Conversation(id)))),
        }
    }

    /// A conversation that is in memory, for settling.
    pub(crate) fn loaded_conversation(&mut self, id: ConversationId) -> Option<&mut Conversation> {
        self.conversations.cell_mut(&id).and_then(|cell| cell.value.as_mut())
    }

    /// Notes that settle round `round` carries the entity's present state.
    pub(crate) fn begin_settling(&mut self, key: &EntityKey, round: u64) {
        macro_rules! mark {
            ($table:expr, $key:expr) => {
                if let Some(cell) = $table.cell_mut($key) {
                    cell.dirty = false;
                    cell.settling = round;
                }
            };
        }
        match key {
            EntityKey::Partition(id) => self.partition_mut(*id).dirty = false,
            EntityKey::Name(name) => mark!(self.names, name),
            EntityKey::Account(user) => mark!(self.accounts, user),
            EntityKey::Inbox(user) => mark!(self.inboxes, user),
            EntityKey::Conversation(id) => mark!(self.conversations, id),
        }
    }

    /// Lets go of what is not used, see [`Table::sweep`].
    pub(crate) fn sweep(&mut self, keep: usize, settled_round: u64) {
        self.names.sweep(keep / 8, settled_round);
        self.accounts.sweep(keep / 4, settled_round);
        self.inboxes.sweep(keep / 4, settled_round);
        self.conversations.sweep(keep / 2, settled_round);
    }

    /// All keys of `keys` that are not in memory.
    pub(crate) fn missing(&self, keys: impl Iterator<Item = EntityKey>) -> Vec<EntityKey> {
        keys.filter(|key| !self.is_loaded(key)).collect()
    }
}
