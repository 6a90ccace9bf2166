//! Keeps the evidence when a sled directory looks damaged before it is opened.
//!
//! Opening truncates and rewrites files, so what sled was given may be gone when the verdict is
//! "corrupt". When the look before finds something odd, the directory is copied aside first: the
//! copy is removed when all proves well, and kept as `<name>.evidence` when it does not.

use std::path::{Path, PathBuf};

use crate::durable;
use crate::error::StoreError;
use crate::sled_preflight;

/// What was seen, and perhaps copied, before an open.
pub(crate) struct Evidence {
    dir: PathBuf,
    fault: Option<(u64, String)>,
}

impl Evidence {
    /// Looks at a sled directory: refuses certain damage, copies it aside when it looks odd. A data
    /// file over `bytes_max` is not walked.
    pub(crate) fn secure(dir: &Path, bytes_max: u64) -> Result<Self, StoreError> {
        sled_preflight::verify(dir)?;
        let db = dir.join("db");
        let bytes = std::fs::metadata(&db).map_err(|e| StoreError::io(&db, "stat", e))?.len();
        let fault = if bytes <= bytes_max { sled_preflight::first_fault(dir)? } else { None };
        if fault.is_some() && !copy_of(dir).exists() {
            copy_dir(dir, &copy_of(dir)).inspect_err(|_| {
                // Half a copy would be taken for a whole one next time.
                let _ = std::fs::remove_dir_all(copy_of(dir));
            })?;
        }
        Ok(Self { dir: dir.to_path_buf(), fault })
    }

    /// Passes the result of the open on. A refusal is given the offset that was seen before; after
    /// a success the copy goes.
    pub(crate) fn judge<T>(self, opened: Result<T, StoreError>) -> Result<T, StoreError> {
        let copy = copy_of(&self.dir);
        match (opened, self.fault) {
            (Ok(value), Some(_)) => {
                std::fs::remove_dir_all(&copy)
                    .map_err(|error| StoreError::io(&copy, "remove", error))?;
                Ok(value)
            }
            (Err(StoreError::Corrupt { file, offset: 0, detail }), Some((offset, seen))) => {
                let detail = format!("{detail} ({seen}; a copy is kept in {})", copy.display());
                Err(StoreError::Corrupt { file, offset, detail })
            }
            (opened, _) => opened,
        }
    }
}

/// Where the copy of a directory goes.
fn copy_of(dir: &Path) -> PathBuf {
    let mut name = dir.file_name().unwrap_or_default().to_os_string();
    name.push(".evidence");
    dir.with_file_name(name)
}

/// Copies a directory of plain files and directories, durably.
pub(crate) fn copy_dir(from: &Path, to: &Path) -> Result<(), StoreError> {
    durable::create_dir(to)?;
    let entries = std::fs::read_dir(from).map_err(|error| StoreError::io(from, "list", error))?;
    for entry in entries {
        let entry = entry.map_err(|error| StoreError::io(from, "list", error))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_dir(&path, &target)?;
        } else {
            std::fs::copy(&path, &target).map_err(|error| StoreError::io(&path, "copy", error))?;
        }
    }
    durable::sync_dir(to)
}
