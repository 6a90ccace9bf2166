//! Hongyan's rules.
//!
//! Everything that decides who may do what, in which order and with what
//! outcome is here, and nothing that waits. A [`Shard`] takes one [`Input`]
//! after another and answers with [`Effects`]; a host carries those out.
//!
//! ```text
//! host: bytes -> Frame -> Input --.
//!       mailbox -> Envelope ------+-> Shard::handle(now, input, &mut effects)
//!       loader, offload, timers --'        | records (per partition)
//!                                          | effects, each behind a gate
//! host: log.append(records) ... durable ---'-> release what waited
//! ```
//!
//! # What is absent here
//! - No clock: `now` is an argument. No randomness: what must be random
//!   comes back from an offload.
//! - No socket, no disk, no thread, no lock, no `async`.
//! - No map whose order differs between two runs.
//! - No way to change state but a write-set: a handler decides, then the
//!   same `apply` runs that a replay of the log runs.
//!
//! # Order of calls (the host's side of the contract)
//! 1. At boot: [`Shard::install_partition`] for each partition, then
//!    [`Shard::replay`] for each record of the log, then
//!    [`Shard::finish_replay`].
//! 2. In each wake: any number of [`Shard::handle`] and, while
//!    [`Shard::has_backlog`], [`Shard::work`]; then one [`Shard::end_wake`],
//!    whose [`Submission`] goes to the log as one append.
//! 3. Effects behind [`Gate::Written`] or [`Gate::Durable`] wait until the
//!    submission of their wake, and all before it, are that far; the host
//!    says so by [`Shard::durable`] before it releases them.
//! 4. [`Shard::poll_timeout`] says when [`Input::Timeout`] is due.

#![forbid(unsafe_code)]

pub mod authority;
pub mod clock;
pub mod config;
pub mod effect;
pub mod envelope;
pub mod error;
pub mod input;
pub mod key;
pub mod routing;
pub mod token;

/// The stored forms: entities (`proto/state.proto`) and the contents of the
/// log (`proto/record.proto`).
#[allow(missing_docs, clippy::all)]
pub mod state {
    include!(concat!(env!("OUT_DIR"), "/hongyan.state.v1.rs"));
}

mod auth;
mod command;
mod conversation;
mod entity;
mod group;
mod inbox;
mod session;
mod shard;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;

pub use clock::Now;
pub use config::CoreConfig;
pub use effect::{Effect, Effects, Gate, RecordDraft, SettleStep, Submission};
pub use envelope::{Envelope, Origin};
pub use input::{
    AdminCommand, AdminOutcome, ConnId, Input, Link, OffloadJob, OffloadOutcome, Peer, Verified,
};
pub use key::EntityKey;
pub use routing::{Layout, PARTITIONS, PartitionId, ShardId};
pub use shard::{ReplayError, Shard, ShardStats};
pub use token::{AccessTokens, Claims, TokenFault};
