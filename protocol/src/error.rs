//! What can be wrong: with bytes ([`WireError`]), and with a request as the
//! peer is told ([`ErrorCode`]).

use thiserror::Error;

/// Bytes that are not what the protocol says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WireError {
    /// A length prefix over the limit, or longer than four bytes. The stream
    /// cannot be followed any further.
    #[error("frame of {bytes} bytes is over the limit of {limit}")]
    FrameTooLarge {
        /// What the prefix said; `usize::MAX` when it did not end.
        bytes: usize,
        /// What the receiver takes.
        limit: usize,
    },
    /// The frame's bytes are not a protobuf `Frame`. The stream is in step:
    /// the next frame can be read.
    #[error("frame is not valid protobuf")]
    MalformedFrame,
    /// The payload is not the message that the opcode names.
    #[error("payload is not a valid message")]
    MalformedPayload,
    /// The preface does not start with the magic bytes.
    #[error("preface is not Hongyan's")]
    BadPreface,
    /// No version in common.
    #[error("no version in common: peer has {lowest} to {highest}")]
    NoCommonVersion {
        /// Lowest version the peer has.
        lowest: u8,
        /// Highest version the peer has.
        highest: u8,
    },
}

impl WireError {
    /// The code to tell the peer.
    pub const fn code(self) -> ErrorCode {
        match self {
            Self::FrameTooLarge { .. } => ErrorCode::FrameTooLarge,
            Self::MalformedFrame => ErrorCode::MalformedFrame,
            Self::MalformedPayload => ErrorCode::MalformedPayload,
            Self::BadPreface => ErrorCode::BadPreface,
            Self::NoCommonVersion { .. } => ErrorCode::NoCommonVersion,
        }
    }
}

macro_rules! error_codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal,)+) => {
        /// Numeric codes, stable for ever. 1xx: the bytes are wrong. 2xx: who you
        /// are. 3xx: the request is wrong. 4xx: not allowed or not there. 5xx: try
        /// again. 6xx: why a connection closes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[repr(u32)]
        pub enum ErrorCode {
            $($(#[doc = $doc])+ $name = $code,)+
        }

        impl ErrorCode {
            /// Every code, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The code with this number, if this version knows it.
            pub const fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($code => Some(Self::$name),)+
                    _ => None,
                }
            }

            /// The name, as documented.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
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

error_codes! {
    /// A frame over the limit; the connection closes.
    FrameTooLarge = 100,
    /// Bytes that are no protobuf frame; the connection stays open.
    MalformedFrame = 101,
    /// The payload is not the message that the opcode names.
    MalformedPayload = 102,
    /// The opcode is not known to this server.
    UnknownOpcode = 103,
    /// A known request at the wrong time, such as Send before a session.
    OutOfOrder = 104,
    /// The connection did not start with the preface; it closes.
    BadPreface = 105,
    /// No protocol version in common; the connection closes.
    NoCommonVersion = 106,

    /// The name or the password is wrong.
    BadCredentials = 200,
    /// The access token has expired; refresh it.
    TokenExpired = 201,
    /// The token is not valid here.
    TokenInvalid = 202,
    /// The device was signed out; log in again.
    DeviceRevoked = 203,
    /// The account is closed.
    AccountDeactivated = 204,
    /// The account is banned.
    AccountBanned = 205,
    /// The name is taken.
    NameTaken = 206,
    /// Accounts cannot be made by clients of this server.
    RegistrationClosed = 207,
    /// Tokens of external issuers are not accepted here.
    ExternalLoginClosed = 208,

    /// A field is missing, too long, or out of range.
    InvalidField = 300,
    /// The same client id was used before for something else.
    IdConflict = 301,
    /// The conversation id is not well formed.
    InvalidConversation = 302,
    /// The body is empty, too long, or not one the client may send.
    InvalidBody = 303,

    /// Not allowed to this role.
    NotAllowed = 400,
    /// Not a member of the conversation.
    NotMember = 401,
    /// No such user.
    NoSuchUser = 402,
    /// No such group.
    NoSuchGroup = 403,
    /// The group was dissolved.
    GroupDissolved = 404,
    /// The group is full.
    GroupFull = 405,
    /// The owner cannot leave before handing the group over.
    OwnerCannotLeave = 406,
    /// No such device.
    NoSuchDevice = 407,
    /// The user has as many conversations as there can be.
    ConversationsFull = 408,

    /// Too many requests; wait.
    RateLimited = 500,
    /// The server is busy; nothing was done.
    Busy = 501,
    /// The store takes no writes now (full or failed); nothing was acknowledged.
    StoreUnavailable = 502,
    /// The server made a mistake; it is in its log.
    Internal = 503,

    /// The server is stopping or restarting.
    GoingAway = 600,
    /// Nothing was heard for too long.
    IdleTimeout = 601,
    /// No session was opened in time.
    LoginTimeout = 602,
    /// The client did not read what it was sent.
    SlowConsumer = 603,
    /// Another device of the account took this one's place.
    Replaced = 604,
    /// The device was signed out.
    SignedOut = 605,
    /// Too many connections.
    TooManyConnections = 606,
    /// Too many protocol errors on one connection.
    TooManyErrors = 607,
}

impl ErrorCode {
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
        assert!(ErrorCode::ALL.is_sorted());
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_number(code.number()), Some(*code));
        }
        assert_eq!(ErrorCode::from_number(0), None);
    }
}
