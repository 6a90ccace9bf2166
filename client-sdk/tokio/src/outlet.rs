//! Where events leave the client: in order, and no faster than those who
//! subscribed take them.
//!
//! ```text
//!   send ▸ held (≤ 4 × max) ▸ broadcast (≤ max) ▸ every subscriber
//! ```
//!
//! Owns the queue that the subscribers share. What is missed comes in pages of
//! several conversations at once, more than the queue has room for: the rest is
//! held until the slowest subscriber has made room. No event is held for longer
//! than a second, so nobody waits longer for somebody else: then the slowest
//! loses the oldest events and is told how many, and is not waited for again
//! before it has caught up with half of the queue. Handles, lists and timelines
//! never wait for anybody here.

use std::collections::VecDeque;
use std::time::Duration;

use hongyan_client_core::{Event, Listening};
use tokio::sync::broadcast;
use tokio::time::Instant;

/// How long an event is held for the slowest subscriber.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often is looked whether there is room again.
const LOOK: Duration = Duration::from_millis(5);
/// Events held for those who are slow, in queues.
const HELD_QUEUES: usize = 4;

pub(crate) struct Outlet {
    queue: broadcast::Sender<Event>,
    max: usize,
    /// What found no room yet, with the moment when it happened.
    held: VecDeque<(Instant, Event)>,
    /// Whether the slowest is not waited for.
    gave_up: bool,
}

impl Outlet {
    /// `max` is at least 1.
    pub(crate) fn new(max: usize) -> Self {
        Self { queue: broadcast::Sender::new(max), max, held: VecDeque::new(), gave_up: false }
    }

    /// What new subscriptions are made from.
    pub(crate) fn downgrade(&self) -> broadcast::WeakSender<Event> {
        self.queue.downgrade()
    }

    /// Whether anybody subscribes, and whether the slowest of them has room
    /// for more of what was missed.
    pub(crate) fn listening(&self) -> Listening {
        if self.queue.receiver_count() == 0 {
            Listening::No
        } else if !self.held.is_empty() || self.queue.len() > self.max / 2 {
            Listening::Busy
        } else {
            Listening::Yes
        }
    }

    /// Takes the next event; [`Outlet::pump`] passes it on.
    pub(crate) fn send(&mut self, now: Instant, event: Event) {
        if self.queue.receiver_count() > 0 {
            self.held.push_back((now, event));
        }
    }

    /// Passes on what there is room for, and what is waited for no longer.
    pub(crate) fn pump(&mut self, now: Instant) {
        if self.queue.receiver_count() == 0 {
            self.held.clear();
        }
        let queued = self.queue.len();
        if queued <= self.max / 2 {
            self.gave_up = false;
        }
        self.pass_on(self.max.saturating_sub(queued));
        let Some((oldest, _)) = self.held.front() else {
            return;
        };
        if self.gave_up
            || self.held.len() > self.max.saturating_mul(HELD_QUEUES)
            || now.saturating_duration_since(*oldest) >= PATIENCE
        {
            self.gave_up = true;
            self.pass_on(usize::MAX);
        }
    }

    /// Passes on everything, whoever has room.
    pub(crate) fn flush(&mut self) {
        self.pass_on(usize::MAX);
    }

    /// When to look again; `None` while nothing is held.
    pub(crate) fn deadline(&self, now: Instant) -> Option<Instant> {
        (!self.held.is_empty()).then(|| now + LOOK)
    }

    fn pass_on(&mut self, count: usize) {
        for (_, event) in self.held.drain(..count.min(self.held.len())) {
            // An error says that nobody is subscribed any more.
            self.queue.send(event).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use hongyan_client_core::ConversationId;
    use hongyan_protocol::ids::GroupId;
    use tokio::sync::broadcast::error::TryRecvError;

    use super::*;

    fn event(number: u64) -> Event {
        Event::ConversationChanged(ConversationId::Group(GroupId::new(number).expect("not zero")))
    }

    fn send(outlet: &mut Outlet, numbers: std::ops::RangeInclusive<u64>, now: Instant) {
        for number in numbers {
            outlet.send(now, event(number));
        }
        outlet.pump(now);
    }

    fn read(receiver: &mut broadcast::Receiver<Event>) -> usize {
        std::iter::from_fn(|| receiver.try_recv().ok()).count()
    }

    fn subscribed(max: usize) -> (Outlet, broadcast::Receiver<Event>, Instant) {
        let outlet = Outlet::new(max);
        let receiver = outlet.downgrade().upgrade().expect("it is open").subscribe();
        (outlet, receiver, Instant::now())
    }

    #[test]
    fn a_burst_waits_for_a_subscriber_that_reads() {
        let (mut outlet, mut receiver, now) = subscribed(8);
        send(&mut outlet, 1..=30, now);
        let mut told = 0;
        for step in 1..=4 {
            told += read(&mut receiver);
            outlet.pump(now + PATIENCE / 8 * step);
        }
        told += read(&mut receiver);
        assert_eq!(told, 30);
        assert_eq!(outlet.deadline(now), None);
        assert_eq!(outlet.listening(), Listening::Yes);
    }

    #[test]
    fn who_stands_still_loses_the_oldest_and_is_not_waited_for_again() {
        let (mut outlet, mut receiver, now) = subscribed(8);
        send(&mut outlet, 1..=20, now);
        assert!(outlet.deadline(now).is_some());
        assert_eq!(outlet.listening(), Listening::Busy);
        outlet.pump(now + PATIENCE);
        assert_eq!(outlet.deadline(now), None);
        send(&mut outlet, 21..=22, now + PATIENCE);
        assert_eq!(outlet.deadline(now), None, "it was given up");
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Lagged(14)));
        assert_eq!(read(&mut receiver), 8);
        // It has caught up: it is waited for again.
        send(&mut outlet, 23..=40, now + PATIENCE);
        assert!(outlet.deadline(now).is_some());
        assert_eq!(read(&mut receiver), 8);
    }

    #[test]
    fn one_that_reads_slowly_does_not_hold_up_another_for_long() {
        let (mut outlet, mut slow, now) = subscribed(8);
        let mut fast = outlet.downgrade().upgrade().expect("it is open").subscribe();
        send(&mut outlet, 1..=20, now);
        let mut told = 0;
        for step in 1..=10 {
            told += read(&mut fast);
            slow.try_recv().ok();
            outlet.pump(now + PATIENCE / 10 * step);
        }
        assert_eq!(told + read(&mut fast), 20);
        assert_eq!(slow.try_recv(), Err(TryRecvError::Lagged(2)));
    }

    #[test]
    fn what_is_held_has_a_limit() {
        let (mut outlet, mut receiver, now) = subscribed(8);
        send(&mut outlet, 1..=40, now);
        assert_eq!(outlet.held.len(), 8 * HELD_QUEUES);
        send(&mut outlet, 41..=41, now);
        assert_eq!(outlet.held.len(), 0);
        assert_eq!(receiver.try_recv(), Err(TryRecvError::Lagged(33)));
    }

    #[test]
    fn nothing_is_held_for_nobody() {
        let (mut outlet, receiver, now) = subscribed(8);
        send(&mut outlet, 1..=20, now);
        drop(receiver);
        outlet.pump(now);
        assert_eq!(outlet.deadline(now), None);
        send(&mut outlet, 1..=20, now);
        assert_eq!((outlet.deadline(now), outlet.listening()), (None, Listening::No));
    }
}
