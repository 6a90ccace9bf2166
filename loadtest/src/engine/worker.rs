//! One thread of the generator: one poll, its connections, its share of the schedule.
//!
//! ```text
//! wake: due sends -> queue │ flush each touched connection once │ wait │ read every ready one
//!       acks make room in the window; the closed loop fills it in the same wake
//! ```
//!
//! Owns its connections for the whole run and gives their ledgers back at the end. Shares only
//! counters ([`Progress`]) with the thread that watches.
//!
//! # Invariants
//! - Sending ends at the planned moment; then the worker waits for what is on its way, at most
//!   for the plan's drain time.
//! - Nothing is allocated per message.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::clock::RunClock;
use crate::driver::Link;
use crate::engine::comings::{Comings, ComingsOutcome, ComingsParts, Lent};
use crate::engine::connection::Connection;
use crate::engine::pacing::{Alarm, Schedule, WAKE_SPACING_NS};
use crate::engine::payload::TextForm;
use crate::engine::tally::{KindTotal, Tally};
use crate::histogram::{Recorder, nanoseconds};

const ALARM: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);
const READ_BYTES: usize = 128 * 1024;
const EVENTS: usize = 1024;
const IDLE_WAIT: Duration = Duration::from_millis(50);
const DRAIN_WAIT: Duration = Duration::from_millis(2);
const INTERVAL_NS: u64 = 250_000_000;

/// Counters of a running test, read by whoever watches it. Sums over all workers.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Sends given to a connection.
    pub(crate) sent: AtomicU64,
    /// Sends acknowledged.
    pub(crate) acked: AtomicU64,
    /// Messages that arrived, at each receiver.
    pub(crate) delivered: AtomicU64,
    /// Arrivals that the acknowledged sends promise.
    pub(crate) promised: AtomicU64,
    /// Sends refused.
    pub(crate) refused: AtomicU64,
    /// Connections that ended early.
    pub(crate) broken: AtomicU64,
    /// Workers that have nothing more to send and no answer outstanding.
    pub(crate) settled: AtomicU64,
    /// Ends the run now.
    pub(crate) abort: AtomicBool,
    /// Ack latencies since they were last taken.
    pub(crate) recent_ack: Mutex<Histogram<u64>>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            sent: AtomicU64::new(0),
            acked: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            promised: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            broken: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            abort: AtomicBool::new(false),
            recent_ack: Mutex::new(nanoseconds()),
        }
    }
}

/// The moments of a run, in nanoseconds of its clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments {
    pub(crate) start_ns: u64,
    pub(crate) measure_from_ns: u64,
    pub(crate) stop_ns: u64,
    pub(crate) drain_ns: u64,
}

/// What a worker is made of.
#[derive(Debug)]
pub(crate) struct WorkerParts<L> {
    pub(crate) connections: Vec<Connection<L>>,
    pub(crate) schedule: Option<Schedule>,
    pub(crate) text: TextForm,
    pub(crate) moments: Moments,
    pub(crate) clock: RunClock,
    pub(crate) progress: Arc<Progress>,
    /// Number of workers, this one included.
    pub(crate) workers: u64,
    /// Every stream has a quota.
    pub(crate) limited: bool,
    /// Kinds of streams in the run.
    pub(crate) kinds: usize,
    /// Where seats go away and come back.
    pub(crate) comings: Option<ComingsParts<L>>,
}

/// What a worker leaves behind.
#[derive(Debug)]
pub(crate) struct WorkerOutcome<L> {
    pub(crate) connections: Vec<Connection<L>>,
    pub(crate) kinds: Vec<KindTotal>,
    pub(crate) service_latency: Histogram<u64>,
    pub(crate) lateness: Histogram<u64>,
    pub(crate) spread: Histogram<u64>,
    pub(crate) refusals: BTreeMap<u32, u64>,
    pub(crate) presences: u64,
    /// Planned sends that found the window full.
    pub(crate) postponed: u64,
    /// Planned sends that were never made.
    pub(crate) not_offered: u64,
    pub(crate) unanswered: u64,
    /// Planned sends of seats that were away.
    pub(crate) absent: u64,
    pub(crate) comings: Option<ComingsOutcome>,
}

#[derive(Debug)]
struct Worker<L> {
    parts: WorkerParts<L>,
    poll: Poll,
    alarm: Alarm,
    dirty: Vec<usize>,
    tally: Tally,
    lateness: Recorder,
    scratch: Vec<u8>,
    phase: Phase,
    interval_end_ns: u64,
    postponed: u64,
    not_offered: u64,
    broken: u64,
    absent: u64,
    /// Some connection has a quota.
    limited: bool,
    comings: Option<Comings<L>>,
    /// Counted in [`Progress::settled`].
    told_settled: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Measuring,
    Draining { until_ns: u64 },
}

/// Runs to the end of the plan on this thread.
///
/// # Errors
/// The system gave no poll or no timer, or took one away.
pub(crate) fn run<L: Link>(mut parts: WorkerParts<L>) -> io::Result<WorkerOutcome<L>> {
    let limited = parts.limited;
    let poll = Poll::new()?;
    let alarm = Alarm::new(poll.registry(), ALARM)?;
    let tally = Tally::new(&parts.connections, parts.kinds);
    let comings = match parts.comings.take() {
        Some(comings) => Some(Comings::new(comings, Waker::new(poll.registry(), WAKER)?)),
        None => None,
    };
    let mut worker = Worker {
        parts,
        poll,
        alarm,
        dirty: Vec::new(),
        tally,
        lateness: Recorder::default(),
        scratch: vec![0; READ_BYTES],
        phase: Phase::WarmUp,
        interval_end_ns: 0,
        postponed: 0,
        not_offered: 0,
        broken: 0,
        told_settled: false,
        absent: 0,
        limited,
        comings,
    };
    worker.register()?;
    worker.parts.clock.sleep_until(worker.parts.moments.start_ns);
    worker.turn()?;
    Ok(worker.finish())
}

impl<L: Link> Worker<L> {
    fn register(&mut self) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        for (index, connection) in self.parts.connections.iter().enumerate() {
            if self.comings.as_ref().is_some_and(|comings| comings.is_slow(index)) {
                continue;
            }
            let fd = connection.stream.raw_fd();
            self.poll.registry().register(&mut SourceFd(&fd), Token(index), interest)?;
        }
        Ok(())
    }

    fn turn(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        for index in 0..self.parts.connections.len() {
            self.touch(index);
        }
        loop {
            let now_ns = self.parts.clock.now_ns();
            self.change_phase(now_ns);
            self.come_and_go(now_ns);
            self.offer(now_ns, now_ns);
            self.flush(now_ns);
            self.publish(now_ns);
            if self.is_done(now_ns) {
                return Ok(());
            }
            let wait = self.wait()?;
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            for event in &events {
                let index = event.token().0;
                // The alarm and the waker only end the wait.
                let Some(connection) = self.parts.connections.get_mut(index) else {
                    continue;
                };
                connection.read(
                    &mut self.scratch,
                    &self.parts.clock,
                    &self.parts.text,
                    &mut self.tally,
                );
                self.touch(index);
            }
        }
    }

    fn change_phase(&mut self, now_ns: u64) {
        let moments = self.parts.moments;
        if self.phase == Phase::WarmUp && now_ns >= moments.measure_from_ns {
            self.end_interval(now_ns);
            self.phase = Phase::Measuring;
        }
        let spent = self.limited && self.parts.connections.iter().all(Connection::is_spent);
        if self.phase == Phase::Measuring && now_ns >= moments.stop_ns {
            // What came due since the last wake belongs to the offer all the same.
            self.offer(moments.stop_ns, now_ns);
        }
        if self.phase == Phase::Measuring && (now_ns >= moments.stop_ns || spent) {
            self.end_interval(now_ns);
            for connection in &mut self.parts.connections {
                self.not_offered += connection.drop_postponed();
            }
            self.phase = Phase::Draining { until_ns: now_ns + moments.drain_ns };
        }
    }

    fn come_and_go(&mut self, now_ns: u64) {
        let Some(mut comings) = self.comings.take() else {
            return;
        };
        let over = matches!(self.phase, Phase::Draining { .. });
        let touched = comings.step(
            now_ns,
            over,
            &mut Lent {
                connections: &mut self.parts.connections,
                registry: self.poll.registry(),
                clock: &self.parts.clock,
                text: &self.parts.text,
                tally: &mut self.tally,
                scratch: &mut self.scratch,
            },
        );
        touched.into_iter().for_each(|index| self.touch(index));
        self.comings = Some(comings);
    }

    /// Queues what is due at `due_ns`: by the schedule, or to fill the windows of touched connections.
    fn offer(&mut self, due_ns: u64, now_ns: u64) {
        if matches!(self.phase, Phase::Draining { .. }) {
            return;
        }
        let Some(mut schedule) = self.parts.schedule.take() else {
            for at in 0..self.dirty.len() {
                let connection = &mut self.parts.connections[self.dirty[at]];
                while connection.send_next(now_ns) {
                    self.tally.sent += 1;
                }
            }
            return;
        };
        for at in 0..self.dirty.len() {
            self.tally.sent += self.parts.connections[self.dirty[at]].send_postponed(now_ns);
        }
        while let Some((index, lane, planned_ns)) = schedule.take_due(due_ns) {
            let connection = &mut self.parts.connections[index];
            if connection.send(lane, planned_ns, now_ns) {
                self.tally.sent += 1;
                self.lateness.record(now_ns - planned_ns);
                self.touch(index);
            } else if connection.is_absent() {
                self.absent += 1;
            } else if connection.postpone(lane, planned_ns) {
                self.postponed += 1;
            } else {
                self.not_offered += 1;
            }
        }
        self.parts.schedule = Some(schedule);
    }

    fn flush(&mut self, now_ns: u64) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for index in dirty.drain(..) {
            let connection = &mut self.parts.connections[index];
            connection.dirty = false;
            let was_broken = connection.broken.is_some();
            if !was_broken && connection.has_output(now_ns) {
                connection.flush(now_ns);
            }
        }
        self.dirty = dirty;
    }

    /// Adds what happened since the last wake to the shared counters.
    fn publish(&mut self, now_ns: u64) {
        let progress = &self.parts.progress;
        let tally = &mut self.tally;
        for (counter, noted) in [
            (&progress.sent, &mut tally.sent),
            (&progress.acked, &mut tally.acked),
            (&progress.delivered, &mut tally.delivered),
            (&progress.promised, &mut tally.promised),
            (&progress.refused, &mut tally.refused),
        ] {
            if *noted > 0 {
                counter.fetch_add(std::mem::take(noted), Ordering::Relaxed);
            }
        }
        if now_ns >= self.interval_end_ns {
            let broken = self.parts.connections.iter().filter(|c| c.broken.is_some()).count();
            progress.broken.fetch_add(broken as u64 - self.broken, Ordering::Relaxed);
            self.broken = broken as u64;
            self.end_interval(now_ns);
            // Receipts that waited are due without anything else happening.
            for index in 0..self.parts.connections.len() {
                if self.parts.connections[index].may_receipt(now_ns) {
                    self.touch(index);
                }
            }
        }
    }

    fn end_interval(&mut self, now_ns: u64) {
        // A run of a number of messages is measured to its last answer.
        let measured = match self.phase {
            Phase::WarmUp => false,
            Phase::Measuring => true,
            Phase::Draining { .. } => self.limited,
        };
        {
            let mut recent =
                self.parts.progress.recent_ack.lock().unwrap_or_else(PoisonError::into_inner);
            self.tally.end_interval(measured, &mut recent);
        }
        self.lateness.end_interval(measured, None);
        self.interval_end_ns = now_ns + INTERVAL_NS;
    }

    /// True when this worker may leave: nothing more can come to it, because every worker has the
    /// answers to all that it sent and as much has arrived as those promise; or time is up.
    fn is_done(&mut self, now_ns: u64) -> bool {
        let progress = &self.parts.progress;
        if progress.abort.load(Ordering::Relaxed) {
            return true;
        }
        let Phase::Draining { until_ns } = self.phase else {
            return self.broken == self.parts.connections.len() as u64;
        };
        let settled = self.parts.connections.iter().all(Connection::is_settled);
        if settled && !std::mem::replace(&mut self.told_settled, true) {
            progress.settled.fetch_add(1, Ordering::Relaxed);
        }
        let everywhere = progress.settled.load(Ordering::Relaxed) == self.parts.workers;
        let arrived =
            progress.delivered.load(Ordering::Relaxed) >= progress.promised.load(Ordering::Relaxed);
        let here = self.comings.as_ref().is_none_or(Comings::is_settled);
        now_ns >= until_ns || (settled && everywhere && arrived && here)
    }

    fn wait(&self) -> io::Result<Duration> {
        match (&self.phase, &self.parts.schedule) {
            (Phase::Draining { .. }, _) => Ok(DRAIN_WAIT),
            (_, None) => Ok(IDLE_WAIT),
            (_, Some(schedule)) => {
                let now_ns = self.parts.clock.now_ns();
                let in_ns = schedule.next_due_ns().saturating_sub(now_ns).max(WAKE_SPACING_NS);
                self.alarm.set(in_ns)?;
                Ok(IDLE_WAIT.min(Duration::from_nanos(in_ns).max(Duration::from_millis(1))))
            }
        }
    }

    fn touch(&mut self, index: usize) {
        let connection = &mut self.parts.connections[index];
        if !connection.dirty {
            connection.dirty = true;
            self.dirty.push(index);
        }
    }

    fn finish(mut self) -> WorkerOutcome<L> {
        let now_ns = self.parts.clock.now_ns();
        self.end_interval(now_ns);
        let mut unanswered = 0;
        for connection in &mut self.parts.connections {
            unanswered += connection.finish();
            self.not_offered += connection.drop_postponed();
        }
        let refusals = std::mem::take(&mut self.tally.refusals);
        let presences = self.tally.presences;
        let (kinds, service_latency, spread) = self.tally.into_totals();
        WorkerOutcome {
            connections: self.parts.connections,
            kinds,
            service_latency,
            lateness: self.lateness.into_total(),
            spread,
            refusals,
            presences,
            postponed: self.postponed,
            not_offered: self.not_offered,
            unanswered,
            absent: self.absent,
            comings: self.comings.map(Comings::into_outcome),
        }
    }
}
