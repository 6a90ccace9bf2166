//! `slow-consumers`: its flags, the `[slow-consumers]` table of a plan file, and how it begins.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::cli::file::PlanFile;
use crate::cli::finish;
use crate::cli::load::{LoadFlags, overlay};
use crate::cli::target::TargetArgs;
use crate::plan::{Plan, PlanError};
use crate::scenario::slow_consumers::{self, SlowPlan};

/// Who reads how slowly.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "Slow readers")]
pub struct SlowConsumersFlags {
    /// Part of the people that reads slowly, at most 0.5 (default: 0.05).
    #[arg(long)]
    pub share: Option<f64>,
    /// Bytes that each of them reads per second; 0: it does not read at all (default: 1).
    #[arg(long)]
    pub read_bytes_per_s: Option<f64>,
}

overlay!(SlowConsumersFlags { share, read_bytes_per_s });

impl SlowConsumersFlags {
    /// The plan.
    #[must_use]
    pub fn plan(&self) -> SlowPlan {
        SlowPlan {
            share: self.share.unwrap_or(0.05),
            bytes_per_s: self.read_bytes_per_s.unwrap_or(1.0),
        }
    }
}

/// Target, slow readers and load.
#[derive(Debug, Args)]
pub struct SlowConsumersArgs {
    /// Slow readers.
    #[command(flatten)]
    pub slow: SlowConsumersFlags,
    /// Load of both phases.
    #[command(flatten)]
    pub load: LoadFlags,
    /// Target.
    #[command(flatten)]
    pub target: TargetArgs,
}

pub(super) fn run(args: &SlowConsumersArgs) -> anyhow::Result<u8> {
    let file = PlanFile::of(args.target.plan.as_deref(), "slow-consumers")?;
    let slow = args.slow.clone().over(file.slow_consumers).plan();
    let load = args.load.clone().over(file.load);
    if load.fan.is_some() {
        return Err(PlanError::new("fan is 1 here: the ring".to_owned()).into());
    }
    slow.check()?;
    let plan = load.plan(Plan::default());
    plan.check()?;
    let target = &args.target;
    target.must_be_hongyan("slow-consumers")?;
    let driver = target.hongyan(&plan, plan.connections)?;
    let report = slow_consumers::run(&driver, "hongyan", &slow, &plan, &target.watch());
    target.keep(&driver)?;
    let report = report?;
    finish(&report, report.run.verdict.exit_code, target)
}
