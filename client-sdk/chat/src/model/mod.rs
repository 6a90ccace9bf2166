//! The state of the program and how each input changes it.
//!
//! Pure: no clock (ticks bring the time), no terminal, no client. One
//! [`Model::update`] per input returns what is to be done; nothing is done
//! here.
//!
//! ```text
//! login screen ◀──signed out, no account── chat screen
//!      └────────account, session open────────▶
//! ```
//!
//! Invariants: the login screen is shown exactly while [`Model::login`] is
//! there; at most one conversation is open; what was typed in a conversation
//! stays until it is sent.

mod acts;
mod chat;
mod devices;
mod geometry;
mod keys;
mod link;
mod login;
mod outcome;
pub mod people;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hongyan_client::{
    Account, ClientError, ConversationId, ConversationState, ErrorCode, GroupInfo, Profile,
    SignOutReason, Status,
};
use hongyan_protocol::limits::TEXT_BYTES_MAX;
use jiff::tz::TimeZone;

pub use chat::{Chat, Unread};
pub use geometry::{Geometry, NARROW_COLUMNS, composer_cells};
pub use keys::{KEYS, MARKS};
pub use link::Tone;
pub use login::{Field, Login, LoginMessage, Mode};
pub use people::People;

use crate::composer::Composer;
use crate::io::{Command, Device, Input, Member};
use crate::text;
use crate::words;

/// What does not change while the program runs.
#[derive(Debug, Clone)]
pub struct Setup {
    /// `host:port`.
    pub server: String,
    /// The connection is encrypted.
    pub tls: bool,
    /// Which local store is used.
    pub profile: String,
    /// It was taken because the profiles before it are in use.
    pub stands_in: bool,
    /// The user's time zone.
    pub zone: TimeZone,
    /// No screen: what is open counts as seen.
    pub plain: bool,
}

/// Which part of the chat screen the keys go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Focus {
    /// The typing box.
    Chat,
    /// The conversation list.
    List,
}

/// What lies over the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overlay {
    /// The account's devices; `None` until they are known.
    Devices {
        /// In the server's order.
        devices: Option<Vec<Device>>,
        /// The marked one.
        selected: usize,
    },
    /// Keys and commands, from this line on.
    Help(usize),
    /// Whom to chat with.
    NewChat(Composer),
}

/// Something said in passing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What.
    pub text: String,
    /// It is about something that went wrong.
    pub is_error: bool,
    /// It goes away at this time.
    pub until_ms: u64,
}

/// Who is in the group that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// Which group.
    pub conversation: ConversationId,
    /// Everybody, once known.
    pub members: Option<Vec<Member>>,
}

/// How the connection is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Now.
    pub status: Status,
    /// Since when it is not live, once it was.
    pub offline_since_ms: Option<u64>,
    /// Why it broke.
    pub error: Option<ClientError>,
}

/// Everything that is shown.
#[derive(Debug, Clone)]
pub struct Model {
    /// What does not change.
    pub setup: Setup,
    /// Milliseconds since 1970.
    pub now_ms: u64,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// The connection.
    pub link: Link,
    /// Who is signed in on this device.
    pub account: Option<Account>,
    /// The login screen, while it is shown.
    pub login: Option<Login>,
    /// Names and presence.
    pub people: People,
    /// The conversations, the one with the latest activity first.
    pub list: Arc<Vec<Arc<ConversationState>>>,
    /// Groups that the user wants to leave.
    leaving: BTreeSet<ConversationId>,
    /// The marked row of the list.
    pub selected: Option<ConversationId>,
    /// Where the keys go.
    pub focus: Focus,
    /// The open conversation.
    pub chat: Option<Chat>,
    /// What is being typed, by conversation.
    pub drafts: BTreeMap<ConversationId, Composer>,
    /// The typing box while no conversation is open: for commands.
    pub lobby: Composer,
    /// What lies on top.
    pub overlay: Option<Overlay>,
    /// The members pane, while it is shown.
    pub members: Option<Members>,
    /// Something said in passing.
    pub notice: Option<Notice>,
    /// The terminal's window is in front.
    pub focused: bool,
    /// The program is to end.
    pub quitting: bool,
}

impl Model {
    /// The state before anything happened.
    pub fn new(setup: Setup, account: Option<Account>, now_ms: u64) -> Self {
        let login = account.is_none().then(Login::default);
        Self {
            setup,
            now_ms,
            size: (80, 24),
            link: Link { status: Status::Connecting, offline_since_ms: None, error: None },
            account,
            login,
            people: People::default(),
            list: Arc::new(Vec::new()),
            leaving: BTreeSet::new(),
            selected: None,
            focus: Focus::List,
            chat: None,
            drafts: BTreeMap::new(),
            lobby: Composer::new(TEXT_BYTES_MAX),
            overlay: None,
            members: None,
            notice: None,
            focused: true,
            quitting: false,
        }
    }

    /// Takes an input in; what is to be done comes back, in order.
    pub fn update(&mut self, input: Input) -> Vec<Command> {
        let mut commands = Vec::new();
        match input {
            Input::Account(account) => self.note_account(account),
            Input::Conversations(list) => self.on_conversations(list),
            Input::Disconnected(error) => {
                if error != ClientError::Closed {
                    self.link.error = Some(error);
                }
            }
            Input::Done(outcome) => self.on_outcome(outcome, &mut commands),
            // What is shown is in the timelines, which are never dropped.
            Input::EventsLost(_) | Input::Skipped { .. } => {}
            Input::Focus(focused) => self.focused = focused,
            Input::Key(key) => self.on_key(key, &mut commands),
            Input::Line(line) => self.on_line(&line, &mut commands),
            Input::Message(message) => {
                let own = message.sender == self.account.as_ref().map(|account| account.user);
                let seen = self.focused && self.open_id() == Some(message.conversation);
                if !own && !seen && !self.setup.plain {
                    commands.push(Command::Bell);
                }
            }
            Input::Paste(text) => self.on_paste(&text),
            Input::Presence(presences) => self.people.note_presence(presences),
            Input::Resize { columns, rows } => self.size = (columns, rows),
            Input::Status(status) => self.on_status(status),
            Input::StorageFailed(error) => {
                self.complain(format!("not kept on this device: {}", words::explain(&error)));
            }
            Input::Tick(now_ms) => self.on_tick(now_ms, &mut commands),
            Input::Timeline(view) => self.on_timeline(view, &mut commands),
        }
        self.settle(&mut commands);
        commands
    }

    /// The open conversation's id.
    pub fn open_id(&self) -> Option<ConversationId> {
        self.chat.as_ref().map(|chat| chat.id)
    }

    /// A conversation as the list has it.
    pub fn state(&self, id: ConversationId) -> Option<&Arc<ConversationState>> {
        self.list.iter().find(|state| state.id == id)
    }

    /// The rows of the list: the open conversation comes first when the
    /// list does not have it yet. A group that the user is no longer in has
    /// none, once it is not open any more.
    pub fn entries(&self) -> Vec<ConversationId> {
        let open = self.open_id();
        let new = open.filter(|id| self.state(*id).is_none());
        let listed = self.list.iter().filter(|state| !state.gone || open == Some(state.id));
        new.into_iter().chain(listed.map(|state| state.id)).collect()
    }

    /// Messages wait to be sent, those that were refused not counted.
    pub fn is_sending(&self) -> bool {
        let waiting: usize = self.list.iter().map(|state| state.pending).sum();
        let refused = self.chat.as_ref().map_or(0, |chat| chat.failed().count());
        waiting > refused
    }

    /// Why signing in came to its end, when nothing more is tried by itself.
    pub fn login_objection(&self) -> Option<&str> {
        let login = self.login.as_ref()?;
        if login.busy || login.retry_at_ms.is_some() {
            return None;
        }
        let message = login.message.as_ref();
        Some(message.map_or("nobody is signed in", |message| &message.text))
    }

    /// The typing box that is shown.
    pub fn composer(&self) -> &Composer {
        self.open_id().and_then(|id| self.drafts.get(&id)).unwrap_or(&self.lobby)
    }

    fn composer_mut(&mut self) -> &mut Composer {
        match self.open_id() {
            Some(id) => self.draft_mut(id),
            None => &mut self.lobby,
        }
    }

    fn draft_mut(&mut self, id: ConversationId) -> &mut Composer {
        let drafts = self.drafts.entry(id);
        drafts.or_insert_with(|| Composer::new(TEXT_BYTES_MAX))
    }

    /// A group, as far as it is known.
    pub fn group(&self, id: ConversationId) -> Option<&GroupInfo> {
        self.state(id).and_then(|state| state.group.as_ref())
    }

    /// Whether the user is no longer in this group.
    pub fn is_gone(&self, id: ConversationId) -> bool {
        self.state(id).is_some_and(|state| state.gone)
    }

    /// Says which profile was taken, when it is not the one to expect.
    pub fn say_profile(&mut self) {
        if self.setup.stands_in {
            let profile = text::clean_line(&self.setup.profile);
            self.say(format!("another hongyan-chat runs: this one uses the profile \"{profile}\""));
        }
    }

    /// Says something in passing.
    fn say(&mut self, text: impl Into<String>) {
        self.notice =
            Some(Notice { text: text.into(), is_error: false, until_ms: self.now_ms + NOTICE_MS });
    }

    /// Says that something went wrong.
    fn complain(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice {
            text: text.into(),
            is_error: true,
            until_ms: self.now_ms + COMPLAINT_MS,
        });
    }

    /// Who is remembered on this device. That a session is open is said by
    /// the status: an account can be remembered without one.
    fn note_account(&mut self, account: Option<Account>) {
        if let Some(account) = &account {
            self.people.note_profile(Profile {
                user: account.user,
                name: account.name.clone(),
                display_name: account.display_name.clone(),
            });
        }
        self.account = account;
    }

    fn on_conversations(&mut self, list: Arc<Vec<Arc<ConversationState>>>) {
        for state in list.iter() {
            if let Some(peer) = &state.peer {
                self.people.note_profile(peer.clone());
            }
        }
        let before = std::mem::replace(&mut self.list, list);
        self.tell_gone(&before);
        let entries = self.entries();
        if self.selected.is_none_or(|id| !entries.contains(&id)) {
            self.selected = self.open_id().or_else(|| entries.first().copied());
        }
    }

    /// Says which groups the user is out of, but for those left by the user.
    fn tell_gone(&mut self, before: &[Arc<ConversationState>]) {
        let was_in = before.iter().filter(|state| !state.gone).map(|state| state.id);
        let gone: Vec<_> = was_in.filter(|id| self.is_gone(*id)).collect();
        for id in gone {
            if !self.leaving.remove(&id) {
                self.say(format!("you are no longer in {}", self.title(id)));
            }
        }
    }

    fn on_status(&mut self, status: Status) {
        self.link.status = status;
        match status {
            Status::Syncing => self.link.offline_since_ms = None,
            Status::Live => {
                self.link.offline_since_ms = None;
                self.link.error = None;
                self.people.forget_unanswered();
                if self.account.is_some() {
                    self.login = None;
                }
            }
            Status::AuthRequired => self.sign_in_again(None),
            Status::SignedOut { reason } if !self.was_replaced() => {
                let quiet = reason == SignOutReason::Logout;
                self.sign_in_again(Some((words::signed_out(reason), !quiet)));
            }
            Status::WaitingToReconnect { .. } | Status::Offline | Status::SignedOut { .. } => {
                self.link.offline_since_ms.get_or_insert(self.now_ms);
            }
            _ => {}
        }
    }

    /// Another device took this one's place; it can be taken back.
    pub fn was_replaced(&self) -> bool {
        let replaced = ErrorCode::Replaced.number();
        self.link.status == Status::SignedOut { reason: SignOutReason::Goodbye(replaced) }
    }

    /// Back to the login screen; nothing of the account stays on the screen.
    fn sign_in_again(&mut self, message: Option<(String, bool)>) {
        let mut login = self.login.take().unwrap_or_default();
        if let Some((text, is_error)) = message {
            login.message = Some(LoginMessage { text, is_error });
        }
        let (setup, size) = (self.setup.clone(), self.size);
        *self = Self {
            size,
            link: self.link.clone(),
            focused: self.focused,
            login: Some(login),
            ..Self::new(setup, None, self.now_ms)
        };
        self.link.offline_since_ms = None;
    }

    fn on_tick(&mut self, now_ms: u64, commands: &mut Vec<Command>) {
        self.now_ms = now_ms;
        if self.notice.as_ref().is_some_and(|notice| notice.until_ms <= now_ms) {
            self.notice = None;
        }
        if let Some(login) = &mut self.login {
            login.on_tick(now_ms, commands);
        }
    }

    /// What follows from the state, whatever led to it.
    fn settle(&mut self, commands: &mut Vec<Command>) {
        if self.account.is_none() || self.login.is_some() {
            return;
        }
        self.settle_read(commands);
        let live = self.link.status == Status::Live;
        let view = self.chat.as_ref().map(|chat| &*chat.view);
        let members = self.members.as_ref().and_then(|pane| pane.members.as_deref());
        let me = self.account.as_ref().map(|account| account.user);
        self.people.settle(live, me, &self.list, view, members, commands);
    }
}

const NOTICE_MS: u64 = 5_000;
const COMPLAINT_MS: u64 = 12_000;
