//! An issuer's public keys: from a file or an https address, kept while they
//! are good.
//!
//! A key that is not known makes it look again, at most once a minute; keys
//! that are an hour old are looked for again in passing. When that fails the
//! old keys stay in use (stale while error), so an issuer that is down locks
//! nobody out.

use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{
    AlgorithmParameters as Kind, EllipticCurve, Jwk, JwkSet, KeyOperations, PublicKeyUse,
};

use crate::config::JwksSource;

/// Keys are looked for again after so long.
const FRESH: Duration = Duration::from_secs(3_600);
/// Two looks are at least so far apart.
const PAUSE: Duration = Duration::from_secs(60);
/// The most that a key set may have.
const KEY_SET_BYTES_MAX: usize = 256 * 1024;
const KEYS_MAX: usize = 64;

/// Why there are no new keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum JwksError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("no key set: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("the key set is too large")]
    TooLarge,
    #[cfg(feature = "jwks-url")]
    #[error("{0}")]
    Fetch(#[from] reqwest::Error),
    #[cfg(not(feature = "jwks-url"))]
    #[error("this build cannot fetch keys")]
    NotBuilt,
}

/// Reads the keys once, for somebody who asks whether they can be read.
///
/// # Errors
/// What is wrong, for people.
pub(crate) fn check(source: &JwksSource) -> Result<(), String> {
    match KeySet::new(source.clone()).read() {
        Ok(keys) if keys.is_empty() => Err("has no key that verifies signatures".to_owned()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// The keys at hand.
pub(super) struct KeySet {
    source: JwksSource,
    keys: Vec<Jwk>,
    tried: Option<Instant>,
    found: Option<Instant>,
}

impl KeySet {
    pub(super) const fn new(source: JwksSource) -> Self {
        Self { source, keys: Vec::new(), tried: None, found: None }
    }

    /// The keys of `text`, for less than a minute.
    #[cfg(feature = "testing")]
    pub(super) fn fixed(text: &[u8]) -> Option<Self> {
        let (keys, now) = (parse(text).ok()?, Some(Instant::now()));
        let source = JwksSource::File("nowhere".into());
        Some(Self { source, keys, tried: now, found: now })
    }

    /// The key with this id; without an id the only key there is.
    pub(super) fn find(&mut self, kid: Option<&str>) -> Option<Jwk> {
        let now = Instant::now();
        let stale = self.found.is_none_or(|found| now.duration_since(found) >= FRESH);
        if stale || self.lookup(kid).is_none() {
            self.refresh(now);
        }
        self.lookup(kid).cloned()
    }

    fn lookup(&self, kid: Option<&str>) -> Option<&Jwk> {
        match kid {
            Some(kid) => self.keys.iter().find(|key| key.common.key_id.as_deref() == Some(kid)),
            None => match self.keys.as_slice() {
                [only] => Some(only),
                _ => None,
            },
        }
    }

    fn refresh(&mut self, now: Instant) {
        if self.tried.is_some_and(|tried| now.duration_since(tried) < PAUSE) {
            return;
        }
        self.tried = Some(now);
        match self.read() {
            Ok(keys) => {
                self.keys = keys;
                self.found = Some(now);
            }
            Err(error) => {
                tracing::warn!(%error, kept = self.keys.len(), "an issuer's keys cannot be read");
            }
        }
    }

    fn read(&self) -> Result<Vec<Jwk>, JwksError> {
        let text = match &self.source {
            JwksSource::File(file) => {
                if std::fs::metadata(file)?.len() > KEY_SET_BYTES_MAX as u64 {
                    return Err(JwksError::TooLarge);
                }
                std::fs::read(file)?
            }
            JwksSource::Url(url) => fetch(url)?,
        };
        parse(&text)
    }

    #[cfg(test)]
    pub(super) fn forget_pause(&mut self) {
        self.tried = None;
    }
}

/// Keys of kinds that are not known, and keys for something else than
/// signatures, are passed over, not an error.
fn parse(text: &[u8]) -> Result<Vec<Jwk>, JwksError> {
    #[derive(serde::Deserialize)]
    struct Loose {
        keys: Vec<serde_json::Value>,
    }
    let mut keys = match serde_json::from_slice(text) {
        Ok(JwkSet { keys }) => keys,
        Err(_) => {
            let loose: Loose = serde_json::from_slice(text)?;
            if loose.keys.len() > KEYS_MAX {
                return Err(JwksError::TooLarge);
            }
            loose.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect()
        }
    };
    if keys.len() > KEYS_MAX {
        return Err(JwksError::TooLarge);
    }
    keys.retain(verifies);
    Ok(keys)
}

/// Whether the issuer lets `key` verify signatures (RFC 7517 §4.2 and §4.3).
fn verifies(key: &Jwk) -> bool {
    // RFC 7518 §6.2.1.1 and RFC 8037 §2: which curve goes with which kind.
    let known = match &key.algorithm {
        Kind::RSA(_) => true,
        Kind::EllipticCurve(point) => point.curve != EllipticCurve::Ed25519,
        Kind::OctetKeyPair(pair) => pair.curve == EllipticCurve::Ed25519,
        _ => false,
    };
    let common = &key.common;
    let used = common.public_key_use.as_ref();
    let operations = common.key_operations.as_ref();
    known
        && used.is_none_or(|used| *used == PublicKeyUse::Signature)
        && operations.is_none_or(|all| all.contains(&KeyOperations::Verify))
}

#[cfg(feature = "jwks-url")]
fn fetch(url: &str) -> Result<Vec<u8>, JwksError> {
    // One request an hour: a runtime for the length of it is the simplest.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .redirect(reqwest::redirect::Policy::none())
            .https_only(true)
            .build()?;
        let mut response = client.get(url).send().await?.error_for_status()?;
        let mut text = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if text.len() + chunk.len() > KEY_SET_BYTES_MAX {
                return Err(JwksError::TooLarge);
            }
            text.extend_from_slice(&chunk);
        }
        Ok(text)
    })
}

#[cfg(not(feature = "jwks-url"))]
fn fetch(_url: &str) -> Result<Vec<u8>, JwksError> {
    Err(JwksError::NotBuilt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_keys_for_signatures_are_kept() {
        let key = |kid: &str, more: &str| {
            format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"AA","kid":"{kid}"{more}}}"#)
        };
        let keys = [
            key("plain", ""),
            key("sig", r#","use":"sig""#),
            key("enc", r#","use":"enc""#),
            key("verify", r#","key_ops":["verify"]"#),
            key("wrap", r#","key_ops":["wrapKey"]"#),
            r#"{"kty":"OKP","crv":"P-256","x":"AA","kid":"curve"}"#.to_owned(),
            r#"{"kty":"oct","k":"AA","kid":"shared"}"#.to_owned(),
            r#"{"kty":"FUTURE","kid":"future"}"#.to_owned(),
        ];
        let text = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
        let kept = parse(text.as_bytes()).unwrap();
        let names: Vec<_> = kept.iter().filter_map(|key| key.common.key_id.as_deref()).collect();
        assert_eq!(names, ["plain", "sig", "verify"]);
    }

    #[test]
    fn a_set_of_too_many_keys_is_refused() {
        let text = |count: usize| format!(r#"{{"keys":[{}]}}"#, vec!["{}"; count].join(","));
        assert!(parse(text(KEYS_MAX).as_bytes()).is_ok());
        assert!(matches!(parse(text(KEYS_MAX + 1).as_bytes()), Err(JwksError::TooLarge)));
    }
}
