//! A steady load for a long time: does anything grow, slow down or break?
//!
//! The ring by a schedule, while some people reconnect now and then, as phones do. Memory, open
//! files and disk of the server are looked at every few seconds. The verdict fails when its memory
//! still grows in the second half faster than a stated bound: what a server takes at first to fill
//! its caches is not held against it.

mod samples;

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

pub use self::samples::Sample;
use self::samples::Sampler;
use crate::driver::Driver;
use crate::engine::life::{Life, Slow, absences};
use crate::engine::topology::Topology;
use crate::engine::{self, LifeFigures};
use crate::plan::{Pace, Plan, PlanError, within};
use crate::report::RunReport;
use crate::scenario::{Watch, line, percentiles};

/// Samples in the second half that a slope is judged by, at least.
const JUDGED_SAMPLES_MIN: usize = 10;
/// Seconds of the second half that a slope is judged by, at least: shorter ones are noise.
const JUDGED_SECONDS_MIN: f64 = 60.0;
/// How long somebody who reconnects is away.
const AWAY_NS: u64 = 1_000_000_000;
/// Lines of the table on the terminal; the JSON has all samples.
const LINES_MAX: usize = 20;

/// What is steady, and what may grow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SoakPlan {
    /// Seconds between two samples.
    pub interval_s: u64,
    /// Per cent of the people that reconnect in a minute.
    pub reconnect_percent_per_minute: f64,
    /// How fast the server's own memory may grow in the second half, in MiB per hour.
    pub memory_mib_per_hour_max: f64,
}

/// A run, and what was seen meanwhile.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SoakReport {
    /// The run.
    #[serde(flatten)]
    pub run: RunReport,
    /// What was seen meanwhile.
    pub soak: SoakFigures,
}

/// See [`SoakReport`].
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct SoakFigures {
    /// In the order of time.
    pub samples: Vec<Sample>,
    /// Growth of the server's own memory in the second half, in MiB per hour, by least squares;
    /// absent when nothing was seen of it.
    pub memory_mib_per_hour: Option<f64>,
    /// False when the second half was too short for a verdict on memory.
    pub memory_judged: bool,
    /// Those who reconnected.
    pub life: LifeFigures,
}

impl SoakPlan {
    /// Checks every field against its range.
    ///
    /// # Errors
    /// [`PlanError`] that names the first field out of range.
    pub fn check(&self) -> Result<(), PlanError> {
        within("interval", self.interval_s, 1, 3_600)?;
        let percent = self.reconnect_percent_per_minute;
        if !(0.0..=100.0).contains(&percent) {
            return Err(PlanError::new(format!("reconnect must be 0 to 100, not {percent}")));
        }
        let bound = self.memory_mib_per_hour_max;
        if !(bound.is_finite() && bound >= 0.0) {
            let text = format!("memory-mib-per-hour-max must be 0 or more, not {bound}");
            return Err(PlanError::new(text));
        }
        Ok(())
    }
}

/// Runs `plan` through `driver`, whose name is `name`, and looks at the server meanwhile.
///
/// # Errors
/// A number is out of range, the plan has no schedule, a connection could not be opened, or the
/// system failed a worker. Whatever the server does once the run has begun is part of the report.
pub fn run<D: Driver + Sync>(
    driver: &D,
    name: &str,
    soak: &SoakPlan,
    plan: &Plan,
    watch: &Watch,
) -> anyhow::Result<SoakReport> {
    soak.check()?;
    plan.check()?;
    if plan.pace == Pace::ClosedLoop {
        return Err(PlanError::new("soak needs a --rate".to_owned()).into());
    }
    let topology = Topology::ring(plan.connections, false);
    let plan = Plan { fan: 1, ..plan.clone() };
    let seats: Vec<usize> = (0..topology.seats.len()).collect();
    let per_minute = soak.reconnect_percent_per_minute / 100.0;
    let span = (plan.measure_from_ns(), plan.stop_ns());
    let life = Life {
        absences: absences(&seats, per_minute, AWAY_NS, span, plan.seed),
        slow: Slow::default(),
    };
    let sampler = Sampler::start(watch, soak.interval_s)?;
    let ran = engine::run_with(driver, &topology, &plan, watch, &life);
    let seen = sampler.stop();
    let ran = ran?;
    let samples = samples::within_run(seen, &ran, &plan);
    let figures = judge(samples, ran.details.life.clone());
    let mut run = RunReport::new(("soak", name), &plan, watch, ran).shaped(soak);
    let (failures, doubts) = reasons(&figures, soak);
    run.object(failures, doubts);
    Ok(SoakReport { run, soak: figures })
}

fn judge(samples: Vec<Sample>, life: LifeFigures) -> SoakFigures {
    let half = &samples[samples.len() / 2..];
    let points: Vec<(f64, f64)> =
        half.iter().filter_map(|sample| Some((sample.at_s, sample.anon_bytes? as f64))).collect();
    let seconds = match (points.first(), points.last()) {
        (Some(first), Some(last)) => last.0 - first.0,
        _ => 0.0,
    };
    SoakFigures {
        memory_mib_per_hour: slope(&points).map(|per_s| per_s * 3_600.0 / 1_048_576.0),
        memory_judged: points.len() >= JUDGED_SAMPLES_MIN && seconds >= JUDGED_SECONDS_MIN,
        samples,
        life,
    }
}

fn reasons(figures: &SoakFigures, plan: &SoakPlan) -> (Vec<String>, Vec<String>) {
    let (mut failures, mut doubts) = (Vec::new(), Vec::new());
    match figures.memory_mib_per_hour {
        None => doubts.push("nothing was seen of the server's memory: name --server-pid".into()),
        Some(_) if !figures.memory_judged => doubts.push(format!(
            "too short to judge memory: the second half needs {JUDGED_SAMPLES_MIN} samples and \
             {JUDGED_SECONDS_MIN} s"
        )),
        Some(slope) if slope > plan.memory_mib_per_hour_max => failures.push(format!(
            "the server's own memory grew by {slope:.1} MiB per hour in the second half, more \
             than {}",
            plan.memory_mib_per_hour_max
        )),
        Some(_) => {}
    }
    (failures, doubts)
}

/// Least squares of the second value over the first; `None` below two points.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let x = points.iter().map(|point| point.0).sum::<f64>() / count;
    let y = points.iter().map(|point| point.1).sum::<f64>() / count;
    let above: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let below: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    (points.len() > 1 && below > 0.0).then(|| above / below)
}

impl Display for SoakReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let figures = &self.soak;
        writeln!(
            f,
            "      s   p99 ms (median, worst second)   MiB of its own   files    MiB on disk"
        )?;
        let step = figures.samples.len().div_ceil(LINES_MAX).max(1);
        let last = figures.samples.len().saturating_sub(1);
        let shown = figures.samples.iter().enumerate();
        for (_, sample) in shown.filter(|(nth, _)| nth % step == 0 || *nth == last) {
            writeln!(f, "{sample}")?;
        }
        writeln!(f)?;
        if let Some(slope) = figures.memory_mib_per_hour {
            let word = if figures.memory_judged { "" } else { " (too short to judge)" };
            let text = format!("{slope:+.1} MiB per hour in the second half{word}");
            line(f, "memory", &text)?;
        }
        let life = &figures.life;
        line(
            f,
            "reconnects",
            &format!(
                "{}; {} messages fetched, {} sends not made meanwhile",
                life.returns, life.caught_up, life.absent_sends
            ),
        )?;
        line(f, "to be back", &percentiles(&life.return_latency))?;
        writeln!(f)?;
        self.run.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1_048_576;

    /// A sample each five seconds: memory grows by `first` MiB per hour, later by `second`.
    fn samples(count: u64, first: f64, second: f64) -> Vec<Sample> {
        (0..count)
            .map(|nth| {
                let at_s = nth as f64 * 5.0;
                let (early, late) = (nth.min(count / 2), nth.saturating_sub(count / 2));
                let hours = |samples: u64| samples as f64 * 5.0 / 3_600.0;
                let grown = hours(early) * first + hours(late) * second;
                let anon_bytes = Some(100 * MIB + (grown * MIB as f64) as u64);
                Sample { at_s, anon_bytes, ..Sample::default() }
            })
            .collect()
    }

    fn plan(memory_mib_per_hour_max: f64) -> SoakPlan {
        SoakPlan { interval_s: 5, reconnect_percent_per_minute: 3.0, memory_mib_per_hour_max }
    }

    #[test]
    fn only_growth_of_the_second_half_is_held_against_a_server() {
        let early = judge(samples(100, 900.0, 0.0), LifeFigures::default());
        assert!(early.memory_judged);
        assert_eq!(reasons(&early, &plan(10.0)), (Vec::new(), Vec::new()));
        let late = judge(samples(100, 0.0, 50.0), LifeFigures::default());
        assert!((late.memory_mib_per_hour.unwrap() - 50.0).abs() < 1.0, "{late:?}");
        assert_eq!(reasons(&late, &plan(10.0)).0.len(), 1);
        assert!(reasons(&late, &plan(60.0)).0.is_empty());
    }

    #[test]
    fn what_is_too_short_is_not_judged() {
        let short = judge(samples(8, 0.0, 5_000.0), LifeFigures::default());
        let (failures, doubts) = reasons(&short, &plan(10.0));
        assert!(failures.is_empty() && doubts.len() == 1, "{failures:?} {doubts:?}");
        let blind = judge(vec![Sample::default()], LifeFigures::default());
        assert_eq!(blind.memory_mib_per_hour, None);
        assert_eq!(reasons(&blind, &plan(10.0)).1.len(), 1);
        assert_eq!(judge(Vec::new(), LifeFigures::default()).memory_mib_per_hour, None);
    }
}
