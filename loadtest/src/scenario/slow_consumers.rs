//! A ring in which some read far too slowly, or not at all: do the others notice?
//!
//! Two phases over the same people: in the first everybody reads, in the second the slow ones do
//! not. Slow ones write nothing in both, so that the offered load is the same. What the server
//! keeps for a slow reader is the growth of its memory, less that of the first phase. When the
//! sending is over, the slow ones come back, catch up and read like others, and every message is
//! accounted for: to be shed is expected here, to be lost is not.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

use crate::driver::Driver;
use crate::engine::life::{Life, Slow};
use crate::engine::topology::Topology;
use crate::engine::{self, LifeFigures};
use crate::plan::{Plan, PlanError};
use crate::probe::{Metrics, ProcessSample};
use crate::report::RunReport;
use crate::scenario::{Watch, line};

/// The server's metrics of slow readers.
const BEHIND_METRIC: &str = "hongyan_connections_behind_total";
const DROPPED_METRIC: &str = "hongyan_pushes_dropped_total";

/// Who reads how slowly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SlowPlan {
    /// Part of the people that reads slowly, above 0 and at most 0.5.
    pub share: f64,
    /// Bytes that each of them reads per second; zero: it does not read at all.
    pub bytes_per_s: f64,
}

/// Both phases, and how they compare.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SlowConsumersReport {
    /// The phase with slow readers.
    #[serde(flatten)]
    pub run: RunReport,
    /// The phase without.
    pub baseline: RunReport,
    /// How they compare.
    pub slow: SlowFigures,
}

/// How a phase with slow readers compares with one without.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SlowFigures {
    /// Slow readers.
    pub consumers: usize,
    /// Ack p99 with slow readers over that without.
    pub ack_p99_ratio: f64,
    /// The same of e2e p99, of receivers that are not slow.
    pub e2e_p99_ratio: f64,
    /// The same of the acknowledged rate.
    pub rate_ratio: f64,
    /// Growth of the server's own memory in the phase without, in bytes.
    pub growth_without_bytes: Option<i64>,
    /// The same in the phase with.
    pub growth_with_bytes: Option<i64>,
    /// Growth with, less growth without, per slow reader, in bytes.
    pub growth_per_consumer_bytes: Option<f64>,
    /// Times that the server told a reader to catch up; where its metrics are known.
    pub told_to_sync: Option<u64>,
    /// Pushes that it did not queue.
    pub pushes_dropped: Option<u64>,
    /// How the slow ones came back.
    pub life: LifeFigures,
}

impl SlowPlan {
    /// Checks every field against its range.
    ///
    /// # Errors
    /// [`PlanError`] that names the first field out of range.
    pub fn check(&self) -> Result<(), PlanError> {
        let error = |text: String| Err(PlanError::new(text));
        if !(self.share > 0.0 && self.share <= 0.5) {
            return error(format!("share must be above 0 and at most 0.5, not {}", self.share));
        }
        if !(self.bytes_per_s >= 0.0 && self.bytes_per_s <= 1e9) {
            return error(format!("read-bytes-per-s must be 0 or more, not {}", self.bytes_per_s));
        }
        Ok(())
    }

    /// The slow ones among `users`, spread evenly, no two next to each other.
    #[must_use]
    pub fn who(&self, users: usize) -> Vec<usize> {
        let count = ((users as f64 * self.share).round() as usize).clamp(1, users / 2);
        (0..count).map(|nth| nth * users / count).collect()
    }
}

/// Runs both phases of `plan` through `driver`, whose name is `name`.
///
/// # Errors
/// A number is out of range, a connection could not be opened, or the system failed a worker.
/// Whatever the server does once a phase has begun is part of the report.
pub fn run<D: Driver + Sync>(
    driver: &D,
    name: &str,
    slow: &SlowPlan,
    plan: &Plan,
    watch: &Watch,
) -> anyhow::Result<SlowConsumersReport> {
    slow.check()?;
    plan.check()?;
    let who = slow.who(plan.connections);
    let topology = Topology::ring_with_silent(plan.connections, &who);
    let plan = Plan { fan: 1, ..plan.clone() };
    let phase = |life: &Life| -> anyhow::Result<(RunReport, LifeFigures, Option<u64>)> {
        let before = watch.server_pid.map(ProcessSample::of).transpose()?;
        let ran = engine::run_with(driver, &topology, &plan, watch, life)?;
        let figures = ran.details.life.clone();
        let run = RunReport::new(("slow-consumers", name), &plan, watch, ran).shaped(slow);
        Ok((run, figures, before.map(|sample| sample.anon_bytes)))
    };
    let (baseline, _, before_baseline) = phase(&Life::default())?;
    let metrics = || watch.metrics.map(Metrics::fetch).transpose();
    let from = metrics()?;
    let readers = Slow { seats: who.clone(), bytes_per_s: slow.bytes_per_s };
    let (mut run, life, before) = phase(&Life { absences: Vec::new(), slow: readers })?;
    let to = metrics()?;
    let counted = |name: &str| {
        let value = |page: &Option<Metrics>| page.as_ref().and_then(|page| page.value(name));
        value(&from).zip(value(&to)).map(|(from, to)| (to - from).max(0.0) as u64)
    };
    let figures = SlowFigures {
        consumers: who.len(),
        told_to_sync: counted(BEHIND_METRIC),
        pushes_dropped: counted(DROPPED_METRIC),
        life,
        ..compare(&baseline, before_baseline, &run, before, who.len())
    };
    let failures = baseline.verdict.failures.iter().map(|why| format!("without slow ones: {why}"));
    let mut doubts: Vec<String> =
        baseline.verdict.doubts.iter().map(|why| format!("without slow ones: {why}")).collect();
    if figures.told_to_sync == Some(0) {
        doubts.push(
            "the server never fell behind with a slow reader: what they did not read fits into \
             the buffers between; run longer, or with fewer people at the same rate"
                .to_owned(),
        );
    }
    run.object(failures.collect(), doubts);
    Ok(SlowConsumersReport { run, baseline, slow: figures })
}

fn compare(
    without: &RunReport,
    before_without: Option<u64>,
    with: &RunReport,
    before_with: Option<u64>,
    consumers: usize,
) -> SlowFigures {
    let (a, b) = (&without.outcome, &with.outcome);
    let ratio = |with: f64, without: f64| if without > 0.0 { with / without } else { 0.0 };
    let growth = |before: Option<u64>, run: &RunReport| {
        let after = run.outcome.costs.server_anon_bytes;
        before.zip(after).map(|(before, after)| after as i64 - before as i64)
    };
    let growth_without_bytes = growth(before_without, without);
    let growth_with_bytes = growth(before_with, with);
    SlowFigures {
        ack_p99_ratio: ratio(b.ack_latency.p99_us, a.ack_latency.p99_us),
        e2e_p99_ratio: ratio(b.e2e_latency.p99_us, a.e2e_latency.p99_us),
        rate_ratio: ratio(b.acked_per_s, a.acked_per_s),
        growth_without_bytes,
        growth_with_bytes,
        growth_per_consumer_bytes: growth_without_bytes
            .zip(growth_with_bytes)
            .map(|(without, with)| (with - without) as f64 / consumers as f64),
        ..SlowFigures::default()
    }
}

impl Display for SlowConsumersReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let figures = &self.slow;
        let speed = self.run.shape.get("bytes_per_s").cloned().unwrap_or_default();
        writeln!(
            f,
            "slow-consumers: {} of {} people read {speed} B/s",
            figures.consumers, self.run.plan.connections
        )?;
        let (with, without) = (&self.run.outcome, &self.baseline.outcome);
        let ms = |us: f64| us / 1_000.0;
        for (name, ratio, with, without) in [
            ("ack p99", figures.ack_p99_ratio, with.ack_latency.p99_us, without.ack_latency.p99_us),
            ("e2e p99", figures.e2e_p99_ratio, with.e2e_latency.p99_us, without.e2e_latency.p99_us),
        ] {
            let text = format!("{:.2} ms instead of {:.2} ms: x {ratio:.2}", ms(with), ms(without));
            line(f, name, &text)?;
        }
        line(
            f,
            "acked/s",
            &format!(
                "{:.0} instead of {:.0}: x {:.2}",
                with.acked_per_s, without.acked_per_s, figures.rate_ratio
            ),
        )?;
        if let Some(bytes) = figures.growth_per_consumer_bytes {
            line(f, "memory", &format!("{:.0} KiB per slow reader", bytes / 1024.0))?;
        }
        if let (Some(told), Some(dropped)) = (figures.told_to_sync, figures.pushes_dropped) {
            line(f, "shed", &format!("{told} times told to catch up, {dropped} pushes dropped"))?;
        }
        let life = &figures.life;
        line(
            f,
            "caught up",
            &format!(
                "{} sessions fetched {} messages in {} requests",
                life.returns, life.caught_up, life.round_trips
            ),
        )?;
        writeln!(f, "\nWithout slow ones:\n{}\nWith slow ones:", self.baseline)?;
        self.run.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_ones_are_spread_and_never_neighbours() {
        for (users, share, count) in [(200, 0.05, 10), (7, 0.5, 3), (5, 0.01, 1), (3, 0.5, 1)] {
            let plan = SlowPlan { share, bytes_per_s: 1.0 };
            assert_eq!(plan.check(), Ok(()));
            let who = plan.who(users);
            assert_eq!(who.len(), count, "{users} {share}");
            for pair in who.windows(2) {
                assert!(pair[1] - pair[0] >= 2, "{who:?}");
            }
            assert!(count == 1 || who[0] + users - who[count - 1] >= 2, "{who:?}");
        }
        for share in [0.0, 0.6, f64::NAN] {
            assert!(SlowPlan { share, bytes_per_s: 1.0 }.check().is_err());
        }
    }
}
