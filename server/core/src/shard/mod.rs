//! The shard: the only file that sees every room.
//!
//! Owns: the rooms' state, the records of the present wake, and the way from
//! an input to the room that handles it. Called by one thread only. All of
//! its methods are bounded: by the input's size, by a step size of the
//! configuration, or by a limit of the protocol.

mod admin;
mod deliver;
mod log;
mod replay;
mod settle;
mod tasks;
mod work;

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hongyan_protocol::{ConversationId, UserId};
use indexmap::{IndexMap, IndexSet};
use smallvec::SmallVec;

use self::deliver::FanOut;
use self::log::RecordBuilder;
pub use self::replay::ReplayError;
use self::settle::Settling;
pub(crate) use self::tasks::{op, partition_of};
pub(crate) use self::work::Work;
use self::work::{Awaited, Fetched, Parked, WaitKey};
use crate::clock::Now;
use crate::config::CoreConfig;
use crate::conversation::{Conversation, Drafted};
use crate::effect::{Effects, Gate, Submission};
use crate::entity::{BadOp, Entities};
use crate::envelope::Envelope;
use crate::input::{ConnId, Input, Ticket};
use crate::routing::{Layout, PartitionId, ShardId};
use crate::session::{Conn, LoginFailures, Watchers};
use crate::state::{self, Op};
use crate::sync::Gathering;
use crate::token::AccessTokens;

/// Users of other shards that are known to exist; forgotten all at once when
/// there are more.
const KNOWN_USERS_MAX: usize = 200_000;
/// Entities are swept at most once in so many milliseconds, so that what was
/// just loaded is used before it is let go.
const SWEEP_MS: u64 = 1_000;

/// Numbers for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShardStats {
    /// Open sessions.
    pub sessions: usize,
    /// Users with at least one.
    pub users_online: usize,
    /// Entities in memory.
    pub entities: usize,
    /// Entities that differ from the views.
    pub dirty: usize,
    /// Inputs that wait for cold state.
    pub parked: usize,
    /// Messages stored since the start.
    pub messages: u64,
    /// Pushes sent since the start.
    pub pushes: u64,
    /// Requests refused since the start.
    pub refusals: u64,
}

/// All rooms of one shard. See the crate's documentation for the order of
/// calls.
pub struct Shard {
    pub(crate) id: ShardId,
    pub(crate) layout: Layout,
    pub(crate) config: CoreConfig,
    pub(crate) tokens: Box<dyn AccessTokens>,
    pub(crate) now: Now,
    pub(crate) entities: Entities,

    records: RecordBuilder,
    /// Number of the last submission handed out.
    submission: u64,
    /// Number of the last one that is durable.
    durable: u64,
    /// The last submission in which something waits for the sync.
    sync_barrier: u64,
    wants_sync: bool,

    pub(crate) conns: IndexMap<ConnId, Conn, FixedState>,
    pub(crate) online: IndexMap<UserId, SmallVec<[ConnId; 2]>, FixedState>,
    pub(crate) watchers: Watchers,
    pub(crate) login_failures: LoginFailures,
    pub(crate) draining_ms: Option<u32>,

    known_users: IndexSet<UserId, FixedState>,
    waiting: IndexMap<WaitKey, Vec<Parked>, FixedState>,
    awaited: IndexMap<Ticket, Awaited, FixedState>,
    next_ticket: u64,
    parked: usize,
    fetched: Fetched,
    pub(crate) gatherings: IndexMap<u64, Gathering, FixedState>,
    pub(crate) next_gathering: u64,
    fan_outs: VecDeque<FanOut>,
    /// The last submission for whose sync a step of a fan-out waits.
    fan_out_barrier: u64,
    resend_at_ms: Option<u64>,
    swept_ms: u64,
    settling: Settling,
    pub(crate) stats: ShardStats,
}

impl Shard {
    /// An empty shard.
    pub fn new(
        id: ShardId,
        layout: Layout,
        config: CoreConfig,
        tokens: Box<dyn AccessTokens>,
    ) -> Self {
        let hasher = FixedState::with_seed(config.hash_seed);
        Self {
            id,
            layout,
            tokens,
            now: Now::default(),
            entities: Entities::new(config.hash_seed),
            records: RecordBuilder::default(),
            submission: 0,
            durable: 0,
            sync_barrier: 0,
            wants_sync: false,
            conns: IndexMap::with_hasher(hasher.clone()),
            online: IndexMap::with_hasher(hasher.clone()),
            watchers: Watchers::default(),
            login_failures: LoginFailures::default(),
            draining_ms: None,
            known_users: IndexSet::with_hasher(hasher.clone()),
            waiting: IndexMap::with_hasher(hasher.clone()),
            awaited: IndexMap::with_hasher(hasher.clone()),
            next_ticket: 0,
            parked: 0,
            fetched: None,
            gatherings: IndexMap::with_hasher(hasher),
            next_gathering: 0,
            fan_outs: VecDeque::new(),
            fan_out_barrier: 0,
            resend_at_ms: None,
            swept_ms: 0,
            settling: Settling::default(),
            stats: ShardStats::default(),
            config,
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Now, input: Input, fx: &mut Effects) {
        self.now = now;
        match input {
            Input::Opened { conn, peer } => self.opened(conn, peer, fx),
            Input::Adopted { conn, link } => self.adopted(conn, *link, fx),
            Input::Frame { conn, frame } => self.frame(conn, frame, fx),
            Input::Closed { conn } => self.closed(conn, fx),
            Input::Envelope(envelope) => self.envelope(envelope, fx),
            Input::Loaded { key, value } => self.loaded(key, value, fx),
            Input::PagesRead { ticket, pages } => self.pages_read(ticket, pages, fx),
            Input::OffloadDone { ticket, outcome } => self.offload_done(ticket, outcome, fx),
            Input::Admin { ticket, command } => self.run(Work::Admin { ticket, command }, fx),
            Input::Settled { round } => self.settled(round),
            Input::Drain { spread_ms } => self.drain(spread_ms, fx),
            Input::Timeout => {
                if self.resend_at_ms.is_some_and(|at| at <= now.mono_ms) {
                    self.tell_all_tasks(fx);
                }
            }
        }
    }

    fn envelope(&mut self, envelope: Envelope, fx: &mut Effects) {
        match envelope {
            Envelope::Ask(origin, ask) => self.run(Work::Ask(origin, ask), fx),
            Envelope::Answer { to, frame, echo } => {
                self.take_answer(Gate::Now, to, frame, echo, fx);
            }
            Envelope::Deliver { to, frame, except } => {
                self.take_delivery(Gate::Now, to, frame, except, fx);
            }
            Envelope::Tasks { from, to, first, tasks } => {
                self.run(Work::Tasks { from, to, first, tasks }, fx);
            }
            Envelope::TasksTaken { from, to, number } => self.tasks_taken(from, to, number),
            Envelope::SyncAsk { gather, user, items, bytes_max } => {
                self.run(Work::SyncAsk { gather, user, items, bytes_max }, fx);
            }
            Envelope::SyncAnswer { gather, items } => self.gathered_sync(gather, items, fx),
            Envelope::ProfilesAsk { gather, users } => {
                self.run(Work::Profiles { gather, users }, fx);
            }
            Envelope::ProfilesAnswer { gather, profiles } => {
                self.gathered_profiles(gather, profiles, fx);
            }
            Envelope::FindAsk { origin, name } => self.run(Work::Find { origin, name }, fx),
            Envelope::ProbeAsk { shard, users } => self.run(Work::Probe { shard, users }, fx),
            Envelope::ProbeAnswer { users } => self.probed(&users, fx),
            Envelope::ProbeFailed { users } => self.probe_failed(&users, fx),
            Envelope::Watch { shard, conn, users, on } => self.watch(shard, conn, users, on, fx),
            Envelope::PresenceIs { conn, presences } => self.presence_is(conn, presences, fx),
        }
    }

    /// True while [`Shard::work`] has something to do.
    pub fn has_backlog(&self) -> bool {
        !self.fan_outs.is_empty() || self.settling.is_letting_go()
    }

    /// One bounded step of long work (large fan-outs, what a settle round
    /// leaves to be let go).
    pub fn work(&mut self, now: Now, fx: &mut Effects) {
        self.now = now;
        self.fan_out(fx);
        self.let_go();
    }

    /// Ends a wake: the records that were decided in it, if any. To be called
    /// before effects behind a gate are queued.
    pub fn end_wake(&mut self) -> Option<Submission> {
        let records = self.records.take();
        let wants_sync = std::mem::take(&mut self.wants_sync);
        if self.now.mono_ms >= self.swept_ms + SWEEP_MS {
            self.swept_ms = self.now.mono_ms;
            if self.entities.len() > self.config.entities_max {
                self.entities.sweep(self.config.entities_max, self.settling.settled_round());
            }
        }
        if records.is_empty() {
            return None;
        }
        self.submission += 1;
        if wants_sync {
            self.sync_barrier = self.submission;
        }
        Some(Submission { number: self.submission, records, wants_sync })
    }

    /// Submissions up to `number` are durable. To be called before the
    /// effects that waited for it are released.
    pub const fn durable(&mut self, number: u64) {
        if number > self.durable {
            self.durable = number;
        }
    }

    /// When [`Input::Timeout`] is due, in `Now::mono_ms`.
    pub const fn poll_timeout(&self) -> Option<u64> {
        self.resend_at_ms
    }

    /// Numbers for metrics.
    pub fn stats(&self) -> ShardStats {
        ShardStats {
            sessions: self.online.values().map(SmallVec::len).sum(),
            users_online: self.online.len(),
            entities: self.entities.len(),
            dirty: self.entities.dirty.len(),
            parked: self.parked,
            ..self.stats
        }
    }

    /// Puts a write-set into the wake's record of `partition` and applies it.
    /// All entities that it touches are in memory.
    pub(crate) fn commit(&mut self, partition: PartitionId, ops: Vec<Op>) {
        let write_set = state::WriteSet { ops };
        let last_idx = &mut self.entities.partition_mut(partition).last_idx;
        let idx = self.records.add(partition, &write_set, last_idx);
        self.entities.soil_partition(partition);
        for op in &write_set.ops {
            let applied = self.entities.apply(partition, idx, op);
            expect_applied(partition, idx, &applied);
        }
    }

    /// As [`Shard::commit`], of one message and nothing else; its conversation.
    pub(crate) fn commit_message(
        &mut self,
        partition: PartitionId,
        id: ConversationId,
        message: &Drafted,
    ) -> Option<&mut Conversation> {
        let stored = message.bytes.stored.clone();
        let last_idx = &mut self.entities.partition_mut(partition).last_idx;
        let idx = self.records.add_message(partition, &stored, last_idx);
        self.entities.soil_partition(partition);
        let applied = self.entities.append_message(partition, idx, id, &message.appended, stored);
        expect_applied(partition, idx, &applied);
        applied.ok().flatten()
    }

    /// Number of the submission that the present wake will hand out.
    pub(crate) const fn next_submission(&self) -> u64 {
        self.submission + 1
    }

    /// The last submission that is durable.
    pub(crate) const fn durable_submission(&self) -> u64 {
        self.durable
    }

    /// Whether submission `number` is durable.
    pub(crate) const fn is_durable(&self, number: u64) -> bool {
        number <= self.durable
    }

    /// The gate of an answer that shows stored state: nobody sees what might
    /// still be lost to a power cut, unless its sender asked for no more.
    pub(crate) const fn read_gate(&self) -> Gate {
        if self.wants_sync || !self.is_durable(self.sync_barrier) {
            Gate::Durable
        } else {
            Gate::Written
        }
    }

    /// Notes that something of this wake waits for the sync.
    pub(crate) const fn want_sync(&mut self) {
        self.wants_sync = true;
    }

    /// Remembers that a user exists.
    pub(crate) fn know_user(&mut self, user: UserId) {
        if self.known_users.len() >= KNOWN_USERS_MAX {
            self.known_users.clear();
        }
        self.known_users.insert(user);
    }

    /// Whether a user exists, as far as this shard knows without asking.
    pub(crate) fn is_known(&self, user: UserId) -> bool {
        self.known_users.contains(&user)
    }

    /// Users that the present work was told do not exist.
    pub(crate) fn absent_users(&self) -> &[UserId] {
        self.fetched.as_ref().map_or(&[], |fetched| &fetched.absent)
    }
}

/// What was decided a moment ago on the same state applies to it: anything else is a bug of ours.
fn expect_applied<T>(partition: PartitionId, idx: u64, applied: &Result<T, BadOp>) {
    if applied.is_err() {
        tracing::error!(?partition, idx, "a decided op cannot be applied");
        debug_assert!(false, "a decided op cannot be applied: {partition:?} {idx}");
    }
}
