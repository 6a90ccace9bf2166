//! Tortures the real server and compares what is left with what it promised.
//!
//! ```text
//!  clients (the SDK) ── load ──> hongyan serve ──> data directory
//!       │ every send, ack, push                        │ kill -9, power cut,
//!       ▼ and cursor                                   │ flipped bit, full disk, EIO
//!    Journal ── judge ──< Canon + views (History, Sync over the wire) <── restart
//! ```
//! Owns the faults, the load, the journal that the clients keep outside the
//! server, and the judge. It trusts nothing that the server says of itself:
//! every verdict compares the journal with what a restarted server returns
//! over its socket.
//!
//! Refuses to judge what it cannot do: without root and loop devices the
//! power cut is skipped aloud. Promises that every run is bounded in time,
//! that mounts and servers are gone when it ends, and that after a failure
//! the evidence and the command to do it again are named.
//!
//! Nothing here depends on a crate of the server: only its binary, its
//! command line, its configuration and its wire are known.

#![forbid(unsafe_code)]

pub mod admin;
pub mod canon;
pub mod cast;
pub mod cli;
pub mod client;
pub mod corrupt;
pub mod crash;
pub mod cut;
pub mod damage;
pub mod disk;
pub mod eio;
pub mod fault;
pub mod full;
pub mod journal;
pub mod judge;
pub mod letter;
pub mod load;
pub mod numbers;
pub mod reading;
pub mod resend;
pub mod scene;
pub mod server;
pub mod tally;
pub mod work_dir;
