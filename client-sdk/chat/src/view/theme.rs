//! Colours. The sixteen that every terminal has, so that they follow the
//! user's own scheme.

use hongyan_client::{SendState, UserId};
use ratatui::style::{Color, Modifier, Style};

use crate::model::Tone;

/// Lines, times, what matters less.
pub const FAINT: Style = Style::new().fg(Color::DarkGray);
/// Titles.
pub const TITLE: Style = Style::new().add_modifier(Modifier::BOLD);
/// The user's own name.
pub const OWN: Style = Style::new().fg(Color::Cyan).add_modifier(Modifier::BOLD);
/// What went wrong.
pub const ERROR: Style = Style::new().fg(Color::Red);
/// What is good.
pub const GOOD: Style = Style::new().fg(Color::Green);
/// What is being waited for.
pub const WAITING: Style = Style::new().fg(Color::Yellow);
/// How many messages are not read.
pub const BADGE: Style =
    Style::new().fg(Color::Black).bg(Color::Yellow).add_modifier(Modifier::BOLD);
/// The marked row, where the keys go.
pub const MARKED: Style = Style::new().add_modifier(Modifier::REVERSED);
/// The marked row, while the keys go elsewhere.
pub const OPEN: Style = Style::new().add_modifier(Modifier::BOLD);
/// The status bar.
pub const BAR: Style = Style::new().bg(Color::DarkGray).fg(Color::White);
/// The banner of a lost connection.
pub const BANNER: Style = Style::new().bg(Color::Red).fg(Color::White);
/// Keys in the help.
pub const KEY: Style = Style::new().fg(Color::Yellow);

const NAMES: [Color; 10] = [
    Color::Green,
    Color::Yellow,
    Color::Blue,
    Color::Magenta,
    Color::LightRed,
    Color::LightGreen,
    Color::LightYellow,
    Color::LightBlue,
    Color::LightMagenta,
    Color::LightCyan,
];

/// A person's colour, the same everywhere and on every device.
pub fn name(user: UserId) -> Style {
    let mixed = user.get().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let at = mixed as usize % NAMES.len();
    Style::new().fg(NAMES[at]).add_modifier(Modifier::BOLD)
}

/// How far a message got, as a mark and its colour.
pub const fn mark(state: &SendState) -> (&'static str, Style) {
    match state {
        SendState::Sending => (" …", WAITING),
        SendState::Saved { .. } => (" ✓", FAINT),
        SendState::Delivered => (" ✓✓", FAINT),
        SendState::Read => (" ✓✓✓", READ),
        SendState::Failed { .. } => (" !", ERROR),
    }
}

/// The mark of a message that was read.
pub const READ: Style = Style::new().fg(Color::LightBlue).add_modifier(Modifier::BOLD);

/// The colour of news.
pub const fn tone(tone: Tone) -> Style {
    match tone {
        Tone::Bad => ERROR,
        Tone::Good => GOOD,
        Tone::Waiting => WAITING,
    }
}
