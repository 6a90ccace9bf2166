//! The open conversation: its messages, how far it is scrolled, and what
//! counts as read.
//!
//! Invariants: a row that is looked at stays where it is when messages come
//! in below or above; a message is marked read only when it was on the screen
//! with nothing scrolled and the window in front.

use std::sync::Arc;

use hongyan_client::{
    Body, ConversationId, Message, PendingMessage, SendState, TimelineView, UserId,
};

use super::{Focus, Members, Model};
use crate::io::Command;
use crate::rows::{self, Page};
use crate::text;

/// An open conversation.
#[derive(Debug, Clone)]
pub struct Chat {
    /// Which.
    pub id: ConversationId,
    /// Its messages.
    pub view: Arc<TimelineView>,
    /// Rows below the screen; zero: the newest are shown.
    pub scroll: usize,
    /// What had not been read when it was opened.
    pub unread: Option<Unread>,
    /// The newest message that was shown with nothing scrolled.
    pub shown_seq: u64,
    /// Older messages were asked for.
    pub loading_older: bool,
    marked_seq: u64,
    known: bool,
}

/// A range of messages that had not been read: those after `after`, up to
/// `until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread {
    /// The newest one that had been read.
    pub after: u64,
    /// The newest one of all.
    pub until: u64,
}

impl Unread {
    /// Who says something has read what stands above it, which is seen once
    /// it is held. None when nothing is left.
    fn narrow(self, view: &TimelineView) -> Option<Self> {
        let own = |message: &&Arc<Message>| {
            message.seq <= self.until && message.sender.is_some() && message.sender == view.me
        };
        let said = view.messages.iter().rev().find(own).map_or(0, |message| message.seq);
        let after = self.after.max(said);
        (after < self.until).then_some(Self { after, ..self })
    }
}

impl Chat {
    fn new(id: ConversationId) -> Self {
        Self {
            id,
            view: Arc::new(TimelineView::empty(id)),
            scroll: 0,
            unread: None,
            shown_seq: 0,
            loading_older: false,
            marked_seq: 0,
            known: false,
        }
    }

    /// Messages of others below what is shown.
    pub fn unseen(&self) -> usize {
        let newer = self.view.messages.iter().rev();
        let newer = newer.take_while(|message| message.seq > self.shown_seq);
        newer.filter(|message| message.sender != self.view.me).count()
    }

    /// Own messages that the server refused.
    pub fn failed(&self) -> impl Iterator<Item = &PendingMessage> {
        let pending = self.view.pending.iter();
        pending.filter(|message| matches!(message.state, SendState::Failed { .. }))
    }
}

impl Model {
    /// Opens a conversation; the keys go to its typing box.
    pub(super) fn open(&mut self, id: ConversationId, commands: &mut Vec<Command>) {
        self.selected = Some(id);
        self.focus = Focus::Chat;
        if self.open_id() == Some(id) {
            return;
        }
        let typed = self.lobby.take();
        let draft = self.draft_mut(id);
        if draft.is_empty() {
            draft.set(&typed);
        }
        self.drafts.retain(|other, draft| *other == id || !draft.is_empty());
        self.chat = Some(Chat::new(id));
        commands.push(Command::Open(id));
        if self.members.is_some() {
            self.show_members(commands);
        }
    }

    /// Shows the members of the open group, or nothing when it is no group.
    pub(super) fn show_members(&mut self, commands: &mut Vec<Command>) {
        self.members = match self.open_id() {
            Some(conversation @ ConversationId::Group(group)) => {
                commands.push(Command::ListMembers(group));
                Some(Members { conversation, members: None })
            }
            _ => None,
        };
    }

    pub(super) fn on_timeline(&mut self, view: Arc<TimelineView>, commands: &mut Vec<Command>) {
        if self.open_id() != Some(view.conversation) {
            return;
        }
        let anchor = self.anchor();
        let events = |view: &TimelineView| {
            let newest = view.messages.last();
            newest.filter(|m| matches!(m.body, Body::Event(_))).map(|m| m.seq)
        };
        let first_seq = self.state(view.conversation).map_or(1, |state| state.first_seq);
        let Some(chat) = &mut self.chat else {
            return;
        };
        let changed = events(&view).is_some() && events(&view) != events(&chat.view);
        if !chat.known && !view.messages.is_empty() {
            chat.known = true;
            // What lies below the first may not be seen.
            let after = view.read_seq.max(first_seq.saturating_sub(1));
            chat.unread = Some(Unread { after, until: view.last_seq });
        }
        chat.unread = chat.unread.and_then(|unread| unread.narrow(&view));
        chat.view = view;
        if let Some((key, line)) = anchor {
            let rows_max = chat.scroll + ANCHOR_ROWS_MAX;
            let below = self.page(|page| rows::rows_below(page, key, line, rows_max));
            if let (Some(Some(below)), Some(chat)) = (below, &mut self.chat) {
                chat.scroll = below;
            }
        }
        if changed
            && let Some(pane) = &self.members
            && let ConversationId::Group(group) = pane.conversation
        {
            commands.push(Command::ListMembers(group));
        }
    }

    /// The row at the lower edge, while something is scrolled.
    fn anchor(&self) -> Option<(rows::Key, usize)> {
        let chat = self.chat.as_ref().filter(|chat| chat.scroll > 0)?;
        let rows = self.page(|page| rows::last_rows(page, chat.scroll + 1))?;
        rows.first().map(|row| (row.key, row.line))
    }

    /// Calls `f` with the page of the open conversation.
    pub fn page<T>(&self, f: impl FnOnce(&Page<'_>) -> T) -> Option<T> {
        let chat = self.chat.as_ref()?;
        let name = |user: UserId| self.people.name(user);
        Some(f(&Page {
            view: &chat.view,
            name: &name,
            zone: &self.setup.zone,
            columns: self.geometry().chat_columns.into(),
            fresh_after: chat.unread.map(|unread| unread.after),
        }))
    }

    /// Scrolls by rows, up when `up`; asks for older messages at the top.
    pub(super) fn scroll(&mut self, rows: usize, up: bool, commands: &mut Vec<Command>) {
        let height = usize::from(self.geometry().transcript_rows);
        let Some(chat) = &self.chat else {
            return;
        };
        let wanted = if up { chat.scroll + rows } else { chat.scroll.saturating_sub(rows) };
        let held = self.page(|page| rows::last_rows(page, wanted + height).len());
        let held = held.unwrap_or(0);
        if up && held < wanted + height {
            self.load_older(commands);
        }
        if let Some(chat) = &mut self.chat {
            chat.scroll = wanted.min(held.saturating_sub(height));
        }
    }

    /// Asks for older messages, when there are any and none are on their way.
    pub(super) fn load_older(&mut self, commands: &mut Vec<Command>) {
        if let Some(chat) = &mut self.chat
            && chat.view.has_older
            && !chat.loading_older
        {
            chat.loading_older = true;
            commands.push(Command::LoadOlder(chat.id));
        }
    }

    /// Marks what is shown read.
    pub(super) fn settle_read(&mut self, commands: &mut Vec<Command>) {
        let visible = self.setup.plain || (self.focused && self.geometry().chat_columns > 0);
        let covered = self.overlay.is_some();
        let Some(chat) = &mut self.chat else {
            return;
        };
        if !visible || covered || chat.scroll > 0 {
            return;
        }
        let newest = chat.view.messages.last().map_or(0, |message| message.seq);
        chat.shown_seq = chat.shown_seq.max(newest);
        let seq = chat.view.messages.iter().rev();
        let mut seq = seq.filter(|message| message.sender != chat.view.me);
        let seq = seq.next().map_or(0, |message| message.seq);
        if seq > chat.view.read_seq.max(chat.marked_seq) {
            chat.marked_seq = seq;
            commands.push(Command::MarkRead { conversation: chat.id, seq });
        }
    }

    /// A conversation's title. Safe to show.
    pub fn title(&self, id: ConversationId) -> String {
        if let Some(group) = self.group(id) {
            return text::clean_line(&group.name);
        }
        let me = self.account.as_ref().map(|account| account.user);
        match (id, me.and_then(|me| id.peer_of(me))) {
            (_, Some(peer)) => self.people.name(peer),
            (ConversationId::Group(group), None) => format!("group {}", group.get()),
            (ConversationId::Direct(..), None) => "direct".into(),
        }
    }
}

/// Rows searched for the one that was looked at.
const ANCHOR_ROWS_MAX: usize = 4_000;
