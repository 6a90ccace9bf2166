//! Stores written by earlier versions still open with their contents.

use std::path::{Path, PathBuf};

use hongyan_store::{Engine, check};

use crate::fixture::{append_upto, compare, copy_tree, open_small, settle_upto};

const LAST: u64 = 30;

fn fixture_dir(engine: Engine) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/v1").join(engine.name())
}

#[test]
fn version_1_opens_with_its_contents() {
    for engine in [Engine::Segment, Engine::Sled] {
        let dir = tempfile::tempdir().expect("temporary directory");
        copy_tree(&fixture_dir(engine), dir.path());
        let report = check(dir.path()).expect("check runs");
        assert!(report.faults.is_empty(), "{report:?}");
        let mut store = open_small(dir.path(), engine);
        compare(&store, LAST).expect("the contents are as written");
        assert_eq!(store.report.checkpoint.lsn.0, 20);
        append_upto(store.log.as_mut(), LAST + 10, 3);
        drop(store);
        compare(&open_small(dir.path(), engine), LAST + 10).expect("and it can be continued");
    }
}

/// Writes the fixtures, when the environment asks for it. A released format is never rewritten.
#[test]
fn fixtures_are_written_on_request() {
    if std::env::var("HONGYAN_WRITE_FIXTURES").is_err() {
        return;
    }
    for engine in [Engine::Segment, Engine::Sled] {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut store = open_small(dir.path(), engine);
        append_upto(store.log.as_mut(), LAST, 4);
        settle_upto(store.views.as_ref(), 20);
        drop(store);
        for name in ["spare-00000000.seg", "spare-00000001.seg"] {
            // Spares hold nothing; leaving them out keeps the fixture small.
            let _ = std::fs::remove_file(dir.path().join("log").join(name));
        }
        copy_tree(dir.path(), &fixture_dir(engine));
    }
}
