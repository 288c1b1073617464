//! libFuzzer's door to [`carepost::fuzzing::ocsp`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carepost::fuzzing::ocsp(data));
