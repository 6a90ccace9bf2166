//! A ring of people who write to each other: user `i` sends to user `i + 1`, who says how far it
//! got.
//!
//! Dense (many in flight) it shows throughput and CPU per message; sparse (one in flight on many
//! connections) what a message costs that nothing is batched with. Filling a server with a number
//! of messages is the same run with another end.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use hdrhistogram::Histogram;
use hongyan_protocol::ids::mix64;

use crate::clock::RunClock;
use crate::connection::{Connection, Place};
use crate::driver::{Driver, Link};
use crate::histogram::{LatencySummary, merge, nanoseconds};
use crate::ledger::Findings;
use crate::pacing::Schedule;
use crate::payload::TextForm;
use crate::plan::{Pace, Plan, Stop};
use crate::probe::{Machine, Metrics, ProcessSample, disk_bytes};
use crate::report::{Costs, Outcome, RunReport, Verdict};
use crate::scenario::Watch;
use crate::worker::{self, Moments, Progress, WorkerOutcome, WorkerParts};

/// The server's metric that counts syncs of its log.
pub const SYNCS_METRIC: &str = "hongyan_log_syncs_total";

const WATCH_STEP: Duration = Duration::from_millis(5);
const PROGRESS_STEP_NS: u64 = 1_000_000_000;
/// From all connections being open to the first send.
const LEAD_NS: u64 = 50_000_000;

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
    let run = fresh_run_number();
    let connections = open_ring(driver, plan, run)?;
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
    let parts = split(connections, plan, start_ns, moments, clock, &progress);
    let handles: Vec<_> = parts
        .into_iter()
        .map(|parts| thread::Builder::new().name("worker".into()).spawn(|| worker::run(parts)))
        .collect::<Result<_, _>>()?;

    let mut observer = Observer { clock, progress: &progress, watch, shown: (0, 0, start_ns) };
    let measured = observer.watch(plan, moments);
    let mut outcomes = Vec::new();
    for handle in handles {
        let joined = handle.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?;
        outcomes.push(joined.context("a worker failed")?);
    }
    let whole_ns = clock.now_ns() - start_ns;
    let (from, to) = measured?;
    let outcome = conclude(plan, outcomes, &from, &to, whole_ns);
    Ok(RunReport {
        generator: concat!("hongyan-loadtest ", env!("CARGO_PKG_VERSION")).to_owned(),
        scenario: names.0.to_owned(),
        driver: names.1.to_owned(),
        started_unix_s,
        run,
        machine: Machine::look(watch.data.as_deref()),
        plan: plan.clone(),
        verdict: Verdict::of(plan, &outcome),
        outcome,
    })
}

/// Differs between runs with overwhelming probability, so that leftovers of an earlier run are
/// told apart and its message ids do not come back.
fn fresh_run_number() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    (mix64(now as u64 ^ mix64(u64::from(std::process::id()))) >> 32) as u32
}

fn open_ring<D: Driver>(
    driver: &D,
    plan: &Plan,
    run: u32,
) -> anyhow::Result<Vec<Connection<D::Link>>> {
    (0..plan.connections)
        .map(|index| {
            let (stream, link) =
                driver.open(index).with_context(|| format!("opening connection {index}"))?;
            stream.set_read_timeout(None)?;
            stream.set_write_timeout(None)?;
            stream.set_nonblocking(true)?;
            let stream = mio::net::TcpStream::from_std(stream);
            let place = Place { run, index, ring: plan.connections };
            Ok(Connection::new(stream, link, place, plan.window, plan.quota(), plan.receipts))
        })
        .collect()
}

fn split<L: Link>(
    connections: Vec<Connection<L>>,
    plan: &Plan,
    start_ns: u64,
    moments: Moments,
    clock: RunClock,
    progress: &Arc<Progress>,
) -> Vec<WorkerParts<L>> {
    let all = connections.len();
    let mut shares: Vec<Vec<_>> = (0..plan.threads).map(|_| Vec::new()).collect();
    for (index, connection) in connections.into_iter().enumerate() {
        shares[index % plan.threads].push(connection);
    }
    shares
        .into_iter()
        .enumerate()
        .map(|(index, connections)| WorkerParts {
            schedule: Schedule::new(
                plan.pace,
                start_ns,
                connections.len(),
                all,
                mix64(plan.seed) ^ index as u64,
            ),
            connections,
            text: TextForm::new(plan.bytes, plan.seed),
            moments,
            clock,
            progress: Arc::clone(progress),
            workers: plan.threads as u64,
        })
        .collect()
}

/// Everything that is read at the beginning and at the end of the measurement.
#[derive(Debug)]
struct Sample {
    at_ns: u64,
    acked: u64,
    delivered: u64,
    generator: ProcessSample,
    server: Option<ProcessSample>,
    syncs: Option<f64>,
    disk_bytes: Option<u64>,
}

/// The thread that watches while the workers work.
struct Observer<'a> {
    clock: RunClock,
    progress: &'a Progress,
    watch: &'a Watch,
    /// Sent, acked and the time of the last progress line.
    shown: (u64, u64, u64),
}

impl Observer<'_> {
    /// Samples at both ends of the measurement and shows progress in between.
    fn watch(&mut self, plan: &Plan, moments: Moments) -> anyhow::Result<(Sample, Sample)> {
        let watched = self.wait_until(moments.measure_from_ns, plan).and_then(|_| {
            let from = self.sample()?;
            self.wait_until(moments.stop_ns, plan)?;
            Ok((from, self.sample()?))
        });
        if watched.is_err() {
            self.progress.abort.store(true, Ordering::Relaxed);
        }
        watched
    }

    /// Waits for a moment, or until no worker has anything left to do.
    fn wait_until(&mut self, at_ns: u64, plan: &Plan) -> anyhow::Result<()> {
        let all_acked = match plan.stop {
            Stop::Messages { .. } => plan.quota() * plan.connections as u64,
            Stop::Time => u64::MAX,
        };
        loop {
            let now_ns = self.clock.now_ns();
            let progress = self.progress;
            let answered =
                progress.acked.load(Ordering::Relaxed) + progress.refused.load(Ordering::Relaxed);
            let dead = progress.broken.load(Ordering::Relaxed) >= plan.connections as u64;
            if now_ns >= at_ns || answered >= all_acked || dead {
                return Ok(());
            }
            if now_ns >= self.shown.2 + PROGRESS_STEP_NS {
                self.show(now_ns);
            }
            let next_ns = at_ns.min(now_ns + WATCH_STEP.as_nanos() as u64 * 4);
            self.clock.sleep_until(next_ns);
        }
    }

    fn show(&mut self, now_ns: u64) {
        let (acked_before, delivered_before, before_ns) = self.shown;
        let acked = self.progress.acked.load(Ordering::Relaxed);
        let delivered = self.progress.delivered.load(Ordering::Relaxed);
        let recent = {
            let mut recent =
                self.progress.recent_ack.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *recent, nanoseconds())
        };
        self.shown = (acked, delivered, now_ns);
        if self.watch.quiet || before_ns > now_ns {
            return;
        }
        let seconds = (now_ns - before_ns) as f64 / 1e9;
        let rate = |now: u64, before: u64| (now - before) as f64 / seconds;
        // Progress is a courtesy: a closed terminal must not end the run.
        let _ = writeln!(
            std::io::stderr(),
            "{:>8.0} acked/s {:>8.0} delivered/s  ack p99 {:>7.2} ms  refused {}  broken {}",
            rate(acked, acked_before),
            rate(delivered, delivered_before),
            recent.value_at_quantile(0.99) as f64 / 1e6,
            self.progress.refused.load(Ordering::Relaxed),
            self.progress.broken.load(Ordering::Relaxed),
        );
    }

    fn sample(&self) -> anyhow::Result<Sample> {
        let metrics = self.watch.metrics.map(Metrics::fetch).transpose().context("metrics")?;
        let disk_bytes = self.watch.data.as_deref().map(disk_bytes).transpose()?;
        Ok(Sample {
            syncs: metrics.and_then(|metrics| metrics.value(SYNCS_METRIC)),
            disk_bytes,
            server: self.watch.server_pid.map(ProcessSample::of).transpose()?,
            generator: ProcessSample::of_self()?,
            acked: self.progress.acked.load(Ordering::Relaxed),
            delivered: self.progress.delivered.load(Ordering::Relaxed),
            at_ns: self.clock.now_ns(),
        })
    }
}

fn conclude<L: Link>(
    plan: &Plan,
    outcomes: Vec<WorkerOutcome<L>>,
    from: &Sample,
    to: &Sample,
    whole_ns: u64,
) -> Outcome {
    let measured_s = (to.at_ns - from.at_ns) as f64 / 1e9;
    let (acked, delivered) = (to.acked - from.acked, to.delivered - from.delivered);
    let mut outcome = Outcome {
        measured_s,
        whole_s: whole_ns as f64 / 1e9,
        acked,
        delivered,
        acked_per_s: acked as f64 / measured_s,
        delivered_per_s: delivered as f64 / measured_s,
        costs: costs_between(from, to, acked, measured_s),
        ..Outcome::default()
    };
    let (mut ack, mut e2e, mut late) = (nanoseconds(), nanoseconds(), nanoseconds());
    let mut ring: BTreeMap<usize, Connection<L>> = BTreeMap::new();
    let threads = outcomes.len();
    for (worker, part) in outcomes.into_iter().enumerate() {
        for (into, from) in [
            (&mut ack, &part.ack_latency),
            (&mut e2e, &part.e2e_latency),
            (&mut late, &part.lateness),
        ] {
            merge(into, from);
        }
        outcome.postponed += part.postponed;
        outcome.not_offered += part.not_offered;
        outcome.findings.unanswered += part.unanswered;
        for (code, count) in part.refusals {
            *outcome.refusals.entry(code).or_default() += count;
        }
        for (nth, connection) in part.connections.into_iter().enumerate() {
            ring.insert(nth * threads + worker, connection);
        }
    }
    judge_ring(&ring, &mut outcome);
    summarize(plan, &mut outcome, [&ack, &e2e, &late]);
    outcome
}

fn judge_ring<L>(ring: &BTreeMap<usize, Connection<L>>, outcome: &mut Outcome) {
    for (index, connection) in ring {
        let next = &ring[&((index + 1) % ring.len())];
        outcome.findings.add(&Findings::of_pair(&connection.outbound, &next.inbound));
        outcome.sent_in_all += connection.outbound.sent();
        outcome.acked_in_all += connection.outbound.acked();
        outcome.delivered_in_all += connection.inbound.delivered();
        if let Some(broken) = &connection.broken {
            outcome.broken.push(format!("connection {index}: {broken}"));
        }
    }
}

fn summarize(plan: &Plan, outcome: &mut Outcome, stages: [&Histogram<u64>; 3]) {
    outcome.ack_latency = LatencySummary::of(stages[0]);
    outcome.e2e_latency = LatencySummary::of(stages[1]);
    if matches!(plan.pace, Pace::OpenLoop { .. }) {
        outcome.lateness = Some(LatencySummary::of(stages[2]));
    }
}

fn costs_between(from: &Sample, to: &Sample, acked: u64, measured_s: f64) -> Costs {
    let per_message = |amount: u64| amount as f64 / acked.max(1) as f64;
    let server = from.server.zip(to.server);
    let server_cpu_us = server.map(|(from, to)| to.cpu_us.saturating_sub(from.cpu_us));
    let generator_us = to.generator.cpu_us.saturating_sub(from.generator.cpu_us);
    let syncs = from.syncs.zip(to.syncs).map(|(from, to)| (to - from).max(0.0) as u64);
    Costs {
        server_cpu_us_per_message: server_cpu_us.map(per_message),
        server_cpu_cores: server_cpu_us.map(|us| us as f64 / 1e6 / measured_s),
        server_rss_bytes: to.server.map(|sample| sample.rss_bytes),
        server_anon_bytes: to.server.map(|sample| sample.anon_bytes),
        server_written_bytes_per_message: server
            .and_then(|(from, to)| from.written_bytes.zip(to.written_bytes))
            .map(|(from, to)| per_message(to.saturating_sub(from))),
        disk_bytes_per_message: from
            .disk_bytes
            .zip(to.disk_bytes)
            .map(|(from, to)| per_message(to.saturating_sub(from))),
        syncs,
        messages_per_sync: syncs
            .filter(|syncs| *syncs > 0)
            .map(|syncs| acked as f64 / syncs as f64),
        generator_cpu_cores: generator_us as f64 / 1e6 / measured_s,
        generator_cpu_us_per_message: per_message(generator_us),
    }
}
