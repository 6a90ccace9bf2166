//! Free space: writes are refused early, and a reserve helps a restart on a full disk.
//!
//! Owns the reserve file and the rule when to say [`StoreError::DiskFull`]. Asking the file system
//! costs a system call, so an answer is good for 100 ms or 8 MiB of writes, whichever is first.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::durable;
use crate::error::StoreError;
use crate::private;

/// Watches the free space under a directory.
#[derive(Debug)]
pub(crate) struct DiskGuard {
    dir: PathBuf,
    free_bytes_min: u64,
    free_bytes: u64,
    asked: Option<Instant>,
    since_bytes: u64,
}

const ASK_AFTER: Duration = Duration::from_millis(100);
const ASK_AFTER_BYTES: u64 = 8 * 1024 * 1024;
const RESERVE_NAME: &str = "reserve";

impl DiskGuard {
    pub(crate) fn new(dir: &Path, free_bytes_min: u64) -> Self {
        Self { dir: dir.to_path_buf(), free_bytes_min, free_bytes: 0, asked: None, since_bytes: 0 }
    }

    /// Accepts a write of `bytes`, or refuses because too little space would be left.
    pub(crate) fn admit(&mut self, bytes: u64) -> Result<(), StoreError> {
        self.since_bytes += bytes;
        let stale = self.asked.is_none_or(|asked| asked.elapsed() >= ASK_AFTER);
        if stale || self.since_bytes >= ASK_AFTER_BYTES || self.free_bytes < self.free_bytes_min {
            self.free_bytes = free_bytes(&self.dir)?;
            self.asked = Some(Instant::now());
            self.since_bytes = 0;
        }
        if self.free_bytes < self.free_bytes_min {
            return Err(self.refusal(0));
        }
        Ok(())
    }

    /// Like [`DiskGuard::admit`] for a write that takes new space at once; always asks.
    pub(crate) fn admit_new(&mut self, bytes: u64) -> Result<(), StoreError> {
        self.free_bytes = free_bytes(&self.dir)?;
        self.asked = Some(Instant::now());
        if self.free_bytes < self.free_bytes_min.saturating_add(bytes) {
            return Err(self.refusal(bytes));
        }
        Ok(())
    }

    fn refusal(&self, bytes: u64) -> StoreError {
        StoreError::DiskFull {
            free_bytes: self.free_bytes,
            needed_bytes: self.free_bytes_min.saturating_add(bytes),
        }
    }
}

/// Bytes free to an ordinary user under `dir`.
pub(crate) fn free_bytes(dir: &Path) -> Result<u64, StoreError> {
    let answer = rustix::fs::statvfs(dir)
        .map_err(|error| StoreError::io(dir, "ask the free space of", error.into()))?;
    Ok(answer.f_bavail.saturating_mul(answer.f_frsize))
}

/// Frees the reserve when the disk is short at start, so that recovery can write. True when it
/// was freed.
pub(crate) fn free_reserve(dir: &Path, free_bytes_min: u64) -> Result<bool, StoreError> {
    let path = dir.join(RESERVE_NAME);
    if !path.exists() || free_bytes(dir)? >= free_bytes_min {
        return Ok(false);
    }
    std::fs::remove_file(&path).map_err(|error| StoreError::io(&path, "remove", error))?;
    Ok(true)
}

/// Writes the reserve again when it is missing and there is room for it; having none is no error.
pub(crate) fn keep_reserve(
    dir: &Path,
    reserve_bytes: u64,
    free_bytes_min: u64,
) -> Result<(), StoreError> {
    let path = dir.join(RESERVE_NAME);
    let present = std::fs::metadata(&path).is_ok_and(|found| found.len() == reserve_bytes);
    let room = free_bytes_min.saturating_add(reserve_bytes);
    if present || reserve_bytes == 0 || free_bytes(dir)? < room {
        return Ok(());
    }
    match write_zeroes(&path, reserve_bytes, |_| ()) {
        Err(error) if error.is_out_of_space() => {
            std::fs::remove_file(&path).map_err(|error| StoreError::io(&path, "remove", error))
        }
        other => other,
    }
}

/// Writes a new file of zeroes, really allocated and synced piece by piece, so that no other sync
/// has to wait for much of it. `pause` is called between the pieces with the bytes written so far.
pub(crate) fn write_zeroes(
    path: &Path,
    bytes: u64,
    mut pause: impl FnMut(u64),
) -> Result<(), StoreError> {
    const PIECE_BYTES: usize = 1024 * 1024;
    let zeroes = vec![0; PIECE_BYTES.min(usize::try_from(bytes).unwrap_or(PIECE_BYTES))];
    let mut file = private::new_file()
        .truncate(true)
        .open(path)
        .map_err(|error| StoreError::io(path, "create", error))?;
    let mut left = bytes;
    while left > 0 {
        let piece = zeroes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        file.write_all(&zeroes[..piece]).map_err(|error| StoreError::io(path, "write", error))?;
        left -= piece as u64;
        if left > 0 {
            durable::sync_data(&file, path)?;
            pause(bytes - left);
        }
    }
    durable::sync_all(&file, path)
}
