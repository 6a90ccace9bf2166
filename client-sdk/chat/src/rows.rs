//! The rows of a chat pane: messages broken into lines, separators between
//! days, marks of how far own messages got.
//!
//! Rows are made from the newest backwards and only as many as asked for, so
//! the cost follows the height of the screen, not the length of the history.
//! Nothing here knows colours.

use std::collections::VecDeque;

use hongyan_client::{Body, ClientMsgId, Message, PendingMessage, SendState, TimelineView, UserId};
use jiff::tz::TimeZone;

use crate::text;
use crate::words;

/// Which message a row belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The mark above everything.
    Beginning,
    /// An own message that the server has not stored yet.
    Pending(ClientMsgId),
    /// A stored message, by its seq.
    Stored(u64),
}

/// One row of the pane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Whose row it is.
    pub key: Key,
    /// Which of the message's rows, from 0.
    pub line: usize,
    /// What it shows.
    pub kind: RowKind,
}

/// What a row shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowKind {
    /// Above the oldest message held: what can be done about it.
    Beginning(&'static str),
    /// Another day begins.
    Day(String),
    /// A change of the group.
    Event(String),
    /// What follows had not been read when the conversation was opened.
    Fresh {
        /// So many more lie above what is held.
        above: u64,
    },
    /// Why a message was not sent.
    Reason(String),
    /// A line of a message.
    Text {
        /// Hours and minutes, on a message's first line.
        time: String,
        /// What to call the sender, on the first line of the first of several
        /// messages.
        name: String,
        /// Who sent it.
        sender: Option<UserId>,
        /// It is the user's own.
        own: bool,
        /// The line.
        text: String,
        /// On an own message's last line.
        state: Option<SendState>,
    },
}

/// What the rows are made of.
pub struct Page<'a> {
    /// The messages.
    pub view: &'a TimelineView,
    /// What to call people.
    pub name: &'a dyn Fn(UserId) -> String,
    /// The user's time zone.
    pub zone: &'a TimeZone,
    /// Cells from left to right.
    pub columns: usize,
    /// Messages after this one had not been read.
    pub fresh_after: Option<u64>,
}

/// Cells that a sender's name takes in a pane of so many columns.
pub const fn name_cells(columns: usize) -> usize {
    if columns < 45 {
        8
    } else if columns < 80 {
        10
    } else {
        14
    }
}

/// Cells in front of a message's text.
pub const fn prefix_cells(columns: usize) -> usize {
    TIME_CELLS + 1 + name_cells(columns) + 1
}

/// The last `count` rows, top to bottom; fewer when there are no more.
pub fn last_rows(page: &Page<'_>, count: usize) -> Vec<Row> {
    let mut rows = VecDeque::new();
    let view = page.view;
    let mut above = view.messages.last().map(|message| Entry::Stored(message));
    for (at, message) in view.pending.iter().enumerate().rev() {
        if rows.len() >= count {
            break;
        }
        let before = match at.checked_sub(1) {
            Some(before) => Some(Entry::Pending(&view.pending[before])),
            None => above.take(),
        };
        push_front(&mut rows, page.entry(&Entry::Pending(message), before));
    }
    for (at, message) in view.messages.iter().enumerate().rev() {
        if rows.len() >= count {
            break;
        }
        let before = at.checked_sub(1).map(|at| Entry::Stored(&view.messages[at]));
        push_front(&mut rows, page.entry(&Entry::Stored(message), before));
    }
    if rows.len() < count {
        let above = page.unread_above();
        let fresh = (above > 0).then_some(RowKind::Fresh { above });
        let top = [RowKind::Beginning(beginning(view))].into_iter().chain(fresh).enumerate();
        let top = top.map(|(line, kind)| Row { key: Key::Beginning, line, kind });
        push_front(&mut rows, top.collect());
    }
    let excess = rows.len().saturating_sub(count);
    rows.into_iter().skip(excess).collect()
}

/// How many rows lie below the row `line` of `key`; `None` when it is not
/// there.
pub fn rows_below(page: &Page<'_>, key: Key, line: usize, count_max: usize) -> Option<usize> {
    let rows = last_rows(page, count_max);
    let found = rows.iter().rev().position(|row| row.key == key && row.line == line);
    found.or_else(|| rows.iter().rev().position(|row| row.key == key))
}

fn beginning(view: &TimelineView) -> &'static str {
    if view.has_older {
        "PgUp loads older messages"
    } else if view.messages.is_empty() && view.pending.is_empty() {
        "nothing was said here yet"
    } else {
        "this is the beginning"
    }
}

fn push_front(rows: &mut VecDeque<Row>, block: Vec<Row>) {
    for row in block.into_iter().rev() {
        rows.push_front(row);
    }
}

#[derive(Clone, Copy)]
enum Entry<'a> {
    Pending(&'a PendingMessage),
    Stored(&'a Message),
}

impl<'a> Entry<'a> {
    const fn key(self) -> Key {
        match self {
            Self::Pending(message) => Key::Pending(message.client_msg_id),
            Self::Stored(message) => Key::Stored(message.seq),
        }
    }

    const fn time_ms(self) -> u64 {
        match self {
            Self::Pending(message) => message.created_ms,
            Self::Stored(message) => message.time_ms,
        }
    }

    const fn body(self) -> &'a Body {
        match self {
            Self::Pending(message) => &message.body,
            Self::Stored(message) => &message.body,
        }
    }

    const fn sender(self, me: Option<UserId>) -> Option<UserId> {
        match self {
            Self::Pending(_) => me,
            Self::Stored(message) => message.sender,
        }
    }

    fn state(self, view: &TimelineView) -> Option<SendState> {
        match self {
            Self::Pending(message) => Some(message.state.clone()),
            Self::Stored(message) => view.send_state(message),
        }
    }
}

impl Page<'_> {
    /// Messages that had not been read and are not held.
    fn unread_above(&self) -> u64 {
        let (Some(after), Some(first)) = (self.fresh_after, self.view.messages.first()) else {
            return 0;
        };
        let above = first.seq.saturating_sub(after + 1);
        if self.view.has_older { above } else { 0 }
    }

    /// The entry is the first that had not been read.
    fn begins_fresh(&self, entry: Entry<'_>, before: Option<Entry<'_>>) -> bool {
        let (Some(after), Entry::Stored(message)) = (self.fresh_after, entry) else {
            return false;
        };
        match before {
            Some(Entry::Stored(before)) => before.seq <= after && message.seq > after,
            _ => message.seq > after && self.unread_above() == 0,
        }
    }

    /// The rows of one message with the separators above it.
    fn entry(&self, entry: &Entry<'_>, before: Option<Entry<'_>>) -> Vec<Row> {
        let mut kinds = Vec::new();
        let date = words::date(entry.time_ms(), self.zone);
        let other_day = before.is_none_or(|b| words::date(b.time_ms(), self.zone) != date);
        if other_day {
            kinds.push(RowKind::Day(words::day(entry.time_ms(), self.zone)));
        }
        let fresh = self.begins_fresh(*entry, before);
        if fresh {
            kinds.push(RowKind::Fresh { above: 0 });
        }
        let me = self.view.me;
        let goes_on = !other_day
            && !fresh
            && before.is_some_and(|before| {
                before.sender(me) == entry.sender(me)
                    && !matches!(before.body(), Body::Event(_))
                    && entry.time_ms().saturating_sub(before.time_ms()) < TOGETHER_MS
            });
        match entry.body() {
            Body::Event(event) => {
                let said = words::group_event(event, self.name);
                let cells = self.columns.saturating_sub(2);
                kinds.extend(text::wrap(&said, cells).into_iter().map(RowKind::Event));
            }
            body => self.text(*entry, body, goes_on, &mut kinds),
        }
        let key = entry.key();
        let rows = kinds.into_iter().enumerate();
        rows.map(|(line, kind)| Row { key, line, kind }).collect()
    }

    fn text(&self, entry: Entry<'_>, body: &Body, goes_on: bool, kinds: &mut Vec<RowKind>) {
        let sender = entry.sender(self.view.me);
        let own = sender.is_some() && sender == self.view.me;
        let state = entry.state(self.view);
        let mark_cells = if own { MARK_CELLS } else { 0 };
        let taken = prefix_cells(self.columns) + mark_cells;
        let lines = text::wrap(&shown(body), self.columns.saturating_sub(taken).max(4));
        let last = lines.len() - 1;
        for (at, line) in lines.into_iter().enumerate() {
            let first = at == 0;
            kinds.push(RowKind::Text {
                time: if first { words::clock(entry.time_ms(), self.zone) } else { String::new() },
                name: match sender {
                    Some(_) if own && first && !goes_on => "you".into(),
                    Some(user) if first && !goes_on => (self.name)(user),
                    _ => String::new(),
                },
                sender,
                own,
                text: line,
                state: if at == last { state.clone() } else { None },
            });
        }
        if let Some(SendState::Failed { error }) = state {
            let reason =
                format!("not sent: {}. Ctrl-R: again, Ctrl-X: forget", words::explain(&error));
            let cells = self.columns.saturating_sub(prefix_cells(self.columns)).max(4);
            kinds.extend(text::wrap(&reason, cells).into_iter().map(RowKind::Reason));
        }
    }
}

/// A body as text that is safe to show.
pub fn shown(body: &Body) -> String {
    match body {
        Body::Text(said) => text::clean(said),
        Body::Opaque { content_type, data, summary } => {
            let what = text::clean_line(content_type);
            let summary = text::clean_line(summary);
            format!("[{what}, {} bytes] {summary}", data.len()).trim_end().to_owned()
        }
        Body::Event(_) => "[a change of the group]".into(),
        _ => "[a message that this version cannot show]".into(),
    }
}

const TIME_CELLS: usize = 5;
const MARK_CELLS: usize = 4;
/// Messages of one sender so close to each other bear the name once.
const TOGETHER_MS: u64 = 5 * 60 * 1_000;
