//! The thread that watches while the workers work: samples at both ends of the measurement, and a
//! line of progress each second in between.
//!
//! Owns nothing of the run; sees the workers only through their counters.

use std::io::Write as _;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Context;

use crate::clock::RunClock;
use crate::engine::worker::{Moments, Progress};
use crate::histogram::nanoseconds;
use crate::probe::{Metrics, ProcessSample, disk_bytes};
use crate::scenario::Watch;

/// The server's metric that counts syncs of its log.
pub const SYNCS_METRIC: &str = "hongyan_log_syncs_total";

const WATCH_STEP: Duration = Duration::from_millis(20);
const PROGRESS_STEP_NS: u64 = 1_000_000_000;

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
}

/// The thread that watches while the workers work.
pub(crate) struct Observer<'a> {
    clock: RunClock,
    progress: &'a Progress,
    watch: &'a Watch,
    /// Sent, acked and the time of the last progress line.
    shown: (u64, u64, u64),
}

impl<'a> Observer<'a> {
    /// Watches a run that sends its first message at `start_ns`.
    pub(crate) const fn new(
        clock: RunClock,
        progress: &'a Progress,
        watch: &'a Watch,
        start_ns: u64,
    ) -> Self {
        Self { clock, progress, watch, shown: (0, 0, start_ns) }
    }

    /// Samples at both ends of the measurement and shows progress in between.
    pub(crate) fn watch(
        &mut self,
        goal: Goal,
        moments: Moments,
    ) -> anyhow::Result<(Sample, Sample)> {
        let watched = self.wait_until(moments.measure_from_ns, goal).and_then(|_| {
            let from = self.sample()?;
            self.wait_until(moments.stop_ns, goal)?;
            Ok((from, self.sample()?))
        });
        if watched.is_err() {
            self.progress.abort.store(true, Ordering::Relaxed);
        }
        watched
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
            if now_ns >= self.shown.2 + PROGRESS_STEP_NS {
                self.show(now_ns);
            }
            let next_ns = at_ns.min(now_ns + WATCH_STEP.as_nanos() as u64);
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
