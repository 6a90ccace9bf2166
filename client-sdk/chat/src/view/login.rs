//! The login screen.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::Span;

use super::{put, put_spans, theme};
use crate::model::{Field, Login, Mode, Model};
use crate::text;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, model: &Model, login: &Login) {
    let width = area.width.saturating_sub(4).min(FORM_COLUMNS);
    let form = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + area.height.saturating_sub(FORM_ROWS + 1) / 3,
        width,
        height: area.height.saturating_sub(1).min(FORM_ROWS),
    };
    put(frame, form, 0, "Hongyan", theme::TITLE);
    let secure = if model.setup.tls { "TLS" } else { "not encrypted" };
    let server = format!("{} ({secure})", model.setup.server);
    put(frame, form, 1, &server, theme::FAINT);
    let profile = text::clean_line(&model.setup.profile);
    let why = if model.setup.stands_in { " (another hongyan-chat runs)" } else { "" };
    put(frame, form, 2, &format!("profile {profile}{why}"), theme::FAINT);
    let (here, there) = match login.mode {
        Mode::Login => ("Log in", "F2: make an account"),
        Mode::Register => ("Make an account", "F2: log in"),
    };
    put_spans(
        frame,
        form,
        4,
        [Span::styled(here, theme::TITLE), Span::raw("   "), Span::styled(there, theme::FAINT)],
    );
    let mut fields = vec![(Field::Name, "name"), (Field::Password, "password")];
    if login.mode == Mode::Register {
        fields.push((Field::Repeat, "again"));
    }
    for (row, (field, label)) in (6..).zip(fields) {
        draw_field(frame, form, row, login, field, label);
    }
    draw_message(frame, form, model, login);
}

fn draw_field(
    frame: &mut Frame<'_>,
    form: Rect,
    row: u16,
    login: &Login,
    field: Field,
    label: &str,
) {
    let here = login.field == field && !login.busy;
    let style = if here { Style::new() } else { theme::FAINT };
    let room = usize::from(form.width.saturating_sub(LABEL_COLUMNS + 2));
    let shown = login.shown(field);
    let (before, visible) = if here {
        let before = login.shown_before_cursor();
        let visible = text::tail(&before, room).to_owned();
        let rest = &shown[before.len()..];
        let visible_cells = text::width(&visible);
        let more = text::truncate(rest, room.saturating_sub(visible_cells));
        (visible_cells, format!("{visible}{more}"))
    } else {
        (0, text::truncate(&shown, room))
    };
    put_spans(
        frame,
        form,
        row,
        [
            Span::styled(text::fit(label, LABEL_COLUMNS.into()), style),
            Span::styled(if here { "> " } else { "  " }, theme::KEY),
            Span::raw(visible),
        ],
    );
    if here && row < form.height {
        let column = form.x + LABEL_COLUMNS + 2 + u16::try_from(before).unwrap_or(0);
        frame.set_cursor_position(Position::new(column.min(form.right()), form.y + row));
    }
}

fn draw_message(frame: &mut Frame<'_>, form: Rect, model: &Model, login: &Login) {
    let mut lines = Vec::new();
    if let Some(message) = &login.message {
        let style = if message.is_error { theme::ERROR } else { Style::new() };
        let wrapped = text::wrap(&message.text, form.width.into());
        lines.extend(wrapped.into_iter().map(|line| (line, style)));
    }
    if login.busy {
        lines.push(("one moment…".into(), theme::WAITING));
    } else if let Some(at_ms) = login.retry_at_ms {
        let seconds = model.seconds_until(at_ms);
        let again = format!("trying again in {seconds} s (Enter: now, Esc: stop)");
        let wrapped = text::wrap(&again, form.width.into());
        lines.extend(wrapped.into_iter().map(|line| (line, theme::WAITING)));
    } else {
        let keys = "Tab: next field  Enter: go on  Ctrl-Q: quit";
        let wrapped = text::wrap(keys, form.width.into());
        lines.extend(wrapped.into_iter().map(|line| (line, theme::FAINT)));
    }
    for (row, (line, style)) in (10..).zip(lines) {
        put(frame, form, row, &line, style);
    }
}

const FORM_COLUMNS: u16 = 56;
const FORM_ROWS: u16 = 17;
const LABEL_COLUMNS: u16 = 9;
