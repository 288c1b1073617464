//! libFuzzer's door to [`carepost::fuzzing::crl`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carepost::fuzzing::crl(data));
