//! libFuzzer's door to [`carepost::fuzzing::dns_cert`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carepost::fuzzing::dns_cert(data));
