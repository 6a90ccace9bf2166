//! What must hold for any token, any configuration and any bytes of a WebSocket. Called by the fuzz
//! targets, and by a test with the committed corpus.
//!
//! Feature `testing`. The checks look at the server from the inside and give
//! nothing private out. Random bytes never bring a signature along, so an
//! input can be claims, a header or a key set alone: then the check signs, and
//! what comes behind the signature is reached.

mod foreign;
mod own;
mod seeds;
mod settings;
#[cfg(feature = "websocket")]
mod websocket;

use serde_json::Value;

pub use self::seeds::{config_seeds, token_seeds};
#[cfg(feature = "websocket")]
pub use self::websocket::{websocket, websocket_seeds};

/// What an input of [`token`] is: its first byte.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// The text of an access token.
    Own = 0,
    /// The time (u64), and the claims of an access token that our key signs.
    OwnClaims = 1,
    /// Claims of which we make the token, and a change to it.
    Issued = 2,
    /// The secret of a refresh token.
    Refresh = 3,
    /// The text of another issuer's token.
    Foreign = 4,
    /// The algorithm (u8), the time (u64), and claims that the issuer signs.
    ForeignClaims = 5,
    /// The header of a token that the issuer signs.
    ForeignHeader = 6,
    /// The issuer's key set.
    KeySet = 7,
}

const KINDS: [Kind; 8] = [
    Kind::Own,
    Kind::OwnClaims,
    Kind::Issued,
    Kind::Refresh,
    Kind::Foreign,
    Kind::ForeignClaims,
    Kind::ForeignHeader,
    Kind::KeySet,
];

/// Any bytes as a token: taken only when the key really signed it, and when
/// its times, issuer and audience are right. Returns whether it was taken.
///
/// # Panics
/// When that does not hold.
pub fn token(data: &[u8]) -> bool {
    let Some((kind, rest)) = data.split_first() else {
        return false;
    };
    let text = || std::str::from_utf8(rest).ok();
    match KINDS[usize::from(*kind) % KINDS.len()] {
        Kind::Own => text().is_some_and(own::token),
        Kind::OwnClaims => own::claims(rest),
        Kind::Issued => own::issued(rest),
        Kind::Refresh => text().is_some_and(own::refresh),
        Kind::Foreign => text().is_some_and(foreign::token),
        Kind::ForeignClaims => foreign::claims(rest),
        Kind::ForeignHeader => foreign::header(rest),
        Kind::KeySet => foreign::key_set(rest),
    }
}

/// Any text as a configuration file, and after a NUL any lines `NAME=value`
/// as the environment: refused with the name of what is wrong, or taken with
/// everything within its limits; and what is printed means the same again.
/// Returns whether it was taken.
///
/// # Panics
/// When that does not hold.
pub fn config(data: &[u8]) -> bool {
    std::str::from_utf8(data).is_ok_and(settings::config)
}

/// Takes a number off the front of an input.
fn take<const N: usize>(data: &mut &[u8]) -> Option<u64> {
    let (front, rest) = data.split_first_chunk::<N>()?;
    *data = rest;
    let mut word = [0; 8];
    word[..N].copy_from_slice(front);
    Some(u64::from_le_bytes(word))
}

/// An object in the one form that means the same to every reader.
fn canonical(json: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(json).ok()?;
    let again = serde_json::to_vec(&value).ok()?;
    (value.is_object() && again == json).then_some(value)
}
