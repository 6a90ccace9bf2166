//! Access tokens: short-lived, signed with HMAC-SHA-256, checked on the
//! shard's thread in a few microseconds.
//!
//! ```text
//! base64url({"alg":"HS256","typ":"at+jwt","kid":...}) . base64url(claims) . base64url(mac)
//! claims  iss "hongyan" | sub user id | dev device id | epoch | iat | exp   (seconds)
//! ```
//!
//! A JSON Web Token (RFC 7519, profile RFC 9068) with one fixed header: the
//! received header must be ours byte for byte, so there is no algorithm to
//! confuse and no `kid` to follow (RFC 8725 §3.1). Owns the key and where it
//! comes from; knows nothing of sessions or revocation, which is the shard's.

use std::fs::{OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hongyan_core::{AccessTokens, Claims, TokenFault};
use hongyan_protocol::UserId;
use hongyan_protocol::limits::{DEVICE_ID_BYTES_MAX, TOKEN_BYTES_MAX};
use serde::{Deserialize, Serialize};

use crate::config::{Secret, TokenKeyConfig};

/// Why there is no usable key. Exit code 78.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenKeyError {
    /// The file could not be read or made.
    #[error("cannot {operation} {}: {source}", file.display())]
    Io {
        /// Which file.
        file: PathBuf,
        /// What was tried.
        operation: &'static str,
        /// The operating system's answer.
        source: std::io::Error,
    },
    /// Others can read the file.
    #[error("{} can be read by others: chmod 600 it", file.display())]
    Exposed {
        /// Which file.
        file: PathBuf,
    },
    /// The key is too short or a sample.
    #[error("the key in {origin} {why}")]
    Weak {
        /// Where it comes from.
        origin: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// The shortest key, in bytes: the length of the digest (RFC 7518 §3.2).
pub const KEY_BYTES_MIN: usize = 32;
/// Difference of clocks that is forgiven.
const SKEW_MS: u64 = 60_000;
const ISSUER: &str = "hongyan";

/// Makes and checks access tokens. Cheap to clone; every shard has one.
#[derive(Clone)]
pub struct SignedTokens {
    inner: Arc<Inner>,
}

struct Inner {
    key: hmac::Key,
    header: String,
}

#[derive(Serialize, Deserialize)]
struct Body {
    iss: String,
    sub: String,
    dev: String,
    epoch: u32,
    iat: u64,
    exp: u64,
}

impl SignedTokens {
    /// Tokens signed with `key`.
    ///
    /// # Errors
    /// What is wrong with the key, see [`check_key`].
    pub fn new(key: &[u8]) -> Result<Self, &'static str> {
        check_key(key)?;
        let id = digest::digest(&digest::SHA256, key);
        let kid: String = id.as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        let header = format!(r#"{{"alg":"HS256","typ":"at+jwt","kid":"{kid}"}}"#);
        Ok(Self {
            inner: Arc::new(Inner {
                key: hmac::Key::new(hmac::HMAC_SHA256, key),
                header: URL_SAFE_NO_PAD.encode(header),
            }),
        })
    }

    /// As [`SignedTokens::open`], but makes nothing: `None` when the file is
    /// still to be made. Its directory must be there, unless that is the
    /// store's, which is made with the store.
    ///
    /// # Errors
    /// Any [`TokenKeyError`].
    pub fn find(config: &TokenKeyConfig, store_dir: &Path) -> Result<Option<Self>, TokenKeyError> {
        let TokenKeyConfig::File(file) = config else {
            return Self::open(config).map(Some);
        };
        if let Some(key) = read(file)? {
            return Self::with(&key, file.display().to_string()).map(Some);
        }
        let directory = file.parent().unwrap_or(Path::new(""));
        let here = directory.as_os_str().is_empty();
        if directory == store_dir || here || directory.is_dir() {
            return Ok(None);
        }
        let source = ErrorKind::NotFound.into();
        Err(TokenKeyError::Io { file: file.clone(), operation: "make", source })
    }

    /// Takes the key from where the configuration says; makes the file at the
    /// first start.
    ///
    /// # Errors
    /// Any [`TokenKeyError`].
    pub fn open(config: &TokenKeyConfig) -> Result<Self, TokenKeyError> {
        let (key, origin) = match config {
            TokenKeyConfig::Given(key) => (key.clone(), "auth.token_key".to_owned()),
            TokenKeyConfig::File(file) => (read_or_make(file)?, file.display().to_string()),
        };
        Self::with(&key, origin)
    }

    fn with(key: &Secret, origin: String) -> Result<Self, TokenKeyError> {
        Self::new(key.expose().as_bytes()).map_err(|why| TokenKeyError::Weak { origin, why })
    }
}

impl AccessTokens for SignedTokens {
    fn issue(&self, claims: &Claims) -> String {
        let body = Body {
            iss: ISSUER.to_owned(),
            sub: claims.user.to_string(),
            dev: claims.device_id.clone(),
            epoch: claims.epoch,
            iat: claims.issued_ms / 1_000,
            exp: claims.expires_ms / 1_000,
        };
        // Strings and numbers always serialise.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut token = self.inner.header.clone();
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(body, &mut token);
        let mac = hmac::sign(&self.inner.key, token.as_bytes());
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(mac, &mut token);
        token
    }

    fn verify(&self, token: &str, unix_ms: u64) -> Result<Claims, TokenFault> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::Invalid);
        }
        let (signed, mac) = token.rsplit_once('.').ok_or(TokenFault::Invalid)?;
        let (header, body) = signed.split_once('.').ok_or(TokenFault::Invalid)?;
        if header != self.inner.header {
            return Err(TokenFault::Invalid);
        }
        let mac = URL_SAFE_NO_PAD.decode(mac).map_err(|_| TokenFault::Invalid)?;
        hmac::verify(&self.inner.key, signed.as_bytes(), &mac).map_err(|_| TokenFault::Invalid)?;
        let body = URL_SAFE_NO_PAD.decode(body).map_err(|_| TokenFault::Invalid)?;
        let body: Body = serde_json::from_slice(&body).map_err(|_| TokenFault::Invalid)?;
        claims_of(body, unix_ms)
    }
}

fn claims_of(body: Body, unix_ms: u64) -> Result<Claims, TokenFault> {
    let user = body.sub.parse().ok().and_then(UserId::new).ok_or(TokenFault::Invalid)?;
    let issued_ms = body.iat.checked_mul(1_000).ok_or(TokenFault::Invalid)?;
    let expires_ms = body.exp.checked_mul(1_000).ok_or(TokenFault::Invalid)?;
    let sound = body.iss == ISSUER
        && (1..=DEVICE_ID_BYTES_MAX).contains(&body.dev.len())
        && issued_ms <= unix_ms.saturating_add(SKEW_MS)
        && issued_ms <= expires_ms;
    if !sound {
        return Err(TokenFault::Invalid);
    }
    if expires_ms.saturating_add(SKEW_MS) <= unix_ms {
        return Err(TokenFault::Expired);
    }
    Ok(Claims { user, device_id: body.dev, epoch: body.epoch, issued_ms, expires_ms })
}

/// Refuses keys that somebody could guess.
///
/// # Errors
/// What is wrong, as the end of a sentence.
pub fn check_key(key: &[u8]) -> Result<(), &'static str> {
    const SAMPLES: [&str; 8] =
        ["change", "sample", "example", "secret", "password", "default", "hongyan", "12345678"];
    if key.len() < KEY_BYTES_MIN {
        return Err("has fewer than 32 bytes");
    }
    let lower = String::from_utf8_lossy(key).to_lowercase();
    if SAMPLES.iter().any(|sample| lower.contains(sample)) {
        return Err("looks like a sample; make one with: openssl rand -base64 32");
    }
    let mut seen = [false; 256];
    for byte in key {
        seen[usize::from(*byte)] = true;
    }
    if seen.iter().filter(|seen| **seen).count() < 10 {
        return Err("has too few different characters to be random");
    }
    Ok(())
}

/// `count` random bytes.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Fails only without any source of randomness, when nothing here is safe.
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system has randomness");
    bytes
}

/// Makes a file that only its owner can read, and syncs it.
pub(crate) fn write_private(file: &Path, text: &str) -> std::io::Result<()> {
    let mut out =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(file)?;
    out.set_permissions(Permissions::from_mode(0o600))?;
    out.write_all(text.as_bytes())?;
    out.sync_all()
}

/// The key in `file`; `None` when there is no such file.
fn read(file: &Path) -> Result<Option<Secret>, TokenKeyError> {
    let mut open = match std::fs::File::open(file) {
        Ok(open) => open,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(file, "read")(error)),
    };
    let mode = open.metadata().map_err(fault(file, "read"))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(TokenKeyError::Exposed { file: file.to_path_buf() });
    }
    let mut text = String::new();
    open.read_to_string(&mut text).map_err(fault(file, "read"))?;
    Ok(Some(Secret::new(text.trim())))
}

fn read_or_make(file: &Path) -> Result<Secret, TokenKeyError> {
    if let Some(key) = read(file)? {
        return Ok(key);
    }
    let key = URL_SAFE_NO_PAD.encode(random_bytes::<KEY_BYTES_MIN>());
    write_private(file, &format!("{key}\n")).map_err(fault(file, "make"))?;
    Ok(Secret::new(key))
}

fn fault(file: &Path, operation: &'static str) -> impl FnOnce(std::io::Error) -> TokenKeyError {
    let file = file.to_path_buf();
    move |source| TokenKeyError::Io { file, operation, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"q8Zr2-vT5xW1nB7mK4jH9gF3dS6aP0oL";
    const NOW: u64 = 1_750_000_000_000;

    fn tokens() -> SignedTokens {
        SignedTokens::new(KEY).unwrap()
    }

    fn claims() -> Claims {
        Claims {
            user: UserId::new(28_677).unwrap(),
            device_id: "phone \"1\"".into(),
            epoch: 3,
            issued_ms: NOW,
            expires_ms: NOW + 900_000,
        }
    }

    fn signed(header: &str, body: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(body));
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(mac))
    }

    fn header() -> String {
        String::from_utf8(URL_SAFE_NO_PAD.decode(&tokens().inner.header).unwrap()).unwrap()
    }

    #[test]
    fn a_token_says_what_was_claimed() {
        let token = tokens().issue(&claims());
        assert_eq!(tokens().verify(&token, NOW), Ok(claims()));
    }

    #[test]
    fn a_token_ends_a_minute_after_its_time() {
        let token = tokens().issue(&claims());
        let end = NOW + 900_000 + SKEW_MS;
        assert!(tokens().verify(&token, end - 1).is_ok());
        assert_eq!(tokens().verify(&token, end), Err(TokenFault::Expired));
        assert_eq!(tokens().verify(&token, NOW - SKEW_MS - 1_000), Err(TokenFault::Invalid));
    }

    /// Golden forgeries: each is one known attack on tokens.
    #[test]
    fn forged_tokens_are_refused() {
        let good = tokens().issue(&claims());
        let (signed_part, mac) = good.rsplit_once('.').unwrap();
        let (header_part, body_part) = signed_part.split_once('.').unwrap();
        let body = String::from_utf8(URL_SAFE_NO_PAD.decode(body_part).unwrap()).unwrap();
        let other = SignedTokens::new(b"Q8Zr2-vT5xW1nB7mK4jH9gF3dS6aP0oL").unwrap();
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"at+jwt"}"#);
        let forged = [
            ("empty", String::new()),
            ("dots", "..".into()),
            ("no mac", signed_part.to_owned()),
            ("empty mac", format!("{signed_part}.")),
            ("half a mac", format!("{signed_part}.{}", &mac[..20])),
            ("alg none without mac", format!("{none}.{body_part}.")),
            ("alg none with mac", signed(r#"{"alg":"none","typ":"at+jwt"}"#, &body)),
            ("alg RS256", signed(&header().replace("HS256", "RS256"), &body)),
            ("typ JWT", signed(&header().replace("at+jwt", "JWT"), &body)),
            ("another kid", signed(&header().replace("\"kid\":\"", "\"kid\":\"0"), &body)),
            (
                "kid with a path",
                signed(&header().replace("\"kid\":\"", "\"kid\":\"/dev/null"), &body),
            ),
            ("key in the header", signed(&header().replace('}', ",\"jwk\":{}}"), &body)),
            ("another key", other.issue(&claims())),
            (
                "another user",
                format!(
                    "{header_part}.{}.{mac}",
                    URL_SAFE_NO_PAD.encode(body.replace("28677", "28678"))
                ),
            ),
            ("padding", format!("{good}=")),
            ("standard alphabet", good.replace('-', "+").replace('_', "/") + "+"),
            ("four parts", format!("{good}.x")),
            ("another issuer", signed(&header(), &body.replace("\"hongyan\"", "\"evil\""))),
            ("user zero", signed(&header(), &body.replace("28677", "0"))),
            ("negative user", signed(&header(), &body.replace("28677", "-1"))),
            ("no device", signed(&header(), &body.replace(r#"phone \"1\""#, ""))),
            ("long device", signed(&header(), &body.replace("phone", &"x".repeat(80)))),
            ("endless", signed(&header(), &body.replace("1750000900", "18446744073709551615"))),
            ("not json", signed(&header(), "hello")),
            ("no claims", signed(&header(), "{}")),
            ("huge", "a".repeat(TOKEN_BYTES_MAX + 1)),
        ];
        for (name, token) in forged {
            assert_eq!(tokens().verify(&token, NOW), Err(TokenFault::Invalid), "{name}: {token}");
        }
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let good = tokens().issue(&claims());
        for at in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'Q' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            if changed != good {
                assert!(tokens().verify(&changed, NOW).is_err(), "at {at}");
            }
        }
    }

    #[test]
    fn a_key_is_made_once_and_kept_private() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token.key");
        let config = TokenKeyConfig::File(file.clone());
        let first = SignedTokens::open(&config).unwrap();
        let second = SignedTokens::open(&config).unwrap();
        assert_eq!(second.verify(&first.issue(&claims()), NOW), Ok(claims()));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(SignedTokens::open(&config), Err(TokenKeyError::Exposed { .. })));
    }

    #[test]
    fn weak_keys_are_refused() {
        assert!(check_key(b"tooshort").is_err());
        assert!(check_key(b"my-very-secret-key-of-the-company!").is_err());
        assert!(check_key(&[b'x'; 64]).is_err());
        assert!(check_key(KEY).is_ok());
    }
}
