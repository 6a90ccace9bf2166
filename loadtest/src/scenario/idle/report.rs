//! What idle sessions cost, and whether the figures say it.

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

use super::fit::LineFit;
use super::{Found, IdlePlan};
use crate::cpu_clock::STEPS_MIN;
use crate::probe::Machine;
use crate::report::{self, Verdict};

/// The server's memory with a number of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdleStep {
    /// Open sessions.
    pub connections: usize,
    /// Resident memory, in bytes.
    pub rss_bytes: u64,
    /// Of it what no file backs, in bytes.
    pub anon_bytes: u64,
    /// Of that what is in huge pages, in bytes.
    #[serde(default)]
    pub huge_bytes: u64,
}

/// What idle sessions cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IdleReport {
    /// Always `idle`.
    pub scenario: String,
    /// Where it ran.
    pub machine: Machine,
    /// What was to be done.
    pub plan: IdlePlan,
    /// Memory by number of sessions, the first with none.
    pub steps: Vec<IdleStep>,
    /// The line through the server's own memory over sessions, in bytes.
    #[serde(default)]
    pub fit: LineFit,
    /// Its slope: the server's own memory per session, in bytes.
    pub bytes_per_connection: f64,
    /// Growth of the server's own memory from none to all sessions, per session, in bytes. Memory
    /// that the server had kept free lowers it, memory that it has not given back raises it.
    pub growth_per_connection: f64,
    /// Server CPU per session and second while held, in microseconds, less what the server uses
    /// without any.
    pub cpu_us_per_connection_second: f64,
    /// CPU time that this was read from, in microseconds.
    #[serde(default)]
    pub cpu_us: u64,
    /// CPU time over wall time of the server without sessions.
    pub base_cpu_cores: f64,
    /// Sessions that the server ended.
    pub closed: usize,
    /// Seconds that opening them took.
    pub opening_s: f64,
    /// One of the `EXIT_` codes of [`report`]; the verdict's.
    pub exit_code: u8,
    /// What to make of it.
    #[serde(default)]
    pub verdict: Verdict,
}

impl IdleReport {
    pub(super) fn new(plan: &IdlePlan, machine: Machine, found: Found) -> Self {
        let points: Vec<(f64, f64)> = found
            .steps
            .iter()
            .skip(1)
            .map(|step| (step.connections as f64, step.anon_bytes as f64))
            .collect();
        let fit = LineFit::through(&points);
        let base_cores = found.base.cpu.us as f64 / 1e6 / found.base.seconds;
        let base_us = base_cores * 1e6 * found.held.seconds;
        let seconds = plan.connections as f64 * found.held.seconds;
        let failures = if found.closed > 0 {
            vec![format!("the server ended {} sessions", found.closed)]
        } else {
            Vec::new()
        };
        let mut doubts = Vec::new();
        doubts.extend(fit.doubt().map(|why| {
            format!("memory: {why}; more --connections, or a server that does nothing else")
        }));
        doubts.extend(huge_doubt(&found.steps));
        doubts.extend(cpu_doubt(&found, base_us));
        doubts.extend(machine.ceilings.doubts());
        let verdict = Verdict::new(failures, doubts);
        Self {
            scenario: "idle".to_owned(),
            machine,
            plan: plan.clone(),
            fit,
            bytes_per_connection: fit.slope,
            growth_per_connection: growth(&found.steps),
            cpu_us_per_connection_second: (found.held.cpu.us as f64 - base_us) / seconds,
            cpu_us: found.held.cpu.us,
            base_cpu_cores: base_cores,
            closed: found.closed,
            opening_s: found.opening.as_secs_f64(),
            steps: found.steps,
            exit_code: verdict.exit_code,
            verdict,
        }
    }
}

/// Huge pages hide what is taken, in either direction.
fn huge_doubt(steps: &[IdleStep]) -> Option<String> {
    let most = steps.iter().map(|step| step.huge_bytes).max().filter(|bytes| *bytes > 0)?;
    Some(format!(
        "memory: {:.0} MiB of the server's are in huge pages, which come and go 2 MiB at a time: \
         start it with MIMALLOC_ALLOW_THP=0 in its environment for this measurement",
        most as f64 / 1_048_576.0
    ))
}

/// Why the CPU time says nothing about sessions, if it does not.
fn cpu_doubt(found: &Found, base_us: f64) -> Option<String> {
    let held = found.held.cpu;
    let of_sessions = held.us as f64 - base_us;
    let needed_us = (STEPS_MIN * held.step_us) as f64;
    if of_sessions < needed_us {
        let longer = found.held.seconds * needed_us / of_sessions.max(1.0);
        return Some(format!(
            "CPU: the sessions used {:.1} ms, too little for a clock that goes by {:.0} ms: more \
             --connections, or --hold {:.0} seconds",
            of_sessions / 1_000.0,
            held.step_us as f64 / 1_000.0,
            longer.min(86_400.0).ceil()
        ));
    }
    (of_sessions < base_us).then(|| {
        format!(
            "CPU: the sessions used {:.1} ms and the server alone uses {:.1} in that time: more \
             --connections",
            of_sessions / 1_000.0,
            base_us / 1_000.0
        )
    })
}

/// From the first step, without sessions, to the last.
fn growth(steps: &[IdleStep]) -> f64 {
    match (steps.first(), steps.last()) {
        (Some(first), Some(last)) if last.connections > 0 => {
            (last.anon_bytes as f64 - first.anon_bytes as f64) / last.connections as f64
        }
        _ => 0.0,
    }
}

impl Display for IdleReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let plan = &self.plan;
        writeln!(
            f,
            "idle: {} sessions in {} steps, held {} s with a heartbeat each {} s, by {} process(es)",
            plan.connections, plan.steps, plan.hold_s, plan.heartbeat_s, plan.processes
        )?;
        for step in &self.steps {
            let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
            writeln!(
                f,
                "  {:>7} sessions  {:>8.1} MiB resident  {:>8.2} MiB of its own",
                step.connections,
                mib(step.rss_bytes),
                mib(step.anon_bytes)
            )?;
        }
        writeln!(
            f,
            "  {:.0} bytes per session (slope, standard error {:.0}, residual {:.0} KiB), {:.0} \
             (growth from none)",
            self.bytes_per_connection,
            self.fit.slope_error.unwrap_or(f64::NAN),
            self.fit.residual / 1_024.0,
            self.growth_per_connection
        )?;
        writeln!(
            f,
            "  {:.3} us of CPU per session and second, from {:.1} ms of CPU; the server alone uses \
             {:.4} cores",
            self.cpu_us_per_connection_second,
            self.cpu_us as f64 / 1_000.0,
            self.base_cpu_cores
        )?;
        writeln!(f, "  {:.1} s to open them all", self.opening_s)?;
        report::verdict(f, &self.verdict)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Spell;
    use super::*;
    use crate::cpu_clock::CpuTime;
    use crate::report::{EXIT_FAILED, EXIT_NOT_EVIDENCE, EXIT_OK};

    fn found() -> Found {
        let step = |connections: usize, anon_bytes| IdleStep {
            connections,
            rss_bytes: 0,
            anon_bytes,
            huge_bytes: 0,
        };
        let spell = |us, seconds| Spell { cpu: CpuTime { us, step_us: 1 }, seconds };
        Found {
            steps: vec![
                step(0, 6_000_000),
                step(100, 5_100_000),
                step(200, 5_200_000),
                step(400, 5_400_000),
            ],
            base: spell(5_000, 5.0),
            held: spell(50_000, 10.0),
            closed: 0,
            opening: Duration::from_secs(1),
        }
    }

    fn report(found: Found) -> IdleReport {
        let plan = IdlePlan { connections: 400, ..IdlePlan::default() };
        IdleReport::new(&plan, Machine::default(), found)
    }

    #[test]
    fn a_session_costs_the_slope_and_what_the_base_does_not() {
        let report = report(found());
        assert!((report.bytes_per_connection - 1_000.0).abs() < 1e-6);
        assert!((report.growth_per_connection + 1_500.0).abs() < 1e-6);
        // 50 ms less 10 of the server alone, over 400 sessions and 10 seconds.
        assert!((report.cpu_us_per_connection_second - 10.0).abs() < 1e-9);
        assert_eq!((report.exit_code, &report.verdict.doubts), (EXIT_OK, &Vec::new()));
    }

    #[test]
    fn figures_that_say_nothing_are_no_evidence() {
        let mut falling = found();
        falling.steps[3].anon_bytes = 5_000_000;
        let mut huge = found();
        huge.steps[2].huge_bytes = 2 << 20;
        let mut coarse = found();
        coarse.held.cpu.step_us = 10_000;
        let mut drowned = found();
        drowned.held.cpu.us = 15_000;
        for (found, word) in
            [(falling, "noise"), (huge, "huge"), (coarse, "--hold"), (drowned, "alone")]
        {
            let verdict = report(found).verdict;
            assert_eq!(verdict.exit_code, EXIT_NOT_EVIDENCE);
            assert!(verdict.doubts[0].contains(word), "{verdict:?}");
        }
        let mut ended = found();
        ended.closed = 3;
        assert_eq!(report(ended).exit_code, EXIT_FAILED);
    }
}
