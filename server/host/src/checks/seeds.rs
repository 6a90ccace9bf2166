//! Where fuzzing begins: good tokens and configurations, and known ways in
//! which they are bad.

use hongyan_core::Claims;
use hongyan_protocol::UserId;
use serde_json::{Value, json};

use super::Kind;
use super::foreign::{good_claims, published, signed};
use super::own::{NOW, issue};
use crate::config::DEFAULT_TOML;

type Seeds = Vec<(&'static str, Vec<u8>)>;

/// Name and bytes of the seeds of [`super::token`]; the same in every run.
#[must_use]
pub fn token_seeds() -> Seeds {
    let mut seeds = own_texts();
    seeds.extend(own_claims());
    seeds.extend(issued());
    seeds.extend(foreign_texts());
    seeds.extend(foreign_claims());
    seeds.extend(foreign_headers());
    seeds.extend(key_sets());
    seeds
}

fn seed(kind: Kind, parts: &[&[u8]]) -> Vec<u8> {
    [&[kind as u8], parts.concat().as_slice()].concat()
}

fn with(mut base: Value, key: &str, value: Value) -> Value {
    base[key] = value;
    base
}

fn claims() -> Claims {
    let user = UserId::new(28_677).expect("not zero");
    let (device_id, epoch) = ("phone \"1\"".to_owned(), 3);
    Claims { user, device_id, epoch, issued_ms: NOW, expires_ms: NOW + 900_000 }
}

fn own_texts() -> Seeds {
    let good = issue(&claims());
    let (cut, _) = good.rsplit_once('.').expect("three parts");
    let old = issue(&Claims { issued_ms: 0, expires_ms: 1_000, ..claims() });
    let text = |text: &str| seed(Kind::Own, &[text.as_bytes()]);
    vec![
        ("own-good", text(&good)),
        ("own-expired", text(&old)),
        ("own-without-mac", text(&format!("{cut}."))),
        ("own-two-parts", text(cut)),
        ("own-padded", text(&format!("{good}="))),
        ("own-none", text("eyJhbGciOiJub25lIn0.e30.")),
        ("own-not-utf8", seed(Kind::Own, &[good.as_bytes(), b"\xff"])),
        ("refresh-secret", seed(Kind::Refresh, &[b"TdKWgbVDXr5XKPkfOcHf1zDI0pmsdnbm"])),
        ("refresh-empty", seed(Kind::Refresh, &[])),
    ]
}

fn own_claims() -> Seeds {
    let seconds = NOW / 1_000;
    let good = json!({ "dev": "phone", "epoch": 3, "exp": seconds + 900, "iat": seconds,
                       "iss": "hongyan", "sub": "28677" });
    let at = |now: u64, body: Value| {
        seed(Kind::OwnClaims, &[&now.to_le_bytes(), body.to_string().as_bytes()])
    };
    vec![
        ("own-claims-good", at(NOW, good.clone())),
        ("own-claims-expired", at(NOW + 960_000, good.clone())),
        ("own-claims-last-moment", at(NOW + 959_999, good.clone())),
        ("own-claims-too-early", at(NOW - 60_001, good.clone())),
        ("own-claims-last-time", at(u64::MAX, good.clone())),
        ("own-claims-issuer", at(NOW, with(good.clone(), "iss", json!("evil")))),
        ("own-claims-user-zero", at(NOW, with(good.clone(), "sub", json!("0")))),
        ("own-claims-user-number", at(NOW, with(good.clone(), "sub", json!(28_677)))),
        ("own-claims-no-device", at(NOW, with(good.clone(), "dev", json!("")))),
        ("own-claims-endless", at(NOW, with(good.clone(), "exp", json!(u64::MAX)))),
        ("own-claims-ends-before", at(NOW, with(good.clone(), "exp", json!(seconds - 1)))),
        ("own-claims-big-epoch", at(NOW, with(good, "epoch", json!(1_u64 << 32)))),
        ("own-claims-array", at(NOW, json!(["hongyan", "1", "d", 1, seconds, seconds]))),
        ("own-claims-text", seed(Kind::OwnClaims, &[&NOW.to_le_bytes(), b"hello"])),
    ]
}

fn issued() -> Seeds {
    let of = |issued: u64, expires: u64, at: u16, change: u8, device: &str| {
        seed(
            Kind::Issued,
            &[
                &28_677_u64.to_le_bytes(),
                &3_u32.to_le_bytes(),
                &issued.to_le_bytes(),
                &expires.to_le_bytes(),
                &NOW.to_le_bytes(),
                &at.to_le_bytes(),
                &[change],
                device.as_bytes(),
            ],
        )
    };
    let end = NOW + 900_000;
    vec![
        ("issued-good", of(NOW, end, 0, 0, "phone")),
        ("issued-changed", of(NOW, end, 90, 1, "phone")),
        ("issued-last-character", of(NOW, end, u16::MAX, 3, "phone")),
        ("issued-expired", of(0, NOW - 60_000, 0, 0, "phone")),
        ("issued-backwards", of(NOW, NOW - 1_000, 0, 0, "phone")),
        ("issued-escapes", of(NOW, end, 3, 32, &"\u{1}".repeat(64))),
        ("issued-no-device", of(NOW, end, 0, 0, "")),
        ("issued-long-device", of(NOW, end, 0, 0, &"x".repeat(65))),
        ("issued-last-times", of(u64::MAX, u64::MAX, 0, 0, "phone")),
    ]
}

fn foreign_texts() -> Seeds {
    let header = |alg: &str, kid: &str| json!({ "alg": alg, "kid": kid });
    let good = signed(&header("EdDSA", "ed"), &good_claims());
    let (cut, _) = good.rsplit_once('.').expect("three parts");
    let text = |text: &str| seed(Kind::Foreign, &[text.as_bytes()]);
    let other = |alg, kid| text(&signed(&header(alg, kid), &good_claims()));
    vec![
        ("foreign-good", text(&good)),
        ("foreign-unsigned", text(&format!("{cut}."))),
        ("foreign-none", other("none", "ed")),
        ("foreign-shared-key", other("HS256", "ed")),
        ("foreign-rsa", other("RS256", "rs")),
        ("foreign-other-algorithm", other("ES256", "es")),
        ("foreign-other-kid", other("EdDSA", "es")),
        ("foreign-dots", text("...")),
    ]
}

fn foreign_claims() -> Seeds {
    let seconds = NOW / 1_000;
    let at = |now: u64, choice: u8, body: Value| {
        seed(Kind::ForeignClaims, &[&[choice], &now.to_le_bytes(), body.to_string().as_bytes()])
    };
    let of = |key: &str, value: Value| at(NOW, 0, with(good_claims(), key, value));
    let many = with(good_claims(), "aud", json!(["shop", "chat"]));
    vec![
        ("foreign-claims-ed", at(NOW, 0, good_claims())),
        ("foreign-claims-es", at(NOW, 1, good_claims())),
        ("foreign-claims-expired", at(NOW + 661_000, 0, good_claims())),
        ("foreign-claims-last-second", at(NOW + 660_999, 0, good_claims())),
        ("foreign-claims-too-early", at(NOW - 61_000, 0, good_claims())),
        ("foreign-claims-last-time", at(u64::MAX, 0, good_claims())),
        ("foreign-claims-issuer", of("iss", json!("https://id.example/"))),
        ("foreign-claims-issuers", of("iss", json!(["https://id.example"]))),
        ("foreign-claims-audience", of("aud", json!("shop"))),
        ("foreign-claims-one-of-one", of("aud", json!(["chat"]))),
        ("foreign-claims-one-of-two", at(NOW, 0, many.clone())),
        ("foreign-claims-party", at(NOW, 0, with(many, "azp", json!("chat")))),
        ("foreign-claims-no-end", of("exp", json!(null))),
        ("foreign-claims-endless", of("exp", json!(u64::MAX))),
        ("foreign-claims-fraction", of("exp", json!(seconds as f64 + 0.5))),
        ("foreign-claims-before-1970", of("exp", json!(-1))),
        ("foreign-claims-not-yet", of("nbf", json!(seconds + 61))),
        ("foreign-claims-from-the-future", of("iat", json!(seconds + 61))),
        ("foreign-claims-no-subject", of("sub", json!(""))),
        ("foreign-claims-long-subject", of("sub", json!("x".repeat(256)))),
        ("foreign-claims-subject-newline", of("sub", json!("4\n2"))),
        ("foreign-claims-long-name", of("name", json!("鸿雁".repeat(20)))),
        ("foreign-claims-name-escape", of("name", json!("\u{1b}[1mAnn"))),
    ]
}

fn foreign_headers() -> Seeds {
    let header = |value: Value| seed(Kind::ForeignHeader, &[value.to_string().as_bytes()]);
    vec![
        ("foreign-header-good", header(json!({ "alg": "EdDSA", "kid": "ed", "typ": "JWT" }))),
        ("foreign-header-no-kid", header(json!({ "alg": "EdDSA" }))),
        ("foreign-header-path", header(json!({ "alg": "EdDSA", "kid": "../ed" }))),
        ("foreign-header-none", header(json!({ "alg": "none", "kid": "ed" }))),
        ("foreign-header-rsa", header(json!({ "alg": "RS256", "kid": "rs" }))),
        (
            "foreign-header-own-key",
            header(json!({ "alg": "EdDSA", "kid": "x", "jwk": published()["keys"][1] })),
        ),
    ]
}

fn key_sets() -> Seeds {
    let set = |value: Value| seed(Kind::KeySet, &[value.to_string().as_bytes()]);
    let key = published()["keys"][1].clone();
    let one = |key: Value| set(json!({ "keys": [key] }));
    vec![
        ("key-set-good", set(published())),
        ("key-set-one", one(key.clone())),
        ("key-set-empty", set(json!({ "keys": [] }))),
        ("key-set-future", set(json!({ "keys": [{ "kty": "FUTURE", "kid": "f" }, key] }))),
        ("key-set-encryption", one(with(key.clone(), "use", json!("enc")))),
        ("key-set-operations", one(with(key.clone(), "key_ops", json!(["wrapKey"])))),
        ("key-set-other-algorithm", one(with(key.clone(), "alg", json!("ES256")))),
        ("key-set-curve", one(with(key.clone(), "crv", json!("P-256")))),
        ("key-set-short", one(with(key, "x", json!("AAAA")))),
        ("key-set-shared", one(json!({ "kty": "oct", "kid": "ed", "k": "AAAA" }))),
        ("key-set-text", seed(Kind::KeySet, &[b"{\"keys\":"])),
    ]
}

/// Name and text of the seeds of [`super::config`]; the same in every run.
#[must_use]
pub fn config_seeds() -> Seeds {
    let with = |file: &str, environment: &str| format!("{file}\0{environment}").into_bytes();
    let key = "q8Zr2-vT5xW1nB7mK4jH9gF3dS6aP0oL";
    let issuer = "[auth.external]\nissuer = \"https://id.example\"\naudience = \"chat\"\n";
    vec![
        ("empty", Vec::new()),
        ("shipped", DEFAULT_TOML.into()),
        ("plaintext", with("[listen]\ntcp = \"0.0.0.0:5100\"\n", "")),
        (
            "plaintext-said",
            with("[listen]\ntcp = \"0.0.0.0:0\"\n", "HONGYAN_LISTEN__ALLOW_PLAINTEXT=1\nPATH=/bin"),
        ),
        (
            "tls",
            with("[listen]\ntls = \"[::]:5101\"\ntls_certificate = \"c\"\ntls_key = \"k\"\n", ""),
        ),
        ("tls-without-key", with("[listen]\ntls = \"[::]:5101\"\ntls_certificate = \"c\"\n", "")),
        ("key", with("", &format!("HONGYAN_AUTH__TOKEN_KEY={key}"))),
        ("key-in-file", with(&format!("[auth]\ntoken_key = '{key}'\n"), "")),
        ("key-sample", with("[auth]\ntoken_key = \"changeme\"\n", "")),
        ("issuer-file", with(&format!("{issuer}jwks_file = \"k\"\n"), "")),
        (
            "issuer-algorithms",
            with(
                &format!("{issuer}jwks_file = \"k\"\n"),
                "HONGYAN_AUTH__EXTERNAL__ALGORITHMS=EdDSA, ES384",
            ),
        ),
        ("issuer-shared-key", with(&format!("{issuer}algorithms = [\"HS256\"]\n"), "")),
        ("admin-open", with("[admin]\nlisten = \"0.0.0.0:5300\"\n", "")),
        ("queues", with("[limits]\nout_queue_soft_bytes = 67108864\n", "")),
        ("last-number", with("[store]\nsettle_seconds = 18446744073709551615\n", "")),
        ("last-sizes", with("[store]\nfree_mib_min = 1048576\ncache_mib = 1048576\n", "")),
        ("negative", with("[core]\nentities_max = -1\n", "")),
        ("filter", with("[log]\nlevel = \"info,hongyan[{conn=1}]=debug\"\nformat = 'json'\n", "")),
        ("unknown-key", with("[listen]\ntpc = \"127.0.0.1:1\"\n", "")),
        ("unknown-variable", with("", "HONGYAN_LISTEN__TPC=x")),
        ("wrong-type", with("", "HONGYAN_SESSION__HEARTBEAT_MS=soon")),
        ("too-large", with("", "HONGYAN_LISTEN__SHARDS=65536")),
        ("dotted", with("session.device_policy = \"\"\"one\"\"\"\nstore.dir = '鸿雁\\'\n", "")),
        ("not-toml", with("[listen\n", "")),
        ("not-utf8", b"[listen]\ntcp = \"\xff\"".to_vec()),
    ]
}
