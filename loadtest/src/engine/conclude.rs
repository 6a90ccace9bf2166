//! From what the workers saw to what a report says: sums, latencies, costs, and the proof.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::driver::Link;
use crate::engine::connection::Connection;
use crate::engine::ledger::{Findings, Outbound};
use crate::engine::observer::{Sample, Seen};
use crate::engine::tally::KindTotal;
use crate::engine::topology::Topology;
use crate::engine::worker::WorkerOutcome;
use crate::engine::{Details, KindFigures, LifeFigures};
use crate::histogram::{LatencySummary, merge, nanoseconds};
use crate::plan::{Pace, Plan};
use crate::report::{Costs, Outcome};
use crate::series::Spectrum;

pub(crate) fn conclude<L: Link>(
    plan: &Plan,
    topology: &Topology,
    outcomes: Vec<WorkerOutcome<L>>,
    seen: Seen,
    whole_ns: u64,
) -> (Outcome, Details) {
    let Seen { from, to, ticks } = seen;
    let measured_s = (to.at_ns - from.at_ns) as f64 / 1e9;
    let (acked, delivered) = (to.acked - from.acked, to.delivered - from.delivered);
    let mut outcome = Outcome {
        measured_s,
        whole_s: whole_ns as f64 / 1e9,
        acked,
        delivered,
        acked_per_s: acked as f64 / measured_s,
        delivered_per_s: delivered as f64 / measured_s,
        costs: costs_between(&from, &to, acked, measured_s),
        timeline: ticks,
        ..Outcome::default()
    };
    let mut stages = Stages::default();
    let mut life = LifeFigures::default();
    let mut presences = 0;
    let mut seats: BTreeMap<usize, Connection<L>> = BTreeMap::new();
    let threads = outcomes.len();
    for (worker, part) in outcomes.into_iter().enumerate() {
        stages.add(&part);
        add_life(&mut life, &part);
        presences += part.presences;
        outcome.postponed += part.postponed;
        outcome.not_offered += part.not_offered;
        outcome.findings.unanswered += part.unanswered;
        for (code, count) in part.refusals {
            *outcome.refusals.entry(code).or_default() += count;
        }
        for (nth, connection) in part.connections.into_iter().enumerate() {
            seats.insert(nth * threads + worker, connection);
        }
    }
    judge(&seats, topology, &mut outcome);
    stages.summarize(plan, &mut outcome);
    life.return_latency = LatencySummary::of(&stages.returns);
    let details = Details {
        spread: LatencySummary::of(&stages.spread),
        life,
        kinds: stages.kinds(topology, measured_s),
        presences,
    };
    (outcome, details)
}

fn add_life<L>(life: &mut LifeFigures, part: &WorkerOutcome<L>) {
    life.absent_sends += part.absent;
    let Some(comings) = &part.comings else {
        return;
    };
    life.absent_sends += comings.given_up;
    life.returns += comings.returns;
    life.caught_up += comings.caught_up;
    life.round_trips += comings.round_trips;
    life.bytes_in += comings.bytes_in;
}

/// The latencies of all workers.
struct Stages {
    ack: Histogram<u64>,
    service: Histogram<u64>,
    e2e: Histogram<u64>,
    late: Histogram<u64>,
    spread: Histogram<u64>,
    returns: Histogram<u64>,
    by_kind: Vec<KindTotal>,
}

impl Default for Stages {
    fn default() -> Self {
        let [ack, service, e2e, late, spread, returns] = std::array::from_fn(|_| nanoseconds());
        Self { ack, service, e2e, late, spread, returns, by_kind: Vec::new() }
    }
}

impl Stages {
    fn add<L>(&mut self, part: &WorkerOutcome<L>) {
        let empty = || KindTotal { ack: nanoseconds(), e2e: nanoseconds() };
        self.by_kind.resize_with(part.kinds.len().max(self.by_kind.len()), empty);
        for (into, from) in self.by_kind.iter_mut().zip(&part.kinds) {
            merge(&mut into.ack, &from.ack);
            merge(&mut into.e2e, &from.e2e);
            merge(&mut self.ack, &from.ack);
            merge(&mut self.e2e, &from.e2e);
        }
        for (into, from) in [
            (&mut self.service, &part.service_latency),
            (&mut self.late, &part.lateness),
            (&mut self.spread, &part.spread),
        ] {
            merge(into, from);
        }
        if let Some(comings) = &part.comings {
            merge(&mut self.returns, &comings.took);
        }
    }

    fn kinds(&self, topology: &Topology, measured_s: f64) -> Vec<KindFigures> {
        let kinds = topology.kinds.iter().zip(&self.by_kind);
        kinds
            .map(|(kind, total)| KindFigures {
                name: kind.name.to_owned(),
                acked_per_s: total.ack.len() as f64 / measured_s,
                delivered_per_s: total.e2e.len() as f64 / measured_s,
                ack_latency: LatencySummary::of(&total.ack),
                e2e_latency: LatencySummary::of(&total.e2e),
            })
            .collect()
    }

    fn summarize(&self, plan: &Plan, outcome: &mut Outcome) {
        outcome.ack_latency = LatencySummary::of(&self.ack);
        outcome.service_latency = LatencySummary::of(&self.service);
        outcome.e2e_latency = LatencySummary::of(&self.e2e);
        outcome.ack_spectrum = Spectrum::of(&self.ack);
        outcome.e2e_spectrum = Spectrum::of(&self.e2e);
        if matches!(plan.pace, Pace::OpenLoop { .. }) {
            outcome.lateness = Some(LatencySummary::of(&self.late));
        }
    }
}

/// Holds what each seat heard against what was sent, flow by flow.
fn judge<L: Link>(
    seats: &BTreeMap<usize, Connection<L>>,
    topology: &Topology,
    outcome: &mut Outcome,
) {
    let mut sent: Vec<Option<&Outbound>> = vec![None; topology.flows()];
    for (index, connection) in seats {
        for flow in &connection.sends {
            sent[flow.lane.flow as usize] = Some(&flow.outbound);
            outcome.sent_in_all += flow.outbound.sent();
            outcome.acked_in_all += flow.outbound.acked();
        }
        outcome.findings.add(&connection.findings());
        if let Some(broken) = &connection.broken {
            outcome.broken.push(format!("connection {index}: {broken}"));
        }
    }
    for heard in seats.values().flat_map(|connection| &connection.hears) {
        outcome.delivered_in_all += heard.inbound.delivered();
        if let Some(outbound) = sent[heard.lane.flow as usize] {
            outcome.findings.add(&Findings::of_pair(outbound, &heard.inbound));
        }
    }
}

fn costs_between(from: &Sample, to: &Sample, acked: u64, measured_s: f64) -> Costs {
    let per_message = |amount: u64| amount as f64 / acked.max(1) as f64;
    let server = from.server.zip(to.server);
    let server_cpu_us = server.map(|(from, to)| to.cpu_us.saturating_sub(from.cpu_us));
    let generator_us = to.generator.cpu_us.saturating_sub(from.generator.cpu_us);
    let syncs = from.syncs.zip(to.syncs).map(|(from, to)| (to - from).max(0.0) as u64);
    Costs {
        server_cpu_us_per_message: server_cpu_us.map(per_message),
        server_cpu_cores: server_cpu_us.map(|us| us as f64 / 1e6 / measured_s),
        server_rss_bytes: to.server.map(|sample| sample.rss_bytes),
        server_anon_bytes: to.server.map(|sample| sample.anon_bytes),
        device_written_bytes_per_message: from
            .device_written_bytes
            .zip(to.device_written_bytes)
            .map(|(from, to)| per_message(to.saturating_sub(from))),
        disk_bytes_per_message: from
            .disk_bytes
            .zip(to.disk_bytes)
            .map(|(from, to)| per_message(to.saturating_sub(from))),
        syncs,
        messages_per_sync: syncs
            .filter(|syncs| *syncs > 0)
            .map(|syncs| acked as f64 / syncs as f64),
        generator_cpu_cores: generator_us as f64 / 1e6 / measured_s,
        generator_cpu_us_per_message: per_message(generator_us),
    }
}
