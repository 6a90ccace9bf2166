//! Every engine passes the one suite.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use hongyan_store::conformance::{LogBench, ViewsBench, log_suite, views_suite};
use hongyan_store::{
    Checkpoint, Engine, Log, MemoryLog, MemoryViews, OpenStore, StoreError, StoreLock, Views,
    check, open,
};
use tempfile::TempDir;

use crate::fixture::{files_under, open_small, small};

struct MemoryBench {
    log: Option<MemoryLog>,
    views: Option<MemoryViews>,
}

impl MemoryBench {
    fn new() -> Self {
        Self { log: Some(MemoryLog::new()), views: Some(MemoryViews::new()) }
    }
}

impl LogBench for MemoryBench {
    type Log = MemoryLog;

    fn open(&mut self) -> MemoryLog {
        self.log.take().expect("stopped before")
    }

    fn stop(&mut self, mut log: MemoryLog) {
        log.crash(hongyan_store::CrashMode::KeepWritten);
        self.log = Some(log);
    }
}

impl ViewsBench for MemoryBench {
    type Views = MemoryViews;

    fn open(&mut self) -> MemoryViews {
        self.views.take().expect("stopped before")
    }

    fn stop(&mut self, views: MemoryViews) {
        views.crash(hongyan_store::CrashMode::KeepWritten);
        self.views = Some(views);
    }
}

struct DiskBench {
    dir: TempDir,
    engine: Engine,
}

impl DiskBench {
    fn new(engine: Engine) -> Self {
        Self { dir: tempfile::tempdir().expect("temporary directory"), engine }
    }

    fn views_dir(&self) -> PathBuf {
        self.dir.path().join("views")
    }
}

/// A log or views with the rest of the store that must live as long.
struct Held<T> {
    held: T,
    _views: Option<Arc<dyn Views>>,
    _lock: StoreLock,
}

impl LogBench for DiskBench {
    type Log = Held<Box<dyn Log>>;

    fn open(&mut self) -> Self::Log {
        let OpenStore { log, views, lock, .. } = open_small(self.dir.path(), self.engine);
        Held { held: log, _views: Some(views), _lock: lock }
    }

    fn stop(&mut self, log: Self::Log) {
        // A log may be trimmed only up to the views' checkpoint, so there has to be one.
        let checkpoint = Checkpoint { lsn: log.last(), marks: Vec::new() };
        let views = log._views.as_ref().expect("held with the log");
        views.checkpoint(&checkpoint).expect("checkpoint");
        drop(log);
        let report = check(self.dir.path()).expect("check runs");
        assert!(report.faults.is_empty(), "check agrees after a clean stop: {report:?}");
    }
}

impl ViewsBench for DiskBench {
    type Views = Held<Arc<dyn Views>>;

    fn open(&mut self) -> Self::Views {
        // The views alone are under test: a log that reaches far enough for every checkpoint.
        let OpenStore { mut log, views, lock, .. } = open_small(self.dir.path(), self.engine);
        crate::fixture::append_upto(log.as_mut(), 100, 100);
        Held { held: views, _views: None, _lock: lock }
    }

    fn stop(&mut self, views: Self::Views) {
        drop(views);
        let blobs = files_under(&self.views_dir().join("blobs"));
        assert!(blobs.is_empty(), "sled never writes a blob file: {blobs:?}");
        let report = check(self.dir.path()).expect("check runs");
        assert!(report.faults.is_empty(), "check agrees after a clean stop: {report:?}");
    }
}

impl Log for Held<Box<dyn Log>> {
    fn append(
        &mut self,
        drafts: &[hongyan_store::Draft],
        committed_ms: u64,
    ) -> Result<hongyan_store::Lsn, StoreError> {
        self.held.append(drafts, committed_ms)
    }
    fn sync(&mut self) -> Result<(), StoreError> {
        self.held.sync()
    }
    fn last(&self) -> hongyan_store::Lsn {
        self.held.last()
    }
    fn durable(&self) -> hongyan_store::Lsn {
        self.held.durable()
    }
    fn first(&self) -> hongyan_store::Lsn {
        self.held.first()
    }
    fn tail(&self, partition: u16) -> hongyan_store::Tail {
        self.held.tail(partition)
    }
    fn read_from(&self, lsn: hongyan_store::Lsn) -> Result<hongyan_store::Records<'_>, StoreError> {
        self.held.read_from(lsn)
    }
    fn truncate_before(&mut self, lsn: hongyan_store::Lsn) -> Result<(), StoreError> {
        self.held.truncate_before(lsn)
    }
    fn seal(&mut self) -> Result<(), StoreError> {
        self.held.seal()
    }
}

impl Views for Held<Arc<dyn Views>> {
    fn read(&self, key: &[u8]) -> Result<Option<bytes::Bytes>, StoreError> {
        self.held.read(key)
    }
    fn scan(
        &self,
        from: &[u8],
        to_inclusive: &[u8],
        backwards: bool,
        bytes_max: usize,
        entries_max: usize,
    ) -> Result<Vec<hongyan_store::Entry>, StoreError> {
        self.held.scan(from, to_inclusive, backwards, bytes_max, entries_max)
    }
    fn write(&self, entries: &[(bytes::Bytes, Option<bytes::Bytes>)]) -> Result<(), StoreError> {
        self.held.write(entries)
    }
    fn checkpoint(&self, checkpoint: &hongyan_store::Checkpoint) -> Result<(), StoreError> {
        self.held.checkpoint(checkpoint)
    }
    fn last_checkpoint(&self) -> Result<hongyan_store::Checkpoint, StoreError> {
        self.held.last_checkpoint()
    }
}

#[test]
fn the_memory_log_conforms() {
    log_suite(MemoryBench::new);
}

#[test]
fn the_segment_log_conforms() {
    log_suite(|| DiskBench::new(Engine::Segment));
}

#[test]
fn the_sled_log_conforms() {
    log_suite(|| DiskBench::new(Engine::Sled));
}

#[test]
fn the_memory_views_conform() {
    views_suite(MemoryBench::new);
}

#[test]
fn the_sled_views_conform() {
    views_suite(|| DiskBench::new(Engine::Segment));
}

#[test]
fn one_process_at_a_time_and_one_engine_for_ever() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let store = open_small(dir.path(), Engine::Segment);
    assert!(store.report.created);
    let second = open(&small(dir.path(), Engine::Segment)).err().expect("locked");
    assert!(matches!(second, StoreError::Locked { .. }) && second.exit_code() == 74);
    assert!(matches!(check(dir.path()), Err(StoreError::Locked { .. })));
    drop(store);
    let other = open(&small(dir.path(), Engine::Sled)).err().expect("another engine");
    assert!(matches!(other, StoreError::Version { .. }) && other.exit_code() == 78);
    assert!(!open_small(dir.path(), Engine::Segment).report.created);
}

#[test]
fn a_directory_with_foreign_content_is_not_taken_over() {
    let dir = tempfile::tempdir().expect("temporary directory");
    std::fs::write(dir.path().join("precious"), b"mine").expect("write");
    let readable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(dir.path(), readable.clone()).expect("chmod");
    let error = open(&small(dir.path(), Engine::Segment)).err().expect("refused");
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
    assert_eq!(files_under(dir.path()), [dir.path().join("precious")]);
    let mode = std::fs::metadata(dir.path()).expect("stat").permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
}
