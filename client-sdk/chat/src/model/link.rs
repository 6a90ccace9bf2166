//! The connection in words.

use hongyan_client::{ClientError, Presence, Status, UserId};

use super::Model;
use crate::text;
use crate::words;

/// How good the news is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing works without the user's help, or for now.
    Bad,
    /// Everything works.
    Good,
    /// It is being worked on.
    Waiting,
}

impl Model {
    /// The connection's state for the status bar.
    pub fn link_words(&self) -> (String, Tone) {
        match self.link.status {
            Status::AuthRequired => ("not signed in".into(), Tone::Waiting),
            Status::Connecting => ("connecting".into(), Tone::Waiting),
            Status::Live => ("live".into(), Tone::Good),
            Status::Syncing => ("syncing".into(), Tone::Waiting),
            Status::WaitingToReconnect { until_ms } => {
                let seconds = self.seconds_until(until_ms);
                (format!("reconnecting in {seconds} s"), Tone::Bad)
            }
            Status::SignedOut { .. } => ("signed out".into(), Tone::Bad),
            _ => (self.offline_words(), Tone::Bad),
        }
    }

    /// What stands above everything while the connection is lost.
    pub fn banner(&self) -> Option<String> {
        if self.login.is_some() {
            return None;
        }
        if self.was_replaced() {
            return Some("another device of this account took over; /resume comes back".into());
        }
        self.link.offline_since_ms?;
        let state = match self.link.status {
            Status::Live | Status::Syncing => return None,
            Status::Offline => String::new(),
            _ => format!(" · {}", self.link_words().0),
        };
        let reason = self.link.error.as_ref();
        let reason = reason.map_or_else(String::new, |error| match error {
            ClientError::Connect(reason) => format!(" · {}", text::clean_line(reason)),
            error => format!(" · {}", words::explain(error)),
        });
        Some(format!("{}{state}{reason}", self.offline_words()))
    }

    /// How a person stands; nobody knows while the connection is lost.
    pub fn presence(&self, user: UserId) -> Option<Presence> {
        let live = self.link.status == Status::Live;
        self.people.presence(user).filter(|_| live)
    }

    /// Whole seconds until a moment, at least 1 while it is to come.
    pub fn seconds_until(&self, at_ms: u64) -> u64 {
        at_ms.saturating_sub(self.now_ms).div_ceil(1_000)
    }

    fn offline_words(&self) -> String {
        match self.link.offline_since_ms {
            Some(at_ms) => format!("offline since {}", words::clock(at_ms, &self.setup.zone)),
            None => "offline".into(),
        }
    }
}
