//! libFuzzer with the target `structured`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| stockade_fuzz::run("structured", input));
