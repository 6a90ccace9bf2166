//! Time as an argument.

/// The two clocks, read by the host once per wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Milliseconds since 1970-01-01 UTC. May jump; only stamped on things.
    pub unix_ms: u64,
    /// Milliseconds since an arbitrary start. Never goes back; deadlines are
    /// in this clock.
    pub mono_ms: u64,
}
