//! See `hongyan_core::testing::checks::shard_inputs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hongyan_core::testing::checks::shard_inputs(data));
