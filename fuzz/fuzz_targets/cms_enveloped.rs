//! libFuzzer's door to [`carepost::fuzzing::cms_enveloped`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| carepost::fuzzing::cms_enveloped(data));
