//! Comparisons with other servers: finds them, starts them, and runs the same load in alternation
//! with ours.
//!
//! ```text
//! catalog (who, how to start) ─ places (what is installed) ─┐
//!                  config (what ships, filled in) ─ server (a peer that answers) ─┐
//!                                                   ours (a Hongyan that answers) ─┤
//!                              runner: peer, ours, peer, ours, ... ─ trial (one run) ┘
//!                                          contest (medians, ratios) ─ table
//! ```
//!
//! Knows nothing of any protocol: each run is another process of this program, which writes its
//! report to a file. At any moment at most one server runs, on an empty directory.
//!
//! # Invariants
//! - Every process that is started is ended by its process id, on success, on errors, and on an
//!   interrupt; none is looked up by name.
//! - Every wait is bounded.
//! - A peer that is absent, or a run that proves nothing, stands in the result with the reason.

pub mod catalog;
pub mod class;
pub mod config;
pub mod contest;
pub mod interrupt;
pub mod ours;
pub mod places;
pub mod process;
pub mod runner;
pub mod server;
pub mod survey;
pub mod table;
pub mod tree;
pub mod trial;
pub mod version;
