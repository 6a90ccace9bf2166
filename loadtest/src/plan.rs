//! What a run is to do: every choice that its result depends on, and nothing else.
//!
//! A [`Plan`] comes from the command line (later also from TOML), is checked once, and is printed
//! with the result, so that a figure can be asked for again.

use std::time::Duration;

use hongyan_protocol::limits::{DEDUPE_SENDS, TEXT_BYTES_MAX};
use serde::{Deserialize, Serialize};

use crate::engine::payload::TEXT_BYTES_MIN;
use crate::engine::topology::Topology;

/// Connections of one process; more need more file descriptors than one process has here.
pub const CONNECTIONS_MAX: usize = 60_000;
/// Connections of a ring: with fewer than three, both directions share one conversation.
pub const RING_MIN: usize = 3;
/// Worker threads.
pub const THREADS_MAX: usize = 64;
/// Longest measurement, in seconds.
pub const SECONDS_MAX: u64 = 24 * 3600;

/// What must have happened before a message counts as acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// In the server's memory.
    Accepted,
    /// Synced to the disk.
    Durable,
    /// Handed to the kernel.
    Written,
}

/// How sends are timed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "mode")]
pub enum Pace {
    /// Each connection keeps its window full. Named closed loop wherever it is reported: a slow
    /// server is offered less, so latency is that of a full queue and no more.
    ClosedLoop,
    /// A schedule made beforehand; latency counts from the planned moment.
    OpenLoop {
        /// Messages per second over all connections.
        per_second: f64,
    },
}

/// When a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "until")]
pub enum Stop {
    /// After so many messages were sent over all connections, rounded up to a multiple of them.
    Messages {
        /// At least 1.
        messages: u64,
    },
    /// After warm-up and measurement.
    Time,
}

/// When a receiver says how far it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Receipts {
    /// Once per wake, for all messages that it brought: what a client does.
    Batch,
    /// Once per message.
    Each,
    /// Never.
    None,
    /// As read, a few times per second: what a client does that people look at.
    Read,
}

impl Receipts {
    /// Shortest time between two receipts of a connection, in nanoseconds.
    #[must_use]
    pub const fn spacing_ns(self) -> u64 {
        match self {
            Self::Batch | Self::Each | Self::None => 0,
            Self::Read => 300_000_000,
        }
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Connections in the ring; each sends to the next.
    pub connections: usize,
    /// Users after it that each user writes to in turn; 1 is the ring.
    pub fan: usize,
    /// Sends without an answer per connection, at most.
    pub window: usize,
    /// Bytes of text per message.
    pub bytes: usize,
    /// Wanted ack level.
    pub level: Level,
    /// Timing of sends.
    pub pace: Pace,
    /// What receivers say.
    pub receipts: Receipts,
    /// When to stop.
    pub stop: Stop,
    /// Seconds before anything counts.
    pub warmup_s: u64,
    /// Seconds that count.
    pub seconds: u64,
    /// Seconds to wait for what is still on its way at the end.
    pub drain_s: u64,
    /// Worker threads.
    pub threads: usize,
    /// Orders the schedule and fills the messages.
    pub seed: u64,
}

/// A plan that cannot be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PlanError(String);

impl PlanError {
    /// An error with this message.
    pub(crate) const fn new(message: String) -> Self {
        Self(message)
    }
}

impl Plan {
    /// Checks every field against its range.
    ///
    /// # Errors
    /// [`PlanError`] that names the first field out of range; nothing was started.
    pub fn check(&self) -> Result<(), PlanError> {
        within("connections", self.connections, RING_MIN, CONNECTIONS_MAX)?;
        within("fan", self.fan, 1, (self.connections - 1) / 2)?;
        within("window", self.window, 1, DEDUPE_SENDS - 1)?;
        within("bytes", self.bytes, TEXT_BYTES_MIN, TEXT_BYTES_MAX)?;
        within("threads", self.threads, 1, THREADS_MAX.min(self.connections))?;
        within("seconds", self.seconds, 1, SECONDS_MAX)?;
        within("warmup", self.warmup_s, 0, SECONDS_MAX)?;
        within("drain", self.drain_s, 1, 3600)?;
        if let Pace::OpenLoop { per_second } = self.pace
            && !(per_second.is_finite() && (0.1..=1e8).contains(&per_second))
        {
            return Err(PlanError(format!("rate must be 0.1 to 100000000, not {per_second}")));
        }
        if self.stop == (Stop::Messages { messages: 0 }) {
            return Err(PlanError("messages must be at least 1".to_owned()));
        }
        Ok(())
    }

    /// When counting begins, in nanoseconds after the first send.
    #[must_use]
    pub const fn measure_from_ns(&self) -> u64 {
        match self.stop {
            Stop::Messages { .. } => 0,
            Stop::Time => self.warmup_s * 1_000_000_000,
        }
    }

    /// When the last message may be sent, in nanoseconds after the first.
    #[must_use]
    pub const fn stop_ns(&self) -> u64 {
        match self.stop {
            Stop::Messages { .. } => SECONDS_MAX * 1_000_000_000,
            Stop::Time => (self.warmup_s + self.seconds) * 1_000_000_000,
        }
    }

    /// How long to wait for the last answers.
    #[must_use]
    pub const fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_s)
    }

    /// Messages that each flow of `topology` sends, at most.
    #[must_use]
    pub fn quota(&self, topology: &Topology) -> u64 {
        match self.stop {
            Stop::Messages { messages } => messages.div_ceil(topology.flows().max(1) as u64),
            Stop::Time => u64::MAX,
        }
    }
}

/// Checks that `value` is within its range.
///
/// # Errors
/// It is not; the message begins with `name`.
pub(crate) fn within<T: PartialOrd + std::fmt::Display>(
    name: &str,
    value: T,
    least: T,
    most: T,
) -> Result<(), PlanError> {
    if value >= least && value <= most {
        Ok(())
    } else {
        Err(PlanError(format!("{name} must be {least} to {most}, not {value}")))
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            connections: 200,
            fan: 1,
            window: 64,
            bytes: 128,
            level: Level::Durable,
            pace: Pace::ClosedLoop,
            receipts: Receipts::Batch,
            stop: Stop::Time,
            warmup_s: 3,
            seconds: 10,
            drain_s: 10,
            threads: 1,
            seed: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_inclusive() {
        assert_eq!(Plan::default().check(), Ok(()));
        for (field, plan) in [
            ("connections", Plan { connections: 2, ..Plan::default() }),
            ("window", Plan { window: 0, ..Plan::default() }),
            ("window", Plan { window: DEDUPE_SENDS, ..Plan::default() }),
            ("bytes", Plan { bytes: TEXT_BYTES_MIN - 1, ..Plan::default() }),
            ("threads", Plan { threads: 0, ..Plan::default() }),
            ("rate", Plan { pace: Pace::OpenLoop { per_second: f64::NAN }, ..Plan::default() }),
            ("messages", Plan { stop: Stop::Messages { messages: 0 }, ..Plan::default() }),
        ] {
            let error = plan.check().unwrap_err();
            assert!(error.to_string().starts_with(field), "{error}");
        }
    }

    #[test]
    fn a_plan_survives_its_report() {
        let plan = Plan { pace: Pace::OpenLoop { per_second: 1000.0 }, ..Plan::default() };
        let json = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
    }

    #[test]
    fn a_fill_is_rounded_up_to_whole_rounds() {
        let stop = Stop::Messages { messages: 1_000 };
        let plan = Plan { stop, connections: 300, ..Plan::default() };
        assert_eq!(plan.quota(&Topology::ring(300, false)), 4);
    }
}
