//! See `hongyan::checks::websocket`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    hongyan::checks::websocket(data);
});
