//! The load of a run as flags and as the `[load]` table of a plan file: the same names in both,
//! flags win.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::plan::{Level, Pace, Plan, Receipts, Stop};

/// Gives a struct of options the method `over(self, below)`: its own values, and where there is
/// none those of `below`.
macro_rules! overlay {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $name {
            /// These values, and where there is none those of `below`.
            #[must_use]
            pub fn over(self, below: Self) -> Self {
                Self { $($field: self.$field.or(below.$field)),* }
            }
        }
    };
}
pub(crate) use overlay;

/// What is sent, by whom, how fast and for how long. What is not given has the default that
/// `--help` names.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Load")]
pub struct LoadFlags {
    /// Connections of the run (default: 200).
    #[arg(long)]
    pub connections: Option<usize>,
    /// People that each user writes to in turn (default: 1).
    #[arg(long)]
    pub fan: Option<usize>,
    /// Unanswered sends per connection, at most (default: 64).
    #[arg(long)]
    pub window: Option<usize>,
    /// Bytes of text per message (default: 128).
    #[arg(long)]
    pub bytes: Option<usize>,
    /// What an ack must mean (default: durable).
    #[arg(long, value_enum)]
    pub level: Option<Level>,
    /// When receivers say how far they got (default: batch).
    #[arg(long, value_enum)]
    pub receipts: Option<Receipts>,
    /// Messages per second in all, by a schedule (open loop). Without it each connection keeps its
    /// window full (closed loop).
    #[arg(long)]
    pub rate: Option<f64>,
    /// Ends after so many messages instead of by time.
    #[arg(long)]
    pub messages: Option<u64>,
    /// Seconds before anything counts (default: 3).
    #[arg(long)]
    pub warmup: Option<u64>,
    /// Seconds that count (default: 10).
    #[arg(long)]
    pub seconds: Option<u64>,
    /// Seconds to wait for the last answers (default: 10).
    #[arg(long)]
    pub drain: Option<u64>,
    /// Threads of this program (default: 1).
    #[arg(long)]
    pub threads: Option<usize>,
    /// Orders the schedule and fills the messages (default: 1).
    #[arg(long)]
    pub seed: Option<u64>,
}

overlay!(LoadFlags {
    connections,
    fan,
    window,
    bytes,
    level,
    receipts,
    rate,
    messages,
    warmup,
    seconds,
    drain,
    threads,
    seed,
});

impl LoadFlags {
    /// The plan, with `defaults` where nothing is given.
    #[must_use]
    pub fn plan(&self, defaults: Plan) -> Plan {
        Plan {
            connections: self.connections.unwrap_or(defaults.connections),
            fan: self.fan.unwrap_or(defaults.fan),
            window: self.window.unwrap_or(defaults.window),
            bytes: self.bytes.unwrap_or(defaults.bytes),
            level: self.level.unwrap_or(defaults.level),
            pace: self.rate.map_or(defaults.pace, |per_second| Pace::OpenLoop { per_second }),
            receipts: self.receipts.unwrap_or(defaults.receipts),
            stop: self.messages.map_or(defaults.stop, |messages| Stop::Messages { messages }),
            warmup_s: self.warmup.unwrap_or(defaults.warmup_s),
            seconds: self.seconds.unwrap_or(defaults.seconds),
            drain_s: self.drain.unwrap_or(defaults.drain_s),
            threads: self.threads.unwrap_or(defaults.threads),
            seed: self.seed.unwrap_or(defaults.seed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_file_and_the_file_over_defaults() {
        let file: LoadFlags = toml::from_str("connections = 7\nrate = 50.5\nlevel = \"written\"")
            .expect("a load table");
        let flags = LoadFlags { connections: Some(9), ..LoadFlags::default() };
        let plan = flags.over(file).plan(Plan::default());
        assert_eq!((plan.connections, plan.level), (9, Level::Written));
        assert_eq!(plan.pace, Pace::OpenLoop { per_second: 50.5 });
        assert_eq!(plan.window, Plan::default().window);
    }
}
