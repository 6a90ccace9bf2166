//! See `hongyan::checks::config`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    hongyan::checks::config(data);
});
