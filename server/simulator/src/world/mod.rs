//! The simulated world: one server process on one machine, and the devices
//! that talk to it.
//!
//! Owns the schedule and hands each event to its part: [`server`] runs the
//! shards, [`executor`] keeps the promises about effects, [`settling`] fills the views, [`committer`] is the log's
//! thread, [`faults`] ends and restarts the process, [`clients`] moves the
//! devices, [`admin`] the operator, [`judge`] compares at the end. Everything that can differ between
//! two runs comes from the seed.

mod admin;
mod clients;
mod committer;
mod executor;
mod faults;
mod judge;
mod server;
mod settling;

use std::collections::BTreeMap;

use bytes::Bytes;
use hongyan_core::{EntityKey, Envelope, Input, Link as Moved, Now, ShardId};
use hongyan_protocol::Frame;

use self::server::Server;
use crate::coverage::Coverage;
use crate::crashing_store::CrashingStore;
use crate::device::Device;
use crate::invariants::Invariants;
use crate::model::Model;
use crate::network::{LinkId, Network};
use crate::people::People;
use crate::plan::{Options, Plan};
use crate::rng::Rng;
use crate::schedule::Schedule;
use crate::trace::{Trace, TraceMode};
use crate::violation::{Checked, violated};
use crate::workload::Phase;

/// 2023-11-14, when the simulated wall clock starts.
const EPOCH_MS: u64 = 1_700_000_000_000;
/// Virtual time within which a calm world must be done with what was begun.
const PATIENCE_US: u64 = 90 * 1_000_000;

/// What is planned to happen. Events of the server carry the number of the
/// process that they belong to.
#[derive(Debug)]
enum Event {
    Adopt { process: u32, link: LinkId, shard: ShardId, moved: Box<Moved> },
    Append { process: u32 },
    Crash { process: u32, power_cut: bool },
    CutAtDevice { link: LinkId },
    DeviceActs { device: usize },
    Envelope { process: u32, to: ShardId, envelope: Box<Envelope> },
    Input { process: u32, shard: ShardId, input: Box<Input> },
    LazySync { process: u32 },
    Load { process: u32, shard: ShardId, key: EntityKey },
    Notice { process: u32, shard: ShardId, written: u64, durable: u64 },
    Restart,
    SettleTick { process: u32, shard: ShardId },
    SettleWrite { process: u32, shard: ShardId },
    SyncDone { process: u32 },
    Timeout { process: u32, shard: ShardId, at_ms: u64 },
    ToDevice { link: LinkId, bytes: Bytes },
    ToServer { link: LinkId, frame: Option<Frame> },
    Wake { process: u32, shard: ShardId },
}

/// What a finished simulation has to say of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// One number over everything that happened.
    pub digest: u64,
    /// Things that happened.
    pub events: u64,
    /// Virtual time, in milliseconds.
    pub virtual_ms: u64,
    /// Records in the log at the end.
    pub records: u64,
    /// Messages that devices sent.
    pub sends: usize,
    /// Of them, acknowledged ones.
    pub acked: usize,
    /// Process deaths, the planned one at the end included.
    pub crashes: u32,
    /// Syncs that devices finished.
    pub syncs: u64,
    /// Groups that came to be.
    pub groups: usize,
}

/// See the module.
#[derive(Debug)]
pub struct World {
    plan: Plan,
    rng: Rng,
    schedule: Schedule<Event>,
    trace: Trace,
    store: CrashingStore,
    model: Model,
    invariants: Invariants,
    network: Network,
    people: People,
    devices: Vec<Device>,
    server: Option<Server>,
    /// Counts processes; events of an older one mean nothing.
    process: u32,
    crashes: u32,
    phase: Phase,
    /// Steps that devices may still take in [`Phase::Work`].
    steps_left: u64,
    /// When the phase began, in microseconds.
    phase_since: u64,
    audits: u32,
    /// What the wall clock is ahead of (or behind) the monotonic one.
    clock_offset_ms: i64,
    /// It was ever set back far enough for tokens to be from the future.
    clock_set_back: bool,
    offloads: u64,
    /// Questions of the operator under way, and whom they restore.
    restores: BTreeMap<u64, usize>,
    coverage: Coverage,
}

impl World {
    /// The world of a seed, before anything happened.
    pub fn new(options: Options, mode: TraceMode) -> Self {
        let mut rng = Rng::new(options.seed);
        let plan = Plan::draw(options, &mut rng);
        let people = People::new(plan.seed, plan.people);
        let mut devices = Vec::new();
        for person in 0..plan.people {
            for _ in 0..rng.between(1, plan.devices_per_person as u64) {
                let slowness = if rng.chance(200) { rng.between(5_000, 300_000) } else { 0 };
                devices.push(Device::new(devices.len(), person, slowness));
            }
        }
        Self {
            steps_left: plan.steps,
            plan,
            rng,
            schedule: Schedule::new(),
            trace: Trace::new(mode),
            store: CrashingStore::new(),
            model: Model::new(),
            invariants: Invariants::default(),
            network: Network::default(),
            people,
            devices,
            server: None,
            process: 0,
            crashes: 0,
            phase: Phase::Work,
            phase_since: 0,
            audits: 0,
            clock_offset_ms: 0,
            clock_set_back: false,
            offloads: 0,
            restores: BTreeMap::new(),
            coverage: Coverage::default(),
        }
    }

    /// Lets everything happen, to the end.
    ///
    /// # Errors
    /// The first promise found broken.
    pub fn run(&mut self) -> Checked<Report> {
        self.trace.note(0, &[self.plan.seed], format_args!("{:?}", self.plan));
        self.schedule.at(0, Event::Restart);
        for device in 0..self.devices.len() {
            let at = self.rng.between(1_000, 400_000);
            self.schedule.at(at, Event::DeviceActs { device });
        }
        while self.audits < judge::AUDITS {
            let Some(event) = self.schedule.pop() else {
                violated!("the world goes on", "nothing is planned in {:?}", self.phase)
            };
            self.handle(event)?;
            self.advance_phase()?;
        }
        Ok(self.report())
    }

    /// What the run has gone through so far.
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// What happened so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    fn report(&self) -> Report {
        Report {
            digest: self.trace.digest(),
            events: self.trace.events(),
            virtual_ms: self.schedule.now() / 1000,
            records: self.store.written(),
            sends: self.model.sends.len(),
            acked: self.model.sends.acked(),
            crashes: self.crashes,
            syncs: self.devices.iter().map(|device| device.syncs_done).sum(),
            groups: self.model.log.conversations.values().filter(|c| c.group.is_some()).count(),
        }
    }

    fn handle(&mut self, event: Event) -> Checked {
        match event {
            Event::Adopt { process, link, shard, moved } if process == self.process => {
                self.on_adopt(link, shard, moved);
            }
            Event::Append { process } if process == self.process => self.on_append()?,
            Event::Crash { process, power_cut } if process == self.process => {
                self.crash(power_cut)?;
            }
            Event::CutAtDevice { link } => self.on_cut_at_device(link),
            Event::DeviceActs { device } => self.on_device_acts(device)?,
            Event::Envelope { process, to, envelope } if process == self.process => {
                self.on_envelope(to, *envelope);
            }
            Event::Input { process, shard, input } if process == self.process => {
                self.arrive(shard, *input);
            }
            Event::LazySync { process } if process == self.process => self.on_lazy_sync(),
            Event::Load { process, shard, key } if process == self.process => {
                self.on_load(shard, key);
            }
            Event::Notice { process, shard, written, durable } if process == self.process => {
                self.on_notice(shard, written, durable)?;
            }
            Event::Restart => self.boot()?,
            Event::SettleTick { process, shard } if process == self.process => {
                self.on_settle_tick(shard);
            }
            Event::SettleWrite { process, shard } if process == self.process => {
                self.on_settle_write(shard)?;
            }
            Event::SyncDone { process } if process == self.process => self.on_sync_done()?,
            Event::Timeout { process, shard, at_ms } if process == self.process => {
                self.on_timeout(shard, at_ms);
            }
            Event::ToDevice { link, bytes } => self.on_to_device(link, &bytes)?,
            Event::ToServer { link, frame } => self.on_to_server(link, frame),
            Event::Wake { process, shard } if process == self.process => self.on_wake(shard)?,
            _ => {}
        }
        Ok(())
    }

    /// Both clocks, as the host would read them.
    fn now(&self) -> Now {
        let mono_ms = self.schedule.now() / 1000;
        Now {
            unix_ms: (EPOCH_MS + mono_ms).saturating_add_signed(self.clock_offset_ms),
            mono_ms: mono_ms + 1000 * u64::from(self.process),
        }
    }

    fn note(&mut self, words: &[u64], text: std::fmt::Arguments<'_>) {
        self.trace.note(self.schedule.now(), words, text);
    }

    /// Faults happen in [`Phase::Work`] only.
    fn strikes(&mut self, per_mille: u32) -> bool {
        self.phase == Phase::Work && self.rng.chance(per_mille)
    }
}
