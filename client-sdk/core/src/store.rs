//! What must outlive the process, and the seam to where it is kept.
//!
//! The core changes a [`LocalStore`] only by batches of [`StoreOp`]s, one
//! batch at a time. A batch is atomic: after a crash all of it is there or
//! nothing. [`StoredState::apply`] says what each operation means; every
//! store is compared with it by the conformance suite.

use std::collections::BTreeMap;
use std::sync::Arc;

use hongyan_protocol::ids::{ConversationId, UserId};
use thiserror::Error;

use crate::conversation::{ConversationRecord, Profile};
use crate::message::{ClientMsgId, Message};
use crate::outbox::OutboxEntry;

/// Who is signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The user.
    pub user: UserId,
    /// The account name.
    pub name: String,
    /// The name shown to people.
    pub display_name: String,
}

/// What opens a session without a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Goes into the Hello.
    pub access_token: String,
    /// When it stops working, in milliseconds since 1970 by this device's
    /// clock.
    pub access_expires_ms: u64,
    /// Works once.
    pub refresh_token: String,
    /// When it stops working, as above.
    pub refresh_expires_ms: u64,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens")
            .field("access_expires_ms", &self.access_expires_ms)
            .field("refresh_expires_ms", &self.refresh_expires_ms)
            .finish_non_exhaustive()
    }
}

/// One change of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreOp {
    /// Forgets everything but the device's id.
    ClearAccount,
    /// Keeps of a conversation's messages those with
    /// `from_seq <= seq <= to_seq`.
    KeepMessages {
        /// Which conversation.
        conversation: ConversationId,
        /// Lowest seq kept.
        from_seq: u64,
        /// Highest seq kept.
        to_seq: u64,
    },
    /// Puts messages, each under its conversation and seq.
    PutMessages(Vec<Arc<Message>>),
    /// Puts or replaces a conversation.
    PutConversation(ConversationRecord),
    /// Puts or replaces a message that waits to be sent.
    PutOutbox(OutboxEntry),
    /// Puts or replaces a person's names.
    PutProfile(Profile),
    /// Forgets a message that waited to be sent.
    RemoveOutbox(ClientMsgId),
    /// Sets who is signed in.
    SetAccount(Account),
    /// Sets the device's id.
    SetDevice(String),
    /// Sets or forgets the tokens.
    SetTokens(Option<Tokens>),
}

/// Operations that are applied together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreBatch {
    /// To be handed back with the result.
    pub ticket: u64,
    /// In this order.
    pub ops: Vec<StoreOp>,
    /// The result may be given only once the batch, and every one before it,
    /// survives a power cut.
    pub durable: bool,
}

/// Everything a store holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredState {
    /// The device's id.
    pub device_id: Option<String>,
    /// Who is signed in.
    pub account: Option<Account>,
    /// What opens the next session.
    pub tokens: Option<Tokens>,
    /// Messages that wait to be sent.
    pub outbox: BTreeMap<ClientMsgId, OutboxEntry>,
    /// Conversations.
    pub conversations: BTreeMap<ConversationId, ConversationRecord>,
    /// Recent messages by seq.
    pub messages: BTreeMap<ConversationId, BTreeMap<u64, Arc<Message>>>,
    /// People's names.
    pub profiles: BTreeMap<UserId, Profile>,
}

impl StoredState {
    /// Applies one operation: the definition of what each means.
    pub fn apply(&mut self, op: &StoreOp) {
        match op {
            StoreOp::ClearAccount => {
                *self = Self { device_id: self.device_id.take(), ..Self::default() };
            }
            StoreOp::KeepMessages { conversation, from_seq, to_seq } => {
                if let Some(messages) = self.messages.get_mut(conversation) {
                    messages.retain(|seq, _| (from_seq..=to_seq).contains(&seq));
                    if messages.is_empty() {
                        self.messages.remove(conversation);
                    }
                }
            }
            StoreOp::PutMessages(messages) => {
                for message in messages {
                    self.messages
                        .entry(message.conversation)
                        .or_default()
                        .insert(message.seq, Arc::clone(message));
                }
            }
            StoreOp::PutConversation(record) => {
                self.conversations.insert(record.id, record.clone());
            }
            StoreOp::PutOutbox(entry) => {
                self.outbox.insert(entry.client_msg_id, entry.clone());
            }
            StoreOp::PutProfile(profile) => {
                self.profiles.insert(profile.user, profile.clone());
            }
            StoreOp::RemoveOutbox(id) => {
                self.outbox.remove(id);
            }
            StoreOp::SetAccount(account) => self.account = Some(account.clone()),
            StoreOp::SetDevice(id) => self.device_id = Some(id.clone()),
            StoreOp::SetTokens(tokens) => self.tokens.clone_from(tokens),
        }
    }
}

/// A store that could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Reading or writing failed. After a failed write the store takes no
    /// more of them until it is opened again.
    #[error("{0}")]
    Io(String),
    /// What is kept cannot be understood, and not because a write was cut
    /// short.
    #[error("{0}")]
    Corrupt(String),
    /// Another process has the store open.
    #[error("another process has it open")]
    InUse,
}

/// Keeps the client's state.
///
/// The driver calls one method at a time.
pub trait LocalStore: Send {
    /// Everything that is kept.
    ///
    /// # Errors
    /// Any [`StoreError`]; nothing was changed.
    fn load(&mut self) -> Result<StoredState, StoreError>;

    /// Applies `ops` in order, together or not at all. When `durable`, they
    /// and everything before survive a power cut once this returns.
    ///
    /// # Errors
    /// [`StoreError::Io`]; the batch may or may not be there when the store
    /// is opened again, and nothing more can be applied until then.
    fn apply(&mut self, ops: &[StoreOp], durable: bool) -> Result<(), StoreError>;

    /// Whether [`LocalStore::apply`] waits for a disk, so that a driver calls
    /// it where waiting is allowed.
    fn is_blocking(&self) -> bool;
}

/// Keeps everything in memory: for tests, and for clients that start from
/// nothing each time.
#[derive(Debug, Clone, Default)]
pub struct MemoryLocalStore {
    state: StoredState,
}

impl MemoryLocalStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// A store that holds `state`, as after a restart.
    pub const fn with_state(state: StoredState) -> Self {
        Self { state }
    }
}

impl LocalStore for MemoryLocalStore {
    fn load(&mut self) -> Result<StoredState, StoreError> {
        Ok(self.state.clone())
    }

    fn apply(&mut self, ops: &[StoreOp], _durable: bool) -> Result<(), StoreError> {
        ops.iter().for_each(|op| self.state.apply(op));
        Ok(())
    }

    fn is_blocking(&self) -> bool {
        false
    }
}
