//! What one seed stands for: how large the world is and what goes wrong in
//! it. Drawn once, before anything happens.

use hongyan_core::CoreConfig;
use hongyan_protocol::pb::AckLevel;

use crate::rng::Rng;

/// What the caller chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The seed.
    pub seed: u64,
    /// Things that devices do, in all, before the world calms down.
    pub steps: u64,
}

/// See the module. Chances are per mille.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) steps: u64,
    pub(crate) people: usize,
    pub(crate) devices_per_person: usize,
    pub(crate) groups_max: usize,
    pub(crate) config: CoreConfig,
    /// Levels that sends ask for.
    pub(crate) levels: &'static [AckLevel],
    /// The largest text, in bytes.
    pub(crate) text_bytes_max: u64,
    /// Frames on the way to a device before pushes are dropped.
    pub(crate) push_queue_max: usize,
    /// One in a thousand of what devices do is followed by a crash.
    pub(crate) crash: u32,
    /// Chance of a crash at a chosen moment: after an append, after a sync,
    /// between the writes of a settle round.
    pub(crate) crash_at_point: u32,
    /// A crash that loses what was not synced.
    pub(crate) power_cut: u32,
    pub(crate) sync_fails: u32,
    pub(crate) sync_slow: u32,
    pub(crate) load_slow: u32,
    pub(crate) load_fails: u32,
    pub(crate) offload_fails: u32,
    pub(crate) disconnect: u32,
    pub(crate) task_dropped: u32,
    pub(crate) task_doubled: u32,
    pub(crate) clock_jump: u32,
    /// Devices sign each other out and change passwords.
    pub(crate) revokes: bool,
    /// An operator bans, kicks and restores.
    pub(crate) operator: u32,
    /// The server is told to stop.
    pub(crate) drain: u32,
    /// How often a shard is settled, in microseconds.
    pub(crate) settle_every: u64,
    pub(crate) settle_bytes: usize,
    /// A pause between bursts is at most so long, in microseconds.
    pub(crate) pause_max: u64,
}

const DURABLE_ONLY: &[AckLevel] = &[AckLevel::Durable];
const EVERY_LEVEL: &[AckLevel] = &[
    AckLevel::Durable,
    AckLevel::Durable,
    AckLevel::Durable,
    AckLevel::Written,
    AckLevel::Accepted,
];

impl Plan {
    /// What `options.seed` stands for.
    pub(crate) fn draw(options: Options, rng: &mut Rng) -> Self {
        let storms = rng.chance(700);
        let hard = rng.chance(500);
        let many = if rng.chance(200) { 12 } else { 4 };
        let rare = |rng: &mut Rng, odds: u32, high: u64| -> u32 {
            if rng.chance(odds) { rng.between(1, high) as u32 } else { 0 }
        };
        Self {
            seed: options.seed,
            steps: options.steps,
            people: rng.between(2, 6) as usize,
            devices_per_person: rng.between(1, 3) as usize,
            groups_max: rng.between(0, many) as usize,
            config: draw_config(rng),
            levels: if rng.chance(500) { DURABLE_ONLY } else { EVERY_LEVEL },
            text_bytes_max: if rng.chance(200) { 4000 } else { 60 },
            push_queue_max: if rng.chance(300) { rng.between(2, 8) as usize } else { 64 },
            crash: if storms { rng.between(2, 12) as u32 } else { 0 },
            crash_at_point: if storms { rare(rng, 600, 12) } else { 0 },
            power_cut: 500,
            sync_fails: rare(rng, 200, 5),
            sync_slow: rare(rng, 500, 100),
            load_slow: rare(rng, 500, 200),
            load_fails: rare(rng, 300, 60),
            offload_fails: rare(rng, 300, 60),
            disconnect: if hard { rng.between(10, 60) as u32 } else { 5 },
            task_dropped: rare(rng, 400, 300),
            task_doubled: rare(rng, 400, 300),
            clock_jump: rare(rng, 250, 8),
            revokes: rng.chance(300),
            operator: rare(rng, 300, 6),
            drain: if storms { rare(rng, 300, 3) } else { 0 },
            settle_every: rng.between(20, 3000) * 1000,
            settle_bytes: rng.between(200, 8000) as usize,
            pause_max: rng.between(1, 30) * 1_000_000,
        }
    }
}

fn draw_config(rng: &mut Rng) -> CoreConfig {
    let defaults = CoreConfig::default();
    CoreConfig {
        entities_max: if rng.chance(600) { rng.between(1, 40) as usize } else { 10_000 },
        fanout_step: rng.between(1, 8) as usize,
        requests_per_second: if rng.chance(100) { 20 } else { 0 },
        requests_burst: 40,
        login_failures_max: 1000,
        access_token_ms: if rng.chance(300) { 120_000 } else { defaults.access_token_ms },
        hash_seed: rng.next(),
        ..defaults
    }
}

/// Steps of a seed where nothing else is said.
pub const STEPS_DEFAULT: u64 = 1500;
