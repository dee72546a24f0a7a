//! libFuzzer with the target `request`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| stockade_fuzz::run("request", input));
