//! Passwords: argon2id with 19 MiB, two passes, one lane (the least that the
//! OWASP password storage sheet allows), stored as a PHC string.

use std::sync::OnceLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// A password could not be hashed: no memory, or no randomness.
#[derive(Debug, thiserror::Error)]
#[error("argon2: {0}")]
pub struct HashError(String);

fn argon2() -> Result<Argon2<'static>, HashError> {
    let params =
        Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|e| HashError(e.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The PHC string of `password`, with a new salt. Takes some ten
/// milliseconds and 19 MiB.
///
/// # Errors
/// [`HashError`].
pub fn hash_password(password: &str) -> Result<String, HashError> {
    let hash: PasswordHash =
        argon2()?.hash_password(password.as_bytes()).map_err(|e| HashError(e.to_string()))?;
    Ok(hash.to_string())
}

/// Whether `password` is the one of `hash`. Without a hash, or with one that
/// cannot be read, it takes as long and is false: how long a login takes does
/// not tell whether the account exists.
pub(super) fn verify(hash: Option<&str>, password: &str) -> bool {
    let parsed = hash.and_then(|hash| PasswordHash::new(hash).ok());
    let known = parsed.is_some();
    let Some(against) = parsed.or_else(|| PasswordHash::new(dummy()?).ok()) else {
        return false;
    };
    let matches =
        argon2().is_ok_and(|argon2| argon2.verify_password(password.as_bytes(), &against).is_ok());
    known && matches
}

/// A hash of something that nobody types.
fn dummy() -> Option<&'static str> {
    static DUMMY: OnceLock<Option<String>> = OnceLock::new();
    DUMMY
        .get_or_init(|| {
            let random = crate::tokens::random_bytes::<32>().map(|byte| char::from(byte & 0x7f));
            hash_password(&random.iter().collect::<String>()).ok()
        })
        .as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_matches() {
        let hash = hash_password("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(verify(Some(&hash), "correct horse"));
        assert!(!verify(Some(&hash), "correct horsf"));
        assert!(!verify(Some(&hash), ""));
        assert!(!verify(None, "correct horse"));
        assert!(!verify(Some(""), "correct horse"));
        assert!(!verify(Some("$argon2id$garbage"), "correct horse"));
    }

    #[test]
    fn the_same_password_has_another_hash_each_time() {
        assert_ne!(
            hash_password("correct horse").unwrap(),
            hash_password("correct horse").unwrap()
        );
    }
}
