//! Messages on their way to the server, each until its result is definite.
//!
//! ```text
//!            stored          sent              ack, or found by a sync
//!  Storing ─────────▶ Ready ──────▶ InFlight ─────────────────────────▶ gone
//!                       ▲              │ connection lost, time up,
//!                       │              │ or refused for now
//!                       └──────────────┤
//!                       ▲ retry        │ refused for good
//!                       └─── Failed ◀──┘
//! ```
//!
//! Invariants: a message leaves in the order it was written, per
//! conversation; at most [`OUTBOX_WINDOW`] of a conversation are in flight, so
//! that the server still remembers the ids of all that may be sent again; a
//! message that goes out again has the same id; nothing is dropped without a
//! definite result.
//!
//! When the server refuses one message of a window for now, those behind it
//! that were already in flight may be stored before it. That happens to a
//! message once: afterwards, and after a restart, the oldest of a conversation
//! goes out alone until its result is definite. Were a window to pass it each
//! time, the server would forget its id, and a resend would store it twice.

use std::collections::{BTreeMap, BTreeSet};

use hongyan_protocol::ids::ConversationId;
use hongyan_protocol::limits::OUTBOX_WINDOW;

use crate::backoff::exponential;
use crate::error::ClientError;
use crate::message::{AckLevel, Body, ClientMsgId, SendState};

/// A message that an app wants sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// Names it for ever.
    pub client_msg_id: ClientMsgId,
    /// Where it goes.
    pub conversation: ConversationId,
    /// What it says.
    pub body: Body,
    /// How safe it must be before it counts as sent.
    pub level: AckLevel,
}

/// What is kept of a message until its result is definite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxEntry {
    /// Place in the outbox: lower goes first.
    pub order: u64,
    /// Names it for ever.
    pub client_msg_id: ClientMsgId,
    /// Where it goes.
    pub conversation: ConversationId,
    /// What it says.
    pub body: Body,
    /// How safe it must be before it counts as sent.
    pub level: AckLevel,
    /// When it was written, in milliseconds since 1970 by this device.
    pub created_ms: u64,
    /// The code with which the server refused it for good.
    pub failed_code: Option<u32>,
}

/// A message of one's own that is not stored by the server yet, as timelines
/// show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingMessage {
    /// Names it for ever.
    pub client_msg_id: ClientMsgId,
    /// What it says.
    pub body: Body,
    /// When it was written, in milliseconds since 1970 by this device.
    pub created_ms: u64,
    /// [`SendState::Sending`] or [`SendState::Failed`].
    pub state: SendState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Storing,
    Ready,
    InFlight,
    Failed,
}

#[derive(Debug)]
struct Slot {
    entry: OutboxEntry,
    phase: Phase,
}

#[derive(Debug, Default)]
struct Lane {
    /// Orders of entries that still go out.
    orders: BTreeSet<u64>,
    in_flight: usize,
    blocked_until_ms: u64,
    refusals: u32,
    /// The oldest may have been passed by others: it goes out alone.
    oldest_alone: bool,
}

/// The queue of all conversations.
#[derive(Debug)]
pub struct Outbox {
    entries_max: usize,
    slots: BTreeMap<u64, Slot>,
    orders: BTreeMap<ClientMsgId, u64>,
    lanes: BTreeMap<ConversationId, Lane>,
    by_conversation: BTreeMap<ConversationId, BTreeSet<u64>>,
    next_order: u64,
    in_flight: usize,
}

impl Outbox {
    /// An outbox for at most `entries_max` messages that already holds
    /// `entries`, as after a restart.
    pub fn new(entries_max: usize, entries: impl IntoIterator<Item = OutboxEntry>) -> Self {
        let mut outbox = Self {
            entries_max,
            slots: BTreeMap::new(),
            orders: BTreeMap::new(),
            lanes: BTreeMap::new(),
            by_conversation: BTreeMap::new(),
            next_order: 1,
            in_flight: 0,
        };
        for entry in entries {
            let phase = if entry.failed_code.is_some() { Phase::Failed } else { Phase::Ready };
            outbox.next_order = outbox.next_order.max(entry.order + 1);
            outbox.insert(entry, phase);
        }
        // Nobody knows any more what was sent of them, and what passed it.
        outbox.lanes.values_mut().for_each(|lane| lane.oldest_alone = true);
        outbox
    }

    /// Takes a message in. It goes out once [`Outbox::stored`] says that it
    /// is kept.
    ///
    /// # Errors
    /// [`ClientError::OutboxFull`]; [`ClientError::Invalid`] when a message
    /// with this id is here already.
    pub fn push(&mut self, message: NewMessage, now_ms: u64) -> Result<&OutboxEntry, ClientError> {
        if self.slots.len() >= self.entries_max {
            return Err(ClientError::OutboxFull { limit: self.entries_max });
        }
        if self.orders.contains_key(&message.client_msg_id) {
            return Err(ClientError::Invalid("the client message id was used before"));
        }
        let order = self.next_order;
        self.next_order += 1;
        let entry = OutboxEntry {
            order,
            client_msg_id: message.client_msg_id,
            conversation: message.conversation,
            body: message.body,
            level: message.level,
            created_ms: now_ms,
            failed_code: None,
        };
        self.insert(entry, Phase::Storing);
        Ok(&self.slots[&order].entry)
    }

    fn insert(&mut self, entry: OutboxEntry, phase: Phase) {
        if phase != Phase::Failed {
            self.lanes.entry(entry.conversation).or_default().orders.insert(entry.order);
        }
        self.by_conversation.entry(entry.conversation).or_default().insert(entry.order);
        self.orders.insert(entry.client_msg_id, entry.order);
        self.slots.insert(entry.order, Slot { entry, phase });
    }

    /// The message is kept on this device and may go out.
    pub fn stored(&mut self, id: ClientMsgId) -> Option<&OutboxEntry> {
        let slot = self.slots.get_mut(self.orders.get(&id)?)?;
        if slot.phase == Phase::Storing {
            slot.phase = Phase::Ready;
        }
        Some(&slot.entry)
    }

    /// Marks the next messages that may go out as in flight and returns them,
    /// at most `entries_max` and no more than about `bytes_max` of bodies.
    pub fn take_sendable(
        &mut self,
        now_ms: u64,
        entries_max: usize,
        bytes_max: usize,
    ) -> Vec<OutboxEntry> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        for lane in self.lanes.values_mut() {
            if lane.blocked_until_ms > now_ms || lane.in_flight == lane.orders.len() {
                continue;
            }
            let window = if lane.oldest_alone { 1 } else { OUTBOX_WINDOW };
            for order in &lane.orders {
                if taken.len() >= entries_max || bytes >= bytes_max {
                    return taken;
                }
                if lane.in_flight >= window {
                    break;
                }
                let Some(slot) = self.slots.get_mut(order) else {
                    continue;
                };
                match slot.phase {
                    Phase::InFlight => continue,
                    Phase::Storing | Phase::Failed => break,
                    Phase::Ready => {}
                }
                slot.phase = Phase::InFlight;
                lane.in_flight += 1;
                self.in_flight += 1;
                bytes += body_bytes(&slot.entry.body);
                taken.push(slot.entry.clone());
            }
        }
        taken
    }

    /// The server has the message: takes it out.
    pub fn settle(&mut self, id: ClientMsgId) -> Option<OutboxEntry> {
        let order = *self.orders.get(&id)?;
        self.leave_lane(order);
        self.remove(order)
    }

    fn remove(&mut self, order: u64) -> Option<OutboxEntry> {
        let entry = self.slots.remove(&order)?.entry;
        self.orders.remove(&entry.client_msg_id);
        if let Some(orders) = self.by_conversation.get_mut(&entry.conversation) {
            orders.remove(&order);
            if orders.is_empty() {
                self.by_conversation.remove(&entry.conversation);
            }
        }
        Some(entry)
    }

    /// The server refused the message for good. It stays, as failed, until
    /// it is retried or discarded.
    pub fn fail(&mut self, id: ClientMsgId, code: u32) -> Option<&OutboxEntry> {
        let order = *self.orders.get(&id)?;
        self.leave_lane(order);
        let slot = self.slots.get_mut(&order)?;
        slot.phase = Phase::Failed;
        slot.entry.failed_code = Some(code);
        Some(&slot.entry)
    }

    /// The server refused the message for now, or did not answer in time: it
    /// goes out again after `retry_after_ms`, or a delay that doubles with
    /// each refusal in a row when that is longer; nothing of the conversation
    /// goes out before.
    pub fn postpone(&mut self, id: ClientMsgId, now_ms: u64, retry_after_ms: u64) {
        let Some(slot) = self.orders.get(&id).and_then(|order| self.slots.get_mut(order)) else {
            return;
        };
        if slot.phase != Phase::InFlight {
            return;
        }
        slot.phase = Phase::Ready;
        self.in_flight -= 1;
        if let Some(lane) = self.lanes.get_mut(&slot.entry.conversation) {
            lane.in_flight -= 1;
            lane.oldest_alone = true;
            // All of a window can be refused at once; that is one refusal.
            if lane.blocked_until_ms <= now_ms {
                let backoff = exponential(RETRY_BASE_MS, lane.refusals).min(RETRY_DELAY_MAX_MS);
                // The id is random, so clients do not retry in step.
                let spread = u64::from(id.as_bytes()[15]) * backoff / 1024;
                lane.blocked_until_ms = now_ms + retry_after_ms.max(backoff) + spread;
                lane.refusals += 1;
            } else {
                lane.blocked_until_ms = lane.blocked_until_ms.max(now_ms + retry_after_ms);
            }
        }
    }

    /// The connection is gone: all that was in flight goes out again on the
    /// next one.
    pub fn connection_lost(&mut self) {
        for slot in self.slots.values_mut() {
            if slot.phase == Phase::InFlight {
                slot.phase = Phase::Ready;
            }
        }
        for lane in self.lanes.values_mut() {
            lane.in_flight = 0;
        }
        self.in_flight = 0;
    }

    /// Sends a failed message again, with the same id, behind all others.
    pub fn retry(&mut self, id: ClientMsgId) -> Option<&OutboxEntry> {
        let order = *self.orders.get(&id)?;
        if self.slots.get(&order)?.phase != Phase::Failed {
            return None;
        }
        let mut entry = self.remove(order)?;
        entry.failed_code = None;
        entry.order = self.next_order;
        self.next_order += 1;
        let order = entry.order;
        self.insert(entry, Phase::Storing);
        self.slots.get(&order).map(|slot| &slot.entry)
    }

    /// Takes a message out that is not on its way: one that failed, or that
    /// could not be kept.
    pub fn discard(&mut self, id: ClientMsgId) -> Option<OutboxEntry> {
        let order = *self.orders.get(&id)?;
        let phase = self.slots.get(&order)?.phase;
        if !matches!(phase, Phase::Failed | Phase::Storing) {
            return None;
        }
        self.settle(id)
    }

    fn leave_lane(&mut self, order: u64) {
        let Some(slot) = self.slots.get(&order) else {
            return;
        };
        let conversation = slot.entry.conversation;
        let Some(lane) = self.lanes.get_mut(&conversation) else {
            return;
        };
        if lane.orders.first() == Some(&order) {
            lane.oldest_alone = false;
        }
        if lane.orders.remove(&order) && slot.phase == Phase::InFlight {
            lane.in_flight -= 1;
            self.in_flight -= 1;
        }
        lane.refusals = 0;
        if lane.orders.is_empty() {
            self.lanes.remove(&conversation);
        }
    }

    /// The message with this id.
    pub fn entry(&self, id: ClientMsgId) -> Option<&OutboxEntry> {
        self.slots.get(self.orders.get(&id)?).map(|slot| &slot.entry)
    }

    /// When a conversation that has to wait may go on; `None` when none has.
    pub fn next_deadline_ms(&self, now_ms: u64) -> Option<u64> {
        self.lanes
            .values()
            .filter(|lane| lane.in_flight < lane.orders.len())
            .map(|lane| lane.blocked_until_ms)
            .filter(|at| *at > now_ms)
            .min()
    }

    /// Messages of a conversation as its timeline shows them: those that are
    /// kept, in the order they were written.
    pub fn pending(&self, conversation: ConversationId) -> Vec<PendingMessage> {
        self.by_conversation
            .get(&conversation)
            .into_iter()
            .flatten()
            .filter_map(|order| self.slots.get(order))
            .filter(|slot| slot.phase != Phase::Storing)
            .map(|slot| PendingMessage {
                client_msg_id: slot.entry.client_msg_id,
                body: slot.entry.body.clone(),
                created_ms: slot.entry.created_ms,
                state: match slot.entry.failed_code {
                    Some(code) => SendState::Failed { error: refused(code) },
                    None => SendState::Sending,
                },
            })
            .collect()
    }

    /// Messages of a conversation here, failed ones included.
    pub fn pending_len(&self, conversation: ConversationId) -> usize {
        self.by_conversation.get(&conversation).map_or(0, BTreeSet::len)
    }

    /// Messages here, failed ones included.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// True when nothing is here.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Messages sent and not answered.
    pub const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The ids of all messages here, in order.
    pub fn ids(&self) -> Vec<ClientMsgId> {
        self.slots.values().map(|slot| slot.entry.client_msg_id).collect()
    }
}

fn refused(code: u32) -> ClientError {
    match hongyan_protocol::ErrorCode::from_number(code) {
        Some(code) => ClientError::refused_locally(code),
        None => ClientError::Refused { code, message: String::new(), retry_after_ms: 0 },
    }
}

fn body_bytes(body: &Body) -> usize {
    match body {
        Body::Text(text) => text.len(),
        Body::Opaque { data, .. } => data.len(),
        Body::Event(_) | Body::Unknown => 0,
    }
}

const RETRY_BASE_MS: u64 = 500;
const RETRY_DELAY_MAX_MS: u64 = 30_000;
