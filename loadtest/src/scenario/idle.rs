//! Sessions that do nothing: what one costs in memory, and what its heartbeats cost in CPU.
//!
//! Opens sessions in equal steps, waits after each for the server to settle, and fits a line
//! through the server's memory over the number of sessions: the slope is what a session costs,
//! free of what the process costs anyway. Then holds them, each with its heartbeat, and looks at
//! the server's CPU.

use std::fmt::{self, Display, Formatter};
use std::io::{ErrorKind, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::ceilings::Ceilings;
use crate::driver::Driver;
use crate::engine::topology::{Role, Seat};
use crate::probe::{Machine, ProcessSample};
use crate::report::{EXIT_FAILED, EXIT_OK};
use crate::scenario::Watch;
use crate::stream::Stream;

/// Steps that a slope is fitted through, at most.
pub const STEPS_MAX: usize = 100;

/// The server's memory counts as settled when it moved less than this in [`SETTLE`].
const STEADY_BYTES: u64 = 64 * 1024;
const SETTLE: Duration = Duration::from_millis(1_500);
const SETTLE_TRIES: usize = 20;
/// How long the server alone is looked at.
const BASE_HOLD: Duration = Duration::from_secs(5);
const HEARTBEAT: &[u8] = &[0];
const PACE_STEP: Duration = Duration::from_millis(10);

/// What to open and how long to hold it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IdlePlan {
    /// Sessions in all.
    pub connections: usize,
    /// Steps to open them in; at least 2 for a slope.
    pub steps: usize,
    /// Seconds to hold them.
    pub hold_s: u64,
    /// Each session sends a heartbeat once in so many seconds.
    pub heartbeat_s: u64,
}

/// The server's memory with a number of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdleStep {
    /// Open sessions.
    pub connections: usize,
    /// Resident memory, in bytes.
    pub rss_bytes: u64,
    /// Of it what no file backs, in bytes.
    pub anon_bytes: u64,
}

/// What idle sessions cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IdleReport {
    /// Always `idle`.
    pub scenario: String,
    /// Where it ran.
    pub machine: Machine,
    /// What was to be done.
    pub plan: IdlePlan,
    /// Memory by number of sessions, the first with none.
    pub steps: Vec<IdleStep>,
    /// Slope of the server's own memory over sessions, in bytes, by least squares.
    pub bytes_per_connection: f64,
    /// Growth of the server's own memory from none to all sessions, per session, in bytes. Memory
    /// that the server had kept free lowers it, memory that it has not given back raises it.
    pub growth_per_connection: f64,
    /// Server CPU per session and second while held, in microseconds, less what the server uses
    /// without any.
    pub cpu_us_per_connection_second: f64,
    /// CPU time over wall time of the server without sessions.
    pub base_cpu_cores: f64,
    /// Sessions that the server ended.
    pub closed: usize,
    /// Seconds that opening them took.
    pub opening_s: f64,
    /// One of the `EXIT_` codes of [`report`](crate::report).
    pub exit_code: u8,
}

/// Opens and holds sessions through `driver`.
///
/// # Errors
/// The server's process is not named or gone, or a session could not be opened.
pub fn run<D: Driver>(driver: &D, plan: &IdlePlan, watch: &Watch) -> anyhow::Result<IdleReport> {
    if plan.steps < 2 || plan.steps > STEPS_MAX || plan.connections < plan.steps {
        bail!("steps must be 2 to {STEPS_MAX} and no more than connections");
    }
    let pid = watch.server_pid.context("--server-pid is needed to look at the server's memory")?;
    let mut ceilings = Ceilings::look(Some(pid));
    ceilings.check(plan.connections, plan.connections)?;
    let mut sessions: Vec<Stream> = Vec::with_capacity(plan.connections);
    let mut steps = vec![settled_step(pid, 0)?];
    let base_cores = base_cpu_cores(pid)?;
    let mut opening = Duration::ZERO;
    for nth in 1..=plan.steps {
        let wanted = plan.connections * nth / plan.steps;
        let began = Instant::now();
        while sessions.len() < wanted {
            let index = sessions.len();
            let (stream, _link) = driver
                .open(index, &silent(index))
                .with_context(|| format!("opening session {index}"))?;
            sessions.push(stream.into_nonblocking()?);
        }
        opening += began.elapsed();
        let now = settled_step(pid, wanted)?;
        if !watch.quiet {
            eprintln!("{wanted:>8} sessions  {:>10} KiB of its own", now.anon_bytes / 1024);
        }
        steps.push(now);
    }
    let (cpu_us, held_s, closed) = hold(&mut sessions, plan, pid)?;
    ceilings.look_again();
    Ok(IdleReport {
        scenario: "idle".to_owned(),
        machine: Machine { ceilings, ..Machine::look(watch.data.as_deref()) },
        plan: plan.clone(),
        bytes_per_connection: slope(&steps[1..]),
        growth_per_connection: growth(&steps),
        steps,
        cpu_us_per_connection_second: (cpu_us as f64 / held_s - base_cores * 1e6)
            / plan.connections as f64,
        base_cpu_cores: base_cores,
        closed,
        opening_s: opening.as_secs_f64(),
        exit_code: if closed == 0 { EXIT_OK } else { EXIT_FAILED },
    })
}

/// A seat that sends and hears nothing.
const fn silent(user: usize) -> Seat {
    Seat { user, role: Role::Both, talks: Vec::new(), sends: Vec::new(), hears: Vec::new() }
}

/// Waits until the server's memory stays where it is, for a bounded time.
fn settled_step(pid: u32, connections: usize) -> anyhow::Result<IdleStep> {
    let mut before = step(pid, connections)?;
    for _ in 0..SETTLE_TRIES {
        thread::sleep(SETTLE);
        let now = step(pid, connections)?;
        if now.anon_bytes.abs_diff(before.anon_bytes) < STEADY_BYTES {
            return Ok(now);
        }
        before = now;
    }
    Ok(before)
}

fn base_cpu_cores(pid: u32) -> anyhow::Result<f64> {
    let (before, began) = (ProcessSample::of(pid)?, Instant::now());
    thread::sleep(BASE_HOLD);
    let cpu_us = ProcessSample::of(pid)?.cpu_us.saturating_sub(before.cpu_us);
    Ok(cpu_us as f64 / 1e6 / began.elapsed().as_secs_f64())
}

fn step(pid: u32, connections: usize) -> anyhow::Result<IdleStep> {
    let sample = ProcessSample::of(pid)?;
    Ok(IdleStep { connections, rss_bytes: sample.rss_bytes, anon_bytes: sample.anon_bytes })
}

/// Sends each session's heartbeat in its turn; gives the server's CPU time, the seconds, and how
/// many sessions ended.
fn hold(sessions: &mut [Stream], plan: &IdlePlan, pid: u32) -> anyhow::Result<(u64, f64, usize)> {
    let before = ProcessSample::of(pid)?;
    let began = Instant::now();
    let length = Duration::from_secs(plan.hold_s.max(1));
    let per_second = sessions.len() as f64 / plan.heartbeat_s.max(1) as f64;
    let mut beaten = 0_usize;
    let mut dead = vec![false; sessions.len()];
    while began.elapsed() < length {
        let due = (began.elapsed().as_secs_f64() * per_second) as usize;
        while beaten < due {
            let index = beaten % sessions.len();
            dead[index] |= !beat(&mut sessions[index]);
            beaten += 1;
        }
        thread::sleep(PACE_STEP);
    }
    let after = ProcessSample::of(pid)?;
    let held_s = began.elapsed().as_secs_f64();
    for (session, dead) in sessions.iter_mut().zip(&mut dead) {
        *dead |= !is_open(session);
    }
    let closed = dead.into_iter().filter(|dead| *dead).count();
    Ok((after.cpu_us.saturating_sub(before.cpu_us), held_s, closed))
}

fn beat(session: &mut Stream) -> bool {
    is_open(session) && session.write_all(HEARTBEAT).is_ok()
}

/// Empties what arrived; false when the server has ended the session.
fn is_open(session: &mut Stream) -> bool {
    let mut scratch = [0; 256];
    loop {
        match session.read(&mut scratch) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

/// From the first step, without sessions, to the last.
fn growth(steps: &[IdleStep]) -> f64 {
    match (steps.first(), steps.last()) {
        (Some(first), Some(last)) if last.connections > 0 => {
            (last.anon_bytes as f64 - first.anon_bytes as f64) / last.connections as f64
        }
        _ => 0.0,
    }
}

/// Least squares of own memory over sessions.
fn slope(steps: &[IdleStep]) -> f64 {
    let count = steps.len() as f64;
    let mean = |value: &dyn Fn(&IdleStep) -> f64| steps.iter().map(value).sum::<f64>() / count;
    let (x, y) = (mean(&|step| step.connections as f64), mean(&|step| step.anon_bytes as f64));
    let (mut above, mut below) = (0.0, 0.0);
    for step in steps {
        let dx = step.connections as f64 - x;
        above += dx * (step.anon_bytes as f64 - y);
        below += dx * dx;
    }
    if below > 0.0 { above / below } else { 0.0 }
}

impl Display for IdleReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "idle: {} sessions in {} steps, held {} s with a heartbeat each {} s",
            self.plan.connections, self.plan.steps, self.plan.hold_s, self.plan.heartbeat_s
        )?;
        for step in &self.steps {
            let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
            writeln!(
                f,
                "  {:>7} sessions  {:>8.1} MiB resident  {:>8.1} MiB of its own",
                step.connections,
                mib(step.rss_bytes),
                mib(step.anon_bytes)
            )?;
        }
        writeln!(
            f,
            "  {:.0} bytes per session (slope), {:.0} (growth from none)",
            self.bytes_per_connection, self.growth_per_connection
        )?;
        writeln!(f, "  {:.3} us of CPU per session and second", self.cpu_us_per_connection_second)?;
        writeln!(f, "  {:.1} s to open them all", self.opening_s)?;
        writeln!(f, "verdict: {}", if self.closed == 0 { "ok" } else { "THE PRODUCT FAILED" })?;
        if self.closed > 0 {
            writeln!(f, "  - the server ended {} sessions", self.closed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_is_free_of_the_base() {
        let step =
            |connections: usize, anon_bytes| IdleStep { connections, rss_bytes: 0, anon_bytes };
        let steps = [step(100, 5_100_000), step(200, 5_200_000), step(400, 5_400_000)];
        assert!((slope(&steps) - 1_000.0).abs() < 1e-6);
        assert!(slope(&steps[..1]).abs() < 1e-9);
        let from_none = [step(0, 5_000_000), step(400, 5_400_000)];
        assert!((growth(&from_none) - 1_000.0).abs() < 1e-6);
        assert!(growth(&steps[..0]).abs() < 1e-9);
    }
}
