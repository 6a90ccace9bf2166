//! Everything that can happen to a shard.

use std::net::IpAddr;

use bytes::Bytes;
use hongyan_protocol::{Frame, UserId};

use crate::envelope::Envelope;
use crate::key::EntityKey;
use crate::token::Claims;

/// A connection of this shard: chosen by the host, never used again in the
/// life of the process. Another shard's may have the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// Names one load, page read or offload, so that its result finds its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Names one question of the admin interface; chosen by the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdminTicket(pub u64);

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The other end's address.
    pub ip: IpAddr,
    /// Whether the transport is encrypted.
    pub encrypted: bool,
}

/// What a connection said before it was moved to the shard of its user: its
/// Hello and the request that must be handled there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Where it comes from.
    pub peer: Peer,
    /// When it was opened, on the monotonic clock.
    pub opened_ms: u64,
    /// What it said of itself.
    pub greeting: Greeting,
    /// Hello with a token, or the login request.
    pub frame: Frame,
    /// What was checked of the request before it was moved.
    pub verified: Option<Verified>,
}

/// Who somebody is, as far as a token has shown it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verified {
    /// By an access token of this server.
    Claims(Claims),
    /// By a token of an external issuer.
    External(ExternalSubject),
}

/// The checked contents of a Hello.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Greeting {
    /// 1 to 64 bytes.
    pub device_id: String,
    /// As on the wire.
    pub device_class: i32,
    /// At most 64 bytes.
    pub device_name: String,
}

/// Who an external issuer says somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalSubject {
    /// The name it is bound to: "oidc:" issuer "#" subject.
    pub name: String,
    /// Shown to people; may be empty.
    pub display_name: String,
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// A connection finished its preface.
    Opened {
        /// The connection.
        conn: ConnId,
        /// Its other end.
        peer: Peer,
    },
    /// A connection moved here from the shard that accepted it.
    Adopted {
        /// Its id on this shard.
        conn: ConnId,
        /// What it had said.
        link: Box<Link>,
    },
    /// A whole frame arrived. Heartbeats too.
    Frame {
        /// From this connection.
        conn: ConnId,
        /// The frame.
        frame: Frame,
    },
    /// The connection is gone; nothing more comes from it.
    Closed {
        /// The connection.
        conn: ConnId,
    },
    /// From another shard.
    Envelope(Envelope),
    /// What the views have of an entity; the answer to
    /// [`Effect::Load`](crate::Effect::Load).
    Loaded {
        /// The entity.
        key: EntityKey,
        /// Its stored form, or nothing. `Err` when the views failed.
        value: Result<Option<Bytes>, StoreFailure>,
    },
    /// The answer to [`Effect::ReadPages`](crate::Effect::ReadPages).
    PagesRead {
        /// As asked.
        ticket: Ticket,
        /// Stored pages in the order they were asked for.
        pages: Result<Vec<Bytes>, StoreFailure>,
    },
    /// The answer to [`Effect::Offload`](crate::Effect::Offload).
    OffloadDone {
        /// As asked.
        ticket: Ticket,
        /// What came of it.
        outcome: OffloadOutcome,
    },
    /// From the admin interface.
    Admin {
        /// Echoed in the answer.
        ticket: AdminTicket,
        /// What to do.
        command: AdminCommand,
    },
    /// Everything of a settle round is durable in the views.
    Settled {
        /// As in [`SettleStep`](crate::SettleStep).
        round: u64,
    },
    /// The server is stopping: say goodbye to everybody.
    Drain {
        /// Clients are told to come back within so many milliseconds, each
        /// at another moment.
        spread_ms: u32,
    },
    /// A deadline of [`Shard::poll_timeout`](crate::Shard::poll_timeout) is
    /// due.
    Timeout,
}

/// The views could not answer. The host has logged why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreFailure;

/// Slow work that leaves the shard.
#[derive(Clone, PartialEq, Eq)]
pub enum OffloadJob {
    /// Hash a password with argon2id and make a refresh token.
    HashPassword {
        /// As typed.
        password: String,
    },
    /// Check a password, in the same time whether or not there is a hash,
    /// and make a refresh token.
    VerifyPassword {
        /// PHC string; `None` when there is no such account.
        hash: Option<String>,
        /// As typed.
        password: String,
    },
    /// Digest the secret part of a refresh token and make another.
    RotateRefresh {
        /// The secret part as received; the outcome has its SHA-256.
        secret: String,
    },
    /// Check a token of an external issuer.
    VerifyExternal {
        /// As received.
        id_token: String,
    },
}

impl std::fmt::Debug for OffloadJob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::HashPassword { .. } => "HashPassword",
            Self::VerifyPassword { .. } => "VerifyPassword",
            Self::RotateRefresh { .. } => "RotateRefresh",
            Self::VerifyExternal { .. } => "VerifyExternal",
        })
    }
}

/// A new refresh token's secret part and what is kept of it.
#[derive(Clone, PartialEq, Eq)]
pub struct FreshSecret {
    /// 32 random bytes, base64url without padding: the part of a refresh
    /// token that cannot be guessed.
    pub secret: String,
    /// SHA-256 of `secret`.
    pub digest: Bytes,
}

impl std::fmt::Debug for FreshSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FreshSecret")
    }
}

/// What came of an [`OffloadJob`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OffloadOutcome {
    /// Of HashPassword.
    Hashed {
        /// PHC string.
        hash: String,
        /// For the device that registers.
        fresh: FreshSecret,
    },
    /// Of VerifyPassword.
    Verified {
        /// Whether the password is the one of the hash.
        matches: bool,
        /// For the device that logs in.
        fresh: FreshSecret,
    },
    /// Of RotateRefresh.
    Rotated {
        /// SHA-256 of the secret part of the token received.
        presented: Bytes,
        /// To take its place.
        fresh: FreshSecret,
    },
    /// Of VerifyExternal: who it is, or why not (for the peer).
    External(Result<(ExternalSubject, FreshSecret), crate::token::TokenFault>),
    /// The pool is full; nothing was done.
    Busy,
    /// The work failed; the host has logged why.
    Failed,
}

/// What an operator can ask of the shard that owns a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminCommand {
    /// Make an account.
    AddUser {
        /// As in Register.
        name: String,
        /// PHC string, hashed by the caller.
        password_hash: String,
        /// As in Register.
        display_name: String,
    },
    /// Set a password and sign every device out.
    SetPassword {
        /// Account name.
        name: String,
        /// PHC string.
        password_hash: String,
    },
    /// Ban or restore; live sessions of a banned user close at once.
    SetStatus {
        /// Account name.
        name: String,
        /// The new status.
        status: crate::state::AccountStatus,
        /// For the record.
        reason: String,
    },
    /// Sign one device, or all, out.
    Kick {
        /// Account name.
        name: String,
        /// All when `None`.
        device_id: Option<String>,
    },
    /// What is known of an account.
    ShowUser {
        /// Account name.
        name: String,
    },
    /// An access token for an account and a device, for scripts and tests.
    IssueToken {
        /// Account name.
        name: String,
        /// Created when unknown.
        device_id: String,
        /// Made by the caller.
        fresh: FreshSecret,
    },
}

impl AdminCommand {
    /// The account it is about; it must go to the shard of that name.
    pub fn name(&self) -> &str {
        match self {
            Self::AddUser { name, .. }
            | Self::SetPassword { name, .. }
            | Self::SetStatus { name, .. }
            | Self::Kick { name, .. }
            | Self::ShowUser { name }
            | Self::IssueToken { name, .. } => name,
        }
    }
}

/// The answer to an [`AdminCommand`].
#[derive(Debug, Clone, PartialEq)]
pub enum AdminOutcome {
    /// Done, to this user; so many sessions were closed.
    Done {
        /// Whose account.
        user: UserId,
        /// Live sessions that were ended.
        sessions_closed: usize,
    },
    /// Of ShowUser.
    User(Box<crate::state::Account>, usize),
    /// Of IssueToken.
    Tokens(hongyan_protocol::pb::Session),
    /// Not done.
    Refused(crate::error::Refusal),
}
