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
//! Pure: it compares the model with what it has told. A conversation that is
//! opened is told from its timeline; what others say from then on, and what
//! they say elsewhere, is told as the events come, for a timeline starts again
//! higher up when much was missed. Invariant: the lines of one conversation
//! come in its order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use hongyan_client::{
    AckLevel, Body, ClientMsgId, ConversationId, Message, SendState, Status, TimelineView,
};

use crate::io::Input;
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
    /// Up to here each conversation was told.
    seqs: BTreeMap<ConversationId, u64>,
    /// And up to here from its timeline.
    opened: BTreeMap<ConversationId, u64>,
    /// What was written here, and how far it got.
    own: BTreeMap<ClientMsgId, &'static str>,
    /// What the user wrote on other devices.
    own_elsewhere: BTreeSet<ClientMsgId>,
    heard: VecDeque<Heard>,
    lost: u64,
    told_members: bool,
}

/// What events said and is to be told, in their order.
#[derive(Debug)]
enum Heard {
    Message { until_ms: u64, message: Arc<Message> },
    Skipped { conversation: ConversationId, from_seq: u64, to_seq: u64 },
}

impl Printer {
    /// An event came; what it says is told with the next [`Printer::lines`].
    pub fn note(&mut self, model: &Model, input: &Input) {
        match input {
            Input::EventsLost(count) => self.lost += count,
            Input::Message(message) => {
                let until_ms = model.now_ms + NAME_WAIT_MS;
                self.heard.push_back(Heard::Message { until_ms, message: Arc::clone(message) });
            }
            Input::Skipped { conversation, from_seq, to_seq } => {
                self.heard.push_back(Heard::Skipped {
                    conversation: *conversation,
                    from_seq: *from_seq,
                    to_seq: *to_seq,
                });
            }
            _ => {}
        }
    }

    /// What is new since the last call.
    pub fn lines(&mut self, model: &mut Model) -> Vec<String> {
        let mut said = Vec::new();
        self.tell_link(model, &mut said);
        self.tell_overlay(model, &mut said);
        self.tell_open(model, &mut said);
        self.tell_heard(model, &mut said);
        self.tell_lost(model, &mut said);
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
        let first_look = !self.opened.contains_key(&chat.id);
        let opened = *self.opened.entry(chat.id).or_insert(newest);
        if first_look {
            self.seqs.entry(chat.id).or_insert(newest.saturating_sub(HISTORY_MESSAGES));
            self.tell_timeline(model, view, said);
        }
        // What was written here in no time was never seen to be on its way.
        for message in view.messages.iter().filter(|message| message.seq > opened) {
            if written_by_me(model, message).is_some() {
                self.tell_message(model, message, said);
            }
        }
        self.tell_own(view, said);
    }

    /// What the timeline holds above what was told.
    fn tell_timeline(&mut self, model: &Model, view: &TimelineView, said: &mut Vec<String>) {
        let told = self.seqs.get(&view.conversation).copied().unwrap_or(0);
        for message in view.messages.iter().filter(|message| message.seq > told) {
            self.tell_message(model, message, said);
        }
        let newest = view.messages.last().map_or(0, |message| message.seq);
        self.seqs.insert(view.conversation, newest.max(told));
    }

    /// Tells a message, if it is not one of the user's that was told before.
    fn tell_message(&mut self, model: &Model, message: &Message, said: &mut Vec<String>) {
        if let Some(id) = written_by_me(model, message)
            && (self.own.contains_key(&id) || !self.own_elsewhere.insert(id))
        {
            return;
        }
        let told = told_message(model, message);
        let place = message.conversation;
        said.push(match place {
            ConversationId::Group(_) if model.open_id() != Some(place) => {
                format!("[{}] {told}", model.title(place))
            }
            _ => told,
        });
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

    /// What events said, once it is known whose it is and what everything in
    /// it is called. When too much waits for names, it is told without them.
    fn tell_heard(&mut self, model: &Model, said: &mut Vec<String>) {
        while let Some(heard) = self.heard.front() {
            if let Heard::Message { until_ms, message } = heard
                && !is_named(model, message)
                && *until_ms > model.now_ms
                && self.heard.len() <= HEARD_MAX
            {
                return;
            }
            match self.heard.pop_front() {
                Some(Heard::Message { message, .. })
                    if self.advance(message.conversation, message.seq) =>
                {
                    self.tell_message(model, &message, said);
                }
                Some(Heard::Skipped { conversation, from_seq, to_seq })
                    if self.advance(conversation, to_seq) =>
                {
                    let title = model.title(conversation);
                    said.push(format!("* not told: messages {from_seq} to {to_seq} of {title}"));
                }
                _ => {}
            }
        }
    }

    /// This program was too slow: what there is of it is in the timelines.
    fn tell_lost(&mut self, model: &Model, said: &mut Vec<String>) {
        if std::mem::take(&mut self.lost) > 0 {
            said.push("* too much happened at once: some of it is not told".into());
            if let Some(chat) = &model.chat {
                self.tell_timeline(model, &chat.view, said);
            }
        }
    }

    /// Whether `seq` was not told yet; from now on it was.
    fn advance(&mut self, conversation: ConversationId, seq: u64) -> bool {
        let told = self.seqs.entry(conversation).or_insert(0);
        let new = seq > *told;
        *told = seq.max(*told);
        new
    }
}

/// The id of a message that this user wrote, on whatever device.
fn written_by_me(model: &Model, message: &Message) -> Option<ClientMsgId> {
    let me = model.account.as_ref().map(|account| account.user);
    message.client_msg_id.filter(|_| message.sender.is_some() && message.sender == me)
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
/// So many messages wait for names at most.
const HEARD_MAX: usize = 1_000;
const NAME_WAIT_MS: u64 = 3_000;
const HISTORY_MESSAGES: u64 = 10;
const EXCERPT_CELLS: usize = 40;
