//! When each message is due.
//!
//! Owns the open loop's schedule and the alarm that wakes a worker for it. The schedule is
//! arithmetic over the run's start: message `n` of a worker is due at `start + phase + n / rate`
//! whatever happened before, so a slow server cannot slow the offer down and no lost tick loses
//! load. In the closed loop nothing is ever due; answers make room for the next sends.

use std::io;

use hongyan_protocol::ids::mix64;

use crate::plan::Pace;

/// A worker is not woken more often than this for sends, so that pacing costs at most a few per
/// cent of a core. Being late by it counts into the latency of the messages concerned.
pub const WAKE_SPACING_NS: u64 = 100_000;

/// The planned sends of one worker, in order.
#[derive(Debug)]
pub struct Schedule {
    start_ns: u64,
    interval_ns: f64,
    turns: Vec<(usize, usize)>,
    next: u64,
}

impl Schedule {
    /// The share of one worker that has `turns` (connection and lane) of `all` flows; `None` in
    /// the closed loop. `start_ns` is the run's first moment.
    #[must_use]
    pub fn new(
        pace: Pace,
        start_ns: u64,
        turns: Vec<(usize, usize)>,
        all: usize,
        seed: u64,
    ) -> Option<Self> {
        let Pace::OpenLoop { per_second } = pace else {
            return None;
        };
        let share = per_second * turns.len() as f64 / all.max(1) as f64;
        // A worker without a flow has a schedule all the same: one that never comes due.
        let interval_ns = if turns.is_empty() { f64::MAX } else { 1e9 / share };
        let phase = (mix64(seed) >> 11) as f64 / (1_u64 << 53) as f64;
        let start_ns = start_ns.saturating_add((interval_ns * phase) as u64);
        Some(Self { start_ns, interval_ns, turns, next: 0 })
    }

    /// When the next message is due, in nanoseconds of the run's clock.
    #[must_use]
    pub fn next_due_ns(&self) -> u64 {
        if self.turns.is_empty() {
            return u64::MAX;
        }
        self.start_ns.saturating_add((self.next as f64 * self.interval_ns) as u64)
    }

    /// Takes the next message if it is due: the worker's connection, the lane of its seat, and
    /// the planned moment.
    pub fn take_due(&mut self, now_ns: u64) -> Option<(usize, usize, u64)> {
        let due = self.next_due_ns();
        if due > now_ns || self.turns.is_empty() {
            return None;
        }
        let (connection, lane) = self.turns[(self.next % self.turns.len() as u64) as usize];
        self.next += 1;
        Some((connection, lane, due))
    }
}

/// Wakes a poll at a moment, more finely than the millisecond of its timeout where the system
/// can.
#[derive(Debug)]
pub struct Alarm {
    #[cfg(target_os = "linux")]
    timer: std::os::fd::OwnedFd,
}

#[cfg(target_os = "linux")]
impl Alarm {
    /// An alarm that makes `token` ready on `registry`.
    ///
    /// # Errors
    /// The system has no timer left to give.
    pub fn new(registry: &mio::Registry, token: mio::Token) -> io::Result<Self> {
        use std::os::fd::AsRawFd;

        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};

        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let raw = timer.as_raw_fd();
        registry.register(&mut mio::unix::SourceFd(&raw), token, mio::Interest::READABLE)?;
        Ok(Self { timer })
    }

    /// Rings once in `in_ns` nanoseconds, at least one; replaces an earlier setting.
    ///
    /// # Errors
    /// Whatever the system says; none is expected.
    pub fn set(&self, in_ns: u64) -> io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};

        let in_ns = in_ns.clamp(1, 3_600_000_000_000);
        let value = Timespec {
            tv_sec: (in_ns / 1_000_000_000) as i64,
            tv_nsec: (in_ns % 1_000_000_000) as _,
        };
        let interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let setting = Itimerspec { it_interval: interval, it_value: value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &setting)?;
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
impl Alarm {
    /// No alarm: the poll's timeout does, with its millisecond.
    ///
    /// # Errors
    /// None.
    pub fn new(_registry: &mio::Registry, _token: mio::Token) -> io::Result<Self> {
        Ok(Self {})
    }

    /// Does nothing.
    ///
    /// # Errors
    /// None.
    pub fn set(&self, _in_ns: u64) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(per_second: f64) -> Pace {
        Pace::OpenLoop { per_second }
    }

    fn turns(flows: usize) -> Vec<(usize, usize)> {
        (0..flows).map(|connection| (connection, 0)).collect()
    }

    #[test]
    fn a_worker_without_flows_is_never_due() {
        let mut schedule = Schedule::new(open(1_000.0), 0, Vec::new(), 5, 3).unwrap();
        assert_eq!(schedule.take_due(u64::MAX), None);
        assert_eq!(schedule.next_due_ns(), u64::MAX);
    }

    #[test]
    fn the_closed_loop_has_no_schedule() {
        assert!(Schedule::new(Pace::ClosedLoop, 0, turns(4), 4, 1).is_none());
    }

    #[test]
    fn the_offer_does_not_depend_on_when_it_is_asked() {
        let mut prompt = Schedule::new(open(1_000.0), 500, turns(4), 8, 1).unwrap();
        let mut late = Schedule::new(open(1_000.0), 500, turns(4), 8, 1).unwrap();
        let mut taken = Vec::new();
        for now in (0..=1_000_000_000).step_by(1_000_000) {
            taken.extend(std::iter::from_fn(|| prompt.take_due(now)));
        }
        let at_once: Vec<_> = std::iter::from_fn(|| late.take_due(1_000_000_000)).collect();
        assert_eq!(taken, at_once);
        assert!((499..=501).contains(&taken.len()), "{}", taken.len());
    }

    #[test]
    fn every_connection_gets_its_turn() {
        let mut schedule = Schedule::new(open(100.0), 0, turns(5), 5, 3).unwrap();
        let mut round: Vec<usize> =
            (0..5).map(|_| schedule.take_due(u64::MAX).unwrap().0).collect();
        round.sort_unstable();
        assert_eq!(round, [0, 1, 2, 3, 4]);
    }
}
