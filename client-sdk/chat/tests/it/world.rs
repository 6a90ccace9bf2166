//! A model in a known state, and short ways to feed and look at it.

use std::sync::Arc;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use hongyan_chat::io::{Command, Input, Outcome};
use hongyan_chat::model::{Model, Setup};
use hongyan_chat::view;
use hongyan_client::pb;
use hongyan_client::{
    Account, Body, ClientMsgId, ConversationId, ConversationState, GroupId, GroupInfo, Message,
    PendingMessage, Presence, Profile, SendState, Status, TimelineView, UserId,
};
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;

/// Sunday, 22 November 2026, 10:00 UTC.
pub(crate) const NOW_MS: u64 = 1_795_341_600_000;
pub(crate) const MINUTE_MS: u64 = 60_000;
pub(crate) const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

pub(crate) fn user(id: u64) -> UserId {
    UserId::new(id).expect("not zero")
}

pub(crate) fn me() -> UserId {
    user(1)
}

pub(crate) fn direct(peer: u64) -> ConversationId {
    ConversationId::direct(me(), user(peer)).expect("another person")
}

pub(crate) fn group() -> ConversationId {
    ConversationId::Group(GroupId::new(77).expect("not zero"))
}

pub(crate) fn profile(id: u64, name: &str) -> Profile {
    Profile { user: user(id), name: name.into(), display_name: String::new() }
}

pub(crate) fn said(id: ConversationId, seq: u64, sender: u64, text: &str) -> Message {
    Message {
        conversation: id,
        seq,
        message_id: seq,
        sender: UserId::new(sender),
        time_ms: NOW_MS - 10 * MINUTE_MS + seq * MINUTE_MS,
        client_msg_id: Some(ClientMsgId::new([seq as u8; 16])),
        body: Body::from(text),
        newer_body: None,
    }
}

pub(crate) fn pending(number: u8, text: &str, state: SendState) -> PendingMessage {
    PendingMessage {
        client_msg_id: ClientMsgId::new([number; 16]),
        body: Body::from(text),
        created_ms: NOW_MS,
        state,
    }
}

pub(crate) fn state(id: ConversationId) -> ConversationState {
    ConversationState {
        id,
        last_seq: 0,
        delivered_seq: 0,
        read_seq: 0,
        unread: 0,
        first_seq: 1,
        last_message: None,
        peer: None,
        peer_delivered_seq: 0,
        peer_read_seq: 0,
        group: None,
        gone: false,
        activity_ms: NOW_MS,
        pending: 0,
    }
}

pub(crate) fn group_state(name: &str) -> ConversationState {
    let ConversationId::Group(id) = group() else {
        unreachable!("the group is a group");
    };
    ConversationState {
        group: Some(GroupInfo {
            id,
            name: name.into(),
            member_count: 3,
            history_visible: true,
            role: pb::Role::Owner,
            created_ms: NOW_MS,
            dissolved: false,
        }),
        ..state(group())
    }
}

pub(crate) fn view(id: ConversationId, messages: Vec<Message>) -> TimelineView {
    let last_seq = messages.last().map_or(0, |message| message.seq);
    TimelineView {
        messages: messages.into_iter().map(Arc::new).collect(),
        last_seq,
        me: Some(me()),
        ..TimelineView::empty(id)
    }
}

/// A model and what it asked for.
pub(crate) struct World {
    pub(crate) model: Model,
    pub(crate) asked: Vec<Command>,
}

impl World {
    /// Before anybody is signed in.
    pub(crate) fn signed_out(plain: bool) -> Self {
        let setup = Setup {
            server: "127.0.0.1:5100".into(),
            tls: false,
            profile: "default".into(),
            stands_in: false,
            zone: TimeZone::UTC,
            plain,
        };
        let mut world = Self { model: Model::new(setup, None, NOW_MS), asked: Vec::new() };
        world.put(Input::Status(Status::AuthRequired));
        world.take();
        world
    }

    /// Alice, live, who knows bob (2) and carol (3) and is in a group.
    pub(crate) fn live(plain: bool) -> Self {
        let mut world = Self::signed_out(plain);
        let account = Account { user: me(), name: "alice".into(), display_name: "alice".into() };
        world.put(Input::Account(Some(account.clone())));
        world.put(Input::Done(Outcome::Authenticated(Ok(account))));
        world.put(Input::Status(Status::Live));
        let bob = ConversationState {
            peer: Some(profile(2, "bob")),
            unread: 2,
            last_seq: 3,
            last_message: Some(Arc::new(said(direct(2), 3, 2, "see you at six 👍"))),
            ..state(direct(2))
        };
        let carol = ConversationState {
            peer: Some(profile(3, "王小明")),
            last_seq: 1,
            last_message: Some(Arc::new(said(direct(3), 1, 3, "你好，今天一起吃饭吗？"))),
            activity_ms: NOW_MS - 2 * DAY_MS,
            ..state(direct(3))
        };
        let list = vec![bob, carol, group_state("weekend")];
        world.put(Input::Conversations(Arc::new(list.into_iter().map(Arc::new).collect())));
        world.put(Input::Presence(vec![Presence { user: user(2), online: true, last_seen_ms: 0 }]));
        world.take();
        world
    }

    /// Opens a conversation with these messages.
    pub(crate) fn open(&mut self, id: ConversationId, view: TimelineView) {
        self.put(Input::Done(Outcome::Started { conversation: id, peer: None }));
        self.put(Input::Timeline(Arc::new(view)));
    }

    pub(crate) fn put(&mut self, input: Input) {
        self.asked.extend(self.model.update(input));
    }

    pub(crate) fn key(&mut self, code: KeyCode) {
        self.put(Input::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    }

    pub(crate) fn key_with(&mut self, code: KeyCode, modifiers: KeyModifiers) {
        self.put(Input::Key(KeyEvent::new(code, modifiers)));
    }

    pub(crate) fn type_text(&mut self, text: &str) {
        for c in text.chars() {
            self.key(KeyCode::Char(c));
        }
    }

    /// What was asked for since the last call.
    pub(crate) fn take(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.asked)
    }

    pub(crate) fn draw(&mut self, columns: u16, rows: u16) -> Buffer {
        self.put(Input::Resize { columns, rows });
        let mut terminal =
            Terminal::new(TestBackend::new(columns, rows)).expect("a buffer cannot fail");
        terminal.draw(|frame| view::draw(frame, &self.model)).expect("a buffer cannot fail");
        terminal.backend().buffer().clone()
    }
}

/// The rows of a screen as text, without the blanks at their ends.
pub(crate) fn lines(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width);
    let rows = buffer.content.chunks(width);
    rows.map(|cells| {
        let mut line = String::new();
        let mut covered = 0;
        for cell in cells {
            // A wide character covers the cell behind it.
            if covered > 0 {
                covered -= 1;
                continue;
            }
            covered = hongyan_chat::text::width(cell.symbol()).saturating_sub(1);
            line.push_str(cell.symbol());
        }
        line.trim_end().to_owned()
    })
    .collect()
}
