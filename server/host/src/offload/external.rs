//! Tokens of an external issuer (OpenID Connect Core §3.1.3.7).
//!
//! The signature's algorithm must be one that the configuration lists, all of
//! them with a public key; `iss` must be exact, `aud` must name us (and `azp`
//! too when there are several), `exp`, `nbf` and `iat` hold with a minute of
//! leeway. `kid` chooses among the issuer's keys and nothing else; keys in
//! the token's own header are not looked at. Every time is judged by the clock
//! of the caller.

use hongyan_core::TokenFault;
use hongyan_core::input::ExternalSubject;
use hongyan_protocol::limits::{DISPLAY_NAME_BYTES_MAX, TOKEN_BYTES_MAX};
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;

use super::jwks::KeySet;
use crate::config::ExternalConfig;

/// Difference of clocks that is forgiven.
const LEEWAY_SECONDS: u64 = 60;
/// OpenID Connect Core §2: `sub` has at most 255 characters.
const SUBJECT_BYTES_MAX: usize = 255;

/// Checks tokens of one issuer.
pub(crate) struct Verifier {
    config: ExternalConfig,
    keys: KeySet,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    #[serde(default)]
    aud: Audience,
    azp: Option<String>,
    exp: Seconds,
    nbf: Option<Seconds>,
    iat: Option<Seconds>,
    name: Option<String>,
}

/// Since 1970. RFC 7519 §2 allows a fraction; it is cut off.
#[derive(Deserialize, Clone, Copy)]
#[serde(try_from = "serde_json::Number")]
struct Seconds(u64);

impl TryFrom<serde_json::Number> for Seconds {
    type Error = &'static str;

    fn try_from(number: serde_json::Number) -> Result<Self, Self::Error> {
        let fraction = || number.as_f64().filter(|seconds| (0.0..1e18).contains(seconds));
        let seconds = number.as_u64().or_else(|| fraction().map(|seconds| seconds as u64));
        seconds.map(Self).ok_or("no time since 1970")
    }
}

#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Audience {
    #[default]
    None,
    One(String),
    Many(Vec<String>),
}

impl Verifier {
    pub(crate) fn new(config: ExternalConfig) -> Self {
        let keys = KeySet::new(config.keys.clone());
        Self { config, keys }
    }

    /// With the keys of a set instead of those of its source; `None` when it is none.
    #[cfg(feature = "testing")]
    pub(crate) fn fixed(config: ExternalConfig, key_set: &[u8]) -> Option<Self> {
        Some(Self { config, keys: KeySet::fixed(key_set)? })
    }

    /// Who `token` is about.
    ///
    /// # Errors
    /// See [`TokenFault`].
    pub(crate) fn verify(
        &mut self,
        token: &str,
        unix_ms: u64,
    ) -> Result<ExternalSubject, TokenFault> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenFault::Invalid);
        }
        let header = decode_header(token).map_err(|_| TokenFault::Invalid)?;
        if !self.config.algorithms.contains(&header.alg) {
            return Err(TokenFault::Invalid);
        }
        let key = self.keys.find(header.kid.as_deref()).ok_or(TokenFault::Invalid)?;
        // One key, one algorithm, where the issuer says which.
        if let Some(algorithm) = key.common.key_algorithm
            && algorithm.to_string() != format!("{:?}", header.alg)
        {
            return Err(TokenFault::Invalid);
        }
        let key = DecodingKey::from_jwk(&key).map_err(|_| TokenFault::Invalid)?;
        let mut validation = Validation::new(header.alg);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_audience(&[&self.config.audience]);
        // That would be by the system's clock; see `subject`.
        validation.validate_exp = false;
        let decoded =
            decode::<Claims>(token, &key, &validation).map_err(|_| TokenFault::Invalid)?;
        self.subject(decoded.claims, unix_ms / 1_000)
    }

    fn subject(&self, claims: Claims, now: u64) -> Result<ExternalSubject, TokenFault> {
        let ours = &self.config.audience;
        let for_us = match &claims.aud {
            Audience::None => false,
            Audience::One(audience) => audience == ours,
            Audience::Many(all) => {
                all.contains(ours) && (all.len() == 1 || claims.azp.as_ref() == Some(ours))
            }
        };
        let begun = |time: Option<Seconds>| time.is_none_or(|time| time.0 <= now + LEEWAY_SECONDS);
        let in_force = begun(claims.nbf) && begun(claims.iat);
        let named = (1..=SUBJECT_BYTES_MAX).contains(&claims.sub.len())
            && !claims.sub.contains(char::is_control);
        if !for_us || !in_force || !named || claims.iss != self.config.issuer {
            return Err(TokenFault::Invalid);
        }
        if claims.exp.0.saturating_add(LEEWAY_SECONDS) < now {
            return Err(TokenFault::Expired);
        }
        let mut display_name = claims.name.unwrap_or_default();
        display_name.retain(|character| !character.is_control());
        while display_name.len() > DISPLAY_NAME_BYTES_MAX {
            display_name.pop();
        }
        Ok(ExternalSubject { name: format!("oidc:{}#{}", claims.iss, claims.sub), display_name })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;
    use crate::config::JwksSource;
    use crate::shared::unix_ms;

    struct Issuer {
        pair: EcdsaKeyPair,
        kid: &'static str,
    }

    impl Issuer {
        fn new(kid: &'static str) -> Self {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
            Self { pair, kid }
        }

        fn jwk(&self) -> Value {
            let point = self.pair.public_key().as_ref();
            json!({
                "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid,
                "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..65]),
            })
        }

        fn sign(&self, header: &Value, claims: &Value) -> String {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let signed = format!("{}.{}", part(header), part(claims));
            let random = aws_lc_rs::rand::SystemRandom::new();
            let signature = self.pair.sign(&random, signed.as_bytes()).unwrap();
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
        }

        fn token(&self, claims: &Value) -> String {
            self.sign(&json!({"alg": "ES256", "typ": "JWT", "kid": self.kid}), claims)
        }
    }

    fn claims() -> Value {
        let now = unix_ms() / 1_000;
        json!({
            "iss": "https://id.example", "sub": "42", "aud": "chat", "name": "Ann",
            "iat": now, "nbf": now, "exp": now + 600,
        })
    }

    fn with(key: &str, value: Value) -> Value {
        let mut claims = claims();
        claims[key] = value;
        claims
    }

    fn write_keys(file: &Path, issuers: &[&Issuer]) {
        let mut keys: Vec<Value> = issuers.iter().map(|issuer| issuer.jwk()).collect();
        keys.push(json!({"kty": "FUTURE", "kid": "f"}));
        std::fs::write(file, json!({ "keys": keys }).to_string()).unwrap();
    }

    fn verifier(file: &Path) -> Verifier {
        Verifier::new(ExternalConfig {
            issuer: "https://id.example".into(),
            audience: "chat".into(),
            algorithms: vec![jsonwebtoken::Algorithm::ES256],
            keys: JwksSource::File(file.into()),
        })
    }

    #[test]
    fn a_good_token_names_its_subject() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys.json");
        let issuer = Issuer::new("a");
        write_keys(&file, &[&issuer]);
        let mut verifier = verifier(&file);
        let expected = ExternalSubject {
            name: "oidc:https://id.example#42".into(),
            display_name: "Ann".into(),
        };
        assert_eq!(verifier.verify(&issuer.token(&claims()), unix_ms()), Ok(expected.clone()));
        let many = with("aud", json!(["other", "chat"]));
        assert_eq!(verifier.verify(&issuer.token(&many), unix_ms()), Err(TokenFault::Invalid));
        let mut many = many;
        many["azp"] = json!("chat");
        assert_eq!(verifier.verify(&issuer.token(&many), unix_ms()), Ok(expected.clone()));
        let control = with("name", json!("\u{1b}Ann\n"));
        assert_eq!(verifier.verify(&issuer.token(&control), unix_ms()), Ok(expected));
    }

    #[test]
    fn times_are_judged_by_the_clock_of_the_caller() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys.json");
        let issuer = Issuer::new("a");
        write_keys(&file, &[&issuer]);
        let mut verifier = verifier(&file);
        let mut claims = claims();
        claims["nbf"] = json!(1_000_000);
        claims["iat"] = json!(1_000_000.5);
        claims["exp"] = json!(2_000_000.5);
        let token = issuer.token(&claims);
        let mut at = |seconds: u64| verifier.verify(&token, seconds * 1_000).map(drop);
        assert_eq!(at(999_939), Err(TokenFault::Invalid));
        assert_eq!(at(999_940), Ok(()));
        assert_eq!(at(2_000_060), Ok(()));
        assert_eq!(at(2_000_061), Err(TokenFault::Expired));
        for exp in [json!(-1), json!("2000000"), json!(1e300), json!(null)] {
            claims["exp"] = exp;
            let token = issuer.token(&claims);
            assert_eq!(verifier.verify(&token, 1_500_000_000), Err(TokenFault::Invalid));
        }
    }

    #[test]
    fn bad_tokens_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys.json");
        let issuer = Issuer::new("a");
        write_keys(&file, &[&issuer]);
        let mut verifier = verifier(&file);
        let now = unix_ms() / 1_000;
        let stranger = Issuer::new("a");
        let header = |alg: &str| json!({"alg": alg, "typ": "JWT", "kid": "a"});
        let mut without_exp = claims();
        without_exp.as_object_mut().unwrap().remove("exp");
        for (name, token) in [
            ("another key", stranger.token(&claims())),
            ("another issuer", issuer.token(&with("iss", json!("https://id.example/")))),
            ("another audience", issuer.token(&with("aud", json!("shop")))),
            ("no subject", issuer.token(&with("sub", json!("")))),
            ("control characters", issuer.token(&with("sub", json!("4\n2")))),
            ("long subject", issuer.token(&with("sub", json!("x".repeat(300))))),
            ("not yet", issuer.token(&with("nbf", json!(now + 600)))),
            ("from the future", issuer.token(&with("iat", json!(now + 600)))),
            ("no end", issuer.token(&without_exp)),
            ("alg none", issuer.sign(&header("none"), &claims())),
            ("alg HS256", issuer.sign(&header("HS256"), &claims())),
            ("alg RS256", issuer.sign(&header("RS256"), &claims())),
            ("unknown kid", issuer.sign(&json!({"alg": "ES256", "kid": "zzz"}), &claims())),
            (
                "key in the header",
                issuer.sign(&json!({"alg": "ES256", "kid": "b", "jwk": issuer.jwk()}), &claims()),
            ),
            ("garbage", "a.b.c".into()),
            ("empty", String::new()),
        ] {
            assert_eq!(verifier.verify(&token, unix_ms()), Err(TokenFault::Invalid), "{name}");
        }
        let expired = issuer.token(&with("exp", json!(now - 100)));
        assert_eq!(verifier.verify(&expired, unix_ms()), Err(TokenFault::Expired));
        let just_expired = issuer.token(&with("exp", json!(now - 30)));
        assert!(verifier.verify(&just_expired, unix_ms()).is_ok());
    }

    #[test]
    fn keys_rotate_and_stay_while_the_source_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("keys.json");
        let (old, new) = (Issuer::new("old"), Issuer::new("new"));
        write_keys(&file, &[&old]);
        let mut verifier = verifier(&file);
        assert!(verifier.verify(&old.token(&claims()), unix_ms()).is_ok());
        write_keys(&file, &[&new]);
        // Within the pause the new key is not looked for.
        assert!(verifier.verify(&new.token(&claims()), unix_ms()).is_err());
        verifier.keys.forget_pause();
        assert!(verifier.verify(&new.token(&claims()), unix_ms()).is_ok());
        assert!(verifier.verify(&old.token(&claims()), unix_ms()).is_err());
        std::fs::remove_file(&file).unwrap();
        verifier.keys.forget_pause();
        assert!(verifier.verify(&old.token(&claims()), unix_ms()).is_err());
        assert!(verifier.verify(&new.token(&claims()), unix_ms()).is_ok());
    }
}
