//! What can go wrong in a store, and what the process should do then.
//!
//! Owns [`StoreError`]. A variant says who is to blame (the files, the disk, the operator, the
//! caller), names the file, and where it can, the byte offset. Nothing here decides what a client
//! is told; the host maps variants to codes.

use std::io;
use std::path::{Path, PathBuf};

/// The exit code of a process that refuses to serve a damaged or shortened store
/// (`EX_CONFIG` of sysexits.h: a supervisor should not restart it in a loop).
pub const EXIT_REFUSED: i32 = 78;
/// Exit code of a process that stops because files could not be used (EX_IOERR of sysexits.h).
pub const EXIT_IO: i32 = 74;

/// An error of a log, of the views, or of opening and checking a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Bytes on disk are not what was written. Never retried, never repaired in place.
    #[error("{} is corrupt at byte {offset}: {detail}", file.display())]
    Corrupt {
        /// The damaged file, or the directory that misses one.
        file: PathBuf,
        /// Byte offset of the first fault in `file`; 0 when it has no meaningful position.
        offset: u64,
        /// What was expected and what was found.
        detail: String,
    },
    /// The store holds less than it once confirmed.
    #[error("{} came back short: {what} is {have}, but {expected} was confirmed", file.display())]
    Short {
        /// The file or directory that is behind.
        file: PathBuf,
        /// What is counted, for example "last lsn".
        what: &'static str,
        /// What is there.
        have: u64,
        /// What was confirmed before.
        expected: u64,
    },
    /// Too little space is left to accept writes; reads go on. Retry once space is back.
    #[error("disk full: {free_bytes} bytes free, {needed_bytes} needed")]
    DiskFull {
        /// Bytes free to us now.
        free_bytes: u64,
        /// Bytes that must be free before writes are accepted.
        needed_bytes: u64,
    },
    /// An earlier write or sync failed, so nothing later can be trusted until a restart.
    #[error("poisoned by an earlier failure: {first}")]
    Poisoned {
        /// The failure that poisoned it.
        first: String,
    },
    /// Another process has the directory open.
    #[error("{} is locked by another process", file.display())]
    Locked {
        /// The lock file.
        file: PathBuf,
    },
    /// The operating system refused an operation.
    #[error("cannot {operation} {}: {source}", file.display())]
    Io {
        /// The file operated on.
        file: PathBuf,
        /// What was tried, as a verb.
        operation: &'static str,
        /// The operating system's answer.
        source: io::Error,
    },
    /// The files were written by a version, or with a log engine, that this build cannot read.
    #[error("{} has format {found}, this build reads {supported}", file.display())]
    Version {
        /// The file that says so.
        file: PathBuf,
        /// What it says.
        found: String,
        /// What would have been accepted.
        supported: String,
    },
    /// The caller broke the contract of the call; nothing was changed.
    #[error("refused: {detail}")]
    Misuse {
        /// Which rule was broken.
        detail: String,
    },
}

impl StoreError {
    /// The exit code for a process that stops because of this error: [`EXIT_REFUSED`] when the
    /// files must be looked at by a human, [`EXIT_IO`] otherwise.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Corrupt { .. } | Self::Short { .. } | Self::Version { .. } => EXIT_REFUSED,
            _ => EXIT_IO,
        }
    }

    pub(crate) fn io(file: &Path, operation: &'static str, source: io::Error) -> Self {
        Self::Io { file: file.to_path_buf(), operation, source }
    }

    #[cfg(feature = "sled")]
    pub(crate) fn corrupt(file: &Path, offset: u64, detail: impl Into<String>) -> Self {
        Self::Corrupt { file: file.to_path_buf(), offset, detail: detail.into() }
    }

    pub(crate) fn misuse(detail: impl Into<String>) -> Self {
        Self::Misuse { detail: detail.into() }
    }

    #[cfg(feature = "sled")]
    /// True when the operating system said that the disk or the quota is full.
    pub(crate) fn is_out_of_space(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_out_of_space(source))
    }
}

/// True for ENOSPC and EDQUOT.
#[cfg(feature = "sled")]
pub(crate) fn is_out_of_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
