//! What the admin interface and the command line say to each other, as JSON.

use std::net::SocketAddr;

use hongyan_core::AdminOutcome;
use hongyan_core::state::{Account, AccountStatus};
use serde::{Deserialize, Serialize};

/// The contact file: where the interface is and what opens it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Contact {
    /// Where.
    pub address: SocketAddr,
    /// The bearer token.
    pub token: String,
    /// The server's process.
    pub pid: u32,
}

/// What an operator asks about one account.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum UserRequest {
    /// Make an account.
    Add {
        /// As in Register.
        name: String,
        /// 8 to 256 bytes.
        password: String,
        /// Shown to people; the name when empty.
        #[serde(default)]
        display_name: String,
    },
    /// Set a password; signs every device out.
    SetPassword {
        /// Whose.
        name: String,
        /// 8 to 256 bytes.
        password: String,
    },
    /// Close the account until it is restored.
    Ban {
        /// Whose.
        name: String,
        /// For the record.
        #[serde(default)]
        reason: String,
    },
    /// Open a banned or closed account again.
    Restore {
        /// Whose.
        name: String,
    },
    /// Sign one device, or all, out.
    Kick {
        /// Whose.
        name: String,
        /// All when absent.
        device_id: Option<String>,
    },
    /// What is known of an account.
    Show {
        /// Whose.
        name: String,
    },
    /// Tokens for an account and a device.
    IssueToken {
        /// Whose.
        name: String,
        /// Made when it is not known.
        device_id: String,
    },
}

impl UserRequest {
    /// The account's name, folded as the rules fold it, so that it goes to
    /// the right shard. The subject of an external issuer stays as it is.
    pub fn name(&self) -> String {
        let name = match self {
            Self::Add { name, .. }
            | Self::SetPassword { name, .. }
            | Self::Ban { name, .. }
            | Self::Restore { name }
            | Self::Kick { name, .. }
            | Self::Show { name }
            | Self::IssueToken { name, .. } => name,
        };
        if name.starts_with("oidc:") { name.clone() } else { name.to_ascii_lowercase() }
    }
}

/// The answer to a [`UserRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum UserAnswer {
    /// Done.
    Done {
        /// The account's id.
        user: u64,
        /// Live sessions that were ended.
        sessions_closed: usize,
    },
    /// Of Show.
    User(Box<UserView>),
    /// Of IssueToken.
    Tokens {
        /// The account's id.
        user: u64,
        /// For Hello.
        access_token: String,
        /// Milliseconds since 1970.
        access_expires_ms: u64,
        /// For Refresh.
        refresh_token: String,
    },
    /// Not done.
    Refused {
        /// As on the wire of the clients.
        code: u32,
        /// Name of the code.
        name: String,
        /// Why.
        message: String,
    },
    /// The server did not answer in time.
    Timeout,
}

/// An account as an operator sees it: no password, no token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserView {
    /// Its id.
    pub user: u64,
    /// Its name.
    pub name: String,
    /// Shown to people.
    pub display_name: String,
    /// "active", "deactivated" or "banned".
    pub status: String,
    /// Why, if an operator said.
    pub status_reason: String,
    /// Milliseconds since 1970.
    pub created_ms: u64,
    /// Open sessions.
    pub sessions: usize,
    /// Its devices.
    pub devices: Vec<DeviceView>,
}

/// A device of a [`UserView`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceView {
    /// Made by the client.
    pub id: String,
    /// Shown to the user.
    pub name: String,
    /// As on the wire of the clients.
    pub class: u32,
    /// Milliseconds since 1970.
    pub created_ms: u64,
    /// Milliseconds since 1970.
    pub seen_ms: u64,
}

impl From<AdminOutcome> for UserAnswer {
    fn from(outcome: AdminOutcome) -> Self {
        match outcome {
            AdminOutcome::Done { user, sessions_closed } => {
                Self::Done { user: user.get(), sessions_closed }
            }
            AdminOutcome::User(account, sessions) => Self::User(Box::new(view(*account, sessions))),
            AdminOutcome::Tokens(session) => {
                let tokens = session.tokens.unwrap_or_default();
                Self::Tokens {
                    user: session.user_id,
                    access_token: tokens.access_token,
                    access_expires_ms: tokens.access_expires_ms,
                    refresh_token: tokens.refresh_token,
                }
            }
            AdminOutcome::Refused(refusal) => Self::Refused {
                code: refusal.code.number(),
                name: refusal.code.name().to_owned(),
                message: refusal.message.to_owned(),
            },
        }
    }
}

fn view(account: Account, sessions: usize) -> UserView {
    let status = match account.status() {
        AccountStatus::Active => "active",
        AccountStatus::Deactivated => "deactivated",
        AccountStatus::Banned => "banned",
    };
    UserView {
        user: account.user,
        name: account.name,
        display_name: account.display_name,
        status: status.to_owned(),
        status_reason: account.status_reason,
        created_ms: account.created_ms,
        sessions,
        devices: account
            .devices
            .into_iter()
            .map(|device| DeviceView {
                id: device.id,
                name: device.name,
                class: device.class,
                created_ms: device.created_ms,
                seen_ms: device.seen_ms,
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_operators_page_shows_is_understood() {
        let page = include_str!("../../../../docs/OPERATIONS.md");
        let shown: Vec<_> = page.lines().filter(|line| line.starts_with("    {\"do\":")).collect();
        assert_eq!(shown.len(), 7);
        for line in shown {
            let request: UserRequest = serde_json::from_str(line).expect(line);
            assert_eq!(request.name(), "ann");
        }
    }
}
