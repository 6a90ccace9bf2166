//! How many rounds held, and the last line that says so.

use std::fmt;

/// Rounds counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Rounds that held.
    pub passed: u64,
    /// Rounds that did not.
    pub failed: u64,
}

impl Tally {
    /// Counts `rounds` that held.
    pub const fn pass(&mut self, rounds: u64) {
        self.passed += rounds;
    }

    /// Counts one that did not.
    pub const fn fail(&mut self) {
        self.failed += 1;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The rounds were done.
    Done(Tally),
    /// Nothing was tried, for this reason.
    Skipped(String),
}
