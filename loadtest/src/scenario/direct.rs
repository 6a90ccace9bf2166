//! A ring of people who write to each other: user `i` sends to user `i + 1`, who says how far it
//! got.
//!
//! Dense (many in flight) it shows throughput and CPU per message; sparse (one in flight on many
//! connections) what a message costs that nothing is batched with. With a fan each writes to
//! several people in turn, so that a run touches many conversations. Filling a server with a
//! number of messages is the same run with another end.

use crate::driver::Driver;
use crate::engine::topology::Topology;
use crate::engine::{self};
use crate::plan::Plan;
use crate::report::RunReport;
use crate::scenario::Watch;

/// Runs `plan` through `driver`. `names` are the scenario's and the driver's, for the report.
///
/// # Errors
/// The plan is out of range, a connection could not be opened, or the system failed a worker.
/// Whatever the server does once the run has begun is part of the report.
pub fn run<D: Driver>(
    driver: &D,
    names: (&str, &str),
    plan: &Plan,
    watch: &Watch,
) -> anyhow::Result<RunReport> {
    plan.check()?;
    let topology = topology(plan, driver.splits());
    let ran = engine::run(driver, &topology, plan, watch)?;
    Ok(RunReport::new(names, plan, watch, ran))
}

/// Who talks to whom.
#[must_use]
pub fn topology(plan: &Plan, split: bool) -> Topology {
    if plan.fan > 1 {
        Topology::mesh(plan.connections, plan.fan)
    } else {
        Topology::ring(plan.connections, split)
    }
}
