//! The fuzz target over its committed corpus, and over every seed with each byte changed.
//!
//! Seeds are made by the crate, so a format that changes shows here. `HONGYAN_VECTORS=write`
//! writes them; every other file of the corpus was found by fuzzing and is kept.

use std::path::{Path, PathBuf};

use hongyan_store::checks::{stored_block, stored_block_seeds};

/// The seeds that are good as they are, or once their checksum is right.
const TAKEN: [&str; 20] = [
    "segment-whole",
    "segment-torn",
    "segment-mended",
    "record-whole",
    "record-two",
    "record-last-numbers",
    "entry-value",
    "entry-replaced",
    "entry-pointer",
    "entry-piece",
    "entry-tombstone",
    "high-water-whole",
    "high-water-one-slot",
    "checkpoint-whole",
    "row-whole",
    "identity-whole",
    "sled-segment-whole",
    "sled-segment-unsynced",
    "sled-segment-mended",
    "sled-segment-unused",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/stored_block")
}

#[test]
fn the_corpus_of_stored_block_passes() {
    let folder = folder();
    let seeds = stored_block_seeds();
    assert!(seeds.len() >= 30, "{}", seeds.len());
    if std::env::var_os("HONGYAN_VECTORS").is_some_and(|value| value == "write") {
        std::fs::create_dir_all(&folder).expect("create");
        for (name, bytes) in &seeds {
            std::fs::write(folder.join(format!("seed-{name}")), bytes).expect("write");
        }
    }
    for (name, bytes) in &seeds {
        let committed = std::fs::read(folder.join(format!("seed-{name}"))).expect("committed");
        assert_eq!(&committed, bytes, "{name}");
        assert_eq!(stored_block(bytes), TAKEN.contains(name), "{name}");
    }
    let mut replayed = 0;
    for entry in std::fs::read_dir(&folder).expect("the corpus is in the tree") {
        stored_block(&std::fs::read(entry.expect("entry").path()).expect("read"));
        replayed += 1;
    }
    assert!(replayed >= seeds.len());
}

#[test]
fn the_corpus_of_stored_block_passes_with_any_byte_changed() {
    for (_, seed) in stored_block_seeds() {
        for mend in [0, 0x80] {
            let mut bytes = seed.clone();
            bytes[0] |= mend;
            let used = 1..bytes.len();
            // The unused middle of a file is long and says nothing.
            for at in used.filter(|at| seed[*at] != 0 || *at < 160) {
                for change in [0x01, 0x80, 0xFF] {
                    let was = bytes[at];
                    bytes[at] ^= change;
                    stored_block(&bytes);
                    bytes[at] = was;
                }
            }
        }
    }
}
