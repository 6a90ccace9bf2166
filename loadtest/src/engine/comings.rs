//! Who of a worker's seats is there, who is away, and who reads slowly.
//!
//! ```text
//! here ── absence is due ──> leaving ── nothing in flight ──> away ── time is up ──> coming ──> here
//! slow, or told to catch up: stays until the sending is over, then the same way
//! ```
//!
//! Owns the state of each seat on this way and the figures about it; connections are the worker's.
//! When the sending is over everybody comes back, so that what was sent can be proven.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use hdrhistogram::Histogram;
use mio::{Registry, Waker};

use crate::clock::RunClock;
use crate::driver::Link;
use crate::engine::connection::Connection;
use crate::engine::life::Absence;
use crate::engine::payload::TextForm;
use crate::engine::returns::{Back, Job};
use crate::engine::tally::Tally;
use crate::histogram::nanoseconds;

/// What a worker needs to know of a run's [`Life`](crate::engine::life::Life).
#[derive(Debug)]
pub(crate) struct ComingsParts<L> {
    /// Of this worker's seats, with their places on it, by the time they leave.
    pub(crate) absences: Vec<(usize, Absence)>,
    /// Places on this worker.
    pub(crate) slow: Vec<usize>,
    pub(crate) slow_bytes_per_s: f64,
    /// Place in the topology of each seat of this worker.
    pub(crate) seats: Vec<usize>,
    pub(crate) jobs: SyncSender<Job<L>>,
    /// The first moment of the run.
    pub(crate) start_ns: u64,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct ComingsOutcome {
    /// From asking for a session to holding everything.
    pub(crate) took: Histogram<u64>,
    pub(crate) returns: u64,
    pub(crate) caught_up: u64,
    pub(crate) round_trips: u64,
    pub(crate) bytes_in: u64,
    /// Planned sends that waited for the window when their sender left.
    pub(crate) given_up: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Comings<L> {
    parts: ComingsParts<L>,
    absences: VecDeque<(usize, Absence)>,
    leaving: Vec<(usize, u64)>,
    away: Vec<(usize, u64)>,
    coming: usize,
    everybody_called: bool,
    /// Bytes that each slow reader has read.
    slow_read: Vec<u64>,
    reply: (SyncSender<Back<L>>, Receiver<Back<L>>),
    waker: Arc<Waker>,
    outcome: ComingsOutcome,
}

/// What the worker lends for a moment.
pub(crate) struct Lent<'a, L> {
    pub(crate) connections: &'a mut [Connection<L>],
    pub(crate) registry: &'a Registry,
    pub(crate) clock: &'a RunClock,
    pub(crate) text: &'a TextForm,
    pub(crate) tally: &'a mut Tally,
    pub(crate) scratch: &'a mut [u8],
}

impl<L: Link> Comings<L> {
    pub(crate) fn new(mut parts: ComingsParts<L>, waker: Waker) -> Self {
        let mut absences = std::mem::take(&mut parts.absences);
        absences.sort_by_key(|(_, absence)| absence.from_ns);
        Self {
            absences: absences.into(),
            leaving: Vec::new(),
            away: Vec::new(),
            coming: 0,
            everybody_called: false,
            slow_read: vec![0; parts.slow.len()],
            // One job of each seat at a time.
            reply: sync_channel(parts.seats.len()),
            waker: Arc::new(waker),
            outcome: ComingsOutcome {
                took: nanoseconds(),
                returns: 0,
                caught_up: 0,
                round_trips: 0,
                bytes_in: 0,
                given_up: 0,
            },
            parts,
        }
    }

    /// True when the seat at this place reads slowly.
    pub(crate) fn is_slow(&self, local: usize) -> bool {
        self.parts.slow.contains(&local)
    }

    /// True when everybody is here to stay.
    pub(crate) fn is_settled(&self) -> bool {
        self.everybody_called && self.leaving.is_empty() && self.away.is_empty() && self.coming == 0
    }

    pub(crate) fn into_outcome(self) -> ComingsOutcome {
        self.outcome
    }

    /// Does what is due. `over`: nobody sends any more. Gives the places of connections that have
    /// something to write or to read.
    pub(crate) fn step(&mut self, now_ns: u64, over: bool, lent: &mut Lent<'_, L>) -> Vec<usize> {
        let mut touched = Vec::new();
        if over {
            self.call_everybody(now_ns, lent.connections);
        } else {
            self.begin_absences(now_ns, lent.connections);
            self.read_slowly(now_ns, lent, &mut touched);
        }
        self.let_go(now_ns, lent);
        touched.extend(self.leaving.iter().map(|(local, _)| *local));
        self.ask_back(now_ns, over, lent.connections);
        while let Ok(back) = self.reply.1.try_recv() {
            touched.push(back.local);
            self.install(back, lent);
        }
        touched
    }

    fn begin_absences(&mut self, now_ns: u64, connections: &mut [Connection<L>]) {
        while let Some((local, absence)) = self.absences.front().copied() {
            if self.parts.start_ns + absence.from_ns > now_ns {
                return;
            }
            self.absences.pop_front();
            let connection = &mut connections[local];
            if connection.is_here() {
                self.outcome.given_up += connection.leave();
                self.leaving.push((local, self.parts.start_ns + absence.to_ns));
            }
        }
    }

    /// Once: slow readers, and those who were told to catch up, come anew.
    fn call_everybody(&mut self, now_ns: u64, connections: &mut [Connection<L>]) {
        if std::mem::replace(&mut self.everybody_called, true) {
            return;
        }
        self.absences.clear();
        for (local, connection) in connections.iter_mut().enumerate() {
            let slow = self.parts.slow.contains(&local);
            if slow {
                // The server may have given it up, as it says it does.
                connection.broken = None;
            }
            if connection.is_here() && (slow || connection.was_shed()) {
                self.outcome.given_up += connection.leave();
                self.leaving.push((local, now_ns));
            }
        }
    }

    /// Ends the connections of those who leave, once nothing of theirs is on its way.
    fn let_go(&mut self, now_ns: u64, lent: &mut Lent<'_, L>) {
        let (connections, registry) = (&mut *lent.connections, lent.registry);
        self.leaving.retain(|(local, back_ns)| {
            let connection = &mut connections[*local];
            if connection.broken.is_some() {
                // It stays broken, and fails the run.
                return false;
            }
            if !connection.is_settled() || connection.has_output(now_ns) {
                return true;
            }
            connection.hang_up(registry);
            self.away.push((*local, *back_ns));
            false
        });
    }

    fn ask_back(&mut self, now_ns: u64, over: bool, connections: &[Connection<L>]) {
        let (jobs, coming) = (&self.parts.jobs, &mut self.coming);
        self.away.retain(|(local, back_ns)| {
            if !over && *back_ns > now_ns {
                return true;
            }
            let job = Job {
                seat: self.parts.seats[*local],
                local: *local,
                held: connections[*local].held(),
                reply: self.reply.0.clone(),
                waker: Arc::clone(&self.waker),
            };
            // The crew outlives the workers.
            *coming += usize::from(jobs.send(job).is_ok());
            false
        });
    }

    fn install(&mut self, back: Back<L>, lent: &mut Lent<'_, L>) {
        self.coming -= 1;
        let connection = &mut lent.connections[back.local];
        match back.returned {
            Ok(returned) => {
                self.outcome.returns += 1;
                self.outcome.round_trips += returned.traffic.round_trips;
                self.outcome.bytes_in += returned.traffic.bytes_in;
                self.outcome.took.saturating_record(back.took_ns);
                self.outcome.caught_up += connection.come_back(
                    returned,
                    back.local,
                    lent.registry,
                    lent.text,
                    lent.tally,
                );
            }
            Err(reason) => connection.fail_to_return(reason),
        }
    }

    fn read_slowly(&mut self, now_ns: u64, lent: &mut Lent<'_, L>, touched: &mut Vec<usize>) {
        let elapsed_s = now_ns.saturating_sub(self.parts.start_ns) as f64 / 1e9;
        let allowed = (elapsed_s * self.parts.slow_bytes_per_s) as u64;
        for (nth, local) in self.parts.slow.iter().enumerate() {
            let owed = allowed.saturating_sub(self.slow_read[nth]);
            let most = usize::try_from(owed).unwrap_or(usize::MAX).min(lent.scratch.len());
            if most == 0 {
                continue;
            }
            self.slow_read[nth] += most as u64;
            let scratch = &mut lent.scratch[..most];
            lent.connections[*local].read_once(scratch, lent.clock, lent.text, lent.tally);
            touched.push(*local);
        }
    }
}
