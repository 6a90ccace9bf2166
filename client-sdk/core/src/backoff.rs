//! How long to wait before connecting again: full jitter over an exponential
//! bound, and the server's own hint above all.
//!
//! Invariant: a drawn delay is never above `delay_max_ms`, and the bound
//! depends on the number of failures alone.

/// Bounds of the delay, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffConfig {
    /// Bound of the first delay.
    pub base_ms: u64,
    /// Bound of every delay.
    pub delay_max_ms: u64,
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self { base_ms: 500, delay_max_ms: 30_000 }
    }
}

/// Counts failures and draws delays.
#[derive(Debug, Clone)]
pub struct Backoff {
    config: BackoffConfig,
    failures: u32,
}

impl Backoff {
    /// No failures yet.
    pub const fn new(config: BackoffConfig) -> Self {
        Self { config, failures: 0 }
    }

    /// Starts over, after a session that was stable.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures since the last reset.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Upper bound of the next delay, inclusive:
    /// `min(delay_max, base * 2^failures)`.
    pub fn bound_ms(&self) -> u64 {
        exponential(self.config.base_ms, self.failures).min(self.config.delay_max_ms)
    }

    /// Counts a failure and says how long to wait: the server's `hint_ms`
    /// when it gave one (it is jittered already), otherwise uniform in
    /// `0..=bound_ms()` by `random`, any 64 random bits.
    pub fn next_delay_ms(&mut self, random: u64, hint_ms: Option<u64>) -> u64 {
        let bound = self.bound_ms();
        self.failures = self.failures.saturating_add(1);
        hint_ms.unwrap_or(random % (bound + 1))
    }
}

/// `base * 2^exponent`, at most `u64::MAX`.
pub(crate) fn exponential(base: u64, exponent: u32) -> u64 {
    base.saturating_mul(1_u64.checked_shl(exponent).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bound_doubles_up_to_its_maximum() {
        let mut backoff = Backoff::new(BackoffConfig::default());
        let mut bounds = Vec::new();
        for _ in 0..9 {
            bounds.push(backoff.bound_ms());
            backoff.next_delay_ms(0, None);
        }
        assert_eq!(bounds, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
        backoff.reset();
        assert_eq!(backoff.bound_ms(), 500);
    }

    #[test]
    fn the_hint_wins_and_still_counts() {
        let mut backoff = Backoff::new(BackoffConfig::default());
        assert_eq!(backoff.next_delay_ms(7, Some(90_000)), 90_000);
        assert_eq!(backoff.failures(), 1);
    }

    proptest! {
        #[test]
        fn a_delay_stays_within_its_bound(failures in 0_u32..200, random: u64) {
            let mut backoff = Backoff::new(BackoffConfig::default());
            for _ in 0..failures {
                backoff.next_delay_ms(random, None);
            }
            let bound = backoff.bound_ms();
            prop_assert!(bound <= 30_000);
            prop_assert!(backoff.next_delay_ms(random, None) <= bound);
        }

        #[test]
        fn the_whole_range_is_reached(random: u64) {
            let mut backoff = Backoff::new(BackoffConfig::default());
            prop_assert_eq!(backoff.next_delay_ms(random % 501, None), random % 501);
        }
    }
}
