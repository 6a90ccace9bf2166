//! When sockets are read.
//!
//! Reading is where everything that fills memory begins, so this is the one
//! place that holds it back: while something of this worker does not fit into
//! a queue, while any worker waits for the log, or while too much log is not
//! in the views. Who is not read cannot be late: see [`Worker::leniency_ms`].

use std::sync::atomic::Ordering;

use super::worker::Worker;
use super::{IN_FLIGHT_BYTES_MAX, POSTED_BYTES_MAX, READ_BYTES_ALL_PER_WAKE};

/// Sockets that were not read for so long count as not read.
const UNREAD_MS: u64 = 500;
/// Afterwards clients have so long to get on.
const UNREAD_GRACE_MS: u64 = 5_000;

impl Worker {
    /// Reads sockets that have something to say, a share of each in turn.
    pub(super) fn serve_ready(&mut self) {
        let mut bytes_left = READ_BYTES_ALL_PER_WAKE;
        for _ in 0..self.ready.len() {
            if bytes_left == 0 {
                break;
            }
            if !self.may_read() {
                self.unread_since_ms.get_or_insert(self.now.mono_ms);
                return;
            }
            let Some(id) = self.ready.pop_front() else {
                break;
            };
            let read = self.serve(id);
            bytes_left = bytes_left.saturating_sub(read);
        }
        if let Some(since_ms) = self.unread_since_ms.take()
            && self.now.mono_ms >= since_ms + UNREAD_MS
        {
            self.read_again_ms = Some(self.now.mono_ms);
        }
    }

    /// How much longer a client that did not get on is let be, because it is
    /// not read, or was not until a moment ago. Zero: not at all.
    pub(super) fn leniency_ms(&self) -> u64 {
        let now_ms = self.now.mono_ms;
        if self.unread_since_ms.is_some() {
            return UNREAD_MS;
        }
        self.read_again_ms.map_or(0, |at_ms| (at_ms + UNREAD_GRACE_MS).saturating_sub(now_ms))
    }

    /// False while the log, the views or the mailboxes are behind, or something
    /// of this worker does not fit into somebody's queue: then no socket is
    /// read.
    pub(super) fn may_read(&self) -> bool {
        let shared = &self.shared;
        let behind = shared.log_behind.load(Ordering::Relaxed) > 0
            || shared.posted_bytes.load(Ordering::Relaxed) > POSTED_BYTES_MAX
            || shared.unsettled_bytes() > shared.unsettled_bytes_max;
        !self.is_congested() && (!behind || self.poisoned)
    }

    /// Tells the other workers whether this one is waiting for the log.
    pub(super) fn note_log(&mut self) {
        let behind = self.in_flight_bytes > IN_FLIGHT_BYTES_MAX;
        if behind != self.log_behind {
            self.log_behind = behind;
            let workers = &self.shared.log_behind;
            if behind {
                workers.fetch_add(1, Ordering::Relaxed);
            } else {
                workers.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Waits for nothing that was submitted any more: the log has failed.
    pub(super) fn forget_log(&mut self) {
        self.in_flight.clear();
        self.in_flight_bytes = 0;
        self.held.clear();
        self.uncommitted.clear();
        self.note_log();
    }

    /// True while something of this worker does not fit into somebody's
    /// queue.
    pub(super) fn is_congested(&self) -> bool {
        self.in_flight_bytes > IN_FLIGHT_BYTES_MAX
            || !self.uncommitted.is_empty()
            || !self.unloaded.is_empty()
            || self.outgoing.iter().any(|outgoing| !outgoing.overflow.is_empty())
    }
}
