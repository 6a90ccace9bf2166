//! The fuzz targets over their committed corpus, and over every seed with
//! bytes changed.
//!
//! Seeds are made by the crate. `HONGYAN_VECTORS=write` writes them; every
//! other file of the corpus was found by fuzzing and is kept.

use std::path::{Path, PathBuf};

use hongyan::checks;

type Seeds = Vec<(&'static str, Vec<u8>)>;

/// The seeds of tokens that are taken.
const TOKENS_TAKEN: &[&str] = &[
    "own-good",
    "refresh-secret",
    "refresh-empty",
    "own-claims-good",
    "own-claims-last-moment",
    "own-claims-array",
    "issued-good",
    "issued-changed",
    "issued-last-character",
    "issued-escapes",
    "foreign-good",
    "foreign-claims-ed",
    "foreign-claims-es",
    "foreign-claims-last-second",
    "foreign-claims-one-of-one",
    "foreign-claims-party",
    "foreign-claims-endless",
    "foreign-claims-fraction",
    "foreign-claims-long-name",
    "foreign-claims-name-escape",
    "foreign-header-good",
    "key-set-good",
    "key-set-one",
    "key-set-future",
];

/// The seeds of configurations that are taken.
const CONFIGS_TAKEN: &[&str] = &[
    "empty",
    "shipped",
    "plaintext-said",
    "tls",
    "key",
    "key-in-file",
    "issuer-file",
    "issuer-algorithms",
    "last-sizes",
    "filter",
    "dotted",
];

/// The seeds of WebSockets through which a frame comes.
#[cfg(feature = "websocket")]
const WEBSOCKETS_HEARD: &[&str] =
    &["message", "fragments", "heartbeat", "json", "json-fragments", "upgrade"];

#[test]
fn the_corpus_of_token_passes() {
    replay("token", &checks::token_seeds(), TOKENS_TAKEN, checks::token);
}

#[test]
fn the_corpus_of_config_passes() {
    replay("config", &checks::config_seeds(), CONFIGS_TAKEN, checks::config);
}

#[test]
fn the_corpus_of_token_passes_with_bytes_changed() {
    change_each(&checks::token_seeds(), 1, checks::token);
}

#[test]
fn the_corpus_of_config_passes_with_bytes_changed() {
    // The shipped file is long; a change in a comment of it says nothing.
    change_each(&checks::config_seeds(), 11, checks::config);
}

#[test]
#[cfg(feature = "websocket")]
fn the_corpus_of_websocket_passes() {
    replay("websocket", &checks::websocket_seeds(), WEBSOCKETS_HEARD, checks::websocket);
    change_each(&checks::websocket_seeds(), 1, checks::websocket);
}

fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

fn replay(target: &str, seeds: &Seeds, taken: &[&str], check: fn(&[u8]) -> bool) {
    let folder = folder(target);
    if std::env::var_os("HONGYAN_VECTORS").is_some_and(|value| value == "write") {
        std::fs::create_dir_all(&folder).expect("create");
        for (name, bytes) in seeds {
            std::fs::write(folder.join(format!("seed-{name}")), bytes).expect("write");
        }
    }
    for (name, bytes) in seeds {
        let committed = std::fs::read(folder.join(format!("seed-{name}"))).expect("committed");
        assert_eq!(&committed, bytes, "{name}");
        assert_eq!(check(bytes), taken.contains(name), "{name}");
    }
    assert!(taken.iter().all(|name| seeds.iter().any(|seed| seed.0 == *name)));
    let mut replayed = 0;
    for entry in std::fs::read_dir(&folder).expect("the corpus is in the tree") {
        check(&std::fs::read(entry.expect("entry").path()).expect("read"));
        replayed += 1;
    }
    assert!(replayed >= seeds.len());
}

fn change_each(seeds: &Seeds, step: usize, check: fn(&[u8]) -> bool) {
    for (_, seed) in seeds {
        for at in (0..seed.len()).step_by(step) {
            for change in [0x01, 0x20] {
                let mut bytes = seed.clone();
                bytes[at] ^= change;
                check(&bytes);
            }
        }
    }
}
