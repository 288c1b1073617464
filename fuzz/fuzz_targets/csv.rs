//! libFuzzer's door to [`carepost::fuzzing::csv`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carepost::fuzzing::csv(data));
