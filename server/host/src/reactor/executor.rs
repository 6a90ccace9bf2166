//! Effects become system calls.
//!
//! The only place where the order of durability and reply is decided: an
//! effect behind a gate is carried out when the submission of its wake, and
//! all before it, are as far as the gate says; within a gate in the order in
//! which they were decided. What waits for nothing is carried out at once.

use hongyan_core::{ConnId, Effect, Gate, Input, OffloadOutcome};

use super::connection::Stage;
use super::post::Post;
use super::worker::Worker;
use crate::commit::{LoadJob, LoadKind};
use crate::observe::metrics::{Close, WorkerMetrics};

impl Worker {
    /// Carries out what the rules want now and stages what must wait.
    pub(super) fn run_effects(&mut self) {
        if self.fx.queue.is_empty() {
            return;
        }
        let mut queue = std::mem::take(&mut self.fx.queue);
        for (gate, effect) in queue.drain(..) {
            if gate == Gate::Now {
                self.execute(effect);
            } else {
                self.staged.push((gate, effect));
            }
        }
        self.fx.queue = queue;
    }

    /// Carries out one effect whose gate is open.
    pub(super) fn execute(&mut self, effect: Effect) {
        match effect {
            Effect::Reply { conn, frame } => self.reply(conn, frame),
            Effect::Push { conn, frame } => self.push(conn, frame),
            Effect::Close { conn, goodbye } => self.leave_with(conn, goodbye, Close::ByRules),
            Effect::SessionOpened { conn, frame_bytes_max, .. } => {
                self.open_session(conn, frame_bytes_max);
            }
            Effect::Handoff { conn, shard, link } => self.hand_off(conn, shard, link),
            Effect::Forward { shard, envelope } => {
                if shard == self.id {
                    self.inputs.push_back(Input::Envelope(envelope));
                } else {
                    self.outgoing[usize::from(shard.0)].envelopes.push(envelope);
                }
            }
            Effect::Load { key } => self.load(LoadKind::Entity { key }),
            Effect::ReadPages { ticket, conversation, from_seq, to_seq, backwards, bytes_max } => {
                self.load(LoadKind::Pages {
                    ticket,
                    conversation,
                    from_seq,
                    to_seq,
                    backwards,
                    bytes_max,
                });
            }
            Effect::Offload { ticket, job } => {
                if let Some(outcome) = self.shared.offload.submit(self.id, ticket, job) {
                    if outcome == OffloadOutcome::Busy {
                        self.metrics().offload_refused.add(1);
                    }
                    self.inputs.push_back(Input::OffloadDone { ticket, outcome });
                }
            }
            Effect::AdminReply { ticket, outcome } => self.shared.desk.answer(ticket, outcome),
        }
    }

    fn open_session(&mut self, id: ConnId, frame_bytes_max: u32) {
        if let Some(connection) = self.find(id)
            && connection.is_reading()
        {
            connection.stage = Stage::Open;
            connection.decoder.set_frame_bytes_max(frame_bytes_max as usize);
            connection.transport.set_frame_bytes_max(frame_bytes_max as usize);
            self.arm(id);
        }
    }

    fn load(&mut self, kind: LoadKind) {
        self.unloaded.push_back(LoadJob { shard: self.id, kind });
    }

    /// Gives the loaders what they have room for.
    pub(super) fn send_loads(&mut self) {
        while let Some(job) = self.unloaded.pop_front() {
            if let Err(error) = self.shared.loads.try_send(job) {
                if error.is_full() {
                    self.unloaded.push_front(error.into_inner());
                }
                break;
            }
        }
    }

    /// Posts what this wake has for other workers, each woken at most once.
    pub(super) fn send_outgoing(&mut self) {
        for (outgoing, mailbox) in self.outgoing.iter_mut().zip(&self.shared.mailboxes) {
            if !outgoing.envelopes.is_empty() {
                let envelopes = std::mem::take(&mut outgoing.envelopes);
                outgoing.overflow.push_back(Post::Envelopes(envelopes));
            }
            while let Some(post) = outgoing.overflow.pop_front() {
                outgoing.ring = true;
                if let Err(post) = mailbox.try_send(post) {
                    outgoing.overflow.push_front(post);
                    break;
                }
            }
            if std::mem::take(&mut outgoing.ring) {
                mailbox.ring();
            }
        }
    }

    pub(super) fn metrics(&self) -> &WorkerMetrics {
        &self.shared.metrics.workers[usize::from(self.id.0)]
    }
}
