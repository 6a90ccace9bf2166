//! How much CPU time a process used between two moments, as finely as the kernel tells.
//!
//! The time of a whole process comes in steps of a clock tick (10 ms mostly); the scheduler's own
//! account of each thread comes in nanoseconds. The second is used where it is there and complete,
//! and every figure says how fine its clock was, so that nothing is read out of noise.

use std::collections::BTreeMap;
use std::fs;

use crate::probe::ProcessSample;

/// Steps of the clock that a measurement must span, so that what the clock cannot tell is a small
/// part of it.
pub const STEPS_MIN: u64 = 20;

/// CPU time that a process has used up to a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuClock {
    pid: u32,
    process_us: u64,
    /// Nanoseconds by thread; empty where the kernel does not tell.
    threads_ns: BTreeMap<u32, u64>,
}

/// CPU time between two moments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// Microseconds.
    pub us: u64,
    /// The clock's step, in microseconds.
    pub step_us: u64,
}

impl CpuClock {
    /// The clock of the process `pid`, now.
    ///
    /// # Errors
    /// There is none, or it is not ours to look at.
    pub fn now(pid: u32) -> anyhow::Result<Self> {
        let process_us = ProcessSample::of(pid)?.cpu_us;
        Ok(Self { pid, process_us, threads_ns: threads_ns(pid) })
    }

    /// What was used since this moment.
    ///
    /// # Errors
    /// The process has ended.
    pub fn spent(&self) -> anyhow::Result<CpuTime> {
        Ok(between(self, &Self::now(self.pid)?))
    }
}

impl CpuTime {
    /// True when the clock is too coarse for so little.
    #[must_use]
    pub const fn is_noise(&self) -> bool {
        self.us < STEPS_MIN * self.step_us
    }
}

/// Step of the clock of processes, in microseconds.
#[must_use]
pub fn tick_us() -> u64 {
    1_000_000 / rustix::param::clock_ticks_per_second().max(1)
}

fn between(before: &CpuClock, after: &CpuClock) -> CpuTime {
    let coarse_us = after.process_us.saturating_sub(before.process_us);
    let fine_ns: u64 = after
        .threads_ns
        .iter()
        .map(|(thread, ns)| {
            ns.saturating_sub(before.threads_ns.get(thread).copied().unwrap_or_default())
        })
        .sum();
    let fine_us = fine_ns / 1_000;
    // Threads that ended have taken their account with them; the process's still has it.
    if before.threads_ns.is_empty() || coarse_us > fine_us + 2 * tick_us() {
        return CpuTime { us: coarse_us, step_us: tick_us() };
    }
    CpuTime { us: fine_us, step_us: 1 }
}

fn threads_ns(pid: u32) -> BTreeMap<u32, u64> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return BTreeMap::new();
    };
    threads
        .flatten()
        .filter_map(|thread| {
            let id = thread.file_name().to_str()?.parse().ok()?;
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            Some((id, text.split_whitespace().next()?.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(process_us: u64, threads_ns: &[(u32, u64)]) -> CpuClock {
        CpuClock { pid: 1, process_us, threads_ns: threads_ns.iter().copied().collect() }
    }

    #[test]
    fn the_fine_clock_is_used_where_it_is_complete() {
        let before = clock(10_000, &[(1, 1_000_000), (2, 500_000)]);
        // A new thread counts from its beginning.
        let after = clock(20_000, &[(1, 1_700_000), (2, 500_000), (3, 2_300_000)]);
        assert_eq!(between(&before, &after), CpuTime { us: 3_000, step_us: 1 });
        assert!(!between(&before, &after).is_noise());
        let ended = clock(10_000 + 10 * tick_us(), &[(1, 1_700_000)]);
        assert_eq!(between(&before, &ended), CpuTime { us: 10 * tick_us(), step_us: tick_us() });
        assert!(between(&before, &ended).is_noise());
        let none = clock(0, &[]);
        assert_eq!(between(&none, &none), CpuTime { us: 0, step_us: tick_us() });
    }

    #[test]
    fn this_process_has_a_clock_that_does_not_go_back() {
        let clock = CpuClock::now(std::process::id()).unwrap();
        let first = clock.spent().unwrap().us;
        assert!(clock.spent().unwrap().us >= first);
    }
}
