//! libFuzzer's door to [`carepost::fuzzing::report`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carepost::fuzzing::report(data));
