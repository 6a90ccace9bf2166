//! `group-fanout`: its flags, the `[group-fanout]` table of a plan file, and how it begins.

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::cli::file::PlanFile;
use crate::cli::finish;
use crate::cli::load::{LoadFlags, overlay};
use crate::cli::target::TargetArgs;
use crate::engine::topology::GroupShape;
use crate::groups;
use crate::plan::{Plan, PlanError, Receipts};
use crate::scenario::group_fanout;

/// How many groups, and who is in them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Groups")]
pub struct GroupFanoutFlags {
    /// Groups (default: 1).
    #[arg(long)]
    pub groups: Option<usize>,
    /// Members of each group (default: 1000).
    #[arg(long)]
    pub members: Option<usize>,
    /// Members of each group that are online and receive (default: all).
    #[arg(long)]
    pub online: Option<usize>,
    /// Members of each group that write (default: 1).
    #[arg(long)]
    pub senders: Option<usize>,
}

overlay!(GroupFanoutFlags { groups, members, online, senders });

impl GroupFanoutFlags {
    /// The shape.
    #[must_use]
    pub fn shape(&self) -> GroupShape {
        let members = self.members.unwrap_or(1_000);
        GroupShape {
            groups: self.groups.unwrap_or(1),
            members,
            online: self.online.unwrap_or(members),
            senders: self.senders.unwrap_or(1),
        }
    }
}

/// Target, groups and load.
#[derive(Debug, Args)]
pub struct GroupFanoutArgs {
    /// Groups.
    #[command(flatten)]
    pub groups: GroupFanoutFlags,
    /// Load.
    #[command(flatten)]
    pub load: LoadFlags,
    /// Target.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// What is not given. Members of large groups do not report each message on their own.
fn defaults() -> Plan {
    Plan { window: 8, receipts: Receipts::None, ..Plan::default() }
}

pub(super) fn run(args: &GroupFanoutArgs) -> anyhow::Result<u8> {
    let file = PlanFile::of(args.target.plan.as_deref(), "group-fanout")?;
    let shape = args.groups.clone().over(file.group_fanout).shape();
    let load = args.load.clone().over(file.load);
    if load.connections.is_some() || load.fan.is_some() {
        let message = "connections and fan follow from groups, online and senders here";
        return Err(PlanError::new(message.to_owned()).into());
    }
    group_fanout::check(shape)?;
    let plan = load.plan(defaults());
    let target = &args.target;
    target.must_be_hongyan("group-fanout")?;
    let accounts = target.accounts(shape.groups * shape.members)?;
    let members = group_fanout::members(shape);
    let endpoint = target.endpoint()?;
    let made = groups::prepare(&endpoint, &accounts, &members, &target.users_prefix, plan.seed)?;
    let driver = target.driver_of(accounts, &plan)?.with_groups(made);
    let report = group_fanout::run(&driver, "hongyan", shape, &plan, &target.watch())?;
    finish(&report, report.run.verdict.exit_code, target)
}
