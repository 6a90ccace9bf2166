//! Instructions of the hot path, counted by valgrind: figures that a busy machine does not move.
//!
//! ```text
//! parent ── valgrind --tool=callgrind self --child CASE --calls N
//!                                      '── prepare 2N calls, make N, make N more
//!                                                                    '── counted
//! ```
//!
//! Valgrind collects only while [`cases::counted`] runs: start, preparation and the first N calls
//! cost nothing, and what is counted is a steady state. Only the thread that calls is counted, and
//! only what it does in user space: a system call is free.
//!
//! - [`cases`]: what is counted.
//! - [`mod@count`]: the run under valgrind.
//! - [`sheet`]: the figures, for people and for programs.
//! - [`mod@compare`]: whether one of them has got worse.

pub mod cases;
pub mod compare;
pub mod count;
pub mod sheet;

pub use cases::{CASES, Case};
pub use compare::{Change, Verdict, compare};
pub use count::{Valgrind, count};
pub use sheet::{Figure, Sheet};
