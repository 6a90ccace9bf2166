//! A connection whose seat goes away and comes back.
//!
//! Owns the way out and back in: what is noted of the streams stays, the socket and its bytes do
//! not.

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use crate::clock::RunClock;
use crate::driver::{Link, Missed, Return};
use crate::engine::connection::{Broken, Connection};
use crate::engine::payload::TextForm;
use crate::engine::tally::Tally;
use crate::plan::Receipts;

/// Where a seat is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Presence {
    #[default]
    Here,
    /// Sends nothing more and waits for its answers.
    Leaving,
    /// Has no connection.
    Away,
}

impl<L: Link> Connection<L> {
    /// Says where the seat's talks stand: by slot the seq of the newest message there.
    pub(crate) fn begin_at(&mut self, held: &[u64]) {
        for (slot, seq) in self.slots.iter_mut().zip(held) {
            slot.order.begin_at(*seq);
        }
    }

    /// True when it sends and hears.
    pub(crate) fn is_here(&self) -> bool {
        self.presence == Presence::Here && self.broken.is_none()
    }

    /// True when it is about to leave, away, or coming back.
    pub(crate) fn is_absent(&self) -> bool {
        self.presence != Presence::Here
    }

    /// True when the server has told it to catch up.
    pub(crate) const fn was_shed(&self) -> bool {
        self.shed
    }

    /// By slot: the highest seq below which it has no gap.
    pub(crate) fn held(&self) -> Vec<u64> {
        self.slots.iter().map(|slot| slot.order.held()).collect()
    }

    /// Sends nothing from now on, so that it can [`hang_up`](Self::hang_up) soon. Gives the number
    /// of planned sends that are given up with it.
    pub(crate) fn leave(&mut self) -> u64 {
        self.presence = Presence::Leaving;
        self.drop_postponed()
    }

    /// Ends the connection. What the server sent and nobody has read is lost, as it is to a client
    /// that is switched off.
    pub(crate) fn hang_up(&mut self, registry: &Registry) {
        self.presence = Presence::Away;
        // A slow reader was not registered.
        let _ = registry.deregister(&mut SourceFd(&self.stream.raw_fd()));
        // The server may have closed it first.
        let _ = self.stream.socket().shutdown(std::net::Shutdown::Both);
        self.partial.clear();
        self.out.clear();
        for slot in self.due.drain(..) {
            self.slots[slot].receipt_due = false;
        }
    }

    /// Takes over a new session and what was missed; says how many messages that were.
    pub(crate) fn come_back(
        &mut self,
        returned: Return<L>,
        local: usize,
        registry: &Registry,
        text: &TextForm,
        tally: &mut Tally,
    ) -> u64 {
        let mut caught_up = 0;
        for missed in &returned.missed {
            caught_up += u64::from(self.take_missed(missed, text, tally));
        }
        self.hears.iter_mut().for_each(|heard| heard.inbound.forget_shed());
        self.slots.iter_mut().for_each(|slot| slot.order.forget_shed());
        self.shed = false;
        self.link = returned.link;
        match returned.stream.into_nonblocking() {
            Ok(stream) => self.stream = stream,
            Err(error) => self.broken = Some(Broken::Io(error.kind())),
        }
        let interest = Interest::READABLE | Interest::WRITABLE;
        let fd = self.stream.raw_fd();
        if let Err(error) = registry.register(&mut SourceFd(&fd), Token(local), interest) {
            self.broken = Some(Broken::Io(error.kind()));
        }
        self.presence = Presence::Here;
        caught_up
    }

    pub(crate) fn fail_to_return(&mut self, reason: String) {
        self.broken = Some(Broken::Return(reason));
    }

    /// Reads once into `scratch`, which a slow reader chooses small.
    pub(crate) fn read_once(
        &mut self,
        scratch: &mut [u8],
        clock: &RunClock,
        text: &TextForm,
        tally: &mut Tally,
    ) {
        if self.broken.is_none() && self.presence != Presence::Away {
            self.read_some(scratch, clock, text, tally);
        }
    }

    /// True when it is a message of this run that was not there before.
    fn take_missed(&mut self, missed: &Missed, text: &TextForm, tally: &mut Tally) -> bool {
        let Some(slot) = self.slots.get_mut(missed.slot) else {
            return false;
        };
        slot.order.fill(missed.seq);
        let Some(stamp) = text.read(&missed.text) else {
            // What has no text is an event of the server.
            self.damaged += u64::from(!missed.text.is_empty());
            return false;
        };
        if stamp.run != self.manners.run {
            return false;
        }
        let Ok(at) = self.hears.binary_search_by_key(&stamp.flow, |heard| heard.lane.flow) else {
            let own = self.sends.iter().any(|sent| sent.lane.flow == stamp.flow);
            self.damaged += u64::from(!own);
            return false;
        };
        if !self.hears[at].inbound.fill(stamp.counter, missed.seq) {
            return false;
        }
        if self.manners.receipts != Receipts::None
            && !std::mem::replace(&mut self.slots[missed.slot].receipt_due, true)
        {
            self.due.push(missed.slot);
        }
        tally.note_caught_up();
        true
    }
}
