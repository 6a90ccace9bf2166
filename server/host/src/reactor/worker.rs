//! The worker: one thread, its poll, its shard and its connections.
//!
//! Owns the order of a wake (see the parent module) and nothing else; what
//! each step does is in the files beside: sockets, executor, submitting,
//! handoff, deadlines.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam_channel::Sender;
use hongyan_core::{
    ConnId, Effect, Effects, Envelope, Gate, Input, Now, PartitionId, Shard, ShardId,
};
use mio::{Events, Poll, Token};
use slab::Slab;

use super::connection::Connection;
use super::jitter::Jitter;
use super::mailbox::Mailbox;
use super::post::{Post, SettleAnswer, SettleAsk};
use super::timer::{Entry, Wheel};
use super::{EVENTS_PER_WAKE, MAILBOX_LEN, SCRATCH_BYTES, WORK_STEPS_PER_WAKE};
use crate::commit::{CommitWork, LoadJob};
use crate::shared::Shared;

/// The waker's token: no connection has it, because a slab never grows there.
pub(crate) const WAKER: Token = Token(usize::MAX);

/// A connection's number: a count above its place in the slab.
const INDEX_BITS: u32 = 24;

/// What is going to another worker at the end of this wake.
#[derive(Default)]
pub(super) struct Outgoing {
    pub(super) envelopes: Vec<Envelope>,
    /// Did not fit into its mailbox; in order.
    pub(super) overflow: VecDeque<Post>,
    pub(super) ring: bool,
}

/// See the module.
pub(crate) struct Worker {
    pub(super) id: ShardId,
    pub(super) shared: Arc<Shared>,
    pub(super) poll: Poll,
    pub(super) mailbox: Mailbox<Post>,
    pub(super) shard: Shard,
    pub(super) fx: Effects,
    pub(super) now: Now,

    pub(super) connections: Slab<Connection>,
    pub(super) next_number: u64,
    pub(super) ready: VecDeque<ConnId>,
    pub(super) dirty: Vec<ConnId>,
    /// Have pushes that wait for company; some more than once.
    pub(super) patient: Vec<ConnId>,
    /// Since when there are such.
    pub(super) patient_since_ms: u64,
    pub(super) wheel: Wheel,
    pub(super) scratch: Box<[u8]>,

    /// Gated effects of this wake.
    pub(super) staged: Vec<(Gate, Effect)>,
    /// Effects that wait until the submission of that number is written.
    pub(super) until_written: VecDeque<(u64, Effect)>,
    /// Effects that wait until the submission of that number is durable.
    pub(super) until_durable: VecDeque<(u64, Effect)>,
    /// Number of the last submission.
    pub(super) submitted: u64,
    pub(super) written: u64,
    pub(super) durable: u64,
    /// Number and size of submissions that are not written.
    pub(super) in_flight: VecDeque<(u64, usize)>,
    pub(super) in_flight_bytes: usize,
    /// Counted in [`Shared::log_behind`].
    pub(super) log_behind: bool,
    /// Since when sockets that have something to say are passed over.
    pub(super) unread_since_ms: Option<u64>,
    /// When that ended, if it took a while.
    pub(super) read_again_ms: Option<u64>,
    /// Nothing waits for these yet; in order, before `uncommitted` is fed.
    pub(super) held: Vec<CommitWork>,
    /// Since when there are such.
    pub(super) held_since_ms: u64,
    /// Did not fit into the committer's queue; in order.
    pub(super) uncommitted: VecDeque<CommitWork>,
    /// The last record submitted of each partition.
    pub(super) heads: BTreeMap<PartitionId, u64>,

    pub(super) outgoing: Vec<Outgoing>,
    /// Did not fit into the loaders' queue; in order.
    pub(super) unloaded: VecDeque<LoadJob>,
    /// For the shard, from this thread itself.
    pub(super) inputs: VecDeque<Input>,
    pub(super) settle_asks: Vec<SettleAsk>,
    pub(super) drain: Option<Drain>,
    pub(super) poisoned: bool,
    pub(super) stopping: bool,
    pub(super) jitter: Jitter,
    published_ms: u64,
    due: Vec<Entry>,
}

/// A stop under way.
pub(super) struct Drain {
    pub(super) since_ms: u64,
    pub(super) done: Option<Sender<()>>,
}

/// How often the shard's numbers are published.
const PUBLISH_MS: u64 = 500;
/// How long to wait before trying a full queue again.
const RETRY_MS: u64 = 1;

impl Worker {
    /// A worker around `shard`, with what its replay left to do in `fx`.
    pub(crate) fn new(
        id: ShardId,
        shared: Arc<Shared>,
        poll: Poll,
        mailbox: Mailbox<Post>,
        shard: Shard,
        fx: Effects,
    ) -> Self {
        let now = shared.clock.now();
        let outgoing = (0..shared.layout.shards()).map(|_| Outgoing::default()).collect();
        Self {
            id,
            poll,
            mailbox,
            shard,
            fx,
            now,
            connections: Slab::new(),
            next_number: 1,
            ready: VecDeque::new(),
            dirty: Vec::new(),
            patient: Vec::new(),
            patient_since_ms: 0,
            wheel: Wheel::new(now.mono_ms),
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            staged: Vec::new(),
            until_written: VecDeque::new(),
            until_durable: VecDeque::new(),
            submitted: 0,
            written: 0,
            durable: 0,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            log_behind: false,
            unread_since_ms: None,
            read_again_ms: None,
            held: Vec::new(),
            held_since_ms: 0,
            uncommitted: VecDeque::new(),
            heads: BTreeMap::new(),
            outgoing,
            unloaded: VecDeque::new(),
            inputs: VecDeque::new(),
            settle_asks: Vec::new(),
            drain: None,
            poisoned: false,
            stopping: false,
            jitter: Jitter::new(),
            published_ms: 0,
            due: Vec::new(),
            shared,
        }
    }

    /// Runs until [`Post::Stop`].
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_PER_WAKE);
        self.run_effects();
        self.end_wake();
        while !self.stopping {
            if let Err(error) = self.wait(&mut events) {
                tracing::error!(shard = self.id.0, %error, "the poll failed");
                self.shared.fail(&format!("poll of worker {}: {error}", self.id.0), 74);
                return;
            }
            self.wake(&events);
        }
    }

    fn wait(&mut self, events: &mut Events) -> std::io::Result<()> {
        let mut timeout = self.timeout();
        if timeout != Some(Duration::ZERO) {
            self.mailbox.fall_asleep();
            if !self.mailbox.is_empty() || self.has_progress() {
                timeout = Some(Duration::ZERO);
            }
        }
        let polled = self.poll.poll(events, timeout);
        self.mailbox.wake_up();
        match polled {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            other => other,
        }
    }

    fn wake(&mut self, events: &Events) {
        self.now = self.shared.clock.now();
        self.take_progress();
        self.note_events(events);
        self.drain_mailbox();
        self.drain_inputs();
        self.serve_ready();
        self.fire_timers();
        self.work_on();
        self.drain_inputs();
        self.end_wake();
        self.answer_settles();
        self.take_progress();
        self.send_loads();
        self.send_outgoing();
        self.flush_dirty();
        self.watch_drain();
        self.publish();
    }

    /// How long the poll may sleep.
    fn timeout(&self) -> Option<Duration> {
        let congested = self.is_congested();
        let waiting = !self.ready.is_empty() && !self.may_read();
        let busy = !self.inputs.is_empty()
            || !self.dirty.is_empty()
            || (!self.ready.is_empty() && !waiting)
            || (!congested && self.shard.has_backlog());
        if busy {
            return Some(Duration::ZERO);
        }
        let now_ms = self.shared.clock.mono_ms();
        let mut until: Option<u64> = None;
        let mut sooner = |at: u64| until = Some(until.map_or(at, |until| until.min(at)));
        self.wheel.next_ms().into_iter().for_each(&mut sooner);
        self.shard.poll_timeout().into_iter().for_each(&mut sooner);
        if congested || waiting {
            sooner(now_ms + RETRY_MS);
        }
        self.held_until_ms().into_iter().for_each(&mut sooner);
        self.patience_ends_ms().into_iter().for_each(&mut sooner);
        if self.drain.is_some() {
            sooner(now_ms + 20);
        }
        if self.published_ms + PUBLISH_MS > now_ms {
            sooner(self.published_ms + PUBLISH_MS);
        }
        until.map(|at| Duration::from_millis(at.saturating_sub(now_ms)))
    }

    fn drain_mailbox(&mut self) {
        // What comes while this loop runs waits for the next wake.
        for _ in 0..self.shared.mailbox(self.id).len().min(MAILBOX_LEN) {
            let Some(post) = self.mailbox.take() else {
                break;
            };
            match post {
                Post::Adopt(moved) => self.adopt(*moved),
                Post::Drain { spread_ms, done } => self.begin_drain(spread_ms, done),
                Post::Envelopes { envelopes, bytes } => {
                    self.shared.posted_bytes.fetch_sub(bytes, Ordering::Relaxed);
                    for envelope in envelopes {
                        self.give(Input::Envelope(envelope));
                    }
                }
                Post::Incoming(incoming) => self.accept(incoming),
                Post::Input(input) => self.give(*input),
                Post::Poisoned => self.poison(),
                Post::Settle(ask) => self.settle_asks.push(ask),
                Post::Stop => self.stopping = true,
            }
        }
    }

    fn drain_inputs(&mut self) {
        while let Some(input) = self.inputs.pop_front() {
            self.give(input);
        }
    }

    /// Gives one input to the rules and carries out what may be done now.
    pub(super) fn give(&mut self, input: Input) {
        if self.poisoned {
            return;
        }
        self.shard.handle(self.now, input, &mut self.fx);
        self.run_effects();
    }

    fn fire_timers(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.advance(self.now.mono_ms, &mut due);
        for entry in due.drain(..) {
            self.on_timer(entry);
        }
        self.due = due;
        // A shard that names a time in the past again and again would keep
        // this loop; it gets another chance in the next wake.
        for _ in 0..64 {
            match self.shard.poll_timeout() {
                Some(at) if at <= self.now.mono_ms && !self.poisoned => self.give(Input::Timeout),
                _ => break,
            }
        }
    }

    fn work_on(&mut self) {
        for _ in 0..WORK_STEPS_PER_WAKE {
            if self.poisoned || self.is_congested() || !self.shard.has_backlog() {
                break;
            }
            self.shard.work(self.now, &mut self.fx);
            self.run_effects();
        }
    }

    fn answer_settles(&mut self) {
        for ask in std::mem::take(&mut self.settle_asks) {
            let step = if self.poisoned { None } else { self.shard.settle(ask.bytes_max) };
            let heads = self.heads.iter().map(|(partition, idx)| (*partition, *idx)).collect();
            // A settler that has stopped waiting asks again.
            let _ = ask.answer.send(SettleAnswer { step, heads });
        }
    }

    fn publish(&mut self) {
        if self.published_ms + PUBLISH_MS > self.now.mono_ms {
            return;
        }
        self.published_ms = self.now.mono_ms;
        let metrics = &self.shared.metrics.workers[usize::from(self.id.0)];
        metrics.publish(&self.shard.stats());
        metrics.mailbox_len.store(self.shared.mailbox(self.id).len() as u64, Ordering::Relaxed);
        metrics.connections.store(self.connections.len() as u64, Ordering::Relaxed);
        metrics.in_flight_bytes.store(self.in_flight_bytes as u64, Ordering::Relaxed);
    }

    /// The next connection number, for place `index`.
    pub(super) fn number(&mut self, index: usize) -> ConnId {
        let number = self.next_number;
        self.next_number += 1;
        ConnId(number << INDEX_BITS | index as u64)
    }

    /// The connection with this number, if it is still here.
    pub(super) fn find(&mut self, id: ConnId) -> Option<&mut Connection> {
        let index = (id.0 & ((1 << INDEX_BITS) - 1)) as usize;
        self.connections.get_mut(index).filter(|connection| connection.id == id)
    }

    /// Where the connection with this number is.
    pub(super) const fn index(id: ConnId) -> usize {
        (id.0 & ((1 << INDEX_BITS) - 1)) as usize
    }
}

/// Connections that one worker's numbers have room for.
pub(crate) const CONNECTIONS_PER_WORKER_MAX: usize = (1 << INDEX_BITS) - 1;
