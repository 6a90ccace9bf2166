//! See `hongyan_protocol_fuzz::body_check`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hongyan_protocol_fuzz::body_check(data));
