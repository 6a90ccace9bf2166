//! The connection: opening it, opening a session on it, keeping it alive,
//! and deciding what comes after it ends.
//!
//! ```text
//! Offline ─start─▶ Connecting ─session open─▶ Syncing ─last page─▶ Live
//!    ▲                │  ▲                        │                │
//!    │ stop           │  └──── time ── WaitingToReconnect ◀─ lost ─┘
//!    │                ├─ no token ──▶ AuthRequired ─credentials─▶ Connecting
//!    └─ any state     └─ refused, signed out ──▶ SignedOut ─credentials─▶ ..
//! ```
//!
//! Invariants: at most one connection at a time; new tokens are kept on this
//! device before the session they belong to is used; a connection that says
//! nothing for 2.5 heartbeats is dead; every connection ends in
//! [`ClientCore::handle_closed`], which alone decides what follows.

use bytes::{Buf, BytesMut};
use hongyan_protocol::frame::encode_message;
use hongyan_protocol::version::{CLIENT_PREFACE, PREFACE_BYTES, negotiate};
use hongyan_protocol::{ErrorCode, Frame, Opcode, WireError, pb, raw};
use prost::Message as _;

use crate::client::ClientCore;
use crate::error::ClientError;
use crate::event::{Event, RequestToken};
use crate::requests::Purpose;
use crate::store::{Account, StoreOp, Tokens};

/// How the client stands with the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Status {
    /// Nobody is signed in: credentials are needed.
    AuthRequired,
    /// A connection or its session is being opened.
    Connecting,
    /// In session and up to date; pushes arrive.
    Live,
    /// Not connected, by the app's wish or for a reason that waiting does not
    /// mend.
    Offline,
    /// The session ended for good; credentials are needed.
    SignedOut {
        /// Why.
        reason: SignOutReason,
    },
    /// In session, catching up.
    Syncing,
    /// The connection was lost; the next attempt is due.
    WaitingToReconnect {
        /// When, by the clock that the core is given.
        until_ms: u64,
    },
}

/// Why a session ended for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignOutReason {
    /// The server said so when it closed the connection, with this code.
    Goodbye(u32),
    /// The app signed out.
    Logout,
    /// The tokens were refused with this code.
    Refused(u32),
}

/// What opens a session, other than a token that is kept.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A token of an external issuer.
    External {
        /// The token.
        id_token: String,
    },
    /// Name and password of an account.
    Password {
        /// The account name.
        name: String,
        /// The password.
        password: String,
    },
    /// Makes an account.
    Register {
        /// 3 to 32 bytes: a-z, 0-9, `_`, `-`, `.`; upper case is folded.
        name: String,
        /// 8 to 256 bytes.
        password: String,
        /// At most 64 bytes; the name when empty.
        display_name: String,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::External { .. } => f.write_str("External"),
            Self::Password { name, .. } => write!(f, "Password({name})"),
            Self::Register { name, .. } => write!(f, "Register({name})"),
        }
    }
}

/// Where a connection is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// There is none.
    Idle,
    /// The driver was, or is to be, asked to open it.
    Opening,
    /// Hello is sent, and credentials where needed.
    Handshake,
    /// The session is open; its tokens are being kept.
    KeepingTokens,
    /// In session, catching up.
    Syncing,
    /// In session.
    Live,
    /// To be closed by the driver.
    Closing,
}

/// What belongs to one connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) phase: Phase,
    pub(crate) generation: u64,
    pub(crate) out: BytesMut,
    pub(crate) live_since_ms: Option<u64>,
    connect_wanted: bool,
    close_wanted: bool,
    preface_done: bool,
    heartbeat_ms: u64,
    sent_ms: u64,
    received_ms: u64,
    heartbeat_sent_ms: Option<u64>,
    deadline_ms: Option<u64>,
    goodbye: Option<pb::Goodbye>,
    error: Option<ClientError>,
    retry_hint_ms: Option<u64>,
}

impl Link {
    pub(crate) fn new() -> Self {
        Self {
            phase: Phase::Idle,
            generation: 0,
            out: BytesMut::new(),
            live_since_ms: None,
            connect_wanted: false,
            close_wanted: false,
            preface_done: false,
            heartbeat_ms: HEARTBEAT_DEFAULT_MS,
            sent_ms: 0,
            received_ms: 0,
            heartbeat_sent_ms: None,
            deadline_ms: None,
            goodbye: None,
            error: None,
            retry_hint_ms: None,
        }
    }

    pub(crate) const fn in_session(&self) -> bool {
        matches!(self.phase, Phase::Syncing | Phase::Live)
    }

    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Handshake | Phase::KeepingTokens | Phase::Syncing | Phase::Live)
    }

    /// When the connection counts as dead.
    const fn dead_at_ms(&self) -> u64 {
        self.received_ms + self.heartbeat_ms * 5 / 2
    }

    /// When a heartbeat is due: nothing was sent, or nothing was heard and
    /// nothing asked, for one interval.
    fn heartbeat_due_ms(&self) -> u64 {
        let silent = self.sent_ms + self.heartbeat_ms;
        match self.heartbeat_sent_ms {
            Some(_) => silent,
            None => silent.min(self.received_ms + self.heartbeat_ms),
        }
    }

    /// The next moment at which the connection needs attention.
    pub(crate) fn next_deadline_ms(&self) -> Option<u64> {
        match self.phase {
            Phase::Idle | Phase::Closing => None,
            Phase::Opening | Phase::Handshake | Phase::KeepingTokens => self.deadline_ms,
            Phase::Syncing | Phase::Live => Some(self.dead_at_ms().min(self.heartbeat_due_ms())),
        }
    }
}

impl ClientCore {
    /// Connects with the tokens that are kept, or asks for credentials.
    /// Does nothing when a connection is open or on its way.
    pub fn start(&mut self, now_ms: u64) {
        self.stopped = false;
        if self.link.is_open() || self.link.phase == Phase::Opening {
            return;
        }
        if self.tokens.is_some() || self.auth.is_some() {
            self.connect(now_ms);
        } else {
            self.set_status(Status::AuthRequired);
        }
    }

    /// Closes the connection and stays offline until [`ClientCore::start`].
    pub fn stop(&mut self) {
        self.stopped = true;
        self.reconnect_at_ms = None;
        self.connect_after_close = false;
        self.close(ClientError::Closed);
        self.set_status(Status::Offline);
    }

    /// Opens a session with `credentials`; an [`Event::Reply`] with an encoded
    /// [`pb::Session`] follows.
    ///
    /// # Errors
    /// [`ClientError::Invalid`] when somebody is signed in,
    /// [`ClientError::TooManyRequests`] when another attempt is under way.
    pub fn authenticate(
        &mut self,
        now_ms: u64,
        token: RequestToken,
        credentials: Credentials,
    ) -> Result<(), ClientError> {
        if self.tokens.is_some() {
            return Err(ClientError::Invalid("somebody is signed in; log out first"));
        }
        if self.auth.is_some() || self.auth_reply.is_some() {
            return Err(ClientError::TooManyRequests);
        }
        self.stopped = false;
        self.auth = Some((token, credentials));
        self.connect(now_ms);
        Ok(())
    }

    /// Signs out: the server is told when it can be, and this device forgets
    /// the account in any case. An [`Event::Reply`] follows; an error in it
    /// means that the server may not know.
    pub fn logout(&mut self, now_ms: u64, token: RequestToken) {
        if self.link.in_session() {
            self.request_frame(now_ms, Purpose::Logout(token), Opcode::Logout, &pb::Logout {});
        } else {
            self.finish_logout(token, Err(ClientError::Offline));
        }
    }

    /// Asks the driver to open a connection. The number goes back with
    /// [`ClientCore::handle_connected`] or
    /// [`ClientCore::handle_connect_failed`].
    pub fn poll_connect(&mut self) -> Option<u64> {
        std::mem::take(&mut self.link.connect_wanted).then_some(self.link.generation)
    }

    /// Asks the driver to drop the connection, or the attempt to open one,
    /// and to call [`ClientCore::handle_closed`]. What
    /// [`ClientCore::poll_transmit`] returned before may be written first.
    pub fn poll_close(&mut self) -> bool {
        std::mem::take(&mut self.link.close_wanted)
    }

    /// The connection is open (TCP, and TLS where it is used).
    pub fn handle_connected(&mut self, now_ms: u64, generation: u64) {
        if self.link.phase != Phase::Opening || generation != self.link.generation {
            return;
        }
        self.link.phase = Phase::Handshake;
        self.link.received_ms = now_ms;
        self.link.out.extend_from_slice(&CLIENT_PREFACE);
        let access_token = match (&self.auth, &self.tokens) {
            (None, Some(tokens)) if !self.refresh_first && tokens.access_expires_ms > now_ms => {
                tokens.access_token.clone()
            }
            _ => String::new(),
        };
        let opens_session = !access_token.is_empty();
        let hello = pb::Hello {
            client: self.config.client_name(),
            device: Some(self.config.device.to_wire()),
            max_frame_bytes: 0,
            access_token,
            resume: opens_session.then(|| self.begin_sync()),
        };
        self.request_frame(now_ms, Purpose::Hello, Opcode::Hello, &hello);
        if !opens_session {
            self.send_credentials(now_ms);
        }
    }

    /// The connection could not be opened.
    pub fn handle_connect_failed(
        &mut self,
        now_ms: u64,
        generation: u64,
        error: ClientError,
        random: u64,
    ) {
        if self.link.phase == Phase::Opening && generation == self.link.generation {
            self.link.error = Some(error);
            self.handle_closed(now_ms, random);
        }
    }

    /// Bytes arrived. Whole frames are taken off the front of `buffer`.
    pub fn handle_bytes(&mut self, now_ms: u64, buffer: &mut BytesMut) {
        if !self.link.is_open() {
            buffer.clear();
            return;
        }
        self.link.received_ms = now_ms;
        if !self.link.preface_done {
            match negotiate(buffer) {
                Ok(None) => return,
                Ok(Some(_)) => {
                    buffer.advance(PREFACE_BYTES);
                    self.link.preface_done = true;
                }
                Err(WireError::BadPreface) => return self.close(ClientError::stranger(buffer)),
                Err(error) => return self.close(error.into()),
            }
        }
        while self.link.is_open() {
            match self.decoder.decode(buffer) {
                Ok(Some(frame)) => self.on_frame(now_ms, frame),
                Ok(None) => return,
                Err(error) => self.close(error.into()),
            }
        }
    }

    /// The connection ended, or was dropped because of
    /// [`ClientCore::poll_close`]. `random` is any 64 random bits.
    pub fn handle_closed(&mut self, now_ms: u64, random: u64) {
        if self.link.phase == Phase::Idle {
            return;
        }
        let link = std::mem::replace(&mut self.link, Link::new());
        self.link.generation = link.generation;
        if link.live_since_ms.is_some_and(|at| now_ms >= at + self.config.stable_after_ms) {
            self.backoff.reset();
        }
        let goodbye = link.goodbye;
        let error = match (link.error, &goodbye) {
            (Some(error), _) => error,
            (None, Some(goodbye)) => ClientError::Refused {
                code: goodbye.code,
                message: goodbye.message.clone(),
                retry_after_ms: goodbye.reconnect_after_ms,
            },
            (None, None) => ClientError::TimedOut,
        };
        self.end_requests();
        self.forget_connection();
        self.events.push_back(Event::Disconnected(error.clone()));
        if !self.connect_after_close
            && let Some((token, _)) = self.auth.take()
        {
            self.reply(token, Err(error));
            return self.set_status(Status::AuthRequired);
        }
        let ended_for_good = goodbye
            .as_ref()
            .filter(|goodbye| goodbye.reconnect_after_ms == 0 && !comes_back(goodbye.code));
        if let (Some(goodbye), true) = (ended_for_good, self.tokens.is_some()) {
            return self.on_final_goodbye(goodbye.code);
        }
        if std::mem::take(&mut self.connect_after_close) {
            self.connect(now_ms);
        } else if self.tokens.is_some() && !self.stopped {
            let hint = goodbye
                .map(|goodbye| u64::from(goodbye.reconnect_after_ms))
                .filter(|hint_ms| *hint_ms > 0);
            let delay = self.backoff.next_delay_ms(random, hint.or(link.retry_hint_ms));
            self.reconnect_at_ms = Some(now_ms + delay);
            self.set_status(Status::WaitingToReconnect { until_ms: now_ms + delay });
        }
    }

    /// The server closed and said not to come back by ourselves.
    fn on_final_goodbye(&mut self, code: u32) {
        match ErrorCode::from_number(code) {
            // The tokens are good still: the app may take the place back.
            Some(ErrorCode::Replaced) => {
                self.set_status(Status::SignedOut { reason: SignOutReason::Goodbye(code) });
            }
            Some(code) if code == ErrorCode::SignedOut || is_about_identity(code) => {
                self.sign_out(SignOutReason::Goodbye(code.number()));
            }
            _ => self.set_status(Status::Offline),
        }
        self.stopped = true;
    }

    pub(crate) fn handle_link_timeout(&mut self, now_ms: u64) {
        if self.reconnect_at_ms.is_some_and(|at| at <= now_ms) {
            self.connect(now_ms);
        }
        if self.link.next_deadline_ms().is_none_or(|at| at > now_ms) {
            return;
        }
        if !self.link.in_session() || self.link.dead_at_ms() <= now_ms {
            self.close(ClientError::TimedOut);
        } else {
            self.link.heartbeat_sent_ms = Some(now_ms);
            self.link.out.extend_from_slice(&Frame::HEARTBEAT.to_delimited());
            self.cursors_before_heartbeat.append(&mut self.cursors_unconfirmed);
        }
    }

    /// Makes the driver open a connection, once the one before is closed.
    fn connect(&mut self, now_ms: u64) {
        self.reconnect_at_ms = None;
        match self.link.phase {
            Phase::Closing => self.connect_after_close = true,
            Phase::Idle => {
                self.link.generation += 1;
                self.link.phase = Phase::Opening;
                self.link.connect_wanted = true;
                self.link.deadline_ms = Some(now_ms + self.config.handshake_timeout_ms);
            }
            _ => return,
        }
        self.set_status(Status::Connecting);
    }

    /// Makes the driver close the connection.
    pub(crate) fn close(&mut self, error: ClientError) {
        if matches!(self.link.phase, Phase::Idle | Phase::Closing) {
            return;
        }
        self.link.phase = Phase::Closing;
        self.link.connect_wanted = false;
        self.link.close_wanted = true;
        self.link.error.get_or_insert(error);
    }

    fn send_credentials(&mut self, now_ms: u64) {
        let purpose = Purpose::Authenticate;
        match &self.auth {
            Some((_, Credentials::External { id_token })) => {
                let message = pb::LoginExternal { id_token: id_token.clone() };
                self.request_frame(now_ms, purpose, Opcode::LoginExternal, &message);
            }
            Some((_, Credentials::Password { name, password })) => {
                let message = pb::Login { name: name.clone(), password: password.clone() };
                self.request_frame(now_ms, purpose, Opcode::Login, &message);
            }
            Some((_, Credentials::Register { name, password, display_name })) => {
                let message = pb::Register {
                    name: name.clone(),
                    password: password.clone(),
                    display_name: display_name.clone(),
                };
                self.request_frame(now_ms, purpose, Opcode::Register, &message);
            }
            None => {
                let Some(tokens) = &self.tokens else {
                    return self.close(ClientError::Offline);
                };
                let message = pb::Refresh { refresh_token: tokens.refresh_token.clone() };
                self.request_frame(now_ms, purpose, Opcode::Refresh, &message);
            }
        }
    }

    pub(crate) fn on_heartbeat(&mut self) {
        self.link.heartbeat_sent_ms = None;
        self.cursors_before_heartbeat.clear();
    }

    pub(crate) fn on_goodbye(&mut self, goodbye: pb::Goodbye) {
        self.link.goodbye = Some(goodbye);
        self.link.phase = Phase::Closing;
        self.link.close_wanted = true;
    }

    pub(crate) fn on_welcome(&mut self, now_ms: u64, welcome: raw::Welcome) {
        self.server_ahead_ms = welcome.server_time_ms as i64 - now_ms as i64;
        if welcome.heartbeat_ms > 0 {
            self.link.heartbeat_ms = u64::from(welcome.heartbeat_ms).max(HEARTBEAT_MIN_MS);
        }
        let Some(session) = welcome.session else {
            return;
        };
        if !self.adopt(&session) {
            return self.close(ClientError::Protocol("the session names no user".into()));
        }
        self.open_session();
        match welcome.resumed.and_then(|page| raw::SyncPage::decode(page).ok()) {
            Some(page) => self.on_sync_page(now_ms, page),
            None => self.send_sync(now_ms),
        }
    }

    pub(crate) fn on_session(&mut self, now_ms: u64, session: pb::Session, payload: bytes::Bytes) {
        let adopted = self.adopt(&session);
        let Some(tokens) = session.tokens.filter(|_| adopted) else {
            return self.close(ClientError::Protocol("the session has no user or tokens".into()));
        };
        let tokens = Tokens {
            access_token: tokens.access_token,
            access_expires_ms: tokens
                .access_expires_ms
                .saturating_add_signed(-self.server_ahead_ms),
            refresh_token: tokens.refresh_token,
            refresh_expires_ms: tokens
                .refresh_expires_ms
                .saturating_add_signed(-self.server_ahead_ms),
        };
        self.refresh_first = false;
        self.tokens = Some(tokens.clone());
        self.auth_reply = self.auth.take().map(|(token, _)| (token, payload));
        self.store(StoreOp::SetTokens(Some(tokens)));
        self.outgoing_store.durable = true;
        self.outgoing_store.keeps_tokens = true;
        self.link.phase = Phase::KeepingTokens;
        if self.store_failed() {
            self.on_tokens_kept(now_ms);
        }
    }

    /// The tokens are kept (or cannot be): the session may be used.
    pub(crate) fn on_tokens_kept(&mut self, now_ms: u64) {
        if let Some((token, payload)) = self.auth_reply.take() {
            self.reply(token, Ok(payload));
        }
        if self.link.phase == Phase::KeepingTokens {
            self.open_session();
            self.send_sync(now_ms);
        }
    }

    fn open_session(&mut self) {
        self.link.phase = Phase::Syncing;
        self.link.deadline_ms = None;
        if let Some(account) = self.account.clone() {
            self.events.push_back(Event::SignedIn(account));
        }
        self.set_status(Status::Syncing);
    }

    /// Takes over who is signed in; what another account left is forgotten.
    fn adopt(&mut self, session: &pb::Session) -> bool {
        let Some(user) = hongyan_protocol::UserId::new(session.user_id) else {
            return false;
        };
        if self.account.as_ref().is_some_and(|account| account.user != user) {
            let tokens = self.tokens.take();
            self.forget_account();
            self.tokens = tokens;
        }
        let account = Account {
            user,
            name: session.name.clone(),
            display_name: session.display_name.clone(),
        };
        if self.account.as_ref() != Some(&account) {
            self.store(StoreOp::SetAccount(account.clone()));
            self.account = Some(account);
        }
        true
    }

    /// Hello or the credentials were refused.
    pub(crate) fn on_handshake_refused(
        &mut self,
        now_ms: u64,
        purpose: &Purpose,
        error: pb::Error,
    ) {
        let code = ErrorCode::from_number(error.code);
        let hello = *purpose == Purpose::Hello;
        let retry_after_ms = u64::from(error.retry_after_ms);
        let number = error.code;
        if let Some((token, _)) = self.auth.take() {
            self.reply(token, Err(error.clone().into()));
            self.set_status(Status::AuthRequired);
            return self.close(error.into());
        }
        match code {
            Some(ErrorCode::TokenExpired | ErrorCode::TokenInvalid) if hello => {
                self.refresh_first = true;
                self.send_credentials(now_ms);
            }
            Some(code) if is_about_identity(code) => {
                self.close(error.into());
                self.sign_out(SignOutReason::Refused(number));
            }
            _ => {
                self.link.retry_hint_ms = (retry_after_ms > 0).then_some(retry_after_ms);
                self.close(error.into());
            }
        }
    }

    pub(crate) fn finish_logout(
        &mut self,
        token: RequestToken,
        result: Result<bytes::Bytes, ClientError>,
    ) {
        self.stopped = true;
        self.reconnect_at_ms = None;
        self.forget_account();
        self.close(ClientError::Closed);
        self.set_status(Status::SignedOut { reason: SignOutReason::Logout });
        self.reply(token, result);
    }

    /// The tokens are worth nothing any more. What the account holds on this
    /// device stays for the next sign-in.
    fn sign_out(&mut self, reason: SignOutReason) {
        self.tokens = None;
        self.reconnect_at_ms = None;
        self.store(StoreOp::SetTokens(None));
        self.outgoing_store.durable = true;
        self.set_status(Status::SignedOut { reason });
    }

    /// Appends a request to what goes out.
    pub(crate) fn request_frame<M: prost::Message>(
        &mut self,
        now_ms: u64,
        purpose: Purpose,
        opcode: Opcode,
        message: &M,
    ) {
        let deadline_ms = now_ms + self.config.request_timeout_ms;
        let id = self.requests.start(purpose, deadline_ms);
        encode_message(opcode, id, message, &mut self.link.out);
    }

    pub(crate) fn note_transmit(&mut self, now_ms: u64) {
        self.link.sent_ms = now_ms;
    }
}

/// Codes after which a client connects again even when the Goodbye forgot to
/// say when.
const fn comes_back(code: u32) -> bool {
    matches!(
        ErrorCode::from_number(code),
        Some(
            ErrorCode::GoingAway
                | ErrorCode::IdleTimeout
                | ErrorCode::LoginTimeout
                | ErrorCode::SlowConsumer
                | ErrorCode::TooManyConnections
        )
    )
}

/// Codes that say that these tokens will never work again.
const fn is_about_identity(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::BadCredentials
            | ErrorCode::TokenExpired
            | ErrorCode::TokenInvalid
            | ErrorCode::DeviceRevoked
            | ErrorCode::AccountDeactivated
            | ErrorCode::AccountBanned
    )
}

const HEARTBEAT_DEFAULT_MS: u64 = 30_000;
const HEARTBEAT_MIN_MS: u64 = 1_000;
