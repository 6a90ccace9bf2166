//! A storm of sign-ins as flags and as the `[storm]` table of a plan file.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::cli::load::overlay;
use crate::scenario::connect_storm::StormPlan;

/// How many come, how fast, and how often.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "Storm")]
pub struct StormFlags {
    /// Sessions in all (default: 1000).
    #[arg(long)]
    pub connections: Option<usize>,
    /// Sign-ins per second of the ramp; without it as many as --at-once lets through.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Sign-ins under way, at most (default: 64).
    #[arg(long)]
    pub at_once: Option<usize>,
    /// Times that everybody is cut off and comes back (default: 3).
    #[arg(long)]
    pub rounds: Option<u32>,
    /// Seconds to stay after each wave (default: 2).
    #[arg(long)]
    pub hold: Option<u64>,
    /// Each session comes back at a random moment within so long; 0 is all at once (default: 0).
    #[arg(long)]
    pub spread_ms: Option<u64>,
    /// Comes back without waiting for the server to see the old connections end (default: false).
    #[arg(long, num_args = 0..=1, default_missing_value = "true")]
    pub overlap: Option<bool>,
    /// Over TLS: whether those who come back resume their sessions (default: off).
    #[arg(long, value_enum)]
    pub resumption: Option<Switch>,
    /// Attempts of each session in each wave (default: 8).
    #[arg(long)]
    pub tries: Option<u32>,
    /// Seconds for one attempt (default: 30).
    #[arg(long)]
    pub timeout: Option<u64>,
    /// Devices of each account, 1 to 32. More than one: all tokens come from the operator's
    /// interface, found through --data, so that many sessions cost few password hashes (default: 1).
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=32))]
    pub devices: Option<u64>,
    /// Orders what is random (default: 1).
    #[arg(long)]
    pub seed: Option<u64>,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

overlay!(StormFlags {
    connections,
    rate,
    at_once,
    rounds,
    hold,
    spread_ms,
    overlap,
    resumption,
    tries,
    timeout,
    devices,
    seed,
});

impl StormFlags {
    /// The plan.
    #[must_use]
    pub fn plan(&self) -> StormPlan {
        let defaults = StormPlan::default();
        StormPlan {
            connections: self.connections.unwrap_or(defaults.connections),
            rate: self.rate,
            at_once: self.at_once.unwrap_or(defaults.at_once),
            rounds: self.rounds.unwrap_or(defaults.rounds),
            hold_s: self.hold.unwrap_or(defaults.hold_s),
            spread_ms: self.spread_ms.unwrap_or(defaults.spread_ms),
            overlap: self.overlap.unwrap_or(defaults.overlap),
            resumption: self.resumption.map_or(defaults.resumption, |on| on == Switch::On),
            tries: self.tries.unwrap_or(defaults.tries),
            timeout_s: self.timeout.unwrap_or(defaults.timeout_s),
            seed: self.seed.unwrap_or(defaults.seed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_a_file_are_the_names_of_the_flags() {
        let file: StormFlags =
            toml::from_str("at-once = 7\nspread-ms = 500\nresumption = \"on\"\noverlap = true")
                .expect("a storm table");
        let flags = StormFlags { at_once: Some(9), ..StormFlags::default() };
        let plan = flags.over(file).plan();
        assert_eq!((plan.at_once, plan.spread_ms), (9, 500));
        assert!(plan.resumption && plan.overlap);
        assert_eq!(StormFlags::default().plan(), StormPlan::default());
    }
}
