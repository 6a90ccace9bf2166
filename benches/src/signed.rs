//! The server's access tokens, signed with a key that is always the same.
//!
//! No module of the library, but of each program that needs it: whoever links the host optimises
//! all that the host needs once more, and the other benches need not wait for that.

use hongyan::tokens::SignedTokens;
use hongyan_benches::frames;
use hongyan_core::{AccessTokens, Claims};

/// When tokens are checked; the clock of a bench stands still.
pub(crate) const NOW_MS: u64 = 1_760_000_000_000;
/// Of a world that is made anew for each bench; it keeps no secret.
const KEY: &[u8] = b"q8Zr2-vT5xW1nB7mK4jH9gF3dS6aP0oL";

pub(crate) fn signed_tokens() -> SignedTokens {
    SignedTokens::new(KEY).expect("a key that nobody would guess")
}

/// A token in force, and who checks it.
pub(crate) fn token() -> (SignedTokens, String) {
    let tokens = signed_tokens();
    let token = tokens.issue(&claims());
    (tokens, token)
}

/// What the token says.
pub(crate) fn claims() -> Claims {
    Claims {
        user: frames::sender(),
        device_id: "3f0c5d9e-5e0b-4a1c-9a52-6f1f8f8c7d11".into(),
        epoch: 1,
        issued_ms: NOW_MS,
        expires_ms: NOW_MS + 900_000,
    }
}
