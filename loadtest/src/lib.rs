//! Hongyan's load generator.
//!
//! ```text
//! Plan ── Pacing ── Worker (one thread, one poll) ── Connection ── Link (a driver's bytes)
//!                     │                                 └ Ledger: what must have arrived
//!                     └ Recorder (histograms) ─ Report (table, JSON, verdict)
//! ```
//!
//! A [`scenario`] makes connections through a [`driver`], gives them to workers, watches the
//! server from outside ([`probe`]) and judges what came of it ([`report`]). The generator shares
//! the machine with the server, so its hot path parses by hand and allocates nothing per message.
//!
//! # Invariants
//! - Latency counts from the planned moment of a send, in both modes.
//! - Nothing counts before the warm-up is over, and everything is verified from the first message.
//! - Every wait is bounded: connecting, logging in, draining, and the run itself.

#![forbid(unsafe_code)]

pub mod cli;
pub mod clock;
pub mod driver;
pub mod histogram;
pub mod ledger;
pub mod null_relay;
pub mod pacing;
pub mod payload;
pub mod plan;
pub mod probe;
pub mod report;
pub mod roster;
pub mod scenario;
pub mod wire;

mod connection;
mod worker;
