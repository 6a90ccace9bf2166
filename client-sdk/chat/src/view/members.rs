//! Who is in the group.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;
use ratatui::widgets::Clear;

use super::{put, put_spans, theme};
use crate::model::{Members, Model};
use crate::text;
use crate::words;

/// In a column of its own.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, model: &Model, pane: &Members) {
    let Some(members) = &pane.members else {
        put(frame, area, 0, " members…", theme::TITLE);
        return;
    };
    let title = format!(" {} members", members.len());
    put(frame, area, 0, &title, theme::TITLE);
    let mut members: Vec<_> = members.iter().collect();
    members.sort_by_key(|member| (member.role, model.people.name(member.user)));
    let room = usize::from(area.height.saturating_sub(1));
    let shown = if members.len() > room { room.saturating_sub(1) } else { room };
    let me = model.account.as_ref().map(|account| account.user);
    for (row, member) in (1..).zip(members.iter().take(shown)) {
        let own = me == Some(member.user);
        let name = if own { "you".into() } else { model.people.name(member.user) };
        let role = match words::role(member.role) {
            "member" => "",
            role => role,
        };
        let cells = usize::from(area.width).saturating_sub(text::width(role) + 3);
        let style = if own { theme::OWN } else { theme::name(member.user) };
        put_spans(
            frame,
            area,
            row,
            [
                Span::raw(" "),
                Span::styled(text::fit(&name, cells), style),
                Span::raw(" "),
                Span::styled(role, theme::FAINT),
            ],
        );
    }
    if members.len() > shown {
        let more = format!(" and {} more", members.len() - shown);
        put(frame, area, area.height.saturating_sub(1), &more, theme::FAINT);
    }
}

/// Over the right part of the chat pane, where there is no room beside it.
pub(super) fn draw_over(frame: &mut Frame<'_>, chat: Rect, model: &Model, pane: &Members) {
    let width = chat.width.min(OVER_COLUMNS);
    let area = Rect {
        x: chat.right() - width,
        y: chat.y + 1,
        width,
        height: chat.height.saturating_sub(3),
    };
    frame.render_widget(Clear, area);
    for row in 0..area.height {
        put(frame, area, row, "│", theme::FAINT);
    }
    let inner = Rect { x: area.x + 1, width: area.width.saturating_sub(1), ..area };
    frame.buffer_mut().set_style(inner, Style::new());
    draw(frame, inner, model, pane);
}

const OVER_COLUMNS: u16 = 26;
