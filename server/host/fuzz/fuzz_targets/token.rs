//! See `hongyan::checks::token`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    hongyan::checks::token(data);
});
