//! libFuzzer's door to [`carepost::fuzzing::smtp_data`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carepost::fuzzing::smtp_data(data));
