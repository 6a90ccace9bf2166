//! What a run found: for people on the terminal, for programs as JSON, for scripts as an exit code.
//!
//! The data is here; `verdict` judges it, `text` prints it, `envelope` reads results of any
//! scenario back from their files. A run that broke a promise is a failure of the product
//! ([`EXIT_FAILED`]); a run whose figures prove nothing, because the generator was the bottleneck
//! or late, is no evidence ([`EXIT_NOT_EVIDENCE`]); figures are printed in both cases, with the
//! reason.

mod envelope;
mod text;
mod verdict;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::envelope::{AnyReport, CapacityReport, EnvelopeError, FILE_BYTES_MAX, Source};
pub(crate) use self::text::{latency, verdict};
pub use self::verdict::{
    EXIT_FAILED, EXIT_NOT_EVIDENCE, EXIT_OK, EXIT_USAGE, GENERATOR_SHARE_MAX, LATENESS_P99_US_MAX,
    Verdict,
};
use crate::engine::Ran;
use crate::engine::ledger::Findings;
use crate::histogram::LatencySummary;
use crate::plan::{Pace, Plan, Stop};
use crate::probe::Machine;
use crate::scenario::Watch;
use crate::series::{CurvePoint, Spectrum, Tick};

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
    /// Bytes that the disk under the data directory took, from anybody, per acknowledged message.
    pub device_written_bytes_per_message: Option<f64>,
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
    /// From the real send to the ack: the uncorrected latency, which hides what a stall did to sends
    /// that were due meanwhile. Shown beside the other, never instead of it.
    #[serde(default)]
    pub service_latency: LatencySummary,
    /// Percentile points of the ack latency.
    #[serde(default)]
    pub ack_spectrum: Spectrum,
    /// Percentile points of the e2e latency.
    #[serde(default)]
    pub e2e_spectrum: Spectrum,
    /// The run second by second, warm-up included.
    #[serde(default)]
    pub timeline: Vec<Tick>,
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
    /// What the scenario adds to the plan, by name.
    #[serde(default)]
    pub shape: serde_json::Map<String, serde_json::Value>,
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
            machine: Machine { ceilings: ran.ceilings, ..Machine::look(watch.data.as_deref()) },
            plan: plan.clone(),
            shape: serde_json::Map::new(),
            verdict: Verdict::of(plan, &ran.outcome).with_doubts(ran.ceilings.doubts()),
            outcome: ran.outcome,
        }
    }

    /// The same with what the scenario adds to the plan; `shape` becomes an object in JSON.
    #[must_use]
    pub fn shaped(mut self, shape: &impl Serialize) -> Self {
        if let Ok(serde_json::Value::Object(shape)) = serde_json::to_value(shape) {
            self.shape = shape;
        }
        self
    }

    /// Adds what a scenario found beside the outcome, and judges anew.
    pub fn object(&mut self, failures: Vec<String>, doubts: Vec<String>) {
        self.verdict.failures.extend(failures);
        self.verdict.doubts.extend(doubts);
        self.verdict.settle();
    }

    /// This run as one point of a throughput-latency curve.
    #[must_use]
    pub fn curve_point(&self) -> CurvePoint {
        let outcome = &self.outcome;
        CurvePoint {
            offered_per_s: match self.plan.pace {
                Pace::ClosedLoop => outcome.acked_per_s,
                Pace::OpenLoop { per_second } => per_second,
            },
            acked_per_s: outcome.acked_per_s,
            ack_p50_us: outcome.ack_latency.p50_us,
            ack_p99_us: outcome.ack_latency.p99_us,
            ack_p999_us: outcome.ack_latency.p999_us,
            e2e_p99_us: outcome.e2e_latency.p99_us,
            server_cpu_us_per_message: outcome.costs.server_cpu_us_per_message,
            valid: self.verdict.exit_code == EXIT_OK,
        }
    }

    /// The command that asks for this run again, without what belongs to one machine (addresses,
    /// process ids, files). `None` for a scenario whose flags are not known here.
    #[must_use]
    pub fn command(&self) -> Option<String> {
        let Plan { connections, window, bytes, drain_s, threads, seed, .. } = self.plan;
        let mut command = match (self.scenario.as_str(), self.plan.stop) {
            ("fill", Stop::Messages { messages }) => format!("fill --messages {messages}"),
            ("direct", Stop::Time) => {
                let Plan { warmup_s, seconds, .. } = self.plan;
                let rate = match self.plan.pace {
                    Pace::ClosedLoop => String::new(),
                    Pace::OpenLoop { per_second } => format!(" --rate {per_second}"),
                };
                format!("direct --warmup {warmup_s} --seconds {seconds}{rate}")
            }
            _ => return None,
        };
        let driver = match self.driver.as_str() {
            "null relay" => "null",
            other => other,
        };
        let (level, receipts) = (name_of(self.plan.level), name_of(self.plan.receipts));
        command.push_str(&format!(
            " --driver {driver} --connections {connections} --window {window} --bytes {bytes} \
             --level {level} --receipts {receipts} --drain {drain_s} --threads {threads} \
             --seed {seed}"
        ));
        Some(format!("hongyan-loadtest {command}"))
    }
}

/// A choice as the command line spells it.
fn name_of(choice: impl clap::ValueEnum) -> String {
    choice.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}
