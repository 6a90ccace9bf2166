//! Sessions that do nothing: what one costs in memory, and what its heartbeats cost in CPU.
//!
//! ```text
//! warm: each session once, few at a time ─ alone: memory, CPU ─ step ─ ... ─ hold with heartbeats
//! ```
//!
//! Fits a line through the server's memory over the number of sessions: the slope is what a session
//! costs, free of what the process costs anyway. Then holds them, each with its heartbeat, and looks
//! at the server's CPU.
//!
//! Warming fills what a server keeps per account, and leaves nothing behind of the size of all
//! sessions: memory that was once taken for many sessions would hide what they take. For the same
//! reason a server that has held as many before cannot be measured, and none whose memory comes in
//! huge pages, which are larger than what thousands of sessions take. A slope that its points do not support is no evidence, and neither is CPU
//! time that the clock cannot tell from nothing.

pub mod crew;
pub mod fit;

mod report;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::{Deserialize, Serialize};

pub use self::report::{IdleReport, IdleStep};

use self::crew::Crew;
use crate::ceilings::Ceilings;
use crate::cpu_clock::{CpuClock, CpuTime};
use crate::plan::{CONNECTIONS_MAX, PlanError, within};
use crate::probe::{Machine, OwnMemory, ProcessSample};
use crate::scenario::Watch;

/// Steps that a slope is fitted through, at most.
pub const STEPS_MAX: usize = 100;
/// Processes that hold sessions, at most.
pub const PROCESSES_MAX: usize = 64;

/// The server's memory counts as settled when it moved less than this in the plan's settling time.
const STEADY_BYTES: u64 = 64 * 1024;
const SETTLE_TRIES: usize = 20;
/// How long the server alone is looked at, unless sessions are held for less.
const ALONE: Duration = Duration::from_secs(5);

/// What to open and how long to hold it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IdlePlan {
    /// Sessions in all.
    pub connections: usize,
    /// Steps to open them in; at least 3 for a slope with an error.
    pub steps: usize,
    /// Seconds to hold them.
    pub hold_s: u64,
    /// Each session sends a heartbeat once in so many seconds.
    pub heartbeat_s: u64,
    /// Processes that hold them.
    pub processes: usize,
    /// Opens and closes each session once, few at a time, before anything is measured.
    pub warm: bool,
    /// Milliseconds that the server's memory must stay as it is before it is believed.
    pub settle_ms: u64,
}

impl Default for IdlePlan {
    fn default() -> Self {
        Self {
            connections: 1_000,
            steps: 5,
            hold_s: 20,
            heartbeat_s: 50,
            processes: 1,
            warm: true,
            settle_ms: 1_500,
        }
    }
}

impl IdlePlan {
    /// Checks every field against its range.
    ///
    /// # Errors
    /// [`PlanError`] that names the first field out of range.
    pub fn check(&self) -> Result<(), PlanError> {
        within("steps", self.steps, 3, STEPS_MAX)?;
        within("processes", self.processes, 1, PROCESSES_MAX)?;
        within("connections", self.connections, self.steps, CONNECTIONS_MAX * self.processes)?;
        within("hold", self.hold_s, 1, 24 * 3_600)?;
        within("settle-ms", self.settle_ms, 1, 600_000)?;
        within("heartbeat", self.heartbeat_s, 1, 3_600)
    }
}

/// Opens and holds sessions through `crew`.
///
/// # Errors
/// The plan is out of range or does not fit into the system's limits, the server's process is not
/// named or gone, or a session could not be opened.
pub fn run(crew: &mut dyn Crew, plan: &IdlePlan, watch: &Watch) -> anyhow::Result<IdleReport> {
    plan.check()?;
    let pid = watch.server_pid.context("--server-pid is needed to look at the server's memory")?;
    let mut ceilings = Ceilings::look(Some(pid));
    ceilings.check(plan.connections.div_ceil(plan.processes), plan.connections)?;
    let progress = |what: &str, step: &IdleStep| {
        if !watch.quiet {
            eprintln!(
                "{what:>8} {:>7} sessions {:>9} KiB",
                step.connections,
                step.anon_bytes / 1024
            );
        }
    };
    if plan.warm {
        crew.touch(plan.connections)?;
    }
    let mut steps = vec![settled_step(crew, pid, plan, 0)?];
    progress("alone", &steps[0]);
    let (base, ()) = spell(pid, || {
        thread::sleep(ALONE.min(Duration::from_secs(plan.hold_s)));
        Ok(())
    })?;
    let mut opening = Duration::ZERO;
    for nth in 1..=plan.steps {
        let wanted = plan.connections * nth / plan.steps;
        let began = Instant::now();
        crew.open_to(wanted)?;
        opening += began.elapsed();
        let now = settled_step(crew, pid, plan, wanted)?;
        progress("open", &now);
        steps.push(now);
    }
    let (held, closed) = spell(pid, || crew.hold(Duration::from_secs(plan.hold_s)))?;
    ceilings.look_again();
    let found = Found { steps, base, held, closed, opening };
    let machine = Machine { ceilings, ..Machine::look(watch.data.as_deref()) };
    Ok(IdleReport::new(plan, machine, found))
}

/// What a run found, before anybody makes anything of it.
#[derive(Debug)]
struct Found {
    /// The first with no sessions.
    steps: Vec<IdleStep>,
    /// CPU without sessions.
    base: Spell,
    /// CPU with all of them.
    held: Spell,
    /// Sessions that the server ended.
    closed: usize,
    opening: Duration,
}

/// CPU time of the server over some seconds.
#[derive(Debug, Clone, Copy)]
struct Spell {
    cpu: CpuTime,
    seconds: f64,
}

/// What the process `pid` uses during `work`.
fn spell<T>(pid: u32, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<(Spell, T)> {
    let (clock, began) = (CpuClock::now(pid)?, Instant::now());
    let done = work()?;
    let seconds = began.elapsed().as_secs_f64();
    Ok((Spell { cpu: clock.spent()?, seconds }, done))
}

/// Waits until the server's memory stays where it is, for a bounded time. Heartbeats go on
/// meanwhile: an allocator gives free memory back only while it is used.
fn settled_step(
    crew: &mut dyn Crew,
    pid: u32,
    plan: &IdlePlan,
    connections: usize,
) -> anyhow::Result<IdleStep> {
    let mut before = step(pid, connections)?;
    for _ in 0..SETTLE_TRIES {
        crew.hold(Duration::from_millis(plan.settle_ms))?;
        let now = step(pid, connections)?;
        if now.anon_bytes.abs_diff(before.anon_bytes) < STEADY_BYTES {
            return Ok(now);
        }
        before = now;
    }
    Ok(before)
}

fn step(pid: u32, connections: usize) -> anyhow::Result<IdleStep> {
    let sample = ProcessSample::of(pid)?;
    let own = OwnMemory::of(pid)
        .unwrap_or(OwnMemory { bytes: sample.anon_bytes, ..OwnMemory::default() });
    Ok(IdleStep {
        connections,
        rss_bytes: sample.rss_bytes,
        anon_bytes: own.bytes,
        huge_bytes: own.huge_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_told_by_name() {
        IdlePlan::default().check().unwrap();
        for (field, plan) in [
            ("steps", IdlePlan { steps: 2, ..IdlePlan::default() }),
            ("connections", IdlePlan { connections: 4, ..IdlePlan::default() }),
            ("processes", IdlePlan { processes: 0, ..IdlePlan::default() }),
            ("hold", IdlePlan { hold_s: 0, ..IdlePlan::default() }),
        ] {
            let error = plan.check().unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
    }
}
