//! Hongyan's load generator.
//!
//! ```text
//! Plan ─ Topology ─ Pacing ─ Worker (one thread, one poll) ─ Connection ─ Link (a driver's bytes)
//!                              │                               ├ Stream: TCP or TLS
//!                              │                               └ Ledger: what must have arrived
//!                              └ Recorder (histograms) ─ Report (table, JSON, verdict)
//! ```
//!
//! A [`scenario`] says who talks to whom; the [`engine`] opens connections through a [`driver`],
//! gives them to workers, watches the server from outside ([`probe`]), and the [`report`] judges
//! what came of it. The generator shares the machine with the server, so its hot path parses by
//! hand and allocates nothing per message.
//!
//! # Invariants
//! - Latency counts from the planned moment of a send, in both modes.
//! - Nothing counts before the warm-up is over, and everything is verified from the first message.
//! - Every wait is bounded: connecting, logging in, draining, and the run itself.

#![forbid(unsafe_code)]

pub mod catchup;
pub mod ceilings;
pub mod cli;
pub mod clock;
pub mod cpu_clock;
pub mod crew;
pub mod diff;
pub mod driver;
pub mod engine;
pub mod groups;
pub mod histogram;
pub mod null_relay;
pub mod number;
pub mod page;
pub mod peers;
pub mod plan;
pub mod probe;
pub mod pulse;
pub mod report;
pub mod roster;
pub mod scenario;
pub mod series;
pub mod session;
pub mod stream;
pub mod tickets;
pub mod wire;
