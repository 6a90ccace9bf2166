//! One sled database, opened and synced with the care that it needs.
//!
//! Owns every call that decides sled's durability. `flush()` only hands bytes to the kernel
//! (`sync_file_range`), so [`SledDb::sync`] adds an `fdatasync` on a second handle to sled's `db`
//! file. sled may panic on damaged files and when a drop fails: panics stop here and become
//! [`StoreError::Corrupt`]. Nothing in this crate uses sled's `Batch` or `transaction`, and no value
//! is longer than [`PIECE_BYTES_MAX`] plus its header, so sled never makes a blob file.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::contained::contained;
use crate::durable;
use crate::error::{StoreError, is_out_of_space};

/// The most bytes of payload in one sled value. 17 values with their keys and headers stay below
/// the 131,052 bytes from which sled would write a leaf into a blob file.
pub(crate) const PIECE_BYTES_MAX: usize = 6_800;

/// sled's garbage collector runs only in its flusher, so the flusher stays on.
const FLUSH_EVERY_MS: u64 = 500;

/// How long to wait for a lock that is about to be free, and how often to try.
const LOCK_WAIT: Duration = Duration::from_secs(10);
const LOCK_RETRY: Duration = Duration::from_millis(5);

/// An open sled database.
pub(crate) struct SledDb {
    dir: PathBuf,
    path: PathBuf,
    /// `None` only while being dropped.
    db: Option<sled::Db>,
    file: File,
}

impl SledDb {
    /// Opens or creates the database in `dir`. The caller has run `preflight` when it is not new.
    pub(crate) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        durable::create_dir(dir)?;
        remove_generating(dir)?;
        let path = dir.join("db");
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(cache_bytes)
            .flush_every_ms(Some(FLUSH_EVERY_MS))
            .print_profile_on_drop(false);
        let db = open_when_free(&path, &config)?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|error| StoreError::io(&path, "open", error))?;
        let this = Self { dir: dir.to_path_buf(), path, db: Some(db), file };
        this.sync_everything()?;
        Ok(this)
    }

    /// Opens a tree.
    pub(crate) fn tree(&self, name: &str) -> Result<sled::Tree, StoreError> {
        self.contain(|| self.db().open_tree(name))
    }

    /// Hands everything written so far to the kernel: it survives the death of the process.
    pub(crate) fn flush(&self) -> Result<(), StoreError> {
        self.contain(|| self.db().flush()).map(drop)
    }

    /// Makes everything handed to the kernel durable.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        if cfg!(feature = "__plain_flush") {
            return Ok(());
        }
        durable::sync_data(&self.file, &self.path)
    }

    /// sled's data file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the data file.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.file.metadata().map_or(0, |found| found.len())
    }

    /// Runs a call into sled; its panic or error becomes ours.
    pub(crate) fn contain<T>(
        &self,
        call: impl FnOnce() -> Result<T, sled::Error>,
    ) -> Result<T, StoreError> {
        contain(&self.path, call)
    }

    /// Syncs the files that sled itself never syncs: its configuration, its snapshot, and the
    /// directory entries.
    fn sync_everything(&self) -> Result<(), StoreError> {
        self.flush()?;
        let entries =
            std::fs::read_dir(&self.dir).map_err(|e| StoreError::io(&self.dir, "list", e))?;
        for entry in entries {
            let path = entry.map_err(|error| StoreError::io(&self.dir, "list", error))?.path();
            let file = File::open(&path).map_err(|error| StoreError::io(&path, "open", error))?;
            durable::sync_all(&file, &path)?;
        }
        durable::sync_dir(&self.dir)
    }

    fn db(&self) -> &sled::Db {
        self.db.as_ref().expect("the database is there until it is dropped")
    }
}

impl Drop for SledDb {
    fn drop(&mut self) {
        let db = self.db.take();
        // sled panics when the fsync of its drop fails; what mattered was synced before.
        let _ = contained(move || drop(db));
    }
}

/// Opens the database once its lock is free. A database that this process has just dropped may keep
/// it for a moment, until a write of sled's own threads is done; other processes are kept out by the
/// store's lock.
fn open_when_free(path: &Path, config: &sled::Config) -> Result<sled::Db, StoreError> {
    let began = Instant::now();
    loop {
        match contain(path, || config.open()) {
            Err(StoreError::Io { source, .. })
                if source.to_string().contains("could not acquire lock")
                    && began.elapsed() < LOCK_WAIT =>
            {
                std::thread::sleep(LOCK_RETRY);
            }
            other => return other,
        }
    }
}

/// Runs a call into sled on the file at `path`; a panic becomes `Corrupt`.
fn contain<T>(path: &Path, call: impl FnOnce() -> Result<T, sled::Error>) -> Result<T, StoreError> {
    match contained(call) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(translate(path, error)),
        Err(text) => Err(StoreError::corrupt(path, 0, format!("sled panicked: {text}"))),
    }
}

fn translate(path: &Path, error: sled::Error) -> StoreError {
    match error {
        sled::Error::Io(source) if is_out_of_space(&source) => {
            StoreError::io(path, "write", source)
        }
        sled::Error::Io(source) if source.kind() == std::io::ErrorKind::UnexpectedEof => {
            StoreError::corrupt(path, 0, format!("sled reads past the end: {source}"))
        }
        sled::Error::Io(source) if source.kind() == std::io::ErrorKind::Other => {
            // sled wraps a taken lock and its own complaints alike; neither may be served.
            StoreError::io(path, "use", source)
        }
        sled::Error::Io(source) => StoreError::io(path, "use", source),
        other => StoreError::corrupt(path, 0, format!("sled says: {other}")),
    }
}

/// Removes snapshots that an interrupted open left half written: the next open would take them for
/// whole ones.
fn remove_generating(dir: &Path) -> Result<(), StoreError> {
    let entries = std::fs::read_dir(dir).map_err(|error| StoreError::io(dir, "list", error))?;
    for entry in entries {
        let path = entry.map_err(|error| StoreError::io(dir, "list", error))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        if name.is_some_and(|name| name.starts_with("snap.") && name.ends_with(".generating")) {
            std::fs::remove_file(&path).map_err(|error| StoreError::io(&path, "remove", error))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_is_about_to_be_dropped_is_waited_for() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = dir.path().join("views");
        let first = SledDb::open(&path, 1 << 20).expect("open");
        let holder = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(200));
            drop(first);
        });
        SledDb::open(&path, 1 << 20).expect("open again");
        holder.join().expect("joined");
    }
}
