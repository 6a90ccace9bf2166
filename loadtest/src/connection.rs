//! One connection of a run: its socket, its window of sends, and what it has seen.
//!
//! Owns the bytes both ways and both halves of the ledger that end here. Knows no schedule: the
//! worker says when to send.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use bytes::{Buf, BytesMut};
use mio::net::TcpStream;

use crate::clock::RunClock;
use crate::driver::{Event, Link, LinkError, Tag};
use crate::ledger::{Inbound, Outbound};
use crate::payload::{Stamp, TextForm};
use crate::plan::Receipts;
use crate::worker::Tally;

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
}

#[derive(Debug, Clone, Copy, Default)]
struct Flight {
    counter: u64,
    planned_ns: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Connection<L> {
    pub(crate) stream: TcpStream,
    link: L,
    out: BytesMut,
    partial: Vec<u8>,
    free: Vec<Tag>,
    flights: Vec<Option<Flight>>,
    backlog: VecDeque<u64>,
    pub(crate) outbound: Outbound,
    pub(crate) inbound: Inbound,
    run: u32,
    index: u32,
    from: u32,
    quota: u64,
    receipts: Receipts,
    receipt_due: bool,
    /// In the worker's list of connections to flush.
    pub(crate) dirty: bool,
    pub(crate) broken: Option<Broken>,
}

/// Who a connection is in its ring.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) run: u32,
    pub(crate) index: usize,
    pub(crate) ring: usize,
}

impl<L: Link> Connection<L> {
    pub(crate) fn new(
        stream: TcpStream,
        link: L,
        place: Place,
        window: usize,
        quota: u64,
        receipts: Receipts,
    ) -> Self {
        Self {
            stream,
            link,
            out: BytesMut::new(),
            partial: Vec::new(),
            free: (0..window as Tag).rev().collect(),
            flights: vec![None; window],
            backlog: VecDeque::new(),
            outbound: Outbound::default(),
            inbound: Inbound::default(),
            run: place.run,
            index: place.index as u32,
            from: ((place.index + place.ring - 1) % place.ring) as u32,
            quota,
            receipts,
            receipt_due: false,
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

    /// True when there is a quota.
    pub(crate) fn is_limited(&self) -> bool {
        self.quota != u64::MAX
    }

    /// True when the quota is used up.
    pub(crate) fn is_spent(&self) -> bool {
        self.outbound.sent() >= self.quota
    }

    /// Queues a send when the window and the quota have room; false when they have not.
    pub(crate) fn send(&mut self, planned_ns: u64) -> bool {
        if self.broken.is_some() || self.is_spent() {
            return false;
        }
        let Some(tag) = self.free.pop() else {
            return false;
        };
        let counter = self.outbound.next_counter();
        self.flights[usize::from(tag)] = Some(Flight { counter, planned_ns });
        let stamp = Stamp { run: self.run, sender: self.index, counter, planned_ns };
        self.link.encode_send(tag, &stamp, &mut self.out);
        true
    }

    /// Keeps a planned send for when the window has room; false when too many wait.
    pub(crate) fn postpone(&mut self, planned_ns: u64) -> bool {
        let room = self.broken.is_none() && self.backlog.len() < BACKLOG_MAX;
        if room {
            self.backlog.push_back(planned_ns);
        }
        room
    }

    /// Sends what was postponed, as far as the window goes; says how many.
    pub(crate) fn send_postponed(&mut self) -> u64 {
        let mut sent = 0;
        while let Some(planned_ns) = self.backlog.front().copied() {
            if !self.send(planned_ns) {
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
        while self.broken.is_none() {
            match self.stream.read(scratch) {
                Ok(0) => self.broken = Some(Broken::Closed),
                Ok(count) => {
                    let now_ns = clock.now_ns();
                    if let Err(error) = self.take(&scratch[..count], now_ns, text, tally) {
                        self.broken = Some(error);
                    }
                    // A read that did not fill the buffer emptied the socket: the next bytes
                    // make a new edge.
                    if count < scratch.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => self.broken = Some(Broken::Io(error.kind())),
            }
        }
    }

    /// Writes what is queued, with the receipt that is due before it.
    pub(crate) fn flush(&mut self) {
        if std::mem::take(&mut self.receipt_due) {
            self.link.encode_receipt(self.inbound.last_seq(), &mut self.out);
        }
        while self.broken.is_none() && !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(count) if count == self.out.len() => self.out.clear(),
                Ok(count) => self.out.advance(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => self.broken = Some(Broken::Io(error.kind())),
            }
        }
    }

    /// True when bytes wait for the socket.
    pub(crate) fn has_output(&self) -> bool {
        self.receipt_due || !self.out.is_empty()
    }

    /// Ends the connection's part in the run: what is still in flight was not acknowledged. Says
    /// how many sends that were.
    pub(crate) fn finish(&mut self) -> u64 {
        let mut open = 0;
        for flight in self.flights.iter_mut().filter_map(Option::take) {
            self.outbound.note_not_acked(flight.counter);
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
                    self.outbound.note_ack(flight.counter, seq);
                    tally.note_ack(now_ns.saturating_sub(flight.planned_ns));
                }
                Event::Closing { code } => return Err(Broken::Goodbye(code)),
                Event::Delivered { seq, text: sent } => {
                    self.deliver(seq, text.read(sent), now_ns, tally);
                }
                Event::Other => {}
                Event::Refused { tag, code } => {
                    let flight = self.land(tag)?;
                    self.outbound.note_not_acked(flight.counter);
                    tally.note_refusal(code);
                }
                Event::Shed => self.inbound.note_shed(),
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

    fn deliver(&mut self, seq: u64, stamp: Option<Stamp>, now_ns: u64, tally: &mut Tally) {
        let Some(stamp) = stamp else {
            self.inbound.note_damaged();
            return;
        };
        if stamp.run != self.run {
            // A message of an earlier run that its receiver had not seen.
            return;
        }
        if stamp.sender != self.from {
            self.inbound.note_damaged();
            return;
        }
        if self.inbound.note(stamp.counter, seq) {
            tally.note_delivery(now_ns.saturating_sub(stamp.planned_ns));
        }
        match self.receipts {
            Receipts::Batch => self.receipt_due = true,
            Receipts::Each => {
                let seq = self.inbound.last_seq();
                self.link.encode_receipt(seq, &mut self.out);
            }
            Receipts::None => {}
        }
    }
}
