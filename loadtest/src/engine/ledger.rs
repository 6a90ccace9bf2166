//! What was sent, acknowledged and received by each pair, and whether it is what was promised.
//!
//! Owns the proof, not the statistics: every message from the first on, warm-up included. A pair
//! is a flow and one seat that hears it. A sender's [`Outbound`] and its receiver's [`Inbound`]
//! may live on different threads; they meet in [`Findings::of_pair`] once the run is over. The
//! order of a conversation, in which several flows may meet, is an [`Order`] of its receiver.
//!
//! # Invariants
//! - Memory is bounded: at most [`HELD_MAX`] exceptional counters are remembered per pair; what
//!   goes beyond is counted and makes the run fail all the same.
//! - A lost message is one that was acknowledged and did not arrive.
//! - A seq of zero says that the server numbers nothing; nothing is proven about seqs then.

use std::collections::BTreeSet;

use hongyan_protocol::ids::mix64;
use serde::{Deserialize, Serialize};

/// Exceptional counters remembered per pair.
pub const HELD_MAX: usize = 65_536;

/// A sender's side of a pair.
#[derive(Debug, Default)]
pub struct Outbound {
    sent: u64,
    acked: u64,
    fingerprint: u64,
    not_acked: BTreeSet<u64>,
    overflow: u64,
}

impl Outbound {
    /// The counter of the next message; counts it as sent.
    pub fn next_counter(&mut self) -> u64 {
        self.sent += 1;
        self.sent - 1
    }

    /// Messages sent so far.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Messages acknowledged so far.
    #[must_use]
    pub const fn acked(&self) -> u64 {
        self.acked
    }

    /// The server said that the message is stored as `seq`.
    pub const fn note_ack(&mut self, counter: u64, seq: u64) {
        self.acked += 1;
        self.fingerprint = self.fingerprint.wrapping_add(print_of(counter, seq));
    }

    /// The server refused the message, or the run ended before an answer.
    pub fn note_not_acked(&mut self, counter: u64) {
        hold(&mut self.not_acked, &mut self.overflow, counter);
    }
}

/// A receiver's side of a pair.
#[derive(Debug, Default)]
pub struct Inbound {
    delivered: u64,
    next_counter: u64,
    fingerprint: u64,
    missing: BTreeSet<u64>,
    overflow: u64,
    duplicates: u64,
    reordered: u64,
    sheds: u64,
}

/// The seqs of one conversation as one receiver sees them: those pushed to it, and, where it sends
/// into the conversation as well, those that its sends were acknowledged with.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Order {
    lowest: u64,
    highest: u64,
    count: u64,
    last_pushed: u64,
    /// Where it began, when that is known.
    begun: bool,
    held: u64,
    /// Seqs above `held` that came before what is between; only when it has begun.
    beyond: BTreeSet<u64>,
    /// Pushes at or below an earlier one.
    backwards: u64,
    sheds: u64,
}

impl Order {
    /// The highest seq that was pushed.
    #[must_use]
    pub const fn last_seq(&self) -> u64 {
        self.last_pushed
    }

    /// A message was pushed for the first time.
    pub fn note(&mut self, seq: u64) {
        if seq == 0 {
            return;
        }
        self.backwards += u64::from(seq <= self.last_pushed);
        self.last_pushed = self.last_pushed.max(seq);
        self.count_in(seq);
    }

    /// A send of this receiver was acknowledged. Acks and pushes come in either order.
    pub fn note_own(&mut self, seq: u64) {
        if seq != 0 {
            self.count_in(seq);
        }
    }

    /// The conversation stands at `seq`, zero when nothing is in it: the next message is the one
    /// after it. Before anything else.
    pub fn begin_at(&mut self, seq: u64) {
        self.begun = true;
        self.held = seq;
        self.count_in(seq);
    }

    /// The highest seq since the beginning below which nothing is missing; meaningful only when it
    /// was said where that is.
    #[must_use]
    pub const fn held(&self) -> u64 {
        self.held
    }

    /// A message was fetched that may have been pushed before.
    pub fn fill(&mut self, seq: u64) {
        if seq > self.held && !self.beyond.contains(&seq) {
            self.last_pushed = self.last_pushed.max(seq);
            self.count_in(seq);
        }
    }

    fn count_in(&mut self, seq: u64) {
        self.lowest = if self.count == 0 { seq } else { self.lowest.min(seq) };
        self.highest = self.highest.max(seq);
        self.count += 1;
        if self.begun && seq == self.held + 1 {
            self.held = seq;
            while self.beyond.remove(&(self.held + 1)) {
                self.held += 1;
            }
        } else if self.begun && seq > self.held && self.beyond.len() < HELD_MAX {
            self.beyond.insert(seq);
        }
    }

    /// What was dropped has been fetched.
    pub const fn forget_shed(&mut self) {
        self.sheds = 0;
    }

    /// The server said that it dropped pushes to this receiver.
    pub const fn note_shed(&mut self) {
        self.sheds += 1;
    }

    /// What is wrong with it.
    #[must_use]
    pub fn findings(&self) -> Findings {
        let span = if self.count == 0 { 0 } else { self.highest - self.lowest + 1 };
        let breaks = self.backwards + span.abs_diff(self.count);
        Findings { seq_breaks: if self.sheds == 0 { breaks } else { 0 }, ..Findings::default() }
    }
}

impl Inbound {
    /// Messages of this pair that arrived, each counted once.
    #[must_use]
    pub const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// A message of this pair arrived. True when it is the first time.
    pub fn note(&mut self, counter: u64, seq: u64) -> bool {
        if counter >= self.next_counter {
            for missing in self.next_counter..counter {
                if self.missing.len() == HELD_MAX {
                    self.overflow += counter - missing;
                    break;
                }
                self.missing.insert(missing);
            }
            self.next_counter = counter + 1;
        } else if self.missing.remove(&counter) {
            self.reordered += 1;
        } else {
            self.duplicates += 1;
            return false;
        }
        self.delivered += 1;
        self.fingerprint = self.fingerprint.wrapping_add(print_of(counter, seq));
        true
    }

    /// A message of this pair was fetched that may have been pushed before. True when it was not.
    pub fn fill(&mut self, counter: u64, seq: u64) -> bool {
        let known = counter < self.next_counter && !self.missing.contains(&counter);
        if known {
            return false;
        }
        // To come later than those after it is no fault here.
        let reordered = self.reordered;
        let new = self.note(counter, seq);
        self.reordered = reordered;
        new
    }

    /// The server said that it dropped pushes to this receiver, who must catch up.
    pub const fn note_shed(&mut self) {
        self.sheds += 1;
    }

    /// What was dropped has been fetched: what is still missing now is lost.
    pub const fn forget_shed(&mut self) {
        self.sheds = 0;
    }
}

/// What is wrong, summed over pairs. All zero is what a run must show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// Acknowledged, and never arrived at a receiver that was not told to catch up.
    pub lost: u64,
    /// Acknowledged, not pushed to a receiver that was told to catch up: not lost, but this
    /// generator does not fetch them, so nothing is proven about them.
    pub shed: u64,
    /// Arrived more than once.
    pub duplicates: u64,
    /// Arrived after a message that was sent later.
    pub reordered: u64,
    /// Arrived with other bytes than were sent, or at a seat that does not hear the flow.
    pub damaged: u64,
    /// Seqs of a conversation that a receiver neither saw nor caused between those that it did, or
    /// that came in another order.
    pub seq_breaks: u64,
    /// Pairs whose receiver saw other seqs than the sender's acks named.
    pub seq_disagreements: u64,
    /// Sent and neither acknowledged nor refused when the run ended.
    pub unanswered: u64,
}

impl Findings {
    /// Judges one pair: what `from` sent must be what `to` received.
    #[must_use]
    pub fn of_pair(from: &Outbound, to: &Inbound) -> Self {
        let tail = (to.next_counter..from.sent).filter(|counter| !from.not_acked.contains(counter));
        let holes = to.missing.iter().filter(|counter| !from.not_acked.contains(counter));
        let absent = tail.count() as u64 + holes.count() as u64 + to.overflow + from.overflow;
        let complete = absent == 0 && from.acked == to.delivered;
        let (lost, shed) = if to.sheds == 0 { (absent, 0) } else { (0, absent) };
        Self {
            lost,
            shed,
            duplicates: to.duplicates,
            reordered: to.reordered,
            seq_disagreements: u64::from(complete && from.fingerprint != to.fingerprint),
            ..Self::default()
        }
    }

    /// Adds what another pair showed.
    pub const fn add(&mut self, other: &Self) {
        self.lost += other.lost;
        self.shed += other.shed;
        self.duplicates += other.duplicates;
        self.reordered += other.reordered;
        self.damaged += other.damaged;
        self.seq_breaks += other.seq_breaks;
        self.seq_disagreements += other.seq_disagreements;
        self.unanswered += other.unanswered;
    }

    /// True when the server broke no promise. What was shed is no broken promise.
    #[must_use]
    pub const fn promises_kept(&self) -> bool {
        self.lost == 0
            && self.duplicates == 0
            && self.reordered == 0
            && self.damaged == 0
            && self.seq_breaks == 0
            && self.seq_disagreements == 0
            && self.unanswered == 0
    }
}

const fn print_of(counter: u64, seq: u64) -> u64 {
    if seq == 0 { 0 } else { mix64(counter ^ mix64(seq)) }
}

fn hold(held: &mut BTreeSet<u64>, overflow: &mut u64, counter: u64) {
    if held.len() < HELD_MAX {
        held.insert(counter);
    } else {
        *overflow += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pair that sent `sent` messages, all acknowledged in order with seqs from 1, of which
    /// the receiver saw `arrived` (counter, seq).
    fn judge(sent: u64, arrived: &[(u64, u64)]) -> Findings {
        let mut from = Outbound::default();
        for _ in 0..sent {
            let counter = from.next_counter();
            from.note_ack(counter, counter + 1);
        }
        let mut to = Inbound::default();
        for (counter, seq) in arrived {
            to.note(*counter, *seq);
        }
        Findings::of_pair(&from, &to)
    }

    #[test]
    fn what_arrived_in_order_and_once_is_kept() {
        let findings = judge(3, &[(0, 1), (1, 2), (2, 3)]);
        assert_eq!(findings, Findings::default());
        assert!(findings.promises_kept());
    }

    #[test]
    fn holes_and_tails_are_losses() {
        assert_eq!(judge(3, &[(0, 1), (2, 3)]).lost, 1);
        assert_eq!(judge(3, &[(0, 1)]).lost, 2);
        assert_eq!(judge(3, &[]).lost, 3);
    }

    #[test]
    fn late_and_double_messages_are_told_apart() {
        let late = judge(3, &[(0, 1), (2, 3), (1, 2)]);
        assert_eq!((late.lost, late.reordered, late.duplicates), (0, 1, 0));
        let double = judge(2, &[(0, 1), (1, 2), (1, 2)]);
        assert_eq!((double.lost, double.reordered, double.duplicates), (0, 0, 1));
        assert!(!late.promises_kept() && !double.promises_kept());
    }

    #[test]
    fn other_seqs_than_the_acks_named_are_noticed() {
        let findings = judge(2, &[(0, 5), (1, 6)]);
        assert_eq!(findings.seq_disagreements, 1);
        assert_eq!(judge(2, &[(0, 0), (1, 0)]).seq_disagreements, 1);
    }

    #[test]
    fn seqs_of_a_conversation_rise_by_one() {
        let breaks = |seqs: &[u64]| {
            let mut order = Order::default();
            seqs.iter().for_each(|seq| order.note(*seq));
            order.findings().seq_breaks
        };
        assert_eq!(breaks(&[7, 8, 9]), 0);
        assert_eq!(breaks(&[7, 9, 10]), 1);
        assert_eq!(breaks(&[7, 9, 8]), 1);
        assert_eq!(breaks(&[0, 0, 0]), 0);
        let mut shed = Order::default();
        shed.note(1);
        shed.note_shed();
        shed.note(5);
        assert_eq!((shed.findings().seq_breaks, shed.last_seq()), (0, 5));
    }

    #[test]
    fn own_sends_fill_the_gaps_between_pushes() {
        let mut order = Order::default();
        for seq in [6, 7, 9] {
            order.note(seq);
        }
        assert_eq!(order.findings().seq_breaks, 1);
        for seq in [4, 5, 8] {
            order.note_own(seq);
        }
        assert_eq!((order.findings().seq_breaks, order.last_seq()), (0, 9));
    }

    #[test]
    fn what_was_fetched_fills_the_gaps_and_is_counted_once() {
        let mut order = Order::default();
        order.begin_at(5);
        for seq in [6, 9, 10] {
            order.note(seq);
        }
        order.note_shed();
        assert_eq!(order.held(), 6);
        for seq in 7..=12 {
            order.fill(seq);
        }
        order.forget_shed();
        order.note(13);
        assert_eq!((order.findings().seq_breaks, order.held(), order.last_seq()), (0, 13, 13));

        let mut from = Outbound::default();
        let mut to = Inbound::default();
        for counter in 0..5 {
            from.next_counter();
            from.note_ack(counter, counter + 6);
        }
        assert!(to.note(0, 6) && to.note(3, 9));
        to.note_shed();
        let filled: Vec<bool> = (1..5).map(|counter| to.fill(counter, counter + 6)).collect();
        assert_eq!(filled, [true, true, false, true]);
        to.forget_shed();
        assert_eq!(Findings::of_pair(&from, &to), Findings::default());
        from.next_counter();
        from.note_ack(5, 11);
        assert_eq!(Findings::of_pair(&from, &to).lost, 1);
    }

    #[test]
    fn a_conversation_that_began_empty_is_held_from_its_first_message() {
        let mut order = Order::default();
        order.begin_at(0);
        order.note_own(2);
        assert_eq!(order.held(), 0);
        order.note(1);
        assert_eq!((order.held(), order.findings().seq_breaks), (2, 0));
    }

    #[test]
    fn refused_messages_are_not_losses() {
        let mut from = Outbound::default();
        let (first, second) = (from.next_counter(), from.next_counter());
        from.note_not_acked(first);
        from.note_ack(second, 1);
        let mut to = Inbound::default();
        to.note(second, 1);
        assert!(Findings::of_pair(&from, &to).promises_kept());
    }

    #[test]
    fn a_receiver_that_was_told_to_catch_up_lost_nothing() {
        let mut from = Outbound::default();
        for _ in 0..2 {
            let counter = from.next_counter();
            from.note_ack(counter, counter + 1);
        }
        let mut to = Inbound::default();
        to.note(0, 1);
        to.note_shed();
        let findings = Findings::of_pair(&from, &to);
        assert_eq!((findings.lost, findings.shed), (0, 1));
        assert!(findings.promises_kept());
    }
}
