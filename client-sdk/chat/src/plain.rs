//! Tells the model in lines, for scripts and transcripts: one line per thing
//! that happened, each once.
//!
//! ```text
//! 14:03:22 * live, signed in as alice at 127.0.0.1:5100
//! 14:03:25 * chat with bob
//! 14:03:26 you: hello
//! 14:03:26   ✓ on disk: hello
//! 14:03:31 bob: hi there
//! ```
//!
//! Pure: it compares the model with what it has told. Invariant: the lines of
//! one conversation come in its order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use hongyan_client::{
    AckLevel, Body, ClientMsgId, ConversationId, Message, SendState, Status, TimelineView,
};

use crate::model::{Model, Overlay, people};
use crate::rows;
use crate::slash::COMMANDS;
use crate::text;
use crate::words;

/// What was told so far.
#[derive(Debug, Default)]
pub struct Printer {
    link: Option<String>,
    /// Why there is no connection.
    trouble: Option<String>,
    unexplained_since_ms: Option<u64>,
    notice: Option<(String, u64)>,
    open: Option<ConversationId>,
    seqs: BTreeMap<ConversationId, u64>,
    own: BTreeMap<ClientMsgId, &'static str>,
    elsewhere: VecDeque<(u64, Arc<Message>)>,
    told_members: bool,
}

impl Printer {
    /// A message arrived; it is told with the next [`Printer::lines`] unless
    /// its conversation is open.
    pub fn note_message(&mut self, model: &Model, message: &Arc<Message>) {
        if self.elsewhere.len() < ELSEWHERE_MAX {
            let until_ms = model.now_ms + NAME_WAIT_MS;
            self.elsewhere.push_back((until_ms, Arc::clone(message)));
        }
    }

    /// What is new since the last call.
    pub fn lines(&mut self, model: &mut Model) -> Vec<String> {
        let mut said = Vec::new();
        self.tell_link(model, &mut said);
        self.tell_overlay(model, &mut said);
        self.tell_open(model, &mut said);
        self.tell_elsewhere(model, &mut said);
        self.tell_notice(model, &mut said);
        let time = words::clock_seconds(model.now_ms, &model.setup.zone);
        said.into_iter().map(|line| format!("{time} {line}")).collect()
    }

    /// How the connection is, when that changed. Attempts that fail for the
    /// reason that was told already are not told.
    fn tell_link(&mut self, model: &Model, said: &mut Vec<String>) {
        let (link, trouble) = link_words(model);
        let same = self.link.as_ref() == Some(&link);
        if model.link.status == Status::Live {
            self.trouble = None;
        }
        if !matches!(model.link.status, Status::WaitingToReconnect { .. }) || trouble.is_some() {
            self.unexplained_since_ms = None;
        } else if *self.unexplained_since_ms.get_or_insert(model.now_ms) == model.now_ms {
            // The reason comes by another way and may be a moment late.
            return;
        }
        match trouble {
            Some(trouble) if self.trouble.as_ref() == Some(&trouble) => return,
            Some(trouble) => {
                said.push(format!("* {link}{}: {trouble}", when_again(model)));
                self.trouble = Some(trouble);
            }
            None if same || self.trouble.is_some() && link == CONNECTING => return,
            None => said.push(format!("* {link}{}", when_again(model))),
        }
        self.link = Some(link);
    }

    fn tell_notice(&mut self, model: &Model, said: &mut Vec<String>) {
        let notice = model.notice.as_ref();
        let key = notice.map(|notice| (notice.text.clone(), notice.until_ms));
        if key == self.notice {
            return;
        }
        if let Some(notice) = notice {
            let mark = if notice.is_error { "!" } else { "*" };
            said.push(format!("{mark} {}", notice.text));
        }
        self.notice = key;
    }

    /// Overlays are lines here; they close as soon as they are told.
    fn tell_overlay(&mut self, model: &mut Model, said: &mut Vec<String>) {
        match &model.overlay {
            Some(Overlay::Devices { devices: Some(devices), .. }) => {
                for device in devices {
                    let name = text::clean_line(&device.name);
                    let id = text::clean_line(&device.id);
                    let here = match (device.current, device.online) {
                        (true, _) => ", this one",
                        (false, true) => ", on line",
                        (false, false) => "",
                    };
                    said.push(format!("* device {id} ({name}{here})"));
                }
                model.overlay = None;
            }
            Some(Overlay::Help(_)) => {
                let help = COMMANDS.iter();
                said.extend(help.map(|(command, what)| format!("* {command}: {what}")));
                model.overlay = None;
            }
            _ => {}
        }
        let members = model.members.as_ref().and_then(|pane| pane.members.as_ref());
        if let Some(members) = members.filter(|_| !self.told_members) {
            for member in members {
                let name = model.people.name(member.user);
                said.push(format!("* member {name}, {}", words::role(member.role)));
            }
        }
        self.told_members = members.is_some();
    }

    fn tell_open(&mut self, model: &Model, said: &mut Vec<String>) {
        let Some(chat) = &model.chat else {
            self.open = None;
            return;
        };
        if self.open != Some(chat.id) {
            self.open = Some(chat.id);
            said.push(format!("* chat with {}", model.title(chat.id)));
        }
        let view = &*chat.view;
        if view.messages.is_empty() && view.pending.is_empty() {
            return;
        }
        let newest = view.messages.last().map_or(0, |message| message.seq);
        let oldest = newest.saturating_sub(HISTORY_MESSAGES);
        let told = self.seqs.entry(chat.id).or_insert(oldest);
        let from = std::mem::replace(told, newest.max(*told));
        for message in view.messages.iter().filter(|message| message.seq > from) {
            let own = message.client_msg_id;
            if !own.is_some_and(|id| self.own.contains_key(&id)) {
                said.push(told_message(model, message));
            }
        }
        self.tell_own(view, said);
    }

    /// Own messages: the text once, then how far it got.
    fn tell_own(&mut self, view: &TimelineView, said: &mut Vec<String>) {
        for message in &view.pending {
            let what = state_words(&message.state);
            let shown = rows::shown(&message.body);
            let before = self.own.insert(message.client_msg_id, what);
            if before.is_none() {
                said.push(indented(&format!("you: {shown}")));
            }
            if before != Some(what) && matches!(message.state, SendState::Failed { .. }) {
                said.push(format!("  ! {what}: {}", excerpt(&shown)));
            }
        }
        for message in &view.messages {
            let state = view.send_state(message);
            let (Some(id), Some(state)) = (message.client_msg_id, state) else {
                continue;
            };
            let what = state_words(&state);
            if let Some(before) = self.own.get_mut(&id)
                && *before != what
            {
                *before = what;
                said.push(format!("  {what}: {}", excerpt(&rows::shown(&message.body))));
            }
        }
    }

    /// Messages of other conversations, once it is known whose they are and
    /// what everything in them is called.
    fn tell_elsewhere(&mut self, model: &Model, said: &mut Vec<String>) {
        while let Some((until_ms, message)) = self.elsewhere.front() {
            if !is_named(model, message) && *until_ms > model.now_ms {
                return;
            }
            if model.open_id() != Some(message.conversation) {
                let told = self.seqs.entry(message.conversation).or_insert(0);
                if message.seq > *told {
                    *told = message.seq;
                    said.push(match message.conversation {
                        ConversationId::Direct(..) => told_message(model, message),
                        id => format!("[{}] {}", model.title(id), told_message(model, message)),
                    });
                }
            }
            self.elsewhere.pop_front();
        }
    }
}

/// The connection in words, and why there is none.
fn link_words(model: &Model) -> (String, Option<String>) {
    let login = model.login.as_ref();
    match model.link.status {
        Status::Live => {
            let name = model.account.as_ref().map(|account| account.name.as_str());
            let name = text::clean_line(name.unwrap_or("nobody"));
            (format!("live, signed in as {name} at {}", model.setup.server), None)
        }
        _ if login.is_some_and(|login| login.busy) => (CONNECTING.into(), None),
        _ if login.is_some_and(|login| login.retry_at_ms.is_some()) => {
            let message = login.and_then(|login| login.message.as_ref());
            ("not signed in, trying again".into(), message.map(|message| message.text.clone()))
        }
        Status::WaitingToReconnect { .. } => {
            ("offline, reconnecting".into(), model.link.error.as_ref().map(words::explain))
        }
        _ => (model.link_words().0, None),
    }
}

/// The seconds go down; they are told once.
fn when_again(model: &Model) -> String {
    match model.link.status {
        Status::WaitingToReconnect { until_ms } => {
            format!(" in {} s", model.seconds_until(until_ms))
        }
        _ => String::new(),
    }
}

fn is_named(model: &Model, message: &Message) -> bool {
    let place = match message.conversation {
        ConversationId::Direct(..) => true,
        id => model.group(id).is_some(),
    };
    place && people::mentioned(message).iter().all(|user| model.people.knows(*user))
}

fn told_message(model: &Model, message: &Message) -> String {
    let me = model.account.as_ref().map(|account| account.user);
    let shown = rows::shown(&message.body);
    match (&message.body, message.sender) {
        (Body::Event(event), _) => {
            let said = words::group_event(event, |user| model.people.name(user));
            format!("* {said}")
        }
        (_, Some(sender)) if Some(sender) == me => indented(&format!("you: {shown}")),
        (_, Some(sender)) => indented(&format!("{}: {shown}", model.people.name(sender))),
        (_, None) => indented(&shown),
    }
}

/// Further lines stand behind a bar, so that no text passes for an event.
fn indented(said: &str) -> String {
    said.replace('\n', "\n         | ")
}

fn excerpt(shown: &str) -> String {
    text::truncate(&shown.replace('\n', " "), EXCERPT_CELLS)
}

const fn state_words(state: &SendState) -> &'static str {
    match state {
        SendState::Sending => "… sending",
        SendState::Saved { level: AckLevel::Durable } => "✓ on disk",
        SendState::Saved { .. } => "✓ with the server",
        SendState::Delivered => "✓✓ delivered",
        SendState::Read => "✓✓✓ read",
        SendState::Failed { .. } => "not sent",
    }
}

const CONNECTING: &str = "connecting";
const ELSEWHERE_MAX: usize = 1_000;
const NAME_WAIT_MS: u64 = 3_000;
const HISTORY_MESSAGES: u64 = 10;
const EXCERPT_CELLS: usize = 40;
