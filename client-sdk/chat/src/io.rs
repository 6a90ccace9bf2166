//! What goes into the model and what comes out of it: [`Input`] and
//! [`Command`]. Whoever runs the model (the terminal, plain mode, a test)
//! hands in inputs and carries commands out; each command that asks something
//! of the server comes back as an [`Outcome`].

use std::sync::Arc;

use crossterm::event::KeyEvent;
use hongyan_client::pb::Role;
use hongyan_client::{
    Account, ClientError, ClientMsgId, ConversationId, ConversationState, Credentials, GroupId,
    Message, Presence, Profile, Status, TimelineView, UserId,
};

/// Something happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// Who is signed in on this device changed.
    Account(Option<Account>),
    /// The conversation list changed.
    Conversations(Arc<Vec<Arc<ConversationState>>>),
    /// The connection ended or could not be opened.
    Disconnected(ClientError),
    /// A command came to its end.
    Done(Outcome),
    /// So many events were dropped, because this program was too slow.
    EventsLost(u64),
    /// The terminal's window is or is not in front.
    Focus(bool),
    /// A key was pressed.
    Key(KeyEvent),
    /// A line was typed (plain mode).
    Line(String),
    /// A message arrived that this device had not seen.
    Message(Arc<Message>),
    /// Text was pasted.
    Paste(String),
    /// People went on or off line.
    Presence(Vec<Presence>),
    /// The terminal has this size now, in cells.
    Resize {
        /// From left to right.
        columns: u16,
        /// From top to bottom.
        rows: u16,
    },
    /// Messages that were missed are not told, because they are too old.
    Skipped {
        /// Where.
        conversation: ConversationId,
        /// The first.
        from_seq: u64,
        /// The last.
        to_seq: u64,
    },
    /// The connection's state changed.
    Status(Status),
    /// The local store failed.
    StorageFailed(ClientError),
    /// Time went on: milliseconds since 1970.
    Tick(u64),
    /// The open conversation's messages changed.
    Timeline(Arc<TimelineView>),
}

/// Something is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Opens a session.
    Authenticate(Credentials),
    /// Rings the terminal's bell.
    Bell,
    /// Makes a group of people by name.
    CreateGroup {
        /// The group's name.
        name: String,
        /// Account names.
        members: Vec<String>,
    },
    /// Forgets a message that could not be sent.
    Discard(ClientMsgId),
    /// Ends a group.
    Dissolve(GroupId),
    /// Asks for names.
    FindProfiles(Vec<UserId>),
    /// Adds people to a group.
    Invite {
        /// Which group.
        group: GroupId,
        /// Account names.
        names: Vec<String>,
    },
    /// Leaves a group.
    Leave(GroupId),
    /// Asks for the account's devices.
    ListDevices,
    /// Asks who is in a group.
    ListMembers(GroupId),
    /// Pages older messages in.
    LoadOlder(ConversationId),
    /// Signs out.
    Logout,
    /// Marks a conversation read.
    MarkRead {
        /// Which.
        conversation: ConversationId,
        /// Up to here.
        seq: u64,
    },
    /// Follows a conversation's timeline instead of the one before.
    Open(ConversationId),
    /// Ends the program.
    Quit,
    /// Removes a person from a group.
    Remove {
        /// Which group.
        group: GroupId,
        /// Account name.
        name: String,
    },
    /// Renames a group.
    Rename {
        /// Which group.
        group: GroupId,
        /// The new name.
        name: String,
    },
    /// Opens a session with the tokens that are kept.
    Resume,
    /// Sends a failed message again.
    Retry(ClientMsgId),
    /// Signs a device out.
    RevokeDevice(String),
    /// Sends text.
    Send {
        /// Where to.
        conversation: ConversationId,
        /// What.
        text: String,
    },
    /// Whether newcomers see older messages.
    SetHistory {
        /// Which group.
        group: GroupId,
        /// They do.
        visible: bool,
    },
    /// Gives a member a role.
    SetRole {
        /// Which group.
        group: GroupId,
        /// Account name.
        name: String,
        /// The new role.
        role: Role,
    },
    /// Finds a person and opens the conversation with them.
    StartChat(String),
    /// Watches who is on line.
    WatchPresence(Vec<UserId>),
}

/// What came of a command.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// Opening a session.
    Authenticated(Result<Account, ClientError>),
    /// The account's devices.
    Devices(Vec<Device>),
    /// It could not be done.
    Failed {
        /// What, for people.
        what: String,
        /// Why.
        error: ClientError,
    },
    /// It is done, and there is nothing to say.
    Finished,
    /// The user left this group.
    Left(GroupId),
    /// Who is in a group.
    Members {
        /// Which.
        group: GroupId,
        /// Everybody, as far as asked.
        members: Vec<Member>,
    },
    /// A message was not taken; it is nowhere.
    NotSent {
        /// Where it was to go.
        conversation: ConversationId,
        /// What it says.
        text: String,
        /// Why.
        error: ClientError,
    },
    /// Older messages were paged in, or not.
    Older {
        /// Where.
        conversation: ConversationId,
        /// How many.
        result: Result<usize, ClientError>,
    },
    /// Names for ids.
    Profiles(Vec<Profile>),
    /// It is done; say so.
    Said(String),
    /// A conversation is to be opened.
    Started {
        /// Which.
        conversation: ConversationId,
        /// The other person of a direct conversation.
        peer: Option<Profile>,
    },
}

/// A device of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// It is on line.
    pub online: bool,
    /// It is this one.
    pub current: bool,
    /// When last seen, in milliseconds since 1970; zero when not known.
    pub last_seen_ms: u64,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// The role's number on the wire.
    pub role: u32,
}
