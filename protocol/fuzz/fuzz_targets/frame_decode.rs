//! See `hongyan_protocol_fuzz::frame_decode`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hongyan_protocol_fuzz::frame_decode(data));
