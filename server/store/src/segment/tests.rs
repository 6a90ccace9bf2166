//! A log whose `fdatasync` fails: the answer of `/dev/null`, which takes every write and can
//! promise nothing.

use super::*;

const STORE_ID: u64 = 7;

fn options(dir: &Path) -> SegmentOptions {
    let dir = dir.to_path_buf();
    SegmentOptions {
        dir,
        store_id: STORE_ID,
        segment_bytes: 64 * 1024,
        free_bytes_min: 0,
        epoch: 1,
    }
}

fn opened(dir: &Path) -> SegmentLog {
    SegmentLog::open(options(dir)).expect("the log opens").0
}

fn draft(idx: u64) -> Draft {
    Draft { partition: 3, idx, payload: Bytes::from(vec![idx as u8; 1_000]) }
}

fn append(log: &mut SegmentLog, idx: u64) -> Result<Lsn, StoreError> {
    log.append(&[draft(idx)], 1)
}

/// A log with ten records that were acknowledged, and one that was not yet.
fn with_one_unsynced(dir: &Path) -> SegmentLog {
    SegmentLog::create(&options(dir)).expect("create");
    let mut log = opened(dir);
    for idx in 1..=10 {
        append(&mut log, idx).expect("append");
    }
    log.sync().expect("sync");
    append(&mut log, 11).expect("append");
    log
}

/// From now on the file is one that cannot be synced; returns the one that can.
fn break_sync(log: &mut SegmentLog) -> File {
    let unsyncable = OpenOptions::new().read(true).write(true).open("/dev/null").expect("open");
    std::mem::replace(&mut log.active, unsyncable)
}

fn nothing_is_acknowledged(log: &mut SegmentLog) {
    for idx in 11..=13 {
        assert!(matches!(append(log, idx), Err(StoreError::Poisoned { .. })));
        assert!(matches!(log.sync(), Err(StoreError::Poisoned { .. })), "a sync is never retried");
    }
    assert!(matches!(log.truncate_before(Lsn(5)), Err(StoreError::Poisoned { .. })));
    assert!(matches!(log.seal(), Err(StoreError::Poisoned { .. })));
    assert_eq!(log.durable(), Lsn(10));
}

/// What was acknowledged is there; what was not may be.
fn reopened_serves_ten(dir: &Path) {
    let mut log = opened(dir);
    let records: Vec<_> =
        log.read_from(Lsn(1)).expect("reads").map(|r| r.expect("a record")).collect();
    assert!((10..=11).contains(&records.len()), "{} records", records.len());
    for (idx, record) in (1..).zip(&records) {
        assert_eq!((record.lsn, record.idx), (Lsn(idx), idx));
        assert_eq!(record.payload, draft(idx).payload);
    }
    let next = records.len() as u64 + 1;
    append(&mut log, next).expect("a restart begins anew");
    log.sync().expect("sync");
    assert_eq!(log.durable(), Lsn(next));
}

#[test]
fn after_a_failed_sync_nothing_is_acknowledged_until_a_restart() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut log = with_one_unsynced(dir.path());
    let well = break_sync(&mut log);
    let failed = log.sync().expect_err("the kernel refuses to sync this file");
    assert!(matches!(failed, StoreError::Io { .. }), "{failed}");
    // The disk is well again, and that changes nothing: what the failed sync lost is unknown.
    log.active = well;
    nothing_is_acknowledged(&mut log);
    assert_eq!(log.read_from(Lsn(1)).expect("reads go on").count(), 11);
    drop(log);
    reopened_serves_ten(dir.path());
}

#[test]
fn a_failed_sync_before_a_new_segment_poisons_the_append() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut log = with_one_unsynced(dir.path());
    let well = break_sync(&mut log);
    let large = Draft { partition: 3, idx: 12, payload: Bytes::from(vec![1; 60_000]) };
    let failed = log.append(&[large], 1).expect_err("a new segment needs the old one synced");
    assert!(matches!(failed, StoreError::Io { .. }), "{failed}");
    log.active = well;
    nothing_is_acknowledged(&mut log);
    drop(log);
    assert!(!segment_path(&log_dir(dir.path()), Lsn(12)).exists());
    reopened_serves_ten(dir.path());
}
