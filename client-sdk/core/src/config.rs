//! What the client is told once, at the start. Every duration is in
//! milliseconds; every queue has its maximum here.

use hongyan_protocol::limits::{CLIENT_BYTES_MAX, DEVICE_ID_BYTES_MAX, DISPLAY_NAME_BYTES_MAX};
use hongyan_protocol::pb;

use crate::backoff::BackoffConfig;

/// The device that this client runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// 1 to 64 bytes, made once and kept for the life of the installation.
    pub id: String,
    /// What kind of device it is.
    pub class: pb::DeviceClass,
    /// Shown in the list of devices; at most 64 bytes, longer is cut.
    pub name: String,
}

impl DeviceInfo {
    pub(crate) fn to_wire(&self) -> pb::Device {
        pb::Device {
            id: cut(&self.id, DEVICE_ID_BYTES_MAX),
            class: self.class.into(),
            name: cut(&self.name, DISPLAY_NAME_BYTES_MAX),
        }
    }
}

/// Settings of a [`crate::ClientCore`].
#[derive(Debug, Clone)]
pub struct CoreConfig {
    /// Name and version of the software; at most 64 bytes, longer is cut.
    pub client: String,
    /// The device.
    pub device: DeviceInfo,
    /// How long a request waits for its reply.
    pub request_timeout_ms: u64,
    /// How long opening a session may take, from the first attempt to connect.
    pub handshake_timeout_ms: u64,
    /// How long between attempts to connect.
    pub backoff: BackoffConfig,
    /// A session that lasted so long starts the back-off from the beginning.
    pub stable_after_ms: u64,
    /// How long a missing message may still be on its way before it is asked
    /// for.
    pub gap_grace_ms: u64,
    /// Messages of a conversation that were missed and that no timeline
    /// holds: so many are read to be told of. Older ones are skipped.
    pub missed_max: u64,
    /// Messages in the outbox, of all conversations, failed ones included.
    pub outbox_max: usize,
    /// App requests that wait for a reply.
    pub requests_max: usize,
    /// Messages kept of a conversation that is not open.
    pub timeline_window: usize,
    /// Messages kept of a conversation that is open.
    pub timeline_window_open: usize,
    /// Messages kept of all conversations; above it, those not open are cut
    /// to a few each.
    pub messages_max: usize,
}

impl CoreConfig {
    /// The defaults for this device.
    pub fn new(device: DeviceInfo) -> Self {
        Self {
            client: concat!("hongyan-client/", env!("CARGO_PKG_VERSION")).into(),
            device,
            request_timeout_ms: 15_000,
            handshake_timeout_ms: 15_000,
            backoff: BackoffConfig::default(),
            stable_after_ms: 30_000,
            gap_grace_ms: 300,
            missed_max: 10_000,
            outbox_max: 10_000,
            requests_max: 1_024,
            timeline_window: 200,
            timeline_window_open: 5_000,
            messages_max: 50_000,
        }
    }

    pub(crate) fn client_name(&self) -> String {
        cut(&self.client, CLIENT_BYTES_MAX)
    }
}

fn cut(text: &str, bytes_max: usize) -> String {
    text[..text.floor_char_boundary(bytes_max)].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_cut_at_a_character() {
        assert_eq!(cut("你好", 5), "你");
        assert_eq!(cut("ab", 5), "ab");
    }
}
