//! libFuzzer's door to [`carepost::fuzzing::open`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carepost::fuzzing::open(data));
