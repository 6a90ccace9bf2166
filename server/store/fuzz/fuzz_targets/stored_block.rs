//! See `hongyan_store::checks::stored_block`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    hongyan_store::checks::stored_block(data);
});
