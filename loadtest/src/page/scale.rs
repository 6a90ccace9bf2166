//! Axes: from a value to its place, and where the marks stand.
//!
//! Three scales: linear from zero, so that heights compare; logarithmic, for latency; and "nines",
//! where each step to the right leaves a tenth of the samples.

use crate::number::Unit;

/// How values lie along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// From zero.
    Linear,
    /// Powers of ten are equally far apart. Values must be above zero.
    Log,
    /// Percentiles, 0 to below 100: 90, 99 and 99.9 are equally far apart.
    Nines,
}

/// A part of a [`Scale`], with marks.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Range {
    scale: Scale,
    unit: Unit,
    /// Both ends, as they lie along the axis (exponents for all but `Linear`).
    low: f64,
    high: f64,
    /// Values to mark, rising.
    pub(super) steps: Vec<f64>,
    /// Values to hint at between those, for a logarithmic axis.
    pub(super) between: Vec<f64>,
}

/// How much higher a rounded axis is than its highest value, at least.
const AIR: f64 = 1.04;
/// Fewest decades of a logarithmic axis, so that a flat line does not look wild.
const DECADES_MIN: f64 = 0.9;
/// Nines drawn at least: up to 99 %.
const NINES_MIN: f64 = 2.0;
/// Nines drawn at most; no run has more samples.
const NINES_MAX: i32 = 12;

impl Range {
    /// Covers `values` with at most `steps_max` marks; `round` lets a linear axis end at a mark that
    /// leaves some air. `None` when no value has a place.
    pub(super) fn over(
        (scale, unit): (Scale, Unit),
        values: impl Iterator<Item = f64>,
        steps_max: usize,
        round: bool,
    ) -> Option<Self> {
        let (least, most) = values
            .filter_map(|value| along(scale, value))
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| {
                (least.min(value), most.max(value))
            });
        if least > most {
            return None;
        }
        let (low, high, steps) = match scale {
            Scale::Linear => linear(most, unit, steps_max, round),
            Scale::Log => logarithmic(least, most, steps_max),
            Scale::Nines => nines(most),
        };
        let between = if scale == Scale::Log { digits_between(low, high) } else { Vec::new() };
        Some(Self { scale, unit, low, high, steps, between })
    }

    /// Where `value` lies: 0 at the low end, 1 at the high end. `None` when it has no place.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let at = along(self.scale, value)?;
        Some(((at - self.low) / (self.high - self.low)).clamp(0.0, 1.0))
    }

    /// How a mark is written.
    pub(super) fn label(&self, value: f64) -> String {
        match self.scale {
            Scale::Nines => percentile(value),
            _ => self.unit.short(value),
        }
    }
}

/// `99.9` and not `99.90000000000001`.
pub(super) fn percentile(value: f64) -> String {
    let text = format!("{value:.8}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn along(scale: Scale, value: f64) -> Option<f64> {
    let at = match scale {
        Scale::Linear => value.max(0.0),
        Scale::Log => value.log10(),
        Scale::Nines => -(1.0 - value.clamp(0.0, 100.0) / 100.0).log10(),
    };
    (value.is_finite() && at.is_finite()).then_some(at)
}

/// Both ends of an axis, and its marks.
type Ends = (f64, f64, Vec<f64>);

fn linear(most: f64, unit: Unit, steps_max: usize, round: bool) -> Ends {
    let most = if most > 0.0 { most } else { 1.0 };
    let enough = if round { most * AIR } else { most };
    let step = nice_above(enough / steps_max.max(1) as f64, unit);
    let high = if round { (enough / step - 1e-9).ceil() * step } else { most };
    let count = (high / step + 1e-9).floor() as usize;
    (0.0, high, (0..=count).map(|nth| nth as f64 * step).collect())
}

/// The least round number that is not below `size`: 1, 2, 2.5 or 5 times a power of ten; whole
/// seconds; for bytes, of the unit that they are written in.
fn nice_above(size: f64, unit: Unit) -> f64 {
    let unit_size = match unit {
        Unit::Bytes => 1024_f64.powf(size.log(1024.0).floor()),
        _ => 1.0,
    };
    let size = match unit {
        Unit::Seconds => size.max(1.0),
        _ => size / unit_size,
    };
    let power = 10_f64.powf(size.log10().floor());
    let nice = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|digit| digit * power)
        .filter(|nice| unit != Unit::Seconds || nice.fract() == 0.0)
        .find(|nice| *nice >= size * 0.999_999)
        .unwrap_or(10.0 * power);
    if unit == Unit::Bytes && nice >= 1000.0 { 1024.0 * unit_size } else { nice * unit_size }
}

fn logarithmic(least: f64, most: f64, steps_max: usize) -> Ends {
    let (first, last) = (least.floor() as i32 - 1, most.ceil() as i32 + 1);
    let steps = |digits: &[f64]| -> Vec<f64> {
        let power = |power| 10_f64.powi(power);
        (first..=last).flat_map(|at| digits.iter().map(move |digit| digit * power(at))).collect()
    };
    let ends = steps(&[1.0, 2.0, 5.0]);
    let low = ends.iter().map(|value| value.log10()).rfind(|at| *at <= least + 1e-9);
    let low = low.unwrap_or(least);
    let enough = most.max(low + DECADES_MIN);
    let high = ends.iter().map(|value| value.log10()).find(|at| *at >= enough - 1e-9);
    let high = high.unwrap_or(enough);
    let mut marks = Vec::new();
    for digits in [&[1.0, 2.0, 5.0][..], &[1.0, 5.0], &[1.0]] {
        marks = steps(digits);
        marks.retain(|value| (low - 1e-9..=high + 1e-9).contains(&value.log10()));
        if marks.len() <= steps_max {
            break;
        }
    }
    let every = marks.len().div_ceil(steps_max.max(1)).max(1);
    (low, high, marks.into_iter().step_by(every).collect())
}

/// 1 to 9 in each decade.
fn digits_between(low: f64, high: f64) -> Vec<f64> {
    (low.floor() as i32..=high.ceil() as i32)
        .flat_map(|power| (1..=9).map(move |digit| f64::from(digit) * 10_f64.powi(power)))
        .filter(|value| (low..=high).contains(&value.log10()))
        .collect()
}

fn nines(most: f64) -> Ends {
    let high = most.max(NINES_MIN);
    let whole = (high + 1e-9).floor() as i32;
    let steps = std::iter::once(50.0)
        .chain((1..=whole.min(NINES_MAX)).map(|count| 100.0 - 100.0 * 10_f64.powi(-count)))
        .collect();
    (0.0, high, steps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over(scale: Scale, values: &[f64]) -> Range {
        Range::over((scale, Unit::Count), values.iter().copied(), 6, true).unwrap()
    }

    #[test]
    fn a_linear_axis_begins_at_zero_and_ends_at_a_mark() {
        let range = over(Scale::Linear, &[41_000.0, 38_000.0]);
        assert_eq!(range.steps, [0.0, 10_000.0, 20_000.0, 30_000.0, 40_000.0, 50_000.0]);
        assert_eq!((range.place(0.0), range.place(50_000.0)), (Some(0.0), Some(1.0)));
        assert_eq!(over(Scale::Linear, &[0.0]).place(0.0), Some(0.0));
    }

    #[test]
    fn seconds_are_marked_whole() {
        let axis = (Scale::Linear, Unit::Seconds);
        let steps = |most: f64| Range::over(axis, [most].into_iter(), 8, false).unwrap().steps;
        assert_eq!(steps(17.0), [0.0, 5.0, 10.0, 15.0]);
        assert_eq!(steps(2.5), [0.0, 1.0, 2.0]);
    }

    #[test]
    fn bytes_are_marked_in_whole_units() {
        let labels = |mib: f64| -> Vec<String> {
            let axis = (Scale::Linear, Unit::Bytes);
            let range = Range::over(axis, [mib * 1_048_576.0].into_iter(), 6, true).unwrap();
            range.steps.iter().map(|step| range.label(*step)).collect()
        };
        assert_eq!(labels(182.0), ["0 B", "50 MiB", "100 MiB", "150 MiB", "200 MiB"]);
        assert_eq!(labels(3.0), ["0 B", "1 MiB", "2 MiB", "3 MiB", "4 MiB"]);
    }

    #[test]
    fn a_log_axis_has_no_place_for_zero() {
        let range = over(Scale::Log, &[130.0, 0.0, 45_000.0]);
        assert_eq!((range.place(0.0), range.place(100.0)), (None, Some(0.0)));
        assert_eq!(range.steps, [100.0, 500.0, 1_000.0, 5_000.0, 10_000.0, 50_000.0]);
        let tall = over(Scale::Log, &[1.0, 1e8]);
        assert_eq!(tall.steps, [1.0, 100.0, 1e4, 1e6, 1e8]);
        let narrow = over(Scale::Log, &[1_000.0, 1_001.0]);
        assert_eq!(narrow.steps, [1_000.0, 2_000.0, 5_000.0, 10_000.0]);
    }

    #[test]
    fn nines_are_equally_far_apart() {
        let range = over(Scale::Nines, &[99.99]);
        let place = |value| range.place(value).unwrap();
        assert!((place(99.0) - place(90.0) - (place(99.9) - place(99.0))).abs() < 1e-9);
        assert_eq!(range.place(100.0), None);
        let labels: Vec<_> = range.steps.iter().map(|step| range.label(*step)).collect();
        assert_eq!(labels, ["50", "90", "99", "99.9", "99.99"]);
    }

    #[test]
    fn what_has_no_place_makes_no_axis() {
        for scale in [Scale::Linear, Scale::Log, Scale::Nines] {
            assert_eq!(Range::over((scale, Unit::Count), [f64::NAN].into_iter(), 6, true), None);
        }
        assert_eq!(Range::over((Scale::Log, Unit::Micros), [0.0, -1.0].into_iter(), 6, true), None);
    }
}
