//! Answers to whoever asked, and pushes to everybody concerned.
//!
//! A push to many is done in steps of bounded size, so that one large group
//! does not hold a wake up. Steps of one group keep their order because all
//! pushes to groups stand in one line.

use bytes::Bytes;
use hongyan_protocol::{ConversationId, UserId};

use super::Shard;
use crate::effect::{Effect, Effects, Gate, is_patient};
use crate::envelope::{Envelope, Origin, Receivers};
use crate::routing::ShardId;

/// A push that is under way.
#[derive(Debug)]
pub(crate) struct FanOut {
    gate: Gate,
    to: std::sync::Arc<[UserId]>,
    frame: Bytes,
    except: Option<Origin>,
    next: usize,
}

impl Shard {
    /// Finishes an ask, wherever its session is.
    pub(crate) fn answer(
        &mut self,
        gate: Gate,
        to: Origin,
        frame: Bytes,
        echo: Option<Bytes>,
        fx: &mut Effects,
    ) {
        if to.shard == self.id {
            self.take_answer(gate, to, frame, echo, fx);
        } else {
            self.send(gate, to.shard, Envelope::Answer { to, frame, echo }, fx);
        }
    }

    /// An answer came to the session's shard.
    pub(crate) fn take_answer(
        &mut self,
        gate: Gate,
        to: Origin,
        frame: Bytes,
        echo: Option<Bytes>,
        fx: &mut Effects,
    ) {
        if !frame.is_empty() && self.conns.contains_key(&to.conn) {
            self.overtake_pages(to.conn, &frame, fx);
            fx.push(gate, Effect::Reply { conn: to.conn, frame });
        }
        if let Some(echo) = echo {
            self.push_to(gate, to.user, &echo, Some(to), fx);
        }
    }

    /// Puts an envelope behind a gate.
    pub(crate) fn send(
        &mut self,
        gate: Gate,
        shard: ShardId,
        envelope: Envelope,
        fx: &mut Effects,
    ) {
        if gate == Gate::Durable {
            self.wants_sync = true;
        }
        fx.push(gate, Effect::Forward { shard, envelope });
    }

    /// Pushes to all members of a conversation but one session, and but the
    /// sender (whose devices get the echo of the answer).
    pub(crate) fn push_to_members(
        &mut self,
        gate: Gate,
        conversation: ConversationId,
        origin: Origin,
        frame: &Bytes,
        fx: &mut Effects,
    ) {
        if let Some(peer) = conversation.peer_of(origin.user) {
            self.push_to_user(gate, peer, frame, None, fx);
            return;
        }
        let layout = self.layout;
        let Some(found) = self.entities.loaded_conversation(conversation) else {
            return;
        };
        let receivers = found.receivers(layout).to_vec();
        for (shard, to) in receivers {
            self.deliver(gate, shard, to, frame.clone(), Some(origin), fx);
        }
    }

    /// Pushes to one user, wherever that is.
    pub(crate) fn push_to_user(
        &mut self,
        gate: Gate,
        user: UserId,
        frame: &Bytes,
        except: Option<Origin>,
        fx: &mut Effects,
    ) {
        let shard = self.layout.shard_of(user.slot());
        self.deliver(gate, shard, Receivers::One(user), frame.clone(), except, fx);
    }

    fn deliver(
        &mut self,
        gate: Gate,
        shard: ShardId,
        to: Receivers,
        frame: Bytes,
        except: Option<Origin>,
        fx: &mut Effects,
    ) {
        if shard == self.id {
            self.take_delivery(gate, to, frame, except, fx);
        } else {
            self.send(gate, shard, Envelope::Deliver { to, frame, except }, fx);
        }
    }

    /// A delivery came to its receivers' shard.
    pub(crate) fn take_delivery(
        &mut self,
        gate: Gate,
        to: Receivers,
        frame: Bytes,
        except: Option<Origin>,
        fx: &mut Effects,
    ) {
        match to {
            Receivers::One(user) => self.push_to(gate, user, &frame, except, fx),
            Receivers::Many(to) => {
                self.fan_outs.push_back(FanOut { gate, to, frame, except, next: 0 });
                if self.fan_outs.len() == 1 {
                    self.fan_out(fx);
                }
            }
        }
    }

    /// One step of the oldest push to many.
    pub(crate) fn fan_out(&mut self, fx: &mut Effects) {
        let mut budget = self.config.fanout_step;
        while budget > 0
            && let Some(mut job) = self.fan_outs.pop_front()
        {
            let end = job.to.len().min(job.next + budget);
            budget -= end - job.next;
            let gate = self.fan_out_gate(job.gate);
            for user in &job.to[job.next..end] {
                self.push_to(gate, *user, &job.frame, job.except, fx);
            }
            job.next = end;
            if end < job.to.len() {
                self.fan_outs.push_front(job);
                return;
            }
        }
    }

    /// The gate of pushes that are made now. A step may come later than the
    /// wake that decided it, and then waits for a later submission; whatever
    /// stands behind it in the line must not overtake it.
    const fn fan_out_gate(&mut self, gate: Gate) -> Gate {
        match gate {
            Gate::Now => Gate::Now,
            Gate::Written if self.is_durable(self.fan_out_barrier) => Gate::Written,
            Gate::Written | Gate::Durable => {
                self.fan_out_barrier = self.next_submission();
                Gate::Durable
            }
        }
    }

    /// Pushes to the sessions of a user of this shard.
    pub(crate) fn push_to(
        &mut self,
        gate: Gate,
        user: UserId,
        frame: &Bytes,
        except: Option<Origin>,
        fx: &mut Effects,
    ) {
        let Some(conns) = self.online.get(&user).cloned() else {
            return;
        };
        let patient = is_patient(frame);
        for conn in conns {
            let skipped = except.is_some_and(|origin| {
                origin.shard == self.id && origin.conn == conn && origin.user == user
            });
            if !skipped {
                self.stats.pushes += 1;
                self.overtake_pages(conn, frame, fx);
                fx.push(gate, Effect::Push { conn, frame: frame.clone(), patient });
            }
        }
    }
}
