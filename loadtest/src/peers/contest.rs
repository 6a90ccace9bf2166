//! What came of a comparison: runs in pairs, and the ratios of those that are evidence.
//!
//! Owns which runs count. A run that broke a promise or proves nothing keeps its figures and its
//! reason, and its pair is left out of every ratio.

use serde::{Deserialize, Serialize};

use super::class::Class;
use super::survey::LeftOut;
use crate::plan::Plan;
use crate::probe::Machine;
use crate::report::{EXIT_FAILED, EXIT_NOT_EVIDENCE, EXIT_OK, GENERATOR_SHARE_MAX, RunReport};

/// A whole comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Version of this program.
    pub generator: String,
    /// The command line.
    pub command: String,
    /// Seconds since 1970, at its beginning.
    pub started_unix_s: u64,
    /// Where it ran, and on which disk.
    pub machine: Machine,
    /// The load of each run; the level is that of the class.
    pub plan: Plan,
    /// Runs of each server, per peer and class.
    pub rounds: usize,
    /// Version of our server.
    pub ours: String,
    /// One per peer and class.
    pub contests: Vec<Contest>,
    /// What could not be compared with.
    pub left_out: Vec<LeftOut>,
    /// It was ended early.
    pub interrupted: bool,
}

/// One peer in one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contest {
    /// The peer.
    pub peer: String,
    /// Its version.
    pub version: String,
    /// The class.
    pub class: Class,
    /// What a reader must know of its figures.
    pub note: String,
    /// Runs, in the order they were made: the peer's, then ours.
    pub pairs: Vec<Pair>,
}

/// Two runs, one after the other.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// The peer's.
    pub peer: Run,
    /// Ours.
    pub ours: Run,
}

/// One run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// What it found.
    pub report: Option<RunReport>,
    /// Why there is none, or why it says nothing.
    pub trouble: Option<String>,
}

/// The middle of some values, and how far they go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// Half of them are below.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

/// Medians over the runs of one server.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// Messages acknowledged per second.
    pub acked_per_s: Option<f64>,
    /// Server CPU per acknowledged message, in microseconds.
    pub cpu_us: Option<f64>,
    /// Ack latency, in microseconds.
    pub ack_p50_us: Option<f64>,
    /// Ack latency, in microseconds.
    pub ack_p99_us: Option<f64>,
    /// They come from runs that are evidence; otherwise they only show what was seen.
    pub evidence: bool,
}

/// What a contest says.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The peer's figures.
    pub peer: Figures,
    /// Ours.
    pub ours: Figures,
    /// Acknowledged per second, ours over the peer's, per pair.
    pub rate_ratio: Option<Spread>,
    /// The least that the ratio is, where only our runs do not count, and only because the
    /// generator held them back.
    pub rate_ratio_least: Option<f64>,
    /// Server CPU per message, the peer's over ours, per pair: as the other, more is better for us.
    pub cpu_ratio: Option<Spread>,
    /// Pairs that count.
    pub counted: usize,
    /// Why runs do not count, each reason once.
    pub reasons: Vec<String>,
}

impl Run {
    /// A run that came to nothing.
    #[must_use]
    pub const fn failed(trouble: String) -> Self {
        Self { report: None, trouble: Some(trouble) }
    }

    /// Its report, when it is evidence.
    #[must_use]
    pub fn evidence(&self) -> Option<&RunReport> {
        let ok = |report: &&RunReport| report.verdict.exit_code == EXIT_OK;
        self.report.as_ref().filter(ok).filter(|_| self.trouble.is_none())
    }

    /// Why it is none.
    #[must_use]
    pub fn reasons(&self) -> Vec<String> {
        let verdict = self.report.iter().map(|report| &report.verdict);
        let said = verdict.flat_map(|verdict| verdict.failures.iter().chain(&verdict.doubts));
        self.trouble.iter().chain(said).cloned().collect()
    }

    /// Its report, when the only thing against it is that the generator was the bottleneck: its
    /// rate is the least that the server can do then.
    fn held_back(&self) -> Option<&RunReport> {
        self.report.as_ref().filter(|_| self.trouble.is_none()).filter(|report| {
            let share = report.outcome.costs.generator_cpu_cores / report.plan.threads as f64;
            let verdict = &report.verdict;
            verdict.failures.is_empty() && verdict.doubts.len() == 1 && share > GENERATOR_SHARE_MAX
        })
    }
}

impl Spread {
    /// That of some values; none of none.
    #[must_use]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
        Some(Self { median: f64::midpoint(low, high), min, max })
    }
}

impl Figures {
    fn of<'a>(runs: impl Iterator<Item = &'a Run> + Clone) -> Self {
        let counted: Vec<&RunReport> = runs.clone().filter_map(Run::evidence).collect();
        let evidence = !counted.is_empty();
        let reports =
            if evidence { counted } else { runs.filter_map(|run| run.report.as_ref()).collect() };
        let median = |value: &dyn Fn(&RunReport) -> Option<f64>| {
            Spread::of(reports.iter().filter_map(|report| value(report))).map(|of| of.median)
        };
        Self {
            acked_per_s: median(&|report| Some(report.outcome.acked_per_s)),
            cpu_us: median(&|report| report.outcome.costs.server_cpu_us_per_message),
            ack_p50_us: median(&|report| Some(report.outcome.ack_latency.p50_us)),
            ack_p99_us: median(&|report| Some(report.outcome.ack_latency.p99_us)),
            evidence,
        }
    }
}

impl Contest {
    /// What it says.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let counted: Vec<(&RunReport, &RunReport)> = self
            .pairs
            .iter()
            .filter_map(|pair| Some((pair.peer.evidence()?, pair.ours.evidence()?)))
            .collect();
        let rates = counted.iter().map(|(peer, ours)| rate_ratio(peer, ours));
        let costs = counted.iter().filter_map(|(peer, ours)| {
            let cpu = |report: &RunReport| report.outcome.costs.server_cpu_us_per_message;
            Some(cpu(peer)? / cpu(ours)?)
        });
        let bounds = self
            .pairs
            .iter()
            .filter_map(|pair| Some(rate_ratio(pair.peer.evidence()?, pair.ours.held_back()?)));
        Summary {
            peer: Figures::of(self.pairs.iter().map(|pair| &pair.peer)),
            ours: Figures::of(self.pairs.iter().map(|pair| &pair.ours)),
            rate_ratio: Spread::of(rates),
            rate_ratio_least: Spread::of(bounds).filter(|_| counted.is_empty()).map(|of| of.min),
            cpu_ratio: Spread::of(costs),
            counted: counted.len(),
            reasons: self.reasons(),
        }
    }

    fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        let sides = [&self.peer[..], "hongyan"];
        for (round, pair) in self.pairs.iter().enumerate() {
            for (name, run) in sides.iter().zip([&pair.peer, &pair.ours]) {
                for reason in run.reasons() {
                    reasons.push(format!("{name}, round {}: {reason}", round + 1));
                }
            }
        }
        reasons
    }

    /// Whether one of our runs broke a promise, or could not be made.
    fn ours_failed(&self) -> bool {
        self.pairs.iter().map(|pair| &pair.ours).any(|run| {
            let failed = |report: &RunReport| report.verdict.exit_code == EXIT_FAILED;
            run.trouble.is_some() || run.report.as_ref().is_some_and(failed)
        })
    }
}

fn rate_ratio(peer: &RunReport, ours: &RunReport) -> f64 {
    ours.outcome.acked_per_s / peer.outcome.acked_per_s
}

impl Comparison {
    /// One of the `EXIT_` codes: our product failed; or something that was to be compared has no
    /// pair that counts, or there was nothing to compare; or all is well. What a peer does wrong
    /// is no failure of ours.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.contests.iter().any(Contest::ours_failed) {
            return EXIT_FAILED;
        }
        let empty = |contest: &Contest| contest.summary().counted == 0;
        if self.interrupted || self.contests.is_empty() || self.contests.iter().any(empty) {
            EXIT_NOT_EVIDENCE
        } else {
            EXIT_OK
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::report::{Costs, Outcome, Verdict};

    /// A run of so many messages per second at so many microseconds.
    pub(crate) fn run(acked_per_s: f64, cpu_us: f64) -> Run {
        let costs = Costs { server_cpu_us_per_message: Some(cpu_us), ..Costs::default() };
        let mut outcome = Outcome { acked: 1, acked_per_s, costs, ..Outcome::default() };
        outcome.ack_latency.p50_us = 1_500.0;
        outcome.ack_latency.p99_us = 20_250.0;
        let report = RunReport {
            generator: String::new(),
            scenario: "direct".into(),
            driver: "x".into(),
            started_unix_s: 0,
            run: 1,
            machine: Machine::default(),
            plan: Plan::default(),
            shape: serde_json::Map::new(),
            verdict: Verdict::default(),
            outcome,
        };
        Run { report: Some(report), trouble: None }
    }

    /// The same, judged anew after a change.
    pub(crate) fn changed(mut run: Run, change: impl FnOnce(&mut Outcome)) -> Run {
        let report = run.report.as_mut().unwrap();
        change(&mut report.outcome);
        report.verdict = Verdict::of(&report.plan, &report.outcome);
        run
    }

    pub(crate) fn contest(pairs: Vec<(Run, Run)>) -> Contest {
        Contest {
            peer: "redis".into(),
            version: "7.0.15".into(),
            class: Class::Fsync,
            note: "appendfsync always".into(),
            pairs: pairs.into_iter().map(|(peer, ours)| Pair { peer, ours }).collect(),
        }
    }

    pub(crate) fn comparison(contests: Vec<Contest>) -> Comparison {
        Comparison {
            generator: "hongyan-loadtest 0.1.0".into(),
            command: "hongyan-loadtest peers".into(),
            started_unix_s: 1_795_392_000,
            machine: Machine { cpu: "a CPU".into(), cores: 2, ..Machine::default() },
            plan: Plan::default(),
            rounds: 3,
            ours: "0.1.0".into(),
            contests,
            left_out: Vec::new(),
            interrupted: false,
        }
    }

    fn lost(run: Run) -> Run {
        changed(run, |outcome| outcome.findings.lost = 2)
    }

    fn saturated(run: Run) -> Run {
        changed(run, |outcome| outcome.costs.generator_cpu_cores = 0.95)
    }

    fn dead(why: &str) -> Run {
        Run::failed(why.into())
    }

    #[test]
    fn a_ratio_is_the_median_of_its_pairs() {
        let pairs = [(10.0, 20.0), (10.0, 50.0), (20.0, 60.0)];
        let pairs = pairs.map(|(peer, ours)| (run(peer, 8.0), run(ours, 2.0)));
        let summary = contest(pairs.to_vec()).summary();
        assert_eq!(summary.rate_ratio, Some(Spread { median: 3.0, min: 2.0, max: 5.0 }));
        assert_eq!(summary.cpu_ratio, Some(Spread { median: 4.0, min: 4.0, max: 4.0 }));
        assert_eq!((summary.peer.acked_per_s, summary.ours.acked_per_s), (Some(10.0), Some(50.0)));
        assert_eq!((summary.counted, summary.rate_ratio_least), (3, None));
        assert_eq!(Spread::of([4.0, 1.0]).unwrap().median, 2.5);
        assert_eq!(Spread::of([f64::NAN]), None);
    }

    #[test]
    fn what_is_no_evidence_is_left_out_with_the_reason() {
        let pairs = vec![
            (run(10.0, 1.0), run(40.0, 1.0)),
            (lost(run(1.0, 1.0)), run(40.0, 1.0)),
            (run(10.0, 1.0), saturated(run(900.0, 1.0))),
            (dead("it did not start"), run(40.0, 1.0)),
            (Run { trouble: Some("it ended".into()), ..run(10.0, 1.0) }, run(40.0, 1.0)),
        ];
        let contest = contest(pairs);
        let summary = contest.summary();
        assert_eq!(summary.rate_ratio, Some(Spread { median: 4.0, min: 4.0, max: 4.0 }));
        assert_eq!((summary.counted, summary.reasons.len()), (1, 4));
        assert!(summary.reasons[0].starts_with("redis, round 2: 2 acknowledged"), "{summary:?}");
        assert!(summary.reasons[1].starts_with("hongyan, round 3: the generator"), "{summary:?}");
        assert!(summary.reasons[2].contains("did not start"), "{summary:?}");
        assert_eq!(comparison(vec![contest]).exit_code(), EXIT_OK);
    }

    #[test]
    fn a_saturated_generator_on_our_side_gives_a_lower_bound_and_no_evidence() {
        let contest = contest(vec![
            (run(10.0, 1.0), saturated(run(40.0, 1.0))),
            (run(10.0, 1.0), saturated(run(30.0, 1.0))),
        ]);
        let summary = contest.summary();
        assert_eq!((summary.rate_ratio, summary.rate_ratio_least), (None, Some(3.0)));
        assert!(summary.peer.evidence && !summary.ours.evidence);
        assert_eq!(summary.ours.acked_per_s, Some(35.0));
        assert_eq!(comparison(vec![contest]).exit_code(), EXIT_NOT_EVIDENCE);
    }

    #[test]
    fn only_our_own_failures_fail() {
        let ok = || run(10.0, 1.0);
        let good = contest(vec![(ok(), ok())]);
        let code = |contests: Vec<Contest>| comparison(contests).exit_code();
        assert_eq!(code(vec![good.clone()]), EXIT_OK);
        assert_eq!(code(vec![]), EXIT_NOT_EVIDENCE);
        let peer_lost = contest(vec![(lost(ok()), ok())]);
        assert_eq!(code(vec![good.clone(), peer_lost]), EXIT_NOT_EVIDENCE);
        for ours in [lost(ok()), dead("it ended")] {
            assert_eq!(code(vec![contest(vec![(ok(), ours)]), good.clone()]), EXIT_FAILED);
        }
        let cut = Comparison { interrupted: true, ..comparison(vec![good]) };
        assert_eq!(cut.exit_code(), EXIT_NOT_EVIDENCE);
    }

    #[test]
    fn a_comparison_survives_its_file() {
        let one = comparison(vec![contest(vec![(run(1.0, 2.0), dead("x"))])]);
        let json = serde_json::to_string(&one).unwrap();
        assert_eq!(serde_json::from_str::<Comparison>(&json).unwrap(), one);
    }
}
