//! [`ClientCore`]: the state of a client and the ways in and out of it.
//!
//! Whoever drives it calls, after every `handle_*` and every command, until
//! each has nothing more:
//!
//! 1. [`ClientCore::poll_store`]: apply the batch, then
//!    [`ClientCore::handle_stored`] (at most one batch is out at a time);
//! 2. [`ClientCore::poll_connect`]: open a connection;
//! 3. [`ClientCore::poll_transmit`]: write the bytes;
//! 4. [`ClientCore::poll_close`]: drop the connection, then
//!    [`ClientCore::handle_closed`];
//! 5. [`ClientCore::poll_event`]: tell the app;
//! 6. [`ClientCore::poll_timeout`]: when to call
//!    [`ClientCore::handle_timeout`].
//!
//! Times are milliseconds since 1970 of one clock that does not go back while
//! the client runs. The core never asks for anything twice: what a `poll_*`
//! returned is the driver's to do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use hongyan_protocol::frame::Frame;
use hongyan_protocol::ids::{ConversationId, UserId};
use hongyan_protocol::limits::{FRAME_BYTES_MAX, HISTORY_LIMIT_MAX};
use hongyan_protocol::{FrameDecoder, Opcode, pb};

use crate::backoff::Backoff;
use crate::config::CoreConfig;
use crate::conversation::{ConversationRecord, ConversationState, Profile};
use crate::error::ClientError;
use crate::event::{Event, RequestToken, SendUpdate};
use crate::message::ClientMsgId;
use crate::outbox::Outbox;
use crate::presence::Watching;
use crate::replies::Lesson;
use crate::requests::{Purpose, Requests};
use crate::session::{Credentials, Link, Phase, Status};
use crate::store::{Account, StoreBatch, StoreError, StoreOp, StoredState, Tokens};
use crate::sync::{SyncRun, Unknown};
use crate::telling::{Listening, Missed};
use crate::timeline::{Timeline, TimelineView};

/// A conversation and its timeline.
#[derive(Debug)]
pub(crate) struct Conv {
    pub(crate) record: ConversationRecord,
    pub(crate) timeline: Timeline,
    pub(crate) open: bool,
    pub(crate) stored_from_seq: u64,
    /// The highest seq heard on this connection.
    pub(crate) heard_seq: u64,
    /// Own messages of this device that were stored and passed to the
    /// timeline, but lie above what was told: an ack is not a message to tell.
    pub(crate) own_acked: BTreeSet<u64>,
}

/// What the next batch will hold.
#[derive(Debug, Default)]
pub(crate) struct OutgoingStore {
    pub(crate) ops: Vec<StoreOp>,
    pub(crate) durable: bool,
    pub(crate) keeps_tokens: bool,
    pub(crate) sends: Vec<ClientMsgId>,
}

/// A batch that the driver is applying.
#[derive(Debug)]
struct StoringBatch {
    ticket: u64,
    sends: Vec<ClientMsgId>,
    keeps_tokens: bool,
}

/// A client without input and output; see the module's page for how to drive
/// it.
#[derive(Debug)]
pub struct ClientCore {
    pub(crate) config: CoreConfig,
    pub(crate) link: Link,
    pub(crate) decoder: FrameDecoder,
    pub(crate) backoff: Backoff,
    pub(crate) requests: Requests,
    pub(crate) outbox: Outbox,
    pub(crate) convs: BTreeMap<ConversationId, Conv>,
    pub(crate) profiles: BTreeMap<UserId, Profile>,
    pub(crate) sync: Option<SyncRun>,
    pub(crate) unknown: BTreeMap<ConversationId, Unknown>,
    pub(crate) account: Option<Account>,
    pub(crate) tokens: Option<Tokens>,
    pub(crate) devices: Option<Vec<pb::DeviceState>>,
    pub(crate) auth: Option<(RequestToken, Credentials)>,
    pub(crate) auth_reply: Option<(RequestToken, Bytes)>,
    pub(crate) events: VecDeque<Event>,
    pub(crate) dirty_records: BTreeSet<ConversationId>,
    pub(crate) dirty_conversations: BTreeSet<ConversationId>,
    pub(crate) dirty_timelines: BTreeSet<ConversationId>,
    pub(crate) gaps: BTreeMap<ConversationId, u64>,
    pub(crate) listening: Listening,
    pub(crate) missed: BTreeMap<ConversationId, Missed>,
    pub(crate) delivered_due: BTreeMap<ConversationId, u64>,
    pub(crate) cursors_unconfirmed: BTreeMap<ConversationId, u64>,
    pub(crate) cursors_before_heartbeat: BTreeMap<ConversationId, u64>,
    pub(crate) reads_due: BTreeSet<ConversationId>,
    pub(crate) reads_retry_at_ms: Option<u64>,
    pub(crate) profiles_due: BTreeSet<UserId>,
    pub(crate) watching: Watching,
    pub(crate) held_messages: usize,
    pub(crate) server_ahead_ms: i64,
    pub(crate) reconnect_at_ms: Option<u64>,
    pub(crate) refresh_first: bool,
    pub(crate) stopped: bool,
    pub(crate) connect_after_close: bool,
    pub(crate) outgoing_store: OutgoingStore,
    storing: Option<StoringBatch>,
    store_error: Option<StoreError>,
    last_ticket: u64,
    pub(crate) removals_not_durable: usize,
    status: Status,
}

impl ClientCore {
    /// A client that is offline and holds what `stored` holds.
    pub fn new(config: CoreConfig, stored: StoredState) -> Self {
        let mut core = Self {
            link: Link::new(),
            decoder: FrameDecoder::new(FRAME_BYTES_MAX),
            backoff: Backoff::new(config.backoff),
            requests: Requests::default(),
            outbox: Outbox::new(config.outbox_max, stored.outbox.into_values()),
            convs: BTreeMap::new(),
            profiles: stored.profiles,
            sync: None,
            unknown: BTreeMap::new(),
            account: stored.account,
            tokens: stored.tokens,
            devices: None,
            auth: None,
            auth_reply: None,
            events: VecDeque::new(),
            dirty_records: BTreeSet::new(),
            dirty_conversations: BTreeSet::new(),
            dirty_timelines: BTreeSet::new(),
            gaps: BTreeMap::new(),
            listening: Listening::Yes,
            missed: BTreeMap::new(),
            delivered_due: BTreeMap::new(),
            cursors_unconfirmed: BTreeMap::new(),
            cursors_before_heartbeat: BTreeMap::new(),
            reads_due: BTreeSet::new(),
            reads_retry_at_ms: None,
            profiles_due: BTreeSet::new(),
            watching: Watching::default(),
            held_messages: 0,
            server_ahead_ms: 0,
            reconnect_at_ms: None,
            refresh_first: false,
            stopped: true,
            connect_after_close: false,
            outgoing_store: OutgoingStore::default(),
            storing: None,
            store_error: None,
            last_ticket: 0,
            removals_not_durable: 0,
            status: Status::Offline,
            config,
        };
        core.restore_conversations(stored.conversations, stored.messages);
        if stored.device_id.as_ref() != Some(&core.config.device.id) {
            core.store(StoreOp::SetDevice(core.config.device.id.clone()));
            core.outgoing_store.durable = true;
        }
        core
    }

    // Commands.

    /// Marks a conversation read up to `seq`, at once on this device and as
    /// soon as can be on the server. A lower mark than before changes
    /// nothing.
    pub fn mark_read(&mut self, id: ConversationId, seq: u64) {
        let Some(conv) = self.convs.get_mut(&id) else {
            return;
        };
        if conv.record.apply_read(seq) {
            self.touch(id);
            if self.link.phase == Phase::Live {
                self.reads_due.insert(id);
            }
        }
    }

    /// Sends a request with an encoded message; an [`Event::Reply`] with the
    /// reply's payload follows. What the reply says of this user's own state
    /// (a group that was made, changed or left, people's names) is there
    /// before it.
    ///
    /// # Errors
    /// [`ClientError::Offline`] without a session,
    /// [`ClientError::TooManyRequests`]. Nothing was sent.
    pub fn request(
        &mut self,
        now_ms: u64,
        token: RequestToken,
        opcode: Opcode,
        payload: Bytes,
    ) -> Result<(), ClientError> {
        self.check_request()?;
        let deadline_ms = now_ms + self.config.request_timeout_ms;
        let purpose = Purpose::App { token, lesson: Lesson::of(opcode, &payload) };
        let request = self.requests.start(purpose, deadline_ms);
        let frame = Frame { opcode: opcode.number(), request, payload };
        frame.encode_delimited(&mut self.link.out);
        Ok(())
    }

    /// Keeps more of this conversation in memory while it is open.
    pub fn open_timeline(&mut self, id: ConversationId) {
        if let Some(conv) = self.convs.get_mut(&id) {
            conv.open = true;
        } else if self.account.is_some() {
            self.conv(id).open = true;
        }
    }

    /// Gives back the memory that an open conversation may use.
    pub fn close_timeline(&mut self, id: ConversationId) {
        if let Some(conv) = self.convs.get_mut(&id) {
            conv.open = false;
            self.trim(id);
        }
    }

    /// Pages at most `limit` (0: 100, at most 500) older messages into a
    /// timeline. An [`Event::Reply`] with an encoded [`pb::HistoryPage`]
    /// follows; it is empty when there are none.
    ///
    /// # Errors
    /// [`ClientError::WindowFull`] when as many are in memory as can be;
    /// otherwise as [`ClientCore::request`].
    pub fn load_older(
        &mut self,
        now_ms: u64,
        token: RequestToken,
        id: ConversationId,
        limit: u32,
    ) -> Result<(), ClientError> {
        self.check_request()?;
        let conv = self.convs.get(&id).ok_or(ClientError::Invalid("no such conversation"))?;
        if !conv.timeline.has_older(conv.record.first_seq) {
            self.reply(token, Ok(Bytes::new()));
            return Ok(());
        }
        let window =
            if conv.open { self.config.timeline_window_open } else { self.config.timeline_window };
        if conv.timeline.len() >= window {
            return Err(ClientError::WindowFull);
        }
        let to_seq = conv.timeline.lo() - 1;
        let message = pb::History {
            conversation: Some(id.to_wire()),
            from_seq: conv.record.first_seq,
            to_seq,
            limit: limit.min(HISTORY_LIMIT_MAX),
            backwards: true,
        };
        let purpose = Purpose::Older { conversation: id, to_seq, token };
        self.request_frame(now_ms, purpose, Opcode::History, &message);
        Ok(())
    }

    // Output.

    /// The next batch for the local store, when none is being applied.
    pub fn poll_store(&mut self) -> Option<StoreBatch> {
        if self.storing.is_some() || self.store_error.is_some() {
            return None;
        }
        for id in std::mem::take(&mut self.dirty_records) {
            if let Some(conv) = self.convs.get(&id) {
                self.outgoing_store.ops.push(StoreOp::PutConversation(conv.record.clone()));
            }
        }
        if self.outgoing_store.ops.is_empty() {
            return None;
        }
        let outgoing = std::mem::take(&mut self.outgoing_store);
        // What the outbox forgot must not come back after a power cut when
        // the server no longer remembers the ids.
        let durable = outgoing.durable || self.removals_not_durable >= REMOVALS_NOT_DURABLE_MAX;
        if durable {
            self.removals_not_durable = 0;
        }
        self.last_ticket += 1;
        self.storing = Some(StoringBatch {
            ticket: self.last_ticket,
            sends: outgoing.sends,
            keeps_tokens: outgoing.keeps_tokens,
        });
        Some(StoreBatch { ticket: self.last_ticket, ops: outgoing.ops, durable })
    }

    /// The batch was applied, or could not be.
    pub fn handle_stored(&mut self, now_ms: u64, ticket: u64, result: Result<(), StoreError>) {
        let Some(batch) = self.storing.take_if(|batch| batch.ticket == ticket) else {
            return;
        };
        if let Err(error) = result {
            self.store_error = Some(error.clone());
            self.outgoing_store.ops.clear();
            let waiting = std::mem::take(&mut self.outgoing_store.sends);
            let error = ClientError::Storage(error.to_string());
            for id in batch.sends.into_iter().chain(waiting) {
                if let Some(entry) = self.outbox.discard(id) {
                    self.note_settled(&entry, SendUpdate::Dropped(error.clone()));
                }
            }
            self.events.push_back(Event::StorageFailed(error));
            if batch.keeps_tokens || self.outgoing_store.keeps_tokens {
                self.on_tokens_kept(now_ms);
            }
            return;
        }
        for id in batch.sends {
            self.on_entry_kept(id);
        }
        if batch.keeps_tokens {
            self.on_tokens_kept(now_ms);
        }
    }

    /// Bytes to write, if there are any. Call it again when they are written:
    /// the outbox fills in by what the socket takes.
    pub fn poll_transmit(&mut self, now_ms: u64) -> Option<Bytes> {
        if self.link.phase == Phase::Live {
            self.flush_cursors(now_ms);
            self.ask_profiles(now_ms);
            self.flush_watch(now_ms);
            self.fill_sends(now_ms);
        }
        if self.link.out.is_empty() {
            return None;
        }
        self.note_transmit(now_ms);
        Some(self.link.out.split().freeze())
    }

    /// The next event for the app.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events
            .pop_front()
            .or_else(|| self.dirty_conversations.pop_first().map(Event::ConversationChanged))
            .or_else(|| self.dirty_timelines.pop_first().map(Event::TimelineChanged))
    }

    /// When [`ClientCore::handle_timeout`] is due.
    pub fn poll_timeout(&self, now_ms: u64) -> Option<u64> {
        let live = self.link.phase == Phase::Live;
        let gap = if live { self.gap_deadline_ms() } else { None };
        let missed = if live { self.missed_deadline_ms() } else { None };
        let reads = self.reads_retry_at_ms.filter(|_| live);
        let outbox = if live { self.outbox.next_deadline_ms(now_ms) } else { None };
        [
            self.link.next_deadline_ms(),
            self.reconnect_at_ms,
            self.requests.deadline_ms(),
            self.sync_deadline_ms(),
            self.unknown_deadline_ms().filter(|_| self.link.in_session()),
            gap,
            missed,
            reads,
            self.watch_deadline_ms().filter(|_| live),
            outbox,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Time passed.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        self.handle_link_timeout(now_ms);
        while let Some(purpose) = self.requests.expire(now_ms) {
            self.on_refused(now_ms, purpose, ClientError::TimedOut);
        }
        self.handle_sync_timeout(now_ms);
        self.handle_unknown_timeout(now_ms);
        self.handle_gap_timeout(now_ms);
        self.handle_missed_timeout(now_ms);
        self.handle_reads_timeout(now_ms);
        self.handle_watch_timeout(now_ms);
    }

    // What there is to see.

    /// How the client stands with the server.
    pub const fn status(&self) -> Status {
        self.status
    }

    /// Who is signed in on this device, with or without a session.
    pub const fn account(&self) -> Option<&Account> {
        self.account.as_ref()
    }

    /// The account's devices as the server last listed them to this run of
    /// the program, less those that were signed out from here since; `None`
    /// before it was asked. The server does not tell of changes by others.
    pub fn devices(&self) -> Option<&[pb::DeviceState]> {
        self.devices.as_deref()
    }

    /// True when tokens are kept that can open a session.
    pub const fn has_tokens(&self) -> bool {
        self.tokens.is_some()
    }

    /// The server's clock less this one's, as last heard, in milliseconds.
    pub const fn server_ahead_ms(&self) -> i64 {
        self.server_ahead_ms
    }

    /// Messages in the outbox, failed ones included.
    pub fn outbox_len(&self) -> usize {
        self.outbox.len()
    }

    /// A person's names, when they were heard.
    pub fn profile(&self, user: UserId) -> Option<&Profile> {
        self.profiles.get(&user)
    }

    /// A conversation as lists show it.
    pub fn conversation(&self, id: ConversationId) -> Option<ConversationState> {
        let Conv { record, timeline, .. } = self.convs.get(&id)?;
        let peer = self.me().and_then(|me| id.peer_of(me));
        let pending = self.outbox.pending_len(id);
        if record.last_seq == 0 && pending == 0 && record.group.is_none() {
            return None;
        }
        Some(ConversationState {
            id,
            last_seq: record.last_seq,
            delivered_seq: record.delivered_seq,
            read_seq: record.read_seq,
            unread: record.unread(),
            first_seq: record.first_seq,
            last_message: timeline.newest().cloned(),
            peer: peer.and_then(|peer| self.profiles.get(&peer).cloned()),
            peer_delivered_seq: record.peer_delivered_seq,
            peer_read_seq: record.peer_read_seq,
            group: record.group.clone(),
            gone: record.gone,
            activity_ms: record.activity_ms,
            pending,
        })
    }

    /// All conversations, the one with the latest activity first.
    pub fn conversations(&self) -> Vec<ConversationState> {
        let mut list: Vec<_> = self.convs.keys().filter_map(|id| self.conversation(*id)).collect();
        list.sort_by_key(|state| (std::cmp::Reverse(state.activity_ms), state.id));
        list
    }

    /// The messages of a conversation; empty when it is not known.
    pub fn timeline(&self, id: ConversationId) -> TimelineView {
        let Some(Conv { record, timeline, .. }) = self.convs.get(&id) else {
            return TimelineView { me: self.me(), ..TimelineView::empty(id) };
        };
        let held_seq = timeline.held_seq();
        TimelineView {
            conversation: id,
            messages: timeline.messages().take_while(|m| m.seq <= held_seq).cloned().collect(),
            pending: self.outbox.pending(id),
            has_older: timeline.has_older(record.first_seq),
            catching_up: timeline.gap().is_some(),
            last_seq: record.last_seq,
            read_seq: record.read_seq,
            peer_delivered_seq: record.peer_delivered_seq,
            peer_read_seq: record.peer_read_seq,
            me: self.me(),
        }
    }

    /// How far the peer's cursors say that a stored message of one's own got;
    /// `None` while they say nothing.
    pub fn send_state(&self, id: ConversationId, seq: u64) -> Option<crate::message::SendState> {
        self.convs.get(&id)?.record.send_state(seq)
    }

    // Small things.

    /// Forgets everything of the account, here and in the store.
    pub(crate) fn forget_account(&mut self) {
        let outbox = std::mem::replace(&mut self.outbox, Outbox::new(self.config.outbox_max, []));
        for id in outbox.ids() {
            if let Some(entry) = outbox.entry(id) {
                self.events.push_back(Event::Send {
                    client_msg_id: id,
                    conversation: entry.conversation,
                    update: SendUpdate::Dropped(ClientError::Closed),
                });
            }
        }
        for id in std::mem::take(&mut self.convs).into_keys() {
            self.dirty_conversations.insert(id);
            self.dirty_timelines.insert(id);
        }
        self.held_messages = 0;
        self.profiles.clear();
        self.account = None;
        self.tokens = None;
        self.devices = None;
        self.dirty_records.clear();
        self.gaps.clear();
        self.missed.clear();
        self.unknown.clear();
        self.delivered_due.clear();
        self.cursors_unconfirmed.clear();
        self.cursors_before_heartbeat.clear();
        self.reads_due.clear();
        self.profiles_due.clear();
        self.end_watch(ClientError::Closed);
        self.watching = Watching::default();
        self.outgoing_store = OutgoingStore::default();
        let device_id = self.config.device.id.clone();
        self.store(StoreOp::ClearAccount);
        self.store(StoreOp::SetDevice(device_id));
        self.outgoing_store.durable = true;
    }

    pub(crate) fn store(&mut self, op: StoreOp) {
        if self.store_error.is_none() {
            self.outgoing_store.ops.push(op);
        }
    }

    pub(crate) fn reply(&mut self, token: RequestToken, result: Result<Bytes, ClientError>) {
        self.events.push_back(Event::Reply { token, result });
    }

    pub(crate) fn set_status(&mut self, status: Status) {
        if self.status != status {
            self.status = status;
            self.events.push_back(Event::StatusChanged(status));
        }
    }

    pub(crate) fn me(&self) -> Option<UserId> {
        self.account.as_ref().map(|account| account.user)
    }

    pub(crate) fn check_request(&self) -> Result<(), ClientError> {
        if !self.link.in_session() {
            Err(ClientError::Offline)
        } else if self.requests.app_len() >= self.config.requests_max {
            Err(ClientError::TooManyRequests)
        } else {
            Ok(())
        }
    }

    pub(crate) const fn store_failed(&self) -> bool {
        self.store_error.is_some()
    }

    pub(crate) fn check_store(&self) -> Result<(), ClientError> {
        match &self.store_error {
            Some(error) => Err(ClientError::Storage(error.to_string())),
            None => Ok(()),
        }
    }
}

/// Messages whose leaving the outbox a power cut may undo: fewer than the
/// server remembers ids beyond a window.
const REMOVALS_NOT_DURABLE_MAX: usize = 32;
