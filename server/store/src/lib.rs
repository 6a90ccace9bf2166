//! Hongyan's log and views on disk.
//!
//! Two traits and their engines. [`Log`] is the truth: an ordered, durable list of records that
//! one committer thread appends to. [`Views`] are sorted keys and values that a replay of the log
//! rebuilds from the last [`Checkpoint`]. Payloads, keys and values are opaque bytes here: this
//! crate knows no message, no account and no conversation.
//!
//! Promised: what a successful sync or checkpoint confirmed is found again after a kill or a power
//! cut, or opening is refused with an error that names the file; it is never served with a hole.
//! Absent: a repair that throws bytes away, a retry of a failed sync, and any unbounded queue.
//! The layout on disk and the recovery story are in `docs/STORAGE.md`.

#![forbid(unsafe_code)]

#[cfg(all(feature = "sled", feature = "testing"))]
pub mod checks;
#[cfg(feature = "testing")]
pub mod conformance;
pub mod error;
pub mod log;
pub mod memory_log;
pub mod memory_views;
#[cfg(any(feature = "testing", feature = "torture"))]
mod numbers;
pub mod options;
pub mod views;

#[cfg(feature = "sled")]
mod check;
#[cfg(feature = "sled")]
mod contained;
#[cfg(feature = "sled")]
mod durable;
#[cfg(feature = "sled")]
mod evidence;
#[cfg(feature = "sled")]
mod high_water;
#[cfg(feature = "sled")]
mod identity;
#[cfg(feature = "sled")]
mod open;
#[cfg(feature = "sled")]
mod private;
#[cfg(feature = "sled")]
pub mod segment;
#[cfg(feature = "sled")]
mod sled_db;
#[cfg(feature = "sled")]
pub mod sled_log;
#[cfg(feature = "sled")]
mod sled_preflight;
#[cfg(feature = "sled")]
pub mod sled_views;
#[cfg(feature = "sled")]
mod slots;
#[cfg(feature = "sled")]
mod space;
#[cfg(all(feature = "sled", any(feature = "testing", feature = "torture")))]
pub mod workload;

#[cfg(feature = "sled")]
pub use check::{CheckReport, check};
#[cfg(feature = "sled")]
pub use contained::is_contained;
pub use error::{EXIT_IO, EXIT_REFUSED, StoreError};
pub use log::{Draft, Log, Lsn, PAYLOAD_BYTES_MAX, Record, Records, Tail};
pub use memory_log::{CrashMode, Fault, MemoryLog};
pub use memory_views::MemoryViews;
#[cfg(any(feature = "testing", feature = "torture"))]
pub use numbers::Numbers;
#[cfg(feature = "sled")]
pub use open::{OpenReport, OpenStore, StoreLock, open};
pub use options::{Engine, Options};
#[cfg(feature = "sled")]
pub use segment::SegmentLog;
#[cfg(feature = "sled")]
pub use sled_log::SledLog;
#[cfg(feature = "sled")]
pub use sled_views::{Scrub, SledViews};
pub use views::{Checkpoint, Entry, KEY_BYTES_MAX, MARKS_MAX, VALUE_BYTES_MAX, Views};
