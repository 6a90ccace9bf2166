//! Latency histograms: one recording per sample, three significant digits, mergeable.
//!
//! Owns the choice of range (1 microsecond to 100 seconds) and of percentiles. A [`Recorder`]
//! belongs to one worker; the interval it keeps is what the progress line shows, and becomes part
//! of the total only while the run is measured.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

const LOWEST_NS: u64 = 1_000;
const HIGHEST_NS: u64 = 100_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// An empty histogram of nanoseconds; samples out of range are moved to its edge.
#[must_use]
pub fn nanoseconds() -> Histogram<u64> {
    Histogram::new_with_bounds(LOWEST_NS, HIGHEST_NS, SIGNIFICANT_DIGITS)
        .expect("the bounds are constants that the crate takes")
}

/// Samples of one stage on one worker.
#[derive(Debug)]
pub struct Recorder {
    interval: Histogram<u64>,
    total: Histogram<u64>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { interval: nanoseconds(), total: nanoseconds() }
    }
}

impl Recorder {
    /// Takes one sample.
    pub fn record(&mut self, ns: u64) {
        self.interval.saturating_record(ns);
    }

    /// Ends an interval: adds it to `shown` when given, and to the total when it was `measured`.
    pub fn end_interval(&mut self, measured: bool, shown: Option<&mut Histogram<u64>>) {
        if let Some(shown) = shown {
            merge(shown, &self.interval);
        }
        if measured {
            merge(&mut self.total, &self.interval);
        }
        self.interval.reset();
    }

    /// What was measured.
    #[must_use]
    pub fn into_total(self) -> Histogram<u64> {
        self.total
    }
}

/// Adds `from` to `into`; both come from [`nanoseconds`].
pub fn merge(into: &mut Histogram<u64>, from: &Histogram<u64>) {
    into.add(from).expect("both have the same bounds");
}

/// A latency distribution as it is reported, in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LatencySummary {
    /// Number of samples.
    pub samples: u64,
    /// Half of the samples are at most this.
    pub p50_us: f64,
    /// 90 %.
    pub p90_us: f64,
    /// 99 %.
    pub p99_us: f64,
    /// 99.9 %.
    pub p999_us: f64,
    /// 99.99 %.
    pub p9999_us: f64,
    /// The largest.
    pub max_us: f64,
    /// The mean.
    pub mean_us: f64,
}

impl LatencySummary {
    /// Reads a histogram of nanoseconds; all zero when it is empty.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile: f64| us(histogram.value_at_quantile(quantile));
        Self {
            samples: histogram.len(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            p9999_us: at(0.9999),
            max_us: us(histogram.max()),
            mean_us: histogram.mean() / 1_000.0,
        }
    }
}

fn us(ns: u64) -> f64 {
    Duration::from_nanos(ns).as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warm_up_is_shown_but_does_not_count() {
        let mut recorder = Recorder::default();
        let mut shown = nanoseconds();
        recorder.record(5_000_000);
        recorder.end_interval(false, Some(&mut shown));
        recorder.record(1_000_000);
        recorder.end_interval(true, None);
        assert_eq!(shown.len(), 1);
        let total = LatencySummary::of(&recorder.into_total());
        assert_eq!(total.samples, 1);
        assert!((total.max_us - 1_000.0).abs() < 2.0, "{}", total.max_us);
    }

    #[test]
    fn samples_out_of_range_are_kept() {
        let mut recorder = Recorder::default();
        recorder.record(0);
        recorder.record(u64::MAX);
        recorder.end_interval(true, None);
        assert_eq!(LatencySummary::of(&recorder.into_total()).samples, 2);
        assert_eq!(LatencySummary::of(&nanoseconds()), LatencySummary::default());
    }
}
