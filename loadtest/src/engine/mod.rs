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
pub mod life;
pub mod pacing;
pub mod payload;
pub mod topology;

pub(crate) mod crowd;

mod comings;
mod conclude;
mod connection;
mod login;
mod observer;
mod returns;
mod spread;
mod tally;
mod worker;

use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use hongyan_protocol::ids::mix64;
use serde::Serialize;
use socket2::SockRef;

pub use self::observer::SYNCS_METRIC;

use self::comings::ComingsParts;
use self::connection::{Connection, Manners};
use self::life::Life;
use self::observer::{Goal, Observer};
use self::pacing::Schedule;
use self::payload::TextForm;
use self::returns::{Job, Reopen};
use self::topology::{Seat, Topology};
use self::worker::{Moments, Progress, WorkerParts};
use crate::ceilings::Ceilings;
use crate::clock::RunClock;
use crate::driver::Driver;
use crate::histogram::LatencySummary;
use crate::plan::{Plan, Stop};
use crate::report::Outcome;
use crate::scenario::Watch;

/// Receive buffer of a seat that reads slowly: the least that the system gives, so that what is
/// not read stays at the server.
const SLOW_BUFFER_BYTES: usize = 1;
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
    /// What only some scenarios report.
    pub details: Details,
}

/// What a run shows beside its outcome.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Details {
    /// From a message's first arrival to its last, where it has several receivers: over those of
    /// one worker.
    pub spread: LatencySummary,
    /// What became of seats that went away or read slowly.
    pub life: LifeFigures,
    /// By kind of stream, where the topology has kinds.
    pub kinds: Vec<KindFigures>,
    /// Pushes that said who is there.
    pub presences: u64,
}

/// The streams of one kind while the run was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct KindFigures {
    /// Name of the kind.
    pub name: String,
    /// Acknowledged per second.
    pub acked_per_s: f64,
    /// Arrived per second, without what was fetched on coming back.
    pub delivered_per_s: f64,
    /// From the planned send to the ack.
    pub ack_latency: LatencySummary,
    /// From the planned send to the arrival.
    pub e2e_latency: LatencySummary,
}

/// What became of seats that went away or read slowly.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct LifeFigures {
    /// Planned sends that were not made because their sender was away.
    pub absent_sends: u64,
    /// Sessions that were opened again.
    pub returns: u64,
    /// From asking for a session to holding everything.
    pub return_latency: LatencySummary,
    /// Messages that were fetched on coming back.
    pub caught_up: u64,
    /// Requests that this took.
    pub round_trips: u64,
    /// Bytes that this brought.
    pub bytes_in: u64,
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
    let run = Run { driver, topology, plan, watch, life: &Life::default() };
    run.carry_out(None)
}

/// The same for seats that live as `life` says. When the sending is over everybody is there and has
/// caught up, whoever was told to as well, unless that takes longer than the plan's drain time.
///
/// # Errors
/// As [`run`]; also when the driver cannot bring connections back.
pub fn run_with<D: Driver + Sync>(
    driver: &D,
    topology: &Topology,
    plan: &Plan,
    watch: &Watch,
    life: &Life,
) -> anyhow::Result<Ran> {
    let run = Run { driver, topology, plan, watch, life };
    run.carry_out(Some(&|index, seat, held| driver.reopen(index, seat, held)))
}

/// Everything that a run is made of.
struct Run<'a, D> {
    driver: &'a D,
    topology: &'a Topology,
    plan: &'a Plan,
    watch: &'a Watch,
    life: &'a Life,
}

impl<D: Driver> Run<'_, D> {
    fn carry_out(&self, reopen: Option<&Reopen<'_, D::Link>>) -> anyhow::Result<Ran> {
        self.plan.check()?;
        let seats = self.topology.seats.len();
        let mut ceilings = Ceilings::look(self.watch.server_pid);
        ceilings.check(seats, seats)?;
        let run = fresh_run_number();
        self.driver.prepare()?;
        let (plan, topology) = (self.plan, self.topology);
        let quota = plan.quota(topology);
        let manners = Manners { run, window: plan.window, quota, receipts: plan.receipts };
        let connections = self.open(manners, reopen)?;
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
        let goal = Goal {
            answers: match plan.stop {
                Stop::Messages { .. } => quota * topology.flows() as u64,
                Stop::Time => u64::MAX,
            },
            connections: topology.seats.len() as u64,
        };
        let (jobs, waiting) = mpsc::sync_channel(topology.seats.len());
        let jobs = reopen.is_some().then_some(jobs);
        let waiting = Mutex::new(waiting);
        let shares = self.split(connections, moments, clock, &progress, jobs);
        let (watched, outcomes) = thread::scope(|scope| -> anyhow::Result<_> {
            if let Some(reopen) = reopen {
                for _ in 0..returns::AT_ONCE {
                    scope.spawn(|| returns::serve(&waiting, topology, reopen));
                }
            }
            let worker = || thread::Builder::new().name("worker".into());
            let handles = shares
                .into_iter()
                .map(|parts| worker().spawn_scoped(scope, || worker::run(parts)))
                .collect::<Result<Vec<_>, _>>()?;
            let watched =
                Observer::new(clock, &progress, self.watch, plan.pace, moments).watch(goal);
            let mut outcomes = Vec::new();
            for handle in handles {
                let joined = handle.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?;
                outcomes.push(joined.context("a worker failed")?);
            }
            Ok((watched, outcomes))
        })?;
        let whole_ns = clock.now_ns() - start_ns;
        let (outcome, details) = conclude::conclude(plan, topology, outcomes, watched?, whole_ns);
        ceilings.look_again();
        Ok(Ran { run, started_unix_s, outcome, ceilings, details })
    }

    fn open(
        &self,
        manners: Manners,
        reopen: Option<&Reopen<'_, D::Link>>,
    ) -> anyhow::Result<Vec<Connection<D::Link>>> {
        let topology = self.topology;
        let seats = topology.seats.iter().enumerate();
        seats
            .map(|(index, seat)| {
                let failed = || format!("opening connection {index}");
                let (stream, link, held) = match reopen {
                    None => {
                        let (stream, link) = self.driver.open(index, seat).with_context(failed)?;
                        (stream, link, None)
                    }
                    Some(reopen) => {
                        let first = reopen(index, seat, None).with_context(failed)?;
                        (first.stream, first.link, Some(first.held))
                    }
                };
                if self.life.slow.seats.contains(&index) {
                    SockRef::from(stream.socket()).set_recv_buffer_size(SLOW_BUFFER_BYTES)?;
                }
                let mut connection =
                    Connection::new(stream.into_nonblocking()?, link, seat, topology, manners);
                if let Some(held) = held {
                    connection.begin_at(&held);
                }
                Ok(connection)
            })
            .collect()
    }

    /// Deals connections to workers, one after the other.
    fn split(
        &self,
        connections: Vec<Connection<D::Link>>,
        moments: Moments,
        clock: RunClock,
        progress: &Arc<Progress>,
        jobs: Option<SyncSender<Job<D::Link>>>,
    ) -> Vec<WorkerParts<D::Link>> {
        let (plan, topology) = (self.plan, self.topology);
        let mut shares: Vec<Vec<_>> = (0..plan.threads).map(|_| Vec::new()).collect();
        for (index, connection) in connections.into_iter().enumerate() {
            shares[index % plan.threads].push(connection);
        }
        shares
            .into_iter()
            .enumerate()
            .map(|(index, connections)| {
                let seed = mix64(plan.seed) ^ index as u64;
                let seats: Vec<&Seat> =
                    topology.seats.iter().skip(index).step_by(plan.threads).collect();
                WorkerParts {
                    schedule: Schedule::new(
                        plan.pace,
                        moments.start_ns,
                        topology.turns(&seats, seed),
                        topology.turns_in_all(),
                        seed,
                    ),
                    connections,
                    text: TextForm::new(plan.bytes, plan.seed),
                    moments,
                    clock,
                    progress: Arc::clone(progress),
                    workers: plan.threads as u64,
                    limited: plan.stop != Stop::Time,
                    kinds: topology.kinds.len(),
                    comings: jobs.clone().map(|jobs| self.comings(index, moments, jobs)),
                }
            })
            .collect()
    }

    /// The part of the run's life that concerns worker `index`.
    fn comings(
        &self,
        index: usize,
        moments: Moments,
        jobs: SyncSender<Job<D::Link>>,
    ) -> ComingsParts<D::Link> {
        let threads = self.plan.threads;
        let local = |seat: usize| (seat % threads == index).then_some(seat / threads);
        let life = self.life;
        ComingsParts {
            absences: life
                .absences
                .iter()
                .filter_map(|absence| Some((local(absence.seat)?, *absence)))
                .collect(),
            slow: life.slow.seats.iter().filter_map(|seat| local(*seat)).collect(),
            slow_bytes_per_s: life.slow.bytes_per_s,
            seats: (index..self.topology.seats.len()).step_by(threads).collect(),
            jobs,
            start_ns: moments.start_ns,
        }
    }
}

/// Differs between runs with overwhelming probability, so that leftovers of an earlier run are
/// told apart and its message ids do not come back.
fn fresh_run_number() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    (mix64(now as u64 ^ mix64(u64::from(std::process::id()))) >> 32) as u32
}
