//! Whether a run is evidence, and whether the product kept its promises.

use hongyan_protocol::ErrorCode;
use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::report::Outcome;

/// The run is evidence, and the product kept its promises.
pub const EXIT_OK: u8 = 0;
/// The product failed: loss, duplicates, wrong order, refusals, broken connections.
pub const EXIT_FAILED: u8 = 1;
/// The figures prove nothing.
pub const EXIT_NOT_EVIDENCE: u8 = 2;
/// The command line is wrong.
pub const EXIT_USAGE: u8 = 64;

/// Part of its threads' time that a generator may use before it counts as the bottleneck.
pub const GENERATOR_SHARE_MAX: f64 = 0.90;
/// Part of the planned sends that may be missing: a stall in the last moment leaves a few, more is
/// another load than the one that was asked for.
pub(super) const NOT_OFFERED_SHARE_MAX: f64 = 0.001;
/// How late the generator may be, in microseconds at the 99th percentile.
pub const LATENESS_P99_US_MAX: f64 = 1_000.0;

/// Whether a run is evidence, and of what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// One of the `EXIT_` codes.
    pub exit_code: u8,
    /// What the product did wrong.
    pub failures: Vec<String>,
    /// Why the figures prove nothing, and what to change.
    pub doubts: Vec<String>,
}

impl Verdict {
    /// Judges an outcome.
    #[must_use]
    pub fn of(plan: &Plan, outcome: &Outcome) -> Self {
        Self::new(failures(outcome), doubts(plan, outcome))
    }

    /// The verdict over what was found: failures outweigh doubts.
    #[must_use]
    pub fn new(failures: Vec<String>, doubts: Vec<String>) -> Self {
        let mut verdict = Self { exit_code: EXIT_OK, failures, doubts };
        verdict.settle();
        verdict
    }

    /// Derives the exit code from the reasons.
    pub(crate) fn settle(&mut self) {
        self.exit_code = match (self.failures.is_empty(), self.doubts.is_empty()) {
            (false, _) => EXIT_FAILED,
            (true, false) => EXIT_NOT_EVIDENCE,
            (true, true) => EXIT_OK,
        };
    }

    /// The same with more reasons why the figures prove nothing.
    #[must_use]
    pub fn with_doubts(self, more: Vec<String>) -> Self {
        Self::new(self.failures, [self.doubts, more].concat())
    }
}

fn failures(outcome: &Outcome) -> Vec<String> {
    let findings = &outcome.findings;
    let mut failures: Vec<String> = [
        (findings.lost, "acknowledged messages never arrived"),
        (findings.duplicates, "messages arrived twice"),
        (findings.reordered, "messages arrived out of order"),
        (findings.damaged, "messages arrived with other bytes than were sent"),
        (findings.seq_breaks, "seqs of a conversation were missing or out of order"),
        (findings.seq_disagreements, "pairs saw other seqs pushed than acknowledged"),
        (findings.unanswered, "sends were neither acknowledged nor refused"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    for (code, count) in &outcome.refusals {
        let name = ErrorCode::from_number(*code).map_or("unknown", ErrorCode::name);
        let mut failure = format!("{count} sends were refused with {code} ({name})");
        if *code == ErrorCode::RateLimited.number() {
            failure.push_str("; switch the server's limit of requests per second off for this run");
        }
        failures.push(failure);
    }
    if !outcome.broken.is_empty() {
        let first = &outcome.broken[0];
        failures.push(format!("{} connections ended early; {first}", outcome.broken.len()));
    }
    failures
}

fn doubts(plan: &Plan, outcome: &Outcome) -> Vec<String> {
    let mut doubts = Vec::new();
    if outcome.acked == 0 {
        doubts.push("nothing was acknowledged while the run was measured".to_owned());
    }
    let share = outcome.costs.generator_cpu_cores / plan.threads as f64;
    if share > GENERATOR_SHARE_MAX {
        doubts.push(format!(
            "the generator used {:.0} % of its {} thread(s): it was the bottleneck, so the rate is \
             a lower bound and the latencies are partly its own; give it more --threads, or offer \
             less with --rate",
            share * 100.0,
            plan.threads
        ));
    }
    if let Some(lateness) = &outcome.lateness
        && lateness.p99_us > LATENESS_P99_US_MAX
    {
        doubts.push(format!(
            "the generator was late by {:.0} us at p99 (limit {LATENESS_P99_US_MAX:.0}): offer less",
            lateness.p99_us
        ));
    }
    if outcome.not_offered as f64 > outcome.acked as f64 * NOT_OFFERED_SHARE_MAX {
        doubts.push(format!(
            "{} planned sends were never made: the offer is more than the windows take",
            outcome.not_offered
        ));
    }
    if outcome.findings.shed > 0 {
        doubts.push(format!(
            "{} messages were shed to catching up, which this generator does not do: it reads too \
             slowly for this rate",
            outcome.findings.shed
        ));
    }
    doubts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::LatencySummary;

    fn good() -> Outcome {
        Outcome { acked: 10, ..Outcome::default() }
    }

    #[test]
    fn a_clean_run_is_ok() {
        assert_eq!(Verdict::of(&Plan::default(), &good()), Verdict::default());
    }

    #[test]
    fn broken_promises_outweigh_doubts() {
        let mut outcome = good();
        outcome.findings.lost = 1;
        outcome.costs.generator_cpu_cores = 0.95;
        let verdict = Verdict::of(&Plan::default(), &outcome);
        assert_eq!(verdict.exit_code, EXIT_FAILED);
        assert_eq!((verdict.failures.len(), verdict.doubts.len()), (1, 1));
    }

    #[test]
    fn a_generator_at_its_limit_proves_nothing() {
        let mut busy = good();
        busy.costs.generator_cpu_cores = 0.91;
        let mut late = good();
        late.lateness = Some(LatencySummary { p99_us: 1_001.0, ..LatencySummary::default() });
        let mut starved = good();
        starved.not_offered = 1;
        for outcome in [busy, late, starved, Outcome::default()] {
            let verdict = Verdict::of(&Plan::default(), &outcome);
            assert_eq!(verdict.exit_code, EXIT_NOT_EVIDENCE, "{verdict:?}");
        }
        let mut refused = good();
        refused.refusals.insert(500, 3);
        let verdict = Verdict::of(&Plan::default(), &refused);
        assert!(verdict.failures[0].contains("RateLimited"), "{verdict:?}");
    }
}
