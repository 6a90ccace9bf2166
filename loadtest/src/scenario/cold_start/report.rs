//! What a cold start costs, and whether it brought everything.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

use super::{ColdFindings, ColdStartPlan, Counted};
use crate::cpu_clock::{CpuTime, STEPS_MIN};
use crate::histogram::LatencySummary;
use crate::probe::Machine;
use crate::pulse::PulseTick;
use crate::report::{self, Verdict};
use crate::series::Spectrum;
use crate::stream::Transport;

/// Cold starts, complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColdStartReport {
    /// Version of this program.
    pub generator: String,
    /// Always `cold-start`.
    pub scenario: String,
    /// Seconds since 1970, at the beginning.
    pub started_unix_s: u64,
    /// Where it ran.
    pub machine: Machine,
    /// What carried the bytes.
    pub transport: Transport,
    /// What was to be done.
    pub plan: ColdStartPlan,
    /// Seconds that making the conversations took.
    pub filled_s: f64,
    /// Conversations that were not on a list yet right after that.
    pub late: u64,
    /// Seconds from then until every list was complete.
    pub complete_s: f64,
    /// Starts that count.
    pub starts: u64,
    /// Server CPU time per start, in microseconds; the connection's end is part of it.
    pub server_cpu_us_per_start: Option<f64>,
    /// Bytes from the server per start, without those of TLS and TCP.
    pub bytes_down_per_start: f64,
    /// Bytes to the server per start, without those of TLS and TCP.
    pub bytes_up_per_start: f64,
    /// Requests until the list was complete, the hello included; those of TLS and TCP are not.
    pub round_trips_per_start: f64,
    /// The most of any start.
    pub round_trips_max: u64,
    /// From the connect to the complete list.
    pub latency: LatencySummary,
    /// `latency` by percentile.
    #[serde(default)]
    pub spectrum: Spectrum,
    /// Starts that count, how long they took and CPU over time.
    #[serde(default)]
    pub timeline: Vec<PulseTick>,
    /// `latency` of each user's first start, which does not count otherwise.
    pub first: LatencySummary,
    /// Proof over every start.
    pub findings: ColdFindings,
    /// What to make of it.
    pub verdict: Verdict,
}

impl ColdStartReport {
    pub(super) fn new(
        plan: &ColdStartPlan,
        machine: Machine,
        first: &Counted,
        counted: &Counted,
        server: Option<CpuTime>,
    ) -> Self {
        let per_start = |amount: u64| amount as f64 / counted.starts.max(1) as f64;
        let mut doubts: Vec<String> = server.and_then(cpu_doubt).into_iter().collect();
        doubts.extend(machine.ceilings.doubts());
        Self {
            generator: concat!("hongyan-loadtest ", env!("CARGO_PKG_VERSION")).to_owned(),
            scenario: "cold-start".to_owned(),
            started_unix_s: 0,
            machine,
            transport: Transport::default(),
            plan: plan.clone(),
            filled_s: 0.0,
            late: first.findings.missing,
            complete_s: 0.0,
            starts: counted.starts,
            server_cpu_us_per_start: server.map(|cpu| per_start(cpu.us)),
            bytes_down_per_start: per_start(counted.traffic.bytes_in),
            bytes_up_per_start: per_start(counted.traffic.bytes_out),
            round_trips_per_start: per_start(counted.traffic.round_trips),
            round_trips_max: counted.round_trips_max,
            latency: LatencySummary::of(&counted.latency),
            spectrum: Spectrum::of(&counted.latency),
            timeline: Vec::new(),
            first: LatencySummary::of(&first.latency),
            findings: counted.findings,
            verdict: Verdict::new(counted.findings.failures(), doubts),
        }
    }
}

fn cpu_doubt(cpu: CpuTime) -> Option<String> {
    cpu.is_noise().then(|| {
        format!(
            "the server used {:.0} ms of CPU in all, less than {STEPS_MIN} steps of a clock that \
             goes by {:.0} ms: more --repeats",
            cpu.us as f64 / 1_000.0,
            cpu.step_us as f64 / 1_000.0
        )
    })
}

impl Display for ColdStartReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let plan = &self.plan;
        writeln!(
            f,
            "cold-start over {:?}: {} starts of {} users with {} conversations, {} of them groups",
            self.transport, self.starts, plan.users, plan.conversations, plan.groups
        )?;
        if let Some(us) = self.server_cpu_us_per_start {
            writeln!(f, "  {:.3} ms of server CPU per start", us / 1_000.0)?;
        }
        writeln!(
            f,
            "  {:.1} KB down, {:.0} B up, {:.2} round trips per start ({} at most)",
            self.bytes_down_per_start / 1_000.0,
            self.bytes_up_per_start,
            self.round_trips_per_start,
            self.round_trips_max
        )?;
        writeln!(
            f,
            "  {:.1} s to fill; {} conversations were listed later, all within {:.1} s",
            self.filled_s, self.late, self.complete_s
        )?;
        report::latency(f, "latency", &self.latency)?;
        report::latency(f, "the first", &self.first)?;
        report::verdict(f, &self.verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{EXIT_FAILED, EXIT_NOT_EVIDENCE, EXIT_OK};
    use crate::session::Traffic;

    fn report(counted: &Counted, cpu: CpuTime) -> ColdStartReport {
        let plan = ColdStartPlan::default();
        ColdStartReport::new(&plan, Machine::default(), &Counted::default(), counted, Some(cpu))
    }

    #[test]
    fn figures_are_those_of_one_start() {
        let traffic = Traffic { bytes_in: 4_000, bytes_out: 400, round_trips: 6 };
        let counted = Counted { starts: 4, traffic, round_trips_max: 2, ..Counted::default() };
        let report = report(&counted, CpuTime { us: 8_000, step_us: 1 });
        assert_eq!(report.server_cpu_us_per_start, Some(2_000.0));
        assert!((report.bytes_down_per_start - 1_000.0).abs() < 1e-9);
        assert!((report.bytes_up_per_start - 100.0).abs() < 1e-9);
        assert!((report.round_trips_per_start - 1.5).abs() < 1e-9);
        assert_eq!(report.verdict.exit_code, EXIT_OK);
    }

    #[test]
    fn what_is_missing_fails_and_what_is_noise_is_no_evidence() {
        let coarse = CpuTime { us: 190_000, step_us: 10_000 };
        let counted = Counted { starts: 4, ..Counted::default() };
        assert_eq!(report(&counted, coarse).verdict.exit_code, EXIT_NOT_EVIDENCE);
        let findings = ColdFindings { missing: 1, ..ColdFindings::default() };
        let counted = Counted { starts: 4, findings, ..Counted::default() };
        assert_eq!(report(&counted, coarse).verdict.exit_code, EXIT_FAILED);
    }
}
