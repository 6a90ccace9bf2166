//! The login screen: name, password, and a second one to make an account.
//!
//! ```text
//! editing ──Enter──▶ busy ──accepted──▶ (chat screen)
//!    ▲                │
//!    │ refused, Esc   └─ server cannot be reached ─▶ waiting ──time──▶ busy
//!    └───────────────────────── any edit, Esc ──────────┘
//! ```

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use hongyan_client::{ClientError, Credentials};
use hongyan_protocol::limits::{
    NAME_BYTES_MAX, NAME_BYTES_MIN, PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN,
};

use crate::composer::Composer;
use crate::io::Command;
use crate::words;

/// What Enter does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Opens a session of an account.
    Login,
    /// Makes an account.
    Register,
}

/// A field of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The account name.
    Name,
    /// The password.
    Password,
    /// The password again, to make an account.
    Repeat,
}

/// What the screen says below the fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginMessage {
    /// What.
    pub text: String,
    /// Something went wrong.
    pub is_error: bool,
}

/// The login screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// What Enter does.
    pub mode: Mode,
    /// The account name.
    pub name: Composer,
    /// The password.
    pub password: Composer,
    /// The password again.
    pub repeat: Composer,
    /// Where the keys go.
    pub field: Field,
    /// An attempt is under way.
    pub busy: bool,
    /// The next attempt by itself, in milliseconds since 1970.
    pub retry_at_ms: Option<u64>,
    /// What is said below.
    pub message: Option<LoginMessage>,
    /// When making an account fails because it is there, log in.
    pub login_when_taken: bool,
    attempts: u32,
}

impl Default for Login {
    fn default() -> Self {
        Self {
            mode: Mode::Login,
            name: Composer::new(NAME_BYTES_MAX),
            password: Composer::new(PASSWORD_BYTES_MAX),
            repeat: Composer::new(PASSWORD_BYTES_MAX),
            field: Field::Name,
            busy: false,
            retry_at_ms: None,
            message: None,
            login_when_taken: false,
            attempts: 0,
        }
    }
}

impl Login {
    /// A key was pressed.
    pub(super) fn on_key(&mut self, key: KeyEvent, commands: &mut Vec<Command>) {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        if self.busy {
            return;
        }
        if self.retry_at_ms.is_some() && key.code != KeyCode::Enter {
            self.calm();
            if key.code == KeyCode::Esc {
                return;
            }
        }
        match key.code {
            KeyCode::F(2) => self.switch(),
            KeyCode::Char('t') if control => self.switch(),
            KeyCode::Char('u') if control => self.edited().kill_to_start(),
            KeyCode::Char('w') if control => self.edited().kill_word(),
            KeyCode::Char(_) if control => {}
            KeyCode::Char(c) => {
                let mut bytes = [0; 4];
                let text: &str = c.encode_utf8(&mut bytes);
                self.edited().insert(text);
            }
            KeyCode::Backspace => self.edited().backspace(),
            KeyCode::Delete => self.edited().delete(),
            KeyCode::Left => self.edited().left(),
            KeyCode::Right => self.edited().right(),
            KeyCode::Home => self.edited().home(),
            KeyCode::End => self.edited().end(),
            KeyCode::Tab | KeyCode::Down => self.field = self.next(),
            KeyCode::BackTab | KeyCode::Up => self.field = self.previous(),
            KeyCode::Enter if self.field == self.last() || self.retry_at_ms.is_some() => {
                self.submit(commands);
            }
            KeyCode::Enter => self.field = self.next(),
            _ => {}
        }
    }

    /// Text was pasted: its first line goes into the field.
    pub(super) fn on_paste(&mut self, text: &str) {
        if !self.busy {
            self.calm();
            let line = text.lines().next().unwrap_or_default();
            self.edited().insert(line);
        }
    }

    pub(super) fn on_tick(&mut self, now_ms: u64, commands: &mut Vec<Command>) {
        if self.retry_at_ms.is_some_and(|at_ms| at_ms <= now_ms) {
            self.submit(commands);
        }
    }

    /// Tries what is in the fields.
    pub fn submit(&mut self, commands: &mut Vec<Command>) {
        self.retry_at_ms = None;
        if let Err(objection) = self.check() {
            self.message = Some(LoginMessage { text: objection.into(), is_error: true });
            return;
        }
        let name = self.name.text().to_owned();
        let password = self.password.text().to_owned();
        self.busy = true;
        self.message = None;
        commands.push(Command::Authenticate(match self.mode {
            Mode::Login => Credentials::Password { name, password },
            Mode::Register => Credentials::Register { name, password, display_name: String::new() },
        }));
    }

    /// The attempt failed.
    pub(super) fn on_error(
        &mut self,
        error: &ClientError,
        now_ms: u64,
        commands: &mut Vec<Command>,
    ) {
        self.busy = false;
        if self.mode == Mode::Register
            && self.login_when_taken
            && error.is(hongyan_client::ErrorCode::NameTaken)
        {
            self.mode = Mode::Login;
            return self.submit(commands);
        }
        let mut text = words::explain(error);
        match error {
            ClientError::Connect(_) | ClientError::Certificate(_) => self.wait(now_ms, 0),
            ClientError::TimedOut if self.mode == Mode::Login => self.wait(now_ms, 0),
            ClientError::TimedOut => {
                text.push_str("; the account may be there: try to log in (F2)");
            }
            error if error.is_transient() => {
                self.wait(now_ms, error.retry_after_ms().unwrap_or(0).into());
            }
            _ => {
                self.attempts = 0;
                self.field = Field::Name;
                if error.is(hongyan_client::ErrorCode::BadCredentials) {
                    self.field = Field::Password;
                    self.password.take();
                }
            }
        }
        self.message = Some(LoginMessage { text, is_error: true });
    }

    /// Text of a field as it is shown: passwords are hidden.
    pub fn shown(&self, field: Field) -> String {
        match field {
            Field::Name => self.name.text().to_owned(),
            Field::Password => "•".repeat(self.password.text().chars().count()),
            Field::Repeat => "•".repeat(self.repeat.text().chars().count()),
        }
    }

    /// The part of [`Login::shown`] before the cursor.
    pub fn shown_before_cursor(&self) -> String {
        match self.field {
            Field::Name => self.name.before_cursor().to_owned(),
            Field::Password => "•".repeat(self.password.before_cursor().chars().count()),
            Field::Repeat => "•".repeat(self.repeat.before_cursor().chars().count()),
        }
    }

    fn wait(&mut self, now_ms: u64, at_least_ms: u64) {
        let delay_ms = RETRY_BASE_MS << self.attempts.min(RETRY_DOUBLINGS_MAX);
        self.attempts += 1;
        self.retry_at_ms = Some(now_ms + delay_ms.max(at_least_ms));
    }

    /// No more attempts by itself.
    fn calm(&mut self) {
        self.retry_at_ms = None;
        self.attempts = 0;
        self.message = None;
    }

    fn check(&self) -> Result<(), &'static str> {
        let name = self.name.text();
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.len() < NAME_BYTES_MIN || !name.chars().all(allowed) {
            Err("a name has 3 to 32 of a-z, 0-9, _ - .")
        } else if self.password.text().len() < PASSWORD_BYTES_MIN {
            Err("a password has at least 8 characters")
        } else if self.mode == Mode::Register && self.password.text() != self.repeat.text() {
            Err("the two passwords differ")
        } else {
            Ok(())
        }
    }

    fn switch(&mut self) {
        self.calm();
        self.mode = match self.mode {
            Mode::Login => Mode::Register,
            Mode::Register => Mode::Login,
        };
        self.repeat.take();
        if self.field == Field::Repeat {
            self.field = Field::Password;
        }
    }

    const fn edited(&mut self) -> &mut Composer {
        match self.field {
            Field::Name => &mut self.name,
            Field::Password => &mut self.password,
            Field::Repeat => &mut self.repeat,
        }
    }

    fn last(&self) -> Field {
        match self.mode {
            Mode::Login => Field::Password,
            Mode::Register => Field::Repeat,
        }
    }

    fn next(&self) -> Field {
        match self.field {
            Field::Name => Field::Password,
            Field::Password if self.mode == Mode::Register => Field::Repeat,
            Field::Password | Field::Repeat => Field::Name,
        }
    }

    fn previous(&self) -> Field {
        match self.field {
            Field::Name => self.last(),
            Field::Password => Field::Name,
            Field::Repeat => Field::Password,
        }
    }
}

const RETRY_BASE_MS: u64 = 1_000;
const RETRY_DOUBLINGS_MAX: u32 = 4;
