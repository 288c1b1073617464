//! libFuzzer's door to [`carepost::fuzzing::address`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carepost::fuzzing::address(data));
