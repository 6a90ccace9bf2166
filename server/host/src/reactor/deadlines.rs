//! What happens when a connection does not get on, when the server stops, and
//! when the log has failed.

use crossbeam_channel::Sender;
use hongyan_core::{ConnId, Input};
use hongyan_protocol::ErrorCode;

use super::connection::{Overdue, Stage};
use super::timer::Entry;
use super::worker::{Drain, Worker};
use crate::observe::metrics::Close;

/// After so long of a stop the rules' own goodbyes are not waited for.
const DRAIN_PATIENCE_MS: u64 = 2_500;
/// After so long of a stop whoever is left is cut off.
const DRAIN_LIMIT_MS: u64 = 5_000;

impl Worker {
    /// Sees to it that the timer fires no later than the next deadline.
    pub(super) fn arm(&mut self, id: ConnId) {
        let index = Self::index(id);
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        let (at_ms, _) = connection.deadline(&self.shared.limits);
        if connection.timer_tick == 0 || self.wheel.tick_of(at_ms) < connection.timer_tick {
            connection.timer_tick = self.wheel.set(id.0, at_ms);
        }
    }

    pub(super) fn on_timer(&mut self, entry: Entry) {
        let id = ConnId(entry.id);
        let now_ms = self.now.mono_ms;
        let limits_of = self.shared.clone();
        let Some(connection) = self.find(id) else {
            return;
        };
        if connection.timer_tick != entry.tick {
            return;
        }
        connection.timer_tick = 0;
        let (at_ms, overdue) = connection.deadline(&limits_of.limits);
        if at_ms > now_ms {
            self.arm(id);
            return;
        }
        let open = connection.stage == Stage::Open;
        // Who is not read cannot get on.
        let waits_for_us = !matches!(overdue, Overdue::Linger | Overdue::Stall);
        let leniency_ms = self.leniency_ms();
        if waits_for_us && leniency_ms > 0 {
            let tick = self.wheel.set(id.0, now_ms + leniency_ms);
            if let Some(connection) = self.find(id) {
                connection.timer_tick = tick;
            }
            return;
        }
        match overdue {
            Overdue::Handshake => self.drop_connection(id, Close::TlsFailed),
            Overdue::Linger => self.drop_connection(id, Close::Broken),
            Overdue::Stall => self.drop_connection(id, Close::Stalled),
            Overdue::Idle => {
                let message = "nothing was heard for two and a half heartbeats";
                self.leave(id, ErrorCode::IdleTimeout, message, 1_000, Close::Idle);
            }
            Overdue::Frame if open => {
                let message = "a frame was begun and not finished";
                self.leave(id, ErrorCode::IdleTimeout, message, 1_000, Close::Slow);
            }
            Overdue::Frame | Overdue::Login => {
                let message = "no session was opened in time";
                self.leave(id, ErrorCode::LoginTimeout, message, 1_000, Close::LoginTimeout);
            }
        }
    }

    /// The log has failed: forget what waits for it and send everybody away.
    pub(super) fn poison(&mut self) {
        if self.poisoned {
            return;
        }
        self.poisoned = true;
        self.staged.clear();
        self.until_written.clear();
        self.until_durable.clear();
        self.fx.queue.clear();
        self.inputs.clear();
        self.forget_log();
        let message = "the store has failed; what was not acknowledged was not done";
        self.send_away(ErrorCode::StoreUnavailable, message, 5_000, Close::Poisoned);
    }

    pub(super) fn begin_drain(&mut self, spread_ms: u32, done: Sender<()>) {
        if self.drain.is_none() {
            self.drain = Some(Drain { since_ms: self.now.mono_ms, done: Some(done) });
            self.give(Input::Drain { spread_ms });
        }
    }

    /// Moves a stop on and reports its end.
    pub(super) fn watch_drain(&mut self) {
        let Some(drain) = &self.drain else { return };
        let waited_ms = self.now.mono_ms - drain.since_ms;
        if waited_ms >= DRAIN_PATIENCE_MS {
            let message = "the server is stopping";
            self.send_away(ErrorCode::GoingAway, message, 1_000, Close::Drained);
        } else {
            // Strangers who have not said anything are not the rules'.
            for id in self.ids(|stage| stage <= Stage::Preface) {
                let message = "the server is stopping";
                self.leave(id, ErrorCode::GoingAway, message, 1_000, Close::Drained);
            }
        }
        if waited_ms >= DRAIN_LIMIT_MS {
            for id in self.ids(|_| true) {
                self.drop_connection(id, Close::Drained);
            }
        }
        let empty = self.connections.is_empty()
            && self.until_durable.is_empty()
            && self.until_written.is_empty()
            && self.inputs.is_empty()
            && !self.is_congested();
        if empty && let Some(done) = self.drain.as_mut().and_then(|drain| drain.done.take()) {
            // Whoever began the stop may have given up waiting.
            let _ = done.send(());
        }
    }

    fn send_away(&mut self, code: ErrorCode, message: &str, after_ms: u32, why: Close) {
        for id in self.ids(|stage| stage < Stage::Leaving) {
            self.leave(id, code, message, after_ms, why);
        }
    }

    fn ids(&self, wanted: impl Fn(Stage) -> bool) -> Vec<ConnId> {
        self.connections
            .iter()
            .filter(|(_, connection)| wanted(connection.stage))
            .map(|(_, connection)| connection.id)
            .collect()
    }
}
