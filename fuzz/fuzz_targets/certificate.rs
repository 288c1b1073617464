//! libFuzzer's door to [`carepost::fuzzing::certificate`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carepost::fuzzing::certificate(data));
