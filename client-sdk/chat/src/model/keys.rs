//! What keys do. One table per place: overlays, the list, the typing box;
//! before them the keys that work everywhere.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use hongyan_protocol::limits::NAME_BYTES_MAX;

use super::{Focus, Model, Overlay};
use crate::composer::Composer;
use crate::io::Command;
use crate::slash::{COMMANDS, Slash};

/// Keys and what they do, as the help shows them.
pub const KEYS: &[(&str, &str)] = &[
    ("Enter", "send; open the marked conversation"),
    ("Alt-Enter, Shift-Enter, Ctrl-J", "a new line"),
    ("Tab, Esc", "between the list and the typing box"),
    ("Alt-Up, Alt-Down", "the conversation above, below"),
    ("PgUp, PgDn", "scroll; at the top: load older messages"),
    ("Ctrl-Home, Ctrl-End", "the oldest held, the newest"),
    ("Ctrl-N", "chat with somebody"),
    ("Ctrl-R, Ctrl-X", "send again, forget what was not sent"),
    ("F1, F2, F3", "help, members, devices"),
    ("Ctrl-W, Ctrl-U, Ctrl-K", "delete a word, to the start, to the end"),
    ("Ctrl-Q, Ctrl-C", "quit"),
];

/// Signs behind own messages and what they mean, as the help shows them.
pub const MARKS: &[(&str, &str)] = &[
    ("…", "on its way"),
    ("✓", "the server has it"),
    ("✓✓", "delivered; not told in groups"),
    ("✓✓✓", "read; not told in groups"),
    ("!", "not sent; why stands below"),
];

impl Model {
    pub(super) fn on_key(&mut self, key: KeyEvent, commands: &mut Vec<Command>) {
        if key.kind == KeyEventKind::Release {
            return;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if control && matches!(key.code, KeyCode::Char('c' | 'q')) {
            return self.quit(commands);
        }
        if key.code == KeyCode::F(1) && !matches!(self.overlay, Some(Overlay::Help(_))) {
            self.overlay = Some(Overlay::Help(0));
            return;
        }
        if self.overlay.is_some() {
            self.on_overlay_key(key, commands);
        } else if let Some(login) = &mut self.login {
            login.on_key(key, commands);
        } else if !self.on_key_anywhere(key, commands) {
            match self.focus {
                Focus::Chat => self.on_chat_key(key, commands),
                Focus::List => self.on_list_key(key, commands),
            }
        }
    }

    pub(super) fn on_paste(&mut self, text: &str) {
        if let Some(Overlay::NewChat(composer)) = &mut self.overlay {
            composer.insert(text.lines().next().unwrap_or_default());
        } else if let Some(login) = &mut self.login {
            login.on_paste(text);
        } else {
            self.focus = Focus::Chat;
            self.composer_mut().insert(&text.replace('\r', "\n"));
        }
    }

    fn on_overlay_key(&mut self, key: KeyEvent, commands: &mut Vec<Command>) {
        if matches!(key.code, KeyCode::Esc | KeyCode::F(1)) {
            self.overlay = None;
            return;
        }
        match &mut self.overlay {
            Some(Overlay::Devices { .. }) => self.on_devices_key(key, commands),
            Some(Overlay::Help(from)) => match key.code {
                KeyCode::Up => *from = from.saturating_sub(1),
                KeyCode::Down => *from = (*from + 1).min(HELP_LINES_MAX),
                KeyCode::PageUp => *from = from.saturating_sub(10),
                KeyCode::PageDown => *from = (*from + 10).min(HELP_LINES_MAX),
                _ => self.overlay = None,
            },
            Some(Overlay::NewChat(composer)) => {
                if key.code == KeyCode::Enter {
                    let name = composer.text().trim().to_owned();
                    self.overlay = None;
                    if !name.is_empty() {
                        self.start_chat(name, commands);
                    }
                } else {
                    edit(composer, key);
                }
            }
            None => {}
        }
    }

    /// Keys that do the same wherever the focus is. True when it was one.
    fn on_key_anywhere(&mut self, key: KeyEvent, commands: &mut Vec<Command>) -> bool {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        let alt = key.modifiers.contains(KeyModifiers::ALT);
        let page = usize::from(self.geometry().transcript_rows.saturating_sub(2).max(1));
        match key.code {
            KeyCode::F(2) => self.act(Slash::Members, commands),
            KeyCode::F(3) => self.show_devices(commands),
            KeyCode::Char('n') if control => {
                self.overlay = Some(Overlay::NewChat(Composer::new(NAME_BYTES_MAX)));
            }
            KeyCode::Char('r') if control => self.on_failed(Command::Retry, commands),
            KeyCode::Char('x') if control => self.on_failed(Command::Discard, commands),
            KeyCode::Up if alt => self.step(true, commands),
            KeyCode::Down if alt => self.step(false, commands),
            KeyCode::PageUp => self.scroll(page, true, commands),
            KeyCode::PageDown => self.scroll(page, false, commands),
            KeyCode::Home if control => self.scroll(usize::from(u16::MAX), true, commands),
            KeyCode::End if control => self.scroll(usize::MAX, false, commands),
            _ => return false,
        }
        true
    }

    fn on_list_key(&mut self, key: KeyEvent, commands: &mut Vec<Command>) {
        match key.code {
            KeyCode::Up => self.mark(true),
            KeyCode::Down => self.mark(false),
            KeyCode::Enter | KeyCode::Right => match self.selected {
                Some(id) => self.open(id, commands),
                None => self.focus = Focus::Chat,
            },
            KeyCode::Tab | KeyCode::BackTab | KeyCode::Esc => self.focus = Focus::Chat,
            KeyCode::Char(_) => {
                self.focus = Focus::Chat;
                self.on_chat_key(key, commands);
            }
            _ => {}
        }
    }

    fn on_chat_key(&mut self, key: KeyEvent, commands: &mut Vec<Command>) {
        let new_line = KeyModifiers::ALT | KeyModifiers::SHIFT | KeyModifiers::CONTROL;
        match key.code {
            KeyCode::Enter if key.modifiers.intersects(new_line) => {
                self.composer_mut().insert("\n");
            }
            KeyCode::Char('j') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                self.composer_mut().insert("\n");
            }
            KeyCode::Enter => self.submit(commands),
            KeyCode::Esc if self.members.is_some() => self.members = None,
            KeyCode::Esc if self.chat.as_ref().is_some_and(|chat| chat.scroll > 0) => {
                self.scroll(usize::MAX, false, commands);
            }
            KeyCode::Esc | KeyCode::Tab | KeyCode::BackTab => self.focus = Focus::List,
            KeyCode::Up => {
                if !self.composer_mut().up() {
                    self.scroll(1, true, commands);
                }
            }
            KeyCode::Down => {
                if !self.composer_mut().down() {
                    self.scroll(1, false, commands);
                }
            }
            _ => edit(self.composer_mut(), key),
        }
    }

    /// Opens the conversation above or below the open one.
    fn step(&mut self, up: bool, commands: &mut Vec<Command>) {
        self.mark(up);
        if let Some(id) = self.selected {
            self.open(id, commands);
        }
    }

    /// Marks the row above or below.
    fn mark(&mut self, up: bool) {
        let entries = self.entries();
        let at = entries.iter().position(|id| Some(*id) == self.selected);
        let next = match (at, up) {
            (None, _) => 0,
            (Some(at), true) => at.saturating_sub(1),
            (Some(at), false) => (at + 1).min(entries.len().saturating_sub(1)),
        };
        self.selected = entries.get(next).copied();
    }
}

/// Keys that edit text.
fn edit(composer: &mut Composer, key: KeyEvent) {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let alt = key.modifiers.contains(KeyModifiers::ALT);
    match key.code {
        KeyCode::Backspace if alt || control => composer.kill_word(),
        KeyCode::Char('w') if control => composer.kill_word(),
        KeyCode::Char('u') if control => composer.kill_to_start(),
        KeyCode::Char('k') if control => composer.kill_to_end(),
        KeyCode::Char('a') if control => composer.home(),
        KeyCode::Char('e') if control => composer.end(),
        KeyCode::Left if control || alt => composer.word_left(),
        KeyCode::Right if control || alt => composer.word_right(),
        KeyCode::Char('b') if alt => composer.word_left(),
        KeyCode::Char('f') if alt => composer.word_right(),
        KeyCode::Char(_) if control || alt => {}
        KeyCode::Char(c) => {
            let mut bytes = [0; 4];
            composer.insert(c.encode_utf8(&mut bytes));
        }
        KeyCode::Backspace => composer.backspace(),
        KeyCode::Delete => composer.delete(),
        KeyCode::Left => composer.left(),
        KeyCode::Right => composer.right(),
        KeyCode::Home => composer.home(),
        KeyCode::End => composer.end(),
        _ => {}
    }
}

/// A narrow screen takes two lines for each entry.
const HELP_LINES_MAX: usize = 2 * (KEYS.len() + MARKS.len() + COMMANDS.len() + 2);
