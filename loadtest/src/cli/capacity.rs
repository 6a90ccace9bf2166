//! `capacity`: its flags, the `[capacity]` table of a plan file, and how it begins.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::cli::file::PlanFile;
use crate::cli::load::{LoadFlags, overlay};
use crate::cli::target::TargetArgs;
use crate::cli::{drivers, finish};
use crate::driver::Driver;
use crate::plan::{Plan, PlanError};
use crate::scenario::capacity::{CapacityPlan, CapacityReport, Stage, search};
use crate::scenario::{Watch, direct};

/// Which promise about latency, and where to search.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "Search")]
pub struct CapacityFlags {
    /// Longest p99 that holds, in milliseconds (default: 10).
    #[arg(long)]
    pub gate_ms: Option<f64>,
    /// Which latency that is (default: ack).
    #[arg(long, value_enum)]
    pub stage: Option<Stage>,
    /// The first rate, in messages per second (default: 1000).
    #[arg(long)]
    pub from: Option<f64>,
    /// No rate above this is offered (default: 1000000).
    #[arg(long)]
    pub most: Option<f64>,
}

overlay!(CapacityFlags { gate_ms, stage, from, most });

impl CapacityFlags {
    /// The plan, with `load` for everything but the rate.
    #[must_use]
    pub fn plan(&self, load: Plan) -> CapacityPlan {
        CapacityPlan {
            gate_ms: self.gate_ms.unwrap_or(10.0),
            stage: self.stage.unwrap_or(Stage::Ack),
            from_per_s: self.from.unwrap_or(1_000.0),
            most_per_s: self.most.unwrap_or(1_000_000.0),
            load,
        }
    }
}

/// Target, search and load.
#[derive(Debug, Args)]
pub struct CapacityArgs {
    /// Search.
    #[command(flatten)]
    pub search: CapacityFlags,
    /// Load of a step.
    #[command(flatten)]
    pub load: LoadFlags,
    /// Target.
    #[command(flatten)]
    pub target: TargetArgs,
}

pub(super) fn run(args: &CapacityArgs) -> anyhow::Result<u8> {
    let file = PlanFile::of(args.target.plan.as_deref(), "capacity")?;
    let load = args.load.clone().over(file.load);
    if load.rate.is_some() || load.messages.is_some() {
        let message = "the rate is what is searched for: use --from and --most";
        return Err(PlanError::new(message.to_owned()).into());
    }
    let plan = args.search.clone().over(file.capacity).plan(load.plan(Plan::default()));
    plan.check()?;
    let target = &args.target;
    let job = Search { plan: &plan, watch: target.watch() };
    let report = drivers::drive(target, &plan.load, job)?;
    finish(&report, report.verdict.exit_code, target)
}

/// The search on any driver.
struct Search<'a> {
    plan: &'a CapacityPlan,
    watch: Watch,
}

impl drivers::Job for Search<'_> {
    type Output = CapacityReport;

    fn run<D: Driver>(self, driver: &D, name: &str) -> anyhow::Result<CapacityReport> {
        search(self.plan, name, &self.watch, |step| {
            direct::run(driver, ("capacity", name), step, &self.watch)
        })
    }
}
