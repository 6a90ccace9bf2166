//! The configuration as it is written: see `hongyan.toml` for what each key
//! means. Plain types only; nothing here is checked but names and types.

use serde::{Deserialize, Serialize};

use super::secret::Secret;

/// A build without WebSocket serves none.
const DEFAULT_WEBSOCKET: &str = if cfg!(feature = "websocket") { "127.0.0.1:5200" } else { "" };

macro_rules! rooms {
    ($($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $field_doc:literal])+ $field:ident: $kind:ty = $default:expr,)+ })+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
            #[serde(deny_unknown_fields, default)]
            pub struct $name {
                $($(#[doc = $field_doc])+ pub $field: $kind,)+
            }

            impl Default for $name {
                fn default() -> Self {
                    Self { $($field: $default,)+ }
                }
            }
        )+
    };
}

rooms! {
    /// The whole file.
    RawConfig {
        /// Where clients connect.
        listen: RawListen = RawListen::default(),
        /// Where browsers connect.
        websocket: RawWebSocket = RawWebSocket::default(),
        /// What is kept on disk and how.
        store: RawStore = RawStore::default(),
        /// What one connection may cost.
        limits: RawLimits = RawLimits::default(),
        /// Sessions and devices.
        session: RawSession = RawSession::default(),
        /// Accounts and tokens.
        auth: RawAuth = RawAuth::default(),
        /// The web app.
        web: RawWeb = RawWeb::default(),
        /// The operator's interface.
        admin: RawAdmin = RawAdmin::default(),
        /// What is logged.
        log: RawLog = RawLog::default(),
        /// Memory and step sizes of the rules.
        core: RawCore = RawCore::default(),
    }
    /// Where clients connect.
    RawListen {
        /// Plain TCP; empty: off.
        tcp: String = "127.0.0.1:5100".to_owned(),
        /// TLS; empty: off.
        tls: String = String::new(),
        /// PEM file with the certificate chain.
        tls_certificate: String = String::new(),
        /// PEM file with the private key.
        tls_key: String = String::new(),
        /// Whether `tcp` may be an address that others can reach.
        allow_plaintext: bool = false,
        /// Reactor threads; zero: one per CPU, at most 16.
        shards: u16 = 0,
    }
    /// Where browsers, mini-programs and scripts connect.
    RawWebSocket {
        /// Plain; empty: off.
        listen: String = DEFAULT_WEBSOCKET.to_owned(),
        /// Over TLS, with the certificate of `[listen]`; empty: off.
        tls: String = String::new(),
        /// The path of the address.
        path: String = "/ws".to_owned(),
        /// Pages that may connect; none: those of the same host.
        allowed_origins: Vec<String> = Vec::new(),
    }
    /// What is kept on disk and how.
    RawStore {
        /// The directory.
        dir: String = "data".to_owned(),
        /// "segment" or "sled".
        log: String = "segment".to_owned(),
        /// Writes are refused below so much free space, in MiB.
        free_mib_min: u64 = 256,
        /// A settle round begins after so much log, in MiB.
        settle_log_mib: u64 = 64,
        /// A settle round begins after so many seconds.
        settle_seconds: u64 = 30,
        /// Memory for the views' own cache, in MiB.
        cache_mib: u64 = 64,
    }
    /// What one connection may cost.
    RawLimits {
        /// Connections at once.
        connections_max: usize = 100_000,
        /// New connections of one address per second.
        address_connections_per_second: u32 = 50,
        /// New connections of one address at once.
        address_connections_burst: u32 = 200,
        /// Whether connections of this machine are held to the two above and to
        /// `requests_per_second`.
        limit_loopback: bool = false,
        /// Largest frame of an open session, in bytes.
        frame_bytes_max: usize = hongyan_protocol::limits::FRAME_BYTES_MAX,
        /// From accept to an open session.
        login_timeout_ms: u64 = 10_000,
        /// From accept to an established TLS connection.
        tls_handshake_timeout_ms: u64 = 5_000,
        /// From the first byte of a frame to its last.
        frame_timeout_ms: u64 = 10_000,
        /// Without any progress in sending.
        write_stall_timeout_ms: u64 = 30_000,
        /// Pushes are dropped above so many queued bytes, and nothing is read.
        out_queue_soft_bytes: usize = 256 * 1024,
        /// The connection closes above so many queued bytes.
        out_queue_hard_bytes: usize = 1024 * 1024,
        /// Requests per second of one connection; zero: no limit.
        requests_per_second: u32 = 200,
        /// Requests that may come at once before the rate counts.
        requests_burst: u32 = 500,
        /// Passwords being hashed or waiting for it.
        offload_queue_max: usize = 256,
    }
    /// Sessions and devices.
    RawSession {
        /// A silent client sends a heartbeat that often.
        heartbeat_ms: u32 = 30_000,
        /// "all", "one-per-class" or "one".
        device_policy: String = "all".to_owned(),
        /// On a stop, clients are told to come back within so long.
        drain_spread_ms: u32 = 5_000,
    }
    /// Accounts and tokens.
    RawAuth {
        /// Whether clients may make accounts.
        registration_open: bool = true,
        /// Life of an access token.
        access_token_seconds: u64 = 15 * 60,
        /// Life of a refresh token.
        refresh_token_seconds: u64 = 30 * 24 * 60 * 60,
        /// The signing key itself, 32 bytes or more; empty: see the file.
        token_key: Secret = Secret::default(),
        /// The file with the signing key; empty: `token.key` in the store's
        /// directory, made at the first start.
        token_key_file: String = String::new(),
        /// Failed logins of one account before it must wait.
        login_failures_max: u32 = 10,
        /// How long it must wait then.
        login_penalty_seconds: u64 = 600,
        /// Tokens of another issuer.
        external: RawExternal = RawExternal::default(),
    }
    /// Tokens of another issuer (OpenID Connect).
    RawExternal {
        /// Exact value of `iss`; empty: off.
        issuer: String = String::new(),
        /// Value that `aud` must have.
        audience: String = String::new(),
        /// Algorithms that are taken.
        algorithms: Vec<String> = vec!["RS256".to_owned(), "ES256".to_owned()],
        /// A file with the issuer's keys (JWKS).
        jwks_file: String = String::new(),
        /// An https address with the issuer's keys.
        jwks_url: String = String::new(),
    }
    /// The web app.
    RawWeb {
        /// Folder with its files; empty: off.
        dir: String = String::new(),
        /// Plain HTTP.
        listen: String = "127.0.0.1:5280".to_owned(),
    }
    /// The operator's interface.
    RawAdmin {
        /// Plain HTTP, on this machine only; empty: off.
        listen: String = "127.0.0.1:5300".to_owned(),
        /// Whether `/metrics` is served without the token.
        open_metrics: bool = true,
    }
    /// What is logged.
    RawLog {
        /// "pretty" or "json".
        format: String = "pretty".to_owned(),
        /// As tracing has it: "info", or "info,hongyan=debug".
        level: String = "info".to_owned(),
    }
    /// Memory and step sizes of the rules.
    RawCore {
        /// Entities kept in memory by one shard.
        entities_max: usize = 200_000,
        /// Inputs of one shard that may wait for the disk.
        parked_max: usize = 50_000,
        /// Receivers served by one step of a fan-out.
        fanout_step: usize = 1_024,
    }
}
