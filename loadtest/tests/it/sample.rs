//! Made-up results that look like real ones: a ring at some rate, with stalls and a warm-up.

use hongyan_loadtest::histogram::{LatencySummary, nanoseconds};
use hongyan_loadtest::plan::{Pace, Plan};
use hongyan_loadtest::probe::Machine;
use hongyan_loadtest::pulse::PulseTick;
use hongyan_loadtest::report::{
    AnyReport, CapacityReport, Costs, Outcome, RunReport, Source, Verdict,
};
use hongyan_loadtest::scenario::cold_start::{ColdFindings, ColdStartPlan, ColdStartReport};
use hongyan_loadtest::scenario::connect_storm::{StormPlan, StormReport, WaveReport};
use hongyan_loadtest::scenario::idle::fit::LineFit;
use hongyan_loadtest::scenario::idle::{IdlePlan, IdleReport, IdleStep};
use hongyan_loadtest::series::{CurvePoint, Spectrum, Tick};
use hongyan_loadtest::stream::Transport;
use hongyan_protocol::ids::mix64;

/// What a made-up run is like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Tells runs apart; moves every figure a little.
    pub(crate) seed: u64,
    /// Open loop at this rate per second; a closed loop without.
    pub(crate) rate: Option<f64>,
    /// Server CPU per message, in microseconds.
    pub(crate) cpu_us: f64,
    /// Half of the acks, in microseconds.
    pub(crate) p50_us: f64,
    /// Seconds measured, after 5 of warm-up.
    pub(crate) seconds: u64,
}

impl Default for Shape {
    fn default() -> Self {
        Self { seed: 1, rate: Some(20_000.0), cpu_us: 9.5, p50_us: 620.0, seconds: 30 }
    }
}

impl Shape {
    /// The run as a result that is ok.
    pub(crate) fn report(self) -> RunReport {
        let plan = Plan {
            pace: self.rate.map_or(Pace::ClosedLoop, |per_second| Pace::OpenLoop { per_second }),
            warmup_s: 5,
            seconds: self.seconds,
            ..Plan::default()
        };
        let outcome = self.outcome();
        RunReport {
            generator: "hongyan-loadtest 0.1.0".to_owned(),
            scenario: "direct".to_owned(),
            driver: "hongyan".to_owned(),
            started_unix_s: 1_795_000_000 + self.seed,
            run: mix64(self.seed) as u32,
            machine: machine(),
            verdict: Verdict::of(&plan, &outcome),
            plan,
            shape: serde_json::Map::new(),
            outcome,
        }
    }

    /// The run under a name.
    pub(crate) fn source(self, name: &str) -> Source {
        Source { name: name.to_owned(), report: AnyReport::Run(Box::new(self.report())) }
    }

    fn outcome(self) -> Outcome {
        let rate = self.rate.unwrap_or(41_000.0);
        let timeline: Vec<Tick> =
            (1..=5 + self.seconds).map(|second| self.tick(second, rate)).collect();
        let counted = || timeline.iter().filter(|tick| !tick.warming);
        let acked: u64 = counted().map(|tick| tick.acked).sum();
        let ack = latencies(self.seed, self.p50_us, 300.0);
        let e2e = latencies(self.seed ^ 7, self.p50_us * 1.35, 300.0);
        let uncorrected = latencies(self.seed ^ 9, self.p50_us * 0.92, 8.0);
        let acked_in_all = timeline.iter().map(|tick| tick.acked).sum();
        let cpu_us = self.cpu_us * (1.0 + 0.004 * deviate(self.seed));
        Outcome {
            measured_s: self.seconds as f64,
            whole_s: self.seconds as f64 + 5.1,
            acked,
            delivered: acked,
            acked_per_s: acked as f64 / self.seconds as f64,
            delivered_per_s: acked as f64 / self.seconds as f64,
            sent_in_all: acked_in_all,
            acked_in_all,
            delivered_in_all: acked_in_all,
            ack_latency: LatencySummary::of(&ack),
            e2e_latency: LatencySummary::of(&e2e),
            service_latency: LatencySummary::of(&uncorrected),
            ack_spectrum: Spectrum::of(&ack),
            e2e_spectrum: Spectrum::of(&e2e),
            lateness: self.rate.map(|_| LatencySummary {
                samples: acked,
                p50_us: 4.0,
                p90_us: 11.0,
                p99_us: 46.0,
                p999_us: 230.0,
                p9999_us: 610.0,
                max_us: 1_900.0,
                mean_us: 6.0,
            }),
            timeline,
            costs: Costs {
                server_cpu_us_per_message: Some(cpu_us),
                server_cpu_cores: Some(cpu_us * rate / 1e6),
                server_rss_bytes: Some(182 << 20),
                server_anon_bytes: Some(131 << 20),
                device_written_bytes_per_message: Some(411.0),
                disk_bytes_per_message: Some(436.0),
                syncs: Some(acked / 96),
                messages_per_sync: Some(96.0),
                generator_cpu_cores: 0.41,
                generator_cpu_us_per_message: 0.41e6 / rate,
            },
            ..Outcome::default()
        }
    }

    fn tick(self, second: u64, rate: f64) -> Tick {
        let noise = |part: u64| deviate(mix64(self.seed) ^ mix64(second * 8 + part));
        let warming = second <= 5;
        let cold = if warming { 1.0 + 0.3 * (6 - second) as f64 } else { 1.0 };
        let stall = if second == 19 { 9.0 } else { 1.0 };
        let rate = if self.rate.is_some() { rate } else { rate * (1.0 + 0.02 * noise(1)) / cold };
        let acked = rate as u64;
        Tick {
            at_s: second as f64,
            warming,
            offered: acked,
            acked,
            delivered: acked - acked / 400,
            refused: 0,
            ack_p50_us: self.p50_us * cold * (1.0 + 0.03 * noise(2)),
            ack_p99_us: self.p50_us * 3.4 * cold * stall * (1.0 + 0.08 * noise(3)),
            server_cpu_cores: Some(self.cpu_us * rate / 1e6 * cold * (1.0 + 0.01 * noise(4))),
            generator_cpu_cores: 0.41 * (1.0 + 0.02 * noise(5)),
            server_rss_bytes: Some((120 << 20) + (second.min(20) << 21) + (second << 17)),
        }
    }
}

/// A long tail: most near the middle, the worst of all some `tail` times as long.
fn latencies(seed: u64, p50_us: f64, tail: f64) -> hdrhistogram::Histogram<u64> {
    const SAMPLES: u32 = 20_000;
    let mut histogram = nanoseconds();
    let middle_ns = p50_us * 1_000.0 * (1.0 + 0.01 * deviate(seed));
    for nth in 0..SAMPLES {
        let part = (f64::from(nth) + 0.5) / f64::from(SAMPLES);
        // Logistic in the middle; the tail begins where one in a hundred is left.
        let body = (0.25 * (part / (1.0 - part)).ln()).exp().min(3.6);
        let nines = -(1.0 - part).log10();
        let stretch = 1.0 + tail * (nines / 5.3).powi(6) / 10.0;
        histogram.saturating_record((middle_ns * body * stretch) as u64);
    }
    histogram
}

/// Like a normal deviate: the sum of twelve draws from 0 to 1, less 6.
fn deviate(seed: u64) -> f64 {
    let draws = (0..12).map(|part| mix64(mix64(seed) ^ part) as f64 / u64::MAX as f64);
    draws.sum::<f64>() - 6.0
}

/// A machine of no particular make.
pub(crate) fn machine() -> Machine {
    Machine {
        cpu: "AMD EPYC 9B14".to_owned(),
        cores: 2,
        memory_bytes: 24_696_061_952,
        kernel: "6.18.5".to_owned(),
        file_system: "ext4".to_owned(),
        revision: "f2222b7d1c0a+".to_owned(),
        ..Machine::default()
    }
}

/// A search for the capacity whose last rate was too much.
pub(crate) fn capacity(name: &str) -> Source {
    let rates = [5e3, 10e3, 20e3, 30e3, 36e3, 40e3, 42e3, 44e3];
    let point = |(nth, offered_per_s): (usize, f64)| {
        let load: f64 = offered_per_s / 45_000.0;
        let p50 = 180.0 / (1.0 - load);
        CurvePoint {
            offered_per_s,
            acked_per_s: if nth == 7 { 41_800.0 } else { offered_per_s },
            ack_p50_us: p50,
            ack_p99_us: p50 * (2.5 + 4.0 * load),
            ack_p999_us: p50 * (6.0 + 9.0 * load),
            e2e_p99_us: p50 * (3.4 + 4.5 * load),
            server_cpu_us_per_message: Some(9.0 + 9.0 * (1.0 - load)),
            valid: nth != 7,
        }
    };
    let report = CapacityReport {
        scenario: "capacity".to_owned(),
        driver: "hongyan".to_owned(),
        machine: machine(),
        curve: rates.into_iter().enumerate().map(point).collect(),
        ..CapacityReport::default()
    };
    Source { name: name.to_owned(), report: AnyReport::Capacity(Box::new(report)) }
}

/// Idle sessions that cost about 880 bytes each.
pub(crate) fn idle(name: &str) -> Source {
    let step = |nth: usize| IdleStep {
        connections: nth * 3_600,
        rss_bytes: (21 << 20) + nth as u64 * 3_600 * 880,
        anon_bytes: (9 << 20) + nth as u64 * 3_600 * 880,
        huge_bytes: 0,
    };
    let report = IdleReport {
        scenario: "idle".to_owned(),
        machine: machine(),
        plan: IdlePlan {
            connections: 18_000,
            steps: 5,
            hold_s: 20,
            heartbeat_s: 20,
            processes: 1,
            warm: true,
            settle_ms: 3_000,
        },
        steps: (0..=5).map(step).collect(),
        fit: LineFit::default(),
        bytes_per_connection: 880.0,
        growth_per_connection: 903.0,
        cpu_us_per_connection_second: 0.21,
        cpu_us: 250_000,
        base_cpu_cores: 0.001,
        closed: 0,
        opening_s: 4.2,
        exit_code: 0,
        verdict: Verdict::default(),
    };
    Source { name: name.to_owned(), report: AnyReport::Idle(Box::new(report)) }
}

/// Tenths of a second in which something was done, fewer and fewer of it.
fn pulse(ticks: u64, done: u64) -> Vec<PulseTick> {
    let tick = |nth: u64| PulseTick {
        at_s: nth as f64 / 10.0,
        done: done / nth,
        refused: if nth == 2 { 40 } else { 0 },
        p50_us: 900.0 * nth as f64,
        p99_us: 2_500.0 * nth as f64,
        server_cpu_cores: Some(0.9 / nth as f64),
        generator_cpu_cores: 0.4 / nth as f64,
    };
    (1..=ticks).map(tick).collect()
}

fn spectrum(samples: u64, step_ns: u64) -> Spectrum {
    let mut histogram = nanoseconds();
    (1..=samples).for_each(|nth| histogram.saturating_record(nth * step_ns));
    Spectrum::of(&histogram)
}

/// A storm of a ramp and two waves that came back.
pub(crate) fn storm(name: &str) -> Source {
    let wave = |(nth, name): (usize, &str)| WaveReport {
        name: name.to_owned(),
        began_s: 4.0 * nth as f64,
        sign_ins: 10_000,
        seconds: 1.2,
        sign_ins_per_s: 8_300.0 + nth as f64,
        refused: [(600, 40)].into(),
        tried_again: 40,
        server_cpu_us: Some(900_000),
        server_cpu_us_per_sign_in: Some(90.0),
        generator_cpu_cores: 0.4,
        timeline: pulse(12, 3_000),
        ..WaveReport::default()
    };
    let report = StormReport {
        generator: "hongyan-loadtest 0".to_owned(),
        scenario: "connect-storm".to_owned(),
        started_unix_s: 1_790_000_000,
        machine: machine(),
        transport: Transport::Tls,
        plan: StormPlan { connections: 10_000, rounds: 2, ..StormPlan::default() },
        waves: ["ramp", "back 1", "back 2"].into_iter().enumerate().map(wave).collect(),
        sign_in_spectrum: spectrum(20_000, 400),
        from_plan_spectrum: spectrum(20_000, 50_000),
        server_cpu_us_per_sign_in: Some(90.0),
        sign_ins_per_core_second: Some(11_111.0),
        verdict: Verdict::default(),
    };
    Source { name: name.to_owned(), report: AnyReport::Storm(Box::new(report)) }
}

/// Cold starts of four users.
pub(crate) fn cold_start(name: &str) -> Source {
    let spectrum = spectrum(200, 30_000);
    let latency = LatencySummary { samples: 200, p99_us: 5_900.0, ..LatencySummary::default() };
    let report = ColdStartReport {
        generator: "hongyan-loadtest 0".to_owned(),
        scenario: "cold-start".to_owned(),
        started_unix_s: 1_790_000_000,
        machine: machine(),
        transport: Transport::Tcp,
        plan: ColdStartPlan::default(),
        filled_s: 2.0,
        late: 0,
        complete_s: 0.1,
        starts: 200,
        server_cpu_us_per_start: Some(2_400.0),
        bytes_down_per_start: 160_000.0,
        bytes_up_per_start: 220.0,
        round_trips_per_start: 1.0,
        round_trips_max: 1,
        spectrum,
        timeline: pulse(8, 60),
        first: latency.clone(),
        latency,
        findings: ColdFindings::default(),
        verdict: Verdict::default(),
    };
    Source { name: name.to_owned(), report: AnyReport::ColdStart(Box::new(report)) }
}
