//! The few ways in which this crate asks the operating system for durability.
//!
//! One place, so that the rule "a failed sync is never retried" can be read off its callers: each
//! of them turns an error into poison or gives up opening.

use std::fs::File;
use std::path::Path;

use crate::error::StoreError;
use crate::private;

/// `fdatasync`: the data, and the metadata needed to read it.
pub(crate) fn sync_data(file: &File, path: &Path) -> Result<(), StoreError> {
    file.sync_data().map_err(|error| StoreError::io(path, "fdatasync", error))
}

/// `fsync`: data and all metadata.
pub(crate) fn sync_all(file: &File, path: &Path) -> Result<(), StoreError> {
    file.sync_all().map_err(|error| StoreError::io(path, "fsync", error))
}

/// Makes creations, renames and removals in a directory durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), StoreError> {
    let handle = File::open(dir).map_err(|error| StoreError::io(dir, "open", error))?;
    sync_all(&handle, dir)
}

/// Creates a directory for the owner alone, and its parents, and makes its entry durable.
pub(crate) fn create_dir(dir: &Path) -> Result<(), StoreError> {
    private::create_dir(dir).map_err(|error| StoreError::io(dir, "create", error))?;
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => Ok(()),
    }
}
