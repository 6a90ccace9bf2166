//! What lies over the screen: help, devices, whom to chat with.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use ratatui::text::Span;
use ratatui::widgets::{Block, Clear};

use super::{fill, put, put_spans, theme};
use crate::composer::Composer;
use crate::io::Device;
use crate::model::{KEYS, MARKS, Model, Overlay};
use crate::slash::COMMANDS;
use crate::text;
use crate::words;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, model: &Model, overlay: &Overlay) {
    match overlay {
        Overlay::Devices { devices, selected } => {
            let rows = devices.as_ref().map_or(1, Vec::len) as u16 + 2;
            let inner = open(frame, area, 64, rows, " devices ");
            draw_devices(frame, inner, model, devices.as_deref(), *selected);
        }
        Overlay::Help(from) => {
            let inner = open(frame, area, 76, area.height, " help ");
            draw_help(frame, inner, *from);
        }
        Overlay::NewChat(composer) => {
            let inner = open(frame, area, 44, 3, " chat with ");
            draw_prompt(frame, inner, composer);
        }
    }
}

/// A frame in the middle; returns what is inside it.
fn open(frame: &mut Frame<'_>, area: Rect, columns: u16, rows: u16, title: &str) -> Rect {
    let width = (columns + 2).min(area.width);
    let height = (rows + 2).min(area.height.saturating_sub(1));
    let place = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - 1 - height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, place);
    let block = Block::bordered().title(title);
    let inner = block.inner(place);
    frame.render_widget(block.border_style(theme::FAINT), place);
    inner
}

fn draw_help(frame: &mut Frame<'_>, area: Rect, from: usize) {
    let wide = area.width >= 60;
    let gap = [&("", "")];
    let keys = KEYS.iter().chain(gap).chain(MARKS).chain(gap).chain(COMMANDS);
    let mut lines = Vec::new();
    for (key, what) in keys {
        if wide {
            lines.push((text::fit(key, HELP_KEY_COLUMNS), (*what).to_owned()));
        } else {
            lines.push(((*key).to_owned(), String::new()));
            lines.push((String::new(), format!("  {what}")));
        }
    }
    let shown = usize::from(area.height.saturating_sub(1));
    let from = from.min(lines.len().saturating_sub(shown));
    let more = lines.len() > from + shown;
    for (row, (key, what)) in (0..).zip(lines.into_iter().skip(from).take(shown)) {
        let spans = [Span::styled(key, theme::KEY), Span::raw(what)];
        put_spans(frame, area, row, spans);
    }
    let hint = match (more, from > 0) {
        (true, _) => "↓ more below, Esc closes",
        (false, true) => "↑ more above, Esc closes",
        (false, false) => "Esc closes",
    };
    put(frame, area, area.height.saturating_sub(1), hint, theme::FAINT);
}

fn draw_devices(
    frame: &mut Frame<'_>,
    area: Rect,
    model: &Model,
    devices: Option<&[Device]>,
    selected: usize,
) {
    let Some(devices) = devices else {
        put(frame, area, 0, "one moment…", theme::WAITING);
        return;
    };
    for (row, (at, device)) in (0..).zip(devices.iter().enumerate()) {
        let seen = match (device.current, device.online) {
            (true, _) => "this one".into(),
            (false, true) => "on line".into(),
            (false, false) if device.last_seen_ms == 0 => String::new(),
            (false, false) => words::when(device.last_seen_ms, model.now_ms, &model.setup.zone),
        };
        let name = match device.name.is_empty() {
            true => text::clean_line(&device.id),
            false => text::clean_line(&device.name),
        };
        let room = usize::from(area.width).saturating_sub(text::width(&seen) + 6);
        let style = if device.online { theme::GOOD } else { theme::FAINT };
        put_spans(
            frame,
            area,
            row,
            [
                Span::raw(format!("{:>2}. ", at + 1)),
                Span::raw(text::fit(&name, room)),
                Span::raw(" "),
                Span::styled(seen, style),
            ],
        );
        if at == selected && row < area.height {
            let line = Rect { y: area.y + row, height: 1, ..area };
            fill(frame, line, theme::MARKED);
        }
    }
    let hint = "x: sign this device out, Esc closes";
    put(frame, area, area.height.saturating_sub(1), hint, theme::FAINT);
}

fn draw_prompt(frame: &mut Frame<'_>, area: Rect, composer: &Composer) {
    let room = usize::from(area.width.saturating_sub(2));
    let before = text::tail(composer.before_cursor(), room);
    put(frame, area, 1, before, Style::new());
    let rest = &composer.text()[composer.before_cursor().len()..];
    let cells = text::width(before) as u16;
    let behind = Rect { x: area.x + cells, width: area.width.saturating_sub(cells), ..area };
    put(frame, behind, 1, rest, Style::new());
    put(frame, area, 2, "Enter opens, Esc closes", theme::FAINT);
    put(frame, area, 0, "the person's account name:", theme::FAINT);
    let x = (area.x + cells).min(area.right().saturating_sub(1));
    frame.set_cursor_position(Position::new(x, area.y + 1));
}

const HELP_KEY_COLUMNS: usize = 33;
