//! What a run leaves behind for its charts: ticks over time, percentile points, points of a curve.
//!
//! Owns the shapes and their bounds, not the drawing ([`page`](crate::page)) and not the judging
//! ([`diff`](crate::diff)). Everything here is plain data with its unit in its name, and goes into
//! the JSON result as it is.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Percentile points per halving of what is left: 50 %, 75 %, 87.5 % and so on, with four between.
const POINTS_PER_HALF: u32 = 5;
/// Percentile points of one spectrum, at most: as many halvings as a `u64` of samples allows.
pub const SPECTRUM_POINTS_MAX: usize = 65 * POINTS_PER_HALF as usize;

/// About one second of a run, warm-up included.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tick {
    /// Its end, in seconds since the first send; its beginning is the end of the tick before, or 0.
    pub at_s: f64,
    /// True when it ended before anything counted.
    #[serde(default)]
    pub warming: bool,
    /// Sends that were due in it: planned ones in an open loop, real ones in a closed loop.
    pub offered: u64,
    /// Sends acknowledged in it.
    pub acked: u64,
    /// Messages that arrived in it.
    pub delivered: u64,
    /// Sends refused in it.
    pub refused: u64,
    /// Half of the acks of this tick took at most this, in microseconds from the planned send.
    pub ack_p50_us: f64,
    /// 99 % of the acks of this tick took at most this, in microseconds from the planned send.
    pub ack_p99_us: f64,
    /// Server CPU time over wall time: 2.0 is two cores.
    #[serde(default)]
    pub server_cpu_cores: Option<f64>,
    /// Generator CPU time over wall time.
    pub generator_cpu_cores: f64,
    /// Server's resident memory at the end of the tick, in bytes.
    #[serde(default)]
    pub server_rss_bytes: Option<u64>,
}

/// Each tick with its length in seconds, in their order. Ticks of no length are left out.
pub fn with_lengths(ticks: &[Tick]) -> impl Iterator<Item = (&Tick, f64)> {
    let begins = std::iter::once(0.0).chain(ticks.iter().map(|tick| tick.at_s));
    ticks
        .iter()
        .zip(begins)
        .map(|(tick, begin)| (tick, tick.at_s - begin))
        .filter(|(_, length_s)| *length_s > 0.0)
}

/// A latency distribution by percentile, dense where few samples are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Spectrum {
    /// By rising percentile; the last is the maximum at 100. At most [`SPECTRUM_POINTS_MAX`].
    pub points: Vec<SpectrumPoint>,
}

/// See [`Spectrum`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct SpectrumPoint {
    /// 0 to 100, inclusive.
    pub percentile: f64,
    /// So many percent of the samples are at most this, in microseconds.
    pub value_us: f64,
    /// Samples up to this value.
    pub count: u64,
}

impl Spectrum {
    /// Reads a histogram of nanoseconds; no points when it is empty.
    #[must_use]
    pub fn of(histogram: &Histogram<u64>) -> Self {
        let mut count = 0;
        let points = histogram
            .iter_quantiles(POINTS_PER_HALF)
            .map(|step| {
                count += step.count_since_last_iteration();
                SpectrumPoint {
                    percentile: step.quantile_iterated_to() * 100.0,
                    value_us: step.value_iterated_to() as f64 / 1_000.0,
                    count,
                }
            })
            .take(SPECTRUM_POINTS_MAX)
            .collect();
        Self { points }
    }

    /// Samples in all.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.points.last().map_or(0, |point| point.count)
    }

    /// The value at the first point that is not below `percentile` (0 to 100), in microseconds.
    #[must_use]
    pub fn value_us(&self, percentile: f64) -> Option<f64> {
        let point = self.points.iter().find(|point| point.percentile >= percentile);
        point.or(self.points.last()).map(|point| point.value_us)
    }
}

/// What a server showed at one offered rate: a point of a throughput-latency curve.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Sends per second by the schedule; in a closed loop, the acknowledged rate.
    pub offered_per_s: f64,
    /// Acknowledged per second.
    pub acked_per_s: f64,
    /// Half of the acks took at most this, in microseconds.
    pub ack_p50_us: f64,
    /// 99 % of the acks.
    pub ack_p99_us: f64,
    /// 99.9 % of the acks.
    pub ack_p999_us: f64,
    /// 99 % of the arrivals at the receivers, from the planned send, in microseconds.
    pub e2e_p99_us: f64,
    /// Server CPU time per acknowledged message, in microseconds.
    #[serde(default)]
    pub server_cpu_us_per_message: Option<f64>,
    /// False when the run behind it is no evidence, or broke a promise.
    pub valid: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::{LatencySummary, nanoseconds};

    #[test]
    fn a_spectrum_says_what_the_summary_says() {
        let mut histogram = nanoseconds();
        for sample in 1..=100_000_u64 {
            histogram.record(sample * 1_000).unwrap();
        }
        let (spectrum, summary) = (Spectrum::of(&histogram), LatencySummary::of(&histogram));
        assert_eq!(spectrum.samples(), 100_000);
        for (percentile, us) in [(50.0, summary.p50_us), (99.0, summary.p99_us)] {
            let value_us = spectrum.value_us(percentile).unwrap();
            assert!(value_us >= us * 0.999 && value_us < us * 1.01, "{value_us}");
        }
        assert!(spectrum.points.windows(2).all(|pair| pair[0].percentile <= pair[1].percentile
            && pair[0].value_us <= pair[1].value_us
            && pair[0].count <= pair[1].count));
        assert_eq!(spectrum.points.last().unwrap().percentile, 100.0);
    }

    #[test]
    fn a_spectrum_is_bounded_and_may_be_empty() {
        assert_eq!(Spectrum::of(&nanoseconds()), Spectrum::default());
        assert_eq!(Spectrum::default().value_us(50.0), None);
        let mut histogram = nanoseconds();
        histogram.record_n(1_000, u64::from(u32::MAX) << 20).unwrap();
        histogram.record(99_000_000_000).unwrap();
        let points = Spectrum::of(&histogram).points;
        assert!((2..=SPECTRUM_POINTS_MAX).contains(&points.len()), "{}", points.len());
        assert_eq!(points.last().unwrap().percentile, 100.0);
    }

    #[test]
    fn a_tick_is_as_long_as_from_the_one_before() {
        let at = |at_s| Tick { at_s, ..Tick::default() };
        let ticks = [at(1.0), at(2.5), at(2.5), at(3.0)];
        let lengths: Vec<f64> = with_lengths(&ticks).map(|(_, length_s)| length_s).collect();
        assert_eq!(lengths, [1.0, 1.5, 0.5]);
    }
}
