//! What a wake decided goes to the log, and what waited for it is released.
//!
//! Owns the submissions on their way and the effects behind their gates. A
//! submission that nothing waits for (a cursor whose sender wants no word of
//! it) is held back for a moment and rides with the next that something waits
//! for: waking the committer costs more than the record. Order is kept, the
//! moment is bounded by [`HOLD_MS`] and by a share of what may be under way,
//! and neither a settle round nor a stop ever waits for it.
//!
//! Promise: an effect behind a gate is carried out when the submission of its
//! wake, and all before it, are as far as the gate says.

use hongyan_core::{Gate, Submission};

use super::IN_FLIGHT_BYTES_MAX;
use super::worker::Worker;
use crate::commit::CommitWork;

/// How long a submission is held back that nothing waits for.
const HOLD_MS: u64 = 20;

impl Worker {
    /// Ends the wake for the rules: one submission, and behind it what waits.
    pub(super) fn end_wake(&mut self) {
        if self.poisoned {
            self.staged.clear();
            return;
        }
        let submission = self.shard.end_wake();
        if let Some(submission) = &submission {
            self.submitted = submission.number;
            for record in &submission.records {
                self.heads.insert(record.partition, record.idx);
            }
        }
        let waited_for = !self.staged.is_empty()
            || submission.as_ref().is_some_and(|submission| submission.wants_sync);
        let mut wants_written = false;
        for (gate, effect) in self.staged.drain(..) {
            if gate == Gate::Durable {
                self.until_durable.push_back((self.submitted, effect));
            } else {
                wants_written = true;
                self.until_written.push_back((self.submitted, effect));
            }
        }
        match submission {
            Some(submission) => self.hold(submission, wants_written),
            None if wants_written && self.submitted > self.written => {
                let shard = self.id;
                self.held.push(CommitWork::TellWritten { shard });
            }
            None => {}
        }
        if waited_for || self.may_hold_no_longer() {
            self.uncommitted.extend(self.held.drain(..));
        }
        self.send_commits();
    }

    /// Counts a submission as under way.
    fn hold(&mut self, submission: Submission, wants_written: bool) {
        let bytes = submission.records.iter().map(|record| record.payload.len() + 64).sum();
        self.in_flight.push_back((submission.number, bytes));
        self.in_flight_bytes += bytes;
        self.note_log();
        if self.held.is_empty() {
            self.held_since_ms = self.now.mono_ms;
        }
        let shard = self.id;
        self.held.push(CommitWork::Append { shard, submission, wants_written });
    }

    fn may_hold_no_longer(&self) -> bool {
        self.held_until_ms().is_some_and(|until_ms| until_ms <= self.now.mono_ms)
            || self.in_flight_bytes > IN_FLIGHT_BYTES_MAX / 2
            || !self.settle_asks.is_empty()
            || self.drain.is_some()
            || self.stopping
    }

    /// When what is held back goes, if anything is.
    pub(super) fn held_until_ms(&self) -> Option<u64> {
        (!self.held.is_empty()).then_some(self.held_since_ms + HOLD_MS)
    }

    /// Gives the committer what it has room for.
    fn send_commits(&mut self) {
        if self.uncommitted.is_empty() {
            return;
        }
        while let Some(work) = self.uncommitted.pop_front() {
            if let Err(work) = self.shared.commits.try_send(work) {
                self.uncommitted.push_front(work);
                break;
            }
        }
        self.shared.commits.ring();
    }

    pub(super) fn has_progress(&self) -> bool {
        let progress = &self.shared.progress[usize::from(self.id.0)];
        progress.written() > self.written || progress.durable() > self.durable
    }

    /// Looks how far the log is and releases what waited for that.
    pub(super) fn take_progress(&mut self) {
        if self.poisoned {
            return;
        }
        let progress = &self.shared.progress[usize::from(self.id.0)];
        let (written, durable) = (progress.written(), progress.durable());
        if durable > self.durable {
            self.durable = durable;
            self.shard.durable(durable);
        }
        self.written = self.written.max(written).max(durable);
        while self.in_flight.front().is_some_and(|(number, _)| *number <= self.written) {
            let (_, bytes) = self.in_flight.pop_front().unwrap_or_default();
            self.in_flight_bytes -= bytes;
        }
        self.note_log();
        while self.until_written.front().is_some_and(|(number, _)| *number <= self.written) {
            if let Some((_, effect)) = self.until_written.pop_front() {
                self.execute(effect);
            }
        }
        while self.until_durable.front().is_some_and(|(number, _)| *number <= self.durable) {
            if let Some((_, effect)) = self.until_durable.pop_front() {
                self.execute(effect);
            }
        }
    }
}
