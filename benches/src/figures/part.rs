//! One measured figure: its values, and where they stand.

/// Which way is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// A small value is good.
    Less,
    /// A large value is good.
    More,
}

/// Where a figure stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Beyond what this release set out for.
    Dream,
    /// What this release set out for.
    Reached,
    /// Less than that.
    NotReached,
    /// No run was evidence.
    NoEvidence,
}

impl Mark {
    /// As the page says it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dream => "dream",
            Self::Reached => "reached",
            Self::NotReached => "NOT reached",
            Self::NoEvidence => "no evidence",
        }
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its number in `docs/PERFORMANCE.md`.
    pub row: &'static str,
    /// What was measured, with its unit.
    pub what: String,
    /// One value for each run, in order.
    pub values: Vec<f64>,
    /// What is to be reached.
    pub reach: f64,
    /// What is beyond.
    pub dream: f64,
    /// Which way is up.
    pub better: Better,
    /// How it was measured, as arguments of the generator.
    pub command: String,
    /// What was seen beside it, one for each run.
    pub beside: Vec<String>,
    /// Why no run is evidence; empty when one is.
    pub doubts: Vec<String>,
}

impl Part {
    /// The middle of the values; `None` without any.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        let mut values = self.values.clone();
        values.sort_by(f64::total_cmp);
        let (low, high) = (values.len().checked_sub(1)? / 2, values.len() / 2);
        Some(f64::midpoint(values[low], values[high]))
    }

    /// Where the median stands.
    #[must_use]
    pub fn mark(&self) -> Mark {
        let Some(value) = self.median().filter(|_| self.doubts.is_empty()) else {
            return Mark::NoEvidence;
        };
        let is_within = |limit: f64| match self.better {
            Better::Less => value <= limit,
            Better::More => value >= limit,
        };
        match (is_within(self.dream), is_within(self.reach)) {
            (true, _) => Mark::Dream,
            (false, true) => Mark::Reached,
            (false, false) => Mark::NotReached,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(values: &[f64], better: Better) -> Part {
        Part {
            row: "P0",
            what: String::new(),
            values: values.to_vec(),
            reach: 2.0,
            dream: if better == Better::Less { 1.0 } else { 3.0 },
            better,
            command: String::new(),
            beside: Vec::new(),
            doubts: Vec::new(),
        }
    }

    #[test]
    fn the_median_decides() {
        assert_eq!(part(&[9.0, 1.5, 0.1], Better::Less).mark(), Mark::Reached);
        assert_eq!(part(&[9.0, 1.0, 0.1, 1.0], Better::Less).mark(), Mark::Dream);
        assert_eq!(part(&[9.0, 2.5, 0.1], Better::Less).mark(), Mark::NotReached);
        assert_eq!(part(&[1.9], Better::More).mark(), Mark::NotReached);
        assert_eq!(part(&[2.0, 2.0], Better::More).mark(), Mark::Reached);
        assert_eq!(part(&[3.0], Better::More).mark(), Mark::Dream);
    }

    #[test]
    fn what_is_doubted_or_missing_is_no_evidence() {
        assert_eq!(part(&[], Better::Less).mark(), Mark::NoEvidence);
        let doubted = Part { doubts: vec!["late".into()], ..part(&[1.0], Better::Less) };
        assert_eq!(doubted.mark(), Mark::NoEvidence);
    }
}
