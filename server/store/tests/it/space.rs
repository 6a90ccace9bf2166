//! A full disk: writes are refused early, reads go on, nothing confirmed is lost.

use bytes::Bytes;
use hongyan_store::{
    Draft, Engine, Fault, Log, Lsn, MemoryLog, MemoryViews, StoreError, Views, open,
};

use crate::fixture::{append_upto, compare, open_small, payload_of, small};

fn draft(idx: u64) -> Draft {
    Draft { partition: 0, idx, payload: payload_of(idx) }
}

#[test]
fn below_the_limit_appends_are_refused_and_reads_go_on() {
    for engine in [Engine::Segment, Engine::Sled] {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut store = open_small(dir.path(), engine);
        append_upto(store.log.as_mut(), 20, 4);
        drop(store);
        let mut options = small(dir.path(), engine);
        options.free_bytes_min = u64::MAX;
        let mut store = open(&options).expect("a full disk does not keep the store from opening");
        for _ in 0..2 {
            let refused = store.log.append(&[draft(21)], 1);
            assert!(matches!(refused, Err(StoreError::DiskFull { .. })), "{refused:?}");
        }
        store.log.sync().expect("not poisoned");
        compare(&store, 20).expect("reads go on");
        drop(store);
        let mut store = open_small(dir.path(), engine);
        append_upto(store.log.as_mut(), 30, 4);
        compare(&store, 30).expect("with space back nothing has to be done by hand");
    }
}

#[test]
fn the_reserve_is_kept_freed_when_short_and_made_again() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let reserve = dir.path().join("reserve");
    let mut options = small(dir.path(), Engine::Segment);
    options.reserve_bytes = 3 << 20;
    assert!(!open(&options).expect("open").report.reserve_freed);
    assert_eq!(std::fs::metadata(&reserve).expect("kept").len(), 3 << 20);
    options.free_bytes_min = u64::MAX;
    assert!(open(&options).expect("open").report.reserve_freed);
    assert!(!reserve.exists());
    options.free_bytes_min = 0;
    assert!(!open(&options).expect("open").report.reserve_freed);
    assert!(reserve.exists());
}

#[test]
fn a_failed_sync_poisons_the_log_for_good() {
    let mut log = MemoryLog::new();
    log.append(&[draft(1)], 1).expect("append");
    log.sync().expect("sync");
    log.append(&[draft(2)], 1).expect("append");
    log.inject(Fault::Sync);
    assert!(matches!(log.sync(), Err(StoreError::Io { .. })));
    log.heal();
    assert!(matches!(log.sync(), Err(StoreError::Poisoned { .. })), "an fsync is never retried");
    assert!(matches!(log.append(&[draft(3)], 1), Err(StoreError::Poisoned { .. })));
    assert!(matches!(log.seal(), Err(StoreError::Poisoned { .. })));
    assert_eq!(log.read_from(Lsn(1)).expect("reads go on").count(), 2);
    log.crash(hongyan_store::CrashMode::KeepSynced);
    assert_eq!(log.last(), Lsn(1));
    log.append(&[draft(2)], 1).expect("a restart begins anew");
}

#[test]
fn a_full_memory_log_refuses_without_poison_and_crashes_keep_a_prefix() {
    let mut log = MemoryLog::new();
    log.append(&[draft(1)], 1).expect("append");
    log.sync().expect("sync");
    log.inject(Fault::DiskFull);
    assert!(matches!(log.append(&[draft(2)], 1), Err(StoreError::DiskFull { .. })));
    log.heal();
    log.append(&[draft(2), draft(3), draft(4)], 1).expect("append");
    log.crash(hongyan_store::CrashMode::KeepPrefix(6));
    assert_eq!(log.last(), Lsn(3), "6 modulo 4 choices keeps 2 of 3 unsynced records");
    assert_eq!(log.tail(0).idx, 3);
}

#[test]
fn memory_views_lose_what_follows_the_checkpoint() {
    let views = MemoryViews::new();
    let put = |key: &'static str, value: &'static str| {
        views.write(&[(Bytes::from(key), Some(Bytes::from(value)))]).expect("write");
    };
    put("a", "1");
    views.checkpoint(&hongyan_store::Checkpoint::default()).expect("checkpoint");
    put("a", "2");
    put("b", "3");
    views.crash(hongyan_store::CrashMode::KeepPrefix(4));
    assert_eq!(views.read(b"a").expect("read").as_deref(), Some(&b"2"[..]));
    assert_eq!(views.read(b"b").expect("read"), None);
    views.crash(hongyan_store::CrashMode::KeepSynced);
    assert_eq!(views.read(b"a").expect("read").as_deref(), Some(&b"1"[..]));
    views.fail_next_write();
    assert!(views.write(&[(Bytes::from("a"), None)]).is_err());
    assert!(matches!(
        views.checkpoint(&hongyan_store::Checkpoint::default()),
        Err(StoreError::Poisoned { .. })
    ));
}
