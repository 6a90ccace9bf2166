//! Repeatable numbers for tests and torture; never used where chance matters.

use bytes::Bytes;

/// A small generator for tests: the same seed gives the same numbers.
#[derive(Debug, Clone)]
pub struct Numbers(u64);

impl Numbers {
    /// Starts from a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number below `end`, which is at least 1.
    pub fn below(&mut self, end: u64) -> u64 {
        // SplitMix64: every seed is a good one.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % end
    }

    /// So many bytes.
    pub fn bytes(&mut self, len: usize) -> Bytes {
        (0..len).map(|_| self.below(256) as u8).collect::<Vec<_>>().into()
    }
}
