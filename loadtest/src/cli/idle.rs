//! Idle sessions as flags and as the `[idle]` table of a plan file.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::cli::load::overlay;
use crate::scenario::idle::IdlePlan;

/// How many sessions, and for how long.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Idle sessions")]
pub struct IdleFlags {
    /// Sessions in all [1000].
    #[arg(long)]
    pub connections: Option<usize>,
    /// Steps to open them in [5].
    #[arg(long)]
    pub steps: Option<usize>,
    /// Seconds to hold them [20].
    #[arg(long)]
    pub hold: Option<u64>,
    /// Seconds between two heartbeats of a session [20].
    #[arg(long)]
    pub heartbeat: Option<u64>,
}

overlay!(IdleFlags { connections, steps, hold, heartbeat });

impl IdleFlags {
    /// The plan.
    #[must_use]
    pub fn plan(&self) -> IdlePlan {
        IdlePlan {
            connections: self.connections.unwrap_or(1_000),
            steps: self.steps.unwrap_or(5),
            hold_s: self.hold.unwrap_or(20),
            heartbeat_s: self.heartbeat.unwrap_or(20),
        }
    }
}
