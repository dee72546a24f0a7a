//! libFuzzer with the target `yaml`.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| stockade_fuzz::run("yaml", input));
