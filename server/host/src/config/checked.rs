//! Checked values, ready for use.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hongyan_core::CoreConfig;
use hongyan_core::config::DevicePolicy;
use hongyan_protocol::limits::{FRAME_BYTES_MAX, FRAME_BYTES_MAX_UNAUTHENTICATED, PAGE_BYTES_MAX};
use tracing::level_filters::LevelFilter;

use super::{ConfigError, ListenConfig, RawConfig, Secret, WebConfig};

/// What the server runs with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where clients connect.
    pub listen: ListenConfig,
    /// What is kept on disk and how.
    pub store: StoreConfig,
    /// What one connection may cost.
    pub limits: LimitsConfig,
    /// Where the key of access tokens comes from.
    pub token_key: TokenKeyConfig,
    /// Tokens of another issuer.
    pub external: Option<ExternalConfig>,
    /// The web app; `None`: off.
    pub web: Option<WebConfig>,
    /// The operator's interface.
    pub admin: AdminConfig,
    /// Settings of the rules.
    pub core: CoreConfig,
    /// Clients of a stopping server come back within so long, in
    /// milliseconds.
    pub drain_spread_ms: u32,
    /// Form of the log.
    pub log_format: LogFormat,
    /// Filter of the log.
    pub log_level: String,
}

/// What is kept on disk and how.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// The directory.
    pub dir: PathBuf,
    /// Whether the log is kept in sled instead of segment files.
    pub sled_log: bool,
    /// Writes are refused below so much free space.
    pub free_bytes_min: u64,
    /// A settle round begins after so much log.
    pub settle_log_bytes: u64,
    /// A settle round begins after so long.
    pub settle_every: Duration,
    /// Memory for the views' own cache.
    pub cache_bytes: u64,
}

/// What one connection may cost. Times in milliseconds, sizes in bytes.
#[derive(Debug, Clone)]
pub struct LimitsConfig {
    /// Connections at once.
    pub connections_max: usize,
    /// New connections of one address per second.
    pub address_rate: u32,
    /// New connections of one address at once.
    pub address_burst: u32,
    /// Whether addresses of this machine are held to the two above.
    pub limit_loopback: bool,
    /// From accept to an open session.
    pub login_timeout_ms: u64,
    /// From accept to an established TLS connection.
    pub handshake_timeout_ms: u64,
    /// From the first byte of a frame to its last.
    pub frame_timeout_ms: u64,
    /// Without any progress in sending.
    pub write_stall_ms: u64,
    /// Without hearing anything in an open session: two and a half
    /// heartbeats.
    pub idle_timeout_ms: u64,
    /// Pushes are dropped above, and nothing is read.
    pub out_soft_bytes: usize,
    /// The connection closes above.
    pub out_hard_bytes: usize,
    /// Work waiting for the offload pool.
    pub offload_queue_max: usize,
}

/// Where the key of access tokens comes from.
#[derive(Debug, Clone)]
pub enum TokenKeyConfig {
    /// The configuration has it.
    Given(Secret),
    /// This file has it; made when it is not there.
    File(PathBuf),
}

/// Tokens of another issuer.
#[derive(Debug, Clone)]
pub struct ExternalConfig {
    /// Exact value of `iss`.
    pub issuer: String,
    /// Value that `aud` must have.
    pub audience: String,
    /// Algorithms that are taken.
    pub algorithms: Vec<jsonwebtoken::Algorithm>,
    /// Where its keys are.
    pub keys: JwksSource,
}

/// Where an issuer's keys are.
#[derive(Debug, Clone)]
pub enum JwksSource {
    /// Read again when a key is not known.
    File(PathBuf),
    /// Fetched again when a key is not known, at most once a minute.
    Url(String),
}

/// The operator's interface.
#[derive(Debug, Clone)]
pub struct AdminConfig {
    /// Loopback only; `None`: off.
    pub listen: Option<SocketAddr>,
    /// Whether `/metrics` is served without the token.
    pub open_metrics: bool,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Checks `raw`.
    ///
    /// # Errors
    /// [`ConfigError::Refused`] with the key to change.
    pub fn check(raw: &RawConfig) -> Result<Self, ConfigError> {
        let listen = super::listen::check(raw)?;
        let limits = check_limits(raw)?;
        let external = check_external(raw)?;
        let core = check_core(raw, external.is_some())?;
        Ok(Self {
            listen,
            store: check_store(raw)?,
            limits,
            token_key: check_token_key(raw)?,
            external,
            web: super::listen::check_web(raw)?,
            admin: check_admin(raw)?,
            core,
            drain_spread_ms: raw.session.drain_spread_ms,
            log_format: match raw.log.format.as_str() {
                "pretty" => LogFormat::Pretty,
                "json" => LogFormat::Json,
                _ => return refuse("log.format", "is \"pretty\" or \"json\""),
            },
            log_level: check_level(raw)?,
        })
    }
}

pub(super) fn refuse<T>(key: &'static str, detail: impl Into<String>) -> Result<T, ConfigError> {
    Err(ConfigError::Refused { key, detail: detail.into() })
}

pub(super) fn within(
    key: &'static str,
    value: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<u64, ConfigError> {
    if range.contains(&value) {
        Ok(value)
    } else {
        refuse(key, format!("{value} is not within {} and {}", range.start(), range.end()))
    }
}

pub(super) fn address(key: &'static str, text: &str) -> Result<Option<SocketAddr>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse() {
        Ok(address) => Ok(Some(address)),
        Err(_) => {
            refuse(key, "is an address and a port, such as \"127.0.0.1:5100\" or \"[::]:5100\"")
        }
    }
}

fn check_store(raw: &RawConfig) -> Result<StoreConfig, ConfigError> {
    const MIB: u64 = 1024 * 1024;
    let store = &raw.store;
    if store.dir.is_empty() {
        return refuse("store.dir", "is empty");
    }
    let sled_log = match store.log.as_str() {
        "segment" => false,
        "sled" => true,
        _ => return refuse("store.log", "is \"segment\" or \"sled\""),
    };
    Ok(StoreConfig {
        dir: store.dir.clone().into(),
        sled_log,
        free_bytes_min: within("store.free_mib_min", store.free_mib_min, 1..=1 << 20)? * MIB,
        settle_log_bytes: within("store.settle_log_mib", store.settle_log_mib, 1..=1 << 20)? * MIB,
        settle_every: Duration::from_secs(within(
            "store.settle_seconds",
            store.settle_seconds,
            1..=86_400,
        )?),
        cache_bytes: within("store.cache_mib", store.cache_mib, 4..=1 << 20)? * MIB,
    })
}

fn check_limits(raw: &RawConfig) -> Result<LimitsConfig, ConfigError> {
    let limits = &raw.limits;
    let heartbeat =
        within("session.heartbeat_ms", raw.session.heartbeat_ms.into(), 1_000..=600_000)?;
    let soft = limits.out_queue_soft_bytes;
    let hard = limits.out_queue_hard_bytes;
    within("limits.out_queue_soft_bytes", soft as u64, 4096..=64 << 20)?;
    // Two pages may be on their way, and a third frame makes it too many.
    if hard < soft + 3 * PAGE_BYTES_MAX {
        return refuse(
            "limits.out_queue_hard_bytes",
            format!(
                "must be out_queue_soft_bytes and {} more, or whole pages of history close the \
                 connection",
                3 * PAGE_BYTES_MAX
            ),
        );
    }
    let connections_max =
        within("limits.connections_max", limits.connections_max as u64, 1..=10_000_000)?;
    let timeout = |key, value| within(key, value, 100..=600_000);
    Ok(LimitsConfig {
        connections_max: connections_max as usize,
        address_rate: within(
            "limits.address_connections_per_second",
            limits.address_connections_per_second.into(),
            1..=1_000_000,
        )? as u32,
        address_burst: within(
            "limits.address_connections_burst",
            limits.address_connections_burst.into(),
            1..=1_000_000,
        )? as u32,
        limit_loopback: limits.limit_loopback,
        login_timeout_ms: timeout("limits.login_timeout_ms", limits.login_timeout_ms)?,
        handshake_timeout_ms: timeout(
            "limits.tls_handshake_timeout_ms",
            limits.tls_handshake_timeout_ms,
        )?,
        frame_timeout_ms: timeout("limits.frame_timeout_ms", limits.frame_timeout_ms)?,
        write_stall_ms: timeout("limits.write_stall_timeout_ms", limits.write_stall_timeout_ms)?,
        idle_timeout_ms: heartbeat * 5 / 2,
        out_soft_bytes: soft,
        out_hard_bytes: hard,
        offload_queue_max: within(
            "limits.offload_queue_max",
            limits.offload_queue_max as u64,
            1..=100_000,
        )? as usize,
    })
}

fn check_core(raw: &RawConfig, external_login: bool) -> Result<CoreConfig, ConfigError> {
    let frame_bytes_max = within(
        "limits.frame_bytes_max",
        raw.limits.frame_bytes_max as u64,
        FRAME_BYTES_MAX_UNAUTHENTICATED as u64..=FRAME_BYTES_MAX as u64,
    )?;
    if raw.limits.requests_per_second > 0 && raw.limits.requests_burst == 0 {
        return refuse("limits.requests_burst", "is zero: no request would ever be taken");
    }
    let defaults = CoreConfig::default();
    Ok(CoreConfig {
        frame_bytes_max: frame_bytes_max as u32,
        heartbeat_ms: raw.session.heartbeat_ms,
        access_token_ms: 1_000
            * within("auth.access_token_seconds", raw.auth.access_token_seconds, 10..=86_400)?,
        refresh_token_ms: 1_000
            * within(
                "auth.refresh_token_seconds",
                raw.auth.refresh_token_seconds,
                raw.auth.access_token_seconds.max(60)..=10 * 365 * 86_400,
            )?,
        registration_open: raw.auth.registration_open,
        external_login,
        device_policy: match raw.session.device_policy.as_str() {
            "all" => DevicePolicy::All,
            "one-per-class" => DevicePolicy::OnePerClass,
            "one" => DevicePolicy::One,
            _ => {
                return refuse("session.device_policy", "is \"all\", \"one-per-class\" or \"one\"");
            }
        },
        requests_per_second: raw.limits.requests_per_second,
        requests_burst: raw.limits.requests_burst,
        limit_loopback: raw.limits.limit_loopback,
        login_failures_max: within(
            "auth.login_failures_max",
            raw.auth.login_failures_max.into(),
            1..=1_000_000,
        )? as u32,
        login_penalty_ms: 1_000
            * within("auth.login_penalty_seconds", raw.auth.login_penalty_seconds, 1..=86_400)?,
        entities_max: within("core.entities_max", raw.core.entities_max as u64, 1_000..=1 << 32)?
            as usize,
        parked_max: within("core.parked_max", raw.core.parked_max as u64, 100..=1 << 24)? as usize,
        fanout_step: within("core.fanout_step", raw.core.fanout_step as u64, 16..=65_536)? as usize,
        ..defaults
    })
}

fn check_token_key(raw: &RawConfig) -> Result<TokenKeyConfig, ConfigError> {
    let auth = &raw.auth;
    if !auth.token_key.is_empty() {
        if !auth.token_key_file.is_empty() {
            return refuse("auth.token_key", "is given, and auth.token_key_file too");
        }
        crate::tokens::check_key(auth.token_key.expose().as_bytes())
            .or_else(|why| refuse("auth.token_key", why))?;
        return Ok(TokenKeyConfig::Given(auth.token_key.clone()));
    }
    Ok(TokenKeyConfig::File(if auth.token_key_file.is_empty() {
        PathBuf::from(&raw.store.dir).join("token.key")
    } else {
        auth.token_key_file.clone().into()
    }))
}

fn check_external(raw: &RawConfig) -> Result<Option<ExternalConfig>, ConfigError> {
    let external = &raw.auth.external;
    if external.issuer.is_empty() {
        if !external.jwks_file.is_empty() || !external.jwks_url.is_empty() {
            return refuse("auth.external.issuer", "is empty, but its keys are given");
        }
        return Ok(None);
    }
    if external.audience.is_empty() {
        return refuse("auth.external.audience", "is needed beside an issuer");
    }
    let mut algorithms = Vec::new();
    for name in &external.algorithms {
        use jsonwebtoken::Algorithm as A;
        match name.parse::<A>() {
            Ok(A::HS256 | A::HS384 | A::HS512) | Err(_) => {
                return refuse(
                    "auth.external.algorithms",
                    "takes signatures with a public key only: RS256, PS256, ES256, ES384, EdDSA",
                );
            }
            Ok(algorithm) => algorithms.push(algorithm),
        }
    }
    if algorithms.is_empty() {
        return refuse("auth.external.algorithms", "is empty: no token would ever be taken");
    }
    let keys = match (external.jwks_file.as_str(), external.jwks_url.as_str()) {
        ("", "") => return refuse("auth.external.jwks_file", "give jwks_file or jwks_url"),
        (file, "") => JwksSource::File(file.into()),
        ("", url) if !cfg!(feature = "jwks-url") => {
            return refuse("auth.external.jwks_url", format!("this build cannot fetch {url}"));
        }
        ("", url) if url.starts_with("https://") => JwksSource::Url(url.to_owned()),
        ("", _) => return refuse("auth.external.jwks_url", "must begin with https://"),
        _ => return refuse("auth.external.jwks_url", "is given, and jwks_file too"),
    };
    Ok(Some(ExternalConfig {
        issuer: external.issuer.clone(),
        audience: external.audience.clone(),
        algorithms,
        keys,
    }))
}

fn check_admin(raw: &RawConfig) -> Result<AdminConfig, ConfigError> {
    let listen = address("admin.listen", &raw.admin.listen)?;
    if let Some(listen) = listen
        && !listen.ip().is_loopback()
    {
        return refuse(
            "admin.listen",
            "must be an address of this machine only, such as 127.0.0.1",
        );
    }
    Ok(AdminConfig { listen, open_metrics: raw.admin.open_metrics })
}

fn check_level(raw: &RawConfig) -> Result<String, ConfigError> {
    // The parser takes a word alone for a part of the program of which
    // everything is to be logged, and of the rest then nothing.
    let words: Vec<&str> = raw.log.level.split(',').map(str::trim).collect();
    let alone = |word: &&&str| !word.contains(['=', '[']) && word.parse::<LevelFilter>().is_err();
    if let Some(word) = words.iter().find(alone) {
        return refuse(
            "log.level",
            format!("{word:?} is not one of error, warn, info, debug, trace, off"),
        );
    }
    if words.iter().all(|word| word.is_empty()) {
        return refuse("log.level", "is empty; \"off\" logs nothing");
    }
    match crate::observe::log::level_parser().parse(&raw.log.level) {
        Ok(_) => Ok(raw.log.level.clone()),
        Err(error) => refuse("log.level", error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut RawConfig)) -> String {
        let mut raw = RawConfig::default();
        change(&mut raw);
        match Config::check(&raw) {
            Err(ConfigError::Refused { key, .. }) => key.to_owned(),
            other => panic!("taken: {other:?}"),
        }
    }

    #[test]
    fn the_defaults_pass() {
        let config = Config::check(&RawConfig::default()).unwrap();
        assert!(config.listen.tcp.unwrap().ip().is_loopback());
        assert_eq!(config.limits.idle_timeout_ms, 75_000);
    }

    #[test]
    fn plaintext_for_others_must_be_said() {
        assert_eq!(refused(|raw| raw.listen.tcp = "0.0.0.0:5100".into()), "listen.tcp");
        let mut raw = RawConfig::default();
        raw.listen.tcp = "0.0.0.0:5100".into();
        raw.listen.allow_plaintext = true;
        assert!(Config::check(&raw).is_ok());
    }

    #[test]
    fn sample_and_short_secrets_are_refused() {
        for key in
            ["short", "changemechangemechangemechangeme", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
        {
            assert_eq!(refused(|raw| raw.auth.token_key = Secret::new(key)), "auth.token_key");
        }
    }

    #[test]
    fn a_level_is_one_of_those_that_there_are() {
        for level in ["loud", "inof", "info,hongyan", "inof,hongyan=debug", "", " , ", "hongyan"] {
            assert_eq!(refused(|raw| raw.log.level = level.into()), "log.level", "{level:?}");
        }
        for level in ["off", "WARN", "info", "info,hongyan::reactor=debug", "hongyan=debug,warn"] {
            let mut raw = RawConfig::default();
            raw.log.level = level.into();
            assert_eq!(Config::check(&raw).unwrap().log_level, level);
        }
    }

    #[test]
    fn a_level_has_no_regular_expressions() {
        let mut raw = RawConfig::default();
        // A set that is not closed: wrong as an expression, good as a text.
        raw.log.level = "info,hongyan[{conn=[a}]=debug".into();
        assert!(Config::check(&raw).is_ok());
        assert_eq!(refused(|raw| raw.log.level = "info,hongyan=loud".into()), "log.level");
    }

    #[test]
    fn contradictions_are_refused() {
        assert_eq!(
            refused(|raw| raw.listen.tls = "127.0.0.1:5101".into()),
            "listen.tls_certificate"
        );
        assert_eq!(refused(|raw| raw.listen.tls_key = "k.pem".into()), "listen.tls");
        assert_eq!(
            refused(|raw| raw.limits.out_queue_hard_bytes = 300_000),
            "limits.out_queue_hard_bytes"
        );
        assert_eq!(refused(|raw| raw.admin.listen = "0.0.0.0:5300".into()), "admin.listen");
        assert_eq!(refused(|raw| raw.auth.refresh_token_seconds = 1), "auth.refresh_token_seconds");
        assert_eq!(refused(|raw| raw.store.log = "paper".into()), "store.log");
        assert_eq!(refused(|raw| raw.limits.frame_bytes_max = 10), "limits.frame_bytes_max");
    }

    #[test]
    fn an_issuer_needs_audience_keys_and_public_algorithms() {
        let external = |change: fn(&mut super::super::RawExternal)| {
            refused(move |raw| {
                raw.auth.external.issuer = "https://id.example".into();
                raw.auth.external.audience = "chat".into();
                raw.auth.external.jwks_file = "keys.json".into();
                change(&mut raw.auth.external);
            })
        };
        assert_eq!(external(|e| e.audience.clear()), "auth.external.audience");
        assert_eq!(external(|e| e.algorithms = vec!["HS256".into()]), "auth.external.algorithms");
        assert_eq!(external(|e| e.algorithms = vec!["none".into()]), "auth.external.algorithms");
        assert_eq!(external(|e| e.jwks_file.clear()), "auth.external.jwks_file");
        assert_eq!(
            external(|e| e.jwks_url = "https://id.example/k".into()),
            "auth.external.jwks_url"
        );
    }
}
