//! Who may read a store: the user that runs it, and nobody else.
//!
//! Owns the modes of what this crate makes: 0700 for directories, 0600 for files. What people
//! write to each other is in here in clear. sled makes its files by the mask of the process, and
//! older versions made all of them so; opening takes from those what is too much.

use std::fs::{DirBuilder, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
/// What the group and others may do.
const OTHERS: u32 = 0o077;

/// Makes a directory and its parents; nothing, when it is there.
pub(crate) fn create_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(dir)
}

/// Options for a file that may have to be made.
pub(crate) fn new_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(FILE_MODE);
    options
}

/// Takes every right of the group and of others from one file or directory. False when it is
/// somebody else's and they keep some.
pub(crate) fn tighten(path: &Path) -> bool {
    let mode = match std::fs::metadata(path) {
        Ok(found) => found.permissions().mode(),
        Err(error) => return error.kind() == ErrorKind::NotFound,
    };
    let less = mode & 0o7777 & !OTHERS;
    if mode & OTHERS == 0 {
        return true;
    }
    match std::fs::set_permissions(path, Permissions::from_mode(less)) {
        Ok(()) => true,
        // A spare file was just taken into use under another name.
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

/// As [`tighten`], for all that is in `dir`, to any depth. Returns what could not be changed.
pub(crate) fn tighten_all(dir: &Path) -> Vec<PathBuf> {
    let mut kept = Vec::new();
    let mut left = vec![dir.to_path_buf()];
    while let Some(path) = left.pop() {
        // What a link leads to is somebody else's, but for the store itself.
        if path != dir && path.is_symlink() {
            continue;
        }
        if !tighten(&path) {
            kept.push(path.clone());
        }
        // A file has no entries, and what cannot be listed cannot be changed.
        if let Ok(entries) = std::fs::read_dir(&path) {
            left.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
        }
    }
    kept
}
