//! The fuzz targets over their committed corpus, and over bytes drawn from a
//! fixed seed.

use hongyan_core::testing::checks;
use hongyan_protocol::Opcode;
use proptest::prelude::*;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = format!("{}/fuzz/corpus/{target}", env!("CARGO_MANIFEST_DIR"));
    let entries = std::fs::read_dir(folder).expect("the corpus is in the tree");
    entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
}

#[test]
fn the_corpus_of_command_parse_passes() {
    let corpus = corpus("command_parse");
    assert!(corpus.len() >= 20, "{}", corpus.len());
    corpus.iter().for_each(|data| checks::command_parse(data));
}

#[test]
fn the_corpus_of_shard_inputs_passes() {
    let corpus = corpus("shard_inputs");
    assert!(corpus.len() >= 5, "{}", corpus.len());
    corpus.iter().for_each(|data| checks::shard_inputs(data));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_payload_is_parsed_or_refused(
        opcode in prop::sample::select(Opcode::ALL.to_vec()),
        mut payload in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        payload.insert(0, opcode.number() as u8);
        checks::command_parse(&payload);
    }

    #[test]
    fn any_frames_in_any_order_are_answered(data in prop::collection::vec(any::<u8>(), 0..200)) {
        checks::shard_inputs(&data);
    }
}
