//! What an operator may set of the rules. Checked by the host, not here.

/// How many devices of one account may be signed in at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DevicePolicy {
    /// Any number, up to the limit of devices.
    #[default]
    All,
    /// One of each class: a new phone signs the old phone out.
    OnePerClass,
    /// One: a new device signs all others out.
    One,
}

/// Settings of the rules.
#[derive(Debug, Clone)]
pub struct CoreConfig {
    /// Name and version told in Welcome.
    pub server: String,
    /// Largest frame taken in an open session, in bytes.
    pub frame_bytes_max: u32,
    /// How often a silent client must send a heartbeat, in milliseconds.
    pub heartbeat_ms: u32,
    /// Life of an access token, in milliseconds.
    pub access_token_ms: u64,
    /// Life of a refresh token, in milliseconds.
    pub refresh_token_ms: u64,
    /// Whether clients may make accounts.
    pub registration_open: bool,
    /// Whether tokens of an external issuer are taken.
    pub external_login: bool,
    /// Devices of one account at once.
    pub device_policy: DevicePolicy,
    /// Requests per second of one connection; zero: no limit.
    pub requests_per_second: u32,
    /// Requests that may come at once before the rate counts.
    pub requests_burst: u32,
    /// Whether connections of this machine are held to that rate too.
    pub limit_loopback: bool,
    /// Failed logins of one account before it must wait.
    pub login_failures_max: u32,
    /// How long it must wait then, in milliseconds.
    pub login_penalty_ms: u64,
    /// Entities kept in memory by one shard before unused ones are let go.
    pub entities_max: usize,
    /// Inputs of one shard that may wait for cold state; above it: Busy.
    pub parked_max: usize,
    /// Receivers served by one fan-out step.
    pub fanout_step: usize,
    /// Seeds the hash maps, so that strangers cannot choose colliding names.
    /// The host draws it at start; no order depends on it.
    pub hash_seed: u64,
}

impl Default for CoreConfig {
    fn default() -> Self {
        Self {
            server: concat!("hongyan/", env!("CARGO_PKG_VERSION")).to_owned(),
            frame_bytes_max: hongyan_protocol::limits::FRAME_BYTES_MAX as u32,
            heartbeat_ms: 50_000,
            access_token_ms: 15 * 60 * 1000,
            refresh_token_ms: 30 * 24 * 60 * 60 * 1000,
            registration_open: true,
            external_login: false,
            device_policy: DevicePolicy::All,
            requests_per_second: 200,
            requests_burst: 500,
            limit_loopback: true,
            login_failures_max: 10,
            login_penalty_ms: 10 * 60 * 1000,
            entities_max: 200_000,
            parked_max: 50_000,
            fanout_step: 1024,
            hash_seed: 0,
        }
    }
}
