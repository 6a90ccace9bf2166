//! Which figures are compared, which way is better, and how much is more than noise.
//!
//! # The rule
//! A figure changed when all of this holds; everything else is noise:
//! 1. its value over the whole run (with several runs, their median) moved by at least its
//!    threshold, in percent of side A;
//! 2. with several runs on a side, all of one side lie beyond all of the other;
//! 3. where it has a value per tick, and both sides have at least [`TICKS_MIN`] ticks after the
//!    warm-up, their ranks would be so uneven by chance with less than [`PROBABILITY_MAX`], and
//!    their medians moved the same way. With fewer ticks nothing can be tested, and the threshold
//!    is [`UNTESTED_FACTOR`] times as high;
//! 4. where one stall can move it and it has no value per tick (e2e, far percentiles), the change
//!    is at least as large as the p99 of single ticks strays from its median on the calmer side;
//!    for percentiles beyond the p99, twice that.
//!
//! Thresholds are what two runs of one build show on a quiet machine, rounded up: far percentiles
//! and sizes that grow in steps move more by themselves than rates do.

use crate::diff::rank::{median, probability};
use crate::diff::{Judgement, Row};
use crate::number::{Unit, change_percent};
use crate::report::{AnyReport, RunReport, Source};
use crate::scenario::cold_start::ColdStartReport;
use crate::scenario::connect_storm::StormReport;
use crate::scenario::idle::IdleReport;
use crate::series::{CurvePoint, Tick, with_lengths};

/// Ticks on each side from which on they are tested.
pub const TICKS_MIN: usize = 8;
/// Below this probability a difference of ticks is not by chance.
pub const PROBABILITY_MAX: f64 = 0.01;

/// How much higher the threshold is of a figure whose ticks are too few to test.
pub const UNTESTED_FACTOR: f64 = 3.0;

/// One figure of the table.
#[derive(Clone, Copy)]
pub(super) struct Figure {
    name: &'static str,
    unit: Unit,
    better: Better,
    /// Smallest change that counts, in percent.
    threshold_percent: f64,
    value: fn(&AnyReport) -> Option<f64>,
    /// How far one stall moves it for which no tick tells, as a multiple of what the p99 moves.
    strays: f64,
    /// Its value in one tick of so many seconds.
    in_tick: Option<fn(&Tick, f64) -> Option<f64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Better {
    Higher,
    Lower,
}

/// All figures of all scenarios; those that neither side has are left out of a comparison.
pub(super) const FIGURES: [Figure; 19] = [
    Figure {
        in_tick: Some(|tick, length_s| Some(tick.acked as f64 / length_s)),
        ..higher("acked per second", Unit::Count, 2.0, |report| {
            Some(run(report)?.outcome.acked_per_s)
        })
    },
    Figure {
        in_tick: Some(|tick, length_s| {
            let us = tick.server_cpu_cores? * length_s * 1e6;
            (tick.acked > 0).then(|| us / tick.acked as f64)
        }),
        ..lower("server CPU per message", Unit::Micros, 3.0, |report| {
            run(report)?.outcome.costs.server_cpu_us_per_message
        })
    },
    Figure {
        in_tick: Some(|tick, _| (tick.acked > 0).then_some(tick.ack_p50_us)),
        ..lower("ack p50", Unit::Micros, 5.0, |report| {
            sampled(run(report)?.outcome.ack_latency.p50_us)
        })
    },
    Figure {
        in_tick: Some(|tick, _| (tick.acked > 0).then_some(tick.ack_p99_us)),
        ..lower("ack p99", Unit::Micros, 10.0, |report| {
            sampled(run(report)?.outcome.ack_latency.p99_us)
        })
    },
    Figure {
        strays: 2.0,
        ..lower("ack p99.9", Unit::Micros, 25.0, |report| {
            sampled(run(report)?.outcome.ack_latency.p999_us)
        })
    },
    Figure {
        strays: 1.0,
        ..lower("e2e p99", Unit::Micros, 15.0, |report| {
            sampled(run(report)?.outcome.e2e_latency.p99_us)
        })
    },
    lower("server memory, resident", Unit::Bytes, 10.0, |report| {
        run(report)?.outcome.costs.server_rss_bytes.map(|bytes| bytes as f64)
    }),
    lower("written per message", Unit::Bytes, 5.0, |report| {
        run(report)?.outcome.costs.device_written_bytes_per_message
    }),
    lower("disk growth per message", Unit::Bytes, 25.0, |report| {
        run(report)?.outcome.costs.disk_bytes_per_message
    }),
    higher("messages per sync", Unit::Ratio, 10.0, |report| {
        run(report)?.outcome.costs.messages_per_sync
    }),
    lower("broken promises", Unit::Count, 0.0, |report| Some(broken_promises(run(report)?))),
    lower("memory per session", Unit::Bytes, 3.0, |report| {
        Some(idle(report)?.bytes_per_connection)
    }),
    lower("CPU per session and second", Unit::Micros, 15.0, |report| {
        Some(idle(report)?.cpu_us_per_connection_second)
    }),
    lower("server CPU per sign-in", Unit::Micros, 3.0, |report| {
        storm(report)?.server_cpu_us_per_sign_in
    }),
    lower("sign-in p99", Unit::Micros, 25.0, |report| {
        storm(report)?.sign_in_spectrum.value_us(99.0)
    }),
    lower("server CPU per cold start", Unit::Micros, 3.0, |report| {
        cold_start(report)?.server_cpu_us_per_start
    }),
    lower("cold start p99", Unit::Micros, 25.0, |report| {
        sampled(cold_start(report)?.latency.p99_us)
    }),
    higher("highest rate", Unit::Count, 5.0, |report| Some(best(report)?.acked_per_s)),
    lower("ack p99 at the highest rate", Unit::Micros, 25.0, |report| {
        Some(best(report)?.ack_p99_us)
    }),
];

type Value = fn(&AnyReport) -> Option<f64>;

const fn higher(name: &'static str, unit: Unit, threshold_percent: f64, value: Value) -> Figure {
    let better = Better::Higher;
    Figure { name, unit, better, threshold_percent, value, strays: 0.0, in_tick: None }
}

const fn lower(name: &'static str, unit: Unit, threshold_percent: f64, value: Value) -> Figure {
    let better = Better::Lower;
    Figure { name, unit, better, threshold_percent, value, strays: 0.0, in_tick: None }
}

fn run(report: &AnyReport) -> Option<&RunReport> {
    match report {
        AnyReport::Run(run) => Some(run),
        _ => None,
    }
}

fn idle(report: &AnyReport) -> Option<&IdleReport> {
    match report {
        AnyReport::Idle(idle) => Some(idle),
        _ => None,
    }
}

fn cold_start(report: &AnyReport) -> Option<&ColdStartReport> {
    match report {
        AnyReport::ColdStart(report) => Some(report),
        _ => None,
    }
}

fn storm(report: &AnyReport) -> Option<&StormReport> {
    match report {
        AnyReport::Storm(report) => Some(report),
        _ => None,
    }
}

fn best(report: &AnyReport) -> Option<&CurvePoint> {
    let AnyReport::Capacity(report) = report else { return None };
    let valid = report.curve.iter().filter(|point| point.valid);
    valid.max_by(|a, b| a.acked_per_s.total_cmp(&b.acked_per_s))
}

/// A latency of zero is that of no samples.
fn sampled(us: f64) -> Option<f64> {
    (us > 0.0).then_some(us)
}

fn broken_promises(run: &RunReport) -> f64 {
    let findings = &run.outcome.findings;
    let counts = [
        findings.lost,
        findings.duplicates,
        findings.reordered,
        findings.damaged,
        findings.seq_breaks,
        findings.seq_disagreements,
        findings.unanswered,
        run.outcome.refusals.values().sum(),
        run.outcome.broken.len() as u64,
    ];
    counts.iter().sum::<u64>() as f64
}

impl Figure {
    /// Compares it; `None` when neither side has it.
    pub(super) fn compare(&self, a: &[Source], b: &[Source]) -> Option<Row> {
        let values = |side: &[Source]| -> Vec<f64> {
            let values = side.iter().filter_map(|source| (self.value)(&source.report));
            values.filter(|value| value.is_finite()).collect()
        };
        let (all_a, all_b) = (values(a), values(b));
        let (value_a, value_b) = (median(&all_a), median(&all_b));
        let (Some(from), Some(to)) = (value_a, value_b) else {
            let absent = || {
                let side = if value_a.is_none() { "A" } else { "B" };
                (Judgement::Absent, format!("{side} does not have it"))
            };
            return (value_a.is_some() || value_b.is_some())
                .then(|| self.row(value_a, value_b, absent()));
        };
        let apart = apart(&all_a, &all_b);
        let (moved, rule) = self.moved((from, to), apart, a, b);
        let judgement = match (moved, (to > from) == (self.better == Better::Higher)) {
            (false, _) => Judgement::Noise,
            (true, true) => Judgement::Better,
            (true, false) => Judgement::Worse,
        };
        Some(self.row(value_a, value_b, (judgement, rule)))
    }

    fn row(&self, a: Option<f64>, b: Option<f64>, said: (Judgement, String)) -> Row {
        Row {
            figure: self.name,
            unit: self.unit,
            a,
            b,
            change_percent: a.zip(b).and_then(|(a, b)| change_percent(a, b)),
            judgement: said.0,
            rule: said.1,
        }
    }

    /// Whether a change is more than noise, and by what rule; see the module.
    fn moved(
        &self,
        (from, to): (f64, f64),
        apart: bool,
        a: &[Source],
        b: &[Source],
    ) -> (bool, String) {
        let (ticks_a, ticks_b) = (self.ticks(a), self.ticks(b));
        let counts = (count(&ticks_a), count(&ticks_b));
        let testable = counts.0.min(counts.1) >= TICKS_MIN;
        let (threshold, mut rule) = self.threshold(a, b, counts);
        // From nothing to something has no percentage, and is more than any threshold.
        let large = change_percent(from, to)
            .is_none_or(|change| change != 0.0 && change.abs() >= threshold);
        let mut moved = large && apart;
        if testable {
            let chance = probability(&ticks_a, &ticks_b);
            rule.push_str(&format!(
                "; chance {:.2} % over {} + {} ticks, needs below {} %",
                chance * 100.0,
                counts.0,
                counts.1,
                PROBABILITY_MAX * 100.0
            ));
            let middle = |ticks: &[Vec<f64>]| median(&ticks.concat());
            let same_way = middle(&ticks_a)
                .zip(middle(&ticks_b))
                .is_some_and(|(middle_a, middle_b)| (middle_b > middle_a) == (to > from));
            moved &= chance < PROBABILITY_MAX && same_way;
        }
        if !apart {
            rule.push_str("; runs of A and B overlap");
        }
        (moved, rule)
    }

    /// The smallest change that counts between these sides, in percent, and why it is that.
    fn threshold(&self, a: &[Source], b: &[Source], counts: (usize, usize)) -> (f64, String) {
        let threshold = self.threshold_percent;
        if threshold == 0.0 {
            return (threshold, "any change counts".to_owned());
        }
        if self.in_tick.is_some() && counts.0.min(counts.1) < TICKS_MIN {
            let threshold = threshold * UNTESTED_FACTOR;
            let (in_a, in_b) = counts;
            let why = format!("{in_a} + {in_b} ticks are too few to test");
            return (threshold, format!("needs {threshold} %, because {why}"));
        }
        let strays = strays_percent(a).min(strays_percent(b)) * self.strays;
        if strays > threshold {
            let times = if self.strays > 1.0 { "twice as far as" } else { "as far as" };
            let rule = format!("needs {strays:.0} %, {times} the p99 of single ticks strays");
            return (strays, rule);
        }
        (threshold, format!("needs {threshold} %"))
    }

    /// Its values in the ticks of each run after the warm-up; none when it has no value per tick.
    fn ticks(&self, side: &[Source]) -> Vec<Vec<f64>> {
        self.in_tick.map_or_else(Vec::new, |in_tick| values_in_ticks(side, in_tick))
    }
}

fn values_in_ticks(side: &[Source], in_tick: fn(&Tick, f64) -> Option<f64>) -> Vec<Vec<f64>> {
    let runs = side.iter().filter_map(|source| run(&source.report));
    runs.map(|run| {
        let timeline = &run.outcome.timeline;
        let lengths: Vec<f64> = with_lengths(timeline).map(|(_, length_s)| length_s).collect();
        // The last tick may be a short rest, whose rate means little.
        let shortest = median(&lengths).unwrap_or(0.0) / 2.0;
        with_lengths(timeline)
            .filter(|(tick, length_s)| !tick.warming && *length_s >= shortest)
            .filter_map(|(tick, length_s)| in_tick(tick, length_s))
            .filter(|value| value.is_finite())
            .collect()
    })
    .collect()
}

fn count(ticks: &[Vec<f64>]) -> usize {
    ticks.iter().map(Vec::len).sum()
}

/// How much the worst tick's p99 is above the middle one's, in percent; of several runs the most.
fn strays_percent(side: &[Source]) -> f64 {
    let runs = values_in_ticks(side, |tick, _| (tick.acked > 0).then_some(tick.ack_p99_us));
    let strays = runs.iter().filter_map(|run| {
        let worst = run.iter().copied().fold(0.0, f64::max);
        change_percent(median(run)?, worst)
    });
    strays.fold(0.0, f64::max)
}

/// True when all of one side lie beyond all of the other, or each side is a single run.
fn apart(a: &[f64], b: &[f64]) -> bool {
    let ends = |side: &[f64]| {
        let least = side.iter().copied().fold(f64::INFINITY, f64::min);
        (least, side.iter().copied().fold(f64::NEG_INFINITY, f64::max))
    };
    let ((least_a, most_a), (least_b, most_b)) = (ends(a), ends(b));
    (a.len() == 1 && b.len() == 1) || most_a < least_b || most_b < least_a
}
