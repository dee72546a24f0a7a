//! libFuzzer with the target `snapshot`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| stockade_fuzz::run("snapshot", input));
