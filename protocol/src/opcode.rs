//! The table of opcodes: number, what a client sends, what it gets back.

/// When a request is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// First frame of a connection.
    Hello,
    /// After Hello, before a session.
    Login,
    /// In an open session.
    Session,
    /// Only the server sends it.
    Push,
}

macro_rules! opcodes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal, $stage:ident, $message:literal => $reply:literal;)+) => {
        /// What a frame's payload is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[repr(u32)]
        pub enum Opcode {
            $($(#[doc = $doc])+ $name = $number,)+
        }

        impl Opcode {
            /// Every opcode, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The opcode with this number, if this version knows it.
            pub const fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// Its name, as documented.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }

            /// When it may be sent.
            pub const fn stage(self) -> Stage {
                match self {
                    $(Self::$name => Stage::$stage,)+
                }
            }

            /// Name of the message in the payload, and of the reply's ("" where
            /// there is none). The reply has the same opcode as the request.
            pub const fn messages(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$name => ($message, $reply),)+
                }
            }

            /// What the documentation says of it.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => concat!($($doc,)+),)+
                }
            }
        }
    };
}

opcodes! {
    /// Nothing; a frame of length zero has this opcode.
    Heartbeat = 0, Hello, "" => "";
    /// A request was refused.
    Error = 1, Push, "Error" => "";
    /// The connection closes after this frame.
    Goodbye = 2, Push, "Goodbye" => "";

    /// Opens the connection, and the session when it brings a token.
    Hello = 16, Hello, "Hello" => "Welcome";
    /// Makes an account.
    Register = 17, Login, "Register" => "Session";
    /// Opens a session by password.
    Login = 18, Login, "Login" => "Session";
    /// Opens a session by refresh token.
    Refresh = 19, Login, "Refresh" => "Session";
    /// Opens a session by a token of an external issuer.
    LoginExternal = 20, Login, "LoginExternal" => "Session";
    /// Signs this device out.
    Logout = 21, Session, "Logout" => "Empty";
    /// Lists the account's devices.
    ListDevices = 22, Session, "ListDevices" => "Devices";
    /// Signs a device out.
    RevokeDevice = 23, Session, "RevokeDevice" => "Empty";
    /// Changes the password.
    ChangePassword = 24, Session, "ChangePassword" => "Empty";
    /// Closes the account.
    Deactivate = 25, Session, "Deactivate" => "Empty";
    /// Finds a person by name.
    FindUser = 26, Session, "FindUser" => "Profiles";
    /// Names for ids.
    GetProfiles = 27, Session, "GetProfiles" => "Profiles";

    /// Sends a message.
    Send = 32, Session, "Send" => "SendAck";
    /// A message arrived.
    Message = 33, Push, "Message" => "";
    /// Moves the user's own cursors.
    MoveCursor = 34, Session, "MoveCursor" => "Empty";
    /// Somebody's cursors moved.
    CursorMoved = 35, Push, "CursorMoved" => "";
    /// Reads a range of messages.
    History = 36, Session, "History" => "HistoryPage";
    /// A conversation appeared, changed or is gone.
    ConversationChanged = 37, Push, "ConversationChanged" => "";

    /// Makes a group.
    CreateGroup = 48, Session, "CreateGroup" => "Group";
    /// Adds people to a group.
    InviteMembers = 49, Session, "InviteMembers" => "Group";
    /// Leaves a group.
    LeaveGroup = 50, Session, "LeaveGroup" => "Empty";
    /// Removes a member.
    RemoveMember = 51, Session, "RemoveMember" => "Group";
    /// Gives a member a role.
    SetRole = 52, Session, "SetRole" => "Group";
    /// Renames a group or changes its history rule.
    UpdateGroup = 53, Session, "UpdateGroup" => "Group";
    /// Ends a group.
    DissolveGroup = 54, Session, "DissolveGroup" => "Empty";
    /// Lists members.
    ListMembers = 55, Session, "ListMembers" => "Members";

    /// Catches up.
    Sync = 64, Session, "SyncRequest" => "SyncPage";
    /// Pushes were dropped; catch up.
    SyncNeeded = 65, Push, "SyncNeeded" => "";

    /// Watches who is online.
    WatchPresence = 80, Session, "WatchPresence" => "Presences";
    /// Somebody went on or off line.
    PresenceChanged = 81, Push, "Presences" => "";
}

impl Opcode {
    /// The number on the wire.
    pub const fn number(self) -> u32 {
        self as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_ascend_and_come_back() {
        assert!(Opcode::ALL.is_sorted());
        for opcode in Opcode::ALL {
            assert_eq!(Opcode::from_number(opcode.number()), Some(*opcode));
        }
    }
}
