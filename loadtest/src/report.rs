//! What a run found: for people on the terminal, for programs as JSON, for scripts as an exit code.
//!
//! Owns the verdict. A run that broke a promise is a failure of the product ([`EXIT_FAILED`]); a
//! run whose figures prove nothing, because the generator was the bottleneck or late, is no
//! evidence ([`EXIT_NOT_EVIDENCE`]); figures are printed in both cases, with the reason.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter, Write as _};

use hongyan_protocol::ErrorCode;
use serde::{Deserialize, Serialize};

use crate::engine::Ran;
use crate::engine::ledger::Findings;
use crate::histogram::LatencySummary;
use crate::plan::{Pace, Plan, Stop};
use crate::probe::Machine;
use crate::scenario::Watch;

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
/// How late the generator may be, in microseconds at the 99th percentile.
pub const LATENESS_P99_US_MAX: f64 = 1_000.0;

/// What the server and the generator used while the run was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Server CPU time per acknowledged message, in microseconds.
    pub server_cpu_us_per_message: Option<f64>,
    /// Server CPU time over wall time: 2.0 is two cores.
    pub server_cpu_cores: Option<f64>,
    /// Server's resident memory at the end, in bytes.
    pub server_rss_bytes: Option<u64>,
    /// Of it what the process itself uses, in bytes.
    pub server_anon_bytes: Option<u64>,
    /// Bytes the server caused to be written, per acknowledged message.
    pub server_written_bytes_per_message: Option<f64>,
    /// Growth of the data directory per acknowledged message, preallocation included, in bytes.
    pub disk_bytes_per_message: Option<f64>,
    /// Syncs of the server's log.
    pub syncs: Option<u64>,
    /// Acknowledged messages per sync.
    pub messages_per_sync: Option<f64>,
    /// Generator CPU time over wall time.
    pub generator_cpu_cores: f64,
    /// Generator CPU time per acknowledged message, in microseconds.
    pub generator_cpu_us_per_message: f64,
}

/// What happened while the run was measured, and what was proven from its first message on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Seconds that were measured.
    pub measured_s: f64,
    /// Seconds from the first send to the last answer, warm-up and drain included.
    pub whole_s: f64,
    /// Messages acknowledged while measured.
    pub acked: u64,
    /// Messages that arrived while measured.
    pub delivered: u64,
    /// Acknowledged per second.
    pub acked_per_s: f64,
    /// Arrived per second.
    pub delivered_per_s: f64,
    /// Messages sent from the first on.
    pub sent_in_all: u64,
    /// Messages acknowledged from the first on.
    pub acked_in_all: u64,
    /// Messages that arrived from the first on.
    pub delivered_in_all: u64,
    /// From the planned send to the ack.
    pub ack_latency: LatencySummary,
    /// From the planned send to the arrival at the receiver.
    pub e2e_latency: LatencySummary,
    /// From the planned send to the send, where the window had room. Open loop only.
    pub lateness: Option<LatencySummary>,
    /// Planned sends that had to wait for the window. Open loop only.
    pub postponed: u64,
    /// Planned sends that were never made: the offer was more than the windows take.
    pub not_offered: u64,
    /// Refused sends by the server's code.
    pub refusals: BTreeMap<u32, u64>,
    /// Connections that ended early, with the reasons.
    pub broken: Vec<String>,
    /// Proof over every message.
    pub findings: Findings,
    /// What it cost.
    pub costs: Costs,
}

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

/// A run, complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Version of this program.
    pub generator: String,
    /// Name of the scenario.
    pub scenario: String,
    /// What it was pointed at.
    pub driver: String,
    /// Seconds since 1970, at the first send.
    pub started_unix_s: u64,
    /// Number that this run's messages carried.
    pub run: u32,
    /// Where it ran.
    pub machine: Machine,
    /// What was to be done.
    pub plan: Plan,
    /// What happened.
    pub outcome: Outcome,
    /// What to make of it.
    pub verdict: Verdict,
}

impl RunReport {
    /// The report of a run. `names` are the scenario's and the driver's.
    #[must_use]
    pub fn new(names: (&str, &str), plan: &Plan, watch: &Watch, ran: Ran) -> Self {
        Self {
            generator: concat!("hongyan-loadtest ", env!("CARGO_PKG_VERSION")).to_owned(),
            scenario: names.0.to_owned(),
            driver: names.1.to_owned(),
            started_unix_s: ran.started_unix_s,
            run: ran.run,
            machine: Machine::look(watch.data.as_deref()),
            plan: plan.clone(),
            verdict: Verdict::of(plan, &ran.outcome),
            outcome: ran.outcome,
        }
    }
}

impl Verdict {
    /// Judges an outcome.
    #[must_use]
    pub fn of(plan: &Plan, outcome: &Outcome) -> Self {
        let failures = failures(outcome);
        let doubts = doubts(plan, outcome);
        let exit_code = match (failures.is_empty(), doubts.is_empty()) {
            (false, _) => EXIT_FAILED,
            (true, false) => EXIT_NOT_EVIDENCE,
            (true, true) => EXIT_OK,
        };
        Self { exit_code, failures, doubts }
    }
}

fn failures(outcome: &Outcome) -> Vec<String> {
    let findings = &outcome.findings;
    let mut failures: Vec<String> = [
        (findings.lost, "acknowledged messages never arrived"),
        (findings.duplicates, "messages arrived twice"),
        (findings.reordered, "messages arrived out of order"),
        (findings.damaged, "messages arrived with other bytes than were sent"),
        (findings.seq_breaks, "steps of a conversation's seq were not one"),
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
    if outcome.not_offered > 0 {
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

impl Display for RunReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Plan { connections, window, bytes, level, threads, .. } = &self.plan;
        let outcome = &self.outcome;
        let pace = match self.plan.pace {
            Pace::ClosedLoop => "closed loop".to_owned(),
            Pace::OpenLoop { per_second } => format!("open loop at {per_second}/s"),
        };
        writeln!(
            f,
            "{} on {}: {connections} connections x {window} in flight, {bytes} B, {level:?}, {pace}, \
             {threads} generator thread(s), run {:08x}",
            self.scenario, self.driver, self.run
        )?;
        let machine = &self.machine;
        writeln!(
            f,
            "{} ({} cores), Linux {}, {} {}",
            machine.cpu, machine.cores, machine.kernel, machine.file_system, machine.revision
        )?;
        let of_all = match self.plan.stop {
            Stop::Time => format!("over {:.1} s", outcome.measured_s),
            Stop::Messages { .. } => {
                format!("all {} in {:.1} s", outcome.acked, outcome.measured_s)
            }
        };
        writeln!(f)?;
        row(f, "acked/s", &format!("{:.0} ({of_all})", outcome.acked_per_s))?;
        row(f, "delivered/s", &format!("{:.0}", outcome.delivered_per_s))?;
        latency(f, "ack latency", &outcome.ack_latency)?;
        latency(f, "e2e latency", &outcome.e2e_latency)?;
        if let Some(lateness) = &outcome.lateness {
            latency(f, "generator late", lateness)?;
            row(f, "postponed", &format!("{} planned sends met a full window", outcome.postponed))?;
        }
        costs(f, &outcome.costs)?;
        let findings = &outcome.findings;
        row(
            f,
            "verified",
            &format!(
                "{} sent, {} acked, {} delivered; lost {}, twice {}, out of order {}, damaged {}",
                outcome.sent_in_all,
                outcome.acked_in_all,
                outcome.delivered_in_all,
                findings.lost,
                findings.duplicates,
                findings.reordered,
                findings.damaged
            ),
        )?;
        writeln!(f)?;
        verdict(f, &self.verdict)
    }
}

fn row(f: &mut Formatter<'_>, name: &str, value: &str) -> fmt::Result {
    writeln!(f, "  {name:<16}{value}")
}

fn latency(f: &mut Formatter<'_>, name: &str, summary: &LatencySummary) -> fmt::Result {
    let mut text = String::new();
    for (label, us) in [
        ("p50", summary.p50_us),
        ("p90", summary.p90_us),
        ("p99", summary.p99_us),
        ("p99.9", summary.p999_us),
        ("max", summary.max_us),
    ] {
        write!(text, "{label} {:.2}  ", us / 1_000.0)?;
    }
    row(f, name, &format!("{text}ms"))
}

fn costs(f: &mut Formatter<'_>, costs: &Costs) -> fmt::Result {
    if let (Some(us), Some(cores)) = (costs.server_cpu_us_per_message, costs.server_cpu_cores) {
        row(f, "server CPU", &format!("{us:.2} us per acked message ({cores:.2} cores)"))?;
    }
    let (us, cores) = (costs.generator_cpu_us_per_message, costs.generator_cpu_cores);
    row(f, "generator CPU", &format!("{us:.2} us per acked message ({cores:.2} cores)"))?;
    if let (Some(rss), Some(anon)) = (costs.server_rss_bytes, costs.server_anon_bytes) {
        let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
        row(f, "server memory", &format!("{:.1} MiB ({:.1} its own)", mib(rss), mib(anon)))?;
    }
    if let (Some(syncs), Some(per_sync)) = (costs.syncs, costs.messages_per_sync) {
        row(f, "syncs", &format!("{syncs}, {per_sync:.1} messages each"))?;
    }
    if let Some(bytes) = costs.server_written_bytes_per_message {
        row(f, "written", &format!("{bytes:.0} B per message"))?;
    }
    if let Some(bytes) = costs.disk_bytes_per_message {
        row(f, "on disk", &format!("{bytes:.0} B per message, preallocation included"))?;
    }
    Ok(())
}

fn verdict(f: &mut Formatter<'_>, verdict: &Verdict) -> fmt::Result {
    let word = match verdict.exit_code {
        EXIT_OK => "ok",
        EXIT_FAILED => "THE PRODUCT FAILED",
        _ => "NO EVIDENCE",
    };
    writeln!(f, "verdict: {word}")?;
    for reason in verdict.failures.iter().chain(&verdict.doubts) {
        writeln!(f, "  - {reason}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
