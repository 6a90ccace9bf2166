//! Tokens of another issuer, which has three keys: two that sign here, and an
//! RSA key with which nobody can sign.

use std::sync::LazyLock;

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair,
    Ed25519KeyPair, KeyPair, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hongyan_core::TokenFault;
use hongyan_core::input::ExternalSubject;
use hongyan_protocol::limits::{DISPLAY_NAME_BYTES_MAX, TOKEN_BYTES_MAX};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::own::NOW;
use super::{canonical, take};
use crate::config::{ExternalConfig, JwksSource};
use crate::offload::Verifier;

pub(super) const ISSUER: &str = "https://id.example";
pub(super) const AUDIENCE: &str = "chat";
const LEEWAY_SECONDS: u64 = 60;
const SUBJECT_BYTES_MAX: usize = 255;

/// A pair of keys, one of each algorithm that signs here.
pub(super) struct Signer {
    ec: EcdsaKeyPair,
    ed: Ed25519KeyPair,
}

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new(7));
static STRANGER: LazyLock<Signer> = LazyLock::new(|| Signer::new(8));
static KEY_SET: LazyLock<Vec<u8>> = LazyLock::new(|| key_set_of(&SIGNER).to_string().into_bytes());

impl Signer {
    fn new(seed: u8) -> Self {
        let scalar = [seed; 32];
        let point = PrivateKey::from_private_key(&ECDH_P256, &scalar)
            .and_then(|key| key.compute_public_key().map_err(|_| unreachable!("a good scalar")))
            .expect("a good scalar");
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let ec = EcdsaKeyPair::from_private_key_and_public_key(algorithm, &scalar, point.as_ref());
        let ed = Ed25519KeyPair::from_seed_unchecked(&scalar);
        Self { ec: ec.expect("a good scalar"), ed: ed.expect("32 bytes") }
    }

    fn sign(&self, algorithm: Algorithm, header: &[u8], claims: &[u8]) -> String {
        let signed =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let bytes = signed.as_bytes();
        let signature = match algorithm {
            Algorithm::ES256 => self.ec.sign(&SystemRandom::new(), bytes).expect("signs"),
            _ => self.ed.sign(bytes),
        };
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A token of the issuer that is the same in every run.
pub(super) fn signed(header: &Value, claims: &Value) -> String {
    SIGNER.sign(Algorithm::EdDSA, header.to_string().as_bytes(), claims.to_string().as_bytes())
}

/// The key set of the issuer.
pub(super) fn published() -> Value {
    key_set_of(&SIGNER)
}

fn key_set_of(signer: &Signer) -> Value {
    let point = signer.ec.public_key().as_ref();
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    json!({ "keys": [
        { "alg": "ES256", "crv": "P-256", "kid": "es", "kty": "EC", "use": "sig",
          "x": part(&point[1..33]), "y": part(&point[33..65]) },
        { "crv": "Ed25519", "kid": "ed", "kty": "OKP", "x": part(signer.ed.public_key().as_ref()) },
        { "alg": "RS256", "e": "AQAB", "kid": "rs", "kty": "RSA", "n": part(&[0xC5; 256]) },
    ]})
}

fn verifier(key_set: &[u8]) -> Option<Verifier> {
    let config = ExternalConfig {
        issuer: ISSUER.into(),
        audience: AUDIENCE.into(),
        algorithms: vec![Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256],
        keys: JwksSource::File("nowhere".into()),
    };
    Verifier::fixed(config, key_set)
}

fn verify(token: &str, now: u64) -> Result<ExternalSubject, TokenFault> {
    verifier(&KEY_SET).expect("a good key set").verify(token, now)
}

/// A text as it came.
pub(super) fn token(text: &str) -> bool {
    let verified = verify(text, NOW);
    if verified != Err(TokenFault::Invalid) {
        assert!(is_signed(text), "taken, though the issuer did not sign it");
    }
    verified.is_ok_and(|subject| is_sound(&subject))
}

fn is_signed(text: &str) -> bool {
    let (signed, signature) = text.rsplit_once('.').expect("three parts");
    let (header, _) = signed.split_once('.').expect("three parts");
    let header: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).expect("base64")).expect("JSON");
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("base64");
    let message = signed.as_bytes();
    match header["alg"].as_str() {
        Some("ES256") => {
            let key = SIGNER.ec.public_key().as_ref();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key).verify(message, &signature)
        }
        Some("EdDSA") => {
            let key = SIGNER.ed.public_key().as_ref();
            UnparsedPublicKey::new(&ED25519, key).verify(message, &signature)
        }
        _ => return false,
    }
    .is_ok()
}

/// Algorithm, time, and claims that the issuer signs.
pub(super) fn claims(mut data: &[u8]) -> bool {
    let (Some(choice), Some(now)) = (take::<1>(&mut data), take::<8>(&mut data)) else {
        return false;
    };
    let (algorithm, kid) =
        if choice & 1 == 0 { (Algorithm::EdDSA, "ed") } else { (Algorithm::ES256, "es") };
    let header = json!({ "alg": algorithm, "kid": kid }).to_string();
    let stranger = STRANGER.sign(algorithm, header.as_bytes(), data);
    assert_eq!(verify(&stranger, now), Err(TokenFault::Invalid));
    let token = SIGNER.sign(algorithm, header.as_bytes(), data);
    let verified = verify(&token, now);
    if let Some(body) = canonical(data) {
        let long = token.len() > TOKEN_BYTES_MAX;
        let expected = if long { None } else { judge(&body, now / 1_000) };
        assert_eq!(verified, expected.unwrap_or(Err(TokenFault::Invalid)), "{body}");
    }
    verified.is_ok_and(|subject| is_sound(&subject))
}

/// A header over good claims.
pub(super) fn header(data: &[u8]) -> bool {
    let claims = good_claims().to_string();
    let token = SIGNER.sign(Algorithm::EdDSA, data, claims.as_bytes());
    let verified = verify(&token, NOW);
    if verified.is_ok() {
        let header: Value = serde_json::from_slice(data).expect("JSON");
        assert_eq!((&header["alg"], &header["kid"]), (&json!("EdDSA"), &json!("ed")));
    }
    verified.is_ok_and(|subject| is_sound(&subject))
}

/// A key set, and good tokens of the issuer.
pub(super) fn key_set(data: &[u8]) -> bool {
    let Some(mut verifier) = verifier(data) else {
        return false;
    };
    let claims = good_claims().to_string();
    let mut any = false;
    for (algorithm, kid) in
        [(Algorithm::ES256, Some("es")), (Algorithm::EdDSA, Some("ed")), (Algorithm::EdDSA, None)]
    {
        let header = match kid {
            Some(kid) => json!({ "alg": algorithm, "kid": kid }),
            None => json!({ "alg": algorithm }),
        };
        let token = SIGNER.sign(algorithm, header.to_string().as_bytes(), claims.as_bytes());
        if verifier.verify(&token, NOW).is_ok() {
            let set: Value = serde_json::from_slice(data).expect("JSON");
            let keys = set["keys"].as_array().expect("keys");
            assert!(keys.iter().any(|key| vouches(key, algorithm, kid)), "{set}");
            any = true;
        }
    }
    any
}

fn vouches(key: &Value, algorithm: Algorithm, kid: Option<&str>) -> bool {
    let part = |name: &str| {
        let text = key[name].as_str().unwrap_or_default();
        URL_SAFE_NO_PAD.decode(text).unwrap_or_default()
    };
    let ours = match algorithm {
        Algorithm::ES256 => {
            [vec![4], part("x"), part("y")].concat() == SIGNER.ec.public_key().as_ref()
        }
        _ => part("x") == SIGNER.ed.public_key().as_ref(),
    };
    let named = kid.is_none_or(|kid| key["kid"] == kid);
    let for_it = key["alg"].is_null() || key["alg"] == json!(algorithm);
    ours && named && for_it && (key["use"].is_null() || key["use"] == "sig")
}

/// Claims that are in force at [`NOW`].
pub(super) fn good_claims() -> Value {
    let now = NOW / 1_000;
    json!({ "aud": AUDIENCE, "exp": now + 600, "iat": now, "iss": ISSUER, "name": "Ann",
            "nbf": now, "sub": "42" })
}

/// What a verification must say of these claims; `None`: they are invalid.
fn judge(body: &Value, now: u64) -> Option<Result<ExternalSubject, TokenFault>> {
    let seconds = |value: &Value| {
        let fraction = value.as_f64().filter(|time| (0.0..1e18).contains(time));
        value.as_u64().or(fraction.map(|time| time as u64))
    };
    let begun = |key: &str| match &body[key] {
        Value::Null => true,
        value => seconds(value).is_some_and(|time| time <= now + LEEWAY_SECONDS),
    };
    let optional = |key: &str| body[key].is_null() || body[key].is_string();
    let for_us = match &body["aud"] {
        Value::String(audience) => audience == AUDIENCE,
        Value::Array(all) => {
            all.iter().all(Value::is_string)
                && all.iter().any(|audience| audience == AUDIENCE)
                && (all.len() == 1 || body["azp"] == AUDIENCE)
        }
        _ => false,
    };
    let subject = body["sub"].as_str()?;
    let named = (1..=SUBJECT_BYTES_MAX).contains(&subject.len());
    let sound = body["iss"] == ISSUER && for_us && named && begun("nbf") && begun("iat");
    if !sound || !optional("azp") || !optional("name") || subject.contains(char::is_control) {
        return None;
    }
    if seconds(&body["exp"])?.saturating_add(LEEWAY_SECONDS) < now {
        return Some(Err(TokenFault::Expired));
    }
    let mut display_name = body["name"].as_str().unwrap_or_default().to_owned();
    display_name.retain(|character| !character.is_control());
    while display_name.len() > DISPLAY_NAME_BYTES_MAX {
        display_name.pop();
    }
    Some(Ok(ExternalSubject { name: format!("oidc:{ISSUER}#{subject}"), display_name }))
}

fn is_sound(subject: &ExternalSubject) -> bool {
    let prefix = format!("oidc:{ISSUER}#");
    let named = subject.name.strip_prefix(&prefix).expect("the issuer's name comes first");
    assert!((1..=SUBJECT_BYTES_MAX).contains(&named.len()));
    assert!(subject.display_name.len() <= DISPLAY_NAME_BYTES_MAX);
    assert!(!format!("{named}{}", subject.display_name).contains(char::is_control));
    true
}
