//! `mixed-day`: its flags, the `[mixed-day]` table of a plan file, and how it begins.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::cli::connect_storm::Switch;
use crate::cli::file::PlanFile;
use crate::cli::finish;
use crate::cli::load::{LoadFlags, overlay};
use crate::cli::target::TargetArgs;
use crate::engine::topology::MixedShape;
use crate::groups;
use crate::plan::{Pace, Plan, PlanError, Receipts};
use crate::scenario::mixed_day::{self, MixedDayPlan};

/// Who is with whom, where messages go, and who comes and goes.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "Day")]
pub struct MixedDayFlags {
    /// People: a multiple of both group sizes (default: 400).
    #[arg(long)]
    pub people: Option<usize>,
    /// People that each writes to directly (default: 3).
    #[arg(long)]
    pub talks: Option<usize>,
    /// Members of a small group; everybody is in one (default: 20).
    #[arg(long)]
    pub small: Option<usize>,
    /// Members of a large group; everybody is in one (default: 200).
    #[arg(long)]
    pub large: Option<usize>,
    /// Per cent of the sends that go to one person (default: 80).
    #[arg(long)]
    pub direct: Option<f64>,
    /// Per cent that go into small groups (default: 18).
    #[arg(long)]
    pub in_small: Option<f64>,
    /// Per cent that go into large groups (default: 2).
    #[arg(long)]
    pub in_large: Option<f64>,
    /// Per cent of the people that go away in a minute (default: 10).
    #[arg(long)]
    pub leave: Option<f64>,
    /// Seconds that each is away (default: 60).
    #[arg(long)]
    pub away: Option<f64>,
    /// Whether people watch who is there (default: on).
    #[arg(long, value_enum)]
    pub presence: Option<Switch>,
}

overlay!(MixedDayFlags {
    people,
    talks,
    small,
    large,
    direct,
    in_small,
    in_large,
    leave,
    away,
    presence,
});

impl MixedDayFlags {
    /// The plan.
    #[must_use]
    pub fn plan(&self) -> MixedDayPlan {
        MixedDayPlan {
            shape: MixedShape {
                people: self.people.unwrap_or(400),
                fan: self.talks.unwrap_or(3),
                small: self.small.unwrap_or(20),
                large: self.large.unwrap_or(200),
                direct_percent: self.direct.unwrap_or(80.0),
                small_percent: self.in_small.unwrap_or(18.0),
                large_percent: self.in_large.unwrap_or(2.0),
            },
            leave_percent_per_minute: self.leave.unwrap_or(10.0),
            away_s: self.away.unwrap_or(60.0),
            presence: self.presence.is_none_or(|switch| switch == Switch::On),
        }
    }
}

/// Target, day and load.
#[derive(Debug, Args)]
pub struct MixedDayArgs {
    /// Day.
    #[command(flatten)]
    pub day: MixedDayFlags,
    /// Load. Without --rate 400 per second, without --seconds two minutes; receipts are `read`.
    #[command(flatten)]
    pub load: LoadFlags,
    /// Target.
    #[command(flatten)]
    pub target: TargetArgs,
}

fn defaults() -> Plan {
    Plan {
        pace: Pace::OpenLoop { per_second: 400.0 },
        receipts: Receipts::Read,
        warmup_s: 10,
        seconds: 120,
        drain_s: 30,
        ..Plan::default()
    }
}

pub(super) fn run(args: &MixedDayArgs) -> anyhow::Result<u8> {
    let file = PlanFile::of(args.target.plan.as_deref(), "mixed-day")?;
    let day = args.day.clone().over(file.mixed_day).plan();
    let load = args.load.clone().over(file.load);
    if load.connections.is_some() || load.fan.is_some() || load.messages.is_some() {
        let message = "use --people and --talks; a day ends by time, not by messages";
        return Err(PlanError::new(message.to_owned()).into());
    }
    day.check()?;
    let plan = load.plan(defaults());
    let target = &args.target;
    target.must_be_hongyan("mixed-day")?;
    let accounts = target.accounts(day.shape.people)?;
    let members = day.shape.members();
    let endpoint = target.endpoint()?;
    let made = groups::prepare(&endpoint, &accounts, &members, &target.users_prefix, plan.seed)?;
    let mut driver = target.driver_of(accounts, &plan)?.with_groups(made);
    let watch = target.watch();
    if day.presence {
        mixed_day::introduce(&driver, &day, &plan, &watch)?;
        driver = driver.watching();
    }
    let report = mixed_day::run(&driver, "hongyan", &day, &plan, &watch);
    target.keep(&driver)?;
    let report = report?;
    finish(&report, report.run.verdict.exit_code, target)
}
