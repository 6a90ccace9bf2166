//! Cold starts as flags and as the `[cold-start]` table of a plan file.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::cli::load::overlay;
use crate::scenario::cold_start::ColdStartPlan;

/// Who starts, how often, and what must come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "Cold start")]
pub struct ColdStartFlags {
    /// Users who start cold, in turn (default: 4).
    #[arg(long)]
    pub users: Option<usize>,
    /// Conversations of each (default: 1000).
    #[arg(long)]
    pub conversations: Option<usize>,
    /// Of them groups; each of the others needs an account on its other side (default: 0).
    #[arg(long)]
    pub groups: Option<usize>,
    /// Starts of each user that count (default: 50).
    #[arg(long)]
    pub repeats: Option<u64>,
    /// Bytes of text of each last message (default: 64).
    #[arg(long)]
    pub bytes: Option<usize>,
    /// Bound for one page in bytes; 0 is the server's own (default: 0).
    #[arg(long)]
    pub page_bytes: Option<u32>,
}

overlay!(ColdStartFlags { users, conversations, groups, repeats, bytes, page_bytes });

impl ColdStartFlags {
    /// The plan.
    #[must_use]
    pub fn plan(&self) -> ColdStartPlan {
        let defaults = ColdStartPlan::default();
        ColdStartPlan {
            users: self.users.unwrap_or(defaults.users),
            conversations: self.conversations.unwrap_or(defaults.conversations),
            groups: self.groups.unwrap_or(defaults.groups),
            repeats: self.repeats.unwrap_or(defaults.repeats),
            bytes: self.bytes.unwrap_or(defaults.bytes),
            page_bytes: self.page_bytes.unwrap_or(defaults.page_bytes),
        }
    }
}
