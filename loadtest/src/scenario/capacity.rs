//! The highest rate at which a server keeps a promise about latency.
//!
//! Offers the ring's load by a schedule, step by step: the rate doubles until the gate is missed,
//! and then the space between the last rate that held and the first that did not is halved until
//! it is small. Each step is a run of its own, with its warm-up and its proof.
//!
//! A rate counts as held when the chosen p99 is within the gate, every planned send was made, and
//! the generator was neither late nor at its limit. A step where it was ends the search when
//! nothing has held yet; else the search goes on below it, and when the generator still marks the
//! upper end at the end, that is said and the result is a lower bound.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

use crate::plan::{Pace, Plan, PlanError};
use crate::probe::Machine;
use crate::report::{
    EXIT_FAILED, EXIT_NOT_EVIDENCE, EXIT_OK, GENERATOR_SHARE_MAX, LATENESS_P99_US_MAX, RunReport,
    Verdict,
};
use crate::scenario::{Watch, line};

/// The search ends when the rates that held and that did not are closer than this.
pub const PRECISION: f64 = 0.05;
/// Runs of one search, at most.
pub const STEPS_MAX: usize = 40;
/// A search that finds nothing ends at this part of the first rate.
const FLOOR: f64 = 1.0 / 64.0;

/// Which latency the gate is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// From the planned send to the ack.
    Ack,
    /// From the planned send to the arrival at the receiver.
    E2e,
}

/// What is searched for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CapacityPlan {
    /// Longest p99, in milliseconds.
    pub gate_ms: f64,
    /// Of which latency.
    pub stage: Stage,
    /// The first rate, in messages per second.
    pub from_per_s: f64,
    /// No rate above this is offered.
    pub most_per_s: f64,
    /// Everything but the rate.
    pub load: Plan,
}

/// One rate: a point of the throughput-latency curve.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Sends per second by the schedule.
    pub offered_per_s: f64,
    /// Acknowledged per second.
    pub acked_per_s: f64,
    /// Half of the acks took at most this, in microseconds.
    pub ack_p50_us: f64,
    /// 99 % of the acks.
    pub ack_p99_us: f64,
    /// 99.9 % of the acks.
    pub ack_p999_us: f64,
    /// Half of the arrivals at the receivers, from the planned send, in microseconds.
    pub e2e_p50_us: f64,
    /// 99 % of the arrivals.
    pub e2e_p99_us: f64,
    /// 99.9 % of the arrivals.
    pub e2e_p999_us: f64,
    /// Server CPU time per acknowledged message, in microseconds.
    pub server_cpu_us_per_message: Option<f64>,
    /// Generator CPU time over wall time.
    pub generator_cpu_cores: f64,
    /// How late the generator was at its 99th percentile, in microseconds.
    pub lateness_p99_us: f64,
    /// False when the run behind it is no evidence, or broke a promise.
    pub valid: bool,
    /// Whether the rate was held.
    pub finding: Finding,
}

/// What a step showed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// The gate was held.
    #[default]
    Held,
    /// The gate was missed, sends were refused, or the windows did not take the load.
    Missed,
    /// The generator was late, at its limit, or did not read fast enough: nothing is known.
    Generator,
    /// The server broke a promise.
    Failed,
}

/// What ended the search from above.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// The server missed the gate.
    Server,
    /// The generator could not offer more.
    Generator,
    /// The highest rate that was allowed held.
    MostPerSecond,
    /// A promise was broken.
    Failure,
}

/// What the search found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CapacityReport {
    /// Always `capacity`.
    pub scenario: String,
    /// Version of this program.
    pub generator: String,
    /// What it was pointed at.
    pub driver: String,
    /// Seconds since 1970, at the first send of the first step.
    pub started_unix_s: u64,
    /// Where it ran.
    pub machine: Machine,
    /// What was to be done.
    pub plan: CapacityPlan,
    /// By the order in which they were tried.
    pub curve: Vec<Step>,
    /// The highest rate that held, in messages per second; zero when none did.
    pub capacity_per_s: f64,
    /// Where more load begins to cost more latency than it brings: the step with the highest rate
    /// over p99.
    pub knee_per_s: f64,
    /// What is above it.
    pub limit: Limit,
    /// What to make of it.
    pub verdict: Verdict,
}

impl CapacityPlan {
    /// Checks what a step's own plan does not.
    ///
    /// # Errors
    /// [`PlanError`] that names the first field out of range.
    pub fn check(&self) -> Result<(), PlanError> {
        let error = |text: String| Err(PlanError::new(text));
        if !(self.gate_ms > 0.0 && self.gate_ms <= 60_000.0) {
            return error(format!(
                "gate-ms must be above 0 and at most 60000, not {}",
                self.gate_ms
            ));
        }
        if !(self.from_per_s >= 1.0 && self.from_per_s <= self.most_per_s) {
            let (from, most) = (self.from_per_s, self.most_per_s);
            return error(format!("from must be 1 to {most} (the most), not {from}"));
        }
        self.at(self.most_per_s).check()
    }

    fn at(&self, per_second: f64) -> Plan {
        Plan { pace: Pace::OpenLoop { per_second }, ..self.load.clone() }
    }
}

/// The space that is left to search.
#[derive(Debug)]
struct Search {
    first: f64,
    most: f64,
    held: Option<f64>,
    missed: Option<(f64, Finding)>,
}

impl Search {
    const fn new(first: f64, most: f64) -> Self {
        Self { first, most, held: None, missed: None }
    }

    fn note(&mut self, rate: f64, finding: Finding) {
        if finding == Finding::Held {
            self.held = Some(self.held.map_or(rate, |held| held.max(rate)));
        } else if self.missed.is_none_or(|(missed, _)| rate < missed) {
            self.missed = Some((rate, finding));
        }
    }

    /// The rate to try next; `None` when the answer is known.
    fn next(&self) -> Option<f64> {
        match (self.held, self.missed) {
            (None, None) => Some(self.first),
            (_, Some((_, Finding::Failed))) | (None, Some((_, Finding::Generator))) => None,
            (Some(held), None) => (held < self.most).then(|| (held * 2.0).min(self.most)),
            (None, Some((missed, _))) => {
                let lower = missed / 2.0;
                (lower >= (self.first * FLOOR).max(1.0)).then_some(lower)
            }
            (Some(held), Some((missed, _))) => {
                (missed > held * (1.0 + PRECISION)).then_some((held + missed) / 2.0)
            }
        }
    }

    fn limit(&self) -> Limit {
        match self.missed {
            None => Limit::MostPerSecond,
            Some((_, Finding::Generator)) => Limit::Generator,
            Some((_, Finding::Failed)) => Limit::Failure,
            Some(_) => Limit::Server,
        }
    }
}

/// Searches with `step`, which carries out one run of the ring at a rate. `driver` is its name.
///
/// # Errors
/// The plan is out of range, or a run could not begin.
pub fn search(
    plan: &CapacityPlan,
    driver: &str,
    watch: &Watch,
    mut step: impl FnMut(&Plan) -> anyhow::Result<RunReport>,
) -> anyhow::Result<CapacityReport> {
    plan.check()?;
    let mut search = Search::new(plan.from_per_s, plan.most_per_s);
    let mut curve: Vec<Step> = Vec::new();
    let mut failures = Vec::new();
    let mut started_unix_s = 0;
    while curve.len() < STEPS_MAX
        && let Some(rate) = search.next()
    {
        let run = step(&plan.at(rate))?;
        let point = Step::of(&run, rate, plan);
        if curve.is_empty() {
            started_unix_s = run.started_unix_s;
        }
        if point.finding == Finding::Failed {
            failures = run.verdict.failures;
        }
        if !watch.quiet {
            eprintln!("{point}");
        }
        search.note(rate, point.finding);
        curve.push(point);
    }
    let capacity_per_s = search.held.unwrap_or(0.0);
    Ok(CapacityReport {
        scenario: "capacity".to_owned(),
        generator: concat!("hongyan-loadtest ", env!("CARGO_PKG_VERSION")).to_owned(),
        driver: driver.to_owned(),
        started_unix_s,
        machine: Machine::look(watch.data.as_deref()),
        plan: plan.clone(),
        capacity_per_s,
        knee_per_s: knee(&curve, plan.stage),
        limit: search.limit(),
        verdict: verdict(plan, &search, failures),
        curve,
    })
}

fn verdict(plan: &CapacityPlan, search: &Search, mut failures: Vec<String>) -> Verdict {
    let mut doubts = Vec::new();
    match (search.held, search.limit()) {
        (_, Limit::Failure) => {}
        (None, Limit::Server) => failures.push(format!(
            "no rate down to {:.0}/s held p99 {} ms",
            search.missed.map_or(0.0, |(rate, _)| rate),
            plan.gate_ms
        )),
        (held, Limit::Generator) => doubts.push(format!(
            "the generator is the limit: the capacity is at least {:.0}/s; give it more --threads, \
             or a machine of its own",
            held.unwrap_or(0.0)
        )),
        (_, Limit::MostPerSecond) => doubts.push(format!(
            "the highest rate that was allowed held: search further with --most above {:.0}",
            search.most
        )),
        (Some(_), Limit::Server) => {}
    }
    let mut verdict = Verdict { exit_code: EXIT_OK, failures, doubts };
    verdict.settle();
    verdict
}

/// The step with the highest rate over p99 (the power of a queue, after Kleinrock).
fn knee(curve: &[Step], stage: Stage) -> f64 {
    let power = |step: &&Step| step.acked_per_s / step.p99_us(stage).max(1.0);
    curve
        .iter()
        .filter(|step| step.valid)
        .max_by(|a, b| power(a).total_cmp(&power(b)))
        .map_or(0.0, |step| step.offered_per_s)
}

impl Step {
    fn of(run: &RunReport, offered_per_s: f64, plan: &CapacityPlan) -> Self {
        let outcome = &run.outcome;
        let (ack, e2e) = (&outcome.ack_latency, &outcome.e2e_latency);
        let mut step = Self {
            offered_per_s,
            acked_per_s: outcome.acked_per_s,
            ack_p50_us: ack.p50_us,
            ack_p99_us: ack.p99_us,
            ack_p999_us: ack.p999_us,
            e2e_p50_us: e2e.p50_us,
            e2e_p99_us: e2e.p99_us,
            e2e_p999_us: e2e.p999_us,
            server_cpu_us_per_message: outcome.costs.server_cpu_us_per_message,
            generator_cpu_cores: outcome.costs.generator_cpu_cores,
            lateness_p99_us: outcome.lateness.as_ref().map_or(0.0, |late| late.p99_us),
            valid: run.verdict.exit_code == EXIT_OK,
            finding: Finding::Held,
        };
        step.finding = finding(run, &step, plan);
        step
    }

    const fn p99_us(&self, stage: Stage) -> f64 {
        match stage {
            Stage::Ack => self.ack_p99_us,
            Stage::E2e => self.e2e_p99_us,
        }
    }
}

fn finding(run: &RunReport, step: &Step, plan: &CapacityPlan) -> Finding {
    let outcome = &run.outcome;
    let share = step.generator_cpu_cores / plan.load.threads as f64;
    if !outcome.findings.promises_kept() || !outcome.broken.is_empty() {
        return Finding::Failed;
    }
    if share > GENERATOR_SHARE_MAX
        || step.lateness_p99_us > LATENESS_P99_US_MAX
        || outcome.findings.shed > 0
    {
        return Finding::Generator;
    }
    let complete = outcome.acked > 0 && outcome.not_offered == 0 && outcome.refusals.is_empty();
    if complete && step.p99_us(plan.stage) <= plan.gate_ms * 1_000.0 {
        Finding::Held
    } else {
        Finding::Missed
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let ms = |us: f64| us / 1_000.0;
        write!(
            f,
            "{:>9.0} {:>9.0}  ack {:>8.2} {:>8.2} {:>8.2}  e2e {:>8.2} {:>8.2} {:>8.2}  ",
            self.offered_per_s,
            self.acked_per_s,
            ms(self.ack_p50_us),
            ms(self.ack_p99_us),
            ms(self.ack_p999_us),
            ms(self.e2e_p50_us),
            ms(self.e2e_p99_us),
            ms(self.e2e_p999_us)
        )?;
        match self.server_cpu_us_per_message {
            Some(us) => write!(f, "{us:>7.2} us  ")?,
            None => write!(f, "      - us  ")?,
        }
        f.write_str(match self.finding {
            Finding::Held => "held",
            Finding::Missed => "missed",
            Finding::Generator => "generator at its limit",
            Finding::Failed => "A PROMISE WAS BROKEN",
        })
    }
}

impl Display for CapacityReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Plan { connections, window, bytes, level, threads, .. } = &self.plan.load;
        writeln!(
            f,
            "capacity on {}: {:?} p99 within {} ms; {connections} connections x {window} in \
             flight, {bytes} B, {level:?}, {threads} generator thread(s)",
            self.driver, self.plan.stage, self.plan.gate_ms
        )?;
        let machine = &self.machine;
        writeln!(
            f,
            "{} ({} cores), Linux {}, {} {}",
            machine.cpu, machine.cores, machine.kernel, machine.file_system, machine.revision
        )?;
        writeln!(f)?;
        writeln!(
            f,
            "  offered/s   acked/s      p50 p99 p99.9 (ms)             p50 p99 p99.9 (ms)"
        )?;
        let mut curve: Vec<&Step> = self.curve.iter().collect();
        curve.sort_by(|a, b| a.offered_per_s.total_cmp(&b.offered_per_s));
        for step in curve {
            writeln!(f, "  {step}")?;
        }
        writeln!(f)?;
        let above = match self.limit {
            Limit::Server => "above it the gate is missed",
            Limit::Generator => "above it the generator is the limit",
            Limit::MostPerSecond => "more was not offered",
            Limit::Failure => "above it a promise was broken",
        };
        line(f, "capacity", &format!("{:.0}/s; {above}", self.capacity_per_s))?;
        line(f, "knee", &format!("{:.0}/s has the highest rate over p99", self.knee_per_s))?;
        writeln!(f)?;
        let word = match self.verdict.exit_code {
            EXIT_FAILED => "THE PRODUCT FAILED",
            EXIT_NOT_EVIDENCE => "NO EVIDENCE (a lower bound)",
            _ => "ok",
        };
        writeln!(f, "verdict: {word}")?;
        for reason in self.verdict.failures.iter().chain(&self.verdict.doubts) {
            writeln!(f, "  - {reason}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches a server that holds up to `capacity` while the generator manages `generator`.
    fn searched(capacity: f64, generator: f64, first: f64, most: f64) -> (Search, usize) {
        let mut search = Search::new(first, most);
        let mut steps = 0;
        while let Some(rate) = search.next() {
            assert!(rate <= most, "{rate} is above {most}");
            let finding = if rate > generator {
                Finding::Generator
            } else if rate > capacity {
                Finding::Missed
            } else {
                Finding::Held
            };
            search.note(rate, finding);
            steps += 1;
            assert!(steps <= STEPS_MAX);
        }
        (search, steps)
    }

    #[test]
    fn a_search_ends_close_below_the_capacity() {
        for capacity in [20.0, 900.0, 1_000.0, 53_210.0, 400_000.0] {
            let (search, steps) = searched(capacity, f64::MAX, 1_000.0, 1e6);
            let held = search.held.unwrap();
            assert!(held <= capacity && held * (1.0 + PRECISION) >= capacity, "{held} {capacity}");
            assert_eq!(search.limit(), Limit::Server);
            assert!(steps < 20, "{steps} steps");
        }
    }

    #[test]
    fn what_marks_the_upper_end_is_said() {
        let (search, _) = searched(1e9, 5_000.0, 1_000.0, 1e6);
        assert_eq!(search.limit(), Limit::Generator);
        assert!(search.held.unwrap() > 4_700.0);
        assert_eq!(searched(1e9, 500.0, 1_000.0, 1e6).1, 1);
        let (search, _) = searched(1e9, 1e9, 1_000.0, 6_000.0);
        assert_eq!((search.held, search.limit()), (Some(6_000.0), Limit::MostPerSecond));
        let (search, _) = searched(0.5, 1e9, 1_000.0, 1e6);
        assert_eq!((search.held, search.limit()), (None, Limit::Server));
        let mut search = Search::new(10.0, 100.0);
        search.note(10.0, Finding::Held);
        search.note(20.0, Finding::Failed);
        assert_eq!((search.next(), search.limit()), (None, Limit::Failure));
    }

    #[test]
    fn the_verdict_tells_a_missed_gate_from_a_weak_generator() {
        let plan = CapacityPlan {
            gate_ms: 10.0,
            stage: Stage::Ack,
            from_per_s: 1_000.0,
            most_per_s: 1e6,
            load: Plan::default(),
        };
        let code = |search: &Search| verdict(&plan, search, Vec::new()).exit_code;
        assert_eq!(code(&searched(50_000.0, 1e9, 1_000.0, 1e6).0), EXIT_OK);
        assert_eq!(code(&searched(1e9, 5_000.0, 1_000.0, 1e6).0), EXIT_NOT_EVIDENCE);
        assert_eq!(code(&searched(0.5, 1e9, 1_000.0, 1e6).0), EXIT_FAILED);
        assert_eq!(code(&searched(1e9, 0.5, 1_000.0, 1e6).0), EXIT_NOT_EVIDENCE);
    }

    #[test]
    fn the_knee_has_the_highest_rate_over_latency() {
        let step = |rate, p99| Step {
            offered_per_s: rate,
            acked_per_s: rate,
            ack_p99_us: p99,
            valid: true,
            ..Step::default()
        };
        let curve = [step(1_000.0, 2_000.0), step(8_000.0, 3_000.0), step(16_000.0, 90_000.0)];
        assert!((knee(&curve, Stage::Ack) - 8_000.0).abs() < 1e-9);
        assert!(knee(&[], Stage::Ack).abs() < 1e-9);
    }
}
