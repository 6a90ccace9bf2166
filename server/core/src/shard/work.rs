//! Work that may have to wait.
//!
//! A handler that finds something cold changes nothing and says what it
//! needs; the work is parked, and tried again from its beginning when that
//! has come. Works that wait for the same thing keep their order.

use bytes::Bytes;
use foldhash::fast::FixedState;
use hongyan_protocol::{ConversationId, ErrorCode, Frame, UserId};
use indexmap::IndexMap;
use prost::Message;

use super::Shard;
use crate::command::Command;
use crate::effect::{Effect, Effects};
use crate::entity::{MessageRange, Need, Stop};
use crate::envelope::{Ask, Envelope, Gather, Origin, SyncItem};
use crate::error::Refusal;
use crate::input::{
    AdminCommand, AdminOutcome, AdminTicket, ConnId, OffloadJob, OffloadOutcome, StoreFailure,
    Ticket, Verified,
};
use crate::key::EntityKey;
use crate::routing::PartitionId;
use crate::session::PendingLogin;
use crate::state;

/// Something to do that can be tried any number of times before it is done.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    Admin { ticket: AdminTicket, command: AdminCommand },
    Ask(Origin, Ask),
    Command { conn: ConnId, request: u64, command: Command },
    Enter { conn: ConnId, frame: Frame, verified: Option<Verified> },
    Find { origin: Origin, name: String },
    Finish { pending: Box<PendingLogin>, outcome: Box<OffloadOutcome> },
    Probe { shard: crate::routing::ShardId, users: Vec<UserId> },
    Profiles { gather: Gather, users: Vec<UserId> },
    SyncAsk { gather: Gather, user: UserId, items: Vec<SyncItem>, bytes_max: usize },
    Tasks { from: PartitionId, to: PartitionId, first: u64, tasks: Vec<state::Task> },
}

/// What a parked work has got so far that is not part of the shard's state. Most works are done
/// before they get anything.
pub(crate) type Fetched = Option<Box<FetchedParts>>;

/// See [`Fetched`].
#[derive(Debug, Clone, Default)]
pub(crate) struct FetchedParts {
    messages: IndexMap<(ConversationId, u64), Bytes, FixedState>,
    ranges: Vec<MessageRange>,
    /// Users that were asked about and do not exist.
    pub(crate) absent: Vec<UserId>,
}

/// A work and what it has got.
#[derive(Debug)]
pub(crate) struct Parked {
    work: Work,
    fetched: Fetched,
}

/// What a parked work waits for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum WaitKey {
    Entity(EntityKey),
    Peer(UserId),
}

/// What a ticket was given out for.
#[derive(Debug)]
pub(crate) enum Awaited {
    Messages { range: MessageRange, parked: Box<Parked> },
    Offload(Box<PendingLogin>),
}

/// Bytes of pages read at once.
const READ_BYTES: usize = 256 * 1024;

impl Shard {
    /// Does the work now, or parks it.
    pub(crate) fn run(&mut self, work: Work, fx: &mut Effects) {
        self.run_with(Parked { work, fetched: None }, fx);
    }

    fn run_with(&mut self, parked: Parked, fx: &mut Effects) {
        let Parked { work, fetched } = parked;
        let before = std::mem::replace(&mut self.fetched, fetched);
        let result = self.attempt(&work, fx);
        let fetched = std::mem::replace(&mut self.fetched, before);
        match result {
            Ok(()) => {}
            Err(Stop::Refuse(refusal)) => self.refuse(&work, refusal, fx),
            Err(Stop::Need(need)) => self.park(need, Parked { work, fetched }, fx),
        }
    }

    fn attempt(&mut self, work: &Work, fx: &mut Effects) -> Result<(), Stop> {
        match work {
            Work::Admin { ticket, command } => self.administer(*ticket, command, fx),
            Work::Ask(origin, ask) => self.answer_ask(*origin, ask, fx),
            Work::Command { conn, request, command } => self.command(*conn, *request, command, fx),
            Work::Enter { conn, frame, verified } => {
                self.enter(*conn, frame, verified.as_ref(), fx)
            }
            Work::Find { origin, name } => self.find_user(*origin, name, fx),
            Work::Finish { pending, outcome } => self.finish_login(pending, outcome, fx),
            Work::Probe { shard, users } => self.probe(*shard, users, fx),
            Work::Profiles { gather, users } => self.answer_profiles(*gather, users, fx),
            Work::SyncAsk { gather, user, items, bytes_max } => {
                self.answer_sync(*gather, *user, items, *bytes_max, fx)
            }
            Work::Tasks { from, to, first, tasks } => {
                self.take_tasks(*from, *to, *first, tasks, fx)
            }
        }
    }

    /// Tells whoever asked.
    fn refuse(&mut self, work: &Work, refusal: Refusal, fx: &mut Effects) {
        self.stats.refusals += 1;
        match work {
            Work::Admin { ticket, .. } => fx.push(
                crate::Gate::Now,
                Effect::AdminReply { ticket: *ticket, outcome: AdminOutcome::Refused(refusal) },
            ),
            Work::Ask(origin, _) | Work::Find { origin, .. } => {
                let frame = match origin.request {
                    0 => Bytes::new(),
                    request => refusal.to_frame(request).to_delimited(),
                };
                self.answer(self.read_gate(), *origin, frame, None, fx);
            }
            Work::Command { conn, request, .. } => {
                self.reply_refusal(*conn, *request, refusal, fx);
            }
            Work::Enter { conn, frame, .. } => {
                self.refuse_login(*conn, frame.request, refusal, fx);
            }
            Work::Finish { pending, .. } => {
                self.refuse_login(pending.conn, pending.request, refusal, fx);
            }
            Work::SyncAsk { gather, .. } => self.answer_gather_empty(*gather, refusal, fx),
            Work::Profiles { gather, .. } => self.answer_gather_empty(*gather, refusal, fx),
            Work::Probe { shard, users } if *shard == self.id => self.probe_failed(users, fx),
            Work::Probe { shard, users } => {
                let failed = Envelope::ProbeFailed { users: users.clone() };
                self.send(crate::Gate::Now, *shard, failed, fx);
            }
            // Told again by whoever owes them.
            Work::Tasks { .. } => {}
        }
    }

    fn park(&mut self, need: Need, parked: Parked, fx: &mut Effects) {
        if self.parked >= self.config.parked_max {
            let busy = Refusal::later(ErrorCode::Busy, "too much waits for the disk", 200);
            self.refuse(&parked.work, busy, fx);
            return;
        }
        match need {
            Need::Entity(key) => {
                self.load(&key, fx);
                self.wait(WaitKey::Entity(key), parked);
            }
            Need::Entities(keys) => {
                for key in &keys {
                    self.load(key, fx);
                }
                match keys.into_iter().next() {
                    Some(key) => self.wait(WaitKey::Entity(key), parked),
                    None => self.run_with(parked, fx),
                }
            }
            Need::Messages(range) => {
                let ticket = self.ticket();
                self.parked += 1;
                self.awaited.insert(ticket, Awaited::Messages { range, parked: Box::new(parked) });
                fx.push(
                    crate::Gate::Now,
                    Effect::ReadPages {
                        ticket,
                        conversation: range.conversation,
                        from_seq: range.from_seq,
                        to_seq: range.to_seq,
                        backwards: range.backwards,
                        bytes_max: READ_BYTES,
                    },
                );
            }
            Need::Peers(users) => {
                let Some(first) = users.first().copied() else {
                    self.run_with(parked, fx);
                    return;
                };
                // Wait first: a probe of the own shard may answer at once.
                let unasked: Vec<_> = users
                    .into_iter()
                    .filter(|user| !self.waiting.contains_key(&WaitKey::Peer(*user)))
                    .collect();
                self.wait(WaitKey::Peer(first), parked);
                self.send_probes(unasked, fx);
            }
        }
    }

    fn wait(&mut self, key: WaitKey, parked: Parked) {
        self.parked += 1;
        self.waiting.entry(key).or_default().push(parked);
    }

    fn load(&mut self, key: &EntityKey, fx: &mut Effects) {
        let wait = WaitKey::Entity(key.clone());
        if !self.waiting.contains_key(&wait) {
            self.waiting.insert(wait, Vec::new());
            fx.push(crate::Gate::Now, Effect::Load { key: key.clone() });
        }
    }

    /// An entity came from the views.
    pub(crate) fn loaded(
        &mut self,
        key: EntityKey,
        value: Result<Option<Bytes>, StoreFailure>,
        fx: &mut Effects,
    ) {
        let installed = match value {
            Ok(value) if !self.entities.is_loaded(&key) => {
                self.entities.install(key.clone(), value).map_err(|error| {
                    tracing::error!(%error, "a stored entity cannot be read");
                    Refusal::new(ErrorCode::Internal, "stored state cannot be read")
                })
            }
            Ok(_) => Ok(()),
            Err(StoreFailure) => {
                Err(Refusal::later(ErrorCode::StoreUnavailable, "the store failed", 1000))
            }
        };
        let works = self.waiting.shift_remove(&WaitKey::Entity(key)).unwrap_or_default();
        self.parked -= works.len();
        for parked in works {
            match &installed {
                Ok(()) => self.run_with(parked, fx),
                Err(refusal) => self.refuse(&parked.work, *refusal, fx),
            }
        }
    }

    /// Another shard says who exists.
    pub(crate) fn probed(&mut self, users: &[(UserId, bool)], fx: &mut Effects) {
        let absent: Vec<_> =
            users.iter().filter(|(_, exists)| !exists).map(|(user, _)| *user).collect();
        for (user, exists) in users {
            if *exists {
                self.know_user(*user);
            }
        }
        for (user, _) in users {
            let works = self.waiting.shift_remove(&WaitKey::Peer(*user)).unwrap_or_default();
            self.parked -= works.len();
            for mut parked in works {
                parked.fetched.get_or_insert_default().absent.extend(&absent);
                self.run_with(parked, fx);
            }
        }
    }

    /// Another shard could not say who exists.
    pub(crate) fn probe_failed(&mut self, users: &[UserId], fx: &mut Effects) {
        let refusal = Refusal::later(ErrorCode::StoreUnavailable, "the store failed", 1000);
        for user in users {
            let works = self.waiting.shift_remove(&WaitKey::Peer(*user)).unwrap_or_default();
            self.parked -= works.len();
            for parked in works {
                self.refuse(&parked.work, refusal, fx);
            }
        }
    }

    /// Pages came from the views.
    pub(crate) fn pages_read(
        &mut self,
        ticket: Ticket,
        pages: Result<Vec<Bytes>, StoreFailure>,
        fx: &mut Effects,
    ) {
        let Some(Awaited::Messages { range, mut parked }) = self.awaited.shift_remove(&ticket)
        else {
            return;
        };
        self.parked -= 1;
        let Ok(pages) = pages else {
            let refusal = Refusal::later(ErrorCode::StoreUnavailable, "the store failed", 1000);
            self.refuse(&parked.work, refusal, fx);
            return;
        };
        let fetched = parked.fetched.get_or_insert_default();
        fetched.ranges.push(range);
        for page in pages {
            let Ok(page) = state::Page::decode(page) else {
                tracing::error!(conversation = ?range.conversation, "a page cannot be read");
                continue;
            };
            for message in page.messages {
                if let Some(seq) = seq_of(&message)
                    && (range.from_seq..=range.to_seq).contains(&seq)
                {
                    fetched.messages.insert((range.conversation, seq), message);
                }
            }
        }
        self.run_with(*parked, fx);
    }

    /// Sends slow work away.
    pub(crate) fn offload(&mut self, job: OffloadJob, pending: PendingLogin, fx: &mut Effects) {
        let ticket = self.ticket();
        self.awaited.insert(ticket, Awaited::Offload(Box::new(pending)));
        fx.push(crate::Gate::Now, Effect::Offload { ticket, job });
    }

    /// Slow work is done.
    pub(crate) fn offload_done(
        &mut self,
        ticket: Ticket,
        outcome: OffloadOutcome,
        fx: &mut Effects,
    ) {
        if let Some(Awaited::Offload(pending)) = self.awaited.shift_remove(&ticket) {
            self.run(Work::Finish { pending, outcome: Box::new(outcome) }, fx);
        }
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    /// A message of a loaded conversation, from memory or from what was
    /// fetched for this work.
    pub(crate) fn message(
        &mut self,
        conversation: ConversationId,
        seq: u64,
    ) -> Result<Option<Bytes>, Stop> {
        if let Some(found) = self.entities.conversation(conversation)?
            && let Some(message) = found.tail_message(seq)
        {
            return Ok(Some(message.clone()));
        }
        let fetched = self.fetched.as_ref();
        Ok(fetched.and_then(|fetched| fetched.messages.get(&(conversation, seq)).cloned()))
    }

    /// True when a range that holds `seq` was read for this work already, so
    /// that asking again would bring nothing new.
    pub(crate) fn was_fetched(&self, conversation: ConversationId, seq: u64) -> bool {
        let mut ranges = self.fetched.iter().flat_map(|fetched| &fetched.ranges);
        ranges.any(|range| {
            range.conversation == conversation && (range.from_seq..=range.to_seq).contains(&seq)
        })
    }
}

/// The seq of an encoded message.
fn seq_of(message: &Bytes) -> Option<u64> {
    hongyan_protocol::raw::StoredMessage::decode(message.clone()).ok().map(|message| message.seq)
}
