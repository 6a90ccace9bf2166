//! Configurations.

use std::path::Path;

use hongyan_protocol::limits::{FRAME_BYTES_MAX, FRAME_BYTES_MAX_UNAUTHENTICATED, PAGE_BYTES_MAX};
use jsonwebtoken::Algorithm;

use crate::config::{
    Config, ConfigError, JwksSource, ListenConfig, RawConfig, Secret, TokenKeyConfig,
};
use crate::observe::log::level_parser;
use crate::tokens::check_key;

/// No file of this name is ever opened.
const FILE: &str = "nowhere.toml";
const MIB: u64 = 1024 * 1024;

/// The text of a file, a NUL, and lines of the environment.
pub(super) fn config(input: &str) -> bool {
    let (text, lines) = input.split_once('\0').unwrap_or((input, ""));
    let environment: Vec<(String, String)> = lines
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let raw =
        RawConfig::parse(Path::new(FILE), text).and_then(|file| file.overlaid(environment.clone()));
    let raw = match raw {
        Ok(raw) => raw,
        Err(error) => return refused(&error, &environment),
    };
    assert_eq!(raw.clone().overlaid(environment.clone()).as_ref().ok(), Some(&raw));
    let outcome = Config::check(&raw);
    printed_is_the_same(&raw, &outcome);
    match outcome {
        Ok(config) => {
            kept_within(&config, &raw);
            listens(&config.listen, &raw);
            trusts(&config, &raw);
            true
        }
        Err(error) => refused(&error, &environment),
    }
}

/// False, for an error that names what is wrong.
fn refused(error: &ConfigError, environment: &[(String, String)]) -> bool {
    match error {
        ConfigError::Malformed { file, detail } => {
            assert!(file == Path::new(FILE) && detail.starts_with("line "), "{error}");
        }
        ConfigError::Environment { variable, .. } => {
            let named = environment.iter().any(|(name, _)| variable.contains(name.as_str()));
            assert!(named, "{error}");
        }
        ConfigError::Refused { key, detail } => {
            let defaults = toml::Table::try_from(RawConfig::default()).expect("a table");
            let (last, tables) = key.split('.').collect::<Vec<_>>().split_last().map_or_else(
                || panic!("no key is named"),
                |(last, tables)| ((*last).to_owned(), tables.join(".")),
            );
            let table = tables
                .split('.')
                .try_fold(&defaults, |table, name| table.get(name).and_then(toml::Value::as_table));
            assert!(table.is_some_and(|table| table.contains_key(&last)), "{error}");
            assert!(!detail.is_empty());
        }
        ConfigError::Unreadable { .. } => panic!("nothing was to be read: {error}"),
    }
    false
}

fn printed_is_the_same(raw: &RawConfig, outcome: &Result<Config, ConfigError>) {
    let printed = raw.to_masked_toml();
    let mut again = RawConfig::parse(Path::new(FILE), &printed).expect("what is printed is read");
    let mask = if raw.auth.token_key.is_empty() { "" } else { "***" };
    assert!(again.auth.token_key == Secret::new(mask), "the key is not masked");
    again.auth.token_key = raw.auth.token_key.clone();
    assert_eq!(&again, raw, "{printed}");
    let says = |outcome: &Result<Config, ConfigError>| match outcome {
        Ok(config) => format!("{config:?}"),
        Err(error) => error.to_string(),
    };
    assert_eq!(says(&Config::check(&again)), says(outcome));
}

fn kept_within(config: &Config, raw: &RawConfig) {
    let (store, limits, core) = (&config.store, &config.limits, &config.core);
    assert!(!store.dir.as_os_str().is_empty());
    assert_eq!(store.sled_log, raw.store.log == "sled");
    assert!((MIB..=MIB << 20).contains(&store.free_bytes_min));
    assert!((MIB..=MIB << 20).contains(&store.settle_log_bytes));
    assert!((4 * MIB..=MIB << 20).contains(&store.cache_bytes));
    assert!((1..=86_400).contains(&store.settle_every.as_secs()));
    assert!((1..=10_000_000).contains(&limits.connections_max));
    assert!((1..=1_000_000).contains(&limits.address_rate));
    assert!((1..=1_000_000).contains(&limits.address_burst));
    assert!((1..=100_000).contains(&limits.offload_queue_max));
    for timeout in [
        limits.login_timeout_ms,
        limits.handshake_timeout_ms,
        limits.frame_timeout_ms,
        limits.write_stall_ms,
    ] {
        assert!((100..=600_000).contains(&timeout));
    }
    assert!((4096..=64 << 20).contains(&limits.out_soft_bytes));
    assert!(limits.out_hard_bytes - limits.out_soft_bytes >= 3 * PAGE_BYTES_MAX);
    assert!((1_000..=600_000).contains(&core.heartbeat_ms));
    assert!(limits.idle_timeout_ms >= 2 * u64::from(core.heartbeat_ms));
    let frame_bytes_max = core.frame_bytes_max as usize;
    assert!((FRAME_BYTES_MAX_UNAUTHENTICATED..=FRAME_BYTES_MAX).contains(&frame_bytes_max));
    assert!(core.requests_per_second == 0 || core.requests_burst > 0);
    assert!((10_000..=86_400_000).contains(&core.access_token_ms));
    assert!((60_000..=10 * 365 * 86_400_000).contains(&core.refresh_token_ms));
    assert!(core.access_token_ms <= core.refresh_token_ms);
    assert!((1..=1_000_000).contains(&core.login_failures_max));
    assert!((1_000..=86_400_000).contains(&core.login_penalty_ms));
    assert!((1_000..=1 << 32).contains(&core.entities_max));
    assert!((100..=1 << 24).contains(&core.parked_max));
    assert!((16..=65_536).contains(&core.fanout_step));
}

fn listens(listen: &ListenConfig, raw: &RawConfig) {
    assert!((1..=16).contains(&listen.shards));
    let websocket = listen.websocket.as_ref();
    let plain = [listen.tcp, websocket.and_then(|it| it.plain)];
    assert!(plain.iter().flatten().all(|it| it.ip().is_loopback() || raw.listen.allow_plaintext));
    let encrypted = [listen.tls.as_ref(), websocket.and_then(|it| it.tls.as_ref())];
    let encrypted = encrypted.map(|tls| tls.map(|tls| tls.address));
    let mut all: Vec<_> = plain.into_iter().chain(encrypted).flatten().collect();
    all.retain(|address| address.port() != 0);
    let asked = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), asked, "an address is asked for twice");
    match listen.any_tls() {
        Some(tls) => {
            assert!(!tls.certificate.as_os_str().is_empty() && !tls.key.as_os_str().is_empty());
        }
        None => assert!(raw.listen.tls_certificate.is_empty() && raw.listen.tls_key.is_empty()),
    }
    if let Some(websocket) = websocket {
        assert!(websocket.path.starts_with('/'));
        assert!(websocket.plain.is_some() || websocket.tls.is_some());
        assert_eq!(websocket.allowed_origins.len(), raw.websocket.allowed_origins.len());
    }
}

fn trusts(config: &Config, raw: &RawConfig) {
    match &config.token_key {
        TokenKeyConfig::Given(key) => {
            assert_eq!(check_key(key.expose().as_bytes()), Ok(()));
            assert!(raw.auth.token_key_file.is_empty());
            assert!(!format!("{raw:?}{config:?}").contains(key.expose()), "a key is shown");
        }
        TokenKeyConfig::File(file) => {
            assert!(raw.auth.token_key.is_empty() && !file.as_os_str().is_empty());
        }
    }
    assert_eq!(config.core.external_login, config.external.is_some());
    assert_eq!(config.external.is_some(), !raw.auth.external.issuer.is_empty());
    if let Some(external) = &config.external {
        let shared = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
        assert!(!external.issuer.is_empty() && !external.audience.is_empty());
        assert!(!external.algorithms.is_empty());
        assert!(!external.algorithms.iter().any(|algorithm| shared.contains(algorithm)));
        match &external.keys {
            JwksSource::File(file) => assert!(!file.as_os_str().is_empty()),
            JwksSource::Url(url) => assert!(url.starts_with("https://")),
        }
    }
    assert!(config.admin.listen.is_none_or(|listen| listen.ip().is_loopback()));
    assert!(level_parser().parse(&config.log_level).is_ok());
}
