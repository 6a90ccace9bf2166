//! The bare log recipe: append a batch to a preallocated file, make it durable, again.
//!
//! No framing, no checksum, no index: what a durable log costs before it does anything for its
//! users. Owns its file, which it removes.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use hongyan_loadtest::histogram::{LatencySummary, nanoseconds};
use hongyan_loadtest::probe::ProcessSample;
use rustix::fs::FallocateFlags;
use serde::{Deserialize, Serialize};

/// Bytes of the file; when it is full, writing begins at its front again.
pub const FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Messages per append and sync that a floor is looked up in.
pub const BATCHES: [usize; 5] = [1, 64, 256, 1_024, 4_096];

/// What one batch size costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppendFloor {
    /// Messages per append and sync.
    pub batch: usize,
    /// Bytes per message.
    pub record_bytes: usize,
    /// Messages that were written.
    pub messages: u64,
    /// Messages per second.
    pub messages_per_s: f64,
    /// CPU time of this process per message, in microseconds.
    pub cpu_us_per_message: f64,
    /// Duration of a sync.
    pub sync: LatencySummary,
}

/// Appends batches of `batch` records of `record_bytes` bytes in a new file under `dir` for about
/// `length`.
///
/// # Errors
/// The file cannot be made, written or synced; the batch is larger than [`FILE_BYTES`].
pub fn measure(
    dir: &Path,
    batch: usize,
    record_bytes: usize,
    length: Duration,
) -> anyhow::Result<AppendFloor> {
    let bytes = batch.saturating_mul(record_bytes).max(1);
    anyhow::ensure!(bytes as u64 <= FILE_BYTES, "a batch is over {FILE_BYTES} bytes");
    let mut file = tempfile::tempfile_in(dir).with_context(|| format!("in {}", dir.display()))?;
    preallocate(&mut file)?;
    let block: Vec<u8> = (0..bytes).map(|index| (index * 31 % 251) as u8).collect();
    let mut syncs = nanoseconds();
    let (mut at, mut messages) = (0_u64, 0_u64);
    let cpu_before = ProcessSample::of_self()?.cpu_us;
    let began = Instant::now();
    while began.elapsed() < length {
        if at + bytes as u64 > FILE_BYTES {
            at = 0;
            file.seek(SeekFrom::Start(0))?;
        }
        file.write_all(&block)?;
        at += bytes as u64;
        let before = Instant::now();
        file.sync_data()?;
        syncs.saturating_record(before.elapsed().as_nanos() as u64);
        messages += batch as u64;
    }
    let seconds = began.elapsed().as_secs_f64();
    let cpu_us = ProcessSample::of_self()?.cpu_us - cpu_before;
    Ok(AppendFloor {
        batch,
        record_bytes,
        messages,
        messages_per_s: messages as f64 / seconds,
        cpu_us_per_message: cpu_us as f64 / messages.max(1) as f64,
        sync: LatencySummary::of(&syncs),
    })
}

/// Allocates and writes the file once, so that a sync has no metadata to write, as in a log whose
/// segments are used again.
fn preallocate(file: &mut File) -> anyhow::Result<()> {
    rustix::fs::fallocate(&*file, FallocateFlags::empty(), 0, FILE_BYTES)
        .context("allocating the file")?;
    let zeros = vec![0; 1024 * 1024];
    for _ in 0..FILE_BYTES / zeros.len() as u64 {
        file.write_all(&zeros)?;
    }
    file.sync_all()?;
    file.seek(SeekFrom::Start(0))?;
    Ok(())
}

/// The floor with the batch size nearest to `messages`; `None` without floors.
#[must_use]
pub fn nearest(floors: &[AppendFloor], messages: f64) -> Option<&AppendFloor> {
    let distance = |floor: &&AppendFloor| ((floor.batch as f64).ln() - messages.ln()).abs();
    floors.iter().min_by(|one, other| distance(one).total_cmp(&distance(other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_run_counts_what_it_wrote() {
        let dir = tempfile::tempdir().unwrap();
        let floor = measure(dir.path(), 16, 100, Duration::from_millis(50)).unwrap();
        assert_eq!(floor.messages, floor.sync.samples * 16);
        assert!(floor.messages > 0);
        assert!(measure(dir.path(), usize::MAX, 2, Duration::ZERO).is_err());
    }

    #[test]
    fn the_floor_is_that_of_the_nearest_batch() {
        let floor = |batch| AppendFloor {
            batch,
            record_bytes: 220,
            messages: 0,
            messages_per_s: 0.0,
            cpu_us_per_message: 0.0,
            sync: LatencySummary::default(),
        };
        let floors = [floor(1), floor(64), floor(1_024)];
        let batch = |messages| nearest(&floors, messages).map(|floor| floor.batch);
        assert_eq!(batch(90.0), Some(64));
        assert_eq!(batch(5_000.0), Some(1_024));
        assert_eq!(batch(1.0), Some(1));
        assert_eq!(nearest(&[], 1.0), None);
    }
}
