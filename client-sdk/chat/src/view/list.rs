//! The conversation list: two rows each, with presence, time, the last words
//! and how many were not read.

use hongyan_client::{Body, ConversationId, Message};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::{fill, put, put_spans, theme};
use crate::model::{Focus, Model};
use crate::rows;
use crate::text;
use crate::words;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let entries = model.entries();
    if entries.is_empty() {
        let hint = "No conversations yet. Ctrl-N or /chat NAME begins one; F1 shows the rest.";
        let lines = text::wrap(hint, usize::from(area.width.saturating_sub(2)));
        for (row, line) in (1..).zip(lines) {
            put(frame, area, row, &format!(" {line}"), theme::FAINT);
        }
        return;
    }
    let shown = usize::from(area.height / ENTRY_ROWS).max(1);
    let marked = entries.iter().position(|id| Some(*id) == model.selected);
    let first = marked.unwrap_or(0).saturating_sub(shown - 1);
    for (at, id) in entries.into_iter().skip(first).take(shown).enumerate() {
        let y = area.y + at as u16 * ENTRY_ROWS;
        let cell = Rect { y, height: ENTRY_ROWS.min(area.bottom() - y), ..area };
        draw_entry(frame, cell, model, id);
    }
}

fn draw_entry(frame: &mut Frame<'_>, area: Rect, model: &Model, id: ConversationId) {
    let state = model.state(id);
    let columns = usize::from(area.width);
    let time = state.map_or_else(String::new, |state| {
        words::when(state.activity_ms, model.now_ms, &model.setup.zone)
    });
    let (dot, dot_style) = dot(model, id);
    let open = model.open_id() == Some(id);
    let title_style = if open { theme::OPEN } else { Style::new() };
    let room = columns.saturating_sub(text::width(&time) + 4);
    put_spans(
        frame,
        area,
        0,
        [
            Span::raw(if open { "▌" } else { " " }),
            Span::styled(dot, dot_style),
            Span::styled(text::fit(&model.title(id), room), title_style),
            Span::raw(" "),
            Span::styled(time, theme::FAINT),
        ],
    );
    let badge = match state.map_or(0, |state| state.unread) {
        0 => String::new(),
        unread @ 1..=999 => format!(" {unread} "),
        _ => " 999+ ".into(),
    };
    let last = last_words(model, id);
    let room = columns.saturating_sub(text::width(&badge) + 4);
    put_spans(
        frame,
        area,
        1,
        [
            Span::raw(if open { "▌  " } else { "   " }),
            Span::styled(text::fit(&last, room), theme::FAINT),
            Span::styled(badge, theme::BADGE),
        ],
    );
    if model.selected == Some(id) && model.focus == Focus::List {
        fill(frame, area, theme::MARKED);
    }
}

fn dot(model: &Model, id: ConversationId) -> (&'static str, Style) {
    let me = model.account.as_ref().map(|account| account.user);
    match me.and_then(|me| id.peer_of(me)) {
        None => ("# ", theme::FAINT),
        Some(peer) if model.presence(peer).is_some_and(|p| p.online) => ("● ", theme::GOOD),
        Some(_) => ("○ ", theme::FAINT),
    }
}

/// The draft, or the last thing said.
fn last_words(model: &Model, id: ConversationId) -> String {
    let draft = model.drafts.get(&id).filter(|draft| !draft.is_empty());
    if let Some(draft) = draft.filter(|_| model.open_id() != Some(id)) {
        return format!("draft: {}", text::clean_line(draft.text()));
    }
    let Some(state) = model.state(id) else {
        return String::new();
    };
    if state.gone {
        return "no longer a member".into();
    }
    match &state.last_message {
        Some(message) => line(model, message),
        None if state.pending > 0 => "sending…".into(),
        None => String::new(),
    }
}

fn line(model: &Model, message: &Message) -> String {
    let me = model.account.as_ref().map(|account| account.user);
    if let Body::Event(event) = &message.body {
        return words::group_event(event, |user| model.people.name(user));
    }
    let said = text::clean_line(&rows::shown(&message.body));
    match message.sender {
        Some(sender) if Some(sender) == me => format!("you: {said}"),
        Some(sender) if matches!(message.conversation, ConversationId::Group(_)) => {
            format!("{}: {said}", model.people.name(sender))
        }
        _ => said,
    }
}

const ENTRY_ROWS: u16 = 2;
