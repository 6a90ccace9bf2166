//! The chat pane: title, messages, typing box.

use hongyan_client::{ConversationId, UserId};
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::Span;

use super::{put, put_spans, theme};
use crate::model::{Chat, Focus, Geometry, Model, composer_cells};
use crate::rows::{self, Row, RowKind};
use crate::text;
use crate::words;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, model: &Model, geometry: &Geometry) {
    let transcript = Rect { y: area.y + 1, height: geometry.transcript_rows, ..area };
    match &model.chat {
        Some(chat) => {
            draw_title(frame, area, model, chat.id);
            draw_transcript(frame, transcript, model, chat);
        }
        None => {
            let hint = "Open a conversation: Enter in the list, or /chat NAME.";
            let lines = text::wrap(hint, usize::from(area.width.saturating_sub(2)));
            for (row, line) in (0..).zip(lines) {
                put(frame, transcript, row, &format!(" {line}"), theme::FAINT);
            }
        }
    }
    let rule = "─".repeat(area.width.into());
    put(frame, area, 1 + geometry.transcript_rows, &rule, theme::FAINT);
    let composer =
        Rect { y: area.y + 2 + geometry.transcript_rows, height: geometry.composer_rows, ..area };
    draw_composer(frame, composer, model);
}

fn draw_title(frame: &mut Frame<'_>, area: Rect, model: &Model, id: ConversationId) {
    let about = about(model, id);
    let title = model.title(id);
    put_spans(
        frame,
        area,
        0,
        [
            Span::raw(" "),
            Span::styled(title, theme::TITLE),
            Span::raw("  "),
            Span::styled(about, theme::FAINT),
        ],
    );
}

/// What stands beside the title.
fn about(model: &Model, id: ConversationId) -> String {
    let state = model.state(id);
    if let Some(group) = model.group(id) {
        let ended = if group.dissolved { ", dissolved" } else { "" };
        let gone = match state.is_some_and(|state| state.gone) && !group.dissolved {
            true => ", you are no longer in it",
            false => "",
        };
        let role = words::role(group.role as u32);
        return format!("{} members, you are {role}{ended}{gone}", group.member_count);
    }
    let me = model.account.as_ref().map(|account| account.user);
    let peer: Option<UserId> = me.and_then(|me| id.peer_of(me));
    match peer.and_then(|peer| model.presence(peer)) {
        Some(presence) if presence.online => "on line".into(),
        Some(presence) if presence.last_seen_ms > 0 => {
            let zone = &model.setup.zone;
            let when = words::when(presence.last_seen_ms, model.now_ms, zone);
            format!("last seen {when}")
        }
        _ => String::new(),
    }
}

fn draw_transcript(frame: &mut Frame<'_>, area: Rect, model: &Model, chat: &Chat) {
    let height = usize::from(area.height);
    let rows = model.page(|page| rows::last_rows(page, chat.scroll + height));
    let mut rows = rows.unwrap_or_default();
    rows.truncate(rows.len().saturating_sub(chat.scroll));
    // Few messages stand at the bottom, where the typing box is.
    let offset = height.saturating_sub(rows.len());
    for (at, row) in rows.iter().enumerate() {
        draw_row(frame, area, (offset + at) as u16, row);
    }
    let note = if chat.scroll > 0 {
        match chat.unseen() {
            0 => format!(" ↓ {} rows below (Ctrl-End) ", chat.scroll),
            1 => " ↓ 1 new message (Ctrl-End) ".into(),
            unseen => format!(" ↓ {unseen} new messages (Ctrl-End) "),
        }
    } else if chat.view.catching_up {
        " newer messages are on their way ".into()
    } else {
        return;
    };
    let cells = text::width(&note).min(area.width.into()) as u16;
    let right = Rect { x: area.right() - cells, width: cells, ..area };
    put(frame, right, area.height - 1, &note, theme::BADGE);
}

fn draw_row(frame: &mut Frame<'_>, area: Rect, at: u16, row: &Row) {
    let columns = usize::from(area.width);
    let indent = " ".repeat(rows::prefix_cells(columns));
    let fresh = match &row.kind {
        RowKind::Fresh { above } if *above > 0 => format!("new, {above} more unread above"),
        _ => "new".into(),
    };
    let across = match &row.kind {
        RowKind::Beginning(what) => Some((*what, ' ', theme::FAINT)),
        RowKind::Day(day) => Some((day.as_str(), '─', theme::FAINT)),
        RowKind::Event(said) => Some((said.as_str(), ' ', theme::FAINT)),
        RowKind::Fresh { .. } => Some((fresh.as_str(), '─', theme::WAITING)),
        RowKind::Reason(_) | RowKind::Text { .. } => None,
    };
    if let Some((what, with, style)) = across {
        put(frame, area, at, &centred(what, columns, with), style);
    }
    match &row.kind {
        RowKind::Reason(why) => {
            put(frame, area, at, &format!("{indent}{why}"), theme::ERROR);
        }
        RowKind::Text { time, name, sender, own, text: said, state } => {
            let name_style = match sender {
                _ if *own => theme::OWN,
                Some(user) => theme::name(*user),
                None => theme::FAINT,
            };
            let (mark, mark_style) = state.as_ref().map_or(("", Style::new()), theme::mark);
            put_spans(
                frame,
                area,
                at,
                [
                    Span::styled(text::fit(time, 5), theme::FAINT),
                    Span::raw(" "),
                    Span::styled(text::fit_right(name, rows::name_cells(columns)), name_style),
                    Span::raw(" "),
                    Span::raw(said.as_str()),
                    Span::styled(mark, mark_style),
                ],
            );
        }
        _ => {}
    }
}

fn centred(what: &str, columns: usize, with: char) -> String {
    let framed = format!(" {} ", text::truncate(what, columns.saturating_sub(2)));
    let rest = columns.saturating_sub(text::width(&framed));
    let side = |cells: usize| with.to_string().repeat(cells);
    format!("{}{framed}{}", side(rest / 2), side(rest - rest / 2))
}

fn draw_composer(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let layout = model.composer().layout(composer_cells(area.width));
    let height = usize::from(area.height.max(1));
    let first = (layout.row + 1).saturating_sub(height);
    let active = model.focus == Focus::Chat && model.overlay.is_none();
    for (row, line) in (0..area.height).zip(&layout.lines[first..]) {
        let prompt = if first + usize::from(row) == 0 { "> " } else { "  " };
        let style = if active { theme::KEY } else { theme::FAINT };
        put_spans(frame, area, row, [Span::styled(prompt, style), Span::raw(line.as_str())]);
    }
    if active {
        let x = area.x + 2 + layout.column as u16;
        let y = area.y + (layout.row - first) as u16;
        frame.set_cursor_position(Position::new(x.min(area.right().saturating_sub(1)), y));
    }
}
