//! Accounts by tokens of an external issuer, whose keys are in a file.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hongyan_client::{Account, Client, ClientError, ErrorCode, Status};
use serde_json::{Value, json};

use super::stage::Stage;
use super::wait::{direct, next_texts, refusal, say};

over_both!(
    a_token_of_the_issuer_makes_and_opens_an_account,
    tokens_that_are_not_for_us_are_refused,
    keys_that_were_replaced_count_no_more,
    without_an_issuer_no_token_is_taken,
);

pub(crate) const ISSUER: &str = "https://id.example";
pub(crate) const AUDIENCE: &str = "chat";

/// An issuer with one key.
pub(crate) struct Issuer {
    pair: EcdsaKeyPair,
    kid: &'static str,
}

impl Issuer {
    pub(crate) fn new(kid: &'static str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self { pair, kid }
    }

    /// The set of its one key.
    pub(crate) fn key_set(&self) -> String {
        let point = self.pair.public_key().as_ref();
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let key = json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.kid,
            "x": part(&point[1..33]), "y": part(&point[33..65]),
        });
        json!({ "keys": [key] }).to_string()
    }

    /// Writes the set.
    fn publish(&self, file: &Path) {
        // As an operator replaces a file: whole or not at all.
        let next = file.with_extension("next");
        std::fs::write(&next, self.key_set()).unwrap();
        std::fs::rename(next, file).unwrap();
    }

    fn sign(&self, algorithm: &str, claims: &Value) -> String {
        let header = json!({"alg": algorithm, "typ": "JWT", "kid": self.kid});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A good token about `subject`.
    pub(crate) fn token(&self, subject: &str) -> String {
        self.sign("ES256", &claims(subject))
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn claims(subject: &str) -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": subject, "name": format!("{subject} of the issuer"),
        "iat": now(), "exp": now() + 3_600,
    })
}

fn with(key: &str, value: Value) -> Value {
    let mut claims = claims("ann");
    claims[key] = value;
    claims
}

/// Opens a server that takes the tokens of `issuer`.
fn open(stage: &mut Stage, issuer: &Issuer, directory: &Path) {
    let file = directory.join("keys.json");
    issuer.publish(&file);
    stage.open_with(|raw| {
        raw.auth.external.issuer = ISSUER.into();
        raw.auth.external.audience = AUDIENCE.into();
        raw.auth.external.jwks_file = file.display().to_string();
        // Accounts come from the issuer alone.
        raw.auth.registration_open = false;
    });
}

async fn enter(stage: &Stage, token: &str) -> Result<(Client, Account), ClientError> {
    let client = stage.builder().build().await?;
    let account = client.login_external(token).await?;
    client.wait_live().await?;
    Ok((client, account))
}

async fn a_token_of_the_issuer_makes_and_opens_an_account(stage: &mut Stage) {
    let (directory, issuer) = (tempfile::tempdir().unwrap(), Issuer::new("a"));
    open(stage, &issuer, directory.path());
    let (ann, account) = enter(stage, &issuer.token("ann")).await.unwrap();
    assert_eq!(account.name, format!("oidc:{ISSUER}#ann"));
    assert!(account.display_name.starts_with("ann of"), "{account:?}");
    let (desktop, same) = enter(stage, &issuer.token("ann")).await.unwrap();
    assert_eq!(same, account);
    let (bob, _) = enter(stage, &issuer.token("bob")).await.unwrap();
    let (mut heard, mut echoed) = (bob.events(), desktop.events());
    say(&ann, direct(&ann, &bob), "hello").await;
    assert_eq!(next_texts(&mut heard, 1).await, ["hello"]);
    assert_eq!(next_texts(&mut echoed, 1).await, ["hello"]);
    // There is no password to such an account, and no other way to make one.
    let other = stage.builder().build().await.unwrap();
    assert_eq!(refusal(other.login(&account.name, "").await), ErrorCode::BadCredentials);
    let closed = other.register("cat", "a long password", "").await;
    assert_eq!(refusal(closed), ErrorCode::RegistrationClosed);
    // The session goes on by our own tokens.
    ann.disconnect().await.unwrap();
    assert_eq!(ann.resume().await.unwrap(), account);
}

async fn tokens_that_are_not_for_us_are_refused(stage: &mut Stage) {
    let (directory, issuer) = (tempfile::tempdir().unwrap(), Issuer::new("a"));
    open(stage, &issuer, directory.path());
    let client = stage.builder().build().await.unwrap();
    let invalid = ErrorCode::TokenInvalid;
    for (what, token, code) in [
        ("another issuer", issuer.sign("ES256", &with("iss", json!("https://x"))), invalid),
        ("another audience", issuer.sign("ES256", &with("aud", json!("shop"))), invalid),
        ("no audience", issuer.sign("ES256", &with("aud", Value::Null)), invalid),
        ("nobody", issuer.sign("ES256", &with("sub", json!(""))), invalid),
        ("not yet", issuer.sign("ES256", &with("nbf", json!(now() + 3_600))), invalid),
        (
            "no more",
            issuer.sign("ES256", &with("exp", json!(now() - 3_600))),
            ErrorCode::TokenExpired,
        ),
        ("no algorithm", issuer.sign("none", &claims("ann")), invalid),
        ("a shared key", issuer.sign("HS256", &claims("ann")), invalid),
        ("another algorithm", issuer.sign("RS256", &claims("ann")), invalid),
        ("another key", Issuer::new("a").token("ann"), invalid),
        ("no token", "a.b.c".into(), invalid),
        ("too long", "x".repeat(9_000), invalid),
    ] {
        assert_eq!(refusal(client.login_external(&token).await), code, "{what}");
        assert_eq!(client.status(), Status::AuthRequired);
    }
    client.login_external(&issuer.token("ann")).await.unwrap();
}

async fn keys_that_were_replaced_count_no_more(stage: &mut Stage) {
    let (directory, old) = (tempfile::tempdir().unwrap(), Issuer::new("old"));
    open(stage, &old, directory.path());
    let (client, account) = enter(stage, &old.token("ann")).await.unwrap();
    let new = Issuer::new("new");
    new.publish(&directory.path().join("keys.json"));
    // A running server looks again within a minute; one that starts, at once.
    stage.stop().await;
    stage.start_again().await;
    let (_, same) = enter(stage, &new.token("ann")).await.unwrap();
    assert_eq!(same, account);
    let other = stage.builder().build().await.unwrap();
    let refused = other.login_external(&old.token("ann")).await;
    assert_eq!(refusal(refused), ErrorCode::TokenInvalid);
    // Who was in stays in.
    client.wait_live().await.unwrap();
    client.devices().await.unwrap();
}

async fn without_an_issuer_no_token_is_taken(stage: &mut Stage) {
    stage.open();
    let client = stage.builder().build().await.unwrap();
    let refused = client.login_external(&Issuer::new("a").token("ann")).await;
    assert_eq!(refusal(refused), ErrorCode::ExternalLoginClosed);
}
