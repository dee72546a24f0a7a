//! libFuzzer with the target `intake`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| stockade_fuzz::run("intake", input));
