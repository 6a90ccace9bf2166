//! The file store: the conformance suite, and what a crash leaves.

use std::fs;
use std::path::Path;

use hongyan_client::{FileLocalStore, LocalStore, StoreError, StoreOp};
use hongyan_client_core::conformance;

fn open(directory: &Path) -> FileLocalStore {
    FileLocalStore::open(directory).expect("the store opens")
}

fn device(store: &mut FileLocalStore) -> Option<String> {
    store.load().expect("it is open").device_id
}

fn put(store: &mut FileLocalStore, id: &str, durable: bool) {
    store.apply(&[StoreOp::SetDevice(id.into())], durable).expect("there is room");
}

#[test]
fn it_conforms() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    conformance::run::<FileLocalStore>(|before| {
        drop(before);
        open(directory.path())
    });
}

#[test]
fn it_conforms_while_compacting_all_the_time() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    conformance::run::<FileLocalStore>(|before| {
        drop(before);
        open(directory.path()).compact_at_bytes(0)
    });
}

#[test]
fn any_torn_tail_is_healed() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let journal = directory.path().join("journal");
    let mut store = open(directory.path());
    put(&mut store, "kept", true);
    let kept = store.journal_bytes();
    put(&mut store, "torn", false);
    drop(store);
    let whole = fs::read(&journal).expect("it is there");
    for len in kept as usize..whole.len() {
        fs::write(&journal, &whole[..len]).expect("it can be written");
        let mut store = open(directory.path());
        assert_eq!(device(&mut store).as_deref(), Some("kept"), "cut at {len}");
        assert_eq!(store.journal_bytes(), kept);
        put(&mut store, "after", true);
        drop(store);
        assert_eq!(device(&mut open(directory.path())).as_deref(), Some("after"));
    }
}

#[test]
fn what_was_not_synced_may_be_missing_in_any_order() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let journal = directory.path().join("journal");
    let mut store = open(directory.path());
    put(&mut store, "kept", true);
    let first = store.journal_bytes() as usize;
    put(&mut store, "lost", false);
    let second = store.journal_bytes() as usize;
    put(&mut store, "whole, but behind a hole", false);
    drop(store);
    let mut bytes = fs::read(&journal).expect("it is there");
    bytes[first..second].fill(0);
    fs::write(&journal, &bytes).expect("it can be written");
    assert_eq!(device(&mut open(directory.path())).as_deref(), Some("kept"));
}

#[test]
fn damage_to_what_was_synced_is_refused() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let journal = directory.path().join("journal");
    let mut store = open(directory.path());
    put(&mut store, "one", true);
    let first = store.journal_bytes() as usize;
    put(&mut store, "two", true);
    drop(store);
    let whole = fs::read(&journal).expect("it is there");
    for at in 8..first {
        for bit in 0..8 {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            fs::write(&journal, &bytes).expect("it can be written");
            let refused = FileLocalStore::open(directory.path());
            assert!(matches!(refused, Err(StoreError::Corrupt(_))), "byte {at} bit {bit}");
            assert_eq!(fs::read(&journal).expect("it is there"), bytes, "it is left alone");
        }
    }
    fs::write(&journal, b"something else").expect("it can be written");
    assert!(matches!(FileLocalStore::open(directory.path()), Err(StoreError::Corrupt(_))));
}

#[test]
fn compaction_bounds_the_journal() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let mut store = open(directory.path()).compact_at_bytes(4_096);
    for number in 0..1_000 {
        put(&mut store, &format!("device {number}"), false);
        assert!(store.journal_bytes() <= 4_096 + 64);
    }
    drop(store);
    assert_eq!(device(&mut open(directory.path())).as_deref(), Some("device 999"));
}

#[test]
fn two_at_once_are_refused() {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let store = open(directory.path());
    assert!(matches!(FileLocalStore::open(directory.path()), Err(StoreError::InUse)));
    drop(store);
    open(directory.path());
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_the_tokens() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory can be made");
    let mut store = open(directory.path()).compact_at_bytes(0);
    put(&mut store, "x", true);
    let mode = fs::metadata(directory.path().join("journal")).expect("it is there").permissions();
    assert_eq!(mode.mode() & 0o077, 0);
}
