//! [`Client`]: the handle that an app holds.

use std::sync::Arc;

use bytes::Bytes;
use hongyan_client_core::event::PresenceWatch;
use hongyan_client_core::store::Account;
use hongyan_client_core::{
    AckLevel, Body, ClientError, ClientMsgId, ConversationId, ConversationState, Credentials,
    Message, NewMessage, Opcode, Profile, Status, TimelineView, UserId, pb,
};
use hongyan_protocol::limits::HISTORY_LIMIT_MAX;
use hongyan_protocol::raw;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::account::AccountState;
use crate::builder::ClientBuilder;
use crate::events::Events;
use crate::handles::{SendHandle, Timeline};

/// Where the answer to a command goes.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, ClientError>>;

/// What the handle asks of the driver.
#[derive(Debug)]
pub(crate) enum Command {
    Authenticate {
        credentials: Credentials,
        answer: Answer<Bytes>,
    },
    Discard {
        id: ClientMsgId,
        answer: Answer<()>,
    },
    KnownProfiles {
        users: Vec<UserId>,
        answer: Answer<Vec<Profile>>,
    },
    LoadOlder {
        conversation: ConversationId,
        limit: u32,
        answer: Answer<Bytes>,
    },
    Logout {
        answer: Answer<Bytes>,
    },
    MarkRead {
        conversation: ConversationId,
        seq: u64,
        answer: Answer<()>,
    },
    OpenTimeline {
        conversation: ConversationId,
        answer: Answer<watch::Receiver<Arc<TimelineView>>>,
    },
    Request {
        opcode: Opcode,
        payload: Bytes,
        answer: Answer<Bytes>,
    },
    Retry {
        id: ClientMsgId,
        answer: Answer<SendHandle>,
    },
    Send {
        message: NewMessage,
        answer: Answer<SendHandle>,
    },
    Shutdown {
        answer: oneshot::Sender<()>,
    },
    Start {
        answer: Answer<()>,
    },
    Stop {
        answer: Answer<()>,
    },
    WatchPresence {
        users: Vec<UserId>,
        answer: Answer<Vec<PresenceWatch>>,
    },
}

/// A handle to a running client; clones share it. The client is shut down by
/// [`Client::shutdown`], or when the last handle (timelines included) is
/// dropped.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) events: broadcast::WeakSender<hongyan_client_core::Event>,
    pub(crate) status: watch::Receiver<Status>,
    pub(crate) account: watch::Receiver<Arc<AccountState>>,
    pub(crate) conversations: watch::Receiver<Arc<Vec<Arc<ConversationState>>>>,
    pub(crate) device_id: Arc<str>,
}

impl Client {
    /// Begins to make a client for the server at `address` (`host:port`).
    pub fn builder(address: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(address.into())
    }

    // Sessions.

    /// Makes an account and opens its first session. `display_name` may be
    /// empty.
    ///
    /// # Errors
    /// [`ClientError::Refused`] (`NameTaken`, `RegistrationClosed`,
    /// `InvalidField`), [`ClientError::Connect`], [`ClientError::Invalid`]
    /// when somebody is signed in. [`ClientError::TimedOut`]: the account may
    /// have been made; try to log in.
    pub async fn register(
        &self,
        name: &str,
        password: &str,
        display_name: &str,
    ) -> Result<Account, ClientError> {
        self.authenticate(Credentials::Register {
            name: name.into(),
            password: password.into(),
            display_name: display_name.into(),
        })
        .await
    }

    /// Opens a session by name and password.
    ///
    /// # Errors
    /// [`ClientError::Refused`] (`BadCredentials` and others),
    /// [`ClientError::Connect`], [`ClientError::TimedOut`],
    /// [`ClientError::Invalid`] when somebody is signed in.
    pub async fn login(&self, name: &str, password: &str) -> Result<Account, ClientError> {
        self.authenticate(Credentials::Password { name: name.into(), password: password.into() })
            .await
    }

    /// Opens a session by a token of an external issuer.
    ///
    /// # Errors
    /// As [`Client::login`].
    pub async fn login_external(&self, id_token: &str) -> Result<Account, ClientError> {
        self.authenticate(Credentials::External { id_token: id_token.into() }).await
    }

    /// Opens a session by any credentials.
    ///
    /// # Errors
    /// As [`Client::login`].
    pub async fn authenticate(&self, credentials: Credentials) -> Result<Account, ClientError> {
        let payload = self.ask(|answer| Command::Authenticate { credentials, answer }).await?;
        let session: pb::Session = decode(payload)?;
        Ok(Account {
            user: UserId::new(session.user_id)
                .ok_or_else(|| ClientError::Protocol("the session names no user".into()))?,
            name: session.name,
            display_name: session.display_name,
        })
    }

    /// Connects with the tokens in the store and waits for the session. Also
    /// takes the place back after [`Client::disconnect`] or after another
    /// device took it.
    ///
    /// # Errors
    /// [`ClientError::Offline`] when there are no tokens, or they are refused;
    /// [`ClientError::Closed`].
    pub async fn resume(&self) -> Result<Account, ClientError> {
        self.ask(|answer| Command::Start { answer }).await?;
        self.wait_status(|status| matches!(status, Status::Syncing | Status::Live)).await?;
        self.account().ok_or(ClientError::Offline)
    }

    /// Closes the connection and stays offline until [`Client::resume`].
    ///
    /// # Errors
    /// [`ClientError::Closed`].
    pub async fn disconnect(&self) -> Result<(), ClientError> {
        self.ask(|answer| Command::Stop { answer }).await
    }

    /// Signs out and forgets the account on this device, the outbox included,
    /// in any case.
    ///
    /// # Errors
    /// [`ClientError::Offline`], [`ClientError::TimedOut`],
    /// [`ClientError::Refused`]: the server may not know; revoke the device
    /// from another one.
    pub async fn logout(&self) -> Result<(), ClientError> {
        self.ask(|answer| Command::Logout { answer }).await.map(drop)
    }

    /// Stops the client: what is in the outbox stays in the store. Returns
    /// when the store is written and the connection closed.
    pub async fn shutdown(&self) {
        let (answer, done) = oneshot::channel();
        if self.commands.send(Command::Shutdown { answer }).await.is_ok() {
            // An error says that the driver is gone already.
            done.await.ok();
        }
    }

    // State.

    /// The connection's state, now and as it changes.
    pub fn connection_status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// The connection's state now.
    pub fn status(&self) -> Status {
        *self.status.borrow()
    }

    /// Waits until the client is in session and up to date.
    ///
    /// # Errors
    /// [`ClientError::Offline`] when waiting is of no use: credentials are
    /// needed, or the client is offline by wish. [`ClientError::Closed`].
    pub async fn wait_live(&self) -> Result<(), ClientError> {
        self.wait_status(|status| status == Status::Live).await
    }

    /// Who is signed in on this device, with or without a session.
    pub fn account(&self) -> Option<Account> {
        self.account.borrow().account.clone()
    }

    /// This device's id.
    pub fn device_id(&self) -> &str {
        &self.device_id
    }

    /// What happens from now on.
    pub fn events(&self) -> Events {
        let receiver = match self.events.upgrade() {
            Some(sender) => sender.subscribe(),
            // The driver is gone: a channel without a sender says so.
            None => broadcast::channel(1).1,
        };
        Events { receiver }
    }

    /// The conversation list, the one with the latest activity first, now and
    /// as it changes.
    pub fn conversations(&self) -> watch::Receiver<Arc<Vec<Arc<ConversationState>>>> {
        self.conversations.clone()
    }

    /// One conversation as the list has it. Linear in the list.
    pub fn conversation(&self, id: ConversationId) -> Option<Arc<ConversationState>> {
        self.conversations.borrow().iter().find(|state| state.id == id).cloned()
    }

    /// The conversation with `peer`; it needs no making.
    ///
    /// # Errors
    /// [`ClientError::Offline`] when nobody is signed in,
    /// [`ClientError::Invalid`] for oneself.
    pub fn direct(&self, peer: UserId) -> Result<ConversationId, ClientError> {
        let me = self.account().ok_or(ClientError::Offline)?.user;
        ConversationId::direct(me, peer).ok_or(ClientError::Invalid("this is yourself"))
    }

    /// Opens a conversation's timeline.
    ///
    /// # Errors
    /// [`ClientError::Closed`].
    pub async fn timeline(&self, conversation: ConversationId) -> Result<Timeline, ClientError> {
        let view = self.ask(|answer| Command::OpenTimeline { conversation, answer }).await?;
        Ok(Timeline { client: self.clone(), conversation, view })
    }

    // Messages.

    /// Sends text, to be acknowledged when it is on the server's disk.
    /// Returns when the message is kept on this device; from then on it is
    /// sent until the result is definite, also by the next process that opens
    /// the same store.
    ///
    /// # Errors
    /// [`ClientError::Invalid`], [`ClientError::OutboxFull`],
    /// [`ClientError::Storage`], [`ClientError::Offline`] when nobody is
    /// signed in, [`ClientError::Closed`]. The message is not sent.
    pub async fn send_text(
        &self,
        conversation: ConversationId,
        text: impl Into<String>,
    ) -> Result<SendHandle, ClientError> {
        self.send_body(conversation, Body::Text(text.into()), AckLevel::Durable).await
    }

    /// Sends any body, to be acknowledged at `level`.
    ///
    /// # Errors
    /// As [`Client::send_text`].
    pub async fn send_body(
        &self,
        conversation: ConversationId,
        body: Body,
        level: AckLevel,
    ) -> Result<SendHandle, ClientError> {
        let client_msg_id = ClientMsgId::new(uuid::Uuid::new_v4().into_bytes());
        self.send_message(NewMessage { client_msg_id, conversation, body, level }).await
    }

    /// Sends a message under an id of the app's own.
    ///
    /// # Errors
    /// As [`Client::send_text`]; [`ClientError::Invalid`] when the outbox
    /// holds the id already.
    pub async fn send_message(&self, message: NewMessage) -> Result<SendHandle, ClientError> {
        self.ask(|answer| Command::Send { message, answer }).await
    }

    /// Sends a failed message again, under the same id.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] when no failed message has this id;
    /// otherwise as [`Client::send_text`].
    pub async fn retry(&self, id: ClientMsgId) -> Result<SendHandle, ClientError> {
        self.ask(|answer| Command::Retry { id, answer }).await
    }

    /// Forgets a failed message.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] when no failed message has this id.
    pub async fn discard(&self, id: ClientMsgId) -> Result<(), ClientError> {
        self.ask(|answer| Command::Discard { id, answer }).await
    }

    /// Marks a conversation read up to `seq`: at once on this device, on the
    /// server as soon as it can be reached.
    ///
    /// # Errors
    /// [`ClientError::Closed`].
    pub async fn mark_read(
        &self,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<(), ClientError> {
        self.ask(|answer| Command::MarkRead { conversation, seq, answer }).await
    }

    /// Pages at most `limit` (0: 100, at most 500) older messages into the
    /// timeline; returns how many came. Zero: this is the beginning.
    ///
    /// # Errors
    /// [`ClientError::WindowFull`] when as many are in memory as can be, and
    /// what a request can meet.
    pub async fn load_older(
        &self,
        conversation: ConversationId,
        limit: u32,
    ) -> Result<usize, ClientError> {
        let payload = self.ask(|answer| Command::LoadOlder { conversation, limit, answer }).await?;
        Ok(decode::<raw::HistoryPage>(payload)?.messages.len())
    }

    /// Reads messages with `from_seq <= seq <= to_seq` (0: the newest) past
    /// the timeline: at most `limit` (0: 100, at most 500), from the upper end
    /// when `backwards`. Ascending; the flag says that more are in the range.
    ///
    /// # Errors
    /// What a request can meet.
    pub async fn history(
        &self,
        conversation: ConversationId,
        from_seq: u64,
        to_seq: u64,
        limit: u32,
        backwards: bool,
    ) -> Result<(Vec<Message>, bool), ClientError> {
        let request = pb::History {
            conversation: Some(conversation.to_wire()),
            from_seq,
            to_seq,
            limit: limit.min(HISTORY_LIMIT_MAX),
            backwards,
        };
        let page: raw::HistoryPage = self.request(Opcode::History, &request).await?;
        Ok((page.messages.into_iter().filter_map(Message::decode).collect(), page.more))
    }

    /// Sends any request and decodes its reply: for what has no method of its
    /// own.
    ///
    /// # Errors
    /// [`ClientError::Refused`]; [`ClientError::Offline`] and
    /// [`ClientError::TooManyRequests`] when nothing was sent;
    /// [`ClientError::TimedOut`] when the result is not known;
    /// [`ClientError::Protocol`] when the reply is not an `R`.
    pub async fn request<R: prost::Message + Default>(
        &self,
        opcode: Opcode,
        message: &impl prost::Message,
    ) -> Result<R, ClientError> {
        let payload = message.encode_to_vec().into();
        decode(self.ask(|answer| Command::Request { opcode, payload, answer }).await?)
    }

    pub(crate) async fn ask<T>(
        &self,
        command: impl FnOnce(Answer<T>) -> Command,
    ) -> Result<T, ClientError> {
        let (answer, result) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| ClientError::Closed)?;
        result.await.map_err(|_| ClientError::Closed)?
    }

    pub(crate) async fn wait_status(
        &self,
        wanted: impl Fn(Status) -> bool,
    ) -> Result<(), ClientError> {
        let mut status = self.status.clone();
        let reached = status
            .wait_for(|status| {
                wanted(*status)
                    || matches!(
                        status,
                        Status::AuthRequired | Status::Offline | Status::SignedOut { .. }
                    )
            })
            .await
            .map_err(|_| ClientError::Closed)?;
        if wanted(*reached) { Ok(()) } else { Err(ClientError::Offline) }
    }
}

fn decode<M: prost::Message + Default>(payload: Bytes) -> Result<M, ClientError> {
    M::decode(payload).map_err(|error| ClientError::Protocol(error.to_string()))
}
