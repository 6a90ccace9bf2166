//! A two-level hashed timer wheel.
//!
//! ```text
//! near  256 slots of one tick (100 ms)      25.6 s
//! far    64 slots of 256 ticks            27.3 min; later ones wait in the last
//! ```
//!
//! Owns when, not what: an entry is a number and the tick it is for. Entries
//! are never removed; whoever set one looks, when it fires, at what the
//! deadline is by then, and sets it again. So activity on a connection costs
//! nothing here, and a connection has one entry, or two when a nearer
//! deadline came up.
//!
//! Invariant: an entry fires never before its time and at most one tick after
//! the first [`Wheel::advance`] that is past it.

/// Length of a tick in milliseconds.
pub(crate) const TICK_MS: u64 = 100;
const NEAR: u64 = 256;
const FAR: u64 = 64;

/// What a timer was set with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Whose it is; the setter's own number.
    pub(crate) id: u64,
    /// When it was to fire, as [`Wheel::set`] gave back.
    pub(crate) tick: u64,
}

/// The wheel. Times are milliseconds of a clock that never goes back.
#[derive(Debug)]
pub(crate) struct Wheel {
    near: Vec<Vec<Entry>>,
    far: Vec<Vec<Entry>>,
    now_tick: u64,
    len: usize,
}

impl Wheel {
    /// An empty wheel that starts at `now_ms`.
    pub(crate) fn new(now_ms: u64) -> Self {
        Self {
            near: (0..NEAR).map(|_| Vec::new()).collect(),
            far: (0..FAR).map(|_| Vec::new()).collect(),
            now_tick: now_ms / TICK_MS,
            len: 0,
        }
    }

    /// Sets a timer for `id` at `at_ms` and returns its tick, by which a
    /// stale entry is told from the one in force.
    pub(crate) fn set(&mut self, id: u64, at_ms: u64) -> u64 {
        let tick = at_ms.div_ceil(TICK_MS).max(self.now_tick + 1);
        self.place(Entry { id, tick });
        self.len += 1;
        tick
    }

    /// The tick that a timer for `at_ms` would get.
    pub(crate) fn tick_of(&self, at_ms: u64) -> u64 {
        at_ms.div_ceil(TICK_MS).max(self.now_tick + 1)
    }

    /// Moves to `now_ms` and puts what is due into `due`.
    pub(crate) fn advance(&mut self, now_ms: u64, due: &mut Vec<Entry>) {
        let target = now_ms / TICK_MS;
        while self.now_tick < target {
            if self.len == 0 {
                self.now_tick = target;
                return;
            }
            self.now_tick += 1;
            if self.now_tick.is_multiple_of(NEAR) {
                let slot = (self.now_tick / NEAR % FAR) as usize;
                for entry in std::mem::take(&mut self.far[slot]) {
                    self.place(entry);
                }
            }
            let slot = &mut self.near[(self.now_tick % NEAR) as usize];
            self.len -= slot.len();
            due.append(slot);
            if slot.capacity() > 1024 {
                *slot = Vec::new();
            }
        }
    }

    /// When [`Wheel::advance`] has something to do next; exact within the
    /// near slots, otherwise no later than it.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        if self.len == 0 {
            return None;
        }
        let boundary = (self.now_tick / NEAR + 1) * NEAR;
        let tick = (self.now_tick + 1..boundary)
            .find(|tick| !self.near[(tick % NEAR) as usize].is_empty())
            .unwrap_or(boundary);
        Some(tick * TICK_MS)
    }

    fn place(&mut self, entry: Entry) {
        let tick = entry.tick.max(self.now_tick);
        if tick - self.now_tick < NEAR {
            self.near[(tick % NEAR) as usize].push(entry);
        } else {
            let turns = (tick / NEAR - self.now_tick / NEAR).min(FAR - 1);
            self.far[((self.now_tick / NEAR + turns) % FAR) as usize].push(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fired(wheel: &mut Wheel, now_ms: u64) -> Vec<u64> {
        let mut due = Vec::new();
        wheel.advance(now_ms, &mut due);
        due.into_iter().map(|entry| entry.id).collect()
    }

    #[test]
    fn timers_fire_at_their_tick_and_once() {
        let mut wheel = Wheel::new(1_000);
        wheel.set(1, 1_250);
        assert_eq!(wheel.next_ms(), Some(1_300));
        assert_eq!(fired(&mut wheel, 1_299), Vec::<u64>::new());
        assert_eq!(fired(&mut wheel, 1_300), [1]);
        assert_eq!(fired(&mut wheel, 60_000), Vec::<u64>::new());
        assert_eq!(wheel.next_ms(), None);
    }

    #[test]
    fn a_deadline_in_the_past_fires_with_the_next_tick() {
        let mut wheel = Wheel::new(5_000);
        wheel.set(1, 10);
        assert_eq!(fired(&mut wheel, 5_100), [1]);
    }

    #[test]
    fn far_timers_come_near_in_time_whatever_the_steps() {
        for step in [37, 100, 999, 25_600, 100_000] {
            let mut wheel = Wheel::new(12_345);
            let mut expected: Vec<(u64, u64)> = Vec::new();
            let mut x = 7_u64;
            for id in 0..2_000 {
                x = x
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let at = 12_345 + 200 + (x >> 33) % 3_000_000;
                wheel.set(id, at);
                expected.push((id, at));
            }
            let mut now = 12_345;
            let mut seen = Vec::new();
            while now < 12_345 + 3_200_000 {
                // The wheel may wake early, never late.
                let next = wheel.next_ms().unwrap_or(u64::MAX).min(now + step);
                now = next.max(now + 1);
                for id in fired(&mut wheel, now) {
                    let at = expected[id as usize].1;
                    assert!(now >= at, "timer {id} for {at} fired at {now}");
                    assert!(now < at + TICK_MS + step, "timer {id} for {at} fired at {now}");
                    seen.push(id);
                }
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..2_000).collect::<Vec<_>>());
        }
    }
}
