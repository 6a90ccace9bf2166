//! See `hongyan_core::testing::checks::command_parse`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hongyan_core::testing::checks::command_parse(data));
