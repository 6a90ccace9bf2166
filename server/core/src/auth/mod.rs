//! Names and refresh tokens: their form. Foundation of the session room.
//!
//! Hashing, signing and drawing secrets are not done here; they come from
//! offloads and from [`AccessTokens`](crate::AccessTokens).

use hongyan_protocol::limits::{NAME_BYTES_MAX, NAME_BYTES_MIN, TOKEN_BYTES_MAX};
use hongyan_protocol::{ErrorCode, UserId};

use crate::error::Refusal;

/// An account name as it is stored: lower case.
///
/// # Errors
/// InvalidField when it is not 3 to 32 of `a-z 0-9 _ - .` after folding.
pub(crate) fn fold_name(name: &str) -> Result<String, Refusal> {
    let folded = name.to_ascii_lowercase();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if (NAME_BYTES_MIN..=NAME_BYTES_MAX).contains(&folded.len()) && folded.bytes().all(allowed) {
        Ok(folded)
    } else {
        Err(Refusal::new(ErrorCode::InvalidField, "name: 3 to 32 of a-z, 0-9, '_', '-' and '.'"))
    }
}

/// A refresh token taken apart: `user.secret.device`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RefreshToken {
    pub(crate) user: UserId,
    pub(crate) secret: String,
    pub(crate) device_id: String,
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RefreshToken({:?})", self.user)
    }
}

impl RefreshToken {
    pub(crate) fn parse(token: &str) -> Option<Self> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let mut parts = token.splitn(3, '.');
        let user = UserId::new(parts.next()?.parse().ok()?)?;
        let secret = parts.next()?.to_owned();
        let device_id = parts.next()?.to_owned();
        (!secret.is_empty() && !device_id.is_empty()).then_some(Self { user, secret, device_id })
    }

    pub(crate) fn to_text(&self) -> String {
        format!("{}.{}.{}", self.user, self.secret, self.device_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folded_and_checked() {
        assert_eq!(fold_name("Alice_1").unwrap(), "alice_1");
        for bad in ["al", "a b c", "älice", "", "x\0yz", &"a".repeat(33), "oidc:x#y"] {
            assert!(fold_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn refresh_tokens_come_back_whole() {
        let token = RefreshToken {
            user: UserId::new(4097).unwrap(),
            secret: "c2VjcmV0".into(),
            device_id: "my.phone".into(),
        };
        assert_eq!(RefreshToken::parse(&token.to_text()), Some(token));
        for bad in ["", "1.a", "0.a.b", "x.a.b", "1..b", "1.a."] {
            assert_eq!(RefreshToken::parse(bad), None, "{bad:?}");
        }
    }
}
