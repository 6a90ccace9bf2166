//! What a typed line means: text, or a command after a slash. The same words
//! in the terminal interface and in plain mode.

use hongyan_client::pb::Role;
use thiserror::Error;

/// A line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// To be done.
    Command(Slash),
    /// To be sent to the open conversation.
    Text(String),
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Slash {
    /// Opens the conversation with a person or a group, by name.
    Chat(String),
    /// Shows the account's devices.
    Devices,
    /// Forgets what could not be sent.
    Discard,
    /// Ends the open group.
    Dissolve,
    /// Makes a group.
    Group {
        /// Its name.
        name: String,
        /// Account names of the others.
        members: Vec<String>,
    },
    /// Shows the keys and commands.
    Help,
    /// Whether newcomers of the open group see older messages.
    History(bool),
    /// Adds people to the open group.
    Invite(Vec<String>),
    /// Leaves the open group.
    Leave,
    /// Lists the conversations (plain mode) or goes to the list.
    List,
    /// Signs out on this device.
    Logout,
    /// Shows or hides who is in the open group.
    Members,
    /// Pages older messages in.
    Older,
    /// Ends the program.
    Quit,
    /// Removes a person from the open group.
    Remove(String),
    /// Renames the open group.
    Rename(String),
    /// Connects now, or takes the place back that another device took.
    Resume,
    /// Sends again what could not be sent.
    Retry,
    /// Signs a device out, by its id or its number in the list.
    Revoke(String),
    /// Gives a member of the open group a role.
    SetRole {
        /// Account name.
        name: String,
        /// The new role.
        role: Role,
    },
}

/// Why a line means nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SlashError {
    /// The command needs something else behind it.
    #[error("usage: {0}")]
    Usage(&'static str),
    /// There is no such command.
    #[error("there is no command /{0}; /help lists them")]
    Unknown(String),
    /// A quotation mark is not closed.
    #[error("a quotation mark is not closed")]
    Unquoted,
}

/// Commands with what they take and what they do, as the help shows them.
pub const COMMANDS: &[(&str, &str)] = &[
    ("/chat NAME", "chat with a person, or open a group"),
    ("/group NAME USER...", "make a group; quote a name with spaces"),
    ("/invite USER...", "add people to this group"),
    ("/remove USER", "remove a member from this group"),
    ("/role USER owner|admin|member", "give a member a role"),
    ("/rename NAME", "rename this group"),
    ("/history visible|hidden", "whether newcomers see older messages"),
    ("/members", "show or hide who is in this group"),
    ("/leave", "leave this group"),
    ("/dissolve", "end this group for everybody"),
    ("/list", "the conversations"),
    ("/older", "load older messages"),
    ("/retry", "send again what could not be sent"),
    ("/discard", "forget what could not be sent"),
    ("/devices", "this account's devices"),
    ("/revoke ID", "sign a device out"),
    ("/resume", "reconnect now; come back after another device took over"),
    ("/logout", "sign out on this device"),
    ("/help", "this page"),
    ("/quit", "leave; what is not sent yet goes out next time"),
];

/// Understands a line. Two slashes begin a text with one slash.
///
/// # Errors
/// See [`SlashError`].
pub fn parse(line: &str) -> Result<Typed, SlashError> {
    let Some(rest) = line.strip_prefix('/') else {
        return Ok(Typed::Text(line.to_owned()));
    };
    if rest.starts_with('/') {
        return Ok(Typed::Text(rest.to_owned()));
    }
    let words = words(rest)?;
    let (command, arguments) = match words.split_first() {
        Some((command, arguments)) => (command.as_str(), arguments),
        None => return Err(SlashError::Unknown(String::new())),
    };
    slash(command, arguments).map(Typed::Command)
}

fn slash(command: &str, arguments: &[String]) -> Result<Slash, SlashError> {
    match (command, arguments) {
        ("chat", [name]) => Ok(Slash::Chat(name.clone())),
        ("devices", []) => Ok(Slash::Devices),
        ("discard", []) => Ok(Slash::Discard),
        ("dissolve", []) => Ok(Slash::Dissolve),
        ("group", [name, members @ ..]) if !members.is_empty() => {
            Ok(Slash::Group { name: name.clone(), members: members.to_vec() })
        }
        ("help", []) => Ok(Slash::Help),
        ("history", [rule]) if rule == "visible" => Ok(Slash::History(true)),
        ("history", [rule]) if rule == "hidden" => Ok(Slash::History(false)),
        ("invite", [_, ..]) => Ok(Slash::Invite(arguments.to_vec())),
        ("leave", []) => Ok(Slash::Leave),
        ("list", []) => Ok(Slash::List),
        ("logout", []) => Ok(Slash::Logout),
        ("members", []) => Ok(Slash::Members),
        ("older", []) => Ok(Slash::Older),
        ("quit" | "exit", []) => Ok(Slash::Quit),
        ("remove", [name]) => Ok(Slash::Remove(name.clone())),
        ("rename", [_, ..]) => Ok(Slash::Rename(arguments.join(" "))),
        ("resume", []) => Ok(Slash::Resume),
        ("retry", []) => Ok(Slash::Retry),
        ("revoke", [device]) => Ok(Slash::Revoke(device.clone())),
        ("role", [name, role]) => Ok(Slash::SetRole {
            name: name.clone(),
            role: role_named(role).ok_or_else(|| usage(command))?,
        }),
        _ => Err(usage(command)),
    }
}

fn usage(command: &str) -> SlashError {
    let row = COMMANDS.iter().find(|(usage, _)| {
        let name = usage.split(' ').next().unwrap_or_default();
        name.strip_prefix('/') == Some(command)
    });
    match row {
        Some((usage, _)) => SlashError::Usage(usage),
        None => SlashError::Unknown(command.to_owned()),
    }
}

fn role_named(name: &str) -> Option<Role> {
    match name {
        "owner" => Some(Role::Owner),
        "admin" => Some(Role::Admin),
        "member" => Some(Role::Member),
        _ => None,
    }
}

/// Words between spaces; quotation marks hold several together.
fn words(line: &str) -> Result<Vec<String>, SlashError> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    let mut begun = false;
    for c in line.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                begun = true;
            }
            c if c.is_whitespace() && !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            c => {
                word.push(c);
                begun = true;
            }
        }
    }
    if quoted {
        return Err(SlashError::Unquoted);
    }
    if begun {
        words.push(word);
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Slash {
        match parse(line) {
            Ok(Typed::Command(slash)) => slash,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn text_stays_as_it_is() {
        for text in ["hello", " /chat bob", "a\n/quit", ""] {
            assert_eq!(parse(text), Ok(Typed::Text(text.into())));
        }
        assert_eq!(parse("//etc"), Ok(Typed::Text("/etc".into())));
    }

    #[test]
    fn commands_take_words_and_quoted_words() {
        assert_eq!(command("/chat bob"), Slash::Chat("bob".into()));
        assert_eq!(command("/quit "), Slash::Quit);
        assert_eq!(command("/history hidden"), Slash::History(false));
        assert_eq!(command("/rename new name"), Slash::Rename("new name".into()));
        let group =
            Slash::Group { name: "week end".into(), members: vec!["bob".into(), "carol".into()] };
        assert_eq!(command("/group \"week end\"  bob carol"), group);
        let role = Slash::SetRole { name: "bob".into(), role: Role::Admin };
        assert_eq!(command("/role bob admin"), role);
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(parse("/chat"), Err(SlashError::Usage("/chat NAME")));
        assert_eq!(parse("/group x"), Err(SlashError::Usage("/group NAME USER...")));
        assert!(matches!(parse("/role bob king"), Err(SlashError::Usage(_))));
        assert_eq!(parse("/nope"), Err(SlashError::Unknown("nope".into())));
        assert_eq!(parse("/"), Err(SlashError::Unknown(String::new())));
        assert_eq!(parse("/rename \"x"), Err(SlashError::Unquoted));
    }

    #[test]
    fn every_command_of_the_help_exists() {
        for (usage, _) in COMMANDS {
            let name = usage.split(' ').next().unwrap_or_default();
            assert!(!matches!(parse(name), Err(SlashError::Unknown(_))), "{usage}");
        }
    }
}
