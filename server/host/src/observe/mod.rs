//! What can be seen of a running server: numbers and lines.

pub mod log;
pub(crate) mod metrics;
pub(crate) mod names;
pub(crate) mod panics;
