//! Everybody comes at once: N sessions sign in, stay, are cut off, and come back.
//!
//! ```text
//! ramp ─ check ─ hold ─┬─ drop ─ come back ─ check ─ hold ─┬─ ...
//!                      └───────────── rounds ──────────────┘
//! ```
//!
//! A check is a heartbeat that each session must answer, and the server's own count of sessions.
//! What a sign-in costs the server comes from the waves that came back: nothing else happens then.

mod report;

use std::io::Write as _;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub use self::report::{StormReport, WaveReport};

use anyhow::Context;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::ceilings::Ceilings;
use crate::cpu_clock::CpuClock;
use crate::engine::crowd::{Crowd, Manner};
use crate::histogram::{merge, nanoseconds};
use crate::plan::{CONNECTIONS_MAX, PlanError, within};
use crate::probe::{Machine, Metrics, ProcessSample};
use crate::pulse::{CpuTrace, TICKS_MAX};
use crate::roster::Account;
use crate::scenario::Watch;
use crate::series::Spectrum;
use crate::stream::Endpoint;
use crate::tickets::Tickets;

/// The server's metric that counts open sessions.
pub const SESSIONS_METRIC: &str = "hongyan_sessions";

const RAMP: &str = "ramp";
/// How long a session may take to answer a heartbeat, and the server to count right.
const PATIENCE: Duration = Duration::from_secs(30);
/// The server's count of sessions is up to so old.
const COUNT_AGE: Duration = Duration::from_millis(600);
const LOOK_STEP: Duration = Duration::from_millis(50);
/// For a server that does not tell its sessions to notice that they are gone.
const BLIND_PAUSE: Duration = Duration::from_secs(1);
const HEARTBEAT: Duration = Duration::from_secs(20);
/// Tickets kept per session; a server gives a few with each handshake.
const TICKETS_PER_SESSION: usize = 2;

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StormPlan {
    /// Sessions in all.
    pub connections: usize,
    /// Sign-ins per second of the ramp; as many as `at_once` lets through when there is none.
    pub rate: Option<f64>,
    /// Sign-ins under way, at most.
    pub at_once: usize,
    /// Times that everybody is cut off and comes back.
    pub rounds: u32,
    /// Seconds to stay after each wave.
    pub hold_s: u64,
    /// Each session comes back at a random moment within so long, as clients do that a server
    /// spreads.
    pub spread_ms: u64,
    /// Comes back without waiting for the server to see the old connections end.
    pub overlap: bool,
    /// Whether those who come back resume their TLS sessions.
    pub resumption: bool,
    /// Attempts of each session in each wave.
    pub tries: u32,
    /// Seconds for one attempt.
    pub timeout_s: u64,
    /// Orders what is random.
    pub seed: u64,
}

impl Default for StormPlan {
    fn default() -> Self {
        Self {
            connections: 1_000,
            rate: None,
            at_once: 64,
            rounds: 3,
            hold_s: 2,
            spread_ms: 0,
            overlap: false,
            resumption: false,
            tries: 8,
            timeout_s: 30,
            seed: 1,
        }
    }
}

impl StormPlan {
    /// Checks every field against its range.
    ///
    /// # Errors
    /// [`PlanError`] that names the first field out of range.
    pub fn check(&self) -> Result<(), PlanError> {
        within("connections", self.connections, 1, CONNECTIONS_MAX)?;
        within("at-once", self.at_once, 1, CONNECTIONS_MAX)?;
        within("rounds", self.rounds, 0, 1_000)?;
        within("hold", self.hold_s, 0, 3_600)?;
        within("spread-ms", self.spread_ms, 0, 600_000)?;
        within("tries", self.tries, 1, 1_000)?;
        within("timeout", self.timeout_s, 1, 600)?;
        self.rate.map_or(Ok(()), |rate| within("rate", rate, 0.1, 1e6))
    }

    /// Planned moments of the ramp, in nanoseconds from its beginning.
    fn ramp(&self) -> Vec<u64> {
        let step_ns = self.rate.map_or(0.0, |rate| 1e9 / rate);
        (0..self.connections).map(|nth| (nth as f64 * step_ns) as u64).collect()
    }

    fn spread(&self, crowd: &mut Crowd) -> Vec<u64> {
        (0..self.connections).map(|_| crowd.random_below(self.spread_ms * 1_000_000)).collect()
    }
}

/// Runs `plan` against the server at `endpoint`; the accounts must have tokens in force.
///
/// # Errors
/// The plan is out of range or does not fit into the system's limits, there are too few accounts,
/// the server's process or metrics are not there, or the system failed the poll. What the server
/// does to sign-ins is part of the report.
pub fn run(
    endpoint: &Endpoint,
    accounts: &[Account],
    plan: &StormPlan,
    watch: &Watch,
) -> anyhow::Result<StormReport> {
    plan.check()?;
    let accounts = accounts.get(..plan.connections).context("there are too few accounts")?;
    let mut ceilings = Ceilings::look(watch.server_pid);
    ceilings.check(plan.connections, plan.connections)?;
    let started_unix_s =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let tickets = plan
        .resumption
        .then(|| Arc::new(Tickets::new(plan.connections.saturating_mul(TICKETS_PER_SESSION))));
    let resuming = endpoint.clone().with_resumption(tickets.clone());
    let others = settled_count(watch)?;
    let mut storm = Storm {
        crowd: Crowd::new(resuming, accounts, plan.seed)?,
        plan,
        watch,
        others,
        began: Instant::now(),
        sign_in: nanoseconds(),
        from_plan: nanoseconds(),
    };
    let mut waves = vec![storm.wave(RAMP.to_owned(), &plan.ramp(), None)?];
    if let Some(tickets) = &tickets {
        tickets.hand_out();
    }
    for round in 1..=plan.rounds {
        let gone_s = storm.cut_off()?;
        let moments = plan.spread(&mut storm.crowd);
        waves.push(storm.wave(format!("back {round}"), &moments, gone_s)?);
    }
    let sign_in_spectrum = Spectrum::of(&storm.sign_in);
    let from_plan_spectrum = Spectrum::of(&storm.from_plan);
    drop(storm);
    ceilings.look_again();
    let transport = endpoint.transport();
    let verdict = report::judge(plan, transport, &waves).with_doubts(ceilings.doubts());
    let cpu_us = report::cpu_us_per_sign_in(&waves);
    Ok(StormReport {
        generator: concat!("hongyan-loadtest ", env!("CARGO_PKG_VERSION")).to_owned(),
        scenario: "connect-storm".to_owned(),
        started_unix_s,
        machine: Machine { ceilings, ..Machine::look(watch.data.as_deref()) },
        transport,
        plan: plan.clone(),
        waves,
        sign_in_spectrum,
        from_plan_spectrum,
        server_cpu_us_per_sign_in: cpu_us,
        sign_ins_per_core_second: cpu_us.filter(|us| *us > 0.0).map(|us| 1e6 / us),
        verdict,
    })
}

/// Sessions that the server counts; `None` without its metrics.
fn counted(watch: &Watch) -> anyhow::Result<Option<u64>> {
    let Some(addr) = watch.metrics else {
        return Ok(None);
    };
    let metrics = Metrics::fetch(addr).context("reading the server's metrics")?;
    let sessions = metrics.value(SESSIONS_METRIC);
    Ok(Some(sessions.with_context(|| format!("the metrics lack {SESSIONS_METRIC}"))? as u64))
}

/// Sessions of others: the count once it stays, since an earlier run's may still be in it.
fn settled_count(watch: &Watch) -> anyhow::Result<u64> {
    let until = Instant::now() + PATIENCE;
    let mut last = None;
    loop {
        let Some(now) = counted(watch)? else {
            return Ok(0);
        };
        if last == Some(now) || Instant::now() >= until {
            return Ok(now);
        }
        last = Some(now);
        thread::sleep(COUNT_AGE);
    }
}

struct Storm<'a> {
    crowd: Crowd,
    plan: &'a StormPlan,
    watch: &'a Watch,
    /// Sessions of others, before this run.
    others: u64,
    began: Instant,
    /// Of everybody who came back; of the ramp when nobody does.
    sign_in: Histogram<u64>,
    from_plan: Histogram<u64>,
}

impl Storm<'_> {
    /// Everybody comes in, is checked, and stays.
    fn wave(
        &mut self,
        name: String,
        moments: &[u64],
        gone_s: Option<f64>,
    ) -> anyhow::Result<WaveReport> {
        let manner = Manner {
            at_once: self.plan.at_once,
            tries_max: self.plan.tries,
            timeout: Duration::from_secs(self.plan.timeout_s),
        };
        let began_s = self.began.elapsed().as_secs_f64();
        let server = self.watch.server_pid.map(CpuClock::now).transpose()?;
        let trace = CpuTrace::start(self.watch.server_pid);
        let generator = ProcessSample::of_self()?;
        let wave = self.crowd.bring_in(moments, manner)?;
        let generator_us = ProcessSample::of_self()?.cpu_us.saturating_sub(generator.cpu_us);
        let server = server.map(|clock| clock.spent()).transpose()?;
        let ticks_max = TICKS_MAX / (self.plan.rounds as usize + 1);
        let timeline = trace.into_ticks(&wave.done, &wave.refused_ns, wave.length, ticks_max);
        if name != RAMP || self.plan.rounds == 0 {
            merge(&mut self.sign_in, &wave.sign_in);
            merge(&mut self.from_plan, &wave.from_plan);
        }
        let mut report = WaveReport::new(name, wave, server, generator_us);
        (report.began_s, report.timeline) = (began_s, timeline);
        report.gone_s = gone_s;
        report.silent = self.crowd.check_alive(PATIENCE)?;
        if self.plan.overlap && self.watch.metrics.is_some() {
            // Else the count of the wave before would pass for this one's.
            thread::sleep(COUNT_AGE);
        }
        let expected = self.crowd.sessions() as u64;
        report.counted = self.wait_for_count(expected)?;
        self.crowd.stay(Duration::from_secs(self.plan.hold_s), HEARTBEAT)?;
        report.lost = self.crowd.take_lost();
        if !self.watch.quiet {
            // Progress is a courtesy: a closed terminal must not end the run.
            let _ = writeln!(std::io::stderr(), "{report}");
        }
        Ok(report)
    }

    /// Cuts everybody off; says how long the server took to see it, where it tells.
    fn cut_off(&mut self) -> anyhow::Result<Option<f64>> {
        self.crowd.drop_all();
        if self.plan.overlap {
            return Ok(None);
        }
        let began = Instant::now();
        if self.wait_for_count(0)?.is_none() {
            thread::sleep(BLIND_PAUSE);
            return Ok(None);
        }
        Ok(Some(began.elapsed().as_secs_f64()))
    }

    /// Waits for a bounded time until the server counts `expected` sessions of ours; gives what it
    /// counts then.
    fn wait_for_count(&self, expected: u64) -> anyhow::Result<Option<u64>> {
        let until = Instant::now() + PATIENCE;
        loop {
            let Some(sessions) = counted(self.watch)? else {
                return Ok(None);
            };
            let ours = sessions.saturating_sub(self.others);
            if ours == expected || Instant::now() >= until {
                return Ok(Some(ours));
            }
            thread::sleep(LOOK_STEP);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_follows_its_rate_and_ranges_are_checked() {
        let plan = StormPlan { connections: 3, rate: Some(1_000.0), ..StormPlan::default() };
        assert_eq!(plan.ramp(), [0, 1_000_000, 2_000_000]);
        assert_eq!(StormPlan { rate: None, ..plan.clone() }.ramp(), [0, 0, 0]);
        plan.check().unwrap();
        for (field, plan) in [
            ("connections", StormPlan { connections: 0, ..StormPlan::default() }),
            ("at-once", StormPlan { at_once: 0, ..StormPlan::default() }),
            ("rate", StormPlan { rate: Some(f64::NAN), ..StormPlan::default() }),
        ] {
            let error = plan.check().unwrap_err().to_string();
            assert!(error.starts_with(field), "{error}");
        }
    }
}
