//! How large a run of the figures is.

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scale {
    /// Runs of what is short.
    pub rounds: usize,
    /// Seconds that count, per run.
    pub seconds: u64,
    /// Idle sessions.
    pub sessions: usize,
    /// Seconds to hold them.
    pub hold_s: u64,
    /// Sessions that sign in at once.
    pub storm: usize,
    /// Members of the group.
    pub members: usize,
    /// People of the ring whose cost is measured against what is stored.
    pub people: usize,
    /// Conversations stored, smallest first; each a multiple of `people`.
    pub conversations: Vec<usize>,
    /// Messages stored for the bytes on the disk.
    pub messages: u64,
    /// Conversations of a client that holds nothing.
    pub listed: usize,
}

impl Scale {
    /// What the published figures are made with: twenty minutes.
    #[must_use]
    pub fn full() -> Self {
        Self {
            rounds: 3,
            seconds: 8,
            sessions: 18_000,
            hold_s: 40,
            storm: 4_000,
            members: 1_000,
            people: 5_000,
            conversations: vec![100_000, 1_000_000],
            messages: 1_000_000,
            listed: 1_000,
        }
    }

    /// A try whose figures mean nothing.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            rounds: 1,
            seconds: 1,
            sessions: 400,
            hold_s: 2,
            storm: 200,
            members: 100,
            people: 100,
            conversations: vec![1_000],
            messages: 10_000,
            listed: 50,
        }
    }
}
