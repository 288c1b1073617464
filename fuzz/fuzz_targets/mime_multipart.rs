//! libFuzzer's door to [`carepost::fuzzing::mime_multipart`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carepost::fuzzing::mime_multipart(data));
