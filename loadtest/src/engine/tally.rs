//! What one wake of a worker saw, and the statistics that it adds to.
//!
//! Owns the recorders of one worker, one pair for each kind of flow. Nothing is allocated per
//! message.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::driver::Link;
use crate::engine::connection::Connection;
use crate::engine::spread::Spread;
use crate::histogram::Recorder;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    pub(crate) delivered: u64,
    pub(crate) promised: u64,
    pub(crate) refused: u64,
    pub(crate) spread: Spread,
    /// Pushes that say who is there, from the first on.
    pub(crate) presences: u64,
    pub(crate) refusals: BTreeMap<u32, u64>,
    kinds: Vec<KindTally>,
    service_latency: Recorder,
}

#[derive(Debug, Default)]
struct KindTally {
    ack: Recorder,
    e2e: Recorder,
}

/// The latencies of one kind of flow.
#[derive(Debug)]
pub(crate) struct KindTotal {
    pub(crate) ack: Histogram<u64>,
    pub(crate) e2e: Histogram<u64>,
}

impl Tally {
    /// For a worker with `connections`, in a run with so many kinds of flows.
    pub(crate) fn new<L: Link>(connections: &[Connection<L>], kinds: usize) -> Self {
        let heard = connections.iter().flat_map(|connection| &connection.hears);
        Self {
            spread: Spread::new(heard.map(|heard| heard.lane.flow)),
            kinds: (0..kinds.max(1)).map(|_| KindTally::default()).collect(),
            ..Self::default()
        }
    }

    /// An ack came: so long after the planned send, so long after the real one, and so many
    /// receivers are to hear the message.
    pub(crate) fn note_ack(
        &mut self,
        kind: usize,
        latency_ns: u64,
        service_ns: u64,
        receivers: u32,
    ) {
        self.acked += 1;
        self.promised += u64::from(receivers);
        self.kinds[kind].ack.record(latency_ns);
        self.service_latency.record(service_ns);
    }

    /// A message arrived, so long after the planned send.
    pub(crate) fn note_delivery(&mut self, kind: usize, latency_ns: u64) {
        self.delivered += 1;
        self.kinds[kind].e2e.record(latency_ns);
    }

    /// A message arrived that its receiver had missed while it was away.
    pub(crate) const fn note_caught_up(&mut self) {
        self.delivered += 1;
    }

    pub(crate) fn note_refusal(&mut self, code: u32) {
        self.refused += 1;
        *self.refusals.entry(code).or_default() += 1;
    }

    /// As [`Recorder::end_interval`]; `shown` takes the ack latencies.
    pub(crate) fn end_interval(&mut self, measured: bool, shown: &mut Histogram<u64>) {
        for kind in &mut self.kinds {
            kind.ack.end_interval(measured, Some(&mut *shown));
            kind.e2e.end_interval(measured, None);
        }
        self.service_latency.end_interval(measured, None);
        self.spread.end_interval(measured);
    }

    /// What was measured: by kind, service latency, spread.
    pub(crate) fn into_totals(self) -> (Vec<KindTotal>, Histogram<u64>, Histogram<u64>) {
        let total =
            |kind: KindTally| KindTotal { ack: kind.ack.into_total(), e2e: kind.e2e.into_total() };
        let kinds = self.kinds.into_iter().map(total).collect();
        (kinds, self.service_latency.into_total(), self.spread.into_total())
    }
}
