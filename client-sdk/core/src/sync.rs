//! Bringing this device to what the server holds: sync pages and pushes.
//!
//! ```text
//! (none) ──wanted──▶ running ──last page──▶ (none)
//!                    running ──wanted──▶ running, once more after this one
//!                    running ──refused, late──▶ waiting ──time──▶ running
//! ```
//!
//! Invariants: a sync sends the same held cursors with every page; pages and
//! pushes may come in any order and more than once, because everything they
//! carry is merged by seq; a sync that is wanted while one runs follows it,
//! for the pages of that one may be older than the wish; nothing of the
//! outbox goes out before the last page, so a message that an earlier
//! connection had sent is recognised rather than sent again. What cannot be
//! read is passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use hongyan_protocol::ids::{ConversationId, UserId};
use hongyan_protocol::limits::HELD_CURSORS_MAX;
use hongyan_protocol::{Opcode, pb, raw};
use prost::Message as _;

use crate::client::{ClientCore, Conv};
use crate::conversation::ConversationRecord;
use crate::event::SendUpdate;
use crate::gaps::GAP_MESSAGES_MAX;
use crate::message::{Message, SendAck};
use crate::requests::Purpose;
use crate::session::{Phase, Status};
use crate::store::StoreOp;
use crate::telling::Missed;
use crate::timeline::{Inserted, Timeline};

/// A sync under way.
#[derive(Debug, Default)]
pub(crate) struct SyncRun {
    held: Vec<pb::HeldCursor>,
    page: u64,

    /// Another one is wanted when this one is done.
    again: bool,
    retry_at_ms: Option<u64>,
    failures: u32,
}

/// A conversation that pushes told of before its state came.
#[derive(Debug)]
pub(crate) struct Unknown {
    heard_seq: u64,
    /// A sync asks for it then.
    due_ms: u64,
}

const SYNC_RETRY_BASE_MS: u64 = 1_000;
const SYNC_RETRY_MAX_MS: u64 = 30_000;

impl ClientCore {
    /// Collects what is held, for the first page of a sync.
    pub(crate) fn begin_sync(&mut self) -> pb::SyncRequest {
        let mut held: Vec<_> = self
            .convs
            .values()
            .filter(|conv| conv.timeline.held_seq() > 0 && !conv.record.gone)
            .map(|conv| (conv.record.activity_ms, conv.record.id, conv.timeline.held_seq()))
            .collect();
        held.sort_by(|a, b| b.cmp(a));
        held.truncate(HELD_CURSORS_MAX);
        let held: Vec<_> = held
            .into_iter()
            .map(|(_, id, seq)| pb::HeldCursor { conversation: Some(id.to_wire()), seq })
            .collect();
        self.sync = Some(SyncRun { held: held.clone(), ..SyncRun::default() });
        pb::SyncRequest { held, page: 0, max_bytes: 0 }
    }

    /// Asks for the first page of a new sync.
    pub(crate) fn send_sync(&mut self, now_ms: u64) {
        let request = self.begin_sync();
        self.request_frame(now_ms, Purpose::Sync, Opcode::Sync, &request);
    }

    /// The server says that pushes were dropped, or something was told of
    /// which more must be known.
    pub(crate) fn want_sync(&mut self, now_ms: u64) {
        match &mut self.sync {
            Some(run) => run.again = true,
            None if self.link.in_session() => self.send_sync(now_ms),
            None => {}
        }
    }

    pub(crate) fn on_sync_page(&mut self, now_ms: u64, page: raw::SyncPage) {
        self.learn_profiles(page.profiles);
        for synced in page.conversations {
            if let Ok(synced) = raw::SyncedConversation::decode(synced) {
                self.apply_synced(now_ms, synced);
            }
        }
        let Some(run) = &mut self.sync else { return };
        if page.next_page != 0 {
            run.page = page.next_page;
            let request = pb::SyncRequest { held: run.held.clone(), page: run.page, max_bytes: 0 };
            return self.request_frame(now_ms, Purpose::Sync, Opcode::Sync, &request);
        }
        let again = run.again;
        self.sync = None;
        if again {
            self.send_sync(now_ms);
        } else if self.link.phase == Phase::Syncing {
            self.go_live(now_ms);
        }
    }

    /// A page was refused or did not come: the sync starts over, later.
    pub(crate) fn on_sync_failed(&mut self, now_ms: u64, retry_after_ms: u64) {
        if let Some(run) = &mut self.sync {
            let backoff = crate::backoff::exponential(SYNC_RETRY_BASE_MS, run.failures)
                .min(SYNC_RETRY_MAX_MS);
            run.failures += 1;
            run.retry_at_ms = Some(now_ms + retry_after_ms.max(backoff));
        }
    }

    pub(crate) fn sync_deadline_ms(&self) -> Option<u64> {
        self.sync.as_ref().and_then(|run| run.retry_at_ms)
    }

    pub(crate) fn handle_sync_timeout(&mut self, now_ms: u64) {
        if self.link.in_session() && self.sync_deadline_ms().is_some_and(|at| at <= now_ms) {
            let failures = self.sync.as_ref().map_or(0, |run| run.failures);
            self.send_sync(now_ms);
            if let Some(run) = &mut self.sync {
                run.failures = failures;
            }
        }
    }

    fn go_live(&mut self, now_ms: u64) {
        self.link.phase = Phase::Live;
        self.link.live_since_ms = Some(now_ms);
        self.resend_reads();
        for (id, seq) in std::mem::take(&mut self.cursors_unconfirmed) {
            let due = self.delivered_due.entry(id).or_default();
            *due = seq.max(*due);
        }
        self.watch_from_start();
        self.set_status(Status::Live);
    }

    fn apply_synced(&mut self, now_ms: u64, synced: raw::SyncedConversation) {
        let Some((id, state, last_message)) = read_state(synced.state) else {
            return;
        };
        if state.gone {
            return self.mark_gone(id);
        }
        let messages = synced.messages.into_iter().filter_map(Message::decode).map(Arc::new);
        let messages: Vec<_> = messages.collect();
        let fresh = self.convs.get(&id).is_none_or(|conv| conv.timeline.last_seq() == 0);
        if fresh {
            let first = messages.first().or(last_message.as_ref());
            let first = first.map_or(state.last_seq + 1, |message| message.seq);
            self.start_timeline(id, &state, first);
        } else {
            self.rewind_if_shorter(id, state.last_seq);
            if synced.too_old {
                let from = messages.first().map_or(state.last_seq + 1, |message| message.seq);
                self.rebase(id, from);
            }
        }
        let time_ms = last_message.as_ref().map_or(0, |message| message.time_ms);
        for message in messages.into_iter().chain(last_message.filter(|_| fresh)) {
            self.take_message(now_ms, message);
        }
        self.apply_state(now_ms, id, &state, time_ms);
    }

    /// A store that the server brought back shorter (it acknowledged below
    /// `durable` and lost power) wins over what is held here, unless newer
    /// messages were heard on this very connection.
    fn rewind_if_shorter(&mut self, id: ConversationId, last_seq: u64) {
        let Some(conv) = self.convs.get_mut(&id) else {
            return;
        };
        if last_seq >= conv.timeline.last_seq() || conv.heard_seq > last_seq {
            return;
        }
        conv.timeline.rewind(last_seq);
        conv.record.rewind(last_seq);
        conv.own_acked.clear();
        let from_seq = conv.timeline.lo();
        self.store(StoreOp::KeepMessages { conversation: id, from_seq, to_seq: last_seq });
        self.touch(id);
    }

    pub(crate) fn on_conversation_changed(&mut self, now_ms: u64, state: Bytes) {
        let Some((id, state, last_message)) = read_state(state) else {
            return;
        };
        if state.gone {
            return self.mark_gone(id);
        }
        let fresh = self.convs.get(&id).is_none_or(|conv| conv.timeline.last_seq() == 0);
        if fresh {
            let first = last_message.as_ref().map_or(state.last_seq + 1, |message| message.seq);
            self.start_timeline(id, &state, first);
        }
        let time_ms = last_message.as_ref().map_or(0, |message| message.time_ms);
        if let Some(message) = last_message {
            self.take_message(now_ms, message);
        }
        self.apply_state(now_ms, id, &state, time_ms);
    }

    /// A push told of a conversation that is not known. What it is may be on
    /// its way: an invitation's event comes before the state of the group.
    fn note_unknown(&mut self, now_ms: u64, id: ConversationId, seq: u64) {
        let due_ms = now_ms + self.config.gap_grace_ms;
        let unknown = self.unknown.entry(id).or_insert(Unknown { heard_seq: 0, due_ms });
        unknown.heard_seq = unknown.heard_seq.max(seq);
    }

    pub(crate) fn unknown_deadline_ms(&self) -> Option<u64> {
        self.unknown.values().map(|unknown| unknown.due_ms).min()
    }

    /// What should have come did not: a sync tells all.
    pub(crate) fn handle_unknown_timeout(&mut self, now_ms: u64) {
        if self.link.in_session() && self.unknown_deadline_ms().is_some_and(|at| at <= now_ms) {
            self.unknown.clear();
            self.want_sync(now_ms);
        }
    }

    /// `time_ms` is that of the last message; zero when it is not known.
    fn apply_state(
        &mut self,
        now_ms: u64,
        id: ConversationId,
        state: &raw::Conversation,
        time_ms: u64,
    ) {
        let unknown = self.unknown.remove(&id);
        let conv = self.conv(id);
        conv.record.apply_state(state, time_ms);
        if let Some(Unknown { heard_seq, .. }) = unknown {
            conv.heard_seq = conv.heard_seq.max(heard_seq);
            conv.record.last_seq = conv.record.last_seq.max(heard_seq);
        }
        conv.timeline.extend_to(conv.record.last_seq);
        let first_seq = conv.record.first_seq;
        conv.record.told_seq = conv.record.told_seq.max(first_seq - 1);
        if first_seq > conv.timeline.lo() {
            self.rebase(id, first_seq);
        }
        self.tell_messages(id);
        self.follow_events(now_ms, id);
        self.note_gap(now_ms, id);
        self.note_delivered(id);
        self.touch(id);
    }

    /// The user is not in a conversation any more. What is held of it stays,
    /// to be read; the server says nothing else about it.
    pub(crate) fn mark_gone(&mut self, id: ConversationId) {
        if let Some(conv) = self.convs.get_mut(&id)
            && !conv.record.gone
        {
            conv.record.gone = true;
            self.gaps.remove(&id);
            self.missed.remove(&id);
            self.touch(id);
        }
    }

    pub(crate) fn on_message(&mut self, now_ms: u64, message: raw::StoredMessage) {
        let Some(message) = Message::from_wire(message).map(Arc::new) else {
            return;
        };
        let id = message.conversation;
        match self.convs.get_mut(&id) {
            Some(conv) => conv.heard_seq = conv.heard_seq.max(message.seq),
            // A direct conversation that begins needs no telling.
            None if message.seq == 1 => self.conv(id).heard_seq = 1,
            None => return self.note_unknown(now_ms, id, message.seq),
        }
        self.take_message(now_ms, message);
        self.follow_events(now_ms, id);
    }

    /// Takes in a message that the server stored, from wherever it came. What
    /// it tells of a group is left to [`ClientCore::follow_events`], once what
    /// came with it is known.
    pub(crate) fn take_message(&mut self, now_ms: u64, message: Arc<Message>) {
        let Some(me) = self.me() else { return };
        let id = message.conversation;
        self.settle(me, &message);
        let conv = self.conv(id);
        if conv.timeline.insert(Arc::clone(&message)) == Inserted::Known {
            return;
        }
        conv.record.apply_message(&message, me);
        self.note_contact(id);
        self.held_messages += 1;
        self.store(StoreOp::PutMessages(vec![Arc::clone(&message)]));
        self.learn_peer(id, me);
        self.note_gap(now_ms, id);
        // What is trimmed was told before, or will be read again.
        self.tell_messages(id);
        self.note_delivered(id);
        self.trim(id);
        self.touch(id);
    }

    /// One's own message came back: the outbox need not send it again.
    pub(crate) fn settle(&mut self, me: UserId, message: &Message) {
        let settled = (message.sender == Some(me))
            .then_some(message.client_msg_id)
            .flatten()
            .and_then(|sent| self.outbox.settle(sent));
        if let Some(entry) = settled {
            let ack = SendAck {
                message_id: message.message_id,
                seq: message.seq,
                time_ms: message.time_ms,
                level: entry.level,
                repeated_send: true,
            };
            self.note_settled(&entry, SendUpdate::Saved(ack));
        }
    }

    /// Starts the timeline of a conversation that is new to this device and
    /// of which `first` is at hand. The app is told what none of the user's
    /// devices has.
    fn start_timeline(&mut self, id: ConversationId, state: &raw::Conversation, first: u64) {
        // Whoever wrote from here, and may have had no answer, has not seen
        // what others said before it.
        let wrote_here = self.outbox.pending_len(id) > 0;
        let seen_seq = if wrote_here { state.delivered_seq } else { seen_seq(state) };
        let from_seq = start_of(state, seen_seq, first);
        let conv = self.conv(id);
        let len = conv.timeline.len();
        conv.timeline = Timeline::starting_at(from_seq);
        self.held_messages -= len;
        self.told_up_to(id, seen_seq.max(state.first_seq.saturating_sub(1)));
    }

    /// The conversation, made when it is not known.
    pub(crate) fn conv(&mut self, id: ConversationId) -> &mut Conv {
        self.convs.entry(id).or_insert_with(|| Conv {
            record: ConversationRecord::new(id),
            timeline: Timeline::starting_at(1),
            open: false,
            stored_from_seq: 0,
            heard_seq: 0,
            own_acked: BTreeSet::new(),
        })
    }

    /// A conversation changed: what is kept and what is shown follow.
    pub(crate) fn touch(&mut self, id: ConversationId) {
        self.dirty_records.insert(id);
        self.dirty_conversations.insert(id);
        self.dirty_timelines.insert(id);
    }

    pub(crate) fn forget_connection(&mut self) {
        self.sync = None;
        self.unknown.clear();
        self.outbox.connection_lost();
        self.gaps.values_mut().for_each(|at| *at = 0);
        self.missed.values_mut().for_each(Missed::ask_again);
        let mut unconfirmed = std::mem::take(&mut self.cursors_before_heartbeat);
        unconfirmed.append(&mut self.cursors_unconfirmed);
        unconfirmed.append(&mut self.delivered_due);
        self.cursors_unconfirmed = unconfirmed;
        self.convs.values_mut().for_each(|conv| conv.heard_seq = 0);
    }

    /// Restores what a store kept.
    pub(crate) fn restore_conversations(
        &mut self,
        records: BTreeMap<ConversationId, ConversationRecord>,
        mut messages: BTreeMap<ConversationId, BTreeMap<u64, Arc<Message>>>,
    ) {
        for (id, mut record) in records {
            let messages = messages.remove(&id).unwrap_or_default();
            let timeline = Timeline::restored(messages, record.last_seq);
            self.held_messages += timeline.len();
            let stored_from_seq = timeline.lo();
            record.told_seq = record.told_seq.min(timeline.held_seq());
            if record.told_seq < timeline.held_seq() && !record.gone {
                self.missed.insert(id, Missed::NOW);
            }
            let conv = Conv {
                record,
                timeline,
                open: false,
                stored_from_seq,
                heard_seq: 0,
                own_acked: BTreeSet::new(),
            };
            if conv.timeline.gap().is_some() && !conv.record.gone {
                self.gaps.insert(id, 0);
            }
            self.convs.insert(id, conv);
        }
    }
}

/// A state with its last message, read.
type State = (ConversationId, raw::Conversation, Option<Arc<Message>>);

fn read_state(encoded: Bytes) -> Option<State> {
    let mut state = raw::Conversation::decode(encoded).ok()?;
    let id = state.id.as_ref().and_then(ConversationId::from_wire)?;
    let last_message = state.last_message.take().and_then(Message::decode).map(Arc::new);
    Some((id, state, last_message))
}

/// Where the timeline of a conversation begins that is new to this device and
/// of which `first` is at hand: with what none of the user's devices has, if
/// that is not too much.
fn start_of(state: &raw::Conversation, seen_seq: u64, first: u64) -> u64 {
    let missing = state.first_seq.max(seen_seq + 1).min(first);
    if first - missing <= GAP_MESSAGES_MAX { missing } else { first }
}

/// Up to here some device of the user had the messages: what was delivered,
/// and what is not unread.
fn seen_seq(state: &raw::Conversation) -> u64 {
    state.delivered_seq.max(state.last_seq.saturating_sub(state.unread))
}
