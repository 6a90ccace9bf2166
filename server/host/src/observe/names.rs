//! Every metric's name, kind and meaning, in one place. A name is a promise to
//! dashboards: changing one is a change for operators.

/// Name, Prometheus type, help.
pub(crate) type Name = (&'static str, &'static str, &'static str);

pub(crate) const ACCEPTED: Name =
    ("hongyan_connections_accepted_total", "counter", "Connections taken from the acceptor");
pub(crate) const ACCEPT_EXHAUSTED: Name =
    ("hongyan_accept_exhausted_total", "counter", "Accepts that failed for want of descriptors");
pub(crate) const ACCEPT_FULL: Name =
    ("hongyan_accept_full_total", "counter", "Connections turned away: as many as there may be");
pub(crate) const ACCEPT_RATE_LIMITED: Name = (
    "hongyan_accept_rate_limited_total",
    "counter",
    "Connections turned away: too many of one address",
);
pub(crate) const ADOPTED: Name =
    ("hongyan_connections_moved_total", "counter", "Connections moved to the worker of their user");
pub(crate) const BYTES_IN: Name = ("hongyan_bytes_in_total", "counter", "Bytes read from clients");
pub(crate) const BYTES_OUT: Name = ("hongyan_bytes_out_total", "counter", "Bytes sent to clients");
pub(crate) const CLOSED: Name =
    ("hongyan_connections_closed_total", "counter", "Connections closed, by reason");
pub(crate) const COMMIT_BYTES: Name =
    ("hongyan_log_bytes_total", "counter", "Payload bytes appended to the log");
pub(crate) const COMMIT_RECORDS: Name =
    ("hongyan_log_records_total", "counter", "Records appended to the log");
pub(crate) const COMMIT_APPENDS: Name =
    ("hongyan_log_appends_total", "counter", "Appends to the log");
pub(crate) const COMMIT_SYNCS: Name = ("hongyan_log_syncs_total", "counter", "Syncs of the log");
pub(crate) const COMMIT_SYNC_SECONDS: Name =
    ("hongyan_log_sync_seconds", "histogram", "Time of a sync");
pub(crate) const CONNECTIONS: Name = ("hongyan_connections", "gauge", "Open connections");
pub(crate) const DISK_FREE: Name =
    ("hongyan_store_free_bytes", "gauge", "Free space where the store is");
pub(crate) const UNSETTLED: Name = (
    "hongyan_unsettled_bytes",
    "gauge",
    "Bytes written to the log that are not in the views yet, and so in memory",
);
pub(crate) const ENTITIES: Name = ("hongyan_entities", "gauge", "Entities in memory");
pub(crate) const ENTITIES_DIRTY: Name =
    ("hongyan_entities_dirty", "gauge", "Entities that differ from the views");
pub(crate) const FELL_BEHIND: Name =
    ("hongyan_connections_behind_total", "counter", "Times a slow reader was told to sync instead");
pub(crate) const FRAMES_IN: Name = ("hongyan_frames_in_total", "counter", "Frames from clients");
pub(crate) const FRAMES_OUT: Name = ("hongyan_frames_out_total", "counter", "Frames to clients");
pub(crate) const HEALTH: Name = ("hongyan_health", "gauge", "0 well, 1 stopping, 2 failed");
pub(crate) const IN_FLIGHT: Name =
    ("hongyan_log_in_flight_bytes", "gauge", "Bytes submitted and not written yet");
pub(crate) const LOADS: Name = ("hongyan_loads_total", "counter", "Reads of the views");
pub(crate) const MAILBOX_LEN: Name = ("hongyan_mailbox_len", "gauge", "Posts waiting for a worker");
pub(crate) const MALFORMED: Name =
    ("hongyan_malformed_total", "counter", "Bytes that were not what the protocol says");
pub(crate) const MESSAGES: Name = ("hongyan_messages_total", "counter", "Messages stored");
pub(crate) const OFFLOAD_REFUSED: Name =
    ("hongyan_offload_refused_total", "counter", "Slow work refused: too much was waiting");
pub(crate) const PARKED: Name = ("hongyan_parked", "gauge", "Requests that wait for cold state");
pub(crate) const PUSHES: Name = ("hongyan_pushes_total", "counter", "Pushes decided");
pub(crate) const PUSHES_DROPPED: Name =
    ("hongyan_pushes_dropped_total", "counter", "Pushes dropped for slow readers");
pub(crate) const REFUSALS: Name = ("hongyan_refusals_total", "counter", "Requests refused");
pub(crate) const SESSIONS: Name = ("hongyan_sessions", "gauge", "Open sessions");
pub(crate) const SETTLE_ROUNDS: Name =
    ("hongyan_settle_rounds_total", "counter", "Rounds of writing state to the views");
pub(crate) const SETTLE_BYTES: Name =
    ("hongyan_settle_bytes_total", "counter", "Bytes written to the views");
pub(crate) const UPGRADED: Name =
    ("hongyan_websocket_upgrades_total", "counter", "WebSockets opened");
pub(crate) const USERS_ONLINE: Name =
    ("hongyan_users_online", "gauge", "Users with an open session");
pub(crate) const WRITES_REFUSED: Name =
    ("hongyan_writes_refused_total", "counter", "Requests refused for want of disk space");
