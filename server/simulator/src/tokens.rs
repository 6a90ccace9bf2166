//! Stand-ins for what the real host does with cryptography and chance:
//! access tokens, password hashes, refresh secrets. Readable, not secret.

use hongyan_core::input::FreshSecret;
use hongyan_core::{AccessTokens, Claims, OffloadJob, OffloadOutcome, TokenFault};
use hongyan_protocol::UserId;
use hongyan_protocol::ids::mix64;

use crate::trace::fingerprint;

/// Clock skew that is allowed, as in the real thing.
const SKEW_MS: u64 = 60_000;

/// Tokens that say what they are.
#[derive(Debug)]
pub(crate) struct PlainTokens;

impl AccessTokens for PlainTokens {
    fn issue(&self, claims: &Claims) -> String {
        format!(
            "t|{}|{}|{}|{}|{}",
            claims.user, claims.device_id, claims.epoch, claims.issued_ms, claims.expires_ms
        )
    }

    fn verify(&self, token: &str, unix_ms: u64) -> Result<Claims, TokenFault> {
        let claims = parse(token).ok_or(TokenFault::Invalid)?;
        if claims.issued_ms > unix_ms + SKEW_MS {
            return Err(TokenFault::Invalid);
        }
        if claims.expires_ms + SKEW_MS <= unix_ms {
            return Err(TokenFault::Expired);
        }
        Ok(claims)
    }
}

fn parse(token: &str) -> Option<Claims> {
    let mut parts = token.split('|');
    if parts.next()? != "t" {
        return None;
    }
    let claims = Claims {
        user: UserId::new(parts.next()?.parse().ok()?)?,
        device_id: parts.next()?.to_owned(),
        epoch: parts.next()?.parse().ok()?,
        issued_ms: parts.next()?.parse().ok()?,
        expires_ms: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(claims)
}

/// What comes of `job`; `number` is different in every call.
pub(crate) fn carry_out(job: &OffloadJob, number: u64) -> OffloadOutcome {
    match job {
        OffloadJob::HashPassword { password } => {
            OffloadOutcome::Hashed { hash: hash(password), fresh: fresh(number) }
        }
        OffloadJob::VerifyPassword { hash: known, password } => OffloadOutcome::Verified {
            matches: known.as_ref() == Some(&hash(password)),
            fresh: fresh(number),
        },
        OffloadJob::RotateRefresh { secret } => {
            OffloadOutcome::Rotated { presented: digest(secret), fresh: fresh(number) }
        }
        OffloadJob::VerifyExternal { .. } => OffloadOutcome::External(Err(TokenFault::Invalid)),
    }
}

fn hash(password: &str) -> String {
    format!("$plain${password}")
}

fn fresh(number: u64) -> FreshSecret {
    let secret = format!("secret-{number}-{:016x}", mix64(number));
    FreshSecret { digest: digest(&secret), secret }
}

fn digest(secret: &str) -> bytes::Bytes {
    let seed = fingerprint(secret.as_bytes());
    (0..4).flat_map(|word| mix64(seed ^ word).to_le_bytes()).collect::<Vec<u8>>().into()
}
