//! Numbers that spread the moments at which clients come back.
//!
//! Fast and not secret: nobody gains by guessing when another client will
//! connect.

/// A generator of its own for each thread, seeded at random.
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn new() -> Self {
        Self(u64::from_le_bytes(crate::tokens::random_bytes()) | 1)
    }

    /// At least `ms`, and less than twice that; zero stays zero.
    pub(super) const fn spread(&mut self, ms: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        if ms == 0 { 0 } else { ms + (self.0 >> 32) as u32 % ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_spread_over_as_long_again() {
        let mut jitter = Jitter::new();
        let moments: std::collections::BTreeSet<u32> =
            (0..1_000).map(|_| jitter.spread(10_000)).collect();
        assert!(moments.len() > 500, "{} different ones", moments.len());
        assert!(moments.iter().all(|ms| (10_000..20_000).contains(ms)));
        assert_eq!(jitter.spread(0), 0);
    }
}
