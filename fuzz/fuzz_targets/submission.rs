//! libFuzzer's door to [`carepost::fuzzing::submission`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carepost::fuzzing::submission(data));
