//! `hongyan user` and `hongyan token`.
//!
//! Asks the running server when there is one (found by the contact file in
//! the store's directory); otherwise opens the store in this process, without
//! any listener, does it, and settles. Never makes a store.

use clap::Subcommand;

use super::stores::demand_store;
use super::{DONE, Failure, IO, REFUSED, Settings, password};
use crate::admin::client;
use crate::admin::wire::{UserAnswer, UserRequest, UserView};
use crate::config::Config;
use crate::node::Node;

/// `hongyan user ...`
#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Make an account; the password is read from standard input.
    Add {
        /// 3 to 32 of a-z, 0-9, '_', '-', '.'.
        name: String,
        /// Shown to people; the name when not given.
        #[arg(long, default_value = "")]
        display_name: String,
    },
    /// Set a password, read from standard input; signs every device out.
    Passwd {
        /// The account.
        name: String,
    },
    /// Refuse logins and end live sessions, until `unban`.
    Ban {
        /// The account.
        name: String,
        /// For the record.
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Open a banned or closed account again.
    Unban {
        /// The account.
        name: String,
    },
    /// Show an account and its devices.
    Show {
        /// The account.
        name: String,
    },
    /// Sign one device, or all, out.
    Kick {
        /// The account.
        name: String,
        /// Only this device.
        #[arg(long)]
        device: Option<String>,
    },
}

/// `hongyan token ...`
#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Print an access token and a refresh token for an account.
    Issue {
        /// The account.
        name: String,
        /// The device they are for; made when it is not known.
        #[arg(long, default_value = "cli")]
        device: String,
    },
}

pub(super) fn user(settings: &Settings, command: UserCommand) -> Result<u8, Failure> {
    let config = store_of(settings)?;
    let request = match command {
        UserCommand::Add { name, display_name } => {
            UserRequest::Add { name, password: password::read("password")?, display_name }
        }
        UserCommand::Passwd { name } => {
            UserRequest::SetPassword { name, password: password::read("new password")? }
        }
        UserCommand::Ban { name, reason } => UserRequest::Ban { name, reason },
        UserCommand::Unban { name } => UserRequest::Restore { name },
        UserCommand::Show { name } => UserRequest::Show { name },
        UserCommand::Kick { name, device } => UserRequest::Kick { name, device_id: device },
    };
    let answer = ask(config, request)?;
    print(&answer)
}

pub(super) fn token(settings: &Settings, command: TokenCommand) -> Result<u8, Failure> {
    let config = store_of(settings)?;
    let TokenCommand::Issue { name, device } = command;
    let answer = ask(config, UserRequest::IssueToken { name, device_id: device })?;
    print(&answer)
}

/// The settings, if there is a store where they say: a mistaken directory
/// must not become a store that nobody serves.
fn store_of(settings: &Settings) -> Result<Config, Failure> {
    let config = settings.checked()?;
    demand_store(&config.store.dir)?;
    Ok(config)
}

fn ask(config: Config, request: UserRequest) -> Result<UserAnswer, Failure> {
    match client::find(&config.store.dir)? {
        Some(contact) => Ok(client::ask(&contact, &request)?),
        None => offline(config, request),
    }
}

fn offline(config: Config, request: UserRequest) -> Result<UserAnswer, Failure> {
    let command = match crate::admin::command(request) {
        Ok(command) => command,
        Err(refused) => return Ok(refused),
    };
    let node = Node::start(without_listeners(config))?;
    let answer = node.command(command).map_or(UserAnswer::Timeout, UserAnswer::from);
    if node.shutdown().settled {
        Ok(answer)
    } else {
        Err(Failure::new(IO, "the store could not be settled"))
    }
}

/// The same store, serving nobody.
pub(super) fn without_listeners(mut config: Config) -> Config {
    config.listen.tcp = None;
    config.listen.tls = None;
    config.listen.websocket = None;
    config.listen.shards = 1;
    config.admin.listen = None;
    config.web = None;
    config.external = None;
    config
}

fn print(answer: &UserAnswer) -> Result<u8, Failure> {
    match answer {
        UserAnswer::Done { user, sessions_closed } => {
            println!("done: user {user}, {sessions_closed} sessions closed");
            Ok(DONE)
        }
        UserAnswer::User(user) => {
            print_user(user);
            Ok(DONE)
        }
        UserAnswer::Tokens { user, access_token, access_expires_ms, refresh_token } => {
            println!("user {user}");
            println!("access_token {access_token}");
            println!("access_expires_ms {access_expires_ms}");
            println!("refresh_token {refresh_token}");
            Ok(DONE)
        }
        UserAnswer::Refused { code, name, message } => {
            Err(Failure::new(REFUSED, format!("refused: {message} ({name}, {code})")))
        }
        UserAnswer::Timeout => Err(Failure::new(IO, "the server did not answer in time")),
    }
}

fn print_user(user: &UserView) {
    println!("user          {}", user.user);
    println!("name          {}", user.name);
    println!("display name  {}", user.display_name);
    println!("status        {} {}", user.status, user.status_reason);
    println!("created       {} ms", user.created_ms);
    println!("sessions      {}", user.sessions);
    for device in &user.devices {
        println!(
            "device        {} \"{}\" class {} created {} ms, seen {} ms",
            device.id, device.name, device.class, device.created_ms, device.seen_ms
        );
    }
}
