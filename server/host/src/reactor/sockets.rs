//! Reading, flushing and closing connections.
//!
//! The edge-trigger discipline of the parent module is kept here. Frames are
//! given to the rules one at a time, and the connection is looked up again
//! after each, because handling a frame may have moved or closed it.

use bytes::{Buf, Bytes};
use hongyan_core::{ConnId, Input};
use hongyan_protocol::{ErrorCode, Frame, WireError, version};
use mio::Events;

use super::connection::{BULK_MAX, Connection, MALFORMED_MAX, Stage, error_reply, goodbye};
use super::transport::{FlushEnd, ReadEnd, unpin};
use super::worker::{WAKER, Worker};
use super::{FRAMES_PER_WAKE, READ_BYTES_PER_WAKE, SCRATCH_BYTES, admission};
use crate::observe::metrics::Close;

/// How taking frames off a buffer ended.
enum Taken {
    /// No whole frame is left.
    All,
    /// Enough for this wake; more are there.
    Budget,
    /// The out-queue must drain first.
    Paused,
    /// The connection closed or moved.
    Gone,
}

impl Worker {
    pub(super) fn note_events(&mut self, events: &Events) {
        for event in events {
            if event.token() == WAKER {
                continue;
            }
            let id = ConnId(event.token().0 as u64);
            let Some(connection) = self.find(id) else {
                continue;
            };
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                connection.readable = true;
                connection.ended |= event.is_read_closed() || event.is_error();
                self.ready_again(id);
            }
            let Some(connection) = self.find(id) else {
                continue;
            };
            if event.is_writable() || event.is_write_closed() || event.is_error() {
                connection.write_blocked = false;
                let pending = !connection.out.is_empty() || connection.transport.wants_write();
                if pending || connection.stage == Stage::Leaving {
                    self.mark_dirty(id);
                }
            }
        }
    }

    /// Puts a connection into the ready list, once.
    pub(super) fn ready_again(&mut self, id: ConnId) {
        if let Some(connection) = self.find(id)
            && !connection.in_ready
        {
            connection.in_ready = true;
            self.ready.push_back(id);
        }
    }

    /// Puts a connection into the dirty list, once.
    pub(super) fn mark_dirty(&mut self, id: ConnId) {
        if let Some(connection) = self.find(id)
            && !connection.in_dirty
        {
            connection.in_dirty = true;
            self.dirty.push(id);
        }
    }

    /// Reads and handles what is there, within the budgets. Returns bytes
    /// read.
    pub(super) fn serve(&mut self, id: ConnId) -> usize {
        let Some(connection) = self.find(id) else {
            return 0;
        };
        connection.in_ready = false;
        if connection.stage == Stage::Lingering {
            self.discard(id);
            return 0;
        }
        let mut frames_left = FRAMES_PER_WAKE;
        let mut read = 0;
        loop {
            match self.take_frames(id, &mut frames_left) {
                Taken::Gone | Taken::Paused => return read,
                Taken::Budget => {
                    self.ready_again(id);
                    return read;
                }
                Taken::All => {}
            }
            let Some(connection) = self.find(id) else {
                return read;
            };
            if !connection.is_reading() || !connection.readable {
                return read;
            }
            if read >= READ_BYTES_PER_WAKE {
                self.ready_again(id);
                return read;
            }
            read += self.read(id);
        }
    }

    fn read(&mut self, id: ConnId) -> usize {
        let now_ms = self.now.mono_ms;
        let index = Self::index(id);
        let Some(connection) = self.connections.get_mut(index) else {
            return 0;
        };
        let handshaking = connection.stage == Stage::Handshake;
        let (bytes, end) =
            connection.transport.read(&mut self.scratch, &mut connection.inbuf, SCRATCH_BYTES);
        if bytes > 0 {
            connection.heard_ms = now_ms;
        }
        // A short read ends before the peer's end, which came with the same
        // edge: there will be no other, so it is read for here.
        let ended = end == ReadEnd::Drained && std::mem::take(&mut connection.ended);
        connection.readable = end == ReadEnd::Budget || ended;
        if handshaking && !connection.transport.is_handshaking() {
            connection.stage = Stage::Preface;
        }
        let wants_write = connection.transport.wants_write();
        self.metrics().bytes_in.add(bytes as u64);
        if wants_write {
            self.mark_dirty(id);
        }
        match end {
            ReadEnd::Budget | ReadEnd::Drained => {}
            // What came before the end still counts.
            ReadEnd::Closed => {
                let mut frames_left = FRAMES_PER_WAKE;
                let _ = self.take_frames(id, &mut frames_left);
                self.drop_connection(id, Close::ByPeer);
            }
            ReadEnd::Ended | ReadEnd::Refused => {
                let mut frames_left = FRAMES_PER_WAKE;
                let _ = self.take_frames(id, &mut frames_left);
                let refused = end == ReadEnd::Refused;
                let why = if refused { Close::WebSocket } else { Close::ByPeer };
                // The layer has the last word already.
                self.leave_with(id, Bytes::new(), why);
            }
            ReadEnd::Broken => {
                let why = if handshaking { Close::TlsFailed } else { Close::Broken };
                self.drop_connection(id, why);
            }
        }
        bytes
    }

    fn take_frames(&mut self, id: ConnId, frames_left: &mut usize) -> Taken {
        let soft = self.shared.limits.out_soft_bytes;
        let mut taken = false;
        loop {
            let Some(connection) = self.find(id) else {
                return Taken::Gone;
            };
            if !connection.is_reading() {
                return Taken::Gone;
            }
            if connection.stage <= Stage::Preface {
                if connection.stage == Stage::Handshake || !self.take_preface(id) {
                    return if self.find(id).is_some() { Taken::All } else { Taken::Gone };
                }
                continue;
            }
            if connection.is_full(soft) {
                connection.paused = true;
                return Taken::Paused;
            }
            if *frames_left == 0 {
                return Taken::Budget;
            }
            match connection.decoder.decode(&mut connection.inbuf) {
                Ok(Some(frame)) => {
                    *frames_left -= 1;
                    taken = true;
                    connection.frame_since_ms = 0;
                    self.on_frame(id, frame);
                }
                Ok(None) => break,
                Err(error) => {
                    *frames_left = frames_left.saturating_sub(1);
                    taken = true;
                    connection.frame_since_ms = 0;
                    self.on_wire_error(id, error);
                }
            }
        }
        let now_ms = self.now.mono_ms;
        let Some(connection) = self.find(id) else {
            return Taken::Gone;
        };
        if taken || connection.inbuf.is_empty() {
            unpin(&mut connection.inbuf);
        }
        if connection.inbuf.is_empty() && !connection.transport.is_partial() {
            connection.frame_since_ms = 0;
        } else if connection.frame_since_ms == 0 {
            connection.frame_since_ms = now_ms;
            self.arm(id);
        }
        Taken::All
    }

    /// True when the preface is whole and good.
    fn take_preface(&mut self, id: ConnId) -> bool {
        let Some(connection) = self.find(id) else {
            return false;
        };
        match version::negotiate(&connection.inbuf) {
            Ok(None) => false,
            Ok(Some(version)) => {
                connection.inbuf.advance(version::PREFACE_BYTES);
                connection.queue_preface(Some(version));
                connection.stage = Stage::Greeted;
                connection.opened_told = true;
                let peer = connection.peer;
                let upgraded = connection.transport.is_websocket();
                if upgraded {
                    self.metrics().upgraded.add(1);
                }
                self.mark_dirty(id);
                self.give(Input::Opened { conn: id, peer });
                true
            }
            Err(error) => {
                self.metrics().malformed.add(1);
                self.leave(id, error.code(), &error.to_string(), 0, Close::Preface);
                false
            }
        }
    }

    fn on_frame(&mut self, id: ConnId, frame: Frame) {
        self.metrics().frames_in.add(1);
        if admission::writes(frame.opcode) && !self.shared.health.writes_allowed() {
            self.metrics().writes_refused.add(1);
            if frame.request != 0 {
                let message = "the disk is nearly full; nothing was done";
                let reply = error_reply(frame.request, ErrorCode::StoreUnavailable, message, 5_000);
                self.reply(id, reply);
            }
            return;
        }
        if frame.request != 0
            && admission::is_bulk(frame.opcode)
            && let Some(connection) = self.find(id)
        {
            connection.begin_bulk(frame.request);
        }
        self.give(Input::Frame { conn: id, frame });
    }

    fn on_wire_error(&mut self, id: ConnId, error: WireError) {
        self.metrics().malformed.add(1);
        if matches!(error, WireError::FrameTooLarge { .. }) {
            self.leave(id, error.code(), &error.to_string(), 5_000, Close::FrameTooLarge);
            return;
        }
        let Some(connection) = self.find(id) else {
            return;
        };
        connection.malformed = connection.malformed.saturating_add(1);
        if connection.malformed >= MALFORMED_MAX {
            let message = "too many frames that are not valid";
            self.leave(id, ErrorCode::TooManyErrors, message, 5_000, Close::TooManyErrors);
        } else {
            self.reply(id, error_reply(0, error.code(), &error.to_string(), 0));
        }
    }

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
    pub(super) fn push(&mut self, id: ConnId, frame: Bytes) {
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
        self.queue(id, frame, soft);
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
        self.mark_dirty(id);
        if full {
            self.flush(id);
        }
        true
    }

    pub(super) fn flush_dirty(&mut self) {
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
    fn flush(&mut self, id: ConnId) {
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

    /// Says goodbye; the connection closes once that is sent.
    pub(super) fn leave(
        &mut self,
        id: ConnId,
        code: ErrorCode,
        message: &str,
        reconnect_after_ms: u32,
        why: Close,
    ) {
        let after_ms = self.jitter.spread(reconnect_after_ms);
        self.leave_with(id, goodbye(code, message, after_ms), why);
    }

    /// As [`Worker::leave`], with a Goodbye made elsewhere.
    pub(super) fn leave_with(&mut self, id: ConnId, goodbye: Bytes, why: Close) {
        let now_ms = self.now.mono_ms;
        let Some(connection) = self.find(id) else {
            return;
        };
        if !connection.is_reading() {
            return;
        }
        connection.leave(goodbye, now_ms);
        self.metrics().closed(why);
        self.tell_closed(id);
        self.mark_dirty(id);
        self.arm(id);
    }

    /// Ends our side and waits a moment for the peer to end its own.
    fn linger(&mut self, id: ConnId) {
        let now_ms = self.now.mono_ms;
        let Some(connection) = self.find(id) else {
            return;
        };
        connection.transport.finish();
        connection.stage = Stage::Lingering;
        connection.left_ms = now_ms;
        // The peer may have ended before; its edge was told long ago.
        connection.readable = true;
        self.arm(id);
        self.ready_again(id);
    }

    fn discard(&mut self, id: ConnId) {
        let index = Self::index(id);
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        match connection.transport.discard(&mut self.scratch, READ_BYTES_PER_WAKE) {
            ReadEnd::Drained => connection.readable = false,
            ReadEnd::Budget => self.ready_again(id),
            ReadEnd::Broken | ReadEnd::Closed | ReadEnd::Ended | ReadEnd::Refused => {
                self.remove(id);
            }
        }
    }

    /// Closes without a word.
    pub(super) fn drop_connection(&mut self, id: ConnId, why: Close) {
        let Some(connection) = self.find(id) else {
            return;
        };
        if connection.is_reading() {
            self.metrics().closed(why);
        }
        self.tell_closed(id);
        self.remove(id);
    }

    fn tell_closed(&mut self, id: ConnId) {
        if let Some(connection) = self.find(id)
            && connection.opened_told
            && !connection.closed_told
        {
            connection.closed_told = true;
            // Not given at once: this may run while an effect is carried out.
            self.inputs.push_back(Input::Closed { conn: id });
        }
    }

    fn remove(&mut self, id: ConnId) {
        if let Some(mut connection) = self.take(id) {
            // Dropping the socket would do as well.
            let _ = self.poll.registry().deregister(connection.transport.socket());
            self.shared.connections.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    /// Takes a connection out of the table.
    pub(super) fn take(&mut self, id: ConnId) -> Option<Connection> {
        self.find(id)?;
        let connection = self.connections.try_remove(Self::index(id));
        if self.connections.is_empty() && self.connections.capacity() > 4_096 {
            self.connections.shrink_to_fit();
        }
        connection
    }
}
