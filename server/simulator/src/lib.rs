//! Deterministic simulation of a Hongyan server.
//!
//! One seed is one world: a few people with several devices each, a server of
//! one to four shards, a disk, and everything that goes wrong between them.
//! Time is virtual, chance comes from the seed, and nothing else comes in, so
//! a failing seed fails again, byte for byte.
//!
//! ```text
//! workload ─ ops/<room> ─▶ device ◀──frames──▶ network ◀─▶ world::server ─▶ Shard (the rules)
//!                                                             │ records      │ effects
//!                                                  world::committer          ▼
//!                                  crashing_store ◀───────────┘        invariants (every step)
//!                                        │
//!                                  model (an independent reader) ─────▶ oracle (at the end)
//! ```
//!
//! Roles are kept apart: samplers (`ops`) draw what could be asked, sensible
//! or not; the shadow model (`model`) knows what must be true; invariants
//! judge every frame when it leaves the server; the oracle compares when all
//! is quiet, and again after one more crash.
//!
//! What is broken on purpose: process kills and power cuts at any moment, and
//! right after an append, a sync or a write of a settle round; failing and
//! slow syncs; slow and failing loads; lost connections; devices that read
//! slowly; mailboxes of different speed; lost and doubled work between
//! partitions; full offload pools; jumps of the wall clock; entities that are
//! let go of at once; another number of shards after every restart.
//!
//! Absent: threads, sockets, files, the wall clock, and maps with an order
//! that is not that of their keys.

#![forbid(unsafe_code)]

pub mod coverage;
mod crashing_store;
mod device;
mod invariants;
mod model;
mod network;
mod ops;
mod oracle;
mod people;
pub mod plan;
mod rng;
mod schedule;
pub mod sweep;
mod tokens;
pub mod trace;
pub mod violation;
mod workload;
mod world;

pub use coverage::Coverage;
pub use plan::Options;
pub use sweep::{Failure, run_seed};
pub use trace::{Trace, TraceMode};
pub use violation::Violation;
pub use world::{Report, World};
