//! A store is its owner's alone.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hongyan_store::Engine;

use crate::fixture::{append_upto, compare, files_under, open_small, settle_upto};

/// A directory, everything in it, and their modes. An open store makes spare
/// segments beside its work, so a file may have another name by now.
fn modes(dir: &Path) -> Vec<(PathBuf, bool, u32)> {
    let mut paths = vec![dir.to_path_buf()];
    for file in files_under(dir) {
        paths.extend(file.parent().map(Path::to_path_buf));
        paths.push(file);
    }
    paths
        .into_iter()
        .filter_map(|path| match std::fs::metadata(&path) {
            Ok(found) => Some((path, found.is_dir(), found.permissions().mode() & 0o7777)),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => panic!("stat of {}: {error}", path.display()),
        })
        .collect()
}

fn assert_private(dir: &Path) {
    for (path, is_dir, mode) in modes(dir) {
        let expected = if is_dir { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{} has {mode:o}", path.display());
    }
}

#[test]
fn nobody_else_may_read_a_new_store() {
    for engine in [Engine::Segment, Engine::Sled] {
        let dir = tempfile::tempdir().expect("temporary directory");
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("chmod");
        for part in ["", "made/with/parents"] {
            let dir = dir.path().join(part);
            let mut store = open_small(&dir, engine);
            assert_eq!(store.report.exposed, Vec::<PathBuf>::new());
            assert_private(&dir);
            // Enough for new segments, which are made while it is open.
            append_upto(store.log.as_mut(), 400, 10);
            if engine == Engine::Segment {
                assert_private(&dir.join("log"));
                assert!(files_under(&dir.join("log")).len() > 2);
            }
            drop(store);
            std::fs::remove_dir_all(&dir).expect("remove");
            std::fs::create_dir_all(dir).expect("create");
        }
    }
}

#[test]
fn a_store_that_others_could_read_opens_and_is_closed_to_them() {
    for engine in [Engine::Segment, Engine::Sled] {
        let dir = tempfile::tempdir().expect("temporary directory");
        let mut store = open_small(dir.path(), engine);
        append_upto(store.log.as_mut(), 30, 4);
        settle_upto(store.views.as_ref(), 20);
        drop(store);
        for (path, is_dir, _) in modes(dir.path()) {
            let mode = if is_dir { 0o755 } else { 0o644 };
            std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
        }
        let store = open_small(dir.path(), engine);
        compare(&store, 30).expect("the contents are as written");
        assert_eq!(store.report.exposed, Vec::<PathBuf>::new());
        assert_private(dir.path());
    }
}
