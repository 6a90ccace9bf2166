//! Access tokens as the rules see them. The host brings the cryptography.

use hongyan_protocol::UserId;

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Whose it is.
    pub user: UserId,
    /// Which device it was given to.
    pub device_id: String,
    /// Which sign-in of the device it belongs to.
    pub epoch: u32,
    /// Milliseconds since 1970.
    pub issued_ms: u64,
    /// Milliseconds since 1970; not valid from then on.
    pub expires_ms: u64,
}

/// Why a token was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFault {
    /// It was good once.
    Expired,
    /// It is not ours, or was changed, or is not a token.
    Invalid,
}

/// Makes and checks access tokens. Called on the shard's thread, so it must
/// take microseconds.
pub trait AccessTokens: Send {
    /// A signed token for `claims`.
    fn issue(&self, claims: &Claims) -> String;

    /// What `token` says, if it is ours and in force at `unix_ms` (a clock
    /// skew of up to a minute is allowed).
    ///
    /// # Errors
    /// See [`TokenFault`].
    fn verify(&self, token: &str, unix_ms: u64) -> Result<Claims, TokenFault>;
}
