//! What several tests need: small stores with known contents.

use std::path::{Path, PathBuf};

pub(crate) use hongyan_store::workload::{compare, payload_of};
use hongyan_store::{Engine, Log, OpenStore, Options, Views, open, workload};

/// Options for a small store: segments of 64 KiB, no reserve, no lower limit of free space.
pub(crate) fn small(dir: &Path, engine: Engine) -> Options {
    let mut options = Options::new(dir);
    options.engine = engine;
    options.segment_bytes = 64 * 1024;
    options.cache_bytes = 1 << 20;
    options.reserve_bytes = 0;
    options.free_bytes_min = 0;
    options
}

/// Opens a small store that must open.
pub(crate) fn open_small(dir: &Path, engine: Engine) -> OpenStore {
    open(&small(dir, engine)).expect("the store opens")
}

/// Appends the expected records, as [`workload::append_upto`], which must succeed.
pub(crate) fn append_upto(log: &mut dyn Log, last: u64, batch: u64) {
    workload::append_upto(log, last, batch).expect("append");
}

/// Settles, as [`workload::settle_upto`], which must succeed.
pub(crate) fn settle_upto(views: &dyn Views, lsn: u64) {
    workload::settle_upto(views, lsn).expect("settle");
}

/// Every file under a directory.
pub(crate) fn files_under(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("list") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            found.extend(files_under(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Copies a directory tree.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("create");
    for entry in std::fs::read_dir(from).expect("list") {
        let path = entry.expect("entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy_tree(&path, &target);
        } else {
            std::fs::copy(&path, &target).expect("copy");
        }
    }
}
