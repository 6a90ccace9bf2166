//! What the seats of a run do besides sending and hearing: go away and come back, or read slowly.
//!
//! Owns the plan of it only; the work is done in `comings` (on the worker) and `returns` (beside
//! the workers).

use hongyan_protocol::ids::mix64;

/// A time in which a seat has no connection. Who is away sends nothing; what is sent to it
/// meanwhile it gets when it comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absence {
    /// Whose, by its place in the topology.
    pub seat: usize,
    /// When it goes, in nanoseconds since the first send.
    pub from_ns: u64,
    /// When it begins to come back.
    pub to_ns: u64,
}

/// Seats that read slowly, until the sending is over: then they come back and read like others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Slow {
    /// Which, by their place in the topology. They must have nothing to send.
    pub seats: Vec<usize>,
    /// Bytes that each reads per second; zero: it does not read at all.
    pub bytes_per_s: f64,
}

/// See the module. The default is a life without events: everybody stays and reads.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Life {
    /// In any order. Absences of one seat that overlap count as the first of them.
    pub absences: Vec<Absence>,
    /// Slow readers.
    pub slow: Slow,
}

/// Absences of `away_ns` each for some of `seats`: `per_minute` is the part of them that goes in a
/// minute, from `from_ns` to `until_ns` since the first send. Spread evenly; `seed` says who.
#[must_use]
pub fn absences(
    seats: &[usize],
    per_minute: f64,
    away_ns: u64,
    (from_ns, until_ns): (u64, u64),
    seed: u64,
) -> Vec<Absence> {
    let rate_per_ns = seats.len() as f64 * per_minute / 60e9;
    if seats.is_empty() || rate_per_ns <= 0.0 {
        return Vec::new();
    }
    let mut planned = Vec::new();
    // Everybody goes once before anybody goes again, in an order of its own each time.
    for round in 0_u64.. {
        let mut order: Vec<usize> = seats.to_vec();
        order.sort_by_cached_key(|seat| mix64(seed ^ mix64(round << 32 | *seat as u64)));
        for (at, seat) in order.into_iter().enumerate() {
            let nth = round as f64 * seats.len() as f64 + at as f64;
            let leave_ns = from_ns + ((nth + 0.5) / rate_per_ns) as u64;
            if leave_ns >= until_ns {
                return planned;
            }
            planned.push(Absence { seat, from_ns: leave_ns, to_ns: leave_ns + away_ns });
        }
    }
    planned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_goes_once_before_anybody_goes_again() {
        let seats: Vec<usize> = (10..30).collect();
        let minute_ns = 60_000_000_000;
        // A tenth of twenty people per minute: two leave in each.
        let planned = absences(&seats, 0.1, 5, (0, 20 * minute_ns), 7);
        assert_eq!(planned.len(), 40);
        for round in planned.chunks(20) {
            let mut who: Vec<usize> = round.iter().map(|absence| absence.seat).collect();
            who.sort_unstable();
            assert_eq!(who, seats);
        }
        assert!(planned.is_sorted_by_key(|absence| absence.from_ns));
        assert!(planned.iter().all(|absence| absence.to_ns == absence.from_ns + 5));
        assert_ne!(planned, absences(&seats, 0.1, 5, (0, 20 * minute_ns), 8));
        assert!(absences(&[], 0.1, 5, (0, minute_ns), 7).is_empty());
        assert!(absences(&seats, 0.0, 5, (0, minute_ns), 7).is_empty());
    }
}
