//! What a storm found, and what to make of it.
//!
//! A session that did not get in, did not stay or did not answer is a failure of the product, and
//! so is a connection that ended without a word; being turned away with a hint is not.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};

use crate::cpu_clock::{CpuTime, STEPS_MIN, tick_us};
use crate::engine::crowd::{Wave, named};
use crate::histogram::LatencySummary;
use crate::probe::Machine;
use crate::pulse::PulseTick;
use crate::report::{self, GENERATOR_SHARE_MAX, Verdict};
use crate::scenario::connect_storm::StormPlan;
use crate::series::Spectrum;
use crate::stream::Transport;

/// Part of the sessions that must have been resumed where that was asked for.
const RESUMED_SHARE_MIN: f64 = 0.95;

/// One wave of sign-ins.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WaveReport {
    /// `ramp`, or `back 1` and so on.
    pub name: String,
    /// Its first planned moment, in seconds from that of the ramp.
    #[serde(default)]
    pub began_s: f64,
    /// Sessions that were opened.
    pub sign_ins: u64,
    /// From the first planned moment to the last session, in seconds.
    pub seconds: f64,
    /// Sessions opened per second.
    pub sign_ins_per_s: f64,
    /// From the connect to the session, of the attempt that succeeded.
    pub sign_in: LatencySummary,
    /// From the planned moment to the session, with the wait for one's turn and every attempt.
    pub from_plan: LatencySummary,
    /// Sign-ins, how long they took and CPU over time, from `began_s` on.
    #[serde(default)]
    pub timeline: Vec<PulseTick>,
    /// Refusals by the server's code.
    pub refused: BTreeMap<u32, u64>,
    /// Attempts after the first of a session.
    pub tried_again: u64,
    /// Connections that ended before their session was open, by how.
    pub broken: BTreeMap<String, u64>,
    /// Sessions that were given up, by why.
    pub given_up: BTreeMap<String, u64>,
    /// Sessions whose TLS was resumed.
    pub resumed: u64,
    /// Sessions that did not answer a heartbeat after the wave.
    pub silent: usize,
    /// Sessions that the server ended in the wave and the hold after it, by how.
    pub lost: BTreeMap<String, u64>,
    /// Sessions that the server counts after the wave, besides those of others.
    pub counted: Option<u64>,
    /// Seconds that the server took to see everybody gone, before the wave.
    pub gone_s: Option<f64>,
    /// Server CPU time of the wave, in microseconds.
    pub server_cpu_us: Option<u64>,
    /// Server CPU time per session opened, in microseconds.
    pub server_cpu_us_per_sign_in: Option<f64>,
    /// CPU time of this program over the wave's length.
    pub generator_cpu_cores: f64,
}

/// A storm, complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StormReport {
    /// Version of this program.
    pub generator: String,
    /// Always `connect-storm`.
    pub scenario: String,
    /// Seconds since 1970, at the beginning.
    pub started_unix_s: u64,
    /// Where it ran.
    pub machine: Machine,
    /// What carried the bytes.
    pub transport: Transport,
    /// What was to be done.
    pub plan: StormPlan,
    /// The ramp, and everybody's coming back.
    pub waves: Vec<WaveReport>,
    /// `sign_in` of everybody who came back, by percentile; of the ramp when nobody did.
    #[serde(default)]
    pub sign_in_spectrum: Spectrum,
    /// `from_plan` of the same.
    #[serde(default)]
    pub from_plan_spectrum: Spectrum,
    /// Server CPU time per session that came back, over all such waves, in microseconds.
    pub server_cpu_us_per_sign_in: Option<f64>,
    /// The same the other way round: sessions that one core can open per second.
    pub sign_ins_per_core_second: Option<f64>,
    /// What to make of it.
    pub verdict: Verdict,
}

impl WaveReport {
    pub(super) fn new(
        name: String,
        wave: Wave,
        server: Option<CpuTime>,
        generator_us: u64,
    ) -> Self {
        let sign_ins = wave.sign_in.len();
        let seconds = wave.length.as_secs_f64();
        Self {
            name,
            sign_ins,
            seconds,
            sign_ins_per_s: sign_ins as f64 / seconds.max(1e-9),
            sign_in: LatencySummary::of(&wave.sign_in),
            from_plan: LatencySummary::of(&wave.from_plan),
            refused: wave.refused,
            tried_again: wave.again,
            broken: wave.broken,
            given_up: wave.given_up,
            resumed: wave.resumed,
            server_cpu_us: server.map(|cpu| cpu.us),
            server_cpu_us_per_sign_in: server.map(|cpu| cpu.us as f64 / sign_ins.max(1) as f64),
            generator_cpu_cores: generator_us as f64 / 1e6 / seconds.max(1e-9),
            ..Self::default()
        }
    }
}

/// Waves that came back; the ramp when there is none.
fn measured(waves: &[WaveReport]) -> &[WaveReport] {
    if waves.len() > 1 { &waves[1..] } else { waves }
}

/// Server CPU time per session that came back, in microseconds.
pub(super) fn cpu_us_per_sign_in(waves: &[WaveReport]) -> Option<f64> {
    let waves = measured(waves);
    let cpu_us: u64 = waves.iter().map(|wave| wave.server_cpu_us).sum::<Option<u64>>()?;
    let sign_ins: u64 = waves.iter().map(|wave| wave.sign_ins).sum();
    (sign_ins > 0).then(|| cpu_us as f64 / sign_ins as f64)
}

/// Judges the waves of a storm.
pub(super) fn judge(plan: &StormPlan, transport: Transport, waves: &[WaveReport]) -> Verdict {
    Verdict::new(failures(plan, waves), doubts(plan, transport, waves))
}

fn failures(plan: &StormPlan, waves: &[WaveReport]) -> Vec<String> {
    let mut failures = Vec::new();
    for wave in waves {
        let name = &wave.name;
        for (why, count) in &wave.given_up {
            failures.push(format!("{name}: {count} sessions could not be opened: {why}"));
        }
        for (how, count) in &wave.broken {
            failures.push(format!("{name}: {count} connections ended before Welcome: {how}"));
        }
        for (how, count) in &wave.lost {
            failures.push(format!("{name}: the server ended {count} sessions: {how}"));
        }
        if wave.silent > 0 {
            failures.push(format!("{name}: {} sessions answered no heartbeat", wave.silent));
        }
        if let Some(counted) = wave.counted.filter(|counted| *counted != wave.sign_ins) {
            failures.push(format!(
                "{name}: the server counts {counted} sessions, and {} of {} were opened",
                wave.sign_ins, plan.connections
            ));
        }
    }
    failures
}

fn doubts(plan: &StormPlan, transport: Transport, waves: &[WaveReport]) -> Vec<String> {
    let mut doubts = Vec::new();
    let measured = measured(waves);
    let busiest = measured.iter().map(|wave| wave.generator_cpu_cores).fold(0.0, f64::max);
    if busiest > GENERATOR_SHARE_MAX {
        doubts.push(format!(
            "the generator used {:.0} % of its thread in a wave: rates are a lower bound and \
             latencies are partly its own (server CPU per sign-in holds all the same); spread the \
             sessions with --spread-ms",
            busiest * 100.0
        ));
    }
    let cpu_us: Option<u64> = measured.iter().map(|wave| wave.server_cpu_us).sum();
    if let Some(us) = cpu_us.filter(|us| *us < STEPS_MIN * tick_us()) {
        doubts.push(format!(
            "the server used {:.0} ms of CPU in all, too little to tell what a sign-in costs: more \
             --connections or more --rounds",
            us as f64 / 1_000.0
        ));
    }
    let (sign_ins, resumed) = measured
        .iter()
        .fold((0, 0), |(all, resumed), wave| (all + wave.sign_ins, resumed + wave.resumed));
    let wanted = plan.resumption && plan.rounds > 0 && transport.is_encrypted();
    if wanted && (resumed as f64) < sign_ins as f64 * RESUMED_SHARE_MIN {
        doubts.push(format!("{resumed} of {sign_ins} sessions that came back resumed TLS"));
    }
    doubts
}

impl Display for WaveReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let ms = |us: f64| us / 1_000.0;
        let refused: u64 = self.refused.values().sum();
        let broken: u64 = self.broken.values().sum();
        write!(
            f,
            "  {:<9}{:>7} sessions in {:>6.2} s {:>8.0}/s  p50 {:>7.2}  p99 {:>7.2}  max {:>7.2} \
             ms  refused {refused}  broken {broken}  again {}",
            self.name,
            self.sign_ins,
            self.seconds,
            self.sign_ins_per_s,
            ms(self.sign_in.p50_us),
            ms(self.sign_in.p99_us),
            ms(self.sign_in.max_us),
            self.tried_again,
        )?;
        if let Some(us) = self.server_cpu_us_per_sign_in {
            write!(f, "  {us:.1} us of server CPU each")?;
        }
        if self.resumed > 0 {
            write!(f, "  {} resumed", self.resumed)?;
        }
        Ok(())
    }
}

impl Display for StormReport {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let plan = &self.plan;
        writeln!(
            f,
            "connect-storm over {:?}: {} sessions, {} sign-ins at once, {} rounds, back within \
             {} ms",
            self.transport, plan.connections, plan.at_once, plan.rounds, plan.spread_ms
        )?;
        for wave in &self.waves {
            writeln!(f, "{wave}")?;
            for (code, count) in &wave.refused {
                writeln!(f, "           {count} refused with {}", named(*code))?;
            }
        }
        if let (Some(us), Some(rate)) =
            (self.server_cpu_us_per_sign_in, self.sign_ins_per_core_second)
        {
            writeln!(
                f,
                "  {us:.1} us of server CPU per sign-in: {rate:.0} sign-ins per core-second"
            )?;
        }
        for wave in measured(&self.waves) {
            report::latency(f, "from plan", &wave.from_plan)?;
        }
        report::verdict(f, &self.verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{EXIT_FAILED, EXIT_NOT_EVIDENCE, EXIT_OK};

    fn wave(name: &str) -> WaveReport {
        WaveReport {
            name: name.to_owned(),
            sign_ins: 10_000,
            counted: Some(10_000),
            server_cpu_us: Some(400_000),
            ..WaveReport::default()
        }
    }

    #[test]
    fn the_cost_of_a_sign_in_is_that_of_those_who_came_back() {
        let ramp = WaveReport { server_cpu_us: Some(9_000_000), ..wave("ramp") };
        let waves = [ramp, wave("back 1"), wave("back 2")];
        assert_eq!(cpu_us_per_sign_in(&waves), Some(40.0));
        assert_eq!(cpu_us_per_sign_in(&waves[..1]), Some(900.0));
        let blind = WaveReport { server_cpu_us: None, ..wave("back 1") };
        assert_eq!(cpu_us_per_sign_in(&[wave("ramp"), blind]), None);
        let plan = StormPlan::default();
        assert_eq!(judge(&plan, Transport::Tcp, &waves).exit_code, EXIT_OK);
    }

    #[test]
    fn whoever_does_not_get_in_or_stay_is_a_failure() {
        let one = |key: &str| BTreeMap::from([(key.to_owned(), 1)]);
        for bad in [
            WaveReport { given_up: one("refused"), ..wave("back 1") },
            WaveReport { broken: one("connection reset"), ..wave("back 1") },
            WaveReport { lost: one("goodbye"), ..wave("back 1") },
            WaveReport { silent: 1, ..wave("back 1") },
            WaveReport { counted: Some(9_999), ..wave("back 1") },
        ] {
            let verdict = judge(&StormPlan::default(), Transport::Tcp, &[wave("ramp"), bad]);
            assert_eq!((verdict.exit_code, verdict.failures.len()), (EXIT_FAILED, 1));
        }
    }

    #[test]
    fn figures_that_say_little_are_no_evidence() {
        let resuming = StormPlan { resumption: true, ..StormPlan::default() };
        let busy = WaveReport { generator_cpu_cores: 0.95, ..wave("back 1") };
        let short = WaveReport { server_cpu_us: Some(10_000), ..wave("back 1") };
        for (plan, transport, back) in [
            (StormPlan::default(), Transport::Tcp, busy),
            (StormPlan::default(), Transport::Tcp, short),
            (resuming.clone(), Transport::Tls, wave("back 1")),
        ] {
            let verdict = judge(&plan, transport, &[wave("ramp"), back]);
            assert_eq!((verdict.exit_code, verdict.doubts.len()), (EXIT_NOT_EVIDENCE, 1));
        }
        let resumed = WaveReport { resumed: 10_000, ..wave("back 1") };
        let verdict = judge(&resuming, Transport::Tls, &[wave("ramp"), resumed]);
        assert_eq!(verdict.exit_code, EXIT_OK);
    }
}
