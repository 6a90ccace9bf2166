//! The simulator against the rules as they are: a short sweep, the seeds that
//! ever failed, and that a seed does the same twice.

mod pinned;
mod replay;
mod sweep;
