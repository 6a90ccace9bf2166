//! The status bar at the bottom and the banner of a lost connection at the
//! top.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::{fill, put, put_spans, theme};
use crate::model::{Model, Tone};
use crate::text;

/// `screen` is everything: a long notice takes rows above the bar.
pub(super) fn draw_bar(frame: &mut Frame<'_>, screen: Rect, model: &Model) {
    let area = Rect { y: screen.bottom() - 1, height: 1, ..screen };
    fill(frame, area, theme::BAR);
    let (words, tone) = model.link_words();
    let dot = if tone == Tone::Good { "●" } else { "○" };
    let (left, left_style) = match &model.notice {
        Some(notice) if notice.is_error => (notice.text.clone(), theme::ERROR),
        Some(notice) => (notice.text.clone(), theme::GOOD),
        None => (whose(model), Style::new()),
    };
    let taken = text::width(&words) + text::width(HELP) + 6;
    let room = usize::from(area.width).saturating_sub(taken);
    if model.notice.is_some() && text::width(&left) > room {
        return draw_notice(frame, screen, &left, left_style);
    }
    put_spans(
        frame,
        area,
        0,
        [
            Span::styled(format!(" {dot} "), theme::BAR.patch(theme::tone(tone))),
            Span::styled(words, theme::BAR),
            Span::styled("  ", theme::BAR),
            Span::styled(text::fit(&left, room), theme::BAR.patch(left_style)),
            Span::styled(format!(" {HELP}"), theme::BAR),
        ],
    );
}

/// A notice that needs all of the bar, and perhaps rows above it. It goes
/// away by itself.
fn draw_notice(frame: &mut Frame<'_>, screen: Rect, notice: &str, style: Style) {
    let cells = usize::from(screen.width.saturating_sub(2));
    let lines = text::wrap(notice, cells);
    let height = lines.len().min(NOTICE_ROWS_MAX);
    let area = Rect { y: screen.bottom() - height as u16, height: height as u16, ..screen };
    fill(frame, area, theme::BAR);
    for (row, line) in (0..area.height).zip(lines) {
        let line = format!(" {} ", text::fit(&line, cells));
        put(frame, area, row, &line, theme::BAR.patch(style));
    }
}

fn whose(model: &Model) -> String {
    let server = &model.setup.server;
    let mut whose = match &model.account {
        Some(account) => format!("{} at {server}", text::clean_line(&account.name)),
        None => server.clone(),
    };
    if model.setup.stands_in {
        whose.push_str(&format!(", profile {}", text::clean_line(&model.setup.profile)));
    }
    whose
}

pub(super) fn draw_banner(frame: &mut Frame<'_>, area: Rect, model: &Model) {
    if let Some(banner) = model.banner().filter(|_| area.height > 0) {
        fill(frame, area, theme::BANNER);
        put(frame, area, 0, &format!(" {banner}"), theme::BANNER);
    }
}

const HELP: &str = "F1 help ";
const NOTICE_ROWS_MAX: usize = 4;
