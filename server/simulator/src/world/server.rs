//! The server process: shards, their mailboxes, and the gates before their
//! effects.
//!
//! Keeps the host's side of the contract in `hongyan_core` to the letter and
//! uses every freedom that it leaves: wakes of any size, effects of different
//! gates overtaking each other, mailboxes of different pairs running at
//! different speeds.

use std::collections::{BTreeMap, VecDeque};

use hongyan_core::{
    ConnId, Effect, Effects, Envelope, Gate, Input, Layout, Link as Moved, SettleStep, Shard,
    ShardId,
};
use hongyan_protocol::Frame;

use super::committer::Committer;
use super::{Event, World};
use crate::network::{LinkId, Place};
use crate::trace::fingerprint;
use crate::violation::{Checked, ensure};

/// One running process.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) layout: Layout,
    pub(super) hosts: Vec<Host>,
    pub(super) committer: Committer,
    /// Envelopes between shards that have not arrived.
    pub(super) mail: usize,
    /// When the last envelope of a pair arrives.
    pub(super) mail_at: BTreeMap<(ShardId, ShardId), u64>,
}

/// What waits at a shard for its next wake.
#[derive(Debug)]
enum Arrival {
    Input(Box<Input>),
    Frame(LinkId, Frame),
    Closed(LinkId),
}

/// One shard and what the executor keeps for it.
pub(super) struct Host {
    pub(super) shard: Shard,
    arrivals: VecDeque<Arrival>,
    wake_planned: bool,
    gated: VecDeque<Gated>,
    submitted: u64,
    written: u64,
    pub(super) durable: u64,
    pub(super) conns: BTreeMap<ConnId, LinkId>,
    next_conn: u64,
    timeout_ms: Option<u64>,
    pub(super) step: Option<SettleStep>,
}

#[derive(Debug)]
struct Gated {
    gate: Gate,
    after: u64,
    effect: Effect,
}

impl Server {
    pub(super) fn new(layout: Layout, shards: Vec<Shard>) -> Self {
        let hosts = shards.into_iter().map(Host::new).collect();
        Self { layout, hosts, committer: Committer::default(), mail: 0, mail_at: BTreeMap::new() }
    }

    pub(super) fn host(&mut self, shard: ShardId) -> &mut Host {
        &mut self.hosts[usize::from(shard.0)]
    }

    /// Nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.mail == 0
            && self.committer.is_idle()
            && self.hosts.iter().all(|host| {
                host.arrivals.is_empty()
                    && host.gated.is_empty()
                    && !host.wake_planned
                    && !host.shard.has_backlog()
            })
    }

    /// How many inputs wait for cold state, for a message.
    pub(super) fn describe(&self) -> String {
        let hosts = self.hosts.iter().map(|host| {
            let (arrivals, gated) = (host.arrivals.len(), host.gated.len());
            format!("{arrivals} arrivals, {gated} gated, {:?}", host.shard.stats())
        });
        format!(
            "{} mail, {:?}: {}",
            self.mail,
            self.committer,
            hosts.collect::<Vec<_>>().join("; ")
        )
    }
}

impl Host {
    fn new(shard: Shard) -> Self {
        Self {
            shard,
            arrivals: VecDeque::new(),
            wake_planned: false,
            gated: VecDeque::new(),
            submitted: 0,
            written: 0,
            durable: 0,
            conns: BTreeMap::new(),
            next_conn: 1,
            timeout_ms: None,
            step: None,
        }
    }

    /// A new connection id.
    pub(super) fn connect(&mut self, link: LinkId) -> ConnId {
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        self.conns.insert(conn, link);
        conn
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("arrivals", &self.arrivals).finish_non_exhaustive()
    }
}

impl World {
    /// Something arrives at a shard.
    pub(super) fn arrive(&mut self, shard: ShardId, input: Input) {
        self.queue(shard, Arrival::Input(Box::new(input)));
    }

    fn queue(&mut self, shard: ShardId, arrival: Arrival) {
        let Some(server) = &mut self.server else {
            return;
        };
        server.host(shard).arrivals.push_back(arrival);
        self.plan_wake(shard);
    }

    fn plan_wake(&mut self, shard: ShardId) {
        let delay = self.rng.between(5, 300);
        let Some(server) = &mut self.server else {
            return;
        };
        let host = server.host(shard);
        if !host.wake_planned {
            host.wake_planned = true;
            self.schedule.after(delay, Event::Wake { process: self.process, shard });
        }
    }

    pub(super) fn on_envelope(&mut self, to: ShardId, envelope: Envelope) {
        if let Some(server) = &mut self.server {
            server.mail -= 1;
        }
        self.arrive(to, Input::Envelope(envelope));
    }

    /// A frame of a connection, or its end, arrives where the connection is.
    pub(super) fn on_to_server(&mut self, link: LinkId, frame: Option<Frame>) {
        let Some(known) = self.network.links.get_mut(&link) else {
            return;
        };
        match (known.place, frame) {
            (Place::At(shard, _), Some(frame)) => self.queue(shard, Arrival::Frame(link, frame)),
            (Place::At(shard, _), None) => self.queue(shard, Arrival::Closed(link)),
            (Place::Moving, Some(frame)) => known.held.push_back(frame),
            // The end waits with the frames, as an end of file does.
            (Place::Moving, None) => {
                self.schedule.after(500, Event::ToServer { link, frame: None });
            }
            (Place::Gone, _) => {}
        }
    }

    pub(super) fn on_adopt(&mut self, link: LinkId, shard: ShardId, moved: Box<Moved>) {
        let Some(server) = &mut self.server else {
            return;
        };
        let Some(known) = self.network.links.get_mut(&link) else {
            return;
        };
        let conn = server.host(shard).connect(link);
        known.place = Place::At(shard, conn);
        let held = std::mem::take(&mut known.held);
        self.note(&[1, link.0, u64::from(shard.0)], format_args!("{link:?} moved to {shard:?}"));
        self.arrive(shard, Input::Adopted { conn, link: moved });
        for frame in held {
            self.queue(shard, Arrival::Frame(link, frame));
        }
    }

    pub(super) fn on_timeout(&mut self, shard: ShardId, at_ms: u64) {
        let Some(server) = &mut self.server else {
            return;
        };
        let host = server.host(shard);
        if host.timeout_ms == Some(at_ms) {
            host.timeout_ms = None;
            self.arrive(shard, Input::Timeout);
        }
    }

    /// One wake of a shard.
    pub(super) fn on_wake(&mut self, shard: ShardId) -> Checked {
        let Some(mut server) = self.server.take() else {
            return Ok(());
        };
        let host = server.host(shard);
        host.wake_planned = false;
        let budget = self.rng.between(1, 48);
        let mut fx = Effects::new();
        for _ in 0..budget {
            let Some(arrival) = host.arrivals.pop_front() else {
                break;
            };
            self.take(shard, host, arrival, &mut fx);
        }
        let now = self.now();
        for _ in 0..self.rng.between(0, 2) {
            if host.shard.has_backlog() {
                self.coverage.note("fan-out: in steps");
                host.shard.work(now, &mut fx);
            }
        }
        let submission = host.shard.end_wake();
        self.check_bounds(host)?;
        let words = [2, u64::from(shard.0), fx.queue.len() as u64];
        self.note(&words, format_args!("{shard:?} wakes: {} effects", fx.queue.len()));
        if let Some(submission) = submission {
            ensure!(
                submission.number == host.submitted + 1,
                "submissions are numbered densely",
                "{} after {}",
                submission.number,
                host.submitted
            );
            host.submitted = submission.number;
            self.server = Some(server);
            self.submit(shard, submission);
        } else {
            self.server = Some(server);
        }
        self.gate(shard, fx)?;
        self.after_wake(shard);
        Ok(())
    }

    /// Gives one arrival to the shard.
    fn take(&mut self, shard: ShardId, host: &mut Host, arrival: Arrival, fx: &mut Effects) {
        let now = self.now();
        let from = fx.queue.len();
        match arrival {
            Arrival::Input(input) => {
                let text = if let Input::Envelope(envelope) = &*input {
                    format!("{envelope:?}")
                } else {
                    String::new()
                };
                let words = [3, u64::from(shard.0), fingerprint(text.as_bytes())];
                self.note(&words, format_args!("{shard:?} takes {input:?}"));
                host.shard.handle(now, *input, fx);
            }
            Arrival::Frame(link, frame) => {
                let Some(known) = self.network.links.get_mut(&link) else {
                    return;
                };
                match known.place {
                    Place::At(at, conn) if at == shard => {
                        self.invariants.on_request(link, &frame, self.schedule.now());
                        let words = [4, link.0, fingerprint(&frame.payload)];
                        self.trace.note(
                            self.schedule.now(),
                            &words,
                            format_args!("{shard:?} takes {frame:?} of {link:?}"),
                        );
                        host.shard.handle(now, Input::Frame { conn, frame }, fx);
                    }
                    // It moved on while the frame waited here.
                    Place::At(..) => {
                        self.schedule.after(1, Event::ToServer { link, frame: Some(frame) });
                    }
                    Place::Moving => known.held.push_back(frame),
                    Place::Gone => {}
                }
            }
            Arrival::Closed(link) => {
                let Some(known) = self.network.links.get_mut(&link) else {
                    return;
                };
                match known.place {
                    Place::At(at, conn) if at == shard => {
                        known.place = Place::Gone;
                        host.conns.remove(&conn);
                        self.invariants.on_closed(link);
                        self.note(&[5, link.0], format_args!("{shard:?} sees {link:?} closed"));
                        host.shard.handle(now, Input::Closed { conn }, fx);
                        self.network.sweep();
                    }
                    Place::At(..) | Place::Moving => {
                        self.schedule.after(1, Event::ToServer { link, frame: None });
                    }
                    Place::Gone => {}
                }
            }
        }
        for (_, effect) in &fx.queue[from..] {
            // From here on its frames belong to the other shard.
            if let Effect::Handoff { conn, .. } = effect
                && let Some(link) = host.conns.get(conn)
                && let Some(known) = self.network.links.get_mut(link)
            {
                known.place = Place::Moving;
            }
        }
    }

    fn check_bounds(&self, host: &Host) -> Checked {
        let stats = host.shard.stats();
        ensure!(
            stats.parked <= self.plan.config.parked_max,
            "every queue is bounded",
            "{} inputs are parked",
            stats.parked
        );
        Ok(())
    }

    /// Puts the effects of a wake behind their gates.
    pub(super) fn gate(&mut self, shard: ShardId, fx: Effects) -> Checked {
        let Some(server) = &mut self.server else {
            return Ok(());
        };
        let host = server.host(shard);
        let after = host.submitted;
        for (gate, effect) in fx.queue {
            host.gated.push_back(Gated { gate, after, effect });
        }
        self.release(shard)
    }

    /// Carries out what waits for nothing any more.
    pub(super) fn release(&mut self, shard: ShardId) -> Checked {
        let Some(server) = &mut self.server else {
            return Ok(());
        };
        let host = server.host(shard);
        let mut ready = Vec::new();
        let mut waiting = VecDeque::new();
        for gated in host.gated.drain(..) {
            let open = match gated.gate {
                Gate::Now => true,
                Gate::Written => gated.after <= host.written,
                Gate::Durable => gated.after <= host.durable,
            };
            if open {
                ready.push(gated.effect);
            } else {
                waiting.push_back(gated);
            }
        }
        host.gated = waiting;
        for effect in ready {
            self.carry_out(shard, effect)?;
        }
        Ok(())
    }

    /// Plans what a shard wants after a wake.
    pub(super) fn after_wake(&mut self, shard: ShardId) {
        let now_ms = self.now().mono_ms;
        let Some(server) = &mut self.server else {
            return;
        };
        let host = server.host(shard);
        let timeout = host.shard.poll_timeout();
        let busy = !host.arrivals.is_empty() || host.shard.has_backlog();
        if timeout != host.timeout_ms {
            host.timeout_ms = timeout;
            if let Some(at_ms) = timeout {
                let delay = at_ms.saturating_sub(now_ms) * 1000 + self.rng.below(2000);
                let process = self.process;
                self.schedule.after(delay, Event::Timeout { process, shard, at_ms });
            }
        }
        if busy {
            self.plan_wake(shard);
        }
    }

    /// The log says how far it is.
    pub(super) fn on_notice(&mut self, shard: ShardId, written: u64, durable: u64) -> Checked {
        let Some(server) = &mut self.server else {
            return Ok(());
        };
        let host = server.host(shard);
        host.written = host.written.max(written).max(durable);
        if durable > host.durable {
            host.durable = durable;
            host.shard.durable(durable);
        }
        self.release(shard)?;
        self.after_wake(shard);
        Ok(())
    }
}
