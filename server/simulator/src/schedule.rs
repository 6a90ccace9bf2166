//! Virtual time: what happens next.
//!
//! Owns the clock and the queue of events to come. Two events of the same
//! moment happen in the order in which they were planned.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// See the module. Times are microseconds since the start of the simulation.
#[derive(Debug)]
pub(crate) struct Schedule<E> {
    heap: BinaryHeap<Reverse<Entry<E>>>,
    planned: u64,
    now: u64,
}

#[derive(Debug)]
struct Entry<E> {
    at: u64,
    order: u64,
    event: E,
}

impl<E> Schedule<E> {
    pub(crate) fn new() -> Self {
        Self { heap: BinaryHeap::new(), planned: 0, now: 0 }
    }

    /// The present, in microseconds.
    pub(crate) fn now(&self) -> u64 {
        self.now
    }

    /// Plans `event` for `at`, or for now when that has passed.
    pub(crate) fn at(&mut self, at: u64, event: E) {
        self.planned += 1;
        self.heap.push(Reverse(Entry { at: at.max(self.now), order: self.planned, event }));
    }

    /// Plans `event` for `delay` microseconds from now.
    pub(crate) fn after(&mut self, delay: u64, event: E) {
        self.at(self.now + delay, event);
    }

    /// Goes on to the next event.
    pub(crate) fn pop(&mut self) -> Option<E> {
        let Reverse(entry) = self.heap.pop()?;
        self.now = entry.at;
        Some(entry.event)
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.order == other.order
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
