//! Flipped bits, truncations and missing files: refused with the file's name, or healed; never
//! served with a loss.

use std::path::Path;

use hongyan_store::conformance::Numbers;
use hongyan_store::{Engine, Lsn, StoreError, check, open};

use crate::fixture::{
    append_upto, compare, copy_tree, files_under, open_small, settle_upto, small,
};

const LAST: u64 = 400;

/// A store with a checkpoint, records after it, several segments, and a clean or an abrupt end.
fn build(dir: &Path, engine: Engine) {
    let mut store = open_small(dir, engine);
    append_upto(store.log.as_mut(), 150, 7);
    settle_upto(store.views.as_ref(), 120);
    append_upto(store.log.as_mut(), 300, 7);
    settle_upto(store.views.as_ref(), 250);
    store.log.truncate_before(Lsn(100)).expect("truncate");
    append_upto(store.log.as_mut(), LAST, 7);
    store.log.seal().expect("seal");
}

/// Opens and compares everything; Ok(true) when served whole, Ok(false) when refused properly.
fn served_whole(dir: &Path, engine: Engine) -> Result<bool, String> {
    match open(&small(dir, engine)) {
        Ok(store) => compare(&store, LAST).map(|()| true),
        Err(error) => {
            let named = match &error {
                StoreError::Corrupt { file, .. }
                | StoreError::Short { file, .. }
                | StoreError::Version { file, .. } => file.starts_with(dir),
                _ => false,
            };
            if named && error.exit_code() == 78 {
                Ok(false)
            } else {
                Err(format!("refused, but not with a file and code 78: {error:?}"))
            }
        }
    }
}

/// `HONGYAN_DAMAGE_ROUNDS` asks for a longer run by hand.
fn damage_rounds(engine: Engine, rounds: u64, seed: u64) {
    let asked = std::env::var("HONGYAN_DAMAGE_ROUNDS").ok().and_then(|text| text.parse().ok());
    let rounds = asked.unwrap_or(rounds);
    let whole = tempfile::tempdir().expect("temporary directory");
    build(whole.path(), engine);
    assert_eq!(served_whole(whole.path(), engine), Ok(true));
    let mut numbers = Numbers::new(seed);
    let (mut served, mut refused) = (0, 0);
    for round in 0..rounds {
        let copy = tempfile::tempdir().expect("temporary directory");
        copy_tree(whole.path(), copy.path());
        let files = files_under(copy.path());
        let file = &files[numbers.below(files.len() as u64) as usize];
        let mut bytes = std::fs::read(file).expect("read");
        if bytes.is_empty() {
            continue;
        }
        // Most of a segment's file is unused: aim where something is written.
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0) as u64 + 1;
        let truncate = numbers.below(4) == 0;
        let what = if truncate {
            let len = numbers.below(used);
            bytes.truncate(len as usize);
            format!("cut to {len}")
        } else {
            let bit = numbers.below(used * 8);
            bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
            format!("bit {} of byte {}", bit % 8, bit / 8)
        };
        std::fs::write(file, &bytes).expect("write");
        let name = file.strip_prefix(copy.path()).expect("inside");
        let report = check(copy.path()).expect("check runs");
        match served_whole(copy.path(), engine) {
            Ok(true) => served += 1,
            Ok(false) => {
                refused += 1;
                assert!(
                    !report.faults.is_empty(),
                    "round {round}: check saw {name:?} {what} as well"
                );
            }
            Err(loss) => panic!("round {round}, {} {what}: {loss}", name.display()),
        }
    }
    println!("{served} served whole, {refused} refused");
    assert!(
        served > 0 && refused > 0,
        "both outcomes were seen: {served} served, {refused} refused"
    );
}

#[test]
fn damaged_files_are_refused_or_healed_segment() {
    damage_rounds(Engine::Segment, 120, 21);
}

#[test]
fn damaged_files_are_refused_or_healed_sled() {
    damage_rounds(Engine::Sled, 60, 22);
}

#[test]
fn every_missing_file_is_noticed() {
    let whole = tempfile::tempdir().expect("temporary directory");
    build(whole.path(), Engine::Segment);
    for file in files_under(whole.path()) {
        let name = file.strip_prefix(whole.path()).expect("inside").to_path_buf();
        let copy = tempfile::tempdir().expect("temporary directory");
        copy_tree(whole.path(), copy.path());
        std::fs::remove_file(copy.path().join(&name)).expect("remove");
        let text = name.to_string_lossy();
        let spare = text == "lock" || text.contains("spare") || text.contains("snap.");
        // Everything in the oldest segment is in the views, so it counts as trimmed.
        let settled = text.ends_with("/0000000000000001.seg");
        let served = served_whole(copy.path(), Engine::Segment);
        if spare || settled {
            assert_eq!(served, Ok(true), "{text} is not needed");
        } else {
            assert_eq!(served, Ok(false), "{text} is missed");
        }
    }
}

#[test]
fn a_torn_tail_that_was_never_confirmed_is_cleared() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut store = open_small(dir.path(), Engine::Segment);
    append_upto(store.log.as_mut(), 40, 5);
    drop(store);
    let newest = newest_segment(dir.path());
    let whole = std::fs::read(&newest).expect("read");
    let end = whole.iter().rposition(|byte| *byte != 0).expect("records") + 1;
    let end = end.next_multiple_of(8);
    let mut numbers = Numbers::new(31);
    for _ in 0..12 {
        let mut bytes = whole.clone();
        let garbage = numbers.bytes(1 + numbers.clone().below(3_000) as usize);
        bytes[end..end + garbage.len()].copy_from_slice(&garbage);
        std::fs::write(&newest, &bytes).expect("write");
        let store = open_small(dir.path(), Engine::Segment);
        assert_eq!(store.log.last(), Lsn(40));
        let torn = store.report.torn_tail.clone().expect("the torn tail is reported");
        assert_eq!((torn.0.as_path(), torn.1), (newest.as_path(), end as u64));
        compare(&store, 40).expect("nothing is lost");
        drop(store);
        assert!(std::fs::read(&newest).expect("read")[end..].iter().all(|byte| *byte == 0));
    }
    let mut store = open_small(dir.path(), Engine::Segment);
    append_upto(store.log.as_mut(), 60, 5);
    drop(store);
    compare(&open_small(dir.path(), Engine::Segment), 60).expect("appending went on");
}

#[test]
fn a_lost_end_is_told_from_a_torn_tail() {
    // The same cut, once with the high-water file as it was, once with an older one, as after a
    // power cut: then only what later records prove can be known.
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut store = open_small(dir.path(), Engine::Segment);
    append_upto(store.log.as_mut(), 20, 1);
    store.log.seal().expect("seal");
    let old = std::fs::read(dir.path().join("high-water")).expect("read");
    append_upto(store.log.as_mut(), 60, 1);
    drop(store);
    let newest = newest_segment(dir.path());
    let whole = std::fs::read(&newest).expect("read");
    let end = whole.iter().rposition(|byte| *byte != 0).expect("records") + 1;

    let mut cut = whole.clone();
    cut[end - 9_000..].fill(0);
    std::fs::write(&newest, &cut).expect("write");
    let error = open(&small(dir.path(), Engine::Segment)).err().expect("refused");
    assert!(
        matches!(error, StoreError::Short { expected: 60, .. } | StoreError::Corrupt { .. }),
        "{error}"
    );
    assert_eq!(error.exit_code(), 78);

    std::fs::write(dir.path().join("high-water"), &old).expect("write");
    let mut hole = whole.clone();
    hole[end - 9_000..end - 8_000].fill(0);
    std::fs::write(&newest, &hole).expect("write");
    let error = open(&small(dir.path(), Engine::Segment)).err().expect("later records prove it");
    assert!(matches!(&error, StoreError::Corrupt { file, .. } if *file == newest), "{error}");

    std::fs::write(&newest, &whole).expect("write");
    compare(&open_small(dir.path(), Engine::Segment), 60).expect("untouched by the refusals");
}

#[test]
fn old_views_under_a_new_checkpoint_file_are_refused() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut store = open_small(dir.path(), Engine::Segment);
    append_upto(store.log.as_mut(), 50, 5);
    settle_upto(store.views.as_ref(), 20);
    drop(store);
    let old = tempfile::tempdir().expect("temporary directory");
    copy_tree(&dir.path().join("views"), &old.path().join("views"));
    let store = open_small(dir.path(), Engine::Segment);
    settle_upto(store.views.as_ref(), 50);
    drop(store);
    std::fs::remove_dir_all(dir.path().join("views")).expect("remove");
    copy_tree(&old.path().join("views"), &dir.path().join("views"));
    let error = open(&small(dir.path(), Engine::Segment)).err().expect("refused");
    assert!(matches!(error, StoreError::Short { have: 1, expected: 2, .. }), "{error}");
    let report = check(dir.path()).expect("check runs");
    assert_eq!(report.exit_code(), 78);
}

#[test]
fn a_half_written_snapshot_does_not_stop_the_next_open() {
    let dir = tempfile::tempdir().expect("temporary directory");
    build(dir.path(), Engine::Segment);
    let leftover = dir.path().join("views/snap.00000000FFFFFFFF.generating");
    std::fs::write(&leftover, b"half").expect("write");
    assert_eq!(served_whole(dir.path(), Engine::Segment), Ok(true));
    assert!(!leftover.exists());
}

#[test]
fn an_interrupted_creation_begins_again() {
    let whole = tempfile::tempdir().expect("temporary directory");
    drop(open_small(whole.path(), Engine::Segment));
    for part in ["high-water", "log", "views", "checkpoint"] {
        let dir = tempfile::tempdir().expect("temporary directory");
        copy_tree(whole.path(), dir.path());
        std::fs::remove_file(dir.path().join("identity")).expect("remove");
        std::fs::write(dir.path().join("creating"), b"").expect("write");
        let lost = dir.path().join(part);
        if lost.is_dir() {
            std::fs::remove_dir_all(&lost).expect("remove");
        } else {
            std::fs::remove_file(&lost).expect("remove");
        }
        let store = open_small(dir.path(), Engine::Segment);
        assert!(store.report.created);
    }
}

fn newest_segment(dir: &Path) -> std::path::PathBuf {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let segments = files_under(&dir.join("log"));
    let newest = segments.into_iter().rev().find(|path| !name(path).starts_with("spare"));
    newest.expect("a segment")
}
