//! libFuzzer's door to [`carepost::fuzzing::bundle`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carepost::fuzzing::bundle(data));
