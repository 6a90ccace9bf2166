//! Things that are done one by one and each take their time (sign-ins, cold starts), over time.
//!
//! Owns the thread that looks at CPU meanwhile, and the shape of a tick. Judges nothing.

use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::cpu_clock::CpuClock;
use crate::histogram::{LatencySummary, nanoseconds};

/// Ticks of one line, at most.
pub const TICKS_MAX: usize = 240;
/// A shorter tick would show the clock of the CPU and not the CPU.
const TICK_MIN: Duration = Duration::from_millis(100);
/// Looks at the CPU, at most; then every second one is dropped, and half as many come.
const LOOKS_MAX: usize = 2_048;

/// A short part of what was done, all of them equally long.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PulseTick {
    /// Its end, in seconds from the beginning; its beginning is the end of the tick before, or 0.
    pub at_s: f64,
    /// What was done in it.
    pub done: u64,
    /// What was refused in it.
    pub refused: u64,
    /// Half of what was done in it took at most this, in microseconds; zero when that is nothing.
    pub p50_us: f64,
    /// 99 % took at most this, in microseconds.
    pub p99_us: f64,
    /// Server CPU time over wall time: 2.0 is two cores.
    #[serde(default)]
    pub server_cpu_cores: Option<f64>,
    /// Generator CPU time over wall time.
    pub generator_cpu_cores: f64,
}

/// Something that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Done {
    /// When, in nanoseconds from the beginning.
    pub(crate) at_ns: u64,
    /// How long it took, in nanoseconds.
    pub(crate) took_ns: u64,
}

/// CPU time that was used from the beginning up to a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Look {
    at_s: f64,
    server_us: Option<f64>,
    generator_us: f64,
}

/// Looks at CPU while something goes on; ends when it is asked what it saw, or dropped.
#[derive(Debug)]
pub(crate) struct CpuTrace {
    /// Closed to end the thread.
    stop: SyncSender<()>,
    thread: JoinHandle<Vec<Look>>,
}

impl CpuTrace {
    /// Begins to look at this process and, with its id, at the server.
    pub(crate) fn start(server_pid: Option<u32>) -> Self {
        let (stop, stopped) = sync_channel(0);
        let thread = thread::spawn(move || {
            let began = Instant::now();
            let server = server_pid.and_then(|pid| CpuClock::now(pid).ok());
            let own = CpuClock::now(std::process::id()).ok();
            let used = |clock: &CpuClock| clock.spent().ok().map(|cpu| cpu.us as f64);
            let mut looks = Vec::new();
            let mut step = TICK_MIN;
            loop {
                looks.push(Look {
                    at_s: began.elapsed().as_secs_f64(),
                    server_us: server.as_ref().and_then(used),
                    generator_us: own.as_ref().and_then(used).unwrap_or(0.0),
                });
                if looks.len() >= LOOKS_MAX {
                    let mut nth = 0;
                    looks.retain(|_| {
                        nth += 1;
                        nth % 2 == 1
                    });
                    step *= 2;
                }
                if stopped.recv_timeout(step) != Err(RecvTimeoutError::Timeout) {
                    return looks;
                }
            }
        });
        Self { stop, thread }
    }

    /// The ticks of what was done since the start, which is `length` ago: at most `ticks_max`, at
    /// least one.
    pub(crate) fn into_ticks(
        self,
        done: &[Done],
        refused_ns: &[u64],
        length: Duration,
        ticks_max: usize,
    ) -> Vec<PulseTick> {
        drop(self.stop);
        // A thread that panicked saw nothing.
        let looks = self.thread.join().unwrap_or_default();
        ticks(done, refused_ns, &looks, length, ticks_max)
    }
}

fn ticks(
    done: &[Done],
    refused_ns: &[u64],
    looks: &[Look],
    length: Duration,
    ticks_max: usize,
) -> Vec<PulseTick> {
    let length_s = length.max(TICK_MIN).as_secs_f64();
    let count = ((length_s / TICK_MIN.as_secs_f64()) as usize).clamp(1, ticks_max.max(1));
    let step_s = length_s / count as f64;
    let nth = |at_ns: u64| ((at_ns as f64 / 1e9 / step_s) as usize).min(count - 1);
    let mut took = vec![nanoseconds(); count];
    let mut refused = vec![0; count];
    for done in done {
        took[nth(done.at_ns)].saturating_record(done.took_ns);
    }
    for at_ns in refused_ns {
        refused[nth(*at_ns)] += 1;
    }
    let cores = |used: &dyn Fn(&Look) -> Option<f64>, end_s: f64| {
        let (before, after) = (at(looks, used, end_s - step_s)?, at(looks, used, end_s)?);
        Some((after - before).max(0.0) / 1e6 / step_s)
    };
    took.iter()
        .zip(refused)
        .enumerate()
        .map(|(nth, (took, refused))| {
            let at_s = (nth + 1) as f64 * step_s;
            let latency = LatencySummary::of(took);
            PulseTick {
                at_s,
                done: took.len(),
                refused,
                p50_us: latency.p50_us,
                p99_us: latency.p99_us,
                server_cpu_cores: cores(&|look| look.server_us, at_s),
                generator_cpu_cores: cores(&|look| Some(look.generator_us), at_s).unwrap_or(0.0),
            }
        })
        .collect()
}

/// What was used at `at_s`, between the looks around it.
fn at(looks: &[Look], used: &dyn Fn(&Look) -> Option<f64>, at_s: f64) -> Option<f64> {
    let after = looks.partition_point(|look| look.at_s < at_s);
    let (Some(after), before) = (looks.get(after), after.checked_sub(1).map(|nth| looks[nth]))
    else {
        return used(looks.last()?);
    };
    let Some(before) = before else { return used(after) };
    let share = (at_s - before.at_s) / (after.at_s - before.at_s).max(1e-9);
    let (from, to) = (used(&before)?, used(after)?);
    Some((to - from).mul_add(share, from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(at_s: f64, server_us: f64) -> Look {
        Look { at_s, server_us: Some(server_us), generator_us: server_us / 2.0 }
    }

    #[test]
    fn what_was_done_falls_into_its_tick() {
        let done: Vec<Done> = (0..1_000)
            .map(|nth| Done {
                at_ns: nth * 1_000_000,
                took_ns: if nth < 500 { 10_000 } else { 90_000 },
            })
            .collect();
        let looks = [look(0.0, 0.0), look(0.5, 500_000.0), look(1.0, 500_000.0)];
        let ticks =
            ticks(&done, &[1, 900_000_000, 5_000_000_000], &looks, Duration::from_secs(1), 2);
        assert_eq!(ticks.iter().map(|tick| tick.done).collect::<Vec<_>>(), [500, 500]);
        assert_eq!(ticks.iter().map(|tick| tick.refused).collect::<Vec<_>>(), [1, 2]);
        assert!(ticks[0].p99_us < 11.0 && ticks[1].p50_us > 89.0, "{ticks:?}");
        let cores: Vec<_> = ticks.iter().map(|tick| tick.server_cpu_cores).collect();
        assert_eq!(cores, [Some(1.0), Some(0.0)]);
        assert!((ticks[0].generator_cpu_cores - 0.5).abs() < 1e-9);
    }

    #[test]
    fn ticks_are_bounded_and_never_none() {
        let long = ticks(&[], &[], &[], Duration::from_secs(86_400), TICKS_MAX);
        assert_eq!(long.len(), TICKS_MAX);
        assert!((long[TICKS_MAX - 1].at_s - 86_400.0).abs() < 1e-6);
        assert_eq!(long[0].server_cpu_cores, None);
        assert_eq!(ticks(&[], &[], &[], Duration::ZERO, TICKS_MAX).len(), 1);
    }

    #[test]
    fn the_cpu_is_looked_at_until_the_end() {
        let trace = CpuTrace::start(Some(std::process::id()));
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(250) {
            std::hint::black_box(began.elapsed());
        }
        let ticks = trace.into_ticks(&[], &[], began.elapsed(), TICKS_MAX);
        assert_eq!(ticks.len(), 2);
        assert!(ticks.iter().all(|tick| tick.server_cpu_cores.is_some()));
        drop(CpuTrace::start(None));
    }
}
