//! Groups in which a few write and everybody hears: what giving one message to many costs.
//!
//! Members who are online have a session each; members who are not are only on the list, which
//! the server must go through all the same. The figure to compare servers by is deliveries per
//! second of server CPU; the spread says how long after the first receiver the last one hears.

use std::fmt::{self, Display, Formatter};

use hongyan_protocol::limits::GROUP_MEMBERS_MAX;
use serde::Serialize;

use crate::driver::Driver;
use crate::engine;
use crate::engine::topology::{GroupShape, Topology};
use crate::histogram::LatencySummary;
use crate::plan::{CONNECTIONS_MAX, Plan, PlanError, within};
use crate::report::RunReport;
use crate::scenario::{Watch, line, percentiles};

/// A run, and what it says about fan-out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupFanoutReport {
    /// The run.
    #[serde(flatten)]
    pub run: RunReport,
    /// What it says about fan-out.
    pub fanout: FanoutFigures,
}

/// See [`GroupFanoutReport`].
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct FanoutFigures {
    /// Messages acknowledged per second.
    pub sends_per_s: f64,
    /// Messages that arrived per second, at each receiver.
    pub deliveries_per_s: f64,
    /// Deliveries per second of server CPU time.
    pub deliveries_per_core_second: Option<f64>,
    /// From a message's first arrival to its last. With several generator threads: to the last on
    /// the same thread.
    pub spread: LatencySummary,
}

/// Checks a shape.
///
/// # Errors
/// [`PlanError`] that names the first number out of range.
pub fn check(shape: GroupShape) -> Result<(), PlanError> {
    within("groups", shape.groups, 1, CONNECTIONS_MAX)?;
    within("members", shape.members, 2, GROUP_MEMBERS_MAX)?;
    within("online", shape.online, 2, shape.members)?;
    within("senders", shape.senders, 1, shape.online)?;
    within("groups x online", shape.groups * shape.online, 3, CONNECTIONS_MAX)
}

/// The members of each group, as numbers of the roster; the first owns it.
#[must_use]
pub fn members(shape: GroupShape) -> Vec<Vec<usize>> {
    let of = |group: usize| (group * shape.members..(group + 1) * shape.members).collect();
    (0..shape.groups).map(of).collect()
}

/// Runs `plan` over the groups of `shape`, which `driver` knows by number. `name` is the driver's.
///
/// # Errors
/// The shape or the plan is out of range, a connection could not be opened, or the system failed
/// a worker. Whatever the server does once the run has begun is part of the report.
pub fn run<D: Driver>(
    driver: &D,
    name: &str,
    shape: GroupShape,
    plan: &Plan,
    watch: &Watch,
) -> anyhow::Result<GroupFanoutReport> {
    check(shape)?;
    let plan = Plan { connections: shape.groups * shape.online, fan: 1, ..plan.clone() };
    let ran = engine::run(driver, &Topology::groups(shape), &plan, watch)?;
    let spread = ran.details.spread.clone();
    let run = RunReport::new(("group-fanout", name), &plan, watch, ran).shaped(&shape);
    let outcome = &run.outcome;
    let cores = outcome.costs.server_cpu_cores.filter(|cores| *cores > 0.0);
    let fanout = FanoutFigures {
        sends_per_s: outcome.acked_per_s,
        deliveries_per_s: outcome.delivered_per_s,
        deliveries_per_core_second: cores.map(|cores| outcome.delivered_per_s / cores),
        spread,
    };
    Ok(GroupFanoutReport { run, fanout })
}

impl Display for GroupFanoutReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let number = |name: &str| self.run.shape.get(name).cloned().unwrap_or_default();
        writeln!(
            f,
            "{} group(s) of {} members, {} of them online, {} writing",
            number("groups"),
            number("members"),
            number("online"),
            number("senders")
        )?;
        line(f, "sends/s", &format!("{:.0}", self.fanout.sends_per_s))?;
        line(f, "deliveries/s", &format!("{:.0}", self.fanout.deliveries_per_s))?;
        if let Some(figure) = self.fanout.deliveries_per_core_second {
            line(f, "fan-out", &format!("{figure:.0} deliveries per second of server CPU"))?;
        }
        line(f, "first to last", &percentiles(&self.fanout.spread))?;
        writeln!(f)?;
        self.run.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_out_of_range_are_refused_by_name() {
        let good = GroupShape { groups: 2, members: 10, online: 5, senders: 2 };
        assert_eq!(check(good), Ok(()));
        for (name, shape) in [
            ("groups", GroupShape { groups: 0, ..good }),
            ("members", GroupShape { members: GROUP_MEMBERS_MAX + 1, ..good }),
            ("online", GroupShape { online: 11, ..good }),
            ("senders", GroupShape { senders: 6, ..good }),
            ("groups x online", GroupShape { groups: CONNECTIONS_MAX, ..good }),
        ] {
            let error = check(shape).unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
        assert_eq!(members(good)[1], (10..20).collect::<Vec<_>>());
    }
}
