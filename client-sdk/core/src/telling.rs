//! Telling the app of messages: each once, in the order of seqs, also those
//! that the timeline left out.
//!
//! ```text
//!   seq   1 ..... told | missed ....... | lo ━━━━━━━━━━ hi . . ▪▪ .. last
//!         (told)       | (asked for)    | (told once what is below is)
//! ```
//!
//! A sync that leaves something out, a gap too wide, or a window too small
//! make a timeline start again above what was missed: what is shown is up to date at
//! once, while the rest is read by History from its lower end. Nobody is told
//! of anything above it before. What lies further back than
//! [`crate::CoreConfig::missed_max`] is not read; an event says so.
//!
//! Invariants: `told_seq` only grows, but for a server that lost its end; at
//! most four conversations are read at a time, each by one
//! page; a range that the server does not give is told as skipped rather than
//! asked for again; nothing is marked as delivered that is still to be read.

use std::sync::Arc;

use hongyan_protocol::ids::ConversationId;
use hongyan_protocol::{Opcode, pb, raw};

use crate::client::ClientCore;
use crate::event::Event;
use crate::message::Message;
use crate::requests::Purpose;
use crate::session::Phase;

/// Messages asked for at a time.
const MISSED_PAGE: u32 = 200;
/// Conversations read at a time.
const MISSED_ASKED_MAX: usize = 4;
/// How long those who listen are given to catch up, and how often that is
/// looked at.
const PATIENCE_MS: u64 = 1_000;
const LOOK_MS: u64 = 20;

/// Whether anybody wants to be told of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listening {
    /// Nobody: what a timeline leaves out is not read for it.
    No,
    /// Somebody, who has enough to do: the next page waits, up to a second.
    Busy,
    /// Somebody.
    Yes,
}

/// A conversation with something left out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Missed {
    /// When to ask for the next page; [`u64::MAX`] while one is on its way.
    due_ms: u64,
    /// The listeners were waited for so long.
    waited_ms: u64,
}

impl Missed {
    pub(crate) const NOW: Self = Self { due_ms: 0, waited_ms: 0 };

    const fn is_asked(self) -> bool {
        self.due_ms == u64::MAX
    }

    /// The connection is gone, and with it what was asked.
    pub(crate) const fn ask_again(&mut self) {
        *self = Self::NOW;
    }
}

impl ClientCore {
    /// Says whether anybody listens to [`Event::Message`]. While nobody does,
    /// what the timelines leave out is passed over; before this is called,
    /// somebody is taken to.
    pub const fn set_listening(&mut self, listening: Listening) {
        self.listening = listening;
    }

    /// Tells what is next, as far as it is held.
    pub(crate) fn tell_messages(&mut self, id: ConversationId) {
        let Some(conv) = self.convs.get_mut(&id) else {
            return;
        };
        let (lo, held_seq) = (conv.timeline.lo(), conv.timeline.held_seq());
        let missed_max = match self.listening {
            Listening::No => 0,
            Listening::Busy | Listening::Yes => self.config.missed_max,
        };
        let read_from = lo.saturating_sub(missed_max);
        let from_seq = conv.record.told_seq + 1;
        if from_seq < read_from {
            conv.record.told_seq = read_from - 1;
            if self.listening != Listening::No {
                self.events.push_back(Event::MessagesSkipped {
                    conversation: id,
                    from_seq,
                    to_seq: read_from - 1,
                });
            }
        }
        let from_seq = conv.record.told_seq + 1;
        if from_seq < lo {
            if !conv.record.gone {
                self.missed.entry(id).or_insert(Missed::NOW);
            }
            return;
        }
        self.missed.remove(&id);
        for message in conv.timeline.held_from(from_seq) {
            if !conv.own_acked.remove(&message.seq) {
                self.events.push_back(Event::Message(message.clone()));
            }
        }
        conv.record.told_seq = conv.record.told_seq.max(held_seq);
        conv.own_acked = conv.own_acked.split_off(&(conv.record.told_seq + 1));
    }

    /// Whether something is to be read before what is held can be told.
    pub(crate) fn is_behind(&self, id: ConversationId) -> bool {
        self.convs.get(&id).is_some_and(|conv| conv.record.told_seq + 1 < conv.timeline.lo())
    }

    /// What lies up to `seq` is nothing that the app is to be told.
    pub(crate) fn told_up_to(&mut self, id: ConversationId, seq: u64) {
        let conv = self.conv(id);
        conv.record.told_seq = conv.record.told_seq.max(seq);
    }

    /// When a page is to be asked for; `None` while enough are.
    pub(crate) fn missed_deadline_ms(&self) -> Option<u64> {
        let asked = self.missed.values().filter(|missed| missed.is_asked()).count();
        let due = self.missed.values().map(|missed| missed.due_ms).min();
        due.filter(|at| *at < u64::MAX && asked < MISSED_ASKED_MAX)
    }

    /// Asks for what was left out.
    pub(crate) fn handle_missed_timeout(&mut self, now_ms: u64) {
        if self.link.phase != Phase::Live {
            return;
        }
        let due = self.missed.iter().filter(|(_, missed)| missed.due_ms <= now_ms);
        let due: Vec<_> = due.map(|(id, _)| *id).collect();
        let asked = self.missed.values().filter(|missed| missed.is_asked()).count();
        for id in due.into_iter().take(MISSED_ASKED_MAX.saturating_sub(asked)) {
            // What is restored from a store may need no page.
            self.tell_messages(id);
            let behind = self.is_behind(id);
            let conv = self.convs.get(&id).filter(|conv| behind && !conv.record.gone);
            let (Some(missed), Some(conv)) = (self.missed.get_mut(&id), conv) else {
                self.missed.remove(&id);
                self.note_delivered(id);
                self.dirty_records.insert(id);
                continue;
            };
            let (from_seq, to_seq) = (conv.record.told_seq + 1, conv.timeline.lo() - 1);
            if self.listening == Listening::Busy && missed.waited_ms < PATIENCE_MS {
                missed.waited_ms += LOOK_MS;
                missed.due_ms = now_ms + LOOK_MS;
                continue;
            }
            *missed = Missed { due_ms: u64::MAX, waited_ms: 0 };
            let request = pb::History {
                conversation: Some(id.to_wire()),
                from_seq,
                to_seq,
                limit: MISSED_PAGE,
                backwards: false,
            };
            let purpose = Purpose::Missed { conversation: id, from_seq, to_seq };
            self.request_frame(now_ms, purpose, Opcode::History, &request);
        }
    }

    /// What was asked for from `from_seq` on came.
    pub(crate) fn on_missed_page(
        &mut self,
        id: ConversationId,
        (from_seq, to_seq): (u64, u64),
        page: raw::HistoryPage,
    ) {
        self.missed.remove(&id);
        let Some(me) = self.me() else { return };
        if self.convs.get(&id).is_none_or(|conv| conv.record.told_seq + 1 != from_seq) {
            // Another account, or a server that lost its end meanwhile.
            return self.tell_messages(id);
        }
        let more = page.more && !page.messages.is_empty();
        // What is below does not exist for this user.
        self.told_up_to(id, page.first_seq.saturating_sub(1).min(to_seq));
        let mut of_others = 0;
        for message in page.messages.into_iter().filter_map(Message::decode).map(Arc::new) {
            let seq = message.seq;
            if seq <= self.conv(id).record.told_seq || seq > to_seq {
                continue;
            }
            self.skip_up_to(id, seq - 1);
            self.settle(me, &message);
            self.conv(id).record.told_seq = seq;
            if message.sender != Some(me) {
                of_others = seq;
            }
            if !self.conv(id).own_acked.remove(&seq) {
                self.events.push_back(Event::Message(message));
            }
        }
        if !more || self.conv(id).record.told_seq < from_seq {
            self.skip_up_to(id, to_seq);
        }
        if of_others > self.conv(id).record.delivered_seq {
            self.conv(id).record.delivered_seq = of_others;
            self.delivered_due.insert(id, of_others);
        }
        self.tell_messages(id);
        self.note_delivered(id);
        self.touch(id);
    }

    /// The range was not given. `retry_at_ms` is when to ask again.
    pub(crate) fn on_missed_failed(
        &mut self,
        id: ConversationId,
        to_seq: u64,
        retry_at_ms: Option<u64>,
    ) {
        self.missed.remove(&id);
        if let Some(due_ms) = retry_at_ms {
            self.missed.insert(id, Missed { due_ms, waited_ms: 0 });
        } else if self.convs.contains_key(&id) {
            self.skip_up_to(id, to_seq);
            self.tell_messages(id);
            self.note_delivered(id);
            self.touch(id);
        }
    }

    /// The server does not give what is left up to `seq`.
    fn skip_up_to(&mut self, id: ConversationId, to_seq: u64) {
        let told_seq = &mut self.conv(id).record.told_seq;
        let from_seq = *told_seq + 1;
        if from_seq <= to_seq {
            *told_seq = to_seq;
            self.events.push_back(Event::MessagesSkipped { conversation: id, from_seq, to_seq });
        }
    }
}
