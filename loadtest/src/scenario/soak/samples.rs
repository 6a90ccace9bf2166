//! Looks at a server every few seconds while a run goes on.
//!
//! Owns the thread that looks; it ends when it is told to. What cannot be seen is `None`.

use std::fmt::{self, Display, Formatter};
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::engine::Ran;
use crate::plan::Plan;
use crate::probe::{ProcessSample, disk_bytes};
use crate::scenario::Watch;

/// Samples of one run, at most: a day of seconds.
const SAMPLES_MAX: usize = 100_000;

/// The server at one moment, and the latency since the sample before.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds since the first send, to within one second.
    pub at_s: f64,
    /// Resident memory, in bytes.
    pub rss_bytes: Option<u64>,
    /// Of it what the process itself uses, in bytes.
    pub anon_bytes: Option<u64>,
    /// Open files, sockets included.
    pub open_files: Option<u64>,
    /// Bytes of the data directory, preallocation included.
    pub disk_bytes: Option<u64>,
    /// The median of the ack p99s of the seconds since the sample before, in microseconds.
    pub ack_p99_median_us: f64,
    /// The worst of them.
    pub ack_p99_worst_us: f64,
}

impl Display for Sample {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let ms = |us: f64| us / 1_000.0;
        let mib = |bytes: Option<u64>| {
            bytes.map_or_else(
                || "-".to_owned(),
                |bytes| format!("{:.1}", bytes as f64 / 1_048_576.0),
            )
        };
        let files = self.open_files.map_or_else(|| "-".to_owned(), |files| files.to_string());
        write!(
            f,
            "{:>7.0}   {:>13.2} {:>15.2}   {:>14}   {files:>5}   {:>12}",
            self.at_s,
            ms(self.ack_p99_median_us),
            ms(self.ack_p99_worst_us),
            mib(self.anon_bytes),
            mib(self.disk_bytes)
        )
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Sampler {
    stop: SyncSender<()>,
    thread: JoinHandle<Vec<(f64, Sample)>>,
}

impl Sampler {
    /// Looks at once, and then every `interval_s` seconds.
    pub(super) fn start(watch: &Watch, interval_s: u64) -> anyhow::Result<Self> {
        let (stop, stopped) = sync_channel::<()>(1);
        let (pid, data) = (watch.server_pid, watch.data.clone());
        let interval = Duration::from_secs(interval_s);
        let thread = thread::Builder::new().name("sampler".into()).spawn(move || {
            let mut samples = Vec::new();
            loop {
                if samples.len() < SAMPLES_MAX {
                    samples.push((unix_s(), look(pid, data.as_ref())));
                }
                match stopped.recv_timeout(interval) {
                    Err(RecvTimeoutError::Timeout) => {}
                    _ => return samples,
                }
            }
        })?;
        Ok(Self { stop, thread })
    }

    /// Ends the looking; gives the samples with the seconds since 1970.
    pub(super) fn stop(self) -> Vec<(f64, Sample)> {
        drop(self.stop);
        self.thread.join().unwrap_or_default()
    }
}

fn unix_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn look(pid: Option<u32>, data: Option<&PathBuf>) -> Sample {
    let process = pid.and_then(|pid| ProcessSample::of(pid).ok());
    Sample {
        rss_bytes: process.map(|process| process.rss_bytes),
        anon_bytes: process.map(|process| process.anon_bytes),
        open_files: pid.and_then(open_files),
        disk_bytes: data.and_then(|data| disk_bytes(data).ok()),
        ..Sample::default()
    }
}

fn open_files(pid: u32) -> Option<u64> {
    Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as u64)
}

/// Those samples that were taken while the run was measured, with the latencies of its seconds.
pub(super) fn within_run(seen: Vec<(f64, Sample)>, ran: &Ran, plan: &Plan) -> Vec<Sample> {
    let span = plan.measure_from_ns() as f64 / 1e9..=plan.stop_ns() as f64 / 1e9;
    let mut before_s = *span.start();
    let mut samples = Vec::new();
    for (unix_s, sample) in seen {
        let at_s = unix_s - ran.started_unix_s as f64;
        if !span.contains(&at_s) {
            continue;
        }
        let ticks = &ran.outcome.timeline;
        let mut p99s: Vec<f64> = ticks
            .iter()
            .filter(|tick| tick.at_s > before_s && tick.at_s <= at_s && tick.acked > 0)
            .map(|tick| tick.ack_p99_us)
            .collect();
        p99s.sort_unstable_by(f64::total_cmp);
        before_s = at_s;
        samples.push(Sample {
            at_s,
            ack_p99_median_us: p99s.get(p99s.len() / 2).copied().unwrap_or(0.0),
            ack_p99_worst_us: p99s.last().copied().unwrap_or(0.0),
            ..sample
        });
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ceilings::Ceilings;
    use crate::engine::Details;
    use crate::report::Outcome;
    use crate::series::Tick;

    #[test]
    fn a_sample_has_the_latencies_of_the_seconds_before_it() {
        let tick = |at_s, ack_p99_us| Tick { at_s, ack_p99_us, acked: 5, ..Tick::default() };
        let timeline = vec![tick(1.0, 900.0), tick(3.0, 10.0), tick(4.0, 30.0), tick(5.0, 20.0)];
        let ran = Ran {
            run: 1,
            started_unix_s: 1_000,
            ceilings: Ceilings::default(),
            outcome: Outcome { timeline, ..Outcome::default() },
            details: Details::default(),
        };
        let plan = Plan { warmup_s: 2, seconds: 4, ..Plan::default() };
        let seen = [990.0, 1_001.0, 1_005.5, 1_006.0, 1_020.0]
            .map(|at| (at, Sample { anon_bytes: Some(7), ..Sample::default() }));
        let samples = within_run(seen.to_vec(), &ran, &plan);
        assert_eq!(samples.len(), 2);
        assert_eq!((samples[0].ack_p99_median_us, samples[0].ack_p99_worst_us), (20.0, 30.0));
        assert_eq!((samples[1].ack_p99_worst_us, samples[1].anon_bytes), (0.0, Some(7)));
    }

    #[test]
    fn a_sampler_looks_until_it_is_stopped() {
        let watch = Watch { server_pid: Some(std::process::id()), ..Watch::default() };
        let samples = Sampler::start(&watch, 3_600).unwrap().stop();
        assert_eq!(samples.len(), 1);
        assert!(samples[0].1.open_files > Some(0) && samples[0].1.anon_bytes > Some(0));
    }
}
