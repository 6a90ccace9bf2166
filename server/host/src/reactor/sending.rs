//! Queueing and flushing what goes to connections.
//!
//! A reply is never dropped while its connection lives, a push is when the
//! connection reads too slowly, and then a sync makes it good. Whatever was
//! queued in a wake is flushed once, at its end; a push that may wait for
//! company goes with the next that may not, or after a moment.

use bytes::Bytes;
use hongyan_core::ConnId;
use hongyan_protocol::ErrorCode;

use super::admission;
use super::connection::{BULK_MAX, Stage};
use super::transport::FlushEnd;
use super::worker::Worker;
use crate::observe::metrics::Close;

/// How long a push that may wait for company waits for it.
const PATIENCE_MS: u64 = 50;
/// So many may; what comes then goes at once.
const PATIENT_LEN: usize = 4_096;

impl Worker {
    /// Queues a frame that may not be dropped. Closes the connection instead
    /// when its queue is over the hard limit even after a flush.
    pub(super) fn reply(&mut self, id: ConnId, frame: Bytes) {
        let limits = &self.shared.limits;
        let (soft, hard) = (limits.out_soft_bytes, limits.out_hard_bytes);
        if let Some(connection) = self.find(id)
            && connection.bulk != [0; BULK_MAX]
        {
            connection.end_bulk(admission::answered(&frame));
            self.mark_dirty(id);
        }
        if !self.queue(id, frame, soft) {
            return;
        }
        self.mark_dirty(id);
        let Some(connection) = self.find(id) else {
            return;
        };
        if connection.out.bytes() > hard {
            connection.out.drop_unsent();
            let message = "you do not read what you are sent";
            self.leave(id, ErrorCode::SlowConsumer, message, 2_000, Close::SlowConsumer);
        }
    }

    /// Queues a frame that is dropped when the connection is behind.
    pub(super) fn push(&mut self, id: ConnId, frame: Bytes, patient: bool) {
        let soft = self.shared.limits.out_soft_bytes;
        let Some(connection) = self.find(id) else {
            return;
        };
        if connection.behind || connection.out.bytes() > soft {
            if !connection.behind {
                connection.behind = true;
                self.metrics().fell_behind.add(1);
            }
            self.metrics().pushes_dropped.add(1);
            return;
        }
        if !self.queue(id, frame, soft) {
            return;
        }
        if patient {
            self.wait_for_company(id);
        } else {
            self.mark_dirty(id);
        }
    }

    /// Queues a frame; above `soft` bytes it is flushed at once, so that a
    /// peer that reads is not taken for one that does not. False when the
    /// connection takes no frames any more.
    fn queue(&mut self, id: ConnId, frame: Bytes, soft: usize) -> bool {
        let Some(connection) = self.find(id) else {
            return false;
        };
        if !connection.is_reading() {
            return false;
        }
        connection.out.push(frame);
        let full = connection.out.bytes() > soft && !connection.write_blocked;
        self.metrics().frames_out.add(1);
        if full {
            self.flush(id);
        }
        true
    }

    pub(super) fn flush_dirty(&mut self) {
        if self.patience_ends_ms().is_some_and(|ends_ms| ends_ms <= self.now.mono_ms) {
            for id in std::mem::take(&mut self.patient) {
                if self.find(id).is_some_and(|connection| !connection.out.is_empty()) {
                    self.mark_dirty(id);
                }
            }
        }
        let mut dirty = std::mem::take(&mut self.dirty);
        for id in dirty.drain(..) {
            if let Some(connection) = self.find(id) {
                connection.in_dirty = false;
                if !connection.write_blocked {
                    self.flush(id);
                }
            }
        }
        // Flushing may have queued more, for the next wake.
        dirty.append(&mut self.dirty);
        self.dirty = dirty;
    }

    /// Tries the socket.
    pub(super) fn flush(&mut self, id: ConnId) {
        let soft = self.shared.limits.out_soft_bytes;
        let now_ms = self.now.mono_ms;
        let Some(connection) = self.find(id) else {
            return;
        };
        let (mut sent, mut end) = connection.transport.flush(&mut connection.out);
        if end == FlushEnd::Drained && connection.behind && connection.is_reading() {
            connection.behind = false;
            connection.out.push(hongyan_core::effect::sync_needed());
            let (more, again) = connection.transport.flush(&mut connection.out);
            sent += more;
            end = again;
        }
        if sent > 0 {
            connection.stalled_since_ms = 0;
        }
        if connection.paused && !connection.is_full(soft) {
            connection.paused = false;
            self.ready_again(id);
        }
        self.metrics().bytes_out.add(sent as u64);
        let Some(connection) = self.find(id) else {
            return;
        };
        match end {
            FlushEnd::Drained => {
                connection.write_blocked = false;
                connection.stalled_since_ms = 0;
                if connection.stage == Stage::Leaving {
                    self.linger(id);
                }
            }
            FlushEnd::Blocked => {
                connection.write_blocked = true;
                if connection.stalled_since_ms == 0 {
                    connection.stalled_since_ms = now_ms;
                    self.arm(id);
                }
            }
            FlushEnd::Broken => self.drop_connection(id, Close::Broken),
        }
    }

    /// Puts a connection into the dirty list, once.
    /// Sees to it that what is queued goes out soon, if nothing takes it along
    /// before.
    fn wait_for_company(&mut self, id: ConnId) {
        if self.find(id).is_some_and(|connection| connection.in_dirty) {
            return;
        }
        if self.patient.is_empty() {
            self.patient_since_ms = self.now.mono_ms;
        }
        if self.patient.len() < PATIENT_LEN {
            self.patient.push(id);
        } else {
            self.mark_dirty(id);
        }
    }

    /// When connections are flushed whose pushes waited for company.
    pub(super) fn patience_ends_ms(&self) -> Option<u64> {
        (!self.patient.is_empty()).then_some(self.patient_since_ms + PATIENCE_MS)
    }

    pub(super) fn mark_dirty(&mut self, id: ConnId) {
        if let Some(connection) = self.find(id)
            && !connection.in_dirty
        {
            connection.in_dirty = true;
            self.dirty.push(id);
        }
    }
}
