//! `offline-catchup`: its flags, the `[offline-catchup]` table of a plan file, and how it begins.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::cli::file::PlanFile;
use crate::cli::finish;
use crate::cli::load::{LoadFlags, overlay};
use crate::cli::target::TargetArgs;
use crate::plan::{Plan, PlanError};
use crate::scenario::offline_catchup::{self, CatchUpPlan};

/// Senders of many receivers: more bring no more load.
const SENDERS: usize = 50;

/// Who misses how much, and how they come back.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "Catching up")]
pub struct OfflineCatchupFlags {
    /// People who are away (default: 200).
    #[arg(long)]
    pub receivers: Option<usize>,
    /// People who write to them (default: as many, at most 50).
    #[arg(long)]
    pub senders: Option<usize>,
    /// Conversations of each receiver in which messages come (default: 1).
    #[arg(long)]
    pub talks: Option<usize>,
    /// Messages that each receiver misses (default: 1000).
    #[arg(long)]
    pub missed: Option<u64>,
    /// Receivers that come back at the same time, at most (default: 32).
    #[arg(long)]
    pub at_once: Option<usize>,
    /// Receivers that come back per second (default: as fast as it goes).
    #[arg(long)]
    pub per_second: Option<f64>,
}

overlay!(OfflineCatchupFlags { receivers, senders, talks, missed, at_once, per_second });

impl OfflineCatchupFlags {
    /// The plan.
    #[must_use]
    pub fn plan(&self) -> CatchUpPlan {
        let receivers = self.receivers.unwrap_or(200);
        let talks = self.talks.unwrap_or(1);
        CatchUpPlan {
            receivers,
            senders: self.senders.unwrap_or_else(|| receivers.min(SENDERS).max(talks).max(3)),
            talks,
            messages: self.missed.unwrap_or(1_000),
            at_once: self.at_once.unwrap_or(32),
            per_second: self.per_second,
        }
    }
}

/// Target, catching up, and how the messages are made.
#[derive(Debug, Args)]
pub struct OfflineCatchupArgs {
    /// Catching up.
    #[command(flatten)]
    pub catch_up: OfflineCatchupFlags,
    /// How the messages are made: window, bytes, level, threads and seed.
    #[command(flatten)]
    pub load: LoadFlags,
    /// Target.
    #[command(flatten)]
    pub target: TargetArgs,
}

pub(super) fn run(args: &OfflineCatchupArgs) -> anyhow::Result<u8> {
    let file = PlanFile::of(args.target.plan.as_deref(), "offline-catchup")?;
    let plan = args.catch_up.clone().over(file.offline_catchup).plan();
    let load = args.load.clone().over(file.load);
    if load.connections.is_some() || load.messages.is_some() || load.rate.is_some() {
        let message = "use --senders and --missed: the sending is a closed loop here";
        return Err(PlanError::new(message.to_owned()).into());
    }
    plan.check()?;
    let load = load.plan(Plan::default());
    let target = &args.target;
    target.must_be_hongyan("offline-catchup")?;
    let driver = target.hongyan(&load, plan.users())?;
    let report = offline_catchup::run(&driver, &plan, &load, &target.watch());
    target.keep(&driver)?;
    let report = report?;
    finish(&report, report.run.verdict.exit_code, target)
}
