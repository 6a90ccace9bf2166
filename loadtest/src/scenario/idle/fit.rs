//! A line through points, and how far it can be trusted.

use serde::{Deserialize, Serialize};

/// Part of the slope that its standard error may be for the slope to be evidence.
pub const ERROR_SHARE_MAX: f64 = 0.20;

/// A line by least squares.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LineFit {
    /// Rise per unit.
    pub slope: f64,
    /// Value at zero.
    pub base: f64,
    /// Standard error of the slope; `None` with fewer than three points.
    pub slope_error: Option<f64>,
    /// Root of the mean square of what the line leaves.
    pub residual: f64,
}

impl LineFit {
    /// The line through `points`, each a place and a value. All zero without two places.
    #[must_use]
    pub fn through(points: &[(f64, f64)]) -> Self {
        let count = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
        let (x, y) = (mean(|point| point.0), mean(|point| point.1));
        let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
        if points.len() < 2 || spread <= 0.0 {
            return Self::default();
        }
        let together: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
        let slope = together / spread;
        let base = y - slope * x;
        let left: f64 = points.iter().map(|point| (point.1 - base - slope * point.0).powi(2)).sum();
        let slope_error = (points.len() > 2).then(|| (left / (count - 2.0) / spread).sqrt());
        Self { slope, base, slope_error, residual: (left / count).sqrt() }
    }

    /// Why the slope proves nothing, if it does not.
    #[must_use]
    pub fn doubt(&self) -> Option<String> {
        let Some(error) = self.slope_error else {
            return Some("two points make any line: take more steps".to_owned());
        };
        if self.slope <= 0.0 {
            return Some(format!("the slope is {:.0}: the points are noise", self.slope));
        }
        (error > self.slope * ERROR_SHARE_MAX).then(|| {
            format!(
                "the slope is {:.0} with a standard error of {error:.0}, over {:.0} % of it",
                self.slope,
                ERROR_SHARE_MAX * 100.0
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_with_its_error() {
        let exact = LineFit::through(&[(100.0, 5_100.0), (200.0, 5_200.0), (400.0, 5_400.0)]);
        assert!((exact.slope - 1.0).abs() < 1e-9 && (exact.base - 5_000.0).abs() < 1e-6);
        assert!(exact.slope_error.unwrap() < 1e-9 && exact.residual < 1e-6);
        assert_eq!(exact.doubt(), None);
        // By hand: x = -1, 0, 1 and y = 0, 3, 3 give 1.5, left over 0.5 + 1 = 1.5, error sqrt(0.75).
        let rough = LineFit::through(&[(-1.0, 0.0), (0.0, 3.0), (1.0, 3.0)]);
        assert!((rough.slope - 1.5).abs() < 1e-9);
        assert!((rough.slope_error.unwrap() - 0.75_f64.sqrt()).abs() < 1e-9);
    }

    #[test]
    fn noise_is_told_from_a_slope() {
        let rough = LineFit::through(&[(0.0, 0.0), (1.0, 3.0), (2.0, 1.0), (3.0, 4.0)]);
        assert!(rough.doubt().unwrap().contains("standard error"), "{rough:?}");
        let falling = LineFit::through(&[(0.0, 9.0), (1.0, 8.0), (2.0, 7.0)]);
        assert!(falling.doubt().unwrap().contains("noise"));
        let two = LineFit::through(&[(0.0, 0.0), (1.0, 1.0)]);
        assert!(two.doubt().unwrap().contains("more steps"));
        assert_eq!(LineFit::through(&[]), LineFit::default());
        assert_eq!(LineFit::through(&[(1.0, 2.0), (1.0, 3.0)]), LineFit::default());
    }
}
