//! Effects whose gate is open, carried out: the one place where something
//! leaves a shard, and where each frame is judged.

use hongyan_core::input::StoreFailure;
use hongyan_core::{
    ConnId, Effect, EntityKey, Envelope, Input, OffloadJob, OffloadOutcome, ShardId,
};

use super::{Event, World};
use crate::crashing_store::PagesWanted;
use crate::invariants::{Invariants, Scene};
use crate::network::{LinkId, Place, read_frame};
use crate::tokens;
use crate::violation::Checked;
use crate::workload::Phase;

impl World {
    pub(super) fn carry_out(&mut self, shard: ShardId, effect: Effect) -> Checked {
        match effect {
            Effect::Reply { conn, frame } => {
                if let Some(link) = self.link_of(shard, conn) {
                    let frame_read = read_frame(&frame)?;
                    let (invariants, mut scene) = self.scene();
                    invariants.on_reply(link, &frame_read, &mut scene)?;
                    self.send_to_device(link, frame, false);
                }
            }
            Effect::Push { conn, frame, .. } => {
                if let Some(link) = self.link_of(shard, conn) {
                    let frame_read = read_frame(&frame)?;
                    let (invariants, mut scene) = self.scene();
                    invariants.on_push(link, &frame_read, &mut scene)?;
                    self.send_to_device(link, frame, true);
                }
            }
            Effect::Close { conn, goodbye } => {
                if let Some(link) = self.link_of(shard, conn) {
                    self.close(shard, conn, link, goodbye);
                }
            }
            Effect::SessionOpened { conn, user, .. } => {
                if let Some(link) = self.link_of(shard, conn) {
                    self.invariants.on_session(link, user)?;
                }
            }
            Effect::Handoff { conn, shard: to, link: moved } => {
                let Some(link) = self.link_of(shard, conn) else {
                    return Ok(());
                };
                if let Some(server) = &mut self.server {
                    server.host(shard).conns.remove(&conn);
                }
                self.coverage.note("handoff");
                let delay = self.rng.between(10, 3000);
                let process = self.process;
                self.schedule.after(delay, Event::Adopt { process, link, shard: to, moved });
            }
            Effect::Forward { shard: to, envelope } => self.forward(shard, to, envelope),
            Effect::Load { key } => {
                self.coverage.note("load: entity");
                let delay = self.load_delay();
                self.schedule.after(delay, Event::Load { process: self.process, shard, key });
            }
            Effect::ReadPages { ticket, conversation, from_seq, to_seq, backwards, bytes_max } => {
                let wanted = PagesWanted { conversation, from_seq, to_seq, backwards, bytes_max };
                self.coverage.note("load: pages");
                let fails = self.strikes(self.plan.load_fails);
                let pages = if fails { Err(StoreFailure) } else { self.store.read_pages(&wanted) };
                let delay = self.load_delay();
                self.later(shard, delay, Input::PagesRead { ticket, pages });
            }
            Effect::Offload { ticket, job } => {
                let outcome = self.offload(&job);
                let delay = self.rng.between(200, 20_000);
                self.later(shard, delay, Input::OffloadDone { ticket, outcome });
            }
            Effect::AdminReply { ticket, outcome } => self.on_admin_reply(ticket, &outcome),
        }
        Ok(())
    }

    fn scene(&mut self) -> (&mut Invariants, Scene<'_>) {
        let scene = Scene { durable: self.store.durable(), model: &mut self.model };
        (&mut self.invariants, scene)
    }

    fn link_of(&mut self, shard: ShardId, conn: ConnId) -> Option<LinkId> {
        self.server.as_mut()?.host(shard).conns.get(&conn).copied()
    }

    fn close(&mut self, shard: ShardId, conn: ConnId, link: LinkId, goodbye: bytes::Bytes) {
        self.note(&[6, link.0], format_args!("{shard:?} closes {link:?}"));
        self.send_to_device(link, goodbye, false);
        if let Some(server) = &mut self.server {
            server.host(shard).conns.remove(&conn);
        }
        if let Some(known) = self.network.links.get_mut(&link) {
            known.place = Place::Gone;
            let at = known.device_reads_at.max(self.schedule.now()) + 1;
            self.schedule.at(at, Event::CutAtDevice { link });
        }
        self.invariants.on_closed(link);
    }

    pub(super) fn later(&mut self, shard: ShardId, delay: u64, input: Input) {
        let process = self.process;
        self.schedule.after(delay, Event::Input { process, shard, input: Box::new(input) });
    }

    fn load_delay(&mut self) -> u64 {
        if self.strikes(self.plan.load_slow) {
            self.rng.between(10_000, 800_000)
        } else {
            self.rng.between(20, 2000)
        }
    }

    /// The read itself; its answer is on the way for some time more.
    pub(super) fn on_load(&mut self, shard: ShardId, key: EntityKey) {
        let fails = self.strikes(self.plan.load_fails);
        let value = if fails { Err(StoreFailure) } else { self.store.load(&key) };
        let delay = self.load_delay();
        self.later(shard, delay, Input::Loaded { key, value });
    }

    fn offload(&mut self, job: &OffloadJob) -> OffloadOutcome {
        self.offloads += 1;
        if self.strikes(self.plan.offload_fails) {
            return if self.rng.chance(700) {
                OffloadOutcome::Busy
            } else {
                OffloadOutcome::Failed
            };
        }
        tokens::carry_out(job, self.offloads)
    }

    /// Puts an envelope into a mailbox. Between two shards it keeps its place;
    /// between partitions' tasks the simulator may drop and double.
    fn forward(&mut self, from: ShardId, to: ShardId, envelope: Envelope) {
        let is_task = matches!(envelope, Envelope::Tasks { .. } | Envelope::TasksTaken { .. });
        if is_task && self.strikes(self.plan.task_dropped) {
            self.coverage.note("task: dropped");
            self.note(&[7], format_args!("{from:?} to {to:?}: dropped {envelope:?}"));
            return;
        }
        if is_task && self.strikes(self.plan.task_doubled) {
            self.coverage.note("task: doubled");
            self.mail(from, to, envelope.clone());
        }
        self.mail(from, to, envelope);
    }

    fn mail(&mut self, from: ShardId, to: ShardId, envelope: Envelope) {
        let delay = if self.phase == Phase::Work && self.rng.chance(20) {
            self.rng.between(1000, 60_000)
        } else {
            self.rng.between(1, 400)
        };
        let now = self.schedule.now();
        let process = self.process;
        let Some(server) = &mut self.server else {
            return;
        };
        server.mail += 1;
        let at = server.mail_at.entry((from, to)).or_default();
        *at = (*at).max(now + delay);
        let at = *at;
        self.schedule.at(at, Event::Envelope { process, to, envelope: Box::new(envelope) });
    }
}
