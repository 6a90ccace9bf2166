//! The thread that watches while the workers work: samples at both ends of the measurement, and a
//! line of progress each second in between.
//!
//! Owns nothing of the run; sees the workers only through their counters.

use std::io::Write as _;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;

use crate::clock::RunClock;
use crate::engine::worker::{Moments, Progress};
use crate::histogram::nanoseconds;
use crate::plan::Pace;
use crate::probe::{Metrics, ProcessSample, device_written_bytes, disk_bytes};
use crate::scenario::Watch;
use crate::series::Tick;

/// The server's metric that counts syncs of its log.
pub const SYNCS_METRIC: &str = "hongyan_log_syncs_total";

const WATCH_STEP: Duration = Duration::from_millis(20);
const PROGRESS_STEP_NS: u64 = 1_000_000_000;
/// Ticks that are remembered: a day and more of seconds.
const TICKS_MAX: usize = 100_000;

/// When there is nothing left to watch, whatever the time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goal {
    /// Answers that end the run.
    pub(crate) answers: u64,
    /// Connections; when all are broken, the run is over.
    pub(crate) connections: u64,
}

/// Everything that is read at the beginning and at the end of the measurement.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) at_ns: u64,
    pub(crate) acked: u64,
    pub(crate) delivered: u64,
    pub(crate) generator: ProcessSample,
    pub(crate) server: Option<ProcessSample>,
    pub(crate) syncs: Option<f64>,
    pub(crate) disk_bytes: Option<u64>,
    pub(crate) device_written_bytes: Option<u64>,
}

/// The thread that watches while the workers work.
pub(crate) struct Observer<'a> {
    clock: RunClock,
    progress: &'a Progress,
    watch: &'a Watch,
    pace: Pace,
    moments: Moments,
    ticks: Vec<Tick>,
    last: Counted,
}

/// The counters at the end of the last tick.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    at_ns: u64,
    offered: u64,
    acked: u64,
    delivered: u64,
    refused: u64,
    generator_cpu_us: u64,
    server_cpu_us: Option<u64>,
}

/// What the observer has seen.
#[derive(Debug)]
pub(crate) struct Seen {
    /// When counting began.
    pub(crate) from: Sample,
    /// When it ended.
    pub(crate) to: Sample,
    /// Second by second, warm-up included.
    pub(crate) ticks: Vec<Tick>,
}

impl<'a> Observer<'a> {
    /// Watches a run of this pace and these moments.
    pub(crate) fn new(
        clock: RunClock,
        progress: &'a Progress,
        watch: &'a Watch,
        pace: Pace,
        moments: Moments,
    ) -> Self {
        let last = Counted { at_ns: moments.start_ns, ..Counted::default() };
        Self { clock, progress, watch, pace, moments, ticks: Vec::new(), last }
    }

    /// Samples at both ends of the measurement and shows progress in between.
    pub(crate) fn watch(&mut self, goal: Goal) -> anyhow::Result<Seen> {
        self.last.generator_cpu_us = ProcessSample::of_self()?.cpu_us;
        self.last.server_cpu_us = self.server_now().map(|server| server.cpu_us);
        let watched = self.watch_measured(goal);
        if watched.is_err() {
            self.progress.abort.store(true, Ordering::Relaxed);
        }
        let (from, to) = watched?;
        Ok(Seen { from, to, ticks: std::mem::take(&mut self.ticks) })
    }

    fn watch_measured(&mut self, goal: Goal) -> anyhow::Result<(Sample, Sample)> {
        self.wait_until(self.moments.measure_from_ns, goal)?;
        let from = self.sample()?;
        self.wait_until(self.moments.stop_ns, goal)?;
        Ok((from, self.sample()?))
    }

    /// Waits for a moment, or until no worker has anything left to do.
    fn wait_until(&mut self, at_ns: u64, goal: Goal) -> anyhow::Result<()> {
        loop {
            let now_ns = self.clock.now_ns();
            let progress = self.progress;
            let answered =
                progress.acked.load(Ordering::Relaxed) + progress.refused.load(Ordering::Relaxed);
            let dead = progress.broken.load(Ordering::Relaxed) >= goal.connections;
            if now_ns >= at_ns || answered >= goal.answers || dead {
                return Ok(());
            }
            if now_ns >= self.last.at_ns + PROGRESS_STEP_NS {
                self.tick(now_ns)?;
            }
            let next_ns = at_ns.min(now_ns + WATCH_STEP.as_nanos() as u64);
            self.clock.sleep_until(next_ns);
        }
    }

    /// Ends a tick: remembers it, and shows it as a line of progress.
    fn tick(&mut self, now_ns: u64) -> anyhow::Result<()> {
        let recent = {
            let mut recent =
                self.progress.recent_ack.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *recent, nanoseconds())
        };
        let server = self.server_now();
        let now = self.count(now_ns, server)?;
        let before = std::mem::replace(&mut self.last, now);
        let seconds = (now.at_ns - before.at_ns) as f64 / 1e9;
        let cores = |now: u64, before: u64| now.saturating_sub(before) as f64 / 1e6 / seconds;
        let us = |quantile| recent.value_at_quantile(quantile) as f64 / 1e3;
        let tick = Tick {
            at_s: (now_ns - self.moments.start_ns) as f64 / 1e9,
            warming: now_ns < self.moments.measure_from_ns,
            offered: now.offered - before.offered,
            acked: now.acked - before.acked,
            delivered: now.delivered - before.delivered,
            refused: now.refused - before.refused,
            ack_p50_us: if recent.is_empty() { 0.0 } else { us(0.5) },
            ack_p99_us: if recent.is_empty() { 0.0 } else { us(0.99) },
            server_cpu_cores: now
                .server_cpu_us
                .zip(before.server_cpu_us)
                .map(|(now, before)| cores(now, before)),
            generator_cpu_cores: cores(now.generator_cpu_us, before.generator_cpu_us),
            server_rss_bytes: server.map(|server| server.rss_bytes),
        };
        self.show(&tick, seconds);
        if self.ticks.len() < TICKS_MAX {
            self.ticks.push(tick);
        }
        Ok(())
    }

    fn show(&self, tick: &Tick, seconds: f64) {
        if self.watch.quiet {
            return;
        }
        // Progress is a courtesy: a closed terminal must not end the run.
        let _ = writeln!(
            std::io::stderr(),
            "{:>8.0} acked/s {:>8.0} delivered/s  ack p99 {:>7.2} ms  refused {}  broken {}{}",
            tick.acked as f64 / seconds,
            tick.delivered as f64 / seconds,
            tick.ack_p99_us / 1e3,
            self.last.refused,
            self.progress.broken.load(Ordering::Relaxed),
            if tick.warming { "  (warming up)" } else { "" },
        );
    }

    fn count(&self, now_ns: u64, server: Option<ProcessSample>) -> anyhow::Result<Counted> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let offered = match self.pace {
            Pace::ClosedLoop => read(&self.progress.sent),
            Pace::OpenLoop { per_second } => {
                let until_ns = now_ns.min(self.moments.stop_ns) - self.moments.start_ns;
                (per_second * until_ns as f64 / 1e9) as u64
            }
        };
        Ok(Counted {
            at_ns: now_ns,
            offered: offered.max(self.last.offered),
            acked: read(&self.progress.acked),
            delivered: read(&self.progress.delivered),
            refused: read(&self.progress.refused),
            generator_cpu_us: ProcessSample::of_self()?.cpu_us,
            server_cpu_us: server.map(|server| server.cpu_us),
        })
    }

    /// The server's process between samples; one that is gone is found out by those.
    fn server_now(&self) -> Option<ProcessSample> {
        self.watch.server_pid.and_then(|pid| ProcessSample::of(pid).ok())
    }

    fn sample(&self) -> anyhow::Result<Sample> {
        let metrics = self.watch.metrics.map(Metrics::fetch).transpose().context("metrics")?;
        let disk_bytes = self.watch.data.as_deref().map(disk_bytes).transpose()?;
        Ok(Sample {
            syncs: metrics.and_then(|metrics| metrics.value(SYNCS_METRIC)),
            disk_bytes,
            device_written_bytes: self.watch.data.as_deref().and_then(device_written_bytes),
            server: self.watch.server_pid.map(ProcessSample::of).transpose()?,
            generator: ProcessSample::of_self()?,
            acked: self.progress.acked.load(Ordering::Relaxed),
            delivered: self.progress.delivered.load(Ordering::Relaxed),
            at_ns: self.clock.now_ns(),
        })
    }
}
