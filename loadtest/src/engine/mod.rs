//! Carries a plan out: opens the connections of a topology, lets workers send and listen, watches,
//! and proves what arrived.
//!
//! ```text
//! Topology ─ open ─┬─ worker (thread): pacing, connections ─┐
//!                  ├─ worker                                ├─ conclude ─ Outcome
//!                  └─ observer: samples, progress ──────────┘
//! ```
//!
//! Knows no scenario and no server: what to send where comes as a [`Topology`], bytes come from a
//! [`Driver`].

pub mod ledger;
pub mod pacing;
pub mod payload;
pub mod topology;

pub(crate) mod crowd;

mod conclude;
mod connection;
mod login;
mod observer;
mod worker;

use std::sync::Arc;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use hongyan_protocol::ids::mix64;

pub use self::observer::SYNCS_METRIC;

use self::connection::{Connection, Manners};
use self::observer::{Goal, Observer};
use self::pacing::Schedule;
use self::payload::TextForm;
use self::topology::{Seat, Topology};
use self::worker::{Moments, Progress, WorkerParts};
use crate::ceilings::Ceilings;
use crate::clock::RunClock;
use crate::driver::{Driver, Link};
use crate::plan::{Plan, Stop};
use crate::report::Outcome;
use crate::scenario::Watch;

/// From all connections being open to the first send.
const LEAD_NS: u64 = 50_000_000;

/// What came of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran {
    /// Number that the run's messages carried.
    pub run: u32,
    /// Seconds since 1970, at the first send.
    pub started_unix_s: u64,
    /// What happened.
    pub outcome: Outcome,
    /// What the system let it have.
    pub ceilings: Ceilings,
}

/// Runs `plan` over `topology` through `driver`.
///
/// # Errors
/// The plan is out of range, does not fit into the system's limits, a connection could not be
/// opened, or the system failed a worker.
/// Whatever the server does once the run has begun is part of the outcome.
pub fn run<D: Driver>(
    driver: &D,
    topology: &Topology,
    plan: &Plan,
    watch: &Watch,
) -> anyhow::Result<Ran> {
    plan.check()?;
    let mut ceilings = Ceilings::look(watch.server_pid);
    ceilings.check(topology.seats.len(), topology.seats.len())?;
    let run = fresh_run_number();
    driver.prepare()?;
    let manners =
        Manners { run, window: plan.window, quota: plan.quota(topology), receipts: plan.receipts };
    let connections = open(driver, topology, manners)?;
    let clock = RunClock::start();
    let start_ns = clock.now_ns() + LEAD_NS;
    let progress = Arc::new(Progress::default());
    let moments = Moments {
        start_ns,
        measure_from_ns: start_ns + plan.measure_from_ns(),
        stop_ns: start_ns + plan.stop_ns(),
        drain_ns: plan.drain().as_nanos() as u64,
    };
    let started_unix_s =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let handles: Vec<_> = split(connections, topology, plan, moments, clock, &progress)
        .into_iter()
        .map(|parts| thread::Builder::new().name("worker".into()).spawn(|| worker::run(parts)))
        .collect::<Result<_, _>>()?;

    let goal = Goal {
        answers: match plan.stop {
            Stop::Messages { .. } => manners.quota * topology.streams() as u64,
            Stop::Time => u64::MAX,
        },
        connections: topology.seats.len() as u64,
    };
    let mut observer = Observer::new(clock, &progress, watch, plan.pace, moments);
    let watched = observer.watch(goal);
    let mut outcomes = Vec::new();
    for handle in handles {
        let joined = handle.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?;
        outcomes.push(joined.context("a worker failed")?);
    }
    let whole_ns = clock.now_ns() - start_ns;
    let outcome = conclude::conclude(plan, topology, outcomes, watched?, whole_ns);
    ceilings.look_again();
    Ok(Ran { run, started_unix_s, outcome, ceilings })
}

/// Differs between runs with overwhelming probability, so that leftovers of an earlier run are
/// told apart and its message ids do not come back.
fn fresh_run_number() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    (mix64(now as u64 ^ mix64(u64::from(std::process::id()))) >> 32) as u32
}

fn open<D: Driver>(
    driver: &D,
    topology: &Topology,
    manners: Manners,
) -> anyhow::Result<Vec<Connection<D::Link>>> {
    let seats = topology.seats.iter().enumerate();
    seats
        .map(|(index, seat)| {
            let (stream, link) =
                driver.open(index, seat).with_context(|| format!("opening connection {index}"))?;
            Ok(Connection::new(stream.into_nonblocking()?, link, seat, manners))
        })
        .collect()
}

/// Deals connections to workers, one after the other.
fn split<L: Link>(
    connections: Vec<Connection<L>>,
    topology: &Topology,
    plan: &Plan,
    moments: Moments,
    clock: RunClock,
    progress: &Arc<Progress>,
) -> Vec<WorkerParts<L>> {
    let mut shares: Vec<(Vec<_>, Vec<&Seat>)> =
        (0..plan.threads).map(|_| (Vec::new(), Vec::new())).collect();
    for (index, connection) in connections.into_iter().enumerate() {
        let share = &mut shares[index % plan.threads];
        share.0.push(connection);
        share.1.push(&topology.seats[index]);
    }
    shares
        .into_iter()
        .enumerate()
        .map(|(index, (connections, seats))| {
            let seed = mix64(plan.seed) ^ index as u64;
            WorkerParts {
                schedule: Schedule::new(
                    plan.pace,
                    moments.start_ns,
                    Topology::turns(&seats, seed),
                    topology.streams(),
                    seed,
                ),
                connections,
                text: TextForm::new(plan.bytes, plan.seed),
                moments,
                clock,
                progress: Arc::clone(progress),
                workers: plan.threads as u64,
                limited: plan.stop != Stop::Time,
            }
        })
        .collect()
}
