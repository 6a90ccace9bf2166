//! Are two sets of ticks from one distribution? A rank test that knows that ticks are no dice.
//!
//! The test is Mann and Whitney's, two-sided, with ties and a correction for continuity: it asks
//! only which ticks are larger, so one stall cannot decide it. Neighbouring ticks of a run are
//! alike (caches warm up, a disk slows down), which makes them worth less than as many independent
//! ones; the variance grows by (1 + r) / (1 - r), r being how much a tick tells of the next one.

/// Correlation of neighbouring ticks that is allowed for, at most.
const CORRELATION_MAX: f64 = 0.9;

/// Probability of ranks at least this uneven if both sides were the same: 0 to 1. `a` and `b` hold
/// the ticks of each run of their side; finite values only. 1 when a side has none.
pub(super) fn probability(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    let mut all: Vec<(f64, bool)> = Vec::new();
    all.extend(a.iter().flatten().map(|value| (*value, true)));
    all.extend(b.iter().flatten().map(|value| (*value, false)));
    all.sort_by(|left, right| left.0.total_cmp(&right.0));
    let count_a = all.iter().filter(|(_, of_a)| *of_a).count() as f64;
    let count_b = all.len() as f64 - count_a;
    if count_a == 0.0 || count_b == 0.0 {
        return 1.0;
    }
    let (rank_sum_a, tied) = ranks(&all);
    let count = count_a + count_b;
    let unevenness = (rank_sum_a - count_a * (count + 1.0) / 2.0).abs();
    let free = count + 1.0 - tied / (count * (count - 1.0)).max(1.0);
    let inflation = f64::midpoint(inflation(a), inflation(b));
    let deviation = (count_a * count_b / 12.0 * free * inflation).max(0.0).sqrt();
    if deviation == 0.0 {
        return 1.0;
    }
    let z = ((unevenness - 0.5) / deviation).max(0.0);
    both_tails(z)
}

/// The middle value; `None` when there is none.
pub(super) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    let lower = sorted[(sorted.len() - 1) / 2];
    Some(f64::midpoint(lower, upper))
}

/// Sum of the ranks of side a, equal values sharing theirs, and the sum of t³ - t over ties.
fn ranks(sorted: &[(f64, bool)]) -> (f64, f64) {
    let (mut sum, mut tied, mut before) = (0.0, 0.0, 0.0);
    for group in sorted.chunk_by(|left, right| left.0 == right.0) {
        let size = group.len() as f64;
        let rank = before + (size + 1.0) / 2.0;
        sum += rank * group.iter().filter(|(_, of_a)| *of_a).count() as f64;
        tied += size * size * size - size;
        before += size;
    }
    (sum, tied)
}

/// By how much the variance grows because neighbouring ticks are alike.
fn inflation(runs: &[Vec<f64>]) -> f64 {
    let (mut weighted, mut weight) = (0.0, 0.0);
    for run in runs.iter().filter(|run| run.len() > 2) {
        let count = run.len() as f64;
        weighted += correlation(run) * count;
        weight += count;
    }
    let r = if weight > 0.0 { weighted / weight } else { 0.0 };
    let r = r.clamp(0.0, CORRELATION_MAX);
    (1.0 + r) / (1.0 - r)
}

/// How much a value tells of the next one, freed from the bias that few values bring.
fn correlation(run: &[f64]) -> f64 {
    let count = run.len() as f64;
    let mean = run.iter().sum::<f64>() / count;
    let spread: f64 = run.iter().map(|value| (value - mean).powi(2)).sum();
    let shared: f64 = run.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    if spread > 0.0 { shared / spread + 1.0 / count } else { 0.0 }
}

/// Probability of a normal deviate at least `z` away from the middle: erfc(z / √2) by the rational
/// form 7.1.26 of Abramowitz and Stegun, exact to 1.5e-7.
fn both_tails(z: f64) -> f64 {
    let x = z / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let terms = [0.254_829_592, -0.284_496_736, 1.421_413_741, -1.453_152_027, 1.061_405_429];
    let sum = terms.iter().rev().fold(0.0, |sum, term| (sum + term) * t);
    (sum * (-x * x).exp()).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use hongyan_protocol::ids::mix64;

    use super::*;

    /// A run of ticks around `middle`, 2 % wide, each half like the one before.
    fn run(seed: u64, middle: f64, count: u64) -> Vec<f64> {
        let mut last = 0.0;
        (0..count)
            .map(|nth| {
                let draws = (0..12).map(|part| mix64(mix64(seed) ^ (nth * 12 + part)));
                let deviate = draws.map(|draw| draw as f64 / u64::MAX as f64).sum::<f64>() - 6.0;
                last = 0.5 * last + 0.75_f64.sqrt() * deviate;
                middle * (1.0 + 0.02 * last)
            })
            .collect()
    }

    #[test]
    fn the_same_thing_twice_is_seldom_called_different() {
        let wrong = (0..1_000)
            .filter(|seed| {
                let (a, b) = (run(seed * 2, 100.0, 20), run(seed * 2 + 1, 100.0, 20));
                probability(&[a], &[b]) < 0.01
            })
            .count();
        // Without the allowance for neighbours it is over 70.
        assert!(wrong <= 30, "{wrong} of 1000");
    }

    #[test]
    fn a_shift_of_three_deviations_is_seen() {
        let seen = (0..100)
            .filter(|seed| {
                let (a, b) = (run(seed * 2, 100.0, 20), run(seed * 2 + 1, 106.0, 20));
                probability(&[a], &[b]) < 0.01
            })
            .count();
        assert!(seen >= 80, "{seen} of 100");
    }

    #[test]
    fn one_stall_decides_nothing() {
        let calm = vec![1.0, 1.1, 0.9, 1.0, 1.1, 0.9, 1.0, 1.1, 0.9, 1.0];
        let mut stalled = calm.clone();
        stalled[4] = 1_000.0;
        assert!(probability(&[calm], &[stalled]) > 0.3);
    }

    #[test]
    fn equal_or_absent_ticks_are_the_same() {
        let flat = [vec![5.0; 10]];
        assert_eq!(probability(&flat, &flat), 1.0);
        assert_eq!(probability(&flat, &[]), 1.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!((median(&[1.0, 2.0]), median(&[])), (Some(1.5), None));
    }

    #[test]
    fn tails_are_those_of_the_table() {
        for (z, p) in [(0.0, 1.0), (1.959_964, 0.05), (2.575_829, 0.01)] {
            assert!((both_tails(z) - p).abs() < 1e-5, "{z}");
        }
    }
}
