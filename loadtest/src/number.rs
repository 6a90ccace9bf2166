//! How figures are written for people: three significant digits and a unit that fits.
//!
//! One place, so that the page and the comparison say the same thing about the same figure. What
//! programs read is in the JSON, unrounded.

/// What a number is, for how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes: `900 B`, `1.25 MiB`.
    Bytes,
    /// Processors: `1.25`.
    Cores,
    /// A count, or a rate per second: `42,310`.
    Count,
    /// Microseconds: `85 µs`, `1.25 ms`, `3 s`.
    Micros,
    /// A ratio: `12.5`.
    Ratio,
    /// Seconds: `12`.
    Seconds,
}

impl Unit {
    /// For a table: exact enough to copy. `-` when it is not a number.
    #[must_use]
    pub fn full(self, value: f64) -> String {
        if !value.is_finite() {
            return "-".to_owned();
        }
        match self {
            Self::Count if value.abs() >= 100.0 => thousands(value),
            Self::Bytes => scaled(value, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB"]),
            Self::Micros => scaled(value, 1000.0, &[" µs", " ms", " s"]),
            _ => digits(value),
        }
    }

    /// For the label of an axis: short.
    #[must_use]
    pub fn short(self, value: f64) -> String {
        match self {
            Self::Count => scaled(value, 1000.0, &["", "k", "M", "G"]),
            _ => self.full(value),
        }
    }
}

/// How much more `to` is than `from`, in percent with its sign; `None` when `from` is zero and
/// `to` is not.
#[must_use]
pub fn change_percent(from: f64, to: f64) -> Option<f64> {
    if from == to {
        return Some(0.0);
    }
    let change = (to - from) / from.abs() * 100.0;
    change.is_finite().then_some(change)
}

/// Three significant digits, without zeros at the end.
fn digits(value: f64) -> String {
    let size = value.abs();
    let decimals = match size {
        _ if size >= 99.95 => 0,
        _ if size >= 9.995 => 1,
        _ if size >= 0.9995 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    let text = if decimals > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

fn scaled(value: f64, step: f64, units: &[&str]) -> String {
    let (mut value, mut nth) = (value, 0);
    // 999.6 would be written as 1000 of the smaller unit.
    while value.abs() >= step - 0.5 && nth + 1 < units.len() {
        value /= step;
        nth += 1;
    }
    format!("{}{}", digits(value), units[nth])
}

fn thousands(value: f64) -> String {
    let plain = format!("{:.0}", value.abs());
    let mut text = String::with_capacity(plain.len() * 4 / 3 + 1);
    if value < 0.0 {
        text.push('-');
    }
    for (index, digit) in plain.chars().enumerate() {
        if index > 0 && (plain.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_with_a_unit_that_fits() {
        for (unit, value, text) in [
            (Unit::Micros, 0.0, "0 µs"),
            (Unit::Micros, 85.25, "85.2 µs"),
            (Unit::Micros, 999.7, "1 ms"),
            (Unit::Micros, 1_250.0, "1.25 ms"),
            (Unit::Micros, 3_000_000.0, "3 s"),
            (Unit::Micros, 100_000_000.0, "100 s"),
            (Unit::Count, 42_310.4, "42,310"),
            (Unit::Count, 1_234_567.0, "1,234,567"),
            (Unit::Count, 7.0, "7"),
            (Unit::Bytes, 900.0, "900 B"),
            (Unit::Bytes, 1_310_720.0, "1.25 MiB"),
            (Unit::Cores, 0.9999, "1"),
            (Unit::Ratio, -0.0001, "0"),
            (Unit::Ratio, f64::NAN, "-"),
        ] {
            assert_eq!(unit.full(value), text);
        }
        assert_eq!(Unit::Count.short(25_000.0), "25k");
        assert_eq!(Unit::Count.short(1_200_000.0), "1.2M");
    }

    #[test]
    fn a_change_from_nothing_has_no_percentage() {
        assert_eq!(change_percent(100.0, 103.0), Some(3.0));
        assert_eq!(change_percent(0.0, 0.0), Some(0.0));
        assert_eq!(change_percent(0.0, 1.0), None);
    }
}
