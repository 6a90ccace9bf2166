//! `soak`: its flags, the `[soak]` table of a plan file, and how it begins.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::cli::file::PlanFile;
use crate::cli::finish;
use crate::cli::load::{LoadFlags, overlay};
use crate::cli::target::TargetArgs;
use crate::plan::{Pace, Plan, PlanError};
use crate::scenario::soak::{self, SoakPlan};

/// What is steady, and what may grow.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "Soak")]
pub struct SoakFlags {
    /// Seconds between two looks at the server (default: 5).
    #[arg(long)]
    pub interval: Option<u64>,
    /// Per cent of the people that reconnect in a minute (default: 3).
    #[arg(long)]
    pub reconnect: Option<f64>,
    /// How fast the server's own memory may grow in the second half, in MiB per hour (default: 64).
    #[arg(long)]
    pub memory_mib_per_hour_max: Option<f64>,
}

overlay!(SoakFlags { interval, reconnect, memory_mib_per_hour_max });

impl SoakFlags {
    /// The plan.
    #[must_use]
    pub fn plan(&self) -> SoakPlan {
        SoakPlan {
            interval_s: self.interval.unwrap_or(5),
            reconnect_percent_per_minute: self.reconnect.unwrap_or(3.0),
            memory_mib_per_hour_max: self.memory_mib_per_hour_max.unwrap_or(64.0),
        }
    }
}

/// Target, what may grow, and load.
#[derive(Debug, Args)]
pub struct SoakArgs {
    /// What may grow.
    #[command(flatten)]
    pub soak: SoakFlags,
    /// Load. Without --rate 1,000 per second, without --seconds ten minutes.
    #[command(flatten)]
    pub load: LoadFlags,
    /// Target.
    #[command(flatten)]
    pub target: TargetArgs,
}

fn defaults() -> Plan {
    Plan {
        pace: Pace::OpenLoop { per_second: 1_000.0 },
        warmup_s: 10,
        seconds: 600,
        ..Plan::default()
    }
}

pub(super) fn run(args: &SoakArgs) -> anyhow::Result<u8> {
    let file = PlanFile::of(args.target.plan.as_deref(), "soak")?;
    let soak = args.soak.clone().over(file.soak).plan();
    let load = args.load.clone().over(file.load);
    if load.fan.is_some() || load.messages.is_some() {
        return Err(PlanError::new("soak is a ring for a time: no fan, no messages".into()).into());
    }
    soak.check()?;
    let plan = load.plan(defaults());
    plan.check()?;
    let target = &args.target;
    target.must_be_hongyan("soak")?;
    let driver = target.hongyan(&plan, plan.connections)?;
    let report = soak::run(&driver, "hongyan", &soak, &plan, &target.watch());
    target.keep(&driver)?;
    let report = report?;
    finish(&report, report.run.verdict.exit_code, target)
}
