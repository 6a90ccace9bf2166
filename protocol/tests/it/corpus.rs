//! Replays the fuzz corpus, the golden vectors and the malformed frames
//! through what the fuzz targets check.
//!
//! `fuzz/corpus/<target>/seed-*` are made from the samples; every other file
//! there was found by fuzzing and is kept.

use std::path::{Path, PathBuf};

use hongyan_protocol::{Opcode, raw};
use prost::Message;

use crate::samples::{self, Direction};
use crate::{vectors, writing};

#[path = "../../fuzz/checks.rs"]
#[allow(unreachable_pub)]
mod checks;

type Check = fn(&[u8]);

const TARGETS: [(&str, Check); 3] = [
    ("frame_decode", checks::frame_decode),
    ("message_decode", checks::message_decode),
    ("body_check", checks::body_check),
];

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// Name and bytes of each seed of a target.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (index, sample) in samples::all().into_iter().enumerate() {
        let name = format!("seed-{}", sample.stem);
        let payload = &sample.frame.payload;
        match target {
            "frame_decode" => seeds.push((name, sample.wire.to_vec())),
            "message_decode" => {
                let mut seed = vec![index as u8];
                seed.extend_from_slice(payload);
                seeds.push((name, seed));
            }
            _ if sample.opcode == Opcode::Send && sample.direction == Direction::Request => {
                let send = raw::Send::decode(payload.clone()).unwrap();
                seeds.push((name, send.body.to_vec()));
            }
            _ => {}
        }
    }
    seeds
}

fn files(folder: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    paths.map(|path| std::fs::read(path).unwrap()).collect()
}

#[test]
fn corpus_of_each_target_is_replayed() {
    for (target, check) in TARGETS {
        let folder = corpus(target);
        if writing() {
            std::fs::create_dir_all(&folder).unwrap();
            for (name, bytes) in seeds(target) {
                std::fs::write(folder.join(name), bytes).unwrap();
            }
        }
        for (name, bytes) in seeds(target) {
            assert_eq!(std::fs::read(folder.join(&name)).unwrap(), bytes, "{target}/{name}");
        }
        let inputs = files(&folder);
        assert!(!inputs.is_empty(), "{target} has no corpus");
        for input in inputs {
            check(&input);
        }
    }
}

#[test]
fn corpus_of_vectors_and_malformed_frames_is_replayed() {
    if writing() {
        return;
    }
    let mut inputs = files(&vectors());
    inputs.extend(files(&vectors().join("malformed")));
    assert!(inputs.len() > 300, "{}", inputs.len());
    for input in inputs {
        for (_, check) in TARGETS {
            check(&input);
            // Without the length, and as each kind of message.
            check(input.get(1..).unwrap_or_default());
        }
        for choice in 0..=u8::MAX {
            let mut chosen = vec![choice];
            chosen.extend_from_slice(&input[..input.len().min(512)]);
            checks::message_decode(&chosen);
        }
    }
}
