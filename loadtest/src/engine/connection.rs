//! One connection of a run: its socket, its window of sends, and what it has seen.
//!
//! Owns the bytes both ways and the ends of all streams that begin or end here. Knows no schedule:
//! the worker says when to send.

mod away;

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use bytes::{Buf, BytesMut};

use self::away::Presence;
use crate::clock::RunClock;
use crate::driver::{Event, Link, LinkError, Tag};
use crate::engine::ledger::{Findings, Inbound, Order, Outbound};
use crate::engine::payload::{Stamp, TextForm};
use crate::engine::tally::Tally;
use crate::engine::topology::{Lane, Seat, Topology};
use crate::plan::Receipts;
use crate::stream::Stream;

/// Planned sends that wait for room in the window, per connection; what comes on top is not sent
/// and is reported as load that could not be offered.
pub(crate) const BACKLOG_MAX: usize = 16_384;

/// Why a connection ended before the run did.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    #[error("the server closed the connection")]
    Closed,
    #[error("the server said goodbye with code {0}")]
    Goodbye(u32),
    #[error("the connection failed: {0}")]
    Io(io::ErrorKind),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("it did not come back: {0}")]
    Return(String),
}

#[derive(Debug, Clone, Copy, Default)]
struct Flight {
    lane: usize,
    counter: u64,
    planned_ns: u64,
    sent_ns: u64,
}

/// A stream that is sent here.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) lane: Lane,
    kind: usize,
    pub(crate) outbound: Outbound,
}

/// A stream that is heard here.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) lane: Lane,
    kind: usize,
    pub(crate) inbound: Inbound,
}

/// A conversation as it is seen here.
#[derive(Debug, Default)]
struct Slot {
    order: Order,
    receipt_due: bool,
    /// Streams of others are heard in it.
    heard: bool,
}

/// How a run's connections behave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manners {
    /// Number of the run.
    pub(crate) run: u32,
    /// Sends without an answer, at most.
    pub(crate) window: usize,
    /// Messages that each stream sends, at most.
    pub(crate) quota: u64,
    /// When receipts are sent.
    pub(crate) receipts: Receipts,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Connection<L> {
    pub(crate) stream: Stream,
    link: L,
    out: BytesMut,
    partial: Vec<u8>,
    free: Vec<Tag>,
    flights: Vec<Option<Flight>>,
    backlog: VecDeque<(usize, u64)>,
    pub(crate) sends: Vec<Sent>,
    /// In the order of streams.
    pub(crate) hears: Vec<Heard>,
    slots: Vec<Slot>,
    due: Vec<usize>,
    /// Receipts wait until then.
    receipts_from_ns: u64,
    next_lane: usize,
    damaged: u64,
    presence: Presence,
    /// The server told it to catch up, and it has not done so yet.
    shed: bool,
    manners: Manners,
    /// In the worker's list of connections to flush.
    pub(crate) dirty: bool,
    pub(crate) broken: Option<Broken>,
}

impl<L: Link> Connection<L> {
    /// The connection of `seat`, over a stream that does not block.
    pub(crate) fn new(
        stream: Stream,
        link: L,
        seat: &Seat,
        topology: &Topology,
        manners: Manners,
    ) -> Self {
        let kind = |lane: &Lane| topology.kind_of(lane.flow);
        let sends: Vec<Sent> = seat
            .sends
            .iter()
            .map(|lane| Sent { lane: *lane, kind: kind(lane), outbound: Outbound::default() })
            .collect();
        let hears = seat
            .hears
            .iter()
            .map(|lane| Heard { lane: *lane, kind: kind(lane), inbound: Inbound::default() })
            .collect();
        let window = if sends.is_empty() { 0 } else { manners.window };
        let mut slots: Vec<Slot> = seat.talks.iter().map(|_| Slot::default()).collect();
        seat.hears.iter().for_each(|lane| slots[lane.slot].heard = true);
        Self {
            stream,
            link,
            out: BytesMut::new(),
            partial: Vec::new(),
            free: (0..window as Tag).rev().collect(),
            flights: vec![None; window],
            backlog: VecDeque::new(),
            sends,
            hears,
            slots,
            due: Vec::new(),
            receipts_from_ns: 0,
            next_lane: 0,
            damaged: 0,
            presence: Presence::Here,
            shed: false,
            manners,
            dirty: false,
            broken: None,
        }
    }

    /// Sends that wait for an answer.
    pub(crate) fn in_flight(&self) -> usize {
        self.flights.len() - self.free.len()
    }

    /// True when nothing more is to come from this side.
    pub(crate) fn is_settled(&self) -> bool {
        self.broken.is_some() || (self.in_flight() == 0 && self.backlog.is_empty())
    }

    /// True when every stream has a quota and has used it up.
    pub(crate) fn is_spent(&self) -> bool {
        self.sends.iter().all(|sent| sent.outbound.sent() >= self.manners.quota)
    }

    /// What is wrong with what this connection saw, pairs apart.
    pub(crate) fn findings(&self) -> Findings {
        let mut findings = Findings { damaged: self.damaged, ..Findings::default() };
        for slot in &self.slots {
            findings.add(&slot.order.findings());
        }
        findings
    }

    /// Queues a send of stream `lane` of this seat when the window and the quota have room; false
    /// when they have not.
    pub(crate) fn send(&mut self, lane: usize, planned_ns: u64, now_ns: u64) -> bool {
        if !self.is_here() {
            return false;
        }
        let Some(sent) = self.sends.get_mut(lane) else {
            return false;
        };
        if sent.outbound.sent() >= self.manners.quota {
            return false;
        }
        let Some(tag) = self.free.pop() else {
            return false;
        };
        let counter = sent.outbound.next_counter();
        self.flights[usize::from(tag)] =
            Some(Flight { lane, counter, planned_ns, sent_ns: now_ns });
        let stamp = Stamp { run: self.manners.run, flow: sent.lane.flow, counter, planned_ns };
        self.link.encode_send(sent.lane.slot, tag, &stamp, &mut self.out);
        true
    }

    /// Queues a send of the stream whose turn it is, in the closed loop; false when nothing can
    /// be sent.
    pub(crate) fn send_next(&mut self, now_ns: u64) -> bool {
        for _ in 0..self.sends.len() {
            let lane = self.next_lane;
            self.next_lane = (lane + 1) % self.sends.len();
            if self.send(lane, now_ns, now_ns) {
                return true;
            }
            if self.free.is_empty() {
                return false;
            }
        }
        false
    }

    /// Keeps a planned send for when the window has room; false when too many wait.
    pub(crate) fn postpone(&mut self, lane: usize, planned_ns: u64) -> bool {
        let room = self.broken.is_none() && self.backlog.len() < BACKLOG_MAX;
        if room {
            self.backlog.push_back((lane, planned_ns));
        }
        room
    }

    /// Sends what was postponed, as far as the window goes; says how many.
    pub(crate) fn send_postponed(&mut self, now_ns: u64) -> u64 {
        let mut sent = 0;
        while let Some((lane, planned_ns)) = self.backlog.front().copied() {
            if !self.send(lane, planned_ns, now_ns) {
                break;
            }
            self.backlog.pop_front();
            sent += 1;
        }
        sent
    }

    /// Gives up what was postponed; says how many that were.
    pub(crate) fn drop_postponed(&mut self) -> u64 {
        let dropped = self.backlog.len() as u64;
        self.backlog.clear();
        dropped
    }

    /// Reads until the socket is empty.
    pub(crate) fn read(
        &mut self,
        scratch: &mut [u8],
        clock: &RunClock,
        text: &TextForm,
        tally: &mut Tally,
    ) {
        while self.broken.is_none()
            && self.presence != Presence::Away
            && self.read_some(scratch, clock, text, tally)
        {}
    }

    /// Reads once; false when the socket is empty.
    fn read_some(
        &mut self,
        scratch: &mut [u8],
        clock: &RunClock,
        text: &TextForm,
        tally: &mut Tally,
    ) -> bool {
        match self.stream.read(scratch) {
            Ok(0) => self.broken = Some(Broken::Closed),
            Ok(count) => {
                let now_ns = clock.now_ns();
                if let Err(error) = self.take(&scratch[..count], now_ns, text, tally) {
                    self.broken = Some(error);
                }
                // A read that did not fill the buffer emptied the socket: the next bytes make a
                // new edge.
                return count == scratch.len();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(error) => self.broken = Some(Broken::Io(error.kind())),
        }
        true
    }

    /// Writes what is queued, with the receipts that are due before it.
    pub(crate) fn flush(&mut self, now_ns: u64) {
        if self.may_receipt(now_ns) {
            self.receipts_from_ns = now_ns + self.manners.receipts.spacing_ns();
            for slot in self.due.drain(..) {
                self.slots[slot].receipt_due = false;
                self.link.encode_receipt(slot, self.slots[slot].order.last_seq(), &mut self.out);
            }
        }
        while self.broken.is_none() && !(self.out.is_empty() && self.stream.is_flushed()) {
            let written = if self.out.is_empty() {
                self.stream.flush().map(|()| 0)
            } else {
                self.stream.write(&self.out)
            };
            match written {
                Ok(count) if count == self.out.len() => self.out.clear(),
                Ok(count) => self.out.advance(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => self.broken = Some(Broken::Io(error.kind())),
            }
        }
    }

    /// True when bytes wait for the socket.
    pub(crate) fn has_output(&self, now_ns: u64) -> bool {
        self.may_receipt(now_ns) || !self.out.is_empty() || !self.stream.is_flushed()
    }

    /// True when receipts are due and may go. Who leaves says what it has seen.
    pub(crate) fn may_receipt(&self, now_ns: u64) -> bool {
        !self.due.is_empty() && (now_ns >= self.receipts_from_ns || self.is_absent())
    }

    /// Ends the connection's part in the run: what is still in flight was not acknowledged. Says
    /// how many sends that were.
    pub(crate) fn finish(&mut self) -> u64 {
        let mut open = 0;
        for flight in self.flights.iter_mut().filter_map(Option::take) {
            self.sends[flight.lane].outbound.note_not_acked(flight.counter);
            open += 1;
        }
        open
    }

    fn take(
        &mut self,
        bytes: &[u8],
        now_ns: u64,
        text: &TextForm,
        tally: &mut Tally,
    ) -> Result<(), Broken> {
        let mut partial = std::mem::take(&mut self.partial);
        if partial.is_empty() {
            let used = self.take_events(bytes, now_ns, text, tally)?;
            partial.extend_from_slice(&bytes[used..]);
        } else {
            partial.extend_from_slice(bytes);
            let used = self.take_events(&partial, now_ns, text, tally)?;
            partial.drain(..used);
        }
        self.partial = partial;
        self.link.encode_upkeep(&mut self.out);
        Ok(())
    }

    fn take_events(
        &mut self,
        bytes: &[u8],
        now_ns: u64,
        text: &TextForm,
        tally: &mut Tally,
    ) -> Result<usize, Broken> {
        let mut used = 0;
        while let Some((len, event)) = self.link.parse(&bytes[used..])? {
            used += len;
            match event {
                Event::Acked { tag, seq } => {
                    let flight = self.land(tag)?;
                    let sent = &mut self.sends[flight.lane];
                    sent.outbound.note_ack(flight.counter, seq);
                    let slot = &mut self.slots[sent.lane.slot];
                    if slot.heard {
                        slot.order.note_own(seq);
                    }
                    tally.note_ack(
                        sent.kind,
                        now_ns.saturating_sub(flight.planned_ns),
                        now_ns.saturating_sub(flight.sent_ns),
                        sent.lane.receivers,
                    );
                }
                Event::Closing { code } => return Err(Broken::Goodbye(code)),
                Event::Delivered { seq, text: sent } => {
                    let stamp = text.read(sent);
                    self.deliver(seq, stamp, now_ns, tally);
                }
                Event::Other => {}
                Event::Presence => tally.presences += 1,
                Event::Refused { tag, code } => {
                    let flight = self.land(tag)?;
                    self.sends[flight.lane].outbound.note_not_acked(flight.counter);
                    tally.note_refusal(code);
                }
                Event::Shed => self.note_shed(),
            }
        }
        Ok(used)
    }

    fn land(&mut self, tag: Tag) -> Result<Flight, Broken> {
        let flight = self
            .flights
            .get_mut(usize::from(tag))
            .and_then(Option::take)
            .ok_or(LinkError::Unexpected("an answer to nothing"))?;
        self.free.push(tag);
        Ok(flight)
    }

    /// Pushes were dropped: nothing says of which conversation.
    fn note_shed(&mut self) {
        self.shed = true;
        self.hears.iter_mut().for_each(|heard| heard.inbound.note_shed());
        self.slots.iter_mut().for_each(|slot| slot.order.note_shed());
    }

    fn deliver(&mut self, seq: u64, stamp: Option<Stamp>, now_ns: u64, tally: &mut Tally) {
        let Some(stamp) = stamp else {
            self.damaged += 1;
            return;
        };
        if stamp.run != self.manners.run {
            // A message of an earlier run that its receiver had not seen.
            return;
        }
        let Ok(at) = self.hears.binary_search_by_key(&stamp.flow, |heard| heard.lane.flow) else {
            self.damaged += 1;
            return;
        };
        let heard = &mut self.hears[at];
        let slot = heard.lane.slot;
        let state = &mut self.slots[slot];
        if heard.inbound.note(stamp.counter, seq) {
            state.order.note(seq);
            tally.note_delivery(heard.kind, now_ns.saturating_sub(stamp.planned_ns));
            tally.spread.note(stamp.flow, stamp.counter, now_ns);
        }
        match self.manners.receipts {
            Receipts::Batch | Receipts::Read => {
                if !std::mem::replace(&mut state.receipt_due, true) {
                    self.due.push(slot);
                }
            }
            Receipts::Each => {
                self.link.encode_receipt(slot, state.order.last_seq(), &mut self.out);
            }
            Receipts::None => {}
        }
    }
}
