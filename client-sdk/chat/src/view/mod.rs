//! Draws the model. Reads it and changes nothing; the same model gives the
//! same cells.

mod chat;
mod list;
mod login;
mod members;
mod overlay;
mod status;
pub mod theme;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use crate::model::Model;
use crate::text;

/// Draws one frame.
pub fn draw(frame: &mut Frame<'_>, model: &Model) {
    let area = frame.area();
    if area.width < COLUMNS_MIN || area.height < ROWS_MIN {
        put(frame, area, 0, "too small", Style::new());
        return;
    }
    if let Some(login) = &model.login {
        login::draw(frame, area, model, login);
    } else {
        draw_chat_screen(frame, area, model);
    }
    status::draw_bar(frame, area, model);
    if let Some(overlay) = &model.overlay {
        overlay::draw(frame, area, model, overlay);
    }
}

fn draw_chat_screen(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    let geometry = model.geometry();
    let banner = Rect { height: geometry.banner_rows, ..area };
    status::draw_banner(frame, banner, model);
    let body = Rect { y: area.y + geometry.banner_rows, height: geometry.body_rows, ..area };
    let mut left = body.x;
    let mut column = |width: u16| {
        let pane = Rect { x: left, width, ..body };
        left += width;
        pane
    };
    if geometry.list_columns > 0 {
        list::draw(frame, column(geometry.list_columns), model);
        if geometry.chat_columns > 0 {
            draw_line(frame, column(1));
        }
    }
    if geometry.chat_columns > 0 {
        let pane = column(geometry.chat_columns);
        chat::draw(frame, pane, model, &geometry);
        if let Some(members) = &model.members {
            if geometry.members_columns > 0 {
                draw_line(frame, column(1));
                members::draw(frame, column(geometry.members_columns), model, members);
            } else {
                members::draw_over(frame, pane, model, members);
            }
        }
    }
}

fn draw_line(frame: &mut Frame<'_>, area: Rect) {
    for row in 0..area.height {
        put(frame, area, row, "│", theme::FAINT);
    }
}

/// Puts text on a row of `area`, cut to its width.
fn put(frame: &mut Frame<'_>, area: Rect, row: u16, content: &str, style: Style) {
    put_spans(frame, area, row, [Span::styled(content, style)]);
}

/// Puts spans one behind the other on a row of `area`, cut to its width.
fn put_spans<'a>(
    frame: &mut Frame<'_>,
    area: Rect,
    row: u16,
    spans: impl IntoIterator<Item = Span<'a>>,
) {
    if row >= area.height {
        return;
    }
    let mut x = area.x;
    for span in spans {
        let left = usize::from(area.right().saturating_sub(x));
        let content = text::truncate(&span.content, left);
        let buffer = frame.buffer_mut();
        (x, _) = buffer.set_stringn(x, area.y + row, content, left, span.style);
    }
}

/// Gives a whole row one style.
fn fill(frame: &mut Frame<'_>, area: Rect, style: Style) {
    frame.buffer_mut().set_style(area, style);
}

const COLUMNS_MIN: u16 = 20;
const ROWS_MIN: u16 = 6;
