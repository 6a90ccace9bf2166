//! Our own tokens.

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hongyan_core::input::Ticket;
use hongyan_core::{AccessTokens, Claims, OffloadJob, OffloadOutcome, ShardId, TokenFault};
use hongyan_protocol::UserId;
use hongyan_protocol::limits::{DEVICE_ID_BYTES_MAX, TOKEN_BYTES_MAX};
use serde_json::Value;

use super::{canonical, take};
use crate::offload;
use crate::tokens::SignedTokens;

/// When tokens of the corpus are in force.
pub(super) const NOW: u64 = 1_750_000_000_000;
const SKEW_MS: u64 = 60_000;
const KEY: &[u8] = b"q8Zr2-vT5xW1nB7mK4jH9gF3dS6aP0oL";
const OTHER_KEY: &[u8] = b"Q8Zr2-vT5xW1nB7mK4jH9gF3dS6aP0oL";

static TOKENS: LazyLock<SignedTokens> =
    LazyLock::new(|| SignedTokens::new(KEY).expect("a good key"));
static HEADER: LazyLock<String> = LazyLock::new(|| {
    let user = UserId::new(1).expect("not zero");
    let claims =
        Claims { user, device_id: "d".into(), epoch: 1, issued_ms: NOW, expires_ms: NOW + 1 };
    let token = TOKENS.issue(&claims);
    token.split('.').next().expect("a token has parts").to_owned()
});

/// The token that we make of `claims`.
pub(super) fn issue(claims: &Claims) -> String {
    TOKENS.issue(claims)
}

/// A text as it came.
pub(super) fn token(text: &str) -> bool {
    let verified = TOKENS.verify(text, NOW);
    // A token that has ended was ours too.
    if verified != Err(TokenFault::Invalid) {
        let (signed, mac) = text.rsplit_once('.').expect("three parts");
        assert_eq!(mac, mac_of(KEY, signed), "taken, though we did not sign it");
        assert!(text.len() <= TOKEN_BYTES_MAX && signed.starts_with(HEADER.as_str()));
    }
    verified.is_ok_and(|claims| in_force(&claims, NOW))
}

/// The time, and claims that our key signs.
pub(super) fn claims(mut data: &[u8]) -> bool {
    let Some(now) = take::<8>(&mut data) else {
        return false;
    };
    let signed = format!("{}.{}", *HEADER, URL_SAFE_NO_PAD.encode(data));
    let stranger = format!("{signed}.{}", mac_of(OTHER_KEY, &signed));
    assert_eq!(TOKENS.verify(&stranger, now), Err(TokenFault::Invalid));
    let token = format!("{signed}.{}", mac_of(KEY, &signed));
    let verified = TOKENS.verify(&token, now);
    if let Some(body) = canonical(data) {
        let long = token.len() > TOKEN_BYTES_MAX;
        let expected = if long { Err(TokenFault::Invalid) } else { judge(&body, now) };
        assert_eq!(verified, expected, "{body}");
    }
    verified.is_ok_and(|claims| in_force(&claims, now))
}

/// User, epoch (u32), three times, where (u16) and how (u8) to change the
/// token, and the name of the device.
pub(super) fn issued(mut data: &[u8]) -> bool {
    let Some(((claims, now), (at, change))) = issued_parts(&mut data) else {
        return false;
    };
    let (issued_ms, expires_ms) =
        (claims.issued_ms / 1_000 * 1_000, claims.expires_ms / 1_000 * 1_000);
    let told = Claims { issued_ms, expires_ms, ..claims.clone() };
    let token = TOKENS.issue(&claims);
    let verified = TOKENS.verify(&token, now);
    assert_eq!(verified, rules(told, now));
    let mut changed = token.into_bytes();
    let at = at as usize % changed.len();
    changed[at] ^= change;
    if change != 0
        && let Ok(changed) = std::str::from_utf8(&changed)
    {
        assert_eq!(TOKENS.verify(changed, now), Err(TokenFault::Invalid), "{changed}");
    }
    verified.is_ok()
}

type IssuedParts = ((Claims, u64), (u64, u8));

fn issued_parts(data: &mut &[u8]) -> Option<IssuedParts> {
    let user = UserId::new(take::<8>(data)?)?;
    let epoch = take::<4>(data)? as u32;
    let (issued_ms, expires_ms) = (take::<8>(data)?, take::<8>(data)?);
    let now = take::<8>(data)?;
    let change = (take::<2>(data)?, take::<1>(data)? as u8);
    let device_id = std::str::from_utf8(data).ok()?.to_owned();
    Some(((Claims { user, device_id, epoch, issued_ms, expires_ms }, now), change))
}

/// The secret of a refresh token is known by its digest alone.
pub(super) fn refresh(secret: &str) -> bool {
    let (queue, _work) = offload::queues(1, None);
    let rotate = |secret: &str| {
        let job = OffloadJob::RotateRefresh { secret: secret.to_owned() };
        match queue.submit(ShardId(0), Ticket(1), job) {
            Some(OffloadOutcome::Rotated { presented, fresh }) => (presented, fresh),
            other => panic!("not answered at once: {other:?}"),
        }
    };
    let (presented, fresh) = rotate(secret);
    assert_eq!(presented.len(), 32);
    assert_eq!(rotate(secret).0, presented);
    assert_ne!(rotate(&format!("{secret}0")).0, presented);
    assert_ne!(fresh.digest, presented);
    assert_eq!(rotate(&fresh.secret).0, fresh.digest);
    true
}

/// What a verification must say of these claims.
fn judge(body: &Value, now: u64) -> Result<Claims, TokenFault> {
    let text = |key: &str| body[key].as_str().ok_or(TokenFault::Invalid);
    let number = |key: &str| body[key].as_u64().ok_or(TokenFault::Invalid);
    let times_1000 = |seconds: u64| seconds.checked_mul(1_000).ok_or(TokenFault::Invalid);
    let user = text("sub")?.parse().ok().and_then(UserId::new).ok_or(TokenFault::Invalid)?;
    let claims = Claims {
        user,
        device_id: text("dev")?.to_owned(),
        epoch: number("epoch")?.try_into().map_err(|_| TokenFault::Invalid)?,
        issued_ms: times_1000(number("iat")?)?,
        expires_ms: times_1000(number("exp")?)?,
    };
    if text("iss")? == "hongyan" { rules(claims, now) } else { Err(TokenFault::Invalid) }
}

fn rules(claims: Claims, now: u64) -> Result<Claims, TokenFault> {
    let device_bytes = claims.device_id.len();
    if device_bytes == 0
        || device_bytes > DEVICE_ID_BYTES_MAX
        || claims.issued_ms > now.saturating_add(SKEW_MS)
        || claims.issued_ms > claims.expires_ms
    {
        Err(TokenFault::Invalid)
    } else if now >= claims.expires_ms.saturating_add(SKEW_MS) {
        Err(TokenFault::Expired)
    } else {
        Ok(claims)
    }
}

fn in_force(claims: &Claims, now: u64) -> bool {
    assert_eq!(rules(claims.clone(), now).as_ref(), Ok(claims));
    let again = TOKENS.issue(claims);
    assert_eq!(TOKENS.verify(&again, now).as_ref(), Ok(claims));
    true
}

fn mac_of(key: &[u8], signed: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()))
}
